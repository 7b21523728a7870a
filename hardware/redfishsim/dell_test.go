package redfishsim_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

const (
	dellSettings = "/redfish/v1/Systems/System.Embedded.1/Bios/Settings"
	dellBios     = "/redfish/v1/Systems/System.Embedded.1/Bios"
	dellJobs     = "/redfish/v1/Managers/iDRAC.Embedded.1/Oem/Dell/Jobs"
	dellVolumes  = "/redfish/v1/Systems/System.Embedded.1/Storage/RAID.Integrated.1-1/Volumes"
	dellDrive    = "/redfish/v1/Systems/System.Embedded.1/Storage/RAID.Integrated.1-1/Drives/Disk.Bay.%d:Enclosure.Internal.0-1:RAID.Integrated.1-1"
	bossVolumes  = "/redfish/v1/Systems/System.Embedded.1/Storage/AHCI.Slot.1-1/Volumes"
	bossDrive    = "/redfish/v1/Systems/System.Embedded.1/Storage/AHCI.Slot.1-1/Drives/Disk.Direct.%d-%d:AHCI.Slot.1-1"

	onReset = `,"@Redfish.SettingsApplyTime":{"ApplyTime":"OnReset"}}`
	virtOn  = `{"Attributes":{"ProcVirtualization":"Enabled"}`
)

func dellRAID1() string {
	return fmt.Sprintf(`{"Name":"os","RAIDType":"RAID1","Links":{"Drives":[{"@odata.id":"`+dellDrive+`"},{"@odata.id":"`+dellDrive+`"}]}}`, 0, 1)
}

// jobs reads the queue as a careful client does, in one request.
func jobs(t *testing.T, b http.Handler) []map[string]any {
	t.Helper()
	w, doc := ask(t, b, http.MethodGet, dellJobs+"?$expand=*($levels=1)", "")
	require.Equal(t, http.StatusOK, w.Code)
	var out []map[string]any
	for _, m := range doc["Members"].([]any) {
		out = append(out, m.(map[string]any))
	}
	return out
}

func errorID(doc map[string]any) string {
	info := doc["error"].(map[string]any)["@Message.ExtendedInfo"].([]any)
	return info[0].(map[string]any)["MessageId"].(string)
}

// quadsproject/quads#726, dsx-ai-factory/libredfish#25: the PATCH makes the job, another is
// refused, and Bios lies meanwhile.
func TestDellPatchMakesAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := booted(t, bmcOf(t, redfishsim.Dell))
		w, _ := ask(t, b, http.MethodPatch, dellSettings, virtOn+onReset)
		require.Equal(t, http.StatusAccepted, w.Code)
		task := w.Header().Get("Location")
		require.Regexp(t, `^/redfish/v1/TaskService/Tasks/JID_\d{12}$`, task)
		_, doc := ask(t, b, http.MethodGet, task, "")
		require.Equal(t, "Starting", doc["TaskState"])
		queue := jobs(t, b)
		require.Len(t, queue, 1)
		require.Equal(t, "Scheduled", queue[0]["JobState"])
		require.Equal(t, "BIOSConfiguration", queue[0]["JobType"])
		_, manager := at(t, b, "Managers", "0")
		link := manager["Links"].(map[string]any)["Oem"].(map[string]any)["Dell"].(map[string]any)["Jobs"].(map[string]any)
		require.Equal(t, dellJobs, link["@odata.id"])

		_, doc = ask(t, b, http.MethodGet, dellBios, "")
		require.Equal(t, "Enabled", doc["Attributes"].(map[string]any)["ProcVirtualization"], "as if it were in force")
		require.Equal(t, "Disabled", b.Machine().State().BIOS["ProcVirtualization"])

		w, doc = ask(t, b, http.MethodPatch, dellSettings, `{"Attributes":{"SriovGlobalEnable":"Enabled"}`+onReset)
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Regexp(t, `SYS011$`, errorID(doc))
		require.Contains(t, w.Body.String(), "Pending configuration values are already committed, unable to perform another set operation.")
		w, _ = ask(t, b, http.MethodPatch, dellSettings, `{"Attributes":{"SriovGlobalEnable":"Enabled"}}`)
		require.Equal(t, http.StatusBadRequest, w.Code, "nor may it pend")
		require.Equal(t, map[string]any{"ProcVirtualization": "Enabled"}, b.Machine().State().Pending)
		w, _ = ask(t, b, http.MethodPost, dellJobs, `{"TargetSettingsURI":"`+dellSettings+`"}`)
		require.Equal(t, http.StatusBadRequest, w.Code, "a job made explicitly after it is the error")

		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
		time.Sleep(5*time.Second + 90*time.Second)
		_, doc = ask(t, b, http.MethodGet, task, "")
		require.Equal(t, "Running", doc["TaskState"], "the job makes POST longer by 20 s")
		require.EqualValues(t, 81, doc["PercentComplete"])
		require.Equal(t, redfishsim.PowerPOST, b.Machine().State().Power)
		_, system := at(t, b, "Systems", "0")
		require.NotContains(t, system, "LastResetTime")
		require.Equal(t, "SystemHardwareInitializationComplete", system["BootProgress"].(map[string]any)["LastState"])
		w, _ = ask(t, b, http.MethodPatch, dellSettings, virtOn+onReset)
		require.Equal(t, http.StatusBadRequest, w.Code, "the job runs")
		time.Sleep(20 * time.Second)
		_, doc = ask(t, b, http.MethodGet, task, "")
		require.Equal(t, "Completed", doc["TaskState"])
		require.Equal(t, "Enabled", b.Machine().State().BIOS["ProcVirtualization"])
		require.Empty(t, b.Machine().State().Pending)
		require.Equal(t, 2, b.Machine().State().Boots)

		w, _ = ask(t, b, http.MethodPatch, dellSettings, virtOn+onReset)
		require.Equal(t, http.StatusOK, w.Code, "in force already, nothing to do")
		require.Len(t, jobs(t, b), 1)
	})
}

// Without an apply time settings only pend: a reset leaves them alone until there is a job.
func TestDellPendsWithoutApplyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := booted(t, bmcOf(t, redfishsim.Dell))
		w, _ := ask(t, b, http.MethodPost, dellJobs, `{"TargetSettingsURI":"`+dellSettings+`"}`)
		require.Equal(t, http.StatusBadRequest, w.Code, "nothing pends")
		w, _ = ask(t, b, http.MethodPatch, dellSettings, virtOn+"}")
		require.Equal(t, http.StatusOK, w.Code)
		require.Empty(t, jobs(t, b))
		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
		time.Sleep(5 * time.Minute)
		require.Equal(t, "Disabled", b.Machine().State().BIOS["ProcVirtualization"])
		_, doc := ask(t, b, http.MethodGet, dellSettings, "")
		require.Equal(t, map[string]any{"ProcVirtualization": "Enabled"}, doc["Attributes"])

		w, _ = ask(t, b, http.MethodPost, dellJobs, `{"TargetSettingsURI":"/redfish/v1/elsewhere"}`)
		require.Equal(t, http.StatusBadRequest, w.Code)
		w, _ = ask(t, b, http.MethodPost, dellJobs, `{"TargetSettingsURI":"`+dellSettings+`"}`)
		require.Equal(t, http.StatusOK, w.Code)
		require.Equal(t, jobs(t, b)[0]["@odata.id"], w.Header().Get("Location"))
		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
		time.Sleep(5 * time.Minute)
		require.Equal(t, "Enabled", b.Machine().State().BIOS["ProcVirtualization"])
	})
}

func TestDellClearsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := booted(t, bmcOf(t, redfishsim.Dell))
		_, doc := ask(t, b, http.MethodGet, dellSettings, "")
		target := doc["Actions"].(map[string]any)["Oem"].(map[string]any)["#DellManager.ClearPending"].(map[string]any)["target"].(string)
		ask(t, b, http.MethodPatch, dellSettings, virtOn+"}")
		w, _ := ask(t, b, http.MethodPost, target, "{}")
		require.Equal(t, http.StatusOK, w.Code)
		require.Empty(t, b.Machine().State().Pending)

		ask(t, b, http.MethodPatch, dellSettings, virtOn+onReset)
		w, doc = ask(t, b, http.MethodPost, target, "{}")
		require.Equal(t, http.StatusBadRequest, w.Code, "the job holds it")
		require.Regexp(t, `SYS011$`, errorID(doc))
		job := jobs(t, b)[0]["@odata.id"].(string)
		w, _ = ask(t, b, http.MethodDelete, job, "")
		require.Equal(t, http.StatusOK, w.Code)
		require.Empty(t, b.Machine().State().Pending)
		require.Empty(t, jobs(t, b))
		w, _ = ask(t, b, http.MethodDelete, job, "")
		require.Equal(t, http.StatusNotFound, w.Code)

		ask(t, b, http.MethodPatch, dellSettings, virtOn+onReset)
		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
		time.Sleep(30 * time.Second)
		w, _ = ask(t, b, http.MethodDelete, jobs(t, b)[0]["@odata.id"].(string), "")
		require.Equal(t, http.StatusBadRequest, w.Code, "it runs")
	})
}

// A reset in the middle of POST puts the job off; it is done by the next.
func TestDellJobSurvivesAnInterruptedPOST(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := booted(t, bmcOf(t, redfishsim.Dell))
		ask(t, b, http.MethodPatch, dellSettings, virtOn+onReset)
		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
		time.Sleep(30 * time.Second)
		require.Equal(t, "Running", jobs(t, b)[0]["JobState"])
		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceOff))
		require.Equal(t, "Scheduled", jobs(t, b)[0]["JobState"])
		booted(t, b)
		require.Equal(t, "Completed", jobs(t, b)[0]["JobState"])
		require.Equal(t, "Enabled", b.Machine().State().BIOS["ProcVirtualization"])
	})
}

// PERC works at once, by a job, and shows a volume when that has ended (Ansible's dellemc.openmanage).
func TestDellVolumesAreJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := booted(t, bmcOf(t, redfishsim.Dell))
		count := func() any {
			_, doc := ask(t, b, http.MethodGet, dellVolumes, "")
			return doc["Members@odata.count"]
		}
		w, _ := ask(t, b, http.MethodPost, dellVolumes, `{"RAIDType":"RAID1","VolumeUsage":"SystemData"}`)
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Contains(t, w.Body.String(), "VolumeUsage")
		w, _ = ask(t, b, http.MethodPost, dellVolumes, dellRAID1())
		require.Equal(t, http.StatusAccepted, w.Code)
		require.EqualValues(t, 0, count())
		require.Equal(t, "Running", jobs(t, b)[0]["JobState"])
		require.Equal(t, 0, b.Machine().State().Disks["n1-D0"].Wipes)
		w, _ = ask(t, b, http.MethodPost, dellVolumes, dellRAID1())
		require.Equal(t, http.StatusBadRequest, w.Code, "the disks are spoken for")
		time.Sleep(30 * time.Second)
		require.EqualValues(t, 1, count())
		require.Equal(t, 1, b.Machine().State().Disks["n1-D0"].Wipes)

		volume := b.Machine().State().Volumes[0].ID
		w, _ = ask(t, b, http.MethodDelete, dellVolumes+"/"+volume, "")
		require.Equal(t, http.StatusAccepted, w.Code)
		w, _ = ask(t, b, http.MethodDelete, dellVolumes+"/"+volume, "")
		require.Equal(t, http.StatusBadRequest, w.Code, "a job does it already")
		require.EqualValues(t, 1, count())
		time.Sleep(30 * time.Second)
		require.EqualValues(t, 0, count())
		require.Equal(t, 2, b.Machine().State().Disks["n1-D0"].Wipes)
		require.Zero(t, b.Machine().State().Collisions)
	})
}

// stackhpc/drac#2: jobs for BIOS and RAID break each other, whichever came first.
func TestDellJobsCollide(t *testing.T) {
	for name, raidFirst := range map[string]bool{"RAID runs when BIOS begins": true, "RAID during a BIOS job": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := booted(t, bmcOf(t, redfishsim.Dell))
				if raidFirst {
					ask(t, b, http.MethodPost, dellVolumes, dellRAID1())
				}
				ask(t, b, http.MethodPatch, dellSettings, virtOn+onReset)
				require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
				time.Sleep(10 * time.Second)
				if !raidFirst {
					w, _ := ask(t, b, http.MethodPost, dellVolumes, dellRAID1())
					require.Equal(t, http.StatusAccepted, w.Code)
				}
				time.Sleep(5 * time.Minute)
				s := b.Machine().State()
				require.Equal(t, 1, s.Collisions)
				require.Empty(t, s.Volumes)
				require.Zero(t, s.Disks["n1-D0"].Wipes)
				require.Equal(t, "Disabled", s.BIOS["ProcVirtualization"])
				for _, j := range jobs(t, b) {
					require.Equal(t, "Failed", j["JobState"])
				}
				require.Equal(t, redfishsim.PowerOn, s.Power)
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // one after the other they do not
		b := booted(t, bmcOf(t, redfishsim.Dell))
		ask(t, b, http.MethodPost, dellVolumes, dellRAID1())
		time.Sleep(time.Minute)
		ask(t, b, http.MethodPatch, dellSettings, virtOn+onReset)
		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
		time.Sleep(5 * time.Minute)
		require.Zero(t, b.Machine().State().Collisions)
		require.Len(t, b.Machine().State().Volumes, 1)
		require.Equal(t, "Enabled", b.Machine().State().BIOS["ProcVirtualization"])
	})
}

// ironcore-dev/metal-operator#1015, stmcginnis/gofish#75.
func TestDellETagsAndSessions(t *testing.T) {
	b := bmcOf(t, redfishsim.Dell)
	uri, system := at(t, b, "Systems", "0")
	w, _ := ask(t, b, http.MethodPatch, uri, `{"Boot":{"BootSourceOverrideTarget":"Pxe","BootSourceOverrideEnabled":"Once"}}`, "If-Match", system["@odata.etag"].(string))
	require.Equal(t, http.StatusOK, w.Code)
	_, system = at(t, b, "Systems", "0")
	w, _ = ask(t, b, http.MethodPost, uri+"/Actions/ComputerSystem.Reset", `{"ResetType":"On"}`, "If-Match", system["@odata.etag"].(string))
	require.Equal(t, http.StatusPreconditionFailed, w.Code)
	require.Equal(t, redfishsim.PowerOff, b.Machine().State().Power)
	w, _ = ask(t, b, http.MethodPatch, uri, `{"Boot":{"BootSourceOverrideMode":"Legacy"}}`)
	require.Equal(t, http.StatusBadRequest, w.Code, "the boot mode is a BIOS setting")

	const login = `{"UserName":"root","Password":"secret"}`
	for range 8 {
		w, _ = ask(t, b, http.MethodPost, "/redfish/v1/SessionService/Sessions", login)
		require.Equal(t, http.StatusCreated, w.Code)
	}
	w, doc := ask(t, b, http.MethodPost, "/redfish/v1/SessionService/Sessions", login)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Regexp(t, `RAC0218$`, errorID(doc))
}

// Ansible's dellemc.openmanage, metal3-io/baremetal-operator#2720: BOSS takes no size and waits for a reset.
func TestDellBOSS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := booted(t, bmcOf(t, redfishsim.DellBOSS))
		require.Len(t, b.Machine().Spec().Controllers, 2)
		drives := fmt.Sprintf(`"Links":{"Drives":[{"@odata.id":"`+bossDrive+`"},{"@odata.id":"`+bossDrive+`"}]}}`, 0, 0, 1, 1)
		w, _ := ask(t, b, http.MethodPost, bossVolumes, `{"RAIDType":"RAID1","CapacityBytes":1000000,`+drives)
		require.Equal(t, http.StatusBadRequest, w.Code)
		w, _ = ask(t, b, http.MethodPost, bossVolumes, `{"RAIDType":"RAID0",`+drives)
		require.Equal(t, http.StatusBadRequest, w.Code)
		w, _ = ask(t, b, http.MethodPost, bossVolumes, `{"RAIDType":"RAID1","@Redfish.OperationApplyTime":"Immediate",`+drives)
		require.Equal(t, http.StatusBadRequest, w.Code)
		w, _ = ask(t, b, http.MethodPost, bossVolumes, `{"RAIDType":"RAID1","@Redfish.OperationApplyTime":"OnReset",`+drives)
		require.Equal(t, http.StatusAccepted, w.Code)
		time.Sleep(time.Hour)
		require.Empty(t, b.Machine().State().Volumes)
		require.Equal(t, "Scheduled", jobs(t, b)[0]["JobState"])
		ask(t, b, http.MethodPatch, dellSettings, virtOn+onReset) // for the same reset: one after the other
		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
		time.Sleep(5*time.Second + 90*time.Second + 20*time.Second + 29*time.Second)
		require.Equal(t, redfishsim.PowerPOST, b.Machine().State().Power)
		time.Sleep(time.Second)
		s := b.Machine().State()
		require.Equal(t, redfishsim.PowerOn, s.Power)
		require.Len(t, s.Volumes, 1)
		require.Equal(t, int64(240_057_409_536), s.Volumes[0].SizeBytes)
		require.Equal(t, "Enabled", s.BIOS["ProcVirtualization"])
		require.Zero(t, s.Collisions)
		w, _ = ask(t, b, http.MethodDelete, bossVolumes+"/"+s.Volumes[0].ID, "")
		require.Equal(t, http.StatusAccepted, w.Code)
		require.Len(t, b.Machine().State().Volumes, 1)
		require.NoError(t, b.Machine().Reset(redfishsim.ResetForceRestart))
		time.Sleep(5 * time.Minute)
		require.Empty(t, b.Machine().State().Volumes)

		alone, err := redfishsim.NewMachine(redfishsim.Spec{Name: "x", Personality: redfishsim.DellBOSS}, nil)
		require.NoError(t, err)
		require.Len(t, alone.Spec().Controllers, 1)
		require.Len(t, alone.Spec().Disks, 2)
	})
}
