package storage_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := memory.New(memory.Config{})
		require.NoError(t, err)
		var mu sync.Mutex
		var seen []string
		b := manage(t, d, storage.Config{Concurrency: 1, Observe: func(o storage.Observation) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, fmt.Sprintf("%s %s on %s: %s waited %v took %v repeats %d", o.Op, o.ID, o.Backend, o.Class(), o.Waited, o.Took, o.Repeats))
		}})
		d.Inject(memory.Fault{Op: "create", After: errLost, Delay: time.Second})
		_, err = b.Create(t.Context(), storage.VolumeSpec{ID: "v", SizeBytes: 5})
		require.NoError(t, err)
		d.Inject(memory.Fault{Op: "extend", Before: errLost})
		_, err = b.Extend(t.Context(), "v", 3*mib)
		require.NoError(t, err)
		require.Error(t, b.Delete(t.Context(), "absent"))
		require.Error(t, b.Delete(t.Context(), "a b"))

		d.Inject(memory.Fault{Op: "check", Delay: 10 * time.Second})
		done := make(chan error)
		go func() { done <- b.Check(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = b.Get(ctx, "v")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, <-done)
		require.Equal(t, []string{
			"create v on b: ok waited 0s took 1s repeats 0",
			"extend v on b: ok waited 0s took 0s repeats 1",
			"delete absent on b: not_found waited 0s took 0s repeats 0",
			"delete a b on b: invalid waited 0s took 0s repeats 0",
			"get v on b: timeout waited 1s took 0s repeats 0",
			"check  on b: ok waited 0s took 10s repeats 0",
		}, seen)
	})
}

func TestClass(t *testing.T) {
	for want, err := range map[string]error{
		"ok":              nil,
		"not_found":       storage.ErrNotFound,
		"exists":          &storage.OpError{Op: "create", Err: storage.ErrExists},
		"busy":            &storage.BusyError{Dependents: []string{"snapshot s"}},
		"no_space":        fmt.Errorf("volume: %w", storage.ErrNoSpace),
		"invalid":         storage.ErrInvalid,
		"unsupported":     storage.ErrUnsupported,
		"unavailable":     fmt.Errorf("dial: %w: %w", storage.ErrUnavailable, context.DeadlineExceeded),
		"unknown_outcome": fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, context.DeadlineExceeded),
		"cancelled":       context.Canceled,
		"timeout":         context.DeadlineExceeded,
		"other":           errors.New("no route to host"),
	} {
		require.Equal(t, want, storage.Class(err))
	}
}

func TestFeatures(t *testing.T) {
	f := newFlaky(t)
	require.Equal(t, "Adopter Cloner Disconnector Extender ImageCloner ImageStreamer Limiter Lister Reverter SnapshotLister Snapshotter TrashPurger",
		strings.Join(manage(t, f, storage.Config{}).Features(), " "))
	require.Empty(t, storage.Features(struct{ storage.Driver }{f}))
}
