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
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

const smtOff = `{"bios":{"intents":{"smt":"off"}}}`

// withJob lists a job more in iDRAC's queue while there is one.
func withJob(job func() map[string]any) middleware {
	return edited(func(q *http.Request, o map[string]any, _ http.Header) {
		if !strings.HasSuffix(q.URL.Path, "/Jobs") {
			return
		}
		if j := job(); j != nil {
			j["@odata.id"], j["@odata.type"] = q.URL.Path+"/"+j["Id"].(string), "#DellJob.v1_0_0.DellJob"
			o["Members"] = append(o["Members"].([]any), j)
		}
	})
}

// unexpanded lists jobs as links only.
var unexpanded = edited(func(q *http.Request, o map[string]any, _ http.Header) {
	if strings.HasSuffix(q.URL.Path, "/Jobs") {
		for _, m := range members(o) {
			for name := range m {
				if name != "@odata.id" {
					delete(m, name)
				}
			}
		}
	}
})

// paged lists all jobs on a second page.
var paged = edited(func(q *http.Request, o map[string]any, _ http.Header) {
	if strings.HasSuffix(q.URL.Path, "/Jobs") && !strings.Contains(q.URL.RawQuery, "skip") {
		o["Members"], o["Members@odata.nextLink"] = []any{}, q.URL.Path+"?$skip=50"
	}
})

// changes notes when anything was changed, logins and logouts aside.
func changes(into *[]string, at *[]time.Time) middleware {
	return func(base http.RoundTripper) http.RoundTripper {
		return roundTripper(func(q *http.Request) (*http.Response, error) {
			if q.Method != http.MethodGet && !strings.Contains(q.URL.Path, "/Sessions") {
				*into, *at = append(*into, q.URL.Path), append(*at, time.Now())
			}
			return base.RoundTrip(q)
		})
	}
}

// iDRAC shows what pends as current, so that only the queue tells whether it is in force. Where it
// cannot be read, nothing is success.
func TestNoSuccessWithoutTheQueue(t *testing.T) {
	for name, tt := range map[string]struct {
		between  middleware
		readable bool // though in another way
	}{
		"queue fails":    {between: answering(reading("/Jobs"), http.StatusInternalServerError, `{}`)},
		"queue is busy":  {between: answering(reading("/Jobs"), http.StatusServiceUnavailable, `{}`)},
		"manager fails":  {between: answering(reading("/Managers/iDRAC.Embedded.1"), http.StatusInternalServerError, `{}`)},
		"links only":     {unexpanded, true},
		"a page further": {paged, true},
	} {
		// A run died after it had made its job.
		t.Run(name+", at the start", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := booted(t, redfishsim.Dell)
				plan := r.plan(t, smtOff)
				require.NoError(t, r.machine.SetBIOS(map[string]any{"LogicalProc": "Disabled"}))
				_, err := r.machine.CommitBIOS()
				require.NoError(t, err)
				var sent []string
				c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
					return changes(&sent, new([]time.Time))(tt.between(base))
				})
				_, err = c.Apply(t.Context(), r.target, plan, nil)
				if tt.readable {
					require.NoError(t, err)
					require.Equal(t, "Disabled", r.machine.State().BIOS["LogicalProc"])
					return
				}
				require.Error(t, err)
				require.Empty(t, sent)
			})
		})
		// The job is stuck, and after the reset the queue cannot be read.
		t.Run(name+", in the end", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := booted(t, redfishsim.Dell)
				plan := r.plan(t, smtOff)
				require.NoError(t, r.bmc.SetKnobs(redfishsim.Knobs{StuckJobs: true}))
				reset := false
				c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
					return roundTripper(func(q *http.Request) (*http.Response, error) {
						if reset = reset || isReset(q); reset {
							return tt.between(base).RoundTrip(q)
						}
						return base.RoundTrip(q)
					})
				})
				_, err := c.Apply(t.Context(), r.target, plan, nil)
				require.Error(t, err)
				require.True(t, reset)
				require.NotEqual(t, "Disabled", r.machine.State().BIOS["LogicalProc"])
			})
		})
	}
}

// Reboot jobs that have ended stay in iDRAC's queue (RID_) and are in nobody's way.
func TestRebootJobThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Dell)
		c := r.configurator(t, withJob(func() map[string]any {
			return map[string]any{"Id": "RID_1", "Name": "Reboot3", "JobType": "RebootForce", "JobState": "RebootCompleted", "PercentComplete": 100}
		}))
		_, err := c.Apply(t.Context(), r.target, r.plan(t, smtOff), nil)
		require.NoError(t, err)
	})
}

// A RAID job that stays scheduled (a maintenance window, a stuck queue) is reset for once, and then
// named.
func TestJobThatNoResetStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Dell)
		plan := r.plan(t, `{"raid":{"set":"SingleRaid10"}}`)
		c := r.configurator(t, withJob(func() map[string]any {
			return map[string]any{"Id": "JID_1", "Name": "Configure: RAID", "JobType": "RAIDConfiguration", "JobState": "Scheduled", "StartTime": "2030-01-01T00:00:00"}
		}))
		boots := r.machine.State().Boots
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Hour)
		defer cancel()
		_, err := c.Apply(ctx, r.target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.ErrorIs(t, err, hardware.ErrNotConverged)
		require.ErrorContains(t, err, "JID_1")
		require.Equal(t, boots+1, r.machine.State().Boots)
		require.Empty(t, r.machine.State().Volumes)
	})
}

// A job at work is let finish before anything is changed.
func TestRunningJobIsWaitedFor(t *testing.T) {
	for _, profile := range []string{smtOff, `{"raid":{"set":"SingleRaid10"}}`} {
		synctest.Test(t, func(t *testing.T) {
			r := booted(t, redfishsim.Dell)
			plan := r.plan(t, profile)
			end := time.Now().Add(7 * time.Minute)
			running := withJob(func() map[string]any {
				if time.Now().After(end) {
					return nil
				}
				return map[string]any{"Id": "JID_1", "Name": "Configure: RAID", "JobType": "RAIDConfiguration", "JobState": "Running"}
			})
			var sent []string
			var at []time.Time
			c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper { return running(changes(&sent, &at)(base)) })
			_, err := c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
			require.NoError(t, err)
			require.True(t, at[0].After(end), "%s was sent while the job ran", sent[0])
		})
	}
}

// A change of volumes that waits for a reset gets it before others are made.
func TestScheduledVolumesComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Dell)
		plan := r.plan(t, `{"raid":{"set":"SingleRaid10"}}`)
		reset := false
		scheduled := withJob(func() map[string]any {
			if reset {
				return nil
			}
			return map[string]any{"Id": "JID_1", "Name": "Configure: RAID", "JobType": "RAIDConfiguration", "JobState": "Scheduled"}
		})
		var sent []string
		c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
			return scheduled(roundTripper(func(q *http.Request) (*http.Response, error) {
				reset = reset || isReset(q)
				return changes(&sent, new([]time.Time))(base).RoundTrip(q)
			}))
		})
		res, err := c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
		require.NoError(t, err)
		require.Contains(t, sent[0], "ComputerSystem.Reset")
		require.Contains(t, sent[len(sent)-1], "/Volumes")
		require.Equal(t, 1, res.Reboots)
	})
}

// On iDRAC the job goes on after the POST; what it sets is in force when it has ended.
func TestJobAfterPOSTIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Dell)
		plan := r.plan(t, smtOff)
		var end time.Time
		working := withJob(func() map[string]any {
			if !time.Now().Before(end) {
				return nil
			}
			return map[string]any{"Id": "JID_1", "Name": "Configure: BIOS.Setup.1-1", "JobType": "BIOSConfiguration", "JobState": "Running"}
		})
		c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
			return working(roundTripper(func(q *http.Request) (*http.Response, error) {
				if isReset(q) {
					end = time.Now().Add(15 * time.Minute)
				}
				return base.RoundTrip(q)
			}))
		})
		_, err := c.Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		require.False(t, end.IsZero())
		require.False(t, time.Now().Before(end), "it said done while the job ran")
	})
}

// Settings that were accepted with a task are in force when that has ended, whatever reads back.
func TestTaskOfSettingsIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		plan := r.plan(t, smtOff)
		var end time.Time
		c := r.configurator(t, func(base http.RoundTripper) http.RoundTripper {
			return roundTripper(func(q *http.Request) (*http.Response, error) {
				if q.URL.Path == "/task" && time.Now().Before(end) {
					return reply(q, http.StatusOK, `{"TaskState":"Running"}`, nil), nil
				} else if q.URL.Path == "/task" {
					return reply(q, http.StatusOK, `{"TaskState":"Completed"}`, nil), nil
				}
				resp, err := base.RoundTrip(q)
				if err == nil && q.Method == http.MethodPatch {
					end = time.Now().Add(15 * time.Minute)
					resp.Body.Close()
					return reply(q, http.StatusAccepted, "", http.Header{"Location": {"/task"}}), nil
				}
				return resp, err
			})
		})
		_, err := c.Apply(t.Context(), r.target, plan, nil)
		require.NoError(t, err)
		require.False(t, end.IsZero())
		require.False(t, time.Now().Before(end), "it said done while the task ran")
	})
}

// A PowerEdge with Open Server Manager (OpenBMC) has no queue of Dell's; its tasks are the jobs.
func TestDellWithoutAQueue(t *testing.T) {
	c := over(t, "bmc1", resources{
		"/redfish/v1/": `{"Vendor":"Dell","Systems":{"@odata.id":"/s"},"Tasks":{"@odata.id":"/T"}}`,
		"/s":           `{"Members":[{"@odata.id":"/sys"}]}`,
		"/sys":         `{"Manufacturer":"Dell Inc.","PowerState":"On","Links":{"ManagedBy":[{"@odata.id":"/m"}]}}`,
		"/m":           `{"Id":"bmc"}`,
		"/T":           `{"Tasks":{"@odata.id":"/T/T"}}`,
		"/T/T":         `{"Members":[{"@odata.id":"/T/T/1"}]}`,
		"/T/T/1":       `{"Id":"1","TaskState":"Running"}`,
	})
	seen, err := c.Observe(t.Context(), hardware.Target{Node: "node1", URL: "http://bmc1"})
	require.NoError(t, err)
	require.Equal(t, "dell", seen.BMC.Vendor)
	require.Len(t, seen.Jobs, 1)
}
