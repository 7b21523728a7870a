package crowbar_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

func TestFromDiscoveryToReady(t *testing.T) {
	bubble(t, func(w *world) {
		var tickets []*crowbar.Ticket
		for i := range 3 {
			tickets = append(tickets, w.discover(i))
		}
		job := w.commit(rackKey)
		synctest.Wait()
		why, err := w.Why(tickets[0].Node)
		require.NoError(t, err)
		require.Contains(t, why.Sentence, "pauses until an operator allocates it")
		require.Equal(t, "crowbar node allocate "+tickets[0].Node, why.Command)
		require.Equal(t, crowbar.StatusQueued, w.Status(rackKey).Status)
		require.Equal(t, "waits for 3 of 3 nodes: "+tickets[0].Node+" is in discovered and not allocated, and 2 more", w.Waiting(job))

		require.False(t, w.Busy(), "what waits for an operator is not under way")
		for i, ticket := range tickets {
			w.allocate(ticket.Node)
			require.True(t, w.Busy())
			if i < 2 {
				w.install(ticket)
			}
		}
		var idle atomic.Bool
		go func() { idle.Store(w.AwaitIdle(w.t.Context()) == nil) }()
		synctest.Wait()
		require.False(t, idle.Load(), "the last node is on its way")
		w.install(tickets[2])
		require.True(t, idle.Load())
		require.Equal(t, crowbar.StatusApplied, w.Status(rackKey).Status)
		require.Equal(t, []string{
			"0 " + tickets[0].Node + " [rack-top]",
			"1 " + tickets[1].Node + " [rack-unit]",
			"1 " + tickets[2].Node + " [rack-unit]",
		}, w.jig.applied(), "roles are applied wave by wave; a role of hardware-installing is not the jig's")
		for _, ticket := range tickets {
			n := w.settled(ticket.Node, lifecycle.Ready)
			require.Len(t, n.Applied, 1)
		}
	})
}

// TestAllocationNeedsConsent: what destroys data is refused without the plan's hash, with a
// plan that has changed since it was shown, and granted with the present one.
func TestAllocationNeedsConsent(t *testing.T) {
	bubble(t, func(w *world) {
		ticket := w.discover(1)
		w.commit(rackKey)
		plan, err := w.Plan(t.Context(), ticket.Node)
		require.NoError(t, err)
		require.Equal(t, []string{"disk-of-" + ticket.Node}, plan.Destructions[0].Disks)

		_, err = w.Allocate(t.Context(), ticket.Node, "tester", crowbar.AllocateOptions{})
		require.ErrorIs(t, err, crowbar.ErrRefused)
		require.ErrorContains(t, err, "disk-of-"+ticket.Node)
		_, err = w.Allocate(t.Context(), ticket.Node, "tester", crowbar.AllocateOptions{PlanHash: "of yesterday"})
		require.ErrorIs(t, err, crowbar.ErrConflict)
		w.settled(ticket.Node, lifecycle.Discovered)

		_, err = w.Allocate(t.Context(), ticket.Node, "tester", crowbar.AllocateOptions{PlanHash: plan.Hash})
		require.NoError(t, err)
		w.settled(ticket.Node, lifecycle.HardwareInstalled)
		grant, ok := w.Grant(ticket.Node)
		require.True(t, ok)
		require.Equal(t, "tester", grant.IssuedBy)
	})
}

// TestGrantIsSpentOnce: one operation, one destruction, and nothing that was not granted.
func TestGrantIsSpentOnce(t *testing.T) {
	bubble(t, func(w *world) {
		var answers []error
		w.rack.step = func(ctx context.Context, sc barclamp.StepContext) error {
			disks := []string{"disk-of-" + sc.Node().Name}
			for _, d := range []barclamp.Destruction{
				{Operation: "rack/other", Disks: disks},
				{Operation: "rack/wipe", Disks: []string{"another disk"}},
				{Operation: "rack/wipe", Disks: disks},
				{Operation: "rack/wipe", Disks: disks},
			} {
				answers = append(answers, sc.Authorize(ctx, d))
			}
			return nil
		}
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		w.settled(ticket.Node, lifecycle.HardwareInstalled)
		require.ErrorIs(t, answers[0], barclamp.ErrPlanChanged)
		require.ErrorIs(t, answers[1], barclamp.ErrPlanChanged)
		require.NoError(t, answers[2])
		require.ErrorIs(t, answers[3], crowbar.ErrRefused, "the second attempt of one run")

		err := w.AuthorizeNode(t.Context(), ticket.Node, ticket.Token, barclamp.Destruction{Operation: "rack/wipe", Disks: []string{"disk-of-" + ticket.Node}})
		require.ErrorIs(t, err, crowbar.ErrRefused, "the engine spent it; a node cannot know whether it was done")
	})
}

// TestNodeMayAskAgain: an installer that did not hear the answer asks again in the same boot;
// the next boot cannot know how far this one came.
func TestNodeMayAskAgain(t *testing.T) {
	bubble(t, func(w *world) {
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		w.settled(ticket.Node, lifecycle.HardwareInstalled)
		wipe := barclamp.Destruction{Operation: "rack/wipe", Disks: []string{"disk-of-" + ticket.Node}}
		require.NoError(t, w.AuthorizeNode(t.Context(), ticket.Node, ticket.Token, wipe))
		require.NoError(t, w.AuthorizeNode(t.Context(), ticket.Node, ticket.Token, wipe))

		next := w.boot(1)
		require.ErrorIs(t, w.AuthorizeNode(t.Context(), next.Node, next.Token, wipe), crowbar.ErrRefused)
		require.ErrorIs(t, w.AuthorizeNode(t.Context(), ticket.Node, ticket.Token, wipe), crowbar.ErrUnauthorized, "the ticket of the earlier boot has ended")
	})
}

// TestNodeInUseLosesNothing: a grant is worth nothing once the node is in service.
func TestNodeInUseLosesNothing(t *testing.T) {
	bubble(t, func(w *world) {
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		w.install(ticket)
		w.settled(ticket.Node, lifecycle.Ready)
		err := w.AuthorizeNode(t.Context(), ticket.Node, ticket.Token, barclamp.Destruction{Operation: "rack/wipe", Disks: []string{"disk-of-" + ticket.Node}})
		require.ErrorIs(t, err, crowbar.ErrRefused)
		require.ErrorContains(t, err, "where nothing may be destroyed")
	})
}

// TestPlanChangedReturnsToPause: reality differs from the grant, so an operator looks again.
func TestPlanChangedReturnsToPause(t *testing.T) {
	bubble(t, func(w *world) {
		w.rack.step = func(ctx context.Context, sc barclamp.StepContext) error {
			return fmt.Errorf("there is a new disk: %w", barclamp.ErrPlanChanged)
		}
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		n := w.settled(ticket.Node, lifecycle.Discovered)
		require.False(t, n.Allocated)
		require.Contains(t, n.Lifecycle.Reason, "plan changed")
	})
}

// TestLateReports: whatever order reports of two boots arrive in, the newest facts stay.
func TestLateReports(t *testing.T) {
	bubble(t, func(w *world) {
		ticket := w.boot(1)
		tell := func(ticket *crowbar.Ticket, sequence int, serial string) error {
			_, err := w.Report(t.Context(), ticket.Node, ticket.Token, crowbar.Report{Sequence: sequence, Facts: &barclamp.Facts{Serial: serial}})
			return err
		}
		require.NoError(t, tell(ticket, 2, "second"))
		require.NoError(t, tell(ticket, 1, "first, late"))
		require.NoError(t, tell(ticket, 2, "second, repeated"))
		f, _ := w.Facts(ticket.Node)
		require.Equal(t, "second", f.Facts.Serial)

		next := w.boot(1)
		require.Greater(t, next.Boot, ticket.Boot)
		require.NoError(t, tell(next, 1, "after a reboot"))
		require.ErrorIs(t, tell(ticket, 99, "from before the reboot"), crowbar.ErrUnauthorized)
		f, _ = w.Facts(ticket.Node)
		require.Equal(t, "after a reboot", f.Facts.Serial)
	})
}

// TestTicketOfAnOldDecision: a boot that was decided by a state which the node has left gets
// no ticket, and the ticket that is in use stays.
func TestTicketOfAnOldDecision(t *testing.T) {
	bubble(t, func(w *world) {
		ticket := w.discover(1)
		_, err := w.NewTicket(t.Context(), mac(1), lifecycle.Discovering)
		require.ErrorIs(t, err, crowbar.ErrConflict)
		w.report(ticket, 3, "")
	})
}

// TestDeadNodeIsLeftBehind: a proposal is applied without a node that failed, if its roles
// can do without; when the node comes back, it alone is applied.
func TestDeadNodeIsLeftBehind(t *testing.T) {
	bubble(t, func(w *world) {
		var tickets []*crowbar.Ticket
		for i := range 3 {
			tickets = append(tickets, w.discover(i))
		}
		w.commit(rackKey)
		dead := tickets[2]
		w.jig.fail[dead.Node] = errors.New("no route to host")
		for _, ticket := range tickets {
			w.allocate(ticket.Node)
		}
		for _, ticket := range tickets {
			w.install(ticket)
		}
		synctest.Wait()
		status := w.Status(rackKey)
		require.Equal(t, crowbar.StatusApplied, status.Status)
		require.Contains(t, status.Reason, dead.Node+" no route to host")
		w.settled(dead.Node, lifecycle.Problem)

		delete(w.jig.fail, dead.Node)
		w.report(dead, 20, lifecycle.Readying)
		synctest.Wait()
		n := w.settled(dead.Node, lifecycle.Ready)
		require.Len(t, n.Applied, 1)
		require.Equal(t, "1 "+dead.Node+" [rack-unit]", w.jig.applied()[2])
	})
}

// TestPausedNodeHoldsNobodyUp: a proposal is applied to the nodes that were allocated; one
// that is allocated later is caught up with.
func TestPausedNodeHoldsNobodyUp(t *testing.T) {
	bubble(t, func(w *world) {
		tickets := []*crowbar.Ticket{w.discover(0), w.discover(1), w.discover(2)}
		w.commit(rackKey)
		w.allocate(tickets[1].Node)
		w.install(tickets[1])
		require.Equal(t, crowbar.StatusQueued, w.Status(rackKey).Status, "rack-top has no node yet")
		w.allocate(tickets[0].Node)
		w.install(tickets[0])
		require.Equal(t, crowbar.StatusApplied, w.Status(rackKey).Status)
		require.Len(t, w.jig.applied(), 2)

		w.allocate(tickets[2].Node)
		w.install(tickets[2])
		require.Equal(t, "1 "+tickets[2].Node+" [rack-unit]", w.jig.applied()[2])
		require.Len(t, w.settled(tickets[2].Node, lifecycle.Ready).Applied, 1)
	})
}

// TestProposalsInOrderOfCommit: a node takes its proposals in the order in which they were
// committed, also when the later one could begin earlier. The second is of a barclamp that
// nobody registered.
func TestProposalsInOrderOfCommit(t *testing.T) {
	bubble(t, func(w *world) {
		tickets := []*crowbar.Ticket{w.discover(0), w.discover(1)}
		w.commit(rackKey) // both nodes
		other := proposal.Key{Barclamp: "motd", Name: "default"}
		doc, err := proposal.Parse(fmt.Appendf(nil, `{"id":"bc-motd-default","description":"","attributes":{"motd":{}},"deployment":{"motd":{
			"elements":{"motd":[%q]},"element_order":[["motd"]],"config":{"mode":"full"}}}}`, tickets[0].Node))
		require.NoError(t, err)
		_, err = w.SaveProposal(t.Context(), crowbar.SaveProposal{Key: other, Document: doc, Author: "tester"})
		require.NoError(t, err)
		for _, ticket := range tickets {
			w.allocate(ticket.Node)
		}
		w.settled(tickets[0].Node, lifecycle.HardwareInstalled)
		_, _, err = w.Commit(t.Context(), other, 0, "tester")
		require.NoError(t, err)
		w.install(tickets[0])
		require.Empty(t, w.jig.applied(), "motd waits for rack, which waits for the second node")
		w.install(tickets[1])
		require.Equal(t, []string{
			"0 " + tickets[0].Node + " [rack-top]",
			"1 " + tickets[1].Node + " [rack-unit]",
			"0 " + tickets[0].Node + " [motd]",
		}, w.jig.applied())
	})
}

// TestRoleWithoutNodesFailsTheJob: the one node of a role failed, so nothing after it is applied.
func TestRoleWithoutNodesFailsTheJob(t *testing.T) {
	bubble(t, func(w *world) {
		tickets := []*crowbar.Ticket{w.discover(0), w.discover(1)}
		w.commit(rackKey)
		w.jig.fail[tickets[0].Node] = errors.New("disk full")
		for _, ticket := range tickets {
			w.allocate(ticket.Node)
			w.install(ticket)
		}
		synctest.Wait()
		status := w.Status(rackKey)
		require.Equal(t, crowbar.StatusFailed, status.Status)
		require.Contains(t, status.Reason, "role rack-top needs 1 working nodes and has 0")
		require.Contains(t, status.Reason, "disk full")
		require.Empty(t, w.jig.applied(), "the second wave did not run")
		w.settled(tickets[0].Node, lifecycle.Problem)
		w.settled(tickets[1].Node, lifecycle.Ready)
	})
}

// TestRestartGoesOn: an engine that stops in the middle of a step runs it again after the
// restart, and steps that were done are not.
func TestRestartGoesOn(t *testing.T) {
	bubble(t, func(w *world) {
		attempts := 0
		w.rack.step = func(ctx context.Context, sc barclamp.StepContext) error {
			if err := sc.Authorize(ctx, barclamp.Destruction{Operation: "rack/wipe", Disks: []string{"disk-of-" + sc.Node().Name}}); err != nil {
				return err
			}
			attempts++
			if attempts == 1 {
				<-ctx.Done() // the engine dies after it spent the grant and before it wiped
				return ctx.Err()
			}
			return nil
		}
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		synctest.Wait()
		w.stop()
		w.start()
		w.settled(ticket.Node, lifecycle.HardwareInstalled)
		require.Equal(t, 2, attempts, "the step looked, found nothing done, and was given the grant once more")
		grant, _ := w.Grant(ticket.Node)
		require.Equal(t, 2, grant.Operations[0].Attempts)
	})
}

// TestDeadline: a state whose time is over is left for its failure exit, with a hung step.
func TestDeadline(t *testing.T) {
	bubble(t, func(w *world) {
		w.rack.step = func(ctx context.Context, _ barclamp.StepContext) error { <-ctx.Done(); return ctx.Err() }
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		time.Sleep(24 * time.Hour) // of the bubble's time
		n := w.settled(ticket.Node, lifecycle.Problem)
		require.Contains(t, n.Lifecycle.Reason, "took longer than")
	})
}

// TestAddressesAreUnique: nodes that claim at the same time get different addresses, and each
// the same one again.
func TestAddressesAreUnique(t *testing.T) {
	bubble(t, func(w *world) {
		var mu sync.Mutex
		got := map[netip.Addr]int{}
		w.rack.step = func(ctx context.Context, sc barclamp.StepContext) error {
			for range 2 {
				a, err := sc.Data().ClaimAddress(ctx, "admin", addresses("192.168.124.81", 4))
				if err != nil {
					return err
				}
				mu.Lock()
				got[a]++
				mu.Unlock()
			}
			return nil
		}
		var tickets []*crowbar.Ticket
		for i := range 5 {
			tickets = append(tickets, w.discover(i))
		}
		w.commit(rackKey)
		for _, ticket := range tickets {
			w.allocate(ticket.Node)
		}
		synctest.Wait()
		require.Len(t, got, 4)
		for a, n := range got {
			require.Equal(t, 2, n, "%s was given to two nodes", a)
		}
		exhausted := 0
		for _, n := range w.Nodes() {
			if n.Lifecycle.State == lifecycle.Problem {
				exhausted++
				require.Contains(t, n.Lifecycle.Reason, "no free address in network admin")
			}
		}
		require.Equal(t, 1, exhausted)
	})
}

func TestCommitIsChecked(t *testing.T) {
	bubble(t, func(w *world) {
		doc, err := proposal.Parse([]byte(rackTemplate))
		require.NoError(t, err)
		_, err = w.SaveProposal(t.Context(), crowbar.SaveProposal{Key: rackKey, Document: doc, Author: "tester"})
		require.NoError(t, err)
		_, _, err = w.Commit(t.Context(), rackKey, 0, "tester")
		var invalid *proposal.ValidationError
		require.ErrorAs(t, err, &invalid)
		require.ErrorContains(t, err, "rack-top, rack-unit, rack-frame", "empty elements: the roles are named")
		require.Equal(t, crowbar.StatusDraft, w.Status(rackKey).Status)
		require.Empty(t, w.Jobs())
	})
}

// TestSimulatedAndRealDoNotMix covers the three ways to open a store for the wrong nodes.
func TestSimulatedAndRealDoNotMix(t *testing.T) {
	open := func(store crowbar.Store, simulated bool) (*crowbar.Engine, error) {
		registry, err := barclamp.NewRegistry()
		require.NoError(t, err)
		return crowbar.New(t.Context(), crowbar.Config{Store: store, Registry: registry, Simulated: simulated})
	}
	simulated := crowbar.NewMemoryStore()
	e, err := open(simulated, true)
	require.NoError(t, err)
	require.Empty(t, e.Paused())
	e, err = open(simulated, false)
	require.NoError(t, err)
	require.Contains(t, e.Paused(), "started without --simulate")

	real := crowbar.NewMemoryStore()
	_, err = open(real, false)
	require.NoError(t, err)
	_, err = open(real, true)
	require.ErrorIs(t, err, crowbar.ErrSimulated)
}

// TestEventChainShowsAChange: an event that was rewritten is found, and so is a missing one.
func TestEventChainShowsAChange(t *testing.T) {
	bubble(t, func(w *world) {
		w.discover(1)
		w.discover(2)
		events, err := w.Events(t.Context(), 0, 0)
		require.NoError(t, err)
		require.NoError(t, crowbar.VerifyEvents(events))
		changed := slices.Clone(events)
		changed[1].Message = "nothing happened"
		require.ErrorIs(t, crowbar.VerifyEvents(changed), crowbar.ErrBrokenChain)
		require.ErrorIs(t, crowbar.VerifyEvents(slices.Delete(slices.Clone(events), 1, 2)), crowbar.ErrBrokenChain)
	})
}

// TestRecordsHaveOneOwner: each key of a whole run belongs to a kind of record of the design.
func TestRecordsHaveOneOwner(t *testing.T) {
	bubble(t, func(w *world) {
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		w.install(ticket)
		listing, err := w.store.List(t.Context(), "roles/")
		require.NoError(t, err)
		var keys []string
		for _, r := range listing.Records {
			keys = append(keys, r.Key)
			require.True(t, json.Valid(r.Value))
		}
		require.Equal(t, []string{"roles/crowbar-d52-54-00-00-00-01_crowbar_internal", "roles/rack-config-default"}, keys)
	})
}
