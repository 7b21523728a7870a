package eqlx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
)

// show asks for a volume of this driver. A name that differs in case is the group's only volume of
// that name, and somebody else's.
func (d *Driver) show(ctx context.Context, name string) (info, error) {
	v, err := d.showAny(ctx, name)
	if err == nil && v.name != "" && v.name != name {
		return info{}, fmt.Errorf("%w: the group has %q, which is not this driver's", storage.ErrNotFound, v.name)
	}
	return v, err
}

// showAny asks for a volume.
func (d *Driver) showAny(ctx context.Context, name string) (info, error) {
	lines, line, err := d.send(ctx, reads, volume(name, lit("show"))...)
	if err != nil {
		return info{}, err
	}
	v := parseShow(lines)
	if v.size == 0 {
		return info{}, &ReplyError{Command: line, Missing: "Size"}
	}
	return v, nil
}

func (d *Driver) as(id string, sizeBytes int64) *storage.Volume {
	return &storage.Volume{ID: id, Name: d.volumes.name(id), SizeBytes: sizeBytes}
}

// about says which volume an error is about.
func about(id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("volume %q: %w", id, err)
}

// Get returns a volume, with one command. Its size is what the group shows, in whole
// gigabytes; the device has up to 15 MB more, as the group works in pages of that size.
func (d *Driver) Get(ctx context.Context, id string) (*storage.Volume, error) {
	if err := checkIDs(id); err != nil {
		return nil, err
	}
	v, err := d.show(ctx, d.volumes.name(id))
	if err != nil {
		return nil, about(id, err)
	}
	return d.as(id, roundUp(v.size)), nil
}

// identity is the end of a create or clone command: the description, where the name does not
// tell the ID.
func (d *Driver) identity(id string) []part {
	if !d.volumes.hides(id) {
		return nil
	}
	return []part{lit("description"), {text: describeID(id)}}
}

// Create makes a volume, with one command; with MultihostAccess two.
func (d *Driver) Create(ctx context.Context, spec storage.VolumeSpec) (*storage.Volume, error) {
	if err := checkIDs(spec.ID); err != nil {
		return nil, err
	}
	size, err := wanted(spec.SizeBytes)
	if err != nil {
		return nil, err
	}
	parts := []part{lit("volume create"), arg(d.volumes.name(spec.ID)), gigabytes(size)}
	if d.config.Pool != "default" {
		parts = append(parts, lit("pool"), arg(d.config.Pool))
	}
	if !d.config.ThickProvision {
		parts = append(parts, lit("thin-provision"))
	}
	made := maker{d: d, id: spec.ID, size: size}
	return made.run(ctx, append(parts, d.identity(spec.ID)...))
}

// A maker makes a volume by a command of its own, and then gives it size and settings.
type maker struct {
	d      *Driver
	id     string
	size   int64 // that it is to have
	source int64 // that it has at first; 0 = size
}

// run makes the volume, or leaves nothing behind.
func (m maker) run(ctx context.Context, parts []part) (*storage.Volume, error) {
	d, name := m.d, m.d.volumes.name(m.id)
	grow := m.source > 0 && m.source < m.size
	if grow {
		// Two steps: if an answer gets lost, whether the volume is this call's must be known.
		switch _, err := d.show(ctx, name); {
		case err == nil:
			return nil, about(m.id, storage.ErrExists)
		case !errors.Is(err, storage.ErrNotFound):
			return nil, about(m.id, err)
		}
	}
	lines, line, err := d.send(ctx, makes, parts...)
	err = told(lines, line, err)
	if late := unawaited(err); late != nil {
		d.takeBack(ctx, func(ctx context.Context) { m.undo(ctx, grow, line, late) }, name)
		return nil, about(m.id, err)
	}
	if errors.Is(err, storage.ErrUnknownOutcome) {
		return nil, about(m.id, m.recover(ctx, grow, err))
	}
	if err != nil {
		return nil, about(m.id, d.taken(ctx, name, err))
	}
	if err := m.finish(ctx, grow); err != nil {
		stays := d.cleanup(ctx, "volume "+name, func(ctx context.Context) error { return d.removeUnused(ctx, name) })
		var lost *lostError
		switch {
		case stays != nil:
			err = unknown(err)
		case errors.As(err, &lost):
			err = fmt.Errorf("made and removed again: %w", lost) // which ended what was unknown
		}
		return nil, about(m.id, err)
	}
	return d.as(m.id, m.size), nil
}

// taken adds storage.ErrExists to what a group said to a command for a new name, if there is a volume
// of that name: how a group says so is not known.
func (d *Driver) taken(ctx context.Context, name string, err error) error {
	if !refused(err) || errors.Is(err, storage.ErrExists) {
		return err
	}
	if _, look := d.showAny(ctx, name); look != nil {
		return err
	}
	return fmt.Errorf("%w: %w", storage.ErrExists, err)
}

// told is the error of a command that makes a volume.
func told(lines []string, line string, err error) error {
	if err == nil {
		if _, ok := parseTarget(lines); !ok {
			err = unknown(&ReplyError{Command: line, Missing: "iSCSI target name"})
		}
	}
	return err
}

// undo waits for the answer that the caller did not, and removes what the group says is new.
func (m maker) undo(ctx context.Context, grow bool, line string, late func() ([]string, error)) {
	lines, err := late()
	err = told(lines, line, err)
	switch {
	case err == nil:
		name := m.d.volumes.name(m.id)
		m.d.cleanup(ctx, "volume "+name, func(ctx context.Context) error { return m.d.removeUnused(ctx, name) }) //nolint:errcheck // logged
	case !refused(err):
		m.recover(ctx, grow, err) //nolint:errcheck // the caller has its error
	}
}

// finish gives a new volume what its making did not.
func (m maker) finish(ctx context.Context, grow bool) error {
	name := m.d.volumes.name(m.id)
	if grow {
		if err := m.d.do(ctx, settles, volume(name, lit("size"), gigabytes(m.size), lit("no-snap"))...); err != nil {
			return err
		}
	}
	if !m.d.config.MultihostAccess {
		return nil
	}
	return m.d.do(ctx, settles, volume(name, lit("multihost-access enable"))...)
}

// recover brings to an end what an answer got lost of. The error stays: the caller looks, and
// must then find a whole volume or none. A volume that was there before has its settings
// already, and its size is touched only where it is known to be new.
func (m maker) recover(ctx context.Context, grow bool, lost error) error {
	name := m.d.volumes.name(m.id)
	if !grow && !m.d.config.MultihostAccess {
		return lost
	}
	m.d.cleanup(ctx, "half-made volume "+name, func(ctx context.Context) error { //nolint:errcheck // logged; the caller looks
		if _, err := m.d.show(ctx, name); err != nil {
			if errors.Is(err, storage.ErrNotFound) {
				return nil
			}
			return err
		}
		return m.finish(ctx, grow)
	})
	return lost
}

// remove deletes a volume that nobody uses, as it is new or was looked at; was is how. A volume
// that then stays does not stay offline.
func (d *Driver) remove(ctx context.Context, name string, was info) error {
	err := d.do(ctx, settles, volume(name, lit("offline"))...)
	if err == nil {
		err = d.do(ctx, changes, lit("volume delete"), arg(name))
	}
	if err == nil || errors.Is(err, storage.ErrNotFound) || was.offline {
		return err
	}
	left := d.cleanup(ctx, "offline volume "+name, func(ctx context.Context) error {
		err := d.do(ctx, settles, volume(name, lit("online"))...)
		if errors.Is(err, storage.ErrNotFound) {
			return nil // only the answer got lost
		}
		return err
	})
	if left != nil {
		err = later(err)
	}
	return err
}

// Delete destroys a volume. It looks first for access records, connections and snapshots: the
// group would cut the connections and delete the snapshots with the volume.
func (d *Driver) Delete(ctx context.Context, id string) error {
	if err := checkIDs(id); err != nil {
		return err
	}
	name := d.volumes.name(id)
	if err := d.removeUnused(ctx, name); err != nil {
		return about(id, err)
	}
	d.forget(name)
	return nil
}

// removeUnused deletes a volume that has neither snapshots nor access records nor connections;
// also one that a call made that is taken back: another process may have found and connected it.
func (d *Driver) removeUnused(ctx context.Context, name string) error {
	v, err := d.show(ctx, name)
	if err != nil {
		return err
	}
	busy := &storage.BusyError{}
	if v.snapshots != 0 { // or not told
		dependents, err := d.dependents(ctx, name)
		if err != nil {
			return err
		}
		busy.Dependents = dependents
	}
	records, err := d.access(ctx, name)
	if err != nil {
		return err
	}
	for _, r := range records {
		what := "connection " + r.initiator
		if r.initiator == "" { // by address or account: machines may be connected, or connect next
			what = "access record " + r.id
		}
		if !slices.Contains(busy.Dependents, what) {
			busy.Dependents = append(busy.Dependents, what)
		}
	}
	if v.connections > 0 && len(busy.Dependents) == 0 {
		busy.Dependents = append(busy.Dependents, fmt.Sprintf("%d iSCSI connections", v.connections))
	}
	if len(busy.Dependents) > 0 {
		return busy
	}
	return d.remove(ctx, name, v)
}

// List lists the volumes that carry the template, with one command, and one more for each
// whose name does not tell its ID. The group has no pages, so every call gets the whole list.
func (d *Driver) List(ctx context.Context, after string, limit int) ([]storage.Volume, error) {
	if limit < 1 {
		return nil, fmt.Errorf("%w: limit %d", storage.ErrInvalid, limit)
	}
	rows, err := d.rows(ctx)
	if err != nil {
		return nil, err
	}
	volumes := []storage.Volume{}
	for _, r := range rows {
		id, ours, hidden := d.volumes.id(r.name)
		if hidden {
			v, err := d.show(ctx, r.name)
			if errors.Is(err, storage.ErrNotFound) {
				continue // deleted meanwhile
			}
			if err != nil {
				return nil, err
			}
			if id, ours = d.volumes.describedID(r.name, v.description); !ours {
				d.log.Warn("volume does not tell its ID; its description was changed", "name", r.name)
			}
		}
		if ours && id > after {
			volumes = append(volumes, storage.Volume{ID: id, Name: r.name, SizeBytes: roundUp(r.size)})
		}
	}
	slices.SortFunc(volumes, func(a, b storage.Volume) int { return strings.Compare(a.ID, b.ID) })
	return volumes[:min(limit, len(volumes))], nil
}

// rows returns the group's volumes.
func (d *Driver) rows(ctx context.Context) ([]row, error) {
	lines, _, err := d.send(ctx, reads, lit("volume show"))
	if err != nil {
		return nil, err
	}
	rows, strange := parseVolumes(lines)
	for _, line := range strange {
		d.log.Warn("a line of the list of volumes is not understood; a volume may be missing from it", "line", line)
	}
	return rows, nil
}

// Extend makes a volume bigger, with two commands: what the group does when asked for less than
// there is, is not known, so that is not asked.
func (d *Driver) Extend(ctx context.Context, id string, sizeBytes int64) (*storage.Volume, error) {
	if err := checkIDs(id); err != nil {
		return nil, err
	}
	size, err := wanted(sizeBytes)
	if err != nil {
		return nil, err
	}
	name := d.volumes.name(id)
	v, err := d.show(ctx, name)
	if err != nil {
		return nil, about(id, err)
	}
	has := roundUp(v.size)
	switch {
	case size < has-v.slack:
		return nil, about(id, fmt.Errorf("%w: it has %d bytes, %d bytes are less", storage.ErrInvalid, has, size))
	case size != has && size <= has+v.slack: // what the group does if that is less is not known
		return nil, about(id, fmt.Errorf("%w: it has about %d bytes, the group tells no better, and %d bytes may be less; ask for more than %d bytes",
			storage.ErrInvalid, has, size, has+v.slack))
	case size > has, size > v.size && v.slack == 0:
		if err := d.do(ctx, settles, volume(name, lit("size"), gigabytes(size), lit("no-snap"))...); err != nil {
			return nil, about(id, err)
		}
	}
	return d.as(id, size), nil
}
