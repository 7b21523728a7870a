package sim_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/sim"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// end is what a run made of a machine.
type end struct {
	Node  string
	RAID  any
	BIOS  map[string]any
	Wipes map[string]int
	Roles map[string]int // the order depends on which proposal came first
}

func ends(w *world) []end {
	var all []end
	for _, m := range w.site.Machines() {
		e := end{Node: m.Node(), RAID: m.RAID(), BIOS: m.BIOS(), Wipes: m.DiskWipes(), Roles: map[string]int{}}
		for _, r := range m.Roles() {
			e.Roles[r.Proposal.String()+" "+r.Role] = r.Revision
		}
		all = append(all, e)
	}
	return all
}

func TestSameSeedSameEnd(t *testing.T) {
	run := func(dir string, seed uint64) (got []end) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, sim.Config{Seed: seed, Dir: dir})
			w.ready()
			got = ends(w)
		})
		return got
	}
	first := run("", 7)
	require.Empty(t, cmp.Diff(first, run(t.TempDir(), 7)))
	require.NotEmpty(t, cmp.Diff(first, run("", 8)))
}

func TestWithoutHardwareConfiguration(t *testing.T) {
	for name, c := range map[string]struct {
		config  sim.Config
		without []string
	}{
		"no barclamps": {sim.Config{Nodes: 4}, []string{"bios", "raid", "ipmi"}},
		"no BMCs":      {sim.Config{Nodes: 4, WithoutBMC: func(int) bool { return true }}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, c.config, c.without...)
				w.ready()
				for _, m := range w.site.Machines() {
					require.Empty(t, m.RAID())
					require.Equal(t, 1, m.DiskWipes()[m.Serial()+"-D00"], "the installer's")
					require.Zero(t, m.DiskWipes()[m.Serial()+"-D01"])
					require.Equal(t, name == "no BMCs", m.BMC() == nil)
				}
			})
		})
	}
}

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

// An installer that is refused, or hears nothing, leaves the disks alone and asks again.
func TestRefusedInstallLeavesDisksAlone(t *testing.T) {
	for name, refuse := range map[string]func(*http.Request) (*http.Response, error){
		"refused": func(r *http.Request) (*http.Response, error) {
			return answer(r, http.StatusForbidden, `{"error":{"code":"refused","message":"no"}}`), nil
		},
		"not what was granted": func(r *http.Request) (*http.Response, error) {
			return answer(r, http.StatusConflict, `{"error":{"code":"conflict","message":"no"}}`), nil
		},
		"no answer": func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked atomic.Int32
				var allow atomic.Bool
				w := newWorld(t, sim.Config{Nodes: 4}, "bios", "raid", "ipmi")
				w.intercept(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
					if strings.HasSuffix(r.URL.Path, "/authorize") && !allow.Load() {
						asked.Add(1)
						return refuse(r)
					}
					return send()
				})
				w.reach(lifecycle.Discovered)
				w.commit(all...)
				w.allocate()
				w.reach(lifecycle.Installing)
				time.Sleep(30 * time.Minute)
				w.reach(lifecycle.Installing)
				require.Greater(t, asked.Load(), int32(8), "each asked again")
				for _, m := range w.site.Machines() {
					require.Equal(t, "os_install", m.Status())
					for serial, n := range m.DiskWipes() {
						require.Zero(t, n, serial)
					}
				}
				allow.Store(true)
				w.reach(lifecycle.Ready)
			})
		})
	}
}

// Machines wait for a server that is away, at the first boot and while they wait for orders.
func TestServerAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var away atomic.Bool
		away.Store(true)
		w := newWorld(t, sim.Config{Nodes: 4})
		w.intercept(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
			if away.Load() && r.URL.Host == "crowbar.sim:3000" {
				return nil, io.ErrUnexpectedEOF
			}
			return send()
		})
		time.Sleep(time.Hour)
		require.Empty(t, w.Nodes())
		require.Equal(t, "firmware", w.site.Machines()[0].Status())
		away.Store(false)
		w.reach(lifecycle.Discovered)
		away.Store(true)
		time.Sleep(time.Hour)
		away.Store(false)
		w.ready()
		checkWipes(t, w)
	})
}

// What operators order of a node that is ready.
func TestOrdersOfRunningSystem(t *testing.T) {
	order := func(t *testing.T, w *world, m *sim.Machine, state string) {
		t.Helper()
		_, err := w.Transition(t.Context(), m.Node(), state, crowbar.By{Actor: lifecycle.ActorOperator})
		require.NoError(t, err)
	}
	for name, c := range map[string]struct {
		order func(t *testing.T, w *world, m *sim.Machine)
		state string // in which the node ends
		runs  string // what the machine does then
	}{
		"reboot": {func(t *testing.T, w *world, m *sim.Machine) { order(t, w, m, lifecycle.Reboot) }, lifecycle.Ready, "disk"},
		"update": {func(t *testing.T, w *world, m *sim.Machine) { order(t, w, m, lifecycle.Update) }, lifecycle.Ready, "disk"},
		"reset":  {func(t *testing.T, w *world, m *sim.Machine) { order(t, w, m, lifecycle.Reset) }, lifecycle.Discovered, "reset"},
		"power cycle": {func(t *testing.T, _ *world, m *sim.Machine) {
			require.NoError(t, m.Hardware().Reset(redfishsim.ResetPowerCycle))
		}, lifecycle.Ready, "disk"},
		"shutdown": {func(t *testing.T, w *world, m *sim.Machine) { order(t, w, m, lifecycle.Shutdown) }, lifecycle.Shutdown, "off"},
		"shutdown and power on": {func(t *testing.T, w *world, m *sim.Machine) {
			order(t, w, m, lifecycle.Shutdown)
			time.Sleep(10 * time.Minute)
			require.Equal(t, "off", m.Status())
			require.NoError(t, m.Hardware().Reset(redfishsim.ResetOn))
		}, lifecycle.Ready, "disk"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sim.Config{Nodes: 4})
				w.ready()
				m := w.site.Machines()[1]
				before := m.Hardware().State().Boots
				c.order(t, w, m)
				time.Sleep(10 * time.Minute)
				n, err := w.Node(m.Node())
				require.NoError(t, err)
				require.Equal(t, c.state, n.Lifecycle.State, n.Lifecycle.Reason)
				require.Equal(t, c.runs, m.Status())
				if name != "shutdown" {
					require.Greater(t, m.Hardware().State().Boots, before)
				}
				checkWipes(t, w)
			})
		})
	}
}

// A role that the jig cannot apply is the node's problem until somebody acts; the site's
// other nodes are not touched.
func TestFailRole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{Nodes: 8})
		w.reach(lifecycle.Discovered)
		m := w.site.Machines()[1]
		m.FailRole("swift-storage", 1)
		w.commit(all...)
		w.allocate()
		time.Sleep(30 * time.Minute)
		n, err := w.Node(m.Node())
		require.NoError(t, err)
		require.Equal(t, lifecycle.Problem, n.Lifecycle.State)
		require.Contains(t, n.Lifecycle.Reason, "swift-storage")
		for _, r := range m.Roles() {
			require.NotEqual(t, "swift-storage", r.Role)
		}
		require.NotEmpty(t, w.site.Machines()[0].Roles())
	})
}
