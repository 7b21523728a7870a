package redfish

import (
	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// hpe is iLO 5 and 6.
type hpe struct{}

func (hpe) Name() string               { return "hpe" }
func (hpe) Recognises(i Identity) bool { return i.mentions("hpe", "hewlett", "hp ") }
func (hpe) Quirks() Quirks             { return Quirks{VolumesAfterPOST: true, BootOrderOnReset: true} }

// InPOST reads PostState. Devices are known from InPostDiscoveryComplete on, but boot settings
// are refused until POST is over (Ironic's source, HewlettPackard/ilo-ansible-collection#47).
func (hpe) InPOST(system gjson.Result) (inPOST, known bool) {
	switch system.Get("Oem.Hpe.PostState").String() {
	case "InPost", "InPostDiscoveryComplete", "PowerOn", "Reset":
		return true, true
	case "FinishedPost", "Off", "PowerOff":
		return false, true
	}
	return false, false
}

// Spellings are those of the captured tree, hpe-ilo-gen11-sim.
func (hpe) Spellings(i hardware.Intent) []Spelling {
	switch i {
	case hardware.Virtualization:
		return onOff("Enabled", "Disabled", "ProcVirtualization")
	case hardware.IOMMU:
		return onOff("Enabled", "Disabled", "IntelProcVtd", "ProcAmdIoVt")
	case hardware.SRIOV:
		return onOff("Enabled", "Disabled", "Sriov")
	case hardware.SMT:
		return onOff("Enabled", "Disabled", "ProcHyperthreading", "ProcSMT")
	case hardware.NX:
		return onOff("Enabled", "Disabled", "ProcNoExecute")
	case hardware.BootMode:
		return []Spelling{{"BootMode", map[string]any{"uefi": "Uefi", "bios": "LegacyBios"}}}
	case hardware.PowerProfile:
		return []Spelling{{"PowerRegulator", map[string]any{"performance": "StaticHighPerf", "balanced": "DynamicPowerSavings"}}}
	case hardware.ACRecovery:
		return []Spelling{{"AutoPowerOn", map[string]any{"on": "AlwaysPowerOn", "off": "AlwaysPowerOff", "last": "RestoreLastState"}}}
	}
	return nil
}
