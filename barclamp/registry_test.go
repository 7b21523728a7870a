package barclamp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestRegistry(t *testing.T) {
	var r barclamp.Registry // the zero value is ready
	require.Empty(t, r.All())
	v := newVote(t)
	require.NoError(t, r.Add(v))
	got, err := r.Get("vote")
	require.NoError(t, err)
	require.Same(t, v, got)

	require.ErrorIs(t, r.Add(newVote(t)), barclamp.ErrDuplicate)
	_, err = r.Get("nova")
	require.ErrorIs(t, err, barclamp.ErrNoBarclamp)
	require.ErrorContains(t, err, "nova")
}

func TestRegistryRefuses(t *testing.T) {
	bare := newVote(t)
	bare.info.Template = nil
	_, err := barclamp.NewRegistry(bare)
	require.ErrorContains(t, err, "vote has no template")

	foreign := newVote(t)
	foreign.info.Name = "nova"
	_, err = barclamp.NewRegistry(foreign)
	require.ErrorContains(t, err, "the template of nova is a document of vote")

	_, err = barclamp.NewRegistry(newVote(t), newVote(t))
	require.ErrorIs(t, err, barclamp.ErrDuplicate)
}

func TestRegistryFor(t *testing.T) {
	v := newVote(t)
	r, err := barclamp.NewRegistry(v)
	require.NoError(t, err)
	require.Same(t, v, r.For(document(t)))
	other, err := proposal.Parse([]byte(`{"id":"bc-ntp-default","attributes":{},"deployment":{"ntp":{"element_order":[["ntp-server"]]}}}`))
	require.NoError(t, err)
	b := r.For(other)
	require.IsType(t, &barclamp.Generic{}, b)
	require.Equal(t, "ntp", b.Info().Name)
}

func TestRegistryAllIsInRunOrder(t *testing.T) {
	r := &barclamp.Registry{}
	for name, order := range map[string]int{"late": 1060, "b": 20, "a": 20, "first": 0} {
		d, err := proposal.Parse([]byte(`{"id":"bc-template-` + name + `","attributes":{},"deployment":{"` + name + `":{}}}`))
		require.NoError(t, err)
		v := newVote(t)
		v.info.Name, v.info.RunOrder, v.info.Template = name, order, d
		require.NoError(t, r.Add(v))
	}
	var names []string
	for _, b := range r.All() {
		names = append(names, b.Info().Name)
	}
	require.Equal(t, []string{"first", "a", "b", "late"}, names)
}
