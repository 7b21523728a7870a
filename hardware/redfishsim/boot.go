package redfishsim

import (
	"fmt"
	"slices"
	"strings"
)

// Boot modes, as Redfish spells them.
const (
	modeUEFI   = "UEFI"
	modeLegacy = "Legacy"
)

// BootOption is one entry of the boot order.
type BootOption struct {
	Reference   string `json:"reference"` // BootOptionReference, such as Boot0001
	DisplayName string `json:"display_name"`
	Alias       string `json:"alias"`          // Redfish BootSource: Pxe, UefiHttp, Hdd, Cd
	UEFIPath    string `json:"uefi_path"`      // UEFI device path
	NIC         string `json:"nic,omitempty"`  // NIC.Name of Pxe and UefiHttp
	Disk        string `json:"disk,omitempty"` // of Hdd: a volume's ID, or the serial of a disk outside volumes
}

// BootOptions lists what the last POST found to boot, in the order in which the firmware
// tries: by State.BootOrder, and else the network ports, the volumes and the disks outside
// volumes, the CD drive, HTTP boot. References are stable: Boot0001 is PXE of the first port,
// Boot0101 its HTTP boot, disks count from Boot0201, volumes from Boot0301, the CD drive is
// Boot0401.
func (m *Machine) BootOptions() []BootOption {
	var out []BootOption
	_ = m.do(func() error { out = slices.Clone(m.state.BootOptions); return nil })
	return out
}

// findBootOptions does what firmware does during POST, and needs the lock.
func (m *Machine) findBootOptions() []BootOption {
	var out, last []BootOption
	option := func(number int, name, alias, path string) BootOption {
		return BootOption{Reference: fmt.Sprintf("Boot%04X", number), DisplayName: name, Alias: alias, UEFIPath: path}
	}
	for i, n := range m.spec.NICs {
		path := fmt.Sprintf("PciRoot(0x0)/Pci(0x%X,0x0)/MAC(%s,0x1)/IPv4(0.0.0.0)", i+1, strings.ToUpper(strings.ReplaceAll(n.MAC, ":", "")))
		pxe, http := option(1+i, "PXE "+n.Name, "Pxe", path), option(0x101+i, "HTTP "+n.Name, "UefiHttp", path+"/Uri()")
		pxe.NIC, http.NIC = n.Name, n.Name
		out, last = append(out, pxe), append(last, http)
	}
	for _, bootable := range []bool{true, false} {
		for _, v := range m.state.Volumes {
			if v.Bootable == bootable {
				o := option(0x300+v.Number, v.Name, "Hdd", fmt.Sprintf("PciRoot(0x1)/Pci(0x1,0x0)/Scsi(0x%X,0x0)", v.Number))
				o.Disk = v.ID
				out = append(out, o)
			}
		}
	}
	for i, d := range m.spec.Disks {
		if m.volumeOf(d.Serial) == "" && !m.state.Disks[d.Serial].Failed {
			o := option(0x201+i, "Disk "+d.Serial, "Hdd", fmt.Sprintf("PciRoot(0x1)/Pci(0x2,0x0)/Sata(0x%X,0xFFFF,0x0)", i))
			o.Disk = d.Serial
			out = append(out, o)
		}
	}
	out = append(out, option(0x401, "Virtual CD", "Cd", "PciRoot(0x0)/Pci(0x14,0x0)/USB(0x1,0x0)/CDROM(0x0)"))
	return m.inBootOrder(append(out, last...))
}

func (m *Machine) inBootOrder(options []BootOption) []BootOption {
	rank := func(o BootOption) int {
		if i := slices.Index(m.state.BootOrder, o.Reference); i >= 0 {
			return i
		}
		return len(m.state.BootOrder)
	}
	slices.SortStableFunc(options, func(a, b BootOption) int { return rank(a) - rank(b) })
	return options
}

// SetBoot sets the boot override: a target such as None, Pxe or Hdd, which depends on the
// personality, enabled Disabled, Once or Continuous.
func (m *Machine) SetBoot(target, enabled string) error {
	return m.do(func() error { return m.changeBoot(bootChange{Target: &target, Enabled: &enabled}) })
}

// SetBootOrder puts boot options first, in this order; those left out follow. A reference
// that is none, or comes twice, is ErrInvalid.
func (m *Machine) SetBootOrder(references []string) error {
	return m.do(func() error { return m.changeBoot(bootChange{Order: references}) })
}

// bootChange is what to change about booting; nil leaves it. Mode overrides the BIOS's boot
// mode until that changes or an override for once is used up.
type bootChange struct {
	Target, Enabled, Mode *string
	Order                 []string
}

// changeBoot makes all of a change or nothing. It needs the lock.
func (m *Machine) changeBoot(c bootChange) error {
	is := func(v *string, allowed ...string) bool { return v == nil || slices.Contains(allowed, *v) }
	switch {
	case !is(c.Target, m.traits.bootTargets...):
		return fmt.Errorf("%w: boot target %q", ErrInvalid, *c.Target)
	case !is(c.Enabled, "Disabled", "Once", "Continuous"):
		return fmt.Errorf("%w: boot override %q", ErrInvalid, *c.Enabled)
	case !is(c.Mode, modeUEFI, modeLegacy):
		return fmt.Errorf("%w: boot mode %q", ErrInvalid, *c.Mode)
	}
	for i, r := range c.Order {
		if slices.Contains(c.Order[:i], r) || !slices.ContainsFunc(m.state.BootOptions, func(o BootOption) bool { return o.Reference == r }) {
			return fmt.Errorf("%w: boot option %q is none, or named twice", ErrInvalid, r)
		}
	}
	set := func(to, v *string) {
		if v != nil {
			*to = *v
		}
	}
	set(&m.state.BootTarget, c.Target)
	set(&m.state.BootEnabled, c.Enabled)
	set(&m.state.BootMode, c.Mode)
	if c.Order != nil {
		m.state.BootOrder = slices.Clone(c.Order)
		m.state.BootOptions = m.inBootOrder(slices.Clone(m.state.BootOptions))
	}
	m.changed()
	return nil
}

// SetSecureBoot asks for secure boot, which is in force after the next POST. It is
// ErrConflict to ask for it outside UEFI mode.
func (m *Machine) SetSecureBoot(on bool) error {
	return m.do(func() error {
		if on && m.mode() != modeUEFI {
			return fmt.Errorf("%w: secure boot needs boot mode UEFI", ErrConflict)
		}
		m.state.SecureBoot.Enable = on
		m.changed()
		return nil
	})
}

// mode is the boot mode in force.
func (m *Machine) mode() string {
	if m.state.BootMode != "" {
		return m.state.BootMode
	}
	return m.biosMode()
}

func (m *Machine) biosMode() string {
	if legacy := m.traits.legacy; legacy.Attribute != "" && m.state.BIOS[legacy.Attribute] == legacy.Value {
		return modeLegacy
	}
	return modeUEFI
}

// override is the boot target in force, "" for the boot order.
func (m *Machine) override() string {
	if m.state.BootEnabled == "Disabled" || m.state.BootTarget == "None" {
		return ""
	}
	return m.state.BootTarget
}
