//go:build ceph && cgo

package rbd_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	ceph "github.com/ceph/go-ceph/rbd"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

// noise is n bytes that compress to nothing less, the same for the same seed.
func noise(seed uint64, n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(data)
	return data
}

func TestDataComesBack(t *testing.T) {
	cloneFormats(t, func(t *testing.T, c rbd.Config) {
		d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
		v := create(t, d, "v", 64*mebi)
		before, after := noise(1, 9*mebi), noise(2, 9*mebi)
		p.write(v.Name, before)
		_, err := d.CreateSnapshot(ctx, "v", "s")
		require.NoError(t, err)
		p.write(v.Name, after)

		clone(t, d, "now", "v")
		then, err := d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "then", SizeBytes: 100 * mebi}, "v", "s")
		require.NoError(t, err)
		require.Equal(t, int64(100*mebi), then.SizeBytes)
		_, err = d.Extend(ctx, "v", 128*mebi)
		require.NoError(t, err)
		require.NoError(t, d.Revert(ctx, "v", "s"))
		grown, err := d.Get(ctx, "v")
		require.NoError(t, err)
		require.Equal(t, int64(128*mebi), grown.SizeBytes, "a volume that has grown keeps its size")

		for id, want := range map[string][]byte{"v": before, "now": after, "then": before} {
			require.True(t, bytes.Equal(want, p.read(prefix(c)+id, len(want))), "contents of %s", id)
			var out bytes.Buffer
			require.NoError(t, d.Export(ctx, id, &out, nil))
			require.True(t, bytes.HasPrefix(out.Bytes(), want), "export of %s", id)
			there, err := d.Get(ctx, id)
			require.NoError(t, err)
			require.Equal(t, there.SizeBytes, int64(out.Len()))
			require.Empty(t, bytes.Trim(out.Bytes()[len(want):], "\x00"), "nothing else is in %s", id)
		}

		// With the snapshot gone, and the source, the others still have their data.
		require.NoError(t, d.DeleteSnapshot(ctx, "v", "s"))
		require.NoError(t, d.Delete(ctx, "v"))
		require.True(t, bytes.Equal(after, p.read(prefix(c)+"now", len(after))))
		require.True(t, bytes.Equal(before, p.read(prefix(c)+"then", len(before))))
		require.NoError(t, d.Delete(ctx, "now"))
		require.NoError(t, d.Delete(ctx, "then"))
		require.Empty(t, p.images(prefix(c)))
		require.Empty(t, p.trash(prefix(c)), "what was kept for the clones goes with the last")
	})
}

func TestImagesAreStreamedSparse(t *testing.T) {
	c := config(t)
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	image := make([]byte, 150*mebi+777)
	copy(image, noise(3, 5*mebi))
	copy(image[100*mebi+13:], noise(4, 2*mebi))
	image[len(image)-1] = 1

	var told []int64
	progress := func(done, total int64) {
		told = append(told, done)
		require.GreaterOrEqual(t, total, int64(len(image)))
	}
	v, err := d.Import(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 300 * mebi}, iotest.HalfReader(bytes.NewReader(image)), int64(len(image)), progress)
	require.NoError(t, err)
	require.Equal(t, int64(300*mebi), v.SizeBytes)
	require.IsIncreasing(t, told)
	require.Equal(t, int64(len(image)), told[len(told)-1])
	require.True(t, bytes.Equal(image, p.read(v.Name, len(image))))

	opened := p.open(v.Name)
	used := uint64(0)
	require.NoError(t, opened.DiffIterate(ceph.DiffIterateConfig{Length: 300 * mebi, IncludeParent: ceph.IncludeParent,
		Callback: func(_, n uint64, exists int, _ any) int { used += n * uint64(exists); return 0 }}))
	require.NoError(t, opened.Close())
	require.Less(t, used, uint64(12*mebi), "zeroes are not written; an object counts up to its last byte")

	file, err := os.Create(filepath.Join(t.TempDir(), "image"))
	require.NoError(t, err)
	defer file.Close()
	told = nil
	require.NoError(t, d.Export(ctx, "v", file, progress))
	require.Equal(t, int64(300*mebi), told[len(told)-1])
	got, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	require.Len(t, got, 300*mebi)
	require.True(t, bytes.Equal(image, got[:len(image)]))
	require.Empty(t, bytes.Trim(got[len(image):], "\x00"))
	var stat syscall.Stat_t
	require.NoError(t, syscall.Stat(file.Name(), &stat))
	require.Less(t, stat.Blocks*512, int64(12*mebi), "holes are left out of a file")
}

func TestImportThatFailsLeavesNothing(t *testing.T) {
	c := config(t)
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	broken := errors.New("network is down")
	for name, r := range map[string]io.Reader{
		"short": bytes.NewReader(noise(1, 5*mebi)),
		"error": io.MultiReader(bytes.NewReader(noise(1, 5*mebi)), iotest.ErrReader(broken)),
	} {
		_, err := d.Import(ctx, storage.VolumeSpec{ID: "v"}, r, 20*mebi, nil)
		require.Error(t, err, name)
		if name == "short" {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		} else {
			require.ErrorIs(t, err, broken)
		}
		require.Empty(t, p.images(prefix(c)), name)
	}
	_, err := d.Import(ctx, storage.VolumeSpec{ID: "v", SizeBytes: mebi}, bytes.NewReader(nil), 2*mebi, nil)
	require.ErrorIs(t, err, storage.ErrInvalid, "smaller than the image")
	kept := create(t, d, "v", mebi)
	p.write(kept.Name, noise(9, mebi))
	_, err = d.Import(ctx, storage.VolumeSpec{ID: "v"}, bytes.NewReader(make([]byte, mebi)), mebi, nil)
	require.ErrorIs(t, err, storage.ErrExists)
	require.True(t, bytes.Equal(noise(9, mebi), p.read(kept.Name, mebi)), "what is there is not touched")

	full := errors.New("disk full")
	require.ErrorIs(t, d.Export(ctx, "v", failingWriter{full}, nil), full)
	require.ErrorIs(t, d.Export(ctx, "none", io.Discard, nil), storage.ErrNotFound)
}

// TestAnImportThatWaitsForItsSourceKeepsNobodyOut, even where only one call may run.
func TestAnImportThatWaitsForItsSourceKeepsNobodyOut(t *testing.T) {
	c := config(t)
	c.Concurrency = 1
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	create(t, d, "other", mebi)
	contents := noise(1, 9*mebi)
	r, w := io.Pipe()
	defer r.Close()
	imported := make(chan error, 1)
	go func() {
		_, err := d.Import(ctx, storage.VolumeSpec{ID: "v"}, r, int64(len(contents)), nil)
		imported <- err
	}()
	for _, part := range [][]byte{contents[:5*mebi], contents[5*mebi:]} {
		_, err := w.Write(part)
		require.NoError(t, err)
		impatient, cancel := context.WithTimeout(ctx, 20*time.Second)
		_, err = d.Get(impatient, "other")
		cancel()
		require.NoError(t, err)
	}
	require.NoError(t, <-imported)
	require.True(t, bytes.Equal(contents, p.read(prefix(c)+"v", len(contents))))
}

type failingWriter struct{ err error }

func (w failingWriter) Write([]byte) (int, error) { return 0, w.err }

func TestVolumeFromImageOfTheCluster(t *testing.T) {
	c := config(t)
	c.ObjectSizeBytes = 1 << 22
	d, volumes, images, ctx := driver(t, c), connect(t, "volumes"), connect(t, "images"), t.Context()
	name := prefix(c) + "glance image" // quoted in the location
	options := ceph.NewRbdImageOptions()
	defer options.Destroy()
	require.NoError(t, options.SetUint64(ceph.ImageOptionOrder, 23))
	require.NoError(t, ceph.CreateImage(images.io, name, 32*mebi, options))
	contents := noise(5, 9*mebi)
	images.write(name, contents)
	image := images.open(name)
	snapshot, err := image.CreateSnapshot("snap")
	require.NoError(t, err)
	at := rbd.Location{FSID: shared.Get(t).FSID, Pool: "images", Image: name, Snapshot: "snap"}

	_, err = d.CreateFromImage(ctx, storage.VolumeSpec{ID: "v"}, at.String())
	require.ErrorIs(t, err, storage.ErrUnsupported, "not protected")
	require.Empty(t, volumes.images(prefix(c)))
	require.NoError(t, snapshot.Protect())
	v, err := d.CreateFromImage(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 64 * mebi}, at.String())
	require.NoError(t, err)
	require.Equal(t, int64(64*mebi), v.SizeBytes)
	require.True(t, bytes.Equal(contents, volumes.read(v.Name, len(contents))))
	require.Equal(t, 1, volumes.depthAcross(v.Name), "no data was copied")
	made := volumes.open(v.Name)
	info, err := made.Stat()
	require.NoError(t, err)
	require.NoError(t, made.Close())
	require.Equal(t, uint64(8<<20), info.Obj_size, "objects as big as the image's")

	for problem, l := range map[string]rbd.Location{
		"other cluster": {FSID: "00000000-0000-0000-0000-000000000000", Pool: "images", Image: name, Snapshot: "snap"},
		"no image":      {FSID: at.FSID, Pool: "images", Image: "none", Snapshot: "snap"},
		"no snapshot":   {FSID: at.FSID, Pool: "images", Image: name, Snapshot: "none"},
		"no pool":       {FSID: at.FSID, Pool: "none", Image: name, Snapshot: "snap"},
	} {
		_, err = d.CreateFromImage(ctx, storage.VolumeSpec{ID: "w"}, l.String())
		if problem == "other cluster" {
			require.ErrorIs(t, err, storage.ErrUnsupported)
		} else {
			require.ErrorIs(t, err, storage.ErrNotFound, problem)
		}
	}
	_, err = d.CreateFromImage(ctx, storage.VolumeSpec{ID: "w", SizeBytes: mebi}, at.String())
	require.ErrorIs(t, err, storage.ErrInvalid, "smaller than the image")
	_, err = d.CreateFromImage(ctx, storage.VolumeSpec{ID: "v"}, at.String())
	require.ErrorIs(t, err, storage.ErrExists)
	require.Equal(t, []string{v.Name}, volumes.images(prefix(c)))

	clone(t, d, "clone", "v")
	require.True(t, bytes.Equal(contents, volumes.read(prefix(c)+"clone", len(contents))))
	require.NoError(t, d.Delete(ctx, "clone"))
	require.NoError(t, d.Delete(ctx, "v"))
	require.Equal(t, []string{"snap"}, images.snapshots(name), "others' images are theirs")
	c.FlattenVolumeFromSnapshot = true
	v, err = driver(t, c).CreateFromImage(ctx, storage.VolumeSpec{ID: "flat"}, at.String())
	require.NoError(t, err)
	require.Zero(t, volumes.depthAcross(v.Name))
	require.NoError(t, d.Delete(ctx, "flat"))
	require.NoError(t, snapshot.Unprotect())
	require.NoError(t, snapshot.Remove())
	require.NoError(t, image.Close())
	require.NoError(t, ceph.RemoveImage(images.io, name))
}

// depthAcross is 1 for a clone, of whatever pool's image.
func (p pool) depthAcross(name string) int {
	image := p.open(name)
	defer image.Close()
	if _, err := image.GetParent(); err != nil {
		require.ErrorIs(p.t, err, ceph.ErrNotFound)
		return 0
	}
	return 1
}

func TestFullCopies(t *testing.T) {
	c := config(t)
	c.MaxCloneDepth = -1
	d, p := driver(t, c), connect(t, "volumes")
	v := create(t, d, "v", 16*mebi)
	p.write(v.Name, noise(6, 5*mebi))
	w, err := d.Clone(t.Context(), storage.VolumeSpec{ID: "w", SizeBytes: 32 * mebi}, "v")
	require.NoError(t, err)
	require.Equal(t, int64(32*mebi), w.SizeBytes)
	require.Zero(t, p.depth(w.Name))
	require.Empty(t, p.snapshots(v.Name))
	require.True(t, bytes.Equal(noise(6, 5*mebi), p.read(w.Name, 5*mebi)))
	_, err = d.Clone(t.Context(), storage.VolumeSpec{ID: "w"}, "v")
	require.ErrorIs(t, err, storage.ErrExists)
	require.Empty(t, p.snapshots(v.Name), "a failed clone leaves no snapshot")
}
