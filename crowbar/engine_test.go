package crowbar_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// rack is a barclamp that does on hardware-installing what a test tells it to, and on
// installing plans a wipe of the node's disk.
type rack struct {
	step func(ctx context.Context, sc barclamp.StepContext) error
}

const rackTemplate = `{"id":"template-rack","description":"test","attributes":{"rack":{"size":42}},"deployment":{"rack":{
	"element_states":{"rack-top":["ready"],"rack-unit":["ready","applying"],"rack-frame":["hardware-installing"]},
	"elements":{},"element_order":[["rack-top"],["rack-unit"],["rack-frame"]],
	"config":{"environment":"rack-config-default","mode":"full","transitions":true,"transition_list":["hardware-installing","installing"]}}}}`

func (r *rack) Info() barclamp.Info {
	template, err := proposal.Parse([]byte(rackTemplate))
	if err != nil {
		panic(err)
	}
	return barclamp.Info{Name: "rack", Version: "1", RunOrder: 10, Template: template, Roles: []barclamp.Role{
		{Name: "rack-top", Constraint: barclamp.Constraint{Minimum: 1, Count: 1}}, {Name: "rack-unit"}, {Name: "rack-frame"},
	}}
}

func (r *rack) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	d := &barclamp.Draft{}
	for i, n := range s.Nodes() {
		if i == 0 {
			d.Place("rack-top", n.Name, "it is the first")
			continue
		}
		d.Place("rack-unit", n.Name, "it is not the first")
	}
	d.Set("/size", len(s.Nodes()))
	return d, nil
}

func (r *rack) Transition(_ context.Context, _ barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	if e.State != lifecycle.HardwareInstalling || r.step == nil {
		return nil, nil
	}
	return []barclamp.Step{{ID: "frame", Title: "bolt the frame", Run: r.step}}, nil
}

func (r *rack) Plan(_ context.Context, _ barclamp.Site, e barclamp.Event) (*barclamp.Plan, error) {
	if e.State != lifecycle.HardwareInstalling {
		return nil, nil
	}
	var disks []string
	for _, d := range e.Node.Facts.Disks {
		disks = append(disks, d.Serial)
	}
	return &barclamp.Plan{Text: "wipe", Destructions: []barclamp.Destruction{{Operation: "rack/wipe", Disks: disks, Description: "wipe " + fmt.Sprint(disks)}}}, nil
}

// ledgerJig records what it was told to apply.
type ledgerJig struct {
	mu   sync.Mutex
	log  []string
	fail map[string]error
}

func (j *ledgerJig) Apply(_ context.Context, run crowbar.JigRun, sink func(crowbar.JigEvent)) (map[string]error, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	failed := map[string]error{}
	for _, t := range run.Targets {
		sink(crowbar.JigEvent{Node: t.Node, Role: t.Roles[0]})
		if err := j.fail[t.Node]; err != nil {
			failed[t.Node] = err
			continue
		}
		j.log = append(j.log, fmt.Sprintf("%d %s %v", run.Wave, t.Node, t.Roles))
	}
	return failed, nil
}

func (j *ledgerJig) applied() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.log)
}

// world is an engine that runs, for one test in a synctest bubble.
type world struct {
	*crowbar.Engine
	t     *testing.T
	store crowbar.Store
	rack  *rack
	jig   *ledgerJig
	slow  time.Duration // what a wave takes
	stop  func()
}

// Apply is the jig of the world: the ledger, after the time that it takes.
func (w *world) Apply(ctx context.Context, run crowbar.JigRun, sink func(crowbar.JigEvent)) (map[string]error, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(w.slow):
		return w.jig.Apply(ctx, run, sink)
	}
}

func newWorld(t *testing.T, store crowbar.Store) *world {
	w := &world{t: t, store: store, rack: &rack{}, jig: &ledgerJig{fail: map[string]error{}}}
	w.start()
	return w
}

func (w *world) start() {
	registry, err := barclamp.NewRegistry(w.rack)
	require.NoError(w.t, err)
	w.Engine, err = crowbar.New(w.t.Context(), crowbar.Config{Store: w.store, Registry: registry, Jig: w})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { require.ErrorIs(w.t, w.Run(ctx), context.Canceled) })
	w.stop = func() { cancel(); running.Wait() }
}

func mac(i int) net.HardwareAddr { return net.HardwareAddr{0x52, 0x54, 0, 0, 0, byte(i)} }

// boot has a machine ask for its ticket.
func (w *world) boot(i int) *crowbar.Ticket {
	state := ""
	if n, err := w.Node(w.NodeName(mac(i))); err == nil {
		state = n.Lifecycle.State
	}
	ticket, err := w.NewTicket(w.t.Context(), mac(i), state)
	require.NoError(w.t, err)
	return ticket
}

func (w *world) report(ticket *crowbar.Ticket, sequence int, state string) *crowbar.Node {
	n, err := w.Report(w.t.Context(), ticket.Node, ticket.Token, crowbar.Report{Sequence: sequence, State: state, Facts: facts(ticket.Node)})
	require.NoError(w.t, err)
	return n
}

func facts(node string) *barclamp.Facts {
	return &barclamp.Facts{Serial: node, Disks: []barclamp.Disk{{Name: "sda", Serial: "disk-of-" + node}}}
}

// settled waits until the node rests in a state.
func (w *world) settled(node, state string) *crowbar.Node {
	w.t.Helper()
	synctest.Wait()
	n, err := w.Node(node)
	require.NoError(w.t, err)
	require.Equal(w.t, state, n.Lifecycle.State, "reason: %s", n.Lifecycle.Reason)
	require.Equal(w.t, statemachine.PhaseSettled, n.Lifecycle.Phase)
	return n
}

// discover brings a new machine to the pause.
func (w *world) discover(i int) *crowbar.Ticket {
	ticket := w.boot(i)
	w.report(ticket, 1, "")
	w.report(ticket, 2, lifecycle.Discovered)
	w.settled(ticket.Node, lifecycle.Discovered)
	return ticket
}

// install drives an allocated machine to ready.
func (w *world) install(ticket *crowbar.Ticket) {
	w.settled(ticket.Node, lifecycle.HardwareInstalled)
	for i, state := range []string{lifecycle.Installing, lifecycle.Installed, lifecycle.Readying} {
		synctest.Wait()
		w.report(ticket, 10+i, state)
	}
	synctest.Wait()
}

func (w *world) allocate(node string) {
	_, err := w.Allocate(w.t.Context(), node, "tester", crowbar.AllocateOptions{AllowDestroy: true})
	require.NoError(w.t, err)
}

func (w *world) commit(k proposal.Key) *crowbar.Job {
	_, _, err := w.CreateProposal(w.t.Context(), crowbar.NewProposal{Key: k, Author: "tester"})
	require.NoError(w.t, err)
	_, job, err := w.Commit(w.t.Context(), k, 0, "tester")
	require.NoError(w.t, err)
	return job
}

var rackKey = proposal.Key{Barclamp: "rack", Name: "default"}

// bubble runs a test with a running engine on a memory store, and checks at the end what
// must hold after any run.
func bubble(t *testing.T, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		store := crowbar.NewMemoryStore()
		w := newWorld(t, store)
		defer func() { w.stop() }() // also when the test has failed: a bubble waits for its goroutines
		test(w)
		w.stop()
		events, err := w.Events(context.Background(), 0, 0)
		require.NoError(t, err)
		require.NoError(t, crowbar.VerifyEvents(events))
		require.NoError(t, store.Close())
	})
}

func TestFromDiscoveryToReady(t *testing.T) {
	bubble(t, func(w *world) {
		var tickets []*crowbar.Ticket
		for i := range 3 {
			tickets = append(tickets, w.discover(i))
		}
		why, err := w.Why(tickets[0].Node)
		require.NoError(t, err)
		require.Contains(t, why.Sentence, "pauses until an operator allocates it")
		require.Equal(t, "crowbar node allocate "+tickets[0].Node, why.Command)

		job := w.commit(rackKey)
		synctest.Wait()
		require.Equal(t, crowbar.StatusQueued, w.Status(rackKey).Status)
		require.Equal(t, "waits for 3 of 3 nodes: "+tickets[0].Node+" is in discovered and not allocated, and 2 more", w.Waiting(job))

		for _, ticket := range tickets {
			w.allocate(ticket.Node)
			w.install(ticket)
		}
		synctest.Wait()
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
		_, err = w.ImportProposal(t.Context(), other, doc, "tester", "")
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

func addresses(from string, count int) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		a := netip.MustParseAddr(from)
		for range count {
			if !yield(a) {
				return
			}
			a = a.Next()
		}
	}
}

func TestCommitIsChecked(t *testing.T) {
	bubble(t, func(w *world) {
		doc, err := proposal.Parse([]byte(rackTemplate))
		require.NoError(t, err)
		_, err = w.ImportProposal(t.Context(), rackKey, doc, "tester", "")
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
