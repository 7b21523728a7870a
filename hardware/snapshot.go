package hardware

import (
	"strings"
	"time"
)

// Snapshot is what was seen of one machine at one time. It serialises to JSON and back
// without loss, so a plan can be made offline.
type Snapshot struct {
	Node        string       `json:"node"`
	TakenAt     time.Time    `json:"taken_at"`
	System      System       `json:"system"`
	BMC         BMC          `json:"bmc"`
	Processors  Processors   `json:"processors"`
	MemoryBytes int64        `json:"memory_bytes"`
	Interfaces  []Interface  `json:"interfaces,omitempty"`
	BIOS        BIOS         `json:"bios"`
	Storage     []Controller `json:"storage,omitempty"`
	Boot        Boot         `json:"boot"`
	SecureBoot  *SecureBoot  `json:"secure_boot,omitempty"` // nil: the machine has none
	// Firmware gives the version of each component: "bios", "bmc", and what the BMC's firmware
	// inventory lists, under the names it gives.
	Firmware map[string]string `json:"firmware,omitempty"`
	Jobs     []Job             `json:"jobs,omitempty"` // scheduled or running in the BMC
	// Requests is how many requests the observation cost, login and logout included.
	Requests int `json:"requests"`
	// Unreadable lists what the BMC offers but did not hand over in a usable form.
	Unreadable []Unreadable `json:"unreadable,omitempty"`
}

// System identifies the machine.
type System struct {
	Manufacturer string     `json:"manufacturer,omitempty"`
	Model        string     `json:"model,omitempty"`
	Serial       string     `json:"serial,omitempty"`
	UUID         string     `json:"uuid,omitempty"`
	Power        PowerState `json:"power"`
	Health       string     `json:"health,omitempty"` // Redfish: OK, Warning, Critical
	// LastResetTime and BootProgress (Redfish ComputerSystem v1.12, v1.13) tell a reset that
	// happened from one that did not; many BMCs have neither.
	LastResetTime string `json:"last_reset_time,omitempty"`
	BootProgress  string `json:"boot_progress,omitempty"`
	// InPOST is true while firmware is at work, as far as the BMC tells: what is seen may change,
	// and some BMCs show no volumes until it is over.
	InPOST bool `json:"in_post,omitempty"`
}

// name is the machine for people.
func (s System) name() string {
	if name := strings.TrimSpace(s.Manufacturer + " " + s.Model); name != "" {
		return name
	}
	return "this machine"
}

// BMC identifies the management controller.
type BMC struct {
	// Vendor names the module that was used for it, "generic" where it needs no special care.
	Vendor   string `json:"vendor,omitempty"`
	Model    string `json:"model,omitempty"`
	Firmware string `json:"firmware,omitempty"`
	UUID     string `json:"uuid,omitempty"`
	Redfish  string `json:"redfish,omitempty"` // version of the protocol
	Health   string `json:"health,omitempty"`  // as System.Health
}

// PowerState is whether the machine has power.
type PowerState string

// Power states.
const (
	StateOn          PowerState = "on"
	StateOff         PowerState = "off"
	StatePoweringOn  PowerState = "powering_on"
	StatePoweringOff PowerState = "powering_off"
	StateUnknown     PowerState = "unknown"
)

// Processors is a summary over all sockets.
type Processors struct {
	Count   int    `json:"count"`
	Cores   int    `json:"cores,omitempty"`
	Threads int    `json:"threads,omitempty"`
	Model   string `json:"model,omitempty"`
}

// Interface is one network port of the host.
type Interface struct {
	ID        string `json:"id"`
	Name      string `json:"name,omitempty"`
	MAC       string `json:"mac,omitempty"` // lower case, colons
	SpeedMbps int64  `json:"speed_mbps,omitempty"`
	Link      string `json:"link,omitempty"` // Redfish LinkStatus: LinkUp, LinkDown, NoLink
}

// Boot is what the machine boots: the override, if any, else what stands first in the order.
type Boot struct {
	Target  BootTarget `json:"target,omitempty"`
	Enabled string     `json:"enabled,omitempty"` // Redfish: Disabled, Once, Continuous
	Mode    string     `json:"mode,omitempty"`    // Redfish: UEFI, Legacy
	// Targets are the overrides that the machine offers; empty: not told.
	Targets []BootTarget `json:"targets,omitempty"`
	// Order lists BootOption.Reference, what is tried first first. PendingOrder is the order after
	// the next reset where that is another one.
	Order        []string     `json:"order,omitempty"`
	PendingOrder []string     `json:"pending_order,omitempty"`
	Options      []BootOption `json:"options,omitempty"`
	// OrderOnReset means that a new order takes a reset to be in force.
	OrderOnReset bool `json:"order_on_reset,omitempty"`
}

// BootOption is an entry of the firmware's boot order.
type BootOption struct {
	Reference string     `json:"reference"` // Redfish BootOptionReference, such as Boot0003
	Name      string     `json:"name,omitempty"`
	Target    BootTarget `json:"target,omitempty"` // its kind; empty: not known
	Disabled  bool       `json:"disabled,omitempty"`
}

// SecureBoot is UEFI's check of what is booted.
type SecureBoot struct {
	Enabled bool   `json:"enabled"`        // what holds from the next reset on
	Current bool   `json:"current"`        // what held when the machine was last reset
	Mode    string `json:"mode,omitempty"` // Redfish SecureBootMode: UserMode, SetupMode, …
}

// BIOS holds the firmware settings.
type BIOS struct {
	// Attributes are the values in effect: string, bool, int64 or float64.
	Attributes map[string]any `json:"attributes,omitempty"`
	// Pending are values that take effect at the next reset and differ from Attributes.
	Pending map[string]any `json:"pending,omitempty"`
	// Registry describes the attributes; nil if the BMC does not publish it.
	Registry *Registry `json:"registry,omitempty"`
	// Intents are the vendor's attributes for the intents that this machine has.
	Intents map[Intent]Binding `json:"intents,omitempty"`
}

// Registry is a Redfish attribute registry.
type Registry struct {
	ID         string               `json:"id"`
	Attributes map[string]Attribute `json:"attributes"`
	// Dependencies are conditions under which an attribute cannot be set.
	Dependencies []Dependency `json:"dependencies,omitempty"`
}

// Dependency makes an attribute read-only, or gives it a value, while others have certain values
// (DSP0266 AttributeRegistry, Dependencies of type Map). Real registries have hundreds: on HPE a
// workload profile greys out what it decides.
type Dependency struct {
	Attribute string      `json:"attribute"`           // what it is about
	ReadOnly  bool        `json:"read_only,omitempty"` // Redfish ReadOnly, GrayOut and Hidden alike
	Value     any         `json:"value,omitempty"`     // what the attribute becomes; nil: only ReadOnly
	If        []Condition `json:"if"`
}

// Condition compares an attribute's value. Conditions of a Dependency are joined from left to
// right, by Or where it is set and else by and.
type Condition struct {
	Attribute string `json:"attribute"`
	Operator  string `json:"operator"` // Redfish MapFromCondition: EQU, NEQ, GTR, GEQ, LSS, LEQ
	Value     any    `json:"value"`
	Or        bool   `json:"or,omitempty"`
}

// AttributeType is the type of a BIOS attribute, spelled as in Redfish.
type AttributeType string

// Attribute types.
const (
	TypeEnumeration AttributeType = "Enumeration"
	TypeString      AttributeType = "String"
	TypeInteger     AttributeType = "Integer"
	TypeBoolean     AttributeType = "Boolean"
	TypePassword    AttributeType = "Password"
)

// Attribute is one registry entry.
type Attribute struct {
	Type     AttributeType `json:"type"`
	Values   []string      `json:"values,omitempty"` // of an Enumeration
	ReadOnly bool          `json:"read_only,omitempty"`
	Min      *int64        `json:"min,omitempty"` // of an Integer: lowest value; of a String: fewest characters
	Max      *int64        `json:"max,omitempty"`
	// AppliesAtOnce is true only where the registry says ResetRequired=false. Real registries
	// often leave ResetRequired out, and a reset is needed then.
	AppliesAtOnce bool `json:"applies_at_once,omitempty"`
}

// Binding is the vendor's attribute for an Intent.
type Binding struct {
	Attribute string         `json:"attribute"`
	Values    map[string]any `json:"values"` // intent value ("on", "uefi", …) to attribute value
}

// Controller is a storage controller with its drives, in slot order, and volumes.
type Controller struct {
	ID         string      `json:"id"`
	Model      string      `json:"model,omitempty"`
	RAIDLevels []RAIDLevel `json:"raid_levels,omitempty"` // empty: not told
	// Volumes can be created and deleted here. False for a plain HBA.
	Configurable bool `json:"configurable"`
	// WholeDisksOnly means that volumes cannot be given a size (Dell BOSS refuses any).
	WholeDisksOnly bool `json:"whole_disks_only,omitempty"`
	// OnReset means that volumes come and go at the next reset, not at once.
	OnReset bool `json:"on_reset,omitempty"`
	// NoSpares means that volumes cannot be given spare disks.
	NoSpares bool     `json:"no_spares,omitempty"`
	Firmware string   `json:"firmware,omitempty"`
	Health   string   `json:"health,omitempty"` // Redfish: OK, Warning, Critical
	Drives   []Drive  `json:"drives,omitempty"`
	Volumes  []Volume `json:"volumes,omitempty"`
	// Partial means that not all drives or volumes could be read. No RAID plan touches such
	// a controller: what cannot be seen could be destroyed.
	Partial bool `json:"partial,omitempty"`
}

// Drive is a physical disk.
type Drive struct {
	ID        string `json:"id"`
	Serial    string `json:"serial,omitempty"`
	WWN       string `json:"wwn,omitempty"`
	Model     string `json:"model,omitempty"`
	SizeBytes int64  `json:"size_bytes"`
	Media     string `json:"media,omitempty"`    // Redfish MediaType: HDD, SSD, …
	Protocol  string `json:"protocol,omitempty"` // Redfish Protocol: SAS, SATA, NVMe, …
	Health    string `json:"health,omitempty"`   // Redfish: OK, Warning, Critical
}

// Identity names the disk in plans and grants: the serial number, else the WWN, else the ID.
func (d Drive) Identity() string {
	switch {
	case d.Serial != "":
		return d.Serial
	case d.WWN != "":
		return d.WWN
	}
	return d.ID
}

// Volume is a logical disk made by a controller.
type Volume struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	RAIDLevel RAIDLevel `json:"raid_level"`
	Drives    []string  `json:"drives"`           // Drive.Identity of the members, in slot order
	Spares    []string  `json:"spares,omitempty"` // Drive.Identity of its dedicated spares
	SizeBytes int64     `json:"size_bytes"`
	Bootable  bool      `json:"bootable,omitempty"`
	Health    string    `json:"health,omitempty"` // Redfish: OK, Warning, Critical
}

// Job is work the BMC has scheduled or is doing.
type Job struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	State   string `json:"state"` // Redfish TaskState or JobState
	Percent int    `json:"percent,omitempty"`
	Message string `json:"message,omitempty"`
	// Component is what it works on, empty where the BMC does not say.
	Component Component `json:"component,omitempty"`
}

// Unreadable is a resource that could not be read.
type Unreadable struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}
