package crowbar_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// commitOn commits a proposal of a barclamp that nobody registered, with one role on nodes.
func (w *world) commitOn(barclamp string, nodes ...string) *crowbar.Job {
	w.t.Helper()
	names, err := json.Marshal(nodes)
	require.NoError(w.t, err)
	text := strings.ReplaceAll(`{"id":"NAME-default","description":"","attributes":{"NAME":{}},"deployment":{"NAME":{
		"element_states":{"NAME-role":["ready","applying"]},"elements":{"NAME-role":NODES},"element_order":[["NAME-role"]],
		"config":{"environment":"NAME-config-default","mode":"full","transitions":false,"transition_list":[]}}}}`, "NAME", barclamp)
	doc, err := proposal.Parse([]byte(strings.ReplaceAll(text, "NODES", string(names))))
	require.NoError(w.t, err)
	k := proposal.Key{Barclamp: barclamp, Name: "default"}
	_, err = w.SaveProposal(w.t.Context(), crowbar.SaveProposal{Key: k, Document: doc, Author: "tester"})
	require.NoError(w.t, err)
	_, job, err := w.Commit(w.t.Context(), k, 0, "tester")
	require.NoError(w.t, err)
	return job
}

func (w *world) status(j *crowbar.Job) string {
	w.t.Helper()
	synctest.Wait()
	j, err := w.Job(j.ID)
	require.NoError(w.t, err)
	return j.Status
}

// TestRunningJobGoesOnBeforeOlderOnes: a job that runs, and one committed before it that waits for
// a node to be allocated. After a crash the older one waits for the node that the job works on, too,
// and the job must not wait for its turn behind it.
func TestRunningJobGoesOnBeforeOlderOnes(t *testing.T) {
	bubble(t, func(w *world) {
		w.slow = 10 * time.Minute
		tickets := []*crowbar.Ticket{w.discover(0), w.discover(1)}
		older := w.commit(rackKey) // of both nodes
		w.allocate(tickets[0].Node)
		w.drive(tickets[0])
		running := w.commitOn("keystone", tickets[0].Node)
		require.Equal(t, crowbar.JobRunning, w.status(running))
		require.Equal(t, crowbar.JobQueued, w.status(older))

		w.stop()
		w.start()
		time.Sleep(time.Hour)
		require.Equal(t, crowbar.JobDone, w.status(running))
		w.settled(tickets[0].Node, lifecycle.Ready)

		w.allocate(tickets[1].Node)
		w.drive(tickets[1])
		time.Sleep(time.Hour)
		require.Equal(t, crowbar.JobDone, w.status(older))
	})
}

// TestNodesTakeProposalsInOrder: a job that waits for its turn at one of its nodes is not overtaken
// at the others.
func TestNodesTakeProposalsInOrder(t *testing.T) {
	bubble(t, func(w *world) {
		tickets := []*crowbar.Ticket{w.discover(0), w.discover(1)}
		rack := w.commit(rackKey)
		for _, ticket := range tickets {
			w.allocate(ticket.Node)
			w.drive(ticket)
		}
		require.Equal(t, crowbar.JobDone, w.status(rack))
		w.slow = 10 * time.Minute
		a, b := tickets[0].Node, tickets[1].Node
		first := w.commitOn("keystone", a)
		require.Equal(t, crowbar.JobRunning, w.status(first))
		second := w.commitOn("glance", a, b)
		third := w.commitOn("cinder", b)
		require.Equal(t, crowbar.JobQueued, w.status(second))
		require.Equal(t, crowbar.JobQueued, w.status(third), "it would be before the second at %s", b)
		time.Sleep(time.Hour)
		require.Equal(t, crowbar.JobDone, w.status(third))
		onB := slices.DeleteFunc(w.jig.applied(), func(line string) bool { return !strings.Contains(line, b) })
		require.Equal(t, []string{fmt.Sprintf("1 %s [rack-unit]", b), fmt.Sprintf("0 %s [glance-role]", b), fmt.Sprintf("0 %s [cinder-role]", b)}, onB)
	})
}
