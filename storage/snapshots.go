package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// aboutSnapshot is an operation on a snapshot, whose volume it locks.
func (b *Backend) aboutSnapshot(op, volumeID, id string) (Snapshotter, operation) {
	driver, unsupported := feature[Snapshotter](b)
	return driver, operation{
		op: op, id: volumeID + "@" + id, volumes: []string{volumeID}, changes: true,
		refused: cmp.Or(unsupported, checkSnapshotID(id)),
	}
}

func checkSnapshotID(id string) error {
	if err := CheckID(id); err != nil {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}

// CreateSnapshot returns the snapshot of this ID if there is one, and makes it if not.
func (b *Backend) CreateSnapshot(ctx context.Context, volumeID, id string) (snapshot *Snapshot, err error) {
	driver, o := b.aboutSnapshot("create snapshot", volumeID, id)
	err = b.run(ctx, o, func(ctx context.Context, c *call) error {
		for try := 1; ; try++ {
			snapshot, err = driver.CreateSnapshot(ctx, volumeID, id)
			lost := errors.Is(err, ErrUnknownOutcome)
			if !lost && !errors.Is(err, ErrExists) {
				return err
			}
			there, look := driver.GetSnapshot(ctx, volumeID, id)
			switch {
			case look == nil:
				snapshot, err = there, nil
			case lost && errors.Is(look, ErrNotFound) && try == 1:
				c.again(err)
				continue
			}
			return err
		}
	})
	return snapshot, err
}

// GetSnapshot is Snapshotter.GetSnapshot.
func (b *Backend) GetSnapshot(ctx context.Context, volumeID, id string) (snapshot *Snapshot, err error) {
	driver, o := b.aboutSnapshot("get snapshot", volumeID, id)
	o.refused, o.volumes, o.changes = cmp.Or(o.refused, CheckID(volumeID)), nil, false
	err = b.run(ctx, o, func(ctx context.Context, _ *call) error {
		snapshot, err = driver.GetSnapshot(ctx, volumeID, id)
		return err
	})
	return snapshot, err
}

// ListSnapshots is SnapshotLister.ListSnapshots; limit is 1 to 1000.
func (b *Backend) ListSnapshots(ctx context.Context, volumeID, after string, limit int) (snapshots []Snapshot, err error) {
	driver, unsupported := feature[SnapshotLister](b)
	o := operation{op: "list snapshots", id: volumeID, refused: cmp.Or(unsupported, CheckID(volumeID), checkLimit(limit))}
	err = b.run(ctx, o, func(ctx context.Context, _ *call) error {
		snapshots, err = driver.ListSnapshots(ctx, volumeID, after, limit)
		return err
	})
	return snapshots, err
}

// DeleteSnapshot is Snapshotter.DeleteSnapshot, as Delete is Driver.Delete: success after a lost
// answer may mean that the snapshot never existed.
func (b *Backend) DeleteSnapshot(ctx context.Context, volumeID, id string) error {
	driver, o := b.aboutSnapshot("delete snapshot", volumeID, id)
	return b.run(ctx, o, func(ctx context.Context, c *call) error {
		return c.remove(
			func() error { return driver.DeleteSnapshot(ctx, volumeID, id) },
			func() error { _, err := driver.GetSnapshot(ctx, volumeID, id); return err })
	})
}

// CreateFromSnapshot is Snapshotter.CreateFromSnapshot, idempotent as Create is. Whether a
// volume that is there came from this snapshot is not compared: back ends forget it.
func (b *Backend) CreateFromSnapshot(ctx context.Context, spec VolumeSpec, volumeID, snapshotID string) (volume *Volume, err error) {
	driver, o := b.aboutSnapshot("create from snapshot", volumeID, snapshotID)
	o.id, o.volumes, o.long = spec.ID, []string{spec.ID, volumeID}, true
	o.refused = cmp.Or(o.refused, checkCopy(spec, volumeID))
	err = b.run(ctx, o, func(ctx context.Context, c *call) error {
		volume, err = c.copyOf(ctx, spec.ID,
			c.sized(spec, func(ctx context.Context) (int64, error) {
				snapshot, err := driver.GetSnapshot(ctx, volumeID, snapshotID)
				if err != nil {
					return 0, err
				}
				return snapshot.SizeBytes, nil
			}),
			func() (*Volume, error) { return driver.CreateFromSnapshot(ctx, spec, volumeID, snapshotID) },
			func() error { return nil })
		return err
	})
	return volume, err
}

// Revert is Reverter.Revert. A lost one is repeated: it comes to the same.
func (b *Backend) Revert(ctx context.Context, volumeID, snapshotID string) error {
	driver, unsupported := feature[Reverter](b)
	o := operation{
		op: "revert", id: volumeID + "@" + snapshotID, volumes: []string{volumeID}, changes: true, long: true,
		refused: cmp.Or(unsupported, checkSnapshotID(snapshotID)),
	}
	return b.run(ctx, o, func(ctx context.Context, c *call) error {
		return c.repeat(func() error { return driver.Revert(ctx, volumeID, snapshotID) })
	})
}
