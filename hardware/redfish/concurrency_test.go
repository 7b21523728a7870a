package redfish_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func TestAtMostOneChangeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, nil)
		plan := r.plan(t, wholeProfile)
		errs := make(chan error, 3)
		for range cap(errs) {
			go func() {
				_, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
				errs <- err
			}()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
		s := r.machine.State()
		require.Len(t, s.Volumes, 1)
		require.Equal(t, 1, s.Boots)
		require.Equal(t, 1, s.Disks["n1-D0"].Wipes)
	})
}

// One BMC is one however its URL is spelled.
func TestOneChangeAtATimeHoweverSpelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		plan := r.plan(t, `{"raid":{"set":"SingleRaid10"}}`)
		c := through(t, redfishsim.Transport(func(string) http.Handler { return r.bmc }))
		var now, asked atomic.Int32
		var all sync.WaitGroup
		for _, url := range []string{"http://bmc1", "http://BMC1", "http://bmc1:80"} {
			all.Go(func() {
				_, err := c.Apply(t.Context(), target("node1", url), plan, &hardware.ApplyOptions{Authorize: func(context.Context, hardware.Destruction) error {
					if now.Add(1) > 1 {
						t.Errorf("%s: another Apply is at work on this BMC", url)
					}
					asked.Add(1)
					time.Sleep(time.Minute) // in the bubble: somebody thinks
					now.Add(-1)
					return errors.New("no")
				}})
				if !errors.Is(err, hardware.ErrNotAuthorized) {
					t.Errorf("%s: %v", url, err)
				}
			})
		}
		all.Wait()
		require.Equal(t, int32(3), asked.Load())
	})
}

// At most RequestsPerBMC are in flight to one BMC, however many callers there are.
func TestRequestsPerBMC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, nil)
		r.bmc.SetLatency(time.Second)
		var now, most atomic.Int32
		c, err := redfish.New(redfish.Config{RequestsPerBMC: 3, Transport: roundTripper(func(q *http.Request) (*http.Response, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
			}
			return r.transport().RoundTrip(q)
		})})
		require.NoError(t, err)
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				_, err := c.Observe(t.Context(), r.target)
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		require.Equal(t, int32(3), most.Load())
	})
}

// 304 to a change leaves its slot free, though gofish does not close that reply.
func TestUnasked304GivesItsSlotBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		plan := r.plan(t, `{"boot":{"target":"pxe"}}`)
		c := r.configurator(t, answering(func(q *http.Request) bool { return q.Method == http.MethodPatch }, http.StatusNotModified, ""))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Hour)
		defer cancel()
		for range 3 { // more than RequestsPerBMC
			_, err := c.Apply(ctx, r.target, plan, nil)
			require.Error(t, err)
		}
		_, err := c.Observe(ctx, r.target)
		require.NoError(t, err)
	})
}

// Callers that gave up do not queue for the login of each, a RequestTimeout long.
func TestCancelledCallersDoNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		c, err := redfish.New(redfish.Config{RequestsPerBMC: 1, Transport: roundTripper(func(q *http.Request) (*http.Response, error) {
			if q.Method == http.MethodPost {
				<-q.Context().Done()
				return nil, q.Context().Err()
			}
			return r.transport().RoundTrip(q)
		})})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { _, _ = c.Observe(ctx, r.target) })
		}
		all.Wait()
		require.LessOrEqual(t, time.Since(start), 2*time.Minute)
	})
}

// All kinds of callers of one BMC at once, each with little patience, and Close in the middle: run
// with -race. No session is left, and what they were given is theirs.
func TestManyCallers(t *testing.T) {
	for _, personality := range redfishsim.Personalities() {
		t.Run(string(personality), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := booted(t, personality)
				require.NoError(t, r.bmc.SetKnobs(redfishsim.Knobs{SessionLimit: 100, Latency: 100 * time.Millisecond, Jitter: time.Second}))
				c := r.keeping(t)
				var observed atomic.Int32
				observe := func(ctx context.Context) {
					seen, err := c.Observe(ctx, r.target)
					if err != nil {
						return
					}
					observed.Add(1)
					seen.Firmware["x"] = "y"
					p, err := hardware.NewPlan(hardware.Profile{Boot: &hardware.BootProfile{Target: hardware.BootPXE}}, seen)
					if err == nil {
						_, _ = c.Apply(ctx, r.target, p, nil)
					}
				}
				var all sync.WaitGroup
				for i := range 6 {
					all.Go(func() {
						for range 6 {
							ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rand.IntN(120))*time.Second)
							if i < 4 {
								observe(ctx)
							} else {
								_ = c.Power(ctx, r.target, []hardware.PowerAction{hardware.PowerOn, hardware.PowerReset, hardware.PowerOff}[rand.IntN(3)])
							}
							cancel()
						}
					})
				}
				time.Sleep(time.Minute) // in the bubble
				require.NoError(t, c.Close(t.Context()))
				all.Wait()
				require.Positive(t, observed.Load())
				require.Zero(t, r.bmc.Sessions())
			})
		})
	}
}
