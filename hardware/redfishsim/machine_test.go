package redfishsim_test

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const controller = "RAID.Integrated.1-1"

func newMachine(t testing.TB, disks int, opts *redfishsim.Options) *redfishsim.Machine {
	t.Helper()
	m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "n1", Disks: redfishsim.Disks("n1", disks)}, opts)
	require.NoError(t, err)
	return m
}

func TestPowerTakesTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, 1, nil)
		is := func(want redfishsim.Power, boots int) {
			t.Helper()
			s := m.State()
			require.Equal(t, want, s.Power)
			require.Equal(t, boots, s.Boots)
		}
		is(redfishsim.PowerOff, 0)
		require.NoError(t, m.Reset(redfishsim.ResetOn))
		is(redfishsim.PowerPOST, 0)
		time.Sleep(89 * time.Second)
		is(redfishsim.PowerPOST, 0)
		time.Sleep(time.Second)
		is(redfishsim.PowerOn, 1)
		require.NoError(t, m.Reset(redfishsim.ResetForceRestart))
		is(redfishsim.PowerCycling, 1)
		time.Sleep(5 * time.Second)
		is(redfishsim.PowerPOST, 1)
		require.ErrorIs(t, m.Reset(redfishsim.ResetGracefulShutdown), redfishsim.ErrConflict, "nothing runs in POST")
		time.Sleep(90 * time.Second)
		require.NoError(t, m.Reset(redfishsim.ResetGracefulShutdown))
		is(redfishsim.PowerShutdown, 2)
		time.Sleep(20 * time.Second)
		is(redfishsim.PowerOff, 2)
		require.ErrorIs(t, m.Reset("Explode"), redfishsim.ErrInvalid)

		// Looked at late, it has gone through everything at the right times.
		require.NoError(t, m.Reset(redfishsim.ResetOn))
		started := time.Now()
		time.Sleep(time.Hour)
		require.Equal(t, started, m.State().LastReset)
		is(redfishsim.PowerOn, 3)
	})
}

func TestBIOSPendsUntilPOST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMachine(t, 0, nil)
		require.NoError(t, m.SetBIOS(map[string]any{"ProcVirtualization": "Enabled", "AssetTag": "rack 7", "AcPwrRcvryUserDelay": 90.0}))
		s := m.State()
		require.Equal(t, "Disabled", s.BIOS["ProcVirtualization"])
		require.Equal(t, "rack 7", s.BIOS["AssetTag"], "needs no reset")
		require.Equal(t, map[string]any{"ProcVirtualization": "Enabled", "AcPwrRcvryUserDelay": int64(90)}, s.Pending)
		require.NoError(t, m.SetBIOS(map[string]any{"ProcVirtualization": "Disabled"}), "back to what is in force")
		require.NotContains(t, m.State().Pending, "ProcVirtualization")

		require.NoError(t, m.Reset(redfishsim.ResetOn))
		require.Equal(t, int64(60), m.State().BIOS["AcPwrRcvryUserDelay"])
		time.Sleep(2 * time.Minute)
		require.Equal(t, int64(90), m.State().BIOS["AcPwrRcvryUserDelay"])
		require.Empty(t, m.State().Pending)

		before := m.State()
		for name, values := range map[string]map[string]any{
			"unknown": {"Nope": "x"}, "read-only": {"SysMemSize": "1"}, "outside": {"ProcVirtualization": "Maybe"}, "range": {"AcPwrRcvryUserDelay": 10},
			"type": {"AcPwrRcvryUserDelay": "90"}, "one good, one bad": {"LogicalProc": "Disabled", "Nope": 1},
		} {
			require.ErrorIs(t, m.SetBIOS(values), redfishsim.ErrInvalid, name)
		}
		require.Empty(t, cmp.Diff(before, m.State()))
	})
}

func TestDisksRemember(t *testing.T) {
	m := newMachine(t, 3, nil)
	require.Equal(t, "n1-D0", m.BootDisk())
	disk := func(serial string) redfishsim.DiskState { return m.State().Disks[serial] }
	require.Equal(t, redfishsim.DiskState{Contents: "old data"}, disk("n1-D0"))

	id, err := m.CreateVolume(redfishsim.Volume{Controller: controller, Name: "a", RAIDLevel: hardware.RAID1, Disks: []string{"n1-D0", "n1-D1"}, Bootable: true})
	require.NoError(t, err)
	require.Equal(t, redfishsim.DiskState{Wipes: 1}, disk("n1-D0"), "making a volume destroys")
	require.Equal(t, redfishsim.DiskState{Contents: "old data"}, disk("n1-D2"))
	require.Equal(t, id, m.BootDisk())

	require.NoError(t, m.Write(id, "linux"))
	require.Equal(t, redfishsim.DiskState{Contents: "linux", Wipes: 1}, disk("n1-D1"), "a fresh volume holds nothing to destroy")
	require.NoError(t, m.Write(id, "linux 2"))
	require.Equal(t, redfishsim.DiskState{Contents: "linux 2", Wipes: 2}, disk("n1-D1"))
	require.NoError(t, m.Write("n1-D2", "data"))
	require.Equal(t, redfishsim.DiskState{Contents: "data", Wipes: 1}, disk("n1-D2"))
	contents, err := m.Contents(id)
	require.NoError(t, err)
	require.Equal(t, "linux 2", contents)

	require.ErrorIs(t, m.Write("n1-D0", "x"), redfishsim.ErrConflict, "inside a volume")
	require.ErrorIs(t, m.Write("nope", "x"), redfishsim.ErrNotFound)
	require.NoError(t, m.Wipe("n1-D2"))
	require.Equal(t, redfishsim.DiskState{Wipes: 2}, disk("n1-D2"))

	require.NoError(t, m.DeleteVolume(id))
	require.Equal(t, redfishsim.DiskState{Wipes: 3}, disk("n1-D0"))
	require.ErrorIs(t, m.DeleteVolume(id), redfishsim.ErrNotFound)
	require.Equal(t, 3, disk("n1-D0").Wipes)
}

func TestCreateVolumeRefuses(t *testing.T) {
	m := newMachine(t, 4, nil)
	_, err := m.CreateVolume(redfishsim.Volume{Controller: controller, RAIDLevel: hardware.RAID0, Disks: []string{"n1-D3"}})
	require.NoError(t, err)
	before := m.State()
	for name, tt := range map[string]struct {
		v    redfishsim.Volume
		want error
	}{
		"no controller": {redfishsim.Volume{RAIDLevel: hardware.RAID0, Disks: []string{"n1-D0"}}, redfishsim.ErrNotFound},
		"no disk":       {redfishsim.Volume{Controller: controller, RAIDLevel: hardware.RAID0, Disks: []string{"x"}}, redfishsim.ErrNotFound},
		"disks in use":  {redfishsim.Volume{Controller: controller, RAIDLevel: hardware.RAID1, Disks: []string{"n1-D0", "n1-D3"}}, redfishsim.ErrConflict},
		"too few":       {redfishsim.Volume{Controller: controller, RAIDLevel: hardware.RAID5, Disks: []string{"n1-D0", "n1-D1"}}, redfishsim.ErrInvalid},
		"twice":         {redfishsim.Volume{Controller: controller, RAIDLevel: hardware.RAID1, Disks: []string{"n1-D0", "n1-D0"}}, redfishsim.ErrInvalid},
		"too large":     {redfishsim.Volume{Controller: controller, RAIDLevel: hardware.RAID0, Disks: []string{"n1-D0"}, SizeBytes: 1 << 50}, redfishsim.ErrInvalid},
		"JBOD":          {redfishsim.Volume{Controller: controller, RAIDLevel: hardware.JBOD, Disks: []string{"n1-D0"}}, redfishsim.ErrInvalid},
	} {
		_, err := m.CreateVolume(tt.v)
		require.ErrorIs(t, err, tt.want, name)
	}
	require.Empty(t, cmp.Diff(before, m.State()), "a refusal changes nothing")
}

func TestEventsComeInOrderWithoutTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		var m *redfishsim.Machine
		m = newMachine(t, 1, &redfishsim.Options{OnPower: func(e redfishsim.PowerEvent) {
			mu.Lock()
			got = append(got, string(e.Kind)+e.Boot)
			n := len(got)
			mu.Unlock()
			if n == 1 { // what booted writes to disk and restarts the machine, from inside the hook
				_ = m.Write(m.BootDisk(), "agent was here")
				_ = m.Reset(redfishsim.ResetForceRestart)
			}
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		require.NoError(t, m.SetBoot("Pxe", "Once"))
		require.NoError(t, m.Reset(redfishsim.ResetOn))
		time.Sleep(10 * time.Minute)
		require.NoError(t, m.Reset(redfishsim.ResetGracefulShutdown))
		time.Sleep(time.Minute)
		mu.Lock()
		require.Equal(t, []string{"bootedPxe", "powered_off", "booted", "stopping", "powered_off"}, got)
		mu.Unlock()
		require.Equal(t, "Disabled", m.State().BootEnabled, "used up")
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

func TestRestoreAtEveryChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var states []redfishsim.State
		m := newMachine(t, 4, &redfishsim.Options{OnChange: func(s redfishsim.State) { states = append(states, s) }})
		require.NoError(t, m.SetBIOS(map[string]any{"AcPwrRcvryUserDelay": 120, "LogicalProc": "Disabled"}))
		_, err := m.CreateVolume(redfishsim.Volume{Controller: controller, RAIDLevel: hardware.RAID10, Disks: []string{"n1-D0", "n1-D1", "n1-D2", "n1-D3"}})
		require.NoError(t, err)
		require.NoError(t, m.SetBoot("Hdd", "Continuous"))
		require.NoError(t, m.Write(m.BootDisk(), "linux"))
		require.NoError(t, m.Reset(redfishsim.ResetOn))
		time.Sleep(time.Hour)
		m.Advance()
		require.Len(t, states, 6)
		for i, s := range states {
			require.Equal(t, uint64(i+1), s.Revision)
			data, err := json.Marshal(s)
			require.NoError(t, err)
			var stored redfishsim.State
			require.NoError(t, json.Unmarshal(data, &stored))
			back := newMachine(t, 4, &redfishsim.Options{State: &stored})
			got := back.State()
			want := s
			if want.Power == redfishsim.PowerPOST { // its POST ended while it was down
				want = states[5]
			}
			require.Empty(t, cmp.Diff(want, got), "restored at change %d", i+1)
		}
	})
}

func TestSpecIsChecked(t *testing.T) {
	for name, spec := range map[string]redfishsim.Spec{
		"no name":            {},
		"serial twice":       {Name: "a", Disks: []redfishsim.Disk{{Serial: "s", SizeBytes: 1}, {Serial: "s", SizeBytes: 1}}},
		"no size":            {Name: "a", Disks: []redfishsim.Disk{{Serial: "s"}}},
		"unknown controller": {Name: "a", Disks: []redfishsim.Disk{{Serial: "s", SizeBytes: 1, Controller: "x"}}},
		"unknown attribute":  {Name: "a", BIOS: map[string]any{"Nope": 1}},
	} {
		_, err := redfishsim.NewMachine(spec, nil)
		require.ErrorIs(t, err, redfishsim.ErrInvalid, name)
	}
	spec := redfishsim.Spec{Name: "a", Times: redfishsim.Times{POST: 1500 * time.Millisecond}}
	data, err := json.Marshal(spec)
	require.NoError(t, err)
	require.Contains(t, string(data), `"post_seconds":1.5`)
	var back redfishsim.Spec
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, spec, back)
}

// No sequence of commands puts a disk into two volumes, loses a wipe or makes a volume of a
// wrong size.
func TestDiskModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "n1", Disks: redfishsim.Disks("n1", 6)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		wipes := map[string]int{}
		serials := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"n1-D0", "n1-D1", "n1-D2", "n1-D3", "n1-D4", "n1-D5"}), 1, 6, rapid.ID[string])
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				disks := serials.Draw(t, "disks")
				if _, err := m.CreateVolume(redfishsim.Volume{Controller: controller, RAIDLevel: rapid.SampledFrom(hardware.RAIDLevels()).Draw(t, "level"), Disks: disks}); err == nil {
					for _, d := range disks {
						wipes[d]++
					}
				}
			},
			"delete": func(t *rapid.T) {
				vs := m.State().Volumes
				if len(vs) == 0 {
					t.Skip("none")
				}
				v := rapid.SampledFrom(vs).Draw(t, "volume")
				if err := m.DeleteVolume(v.ID); err != nil {
					t.Fatal(err)
				}
				for _, d := range v.Disks {
					wipes[d]++
				}
			},
			"": func(t *rapid.T) {
				s := m.State()
				member := map[string]bool{}
				for _, v := range s.Volumes {
					var sizes []int64
					for _, d := range v.Disks {
						if member[d] {
							t.Fatalf("%s is in two volumes", d)
						}
						member[d] = true
						sizes = append(sizes, 1_000_204_886_016)
					}
					if usable, err := v.RAIDLevel.Usable(sizes); err != nil || usable != v.SizeBytes {
						t.Fatalf("%s of %d disks has %d bytes", v.RAIDLevel, len(sizes), v.SizeBytes)
					}
				}
				for serial, d := range s.Disks {
					if d.Wipes != wipes[serial] {
						t.Fatalf("%s: %d wipes, want %d", serial, d.Wipes, wipes[serial])
					}
				}
			},
		})
	})
}
