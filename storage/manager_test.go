package storage_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// flaky loses requests or answers of a memory driver as planned.
type flaky struct {
	*memory.Driver
	before []error // of the next changing calls: returned instead of doing it
	after  []error // returned instead of the answer
	calls  int
	getErr error
}

var errLost = fmt.Errorf("read reply: %w", storage.ErrUnknownOutcome)

func (f *flaky) plan(do func() error) error {
	f.calls++
	next := func(plan *[]error) error {
		if len(*plan) == 0 {
			return nil
		}
		err := (*plan)[0]
		*plan = (*plan)[1:]
		return err
	}
	before, after := next(&f.before), next(&f.after)
	if before != nil {
		return before
	}
	if err := do(); err != nil {
		return err
	}
	return after
}

func (f *flaky) Create(ctx context.Context, spec storage.VolumeSpec) (v *storage.Volume, err error) {
	err = f.plan(func() error { v, err = f.Driver.Create(ctx, spec); return err })
	return v, err
}

func (f *flaky) Get(ctx context.Context, id string) (*storage.Volume, error) {
	if f.getErr != nil {
		return nil, f.getErr
	}
	return f.Driver.Get(ctx, id)
}

func (f *flaky) Delete(ctx context.Context, id string) error {
	return f.plan(func() error { return f.Driver.Delete(ctx, id) })
}

func (f *flaky) Extend(ctx context.Context, id string, size int64) (v *storage.Volume, err error) {
	err = f.plan(func() error { v, err = f.Driver.Extend(ctx, id, size); return err })
	return v, err
}

func (f *flaky) Connect(ctx context.Context, id string, c storage.Connector) (out *storage.Connection, err error) {
	err = f.plan(func() error { out, err = f.Driver.Connect(ctx, id, c); return err })
	return out, err
}

func (f *flaky) CreateSnapshot(ctx context.Context, volume, id string) (s *storage.Snapshot, err error) {
	err = f.plan(func() error { s, err = f.Driver.CreateSnapshot(ctx, volume, id); return err })
	return s, err
}

func (f *flaky) DeleteSnapshot(ctx context.Context, volume, id string) error {
	return f.plan(func() error { return f.Driver.DeleteSnapshot(ctx, volume, id) })
}

// manage puts one driver under a Manager and returns its Backend.
func manage(t *testing.T, d storage.Driver, c storage.Config) *storage.Backend {
	t.Helper()
	c.Volumes = []storage.BackendConfig{{Driver: "d", Name: "b"}}
	m, err := storage.Open(t.Context(), c, map[string]storage.Opener{
		"d": func(context.Context, string, json.RawMessage, storage.Deps) (storage.Driver, error) { return d, nil },
	})
	require.NoError(t, err)
	b, err := m.Backend("b")
	require.NoError(t, err)
	return b
}

func newFlaky(t *testing.T) *flaky {
	t.Helper()
	d, err := memory.New(memory.Config{UnitBytes: 1 << 20})
	require.NoError(t, err)
	return &flaky{Driver: d}
}

var node = storage.Connector{Host: "node1", Initiator: "iqn.2012-07.com.example:node1"}

// Every changing call, with its request lost, its answer lost, or both tries lost.
func TestLostRequestsAndAnswers(t *testing.T) {
	type world struct {
		f *flaky
		b *storage.Backend
	}
	operations := map[string]struct {
		prepare func(ctx context.Context, f *flaky) error // underneath the faults
		run     func(ctx context.Context, b *storage.Backend) error
		done    func(ctx context.Context, f *flaky) bool
		again   int // calls after a lost answer
	}{
		"create": {nil,
			func(ctx context.Context, b *storage.Backend) error {
				v, err := b.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 5})
				if err == nil && (v.ID != "v" || v.SizeBytes != 1<<20) {
					return fmt.Errorf("got %+v", v)
				}
				return err
			},
			func(ctx context.Context, f *flaky) bool { _, err := f.Driver.Get(ctx, "v"); return err == nil }, 1},
		"delete": {
			func(ctx context.Context, f *flaky) error {
				_, err := f.Driver.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 5})
				return err
			},
			func(ctx context.Context, b *storage.Backend) error { return b.Delete(ctx, "v") },
			func(ctx context.Context, f *flaky) bool {
				_, err := f.Driver.Get(ctx, "v")
				return errors.Is(err, storage.ErrNotFound)
			}, 1},
		"extend": {
			func(ctx context.Context, f *flaky) error {
				_, err := f.Driver.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 5})
				return err
			},
			func(ctx context.Context, b *storage.Backend) error { _, err := b.Extend(ctx, "v", 3<<20); return err },
			func(ctx context.Context, f *flaky) bool {
				v, err := f.Driver.Get(ctx, "v")
				return err == nil && v.SizeBytes == 3<<20
			}, 2},
		"connect": {
			func(ctx context.Context, f *flaky) error {
				_, err := f.Driver.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 5})
				return err
			},
			func(ctx context.Context, b *storage.Backend) error {
				c, err := b.Connect(ctx, "v", node)
				if err == nil && c == nil {
					return errors.New("no connection")
				}
				return err
			},
			func(ctx context.Context, f *flaky) bool {
				// Only a connected volume cannot be deleted; the others are put back.
				if err := f.Driver.Delete(ctx, "v"); err != nil {
					return errors.Is(err, storage.ErrBusy)
				}
				_, _ = f.Driver.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 5})
				return false
			}, 2},
		"create snapshot": {
			func(ctx context.Context, f *flaky) error {
				_, err := f.Driver.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 5})
				return err
			},
			func(ctx context.Context, b *storage.Backend) error {
				s, err := b.CreateSnapshot(ctx, "v", "s")
				if err == nil && s.ID != "s" {
					return fmt.Errorf("got %+v", s)
				}
				return err
			},
			func(ctx context.Context, f *flaky) bool {
				_, err := f.Driver.GetSnapshot(ctx, "v", "s")
				return err == nil
			}, 1},
		"delete snapshot": {
			func(ctx context.Context, f *flaky) error {
				if _, err := f.Driver.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 5}); err != nil {
					return err
				}
				_, err := f.Driver.CreateSnapshot(ctx, "v", "s")
				return err
			},
			func(ctx context.Context, b *storage.Backend) error { return b.DeleteSnapshot(ctx, "v", "s") },
			func(ctx context.Context, f *flaky) bool {
				_, err := f.Driver.GetSnapshot(ctx, "v", "s")
				return errors.Is(err, storage.ErrNotFound)
			}, 1},
	}
	for name, op := range operations {
		start := func(t *testing.T) world {
			f := newFlaky(t)
			if op.prepare != nil {
				require.NoError(t, op.prepare(t.Context(), f))
			}
			return world{f, manage(t, f, storage.Config{})}
		}
		t.Run(name+"/nothing lost", func(t *testing.T) {
			w := start(t)
			require.False(t, op.done(t.Context(), w.f))
			require.NoError(t, op.run(t.Context(), w.b))
			require.True(t, op.done(t.Context(), w.f))
			require.Equal(t, 1, w.f.calls)
		})
		t.Run(name+"/request lost", func(t *testing.T) {
			w := start(t)
			w.f.before = []error{errLost}
			require.NoError(t, op.run(t.Context(), w.b))
			require.True(t, op.done(t.Context(), w.f))
			require.Equal(t, 2, w.f.calls)
		})
		t.Run(name+"/answer lost", func(t *testing.T) {
			w := start(t)
			w.f.after = []error{errLost}
			require.NoError(t, op.run(t.Context(), w.b))
			require.True(t, op.done(t.Context(), w.f))
			require.Equal(t, op.again, w.f.calls)
		})
		t.Run(name+"/both requests lost", func(t *testing.T) {
			w := start(t)
			w.f.before = []error{errLost, errLost}
			require.ErrorIs(t, op.run(t.Context(), w.b), storage.ErrUnknownOutcome)
			require.False(t, op.done(t.Context(), w.f))
			require.Equal(t, 2, w.f.calls, "no third try")
		})
	}
}

func TestLostAndCannotLook(t *testing.T) {
	f := newFlaky(t)
	b := manage(t, f, storage.Config{})
	f.after = []error{errLost}
	f.getErr = errors.New("no route to host")
	_, err := b.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: 5})
	require.ErrorIs(t, err, storage.ErrUnknownOutcome)
	require.Equal(t, 1, f.calls)
	var op *storage.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, []string{"create", "b", "v"}, []string{op.Op, op.Backend, op.ID})
	require.EqualError(t, err, "create v on b: read reply: storage: unknown outcome: it may or may not have happened")
}

func TestBackendValidates(t *testing.T) {
	f := newFlaky(t)
	b := manage(t, f, storage.Config{})
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"size":             func() error { _, err := b.Create(ctx, storage.VolumeSpec{ID: "v"}); return err },
		"huge":             func() error { _, err := b.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 1 << 62}); return err },
		"extend":           func() error { _, err := b.Extend(ctx, "v", -1); return err },
		"connector":        func() error { _, err := b.Connect(ctx, "v", storage.Connector{}); return err },
		"second command":   func() error { _, err := b.Connect(ctx, "v", storage.Connector{Initiator: "iqn\rvolume"}); return err },
		"two arguments":    func() error { return b.Disconnect(ctx, "v", storage.Connector{Host: "a b"}) },
		"limit":            func() error { _, err := b.List(ctx, "", 0); return err },
		"snapshot":         func() error { _, err := b.CreateSnapshot(ctx, "v", "a b"); return err },
		"snapshot's":       func() error { return b.DeleteSnapshot(ctx, "a b", "s") },
		"from a snapshot":  func() error { _, err := b.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "w"}, "v", ""); return err },
		"from a snapshot'": func() error { _, err := b.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: ""}, "v", "s"); return err },
	} {
		require.ErrorIs(t, call(), storage.ErrInvalid, name)
	}
	require.Zero(t, f.calls, "nothing of it reached the driver")
}

// watched counts what runs at once.
type watched struct {
	*memory.Driver
	mu           sync.Mutex
	running, max int
	perVolume    map[string]int
	clash        bool
}

func (w *watched) Create(ctx context.Context, spec storage.VolumeSpec) (*storage.Volume, error) {
	w.mu.Lock()
	w.running++
	w.max = max(w.max, w.running)
	w.perVolume[spec.ID]++
	w.clash = w.clash || w.perVolume[spec.ID] > 1
	w.mu.Unlock()
	time.Sleep(time.Second) // of a synctest bubble
	w.mu.Lock()
	w.running--
	w.perVolume[spec.ID]--
	w.mu.Unlock()
	return w.Driver.Create(ctx, spec)
}

func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &watched{Driver: newFlaky(t).Driver, perVolume: map[string]int{}}
		b := manage(t, w, storage.Config{Concurrency: 3})
		var wait sync.WaitGroup
		for i := range 24 {
			wait.Go(func() {
				_, err := b.Create(t.Context(), storage.VolumeSpec{ID: fmt.Sprint("v", i%12), SizeBytes: 5})
				if err != nil {
					t.Errorf("create: %v", err)
				}
			})
		}
		wait.Wait()
		require.Equal(t, 3, w.max)
		require.False(t, w.clash, "calls for one volume run one after another")
		require.Zero(t, b.Locks(), "no volume is remembered")
	})
}

// slow does nothing until its context ends.
type slow struct {
	*memory.Driver
	started atomic.Int32
}

func (s *slow) Create(ctx context.Context, _ storage.VolumeSpec) (*storage.Volume, error) {
	s.started.Add(1)
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *slow) Check(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &slow{Driver: newFlaky(t).Driver}
		b := manage(t, s, storage.Config{Timeout: time.Minute, Concurrency: 1})
		start := time.Now()
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := b.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: 5})
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() {
			_, err := b.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 5})
			second <- err
		}()
		err := <-second
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, storage.ErrUnknownOutcome)
		require.ErrorContains(t, err, "create v on b: waiting for its turn: ")
		require.Equal(t, time.Second, time.Since(start))
		err = <-first
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, storage.ErrUnknownOutcome, "it was under way")
		require.Equal(t, time.Minute, time.Since(start))
		require.EqualValues(t, 1, s.started.Load())

		err = b.Check(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, storage.ErrUnknownOutcome, "a check changes nothing")
	})
}

// What ended before anything was asked of the back end has changed nothing, and what ended it is not
// waited for a second time.
func TestInterruptedBeforeAnything(t *testing.T) {
	f := newFlaky(t)
	b := manage(t, f, storage.Config{})
	ctx := t.Context()
	_, err := b.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 5})
	require.NoError(t, err)
	gone := fmt.Errorf("%w: %w", errLost, context.Canceled)
	f.before, f.calls = []error{gone}, 0
	_, err = b.Extend(ctx, "v", 2<<20)
	require.ErrorIs(t, err, storage.ErrUnknownOutcome)
	require.Equal(t, 1, f.calls, "nobody waits for a second try")

	f.getErr = context.Canceled
	_, clone := b.Clone(ctx, storage.VolumeSpec{ID: "w"}, "v")
	_, manage := b.Manage(ctx, "w", "lun-1")
	f.getErr = nil
	_, err = f.CreateSnapshot(ctx, "v", "s")
	require.NoError(t, err)
	f.Inject(memory.Fault{Op: "get snapshot", Before: context.Canceled})
	_, look := b.GetSnapshot(ctx, "v", "s")
	_, err = b.Create(ctx, storage.VolumeSpec{ID: "there", SizeBytes: 1 << 20})
	require.NoError(t, err)
	f.Inject(memory.Fault{Op: "stats", Before: context.Canceled})
	_, compare := b.Clone(ctx, storage.VolumeSpec{ID: "there", SizeBytes: 5}, "v")
	for what, err := range map[string]error{"clone": clone, "manage": manage, "get snapshot": look, "a clone that is there": compare} {
		require.ErrorIs(t, err, context.Canceled, what)
		require.NotErrorIs(t, err, storage.ErrUnknownOutcome, what)
	}
}

func TestManagerStats(t *testing.T) {
	broken := errors.New("no route to host")
	m, err := storage.Open(t.Context(), storage.Config{Volumes: []storage.BackendConfig{
		{Driver: "memory", Name: "a", Options: json.RawMessage(`{"capacity_bytes":1000,"unit_bytes":1}`)},
		{Driver: "broken", Name: "z"},
		{Driver: "memory", Name: "b", Options: json.RawMessage(`{"capacity_bytes":2000,"unit_bytes":1}`)},
	}}, map[string]storage.Opener{
		"memory": memory.Open,
		"broken": func(context.Context, string, json.RawMessage, storage.Deps) (storage.Driver, error) {
			return down{err: broken}, nil
		},
	})
	require.NoError(t, err)
	stats, err := m.Stats(t.Context())
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "stats on z")
	require.Len(t, stats, 2, "what there is, is returned")
	require.EqualValues(t, 2000, stats["b"].FreeBytes)
	require.ErrorIs(t, m.Check(t.Context()), broken)
	name, err := storage.Pick(stats, 1500)
	require.NoError(t, err)
	require.Equal(t, "b", name)
}

type down struct {
	storage.Driver
	err error
}

func (d down) Check(context.Context) error                   { return d.err }
func (d down) Stats(context.Context) (*storage.Stats, error) { return nil, d.err }

func TestPick(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stats := rapid.MapOfN(rapid.StringMatching(`[a-e]`), rapid.Custom(func(t *rapid.T) *storage.Stats {
			return &storage.Stats{FreeBytes: rapid.Int64Range(0, 100).Draw(t, "free"), UnitBytes: rapid.Int64Range(0, 20).Draw(t, "unit")}
		}), 0, 5).Draw(t, "stats")
		size := rapid.Int64Range(1, 100).Draw(t, "size")
		left := func(name string) int64 { return stats[name].FreeBytes - stats[name].Round(size) }
		picked, err := storage.Pick(stats, size)
		for name := range stats {
			switch {
			case err != nil && left(name) >= 0:
				t.Fatalf("%v, but it fits on %s", err, name)
			case err == nil && (left(name) > left(picked) || left(name) == left(picked) && name < picked):
				t.Fatalf("%s rather than %s", picked, name)
			}
		}
		if err != nil && !errors.Is(err, storage.ErrNoSpace) {
			t.Fatalf("error %v", err)
		}
		if err == nil && left(picked) < 0 {
			t.Fatalf("does not fit on %s", picked)
		}
	})
	_, err := storage.Pick(nil, 0)
	require.ErrorIs(t, err, storage.ErrInvalid)
}

func TestRound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := storage.Stats{UnitBytes: rapid.Int64Range(0, 1<<40).Draw(t, "unit")}
		size := rapid.Int64Range(1, 1<<60).Draw(t, "size")
		got := s.Round(size)
		unit := max(s.UnitBytes, 1)
		if got < size || got-size >= unit || got%unit != 0 {
			t.Fatalf("%d rounded to %d, unit %d", size, got, unit)
		}
	})
}

// What a driver could not send has not happened, whatever ended it; but what it sent before that
// may have.
func TestUnavailable(t *testing.T) {
	gone := fmt.Errorf("dial: %w: %w", storage.ErrUnavailable, context.DeadlineExceeded)
	connect := func(b *storage.Backend) error {
		_, err := b.Connect(t.Context(), "v", storage.Connector{Host: "n", Initiator: "iqn.2012-07.x:n"})
		return err
	}
	f := newFlaky(t)
	b := manage(t, f, storage.Config{})
	_, err := b.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: 1})
	require.NoError(t, err)
	f.before = []error{gone}
	err = connect(b)
	require.ErrorIs(t, err, storage.ErrUnavailable)
	require.NotErrorIs(t, err, storage.ErrUnknownOutcome)
	f.before = []error{errLost, gone}
	err = connect(b)
	require.ErrorIs(t, err, storage.ErrUnknownOutcome)
	require.NotErrorIs(t, err, storage.ErrUnavailable)
	require.NoError(t, connect(b))
}
