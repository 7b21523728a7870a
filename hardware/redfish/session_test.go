package redfish_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// keeping is a Configurator that keeps sessions for a minute.
func (r *rig) keeping(t *testing.T, between ...middleware) *redfish.Configurator {
	t.Helper()
	transport := r.transport()
	for _, wrap := range between {
		transport = wrap(transport)
	}
	c, err := redfish.New(redfish.Config{Transport: transport, KeepSession: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	return c
}

func (r *rig) logins() (n int) {
	for _, q := range r.bmc.RequestLog() {
		if q.Method == http.MethodPost && q.Path == "/redfish/v1/SessionService/Sessions" {
			n++
		}
	}
	return n
}

func TestSessionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, nil)
		c := r.keeping(t)
		first, err := c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		require.Equal(t, 1, r.bmc.Sessions())
		second, err := c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		require.Less(t, second.Requests, first.Requests, "each call counts its own")
		require.Equal(t, 1, r.logins())
		require.Equal(t, first.BIOS, second.BIOS)
		var unchanged []string
		for _, q := range r.bmc.RequestLog() {
			if q.Status == http.StatusNotModified {
				unchanged = append(unchanged, q.Path)
			}
		}
		require.Equal(t, []string{"/redfish/v1/Systems/1/Bios", "/redfish/v1/Systems/1/Bios/Settings"}, unchanged)

		time.Sleep(2 * time.Minute) // in the bubble: the session is ended when nobody comes
		synctest.Wait()
		require.Zero(t, r.bmc.Sessions())
		_, err = c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		require.Equal(t, 2, r.logins())
		require.NoError(t, c.Close(t.Context()))
		require.Zero(t, r.bmc.Sessions())

		_, err = c.Observe(t.Context(), r.target)
		require.NoError(t, err, "a closed one works on")
		require.Zero(t, r.bmc.Sessions(), "and keeps nothing")
	})
}

func TestSessionIsNotLentToAnotherUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, nil)
		c := r.keeping(t)
		_, err := c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		other := r.target
		other.Credentials = func(context.Context) (string, string, error) { return user, "guessed", nil }
		_, err = c.Observe(t.Context(), other)
		require.ErrorIs(t, err, hardware.ErrUnauthorized)
		other.Credentials = nil
		_, err = c.Observe(t.Context(), other)
		require.ErrorIs(t, err, hardware.ErrUnauthorized)
	})
}

func TestSessionIsNotKeptAfterCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, nil)
		c := r.keeping(t)
		ctx, cancel := context.WithCancel(t.Context())
		target := r.target
		target.Credentials = func(context.Context) (string, string, error) { defer cancel(); return user, password, nil }
		_, err := c.Observe(ctx, target)
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, r.bmc.Sessions())
	})
}

// A session that the BMC forgot is opened again, and its credentials asked for again.
func TestSessionIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, nil)
		c := r.keeping(t)
		_, err := c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		r.bmc.DropSessions()
		_, err = c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		require.Equal(t, 2, r.logins())
		require.Equal(t, 1, r.bmc.Sessions())
	})
}

// What was observed a moment ago is not read again for settings, but a change of them by
// somebody else is noticed.
func TestFreshObservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const profile = `{"bios":{"set":"Virtualization"}}`
		r := newRig(t, 4, nil)
		r.c = r.keeping(t)
		plan := r.plan(t, profile)
		res, err := r.c.Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		require.LessOrEqual(t, res.Requests, 12)
		require.True(t, r.plan(t, profile).Empty())

		plan = r.plan(t, `{"bios":{"set":"Storage"}}`)
		require.NoError(t, r.machine.SetBIOS(map[string]any{"ProcVirtualization": "Disabled"}))
		_, err = r.c.Apply(t.Context(), r.target, plan, nil)
		require.ErrorIs(t, err, hardware.ErrStalePlan)
	})
}

// A busy BMC is asked again when it says, not before, and not for ever.
func TestRetryAfter(t *testing.T) {
	for name, tt := range map[string]struct {
		header string
		waits  time.Duration
	}{
		"seconds": {"7", 7 * time.Second},
		"date":    {time.Date(2000, 1, 1, 0, 0, 9, 0, time.UTC).Format(http.TimeFormat), 9 * time.Second},
		"nothing": {"", 5 * time.Second},
		"garbage": {"soon", 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // time begins in 2000
				r := newRig(t, 0, nil)
				busy := true
				c, err := redfish.New(redfish.Config{Transport: roundTripper(func(q *http.Request) (*http.Response, error) {
					if busy && q.URL.Path == "/redfish/v1/Systems/1/Bios" {
						busy = false
						return reply(q, http.StatusServiceUnavailable, "", http.Header{"Retry-After": {tt.header}}), nil
					}
					return r.transport().RoundTrip(q)
				})})
				require.NoError(t, err)
				start := time.Now()
				_, err = c.Observe(t.Context(), r.target)
				require.NoError(t, err)
				require.Equal(t, tt.waits, time.Since(start))
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, nil)
		c, err := redfish.New(redfish.Config{Transport: roundTripper(func(q *http.Request) (*http.Response, error) {
			if q.URL.Path == "/redfish/v1/Systems" {
				return reply(q, http.StatusServiceUnavailable, "", http.Header{"Retry-After": {"40"}}), nil
			}
			return r.transport().RoundTrip(q)
		})})
		require.NoError(t, err)
		start := time.Now()
		_, err = c.Observe(t.Context(), r.target)
		require.ErrorIs(t, err, hardware.ErrRejected)
		require.LessOrEqual(t, time.Since(start), time.Minute)
	})
}

func TestConfigRefused(t *testing.T) {
	for _, c := range []redfish.Config{{PollInterval: -1}, {RequestsPerBMC: -1}, {KeepSession: -time.Second}} {
		_, err := redfish.New(c)
		require.ErrorIs(t, err, hardware.ErrInvalid)
	}
}

// What was observed before a change is no view of the machine after it.
func TestKeptSessionLooksAgainAfterAChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		r.c = r.keeping(t)
		plan := r.plan(t, `{"boot":{"target":"pxe"}}`)
		_, err := r.c.Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		require.NoError(t, r.machine.SetBoot("Hdd", "Continuous"))
		res, err := r.c.Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		require.Len(t, res.Done, 1)
		require.Equal(t, "Pxe", r.machine.State().BootTarget)
		require.Equal(t, 1, r.logins())
	})
}

// A plan that destroys is not carried out on what was observed a moment ago: since then the machine
// may have begun a POST, in which controllers refuse or spoil changes.
func TestDestructionIsNotPlannedOnAFreshObservation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		var when redfishsim.Power
		r.c = r.keeping(t, func(base http.RoundTripper) http.RoundTripper {
			return roundTripper(func(q *http.Request) (*http.Response, error) {
				if q.Method == http.MethodPost && strings.HasSuffix(q.URL.Path, "/Volumes") {
					when = r.machine.State().Power
				}
				return base.RoundTrip(q)
			})
		})
		plan := r.plan(t, `{"raid":{"set":"SingleRaid10"}}`)
		require.NoError(t, r.machine.Reset(redfishsim.ResetForceRestart))
		time.Sleep(20 * time.Second) // in the bubble
		require.Equal(t, redfishsim.PowerPOST, r.machine.State().Power)
		_, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.NoError(t, err)
		require.Equal(t, redfishsim.PowerOn, when)
	})
}

// After an error nothing is kept: who knows what state the connection is in.
func TestSessionIsNotKeptAfterAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		r.c = r.keeping(t)
		plan := r.plan(t, `{"raid":{"set":"SingleRaid10"}}`)
		require.Equal(t, 1, r.bmc.Sessions())
		_, err := r.c.Apply(t.Context(), r.target, plan, nil)
		require.ErrorIs(t, err, hardware.ErrNotAuthorized)
		require.Zero(t, r.bmc.Sessions())
	})
}
