package crowbartest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar"
)

// errEnough ends a Watch that has seen what it was to see.
var errEnough = errors.New("seen enough")

// receive waits for what must come.
func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came in "+patience.String(), "waiting for %s", what)
		panic("unreachable")
	}
}

// together runs fn n times at once and returns when all are done.
func together(n int, fn func(i int)) {
	var wait sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wait.Go(func() {
			<-start
			fn(i)
		})
	}
	close(start)
	wait.Wait()
}

func contention(t *testing.T, h Harness) {
	s := open(t, h)
	for round := range 10 {
		key := fmt.Sprint("grant/", round)
		var won, lost atomic.Int32
		together(16, func(i int) {
			_, err := s.Txn(t.Context(), []crowbar.Condition{{Key: key}}, []crowbar.Op{{Key: key, Value: []byte{byte(i)}}})
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, crowbar.ErrConflict):
				lost.Add(1)
			}
		})
		require.EqualValues(t, 1, won.Load(), "winners")
		require.EqualValues(t, 15, lost.Load(), "losers, each with ErrConflict")
	}
}

// increment adds one to the number at key by compare-and-set.
func increment(ctx context.Context, s crowbar.Store, key string) (int64, error) {
	for {
		record, err := s.Get(ctx, key)
		if err != nil && !errors.Is(err, crowbar.ErrNotFound) {
			return 0, err
		}
		n, _ := strconv.Atoi(string(record.Value))
		revision, err := s.Txn(ctx, []crowbar.Condition{{Key: key, Revision: record.Revision}},
			[]crowbar.Op{{Key: key, Value: []byte(strconv.Itoa(n + 1))}})
		if !errors.Is(err, crowbar.ErrConflict) {
			return revision, err
		}
	}
}

func counters(t *testing.T, h Harness) {
	s := open(t, h)
	const writers, each = 8, 20
	var mu sync.Mutex
	revisions := map[int64]bool{}
	together(writers, func(i int) {
		for range each {
			revision, err := increment(t.Context(), s, fmt.Sprint("counter/", i%2))
			if err != nil {
				t.Errorf("increment: %v", err)
				return
			}
			mu.Lock()
			revisions[revision] = true
			mu.Unlock()
		}
	})
	require.Len(t, revisions, writers*each, "each transaction has a revision of its own")
	for i := range 2 {
		record, err := s.Get(t.Context(), fmt.Sprint("counter/", i))
		require.NoError(t, err)
		require.Equal(t, strconv.Itoa(writers*each/2), string(record.Value))
	}
}

func consistentList(t *testing.T, h Harness) {
	s := open(t, h)
	write := func(i int) error {
		value := []byte(strconv.Itoa(i))
		_, err := s.Txn(t.Context(), nil, []crowbar.Op{{Key: "pair/a", Value: value}, {Key: "pair/b", Value: value}})
		return err
	}
	require.NoError(t, write(0))
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			if err := write(i); err != nil {
				done <- err
				return
			}
		}
	}()
	for range 100 {
		listing, err := s.List(t.Context(), "pair/")
		require.NoError(t, err)
		require.Len(t, listing.Records, 2)
		a, b := listing.Records[0], listing.Records[1]
		require.Equal(t, string(a.Value), string(b.Value), "both of one transaction")
		require.Equal(t, a.Revision, b.Revision)
		require.GreaterOrEqual(t, listing.Revision, a.Revision)
	}
	close(stop)
	require.NoError(t, receive(t, done, "the writer"))
}

// collect watches until it has n changes.
func collect(ctx context.Context, s crowbar.Store, prefix string, after int64, n int) ([]crowbar.Change, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var changes []crowbar.Change
	err := s.Watch(ctx, prefix, after, func(c crowbar.Change) error {
		changes = append(changes, c)
		if len(changes) == n {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		err = nil
	}
	return changes, err
}

func watches(t *testing.T, h Harness) {
	s := open(t, h)
	ctx := t.Context()
	first := put(t, s, "n/a", "1")
	put(t, s, "other", "x")
	second, err := s.Txn(ctx, nil, []crowbar.Op{
		{Key: "n/b", Value: []byte("2")}, {Key: "n/a", Value: []byte{}}, {Key: "n/absent"}, {Key: "o", Value: []byte("y")},
	})
	require.NoError(t, err)
	_, err = s.Txn(ctx, []crowbar.Condition{{Key: "n/a"}}, []crowbar.Op{{Key: "n/a", Value: []byte("never")}})
	require.ErrorIs(t, err, crowbar.ErrConflict)
	third, err := s.Txn(ctx, nil, []crowbar.Op{{Key: "n/a"}})
	require.NoError(t, err)
	last := put(t, s, "n/z", "end")

	got, err := collect(ctx, s, "n/", 0, 5)
	require.NoError(t, err)
	// Within one transaction the order is the store's.
	if got[1].Key == "n/a" {
		got[1], got[2] = got[2], got[1]
	}
	require.Empty(t, cmp.Diff([]crowbar.Change{
		{Key: "n/a", Value: []byte("1"), Revision: first},
		{Key: "n/b", Value: []byte("2"), Revision: second},
		{Key: "n/a", Value: []byte{}, Revision: second},
		{Key: "n/a", Value: nil, Revision: third},
		{Key: "n/z", Value: []byte("end"), Revision: last},
	}, got))
}

func watchesAfter(t *testing.T, h Harness) {
	s := open(t, h)
	ctx := t.Context()
	var revisions []int64
	for i := range 5 {
		revisions = append(revisions, put(t, s, fmt.Sprint("k", i), "v"))
	}
	for i := range 4 {
		got, err := collect(ctx, s, "", revisions[i], 4-i)
		require.NoError(t, err)
		require.Equal(t, fmt.Sprint("k", i+1), got[0].Key)
		require.Equal(t, revisions[i+1], got[0].Revision)
	}
}

func watchesWriters(t *testing.T, h Harness) {
	s := open(t, h)
	ctx := t.Context()
	const writers, each, watchers = 6, 30, 3
	empty, err := s.List(ctx, "")
	require.NoError(t, err)

	type result struct {
		changes []crowbar.Change
		err     error
	}
	results := make(chan result, watchers)
	for range watchers {
		go func() {
			changes, err := collect(ctx, s, "w/", empty.Revision, writers*each)
			results <- result{changes, err}
		}()
	}
	var mu sync.Mutex
	wrote := map[int64]string{}
	together(writers, func(i int) {
		for n := range each {
			value := fmt.Sprint(i, "/", n)
			revision, err := s.Txn(ctx, nil, []crowbar.Op{{Key: fmt.Sprint("w/", i), Value: []byte(value)}})
			if err != nil {
				t.Errorf("put: %v", err)
				return
			}
			mu.Lock()
			wrote[revision] = value
			mu.Unlock()
		}
	})
	for range watchers {
		r := receive(t, results, "a watcher")
		require.NoError(t, r.err)
		last := int64(0)
		saw := map[int64]string{}
		for _, c := range r.changes {
			require.Greater(t, c.Revision, last, "in order")
			last = c.Revision
			saw[c.Revision] = string(c.Value)
		}
		require.Empty(t, cmp.Diff(wrote, saw))
	}
}

func slowWatcher(t *testing.T, h Harness) {
	s := open(t, h)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first := put(t, s, "k", "first")
	entered, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	last := make(chan string, 1)
	go func() {
		stuck := false
		done <- s.Watch(ctx, "", first-1, func(c crowbar.Change) error {
			if !stuck {
				stuck = true
				close(entered)
				<-release
			}
			if string(c.Value) == "last" {
				last <- "last"
				return errEnough
			}
			return nil
		})
	}()
	receive(t, entered, "the watch")
	for i := range 300 {
		put(t, s, "k", strconv.Itoa(i))
	}
	put(t, s, "k", "last")
	close(release)
	require.Equal(t, errEnough, receive(t, done, "the slow watcher to catch up"))
	require.Equal(t, "last", <-last)
}

func watchEnds(t *testing.T, h Harness) {
	s := open(t, h)
	put(t, s, "k", "v")
	own := errors.New("own")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := s.Watch(ctx, "", 0, func(crowbar.Change) error { return own })
	require.Equal(t, own, err, "as it is")

	seen, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.Watch(ctx, "", 0, func(crowbar.Change) error {
			close(seen)
			return nil
		})
	}()
	receive(t, seen, "the watch")
	cancel()
	require.ErrorIs(t, receive(t, done, "the watch to end"), context.Canceled)
}

// takeLease takes a lease that comes free.
func takeLease(t *testing.T, s crowbar.Store, name string, ttl time.Duration) crowbar.Lease {
	t.Helper()
	for deadline := time.Now().Add(patience); ; {
		lease, err := s.Lease(t.Context(), name, ttl)
		if err == nil {
			return lease
		}
		require.ErrorIs(t, err, crowbar.ErrLeaseHeld)
		require.Less(t, time.Now(), deadline, "the lease never came free")
		time.Sleep(5 * time.Millisecond) // an expiry cannot be waited for otherwise
	}
}

func leases(t *testing.T, h Harness) {
	s := open(t, h)
	ctx := t.Context()
	var mu sync.Mutex
	var held []crowbar.Lease
	together(8, func(int) {
		lease, err := s.Lease(ctx, "engine", time.Hour)
		if err == nil {
			mu.Lock()
			held = append(held, lease)
			mu.Unlock()
		} else if !errors.Is(err, crowbar.ErrLeaseHeld) {
			t.Errorf("lease: %v", err)
		}
	})
	require.Len(t, held, 1, "holders at once")
	first := held[0]
	require.NoError(t, first.Renew(ctx))
	other, err := s.Lease(ctx, "another", time.Hour)
	require.NoError(t, err, "leases of other names are independent")
	require.NoError(t, other.Release(ctx))

	require.NoError(t, first.Release(ctx))
	second, err := s.Lease(ctx, "engine", time.Hour)
	require.NoError(t, err)
	require.Greater(t, second.Token(), first.Token())
	require.ErrorIs(t, first.Renew(ctx), crowbar.ErrLeaseHeld)
	require.NoError(t, first.Release(ctx), "releasing a lost lease does nothing")
	require.NoError(t, second.Renew(ctx))

	for _, bad := range []struct {
		name string
		ttl  time.Duration
	}{{"", time.Hour}, {"x", 0}, {"x", -time.Second}} {
		_, err := s.Lease(ctx, bad.name, bad.ttl)
		require.ErrorIs(t, err, crowbar.ErrLimit)
	}
	listing, err := s.List(ctx, "")
	require.NoError(t, err)
	require.Empty(t, listing.Records, "leases are no records")
}

func leaseExpires(t *testing.T, h Harness) {
	s := open(t, h)
	first, err := s.Lease(t.Context(), "engine", time.Millisecond)
	require.NoError(t, err)
	second := takeLease(t, s, "engine", time.Hour)
	require.Greater(t, second.Token(), first.Token())
	require.ErrorIs(t, first.Renew(t.Context()), crowbar.ErrLeaseHeld)
	require.NoError(t, first.Release(t.Context()))
	require.NoError(t, second.Renew(t.Context()), "the late release of the first did not touch the second")
}
