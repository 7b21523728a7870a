package redfishsim

import (
	"fmt"
	"slices"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// FailDrive breaks a disk. Its volume is degraded and a dedicated spare takes over, or, if
// that was one disk too many, the volume and what it held are lost. What is lost so is not
// counted as a wipe: nobody asked for it.
func (m *Machine) FailDrive(serial string) error {
	return m.do(func() error {
		d, ok := m.state.Disks[serial]
		if !ok {
			return fmt.Errorf("%w: disk %q", ErrNotFound, serial)
		}
		if d.Failed {
			return nil
		}
		d.Failed, d.Contents = true, ""
		m.state.Disks[serial] = d
		for i := range m.state.Jobs { // what was being written to it never ends well
			if j := &m.state.Jobs[i]; j.Active() && j.Onto == serial {
				j.end(JobFailed, m.now, "The disk has failed.")
			}
		}
		m.degrade(serial)
		m.changed()
		return nil
	})
}

// ReplaceDrive puts a new blank disk into the bay of a failed one. It is shown under the new
// serial number; Volume.Disks and State.Disks go on calling it by the old. A degraded volume
// that missed the disk is rebuilt onto it.
func (m *Machine) ReplaceDrive(serial, newSerial string) error {
	return m.do(func() error {
		d, ok := m.state.Disks[serial]
		switch {
		case !ok:
			return fmt.Errorf("%w: disk %q", ErrNotFound, serial)
		case !d.Failed:
			return fmt.Errorf("%w: disk %s has not failed", ErrConflict, serial)
		case newSerial == "":
			return fmt.Errorf("%w: a disk without serial number", ErrInvalid)
		}
		m.state.Disks[serial] = DiskState{Wipes: d.Wipes, Serial: newSerial}
		for _, v := range m.state.Volumes {
			if slices.Contains(v.Disks, serial) && !m.lost(v) {
				m.rebuild(v, serial, serial)
			}
		}
		m.changed()
		return nil
	})
}

func (m *Machine) degrade(serial string) {
	for _, v := range m.state.Volumes {
		if !slices.Contains(v.Disks, serial) {
			continue
		}
		if m.lost(v) {
			for _, d := range v.Disks {
				s := m.state.Disks[d]
				s.Contents = ""
				m.state.Disks[d] = s
			}
			return
		}
		for _, spare := range v.Spares {
			if !m.state.Disks[spare].Failed && !m.rebuilding(spare) {
				m.rebuild(v, serial, spare)
				return
			}
		}
	}
}

func (m *Machine) rebuilding(onto string) bool {
	return slices.ContainsFunc(m.state.Jobs, func(j Job) bool { return j.Active() && j.Onto == onto })
}

func (m *Machine) rebuild(v Volume, from, onto string) {
	j := m.addJob(Job{Kind: JobRebuild, Target: v.Controller, Rebuilt: v.ID, From: from, Onto: onto})
	j.start(m.now, m.now.Add(m.spec.Times.Rebuild))
}

// rebuilt puts the disk that a job has filled in its place.
func (m *Machine) rebuilt(j *Job) error {
	i := m.volumeIndex(j.Rebuilt)
	if i < 0 {
		return fmt.Errorf("%w: volume %q", ErrNotFound, j.Rebuilt)
	}
	v := &m.state.Volumes[i]
	if at := slices.Index(v.Disks, j.From); at >= 0 {
		contents := m.state.Disks[m.survivor(v.Disks)].Contents
		v.Disks[at] = j.Onto
		v.Spares = slices.DeleteFunc(v.Spares, func(s string) bool { return s == j.Onto })
		d := m.state.Disks[j.Onto]
		d.Contents = contents
		m.state.Disks[j.Onto] = d
	}
	return nil
}

// missing says whether a member has nothing of its volume: it failed, or is being rebuilt.
func (m *Machine) missing(serial string) bool {
	return m.state.Disks[serial].Failed || slices.ContainsFunc(m.state.Jobs, func(j Job) bool {
		return j.Active() && j.Kind == JobRebuild && j.From == serial
	})
}

// survivor is a member that holds its volume's contents.
func (m *Machine) survivor(disks []string) string {
	for _, d := range disks {
		if !m.missing(d) {
			return d
		}
	}
	return disks[0]
}

// tolerates is how many disks of one group may fail; groups are the two spans of RAID50 and
// RAID60 and the mirrored pairs of RAID10.
func (m *Machine) tolerates(l hardware.RAIDLevel) int {
	switch l {
	case hardware.RAID1, hardware.RAID5, hardware.RAID10, hardware.RAID50:
		return 1
	case hardware.RAID6, hardware.RAID60:
		return 2
	}
	return 0
}

// lost says whether too many members are gone.
func (m *Machine) lost(v Volume) bool {
	group := len(v.Disks)
	switch v.RAIDLevel {
	case hardware.RAID10:
		group = 2
	case hardware.RAID50, hardware.RAID60:
		group = len(v.Disks) / 2
	}
	for g := range slices.Chunk(v.Disks, group) {
		gone := 0
		for _, d := range g {
			if m.missing(d) {
				gone++
			}
		}
		if gone > m.tolerates(v.RAIDLevel) {
			return true
		}
	}
	return false
}

// health of a volume, as Redfish says it.
func (m *Machine) health(v Volume) string {
	switch {
	case m.lost(v):
		return "Critical"
	case slices.ContainsFunc(v.Disks, m.missing):
		return "Warning"
	}
	return "OK"
}

// dead says whether a disk has failed or a volume is lost.
func (m *Machine) dead(target string) bool {
	if i := m.volumeIndex(target); i >= 0 {
		return m.lost(m.state.Volumes[i])
	}
	return m.state.Disks[target].Failed
}
