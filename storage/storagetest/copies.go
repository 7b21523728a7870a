package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
)

// gone asserts that a volume is not there, or soon is not: a driver may clean up after it has
// answered that its caller's context ended.
func gone(t *testing.T, h Harness, id string) {
	t.Helper()
	soonNotFound(t, "volume "+id, func() error { _, err := h.Driver.Get(t.Context(), id); return err })
}

func soonNotFound(t *testing.T, what string, look func() error) {
	t.Helper()
	var err error
	for begin := time.Now(); time.Since(begin) < 5*time.Second; time.Sleep(time.Millisecond) {
		if err = look(); errors.Is(err, storage.ErrNotFound) {
			return
		}
	}
	require.ErrorIs(t, err, storage.ErrNotFound, "a failed call left %s behind", what)
}

func oddSnapshotIDs(t *testing.T, h Harness) {
	d := h.Driver.(storage.Snapshotter)
	ctx := t.Context()
	create(t, h.Driver, "v", smallBytes)
	ids := []string{"a", "A.b", "a.b", "a_b", "a-b", "0", "show", "v", "x--y", strings.Repeat("z", storage.MaxID)}
	for _, id := range ids {
		made, err := d.CreateSnapshot(ctx, "v", id)
		require.NoError(t, err)
		require.Equal(t, id, made.ID)
	}
	for i, id := range ids {
		require.NoError(t, d.DeleteSnapshot(ctx, "v", id))
		for _, other := range ids[i+1:] {
			_, err := d.GetSnapshot(ctx, "v", other)
			require.NoError(t, err, "%q after %q was deleted", other, id)
		}
	}
	require.NoError(t, h.Driver.Delete(ctx, "v"))
}

func manySnapshots(t *testing.T, h Harness) {
	d := h.Driver.(storage.Snapshotter)
	b := backend(t, h)
	ctx := t.Context()
	create(t, h.Driver, "v", smallBytes)
	require.NoError(t, together(8, func(i int) error {
		if _, err := b.CreateSnapshot(ctx, "v", "one"); err != nil {
			return err
		}
		_, err := b.CreateSnapshot(ctx, "v", fmt.Sprint("s", i%4))
		return err
	}))
	require.NoError(t, together(8, func(i int) error {
		if _, err := b.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "copy"}, "v", "one"); err != nil {
			return err
		}
		_, err := b.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: fmt.Sprint("w", i)}, "v", fmt.Sprint("s", i%4))
		return err
	}))
	stats, err := h.Driver.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, 10, stats.Volumes)
	require.NoError(t, together(4, func(i int) error {
		for _, id := range []string{fmt.Sprint("w", i), fmt.Sprint("w", i+4)} {
			if err := b.Delete(ctx, id); err != nil {
				return err
			}
		}
		return b.DeleteSnapshot(ctx, "v", fmt.Sprint("s", i))
	}))
	_, err = d.GetSnapshot(ctx, "v", "one")
	require.NoError(t, err)
	for i := range 4 {
		_, err = d.GetSnapshot(ctx, "v", fmt.Sprint("s", i))
		require.ErrorIs(t, err, storage.ErrNotFound)
	}
}

func clone(t *testing.T, h Harness) {
	d := h.Driver.(storage.Cloner)
	ctx := t.Context()
	source := create(t, h.Driver, "v", largeBytes)
	same, err := d.Clone(ctx, storage.VolumeSpec{ID: "same"}, "v")
	require.NoError(t, err)
	require.Equal(t, source.SizeBytes, same.SizeBytes)
	require.Empty(t, cmp.Diff(same, get(t, h.Driver, "same")))
	bigger, err := d.Clone(ctx, storage.VolumeSpec{ID: "bigger", SizeBytes: largerBytes}, "same")
	require.NoError(t, err, "a clone of a clone")
	require.GreaterOrEqual(t, bigger.SizeBytes, int64(largerBytes))
	for id, c := range map[string]struct {
		spec   storage.VolumeSpec
		source string
		want   error
	}{
		"smaller": {storage.VolumeSpec{ID: "smaller", SizeBytes: smallBytes}, "v", storage.ErrInvalid},
		"none":    {storage.VolumeSpec{ID: "none"}, "absent", storage.ErrNotFound},
		"taken":   {storage.VolumeSpec{ID: "same"}, "v", storage.ErrExists},
	} {
		_, err = d.Clone(ctx, c.spec, c.source)
		require.ErrorIs(t, err, c.want, id)
	}
	for _, id := range []string{"smaller", "none"} {
		gone(t, h, id)
	}
	b := backend(t, h)
	for _, size := range []int64{0, source.SizeBytes} {
		again, err := b.Clone(ctx, storage.VolumeSpec{ID: "same", SizeBytes: size}, "v")
		require.NoError(t, err, "through a Backend it is idempotent")
		require.Empty(t, cmp.Diff(same, again))
	}
	_, err = b.Clone(ctx, storage.VolumeSpec{ID: "same", SizeBytes: largerBytes}, "v")
	require.ErrorIs(t, err, storage.ErrExists)

	if err := h.Driver.Delete(ctx, "v"); err != nil {
		busyNaming(t, err, "same")
		get(t, h.Driver, "v")
	} else {
		_, err = h.Driver.Get(ctx, "v")
		require.ErrorIs(t, err, storage.ErrNotFound)
	}
	require.Empty(t, cmp.Diff(same, get(t, h.Driver, "same")))
	require.NoError(t, h.Driver.Delete(ctx, "bigger"))
	require.NoError(t, h.Driver.Delete(ctx, "same"))
	if h.Driver.Delete(ctx, "v") == nil {
		create(t, h.Driver, "v", smallBytes)
	}
}

func revert(t *testing.T, h Harness) {
	d, ok := h.Driver.(storage.Snapshotter)
	require.True(t, ok, "a Reverter needs a Snapshotter")
	r := h.Driver.(storage.Reverter)
	ctx := t.Context()
	create(t, h.Driver, "v", smallBytes)
	_, err := d.CreateSnapshot(ctx, "v", "s")
	require.NoError(t, err)
	require.ErrorIs(t, r.Revert(ctx, "v", "absent"), storage.ErrNotFound)
	require.ErrorIs(t, r.Revert(ctx, "absent", "s"), storage.ErrNotFound)
	if e, ok := h.Driver.(storage.Extender); ok {
		_, err := e.Extend(ctx, "v", largeBytes)
		require.NoError(t, err)
	}
	before := get(t, h.Driver, "v")
	require.NoError(t, r.Revert(ctx, "v", "s"))
	require.Empty(t, cmp.Diff(before, get(t, h.Driver, "v")), "a volume that has grown keeps its size")
	_, err = d.GetSnapshot(ctx, "v", "s")
	require.NoError(t, err, "the snapshot stays")
	c, ok := h.Driver.(storage.Disconnector)
	if !ok {
		return
	}
	_, err = h.Driver.Connect(ctx, "v", connector)
	require.NoError(t, err)
	busyNaming(t, r.Revert(ctx, "v", "s"), connector.Initiator)
	require.NoError(t, c.Disconnect(ctx, "v", connector))
	require.NoError(t, r.Revert(ctx, "v", "s"))
}

func adopt(t *testing.T, h Harness) {
	d := h.Driver.(storage.Adopter)
	ctx := t.Context()
	_, readable := h.Driver.(storage.ImageStreamer)
	readable = h.Write != nil && (h.Read != nil || readable)
	made := create(t, h.Driver, "v", smallBytes)
	if readable {
		write(t, h, "v", 10)
	}
	create(t, h.Driver, "w", smallBytes)
	name, err := d.Unmanage(ctx, "v")
	require.NoError(t, err)
	require.NotEmpty(t, name)
	_, err = h.Driver.Get(ctx, "v")
	require.ErrorIs(t, err, storage.ErrNotFound, "it was given up")
	_, err = d.Unmanage(ctx, "v")
	require.ErrorIs(t, err, storage.ErrNotFound)
	if l, ok := h.Driver.(storage.Lister); ok {
		volumes, err := l.List(ctx, "", 10)
		require.NoError(t, err)
		require.Len(t, volumes, 1)
	}
	require.Contains(t, manageables(t, d, 10), storage.Manageable{Name: name, SizeBytes: made.SizeBytes})

	_, err = d.Manage(ctx, "w", name)
	require.ErrorIs(t, err, storage.ErrExists)
	_, err = d.Manage(ctx, "x", name+"-absent")
	require.ErrorIs(t, err, storage.ErrNotFound)
	_, err = d.Manage(ctx, "w", name+"-absent")
	require.ErrorIs(t, err, storage.ErrNotFound, "whatever the ID")
	managed, err := d.Manage(ctx, "x", name)
	require.NoError(t, err)
	require.Equal(t, "x", managed.ID)
	require.Equal(t, made.SizeBytes, managed.SizeBytes)
	require.Empty(t, cmp.Diff(managed, get(t, h.Driver, "x")))
	again, err := backend(t, h).Manage(ctx, "x", name)
	require.NoError(t, err, "through a Backend it is idempotent")
	require.Empty(t, cmp.Diff(managed, again))
	for _, m := range manageables(t, d, 10) {
		require.NotEqual(t, name, m.Name, "it is managed")
	}
	if readable {
		holds(t, h, "x", 10)
	}
	// Its ID is free again, and the next of that ID is given up under another name.
	for range 2 {
		create(t, h.Driver, "v", smallBytes)
		_, err = d.Unmanage(ctx, "v")
		require.NoError(t, err)
	}
	_, err = d.Unmanage(ctx, "x")
	require.NoError(t, err)
	require.Len(t, manageables(t, d, 10), 3)
}

// manageables lists everything, page by page.
func manageables(t *testing.T, d storage.Adopter, limit int) []storage.Manageable {
	t.Helper()
	var all []storage.Manageable
	for after := ""; ; {
		page, err := d.Manageable(t.Context(), after, limit)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), limit)
		for _, m := range page {
			require.Greater(t, m.Name, after, "names in order")
			after = m.Name
		}
		all = append(all, page...)
		if len(page) < limit {
			return all
		}
	}
}

func manageable(t *testing.T, h Harness) {
	d := h.Driver.(storage.Adopter)
	before := manageables(t, d, 10)
	for i := range 7 {
		id := fmt.Sprint("v", i)
		create(t, h.Driver, id, smallBytes)
		if i != 3 {
			_, err := d.Unmanage(t.Context(), id)
			require.NoError(t, err)
		}
	}
	all := manageables(t, d, 100)
	require.Len(t, all, len(before)+6, "only what is not managed")
	for _, limit := range []int{1, 2, len(all)} {
		require.Empty(t, cmp.Diff(all, manageables(t, d, limit)), "limit %d", limit)
	}
}

func limits(t *testing.T, h Harness) {
	d := h.Driver.(storage.Limiter)
	ctx := t.Context()
	create(t, h.Driver, "v", smallBytes)
	create(t, h.Driver, "w", smallBytes)
	all := storage.QoS{
		TotalIOPS: 1000, ReadIOPS: 600, WriteIOPS: 400, TotalBytes: 100 << 20, ReadBytes: 60 << 20, WriteBytes: 40 << 20,
		TotalIOPSBurst: 2000, ReadIOPSBurst: 1200, WriteIOPSBurst: 800, TotalBytesBurst: 200 << 20, ReadBytesBurst: 120 << 20, WriteBytesBurst: 80 << 20,
	}
	for _, q := range []storage.QoS{{}, {TotalIOPS: 500}, all, {ReadBytes: 1 << 20}, {}} {
		for range 2 {
			require.NoError(t, d.SetQoS(ctx, "v", q))
			got, err := d.GetQoS(ctx, "v")
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(q, got), "all limits are set, none of before stays")
		}
		got, err := d.GetQoS(ctx, "w")
		require.NoError(t, err)
		require.Zero(t, got, "another volume's")
	}
	require.ErrorIs(t, d.SetQoS(ctx, "absent", all), storage.ErrNotFound)
	_, err := d.GetQoS(ctx, "absent")
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.ErrorIs(t, backend(t, h).SetQoS(ctx, "v", storage.QoS{TotalIOPS: -1, ReadIOPSBurst: 5}), storage.ErrInvalid)
}

// A maker makes the volume "made" from "v" and its snapshot "s".
type maker struct {
	needs string
	make  func(ctx context.Context, b *storage.Backend) error
}

// makers are the makers that the harness has what they need for.
func makers(t *testing.T, h Harness) map[string]maker {
	t.Helper()
	all := map[string]maker{
		"create": {"", func(ctx context.Context, b *storage.Backend) error {
			_, err := b.Create(ctx, storage.VolumeSpec{ID: "made", SizeBytes: smallBytes})
			return err
		}},
		"create from snapshot": {"Snapshotter", func(ctx context.Context, b *storage.Backend) error {
			_, err := b.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "made", SizeBytes: largeBytes}, "v", "s")
			return err
		}},
		"clone": {"Cloner", func(ctx context.Context, b *storage.Backend) error {
			_, err := b.Clone(ctx, storage.VolumeSpec{ID: "made", SizeBytes: largeBytes}, "v")
			return err
		}},
		"import": {"ImageStreamer", func(ctx context.Context, b *storage.Backend) error {
			_, err := b.Import(ctx, storage.VolumeSpec{ID: "made"}, bytes.NewReader(image(smallBytes)), smallBytes, nil)
			return err
		}},
	}
	if h.Image != nil && has(h, "ImageCloner") {
		location := h.Image(t, image(smallBytes))
		all["create from image"] = maker{"ImageCloner", func(ctx context.Context, b *storage.Backend) error {
			_, err := b.CreateFromImage(ctx, storage.VolumeSpec{ID: "made", SizeBytes: largeBytes}, location)
			return err
		}}
	}
	maps.DeleteFunc(all, func(_ string, m maker) bool { return m.needs != "" && !has(h, m.needs) })
	return all
}

// A call that is cancelled at any moment has made the whole volume, or none.
func cancelledMakers(t *testing.T, h Harness) {
	b := backend(t, h)
	prepare(t, h)
	for op, m := range makers(t, h) {
		cancelledAnywhere(t, op,
			func(ctx context.Context) error { return m.make(ctx, b) },
			func() error { return b.Delete(t.Context(), "made") },
			func() { gone(t, h, "made") })
	}
}

func cancelledSnapshots(t *testing.T, h Harness) {
	d := h.Driver.(storage.Snapshotter)
	b := backend(t, h)
	create(t, h.Driver, "v", smallBytes)
	cancelledAnywhere(t, "create snapshot",
		func(ctx context.Context) error { _, err := b.CreateSnapshot(ctx, "v", "made"); return err },
		func() error { return b.DeleteSnapshot(t.Context(), "v", "made") },
		func() {
			soonNotFound(t, "snapshot made", func() error { _, err := d.GetSnapshot(t.Context(), "v", "made"); return err })
		})
	require.NoError(t, h.Driver.Delete(t.Context(), "v"), "not even a snapshot that nobody sees is left")
}

// cancelledAnywhere cancels something at several moments of the time that it takes. It has then
// succeeded, or soon nothing of it is there.
func cancelledAnywhere(t *testing.T, op string, make func(context.Context) error, remove func() error, gone func()) {
	t.Helper()
	begin := time.Now()
	require.NoError(t, make(t.Context()), op)
	took := time.Since(begin)
	require.NoError(t, remove(), op)
	const moments = 10
	for i := range moments {
		ctx, cancel := context.WithTimeout(t.Context(), took*time.Duration(i)/moments)
		err := make(ctx)
		cancel()
		if err == nil {
			require.NoError(t, remove(), op)
			continue
		}
		gone() // whatever it says: the back end may have its own troubles meanwhile
	}
}
