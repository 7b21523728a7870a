package crowbar_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/crowbartest"
)

func TestMemoryStore(t *testing.T) {
	crowbartest.RunStore(t, func(*testing.T) crowbartest.Harness {
		return crowbartest.Harness{Open: func() (crowbar.Store, error) { return crowbar.NewMemoryStore(), nil }}
	})
}

func TestMemoryStoreModel(t *testing.T) {
	crowbartest.RunStoreModel(t, func() crowbartest.Harness {
		return crowbartest.Harness{Open: func() (crowbar.Store, error) { return crowbar.NewMemoryStore(), nil }}
	})
}

func TestMemoryStoreLeaseLastsItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := crowbar.NewMemoryStore()
		defer s.Close()
		first, err := s.Lease(t.Context(), "engine", time.Minute)
		require.NoError(t, err)
		time.Sleep(45 * time.Second)
		require.NoError(t, first.Renew(t.Context()))
		time.Sleep(59 * time.Second)
		_, err = s.Lease(t.Context(), "engine", time.Minute)
		require.ErrorIs(t, err, crowbar.ErrLeaseHeld)
		time.Sleep(time.Second)
		_, err = s.Lease(t.Context(), "engine", time.Minute)
		require.NoError(t, err)
		require.ErrorIs(t, first.Renew(t.Context()), crowbar.ErrLeaseHeld)
	})
}

func TestMemoryStoreCompacts(t *testing.T) {
	s := crowbar.NewMemoryStore()
	defer s.Close()
	var last int64
	for i := range 10_050 {
		var err error
		last, err = s.Txn(t.Context(), nil, []crowbar.Op{{Key: "k", Value: []byte(fmt.Sprint(i))}})
		require.NoError(t, err)
	}
	seen := 0
	count := func(crowbar.Change) error {
		seen++
		if seen == 10_000 {
			return errSeen
		}
		return nil
	}
	require.ErrorIs(t, s.Watch(t.Context(), "", last-10_001, count), crowbar.ErrCompacted)
	require.Zero(t, seen, "not even a part of it")
	require.ErrorIs(t, s.Watch(t.Context(), "", last-10_000, count), errSeen)
}

var errSeen = fmt.Errorf("seen")
