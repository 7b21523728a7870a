package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
)

// pattern returns n bytes that are those of this seed alone, and not zero.
func pattern(seed uint64, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		seed = seed*6364136223846793005 + 1442695040888963407 // Knuth's MMIX generator
		p[i] = byte(seed>>56) | 1
	}
	return p
}

// The places the rules write to: the begin, across a block's edge, and the end of a small
// volume.
func places() []int64 { return []int64{0, 1<<20 - 512, smallBytes - 1024} }

// write writes the seed's pattern to all places.
func write(t *testing.T, h Harness, id string, seed uint64) {
	t.Helper()
	for i, off := range places() {
		require.NoError(t, h.Write(t.Context(), id, pattern(seed+uint64(i), 1024), off))
	}
}

// written makes a volume with the seed's pattern, or skips.
func written(t *testing.T, h Harness, id string, seed uint64) {
	t.Helper()
	d, streams := h.Driver.(storage.ImageStreamer)
	switch {
	case h.Write != nil && (h.Read != nil || streams):
		create(t, h.Driver, id, smallBytes)
		write(t, h, id, seed)
	case streams:
		image := make([]byte, smallBytes)
		for i, off := range places() {
			copy(image[off:], pattern(seed+uint64(i), 1024))
		}
		_, err := d.Import(t.Context(), storage.VolumeSpec{ID: id, SizeBytes: smallBytes}, bytes.NewReader(image), smallBytes, nil)
		require.NoError(t, err)
	default:
		t.Skip("no way to the data: neither Harness.Write and Read nor an ImageStreamer")
	}
	holds(t, h, id, seed)
}

// holds asserts that a volume holds the seed's pattern.
func holds(t *testing.T, h Harness, id string, seed uint64) {
	t.Helper()
	var all *sparse
	if h.Read == nil {
		all = export(t, h, id)
	}
	for i, off := range places() {
		got := make([]byte, 1024)
		if h.Read != nil {
			require.NoError(t, h.Read(t.Context(), id, got, off))
		} else {
			all.read(got, off)
		}
		require.True(t, bytes.Equal(pattern(seed+uint64(i), 1024), got), "the 1024 bytes at %d of %s are other ones", off, id)
	}
}

// sparse is a file in memory that keeps what was written and not what was left out.
type sparse struct {
	parts map[int64][]byte // by offset, one for each Write
	at    int64
	size  int64
}

func (s *sparse) Write(p []byte) (int, error) {
	s.parts[s.at] = bytes.Clone(p)
	s.at += int64(len(p))
	s.size = max(s.size, s.at)
	return len(p), nil
}

func (s *sparse) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += s.at
	case io.SeekEnd:
		offset += s.size
	}
	s.at = offset
	return offset, nil
}

func (s *sparse) read(p []byte, off int64) {
	clear(p)
	for at, part := range s.parts {
		if from := max(at, off); from < min(at+int64(len(part)), off+int64(len(p))) {
			copy(p[from-off:], part[from-at:])
		}
	}
}

// export exports a volume and asserts its size.
func export(t *testing.T, h Harness, id string) *sparse {
	t.Helper()
	out := &sparse{parts: map[int64][]byte{}}
	require.NoError(t, h.Driver.(storage.ImageStreamer).Export(t.Context(), id, out, nil))
	require.Equal(t, get(t, h.Driver, id).SizeBytes, out.size, "an export is as long as the volume")
	return out
}

func snapshotData(t *testing.T, h Harness) {
	d := h.Driver.(storage.Snapshotter)
	ctx := t.Context()
	written(t, h, "v", 10)
	_, err := d.CreateSnapshot(ctx, "v", "s")
	require.NoError(t, err)
	if h.Write != nil {
		write(t, h, "v", 20)
	}
	for _, spec := range []storage.VolumeSpec{{ID: "same"}, {ID: "bigger", SizeBytes: largeBytes}} {
		_, err := d.CreateFromSnapshot(ctx, spec, "v", "s")
		require.NoError(t, err)
		holds(t, h, spec.ID, 10)
	}
	if h.Write == nil {
		return
	}
	write(t, h, "same", 30)
	holds(t, h, "v", 20)
	holds(t, h, "bigger", 10)
	_, err = d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "again"}, "v", "s")
	require.NoError(t, err)
	holds(t, h, "again", 10)
}

func cloneData(t *testing.T, h Harness) {
	d := h.Driver.(storage.Cloner)
	ctx := t.Context()
	written(t, h, "v", 10)
	for _, spec := range []storage.VolumeSpec{{ID: "same"}, {ID: "bigger", SizeBytes: largeBytes}} {
		_, err := d.Clone(ctx, spec, "v")
		require.NoError(t, err)
		holds(t, h, spec.ID, 10)
	}
	if h.Write == nil {
		return
	}
	write(t, h, "v", 20)
	holds(t, h, "same", 10)
	write(t, h, "same", 30)
	holds(t, h, "v", 20)
	_, err := d.Clone(ctx, storage.VolumeSpec{ID: "second"}, "same")
	require.NoError(t, err)
	holds(t, h, "second", 30)
	if err := h.Driver.Delete(ctx, "same"); err == nil {
		holds(t, h, "second", 30)
	}
	holds(t, h, "bigger", 10)
}

func revertData(t *testing.T, h Harness) {
	d, s := h.Driver.(storage.Reverter), h.Driver.(storage.Snapshotter)
	ctx := t.Context()
	written(t, h, "v", 10)
	if h.Write == nil {
		t.Skip("Harness.Write is not given")
	}
	_, err := s.CreateSnapshot(ctx, "v", "first")
	require.NoError(t, err)
	write(t, h, "v", 20)
	_, err = s.CreateSnapshot(ctx, "v", "second")
	require.NoError(t, err)
	write(t, h, "v", 30)
	for range 2 {
		require.NoError(t, d.Revert(ctx, "v", "second"))
		holds(t, h, "v", 20)
	}
	require.NoError(t, d.Revert(ctx, "v", "first"))
	holds(t, h, "v", 10)
	write(t, h, "v", 40)
	require.NoError(t, d.Revert(ctx, "v", "second"), "a later snapshot outlives going back")
	holds(t, h, "v", 20)
}

// image returns bytes with runs of zeroes of many lengths.
func image(n int) []byte {
	p := make([]byte, n)
	random := rand.New(rand.NewPCG(7, 7))
	for at := 0; at < n; {
		data := min(1+random.IntN(100_000), n-at)
		copy(p[at:], pattern(uint64(at), data))
		at += data + random.IntN(400_000)
	}
	return p
}

// window is a pipe's end: it cannot seek, and keeps the first bytes.
type window struct {
	keep int
	kept []byte
	size int64
	more bool // something that is not zero came later
}

func (w *window) Write(p []byte) (int, error) {
	n := min(len(p), w.keep-len(w.kept))
	w.kept = append(w.kept, p[:n]...)
	w.more = w.more || bytes.Count(p[n:], []byte{0}) != len(p)-n
	w.size += int64(len(p))
	return len(p), nil
}

func images(t *testing.T, h Harness) {
	d := h.Driver.(storage.ImageStreamer)
	ctx := t.Context()
	for i, size := range []int{1, 65536, smallBytes, 4<<20 + 1} {
		id, want := fmt.Sprint("v", i), image(size)
		var told []int64
		progress := func(done, total int64) {
			require.EqualValues(t, size, total)
			told = append(told, done)
		}
		made, err := d.Import(ctx, storage.VolumeSpec{ID: id, SizeBytes: smallBytes}, bytes.NewReader(want), int64(size), progress)
		require.NoError(t, err)
		require.GreaterOrEqual(t, made.SizeBytes, int64(smallBytes))
		require.Empty(t, cmp.Diff(made, get(t, h.Driver, id)))
		require.IsNonDecreasing(t, told)
		require.EqualValues(t, size, told[len(told)-1])

		if made.SizeBytes > 1<<28 && i > 0 {
			out := export(t, h, id)
			got := make([]byte, size)
			out.read(got, 0)
			require.True(t, bytes.Equal(want, got), "the image of %d bytes came back changed", size)
			continue
		}
		got := &window{keep: size}
		last := int64(0)
		require.NoError(t, d.Export(ctx, id, got, func(done, total int64) {
			require.Equal(t, made.SizeBytes, total)
			require.GreaterOrEqual(t, done, last)
			last = done
		}))
		require.Equal(t, made.SizeBytes, last)
		require.Equal(t, made.SizeBytes, got.size)
		require.True(t, bytes.Equal(want, got.kept), "the image of %d bytes came back changed", size)
		require.False(t, got.more, "beyond the image is zero")
	}
	_, err := d.Import(ctx, storage.VolumeSpec{ID: "v0", SizeBytes: smallBytes}, bytes.NewReader([]byte("other")), 5, nil)
	require.ErrorIs(t, err, storage.ErrExists)
	got := make([]byte, 1)
	export(t, h, "v0").read(got, 0)
	require.Equal(t, image(1), got, "untouched")
	require.ErrorIs(t, d.Export(ctx, "absent", io.Discard, nil), storage.ErrNotFound)
}

func holes(t *testing.T, h Harness) {
	d := h.Driver.(storage.ImageStreamer)
	want := image(smallBytes)
	made, err := d.Import(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: largeBytes}, bytes.NewReader(want), smallBytes, nil)
	require.NoError(t, err)
	out := export(t, h, "v")
	kept := int64(0)
	for _, part := range out.parts {
		kept += int64(len(part))
	}
	require.LessOrEqual(t, kept, made.SizeBytes/10, "holes of a volume of 3 GiB that holds 5 MB")
	got := make([]byte, smallBytes)
	out.read(got, 0)
	require.True(t, bytes.Equal(want, got))

	// On what holds something else already, holes must be written.
	_, err = d.Import(t.Context(), storage.VolumeSpec{ID: "w", SizeBytes: smallBytes}, bytes.NewReader(want), smallBytes, nil)
	require.NoError(t, err)
	size := get(t, h.Driver, "w").SizeBytes
	if size > 1<<28 {
		t.Skipf("the smallest volume has %d bytes, too many for a file that is full", size)
	}
	name := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(name, bytes.Repeat([]byte{0xff}, int(size)), 0o600))
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	require.NoError(t, d.Export(t.Context(), "w", file, nil))
	got, err = os.ReadFile(name)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got[:smallBytes]), "what was there before shows through")
	require.Empty(t, bytes.Trim(got[smallBytes:], "\x00"))
}

// failing reads n bytes and calls then.
type failing struct {
	n    int
	then func() (int, error)
}

func (f *failing) Read(p []byte) (int, error) {
	if f.n == 0 {
		return f.then()
	}
	n := copy(p, pattern(1, min(f.n, len(p), 64<<10)))
	f.n -= n
	return n, nil
}

func failedImport(t *testing.T, h Harness) {
	d := h.Driver.(storage.ImageStreamer)
	b := backend(t, h)
	broken := errors.New("connection reset by the image server")
	before, err := h.Driver.Stats(t.Context())
	require.NoError(t, err)
	for name, importer := range map[string]storage.ImageStreamer{"driver": d, "backend": b} {
		for _, n := range []int{0, 1, smallBytes / 2, smallBytes - 1} {
			ctx, cancel := context.WithCancel(t.Context())
			for what, c := range map[string]struct {
				then func() (int, error)
				want error
			}{
				"breaks":    {func() (int, error) { return 0, broken }, broken},
				"ends":      {func() (int, error) { return 0, io.EOF }, io.ErrUnexpectedEOF},
				"cancelled": {func() (int, error) { cancel(); return 0, ctx.Err() }, context.Canceled},
			} {
				callCtx := t.Context()
				if what == "cancelled" {
					callCtx = ctx
				}
				_, err := importer.Import(callCtx, storage.VolumeSpec{ID: "v", SizeBytes: smallBytes}, &failing{n: n, then: c.then}, smallBytes, nil)
				require.ErrorIs(t, err, c.want, "%s: the image %s after %d bytes", name, what, n)
				gone(t, h, "v")
			}
			cancel()
		}
	}
	after, err := h.Driver.Stats(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Volumes, after.Volumes)
	require.Equal(t, before.ProvisionedBytes, after.ProvisionedBytes)
	_, err = b.Import(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: smallBytes - 1}, bytes.NewReader(image(smallBytes)), smallBytes, nil)
	require.ErrorIs(t, err, storage.ErrInvalid, "a volume smaller than its image")
	gone(t, h, "v")
}
