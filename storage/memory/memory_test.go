package memory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
	"github.com/crowbarkit/crowbarkit/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDriver(t *testing.T) {
	for name, config := range map[string]memory.Config{
		"defaults": {CapacityBytes: 100 << 30},
		"byte":     {CapacityBytes: 100 << 30, UnitBytes: 1},
		"gigabyte": {CapacityBytes: 100 << 30, UnitBytes: 1 << 30},
		"chap":     {CapacityBytes: 100 << 30, UnitBytes: 15 << 20, CHAPUsername: "chapadmin", CHAPPassword: "s3cr3t"},
	} {
		t.Run(name, func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T) storagetest.Harness {
				driver, err := memory.New(config)
				require.NoError(t, err)
				return storagetest.Harness{Driver: driver, CapacityBytes: config.CapacityBytes}
			})
		})
	}
}

// A driver with the six methods alone is a driver.
func TestDriverWithoutOptionalInterfaces(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Harness {
		driver, err := memory.New(memory.Config{})
		require.NoError(t, err)
		return storagetest.Harness{
			Driver:      struct{ storage.Driver }{driver},
			Unsupported: []string{"Disconnector", "Lister", "Extender", "Snapshotter"},
		}
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
