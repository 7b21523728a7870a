package redfish

import (
	"github.com/crowbarkit/crowbarkit/hardware"
)

// lenovo is XCC. Its settings object is Bios/Pending, which following the link takes care of.
type lenovo struct{}

func (lenovo) Name() string               { return "lenovo" }
func (lenovo) Recognises(i Identity) bool { return i.mentions("lenovo") }

func (lenovo) Spellings(i hardware.Intent) []Spelling {
	switch i {
	case hardware.Virtualization:
		return onOff("Enabled", "Disabled", "Processors_IntelVirtualizationTechnology", "Processors_SVMMode")
	case hardware.IOMMU:
		return onOff("Enabled", "Disabled", "DevicesandIOPorts_IntelVTforDirectedIOVTd", "DevicesandIOPorts_IntelVTforDirectedIO", "DevicesandIOPorts_IOMMU")
	case hardware.SRIOV:
		return onOff("Enabled", "Disabled", "DevicesandIOPorts_SRIOV", "DevicesandIOPorts_SR_IOV")
	case hardware.SMT:
		return onOff("Enabled", "Disabled", "Processors_HyperThreading", "Processors_SMTMode")
	case hardware.NX:
		return onOff("Enabled", "Disabled", "Processors_ExecuteDisableBit")
	case hardware.BootMode:
		return []Spelling{{"BootModes_SystemBootMode", map[string]any{"uefi": "UEFIMode", "bios": "LegacyMode"}}}
	case hardware.PowerProfile:
		return []Spelling{{"OperatingModes_ChooseOperatingMode", map[string]any{"performance": "MaximumPerformance", "balanced": "MaximumEfficiency"}}}
	case hardware.ACRecovery:
		return []Spelling{{"Power_PowerRestorePolicy", map[string]any{"on": "AlwaysOn", "off": "AlwaysOff", "last": "Restore"}}}
	}
	return nil
}

// supermicro is X10 and later. Without a licence its BMCs refuse BIOS and secure boot with 403
// (metal3-io/ironic-image#688); the refusal quotes that.
type supermicro struct{}

func (supermicro) Name() string               { return "supermicro" }
func (supermicro) Recognises(i Identity) bool { return i.mentions("supermicro", "super micro") }

// Spellings end in the number of the setup question, which differs from board to board.
func (supermicro) Spellings(i hardware.Intent) []Spelling {
	enable := func(names ...string) []Spelling {
		return append(onOff("Enable", "Disable", names...), onOff("Enabled", "Disabled", names...)...)
	}
	switch i {
	case hardware.Virtualization:
		return enable("IntelVirtualizationTechnology*", "IntelVMXVirtualizationTechnology*", "VMX*", "SVMMode*")
	case hardware.IOMMU:
		return enable("IntelVTforDirectedI/O(VT-d)*", "IntelVTforDirectedI/O*", "IOMMU*")
	case hardware.SRIOV:
		return enable("SR-IOVSupport*", "SRIOVSupport*")
	case hardware.SMT:
		return enable("Hyper-Threading[ALL]*", "Hyper-Threading*", "HyperThreading*", "SMTControl*")
	case hardware.NX:
		return enable("ExecuteDisableBit*", "NXMode*")
	case hardware.BootMode:
		return []Spelling{{"BootModeSelect*", map[string]any{"uefi": "UEFI", "bios": "LEGACY"}}, {"BootModeSelect*", map[string]any{"uefi": "UEFI", "bios": "Legacy"}}}
	case hardware.PowerProfile:
		return []Spelling{{"PowerTechnology*", map[string]any{"performance": "Disable", "balanced": "Energy Efficient"}}}
	case hardware.ACRecovery:
		return []Spelling{{"RestoreonACPowerLoss*", map[string]any{"on": "Power On", "off": "Stay Off", "last": "Last State"}}}
	}
	return nil
}

// openbmc has power, boot override and inventory; BIOS and volumes are the host's own business.
type openbmc struct{}

func (openbmc) Name() string { return "openbmc" }
func (openbmc) Recognises(i Identity) bool {
	return i.mentions("openbmc") || i.Product == "OpenBMC"
}
