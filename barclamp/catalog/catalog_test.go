package catalog_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog"
)

func ExampleNew() {
	registry, err := catalog.New(catalog.Config{Without: []string{"ipmi"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, b := range registry.All() {
		fmt.Println(b.Info().RunOrder, b.Info().Name)
	}
	// Output:
	// 10 deployer
	// 17 bios
	// 18 raid
	// 20 network
	// 80 swift
	// 90 cinder
	// 95 nova
	// 1060 provisioner
}

func TestWithoutAnUnknownName(t *testing.T) {
	_, err := catalog.New(catalog.Config{Without: []string{"raid", "ceph"}})
	require.EqualError(t, err, `catalog: there is no barclamp "ceph" to leave out; known: bios, cinder, deployer, ipmi, network, nova, provisioner, raid, swift`)
}

func TestWhatIsRequiredIsThere(t *testing.T) {
	registry, err := catalog.New(catalog.Config{})
	require.NoError(t, err)
	require.Len(t, registry.All(), 9)
	for _, b := range registry.All() {
		for _, name := range b.Info().Requires {
			_, err := registry.Get(name)
			require.NoError(t, err, "%s requires it", b.Info().Name)
		}
	}
}

// TestWithoutHardwareEverythingIsSkipped: nodes come through hardware-installing all the same.
func TestWithoutHardwareEverythingIsSkipped(t *testing.T) {
	registry, err := catalog.New(catalog.Config{})
	require.NoError(t, err)
	s := barclamptest.NewSite(3, 2)
	for _, b := range registry.All() {
		_, err := s.Commit(t.Context(), b)
		require.NoError(t, err)
	}
	for _, name := range []string{"bios", "raid", "ipmi"} {
		b, err := registry.Get(name)
		require.NoError(t, err)
		d, ok := barclamp.First(s, name)
		require.True(t, ok)
		e, err := s.Event(s.Machines[0].Name, "hardware-installing", d)
		require.NoError(t, err)
		steps, err := barclamp.Find(b).Transitioner.Transition(t.Context(), s, e)
		require.NoError(t, err)
		require.Len(t, steps, 1)
		require.Contains(t, steps[0].Skip, "skipped", name)
	}
}

// TestASiteOfEveryProposal: all of them can be in force at once without contradicting each other.
func TestASiteOfEveryProposal(t *testing.T) {
	registry, err := catalog.New(catalog.Config{})
	require.NoError(t, err)
	for _, nodes := range []int{6, 100} {
		s := barclamptest.NewSite(nodes, 2)
		for _, b := range registry.All() {
			d, err := s.Commit(t.Context(), b)
			require.NoError(t, err)
			require.NoError(t, barclamp.CheckPlacement(b.Info(), d, s))
			if v := barclamp.Find(b).Validator; v != nil {
				require.NoError(t, v.Validate(t.Context(), s, d))
			}
		}
	}
}
