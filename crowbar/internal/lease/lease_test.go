package lease_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/internal/lease"
)

var errHeld = errors.New("held")

func token(n int64, err error) func() (int64, error) {
	return func() (int64, error) { return n, err }
}

func TestFailedTokenLeavesTheFormerHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := lease.NewTable(time.Now, errHeld)
		broken := errors.New("disk full")
		_, err := table.Take("engine", time.Minute, token(0, broken))
		require.ErrorIs(t, err, broken)
		first, err := table.Take("engine", time.Minute, token(1, nil))
		require.NoError(t, err, "the failed one does not hold it")
		time.Sleep(time.Minute)
		_, err = table.Take("engine", time.Minute, token(0, broken))
		require.ErrorIs(t, err, broken)
		require.NoError(t, first.Renew(t.Context()), "expired, and nobody took it")
		require.EqualValues(t, 1, first.Token())
	})
}

func TestHeldWhileItsTokenIsMade(t *testing.T) {
	table := lease.NewTable(time.Now, errHeld)
	l, err := table.Take("engine", time.Minute, func() (int64, error) {
		_, err := table.Take("engine", time.Minute, token(1, nil))
		require.ErrorIs(t, err, errHeld)
		return 2, nil
	})
	require.NoError(t, err)
	require.NoError(t, l.Release(t.Context()))
	require.ErrorIs(t, l.Renew(t.Context()), errHeld)
}
