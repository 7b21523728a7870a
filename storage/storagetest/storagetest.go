// Package storagetest is the conformance suite of storage.Driver. Each of its subtests is
// one rule of the contract:
//
//	func TestDriver(t *testing.T) {
//		storagetest.Run(t, func(t *testing.T) storagetest.Harness {
//			driver, err := memory.New(memory.Config{CapacityBytes: 1 << 30})
//			require.NoError(t, err)
//			return storagetest.Harness{Driver: driver, CapacityBytes: 1 << 30}
//		})
//	}
package storagetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
)

// A Harness is one empty back end. It must take 23 volumes of 5 MB, or of its unit, and some of
// 3 and 5 GiB; no rule writes data to them.
type Harness struct {
	Driver storage.Driver
	// Unsupported names the optional interfaces that the driver does not have, such as
	// "Lister". The driver must have all others, and a Backend must answer ErrUnsupported for
	// these.
	Unsupported []string
	// CapacityBytes is how much fits, for the rules about full back ends; 0 leaves them out.
	CapacityBytes int64
}

// The sizes the rules use: multiples of nothing, and apart also where they are rounded to GiB.
const (
	smallBytes  = 5_000_001
	largeBytes  = 3<<30 + 1
	largerBytes = 5<<30 + 1
)

// The optional interfaces, by name.
func optional(d storage.Driver) map[string]bool {
	_, disconnector := d.(storage.Disconnector)
	_, lister := d.(storage.Lister)
	_, extender := d.(storage.Extender)
	_, snapshotter := d.(storage.Snapshotter)
	return map[string]bool{"Disconnector": disconnector, "Lister": lister, "Extender": extender, "Snapshotter": snapshotter}
}

// Run runs the conformance suite. It asks for a new Harness for each rule.
func Run(t *testing.T, harness func(t *testing.T) Harness) {
	rules := []struct {
		name  string
		needs string // an optional interface
		run   func(t *testing.T, h Harness)
	}{
		{"what is unsupported is declared", "", unsupported},
		{"a check passes", "", check},
		{"a volume is as it was made", "", createAndGet},
		{"a size is rounded up and the stats tell how", "", rounding},
		{"creating twice finds the first", "", createTwice},
		{"an absent volume is not found", "", absent},
		{"a deleted volume is gone", "", deleteVolume},
		{"IDs are kept apart", "", oddIDs},
		{"a bad ID is refused", "", badIDs},
		{"a connection has Cinder's shape and repeats", "", connect},
		{"stats follow", "", statsFollow},
		{"a full back end says so and keeps nothing", "", full},
		{"a cancelled call changes nothing", "", cancelled},
		{"of many creators of one volume all get it", "", manyCreators},
		{"many volumes at once", "", manyVolumes},
		{"a connected volume is busy until disconnected", "Disconnector", disconnect},
		{"a list has each volume once in order", "Lister", list},
		{"a volume grows and never shrinks", "Extender", extend},
		{"a snapshot outlives changes and blocks deletion", "Snapshotter", snapshots},
		{"a volume from a snapshot stands alone", "Snapshotter", fromSnapshot},
	}
	for _, rule := range rules {
		t.Run(strings.ReplaceAll(rule.name, " ", "_"), func(t *testing.T) {
			h := harness(t)
			if rule.needs != "" && slices.Contains(h.Unsupported, rule.needs) {
				t.Skipf("declared unsupported: %s", rule.needs)
			}
			rule.run(t, h)
		})
	}
}

// backend manages the harness's driver.
func backend(t *testing.T, h Harness) *storage.Backend {
	t.Helper()
	m, err := storage.Open(t.Context(), storage.Config{Volumes: []storage.BackendConfig{{Driver: "tested", Name: "b"}}},
		map[string]storage.Opener{"tested": func(context.Context, string, json.RawMessage, storage.Deps) (storage.Driver, error) {
			return h.Driver, nil
		}})
	require.NoError(t, err)
	b, err := m.Backend("b")
	require.NoError(t, err)
	return b
}

func create(t *testing.T, d storage.Driver, id string, size int64) *storage.Volume {
	t.Helper()
	v, err := d.Create(t.Context(), storage.VolumeSpec{ID: id, SizeBytes: size})
	require.NoError(t, err, "create %q", id)
	require.NotNil(t, v)
	return v
}

func get(t *testing.T, d storage.Driver, id string) *storage.Volume {
	t.Helper()
	v, err := d.Get(t.Context(), id)
	require.NoError(t, err, "get %q", id)
	require.NotNil(t, v)
	return v
}

var connector = storage.Connector{Host: "node1", Address: "192.0.2.10", Initiator: "iqn.2012-07.com.example:node1"}

func unsupported(t *testing.T, h Harness) {
	create(t, h.Driver, "v", smallBytes)
	b := backend(t, h)
	calls := map[string][]func() error{
		"Disconnector": {func() error { return b.Disconnect(t.Context(), "v", connector) }},
		"Lister":       {func() error { _, err := b.List(t.Context(), "", 1); return err }},
		"Extender":     {func() error { _, err := b.Extend(t.Context(), "v", largeBytes); return err }},
		"Snapshotter": {
			func() error { _, err := b.CreateSnapshot(t.Context(), "v", "s"); return err },
			func() error { _, err := b.GetSnapshot(t.Context(), "v", "s"); return err },
			func() error { return b.DeleteSnapshot(t.Context(), "v", "s") },
			func() error {
				_, err := b.CreateFromSnapshot(t.Context(), storage.VolumeSpec{ID: "w"}, "v", "s")
				return err
			},
		},
	}
	for _, name := range h.Unsupported {
		require.Contains(t, calls, name, "Harness.Unsupported names no optional interface")
	}
	for name, has := range optional(h.Driver) {
		require.NotEqual(t, has, slices.Contains(h.Unsupported, name), "%s: what the driver has and what is declared unsupported", name)
		for _, call := range calls[name] {
			if err := call(); !has {
				require.ErrorIs(t, err, storage.ErrUnsupported, name)
			} else {
				require.NotErrorIs(t, err, storage.ErrUnsupported, name)
			}
		}
	}
}

func check(t *testing.T, h Harness) {
	require.NoError(t, h.Driver.Check(t.Context()))
	require.NoError(t, h.Driver.Check(t.Context()))
}

func createAndGet(t *testing.T, h Harness) {
	made := create(t, h.Driver, "vol-1", smallBytes)
	require.Equal(t, "vol-1", made.ID)
	require.NotEmpty(t, made.Name)
	require.Empty(t, cmp.Diff(made, get(t, h.Driver, "vol-1")))
}

func rounding(t *testing.T, h Harness) {
	for i, size := range []int64{1, smallBytes, largeBytes} {
		made := create(t, h.Driver, fmt.Sprint("v", i), size)
		stats, err := h.Driver.Stats(t.Context())
		require.NoError(t, err)
		require.GreaterOrEqual(t, made.SizeBytes, size)
		require.Equal(t, stats.Round(size), made.SizeBytes, "as the stats' unit of %d says", stats.UnitBytes)
		exact := create(t, h.Driver, fmt.Sprint("exact", i), made.SizeBytes)
		require.Equal(t, made.SizeBytes, exact.SizeBytes, "a rounded size stays")
	}
	for _, size := range []int64{0, -1} {
		_, err := h.Driver.Create(t.Context(), storage.VolumeSpec{ID: "none", SizeBytes: size})
		require.ErrorIs(t, err, storage.ErrInvalid, "size %d", size)
	}
}

func createTwice(t *testing.T, h Harness) {
	made := create(t, h.Driver, "v", smallBytes)
	for _, size := range []int64{smallBytes, largeBytes} {
		_, err := h.Driver.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: size})
		require.ErrorIs(t, err, storage.ErrExists)
	}
	b := backend(t, h)
	for _, size := range []int64{smallBytes, made.SizeBytes} {
		again, err := b.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: size})
		require.NoError(t, err, "the same spec is the same volume")
		require.Empty(t, cmp.Diff(made, again))
	}
	_, err := b.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: largeBytes})
	require.ErrorIs(t, err, storage.ErrExists)
	require.Empty(t, cmp.Diff(made, get(t, h.Driver, "v")), "untouched")
}

func absent(t *testing.T, h Harness) {
	_, err := h.Driver.Get(t.Context(), "none")
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.ErrorIs(t, h.Driver.Delete(t.Context(), "none"), storage.ErrNotFound)
	_, err = h.Driver.Connect(t.Context(), "none", connector)
	require.ErrorIs(t, err, storage.ErrNotFound)
	if d, ok := h.Driver.(storage.Disconnector); ok {
		require.ErrorIs(t, d.Disconnect(t.Context(), "none", connector), storage.ErrNotFound)
	}
	if d, ok := h.Driver.(storage.Extender); ok {
		_, err = d.Extend(t.Context(), "none", largeBytes)
		require.ErrorIs(t, err, storage.ErrNotFound)
	}
}

func deleteVolume(t *testing.T, h Harness) {
	create(t, h.Driver, "v", smallBytes)
	kept := create(t, h.Driver, "v2", smallBytes)
	require.NoError(t, h.Driver.Delete(t.Context(), "v"))
	_, err := h.Driver.Get(t.Context(), "v")
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.ErrorIs(t, h.Driver.Delete(t.Context(), "v"), storage.ErrNotFound)
	require.Empty(t, cmp.Diff(kept, get(t, h.Driver, "v2")))
	create(t, h.Driver, "v", largeBytes)
}

func oddIDs(t *testing.T, h Harness) {
	ids := []string{"a", "A.b", "a.b", "a_b", "a-b", "0", "00", "a.b.", "show", "select", "all", "x--y", strings.Repeat("z", storage.MaxID)}
	names := map[string]string{}
	for _, id := range ids {
		v := create(t, h.Driver, id, smallBytes)
		require.Equal(t, id, v.ID)
		require.Empty(t, names[v.Name], "%q and %q have the same name on the back end", id, names[v.Name])
		names[v.Name] = id
	}
	for i, id := range ids {
		require.NoError(t, h.Driver.Delete(t.Context(), id))
		for _, other := range ids[i+1:] {
			get(t, h.Driver, other)
		}
	}
}

func badIDs(t *testing.T, h Harness) {
	b := backend(t, h)
	for _, id := range []string{"", ".", "..", "-a", "_a", "a b", "a/b", "a\nb", "a\r", "ü", "a;b", "$(a)", strings.Repeat("z", storage.MaxID+1)} {
		_, err := b.Create(t.Context(), storage.VolumeSpec{ID: id, SizeBytes: smallBytes})
		require.ErrorIs(t, err, storage.ErrInvalid, id)
		_, err = b.Get(t.Context(), id)
		require.ErrorIs(t, err, storage.ErrInvalid, id)
		require.ErrorIs(t, b.Delete(t.Context(), id), storage.ErrInvalid, id)
	}
	stats, err := h.Driver.Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats.Volumes)
}

func connect(t *testing.T, h Harness) {
	create(t, h.Driver, "v", smallBytes)
	first, err := h.Driver.Connect(t.Context(), "v", connector)
	require.NoError(t, err)
	again, err := h.Driver.Connect(t.Context(), "v", connector)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(first, again))

	raw, err := json.Marshal(first)
	require.NoError(t, err)
	var reply struct {
		Type string         `json:"driver_volume_type"`
		Data map[string]any `json:"data"`
	}
	require.NoError(t, json.Unmarshal(raw, &reply))
	stats, err := h.Driver.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, stats.Protocol, reply.Type)
	require.Equal(t, "v", reply.Data["volume_id"])
	if reply.Type == "iscsi" {
		for _, key := range []string{"target_portal", "target_iqn"} {
			require.NotEmpty(t, reply.Data[key], key)
		}
		for _, key := range []string{"target_lun", "target_discovered", "encrypted", "discard"} {
			require.Contains(t, reply.Data, key)
		}
	}
	if password, ok := reply.Data["auth_password"].(string); ok {
		for _, text := range []string{fmt.Sprint(first), fmt.Sprintf("%+v", *first), first.LogValue().String()} {
			require.NotContains(t, text, password, "a secret is only in the JSON")
		}
	}
	create(t, h.Driver, "w", smallBytes)
	other, err := h.Driver.Connect(t.Context(), "w", connector)
	require.NoError(t, err)
	require.NotEmpty(t, cmp.Diff(first, other), "another volume is elsewhere")
}

func statsFollow(t *testing.T, h Harness) {
	before, err := h.Driver.Stats(t.Context())
	require.NoError(t, err)
	require.Positive(t, before.TotalBytes)
	require.LessOrEqual(t, before.FreeBytes, before.TotalBytes)
	require.Contains(t, []string{"iscsi", "rbd"}, before.Protocol)
	a, b := create(t, h.Driver, "a", smallBytes), create(t, h.Driver, "b", largeBytes)
	with, err := h.Driver.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Volumes+2, with.Volumes)
	require.Equal(t, before.ProvisionedBytes+a.SizeBytes+b.SizeBytes, with.ProvisionedBytes)
	require.LessOrEqual(t, with.FreeBytes, before.FreeBytes)
	require.NoError(t, h.Driver.Delete(t.Context(), "a"))
	require.NoError(t, h.Driver.Delete(t.Context(), "b"))
	after, err := h.Driver.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Volumes, after.Volumes)
	require.Equal(t, before.ProvisionedBytes, after.ProvisionedBytes)
	// A real back end needs a little for itself.
	require.InDelta(t, before.FreeBytes, after.FreeBytes, float64(before.TotalBytes)/100)
}

func full(t *testing.T, h Harness) {
	if h.CapacityBytes == 0 {
		t.Skip("Harness.CapacityBytes is not given")
	}
	_, err := h.Driver.Create(t.Context(), storage.VolumeSpec{ID: "huge", SizeBytes: 2*h.CapacityBytes + 1})
	require.ErrorIs(t, err, storage.ErrNoSpace)
	_, err = h.Driver.Get(t.Context(), "huge")
	require.ErrorIs(t, err, storage.ErrNotFound, "a failed create leaves nothing")
	create(t, h.Driver, "fits", smallBytes)
	if d, ok := h.Driver.(storage.Extender); ok {
		_, err := d.Extend(t.Context(), "fits", 2*h.CapacityBytes+1)
		require.ErrorIs(t, err, storage.ErrNoSpace)
	}
}

func cancelled(t *testing.T, h Harness) {
	create(t, h.Driver, "v", smallBytes)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := backend(t, h)
	for name, d := range map[string]interface {
		Check(context.Context) error
		Create(context.Context, storage.VolumeSpec) (*storage.Volume, error)
		Delete(context.Context, string) error
		Get(context.Context, string) (*storage.Volume, error)
	}{"driver": h.Driver, "backend": b} {
		require.ErrorIs(t, d.Check(ctx), context.Canceled, name)
		_, err := d.Create(ctx, storage.VolumeSpec{ID: "w", SizeBytes: smallBytes})
		require.ErrorIs(t, err, context.Canceled, name)
		_, err = d.Get(ctx, "v")
		require.ErrorIs(t, err, context.Canceled, name)
		require.ErrorIs(t, d.Delete(ctx, "v"), context.Canceled, name)
	}
	get(t, h.Driver, "v")
	_, err := h.Driver.Get(t.Context(), "w")
	require.ErrorIs(t, err, storage.ErrNotFound)
}

// together makes n calls at once and returns their errors.
func together(n int, fn func(i int) error) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- fn(i) }()
	}
	var all error
	for range n {
		all = errors.Join(all, <-errs)
	}
	return all
}

func manyCreators(t *testing.T, h Harness) {
	b := backend(t, h)
	require.NoError(t, together(8, func(int) error {
		_, err := b.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: smallBytes})
		return err
	}))
	stats, err := h.Driver.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, stats.Volumes)
}

func manyVolumes(t *testing.T, h Harness) {
	b := backend(t, h)
	require.NoError(t, together(12, func(i int) error {
		id := fmt.Sprint("v", i)
		if _, err := b.Create(t.Context(), storage.VolumeSpec{ID: id, SizeBytes: smallBytes}); err != nil {
			return err
		}
		if i%2 == 0 {
			return b.Delete(t.Context(), id)
		}
		return nil
	}))
	for i := range 12 {
		_, err := h.Driver.Get(t.Context(), fmt.Sprint("v", i))
		if i%2 == 0 {
			require.ErrorIs(t, err, storage.ErrNotFound)
		} else {
			require.NoError(t, err)
		}
	}
}
