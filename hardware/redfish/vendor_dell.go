package redfish

import (
	"context"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// dell is iDRAC 9 and 10.
type dell struct{}

func (dell) Name() string               { return "dell" }
func (dell) Recognises(i Identity) bool { return i.mentions("dell") }

func (dell) Quirks() Quirks {
	return Quirks{SettingsMakeJobs: true, PendingShownAsCurrent: true, BootOrderOnReset: true, NoVolumeUsage: true}
}

func (dell) Spellings(i hardware.Intent) []Spelling {
	switch i {
	case hardware.Virtualization:
		return onOff("Enabled", "Disabled", "ProcVirtualization")
	case hardware.IOMMU:
		// Intel servers have ProcVirtualization for VT-x and VT-d both (Crowbar's sets).
		return onOff("Enabled", "Disabled", "IommuSupport", "ProcVirtualization")
	case hardware.SRIOV:
		return onOff("Enabled", "Disabled", "SriovGlobalEnable")
	case hardware.SMT:
		return onOff("Enabled", "Disabled", "LogicalProc")
	case hardware.NX:
		return onOff("Enabled", "Disabled", "ProcExecuteDisable")
	case hardware.BootMode:
		return []Spelling{{"BootMode", map[string]any{"uefi": "Uefi", "bios": "Bios"}}}
	case hardware.PowerProfile:
		return []Spelling{{"SysProfile", map[string]any{"performance": "PerfOptimized", "balanced": "PerfPerWattOptimizedDapc"}}}
	case hardware.ACRecovery:
		return []Spelling{{"AcPwrRcvry", map[string]any{"on": "On", "off": "Off", "last": "Last"}}}
	}
	return nil
}

// dellJobs is where iDRAC keeps its job queue. Firmware before 4.x has Jobs on the Manager, later
// ones link the OEM collection (quadsproject/badfish#30).
func dellJobs(manager gjson.Result) string {
	for _, path := range []string{`Links.Oem.Dell.Jobs.\@odata\.id`, `Oem.Dell.Jobs.\@odata\.id`, `Jobs.\@odata\.id`} {
		if uri := manager.Get(path).String(); uri != "" {
			return uri
		}
	}
	return ""
}

// Jobs reads the queue, which Dell's servers with OpenBMC do not have.
func (dell) Jobs(ctx context.Context, s Service, manager gjson.Result) ([]hardware.Job, error) {
	uri := dellJobs(manager)
	if uri == "" {
		return nil, ErrNoQueue
	}
	members, err := s.Members(ctx, uri)
	var jobs []hardware.Job
	for _, m := range members {
		jobs = append(jobs, hardware.Job{ID: m.Get("Id").String(), Name: m.Get("Name").String(), State: m.Get("JobState").String(),
			Percent: int(m.Get("PercentComplete").Int()), Message: m.Get("Message").String(), Component: dellComponent(m.Get("JobType").String())})
	}
	return jobs, err
}

func dellComponent(jobType string) hardware.Component {
	switch {
	case strings.HasPrefix(jobType, "BIOS"):
		return hardware.ComponentBIOS
	case strings.HasPrefix(jobType, "RAID"), strings.HasPrefix(jobType, "RealTimeNoReboot"):
		return hardware.ComponentRAID
	case strings.HasPrefix(jobType, "FirmwareUpdate"):
		return hardware.ComponentFirmware
	}
	return ""
}

// CancelSettings deletes the job; iDRAC then drops what pended with it.
func (dell) CancelSettings(ctx context.Context, s Service, manager gjson.Result, job hardware.Job) error {
	return s.Delete(ctx, strings.TrimSuffix(dellJobs(manager), "/")+"/"+job.ID)
}

// ReadController knows BOSS, which mirrors two M.2 disks whole and at the next reset only
// (Ansible's dellemc.openmanage, metal3-io/baremetal-operator#2720).
func (dell) ReadController(storage gjson.Result, c *hardware.Controller) {
	if strings.Contains(strings.ToUpper(c.Model), "BOSS") || strings.HasPrefix(c.ID, "AHCI.") {
		c.WholeDisksOnly, c.OnReset, c.NoSpares = true, true, true
	}
}
