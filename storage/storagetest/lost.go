package storagetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
)

func has(h Harness, feature string) bool {
	return slices.Contains(storage.Features(h.Driver), feature)
}

// prepare makes the volume "v" with the snapshot "s", where there can be one.
func prepare(t *testing.T, h Harness) {
	t.Helper()
	create(t, h.Driver, "v", smallBytes)
	if d, ok := h.Driver.(storage.Snapshotter); ok {
		_, err := d.CreateSnapshot(t.Context(), "v", "s")
		require.NoError(t, err)
	}
}

// A lossy operation works on the volume "v" with the snapshot "s".
type lossy struct {
	op    string
	needs string
	// before makes what else it needs.
	before func(ctx context.Context, h Harness) error
	run    func(ctx context.Context, b *storage.Backend) error
	// done tells whether it has happened, by what the driver says.
	done func(ctx context.Context, h Harness) bool
}

func there(ctx context.Context, h Harness, id string) bool {
	_, err := h.Driver.Get(ctx, id)
	return err == nil
}

func lossyOperations(t *testing.T, h Harness) []lossy {
	t.Helper()
	var operations []lossy
	makers := makers(t, h)
	for _, op := range slices.Sorted(maps.Keys(makers)) {
		m := makers[op]
		operations = append(operations, lossy{
			op: op, needs: m.needs, run: m.make,
			done: func(ctx context.Context, h Harness) bool { return there(ctx, h, "made") },
		})
	}
	connected := func(ctx context.Context, h Harness) error {
		_, err := h.Driver.Create(ctx, storage.VolumeSpec{ID: "w", SizeBytes: smallBytes})
		if err == nil {
			_, err = h.Driver.Connect(ctx, "w", connector)
		}
		return err
	}
	other := func(ctx context.Context, h Harness) error {
		_, err := h.Driver.Create(ctx, storage.VolumeSpec{ID: "w", SizeBytes: smallBytes})
		return err
	}
	return append(operations,
		lossy{"delete", "", other,
			func(ctx context.Context, b *storage.Backend) error { return b.Delete(ctx, "w") },
			func(ctx context.Context, h Harness) bool { return !there(ctx, h, "w") }},
		lossy{"extend", "Extender", nil,
			func(ctx context.Context, b *storage.Backend) error {
				_, err := b.Extend(ctx, "v", largeBytes)
				return err
			},
			func(ctx context.Context, h Harness) bool {
				v, err := h.Driver.Get(ctx, "v")
				return err == nil && v.SizeBytes >= largeBytes
			}},
		lossy{"connect", "Disconnector", other,
			func(ctx context.Context, b *storage.Backend) error {
				c, err := b.Connect(ctx, "w", connector)
				if err == nil && c == nil {
					return errors.New("no connection")
				}
				return err
			},
			func(ctx context.Context, h Harness) bool {
				return errors.Is(h.Driver.Delete(ctx, "w"), storage.ErrBusy)
			}},
		lossy{"disconnect", "Disconnector", connected,
			func(ctx context.Context, b *storage.Backend) error { return b.Disconnect(ctx, "w", connector) },
			func(ctx context.Context, h Harness) bool { return h.Driver.Delete(ctx, "w") == nil }},
		lossy{"create snapshot", "Snapshotter", nil,
			func(ctx context.Context, b *storage.Backend) error {
				_, err := b.CreateSnapshot(ctx, "v", "t")
				return err
			},
			func(ctx context.Context, h Harness) bool {
				_, err := h.Driver.(storage.Snapshotter).GetSnapshot(ctx, "v", "t")
				return err == nil
			}},
		lossy{"delete snapshot", "Snapshotter", nil,
			func(ctx context.Context, b *storage.Backend) error { return b.DeleteSnapshot(ctx, "v", "s") },
			func(ctx context.Context, h Harness) bool {
				_, err := h.Driver.(storage.Snapshotter).GetSnapshot(ctx, "v", "s")
				return errors.Is(err, storage.ErrNotFound)
			}},
		lossy{"revert", "Reverter", nil,
			func(ctx context.Context, b *storage.Backend) error { return b.Revert(ctx, "v", "s") },
			func(ctx context.Context, h Harness) bool { return there(ctx, h, "v") }},
		lossy{"manage", "Adopter",
			func(ctx context.Context, h Harness) error {
				if err := other(ctx, h); err != nil {
					return err
				}
				_, err := h.Driver.(storage.Adopter).Unmanage(ctx, "w")
				return err
			},
			func(ctx context.Context, b *storage.Backend) error {
				found, err := b.Manageable(ctx, "", 1000)
				if err != nil || len(found) == 0 {
					return errors.Join(err, errors.New("nothing to manage"))
				}
				v, err := b.Manage(ctx, "managed", found[len(found)-1].Name)
				if err == nil && v.ID != "managed" {
					return errors.New("another volume")
				}
				return err
			},
			func(ctx context.Context, h Harness) bool { return there(ctx, h, "managed") }},
		lossy{"purge trash", "TrashPurger", nil,
			func(ctx context.Context, b *storage.Backend) error { _, err := b.PurgeTrash(ctx); return err },
			func(ctx context.Context, h Harness) bool { return there(ctx, h, "v") }},
		lossy{"set qos", "Limiter", nil,
			func(ctx context.Context, b *storage.Backend) error {
				return b.SetQoS(ctx, "v", storage.QoS{TotalIOPS: 5})
			},
			func(ctx context.Context, h Harness) bool {
				q, err := h.Driver.(storage.Limiter).GetQoS(ctx, "v")
				return err == nil && q.TotalIOPS == 5
			}},
	)
}

func lostRequests(t *testing.T, h Harness) { lose(t, h, h.LoseRequest, "LoseRequest") }
func lostReplies(t *testing.T, h Harness)  { lose(t, h, h.LoseReply, "LoseReply") }

// lose runs each operation with something lost; users of a Backend must not notice.
func lose(t *testing.T, h Harness, lose func(op string), name string) {
	if lose == nil {
		t.Skipf("Harness.%s is not given", name)
	}
	b := backend(t, h)
	for _, o := range lossyOperations(t, h) {
		if o.needs != "" && !has(h, o.needs) {
			continue
		}
		prepare(t, h)
		if o.before != nil {
			require.NoError(t, o.before(t.Context(), h), o.op)
		}
		lose(o.op)
		require.NoError(t, o.run(t.Context(), b), o.op)
		require.True(t, o.done(t.Context(), h), "%s: it answered that it did", o.op)
		empty(t, h)
	}
}

// empty removes the volumes that rules about one back end for many operations make.
func empty(t *testing.T, h Harness) {
	t.Helper()
	ctx := t.Context()
	for _, id := range []string{"made", "managed", "w", "v"} {
		if !there(ctx, h, id) {
			continue
		}
		if d, ok := h.Driver.(storage.Disconnector); ok {
			require.NoError(t, d.Disconnect(ctx, id, connector))
		}
		if d, ok := h.Driver.(storage.Snapshotter); ok {
			for _, s := range []string{"s", "t"} {
				if err := d.DeleteSnapshot(ctx, id, s); !errors.Is(err, storage.ErrNotFound) {
					require.NoError(t, err)
				}
			}
		}
		require.NoError(t, h.Driver.Delete(ctx, id))
	}
}
