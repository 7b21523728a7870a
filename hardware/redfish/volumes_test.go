package redfish_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// renumbering is a controller of six disks that numbers its volumes 1, 2, 3 anew after each
// deletion, as those do that name them by their place.
type renumbering struct {
	mu      sync.Mutex
	volumes [][2]int // its disks; the ID is the index + 1
	deleted [][2]int
}

func (s *renumbering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var n int
	if k, _ := fmt.Sscanf(r.URL.Path, "/V/%d", &n); k == 1 && r.Method == http.MethodDelete {
		if n > len(s.volumes) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		s.deleted = append(s.deleted, s.volumes[n-1])
		s.volumes = append(s.volumes[:n-1:n-1], s.volumes[n:]...)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var drives, volumes []string
	for i := range 6 {
		drives = append(drives, fmt.Sprintf(`{"@odata.id":"/D/%d","Id":"%d","SerialNumber":"S%d","CapacityBytes":100}`, i+1, i+1, i+1))
	}
	for i, v := range s.volumes {
		volumes = append(volumes, mirror("/V", i+1, v[0], v[1]))
	}
	resources{
		"/redfish/v1/": `{"Systems":{"@odata.id":"/s"}}`,
		"/s":           `{"Members":[{"@odata.id":"/sys"}]}`,
		"/sys":         `{"Storage":{"@odata.id":"/S"},"PowerState":"On"}`,
		"/S":           `{"Members":[{"@odata.id":"/S/1"}]}`,
		"/S/1":         `{"Id":"1","Drives":[` + strings.Join(drives, ",") + `],"Volumes":{"@odata.id":"/V"}}`,
		"/V":           `{"Members":[` + strings.Join(volumes, ",") + `]}`,
	}.ServeHTTP(w, r)
}

// mirror is a volume of two disks.
func mirror(in string, id, a, b int) string {
	return fmt.Sprintf(`{"@odata.id":"%s/%d","Id":"%[2]d","Name":"v","RAIDType":"RAID1","CapacityBytes":100,"Links":{"Drives":[{"@odata.id":"/D/%d"},{"@odata.id":"/D/%d"}]}}`, in, id, a, b)
}

func (s *renumbering) plan(t *testing.T, profile string) (hardware.Configurator, hardware.Target, *hardware.Plan) {
	t.Helper()
	c, target := over(t, "bmc1", s), hardware.Target{Node: "node1", URL: "http://bmc1"}
	seen, err := c.Observe(t.Context(), target)
	require.NoError(t, err)
	want, err := hardware.ParseProfile([]byte(profile))
	require.NoError(t, err)
	plan, err := hardware.NewPlan(want, seen)
	require.NoError(t, err)
	return c, target, plan
}

// A volume is known by its disks: the second deletion must not hit what took over the number.
func TestVolumesAreNumberedAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &renumbering{volumes: [][2]int{{1, 2}, {3, 4}, {5, 6}}}
		c, target, plan := s.plan(t, `{"raid":{"volumes":[{"name":"keep","raid_level":"RAID1","disks":["S5","S6"]},{"name":"rest","raid_level":"JBOD","disk_count":"remaining"}]}}`)
		_, err := c.Apply(t.Context(), target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.NoError(t, err)
		require.Equal(t, [][2]int{{1, 2}, {3, 4}}, s.deleted)
	})
}

// Who authorizes may think for hours. What is deleted then is what was shown, or nothing.
func TestVolumeChangesWhileAuthorizing(t *testing.T) {
	for name, tt := range map[string]struct {
		now     [][2]int
		deleted [][2]int
		err     error
	}{
		"became another":        {now: [][2]int{{3, 4}}},
		"moved to a new number": {now: [][2]int{{3, 4}, {1, 2}}, deleted: [][2]int{{1, 2}}},
		"is gone":               {},
		"has other disks":       {now: [][2]int{{1, 3}}, err: hardware.ErrStalePlan},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &renumbering{volumes: [][2]int{{1, 2}}}
				c, target, plan := s.plan(t, `{"raid":{"set":"JBODOnly"}}`)
				_, err := c.Apply(t.Context(), target, plan, &hardware.ApplyOptions{Authorize: func(_ context.Context, d hardware.Destruction) error {
					require.Equal(t, []string{"S1", "S2"}, d.Disks)
					s.mu.Lock()
					s.volumes = tt.now
					s.mu.Unlock()
					return nil
				}})
				require.ErrorIs(t, err, tt.err)
				require.Equal(t, tt.deleted, s.deleted, "S1 and S2 were authorized")
			})
		})
	}
}

// Nor is a volume created on disks that somebody took meanwhile, whether the BMC would or not.
func TestDisksAreTakenWhileAuthorizing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		plan := r.plan(t, `{"raid":{"set":"SingleRaid10"}}`)
		var sent []string
		c := r.configurator(t, changes(&sent, new([]time.Time)))
		_, err := c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: func(context.Context, hardware.Destruction) error {
			_, err := r.machine.CreateVolume(redfishsim.Volume{Controller: "RAID.Integrated.1-1", Name: "theirs", RAIDLevel: hardware.RAID0, Disks: []string{"n1-D3"}})
			return err
		}})
		require.ErrorIs(t, err, hardware.ErrStalePlan)
		require.Empty(t, sent)
	})
}

// A collection that counts a volume and lists none, as while the controller is busy, does not show
// that a lost deletion took effect.
func TestVolumesThatAreOnlyCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &renumbering{volumes: [][2]int{{1, 2}}}
		_, target, plan := s.plan(t, `{"raid":{"set":"JBODOnly"}}`)
		lost := false
		c := through(t, roundTripper(func(q *http.Request) (*http.Response, error) {
			switch {
			case q.Method == http.MethodDelete:
				lost = true
				return reply(q, http.StatusInternalServerError, `{}`, nil), nil
			case lost && q.URL.Path == "/V":
				return reply(q, http.StatusOK, `{"@odata.id":"/V","Members@odata.count":1}`, nil), nil
			}
			return redfishsim.Transport(func(string) http.Handler { return s }).RoundTrip(q)
		}))
		res, err := c.Apply(t.Context(), target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.ErrorIs(t, err, hardware.ErrUnknownOutcome)
		require.Empty(t, res.Done)
	})
}

// Two storage resources that call themselves the same, or nothing: each keeps its own volumes.
func TestControllersOfOneID(t *testing.T) {
	for _, name := range []string{"1", ""} {
		t.Run("ID "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				controller := func(n, a, b int) string {
					return fmt.Sprintf(`{"@odata.id":"/S/%d","Id":"%s","Drives":[{"@odata.id":"/D/%d"},{"@odata.id":"/D/%d"}],"Volumes":{"@odata.id":"/V%[1]d"}}`, n, name, a, b)
				}
				h := resources{
					"/redfish/v1/": `{"Systems":{"@odata.id":"/s"}}`, "/s": `{"Members":[{"@odata.id":"/sys"}]}`,
					"/sys": `{"Storage":{"@odata.id":"/S"},"PowerState":"On"}`, "/S": `{"Members":[{"@odata.id":"/S/1"},{"@odata.id":"/S/2"}]}`,
					"/S/1": controller(1, 1, 2), "/S/2": controller(2, 3, 4),
					"/V1": `{"Members":[` + mirror("/V1", 1, 1, 2) + `]}`, "/V2": `{"Members":[` + mirror("/V2", 1, 3, 4) + `]}`,
				}
				for d := 1; d <= 4; d++ {
					h[fmt.Sprintf("/D/%d", d)] = fmt.Sprintf(`{"@odata.id":"/D/%d","Id":"%[1]d","SerialNumber":"S%[1]d","CapacityBytes":100}`, d)
				}
				var deleted []string
				c := through(t, roundTripper(func(q *http.Request) (*http.Response, error) {
					if q.Method == http.MethodDelete {
						deleted = append(deleted, q.URL.Path)
						h["/"+strings.Split(q.URL.Path, "/")[1]] = `{"Members":[]}`
						return reply(q, http.StatusNoContent, "", nil), nil
					}
					return redfishsim.Transport(func(string) http.Handler { return h }).RoundTrip(q)
				}))
				target := hardware.Target{Node: "node1", URL: "http://bmc1"}
				seen, err := c.Observe(t.Context(), target)
				require.NoError(t, err)
				for i, volume := range []string{"/V1/1", "/V2/1"} {
					disks := []string{seen.Storage[i].Drives[0].Serial, seen.Storage[i].Drives[1].Serial}
					plan, err := hardware.NewPlan(hardware.Profile{RAID: &hardware.RAIDProfile{Volumes: []hardware.VolumeProfile{{Name: "a", RAIDLevel: hardware.JBOD, Disks: disks, DiskCount: 2}}}}, seen)
					require.NoError(t, err)
					require.Equal(t, disks, plan.Destroys())
					deleted = nil
					_, err = c.Apply(t.Context(), target, plan, &hardware.ApplyOptions{Authorize: allow})
					require.NoError(t, err)
					require.Equal(t, []string{volume}, deleted)
				}
			})
		})
	}
}

// Disks of two controllers that bear the same names: to allow the loss of "0" would not say which.
func TestDisksOfOneName(t *testing.T) {
	h := resources{
		"/redfish/v1/": `{"Systems":{"@odata.id":"/s"}}`, "/s": `{"Members":[{"@odata.id":"/sys"}]}`,
		"/sys": `{"Storage":{"@odata.id":"/S"},"PowerState":"On"}`, "/S": `{"Members":[{"@odata.id":"/S/A"},{"@odata.id":"/S/B"}]}`,
	}
	for _, c := range []string{"A", "B"} {
		h["/S/"+c] = fmt.Sprintf(`{"@odata.id":"/S/%s","Id":"%[1]s","Drives":[{"@odata.id":"/D/%[1]s0","Id":"0","CapacityBytes":100},{"@odata.id":"/D/%[1]s1","Id":"1","CapacityBytes":100}],"Volumes":{"@odata.id":"/V%[1]s"}}`, c)
		h["/V"+c] = `{"Members":[]}`
	}
	seen, err := over(t, "bmc1", h).Observe(t.Context(), hardware.Target{Node: "node1", URL: "http://bmc1"})
	require.NoError(t, err)
	for _, c := range []string{"A", "B"} {
		_, err = hardware.NewPlan(hardware.Profile{RAID: &hardware.RAIDProfile{Volumes: []hardware.VolumeProfile{{Name: "x", RAIDLevel: hardware.RAID1, DiskCount: 2, Controller: c}}}}, seen)
		require.ErrorIs(t, err, hardware.ErrInvalid, "nothing is destroyed on what cannot be told apart")
	}
}

// Volumes that cannot be read are not volumes that are not there.
func TestNoRAIDPlanWithoutTheVolumes(t *testing.T) {
	for name, unread := range map[string]func(*http.Request) bool{
		"all": reading("/Volumes"),
		"one": func(q *http.Request) bool { return strings.Contains(q.URL.Path, "/Volumes/") },
		"along with their controller": func(q *http.Request) bool {
			return strings.HasSuffix(q.URL.Path, "/Storage") && q.URL.RawQuery != "" || strings.Contains(q.URL.Path, "/Volumes/")
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 4, nil)
			_, err := r.machine.CreateVolume(redfishsim.Volume{Controller: "RAID.Integrated.1-1", Name: "data", RAIDLevel: hardware.RAID1, Disks: []string{"n1-D0", "n1-D1"}})
			require.NoError(t, err)
			fails, hits := answering(unread, http.StatusInternalServerError, `{}`), 0
			c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
				count := roundTripper(func(q *http.Request) (*http.Response, error) {
					if unread(q) {
						hits++
					}
					return fails(base).RoundTrip(q)
				})
				return edited(func(q *http.Request, o map[string]any, _ http.Header) { // nothing comes expanded
					if q.URL.Path == "/redfish/v1/" {
						delete(o, "ProtocolFeaturesSupported")
					}
				})(count)
			})
			seen, err := c.Observe(t.Context(), r.target)
			require.NoError(t, err)
			require.Positive(t, hits)
			require.True(t, seen.Storage[0].Partial)
			require.NotEmpty(t, seen.Unreadable)
			_, err = hardware.NewPlan(hardware.Profile{RAID: &hardware.RAIDProfile{Set: "SingleRaid10"}}, seen)
			require.ErrorIs(t, err, hardware.ErrInvalid)
		})
	}
}

// A controller that makes a volume of another size, or without its spares, did not do what was
// asked; taken for done, the next plan would delete and make it again, and so on for ever.
func TestSizeAndSparesAreVerified(t *testing.T) {
	for member, tt := range map[string]struct{ volume, says string }{
		"CapacityBytes":        {`{"name":"os","raid_level":"RAID1","disk_count":2,"size_bytes":100000000000}`, "size_bytes"},
		"DedicatedSpareDrives": {`{"name":"os","raid_level":"RAID1","disk_count":2,"spare_count":1}`, "spares"},
	} {
		t.Run(member, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := booted(t, redfishsim.Generic)
				plan := r.plan(t, `{"raid":{"volumes":[`+tt.volume+`]}}`)
				c := r.configurator(t, without(member))
				res, err := c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
				require.ErrorIs(t, err, hardware.ErrUnsupported)
				require.ErrorContains(t, err, tt.says)
				require.Empty(t, res.Done)
				require.Len(t, r.machine.State().Volumes, 1)
			})
		})
	}
}

// without is a BMC that ignores a member of the body, or its links, of creations.
func without(member string) middleware {
	return func(base http.RoundTripper) http.RoundTripper {
		return roundTripper(func(q *http.Request) (*http.Response, error) {
			if q.Method == http.MethodPost && strings.HasSuffix(q.URL.Path, "/Volumes") {
				var o map[string]any
				if err := json.NewDecoder(q.Body).Decode(&o); err != nil {
					return nil, err
				}
				delete(o, member)
				delete(o["Links"].(map[string]any), member)
				data, err := json.Marshal(o)
				if err != nil {
					return nil, err
				}
				q = q.Clone(q.Context())
				q.Body, q.ContentLength = io.NopCloser(strings.NewReader(string(data))), int64(len(data))
			}
			return base.RoundTrip(q)
		})
	}
}
