package rbd

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/storage"
)

// A slowDisk does writes later and in any order, as a cluster does.
type slowDisk struct {
	mu      sync.Mutex
	data    []byte
	written []bool // by byte
	under   int
	most    int
	fail    map[int64]error // by offset
	all     sync.WaitGroup
}

func (d *slowDisk) start(p []byte, off int64, delay time.Duration) (<-chan error, error) {
	done := make(chan error, 1)
	d.mu.Lock()
	d.under++
	d.most = max(d.most, d.under)
	d.mu.Unlock()
	d.all.Go(func() {
		time.Sleep(delay)
		d.mu.Lock()
		defer d.mu.Unlock()
		d.under--
		if err := d.fail[off]; err != nil {
			done <- err
			return
		}
		copy(d.data[off:], p) // p is still what it was when the write began
		for i := range p {
			d.written[off+int64(i)] = true
		}
		done <- nil
	})
	return done, nil
}

func TestUploadWritesEverythingAndTellsWhatIsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(1, 12<<20).Draw(t, "size")
		image := make([]byte, size)
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		for at := 0; at < size; at += 512 << 10 { // some parts are holes
			if r.IntN(3) > 0 {
				image[at] = byte(1 + r.IntN(255))
				image[min(at+300<<10, size-1)] = 1
			}
		}
		d := &slowDisk{data: make([]byte, size), written: make([]bool, size), fail: map[int64]error{}}
		told := int64(0)
		u := &upload{
			start: func(p []byte, off int64) (<-chan error, error) {
				return d.start(p, off, time.Duration(r.IntN(1000))*time.Microsecond)
			},
			result: func(done <-chan error) error { return <-done },
			progress: func(done, total int64) {
				require.Greater(t, done, told)
				require.Equal(t, int64(size), total)
				d.mu.Lock()
				defer d.mu.Unlock()
				for i := told; i < done; i++ {
					if image[i] != 0 && !d.written[i] {
						t.Fatalf("%d bytes are told, byte %d is not written", done, i)
					}
				}
				told = done
			},
		}
		require.NoError(t, storage.Fill(context.Background(), u, bytes.NewReader(image), int64(size), u.read))
		require.NoError(t, u.finish())
		require.Equal(t, int64(size), told)
		require.True(t, bytes.Equal(image, d.data))
		require.LessOrEqual(t, d.most, writesAhead)
	})
}

func TestUploadEndsWithTheFirstError(t *testing.T) {
	full := errors.New("no space")
	for _, at := range []int64{0, 8 << 20, 36 << 20} { // the last is only seen by finish
		size := int64(40 << 20)
		d := &slowDisk{data: make([]byte, size), written: make([]bool, size), fail: map[int64]error{at: full}}
		told := int64(0)
		u := &upload{
			start:    func(p []byte, off int64) (<-chan error, error) { return d.start(p, off, 0) },
			result:   func(done <-chan error) error { return <-done },
			progress: func(done, _ int64) { told = done },
		}
		err := storage.Fill(t.Context(), u, bytes.NewReader(bytes.Repeat([]byte{1}, int(size))), size, u.read)
		if err == nil {
			err = u.finish()
		}
		require.ErrorIs(t, err, full)
		require.LessOrEqual(t, told, at, "what failed is never told")
		d.all.Wait()
	}
}
