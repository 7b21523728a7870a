package redfish_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func TestPower(t *testing.T) {
	const reset = "/redfish/v1/Systems/1/Actions/ComputerSystem.Reset"
	for name, tt := range map[string]struct {
		prepare func(*testing.T, *rig) // from off
		action  hardware.PowerAction
		want    redfishsim.Power
		resets  int // requests for a reset that were sent
	}{
		"on":               {action: hardware.PowerOn, want: redfishsim.PowerPOST, resets: 1},
		"on when on":       {prepare: running, action: hardware.PowerOn, want: redfishsim.PowerOn},
		"off":              {prepare: running, action: hardware.PowerOff, want: redfishsim.PowerOff, resets: 1},
		"off when off":     {action: hardware.PowerOff, want: redfishsim.PowerOff},
		"shutdown":         {prepare: running, action: hardware.PowerShutdown, want: redfishsim.PowerOff, resets: 1},
		"shutdown in POST": {prepare: posting, action: hardware.PowerShutdown, want: redfishsim.PowerOff, resets: 2},
		"reset":            {prepare: running, action: hardware.PowerReset, want: redfishsim.PowerPOST, resets: 1},
		"reset when off":   {action: hardware.PowerReset, want: redfishsim.PowerPOST, resets: 1},
		"lost answer": {prepare: func(t *testing.T, r *rig) { running(t, r); r.bmc.LoseReply(http.MethodPost, reset) },
			action: hardware.PowerReset, want: redfishsim.PowerPOST, resets: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 1, nil)
				if tt.prepare != nil {
					tt.prepare(t, r)
				}
				require.NoError(t, r.c.Power(t.Context(), r.target, tt.action))
				require.Equal(t, tt.want, r.machine.State().Power)
				resets := 0
				for _, req := range r.bmc.RequestLog() {
					if req.Path == reset {
						resets++
					}
				}
				require.Equal(t, tt.resets, resets)
				require.Zero(t, r.bmc.Sessions())
			})
		})
	}
}

func running(t *testing.T, r *rig) {
	posting(t, r)
	time.Sleep(10 * time.Minute)
}

func posting(t *testing.T, r *rig) { require.NoError(t, r.machine.Reset(redfishsim.ResetOn)) }

// A machine that keeps running after a reset that was lost before it took effect is an
// unknown outcome, not a success: it was on before, and it is on.
func TestPowerResetWithoutTransitionIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, nil)
		running(t, r)
		r.bmc.FailNext(http.MethodPost, "/redfish/v1/Systems/1/Actions", http.StatusGatewayTimeout)
		require.ErrorIs(t, r.c.Power(t.Context(), r.target, hardware.PowerReset), hardware.ErrUnknownOutcome)
	})
}

func TestPowerRefusesUnknownAction(t *testing.T) {
	r := newRig(t, 1, nil)
	require.ErrorIs(t, r.c.Power(t.Context(), r.target, "explode"), hardware.ErrInvalid)
	require.Empty(t, r.bmc.RequestLog())
}
