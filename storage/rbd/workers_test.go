package rbd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
)

func sleeping(d time.Duration) func(context.Context) error {
	return func(context.Context) error { time.Sleep(d); return nil }
}

func TestWhoLeavesLeavesAtOnceAndNothingStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		there := false
		start := time.Now()
		err := w.do(ctx, job{kind: changes, names: []string{"v"},
			run:  func(context.Context) error { time.Sleep(10 * time.Second); there = true; return nil },
			undo: func() { time.Sleep(time.Second); there = false },
		})
		require.ErrorIs(t, err, storage.ErrUnknownOutcome)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))

		require.NoError(t, w.do(t.Context(), job{names: []string{"other"}, run: sleeping(0)}), "others go on")
		require.Equal(t, time.Second, time.Since(start))
		require.NoError(t, w.do(t.Context(), job{sees: []string{"v"}, run: func(context.Context) error {
			require.False(t, there, "nobody sees what will be taken back")
			return nil
		}}))
		require.Equal(t, 11*time.Second, time.Since(start))
		require.NoError(t, w.close(time.Second, func() {}))
	})
}

func TestUndoOnlyOfWhatNobodyGot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(1)
		var undone atomic.Int32
		failed := errors.New("failed")
		for i, test := range []struct {
			err error
			ctx time.Duration
		}{{nil, time.Minute}, {failed, time.Minute}, {failed, time.Millisecond}} {
			ctx, cancel := context.WithTimeout(t.Context(), test.ctx)
			_ = w.do(ctx, job{kind: changes, names: []string{"v"}, undo: func() { undone.Add(1) },
				run: func(context.Context) error { time.Sleep(time.Second); return test.err }})
			cancel()
			require.NoError(t, w.do(t.Context(), job{sees: []string{"v"}, run: sleeping(0)}))
			require.Zero(t, undone.Load(), "case %d", i)
		}
		require.NoError(t, w.close(time.Second, func() {}))
	})
}

func TestSlotsAndNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(3)
		start := time.Now()
		var inside, most, inV atomic.Int32
		results := make(chan error)
		for i := range 12 {
			names := []string{fmt.Sprint("v", i)}
			if i%4 == 0 { // three of one volume, in both orders
				names = []string{"v", fmt.Sprint("w", i%8)}
				if i == 8 {
					slices.Reverse(names)
				}
			}
			go func() {
				results <- w.do(t.Context(), job{kind: changes, names: names, run: func(context.Context) error {
					if i%4 == 0 {
						require.Equal(t, int32(1), inV.Add(1), "one at a time")
						defer inV.Add(-1)
					}
					most.Store(max(most.Load(), inside.Add(1)))
					time.Sleep(time.Second)
					inside.Add(-1)
					return nil
				}})
			}()
		}
		for range 12 {
			require.NoError(t, <-results)
		}
		require.Equal(t, int32(3), most.Load())
		require.LessOrEqual(t, time.Since(start), 6*time.Second)
		require.Empty(t, w.names, "nothing is remembered")
		require.Empty(t, w.abandoned)

		// Who gives up waiting has changed nothing.
		go func() { results <- w.do(t.Context(), job{names: []string{"v"}, run: sleeping(time.Minute)}) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := w.do(ctx, job{kind: changes, names: []string{"a", "v"}, run: func(context.Context) error { t.Error("ran"); return nil }})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, storage.ErrUnknownOutcome)
		require.NoError(t, w.do(t.Context(), job{names: []string{"a"}, run: sleeping(0)}), "its names are free")
		require.NoError(t, <-results)
		require.NoError(t, w.close(time.Second, func() {}))
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorkers(1)
		result := make(chan error, 3)
		go func() {
			result <- w.do(t.Context(), job{kind: changes, names: []string{"v"}, run: func(ctx context.Context) error {
				time.Sleep(time.Minute)
				return ctx.Err() // a job of several steps stops between them
			}})
		}()
		synctest.Wait()
		go func() { result <- w.do(t.Context(), job{names: []string{"v"}, run: sleeping(0)}) }()
		go func() { result <- w.do(t.Context(), job{run: sleeping(0)}) }()
		require.NoError(t, w.background(func(ctx context.Context) { <-ctx.Done() }))
		synctest.Wait()
		var ended atomic.Bool
		start := time.Now()
		require.ErrorContains(t, w.close(5*time.Second, func() { ended.Store(true) }), "still inside librados")
		require.Equal(t, 5*time.Second, time.Since(start))
		require.False(t, ended.Load())
		for range 3 {
			require.ErrorIs(t, <-result, ErrClosed)
		}
		synctest.Wait()
		require.True(t, ended.Load(), "later, with the last call")
		require.NoError(t, w.close(0, func() { t.Error("twice") }))
		require.ErrorIs(t, w.do(t.Context(), job{run: sleeping(0)}), ErrClosed)
		require.ErrorIs(t, w.background(nil), ErrClosed)
	})
}
