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

func fromImage(t *testing.T, h Harness) {
	if h.Image == nil {
		t.Skip("Harness.Image is not given")
	}
	d := h.Driver.(storage.ImageCloner)
	ctx := t.Context()
	contents := image(smallBytes)
	location := h.Image(t, contents)
	before, err := h.Driver.Stats(ctx)
	require.NoError(t, err)

	same, err := d.CreateFromImage(ctx, storage.VolumeSpec{ID: "same"}, location)
	require.NoError(t, err)
	require.Equal(t, before.Round(smallBytes), same.SizeBytes)
	require.Empty(t, cmp.Diff(same, get(t, h.Driver, "same")))
	bigger, err := d.CreateFromImage(ctx, storage.VolumeSpec{ID: "bigger", SizeBytes: largerBytes}, location)
	require.NoError(t, err)
	require.Equal(t, before.Round(largerBytes), bigger.SizeBytes)
	for id, c := range map[string]struct {
		spec     storage.VolumeSpec
		location string
		want     error
	}{
		"smaller":     {storage.VolumeSpec{ID: "smaller", SizeBytes: 1}, location, storage.ErrInvalid},
		"no image":    {storage.VolumeSpec{ID: "none"}, location + "-absent", storage.ErrNotFound},
		"no location": {storage.VolumeSpec{ID: "none"}, "no location", storage.ErrInvalid},
		"taken":       {storage.VolumeSpec{ID: "same"}, location, storage.ErrExists},
	} {
		if id == "smaller" && before.Round(1) >= smallBytes {
			continue // there is no smaller one
		}
		_, err := d.CreateFromImage(ctx, c.spec, c.location)
		require.ErrorIs(t, err, c.want, id)
	}
	for _, id := range []string{"smaller", "none"} {
		gone(t, h, id)
	}
	b := backend(t, h)
	for _, size := range []int64{0, largerBytes} {
		again, err := b.CreateFromImage(ctx, storage.VolumeSpec{ID: "bigger", SizeBytes: size}, location)
		require.NoError(t, err, "through a Backend it is idempotent")
		require.Empty(t, cmp.Diff(bigger, again))
	}
	_, err = b.CreateFromImage(ctx, storage.VolumeSpec{ID: "same", SizeBytes: largerBytes}, location)
	require.ErrorIs(t, err, storage.ErrExists)

	if _, streams := h.Driver.(storage.ImageStreamer); h.Write != nil && (h.Read != nil || streams) {
		write(t, h, "bigger", 3) // which is not written to the image
	}
	if h.Read == nil && !has(h, "ImageStreamer") {
		return
	}
	for _, id := range []string{"same", "later"} {
		got := make([]byte, smallBytes)
		if h.Read != nil {
			require.NoError(t, h.Read(ctx, id, got, 0))
		} else {
			export(t, h, id).read(got, 0)
		}
		require.True(t, bytes.Equal(contents, got), "%s has not the image's data", id)
		if id == "same" {
			require.NoError(t, h.Driver.Delete(ctx, id))
			_, err := d.CreateFromImage(ctx, storage.VolumeSpec{ID: "later"}, location)
			require.NoError(t, err, "the image outlives its volumes")
		}
	}
}
