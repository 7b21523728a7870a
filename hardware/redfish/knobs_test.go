package redfish_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// booted is a machine of a personality with four disks that has booted.
func booted(t *testing.T, p redfishsim.Personality) *rig {
	t.Helper()
	m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1", Personality: p, Times: redfishsim.Times{POST: 30 * time.Second},
		Disks: redfishsim.Disks("n1", 4), NICs: []redfishsim.NIC{{Name: "NIC.1", MAC: "52:54:00:00:00:01", SpeedMbps: 25000}}}, nil)
	require.NoError(t, err)
	require.NoError(t, m.Reset(redfishsim.ResetOn))
	time.Sleep(10 * time.Minute) // in the bubble
	r := rigOf(t, m)
	r.c = r.configurator(t, nil)
	return r
}

func (r *rig) apply(t *testing.T, plan *hardware.Plan) (*hardware.Result, error) {
	t.Helper()
	res, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow})
	require.Zero(t, r.bmc.Sessions())
	return res, err
}

func TestBusyBMC(t *testing.T) {
	for _, p := range []redfishsim.Personality{redfishsim.Generic, redfishsim.Dell, redfishsim.HPE} {
		synctest.Test(t, func(t *testing.T) {
			r := booted(t, p)
			require.NoError(t, r.bmc.SetKnobs(redfishsim.Knobs{ErrorRate: 0.2}))
			plan := r.plan(t, wholeProfile)
			_, err := r.apply(t, plan)
			require.NoError(t, err)
			require.True(t, r.plan(t, wholeProfile).Empty())
		})
	}
}

// A BMC that restarts in the middle of it is waited for, its sessions are opened anew.
func TestBMCRestarts(t *testing.T) {
	for _, when := range []hardware.Phase{hardware.PhaseWaiting, hardware.PhaseDone} {
		synctest.Test(t, func(t *testing.T) {
			r := booted(t, redfishsim.Generic)
			plan := r.plan(t, wholeProfile)
			restarted := false
			_, err := r.c.Apply(t.Context(), r.target, plan, &hardware.ApplyOptions{Authorize: allow, Progress: func(p hardware.Progress) {
				if p.Phase == when && !restarted {
					restarted = true
					r.bmc.RestartBMC(time.Minute)
				}
			}})
			require.True(t, restarted)
			if err != nil { // a change was under way: nobody can say what became of it
				require.ErrorIs(t, err, hardware.ErrUnreachable)
				time.Sleep(2 * time.Minute)
				_, err = r.apply(t, plan)
			}
			require.NoError(t, err)
			require.True(t, r.plan(t, wholeProfile).Empty())
			require.LessOrEqual(t, r.machine.State().Disks["n1-D0"].Wipes, 1)
		})
	}
}

// A job that makes no progress (Dell JCP052, ironcore-dev/metal-operator#453) is named, and after the BMC was
// restarted the plan goes on.
func TestStuckJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Dell)
		plan := r.plan(t, wholeProfile)
		require.NoError(t, r.bmc.SetKnobs(redfishsim.Knobs{StuckJobs: true}))
		_, err := r.apply(t, plan)
		require.ErrorIs(t, err, hardware.ErrNotConverged)
		require.ErrorContains(t, err, "JID_")
		r.bmc.RestartBMC(time.Minute)
		time.Sleep(2 * time.Minute)
		_, err = r.apply(t, plan)
		require.NoError(t, err)
		require.True(t, r.plan(t, wholeProfile).Empty())
		require.Equal(t, 1, r.machine.State().Disks["n1-D0"].Wipes)
		require.Zero(t, r.machine.State().Collisions)
	})
}

// What somebody else scheduled is neither lost nor in the way: on iDRAC their job has to go for
// ours to come, and takes its settings along.
func TestSettingsOfOthersAreKept(t *testing.T) {
	for _, scheduled := range []bool{true, false} {
		t.Run(fmt.Sprintf("scheduled %v", scheduled), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := booted(t, redfishsim.Dell)
				require.NoError(t, r.machine.SetBIOS(map[string]any{"LogicalProc": "Disabled", "ProcVirtualization": "Enabled"}))
				if scheduled {
					_, err := r.machine.CommitBIOS()
					require.NoError(t, err)
				}
				const profile = `{"bios":{"set":"Virtualization"}}`
				plan := r.plan(t, profile)
				if scheduled {
					require.Len(t, plan.Operations, 3, "what pends is not in force")
				}
				res, err := r.apply(t, plan)
				require.NoError(t, err)
				require.Equal(t, 1, res.Reboots)
				require.True(t, r.plan(t, profile).Empty())
				require.Equal(t, "Disabled", r.machine.State().BIOS["LogicalProc"])
			})
		})
	}
}

// An operating system that does not listen is not waited for for ever, and not asked where it
// has nothing to lose.
func TestResetOfADeafSystem(t *testing.T) {
	const profile = `{"bios":{"set":"Virtualization"}}`
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		require.NoError(t, r.bmc.SetKnobs(redfishsim.Knobs{IgnoreShutdown: true, SlowPower: 3}))
		boots := r.machine.State().Boots
		start := time.Now()
		_, err := r.apply(t, r.plan(t, profile))
		require.NoError(t, err)
		require.Greater(t, time.Since(start), 3*time.Minute, "it was asked first")
		require.Equal(t, boots+1, r.machine.State().Boots)
	})
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Generic)
		c, err := redfish.New(redfish.Config{Transport: r.transport(), ResetAtOnce: true})
		require.NoError(t, err)
		start := time.Now()
		_, err = c.Apply(t.Context(), r.target, r.plan(t, profile), nil)
		require.NoError(t, err)
		require.Less(t, time.Since(start), 2*time.Minute)
	})
}

func TestWithoutLicence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Supermicro)
		require.NoError(t, r.bmc.SetKnobs(redfishsim.Knobs{NoLicence: true}))
		boots := r.machine.State().Boots
		_, err := r.apply(t, r.plan(t, `{"bios":{"set":"Virtualization"}}`))
		require.ErrorIs(t, err, hardware.ErrRejected)
		require.NotErrorIs(t, err, hardware.ErrUnauthorized, "the credentials are good")
		require.ErrorContains(t, err, "icense")
		require.Equal(t, boots, r.machine.State().Boots, "nothing is reset for nothing")
	})
}

// All sessions taken: the work is done with Basic authentication.
func TestNoSessionToBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := booted(t, redfishsim.Dell)
		require.NoError(t, r.bmc.SetKnobs(redfishsim.Knobs{SessionLimit: 1}))
		other, err := redfish.New(redfish.Config{Transport: r.transport(), KeepSession: time.Hour})
		require.NoError(t, err)
		_, err = other.Observe(t.Context(), r.target)
		require.NoError(t, err)
		require.Equal(t, 1, r.bmc.Sessions())
		_, err = r.c.Apply(t.Context(), r.target, r.plan(t, wholeProfile), &hardware.ApplyOptions{Authorize: allow})
		require.NoError(t, err)
		require.NoError(t, other.Close(context.Background()))
		require.Zero(t, r.bmc.Sessions())
	})
}

// Numbers as strings and links that are missing cost what they say, and no more.
func TestMalformedReplies(t *testing.T) {
	for _, p := range redfishsim.Personalities() {
		t.Run(string(p), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := booted(t, p)
				right, err := r.c.Observe(t.Context(), r.target)
				require.NoError(t, err)
				require.Empty(t, right.Unreadable)
				require.NoError(t, r.bmc.SetKnobs(redfishsim.Knobs{Malformed: true}))
				seen, err := r.c.Observe(t.Context(), r.target)
				require.NoError(t, err)
				require.Equal(t, right.MemoryBytes, seen.MemoryBytes)
				require.Equal(t, right.Processors, seen.Processors)
				require.Equal(t, right.Interfaces, seen.Interfaces)
				require.Equal(t, len(right.Storage), len(seen.Storage))
				for i, c := range right.Storage {
					require.Equal(t, len(c.Drives), len(seen.Storage[i].Drives))
					require.Equal(t, c.Drives[0].SizeBytes, seen.Storage[i].Drives[0].SizeBytes)
				}
			})
		})
	}
}

// A disk that fails is no reason to destroy the others' data.
func TestFailedDrive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const profile = `{"raid":{"set":"SingleRaid10"}}`
		r := booted(t, redfishsim.Generic)
		_, err := r.apply(t, r.plan(t, profile))
		require.NoError(t, err)
		require.NoError(t, r.machine.FailDrive("n1-D2"))
		seen, err := r.c.Observe(t.Context(), r.target)
		require.NoError(t, err)
		require.Equal(t, "Critical", seen.Storage[0].Drives[2].Health)
		require.NotEqual(t, "OK", seen.Storage[0].Volumes[0].Health)
		require.True(t, r.plan(t, profile).Empty())
	})
}

// Spares come with the volume, and stand by.
func TestSpares(t *testing.T) {
	for _, p := range []redfishsim.Personality{redfishsim.Generic, redfishsim.Dell, redfishsim.HPE} {
		synctest.Test(t, func(t *testing.T) {
			const profile = `{"raid":{"volumes":[{"name":"data","raid_level":"RAID5","disk_count":3,"spare_count":1}]}}`
			r := booted(t, p)
			plan := r.plan(t, profile)
			require.Len(t, plan.Destroys(), 4, "a spare's data is lost too")
			_, err := r.apply(t, plan)
			require.NoError(t, err)
			require.True(t, r.plan(t, profile).Empty())
			require.Len(t, r.machine.State().Volumes[0].Spares, 1)
		})
	}
}
