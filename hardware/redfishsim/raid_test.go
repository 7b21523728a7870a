package redfishsim_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

const controllerPath = "/redfish/v1/Systems/1/Storage/" + controller

func driveStatus(t *testing.T, b http.Handler, serial string) (health, hotspare any) {
	_, doc := ask(t, b, http.MethodGet, controllerPath+"/Drives/"+serial, "")
	return doc["Status"].(map[string]any)["Health"], doc["HotspareType"]
}

func volumeHealth(t *testing.T, b http.Handler, id string) any {
	_, doc := ask(t, b, http.MethodGet, controllerPath+"/Volumes/"+id, "")
	return doc["Status"].(map[string]any)["Health"]
}

// A dedicated spare takes the place of a disk that fails, with the contents of the volume.
func TestSpareTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBMC(t, 5)
		m := b.Machine()
		link := func(serial string) string { return `{"@odata.id":"` + controllerPath + `/Drives/` + serial + `"}` }
		w, doc := ask(t, b, http.MethodPost, controllerPath+"/Volumes", `{"Name":"data","RAIDType":"RAID5","StripSizeBytes":131072,"Links":{"Drives":[`+
			link("n1-D0")+","+link("n1-D1")+","+link("n1-D2")+`],"DedicatedSpareDrives":[`+link("n1-D3")+`]}}`)
		require.Equal(t, http.StatusCreated, w.Code, w.Body.String())
		id := doc["Id"].(string)
		require.EqualValues(t, 131072, doc["StripSizeBytes"])
		require.EqualValues(t, 2*1_000_204_886_016, doc["CapacityBytes"])
		require.Len(t, doc["Links"].(map[string]any)["DedicatedSpareDrives"], 1)
		require.Equal(t, 1, m.State().Disks["n1-D3"].Wipes, "what a spare held is gone")
		_, err := m.CreateVolume(redfishsim.Volume{Controller: controller, RAIDLevel: hardware.RAID0, Disks: []string{"n1-D3"}})
		require.ErrorIs(t, err, redfishsim.ErrConflict, "the spare belongs to the volume")
		_, err = m.CreateVolume(redfishsim.Volume{Controller: controller, RAIDLevel: hardware.RAID0, Disks: []string{"n1-D4"}, Spares: []string{"n1-D3"}})
		require.ErrorIs(t, err, redfishsim.ErrInvalid, "no use to RAID0")
		require.NoError(t, m.Write(id, "linux"))
		health, hotspare := driveStatus(t, b, "n1-D3")
		require.Equal(t, []any{"OK", "Dedicated"}, []any{health, hotspare})

		require.NoError(t, m.FailDrive("n1-D1"))
		health, _ = driveStatus(t, b, "n1-D1")
		require.Equal(t, "Critical", health)
		require.Equal(t, "Warning", volumeHealth(t, b, id))
		_, doc = ask(t, b, http.MethodGet, controllerPath+"/Volumes/"+id, "")
		require.Equal(t, "Rebuilding", doc["Operations"].([]any)[0].(map[string]any)["OperationName"])
		_, tasks := ask(t, b, http.MethodGet, "/redfish/v1/TaskService/Tasks", "")
		require.EqualValues(t, 1, tasks["Members@odata.count"])
		time.Sleep(10 * time.Minute)
		require.Equal(t, "OK", volumeHealth(t, b, id))
		s := m.State()
		require.Equal(t, []string{"n1-D0", "n1-D3", "n1-D2"}, s.Volumes[0].Disks)
		require.Empty(t, s.Volumes[0].Spares)
		require.Equal(t, "linux", s.Disks["n1-D3"].Contents)
		require.Equal(t, redfishsim.JobCompleted, s.Jobs[0].State)

		require.NoError(t, m.FailDrive("n1-D0"))
		contents, err := m.Contents(id)
		require.NoError(t, err)
		require.Equal(t, "linux", contents, "degraded, with no spare left")
		require.ErrorIs(t, m.ReplaceDrive("n1-D2", "x"), redfishsim.ErrConflict, "it has not failed")
		require.NoError(t, m.ReplaceDrive("n1-D0", "NEW-0"))
		require.Equal(t, "Warning", volumeHealth(t, b, id), "until it is rebuilt")
		_, doc = ask(t, b, http.MethodGet, controllerPath+"/Drives/n1-D0", "")
		require.Equal(t, "NEW-0", doc["SerialNumber"])
		time.Sleep(10 * time.Minute)
		require.Equal(t, "OK", volumeHealth(t, b, id))
		require.Equal(t, "linux", m.State().Disks["n1-D0"].Contents)
	})
}

// How many disks each level bears to lose, and which ones together.
func TestFailuresThatVolumesBear(t *testing.T) {
	for name, tt := range map[string]struct {
		level     hardware.RAIDLevel
		disks     int
		bears, is []int // disks that fail: survived so far, then one too many
	}{
		"RAID0":        {hardware.RAID0, 2, nil, []int{1}},
		"RAID1":        {hardware.RAID1, 2, []int{0}, []int{1}},
		"RAID5":        {hardware.RAID5, 3, []int{2}, []int{0}},
		"RAID6":        {hardware.RAID6, 4, []int{0, 3}, []int{1}},
		"RAID10 pairs": {hardware.RAID10, 4, []int{0, 2}, []int{3}},
		"RAID50 spans": {hardware.RAID50, 6, []int{0, 5}, []int{1}},
		"RAID60 spans": {hardware.RAID60, 8, []int{0, 1, 4, 5}, []int{6}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, tt.disks, nil)
			serials := disksOfMachine(m)
			id, err := m.CreateVolume(redfishsim.Volume{Controller: controller, RAIDLevel: tt.level, Disks: serials})
			require.NoError(t, err)
			require.NoError(t, m.Write(id, "linux"))
			for _, i := range tt.bears {
				require.NoError(t, m.FailDrive(serials[i]))
				contents, err := m.Contents(id)
				require.NoError(t, err)
				require.Equal(t, "linux", contents)
				require.NoError(t, m.Write(id, "linux"), "it still works")
			}
			for _, i := range tt.is {
				require.NoError(t, m.FailDrive(serials[i]))
			}
			contents, err := m.Contents(id)
			require.NoError(t, err)
			require.Empty(t, contents, "lost")
			require.ErrorIs(t, m.Write(id, "linux"), redfishsim.ErrConflict)
			for _, d := range m.State().Disks {
				require.LessOrEqual(t, d.Wipes, 1+len(tt.bears), "nobody asked for this loss")
			}
		})
	}
}

func disksOfMachine(m *redfishsim.Machine) (serials []string) {
	for _, d := range m.Spec().Disks {
		serials = append(serials, d.Serial)
	}
	return serials
}

func TestFailedDisks(t *testing.T) {
	m := newMachine(t, 2, nil)
	require.ErrorIs(t, m.FailDrive("nope"), redfishsim.ErrNotFound)
	require.NoError(t, m.FailDrive("n1-D0"))
	revision := m.State().Revision
	require.NoError(t, m.FailDrive("n1-D0"), "again changes nothing")
	require.Equal(t, revision, m.State().Revision)
	require.ErrorIs(t, m.Write("n1-D0", "x"), redfishsim.ErrConflict)
	_, err := m.CreateVolume(redfishsim.Volume{Controller: controller, RAIDLevel: hardware.RAID1, Disks: []string{"n1-D0", "n1-D1"}})
	require.ErrorIs(t, err, redfishsim.ErrConflict)
	require.ErrorIs(t, m.ReplaceDrive("n1-D0", ""), redfishsim.ErrInvalid)
	require.NoError(t, m.ReplaceDrive("n1-D0", "new"))
	require.NoError(t, m.Write("n1-D0", "x"))
}

// Jobs that are stuck do not move, and are released by taking the knob back or by a restart
// of the BMC (ironcore-dev/metal-operator#453).
func TestStuckJobs(t *testing.T) {
	for name, release := range map[string]func(b *redfishsim.BMC){
		"knob":    func(b *redfishsim.BMC) { _ = b.SetKnobs(redfishsim.Knobs{}) },
		"restart": func(b *redfishsim.BMC) { b.RestartBMC(time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := booted(t, bmcOf(t, redfishsim.Dell))
				require.NoError(t, b.SetKnobs(redfishsim.Knobs{StuckJobs: true}))
				ask(t, b, http.MethodPost, dellVolumes, dellRAID1())
				ask(t, b, http.MethodPatch, dellSettings, virtOn+onReset)
				require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
				time.Sleep(time.Hour)
				s := b.Machine().State()
				require.Equal(t, redfishsim.PowerOn, s.Power, "the machine itself goes on")
				require.Equal(t, "Disabled", s.BIOS["ProcVirtualization"])
				require.Empty(t, s.Volumes)
				require.Equal(t, "Running", jobs(t, b)[0]["JobState"])
				require.Equal(t, "Scheduled", jobs(t, b)[1]["JobState"])
				release(b)
				time.Sleep(29 * time.Second)
				require.Empty(t, b.Machine().State().Volumes, "it takes its time from now")
				time.Sleep(2 * time.Second)
				require.Len(t, b.Machine().State().Volumes, 1)
				require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
				time.Sleep(5 * time.Minute)
				require.Equal(t, "Enabled", b.Machine().State().BIOS["ProcVirtualization"])
				require.Zero(t, b.Machine().State().Collisions)
			})
		})
	}
}

// However many jobs there were, a bounded number of those that have ended is remembered.
func TestJobHistoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := booted(t, bmcOf(t, redfishsim.Dell))
		for i := range 100 {
			value := []string{"Enabled", "Disabled"}[i%2]
			w, _ := ask(t, b, http.MethodPatch, dellSettings, `{"Attributes":{"ProcVirtualization":"`+value+`"}`+onReset)
			require.Equal(t, http.StatusAccepted, w.Code)
			require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
			time.Sleep(5 * time.Minute)
		}
		all := b.Machine().State().Jobs
		require.Less(t, len(all), 50)
		require.Equal(t, "JID_000000000100", all[len(all)-1].ID)
	})
}
