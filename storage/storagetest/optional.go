package storagetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
)

func disconnect(t *testing.T, h Harness) {
	d := h.Driver.(storage.Disconnector)
	create(t, h.Driver, "v", smallBytes)
	second := connector
	second.Host, second.Initiator = "node2", "iqn.2012-07.com.example:node2"
	// A live migration has two machines connected at once.
	for _, c := range []storage.Connector{connector, second} {
		_, err := h.Driver.Connect(t.Context(), "v", c)
		require.NoError(t, err)
	}
	require.NoError(t, d.Disconnect(t.Context(), "v", connector))
	require.NoError(t, d.Disconnect(t.Context(), "v", connector), "repeating is no error")
	busyNaming(t, h.Driver.Delete(t.Context(), "v"), second.Initiator)
	get(t, h.Driver, "v")
	require.NoError(t, d.Disconnect(t.Context(), "v", second))
	require.NoError(t, h.Driver.Delete(t.Context(), "v"))
}

func list(t *testing.T, h Harness) {
	d := h.Driver.(storage.Lister)
	none, err := d.List(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, none)
	var want []storage.Volume
	for i := range 23 { // made out of order
		create(t, h.Driver, fmt.Sprintf("v%02d", i*7%23), smallBytes)
	}
	for i := range 23 {
		want = append(want, *get(t, h.Driver, fmt.Sprintf("v%02d", i)))
	}
	for _, limit := range []int{1, 10, 23, 100} {
		var got []storage.Volume
		for after := ""; ; {
			page, err := d.List(t.Context(), after, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), limit)
			got = append(got, page...)
			if len(page) < limit {
				break
			}
			after = page[len(page)-1].ID
		}
		require.Empty(t, cmp.Diff(want, got), "limit %d", limit)
	}
	after, err := d.List(t.Context(), "v10x", 2)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want[11:13], after), "after may be the ID of no volume")
}

func longList(t *testing.T, h Harness) {
	many := h.Many
	if many == 0 {
		many = 200
	}
	b := backend(t, h)
	require.NoError(t, together(many, func(i int) error {
		_, err := b.Create(t.Context(), storage.VolumeSpec{ID: fmt.Sprintf("v%04d", i), SizeBytes: smallBytes})
		return err
	}))
	volumes, err := b.List(t.Context(), "", 1000)
	require.NoError(t, err)
	require.Len(t, volumes, many)
	for i, v := range volumes {
		require.Equal(t, fmt.Sprintf("v%04d", i), v.ID)
		require.Equal(t, volumes[0].SizeBytes, v.SizeBytes)
	}
}

func statsAddUp(t *testing.T, h Harness) {
	ctx := t.Context()
	before, err := h.Driver.Stats(ctx)
	require.NoError(t, err)
	for i, size := range []int64{smallBytes, largeBytes, smallBytes, 1} {
		create(t, h.Driver, fmt.Sprint("v", i), size)
	}
	require.NoError(t, h.Driver.Delete(ctx, "v0"))
	if d, ok := h.Driver.(storage.Extender); ok {
		_, err := d.Extend(ctx, "v2", largeBytes)
		require.NoError(t, err)
	}
	if d, ok := h.Driver.(storage.Cloner); ok {
		_, err := d.Clone(ctx, storage.VolumeSpec{ID: "clone"}, "v1")
		require.NoError(t, err)
	}
	volumes, err := h.Driver.(storage.Lister).List(ctx, "", 100)
	require.NoError(t, err)
	after, err := h.Driver.Stats(ctx)
	require.NoError(t, err)
	want := before.ProvisionedBytes
	for _, v := range volumes {
		want += v.SizeBytes
	}
	require.Equal(t, want, after.ProvisionedBytes)
	require.Equal(t, before.Volumes+len(volumes), after.Volumes)
}

func extend(t *testing.T, h Harness) {
	d := h.Driver.(storage.Extender)
	made := create(t, h.Driver, "v", smallBytes)
	same, err := d.Extend(t.Context(), "v", smallBytes)
	require.NoError(t, err, "the size it was asked for with")
	require.Empty(t, cmp.Diff(made, same))
	for range 2 {
		bigger, err := d.Extend(t.Context(), "v", largeBytes)
		require.NoError(t, err)
		stats, err := h.Driver.Stats(t.Context())
		require.NoError(t, err)
		require.Equal(t, stats.Round(largeBytes), bigger.SizeBytes)
		require.Equal(t, bigger.SizeBytes, stats.ProvisionedBytes)
		require.Empty(t, cmp.Diff(bigger, get(t, h.Driver, "v")))
	}
	_, err = d.Extend(t.Context(), "v", smallBytes)
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.Greater(t, get(t, h.Driver, "v").SizeBytes, made.SizeBytes)
}

func snapshots(t *testing.T, h Harness) {
	d := h.Driver.(storage.Snapshotter)
	b := backend(t, h)
	ctx := t.Context()
	volume := create(t, h.Driver, "v", smallBytes)
	made, err := d.CreateSnapshot(ctx, "v", "nightly")
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(&storage.Snapshot{ID: "nightly", VolumeID: "v", SizeBytes: volume.SizeBytes}, made))
	_, err = d.CreateSnapshot(ctx, "v", "nightly")
	require.ErrorIs(t, err, storage.ErrExists)
	again, err := b.CreateSnapshot(ctx, "v", "nightly")
	require.NoError(t, err, "through a Backend it is idempotent")
	require.Empty(t, cmp.Diff(made, again))
	create(t, h.Driver, "w", smallBytes)
	_, err = d.GetSnapshot(ctx, "w", "nightly")
	require.ErrorIs(t, err, storage.ErrNotFound, "snapshot IDs are per volume")

	if e, ok := h.Driver.(storage.Extender); ok {
		_, err := e.Extend(ctx, "v", largeBytes)
		require.NoError(t, err)
		kept, err := d.GetSnapshot(ctx, "v", "nightly")
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(made, kept), "the snapshot is of then")
	}
	busyNaming(t, h.Driver.Delete(ctx, "v"), "nightly")
	require.NoError(t, d.DeleteSnapshot(ctx, "v", "nightly"))
	require.ErrorIs(t, d.DeleteSnapshot(ctx, "v", "nightly"), storage.ErrNotFound)
	require.NoError(t, h.Driver.Delete(ctx, "v"))
	_, err = d.CreateSnapshot(ctx, "v", "late")
	require.ErrorIs(t, err, storage.ErrNotFound)
}

func listSnapshots(t *testing.T, h Harness) {
	s, ok := h.Driver.(storage.Snapshotter)
	require.True(t, ok, "a SnapshotLister needs a Snapshotter")
	d := h.Driver.(storage.SnapshotLister)
	ctx := t.Context()
	_, err := d.ListSnapshots(ctx, "absent", "", 10)
	require.ErrorIs(t, err, storage.ErrNotFound)
	create(t, h.Driver, "v", smallBytes)
	create(t, h.Driver, "w", smallBytes)
	_, err = s.CreateSnapshot(ctx, "w", "of-another")
	require.NoError(t, err)
	none, err := d.ListSnapshots(ctx, "v", "", 10)
	require.NoError(t, err)
	require.Empty(t, none)

	// Made out of order, with names that a back end may have to change, and of two sizes. The longest
	// IDs are left out: where a name has no place for one, some back ends cannot keep it.
	long := "Z" + strings.Repeat("z", 40)
	for i, id := range []string{"s3", "S1", "a_b", long, "s1", "a.b", "s2"} {
		if e, ok := h.Driver.(storage.Extender); ok && i == 3 {
			_, err := e.Extend(ctx, "v", largeBytes)
			require.NoError(t, err)
		}
		_, err := s.CreateSnapshot(ctx, "v", id)
		require.NoError(t, err)
	}
	ids := []string{"S1", long, "a.b", "a_b", "s1", "s2", "s3"}
	want := make([]storage.Snapshot, len(ids))
	for i, id := range ids {
		one, err := s.GetSnapshot(ctx, "v", id)
		require.NoError(t, err)
		want[i] = *one
	}
	for _, limit := range []int{1, 3, len(ids), 100} {
		var got []storage.Snapshot
		for after := ""; ; {
			page, err := d.ListSnapshots(ctx, "v", after, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), limit)
			got = append(got, page...)
			if len(page) < limit {
				break
			}
			after = page[len(page)-1].ID
		}
		require.Empty(t, cmp.Diff(want, got), "limit %d", limit)
	}
	after, err := d.ListSnapshots(ctx, "v", "s1x", 10)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want[5:], after), "after may be the ID of no snapshot")
	require.NoError(t, s.DeleteSnapshot(ctx, "v", "s2"))
	left, err := d.ListSnapshots(ctx, "v", "s1", 10)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want[6:], left))
}

func fromSnapshot(t *testing.T, h Harness) {
	d := h.Driver.(storage.Snapshotter)
	ctx := t.Context()
	create(t, h.Driver, "v", largeBytes)
	snapshot, err := d.CreateSnapshot(ctx, "v", "s")
	require.NoError(t, err)

	same, err := d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "same"}, "v", "s")
	require.NoError(t, err)
	require.Equal(t, snapshot.SizeBytes, same.SizeBytes)
	bigger, err := d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "bigger", SizeBytes: largerBytes}, "v", "s")
	require.NoError(t, err)
	require.GreaterOrEqual(t, bigger.SizeBytes, int64(largerBytes))
	_, err = d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "smaller", SizeBytes: smallBytes}, "v", "s")
	require.ErrorIs(t, err, storage.ErrInvalid)
	_, err = d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "same"}, "v", "s")
	require.ErrorIs(t, err, storage.ErrExists)
	_, err = d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "none"}, "v", "absent")
	require.ErrorIs(t, err, storage.ErrNotFound)
	for _, id := range []string{"smaller", "none"} {
		_, err = h.Driver.Get(ctx, id)
		require.ErrorIs(t, err, storage.ErrNotFound, "a failed create leaves nothing")
	}
	b := backend(t, h)
	again, err := b.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "bigger", SizeBytes: largerBytes}, "v", "s")
	require.NoError(t, err, "through a Backend it is idempotent")
	require.Empty(t, cmp.Diff(bigger, again))

	require.NoError(t, h.Driver.Delete(ctx, "bigger"))
	if err := d.DeleteSnapshot(ctx, "v", "s"); err != nil {
		busyNaming(t, err, "same")
		return
	}
	require.NoError(t, h.Driver.Delete(ctx, "v"))
	require.Empty(t, cmp.Diff(same, get(t, h.Driver, "same")))
}

func purgeTrash(t *testing.T, h Harness) {
	d := h.Driver.(storage.TrashPurger)
	ctx := t.Context()
	kept := create(t, h.Driver, "kept", smallBytes)
	for range 2 {
		create(t, h.Driver, "v", smallBytes)
		require.NoError(t, h.Driver.Delete(ctx, "v"))
	}
	before, err := h.Driver.Stats(ctx)
	require.NoError(t, err)
	// How much is there and has its time is the driver's matter, unless it is more than was deleted.
	removed, err := d.PurgeTrash(ctx)
	require.NoError(t, err)
	require.GreaterOrEqual(t, removed, 0)
	require.LessOrEqual(t, removed, 2)
	again, err := d.PurgeTrash(ctx)
	require.NoError(t, err)
	require.Zero(t, again, "they are gone")
	require.Empty(t, cmp.Diff(kept, get(t, h.Driver, "kept")))
	_, err = h.Driver.Get(ctx, "v")
	require.ErrorIs(t, err, storage.ErrNotFound)
	after, err := h.Driver.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, before.Volumes, after.Volumes)
	require.Equal(t, before.ProvisionedBytes, after.ProvisionedBytes)
	create(t, h.Driver, "v", smallBytes)
	_, err = d.PurgeTrash(ctx)
	require.NoError(t, err)
	get(t, h.Driver, "v")
	require.NoError(t, together(4, func(int) error { _, err := backend(t, h).PurgeTrash(ctx); return err }))
}

// busyNaming asserts a *storage.BusyError with the dependents, and only them.
func busyNaming(t *testing.T, err error, dependents ...string) {
	t.Helper()
	require.ErrorIs(t, err, storage.ErrBusy)
	var busy *storage.BusyError
	require.ErrorAs(t, err, &busy, "what is in the way must be named")
	require.Len(t, busy.Dependents, len(dependents))
	for i, name := range dependents {
		require.Contains(t, busy.Dependents[i], name)
	}
}
