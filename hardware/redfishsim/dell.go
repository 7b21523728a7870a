package redfishsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// dell is an iDRAC 9 or 10 with a PERC. Evidence, in the order of the code:
//   - IDs, job resources, the registry's place: the tree dell-idrac-synthetic (hand-made).
//   - Boot mode is a BIOS setting: Ironic's source.
//   - A PATCH with OnReset makes the job, another is SYS011: quadsproject/quads#726; that
//     pending values look current: dsx-ai-factory/libredfish#25; jobs collide: stackhpc/drac#2;
//     412 on actions: ironcore-dev/metal-operator#1015; RAC0218: stmcginnis/gofish#75.
//   - Deleting the job clears what pends, ClearPending is refused while there is one:
//     bmclib's notes from an R760xd2. A job is made of what only pends by POST to
//     Oem/Dell/Jobs: iDRAC-Redfish-Scripting.
//   - PERC applies at once, by a job: Ansible's dellemc.openmanage.
//   - VolumeUsage refused, no LastResetTime, a job that fails takes the pending values along,
//     and jobs of one controller queue up: assumed.
func dell() traits {
	t := generic()
	t.manufacturer, t.model, t.biosVersion = "Dell Inc.", "PowerEdge R740", "2.19.1"
	t.product, t.bmcModel, t.bmcVersion, t.redfishVersion = "Integrated Dell Remote Access Controller", "14G Monolithic", "7.10.30.00", "1.17.0"
	t.system, t.manager, t.chassis, t.messages = "System.Embedded.1", "iDRAC.Embedded.1", "System.Embedded.1", "IDRAC.2.8"
	t.registryURI = "/Systems/System.Embedded.1/Bios/BiosRegistry"
	t.biosTarget = "BIOS.Setup.1-1"
	t.expand, t.expandLevels, t.refuseMatch = expandAll, 1, true
	t.lastReset, t.setMode, t.volumeUsage = false, false, false
	t.biosJobs, t.raidJobs, t.showsPending = true, true, true
	t.sessionsFull = message{"IDRAC.2.8.RAC0218", "The maximum number of user sessions is reached."}
	t.storage = oneController(perc, "PERC H740P Mini")
	t.driveID = func(d Disk, bay int) string {
		if strings.HasPrefix(d.Controller, "AHCI.") {
			return fmt.Sprintf("Disk.Direct.%d-%d:%s", bay, bay, d.Controller)
		}
		return fmt.Sprintf("Disk.Bay.%d:Enclosure.Internal.0-1:%s", bay, d.Controller)
	}
	t.volumeID = func(n int, controller string) string { return fmt.Sprintf("Disk.Virtual.%d:%s", 240-n, controller) }
	t.jobID = func(n int) string { return fmt.Sprintf("JID_%012d", n) }
	t.attributes = append([]Attribute{
		enumeration("ProcVirtualization", "Virtualization Technology", "Disabled", "Enabled"),
		enumeration("SriovGlobalEnable", "SR-IOV Global Enable", "Disabled", "Enabled"),
		enumeration("ProcX2Apic", "x2APIC Mode", "Disabled", "Enabled"),
		enumeration("IommuSupport", "IOMMU Support", "Disabled", "Enabled"),
		enumeration("LogicalProc", "Logical Processor", "Enabled", "Disabled"),
		enumeration("BootMode", "Boot Mode", "Uefi", "Bios"),
		enumeration("SysProfile", "System Profile", "PerfPerWattOptimizedDapc", "PerfOptimized", "PerfPerWattOptimizedOs", "Custom"),
		enumeration("ProcCStates", "C States", "Enabled", "Disabled"),
		enumeration("AcPwrRcvry", "AC Power Recovery", "Last", "On", "Off"),
	}, commonAttributes("AcPwrRcvryUserDelay", "AssetTag", false)...)
	t.dependencies = []Dependency{ // C states belong to the profile unless that is Custom: assumed
		{"ProcCStates", Condition{"SysProfile", "PerfOptimized"}},
		{"ProcCStates", Condition{"SysProfile", "PerfPerWattOptimizedDapc"}},
		{"ProcCStates", Condition{"SysProfile", "PerfPerWattOptimizedOs"}},
	}
	t.decorate, t.find, t.serve = decorateDell, findDell, serveDell
	return t
}

const (
	perc = "RAID.Integrated.1-1"
	boss = "AHCI.Slot.1-1"
)

// dellBOSS has a BOSS-S1 card with two M.2 disks, and Spec.Disks on a PERC if there are any.
// Evidence: it refuses sizes (metal3-io/baremetal-operator#2720) and changes only on reset
// (Ansible's dellemc.openmanage). That it makes RAID1 only is how Dell describes it; a Spec may
// say otherwise.
func dellBOSS() traits {
	t := dell()
	t.storage = func(s *Spec) {
		if s.Controllers == nil {
			s.Controllers = []Controller{{ID: boss, Model: "BOSS-S1", RAIDLevels: []hardware.RAIDLevel{hardware.RAID1}, OnReset: true, WholeDisks: true, Firmware: "2.5.13.3024"}}
			if len(s.Disks) > 0 {
				c := DefaultController()
				c.ID, c.Model = perc, "PERC H740P Mini"
				s.Controllers = append(s.Controllers, c)
			}
		}
		for i := range s.Disks {
			if s.Disks[i].Controller == "" {
				s.Disks[i].Controller = perc
			}
		}
		for i := range 2 {
			s.Disks = append(s.Disks, Disk{Serial: fmt.Sprintf("%s-M%d", s.Name, i), WWN: fmt.Sprintf("500A0751%s%02X", wwnPart(s.Name), i),
				Model: "MTFDDAV240TDS", SizeBytes: 240_057_409_536, Media: "SSD", Protocol: "SATA", Controller: boss, Firmware: "D3DJ004"})
		}
	}
	return t
}

func (v *view) jobsPath() string { return v.path.manager + "/Oem/Dell/Jobs" }

// findDell finds the job queue, which has two places, and the job service that leads to it.
func findDell(v *view, seg []string) object {
	switch {
	case len(seg) == 1 && seg[0] == "JobService":
		return object{"@odata.type": "#JobService.v1_0_4.JobService", "Id": "JobService", "Name": "Job Service", "ServiceEnabled": true,
			"Jobs": v.link(v.path.manager + "/Jobs"), "Status": healthy()}
	case len(seg) < 3 || seg[0] != "Managers" || seg[1] != v.p.manager:
		return nil
	}
	rest := seg[2:]
	if len(rest) > 2 && rest[0] == "Oem" && rest[1] == "Dell" {
		rest = rest[2:]
	}
	if rest[0] != "Jobs" || len(rest) > 2 {
		return nil
	}
	if len(rest) == 1 {
		var ids []string
		for _, j := range v.m.state.Jobs {
			ids = append(ids, j.ID)
		}
		return v.collection("DellJob", "JobQueue", v.jobsPath(), ids)
	}
	for i := range v.m.state.Jobs {
		if j := &v.m.state.Jobs[i]; j.ID == rest[1] {
			return v.dellJob(j)
		}
	}
	return nil
}

func (v *view) dellJob(j *Job) object {
	kind, messageID := "BIOSConfiguration", map[JobState]string{JobScheduled: "JCP001", JobRunning: "JCP037", JobCompleted: "PR19", JobFailed: "JCP012"}[j.State]
	switch {
	case j.Kind == JobRAID && j.OnReset:
		kind = "RAIDConfiguration"
	case j.Kind != JobBIOS:
		kind = "RealTimeNoRebootConfiguration"
	}
	stamp := func(t time.Time, none string) string {
		if t.IsZero() {
			return none
		}
		return t.UTC().Format("2006-01-02T15:04:05")
	}
	o := object{
		"@odata.type": "#DellJob.v1_4_0.DellJob", "Id": j.ID, "Name": "Configure: " + j.Target, "JobType": kind, "JobState": string(j.State),
		"PercentComplete": j.percent(v.now), "Message": j.Message, "MessageId": messageID, "StartTime": "TIME_NOW", "EndTime": "TIME_NA",
		"ActualRunningStartTime": stamp(j.Started, ""), "CompletionTime": stamp(j.Ended, ""),
	}
	if j.Kind == JobBIOS {
		o["TargetSettingsURI"] = v.uri(v.path.settings)
	}
	return o
}

func decorateDell(v *view, path string, o object) {
	if id, isTask := strings.CutPrefix(path, "/TaskService/Tasks/"); isTask {
		for i := range v.m.state.Jobs {
			if j := &v.m.state.Jobs[i]; j.ID == id {
				o["Oem"] = object{"Dell": v.dellJob(j)}
			}
		}
		return
	}
	switch path {
	case v.path.manager:
		o["Links"].(object)["Oem"] = object{"Dell": object{"@odata.type": "#DellOem.v1_3_0.DellOemLinks", "Jobs": v.link(v.jobsPath())}}
	case v.path.settings:
		o["Actions"] = object{"Oem": object{"#DellManager.ClearPending": object{"target": v.uri(v.path.settings + clearPending)}}}
	case "":
		o["JobService"] = v.link("/JobService")
		o["Oem"] = object{"Dell": object{"@odata.type": "#DellServiceRoot.v1_0_0.DellServiceRoot", "IsBranded": 0, "ServiceTag": v.spec.Serial}}
	}
}

const clearPending = "/Actions/Oem/DellManager.ClearPending"

// serveDell does what Dell does its own way: BIOS settings and jobs.
func serveDell(b *BMC, r *request) (answer, bool) {
	jobs := strings.TrimPrefix(strings.TrimPrefix(r.path, b.path.manager), "/Oem/Dell")
	inQueue := strings.HasPrefix(r.path, b.path.manager+"/") && (jobs == "/Jobs" || strings.HasPrefix(jobs, "/Jobs/"))
	switch {
	case r.Method == http.MethodPatch && r.path == b.path.settings:
		return b.patchDellBIOS(r), true
	case r.Method == http.MethodPost && r.path == b.path.bios+resetBIOS:
		if err := b.machine.ResetBIOS(); err != nil {
			return refusedDell(err), true
		}
		return b.commitDell(), true
	case r.Method == http.MethodPost && r.path == b.path.settings+clearPending:
		if err := b.machine.ClearPending(); err != nil {
			return refusedDell(err), true
		}
		return answer{status: http.StatusOK, body: object{}}, true
	case r.Method == http.MethodPost && inQueue && jobs == "/Jobs":
		var ask struct{ TargetSettingsURI string }
		if err := json.Unmarshal(r.body, &ask); err != nil || ask.TargetSettingsURI != b.uri(b.path.settings) {
			return problem(http.StatusBadRequest, message{b.p.messages + ".SYS403", "Unable to complete the operation because the resource " + ask.TargetSettingsURI + " entered is not a settings object."}), true
		}
		return b.commitDell(), true
	case r.Method == http.MethodDelete && inQueue:
		if err := b.machine.DeleteJob(strings.TrimPrefix(jobs, "/Jobs/")); err != nil {
			return refusedDell(err), true
		}
		return answer{status: http.StatusOK, body: object{}}, true
	}
	return answer{}, false
}

// patchDellBIOS answers 202 with the job that OnReset makes; without it, the settings pend
// and nothing is done about them.
func (b *BMC) patchDellBIOS(r *request) answer {
	ask, bad := b.biosSettings(r)
	if bad != nil {
		return *bad
	}
	if ask.Apply == nil {
		if err := b.machine.SetBIOS(ask.Attributes); err != nil {
			return refusedDell(err)
		}
		return answer{status: http.StatusOK, body: object{}}
	}
	id, err := b.machine.scheduleBIOS(ask.Attributes)
	switch {
	case err != nil:
		return refusedDell(err)
	case id == "":
		return answer{status: http.StatusOK, body: object{}}
	}
	return b.accepted(id)
}

func (b *BMC) commitDell() answer {
	id, err := b.machine.CommitBIOS()
	if err != nil {
		return refusedDell(err)
	}
	return answer{status: http.StatusOK, header: http.Header{"Location": {b.uri(b.path.manager + "/Oem/Dell/Jobs/" + id)}}, body: object{}}
}

func refusedDell(err error) answer {
	if errors.Is(err, ErrCommitted) {
		return problem(http.StatusBadRequest, message{"IDRAC.2.8.SYS011", "Pending configuration values are already committed, unable to perform another set operation."})
	}
	a := refused(err)
	if a.status == http.StatusConflict {
		a.status = http.StatusBadRequest
	}
	return a
}
