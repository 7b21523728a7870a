// Package storagetest is the conformance suite of storage.Driver. Each subtest of Run is one
// rule of the contract, and RunModel compares a driver with a model of it, call by call:
//
//	func harness(t *testing.T) storagetest.Harness {
//		driver, err := memory.New(memory.Config{CapacityBytes: 1 << 40})
//		require.NoError(t, err)
//		return storagetest.Harness{Driver: driver, CapacityBytes: 1 << 40, Write: driver.WriteAt}
//	}
//
//	func TestDriver(t *testing.T) { storagetest.Run(t, harness) }
//	func TestModel(t *testing.T)  { storagetest.RunModel(t, harness) }
//
// What a Harness leaves out, such as the way to lose an answer, leaves rules out; they say so
// as they are skipped. What the driver leaves out must be declared.
package storagetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
)

// A Harness is one empty back end. It must take Many volumes of 5 MB, or of its unit, and some
// of 3 and 5 GiB, which hold little data. The rules about adoption want a back end where all
// that is manageable is the Harness's own: nobody else makes volumes there meanwhile.
type Harness struct {
	Driver storage.Driver
	// Unsupported names the optional interfaces that the driver does not have, such as
	// "Lister". The driver must have all others, and a Backend must answer ErrUnsupported for
	// these.
	Unsupported []string
	// CapacityBytes is how much fits, for the rules about full back ends; 0 leaves them out.
	CapacityBytes int64
	// Many is how many volumes the rule about long lists makes, 0 = 200.
	Many int

	// Write and Read move data as a machine would that is connected to the volume. nil: data
	// goes by ImageStreamer alone, and rules that change it later are left out.
	Write func(ctx context.Context, id string, p []byte, off int64) error
	Read  func(ctx context.Context, id string, p []byte, off int64) error

	// Image makes an image of these bytes, as Glance would keep it on the back end, for the length
	// of the test, and returns its location for CreateFromImage. nil leaves the rules out.
	Image func(t *testing.T, data []byte) (location string)

	// LoseRequest and LoseReply make the back end lose the next request for an operation (named
	// as in storage.OpError), or carry it out and lose the answer. Where an operation is several
	// requests, which of them is for the harness to choose. nil leaves the rules out.
	LoseRequest func(op string)
	LoseReply   func(op string)

	// ModelChecks bounds how many sequences RunModel tries; 0 = what rapid's flags say, which
	// is 100 of up to 30 calls.
	ModelChecks int
}

// The sizes the rules use: multiples of nothing, and apart also where they are rounded to GiB.
const (
	smallBytes  = 5_000_001
	largeBytes  = 3<<30 + 1
	largerBytes = 5<<30 + 1
)

// Run runs the conformance suite. It asks for a new Harness for each rule.
func Run(t *testing.T, harness func(t *testing.T) Harness) {
	for _, rule := range rules() {
		t.Run(strings.ReplaceAll(rule.name, " ", "_"), func(t *testing.T) {
			h := harness(t)
			if rule.needs != "" && slices.Contains(h.Unsupported, rule.needs) {
				t.Skipf("declared unsupported: %s", rule.needs)
			}
			if rule.needs != "" && !slices.Contains(storage.Features(h.Driver), rule.needs) {
				t.Fatalf("the driver is no storage.%s: make it one, or name it in Harness.Unsupported", rule.needs)
			}
			rule.run(t, h)
		})
	}
}

type rule struct {
	name  string
	needs string // an optional interface
	run   func(t *testing.T, h Harness)
}

func rules() []rule {
	return []rule{
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
		{"a list of very many volumes is whole", "Lister", longList},
		{"the stats add up to the list", "Lister", statsAddUp},
		{"a snapshot outlives changes and blocks deletion", "Snapshotter", snapshots},
		{"snapshot IDs are kept apart", "Snapshotter", oddSnapshotIDs},
		{"a list has each snapshot once in order", "SnapshotLister", listSnapshots},
		{"a volume from a snapshot stands alone", "Snapshotter", fromSnapshot},
		{"a volume from a snapshot has the data of then", "Snapshotter", snapshotData},
		{"of many who snapshot and copy all get it", "Snapshotter", manySnapshots},
		{"a clone is as big as asked and stands alone", "Cloner", clone},
		{"a clone has the data of its source", "Cloner", cloneData},
		{"a revert needs a snapshot and no connection", "Reverter", revert},
		{"a revert brings back the data", "Reverter", revertData},
		{"an image comes back as it went in", "ImageStreamer", images},
		{"an image leaves holes out and nothing shows through", "ImageStreamer", holes},
		{"a failed import leaves nothing", "ImageStreamer", failedImport},
		{"a volume from an image stands on it and has its data", "ImageCloner", fromImage},
		{"a purge of the trash takes nothing that is there", "TrashPurger", purgeTrash},
		{"a volume given up can be taken over", "Adopter", adopt},
		{"what can be taken over is listed in order", "Adopter", manageable},
		{"limits stay until they are changed", "Limiter", limits},
		{"a cancelled maker leaves nothing behind", "", cancelledMakers},
		{"a cancelled snapshot leaves nothing behind", "Snapshotter", cancelledSnapshots},
		{"a lost request is repeated", "", lostRequests},
		{"a lost answer is settled by looking", "", lostReplies},
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
	ctx := t.Context()
	calls := map[string][]func() error{
		"Disconnector": {func() error { return b.Disconnect(ctx, "v", connector) }},
		"Lister":       {func() error { _, err := b.List(ctx, "", 1); return err }},
		"Extender":     {func() error { _, err := b.Extend(ctx, "v", largeBytes); return err }},
		"Snapshotter": {
			func() error { _, err := b.CreateSnapshot(ctx, "v", "s"); return err },
			func() error { _, err := b.GetSnapshot(ctx, "v", "s"); return err },
			func() error { return b.DeleteSnapshot(ctx, "v", "s") },
			func() error {
				_, err := b.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "w"}, "v", "s")
				return err
			},
		},
		"SnapshotLister": {func() error { _, err := b.ListSnapshots(ctx, "v", "", 1); return err }},
		"Cloner":         {func() error { _, err := b.Clone(ctx, storage.VolumeSpec{ID: "c"}, "v"); return err }},
		"Reverter":       {func() error { return b.Revert(ctx, "v", "absent") }},
		"Adopter": {
			func() error { _, err := b.Manageable(ctx, "", 1); return err },
			func() error { _, err := b.Manage(ctx, "m", "absent"); return err },
			func() error { _, err := b.Unmanage(ctx, "absent"); return err },
		},
		"ImageStreamer": {
			func() error {
				_, err := b.Import(ctx, storage.VolumeSpec{ID: "i"}, bytes.NewReader([]byte("image")), 5, nil)
				return err
			},
			func() error { return b.Export(ctx, "absent", io.Discard, nil) },
		},
		"ImageCloner": {func() error {
			_, err := b.CreateFromImage(ctx, storage.VolumeSpec{ID: "i"}, "absent")
			return err
		}},
		"TrashPurger": {func() error { _, err := b.PurgeTrash(ctx); return err }},
		"Limiter": {
			func() error { return b.SetQoS(ctx, "v", storage.QoS{TotalIOPS: 100}) },
			func() error { _, err := b.GetQoS(ctx, "v"); return err },
		},
	}
	for _, name := range h.Unsupported {
		require.Contains(t, calls, name, "Harness.Unsupported names no optional interface")
	}
	features := storage.Features(h.Driver)
	require.Equal(t, features, b.Features())
	var undeclared []string
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		if !slices.Contains(features, name) && !slices.Contains(h.Unsupported, name) {
			undeclared = append(undeclared, name)
		}
	}
	require.Empty(t, undeclared, "the driver is none of these: make it one, or name it in Harness.Unsupported")
	for _, name := range h.Unsupported {
		require.NotContains(t, features, name, "the driver is one: do not name it in Harness.Unsupported")
	}
	for name := range calls {
		has := slices.Contains(features, name)
		for _, call := range calls[name] {
			switch err := call(); {
			case name == "Disconnector" && !has:
				require.NoError(t, err, "nothing is kept of a connection, so there is nothing to take back")
			case !has:
				require.ErrorIs(t, err, storage.ErrUnsupported, name)
			default:
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
	if reply.Type == "rbd" {
		for _, key := range []string{"name", "hosts", "ports", "cluster_name", "secret_type", "secret_uuid"} {
			require.NotEmpty(t, reply.Data[key], key)
		}
		require.Len(t, reply.Data["ports"], len(reply.Data["hosts"].([]any)))
		for _, key := range []string{"auth_enabled", "auth_username", "discard"} {
			require.Contains(t, reply.Data, key)
		}
		require.NotContains(t, reply.Data, "keyring", "a cephx key is nobody's business")
	}
	var back storage.Connection
	require.NoError(t, json.Unmarshal(raw, &back))
	require.Empty(t, cmp.Diff(first, &back), "it can be read back")
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
	// A real back end needs a little for itself, and gives it back when it likes.
	little := before.TotalBytes / 100
	require.LessOrEqual(t, with.FreeBytes, before.FreeBytes+little)
	require.NoError(t, h.Driver.Delete(t.Context(), "a"))
	require.NoError(t, h.Driver.Delete(t.Context(), "b"))
	after, err := h.Driver.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Volumes, after.Volumes)
	require.Equal(t, before.ProvisionedBytes, after.ProvisionedBytes)
	require.InDelta(t, before.FreeBytes, after.FreeBytes, float64(little))
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
