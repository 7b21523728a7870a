package hardware

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Profile is what a machine's hardware should be. A nil part asks for nothing.
type Profile struct {
	BIOS     *BIOSProfile      `json:"bios,omitempty"`
	RAID     *RAIDProfile      `json:"raid,omitempty"`
	Boot     *BootProfile      `json:"boot,omitempty"`
	Firmware []FirmwareProfile `json:"firmware,omitempty"`
}

// BIOSProfile asks for firmware settings. Intents override those of the set, attributes
// override both.
type BIOSProfile struct {
	Set        string            `json:"set,omitempty"` // one of BIOSSets
	Intents    map[Intent]string `json:"intents,omitempty"`
	Attributes map[string]any    `json:"attributes,omitempty"` // the vendor's own names; string, bool or number
}

// Intent is a firmware setting that all vendors have under different names.
type Intent string

// Intents.
const (
	Virtualization Intent = "virtualization" // VT-x, AMD-V: on, off
	IOMMU          Intent = "iommu"          // VT-d, AMD-Vi: on, off
	SRIOV          Intent = "sriov"          // on, off
	SMT            Intent = "smt"            // hyper-threading: on, off
	NX             Intent = "nx"             // no-execute, execute disable: on, off
	BootMode       Intent = "boot_mode"      // uefi, bios
	PowerProfile   Intent = "power_profile"  // performance, balanced
	ACRecovery     Intent = "ac_recovery"    // after a power cut: on, off, last
)

// Intents returns all intents.
func Intents() []Intent {
	return []Intent{Virtualization, IOMMU, SRIOV, SMT, NX, BootMode, PowerProfile, ACRecovery}
}

// Values returns what an intent may be, nil for an unknown one.
func (i Intent) Values() []string {
	switch i {
	case Virtualization, IOMMU, SRIOV, SMT, NX:
		return []string{"on", "off"}
	case BootMode:
		return []string{"uefi", "bios"}
	case PowerProfile:
		return []string{"performance", "balanced"}
	case ACRecovery:
		return []string{"on", "off", "last"}
	}
	return nil
}

// RAIDProfile asks for volumes, by a set or one by one. Disks that no volume claims are
// left as they are, with whatever volumes they hold.
type RAIDProfile struct {
	Set     string          `json:"set,omitempty"` // one of RAIDSets; excludes Volumes
	Volumes []VolumeProfile `json:"volumes,omitempty"`
}

// VolumeProfile is one volume, or with JBOD disks without volumes. Those that name their disks
// come first; then volumes with a number of disks choose, in list order; then JBOD with a
// number; then volumes with the remaining disks; and JBOD with the remaining disks last.
type VolumeProfile struct {
	Name       string    `json:"name,omitempty"` // tells volumes of one level apart; vol0, vol1, … if empty
	RAIDLevel  RAIDLevel `json:"raid_level"`
	DiskCount  DiskCount `json:"disk_count"`
	Bootable   bool      `json:"bootable,omitempty"`
	SizeBytes  int64     `json:"size_bytes,omitempty"` // 0: all the disks give
	Controller string    `json:"controller,omitempty"` // Controller.ID; empty: the first that can
	Media      string    `json:"media,omitempty"`      // HDD or SSD; empty: any, but not mixed
	Protocol   string    `json:"protocol,omitempty"`   // SAS, SATA, NVMe; empty: any, but not mixed
	// Disks names the disks one by one: Drive.Identity, WWN or ID of each. DiskCount is then
	// their number, or Remaining for the same; Media, Protocol and the limits still hold.
	Disks []string `json:"disks,omitempty"`
	// DiskMinBytes and DiskMaxBytes limit which disks are taken; 0: no limit.
	DiskMinBytes int64 `json:"disk_min_bytes,omitempty"`
	DiskMaxBytes int64 `json:"disk_max_bytes,omitempty"`
	// Spares is how many further disks, of the same medium and protocol and none smaller than
	// the smallest member, stand by for this volume.
	Spares int `json:"spare_count,omitempty"`
}

// DiskCount is a number of disks, or Remaining. In JSON a number or "remaining".
type DiskCount int

// Remaining takes the disks that no volume with a number took, as many as the level can use.
const Remaining DiskCount = 0

// MarshalJSON gives the number or "remaining".
func (c DiskCount) MarshalJSON() ([]byte, error) {
	if c == Remaining {
		return []byte(`"remaining"`), nil
	}
	return json.Marshal(int(c))
}

// UnmarshalJSON takes a positive number or "remaining".
func (c *DiskCount) UnmarshalJSON(data []byte) error {
	if string(data) == `"remaining"` {
		*c = Remaining
		return nil
	}
	var n int
	if err := json.Unmarshal(data, &n); err != nil || n < 1 {
		return fmt.Errorf(`%w: disk_count %s is neither a positive number nor "remaining"`, ErrInvalid, data)
	}
	*c = DiskCount(n)
	return nil
}

// BootProfile asks for what the machine boots. An empty field asks for nothing.
type BootProfile struct {
	// Target is an override that holds until it is changed.
	Target BootTarget `json:"target,omitempty"`
	// Mode is uefi or bios, the same wish as the intent boot_mode: by the BIOS attribute where the
	// machine has one for it, else as the override's mode.
	Mode string `json:"mode,omitempty"`
	// Order is what the firmware tries, first what stands first: targets (all options of that
	// kind, as they stand) or BootOption.Reference. Options that it leaves out follow.
	Order []string `json:"order,omitempty"`
	// SecureBoot is on or off.
	SecureBoot string `json:"secure_boot,omitempty"`
}

// BootTarget is what a machine boots from first.
type BootTarget string

// Boot targets.
const (
	BootNone BootTarget = "none" // no override: the firmware's own order
	BootPXE  BootTarget = "pxe"
	BootHTTP BootTarget = "http" // UEFI HTTP boot
	BootDisk BootTarget = "disk"
	BootCD   BootTarget = "cd"
	BootUSB  BootTarget = "usb"
)

// BootTargets returns all boot targets.
func BootTargets() []BootTarget {
	return []BootTarget{BootNone, BootPXE, BootHTTP, BootDisk, BootCD, BootUSB}
}

// Valid reports whether t is one of the boot targets.
func (t BootTarget) Valid() bool { return slices.Contains(BootTargets(), t) }

// FirmwareProfile asks for a firmware version. Another one is planned as an operation, which no
// Configurator here carries out: it says what is to be flashed by the vendor's means.
type FirmwareProfile struct {
	Component string `json:"component"` // "bios", "bmc" or another name of Snapshot.Firmware
	Version   string `json:"version"`
}
