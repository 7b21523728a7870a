package main

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
)

// TestConformance is all that an author has to write to know that the engine can work with it.
func TestConformance(t *testing.T) {
	barclamptest.Run(t, barclamptest.Harness{World: func(t *testing.T) barclamptest.World {
		ntp, err := NewNTP()
		require.NoError(t, err)
		return barclamptest.World{Barclamp: ntp, Site: barclamptest.NewSite(4, 1)}
	}})
}

// TestLateNodesJoin is an example of a test of the barclamp's own rules.
func TestLateNodesJoin(t *testing.T) {
	ntp, err := NewNTP()
	require.NoError(t, err)
	site := barclamptest.NewSite(2, 0)
	d, err := site.Commit(t.Context(), ntp)
	require.NoError(t, err)
	site.Machines = append(site.Machines, barclamptest.NewNode(3, 4))

	e, err := site.Event(site.Machines[2].Name, "installed", d)
	require.NoError(t, err)
	steps, err := ntp.Transition(t.Context(), site, e)
	require.NoError(t, err)
	sc := barclamptest.NewStepContext(e.Node)
	require.NoError(t, steps[0].Run(t.Context(), sc))
	require.Equal(t, []string{"ntp-client"}, sc.Joined())
}

func Example() {
	_ = run(context.Background(), os.Stdout)
	// Output:
	// ntp-server: d52-54-00-00-00-01.crowbar.test (one of the first two nodes)
	// ntp-server: d52-54-00-00-00-02.crowbar.test (one of the first two nodes)
	// ntp-client: d52-54-00-00-00-03.crowbar.test (takes its time from the servers)
}
