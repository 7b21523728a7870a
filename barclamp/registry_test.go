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

func TestRegistryCompilesSchemas(t *testing.T) {
	v := newVote(t)
	v.info.Schema = []byte(`{"properties":{"password":{"format":"password"},"size":{"type":"integer"}}}`)
	r, err := barclamp.NewRegistry(v)
	require.NoError(t, err)
	d, err := document(t).With(proposal.Edit{Pointer: "/attributes/vote/size", Value: []byte(`"7"`)})
	require.NoError(t, err)
	require.ErrorContains(t, r.Schema("vote").Check(d), `/attributes/vote/size: found a string "7", expected an integer`)

	require.Nil(t, r.Schema("nova"))
	require.NoError(t, r.Schema("nova").Check(d))
	bare, err := barclamp.NewRegistry(newVote(t))
	require.NoError(t, err)
	require.Nil(t, bare.Schema("vote"))
}

func TestRegistryRefusesWrongSchemas(t *testing.T) {
	for schema, want := range map[string]string{
		`{"properties":{"a":{"type":"strng"}}}`: "barclamp: the schema of vote is wrong: proposal: invalid schema: line 1, column 21: /properties/a/type: found a string \"strng\"",
		`{"type":}`:                             "barclamp: the schema of vote is wrong: schema: proposal: line 1, column 9",
		``:                                      "barclamp: the schema of vote is wrong",
		`{"$ref":"https://example.com/schema"}`: "nothing is loaded",
		`{"required":["quorum"],"minProperties":1000}`: "barclamp: the template of vote does not satisfy its schema: proposal: invalid: 2 problems:",
	} {
		v := newVote(t)
		v.info.Schema = []byte(schema)
		_, err := barclamp.NewRegistry(v)
		require.ErrorContains(t, err, want, schema)
		require.ErrorIs(t, err, proposal.ErrInvalid, schema)
	}
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
