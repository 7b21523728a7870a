package storage_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

// written is an io.WriterAt that counts.
type written struct {
	data  []byte
	bytes int
	fail  error
}

func (w *written) WriteAt(p []byte, off int64) (int, error) {
	if w.fail != nil {
		return 0, w.fail
	}
	w.bytes += len(p)
	return copy(w.data[off:], p), nil
}

func TestFill(t *testing.T) {
	const block = 64 << 10
	rapid.Check(t, func(t *rapid.T) {
		var image []byte
		holes := 0
		for range rapid.IntRange(1, 80).Draw(t, "blocks") {
			part := make([]byte, block)
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0, 1:
				holes += block
			case 2:
				part[rapid.IntRange(0, block-1).Draw(t, "at")] = 1
			case 3:
				part = bytes.Repeat([]byte{7}, block)
			}
			image = append(image, part...)
		}
		image = append(image, bytes.Repeat([]byte{9}, rapid.IntRange(0, block-1).Draw(t, "rest"))...)
		w := &written{data: make([]byte, len(image))}
		last := int64(0)
		err := storage.Fill(context.Background(), w, bytes.NewReader(image), int64(len(image)), func(done, total int64) {
			if done <= last || total != int64(len(image)) {
				t.Fatalf("%d of %d after %d", done, total, last)
			}
			last = done
		})
		if err != nil || last != int64(len(image)) {
			t.Fatalf("%v after %d bytes", err, last)
		}
		if !bytes.Equal(image, w.data) {
			t.Fatal("other bytes")
		}
		if w.bytes != len(image)-holes {
			t.Fatalf("%d bytes written of %d with holes of %d", w.bytes, len(image), holes)
		}
	})
}

func TestFillFails(t *testing.T) {
	image := bytes.Repeat([]byte{1}, 100)
	broken := errors.New("disk on fire")
	err := storage.Fill(t.Context(), &written{fail: broken}, bytes.NewReader(image), 100, nil)
	require.ErrorIs(t, err, broken)
	err = storage.Fill(t.Context(), &written{data: make([]byte, 200)}, bytes.NewReader(image), 101, nil)
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "image ended after 100 bytes of 101 bytes")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, storage.Fill(ctx, &written{}, bytes.NewReader(image), 100, nil), context.Canceled)
}

func TestSparseWriter(t *testing.T) {
	hole := int64(10 << 20)
	write := func(t *testing.T, w io.Writer) []byte {
		t.Helper()
		s := storage.NewSparseWriter(w)
		require.NoError(t, s.Hole(hole))
		_, err := s.Write([]byte("middle"))
		require.NoError(t, err)
		require.NoError(t, s.Hole(3))
		_, err = s.Write(nil)
		require.NoError(t, err)
		require.NoError(t, s.Hole(hole-3))
		require.NoError(t, s.Close())
		return append(append(make([]byte, hole), "middle"...), make([]byte, hole)...)
	}
	blocks := func(t *testing.T, name string) int64 {
		t.Helper()
		info, err := os.Stat(name)
		require.NoError(t, err)
		return info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	same := func(t *testing.T, want, got []byte) {
		t.Helper()
		require.True(t, bytes.Equal(want, got), "%d bytes instead of %d, or other ones", len(got), len(want))
	}
	t.Run("new file", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "image")
		file, err := os.Create(name)
		require.NoError(t, err)
		want := write(t, file)
		require.NoError(t, file.Close())
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		same(t, want, got)
		require.Less(t, blocks(t, name), hole, "it has holes")
	})
	t.Run("file that has something", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "image")
		require.NoError(t, os.WriteFile(name, bytes.Repeat([]byte{0xff}, int(hole)), 0o600))
		file, err := os.OpenFile(name, os.O_RDWR, 0)
		require.NoError(t, err)
		want := write(t, file)
		require.NoError(t, file.Close())
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		same(t, want, got)
	})
	t.Run("to append to", func(t *testing.T) { // as a shell's >> opens standard output
		name := filepath.Join(t.TempDir(), "image")
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		require.NoError(t, err)
		want := write(t, file)
		require.NoError(t, file.Close())
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		same(t, want, got)
		require.Less(t, blocks(t, name), hole, "it has holes")
	})
	t.Run("behind what there is", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "image")
		file, err := os.Create(name)
		require.NoError(t, err)
		_, err = file.WriteString("header")
		require.NoError(t, err)
		want := write(t, file)
		require.NoError(t, file.Close())
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		same(t, append([]byte("header"), want...), got)
		require.Less(t, blocks(t, name), hole)
	})
	t.Run("pipe", func(t *testing.T) {
		r, w, err := os.Pipe()
		require.NoError(t, err)
		read := make(chan []byte)
		go func() {
			got, _ := io.ReadAll(r)
			read <- got
		}()
		want := write(t, w)
		require.NoError(t, w.Close())
		same(t, want, <-read)
		require.NoError(t, r.Close())
	})
	t.Run("buffer", func(t *testing.T) {
		var buffer bytes.Buffer
		same(t, write(t, &buffer), buffer.Bytes())
	})
	t.Run("hole of one", func(t *testing.T) {
		file, err := os.Create(filepath.Join(t.TempDir(), "image"))
		require.NoError(t, err)
		defer file.Close()
		s := storage.NewSparseWriter(file)
		require.NoError(t, s.Hole(1))
		require.NoError(t, s.Close())
		info, err := file.Stat()
		require.NoError(t, err)
		require.EqualValues(t, 1, info.Size())
	})
}

func TestImportValidates(t *testing.T) {
	b := manage(t, newFlaky(t), storage.Config{})
	for name, c := range map[string]struct {
		spec storage.VolumeSpec
		size int64
	}{
		"no size":     {storage.VolumeSpec{ID: "v"}, 0},
		"too small":   {storage.VolumeSpec{ID: "v", SizeBytes: 4}, 5},
		"too big":     {storage.VolumeSpec{ID: "v"}, 1 << 61},
		"no such ID":  {storage.VolumeSpec{ID: "a b"}, 5},
		"ends early":  {storage.VolumeSpec{ID: "v"}, 6},
		"no negative": {storage.VolumeSpec{ID: "v", SizeBytes: -1}, 5},
	} {
		_, err := b.Import(t.Context(), c.spec, bytes.NewReader([]byte("image")), c.size, nil)
		require.ErrorIs(t, err, storage.ErrInvalid, name)
		_, err = b.Get(t.Context(), "v")
		require.ErrorIs(t, err, storage.ErrNotFound, name)
	}
	// A longer reader is read as far as was said.
	r := bytes.NewReader([]byte("image and more"))
	v, err := b.Import(t.Context(), storage.VolumeSpec{ID: "v"}, r, 5, nil)
	require.NoError(t, err)
	require.EqualValues(t, mib, v.SizeBytes)
	require.Equal(t, 9, r.Len())
	var out bytes.Buffer
	require.NoError(t, b.Export(t.Context(), "v", &out, nil))
	require.Equal(t, "image\x00", out.String()[:6])
}

func TestCreateFromImage(t *testing.T) {
	ctx := t.Context()
	d, err := memory.New(memory.Config{})
	require.NoError(t, err)
	b := manage(t, d, storage.Config{})
	require.NoError(t, d.Put("image", 3*mib))
	for _, location := range []string{"", "memory://a\nb", "memory://\xff", strings.Repeat("x", 2049), "image"} {
		_, err := b.CreateFromImage(ctx, storage.VolumeSpec{ID: "v"}, location)
		require.ErrorIs(t, err, storage.ErrInvalid, "%q", location)
	}
	_, err = b.CreateFromImage(ctx, storage.VolumeSpec{ID: "v", SizeBytes: -1}, "memory://image")
	require.ErrorIs(t, err, storage.ErrInvalid)
	_, err = b.CreateFromImage(ctx, storage.VolumeSpec{ID: "v w"}, "memory://image")
	require.ErrorIs(t, err, storage.ErrInvalid)
	_, err = b.Get(ctx, "v")
	require.ErrorIs(t, err, storage.ErrNotFound)

	d.Inject(memory.Fault{Op: "create from image", After: errLost})
	v, err := b.CreateFromImage(ctx, storage.VolumeSpec{ID: "v"}, "memory://image")
	require.NoError(t, err, "a lost answer is settled, also where only the image knows the size")
	require.EqualValues(t, 3*mib, v.SizeBytes)
}

func TestPurgeTrash(t *testing.T) {
	ctx := t.Context()
	d, err := memory.New(memory.Config{DeferredDeletion: true})
	require.NoError(t, err)
	b := manage(t, d, storage.Config{})
	for range 3 {
		_, err := b.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: mib})
		require.NoError(t, err)
		require.NoError(t, b.Delete(ctx, "v"))
	}
	d.Inject(memory.Fault{Op: "purge trash", Before: errLost})
	n, err := b.PurgeTrash(ctx)
	require.NoError(t, err, "a lost request is repeated")
	require.Equal(t, 3, n)
	broken := errors.New("some are stuck")
	b = manage(t, stuck{d, broken}, storage.Config{})
	n, err = b.PurgeTrash(ctx)
	require.ErrorIs(t, err, broken)
	require.Equal(t, 2, n, "what was removed is told with an error, too")
	n, err = manage(t, &twice{Driver: d, errs: []error{errLost, nil}}, storage.Config{}).PurgeTrash(ctx)
	require.NoError(t, err)
	require.Equal(t, 2, n, "of both tries")
}

// stuck removes two volumes and fails.
type stuck struct {
	*memory.Driver
	err error
}

func (s stuck) PurgeTrash(context.Context) (int, error) { return 2, s.err }

// twice removes a volume each time.
type twice struct {
	*memory.Driver
	errs []error
}

func (s *twice) PurgeTrash(context.Context) (int, error) {
	err := s.errs[0]
	s.errs = s.errs[1:]
	return 1, err
}
