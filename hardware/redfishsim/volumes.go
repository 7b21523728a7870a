package redfishsim

import (
	"fmt"
	"slices"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Volume is a logical disk over members of one controller.
type Volume struct {
	ID         string             `json:"id"`
	Number     int                `json:"number,omitempty"` // counts the volumes ever made, from 1
	Controller string             `json:"controller"`
	Name       string             `json:"name"`
	RAIDLevel  hardware.RAIDLevel `json:"raid_level"`
	Disks      []string           `json:"disks"`            // serials
	Spares     []string           `json:"spares,omitempty"` // dedicated hot spares, serials
	SizeBytes  int64              `json:"size_bytes"`
	StripBytes int64              `json:"strip_bytes,omitempty"` // default 64 KiB
	Bootable   bool               `json:"bootable,omitempty"`
}

func (v Volume) clone() Volume {
	v.Disks, v.Spares = slices.Clone(v.Disks), slices.Clone(v.Spares)
	return v
}

// CreateVolume makes a volume of v's controller, name, level, disks and spares, at once;
// SizeBytes 0 takes all that the disks give. It destroys what was on the disks and the
// spares. The new ID is returned. The BMC does it as its personality and the controller do,
// which may take a job.
func (m *Machine) CreateVolume(v Volume) (string, error) {
	err := m.do(func() (err error) {
		if v, err = m.checkVolume(v); err == nil {
			m.addVolume(v)
			m.changed()
		}
		return err
	})
	return v.ID, err
}

// DeleteVolume removes a volume at once and destroys what was on it.
func (m *Machine) DeleteVolume(id string) error {
	return m.do(func() error {
		if err := m.removeVolume(id); err != nil {
			return err
		}
		m.changed()
		return nil
	})
}

// requestVolume is CreateVolume as the BMC does it: at once, or by a job whose ID it returns.
func (m *Machine) requestVolume(v Volume) (id, job string, err error) {
	c, _ := m.spec.controller(v.Controller)
	if !m.traits.raidJobs && !c.OnReset {
		id, err = m.CreateVolume(v)
		return id, "", err
	}
	err = m.do(func() (err error) {
		if v, err = m.checkVolume(v); err == nil {
			id, job = v.ID, m.raidJob(c, Job{Create: &v})
		}
		return err
	})
	return id, job, err
}

// requestDelete is DeleteVolume as the BMC does it.
func (m *Machine) requestDelete(id string) (job string, err error) {
	err = m.do(func() error {
		i := m.volumeIndex(id)
		if i < 0 {
			return fmt.Errorf("%w: volume %q", ErrNotFound, id)
		}
		c, _ := m.spec.controller(m.state.Volumes[i].Controller)
		if !m.traits.raidJobs && !c.OnReset {
			err := m.removeVolume(id)
			m.changed()
			return err
		}
		for _, j := range m.state.Jobs {
			if j.Active() && j.Delete == id {
				return fmt.Errorf("%w: job %s deletes volume %s already", ErrConflict, j.ID, id)
			}
		}
		job = m.raidJob(c, Job{Delete: id})
		return nil
	})
	return job, err
}

// raidJob adds a RAID job and starts it unless it waits for a POST. Jobs of one machine run
// one after the other; one that meets a BIOS job at work fails along with it (stackhpc/drac#2).
func (m *Machine) raidJob(c Controller, j Job) string {
	j.Kind, j.Target, j.OnReset = JobRAID, c.ID, c.OnReset
	start := m.now
	for _, other := range m.state.Jobs {
		if other.Kind == JobRAID && other.timed() && other.Until.After(start) {
			start = other.Until
		}
	}
	added := m.addJob(j)
	id := added.ID
	if !c.OnReset {
		added.start(start, start.Add(m.spec.Times.Volume))
	}
	if m.active(JobBIOS, JobRunning) != nil {
		m.collide(m.now)
		if added.Active() {
			added.end(JobFailed, m.now, collided)
		}
	}
	m.changed()
	return id
}

// checkVolume completes a volume that may be made, or says why not. It takes its number.
func (m *Machine) checkVolume(v Volume) (Volume, error) {
	c, ok := m.spec.controller(v.Controller)
	if !ok {
		return v, fmt.Errorf("%w: controller %q", ErrNotFound, v.Controller)
	}
	if !slices.Contains(c.RAIDLevels, v.RAIDLevel) {
		return v, fmt.Errorf("%w: %s does not do %s", ErrInvalid, c.ID, v.RAIDLevel)
	}
	if v.SizeBytes != 0 && c.WholeDisks {
		return v, fmt.Errorf("%w: %s takes no size, its volumes use the whole disks", ErrInvalid, c.ID)
	}
	v = v.clone()
	if len(v.Spares) > 0 && m.tolerates(v.RAIDLevel) == 0 {
		return v, fmt.Errorf("%w: a spare is of no use to %s", ErrInvalid, v.RAIDLevel)
	}
	var sizes []int64
	all := append(slices.Clone(v.Disks), v.Spares...)
	for i, serial := range all {
		d, ok := m.spec.disk(serial)
		switch {
		case !ok || d.Controller != c.ID:
			return v, fmt.Errorf("%w: disk %q on %s", ErrNotFound, serial, c.ID)
		case slices.Contains(all[:i], serial):
			return v, fmt.Errorf("%w: disk %s named twice", ErrInvalid, serial)
		case m.state.Disks[serial].Failed:
			return v, fmt.Errorf("%w: disk %s has failed", ErrConflict, serial)
		}
		if used := m.volumeOf(serial); used != "" {
			return v, fmt.Errorf("%w: disk %s belongs to volume %s", ErrConflict, serial, used)
		}
		if i < len(v.Disks) {
			sizes = append(sizes, d.SizeBytes)
		} else if len(sizes) > 0 && d.SizeBytes < slices.Min(sizes) {
			return v, fmt.Errorf("%w: spare %s is smaller than the disks", ErrInvalid, serial)
		}
	}
	usable, err := v.RAIDLevel.Usable(sizes)
	if err != nil {
		return v, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if v.SizeBytes < 0 || v.SizeBytes > usable {
		return v, fmt.Errorf("%w: %d bytes of %d", ErrInvalid, v.SizeBytes, usable)
	}
	if v.SizeBytes == 0 {
		v.SizeBytes = usable
	}
	if v.StripBytes == 0 {
		v.StripBytes = 64 << 10
	}
	v.Number = m.state.NextVolume
	v.ID = m.traits.volumeID(v.Number, c.ID)
	if v.Name == "" {
		v.Name = fmt.Sprintf("Virtual Disk %d", v.Number-1)
	}
	m.state.NextVolume++
	return v, nil
}

func (m *Machine) addVolume(v Volume) {
	m.state.Volumes = append(m.state.Volumes, v)
	m.wipe(v.Disks)
	m.wipe(v.Spares)
}

func (m *Machine) removeVolume(id string) error {
	i := m.volumeIndex(id)
	if i < 0 {
		return fmt.Errorf("%w: volume %q", ErrNotFound, id)
	}
	disks := m.state.Volumes[i].Disks
	m.state.Volumes = slices.Delete(m.state.Volumes, i, i+1)
	m.wipe(disks)
	return nil
}

func (m *Machine) volumeIndex(id string) int {
	return slices.IndexFunc(m.state.Volumes, func(v Volume) bool { return v.ID == id })
}

// volumeOf names the volume that a disk belongs to, or will by a job that has not ended.
func (m *Machine) volumeOf(serial string) string {
	has := func(v *Volume) bool { return slices.Contains(v.Disks, serial) || slices.Contains(v.Spares, serial) }
	for i := range m.state.Volumes {
		if has(&m.state.Volumes[i]) {
			return m.state.Volumes[i].ID
		}
	}
	for _, j := range m.state.Jobs {
		if j.Active() && j.Create != nil && has(j.Create) {
			return j.Create.ID
		}
	}
	return ""
}
