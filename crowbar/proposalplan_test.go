package crowbar_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// planned is what a plan says that the jig will be given, in the form of the ledger.
func planned(p *crowbar.ProposalPlan) []string {
	var lines []string
	for wave, roles := range p.Waves {
		for _, n := range p.Nodes {
			if strings.HasPrefix(n.Note, "is ") || strings.HasPrefix(n.Note, "gets ") {
				continue // waited for or left out
			}
			applies := slices.DeleteFunc(slices.Clone(n.Applies), func(role string) bool { return !slices.Contains(roles, role) })
			if len(applies) > 0 {
				lines = append(lines, fmt.Sprintf("%d %s %v", wave, n.Node, applies))
			}
		}
	}
	return lines
}

// placed saves the rack's document with these elements as its next revision.
func (w *world) placed(elements map[string][]string) *proposal.Saved {
	w.t.Helper()
	latest, err := w.Revision(w.t.Context(), rackKey, 0)
	require.NoError(w.t, err)
	doc, err := latest.Document.WithElements(elements)
	require.NoError(w.t, err)
	saved, err := w.SaveProposal(w.t.Context(), crowbar.SaveProposal{Key: rackKey, Document: doc, Author: "tester", Base: latest.Number})
	require.NoError(w.t, err)
	return saved
}

// TestPlanIsWhatTheJobDoes commits one arrangement after another; what the plan said is what
// the jig was told (invariant 4).
func TestPlanIsWhatTheJobDoes(t *testing.T) {
	bubble(t, func(w *world) {
		ctx := w.t.Context()
		tickets := []*crowbar.Ticket{w.discover(0), w.discover(1), w.discover(2)}
		a, b, c := tickets[0].Node, tickets[1].Node, tickets[2].Node
		w.commit(rackKey)
		for _, ticket := range tickets[:2] { // the third stays in the pause
			w.allocate(ticket.Node)
			w.install(ticket)
			w.settled(ticket.Node, lifecycle.Ready)
		}
		for i, elements := range []map[string][]string{
			{"rack-top": {a}, "rack-unit": {b}},    // the third is not asked for any more
			{"rack-top": {a}, "rack-unit": {b, a}}, // one more role on a node
			{"rack-top": {b}, "rack-unit": {a}},    // swapped
			{"rack-top": {b}, "rack-unit": {b, c}}, // one left without, one that pauses
			{"rack-top": {b}, "rack-frame": {a}},   // a role that acts while hardware is configured
		} {
			saved := w.placed(elements)
			plan, err := w.PlanProposal(ctx, rackKey, 0)
			require.NoError(w.t, err)
			require.True(w.t, plan.Changes)
			require.Empty(w.t, plan.Problems)
			require.NoError(w.t, plan.Refused)
			require.Equal(w.t, saved.Revision.Number, plan.Revision)
			before := len(w.jig.applied())
			_, job, err := w.Commit(ctx, rackKey, 0, "tester")
			require.NoError(w.t, err)
			synctest.Wait()
			if job, err = w.Job(job.ID); err != nil || job.Status != crowbar.JobDone {
				require.NoError(w.t, err)
				require.Equal(w.t, plan.Waiting, w.Waiting(job), "arrangement %d: %s", i, job.Status)
			} else {
				require.Empty(w.t, plan.Waiting, "arrangement %d", i)
			}
			require.Equal(w.t, planned(plan), w.jig.applied()[before:], "arrangement %d", i)
			plan, err = w.PlanProposal(ctx, rackKey, 0)
			require.NoError(w.t, err)
			require.False(w.t, plan.Changes, "a second plan is empty")
			require.True(w.t, plan.Diff.Empty())
		}
		synctest.Wait()
	})
}

func TestPlanSaysWhyNot(t *testing.T) {
	bubble(t, func(w *world) {
		ctx := w.t.Context()
		first := w.discover(0)
		w.commit(rackKey)
		other := proposal.Key{Barclamp: "rack", Name: "other"}
		_, _, err := w.CreateProposal(ctx, crowbar.NewProposal{Key: other, Author: "tester"})
		require.NoError(w.t, err)
		plan, err := w.PlanProposal(ctx, other, 0)
		require.NoError(w.t, err)
		require.ErrorIs(w.t, plan.Refused, crowbar.ErrRefused)
		require.ErrorContains(w.t, plan.Refused, "allows one proposal in force")
		require.Zero(w.t, plan.InForce)

		w.placed(map[string][]string{"rack-top": {"nobody"}})
		plan, err = w.PlanProposal(ctx, rackKey, 0)
		require.NoError(w.t, err)
		require.NotEmpty(w.t, plan.Problems)
		require.Equal(w.t, 1, plan.InForce)
		i := slices.IndexFunc(plan.Nodes, func(n crowbar.NodeChange) bool { return n.Node == first.Node })
		require.Equal(w.t, []string{"rack-top"}, plan.Nodes[i].Loses)
		_, err = w.PlanProposal(ctx, rackKey, 9)
		require.ErrorIs(w.t, err, crowbar.ErrNotFound)
	})
}

// TestPlanKnowsTheQueue: a job that has the nodes comes first, and the one that a commit would
// replace does not; too few nodes that can be worked on are told before.
func TestPlanKnowsTheQueue(t *testing.T) {
	bubble(t, func(w *world) {
		ctx := w.t.Context()
		tickets := []*crowbar.Ticket{w.discover(0), w.discover(1)}
		a, b := tickets[0].Node, tickets[1].Node
		w.commit(rackKey)
		for _, ticket := range tickets {
			w.allocate(ticket.Node)
			w.install(ticket)
		}
		third := w.discover(2)
		motd := func(name string, nodes ...string) proposal.Key {
			k := proposal.Key{Barclamp: "motd-" + name, Name: "default"}
			list, err := json.Marshal(nodes)
			require.NoError(w.t, err)
			doc, err := proposal.Parse(fmt.Appendf(nil, `{"id":"bc-%[1]s-default","attributes":{},"deployment":{%[1]q:{
				"elements":{"motd":%[2]s},"element_order":[["motd"]],"element_states":{"motd":["ready","applying"]}}}}`, k.Barclamp, list))
			require.NoError(w.t, err)
			_, err = w.SaveProposal(ctx, crowbar.SaveProposal{Key: k, Document: doc, Author: "tester"})
			require.NoError(w.t, err)
			return k
		}
		first := motd("first", a, third.Node)
		w.allocate(third.Node) // on its way: first waits for it
		w.settled(third.Node, lifecycle.HardwareInstalled)
		_, blocker, err := w.Commit(ctx, first, 0, "tester")
		require.NoError(w.t, err)
		second := motd("second", a)
		plan, err := w.PlanProposal(ctx, second, 0)
		require.NoError(w.t, err)
		require.Contains(w.t, plan.Waiting, "job "+blocker.ID+" has its nodes")
		_, job, err := w.Commit(ctx, second, 0, "tester")
		require.NoError(w.t, err)
		require.Equal(w.t, plan.Waiting, w.Waiting(job))
		plan, err = w.PlanProposal(ctx, first, 0)
		require.NoError(w.t, err)
		require.Equal(w.t, w.Waiting(blocker), plan.Waiting, "its own job would be replaced")

		w.report(tickets[1], 20, lifecycle.Problem) // an agent gives up
		w.settled(b, lifecycle.Problem)
		plan, err = w.PlanProposal(ctx, motd("third", b), 0)
		require.NoError(w.t, err)
		require.Contains(w.t, plan.Fails, "role motd needs 1 node")
		require.Contains(w.t, plan.Nodes[0].Note, "is left out")
	})
}
