//go:build ceph && cgo

package rbd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

func TestManyCreatorsOfOneVolume(t *testing.T) {
	c := config(t)
	p := connect(t, "volumes")
	drivers := []interface {
		Create(context.Context, storage.VolumeSpec) (*storage.Volume, error)
	}{driver(t, c), driver(t, c), driver(t, c)} // as many processes
	for round := range 5 {
		spec := storage.VolumeSpec{ID: fmt.Sprint("v", round), SizeBytes: 8 * mebi}
		results := make(chan error, 12)
		for i := range cap(results) {
			go func() {
				_, err := drivers[i%3].Create(t.Context(), spec)
				results <- err
			}()
		}
		made := 0
		for range cap(results) {
			if err := <-results; err == nil {
				made++
			} else {
				require.ErrorIs(t, err, storage.ErrExists)
			}
		}
		require.Equal(t, 1, made, "exactly one made it")
	}
	require.Len(t, p.images(prefix(c)), 5)
}

// TestCancelledCallsLeaveNothing cancels at any moment: what came back as made is there, and
// what did not is not, when the worker that was left is done.
func TestCancelledCallsLeaveNothing(t *testing.T) {
	cloneFormats(t, func(t *testing.T, c rbd.Config) {
		d, p := driver(t, c), connect(t, "volumes")
		source := create(t, d, "source", 16*mebi)
		p.write(source.Name, noise(1, 4*mebi))
		_, err := d.CreateSnapshot(t.Context(), "source", "kept")
		require.NoError(t, err)
		spec := func(i int) storage.VolumeSpec {
			return storage.VolumeSpec{ID: fmt.Sprint("v", i), SizeBytes: 16 * mebi}
		}
		calls := []func(ctx context.Context, i int) error{
			func(ctx context.Context, i int) error { _, err := d.Create(ctx, spec(i)); return err },
			func(ctx context.Context, i int) error { _, err := d.Clone(ctx, spec(i), "source"); return err },
			func(ctx context.Context, i int) error {
				_, err := d.CreateFromSnapshot(ctx, spec(i), "source", "kept")
				return err
			},
			func(ctx context.Context, i int) error {
				_, err := d.Import(ctx, spec(i), bytes.NewReader(noise(2, 8*mebi)), 8*mebi, nil)
				return err
			},
			func(ctx context.Context, i int) error {
				_, err := d.CreateSnapshot(ctx, "source", fmt.Sprint("v", i))
				return err
			},
		}
		volumes, snapshots := map[string]bool{"source": true}, map[string]bool{"kept": true}
		var mu sync.Mutex
		var all sync.WaitGroup
		cancelled := 0
		for i := range 60 {
			kind := i % len(calls)
			wait := time.Duration(rand.Int64N(int64(600 * time.Millisecond)))
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), wait)
				defer cancel()
				start := time.Now()
				err := calls[kind](ctx, i)
				took := time.Since(start)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					cancelled++
					if !errors.Is(err, context.DeadlineExceeded) || took > wait+2*time.Second {
						t.Errorf("call %d after %v of %v: %v", i, took, wait, err)
					}
				case kind == 4:
					snapshots[fmt.Sprint("v", i)] = true
				default:
					volumes[fmt.Sprint("v", i)] = true
				}
			})
		}
		all.Wait()
		require.Greater(t, cancelled, 5)
		// Looking waits for what is taken back.
		for i := range 60 {
			id := fmt.Sprint("v", i)
			_, err := d.Get(t.Context(), id)
			require.Equal(t, volumes[id], err == nil, "%s: %v", id, err)
			_, err = d.GetSnapshot(t.Context(), "source", id)
			require.Equal(t, snapshots[id], err == nil, "snapshot %s: %v", id, err)
		}
		require.NoError(t, d.Close())
		require.Len(t, p.images(prefix(c)), len(volumes))
		clones := 0
		for _, name := range p.snapshots(source.Name) {
			if id, ok := strings.CutPrefix(name, "snapshot-"); ok {
				require.True(t, snapshots[id], name)
			} else {
				clones++
				require.NotEmpty(t, p.clones(source.Name, name), "%s: none is kept for nothing", name)
			}
		}
		t.Logf("%d cancelled, %d volumes, %d snapshots of clones", cancelled, len(volumes), clones)
	})
}

// TestStoppedOSD: everything ends in bounded time, says so, and works again afterwards.
func TestStoppedOSD(t *testing.T) {
	cluster := shared.Get(t)
	c := config(t)
	c.Timeout = 2 * time.Second
	d, p := driver(t, c), connect(t, "volumes")
	contents := noise(7, 5*mebi)
	v := create(t, d, "kept", 64*mebi)
	p.write(v.Name, contents)
	_, err := d.CreateSnapshot(t.Context(), "kept", "s")
	require.NoError(t, err)
	clone(t, d, "clone", "kept")

	calls := map[string]func(ctx context.Context) error{
		"get": func(ctx context.Context) error { _, err := d.Get(ctx, "kept"); return err },
		"create": func(ctx context.Context) error {
			_, err := d.Create(ctx, storage.VolumeSpec{ID: "new", SizeBytes: mebi})
			return err
		},
		"clone": func(ctx context.Context) error {
			_, err := d.Clone(ctx, storage.VolumeSpec{ID: "copy"}, "kept")
			return err
		},
		"delete": func(ctx context.Context) error { return d.Delete(ctx, "clone") },
		"export": func(ctx context.Context) error { return d.Export(ctx, "kept", io.Discard, nil) },
		"list":   func(ctx context.Context) error { _, err := d.List(ctx, "", 10); return err },
		"import": func(ctx context.Context) error {
			_, err := d.Import(ctx, storage.VolumeSpec{ID: "image"}, bytes.NewReader(noise(8, 32*mebi)), 32*mebi, nil)
			return err
		},
	}
	back := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		require.NoError(t, cluster.WaitReady(ctx, "volumes"))
	}
	for _, fault := range []struct {
		name       string
		stop, back func() error
	}{
		{"killed", func() error { return cluster.StopOSD(syscall.SIGKILL) }, func() error { return cluster.StartOSD(t.Context()) }},
		{"hangs", cluster.PauseOSD, cluster.ResumeOSD},
	} {
		t.Run(fault.name, func(t *testing.T) {
			require.NoError(t, fault.stop())
			type result struct {
				name string
				err  error
				took time.Duration
			}
			results := make(chan result, len(calls))
			start := time.Now()
			for name, call := range calls {
				go func() { results <- result{name, call(t.Context()), time.Since(start)} }()
			}
			impatient, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			_, err := d.Create(impatient, storage.VolumeSpec{ID: "impatient", SizeBytes: mebi})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Less(t, time.Since(start), 2*time.Second, "who leaves leaves at once")
			for range calls {
				r := <-results
				t.Logf("%s ended after %v: %v", r.name, r.took.Round(10*time.Millisecond), r.err)
				require.Error(t, r.err, r.name)
				require.Less(t, r.took, 40*time.Second, r.name)
				began := r.name == "create" || r.name == "import" // the others looked first
				require.Equal(t, began, errors.Is(r.err, storage.ErrUnknownOutcome), "%s: %v", r.name, r.err)
				require.NotErrorIs(t, r.err, storage.ErrNotFound, r.name)
			}
			require.NoError(t, fault.back())
			back()

			// Nothing is lost, and everything can be repeated.
			require.Eventually(t, func() bool { return d.Check(t.Context()) == nil }, time.Minute, 100*time.Millisecond)
			require.True(t, bytes.Equal(contents, p.read(v.Name, len(contents))))
			backend := manage(t, d)
			for _, id := range []string{"new", "impatient"} {
				_, err := backend.Create(t.Context(), storage.VolumeSpec{ID: id, SizeBytes: mebi})
				require.NoError(t, err)
				require.NoError(t, d.Delete(t.Context(), id))
			}
			for _, id := range []string{"clone", "copy", "image"} { // there or not; afterwards not
				if err := d.Delete(t.Context(), id); err != nil {
					require.ErrorIs(t, err, storage.ErrNotFound)
				}
			}
			// In the middle of a change.
			r := &trigger{Reader: bytes.NewReader(noise(8, 48*mebi)), after: 12 * mebi, fire: fault.stop}
			start = time.Now()
			patient, leave := context.WithTimeout(t.Context(), time.Minute) // more than is expected
			defer leave()
			_, err = d.Import(patient, storage.VolumeSpec{ID: "half"}, r, 48*mebi, nil)
			t.Logf("import ended after %v: %v", time.Since(start), err)
			require.ErrorIs(t, err, storage.ErrUnknownOutcome)
			require.Less(t, time.Since(start), 40*time.Second)
			require.NoError(t, fault.back())
			back()
			require.Eventually(t, func() bool { return d.Check(t.Context()) == nil }, time.Minute, 100*time.Millisecond)
			_, err = backend.Import(t.Context(), storage.VolumeSpec{ID: "half"}, bytes.NewReader(noise(8, 48*mebi)), 48*mebi, nil)
			if errors.Is(err, storage.ErrExists) || err == nil { // what could not be removed is in the way until it is deleted
				require.NoError(t, d.Delete(t.Context(), "half"))
			} else {
				require.NoError(t, err)
			}

			clone(t, d, "clone", "kept")
			require.True(t, bytes.Equal(contents, p.read(prefix(c)+"clone", len(contents))))
		})
	}
	require.NoError(t, d.Revert(t.Context(), "kept", "s"))
	require.NoError(t, d.Delete(t.Context(), "clone"))
	require.NoError(t, d.DeleteSnapshot(t.Context(), "kept", "s"))
	require.NoError(t, d.Delete(t.Context(), "kept"))
	require.Empty(t, p.images(prefix(c)))
	require.Empty(t, p.trash(prefix(c)))
}

// TestWhatCannotBeTakenBackIsUnknown: an import whose source fails when the cluster does.
func TestWhatCannotBeTakenBackIsUnknown(t *testing.T) {
	cluster := shared.Get(t)
	c := config(t)
	c.Timeout = time.Second
	d := driver(t, c)
	broken := errors.New("network is down")
	r := &trigger{Reader: io.MultiReader(bytes.NewReader(noise(1, 12*mebi)), iotest.ErrReader(broken)), after: 12 * mebi, fire: cluster.PauseOSD}
	_, err := d.Import(t.Context(), storage.VolumeSpec{ID: "v"}, r, 48*mebi, nil)
	require.NoError(t, cluster.ResumeOSD())
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, err, storage.ErrUnknownOutcome)
	require.Eventually(t, func() bool { // it was left, or librbd removed it when the cluster was back
		err := d.Delete(t.Context(), "v")
		return err == nil || errors.Is(err, storage.ErrNotFound)
	}, time.Minute, 100*time.Millisecond)
}

// TestCloseIsBounded: with the cluster down Close waits for librados to give up, and no longer.
func TestCloseIsBounded(t *testing.T) {
	cluster := shared.Get(t)
	c := config(t)
	c.Timeout = time.Second
	d := driver(t, c)
	require.NoError(t, d.Check(t.Context()))
	require.NoError(t, cluster.PauseOSD())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := d.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: mebi})
	require.ErrorIs(t, err, storage.ErrUnknownOutcome)
	start := time.Now()
	closed := d.Close()
	took := time.Since(start)
	require.NoError(t, cluster.ResumeOSD())
	require.Less(t, took, 8*time.Second)
	if closed != nil {
		require.ErrorContains(t, closed, "still inside librados")
	}
	_, err = d.Get(t.Context(), "v")
	require.Error(t, err, "closed")
}

func TestReconnects(t *testing.T) {
	c := config(t)
	c.Timeout = 5 * time.Second
	d := driver(t, c)
	create(t, d, "v", 8*mebi)
	address, err := d.Address(t.Context())
	require.NoError(t, err)
	command(t, "ceph", "osd", "blocklist", "add", address)
	require.Eventually(t, func() bool {
		now, err := d.Address(t.Context())
		if err == nil && now != address {
			return true
		}
		_, err = d.Create(t.Context(), storage.VolumeSpec{ID: "w", SizeBytes: 8 * mebi}) // notices that it is shut out
		t.Log(err)
		return false
	}, 30*time.Second, 100*time.Millisecond)
	_, err = d.Get(t.Context(), "v")
	require.NoError(t, err)
}

func manage(t *testing.T, d storage.Driver) *storage.Backend {
	t.Helper()
	m, err := storage.Open(t.Context(), storage.Config{Volumes: []storage.BackendConfig{{Driver: "rbd", Name: "b"}}},
		map[string]storage.Opener{"rbd": func(context.Context, string, json.RawMessage, storage.Deps) (storage.Driver, error) { return d, nil }})
	require.NoError(t, err)
	b, err := m.Backend("b")
	require.NoError(t, err)
	return b
}

// A trigger does something when so much has been read.
type trigger struct {
	io.Reader
	after int
	fire  func() error
}

func (r *trigger) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if r.after > 0 {
		if r.after -= n; r.after <= 0 {
			if fired := r.fire(); fired != nil {
				return n, fired
			}
		}
	}
	return n, err
}
