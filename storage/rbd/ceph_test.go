//go:build ceph && cgo

package rbd_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ceph/go-ceph/rados"
	ceph "github.com/ceph/go-ceph/rbd"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/internal/cephtest"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
	"github.com/crowbarkit/crowbarkit/storage/storagetest"
)

// The cluster of this process; every test has names of its own in its pool.
var shared cephtest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	if err := shared.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

var spaces atomic.Int64

// config is an empty back end: names that no other test has, in the shared pool, as the user
// that Cinder would have.
func config(t testing.TB) rbd.Config {
	t.Helper()
	cluster := shared.Get(t)
	n := spaces.Add(1)
	p := connect(t, "volumes")
	t.Cleanup(func() { p.sweep(fmt.Sprintf("t%d-", n)) })
	return rbd.Config{
		ConfigFile: cluster.ConfFile, User: "cinder", Pool: "volumes",
		VolumeNameTemplate: fmt.Sprintf("t%d-%%s", n), SnapshotNameTemplate: "snapshot-%s",
		Timeout: 15 * time.Second, ConnectInterval: 100 * time.Millisecond,
	}
}

func driver(t testing.TB, c rbd.Config) *rbd.Driver {
	t.Helper()
	d, err := rbd.New(c, storage.Deps{Logger: slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func TestConformance(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storagetest.Harness {
		c := config(t)
		return storagetest.Harness{Driver: driver(t, c), Unsupported: []string{"Disconnector"}, Image: image(c)}
	})
}

// image makes images as Glance keeps them: in another pool, with a protected snapshot.
func image(c rbd.Config) func(t *testing.T, data []byte) (location string) {
	return func(t *testing.T, data []byte) string {
		images, name := connect(t, "images"), prefix(c)+"image"
		options := ceph.NewRbdImageOptions()
		defer options.Destroy()
		require.NoError(t, ceph.CreateImage(images.io, name, uint64(len(data)), options))
		images.write(name, data)
		opened := images.open(name)
		snapshot, err := opened.CreateSnapshot("snap")
		require.NoError(t, err)
		require.NoError(t, snapshot.Protect())
		require.NoError(t, opened.Close())
		return rbd.Location{FSID: shared.Get(t).FSID, Pool: "images", Image: name, Snapshot: "snap"}.String()
	}
}

// command runs ceph or rbd as the administrator.
func command(t testing.TB, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	run := shared.Get(t).RBD
	if args[0] == "ceph" {
		run, args = shared.Get(t).Ceph, args[1:]
	}
	out, err := run(ctx, args...)
	require.NoError(t, err)
	return string(out)
}

// extraConf is the cluster's configuration with more lines for clients.
func extraConf(t testing.TB, lines ...string) string {
	t.Helper()
	conf, err := os.ReadFile(shared.Get(t).ConfFile)
	require.NoError(t, err)
	text := strings.Replace(string(conf), "[client]\n", "[client]\n"+strings.Join(lines, "\n")+"\n", 1)
	require.NotEqual(t, string(conf), text)
	file := filepath.Join(t.TempDir(), "ceph.conf")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// cloneFormats runs a test with the old and the new way of clones.
func cloneFormats(t *testing.T, test func(t *testing.T, c rbd.Config)) {
	for _, format := range []string{"1", "2"} {
		t.Run("clone v"+format, func(t *testing.T) {
			c := config(t)
			c.ConfigFile = extraConf(t, "rbd default clone format = "+format)
			test(t, c)
		})
	}
}

// A pool is a connection of the test's own, as another client would have it.
type pool struct {
	t  testing.TB
	io *rados.IOContext
}

func connect(t testing.TB, name string) pool {
	t.Helper()
	return connectWith(t, name, shared.Get(t).ConfFile)
}

func connectWith(t testing.TB, name, file string) pool {
	t.Helper()
	conn, err := rados.NewConnWithClusterAndUser("ceph", "client.admin")
	require.NoError(t, err)
	require.NoError(t, conn.ReadConfigFile(file))
	require.NoError(t, conn.Connect())
	io, err := conn.OpenIOContext(name)
	require.NoError(t, err)
	t.Cleanup(func() {
		io.Destroy()
		conn.Shutdown()
	})
	return pool{t, io}
}

func (p pool) open(name string) *ceph.Image {
	p.t.Helper()
	image, err := ceph.OpenImage(p.io, name, ceph.NoSnapshot)
	require.NoError(p.t, err)
	return image
}

// write fills the first bytes of an image.
func (p pool) write(name string, data []byte) {
	p.t.Helper()
	image := p.open(name)
	_, err := image.WriteAt(data, 0)
	require.NoError(p.t, err)
	require.NoError(p.t, image.Flush())
	require.NoError(p.t, image.Close())
}

// read returns the first bytes of an image.
func (p pool) read(name string, n int) []byte {
	p.t.Helper()
	image, err := ceph.OpenImageReadOnly(p.io, name, ceph.NoSnapshot)
	require.NoError(p.t, err)
	data := make([]byte, n)
	_, err = image.ReadAt(data, 0)
	require.NoError(p.t, err)
	require.NoError(p.t, image.Close())
	return data
}

// sweep removes what a test leaves, whatever it stands on, so that the pool is empty for the next.
func (p pool) sweep(prefix string) {
	remove := func(open func() (*ceph.Image, error), remove func() error) {
		if image, err := open(); err == nil {
			snapshots, _ := image.GetSnapshotNames()
			for _, s := range snapshots {
				_ = image.GetSnapshot(s.Name).Unprotect()
				_ = image.GetSnapshot(s.Name).Remove()
			}
			_ = image.Close()
		}
		_ = remove() // later, when its clones are gone
	}
	for range 20 { // deep chains
		names, _ := ceph.GetImageNames(p.io)
		trash, _ := ceph.GetTrashList(p.io)
		left := 0
		for _, name := range names {
			if strings.Contains(name, prefix) {
				left++
				remove(func() (*ceph.Image, error) { return ceph.OpenImage(p.io, name, ceph.NoSnapshot) },
					func() error { return ceph.RemoveImage(p.io, name) })
			}
		}
		for _, entry := range trash {
			if strings.HasPrefix(entry.Name, prefix) {
				left++
				remove(func() (*ceph.Image, error) { return ceph.OpenImageById(p.io, entry.Id, ceph.NoSnapshot) },
					func() error { return ceph.TrashRemove(p.io, entry.Id, true) })
			}
		}
		if left == 0 {
			return
		}
	}
	p.t.Errorf("images of %s cannot be removed", prefix)
}

// images are the names in the pool with a prefix, and trash those in its trash.
func (p pool) images(prefix string) []string {
	p.t.Helper()
	all, err := ceph.GetImageNames(p.io)
	require.NoError(p.t, err)
	return slices.DeleteFunc(all, func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

func (p pool) trash(prefix string) []string {
	p.t.Helper()
	all, err := ceph.GetTrashList(p.io)
	require.NoError(p.t, err)
	var names []string
	for _, entry := range all {
		if strings.HasPrefix(entry.Name, prefix) {
			names = append(names, entry.Name)
		}
	}
	return names
}

// restore gets an image back from the trash.
func (p pool) restore(name string) {
	p.t.Helper()
	all, err := ceph.GetTrashList(p.io)
	require.NoError(p.t, err)
	for _, entry := range all {
		if entry.Name == name {
			require.NoError(p.t, ceph.TrashRestore(p.io, entry.Id, name))
		}
	}
}

func (p pool) snapshots(name string) []string {
	p.t.Helper()
	image := p.open(name)
	all, err := image.GetSnapshotNames()
	require.NoError(p.t, err)
	require.NoError(p.t, image.Close())
	names := []string{}
	for _, s := range all {
		names = append(names, s.Name)
	}
	return names
}

// clones are the names of the images that stand on a snapshot.
func (p pool) clones(name, snapshot string) (names []string) {
	p.t.Helper()
	image, err := ceph.OpenImageReadOnly(p.io, name, snapshot)
	require.NoError(p.t, err)
	all, err := image.ListChildrenAttributes()
	require.NoError(p.t, err)
	require.NoError(p.t, image.Close())
	for _, child := range all {
		names = append(names, child.ImageName)
	}
	return names
}

// depth is how many images an image stands on.
func (p pool) depth(name string) int {
	p.t.Helper()
	image := p.open(name)
	for depth := 0; ; depth++ {
		parent, err := image.GetParent()
		require.NoError(p.t, image.Close())
		if err != nil {
			require.ErrorIs(p.t, err, ceph.ErrNotFound)
			return depth
		}
		image, err = ceph.OpenImageById(p.io, parent.Image.ImageID, ceph.NoSnapshot)
		require.NoError(p.t, err)
	}
}

func prefix(c rbd.Config) string { return strings.TrimSuffix(c.VolumeNameTemplate, "%s") }

const mebi = 1 << 20

func create(t testing.TB, d *rbd.Driver, id string, size int64) *storage.Volume {
	t.Helper()
	v, err := d.Create(t.Context(), storage.VolumeSpec{ID: id, SizeBytes: size})
	require.NoError(t, err)
	return v
}

func clone(t testing.TB, d *rbd.Driver, id, source string) *storage.Volume {
	t.Helper()
	v, err := d.Clone(t.Context(), storage.VolumeSpec{ID: id}, source)
	require.NoError(t, err)
	return v
}
