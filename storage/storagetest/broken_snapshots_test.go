package storagetest

import (
	"context"
	"errors"
	"slices"

	"github.com/crowbarkit/crowbarkit/storage"
)

// The ways to break the rules about snapshots, clones and reverts.
var breaksOfSnapshots = map[string]map[string]func(b *broken, h *Harness){
	"a snapshot outlives changes and blocks deletion": {
		"one for all volumes": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				v, err := b.Driver.Create(ctx, s)
				if err == nil && s.ID == "w" {
					_, err = b.Driver.CreateSnapshot(ctx, "w", "nightly")
				}
				return v, err
			}
		},
		"goes with its volume": func(b *broken, h *Harness) {
			b.delete = func(ctx context.Context, id string) error {
				_ = b.Driver.DeleteSnapshot(ctx, id, "nightly")
				return b.Driver.Delete(ctx, id)
			}
		},
	},
	"snapshot IDs are kept apart": {
		"not by case": func(b *broken, h *Harness) {
			b.unsnapshot = func(ctx context.Context, volume, id string) error {
				err := b.Driver.DeleteSnapshot(ctx, volume, id)
				if id == "a.b" || id == "A.b" {
					_ = b.Driver.DeleteSnapshot(ctx, volume, lower(id))
				}
				return err
			}
		},
	},
	"a list has each snapshot once in order": {
		"by the order in which they were made": func(b *broken, h *Harness) {
			b.snapshots = func(ctx context.Context, volume, after string, limit int) ([]storage.Snapshot, error) {
				all, err := b.Driver.ListSnapshots(ctx, volume, after, limit)
				slices.Reverse(all)
				return all, err
			}
		},
		"after one that is gone": func(b *broken, h *Harness) {
			b.snapshots = func(ctx context.Context, volume, after string, limit int) ([]storage.Snapshot, error) {
				if _, err := b.Driver.GetSnapshot(ctx, volume, after); volume == "v" && after != "" && err != nil {
					return nil, nil
				}
				return b.Driver.ListSnapshots(ctx, volume, after, limit)
			}
		},
		"of no volume": func(b *broken, h *Harness) {
			b.snapshots = func(ctx context.Context, volume, after string, limit int) ([]storage.Snapshot, error) {
				all, err := b.Driver.ListSnapshots(ctx, volume, after, limit)
				if errors.Is(err, storage.ErrNotFound) {
					err = nil
				}
				return all, err
			}
		},
		"with the size of the volume": func(b *broken, h *Harness) {
			b.snapshots = func(ctx context.Context, volume, after string, limit int) ([]storage.Snapshot, error) {
				all, err := b.Driver.ListSnapshots(ctx, volume, after, limit)
				for i := range all {
					v, err := b.Driver.Get(ctx, volume)
					if err != nil {
						return nil, err
					}
					all[i].SizeBytes = v.SizeBytes
				}
				return all, err
			}
		},
	},
	"a volume from a snapshot stands alone": {
		"leaves a smaller one": func(b *broken, h *Harness) {
			b.fromSnapshot = func(ctx context.Context, s storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
				v, err := b.Driver.CreateFromSnapshot(ctx, s, volume, id)
				if errors.Is(err, storage.ErrInvalid) {
					_, _ = b.Driver.Create(ctx, s)
				}
				return v, err
			}
		},
		"busy without a name": func(b *broken, h *Harness) {
			b.unsnapshot = func(context.Context, string, string) error { return storage.ErrBusy }
		},
	},
	"a volume from a snapshot has the data of then": {
		"has that of now": func(b *broken, h *Harness) {
			b.fromSnapshot = func(ctx context.Context, s storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
				return b.Driver.Clone(ctx, s, volume)
			}
		},
		"has none": func(b *broken, h *Harness) {
			b.fromSnapshot = func(ctx context.Context, s storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
				s.SizeBytes = max(s.SizeBytes, smallBytes)
				return b.Driver.Create(ctx, s)
			}
		},
	},
	"of many who snapshot and copy all get it": {
		"one at a time": func(b *broken, h *Harness) {
			b.fromSnapshot = func(ctx context.Context, s storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
				if s.ID == "w5" {
					return nil, storage.ErrBusy
				}
				return b.Driver.CreateFromSnapshot(ctx, s, volume, id)
			}
		},
	},
	"a clone is as big as asked and stands alone": {
		"as big as its source": func(b *broken, h *Harness) {
			b.clone = func(ctx context.Context, s storage.VolumeSpec, source string) (*storage.Volume, error) {
				s.SizeBytes = 0
				return b.Driver.Clone(ctx, s, source)
			}
		},
		"of nothing": func(b *broken, h *Harness) {
			b.clone = func(ctx context.Context, s storage.VolumeSpec, source string) (*storage.Volume, error) {
				v, err := b.Driver.Clone(ctx, s, source)
				if errors.Is(err, storage.ErrNotFound) {
					return b.Driver.Create(ctx, storage.VolumeSpec{ID: s.ID, SizeBytes: 1})
				}
				return v, err
			}
		},
		"goes with its source": func(b *broken, h *Harness) {
			b.delete = func(ctx context.Context, id string) error {
				if id == "v" {
					_ = b.Driver.Delete(ctx, "same")
				}
				return b.Driver.Delete(ctx, id)
			}
		},
	},
	"a clone has the data of its source": {
		"has none": func(b *broken, h *Harness) {
			b.clone = func(ctx context.Context, s storage.VolumeSpec, _ string) (*storage.Volume, error) {
				s.SizeBytes = max(s.SizeBytes, smallBytes)
				return b.Driver.Create(ctx, s)
			}
		},
		"shares it": func(b *broken, h *Harness) {
			h.Write = func(ctx context.Context, id string, p []byte, off int64) error {
				if id == "v" {
					_ = b.Driver.WriteAt(ctx, "same", p, off)
				}
				return b.Driver.WriteAt(ctx, id, p, off)
			}
		},
	},
	"a revert needs a snapshot and no connection": {
		"connected": func(b *broken, h *Harness) {
			b.revert = func(ctx context.Context, volume, id string) error {
				if err := b.Driver.Revert(ctx, volume, id); !errors.Is(err, storage.ErrBusy) {
					return err
				}
				return nil
			}
		},
		"to nothing": func(b *broken, h *Harness) {
			b.revert = func(context.Context, string, string) error { return nil }
		},
		"takes the snapshot along": func(b *broken, h *Harness) {
			b.revert = func(ctx context.Context, volume, id string) error {
				err := b.Driver.Revert(ctx, volume, id)
				if err == nil {
					err = b.Driver.DeleteSnapshot(ctx, volume, id)
				}
				return err
			}
		},
	},
	"a revert brings back the data": {
		"does not": func(b *broken, h *Harness) { b.revert = func(context.Context, string, string) error { return nil } },
		"to the first": func(b *broken, h *Harness) {
			b.revert = func(ctx context.Context, volume, _ string) error { return b.Driver.Revert(ctx, volume, "first") }
		},
	},
}
