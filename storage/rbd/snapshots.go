//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// CreateSnapshot keeps the present state. Where the cluster knows only clone v1 the snapshot is
// protected, so that volumes can be made from it.
func (d *Driver) CreateSnapshot(ctx context.Context, volumeID, id string) (*storage.Snapshot, error) {
	if err := errors.Join(storage.CheckID(volumeID), storage.CheckID(id)); err != nil {
		return nil, err
	}
	made := &storage.Snapshot{ID: id, VolumeID: volumeID}
	name := d.snapshots.name(id)
	err := d.do(ctx, call{
		kind: changes, names: []string{volumeID},
		run: func(_ context.Context, s *session) error {
			image, err := s.edit(d.volumes.name(volumeID))
			if err != nil {
				return before(err)
			}
			defer image.Close()
			size, err := image.GetSize()
			if err != nil {
				return before(err)
			}
			made.SizeBytes = int64(size)
			return s.snapshot(image, name)
		},
		undo: func(s *session) error {
			image, err := s.edit(d.volumes.name(volumeID))
			if err != nil {
				return err
			}
			return errors.Join(dropSnapshot(image, name), image.Close())
		},
	})
	if err != nil {
		return nil, fmt.Errorf("snapshot %q of %q: %w", id, volumeID, err)
	}
	return made, nil
}

// snapshot makes a snapshot that can be cloned. One that cannot be is removed again.
func (s *session) snapshot(image *rbd.Image, name string) error {
	snapshot, err := image.CreateSnapshot(name)
	if err != nil {
		return err
	}
	return s.protectNew(snapshot)
}

// protectNew protects a new snapshot where clones need that, or removes it.
func (s *session) protectNew(snapshot *rbd.Snapshot) error {
	if !s.protect.Load() {
		return nil
	}
	if err := snapshot.Protect(); err != nil {
		return errors.Join(err, snapshot.Remove())
	}
	return nil
}

// protectOld protects a snapshot that was made when clones did not need that.
func (s *session) protectOld(name, snapshot string) error {
	image, err := s.edit(name)
	if err != nil {
		return err
	}
	return errors.Join(image.GetSnapshot(snapshot).Protect(), image.Close())
}

// dropSnapshot removes a snapshot; none is no error. With clone v1 a snapshot with children is
// EBUSY; with v2 librbd keeps it out of sight until the last child is gone.
func dropSnapshot(image *rbd.Image, name string) error {
	snapshot := image.GetSnapshot(name)
	// EINVAL: it is not protected.
	if err := snapshot.Unprotect(); err != nil && !is(err, syscall.EINVAL, syscall.ENOENT) {
		return err
	}
	if err := snapshot.Remove(); err != nil && !is(err, syscall.ENOENT) {
		return err
	}
	return nil
}

// dropUnused removes a snapshot unless clones stand on it.
func dropUnused(image *rbd.Image, name string) error {
	if err := dropSnapshot(image, name); !is(err, syscall.EBUSY) {
		return err
	}
	return nil
}

// snapshotsOf lists an image's snapshots. go-ceph asks twice, for their number and for them, and
// between the two another may be made.
func snapshotsOf(image *rbd.Image) (all []rbd.SnapInfo, err error) {
	for range 10 {
		if all, err = image.GetSnapshotNames(); !is(err, syscall.ERANGE) {
			break
		}
	}
	return all, err
}

// find returns the snapshot of a name, or ENOENT.
func find(image *rbd.Image, name string) (rbd.SnapInfo, error) {
	all, err := snapshotsOf(image)
	if err != nil {
		return rbd.SnapInfo{}, err
	}
	for _, snapshot := range all {
		if snapshot.Name == name {
			return snapshot, nil
		}
	}
	return rbd.SnapInfo{}, rbd.ErrNotFound
}

// GetSnapshot returns a snapshot.
func (d *Driver) GetSnapshot(ctx context.Context, volumeID, id string) (*storage.Snapshot, error) {
	if err := errors.Join(storage.CheckID(volumeID), storage.CheckID(id)); err != nil {
		return nil, err
	}
	found := &storage.Snapshot{ID: id, VolumeID: volumeID}
	err := d.do(ctx, call{sees: []string{volumeID}, run: func(_ context.Context, s *session) error {
		image, err := s.view(d.volumes.name(volumeID))
		if err != nil {
			return err
		}
		snapshot, err := find(image, d.snapshots.name(id))
		found.SizeBytes = int64(snapshot.Size)
		return errors.Join(err, image.Close())
	}})
	if err != nil {
		return nil, fmt.Errorf("snapshot %q of %q: %w", id, volumeID, err)
	}
	return found, nil
}

// ListSnapshots lists a volume's snapshots: the image has their IDs and sizes.
func (d *Driver) ListSnapshots(ctx context.Context, volumeID, after string, limit int) ([]storage.Snapshot, error) {
	if err := storage.CheckID(volumeID); err != nil {
		return nil, err
	}
	if limit < 1 {
		return nil, fmt.Errorf("%w: limit %d", storage.ErrInvalid, limit)
	}
	snapshots := []storage.Snapshot{}
	err := d.do(ctx, call{sees: []string{volumeID}, run: func(_ context.Context, s *session) error {
		image, err := s.view(d.volumes.name(volumeID))
		if err != nil {
			return err
		}
		all, err := snapshotsOf(image)
		for _, found := range all {
			if id, ours := d.snapshots.id(found.Name); ours && id > after {
				snapshots = append(snapshots, storage.Snapshot{ID: id, VolumeID: volumeID, SizeBytes: int64(found.Size)})
			}
		}
		return errors.Join(err, image.Close())
	}})
	if err != nil {
		return nil, fmt.Errorf("snapshots of %q: %w", volumeID, err)
	}
	slices.SortFunc(snapshots, func(a, b storage.Snapshot) int { return strings.Compare(a.ID, b.ID) })
	return snapshots[:min(limit, len(snapshots))], nil
}

// DeleteSnapshot destroys a snapshot. Volumes made from it live on: with clone v2 librbd keeps
// what they need; with v1 they are flattened first, which can take long.
func (d *Driver) DeleteSnapshot(ctx context.Context, volumeID, id string) error {
	if err := errors.Join(storage.CheckID(volumeID), storage.CheckID(id)); err != nil {
		return err
	}
	name := d.snapshots.name(id)
	err := d.do(ctx, call{kind: changes, names: []string{volumeID}, run: func(ctx context.Context, s *session) error {
		image, err := s.edit(d.volumes.name(volumeID))
		if err != nil {
			return before(err)
		}
		defer image.Close()
		if _, err := find(image, name); err != nil {
			return before(err)
		}
		if err = dropSnapshot(image, name); !is(err, syscall.EBUSY) {
			return err
		}
		if err := d.flattenChildren(ctx, s, d.volumes.name(volumeID), name); err != nil {
			return err
		}
		return dropSnapshot(image, name)
	}})
	if err != nil {
		return fmt.Errorf("snapshot %q of %q: %w", id, volumeID, err)
	}
	return nil
}

// flattenChildren makes the clones of a snapshot stand alone. Those that cannot be reached are
// named in a storage.BusyError.
func (d *Driver) flattenChildren(ctx context.Context, s *session, name, snapshot string) error {
	image, err := rbd.OpenImageReadOnly(s.io, name, snapshot)
	if err != nil {
		return err
	}
	children, err := image.ListChildrenAttributes()
	if err := errors.Join(err, image.Close()); err != nil {
		return err
	}
	busy := &storage.BusyError{}
	for _, child := range children {
		if child.PoolName != s.pool || child.PoolNamespace != "" {
			busy.Dependents = append(busy.Dependents, "clone "+describe(child))
			continue
		}
		if err := d.flatten(ctx, s, child.ImageID); err != nil && !is(err, syscall.ENOENT, syscall.EINVAL) { // EINVAL: flat already
			return fmt.Errorf("flatten clone %s: %w", describe(child), err)
		}
	}
	if len(busy.Dependents) > 0 {
		return busy
	}
	return nil
}

func describe(image rbd.ImageSpec) string {
	parts := []string{image.PoolName, image.PoolNamespace, image.ImageName}
	text := strings.Join(append(parts[:1:1], parts[2]), "/")
	if image.PoolNamespace != "" {
		text = strings.Join(parts, "/")
	}
	if image.Trash {
		text += " (in the trash)"
	}
	return text
}

// CreateFromSnapshot makes a clone of a snapshot.
func (d *Driver) CreateFromSnapshot(ctx context.Context, v storage.VolumeSpec, volumeID, snapshotID string) (*storage.Volume, error) {
	if err := errors.Join(storage.CheckID(v.ID), storage.CheckID(volumeID), storage.CheckID(snapshotID)); err != nil {
		return nil, err
	}
	source, snapshot := d.volumes.name(volumeID), d.snapshots.name(snapshotID)
	var size int64
	err := d.making(ctx, v.ID, func(ctx context.Context, s *session, name string) error {
		if err := d.workers.settled(ctx, volumeID); err != nil {
			return err
		}
		image, err := s.view(source)
		if err != nil {
			return before(fmt.Errorf("source %q: %w", volumeID, err))
		}
		found, err := find(image, snapshot)
		protected := true
		if err == nil && s.protect.Load() {
			protected, err = image.GetSnapshot(snapshot).IsProtected()
		}
		keys, meta := inherited(image)
		if err := errors.Join(err, meta, image.Close()); err != nil {
			return before(fmt.Errorf("snapshot %q of %q: %w", snapshotID, volumeID, err))
		}
		if !protected { // not to be tried: see CreateFromImage
			if err := s.protectOld(source, snapshot); err != nil && !is(err, syscall.EBUSY) { // EBUSY: another call was faster
				return before(fmt.Errorf("snapshot %q of %q: %w", snapshotID, volumeID, err))
			}
		}
		if size, err = fit(v.SizeBytes, int64(found.Size)); err != nil {
			return err
		}
		from := origin{s: s, image: source, snapshot: snapshot, size: int64(found.Size), keys: keys}
		return d.cloneTo(ctx, s, from, name, size)
	})
	if err != nil {
		return nil, err
	}
	d.sizes.set(d.volumes.name(v.ID), size, d.clock.Now())
	return d.volume(v.ID, size), nil
}

// Revert gives the volume the snapshot's contents. librbd copies back what has changed since,
// which can take long.
func (d *Driver) Revert(ctx context.Context, volumeID, snapshotID string) error {
	if err := errors.Join(storage.CheckID(volumeID), storage.CheckID(snapshotID)); err != nil {
		return err
	}
	name, snapshot := d.volumes.name(volumeID), d.snapshots.name(snapshotID)
	err := d.do(ctx, call{kind: changes, names: []string{volumeID}, run: func(_ context.Context, s *session) error {
		view, err := s.view(name)
		if err != nil {
			return before(err)
		}
		used, err := s.watchers(view)
		if err == nil && len(used) > 0 {
			err = &storage.BusyError{Dependents: used}
		}
		var to rbd.SnapInfo
		if err == nil {
			to, err = find(view, snapshot)
		}
		if err := errors.Join(err, view.Close()); err != nil {
			return before(err)
		}
		image, err := s.edit(name)
		if err != nil {
			return before(err)
		}
		defer image.Close()
		size, err := image.GetSize()
		if err != nil {
			return err
		}
		if err := image.GetSnapshot(snapshot).Rollback(); err != nil {
			return err
		}
		return grow(image, int64(max(size, to.Size))) // a rollback takes the snapshot's size
	}})
	if err != nil {
		return fmt.Errorf("volume %q to snapshot %q: %w", volumeID, snapshotID, err)
	}
	return nil
}

// watchers names who has an image open for writing, besides this connection.
func (s *session) watchers(view *rbd.Image) ([]string, error) {
	all, err := view.ListWatchers()
	if err != nil {
		return nil, err
	}
	var others []string
	for _, w := range all {
		if w.Id != s.client {
			others = append(others, fmt.Sprintf("connection client.%d at %s", w.Id, w.Addr))
		}
	}
	return others, nil
}
