package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/crowbarkit/crowbarkit/storage"
)

type snapshot struct {
	size int64
	data contents
}

// CreateSnapshot takes as much space as the volume.
func (d *Driver) CreateSnapshot(ctx context.Context, volumeID, id string) (made *storage.Snapshot, err error) {
	if err := storage.CheckID(id); err != nil {
		return nil, err
	}
	err = d.with(ctx, "create snapshot", volumeID, func(v *volume) error {
		if _, there := v.snapshots[id]; there {
			return fmt.Errorf("snapshot %q of %q: %w", id, volumeID, storage.ErrExists)
		}
		if err := d.take(v.size); err != nil {
			return err
		}
		v.snapshots[id] = snapshot{size: v.size, data: v.data.clone()}
		made = &storage.Snapshot{ID: id, VolumeID: volumeID, SizeBytes: v.size}
		return nil
	})
	return made, err
}

// withSnapshot is with on a snapshot that is there.
func (d *Driver) withSnapshot(ctx context.Context, op, volumeID, id string, fn func(*volume, snapshot) error) error {
	return d.with(ctx, op, volumeID, func(v *volume) error {
		s, there := v.snapshots[id]
		if !there {
			return fmt.Errorf("snapshot %q of %q: %w", id, volumeID, storage.ErrNotFound)
		}
		return fn(v, s)
	})
}

// GetSnapshot returns a snapshot.
func (d *Driver) GetSnapshot(ctx context.Context, volumeID, id string) (found *storage.Snapshot, err error) {
	err = d.withSnapshot(ctx, "get snapshot", volumeID, id, func(_ *volume, s snapshot) error {
		found = &storage.Snapshot{ID: id, VolumeID: volumeID, SizeBytes: s.size}
		return nil
	})
	return found, err
}

// ListSnapshots lists a volume's snapshots.
func (d *Driver) ListSnapshots(ctx context.Context, volumeID, after string, limit int) (snapshots []storage.Snapshot, err error) {
	err = d.with(ctx, "list snapshots", volumeID, func(v *volume) error {
		for _, id := range slices.Sorted(maps.Keys(v.snapshots)) {
			if id > after && len(snapshots) < limit {
				snapshots = append(snapshots, storage.Snapshot{ID: id, VolumeID: volumeID, SizeBytes: v.snapshots[id].size})
			}
		}
		return nil
	})
	return snapshots, err
}

// DeleteSnapshot gives its space back. Volumes made from it are copies.
func (d *Driver) DeleteSnapshot(ctx context.Context, volumeID, id string) error {
	return d.withSnapshot(ctx, "delete snapshot", volumeID, id, func(v *volume, s snapshot) error {
		d.used -= s.size
		delete(v.snapshots, id)
		return nil
	})
}

// CreateFromSnapshot makes a copy.
func (d *Driver) CreateFromSnapshot(ctx context.Context, spec storage.VolumeSpec, volumeID, snapshotID string) (made *storage.Volume, err error) {
	err = d.withSnapshot(ctx, "create from snapshot", volumeID, snapshotID, func(_ *volume, s snapshot) error {
		v, err := d.create(spec, s.data, s.size)
		if err == nil {
			made = v.as(spec.ID)
		}
		return err
	})
	return made, err
}

// Clone makes a copy of a volume.
func (d *Driver) Clone(ctx context.Context, spec storage.VolumeSpec, sourceID string) (made *storage.Volume, err error) {
	err = d.with(ctx, "clone", sourceID, func(source *volume) error {
		v, err := d.create(spec, source.data, source.size)
		if err == nil {
			made = v.as(spec.ID)
		}
		return err
	})
	return made, err
}

// Revert puts a volume back that is not connected.
func (d *Driver) Revert(ctx context.Context, volumeID, snapshotID string) error {
	return d.withSnapshot(ctx, "revert", volumeID, snapshotID, func(v *volume, s snapshot) error {
		if err := v.busy(volumeID, nil); err != nil {
			return err
		}
		v.data = s.data.clone()
		return nil
	})
}
