package sim_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/sim"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// checkWipes is what must hold of the disks after any run to ready.
func checkWipes(t *testing.T, w *world) {
	t.Helper()
	for _, m := range w.site.Machines() {
		total := 0
		for serial, n := range m.DiskWipes() {
			require.LessOrEqual(t, n, 1, serial)
			total += n
		}
		require.Equal(t, map[int]int{4: 4, 12: 1}[len(m.DiskWipes())], total, m.Node())
	}
}

// killer ends the process at one request of many.
type killer struct {
	mu     sync.Mutex
	seen   int
	at     int    // which request
	after  bool   // the request is served, and the answer lost
	struck string // for the message
	strike func()
}

func (k *killer) passes(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
	k.mu.Lock()
	k.seen++
	hit := k.seen == k.at
	if hit {
		k.struck = r.Method + " " + r.URL.Host + r.URL.Path
	}
	k.mu.Unlock()
	if !hit {
		return send()
	}
	if k.after {
		if response, err := send(); err == nil {
			response.Body.Close()
		}
	}
	k.strike()
	return nil, context.Canceled
}

// A process that is killed at any request of a machine or to a BMC, before the request or
// before its answer, finds its machines as they were: all come to ready, and no disk is
// wiped twice.
//
// SIM_KILLS=all tries each request, which takes minutes; else it is about ten of them.
func TestKilledAtAnyRequest(t *testing.T) {
	requests := 0
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{Nodes: 4})
		k := &killer{}
		w.intercept(k.passes)
		w.ready()
		requests = k.seen
	})
	require.Greater(t, requests, 50)
	step := requests/10 | 1
	if os.Getenv("SIM_KILLS") == "all" {
		step = 1
	}
	for at := 1; at <= requests; at += step {
		for _, after := range []bool{false, true} {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sim.Config{Nodes: 4, Dir: dir})
				k := &killer{at: at, after: after, strike: w.strike}
				w.intercept(k.passes)
				defer func() {
					if t.Failed() {
						t.Logf("killed at request %d, %s (after: %v)", at, k.struck, after)
					}
				}()
				w.ready()
				checkWipes(t, w)
			})
		}
	}
}

// A reset by the BMC cuts off what runs; the machine boots anew and goes on.
func TestResetCutsOff(t *testing.T) {
	for _, state := range []string{lifecycle.Discovered, lifecycle.HardwareInstalling, lifecycle.HardwareInstalled, lifecycle.Installed, lifecycle.Readying, lifecycle.Ready} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, sim.Config{Nodes: 4})
				var once sync.Map
				w.intercept(func(r *http.Request, send func() (*http.Response, error)) (*http.Response, error) {
					if strings.HasSuffix(r.URL.Path, "/orders") {
						node := strings.Split(r.URL.Path, "/")[4]
						if n, err := w.Node(node); err == nil && n.Lifecycle.State == state {
							if _, done := once.LoadOrStore(node, true); !done {
								m, _ := w.site.Machine(node)
								require.NoError(t, m.Hardware().Reset(redfishsim.ResetForceRestart))
							}
						}
					}
					return send()
				})
				w.ready()
				checkWipes(t, w)
			})
		})
	}
}

// Killed at any moment, while machines are in POST, take their inventory, install.
func TestKilledAtAnyTime(t *testing.T) {
	for at := 3 * time.Second; at < 6*time.Minute; at += 37 * time.Second {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, sim.Config{Nodes: 4, Dir: dir})
			defer time.AfterFunc(at, w.strike).Stop()
			w.ready()
			checkWipes(t, w)
			if t.Failed() {
				t.Logf("killed after %v", at)
			}
		})
	}
}
