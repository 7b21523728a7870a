package redfishsim

import (
	"fmt"
	"slices"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Volume is a logical disk over members of one controller.
type Volume struct {
	ID         string             `json:"id"`
	Controller string             `json:"controller"`
	Name       string             `json:"name"`
	RAIDLevel  hardware.RAIDLevel `json:"raid_level"`
	Disks      []string           `json:"disks"` // serials
	SizeBytes  int64              `json:"size_bytes"`
	Bootable   bool               `json:"bootable,omitempty"`
}

// CreateVolume makes a volume of v's controller, name, level and disks; SizeBytes 0 takes
// all that the disks give. It destroys what was on the disks. The new ID is returned.
func (m *Machine) CreateVolume(v Volume) (string, error) {
	err := m.do(func() error {
		c, ok := m.spec.controller(v.Controller)
		if !ok {
			return fmt.Errorf("%w: controller %q", ErrNotFound, v.Controller)
		}
		if !slices.Contains(c.RAIDLevels, v.RAIDLevel) {
			return fmt.Errorf("%w: %s does not do %s", ErrInvalid, c.ID, v.RAIDLevel)
		}
		var sizes []int64
		for i, serial := range v.Disks {
			d, ok := m.spec.disk(serial)
			if !ok || d.Controller != c.ID {
				return fmt.Errorf("%w: disk %q on %s", ErrNotFound, serial, c.ID)
			}
			if slices.Contains(v.Disks[:i], serial) {
				return fmt.Errorf("%w: disk %s named twice", ErrInvalid, serial)
			}
			if used := m.volumeOf(serial); used != nil {
				return fmt.Errorf("%w: disk %s belongs to volume %s", ErrConflict, serial, used.ID)
			}
			sizes = append(sizes, d.SizeBytes)
		}
		usable, err := v.RAIDLevel.Usable(sizes)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if v.SizeBytes < 0 || v.SizeBytes > usable {
			return fmt.Errorf("%w: %d bytes of %d", ErrInvalid, v.SizeBytes, usable)
		}
		if v.SizeBytes == 0 {
			v.SizeBytes = usable
		}
		v.ID = fmt.Sprintf("Disk.Virtual.%d", m.state.NextVolume)
		v.Disks = slices.Clone(v.Disks)
		m.state.NextVolume++
		m.state.Volumes = append(m.state.Volumes, v)
		m.wipe(v.Disks)
		m.changed()
		return nil
	})
	return v.ID, err
}

// DeleteVolume removes a volume and destroys what was on it.
func (m *Machine) DeleteVolume(id string) error {
	return m.do(func() error {
		i := slices.IndexFunc(m.state.Volumes, func(v Volume) bool { return v.ID == id })
		if i < 0 {
			return fmt.Errorf("%w: volume %q", ErrNotFound, id)
		}
		disks := m.state.Volumes[i].Disks
		m.state.Volumes = slices.Delete(m.state.Volumes, i, i+1)
		m.wipe(disks)
		m.changed()
		return nil
	})
}

// BootDisk names what the machine boots from disk: the first bootable volume, else the
// first volume, else the first disk; "" for a machine without disks.
func (m *Machine) BootDisk() string {
	var target string
	_ = m.do(func() error {
		for _, v := range m.state.Volumes {
			if target == "" || v.Bootable {
				target = v.ID
			}
			if v.Bootable {
				return nil
			}
		}
		if target == "" && len(m.spec.Disks) > 0 {
			target = m.spec.Disks[0].Serial
		}
		return nil
	})
	return target
}

// Write puts contents on a volume (by ID) or a disk without volume (by serial), as an
// installer does. Data that was there is destroyed and counts as a wipe of its disks; a
// fresh volume or a wiped disk holds none. A disk that belongs to a volume is ErrConflict.
func (m *Machine) Write(target, contents string) error {
	return m.onDisks(target, func(d DiskState) DiskState {
		if d.Contents != "" {
			d.Wipes++
		}
		d.Contents = contents
		return d
	})
}

// Wipe blanks a volume or a disk, and counts a wipe even if it was blank.
func (m *Machine) Wipe(target string) error {
	return m.onDisks(target, func(d DiskState) DiskState { return DiskState{Wipes: d.Wipes + 1} })
}

// Contents returns what a volume or disk holds; a disk inside a volume may be asked too.
func (m *Machine) Contents(target string) (string, error) {
	var contents string
	err := m.do(func() error {
		if d, ok := m.state.Disks[target]; ok {
			contents = d.Contents
			return nil
		}
		disks, err := m.members(target)
		if err == nil {
			contents = m.state.Disks[disks[0]].Contents
		}
		return err
	})
	return contents, err
}

func (m *Machine) onDisks(target string, change func(DiskState) DiskState) error {
	return m.do(func() error {
		disks, err := m.members(target)
		if err != nil {
			return err
		}
		for _, serial := range disks {
			m.state.Disks[serial] = change(m.state.Disks[serial])
		}
		m.changed()
		return nil
	})
}

// members returns the disks behind a volume ID or a serial.
func (m *Machine) members(target string) ([]string, error) {
	for _, v := range m.state.Volumes {
		if v.ID == target {
			return v.Disks, nil
		}
	}
	if _, ok := m.state.Disks[target]; !ok {
		return nil, fmt.Errorf("%w: volume or disk %q", ErrNotFound, target)
	}
	if used := m.volumeOf(target); used != nil {
		return nil, fmt.Errorf("%w: disk %s belongs to volume %s", ErrConflict, target, used.ID)
	}
	return []string{target}, nil
}

func (m *Machine) volumeOf(serial string) *Volume {
	for i := range m.state.Volumes {
		if slices.Contains(m.state.Volumes[i].Disks, serial) {
			return &m.state.Volumes[i]
		}
	}
	return nil
}

func (m *Machine) wipe(disks []string) {
	for _, serial := range disks {
		m.state.Disks[serial] = DiskState{Wipes: m.state.Disks[serial].Wipes + 1}
	}
}
