package eqlx

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
)

// marker begins the description of a snapshot, before its ID. The group gives every snapshot a
// name of its own, which a second command changes; a snapshot with a group's name and the
// marker is one whose second command never came. Snapshots of schedules look the same but for
// the marker, and are never touched. Where a name does not tell the ID, the description does.
const marker = "crowbar-snapshot-"

// namedByGroup matches VOLUME-2012-09-05-10:11:12.123.
var namedByGroup = regexp.MustCompile(`-[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]+$`)

func aboutSnapshot(volumeID, id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("snapshot %q of volume %q: %w", id, volumeID, err)
}

// snapshotRows returns a volume's snapshots.
func (d *Driver) snapshotRows(ctx context.Context, name string) ([]row, error) {
	lines, _, err := d.send(ctx, reads, volume(name, lit("snapshot show"))...)
	if err != nil {
		return nil, err
	}
	rows, strange := parseSnapshots(lines)
	for _, line := range strange {
		d.log.Warn("a line of the list of snapshots is not understood; a snapshot may be missing from it", "volume", name, "line", line)
	}
	return rows, nil
}

// showSnapshot asks for a snapshot.
func (d *Driver) showSnapshot(ctx context.Context, volumeName, name string) (info, error) {
	lines, _, err := d.send(ctx, reads, volume(volumeName, lit("snapshot select"), arg(name), lit("show"))...)
	if err != nil {
		return info{}, err
	}
	return parseShow(lines), nil
}

// orphans returns those rows that are left from a CreateSnapshot: with the marker of one ID, or
// of any where id is "". What was found to be no orphan is not asked for again.
func (d *Driver) orphans(ctx context.Context, volumeName, id string, rows []row) ([]string, error) {
	d.mu.Lock()
	known := d.foreign[volumeName]
	d.mu.Unlock()
	foreign := map[string]bool{}
	var found []string
	for _, r := range rows {
		if !namedByGroup.MatchString(r.name) || checkWord(r.name) != nil {
			continue
		}
		if known[r.name] {
			foreign[r.name] = true
			continue
		}
		s, err := d.showSnapshot(ctx, volumeName, r.name)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		switch of, ok := strings.CutPrefix(s.description, marker); {
		case !ok:
			foreign[r.name] = true
		case id == "" || of == id:
			found = append(found, r.name)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(foreign) > 0 {
		d.foreign[volumeName] = foreign
	} else {
		delete(d.foreign, volumeName)
	}
	return found, nil
}

// forget drops what is remembered of a volume.
func (d *Driver) forget(volumeName string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.foreign, volumeName)
}

// sweep deletes orphans. id is as with orphans.
func (d *Driver) sweep(ctx context.Context, volumeName, id string, rows []row) error {
	found, err := d.orphans(ctx, volumeName, id, rows)
	if err != nil {
		return err
	}
	for _, name := range found {
		d.log.Info("deleting a snapshot that was never named", "volume", volumeName, "snapshot", name)
		if err := d.deleteSnapshot(ctx, volumeName, name); err != nil && !errors.Is(err, storage.ErrNotFound) {
			return err
		}
	}
	return nil
}

func (d *Driver) deleteSnapshot(ctx context.Context, volumeName, name string) error {
	return d.do(ctx, changes, volume(volumeName, lit("snapshot delete"), arg(name))...)
}

// dependents names a volume's snapshots, after it has deleted those that were never named.
func (d *Driver) dependents(ctx context.Context, volumeName string) ([]string, error) {
	rows, err := d.snapshotRows(ctx, volumeName)
	if err != nil {
		return nil, err
	}
	found, err := d.orphans(ctx, volumeName, "", rows)
	if err != nil {
		return nil, err
	}
	orphan := map[string]bool{}
	for _, name := range found {
		orphan[name] = true
	}
	var names []string
	for _, r := range rows {
		if orphan[r.name] {
			continue
		}
		name := r.name
		if id, ours, hidden := d.snapshots.id(name); ours && !hidden {
			name = id
		}
		names = append(names, "snapshot "+name)
	}
	if len(names) > 0 {
		return names, nil // the volume stays, and so may they
	}
	return nil, d.sweep(ctx, volumeName, "", rows)
}

// CreateSnapshot makes a snapshot: show, create-now, rename. Where the volume has snapshots
// already, one more command lists them: an orphan of an earlier try is deleted.
//
// From outside it is one step: should the second command fail, the snapshot is deleted, at
// once or when the same snapshot is made, or the volume deleted, the next time. If the context
// ends meanwhile, the snapshot is deleted as soon as the group has said that it made it.
func (d *Driver) CreateSnapshot(ctx context.Context, volumeID, id string) (*storage.Snapshot, error) {
	if err := checkIDs(volumeID, id); err != nil {
		return nil, err
	}
	volumeName, name := d.volumes.name(volumeID), d.snapshots.name(id)
	v, err := d.show(ctx, volumeName)
	if err != nil {
		return nil, about(volumeID, err)
	}
	if v.snapshots != 0 {
		rows, err := d.snapshotRows(ctx, volumeName)
		if err != nil {
			return nil, aboutSnapshot(volumeID, id, err)
		}
		for _, r := range rows {
			if r.name == name {
				return nil, aboutSnapshot(volumeID, id, storage.ErrExists)
			}
		}
		if err := d.sweep(ctx, volumeName, id, rows); err != nil {
			return nil, aboutSnapshot(volumeID, id, err)
		}
	}
	made, err := d.createNow(ctx, volumeName, id)
	switch late := unawaited(err); {
	case late != nil:
		d.takeBack(ctx, func(ctx context.Context) {
			lines, err := late()
			if made, ok := parseSnapshotName(lines); err == nil && ok {
				d.undo(ctx, volumeName, id, made) //nolint:errcheck // logged; the caller has its error
			} else if !refused(err) {
				d.undo(ctx, volumeName, id) //nolint:errcheck // likewise
			}
		}, volumeName)
		return nil, aboutSnapshot(volumeID, id, err)
	case errors.Is(err, storage.ErrUnknownOutcome):
		d.undo(ctx, volumeName, id) //nolint:errcheck // logged; the caller looks
		return nil, aboutSnapshot(volumeID, id, err)
	case err != nil:
		return nil, aboutSnapshot(volumeID, id, err)
	}
	err = d.do(ctx, makes, volume(volumeName, lit("snapshot rename"), arg(made), arg(name))...)
	if late := unawaited(err); late != nil {
		d.takeBack(ctx, func(ctx context.Context) {
			called := made
			if _, err := late(); err == nil {
				called = name // and the group has said that nobody else's was
			}
			d.undo(ctx, volumeName, id, called) //nolint:errcheck // logged; the caller has its error
		}, volumeName)
	} else if err != nil && d.undo(ctx, volumeName, id, made) != nil {
		err = unknown(err)
	}
	if err != nil {
		return nil, aboutSnapshot(volumeID, id, err)
	}
	return &storage.Snapshot{ID: id, VolumeID: volumeID, SizeBytes: roundUp(v.size)}, nil
}

// createNow makes a snapshot and returns the name that the group gave it. Should the group know
// no description there, it makes it without: then an orphan whose name got lost stays.
func (d *Driver) createNow(ctx context.Context, volumeName, id string) (string, error) {
	d.mu.Lock()
	plain := d.plain
	d.mu.Unlock()
	parts := volume(volumeName, lit("snapshot create-now"))
	if !plain {
		parts = append(parts, lit("description"), arg(marker+id))
	}
	lines, line, err := d.send(ctx, makes, parts...)
	var said *CommandError
	if errors.As(err, &said) && said.kind == nil && !plain {
		// An error is an answer: nothing was made.
		lines, line, err = d.send(ctx, makes, volume(volumeName, lit("snapshot create-now"))...)
		if err == nil {
			d.log.Warn("the group takes no description for a new snapshot; after a broken connection one without a name may stay", "error", said)
			d.mu.Lock()
			d.plain = true
			d.mu.Unlock()
		}
	}
	if err != nil {
		return "", err
	}
	made, ok := parseSnapshotName(lines)
	if !ok {
		return "", unknown(&ReplyError{Command: line, Missing: "Snapshot name"})
	}
	return made, nil
}

// undo takes back a snapshot that did not get its name: the one the group named made, or any
// with the marker. One that has its name after all stays; the caller finds it.
func (d *Driver) undo(ctx context.Context, volumeName, id string, made ...string) error {
	return d.cleanup(ctx, "snapshot "+id+" of "+volumeName, func(ctx context.Context) error {
		for _, m := range made {
			if err := d.deleteSnapshot(ctx, volumeName, m); err != nil && !errors.Is(err, storage.ErrNotFound) {
				return err
			}
		}
		if len(made) > 0 {
			return nil
		}
		rows, err := d.snapshotRows(ctx, volumeName)
		if err != nil {
			return err
		}
		return d.sweep(ctx, volumeName, id, rows)
	})
}

// GetSnapshot returns a snapshot, with one command; where the group does not tell the
// snapshot's size, it is the volume's, which may have grown since.
func (d *Driver) GetSnapshot(ctx context.Context, volumeID, id string) (*storage.Snapshot, error) {
	if err := checkIDs(volumeID, id); err != nil {
		return nil, err
	}
	s, err := d.sizedSnapshot(ctx, d.volumes.name(volumeID), d.snapshots.name(id))
	if err != nil {
		return nil, aboutSnapshot(volumeID, id, err)
	}
	return &storage.Snapshot{ID: id, VolumeID: volumeID, SizeBytes: roundUp(s.size)}, nil
}

// sizedSnapshot asks for a snapshot, and for its volume where the group does not tell its size.
func (d *Driver) sizedSnapshot(ctx context.Context, volumeName, name string) (info, error) {
	s, err := d.showSnapshot(ctx, volumeName, name)
	if err != nil || s.size != 0 {
		return s, err
	}
	return d.show(ctx, volumeName)
}

// ListSnapshots lists a volume's snapshots, with two commands for their names and one for the
// size of each that it returns; those whose names do not tell their IDs cost one each time, and
// are left out, with a warning, where the group took no description.
func (d *Driver) ListSnapshots(ctx context.Context, volumeID, after string, limit int) ([]storage.Snapshot, error) {
	if err := checkIDs(volumeID); err != nil {
		return nil, err
	}
	if limit < 1 {
		return nil, fmt.Errorf("%w: limit %d", storage.ErrInvalid, limit)
	}
	volumeName := d.volumes.name(volumeID)
	if _, err := d.show(ctx, volumeName); err != nil {
		return nil, about(volumeID, err)
	}
	rows, err := d.snapshotRows(ctx, volumeName)
	if err != nil {
		return nil, about(volumeID, err)
	}
	ids := []string{}
	for _, r := range rows {
		id, ours, hidden := d.snapshots.id(r.name)
		if hidden {
			s, err := d.showSnapshot(ctx, volumeName, r.name)
			if errors.Is(err, storage.ErrNotFound) {
				continue // deleted meanwhile
			}
			if err != nil {
				return nil, about(volumeID, err)
			}
			id = strings.TrimPrefix(s.description, marker)
			if ours = storage.CheckID(id) == nil && d.snapshots.name(id) == r.name; !ours {
				d.log.Warn("snapshot does not tell its ID", "volume", volumeName, "name", r.name)
			}
		}
		if ours && id > after {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	snapshots := []storage.Snapshot{}
	for _, id := range ids {
		if len(snapshots) == limit {
			break
		}
		s, err := d.GetSnapshot(ctx, volumeID, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		snapshots = append(snapshots, *s)
	}
	return snapshots, nil
}

// DeleteSnapshot destroys a snapshot, with two commands. Volumes made from it are copies.
func (d *Driver) DeleteSnapshot(ctx context.Context, volumeID, id string) error {
	if err := checkIDs(volumeID, id); err != nil {
		return err
	}
	volumeName := d.volumes.name(volumeID)
	if _, err := d.show(ctx, volumeName); err != nil {
		return about(volumeID, err)
	}
	return aboutSnapshot(volumeID, id, d.deleteSnapshot(ctx, volumeName, d.snapshots.name(id)))
}

// CreateFromSnapshot copies a snapshot to a new volume.
func (d *Driver) CreateFromSnapshot(ctx context.Context, spec storage.VolumeSpec, volumeID, snapshotID string) (*storage.Volume, error) {
	if err := checkIDs(volumeID, snapshotID); err != nil {
		return nil, err
	}
	volumeName, name := d.volumes.name(volumeID), d.snapshots.name(snapshotID)
	if _, err := d.show(ctx, volumeName); err != nil {
		return nil, about(volumeID, err)
	}
	s, err := d.sizedSnapshot(ctx, volumeName, name)
	if err != nil {
		return nil, aboutSnapshot(volumeID, snapshotID, err)
	}
	return d.copy(ctx, spec, s, volume(volumeName, lit("snapshot select"), arg(name), lit("clone")))
}

// Clone copies a volume, which may be in use.
func (d *Driver) Clone(ctx context.Context, spec storage.VolumeSpec, sourceID string) (*storage.Volume, error) {
	if err := checkIDs(sourceID); err != nil {
		return nil, err
	}
	name := d.volumes.name(sourceID)
	source, err := d.show(ctx, name)
	if err != nil {
		return nil, about(sourceID, err)
	}
	return d.copy(ctx, spec, source, volume(name, lit("clone")))
}

// copy finishes a clone command with the new volume's name and makes it.
func (d *Driver) copy(ctx context.Context, spec storage.VolumeSpec, source info, parts []part) (*storage.Volume, error) {
	if err := checkIDs(spec.ID); err != nil {
		return nil, err
	}
	if spec.SizeBytes == 0 {
		spec.SizeBytes = source.size
	}
	size, err := wanted(spec.SizeBytes)
	if err != nil {
		return nil, err
	}
	has := roundUp(source.size)
	switch {
	case size < has-source.slack:
		return nil, about(spec.ID, fmt.Errorf("%w: %d bytes are less than the %d bytes of the source", storage.ErrInvalid, size, has))
	case size != has && size <= has+source.slack:
		return nil, about(spec.ID, fmt.Errorf("%w: %d bytes, the source has about %d bytes, and the group tells no better; ask for the source's size, or more than %d bytes",
			storage.ErrInvalid, size, has, has+source.slack))
	}
	parts = append(parts, arg(d.volumes.name(spec.ID)))
	made := maker{d: d, id: spec.ID, size: size, source: has}
	return made.run(ctx, append(parts, d.identity(spec.ID)...))
}
