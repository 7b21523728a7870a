package redfish

import (
	"slices"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// spelling is one vendor's attribute for an intent.
type spelling struct {
	attribute string
	values    map[string]any
}

// spellings lists the attributes that carry an intent, the most specific first. Sources:
// Crowbar's bios sets for Dell (redfish.md, D), the captured trees of HPE and the DMTF
// (redfish.md, B4). A machine's own registry decides which of them it has.
func spellings(intent hardware.Intent) []spelling {
	onOff := func(names ...string) []spelling {
		var out []spelling
		for _, name := range names {
			out = append(out, spelling{name, map[string]any{"on": "Enabled", "off": "Disabled"}})
		}
		return out
	}
	switch intent {
	case hardware.Virtualization:
		return onOff("ProcVirtualization")
	case hardware.IOMMU:
		// Dell's Intel servers have ProcVirtualization for VT-x and VT-d both.
		return onOff("IommuSupport", "IntelProcVtd", "ProcAmdIoVt", "ProcVirtualization")
	case hardware.SRIOV:
		return onOff("SriovGlobalEnable", "Sriov")
	case hardware.SMT:
		return onOff("LogicalProc", "ProcHyperthreading", "ProcSMT")
	case hardware.BootMode:
		return []spelling{
			{"BootMode", map[string]any{"uefi": "Uefi", "bios": "Bios"}},
			{"BootMode", map[string]any{"uefi": "Uefi", "bios": "LegacyBios"}},
			{"BootMode", map[string]any{"uefi": "Uefi"}},
		}
	case hardware.PowerProfile:
		return []spelling{
			{"SysProfile", map[string]any{"performance": "PerfOptimized", "balanced": "PerfPerWattOptimizedDapc"}},
			{"PowerRegulator", map[string]any{"performance": "StaticHighPerf", "balanced": "DynamicPowerSavings"}},
			{"PowerProfile", map[string]any{"performance": "MaxPerf", "balanced": "BalancedPowerPerf"}},
		}
	}
	return nil
}

// bind finds the attributes of this machine for the intents: those it has, and whose values
// its registry allows.
func bind(b hardware.BIOS) map[hardware.Intent]hardware.Binding {
	out := map[hardware.Intent]hardware.Binding{}
	for _, intent := range hardware.Intents() {
		for _, s := range spellings(intent) {
			if offers(b, s) {
				out[intent] = hardware.Binding{Attribute: s.attribute, Values: s.values}
				break
			}
		}
	}
	return out
}

func offers(b hardware.BIOS, s spelling) bool {
	current, has := b.Attributes[s.attribute]
	if !has {
		return false
	}
	var allowed []string
	if b.Registry != nil {
		allowed = b.Registry.Attributes[s.attribute].Values
	}
	if len(allowed) == 0 {
		// Without a registry the value in effect must at least be one we know.
		for _, v := range s.values {
			if v == current {
				return true
			}
		}
		return false
	}
	for _, v := range s.values {
		if text, ok := v.(string); !ok || !slices.Contains(allowed, text) {
			return false
		}
	}
	return true
}
