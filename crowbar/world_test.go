package crowbar_test

import (
	"context"
	"fmt"
	"iter"
	"net"
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
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// rack is a barclamp that does on hardware-installing what a test tells it to, and on
// installing plans a wipe of the node's disk.
type rack struct {
	step  func(ctx context.Context, sc barclamp.StepContext) error
	asked atomic.Pointer[func()] // runs when somebody asks what the barclamp is, which is in the middle of most things
}

const rackTemplate = `{"id":"template-rack","description":"test","attributes":{"rack":{"size":42}},"deployment":{"rack":{
	"element_states":{"rack-top":["ready"],"rack-unit":["ready","applying"],"rack-frame":["hardware-installing"]},
	"elements":{},"element_order":[["rack-top"],["rack-unit"],["rack-frame"]],
	"config":{"environment":"rack-config-default","mode":"full","transitions":true,"transition_list":["hardware-installing","installing"]}}}}`

func (r *rack) Info() barclamp.Info {
	if asked := r.asked.Load(); asked != nil {
		(*asked)()
	}
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
	switch e.State {
	case lifecycle.Installing:
		return &barclamp.Plan{Text: "install"}, nil
	case lifecycle.HardwareInstalling:
	default:
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
