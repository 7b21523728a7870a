package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

// halfway makes volumes of a size and then fails, as planned, without cleaning up.
type halfway struct {
	*memory.Driver
	plan      []half // one for each call; none left: it works
	calls     int
	deleteErr error
	deletes   int
}

type half struct {
	size int64 // what is left behind, 0 = nothing
	err  error
	end  context.CancelFunc // the caller goes away
}

func (h *halfway) next(ctx context.Context, id string) (planned bool, err error) {
	h.calls++
	if len(h.plan) == 0 {
		return false, nil
	}
	now := h.plan[0]
	h.plan = h.plan[1:]
	if now.size > 0 {
		if _, err := h.Create(ctx, storage.VolumeSpec{ID: id, SizeBytes: now.size}); err != nil {
			return true, err
		}
	}
	if now.end != nil {
		now.end()
	}
	return true, now.err
}

func (h *halfway) Clone(ctx context.Context, v storage.VolumeSpec, source string) (*storage.Volume, error) {
	if planned, err := h.next(ctx, v.ID); planned {
		return nil, err
	}
	return h.Driver.Clone(ctx, v, source)
}

func (h *halfway) CreateFromSnapshot(ctx context.Context, v storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
	if planned, err := h.next(ctx, v.ID); planned {
		return nil, err
	}
	return h.Driver.CreateFromSnapshot(ctx, v, volume, id)
}

func (h *halfway) CreateFromImage(ctx context.Context, v storage.VolumeSpec, location string) (*storage.Volume, error) {
	if planned, err := h.next(ctx, v.ID); planned {
		return nil, err
	}
	return h.Driver.CreateFromImage(ctx, v, location)
}

func (h *halfway) Import(ctx context.Context, v storage.VolumeSpec, r io.Reader, size int64, progress func(int64, int64)) (*storage.Volume, error) {
	if _, err := io.CopyN(io.Discard, r, size/2); err != nil && len(h.plan) > 0 {
		return nil, err
	}
	if planned, err := h.next(ctx, v.ID); planned {
		return nil, err
	}
	half := make([]byte, size/2)
	return h.Driver.Import(ctx, v, io.MultiReader(bytes.NewReader(half), r), size, progress)
}

func (h *halfway) Delete(ctx context.Context, id string) error {
	h.deletes++
	if h.deleteErr != nil {
		return h.deleteErr
	}
	return h.Driver.Delete(ctx, id)
}

const mib = 1 << 20

// undone asserts an error after which nothing is left and the call may be made again.
func undone(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, storage.ErrUnavailable)
	require.NotErrorIs(t, err, storage.ErrUnknownOutcome)
	require.ErrorContains(t, err, "nothing is left of it: ")
	require.NotContains(t, err.Error(), "may or may not")
	require.Equal(t, "unavailable", storage.Class(err))
}

// What a failed copy leaves: kept if it is whole, else removed; repeated if somebody still
// waits for it.
func TestHalfMadeVolumes(t *testing.T) {
	copies := map[string]struct {
		call      func(ctx context.Context, b *storage.Backend) (*storage.Volume, error)
		whole     bool // what is left of the right size can be told to be whole
		canRepeat bool
	}{
		"clone": {func(ctx context.Context, b *storage.Backend) (*storage.Volume, error) {
			return b.Clone(ctx, storage.VolumeSpec{ID: "w", SizeBytes: 2 * mib}, "v")
		}, true, true},
		"from snapshot": {func(ctx context.Context, b *storage.Backend) (*storage.Volume, error) {
			return b.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "w", SizeBytes: 2 * mib}, "v", "s")
		}, true, true},
		"from image": {func(ctx context.Context, b *storage.Backend) (*storage.Volume, error) {
			return b.CreateFromImage(ctx, storage.VolumeSpec{ID: "w", SizeBytes: 2 * mib}, "memory://image")
		}, true, true},
		"import": {func(ctx context.Context, b *storage.Backend) (*storage.Volume, error) {
			return b.Import(ctx, storage.VolumeSpec{ID: "w", SizeBytes: 2 * mib}, strings.NewReader("image"), 5, nil)
		}, false, true},
		"import of a pipe": {func(ctx context.Context, b *storage.Backend) (*storage.Volume, error) {
			return b.Import(ctx, storage.VolumeSpec{ID: "w", SizeBytes: 2 * mib}, io.MultiReader(strings.NewReader("image")), 5, nil)
		}, false, false},
	}
	for name, c := range copies {
		start := func(t *testing.T, plan ...half) (*halfway, *storage.Backend) {
			h := &halfway{Driver: newFlaky(t).Driver}
			_, err := h.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: mib})
			require.NoError(t, err)
			_, err = h.CreateSnapshot(t.Context(), "v", "s")
			require.NoError(t, err)
			require.NoError(t, h.Put("image", mib))
			h.plan = plan
			return h, manage(t, h, storage.Config{})
		}
		left := func(t *testing.T, h *halfway) int64 {
			v, err := h.Get(t.Context(), "w")
			if errors.Is(err, storage.ErrNotFound) {
				return 0
			}
			require.NoError(t, err)
			return v.SizeBytes
		}
		lost := half{size: 2 * mib, err: errLost}
		t.Run(name+"/answer lost", func(t *testing.T) {
			h, b := start(t, lost)
			v, err := c.call(t.Context(), b)
			if !c.canRepeat {
				undone(t, err)
				require.Zero(t, left(t, h), "nobody can tell what it holds")
				return
			}
			require.NoError(t, err)
			require.EqualValues(t, 2*mib, v.SizeBytes)
			require.EqualValues(t, 2*mib, left(t, h))
			if c.whole {
				require.Equal(t, 1, h.calls, "it is there")
				require.Zero(t, h.deletes)
			} else {
				require.Equal(t, 2, h.calls, "it may be half an image")
				require.Equal(t, 1, h.deletes)
			}
		})
		t.Run(name+"/wrong size left", func(t *testing.T) {
			h, b := start(t, half{size: mib, err: errLost})
			_, err := c.call(t.Context(), b)
			if !c.canRepeat {
				undone(t, err)
				require.Zero(t, left(t, h))
				return
			}
			require.NoError(t, err)
			require.EqualValues(t, 2*mib, left(t, h))
			require.Equal(t, 1, h.deletes, "the half-made one")
		})
		t.Run(name+"/both lost", func(t *testing.T) {
			h, b := start(t, half{size: mib, err: errLost}, half{size: mib, err: errLost}, half{err: errLost})
			_, err := c.call(t.Context(), b)
			undone(t, err)
			require.Zero(t, left(t, h))
			require.LessOrEqual(t, h.calls, 2)
		})
		t.Run(name+"/then not there any more", func(t *testing.T) {
			if !c.canRepeat {
				t.Skip("there is no second try")
			}
			h, b := start(t, half{size: mib, err: errLost}, half{err: fmt.Errorf("dial: %w", storage.ErrUnavailable)})
			_, err := c.call(t.Context(), b)
			require.ErrorIs(t, err, storage.ErrUnavailable)
			require.NotErrorIs(t, err, storage.ErrUnknownOutcome, "what the first try made is removed")
			require.Zero(t, left(t, h))
		})
		for what, size := range map[string]int64{"nothing": 0, "half": mib, "all": 2 * mib} {
			t.Run(name+"/caller gone, "+what+" made", func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				h, b := start(t, half{size: size, err: fmt.Errorf("%w: %w", errLost, context.Canceled), end: cancel})
				_, err := c.call(ctx, b)
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, 1, h.calls)
				if c.whole && what == "all" {
					require.ErrorIs(t, err, storage.ErrUnknownOutcome)
					require.EqualValues(t, size, left(t, h), "another process may have made it meanwhile")
					return
				}
				require.NotErrorIs(t, err, storage.ErrUnknownOutcome, "nothing is left, and that is known")
				require.NotErrorIs(t, err, storage.ErrUnavailable)
				require.Zero(t, left(t, h), "cancelled calls leave nothing")
			})
		}
		t.Run(name+"/caller gone before anything", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			h, b := start(t, half{err: context.Canceled, end: cancel})
			_, err := c.call(ctx, b)
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, storage.ErrUnknownOutcome)
			require.Zero(t, h.deletes)
		})
		// A driver that only says that the context ended has made nothing: what is there then is
		// another process's.
		t.Run(name+"/caller gone, another process makes it", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			h, b := start(t, half{size: 2 * mib, err: context.Canceled, end: cancel})
			_, err := c.call(ctx, b)
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, storage.ErrUnknownOutcome)
			require.EqualValues(t, 2*mib, left(t, h))
			require.Zero(t, h.deletes)
		})
		t.Run(name+"/cannot clean up", func(t *testing.T) {
			h, b := start(t, half{size: mib, err: errLost})
			h.deleteErr = errors.New("no route to host")
			_, err := c.call(t.Context(), b)
			require.ErrorIs(t, err, storage.ErrUnknownOutcome)
			require.ErrorContains(t, err, "the half-made volume w may be left, delete it: no route to host")
			require.Equal(t, 1, h.calls)
		})
		t.Run(name+"/somebody else's", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			h, b := start(t, half{err: context.Canceled, end: cancel})
			_, err := h.Create(t.Context(), storage.VolumeSpec{ID: "w", SizeBytes: 2 * mib})
			require.NoError(t, err)
			_, err = c.call(ctx, b)
			if c.whole {
				require.NoError(t, err, "the same name and size: it is it")
			} else {
				require.ErrorIs(t, err, storage.ErrExists)
			}
			require.Zero(t, h.calls)
			require.Zero(t, h.deletes)
			require.EqualValues(t, 2*mib, left(t, h))
		})
		t.Run(name+"/ordinary failure", func(t *testing.T) {
			h, b := start(t, half{err: storage.ErrNoSpace})
			_, err := c.call(t.Context(), b)
			require.ErrorIs(t, err, storage.ErrNoSpace)
			require.Equal(t, 1, h.calls)
			require.Zero(t, h.deletes)
		})
	}
}

// blind is a driver that cannot be looked at or compared with at the wrong moment.
type blind struct {
	*halfway
	get   []error // of the next Gets; nil: it works
	stats func(context.Context) error
}

func (b *blind) Get(ctx context.Context, id string) (*storage.Volume, error) {
	if len(b.get) > 0 {
		err := b.get[0]
		if b.get = b.get[1:]; err != nil {
			return nil, err
		}
	}
	return b.halfway.Get(ctx, id)
}

func (b *blind) Stats(ctx context.Context) (*storage.Stats, error) {
	if err := b.stats(ctx); err != nil {
		return nil, err
	}
	return b.halfway.Stats(ctx)
}

// What may be another process's volume is not deleted because nobody could look whether it is half
// made, and who cannot look does not wait for ever.
func TestCopiesThatCannotBeLookedAt(t *testing.T) {
	down := fmt.Errorf("dial: %w", storage.ErrUnavailable)
	fine := func(context.Context) error { return nil }
	for name, d := range map[string]*blind{
		"cannot look":    {get: []error{nil, down}, stats: fine},
		"cannot compare": {stats: func(context.Context) error { return down }},
		"hangs":          {stats: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d.halfway = &halfway{Driver: newFlaky(t).Driver}
				_, err := d.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: mib})
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				now := half{size: 2 * mib, err: errLost}
				if name == "hangs" {
					now.end = cancel
				}
				d.plan = []half{now}
				_, err = manage(t, d, storage.Config{}).Clone(ctx, storage.VolumeSpec{ID: "w", SizeBytes: 2*mib - 1}, "v")
				require.ErrorIs(t, err, storage.ErrUnknownOutcome)
				require.NotErrorIs(t, err, storage.ErrUnavailable)
				require.Zero(t, d.deletes)
			})
		})
	}
}

func TestCopiesOfThemselves(t *testing.T) {
	f := newFlaky(t)
	b := manage(t, f, storage.Config{})
	_, err := b.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: 5})
	require.NoError(t, err)
	_, err = b.CreateSnapshot(t.Context(), "v", "s")
	require.NoError(t, err)
	_, err = b.Clone(t.Context(), storage.VolumeSpec{ID: "v"}, "v")
	require.ErrorIs(t, err, storage.ErrInvalid)
	_, err = b.CreateFromSnapshot(t.Context(), storage.VolumeSpec{ID: "v"}, "v", "s")
	require.ErrorIs(t, err, storage.ErrInvalid)
}

// A stream is ended when nothing moves, and not while something does.
func TestStalledStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &streaming{Driver: newFlaky(t).Driver}
		b := manage(t, d, storage.Config{StallTimeout: 2 * time.Minute, LongTimeout: time.Hour, Timeout: time.Second})
		start := time.Now()
		d.steps = 10 // a minute each
		_, err := b.Import(t.Context(), storage.VolumeSpec{ID: "v"}, strings.NewReader("image"), 5, nil)
		require.NoError(t, err, "it moved")
		require.NoError(t, b.Export(t.Context(), "v", io.Discard, nil))
		require.Equal(t, 20*time.Minute, time.Since(start))

		start, d.stops = time.Now(), true
		_, err = b.Import(t.Context(), storage.VolumeSpec{ID: "w"}, strings.NewReader("image"), 5, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "nothing moved for 2m0s")
		require.Equal(t, 12*time.Minute, time.Since(start))
		require.NotErrorIs(t, err, storage.ErrUnknownOutcome, "nothing is left")
		require.Equal(t, "timeout", storage.Class(err), "nobody cancelled it")
		d.lost = errLost
		_, err = b.Import(t.Context(), storage.VolumeSpec{ID: "w"}, strings.NewReader("image"), 5, nil)
		require.NotErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, storage.ErrUnknownOutcome, "it was removed")
		_, err = d.Get(t.Context(), "w")
		require.ErrorIs(t, err, storage.ErrNotFound)
		d.lost = nil
		err = b.Export(t.Context(), "v", io.Discard, nil)
		require.ErrorContains(t, err, "nothing moved for 2m0s")
		require.NotErrorIs(t, err, storage.ErrUnknownOutcome, "an export changes nothing")
		require.NotErrorIs(t, err, context.Canceled)

		start, d.steps = time.Now(), 1000
		err = b.Export(t.Context(), "v", io.Discard, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Hour, time.Since(start), "long calls end too")
	})
}

// streaming moves something every minute, for some steps.
type streaming struct {
	*memory.Driver
	steps int
	stops bool  // then it stands still
	lost  error // what it then cannot say
}

func (s *streaming) stream(ctx context.Context, progress func(int64, int64)) error {
	for i := range s.steps {
		select {
		case <-time.After(time.Minute):
			progress(int64(i), int64(s.steps))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if s.stops {
		<-ctx.Done()
		if s.lost != nil {
			return fmt.Errorf("%w: %w", s.lost, ctx.Err())
		}
		return ctx.Err()
	}
	return nil
}

func (s *streaming) Import(ctx context.Context, v storage.VolumeSpec, r io.Reader, size int64, progress func(int64, int64)) (*storage.Volume, error) {
	if s.lost != nil { // half of it is there
		if _, err := s.Create(ctx, v); err != nil {
			return nil, err
		}
	}
	if err := s.stream(ctx, progress); err != nil {
		return nil, err
	}
	return s.Driver.Import(ctx, v, r, size, progress)
}

func (s *streaming) Export(ctx context.Context, _ string, _ io.Writer, progress func(int64, int64)) error {
	return s.stream(ctx, progress)
}

// An import whose reader is slow but not still is let go on, though the driver reports late.
func TestSlowReaderIsNotStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := manage(t, newFlaky(t).Driver, storage.Config{StallTimeout: 2 * time.Minute})
		_, err := b.Import(t.Context(), storage.VolumeSpec{ID: "v"}, &trickle{}, 30, nil)
		require.NoError(t, err)

		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute+time.Second)
		defer cancel()
		start := time.Now()
		_, err = b.Import(ctx, storage.VolumeSpec{ID: "w"}, &trickle{}, 30, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 6*time.Minute, time.Since(start), "it ends with the next byte, not with the next 4 MiB")
		_, err = b.Get(t.Context(), "w")
		require.ErrorIs(t, err, storage.ErrNotFound)
	})
}

// trickle gives a byte a minute.
type trickle struct{}

func (*trickle) Read(p []byte) (int, error) {
	time.Sleep(time.Minute)
	p[0] = 1
	return 1, nil
}

func TestLongCallsLeaveSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := memory.New(memory.Config{})
		require.NoError(t, err)
		b := manage(t, d, storage.Config{Concurrency: 4})
		var wait sync.WaitGroup
		for i := range 6 {
			source := fmt.Sprint("v", i)
			_, err := b.Create(t.Context(), storage.VolumeSpec{ID: source, SizeBytes: 5})
			require.NoError(t, err)
		}
		d.Inject(memory.Fault{Op: "clone", Times: 6, Delay: time.Hour})
		start := time.Now()
		for i := range 6 {
			wait.Go(func() {
				_, err := b.Clone(t.Context(), storage.VolumeSpec{ID: fmt.Sprint("w", i)}, fmt.Sprint("v", i))
				if err != nil {
					t.Errorf("clone: %v", err)
				}
			})
		}
		synctest.Wait()
		_, err = b.Get(t.Context(), "v0")
		require.NoError(t, err)
		require.Zero(t, time.Since(start), "a short call waits for no long one")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		for i := range 6 {
			err = b.Delete(ctx, fmt.Sprint("v", i))
			require.ErrorIs(t, err, context.DeadlineExceeded, "a volume that is being copied is not deleted")
			require.NotErrorIs(t, err, storage.ErrUnknownOutcome)
		}
		wait.Wait()
		require.Equal(t, 3*time.Hour, time.Since(start), "two at a time")
	})
}

// Copies crosswise lock both volumes in one order.
func TestCrosswiseCopiesDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := memory.New(memory.Config{})
		require.NoError(t, err)
		b := manage(t, d, storage.Config{})
		for _, id := range []string{"a", "b"} {
			_, err := b.Create(t.Context(), storage.VolumeSpec{ID: id, SizeBytes: 5})
			require.NoError(t, err)
		}
		d.Inject(memory.Fault{Op: "get", Times: 100, Delay: time.Second})
		var wait sync.WaitGroup
		for i := range 20 {
			wait.Go(func() {
				from, to := "a", "b"
				if i%2 == 0 {
					from, to = to, from
				}
				if _, err := b.Clone(t.Context(), storage.VolumeSpec{ID: to}, from); err != nil {
					t.Errorf("clone: %v", err)
				}
			})
		}
		wait.Wait()
	})
}
