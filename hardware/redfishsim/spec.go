package redfishsim

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Spec is what does not change about a machine.
type Spec struct {
	Name         string `json:"name"`
	Manufacturer string `json:"manufacturer,omitempty"` // default "CrowbarKit"
	Model        string `json:"model,omitempty"`        // default "Simulated Server"
	Serial       string `json:"serial,omitempty"`
	UUID         string `json:"uuid,omitempty"`

	CPUModel    string `json:"cpu_model,omitempty"`
	CPUs        int    `json:"cpus,omitempty"`         // sockets, default 2
	Cores       int    `json:"cores,omitempty"`        // per socket, default 16
	MemoryBytes int64  `json:"memory_bytes,omitempty"` // default 128 GiB

	NICs        []NIC        `json:"nics,omitempty"`
	Disks       []Disk       `json:"disks,omitempty"` // in slot order
	Controllers []Controller `json:"controllers,omitempty"`

	// Attributes is the BIOS of the model; nil means DefaultAttributes.
	Attributes []Attribute `json:"attributes,omitempty"`
	// BIOS overrides the factory values of attributes by name.
	BIOS        map[string]any `json:"bios,omitempty"`
	BIOSVersion string         `json:"bios_version,omitempty"` // default "2.19.1"
	BMCVersion  string         `json:"bmc_version,omitempty"`  // default "7.10.30.00"

	Times Times `json:"times"`
}

// Times is how long a machine takes. Zero fields have the defaults, which are those of a
// quick real server.
type Times struct {
	POST     time.Duration // power to boot loader, default 90 s
	Off      time.Duration // how long a restart keeps power off, default 5 s
	Shutdown time.Duration // operating system shutting down, default 20 s
}

type timesJSON struct {
	POST     float64 `json:"post_seconds,omitempty"`
	Off      float64 `json:"off_seconds,omitempty"`
	Shutdown float64 `json:"shutdown_seconds,omitempty"`
}

// MarshalJSON gives post_seconds, off_seconds and shutdown_seconds.
func (t Times) MarshalJSON() ([]byte, error) {
	return json.Marshal(timesJSON{t.POST.Seconds(), t.Off.Seconds(), t.Shutdown.Seconds()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Times) UnmarshalJSON(data []byte) error {
	var doc timesJSON
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	of := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	*t = Times{POST: of(doc.POST), Off: of(doc.Off), Shutdown: of(doc.Shutdown)}
	return nil
}

// NIC is a network port.
type NIC struct {
	Name      string `json:"name"`
	MAC       string `json:"mac"`
	SpeedMbps int64  `json:"speed_mbps,omitempty"`
}

// Disk is a physical disk.
type Disk struct {
	Serial     string `json:"serial"`
	WWN        string `json:"wwn,omitempty"`
	Model      string `json:"model,omitempty"`
	SizeBytes  int64  `json:"size_bytes"`
	Media      string `json:"media,omitempty"`      // HDD or SSD, default HDD
	Protocol   string `json:"protocol,omitempty"`   // SAS, SATA or NVMe, default SAS
	Controller string `json:"controller,omitempty"` // Controller.ID, default the first
}

// Controller is a storage controller. One without RAID levels only passes disks through.
type Controller struct {
	ID         string               `json:"id"`
	Model      string               `json:"model,omitempty"`
	RAIDLevels []hardware.RAIDLevel `json:"raid_levels,omitempty"`
}

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

// DefaultAttributes is a BIOS with the settings that matter to a cluster, under the names
// that Dell's BIOS gives them where it has them; virtualization, IOMMU and SR-IOV are off.
func DefaultAttributes() []Attribute {
	onOff := []string{"Enabled", "Disabled"}
	return []Attribute{
		{Name: "ProcVirtualization", DisplayName: "Virtualization Technology", Type: hardware.TypeEnumeration, Values: onOff, Factory: "Disabled"},
		{Name: "IommuSupport", DisplayName: "IOMMU Support", Type: hardware.TypeEnumeration, Values: onOff, Factory: "Disabled"},
		{Name: "SriovGlobalEnable", DisplayName: "SR-IOV Global Enable", Type: hardware.TypeEnumeration, Values: onOff, Factory: "Disabled"},
		{Name: "LogicalProc", DisplayName: "Logical Processor", Type: hardware.TypeEnumeration, Values: onOff, Factory: "Enabled"},
		{Name: "ProcX2Apic", DisplayName: "x2APIC Mode", Type: hardware.TypeEnumeration, Values: onOff, Factory: "Disabled"},
		{Name: "BootMode", DisplayName: "Boot Mode", Type: hardware.TypeEnumeration, Values: []string{"Uefi", "Bios"}, Factory: "Uefi"},
		{Name: "SysProfile", DisplayName: "System Profile", Type: hardware.TypeEnumeration,
			Values: []string{"PerfPerWattOptimizedDapc", "PerfOptimized", "PerfPerWattOptimizedOs", "Custom"}, Factory: "PerfPerWattOptimizedDapc"},
		{Name: "AcPwrRcvry", DisplayName: "AC Power Recovery", Type: hardware.TypeEnumeration, Values: []string{"On", "Off", "Last"}, Factory: "Last"},
		{Name: "AcPwrRcvryUserDelay", DisplayName: "User Defined Delay", Type: hardware.TypeInteger, Min: 60, Max: 600, Factory: int64(60)},
		{Name: "AssetTag", DisplayName: "Asset Tag", Type: hardware.TypeString, Max: 63, Immediate: true, Factory: ""},
		{Name: "SysMemSize", DisplayName: "System Memory Size", Type: hardware.TypeString, ReadOnly: true, Factory: ""},
	}
}

// DefaultController is a RAID controller with all levels.
func DefaultController() Controller {
	return Controller{ID: "RAID.Integrated.1-1", Model: "CrowbarKit RAID H740", RAIDLevels: hardware.RAIDLevels()[1:]}
}

// Disks returns n like SAS disks of 1 TB with serial numbers that start with prefix.
func Disks(prefix string, n int) []Disk {
	disks := make([]Disk, n)
	for i := range disks {
		disks[i] = Disk{
			Serial: fmt.Sprintf("%s-D%d", prefix, i), WWN: fmt.Sprintf("5000C500%s%02X", wwnPart(prefix), i),
			Model: "CK1000NM", SizeBytes: 1_000_204_886_016, Media: "HDD", Protocol: "SAS",
		}
	}
	return disks
}

// wwnPart folds a name into six hexadecimal digits.
func wwnPart(name string) string {
	sum := uint32(2166136261) // FNV-1a
	for _, b := range []byte(name) {
		sum = (sum ^ uint32(b)) * 16777619
	}
	return fmt.Sprintf("%06X", sum&0xffffff)
}

func (s Spec) withDefaults() Spec {
	text := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	text(&s.Manufacturer, "CrowbarKit")
	text(&s.Model, "Simulated Server")
	text(&s.Serial, "SN-"+s.Name)
	text(&s.UUID, "4c4c4544-0000-0000-0000-000000"+wwnPart(s.Name))
	text(&s.CPUModel, "Simulated(R) CPU @ 2.40GHz")
	text(&s.BIOSVersion, "2.19.1")
	text(&s.BMCVersion, "7.10.30.00")
	if s.CPUs == 0 {
		s.CPUs = 2
	}
	if s.Cores == 0 {
		s.Cores = 16
	}
	if s.MemoryBytes == 0 {
		s.MemoryBytes = 128 << 30
	}
	if s.Controllers == nil {
		s.Controllers = []Controller{DefaultController()}
	}
	if s.Attributes == nil {
		s.Attributes = DefaultAttributes()
	}
	disks := make([]Disk, len(s.Disks))
	for i, d := range s.Disks {
		text(&d.Media, "HDD")
		text(&d.Protocol, "SAS")
		if len(s.Controllers) > 0 {
			text(&d.Controller, s.Controllers[0].ID)
		}
		disks[i] = d
	}
	s.Disks = disks
	if s.Times.POST == 0 {
		s.Times.POST = 90 * time.Second
	}
	if s.Times.Off == 0 {
		s.Times.Off = 5 * time.Second
	}
	if s.Times.Shutdown == 0 {
		s.Times.Shutdown = 20 * time.Second
	}
	return s
}

func (s Spec) check() error {
	if s.Name == "" {
		return fmt.Errorf("%w: machine without a name", ErrInvalid)
	}
	controllers, serials := map[string]bool{}, map[string]bool{}
	for _, c := range s.Controllers {
		if c.ID == "" || controllers[c.ID] {
			return fmt.Errorf("%w: %s: controller ID %q is empty or used twice", ErrInvalid, s.Name, c.ID)
		}
		controllers[c.ID] = true
	}
	for _, d := range s.Disks {
		if d.Serial == "" || serials[d.Serial] {
			return fmt.Errorf("%w: %s: disk serial %q is empty or used twice", ErrInvalid, s.Name, d.Serial)
		}
		serials[d.Serial] = true
		if !controllers[d.Controller] || d.SizeBytes <= 0 {
			return fmt.Errorf("%w: %s: disk %s needs a size and a known controller", ErrInvalid, s.Name, d.Serial)
		}
	}
	for name := range s.BIOS {
		if _, ok := s.attribute(name); !ok {
			return fmt.Errorf("%w: %s: no BIOS attribute %q", ErrInvalid, s.Name, name)
		}
	}
	return nil
}

func (s Spec) attribute(name string) (Attribute, bool) {
	for _, a := range s.Attributes {
		if a.Name == name {
			return a, true
		}
	}
	return Attribute{}, false
}

func (s Spec) controller(id string) (Controller, bool) {
	for _, c := range s.Controllers {
		if c.ID == id {
			return c, true
		}
	}
	return Controller{}, false
}

func (s Spec) disk(serial string) (Disk, bool) {
	for _, d := range s.Disks {
		if d.Serial == serial {
			return d, true
		}
	}
	return Disk{}, false
}
