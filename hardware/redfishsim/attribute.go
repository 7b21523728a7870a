package redfishsim

import "github.com/crowbarkit/crowbarkit/hardware"

// Attribute describes one BIOS setting.
type Attribute struct {
	Name        string                 `json:"name"`
	DisplayName string                 `json:"display_name,omitempty"`
	Type        hardware.AttributeType `json:"type"`
	Values      []string               `json:"values,omitempty"`
	Min         int64                  `json:"min,omitempty"`
	Max         int64                  `json:"max,omitempty"`
	ReadOnly    bool                   `json:"read_only,omitempty"`
	Immediate   bool                   `json:"immediate,omitempty"` // takes effect without a reset
	Factory     any                    `json:"factory"`
}

// Dependency makes an attribute read-only for as long as another one has a value, as the
// Dependencies of an attribute registry do (DSP0266; HPE's registry has 200 such rules). A
// write is judged by the values as they would be after it: what pends counts.
type Dependency struct {
	Attribute string    `json:"attribute"` // becomes read-only
	When      Condition `json:"when"`
}

// Condition is true of one value of an attribute.
type Condition struct {
	Attribute string `json:"attribute"`
	Value     any    `json:"value"`
}

// DefaultAttributes is the BIOS of the generic personality: the settings that matter to a
// cluster, under the names that Dell's BIOS gives them where it has them; virtualization,
// IOMMU and SR-IOV are off.
func DefaultAttributes() []Attribute {
	return append([]Attribute{
		enumeration("ProcVirtualization", "Virtualization Technology", "Disabled", "Enabled"),
		enumeration("IommuSupport", "IOMMU Support", "Disabled", "Enabled"),
		enumeration("SriovGlobalEnable", "SR-IOV Global Enable", "Disabled", "Enabled"),
		enumeration("LogicalProc", "Logical Processor", "Enabled", "Disabled"),
		enumeration("ProcX2Apic", "x2APIC Mode", "Disabled", "Enabled"),
		enumeration("BootMode", "Boot Mode", "Uefi", "Bios"),
		enumeration("SysProfile", "System Profile", "PerfPerWattOptimizedDapc", "PerfOptimized", "PerfPerWattOptimizedOs", "Custom"),
		enumeration("AcPwrRcvry", "AC Power Recovery", "Last", "On", "Off"),
	}, commonAttributes("AcPwrRcvryUserDelay", "AssetTag", true)...)
}

// enumeration is an attribute that has its first value from the factory.
func enumeration(name, display string, values ...string) Attribute {
	return Attribute{Name: name, DisplayName: display, Type: hardware.TypeEnumeration, Values: values, Factory: values[0]}
}

// commonAttributes are one of each other type: a number, a text that may take effect at once,
// and a fact that cannot be set.
func commonAttributes(delay, tag string, immediate bool) []Attribute {
	return []Attribute{
		{Name: delay, DisplayName: "User Defined Delay", Type: hardware.TypeInteger, Min: 60, Max: 600, Factory: int64(60)},
		{Name: tag, DisplayName: "Asset Tag", Type: hardware.TypeString, Max: 63, Immediate: immediate, Factory: ""},
		{Name: memSize, DisplayName: "System Memory Size", Type: hardware.TypeString, ReadOnly: true, Factory: ""},
	}
}

// memSize is the read-only attribute that shows the memory, wherever a BIOS has it.
const memSize = "SysMemSize"
