package crowbar_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/crowbartest"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// disks is the hardware of the crash tests: it outlives the engine and counts what it lost.
type disks struct {
	mu    sync.Mutex
	wiped map[string]int
}

// wipe is the step of the rack barclamp: it looks before it acts.
func (d *disks) wipe(ctx context.Context, sc barclamp.StepContext) error {
	disk := "disk-of-" + sc.Node().Name
	d.mu.Lock()
	done := d.wiped[disk] > 0
	d.mu.Unlock()
	if done {
		return nil
	}
	if err := sc.Authorize(ctx, barclamp.Destruction{Operation: "rack/wipe", Disks: []string{disk}}); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wiped[disk]++
	return nil
}

// siteRun drives two machines from power-on to ready with whatever faults the store has,
// starting the engine anew whenever it crashed. It stands for operator and agents, who repeat
// what was not answered.
type siteRun struct {
	*world
	inner   crowbar.Store
	faults  *crowbartest.FaultStore
	disks   *disks
	tickets map[int]*crowbar.Ticket
	reports map[int]int // sequence of the last report
}

const siteMachines = 2

func (s *siteRun) step() {
	if s.faults.Crashed() {
		s.stop()
		s.faults = crowbartest.NewFaultStore(s.inner, nil)
		s.store = s.faults
		s.start()
	}
	for i := range siteMachines {
		if s.tickets[i] == nil {
			ticket, err := s.NewTicket(s.t.Context(), mac(i), "")
			if err != nil {
				return
			}
			s.tickets[i] = ticket
		}
		s.machine(i)
	}
	s.operator()
}

// machine is one turn of an agent: it looks where its node is and says what comes next.
func (s *siteRun) machine(i int) {
	next := map[string]string{
		lifecycle.Discovering:       lifecycle.Discovered,
		lifecycle.HardwareInstalled: lifecycle.Installing,
		lifecycle.Installing:        lifecycle.Installed,
		lifecycle.Installed:         lifecycle.Readying,
	}
	state := ""
	if n, err := s.Node(s.tickets[i].Node); err == nil {
		if state = next[n.Lifecycle.State]; state == "" || n.Lifecycle.Phase != statemachine.PhaseSettled {
			return
		}
	}
	s.reports[i]++
	_, _ = s.Report(s.t.Context(), s.tickets[i].Node, s.tickets[i].Token, // an agent that gets no answer asks again
		crowbar.Report{Sequence: s.reports[i], State: state, Facts: facts(s.tickets[i].Node)})
}

// operator proposes and commits once all nodes pause, and allocates them.
func (s *siteRun) operator() {
	ctx := s.t.Context()
	if len(s.Nodes()) < siteMachines {
		return
	}
	for _, n := range s.Nodes() {
		if n.Lifecycle.State == lifecycle.Discovering {
			return
		}
	}
	if _, err := s.Proposals().Get(ctx, rackKey, 0); errors.Is(err, proposal.ErrNotFound) {
		if _, _, err := s.CreateProposal(ctx, crowbar.NewProposal{Key: rackKey, Author: "tester"}); err != nil {
			return
		}
	}
	if s.Status(rackKey).Status == crowbar.StatusDraft {
		if _, _, err := s.Commit(ctx, rackKey, 0, "tester"); err != nil {
			return
		}
	}
	for _, n := range s.Nodes() {
		if n.Lifecycle.State == lifecycle.Discovered {
			_, _ = s.Allocate(ctx, n.Name, "tester", crowbar.AllocateOptions{AllowDestroy: true}) // again at the next turn
		}
	}
}

func (s *siteRun) done() bool {
	for _, n := range s.Nodes() {
		if n.Lifecycle.State != lifecycle.Ready {
			return false
		}
	}
	return len(s.Nodes()) == siteMachines && s.Status(rackKey).Status == crowbar.StatusApplied
}

// run drives the site to its end and returns how many transactions the first engine made.
func runSite(t *testing.T, plan map[int]crowbartest.Fault) (transactions int) {
	synctest.Test(t, func(t *testing.T) {
		inner := crowbar.NewMemoryStore()
		first := crowbartest.NewFaultStore(inner, plan)
		s := &siteRun{inner: inner, faults: first, disks: &disks{wiped: map[string]int{}}, tickets: map[int]*crowbar.Ticket{}, reports: map[int]int{}}
		s.world = &world{t: t, store: first, rack: &rack{step: s.disks.wipe}, jig: &ledgerJig{}}
		for !s.tryStart() { // the fault hit the start of the engine
			s.faults = crowbartest.NewFaultStore(inner, nil)
			s.store = s.faults
		}
		defer func() { s.stop() }()
		for turn := 0; !s.done() || s.faults.Crashed(); turn++ {
			require.Less(t, turn, 500, "does not converge: %s", s.picture())
			s.step()
			synctest.Wait()
			time.Sleep(time.Second) // of the bubble's time: what failed is tried again at the next sweep
		}
		require.Len(t, s.disks.wiped, siteMachines)
		for disk, n := range s.disks.wiped {
			require.Equal(t, 1, n, "%s was wiped beyond its grant", disk)
		}
		for _, n := range s.Nodes() {
			require.Len(t, n.Applied, 1, "%s", n.Name)
		}
		events, err := s.Events(t.Context(), 0, 0)
		require.NoError(t, err)
		require.NoError(t, crowbar.VerifyEvents(events))
		transactions = first.Count()
		s.stop()
		require.NoError(t, inner.Close())
	})
	return transactions
}

func (s *siteRun) tryStart() bool {
	registry, err := barclamp.NewRegistry(s.rack)
	require.NoError(s.t, err)
	if _, err := crowbar.New(s.t.Context(), crowbar.Config{Store: s.store, Registry: registry}); err != nil {
		return false
	}
	s.start()
	return true
}

func (s *siteRun) picture() string {
	text := s.Status(rackKey).Status
	for _, n := range s.Nodes() {
		text += fmt.Sprintf("; %s %s/%s %s", n.Name, n.Lifecycle.State, n.Lifecycle.Phase, n.Lifecycle.Reason)
	}
	for _, j := range s.Jobs() {
		text += fmt.Sprintf("; job %s %s %s wave %d only %v failures %v steps %v: %s; waits: %s", j.ID, j.Title, j.Status, j.Wave, j.Only, j.Failures, j.Steps, j.Reason, s.Waiting(j))
	}
	return text
}

// TestConvergesAfterAnyFault breaks every single write of a whole run in each way that a
// write can break, and demands the same end: all ready, no disk wiped twice, the chain whole.
func TestConvergesAfterAnyFault(t *testing.T) {
	total := runSite(t, nil)
	require.Greater(t, total, 40, "the run has become too short to say anything")
	for name, fault := range map[string]crowbartest.Fault{
		"crash before": crowbartest.CrashBefore,
		"crash after":  crowbartest.CrashAfter,
		"fail before":  crowbartest.FailBefore,
		"answer lost":  crowbartest.FailAfter,
		"request lost": crowbartest.LoseRequest,
	} {
		t.Run(name, func(t *testing.T) {
			for n := 1; n <= total; n++ {
				if !t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) { runSite(t, map[int]crowbartest.Fault{n: fault}) }) {
					return
				}
			}
		})
	}
}
