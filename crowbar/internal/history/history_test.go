package history_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/internal/history"
)

var (
	errCompacted = errors.New("compacted")
	errEnough    = errors.New("enough")
)

// revisions watches until it has n changes.
func revisions(ctx context.Context, l *history.Log, prefix string, after int64, n int) (got []int64, err error) {
	err = l.Watch(ctx, prefix, after, func(c history.Change) error {
		if got = append(got, c.Revision); len(got) == n {
			return errEnough
		}
		return nil
	})
	return got, err
}

func TestLogIsBoundedInBytes(t *testing.T) {
	l := history.New(history.Config{MaxBytes: 100, Compacted: errCompacted})
	for revision := int64(1); revision <= 10; revision++ {
		l.Append(history.Change{Key: "k", Value: make([]byte, 29), Revision: revision})
	}
	_, err := revisions(t.Context(), l, "", 6, 1)
	require.ErrorIs(t, err, errCompacted)
	got, err := revisions(t.Context(), l, "", 7, 3)
	require.ErrorIs(t, err, errEnough)
	require.Equal(t, []int64{8, 9, 10}, got)

	l.Append(history.Change{Key: "huge", Value: make([]byte, 101), Revision: 11})
	_, err = revisions(t.Context(), l, "", 10, 1)
	require.ErrorIs(t, err, errCompacted, "not even it is kept, and nobody misses it unknowingly")
}

// A transaction of which a part is gone is gone.
func TestLogCompactsWholeRevisions(t *testing.T) {
	l := history.New(history.Config{MaxChanges: 3, Compacted: errCompacted})
	l.Append(history.Change{Key: "a", Revision: 1}, history.Change{Key: "b", Revision: 1})
	l.Append(history.Change{Key: "a", Revision: 2}, history.Change{Key: "b", Revision: 2})
	_, err := revisions(t.Context(), l, "b", 0, 1)
	require.ErrorIs(t, err, errCompacted)
	got, err := revisions(t.Context(), l, "", 1, 2)
	require.ErrorIs(t, err, errEnough)
	require.Equal(t, []int64{2, 2}, got)
}

func TestWatchFromTheFutureWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := history.New(history.Config{Revision: 5, Compacted: errCompacted})
		done := make(chan []int64)
		go func() {
			got, _ := revisions(t.Context(), l, "", 7, 1)
			done <- got
		}()
		for revision := int64(6); revision <= 8; revision++ {
			synctest.Wait()
			l.Append(history.Change{Key: "k", Revision: revision})
		}
		require.Equal(t, []int64{8}, <-done)
	})
}

func TestEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := history.New(history.Config{Compacted: errCompacted})
		done := make(chan error)
		go func() {
			_, err := revisions(t.Context(), l, "", 0, 1)
			done <- err
		}()
		synctest.Wait()
		first := errors.New("first")
		l.End(first)
		l.End(errors.New("second"))
		require.Equal(t, first, <-done)
		_, err := revisions(t.Context(), l, "", 0, 1)
		require.Equal(t, first, err)
	})
}
