package eqlx

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Two callers that made the same at once and left: others wait until both have taken it back.
func TestTakingBackTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &Driver{undoing: map[string]chan struct{}{}}
		first, second := make(chan struct{}), make(chan struct{})
		for _, gate := range []chan struct{}{first, second} {
			d.takeBack(t.Context(), func(ctx context.Context) {
				<-gate
				require.NoError(t, d.settled(ctx, "v"), "who takes back does not wait for itself")
			}, "v")
		}
		settled := false
		go func() {
			require.NoError(t, d.settled(t.Context(), "v"))
			settled = true
		}()
		close(second)
		synctest.Wait()
		require.False(t, settled)
		close(first)
		synctest.Wait()
		require.True(t, settled)
		require.Empty(t, d.undoing)
	})
}

// Close waits for the timeout until what cancelled calls made is taken back, and then, without
// sessions, until nobody tries any more.
func TestCloseWaitsForTakingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := New(Config{Address: "192.0.2.1", Password: "x", Timeout: time.Minute})
		require.NoError(t, err)
		gate := make(chan struct{})
		d.takeBack(t.Context(), func(context.Context) { <-gate }, "v")
		begun, closed := time.Now(), false
		go func() {
			require.NoError(t, d.Close())
			closed = true
		}()
		<-d.pool.closing
		require.Equal(t, time.Minute, time.Since(begun))
		synctest.Wait()
		require.False(t, closed)
		close(gate)
		synctest.Wait()
		require.True(t, closed)
	})
}
