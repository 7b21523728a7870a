package hardware

import "time"

// Snapshot is what was seen of one machine at one time. It serialises to JSON and back
// without loss, so a plan can be made offline.
type Snapshot struct {
	Node        string            `json:"node"`
	TakenAt     time.Time         `json:"taken_at"`
	System      System            `json:"system"`
	Processors  Processors        `json:"processors"`
	MemoryBytes int64             `json:"memory_bytes"`
	Interfaces  []Interface       `json:"interfaces,omitempty"`
	BIOS        BIOS              `json:"bios"`
	Storage     []Controller      `json:"storage,omitempty"`
	Boot        Boot              `json:"boot"`
	Firmware    map[string]string `json:"firmware,omitempty"` // component ("bios", "bmc") to version
	Jobs        []Job             `json:"jobs,omitempty"`     // scheduled or running in the BMC
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

// Boot is the boot override.
type Boot struct {
	Target  BootTarget `json:"target,omitempty"`
	Enabled string     `json:"enabled,omitempty"` // Redfish: Disabled, Once, Continuous
	Mode    string     `json:"mode,omitempty"`    // Redfish: UEFI, Legacy
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
	Configurable bool     `json:"configurable"`
	Drives       []Drive  `json:"drives,omitempty"`
	Volumes      []Volume `json:"volumes,omitempty"`
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
	Drives    []string  `json:"drives"` // Drive.Identity of the members, in slot order
	SizeBytes int64     `json:"size_bytes"`
	Bootable  bool      `json:"bootable,omitempty"`
}

// Job is work the BMC has scheduled or is doing.
type Job struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	State   string `json:"state"` // Redfish TaskState
	Percent int    `json:"percent,omitempty"`
}

// Unreadable is a resource that could not be read.
type Unreadable struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}
