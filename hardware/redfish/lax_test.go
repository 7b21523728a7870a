package redfish_test

import (
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// replies serves fixed resources by path.
func replies(t *testing.T, host string, resources map[string]string) *redfish.Configurator {
	t.Helper()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := resources[r.URL.RequestURI()]
		if !ok {
			body, ok = resources[r.URL.Path]
		}
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, body)
	})
	c, err := redfish.New(redfish.Config{Transport: redfishsim.Transport(func(asked string) http.Handler {
		if asked != host {
			t.Errorf("the client went to %s", asked)
			return nil
		}
		return h
	})})
	require.NoError(t, err)
	return c
}

// Volumes of BMCs from before RAIDType, disks passed through shown as volumes, and one that
// says nothing. Links are whole URLs and have trailing slashes here and there.
func TestObserveOldVolumes(t *testing.T) {
	c := replies(t, "old", map[string]string{
		"/redfish/v1/":        `{"Systems":{"@odata.id":"http://elsewhere/redfish/v1/Systems"}}`,
		"/redfish/v1/Systems": `{"Members":[{"@odata.id":"/sys"}]}`,
		"/sys":                `{"Storage":{"@odata.id":"/S"},"PowerState":"PoweringOn"}`,
		"/S":                  `{"Members":[{"@odata.id":"/S/1"}]}`,
		"/S/1":                `{"Id":"1","Drives":[{"@odata.id":"/D/1"},{"@odata.id":"/D/2"}],"Volumes":{"@odata.id":"/V"}}`,
		"/D/1":                `{"@odata.id":"/D/1/","Id":"1"}`,
		"/D/2":                `{"@odata.id":"/D/2","Id":"2"}`,
		"/V":                  `{"Members":[{"@odata.id":"/V/raw"},{"@odata.id":"/V/m"}],"Members@odata.nextLink":"/V?2"}`,
		"/V?2":                `{"Members":[]}`,
		"/V/raw":              `{"Id":"raw","VolumeType":"RawDevice","Links":{"Drives":[{"@odata.id":"/D/1"}]}}`,
		"/V/m":                `{"Id":"m","VolumeType":"Mirrored","Links":{"Drives":[{"@odata.id":"/D/1"},{"@odata.id":"/D/2/"}]}}`,
	})
	seen, err := c.Observe(t.Context(), hardware.Target{Node: "old", URL: "http://old"})
	require.NoError(t, err)
	require.Equal(t, hardware.StatePoweringOn, seen.System.Power)
	volumes := seen.Storage[0].Volumes
	require.NotEmpty(t, volumes)
	require.Equal(t, hardware.Volume{ID: "m", RAIDLevel: hardware.RAID1, Drives: []string{"1", "2"}}, volumes[0])
	require.False(t, seen.Storage[0].Partial)
}

// A token must not follow a redirect to another machine.
func TestRedirectsStayOnTheBMC(t *testing.T) {
	asked := map[string]int{}
	c, err := redfish.New(redfish.Config{Transport: redfishsim.Transport(func(host string) http.Handler {
		asked[host]++
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil/redfish/v1/", http.StatusFound)
		})
	})})
	require.NoError(t, err)
	_, err = c.Observe(t.Context(), target("node1", "http://bmc1"))
	require.Error(t, err)
	require.Equal(t, map[string]int{"bmc1": 1}, asked)
}

// 412 and 428 are learned from: the change goes out again with a fresh ETag.
func TestETagRefused(t *testing.T) {
	for _, status := range []int{http.StatusPreconditionFailed, http.StatusPreconditionRequired} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 0, nil)
			const profile = `{"bios":{"set":"Virtualization"},"boot":{"target":"disk"}}`
			plan := r.plan(t, profile)
			r.bmc.FailNext(http.MethodPatch, "/redfish/v1/Systems/1", status)
			r.bmc.FailNext(http.MethodPatch, "/redfish/v1/Systems/1/Bios", status)
			_, err := r.c.Apply(t.Context(), r.target, plan, nil)
			require.NoError(t, err)
			require.True(t, r.plan(t, profile).Empty())
		})
	}
}

// Settings that were accepted and did not take are not success: here somebody changes them
// back while the machine restarts.
func TestSettingsThatDoNotTakeAreNotSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 0, nil)
		plan := r.plan(t, `{"bios":{"intents":{"smt":"off"}}}`)
		start := time.Now()
		_, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Progress: func(p hardware.Progress) {
			if p.Operation == "" && p.Phase == hardware.PhaseWaiting {
				require.NoError(t, r.machine.SetBIOS(map[string]any{"LogicalProc": "Enabled"}))
			}
		}})
		require.ErrorIs(t, err, hardware.ErrNotConverged)
		require.ErrorContains(t, err, "LogicalProc = Disabled", "what did not take is named")
		require.Less(t, time.Since(start), 10*time.Minute, "nobody waits for what nobody does")
		require.Zero(t, r.bmc.Sessions())
	})
}

func TestVolumeUsageRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, nil)
		plan := r.plan(t, `{"raid":{"set":"SingleRaid1"}}`)
		r.bmc.FailNext(http.MethodPost, "/redfish/v1/Systems/1/Storage", http.StatusBadRequest)
		_, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.NoError(t, err)
		require.Len(t, r.machine.State().Volumes, 1)
		require.False(t, r.machine.State().Volumes[0].Bootable)
	})
}
