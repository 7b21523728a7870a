package sim_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/barclamp/catalog"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/provisioner"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/api"
	"github.com/crowbarkit/crowbarkit/crowbar/sim"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const crowbarURL = "http://crowbar.sim:3000"

// world is a process with server and simulated site, in a synctest bubble. It can be killed
// and started again: the store and the site's directory stay.
type world struct {
	t       *testing.T
	config  sim.Config
	store   crowbar.Store
	without []string // barclamps
	process
	// passes is asked for each request of a machine or to a BMC; nil lets all pass.
	passes atomic.Pointer[interceptor]
	killed atomic.Bool // by strike
}

type interceptor func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error)

func (w *world) intercept(f interceptor) { w.passes.Store(&f) }

type process struct {
	*crowbar.Engine
	site   *sim.Site
	cancel context.CancelFunc
	ended  *sync.WaitGroup
}

func newWorld(t *testing.T, config sim.Config, without ...string) *world {
	w := &world{t: t, config: config, store: crowbar.NewMemoryStore(), without: without}
	w.config.URL = crowbarURL
	if testing.Verbose() && os.Getenv("SIM_LOG") != "" {
		w.config.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	w.start()
	t.Cleanup(w.kill)
	return w
}

// start is what a server does with --simulate.
func (w *world) start() {
	var handler http.Handler
	config := w.config
	config.Transport = w.through(redfishsim.Transport(func(string) http.Handler { return handler }))
	site, err := sim.New(config)
	require.NoError(w.t, err)
	configurator, err := redfish.New(redfish.Config{Transport: w.through(site.BMC()), Logger: config.Logger})
	require.NoError(w.t, err)
	registry, err := catalog.New(catalog.Config{Hardware: configurator, Without: w.without, Target: site.Target})
	require.NoError(w.t, err)
	engine, err := crowbar.New(context.Background(), crowbar.Config{
		Store: w.store, Registry: registry, Jig: site.Jig(), Simulated: true, Logger: config.Logger,
	})
	require.NoError(w.t, err)
	booter, err := provisioner.NewBooter(provisioner.BooterConfig{
		Site: engine.Site, BaseURL: crowbarURL,
		Lookup: func(mac net.HardwareAddr) (node, state string, known bool) {
			n, err := engine.Node(engine.NodeName(mac))
			if err != nil {
				return "", "", false
			}
			return n.Name, n.Lifecycle.State, true
		},
		Ticket: func(ctx context.Context, mac net.HardwareAddr, state string) (provisioner.Ticket, error) {
			t, err := engine.NewTicket(ctx, mac, state)
			if err != nil {
				return provisioner.Ticket{}, err
			}
			return provisioner.Ticket(*t), nil
		},
	})
	require.NoError(w.t, err)
	handler, err = api.New(api.Config{Engine: engine, Booter: booter, Logger: config.Logger})
	require.NoError(w.t, err)

	ctx, cancel := context.WithCancel(context.Background())
	w.process = process{Engine: engine, site: site, cancel: cancel, ended: &sync.WaitGroup{}}
	w.ended.Go(func() { require.ErrorIs(w.t, engine.Run(ctx), context.Canceled) })
	w.ended.Go(func() { require.ErrorIs(w.t, site.Run(ctx), context.Canceled) })
}

// kill ends the process.
func (w *world) kill() { w.cancel(); w.ended.Wait() }

// strike kills the process from within, revive starts the next one.
func (w *world) strike() { w.cancel(); w.killed.Store(true) }

func (w *world) revive() {
	if w.killed.CompareAndSwap(true, false) {
		w.kill()
		w.start()
	}
}

// through asks passes about each request.
func (w *world) through(transport http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		send := func() (*http.Response, error) { return transport.RoundTrip(r) }
		if f := w.passes.Load(); f != nil {
			return (*f)(r, send)
		}
		return send()
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// reach waits until all nodes rest in a state.
func (w *world) reach(state string) {
	w.t.Helper()
	for range 400 {
		synctest.Wait()
		w.revive()
		done := 0
		for _, n := range w.Nodes() {
			if n.Lifecycle.State == state && n.Lifecycle.Phase == statemachine.PhaseSettled {
				done++
			}
		}
		if done == w.site.Nodes() {
			return
		}
		time.Sleep(20 * time.Second) // of the bubble
	}
	for _, n := range w.Nodes() {
		w.t.Logf("%s is in %s (%s) since %s: %s", n.Name, n.Lifecycle.State, n.Lifecycle.Phase, n.Lifecycle.Since, n.Lifecycle.Reason)
	}
	events, err := w.Events(context.Background(), 0, 0)
	require.NoError(w.t, err)
	for _, e := range events {
		w.t.Logf("%s %s: %s", e.Time.Format("15:04:05"), e.Actor, e.Message)
	}
	for _, m := range w.site.Machines() {
		w.t.Logf("machine %s: %s", m.Node(), m.Status())
	}
	require.Failf(w.t, "not all nodes came to "+state, "")
}

// commit creates and commits proposals as the barclamps propose them.
func (w *world) commit(barclamps ...string) {
	w.t.Helper()
	for _, name := range barclamps {
		if _, err := w.Registry().Get(name); err != nil {
			continue // the test left it out
		}
		k := proposal.Key{Barclamp: name, Name: "default"}
		_, _, err := w.CreateProposal(w.t.Context(), crowbar.NewProposal{Key: k, Author: "test"})
		require.NoError(w.t, err)
		_, _, err = w.Commit(w.t.Context(), k, 0, "test")
		require.NoError(w.t, err)
	}
}

func (w *world) allocate() {
	w.t.Helper()
	for _, n := range w.Nodes() {
		_, err := w.Allocate(w.t.Context(), n.Name, "test", crowbar.AllocateOptions{AllowDestroy: true})
		if w.killed.Load() && err != nil {
			w.revive()
			_, err = w.Allocate(w.t.Context(), n.Name, "test", crowbar.AllocateOptions{AllowDestroy: true})
		}
		require.NoError(w.t, err)
	}
}

var all = []string{"deployer", "provisioner", "network", "bios", "raid", "ipmi", "nova", "swift"}

// ready brings the site from power-on to ready.
func (w *world) ready() {
	w.t.Helper()
	w.reach(lifecycle.Discovered)
	// Work begins when the last node is allocated, so that no job finds half of them.
	require.NoError(w.t, w.Pause(w.t.Context(), "test", "the site is being set up"))
	w.commit(all...)
	w.allocate()
	require.NoError(w.t, w.Resume(w.t.Context(), "test"))
	w.reach(lifecycle.Ready)
}
