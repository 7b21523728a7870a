package redfishsim

import "fmt"

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
	return m.onDisks(target, func(d DiskState) DiskState { return d.wiped() })
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
			contents = m.state.Disks[m.survivor(disks)].Contents
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
		if m.dead(target) {
			return fmt.Errorf("%w: %s has failed", ErrConflict, target)
		}
		for _, serial := range disks {
			if d := m.state.Disks[serial]; !d.Failed {
				m.state.Disks[serial] = change(d)
			}
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
	if used := m.volumeOf(target); used != "" {
		return nil, fmt.Errorf("%w: disk %s belongs to volume %s", ErrConflict, target, used)
	}
	return []string{target}, nil
}

func (m *Machine) wipe(disks []string) {
	for _, serial := range disks {
		m.state.Disks[serial] = m.state.Disks[serial].wiped()
	}
}

func (d DiskState) wiped() DiskState {
	d.Contents = ""
	d.Wipes++
	return d
}
