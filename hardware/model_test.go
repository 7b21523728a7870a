package hardware_test

import (
	"fmt"
	"slices"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// model is a machine that does what operations say, on a snapshot. It refuses what a controller
// would refuse, and knows which disks have lost what was on them.
type model struct {
	*hardware.Snapshot
	lost      map[string]bool
	loseNames bool // volumes do not keep the names they were given
	created   int
}

func newModel(seen *hardware.Snapshot) *model {
	return &model{Snapshot: seen, lost: map[string]bool{}}
}

// perform sends one operation; what takes a reset waits for reset.
func (m *model) perform(op hardware.Operation) error {
	switch op.Component {
	case hardware.ComponentRAID:
		i := slices.IndexFunc(m.Storage, func(c hardware.Controller) bool { return c.ID == op.Controller })
		if op.Action == hardware.ActionCreateVolume {
			return m.create(&m.Storage[i], *op.Volume)
		}
		return m.delete(&m.Storage[i], op.Volume.ID)
	case hardware.ComponentBIOS:
		if m.BIOS.Registry.Attributes[op.Target].AppliesAtOnce {
			m.BIOS.Attributes[op.Target] = op.After
			delete(m.BIOS.Pending, op.Target)
			return nil
		}
		if m.BIOS.Pending == nil {
			m.BIOS.Pending = map[string]any{}
		}
		m.BIOS.Pending[op.Target] = op.After
	case hardware.ComponentBoot:
		m.boot(op)
	case hardware.ComponentFirmware:
		m.Firmware[op.Target] = op.After.(string) // by the vendor's means
	}
	return nil
}

func (m *model) create(c *hardware.Controller, v hardware.Volume) error {
	if c.WholeDisksOnly && v.SizeBytes > 0 || c.NoSpares && len(v.Spares) > 0 || !c.Configurable {
		return fmt.Errorf("%s cannot make %+v", c.ID, v)
	}
	var sizes []int64
	for _, d := range slices.Concat(v.Drives, v.Spares) {
		i := slices.IndexFunc(c.Drives, func(have hardware.Drive) bool { return have.Identity() == d })
		if i < 0 || c.Drives[i].Health == "Critical" {
			return fmt.Errorf("%s has no disk %s to use", c.ID, d)
		}
		for _, other := range c.Volumes {
			if slices.Contains(other.Drives, d) || slices.Contains(other.Spares, d) {
				return fmt.Errorf("disk %s belongs to volume %s", d, other.ID)
			}
		}
		if slices.Contains(v.Drives, d) {
			sizes = append(sizes, c.Drives[i].SizeBytes)
		} else if c.Drives[i].SizeBytes < slices.Min(sizes) {
			return fmt.Errorf("%s is too small a spare", d)
		}
		m.lost[d] = true
	}
	all, err := v.RAIDLevel.Usable(sizes)
	if err != nil || v.SizeBytes > all {
		return fmt.Errorf("no volume of %d bytes on %v: %w", v.SizeBytes, sizes, err)
	}
	if v.SizeBytes == 0 {
		v.SizeBytes = all
	}
	m.created++
	v.ID = fmt.Sprint("new-", m.created)
	if m.loseNames {
		v.Name = ""
	}
	c.Volumes = append(c.Volumes, v)
	return nil
}

func (m *model) delete(c *hardware.Controller, id string) error {
	i := slices.IndexFunc(c.Volumes, func(v hardware.Volume) bool { return v.ID == id })
	if i < 0 || !c.Configurable {
		return fmt.Errorf("%s deletes no volume %s", c.ID, id)
	}
	for _, d := range c.Volumes[i].Drives {
		m.lost[d] = true
	}
	c.Volumes = slices.Delete(slices.Clone(c.Volumes), i, i+1)
	return nil
}

func (m *model) boot(op hardware.Operation) {
	b := &m.Boot
	switch op.Target {
	case hardware.TargetOverride:
		b.Target, b.Enabled = hardware.BootTarget(op.After.(string)), "Continuous"
	case hardware.TargetMode:
		b.Mode = op.After.(string)
	case hardware.TargetOrder:
		if b.OrderOnReset {
			b.PendingOrder = op.After.([]string)
		} else {
			b.Order, b.PendingOrder = op.After.([]string), nil
		}
	case hardware.TargetSecureBoot:
		m.SecureBoot.Enabled = op.After == "on"
	}
}

// reset brings what is pending into effect, and what the registry's dependencies make of it.
func (m *model) reset() {
	before, after := m.BIOS.Attributes, map[string]any{}
	for name, v := range before {
		after[name] = v
	}
	for name, v := range m.BIOS.Pending {
		after[name] = v
	}
	m.BIOS.Attributes, m.BIOS.Pending = after, nil
	given := map[string]any{}
	if m.BIOS.Registry != nil {
		for _, d := range m.BIOS.Registry.Dependencies {
			if c := d.If[0]; d.Value != nil && after[c.Attribute] == c.Value && before[c.Attribute] != c.Value {
				given[d.Attribute] = d.Value
			}
		}
	}
	for name, v := range given {
		after[name] = v
	}
	if m.Boot.PendingOrder != nil {
		m.Boot.Order, m.Boot.PendingOrder = m.Boot.PendingOrder, nil
	}
	if m.SecureBoot != nil {
		m.SecureBoot.Current = m.SecureBoot.Enabled
	}
}
