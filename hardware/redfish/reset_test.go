package redfish_test

import (
	"context"
	"errors"
	"fmt"
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
	for name, tt := range map[string]struct {
		profile string
		lost    func(*http.Request) bool
	}{
		"settings": {smtOff, func(q *http.Request) bool { return q.Method == http.MethodPatch }},
		"reset":    {smtOff, isReset},
		"volume": {`{"raid":{"set":"SingleRaid10"}}`, func(q *http.Request) bool {
			return q.Method == http.MethodPost && strings.HasSuffix(q.URL.Path, "/Volumes")
		}},
	} {
		for _, effect := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, effect %v", name, effect), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := booted(t, redfishsim.Generic)
					plan := r.plan(t, tt.profile)
					gone := false
					c, err := redfish.New(redfish.Config{ResetAtOnce: true, Transport: roundTripper(func(q *http.Request) (*http.Response, error) {
						if !gone && tt.lost(q) {
							gone = true
							if effect {
								resp, err := r.transport().RoundTrip(q)
								if err == nil {
									resp.Body.Close()
								}
							}
						}
						if gone {
							return nil, errors.New("connection reset")
						}
						return r.transport().RoundTrip(q)
					})})
					require.NoError(t, err)
					_, err = c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
					require.True(t, gone)
					require.ErrorIs(t, err, hardware.ErrUnknownOutcome)
				})
			})
		}
	}
}

// A power that takes its time to go is waited for.
func TestPowerOffIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		off := time.Now().Add(2 * time.Minute)
		c := r.configurator(t, editedSystem(func(o map[string]any) {
			if time.Now().Before(off) {
				o["PowerState"] = "On"
			}
		}))
		require.NoError(t, c.Power(t.Context(), r.target, hardware.PowerOff))
		require.False(t, time.Now().Before(off))
	})
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
