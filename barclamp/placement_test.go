package barclamp_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestCheckPlacement(t *testing.T) {
	site := barclamptest.NewSite(6, 0)
	site.Machines[5].Admin = true
	n := func(numbers ...int) []string {
		var names []string
		for _, i := range numbers {
			names = append(names, site.Machines[i-1].Name)
		}
		return names
	}
	const base = "/deployment/vote/elements"
	for name, c := range map[string]struct {
		server, client barclamp.Constraint
		elements       map[string][]string
		want           []string // path: found
	}{
		"all is well": {barclamp.Constraint{Minimum: 1, Count: 3, Odd: true}, barclamp.Constraint{},
			map[string][]string{"vote-server": n(1, 2, 3), "vote-client": n(1)}, nil},
		"no node at all": {barclamp.Constraint{}, barclamp.Constraint{}, nil,
			[]string{base + ": no node in any role"}},
		"too few": {barclamp.Constraint{Minimum: 2}, barclamp.Constraint{Minimum: 1},
			map[string][]string{"vote-server": n(1)}, []string{base + "/vote-server: 1 node", base + "/vote-client: no node"}},
		"too many": {barclamp.Constraint{Count: 1}, barclamp.Constraint{},
			map[string][]string{"vote-server": n(1, 2)}, []string{base + "/vote-server: 2 nodes"}},
		"an even number": {barclamp.Constraint{Odd: true}, barclamp.Constraint{},
			map[string][]string{"vote-server": n(1, 2)}, []string{base + "/vote-server: 2 nodes"}},
		"none is neither odd nor even": {barclamp.Constraint{Odd: true}, barclamp.Constraint{},
			map[string][]string{"vote-client": n(1)}, nil},
		"unique": {barclamp.Constraint{Unique: true}, barclamp.Constraint{},
			map[string][]string{"vote-server": n(1, 2), "vote-client": n(2)}, []string{base + "/vote-server/1: " + n(2)[0]}},
		"conflict": {barclamp.Constraint{}, barclamp.Constraint{ConflictsWith: []string{"vote-server"}},
			map[string][]string{"vote-server": n(1, 2), "vote-client": n(2)}, []string{base + "/vote-client/0: " + n(2)[0]}},
		"the admin node": {barclamp.Constraint{}, barclamp.Constraint{Admin: true},
			map[string][]string{"vote-server": n(6), "vote-client": n(6)}, []string{base + "/vote-server/0: " + n(6)[0]}},
		"an unknown node": {barclamp.Constraint{}, barclamp.Constraint{},
			map[string][]string{"vote-server": {"nobody"}}, []string{base + "/vote-server/0: nobody"}},
	} {
		t.Run(name, func(t *testing.T) {
			info := newVote(t).Info()
			info.Roles[0].Constraint, info.Roles[1].Constraint = c.server, c.client
			d, err := document(t).WithElements(c.elements)
			require.NoError(t, err)
			err = barclamp.CheckPlacement(info, d, site)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			var invalid *proposal.ValidationError
			require.ErrorAs(t, err, &invalid)
			var got []string
			for _, p := range invalid.Problems {
				require.NotEmpty(t, p.Expected)
				got = append(got, p.Path+": "+p.Found)
			}
			require.Equal(t, c.want, got)
		})
	}
}

func TestCheckPlacementOfAnotherEra(t *testing.T) {
	site := barclamptest.NewSite(1, 0)
	site.Machines[0].Admin = true
	d, err := proposal.Parse([]byte(`{"id":"bc-vote-default","attributes":{"vote":{}},"deployment":{"vote":{
		"elements":{"vote-master":["` + site.Machines[0].Name + `"]},"element_order":[["vote-master"]]}}}`))
	require.NoError(t, err)
	require.NoError(t, barclamp.CheckPlacement(newVote(t).Info(), d, site), "roles that Info does not list are unconstrained")
}

// TestCheckPlacementCounts: a number of nodes is accepted exactly if it is within the bounds.
func TestCheckPlacementCounts(t *testing.T) {
	site := barclamptest.NewSite(12, 0)
	rapid.Check(t, func(t *rapid.T) {
		c := barclamp.Constraint{
			Minimum: rapid.IntRange(0, 6).Draw(t, "minimum"),
			Count:   rapid.IntRange(0, 6).Draw(t, "count"),
			Odd:     rapid.Bool().Draw(t, "odd"),
		}
		n := rapid.IntRange(0, 12).Draw(t, "nodes")
		var names []string
		for _, m := range site.Machines[:n] {
			names = append(names, m.Name)
		}
		info := newVote(t).Info()
		info.Roles[0].Constraint = c
		d, err := document(t).WithElements(map[string][]string{"vote-server": names, "vote-client": {site.Machines[0].Name}})
		require.NoError(t, err)
		info.Roles[1].Constraint = barclamp.Constraint{}
		want := n >= c.Minimum && (c.Count == 0 || n <= c.Count) && (!c.Odd || n == 0 || n%2 == 1)
		err = barclamp.CheckPlacement(info, d, site)
		require.Equal(t, want, err == nil, fmt.Sprint(err))
	})
}
