package redfish_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// Volumes of BMCs from before RAIDType, disks passed through shown as volumes, and one that
// says nothing. Links are whole URLs and have trailing slashes here and there.
func TestObserveOldVolumes(t *testing.T) {
	c := over(t, "old", resources{
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

// A link is one with annotations, or a name, as well.
func TestAnnotatedLinksAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.OpenBMC)
		right, err := r.c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		for name, value := range map[string]any{"@odata.etag": `W/"1"`, "Name": "system", "MemberId": "0"} {
			c := r.configurator(t, edited(func(q *http.Request, o map[string]any, _ http.Header) {
				if q.URL.Path == "/redfish/v1/Systems" {
					for _, m := range members(o) {
						m[name] = value
					}
				}
			}))
			seen, err := c.Observe(t.Context(), r.target)
			require.NoError(t, err)
			require.Equal(t, right.System, seen.System, name)
		}
	})
}

// Whatever member is null in all resources: the disks that are missed are said to be.
func TestNullMembers(t *testing.T) {
	for _, p := range []redfishsim.Personality{redfishsim.Dell, redfishsim.HPE} {
		synctest.Test(t, func(t *testing.T) {
			r := booted(t, p)
			names := map[string]bool{}
			_, err := r.configurator(t, edited(func(_ *http.Request, o map[string]any, _ http.Header) {
				for name := range o {
					names[name] = true
				}
			})).Observe(t.Context(), r.target)
			require.NoError(t, err)
			require.Greater(t, len(names), 30)
			for name := range names {
				seen, err := r.configurator(t, edited(func(q *http.Request, o map[string]any, _ http.Header) {
					if _, ok := o[name]; ok && q.URL.Path != "/redfish/v1/" {
						o[name] = nil
					}
				})).Observe(t.Context(), r.target)
				require.Zero(t, r.bmc.Sessions())
				if err != nil {
					continue // it needs that one
				}
				for _, c := range seen.Storage {
					require.True(t, c.Partial || len(c.Drives) == 4, "%s: %s is null: %+v", p, name, c)
					require.NotEmpty(t, c.ID)
				}
			}
		})
	}
}

// A reply that nests without end must not overflow the stack of the whole process.
func TestDeeplyNestedReply(t *testing.T) {
	c := over(t, "bmc1", resources{"/redfish/v1/": `{"Systems":{"@odata.id":"/s"}}`, "/s/1": strings.Repeat("[", 20<<20)})
	_, err := c.Observe(t.Context(), target("node1", "http://bmc1"))
	require.ErrorContains(t, err, "not JSON")
}

// Pages that go round in a circle end, and what they leave open is said.
func TestPagesInACircle(t *testing.T) {
	c := over(t, "bmc1", resources{
		"/redfish/v1/": `{"Systems":{"@odata.id":"/s"}}`, "/s": `{"Members":[{"@odata.id":"/sys"}]}`,
		"/sys": `{"EthernetInterfaces":{"@odata.id":"/e"},"Storage":{"@odata.id":"/S"}}`,
		"/e":   `{"Members":[{"@odata.id":"/e/1"},{"@odata.id":"/e/2"}],"Members@odata.nextLink":"/e"}`,
		"/e/1": `{"Id":"1"}`, "/e/2": `{"Id":"2"}`,
		"/S":   `{"Members":[{"@odata.id":"/S/1"}],"Members@odata.nextLink":"/S?2"}`,
		"/S?2": `{"Members":[{"@odata.id":"/S/2"}]}`,
		"/S/1": `{"Id":"1","Volumes":{"@odata.id":"/V"}}`, "/S/2": `{"Id":"2"}`,
		"/V": `{"Members@odata.count":3}`,
	})
	seen, err := c.Observe(t.Context(), hardware.Target{Node: "node1", URL: "http://bmc1"})
	require.NoError(t, err)
	require.Len(t, seen.Interfaces, 2)
	require.Len(t, seen.Storage, 2, "those of the second page too")
	require.True(t, seen.Storage[0].Partial, "it counts volumes and lists none")
	var gaps []string
	for _, u := range seen.Unreadable {
		gaps = append(gaps, u.Path)
	}
	require.Contains(t, gaps, "/e")
	require.Contains(t, gaps, "/V")
}

// 304 to a read that asked for no comparison is no resource without properties.
func TestUnasked304(t *testing.T) {
	r := newRig(t, 0, nil)
	c := r.configurator(t, answering(reading("/redfish/v1/Systems"), http.StatusNotModified, ""))
	_, err := c.Observe(t.Context(), r.target)
	require.Error(t, err)
	require.Zero(t, r.bmc.Sessions())
}

// A service root that breaks off is a broken connection, not the wrong address.
func TestServiceRootBreaksOff(t *testing.T) {
	c := through(t, roundTripper(func(q *http.Request) (*http.Response, error) {
		resp := reply(q, http.StatusOK, "", nil)
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"Systems":{"@oda`), iotest.ErrReader(io.ErrUnexpectedEOF)))
		return resp, nil
	}))
	_, err := c.Observe(t.Context(), target("node1", "http://bmc1"))
	require.ErrorIs(t, err, hardware.ErrUnreachable)
}
