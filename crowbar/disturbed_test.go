package crowbar_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/crowbartest"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// The tests here have somebody step in between: operators who pause, reset or delete, nodes
// that reboot or report at the wrong moment, a store that loses its answers. Times are those of
// the bubble.

var asOperator = crowbar.By{Actor: lifecycle.ActorOperator, Name: "tester"}

// drive brings an allocated machine to ready, with a second between its reports.
func (w *world) drive(ticket *crowbar.Ticket) {
	w.t.Helper()
	for i, state := range []string{lifecycle.Installing, lifecycle.Installed, lifecycle.Readying} {
		time.Sleep(time.Second)
		w.report(ticket, 10+i, state)
	}
	time.Sleep(time.Second)
}

func wipe(node string) barclamp.Destruction {
	return barclamp.Destruction{Operation: "rack/wipe", Disks: []string{"disk-of-" + node}}
}

// TestStaleStepDestroysNothing: a step whose node has left the state in the middle is cut off,
// and would be refused if it went on.
func TestStaleStepDestroysNothing(t *testing.T) {
	bubble(t, func(w *world) {
		var answer, cut error
		w.rack.step = func(ctx context.Context, sc barclamp.StepContext) error {
			<-ctx.Done()
			cut = ctx.Err()
			answer = sc.Authorize(context.WithoutCancel(ctx), wipe(sc.Node().Name))
			return answer
		}
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		time.Sleep(time.Second)
		w.report(ticket, 10, lifecycle.Problem)
		_, err := w.Transition(t.Context(), ticket.Node, lifecycle.Reinstall, asOperator)
		require.NoError(t, err)
		w.report(ticket, 11, lifecycle.Installing)
		synctest.Wait()
		require.ErrorIs(t, cut, context.Canceled)
		require.ErrorIs(t, answer, crowbar.ErrRefused, "its installer is at work")
		for _, j := range w.Jobs() {
			require.NotEqual(t, crowbar.JobTransition+crowbar.JobRunning, j.Kind+j.Status, "no journal stays open")
		}
	})
}

// TestDestructionNamesDisks: a grant is for named disks, so a request without names is none.
func TestDestructionNamesDisks(t *testing.T) {
	bubble(t, func(w *world) {
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		w.settled(ticket.Node, lifecycle.HardwareInstalled)
		for _, disks := range [][]string{nil, {""}} {
			err := w.AuthorizeNode(t.Context(), ticket.Node, ticket.Token, barclamp.Destruction{Operation: "rack/wipe", Disks: disks})
			require.ErrorIs(t, err, barclamp.ErrPlanChanged)
		}
	})
}

// TestLateNodes: one comes to ready while the job runs, one reboots under it, one is reset
// under it and installed again. All have their role in the end, none before it was applied.
func TestLateNodes(t *testing.T) {
	bubble(t, func(w *world) {
		w.slow = 10 * time.Minute
		tickets := []*crowbar.Ticket{w.discover(0), w.discover(1), w.discover(2), w.discover(3)}
		w.commit(rackKey)
		for _, i := range []int{0, 2, 3} {
			w.allocate(tickets[i].Node)
		}
		for _, i := range []int{0, 2, 3} {
			w.drive(tickets[i])
		}
		require.Equal(t, crowbar.StatusApplying, w.Status(rackKey).Status)
		w.allocate(tickets[1].Node)
		w.drive(tickets[1])
		time.Sleep(11 * time.Minute) // the second wave, which the other two are in

		w.report(tickets[2], 20, lifecycle.Reboot)
		w.report(tickets[2], 21, lifecycle.Readying)
		w.report(tickets[3], 20, lifecycle.Problem)
		_, err := w.Transition(t.Context(), tickets[3].Node, lifecycle.Reset, asOperator)
		require.NoError(t, err)
		again := w.boot(3)
		w.report(again, 1, lifecycle.Discovering)
		w.report(again, 2, lifecycle.Discovered)
		time.Sleep(time.Hour)
		require.Empty(t, w.settled(again.Node, lifecycle.Discovered).Applied, "its disk was reset under the jig")
		w.allocate(again.Node)
		w.drive(again)
		time.Sleep(time.Hour)
		for _, ticket := range tickets {
			require.Len(t, w.settled(ticket.Node, lifecycle.Ready).Applied, 1, "%s", ticket.Node)
		}
	})
}

// TestWavesHaveTheirOwnTime: three waves of 40 minutes are no reason to give a node up, and a
// wave that hangs is.
func TestWavesHaveTheirOwnTime(t *testing.T) {
	for name, c := range map[string]struct {
		wave   time.Duration
		status string
		state  string
	}{
		"long":  {40 * time.Minute, crowbar.StatusApplied, lifecycle.Ready},
		"hangs": {24 * time.Hour, crowbar.StatusFailed, lifecycle.Ready},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				w.slow = c.wave
				tickets := []*crowbar.Ticket{w.discover(0), w.discover(1)}
				w.commit(rackKey)
				for _, ticket := range tickets {
					w.allocate(ticket.Node)
				}
				for _, ticket := range tickets {
					w.drive(ticket)
				}
				time.Sleep(5 * time.Hour)
				require.Equal(t, c.status, w.Status(rackKey).Status, w.Status(rackKey).Reason)
				for _, ticket := range tickets {
					w.settled(ticket.Node, c.state)
				}
			})
		})
	}
}

// TestPause: what runs goes on to its end, what would destroy waits, and nobody's time runs out
// for it.
func TestPause(t *testing.T) {
	bubble(t, func(w *world) {
		w.rack.step = func(ctx context.Context, sc barclamp.StepContext) error {
			time.Sleep(time.Minute)
			return sc.Authorize(ctx, wipe(sc.Node().Name))
		}
		first, second := w.discover(1), w.discover(2)
		w.commit(rackKey)
		w.allocate(first.Node)
		time.Sleep(2 * time.Minute)
		w.settled(first.Node, lifecycle.HardwareInstalled)
		w.allocate(second.Node)
		time.Sleep(time.Second)
		require.NoError(t, w.Pause(t.Context(), "tester", "lunch"))
		time.Sleep(8 * time.Hour)
		err := w.AuthorizeNode(t.Context(), first.Node, first.Token, wipe(first.Node))
		require.ErrorIs(t, err, crowbar.ErrPaused)
		n, err := w.Node(second.Node)
		require.NoError(t, err)
		require.Equal(t, lifecycle.HardwareInstalling, n.Lifecycle.State)
		require.NoError(t, w.Resume(t.Context(), "tester"))
		w.settled(first.Node, lifecycle.HardwareInstalled)
		w.settled(second.Node, lifecycle.HardwareInstalled)
	})
}

// TestWaitingForATurnTakesNoTime: a hundred nodes that destroy for ten minutes each, five at a
// time, take longer than the time of the state, and none is given up.
func TestWaitingForATurnTakesNoTime(t *testing.T) {
	bubble(t, func(w *world) {
		var running, most atomic.Int32
		w.rack.step = func(ctx context.Context, sc barclamp.StepContext) error {
			if err := sc.Authorize(ctx, wipe(sc.Node().Name)); err != nil {
				return err
			}
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Minute):
				return nil
			}
		}
		for i := range 100 {
			w.discover(i)
		}
		w.commit(rackKey)
		for _, n := range w.Nodes() {
			w.allocate(n.Name)
		}
		time.Sleep(5 * time.Hour)
		for _, n := range w.Nodes() {
			require.NotContains(t, n.Lifecycle.Reason, "hardware-installing took longer", "%s", n.Name)
			require.NotEqual(t, lifecycle.HardwareInstalling, n.Lifecycle.State)
		}
		require.EqualValues(t, 5, most.Load())
	})
}

// TestDeletedMachineComesBack: nothing of it is left, its address is free, and it can be
// discovered as a new one.
func TestDeletedMachineComesBack(t *testing.T) {
	bubble(t, func(w *world) {
		w.rack.step = func(ctx context.Context, sc barclamp.StepContext) error {
			_, err := sc.Data().ClaimAddress(ctx, "admin", addresses("192.168.124.81", 1))
			return err
		}
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		w.drive(ticket)
		_, err := w.Transition(t.Context(), ticket.Node, lifecycle.Delete, asOperator)
		require.NoError(t, err)
		synctest.Wait()
		_, err = w.Node(ticket.Node)
		require.ErrorIs(t, err, crowbar.ErrNotFound)
		_, err = w.Report(t.Context(), ticket.Node, ticket.Token, crowbar.Report{Sequence: 99})
		require.ErrorIs(t, err, crowbar.ErrUnauthorized)
		listing, err := w.store.List(t.Context(), "")
		require.NoError(t, err)
		for _, r := range listing.Records {
			if !strings.HasPrefix(r.Key, "events/") && !strings.HasPrefix(r.Key, "jobs/") && !strings.HasPrefix(r.Key, "proposals/") && !strings.HasSuffix(r.Key, "-config-default") {
				require.NotContains(t, r.Key+string(r.Value), ticket.Node)
			}
		}
		again := w.discover(1)
		w.allocate(again.Node)
		n := w.settled(again.Node, lifecycle.HardwareInstalled)
		require.Equal(t, "192.168.124.81", n.Addresses["admin"].String())
	})
}

// TestReinstallNeedsAGrant: that of the first installation is spent.
func TestReinstallNeedsAGrant(t *testing.T) {
	bubble(t, func(w *world) {
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		w.settled(ticket.Node, lifecycle.HardwareInstalled)
		require.NoError(t, w.AuthorizeNode(t.Context(), ticket.Node, ticket.Token, wipe(ticket.Node)))
		w.drive(ticket)
		_, err := w.Transition(t.Context(), ticket.Node, lifecycle.Reinstall, asOperator)
		require.ErrorContains(t, err, "reset the node and allocate it again")
	})
}

// TestNothingInstalls: without a barclamp that acts in installing, a node would wait for ever.
func TestNothingInstalls(t *testing.T) {
	bubble(t, func(w *world) {
		ticket := w.discover(1)
		_, err := w.Allocate(t.Context(), ticket.Node, "tester", crowbar.AllocateOptions{AllowDestroy: true})
		require.ErrorIs(t, err, crowbar.ErrRefused)
		require.ErrorContains(t, err, "no barclamp that installs nodes")
		why, err := w.Why(ticket.Node)
		require.NoError(t, err)
		require.Contains(t, why.Sentence, "cannot be allocated yet")
	})
}

// TestRoleOfNoState: a role that would never be applied cannot be committed.
func TestRoleOfNoState(t *testing.T) {
	bubble(t, func(w *world) {
		w.discover(1)
		draft, _, err := w.CreateProposal(t.Context(), crowbar.NewProposal{Key: rackKey, Author: "tester"})
		require.NoError(t, err)
		text := strings.Replace(string(draft.Document.Bytes()), `"rack-top":["ready"]`, `"rack-top":["flying"]`, 1)
		require.Contains(t, text, "flying")
		doc, err := proposal.Parse([]byte(text))
		require.NoError(t, err)
		_, err = w.SaveProposal(t.Context(), crowbar.SaveProposal{Key: rackKey, Document: doc, Author: "tester"})
		require.NoError(t, err)
		_, _, err = w.Commit(t.Context(), rackKey, 0, "tester")
		require.ErrorContains(t, err, "/deployment/rack/element_states/rack-top")
	})
}

// TestPanicOfABarclamp: the step has failed, the server goes on.
func TestPanicOfABarclamp(t *testing.T) {
	bubble(t, func(w *world) {
		w.rack.step = func(context.Context, barclamp.StepContext) error { panic("nil map") }
		ticket := w.discover(1)
		w.commit(rackKey)
		w.allocate(ticket.Node)
		require.Contains(t, w.settled(ticket.Node, lifecycle.Problem).Lifecycle.Reason, "panic: nil map")
		w.discover(2)
	})
}

// TestOneRunAtATime: a second Run would do everything twice.
func TestOneRunAtATime(t *testing.T) {
	bubble(t, func(w *world) {
		synctest.Wait()
		require.ErrorIs(t, w.Run(t.Context()), crowbar.ErrRefused)
	})
}

// TestOneTicketPerBoot: of two that ask at the same time, one speaks.
func TestOneTicketPerBoot(t *testing.T) {
	for i := range 50 {
		e, err := crowbar.New(t.Context(), crowbar.Config{Store: crowbar.NewMemoryStore(), Registry: &barclamp.Registry{}})
		require.NoError(t, err)
		var tickets [2]*crowbar.Ticket
		var both sync.WaitGroup
		for k := range tickets {
			both.Go(func() { tickets[k], _ = e.NewTicket(t.Context(), mac(i), "") })
		}
		both.Wait()
		heard := 0
		for _, ticket := range tickets {
			if _, err := e.Report(t.Context(), ticket.Node, ticket.Token, crowbar.Report{Sequence: 1}); err == nil {
				heard++
			}
		}
		require.Equal(t, 1, heard)
	}
}

// A brokenStore fails single calls on demand.
type brokenStore struct {
	*crowbartest.FaultStore
	failGet   atomic.Bool
	failState atomic.Bool // the next write of a node's state
	calls     atomic.Int32
}

func (s *brokenStore) Get(ctx context.Context, key string) (crowbar.Record, error) {
	if s.failGet.Swap(false) {
		return crowbar.Record{}, errors.New("read: i/o timeout")
	}
	return s.FaultStore.Get(ctx, key)
}

func (s *brokenStore) Txn(ctx context.Context, conditions []crowbar.Condition, ops []crowbar.Op) (int64, error) {
	s.calls.Add(1)
	for _, op := range ops {
		var ev crowbar.Event
		if json.Unmarshal(op.Value, &ev) == nil && ev.Kind == "node.state" && s.failState.Swap(false) {
			s.FailNext(crowbartest.FailBefore)
		}
	}
	return s.FaultStore.Txn(ctx, conditions, ops)
}

func broken(t *testing.T, test func(w *world, s *brokenStore)) {
	synctest.Test(t, func(t *testing.T) {
		s := &brokenStore{FaultStore: crowbartest.NewFaultStore(crowbar.NewMemoryStore(), nil)}
		w := newWorld(t, s)
		defer func() { w.stop() }()
		test(w, s)
	})
}

// TestDoubtIsSettled: an answer is lost, and reading fails too; the next change reads all anew
// instead of going on with what is wrong.
func TestDoubtIsSettled(t *testing.T) {
	broken(t, func(w *world, s *brokenStore) {
		ticket := w.discover(1)
		s.failGet.Store(true)
		s.FailNext(crowbartest.FailAfter)
		require.ErrorIs(t, w.Pause(t.Context(), "tester", "lunch"), crowbar.ErrUnknownOutcome)
		before := s.calls.Load()
		_, err := w.Transition(t.Context(), ticket.Node, lifecycle.Debug, asOperator)
		require.NoError(t, err)
		require.LessOrEqual(t, s.calls.Load()-before, int32(2))
		require.Equal(t, "lunch", w.Paused(), "it was written")
		events, err := w.Events(t.Context(), 0, 0)
		require.NoError(t, err)
		require.NoError(t, crowbar.VerifyEvents(events))
	})
}

// TestRepeatedReportFinishes: the facts were kept, the state was not, and the node says the
// same once more.
func TestRepeatedReportFinishes(t *testing.T) {
	broken(t, func(w *world, s *brokenStore) {
		ticket := w.boot(1)
		w.report(ticket, 1, "")
		synctest.Wait()
		again := crowbar.Report{Sequence: 2, State: lifecycle.Discovered, Facts: facts(ticket.Node)}
		s.failState.Store(true)
		_, err := w.Report(t.Context(), ticket.Node, ticket.Token, again)
		require.ErrorIs(t, err, crowbar.ErrNotDone)
		n, err := w.Report(t.Context(), ticket.Node, ticket.Token, again)
		require.NoError(t, err)
		require.Equal(t, lifecycle.Discovered, n.Lifecycle.State)
	})
}

// TestCommitOvertakesAJob: a newer revision is committed at any moment while the job of the
// older one is about to begin. The newer one is in force and applied, and no node is said to
// have the older one.
func TestCommitOvertakesAJob(t *testing.T) {
	for moment := range 60 {
		bubble(t, func(w *world) {
			tickets := []*crowbar.Ticket{w.discover(0), w.discover(1)}
			first := w.commit(rackKey)
			latest, err := w.Proposals().Get(w.t.Context(), rackKey, 0)
			require.NoError(t, err)
			other, err := latest.Document.With(proposal.Edit{Pointer: "/description", Value: []byte(`"once more"`)})
			require.NoError(t, err)
			_, err = w.SaveProposal(w.t.Context(), crowbar.SaveProposal{Key: rackKey, Document: other, Author: "tester"})
			require.NoError(t, err)
			for _, ticket := range tickets {
				w.allocate(ticket.Node)
			}
			w.drive(tickets[0])
			var calls atomic.Int32
			var overtaken atomic.Bool
			overtake := func() {
				if calls.Add(1) != int32(moment+1) {
					return
				}
				before, _ := w.Job(first.ID)
				_, _, err := w.Commit(w.t.Context(), rackKey, 2, "tester") // ErrConflict if the job runs
				overtaken.Store(err == nil && before.Status == crowbar.JobQueued)
			}
			w.rack.asked.Store(&overtake)
			w.drive(tickets[1])
			time.Sleep(time.Hour)
			w.rack.asked.Store(nil)
			if status := w.Status(rackKey); status.Revision != 2 {
				_, _, err = w.Commit(w.t.Context(), rackKey, 2, "tester")
				require.NoError(t, err)
			}
			time.Sleep(time.Hour)
			status := w.Status(rackKey)
			require.Equal(t, crowbar.StatusApplied, status.Status, status.Reason)
			require.Equal(t, 2, status.Applied)
			if j, err := w.Job(first.ID); overtaken.Load() {
				require.NoError(t, err)
				require.Equal(t, crowbar.JobReplaced, j.Status, "it began after it was replaced")
				require.Len(t, w.jig.applied(), 2)
			}
			for _, ticket := range tickets {
				for _, applied := range w.settled(ticket.Node, lifecycle.Ready).Applied {
					require.Equal(t, 2, applied.Revision)
				}
			}
		})
	}
}
