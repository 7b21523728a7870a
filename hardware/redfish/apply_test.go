package redfish_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func TestApplyConvergesAndSecondPlanIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 5, nil)
		plan := r.plan(t, wholeProfile)
		require.Len(t, plan.Operations, 5)
		require.Equal(t, []string{"n1-D0", "n1-D1", "n1-D2", "n1-D3"}, plan.Destroys())
		require.Equal(t, 1, plan.Reboots())

		var asked []hardware.Destruction
		var phases []hardware.Phase
		res, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{
			Authorize: func(_ context.Context, d hardware.Destruction) error { asked = append(asked, d); return nil },
			Progress:  func(p hardware.Progress) { phases = append(phases, p.Phase) },
		})
		require.NoError(t, err)
		require.Len(t, res.Done, 5)
		require.Equal(t, 1, res.Reboots)
		require.Len(t, asked, 1)
		require.Equal(t, plan.Destroys(), asked[0].Disks)
		require.Contains(t, phases, hardware.PhaseDone)

		s := r.machine.State()
		require.Equal(t, "Enabled", s.BIOS["ProcVirtualization"])
		require.Len(t, s.Volumes, 1)
		require.Equal(t, hardware.RAID10, s.Volumes[0].RAIDLevel)
		require.True(t, s.Volumes[0].Bootable)
		require.Equal(t, int64(2*1_000_204_886_016), s.Volumes[0].SizeBytes)
		require.Equal(t, "Pxe", s.BootTarget)
		require.Equal(t, 1, s.Boots)
		require.Zero(t, r.bmc.Sessions())

		require.True(t, r.plan(t, wholeProfile).Empty())

		again, err := r.c.Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		require.Empty(t, again.Done)
		require.Len(t, again.Skipped, 5)
		require.Equal(t, s.Revision, r.machine.State().Revision, "a second apply writes nothing")
		t.Logf("requests: %d", res.Requests)
	})
}

func TestApplyReplacesVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, nil)
		_, err := r.machine.CreateVolume(redfishsim.Volume{Controller: "RAID.Integrated.1-1", Name: "old", RAIDLevel: hardware.RAID5,
			Disks: []string{"n1-D1", "n1-D2", "n1-D3"}})
		require.NoError(t, err)
		plan := r.plan(t, `{"raid":{"set":"R1_JBOD"}}`)
		require.Len(t, plan.Operations, 2)
		res, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.NoError(t, err)
		require.Zero(t, res.Reboots)
		require.True(t, r.plan(t, `{"raid":{"set":"R1_JBOD"}}`).Empty())
		require.Equal(t, 0, r.machine.State().Boots)
	})
}

func TestApplyRefusesStalePlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, nil)
		plan := r.plan(t, `{"raid":{"set":"SingleRaid1"}}`)
		_, err := r.machine.CreateVolume(redfishsim.Volume{Controller: "RAID.Integrated.1-1", Name: "new", RAIDLevel: hardware.RAID0, Disks: []string{"n1-D0"}})
		require.NoError(t, err)
		_, err = r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.ErrorIs(t, err, hardware.ErrStalePlan)
		require.Len(t, r.machine.State().Volumes, 1)

		other := r.target
		other.Node = "node2"
		_, err = r.c.Apply(t.Context(), other, plan, &hardware.ApplyOptions{Authorize: allow})
		require.ErrorIs(t, err, hardware.ErrStalePlan, "a plan for another node")
	})
}

func TestApplyWaitsForPOST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, nil)
		plan := r.plan(t, wholeProfile)
		require.NoError(t, r.machine.Reset(redfishsim.ResetOn))
		_, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.NoError(t, err)
		require.Equal(t, 2, r.machine.State().Boots, "the POST in progress, and the one for the settings")
	})
}

func TestPendingAlreadyAsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, nil)
		require.NoError(t, r.machine.Reset(redfishsim.ResetOn))
		time.Sleep(5 * time.Minute)
		require.NoError(t, r.machine.SetBIOS(map[string]any{"LogicalProc": "Disabled"}))
		plan := r.plan(t, `{"bios":{"intents":{"smt":"off"}}}`)
		require.Len(t, plan.Operations, 1)
		revision := len(r.bmc.RequestLog())
		_, err := r.c.Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		for _, req := range r.bmc.RequestLog()[revision:] {
			require.NotEqual(t, http.MethodPatch, req.Method)
		}
		require.Equal(t, "Disabled", r.machine.State().BIOS["LogicalProc"])
	})
}

func TestLostReplies(t *testing.T) {
	volumes := "/redfish/v1/Systems/1/Storage/RAID.Integrated.1-1/Volumes"
	for name, lose := range map[string][2]string{
		"create":  {http.MethodPost, volumes},
		"bios":    {http.MethodPatch, "/redfish/v1/Systems/1/Bios/Settings"},
		"reset":   {http.MethodPost, "/redfish/v1/Systems/1/Actions"},
		"boot":    {http.MethodPatch, "/redfish/v1/Systems/1"},
		"logout":  {http.MethodDelete, "/redfish/v1/SessionService"},
		"reading": {http.MethodGet, "/redfish/v1/Systems/1/Storage"}, // which brings the volumes along
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, 4, nil)
				plan := r.plan(t, wholeProfile)
				r.bmc.LoseReply(lose[0], lose[1])
				_, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
				if name == "reading" { // before anything is known, a lost read is an error: nothing is planned on half a view
					require.ErrorIs(t, err, hardware.ErrStalePlan)
				} else {
					require.NoError(t, err)
					require.True(t, r.plan(t, wholeProfile).Empty())
				}
				s := r.machine.State()
				require.LessOrEqual(t, len(s.Volumes), 1)
				require.LessOrEqual(t, s.Disks["n1-D0"].Wipes, 1)
				require.LessOrEqual(t, s.Boots, 1)
				require.Zero(t, r.bmc.Sessions())
			})
		})
	}
}

// A create that failed with a server error and had no effect is never sent again by itself.
func TestUnknownOutcomeIsNotRetried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 4, nil)
		plan := r.plan(t, `{"raid":{"set":"SingleRaid10"}}`)
		r.bmc.FailNext(http.MethodPost, "/redfish/v1/Systems/1/Storage", http.StatusBadGateway)
		_, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.ErrorIs(t, err, hardware.ErrUnknownOutcome)
		posts := 0
		for _, req := range r.bmc.RequestLog() {
			if req.Method == http.MethodPost && req.Path != "/redfish/v1/SessionService/Sessions" {
				posts++
			}
		}
		require.Equal(t, 1, posts)
		require.Zero(t, r.bmc.Sessions())
	})
}

// The order was as wished, so the plan has nothing about it; then a volume comes that firmware
// puts last.
func TestOrderThatWasNotPlanned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, nil)
		const boot = `"boot":{"order":["pxe","disk"],"secure_boot":"on"}`
		require.NoError(t, r.machine.SetBootOrder([]string{"Boot0001", "Boot0201", "Boot0202", "Boot0401", "Boot0101"}))
		plan := r.plan(t, `{"raid":{"set":"SingleRaid1"},`+boot+`}`)
		require.Len(t, plan.Operations, 2)
		res, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.ErrorIs(t, err, hardware.ErrStalePlan)
		require.Len(t, res.Done, 2)
		again := r.plan(t, `{`+boot+`}`)
		require.Len(t, again.Operations, 1)
		_, err = r.c.Apply(t.Context(), r.target, again, nil)
		require.NoError(t, err)
		require.True(t, r.plan(t, `{`+boot+`}`).Empty())
	})
}

// canceller calls a function at the n-th request.
type canceller struct {
	base   http.RoundTripper
	cancel func()

	mu   sync.Mutex
	left int
}

func (c *canceller) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	if c.left == 0 {
		c.cancel()
	}
	c.left--
	c.mu.Unlock()
	return c.base.RoundTrip(r)
}
