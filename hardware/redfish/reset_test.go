package redfish_test

import (
	"context"
	"errors"
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

// A machine on its way off, or of which the BMC does not say, is not on: success without a request
// would be a lie.
func TestPowerOnOfAMachineThatIsNotOn(t *testing.T) {
	for _, state := range []string{"", "Unknown", "PoweringOff"} {
		t.Run(state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := booted(t, redfishsim.Generic)
				c := r.configurator(t, editedSystem(func(o map[string]any) { o["PowerState"] = state }))
				err := c.Power(t.Context(), r.target, hardware.PowerOn)
				require.Error(t, err)
				require.Zero(t, r.bmc.Sessions())
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // it arrives
		r := booted(t, redfishsim.Generic)
		require.NoError(t, r.machine.Reset(redfishsim.ResetGracefulShutdown))
		c := r.configurator(t, editedSystem(func(o map[string]any) {
			if r.machine.State().Power == redfishsim.PowerShutdown {
				o["PowerState"] = "PoweringOff"
			}
		}))
		require.NoError(t, c.Power(t.Context(), r.target, hardware.PowerOn))
		require.Equal(t, redfishsim.PowerPOST, r.machine.State().Power)
	})
}

func TestResetInPOST(t *testing.T) {
	for _, personality := range redfishsim.Personalities() {
		t.Run(string(personality), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := booted(t, personality)
				require.NoError(t, r.machine.Reset(redfishsim.ResetForceRestart))
				time.Sleep(20 * time.Second) // in the bubble
				require.Equal(t, redfishsim.PowerPOST, r.machine.State().Power)
				before := r.machine.State().LastReset
				require.NoError(t, r.c.Power(t.Context(), r.target, hardware.PowerReset))
				require.True(t, r.machine.State().LastReset.After(before))
			})
		})
	}
}

// BootProgress that says nothing is no mark of a reset to wait for; and a machine that finds
// nothing to boot stays at the end of its POST for ever, and can be configured all the same.
func TestBootProgressThatSaysNothing(t *testing.T) {
	for _, step := range []string{"None", "OEM", "SystemHardwareInitializationComplete"} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := booted(t, redfishsim.Generic)
				plan := r.plan(t, smtOff)
				c, err := redfish.New(redfish.Config{ResetAtOnce: true, Transport: editedSystem(func(o map[string]any) {
					delete(o, "LastResetTime")
					o["BootProgress"] = map[string]any{"LastState": step}
					if step == "None" {
						o["PowerState"] = "On" // off for so short that nobody sees it
					}
				})(r.transport())})
				require.NoError(t, err)
				_, err = c.Apply(t.Context(), r.target, plan, nil)
				require.NoError(t, err)
				require.Equal(t, "Disabled", r.machine.State().BIOS["LogicalProc"])
			})
		})
	}
}

// The caller gives up while the answer to a reset is lost: it may have happened.
func TestCancelledResetIsInDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		ctx, cancel := context.WithCancel(t.Context())
		c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
			return roundTripper(func(q *http.Request) (*http.Response, error) {
				resp, err := base.RoundTrip(q)
				if err == nil && isReset(q) {
					cancel()
					resp.Body.Close()
					return nil, context.Canceled
				}
				return resp, err
			})
		})
		err := c.Power(ctx, r.target, hardware.PowerReset)
		require.ErrorIs(t, err, hardware.ErrUnknownOutcome)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "node1")
		require.Zero(t, r.bmc.Sessions())
	})
}

// A change whose answer is lost, and the BMC with it, is in doubt, not unreachable.
func TestLostChangeOfALostBMCIsInDoubt(t *testing.T) {
	for _, effect := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := booted(t, redfishsim.Generic)
			plan := r.plan(t, smtOff)
			gone := false
			c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
				return roundTripper(func(q *http.Request) (*http.Response, error) {
					if !gone && q.Method == http.MethodPatch {
						gone = true
						if effect {
							resp, err := base.RoundTrip(q)
							require.NoError(t, err)
							resp.Body.Close()
						}
					}
					if gone {
						return nil, errors.New("connection reset")
					}
					return base.RoundTrip(q)
				})
			})
			_, err := c.Apply(t.Context(), r.target, plan, nil)
			require.True(t, gone)
			require.ErrorIs(t, err, hardware.ErrUnknownOutcome)
		})
	}
}

// An operating system may be done with its shutdown just as it is reset: that is accepted, and the
// machine stays off. It is turned on.
func TestShutdownThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		require.NoError(t, r.bmc.SetKnobs(redfishsim.Knobs{IgnoreShutdown: true}))
		plan := r.plan(t, smtOff)
		late := false
		c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
			return roundTripper(func(q *http.Request) (*http.Response, error) {
				if isReset(q) && strings.Contains(body(t, q), "ForceRestart") {
					late = true
					require.NoError(t, r.machine.Reset(redfishsim.ResetForceOff))
					return reply(q, http.StatusNoContent, "", nil), nil
				}
				return base.RoundTrip(q)
			})
		})
		_, err := c.Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		require.True(t, late)
		require.Equal(t, "Disabled", r.machine.State().BIOS["LogicalProc"])
	})
}
