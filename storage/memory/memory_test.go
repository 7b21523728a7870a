package memory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
	"github.com/crowbarkit/crowbarkit/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errLost = fmt.Errorf("read answer: %w", storage.ErrUnknownOutcome)

func TestDriver(t *testing.T) {
	for name, config := range map[string]memory.Config{
		"defaults": {CapacityBytes: 1 << 40},
		"byte":     {CapacityBytes: 1 << 40, UnitBytes: 1},
		"trash":    {CapacityBytes: 1 << 40, DeferredDeletion: true},
		"gigabyte": {CapacityBytes: 1 << 40, UnitBytes: 1 << 30},
		"chap":     {CapacityBytes: 1 << 40, UnitBytes: 15 << 20, CHAPUsername: "chapadmin", CHAPPassword: "s3cr3t"},
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T) storagetest.Harness { return harness(t, config) })
		})
	}
}

func TestModel(t *testing.T) {
	storagetest.RunModel(t, func(t *testing.T) storagetest.Harness { return harness(t, memory.Config{}) })
}

func harness(t *testing.T, config memory.Config) storagetest.Harness {
	driver, err := memory.New(config)
	require.NoError(t, err)
	return storagetest.Harness{
		Driver: driver, CapacityBytes: config.CapacityBytes,
		Write: driver.WriteAt, Read: driver.ReadAt, Image: image(driver),
		LoseRequest: func(op string) { driver.Inject(memory.Fault{Op: op, Before: errLost}) },
		LoseReply:   func(op string) { driver.Inject(memory.Fault{Op: op, After: errLost}) },
	}
}

// image makes images: volumes that are given up.
func image(d *memory.Driver) func(t *testing.T, data []byte) string {
	return func(t *testing.T, data []byte) string {
		size := int64(len(data))
		_, err := d.Import(t.Context(), storage.VolumeSpec{ID: "image", SizeBytes: size}, bytes.NewReader(data), size, nil)
		require.NoError(t, err)
		name, err := d.Unmanage(t.Context(), "image")
		require.NoError(t, err)
		return "memory://" + name
	}
}

// Data goes by images alone where there is no other way.
func TestDriverByImages(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Harness {
		h := harness(t, memory.Config{})
		h.Write, h.Read, h.LoseRequest, h.LoseReply = nil, nil, nil, nil
		return h
	})
}

// A driver with the six methods alone is a driver.
func TestDriverWithoutOptionalInterfaces(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Harness {
		driver, err := memory.New(memory.Config{})
		require.NoError(t, err)
		return storagetest.Harness{Driver: struct{ storage.Driver }{driver}, Unsupported: storage.Features(driver)}
	})
}

func TestSpaceComesBack(t *testing.T) {
	ctx := t.Context()
	d, err := memory.New(memory.Config{CapacityBytes: 100, UnitBytes: 10})
	require.NoError(t, err)
	free := func(want int64) {
		t.Helper()
		stats, err := d.Stats(ctx)
		require.NoError(t, err)
		require.Equal(t, want, stats.FreeBytes)
	}
	_, err = d.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 11})
	require.NoError(t, err)
	free(80)
	_, err = d.CreateSnapshot(ctx, "v", "s")
	require.NoError(t, err)
	free(60)
	_, err = d.Extend(ctx, "v", 60)
	require.NoError(t, err)
	free(20)
	_, err = d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "w"}, "v", "s")
	require.NoError(t, err)
	free(0)
	_, err = d.CreateSnapshot(ctx, "w", "s")
	require.ErrorIs(t, err, storage.ErrNoSpace)
	_, err = d.GetSnapshot(ctx, "w", "s")
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.NoError(t, d.DeleteSnapshot(ctx, "v", "s"))
	free(20)
	require.NoError(t, d.Delete(ctx, "v"))
	free(80)
	require.NoError(t, d.Delete(ctx, "w"))
	free(100)

	d, err = memory.New(memory.Config{CapacityBytes: 100, UnitBytes: 10, DeferredDeletion: true})
	require.NoError(t, err)
	for range 2 {
		_, err = d.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 40})
		require.NoError(t, err)
		require.NoError(t, d.Delete(ctx, "v"))
	}
	free(20)
	n, err := d.PurgeTrash(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	free(100)
}

func TestFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := memory.New(memory.Config{})
		require.NoError(t, err)
		create := func(id string) error {
			_, err := d.Create(t.Context(), storage.VolumeSpec{ID: id, SizeBytes: 5})
			return err
		}
		there := func(id string) bool { _, err := d.Get(t.Context(), id); return err == nil }
		busy := &storage.BusyError{Dependents: []string{"maintenance"}}
		d.Inject(memory.Fault{Op: "create", Times: 2, Before: busy})
		d.Inject(memory.Fault{Op: "create", After: errLost})
		require.NoError(t, d.Check(t.Context()), "another operation")
		require.ErrorIs(t, create("v"), storage.ErrBusy)
		require.ErrorIs(t, create("v"), storage.ErrBusy)
		require.False(t, there("v"))
		require.ErrorIs(t, create("v"), storage.ErrUnknownOutcome)
		require.True(t, there("v"), "only the answer was lost")
		require.NoError(t, create("w"), "all were used up")

		d.Inject(memory.Fault{Op: "create", After: errLost})
		require.ErrorIs(t, create("v"), storage.ErrExists, "what fails by itself keeps its error")

		d.Inject(memory.Fault{Delay: time.Minute})
		start := time.Now()
		require.NoError(t, create("slow"))
		require.Equal(t, time.Minute, time.Since(start))
		d.Inject(memory.Fault{Delay: time.Minute})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = d.Create(ctx, storage.VolumeSpec{ID: "late", SizeBytes: 5})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, there("late"))
	})
}

func TestData(t *testing.T) {
	ctx := t.Context()
	d, err := memory.New(memory.Config{})
	require.NoError(t, err)
	const size = 1 << 20
	_, err = d.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: size})
	require.NoError(t, err)
	model := make([]byte, size)
	rapid.Check(t, func(t *rapid.T) {
		off := rapid.IntRange(0, size-1).Draw(t, "offset")
		p := bytes.Repeat([]byte{rapid.Byte().Draw(t, "byte")}, rapid.IntRange(0, min(200_000, size-off)).Draw(t, "length"))
		if err := d.WriteAt(ctx, "v", p, int64(off)); err != nil {
			t.Fatal(err)
		}
		copy(model[off:], p)
		got := make([]byte, size)
		if err := d.ReadAt(ctx, "v", got, 0); err != nil || !bytes.Equal(model, got) {
			t.Fatalf("other bytes, or %v", err)
		}
	})
	for _, off := range []int64{-1, size, size - 1} {
		require.ErrorIs(t, d.WriteAt(ctx, "v", []byte("ab"), off), storage.ErrInvalid)
		require.ErrorIs(t, d.ReadAt(ctx, "v", make([]byte, 2), off), storage.ErrInvalid)
	}
	require.ErrorIs(t, d.WriteAt(ctx, "w", nil, 0), storage.ErrNotFound)
}

func TestPut(t *testing.T) {
	d, err := memory.New(memory.Config{CapacityBytes: 100, UnitBytes: 10})
	require.NoError(t, err)
	require.NoError(t, d.Put("lun", 55))
	require.ErrorIs(t, d.Put("lun", 5), storage.ErrExists)
	require.ErrorIs(t, d.Put("volume-a", 5), storage.ErrInvalid)
	require.ErrorIs(t, d.Put("", 5), storage.ErrInvalid)
	require.ErrorIs(t, d.Put("none", 0), storage.ErrInvalid)
	require.ErrorIs(t, d.Put("huge", 46), storage.ErrNoSpace)
	require.NoError(t, d.Put("rest", 45))
	_, err = d.Manage(t.Context(), "v", "lun")
	require.ErrorIs(t, err, storage.ErrNoSpace, "it would have to grow")
	found, err := d.Manageable(t.Context(), "", 10)
	require.NoError(t, err)
	require.Len(t, found, 2, "it is still there")
}

func TestOpen(t *testing.T) {
	_, err := memory.Open(t.Context(), "b", json.RawMessage(`{"capacity_bytes":-1,"unit_bytes":-5,"target_portal":"nowhere","chap_username":"u"}`), storage.Deps{})
	require.ErrorIs(t, err, storage.ErrInvalid)
	for _, path := range []string{"/capacity_bytes", "/unit_bytes", "/target_portal", "/chap_username"} {
		require.ErrorContains(t, err, path)
	}
	for _, bad := range []string{`{"capacity":1}`, `[]`, `{"capacity_bytes":"1"}`, ``} {
		_, err := memory.Open(t.Context(), "b", json.RawMessage(bad), storage.Deps{})
		require.ErrorIs(t, err, storage.ErrInvalid, bad)
	}
	driver, err := memory.Open(t.Context(), "b", json.RawMessage(`{"capacity_bytes":1048576}`), storage.Deps{})
	require.NoError(t, err)
	stats, err := driver.Stats(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1<<20, stats.FreeBytes)
}

func Example() {
	ctx := context.Background()
	driver, err := memory.New(memory.Config{CapacityBytes: 10 << 30, UnitBytes: 1 << 30})
	if err != nil {
		fmt.Println(err)
		return
	}
	volume, err := driver.Create(ctx, storage.VolumeSpec{ID: "db-1", SizeBytes: 1_500_000_000})
	fmt.Println(volume.Name, volume.SizeBytes>>30, "GiB", err)
	connection, err := driver.Connect(ctx, "db-1", storage.Connector{Host: "node1", Initiator: "iqn.2012-07.com.example:node1"})
	fmt.Println(connection, err)
	fmt.Println(driver.Delete(ctx, "db-1"))
	// Output:
	// volume-db-1 2 GiB <nil>
	// iscsi 192.0.2.1:3260,iqn.2012-07.com.crowbarkit.memory:volume-db-1,0 <nil>
	// volume "db-1": storage: busy: in the way: connection iqn.2012-07.com.example:node1
}
