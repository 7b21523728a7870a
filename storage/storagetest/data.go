package storagetest

import (
	"bytes"
	"io"
	"testing"

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
