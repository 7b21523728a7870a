//go:build ceph && cgo

package rbd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	ceph "github.com/ceph/go-ceph/rbd"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

func TestConnectionIsCinders(t *testing.T) {
	c := config(t)
	d := driver(t, c)
	v := create(t, d, "v", 8*mebi)
	made, err := d.Connect(t.Context(), "v", storage.Connector{Host: "node1"})
	require.NoError(t, err)
	raw, err := json.Marshal(made)
	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf(`{"driver_volume_type":"rbd","data":{"name":"volumes/%s","hosts":["127.0.0.1"],"ports":["%d"],
		"cluster_name":"ceph","auth_enabled":true,"auth_username":"cinder","secret_type":"ceph","secret_uuid":"%s","volume_id":"v","discard":true}}`,
		v.Name, shared.Get(t).MonPort+1, shared.Get(t).FSID), string(raw))
	c.SecretUUID = "11111111-2222-3333-4444-555555555555"
	made, err = driver(t, c).Connect(t.Context(), "v", storage.Connector{Host: "node1"})
	require.NoError(t, err)
	require.Equal(t, c.SecretUUID, made.RBD.SecretUUID)
}

func TestFeaturesAndObjects(t *testing.T) {
	c := config(t)
	c.ObjectSizeBytes = 1 << 20
	d, p := driver(t, c), connect(t, "volumes")
	features := func(name string) uint64 {
		image := p.open(name)
		defer image.Close()
		bits, err := image.GetFeatures()
		require.NoError(t, err)
		return bits
	}
	v := create(t, d, "default", 8*mebi)
	require.Equal(t, uint64(61), features(v.Name), "the cluster's")
	image := p.open(v.Name)
	info, err := image.Stat()
	require.NoError(t, err)
	require.NoError(t, image.Close())
	require.Equal(t, 20, info.Order)

	c.Multiattach = true
	many := driver(t, c)
	v = create(t, many, "many", 8*mebi)
	require.Equal(t, ceph.FeatureLayering|ceph.FeatureDeepFlatten, features(v.Name))
	require.Equal(t, ceph.FeatureLayering|ceph.FeatureDeepFlatten, features(clone(t, many, "clone", "default").Name), "of a clone too")
	a, b := p.open(v.Name), connect(t, "volumes").open(v.Name)
	for i, writer := range []*ceph.Image{a, b, a, b} {
		_, err := writer.WriteAt([]byte{byte(i)}, int64(i))
		require.NoError(t, err, "both write")
	}
	require.NoError(t, a.Close())
	require.NoError(t, b.Close())

	c.Multiattach, c.Features = false, []string{"layering"}
	require.Equal(t, ceph.FeatureLayering, features(create(t, driver(t, c), "plain", 8*mebi).Name))
	for _, size := range []int64{1 << 59, 256_000_001 * mebi} { // an object map has 256,000,000 objects
		_, err = d.Create(t.Context(), storage.VolumeSpec{ID: "giant", SizeBytes: size})
		require.ErrorIs(t, err, storage.ErrInvalid)
		_, err = d.Clone(t.Context(), storage.VolumeSpec{ID: "giant", SizeBytes: size}, "default")
		require.ErrorIs(t, err, storage.ErrInvalid)
		require.NotContains(t, p.images(prefix(c)), prefix(c)+"giant")
		_, err = d.Extend(t.Context(), "default", size)
		require.ErrorIs(t, err, storage.ErrInvalid)
	}
}

func TestAdoption(t *testing.T) {
	c := config(t)
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	mark := "zz" + prefix(c)
	for name, size := range map[string]uint64{mark + "a b%ü": 3*mebi + 5, mark + "used": mebi, mark + "z": mebi} {
		options := ceph.NewRbdImageOptions()
		require.NoError(t, ceph.CreateImage(p.io, name, size, options))
		options.Destroy()
	}
	contents := noise(1, mebi)
	p.write(mark+"a b%ü", contents)
	used := p.open(mark + "used")
	_, err := used.CreateSnapshot("snapshot-old")
	require.NoError(t, err)

	found, err := d.Manageable(ctx, mark, 100)
	require.NoError(t, err)
	require.Len(t, found, 3)
	require.Equal(t, storage.Manageable{Name: mark + "a b%ü", SizeBytes: 3*mebi + 5}, found[0])
	require.Contains(t, found[1].Reason, "in use: connection client.")
	page, err := d.Manageable(ctx, found[0].Name, 1)
	require.NoError(t, err)
	require.Equal(t, found[1].Name, page[0].Name)

	_, err = d.Manage(ctx, "v", mark+"used")
	require.ErrorIs(t, err, storage.ErrBusy)
	require.NoError(t, used.Close())
	_, err = d.Manage(ctx, "v", mark+"none")
	require.ErrorIs(t, err, storage.ErrNotFound)
	v, err := d.Manage(ctx, "v", mark+"a b%ü")
	require.NoError(t, err)
	require.Equal(t, int64(4*mebi), v.SizeBytes, "rounded up")
	require.Equal(t, string(contents), string(p.read(v.Name, len(contents))))
	_, err = d.Manage(ctx, "v", mark+"z")
	require.ErrorIs(t, err, storage.ErrExists)
	_, err = d.Manage(ctx, "w", v.Name)
	require.ErrorIs(t, err, storage.ErrInvalid, "it is a volume already")

	_, err = d.Manage(ctx, "w", mark+"used")
	require.NoError(t, err)
	_, err = d.GetSnapshot(ctx, "w", "old")
	require.NoError(t, err, "snapshots with our names come along")

	for i := range 2 {
		name, err := d.Unmanage(ctx, "v")
		require.NoError(t, err)
		_, err = d.Get(ctx, "v")
		require.ErrorIs(t, err, storage.ErrNotFound)
		list, err := d.Manageable(ctx, "", 1000)
		require.NoError(t, err)
		require.Contains(t, list, storage.Manageable{Name: name, SizeBytes: 4 * mebi})
		if i == 0 {
			create(t, d, "v", 4*mebi) // the ID is free; its next image needs another name
		}
	}
	_, err = d.Unmanage(ctx, "v")
	require.ErrorIs(t, err, storage.ErrNotFound)
}

func TestQoSKeysAreLibrbds(t *testing.T) {
	c := config(t)
	d, ctx := driver(t, c), t.Context()
	v := create(t, d, "v", 8*mebi)
	all := storage.QoS{
		TotalIOPS: 100, ReadIOPS: 101, WriteIOPS: 102, TotalBytes: 1003, ReadBytes: 1004, WriteBytes: 1005,
		TotalIOPSBurst: 206, ReadIOPSBurst: 207, WriteIOPSBurst: 208, TotalBytesBurst: 2009, ReadBytesBurst: 2010, WriteBytesBurst: 2011,
	}
	require.NoError(t, d.SetQoS(ctx, "v", all))
	got, err := d.GetQoS(ctx, "v")
	require.NoError(t, err)
	require.Equal(t, all, got)
	var settings []struct{ Name, Value, Source string }
	require.NoError(t, json.Unmarshal([]byte(command(t, "config", "image", "list", "volumes/"+v.Name, "--format", "json")), &settings))
	seen := map[string]string{}
	for _, s := range settings {
		if s.Source == "image" {
			seen[s.Name] = s.Value
		}
	}
	require.Equal(t, map[string]string{
		"rbd_qos_iops_limit": "100", "rbd_qos_read_iops_limit": "101", "rbd_qos_write_iops_limit": "102",
		"rbd_qos_bps_limit": "1003", "rbd_qos_read_bps_limit": "1004", "rbd_qos_write_bps_limit": "1005",
		"rbd_qos_iops_burst": "206", "rbd_qos_read_iops_burst": "207", "rbd_qos_write_iops_burst": "208",
		"rbd_qos_bps_burst": "2009", "rbd_qos_read_bps_burst": "2010", "rbd_qos_write_bps_burst": "2011",
	}, seen, "as librbd itself reads them")

	few := storage.QoS{WriteIOPS: 7}
	require.NoError(t, d.SetQoS(ctx, "v", few))
	got, err = d.GetQoS(ctx, "v")
	require.NoError(t, err)
	require.Equal(t, few, got)
	require.NoError(t, d.SetQoS(ctx, "v", storage.QoS{}))
	require.NotContains(t, command(t, "image-meta", "list", "volumes/"+v.Name), "qos")
	require.ErrorIs(t, d.SetQoS(ctx, "v", storage.QoS{TotalIOPSBurst: 5}), storage.ErrInvalid)
	_, err = d.GetQoS(ctx, "none")
	require.ErrorIs(t, err, storage.ErrNotFound)
}

func TestStatsAgainstTheClustersCommands(t *testing.T) {
	c := config(t)
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	p.write(create(t, d, "a", 64*mebi).Name, noise(1, 32*mebi))
	create(t, d, "b", 1<<40)

	type df struct {
		Stats struct {
			Total float64 `json:"total_bytes"`
		}
		Pools []struct {
			Name  string
			Stats struct {
				Stored int64
				Max    int64 `json:"max_avail"`
			}
		}
	}
	truth := func() (stored, free, cluster int64) {
		var answer df
		require.NoError(t, json.Unmarshal([]byte(command(t, "ceph", "df", "--format", "json")), &answer))
		for _, pool := range answer.Pools {
			if pool.Name == "volumes" {
				return pool.Stats.Stored, pool.Stats.Max, int64(answer.Stats.Total)
			}
		}
		t.Fatal("no pool")
		return 0, 0, 0
	}
	// What is written shows when the manager tells: at the next of its ticks.
	require.Eventually(t, func() bool { stored, _, _ := truth(); return stored >= 32*mebi }, 30*time.Second, 200*time.Millisecond)
	var stored, free, cluster int64
	var stats *storage.Stats
	near := func(a, b int64) bool { return a-b < 4*mebi && b-a < 4*mebi }
	// Both are as of some tick of the manager, and what others deleted is still being freed.
	same := func(compare func() bool) {
		t.Helper()
		require.Eventually(t, func() bool {
			var err error
			stats, err = d.Stats(ctx)
			require.NoError(t, err)
			stored, free, cluster = truth()
			return compare()
		}, 30*time.Second, 100*time.Millisecond, "as ceph df has it")
	}
	same(func() bool { return near(stored+free, stats.TotalBytes) && near(free, stats.FreeBytes) })
	require.Equal(t, 2, stats.Volumes)
	require.Equal(t, int64(64*mebi+1<<40), stats.ProvisionedBytes)
	require.True(t, stats.Thin)
	require.Equal(t, "rbd", stats.Protocol)

	c.StaticTotalCapacity = true
	static, err := driver(t, c).Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, cluster, static.TotalBytes)

	c.SharedPool = true
	sharing, err := driver(t, c).Stats(ctx)
	require.NoError(t, err)
	var provisioned int64
	for _, name := range p.images("") {
		image := p.open(name)
		size, err := image.GetSize()
		require.NoError(t, err)
		require.NoError(t, image.Close())
		provisioned += int64(size)
	}
	require.Equal(t, provisioned, sharing.ProvisionedBytes, "of all images in the pool")
	require.Equal(t, 2, sharing.Volumes)

	// Another process changes what this one remembers: deletion shows at once.
	require.NoError(t, ceph.RemoveImage(p.io, prefix(c)+"b"))
	stats, err = d.Stats(ctx)
	require.NoError(t, err)
	require.Equal(t, int64(64*mebi), stats.ProvisionedBytes)

	quota := stored + 100*mebi
	command(t, "ceph", "osd", "pool", "set-quota", "volumes", "max_bytes", fmt.Sprint(quota))
	defer command(t, "ceph", "osd", "pool", "set-quota", "volumes", "max_bytes", "0")
	same(func() bool { return stats.TotalBytes == quota && near(quota-stored, stats.FreeBytes) })
}

func TestTwoHundredVolumes(t *testing.T) {
	c := config(t)
	d, ctx := driver(t, c), t.Context()
	made := time.Now()
	errs := make(chan error, 8)
	for worker := range 8 {
		go func() {
			for i := worker; i < 200; i += 8 {
				if _, err := d.Create(ctx, storage.VolumeSpec{ID: fmt.Sprintf("v%03d", i), SizeBytes: int64(i+1) * mebi}); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range 8 {
		require.NoError(t, <-errs)
	}
	t.Logf("200 created in %v", time.Since(made))
	listed := time.Now()
	list, err := d.List(ctx, "", 1000)
	require.NoError(t, err)
	t.Logf("listed in %v", time.Since(listed))
	require.Len(t, list, 200)
	for i, v := range list {
		require.Equal(t, storage.Volume{ID: fmt.Sprintf("v%03d", i), Name: fmt.Sprintf("%sv%03d", prefix(c), i), SizeBytes: int64(i+1) * mebi}, v)
	}
	page, err := d.List(ctx, "v197", 50)
	require.NoError(t, err)
	require.Len(t, page, 2)
	fresh := driver(t, c)
	cold := time.Now()
	stats, err := fresh.Stats(ctx)
	require.NoError(t, err)
	warm := time.Now()
	again, err := fresh.Stats(ctx)
	require.NoError(t, err)
	t.Logf("stats: cold %v, warm %v", warm.Sub(cold), time.Since(warm))
	require.Equal(t, int64(200*201/2*mebi), stats.ProvisionedBytes)
	require.Equal(t, stats.ProvisionedBytes, again.ProvisionedBytes)
}

// TestWrecks: a create that died between its steps left a name without an image.
func TestWrecks(t *testing.T) {
	c := config(t)
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	wreck := func(id string) {
		v := create(t, d, id, 8*mebi)
		image := p.open(v.Name)
		imageID, err := image.GetId()
		require.NoError(t, err)
		require.NoError(t, image.Close())
		require.NoError(t, p.io.Delete("rbd_header."+imageID))
	}
	create(t, d, "whole", 8*mebi)
	wreck("a")
	wreck("b")
	list, err := d.List(ctx, "", 10)
	require.NoError(t, err)
	require.Len(t, list, 1, "wrecks hide nothing")
	stats, err := d.Stats(ctx)
	require.NoError(t, err)
	require.Positive(t, stats.ProvisionedBytes)
	_, err = d.Get(ctx, "a")
	require.ErrorIs(t, err, storage.ErrNotFound)
	impatient, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err = d.Create(impatient, storage.VolumeSpec{ID: "a", SizeBytes: mebi})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = p.io.Stat("rbd_id." + prefix(c) + "a")
	require.NoError(t, err, "somebody else may be making it")
	create(t, d, "a", 16*mebi)
	require.NoError(t, d.Delete(ctx, "b"))
	require.ErrorIs(t, d.Delete(ctx, "b"), storage.ErrNotFound)
	require.Equal(t, []string{prefix(c) + "a", prefix(c) + "whole"}, p.images(prefix(c)))
}

func TestErrorsOfTheUser(t *testing.T) {
	for name, change := range map[string]struct {
		config func(c *rbd.Config)
		text   string
	}{
		"no such pool":  {func(c *rbd.Config) { c.Pool = "none" }, `open pool "none"`},
		"no such user":  {func(c *rbd.Config) { c.User = "nobody" }, "client.nobody"},
		"no such file":  {func(c *rbd.Config) { c.ConfigFile = "/nonexistent/ceph.conf" }, "/nonexistent/ceph.conf"},
		"not permitted": {func(c *rbd.Config) { c.Pool = "device_health_metrics" }, "device_health_metrics"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			c := config(t)
			change.config(&c)
			d := driver(t, c)
			start := time.Now()
			err := d.Check(t.Context())
			require.ErrorContains(t, err, change.text)
			require.Less(t, time.Since(start), 10*time.Second, "no retry mends this")
			_, err = d.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: mebi})
			require.Error(t, err)
			require.NotErrorIs(t, err, storage.ErrUnknownOutcome)
			if name != "not permitted" { // the connection is
				_, err = d.Get(t.Context(), "v")
				require.ErrorIs(t, err, storage.ErrUnavailable)
				require.NotErrorIs(t, err, storage.ErrNotFound, "of the volume nothing is known")
			}
		})
	}
	require.NoError(t, driver(t, config(t)).Check(t.Context()))
}

// TestFailedConnectionsLeaveNothing: librados ends the process when it gets no more threads or
// file descriptors, and a driver that nobody has configured well is asked again and again.
func TestFailedConnectionsLeaveNothing(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it is not what must help
	for name, change := range map[string]func(c *rbd.Config){
		"no such user":  func(c *rbd.Config) { c.User = "nobody" },
		"no such pool":  func(c *rbd.Config) { c.Pool = "none" },
		"no monitors":   func(c *rbd.Config) { c.ConfigFile = os.DevNull },
		"does not read": func(c *rbd.Config) { c.ConfigFile = "/nonexistent/ceph.conf" },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			c := config(t)
			c.ConnectRetries = -1
			change(&c)
			d := driver(t, c)
			before := threads(t)
			for range 5 {
				require.ErrorIs(t, d.Check(t.Context()), storage.ErrUnavailable)
			}
			// One that has ended is listed a moment longer.
			require.Eventually(t, func() bool { return maps.Equal(before, threads(t)) }, 10*time.Second, 10*time.Millisecond)
		})
	}
}

// TestNoFileDescriptors: librados would end the process.
func TestNoFileDescriptors(t *testing.T) {
	d := driver(t, config(t))
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	open, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	few := limit
	few.Cur = uint64(len(open) + 5)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few))
	err = d.Check(t.Context())
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	require.ErrorIs(t, err, storage.ErrUnavailable)
	require.ErrorContains(t, err, "file descriptors are open")
	require.NoError(t, d.Check(t.Context()))
}

// threads counts those of this process that librados started, by their names.
func threads(t *testing.T) map[string]int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/task/*/comm")
	require.NoError(t, err)
	names := map[string]int{}
	for _, file := range files {
		if raw, err := os.ReadFile(file); err == nil && !strings.HasPrefix(string(raw), filepath.Base(os.Args[0])) {
			names[strings.TrimSpace(string(raw))]++
		}
	}
	return names
}

// TestFullCopiesAreMadeAsConfigured, whatever their source is like.
func TestFullCopiesAreMadeAsConfigured(t *testing.T) {
	c := config(t)
	p := connect(t, "volumes")
	source := create(t, driver(t, c), "source", 8*mebi)
	p.write(source.Name, noise(1, 3*mebi))
	c.MaxCloneDepth, c.Multiattach, c.ObjectSizeBytes = -1, true, 1<<20
	v := clone(t, driver(t, c), "copy", "source")
	image := p.open(v.Name)
	defer image.Close()
	features, err := image.GetFeatures()
	require.NoError(t, err)
	require.Equal(t, ceph.FeatureLayering|ceph.FeatureDeepFlatten, features)
	info, err := image.Stat()
	require.NoError(t, err)
	require.Equal(t, 20, info.Order)
	require.Equal(t, noise(1, 3*mebi), p.read(v.Name, 3*mebi))
}

// TestLimitsThatAreNoNumbers: rbd config image set takes "1K".
func TestLimitsThatAreNoNumbers(t *testing.T) {
	d, p, ctx := driver(t, config(t)), connect(t, "volumes"), t.Context()
	v := create(t, d, "v", 8*mebi)
	command(t, "config", "image", "set", "volumes/"+v.Name, "rbd_qos_iops_limit", "1K")
	image := p.open(v.Name)
	text, err := image.GetMetadata("conf_rbd_qos_iops_limit")
	require.NoError(t, err)
	require.NoError(t, image.Close())
	t.Log(text)
	_, err = d.GetQoS(ctx, "v")
	require.ErrorContains(t, err, "rbd_qos_iops_limit is \"1K\"")
	want := storage.QoS{WriteIOPS: 5}
	require.NoError(t, d.SetQoS(ctx, "v", want), "they can be replaced")
	got, err := d.GetQoS(ctx, "v")
	require.NoError(t, err)
	require.Equal(t, want, got)
}
