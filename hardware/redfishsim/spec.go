package redfishsim

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Spec is what does not change about a machine.
type Spec struct {
	Name string `json:"name"`
	// Personality is whose BMC and BIOS the machine has, default Generic. It gives what is
	// left empty below.
	Personality  Personality `json:"personality,omitempty"`
	Manufacturer string      `json:"manufacturer,omitempty"`
	Model        string      `json:"model,omitempty"`
	Serial       string      `json:"serial,omitempty"`
	UUID         string      `json:"uuid,omitempty"`

	CPUModel    string `json:"cpu_model,omitempty"`
	CPUs        int    `json:"cpus,omitempty"`         // sockets, default 2
	Cores       int    `json:"cores,omitempty"`        // per socket, default 16
	MemoryBytes int64  `json:"memory_bytes,omitempty"` // default 128 GiB
	DIMMs       int    `json:"dimms,omitempty"`        // of equal size, default 8

	NICs        []NIC        `json:"nics,omitempty"`
	Disks       []Disk       `json:"disks,omitempty"` // in slot order
	Controllers []Controller `json:"controllers,omitempty"`

	// Attributes is the BIOS of the model; nil means that of the personality.
	Attributes []Attribute `json:"attributes,omitempty"`
	// Dependencies are the rules between attributes; those of the personality come along
	// with its attributes.
	Dependencies []Dependency `json:"dependencies,omitempty"`
	// BIOS overrides the factory values of attributes by name.
	BIOS        map[string]any `json:"bios,omitempty"`
	BIOSVersion string         `json:"bios_version,omitempty"`
	BMCVersion  string         `json:"bmc_version,omitempty"`

	Times Times `json:"times"`
}

// Times is how long a machine takes. Zero fields have the defaults, which are those of a
// quick real server.
type Times struct {
	POST     time.Duration // power to boot loader, default 90 s
	Off      time.Duration // how long a restart keeps power off, default 5 s
	Shutdown time.Duration // operating system shutting down, default 20 s
	Job      time.Duration // what a BIOS job adds to POST, default 20 s
	Volume   time.Duration // a job that makes or deletes a volume, default 30 s
	Rebuild  time.Duration // a spare or a new disk taking over, default 10 min
	BMC      time.Duration // a restart of the BMC, default 60 s
}

type timesJSON struct {
	POST     float64 `json:"post_seconds,omitempty"`
	Off      float64 `json:"off_seconds,omitempty"`
	Shutdown float64 `json:"shutdown_seconds,omitempty"`
	Job      float64 `json:"job_seconds,omitempty"`
	Volume   float64 `json:"volume_seconds,omitempty"`
	Rebuild  float64 `json:"rebuild_seconds,omitempty"`
	BMC      float64 `json:"bmc_seconds,omitempty"`
}

// MarshalJSON gives post_seconds, off_seconds and so on.
func (t Times) MarshalJSON() ([]byte, error) {
	return json.Marshal(timesJSON{t.POST.Seconds(), t.Off.Seconds(), t.Shutdown.Seconds(), t.Job.Seconds(),
		t.Volume.Seconds(), t.Rebuild.Seconds(), t.BMC.Seconds()})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (t *Times) UnmarshalJSON(data []byte) error {
	var doc timesJSON
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	of := func(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
	*t = Times{of(doc.POST), of(doc.Off), of(doc.Shutdown), of(doc.Job), of(doc.Volume), of(doc.Rebuild), of(doc.BMC)}
	return nil
}

func (t Times) withDefaults() Times {
	or := func(d *time.Duration, seconds int) {
		if *d == 0 {
			*d = time.Duration(seconds) * time.Second
		}
	}
	or(&t.POST, 90)
	or(&t.Off, 5)
	or(&t.Shutdown, 20)
	or(&t.Job, 20)
	or(&t.Volume, 30)
	or(&t.Rebuild, 600)
	or(&t.BMC, 60)
	return t
}

// NIC is a network port.
type NIC struct {
	Name      string `json:"name"`
	MAC       string `json:"mac"`
	SpeedMbps int64  `json:"speed_mbps,omitempty"`
	Firmware  string `json:"firmware,omitempty"` // version, default "22.31.6"
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
	Firmware   string `json:"firmware,omitempty"`   // version, default "GK21"
}

// Controller is a storage controller. One without RAID levels only passes disks through.
type Controller struct {
	ID         string               `json:"id"`
	Model      string               `json:"model,omitempty"`
	RAIDLevels []hardware.RAIDLevel `json:"raid_levels,omitempty"`
	// OnReset makes changes of volumes wait for the next POST.
	OnReset bool `json:"on_reset,omitempty"`
	// WholeDisks refuses a volume whose size is given: it always takes all.
	WholeDisks bool   `json:"whole_disks,omitempty"`
	Firmware   string `json:"firmware,omitempty"` // version, default "51.16.0"
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

func (s Spec) withDefaults(t *traits) Spec {
	text := func(v *string, d string) {
		if *v == "" {
			*v = d
		}
	}
	number := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	s.Personality = t.personality
	text(&s.Manufacturer, t.manufacturer)
	text(&s.Model, t.model)
	text(&s.Serial, "SN-"+s.Name)
	text(&s.UUID, "4c4c4544-0000-0000-0000-000000"+wwnPart(s.Name))
	text(&s.CPUModel, "Simulated(R) CPU @ 2.40GHz")
	text(&s.BIOSVersion, t.biosVersion)
	text(&s.BMCVersion, t.bmcVersion)
	number(&s.CPUs, 2)
	number(&s.Cores, 16)
	number(&s.DIMMs, 8)
	if s.MemoryBytes == 0 {
		s.MemoryBytes = 128 << 30
	}
	if s.Attributes == nil {
		s.Attributes = t.attributes
		s.Dependencies = append(s.Dependencies[:len(s.Dependencies):len(s.Dependencies)], t.dependencies...)
	}
	s.Disks, s.NICs, s.Controllers = slices.Clone(s.Disks), slices.Clone(s.NICs), slices.Clone(s.Controllers)
	t.storage(&s)
	for i := range s.NICs {
		text(&s.NICs[i].Firmware, "22.31.6")
	}
	for i := range s.Controllers {
		text(&s.Controllers[i].Firmware, "51.16.0")
	}
	for i := range s.Disks {
		d := &s.Disks[i]
		text(&d.Media, "HDD")
		text(&d.Protocol, "SAS")
		text(&d.Firmware, "GK21")
		if len(s.Controllers) > 0 {
			text(&d.Controller, s.Controllers[0].ID)
		}
	}
	s.Times = s.Times.withDefaults()
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
	for _, d := range s.Dependencies {
		for _, name := range append([]string{d.Attribute}, d.When.Attribute) {
			if _, ok := s.attribute(name); !ok {
				return fmt.Errorf("%w: %s: a dependency names BIOS attribute %q, which is none", ErrInvalid, s.Name, name)
			}
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
