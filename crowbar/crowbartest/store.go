// Package crowbartest proves a crowbar.Store and breaks one on purpose.
//
// RunStore is the conformance suite; each of its subtests is one rule of the contract:
//
//	func TestStore(t *testing.T) {
//		crowbartest.RunStore(t, func(t *testing.T) crowbartest.Harness {
//			path := filepath.Join(t.TempDir(), "store.db")
//			return crowbartest.Harness{
//				Open:       func() (crowbar.Store, error) { return boltstore.Open(path, nil) },
//				Persistent: true,
//			}
//		})
//	}
//
// FaultStore makes the n-th transaction fail before or after it took effect, for those who
// must show that they survive it.
package crowbartest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar"
)

// A Harness is one world of records, empty at first.
type Harness struct {
	// Open opens the world, also again after the Store it returned was closed.
	Open func() (crowbar.Store, error)
	// Persistent says that records, revisions and lease tokens are there when the world is
	// opened again. A Store that forgets is empty then.
	Persistent bool
}

// patience is how long the suite waits for what must happen.
const patience = 10 * time.Second

// RunStore runs the conformance suite. It asks for a new Harness for each rule.
func RunStore(t *testing.T, harness func(t *testing.T) Harness) {
	rules := []struct {
		name string
		run  func(t *testing.T, h Harness)
	}{
		{"an absent record is not found", absent},
		{"what was put is read with its revision", putAndGet},
		{"a delete removes and an empty value does not", deletes},
		{"revisions grow", revisionsGrow},
		{"a list is in key order and by prefix", lists},
		{"a failed condition writes nothing", conflicts},
		{"a transaction without ops checks", checks},
		{"slices are copies", copies},
		{"limits are enforced by name", limits},
		{"a cancelled context writes nothing", cancelled},
		{"of many contenders one wins", contention},
		{"counters lose no update", counters},
		{"a list is at one revision", consistentList},
		{"a watch shows each change once and in order", watches},
		{"a watch starts after a revision", watchesAfter},
		{"a watch shows what concurrent writers wrote", watchesWriters},
		{"a slow watcher blocks nobody", slowWatcher},
		{"a watch ends with its context or its function", watchEnds},
		{"a lease excludes others until released", leases},
		{"a lease expires and its token is fenced", leaseExpires},
		{"a closed store says so", closed},
		{"records outlive the process", persists},
	}
	for _, rule := range rules {
		t.Run(strings.ReplaceAll(rule.name, " ", "_"), func(t *testing.T) { rule.run(t, harness(t)) })
	}
}

// open opens the world of h for the rest of the test.
func open(t *testing.T, h Harness) crowbar.Store {
	t.Helper()
	s, err := h.Open()
	require.NoError(t, err, "open")
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func put(t *testing.T, s crowbar.Store, key, value string) int64 {
	t.Helper()
	revision, err := s.Txn(t.Context(), nil, []crowbar.Op{{Key: key, Value: []byte(value)}})
	require.NoError(t, err, "put %q", key)
	return revision
}

func absent(t *testing.T, h Harness) {
	s := open(t, h)
	_, err := s.Get(t.Context(), "nodes/none")
	require.ErrorIs(t, err, crowbar.ErrNotFound)
	listing, err := s.List(t.Context(), "nodes/")
	require.NoError(t, err)
	require.Empty(t, listing.Records)
	_, err = s.Txn(t.Context(), nil, []crowbar.Op{{Key: "nodes/none"}})
	require.NoError(t, err, "deleting an absent key does nothing")
	_, err = s.Get(t.Context(), "nodes/none")
	require.ErrorIs(t, err, crowbar.ErrNotFound)
}

func putAndGet(t *testing.T, h Harness) {
	s := open(t, h)
	revision, err := s.Txn(t.Context(), nil, []crowbar.Op{
		{Key: "a", Value: []byte("1")}, {Key: "grüße/\x01", Value: []byte("\x00\xff")},
	})
	require.NoError(t, err)
	later := put(t, s, "b", "2")
	for key, want := range map[string]crowbar.Record{
		"a":          {Key: "a", Value: []byte("1"), Revision: revision},
		"grüße/\x01": {Key: "grüße/\x01", Value: []byte("\x00\xff"), Revision: revision},
		"b":          {Key: "b", Value: []byte("2"), Revision: later},
	} {
		got, err := s.Get(t.Context(), key)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(want, got))
	}
}

func deletes(t *testing.T, h Harness) {
	s := open(t, h)
	put(t, s, "kept", "")
	put(t, s, "gone", "x")
	deleted, err := s.Txn(t.Context(), nil, []crowbar.Op{{Key: "gone", Value: nil}, {Key: "kept", Value: []byte{}}})
	require.NoError(t, err)
	_, err = s.Get(t.Context(), "gone")
	require.ErrorIs(t, err, crowbar.ErrNotFound)
	kept, err := s.Get(t.Context(), "kept")
	require.NoError(t, err)
	require.Equal(t, deleted, kept.Revision)
	require.NotNil(t, kept.Value, "an empty value is a value")
	require.Empty(t, kept.Value)
	_, err = s.Txn(t.Context(), []crowbar.Condition{{Key: "gone"}}, []crowbar.Op{{Key: "gone", Value: []byte("back")}})
	require.NoError(t, err, "revision 0 holds again after a delete")
}

func revisionsGrow(t *testing.T, h Harness) {
	s := open(t, h)
	empty, err := s.List(t.Context(), "")
	require.NoError(t, err)
	last := empty.Revision
	for i := range 10 {
		revision := put(t, s, fmt.Sprint("k", i%2), "same")
		require.Greater(t, revision, last)
		last = revision
	}
	listing, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Equal(t, last, listing.Revision)
	present, err := s.Txn(t.Context(), nil, nil)
	require.NoError(t, err)
	require.Equal(t, last, present)
}

func lists(t *testing.T, h Harness) {
	s := open(t, h)
	for _, key := range []string{"b/2", "a", "b", "b/10", "b/\xc3\xbf", "c", "b0"} {
		put(t, s, key, "v "+key)
	}
	for prefix, want := range map[string][]string{
		"b/":      {"b/10", "b/2", "b/\xc3\xbf"},
		"b":       {"b", "b/10", "b/2", "b/\xc3\xbf", "b0"},
		"":        {"a", "b", "b/10", "b/2", "b/\xc3\xbf", "b0", "c"},
		"nothing": nil,
	} {
		listing, err := s.List(t.Context(), prefix)
		require.NoError(t, err)
		var got []string
		for _, r := range listing.Records {
			got = append(got, r.Key)
			require.Equal(t, "v "+r.Key, string(r.Value))
		}
		require.Equal(t, want, got, "prefix %q", prefix)
	}
}

func conflicts(t *testing.T, h Harness) {
	s := open(t, h)
	first := put(t, s, "a", "1")
	second := put(t, s, "a", "2")
	for name, conditions := range map[string][]crowbar.Condition{
		"old revision":        {{Key: "a", Revision: first}},
		"present, not absent": {{Key: "a"}},
		"absent, not present": {{Key: "b", Revision: first}},
		"future revision":     {{Key: "a", Revision: second + 1}},
		"one of two":          {{Key: "a", Revision: second}, {Key: "b", Revision: 1}},
	} {
		_, err := s.Txn(t.Context(), conditions, []crowbar.Op{
			{Key: "a"}, {Key: "new", Value: []byte("x")},
		})
		require.ErrorIs(t, err, crowbar.ErrConflict, name)
		require.NotErrorIs(t, err, crowbar.ErrUnknownOutcome, name)
	}
	listing, err := s.List(t.Context(), "")
	require.NoError(t, err)
	want := crowbar.Listing{Revision: second, Records: []crowbar.Record{{Key: "a", Value: []byte("2"), Revision: second}}}
	require.Empty(t, cmp.Diff(want, listing))
	_, err = s.Txn(t.Context(), []crowbar.Condition{{Key: "a", Revision: second}, {Key: "b"}}, []crowbar.Op{{Key: "c", Value: []byte("3")}})
	require.NoError(t, err, "conditions may name other keys than ops")
}

func checks(t *testing.T, h Harness) {
	s := open(t, h)
	revision := put(t, s, "a", "1")
	got, err := s.Txn(t.Context(), []crowbar.Condition{{Key: "a", Revision: revision}, {Key: "b"}}, nil)
	require.NoError(t, err)
	require.Equal(t, revision, got)
	_, err = s.Txn(t.Context(), []crowbar.Condition{{Key: "b", Revision: revision}}, nil)
	require.ErrorIs(t, err, crowbar.ErrConflict)
}

func copies(t *testing.T, h Harness) {
	s := open(t, h)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	value := []byte("value")
	_, err := s.Txn(ctx, nil, []crowbar.Op{{Key: "a", Value: value}})
	require.NoError(t, err)
	spoil := func(b []byte) {
		for i := range b {
			b[i] = '!'
		}
	}
	spoil(value)
	for range 2 {
		got, err := s.Get(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, "value", string(got.Value))
		spoil(got.Value)
		listing, err := s.List(ctx, "")
		require.NoError(t, err)
		require.Equal(t, "value", string(listing.Records[0].Value))
		spoil(listing.Records[0].Value)
		err = s.Watch(ctx, "", 0, func(c crowbar.Change) error {
			require.Equal(t, "value", string(c.Value))
			spoil(c.Value)
			return errEnough
		})
		require.ErrorIs(t, err, errEnough)
	}
}

func limits(t *testing.T, h Harness) {
	s := open(t, h)
	op := func(key string, size int) crowbar.Op { return crowbar.Op{Key: key, Value: make([]byte, size)} }
	var many, most []crowbar.Op
	for i := range crowbar.MaxTxnOps {
		many = append(many, op(fmt.Sprintf("n/%03d", i), 1))
	}
	for i := range 3 {
		most = append(most, op(fmt.Sprint("m", i), crowbar.MaxValue))
	}
	for name, c := range map[string]struct {
		conditions []crowbar.Condition
		ops        []crowbar.Op
		says       string
	}{
		"ops":                 {[]crowbar.Condition{{Key: "a"}}, many, "101 conditions and operations"},
		"bytes":               {nil, most, "bytes in one transaction"},
		"value":               {nil, []crowbar.Op{op("a", crowbar.MaxValue+1)}, "value of"},
		"key":                 {nil, []crowbar.Op{op(strings.Repeat("k", crowbar.MaxKey+1), 1)}, "key"},
		"empty key":           {nil, []crowbar.Op{op("", 1)}, "empty key"},
		"NUL in key":          {nil, []crowbar.Op{op("a\x00", 1)}, "NUL"},
		"bad UTF-8":           {nil, []crowbar.Op{op("a\xff", 1)}, "UTF-8"},
		"key twice":           {nil, []crowbar.Op{op("a", 1), {Key: "a"}}, "two operations"},
		"condition twice":     {[]crowbar.Condition{{Key: "a"}, {Key: "a", Revision: 1}}, nil, "two conditions"},
		"condition's bad key": {[]crowbar.Condition{{Key: ""}}, nil, "empty key"},
	} {
		_, err := s.Txn(t.Context(), c.conditions, c.ops)
		require.ErrorIs(t, err, crowbar.ErrLimit, name)
		require.ErrorContains(t, err, c.says, name)
	}
	_, err := s.Get(t.Context(), "")
	require.ErrorIs(t, err, crowbar.ErrLimit)
	listing, err := s.List(t.Context(), "")
	require.NoError(t, err)
	require.Empty(t, listing.Records)

	_, err = s.Txn(t.Context(), nil, many)
	require.NoError(t, err, "exactly as many ops as allowed")
	largest := op(strings.Repeat("k", crowbar.MaxKey), crowbar.MaxValue)
	_, err = s.Txn(t.Context(), nil, []crowbar.Op{largest})
	require.NoError(t, err, "the largest key and value")
}

func cancelled(t *testing.T, h Harness) {
	s := open(t, h)
	put(t, s, "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Get(ctx, "a")
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.List(ctx, "")
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Lease(ctx, "l", time.Hour)
	require.ErrorIs(t, err, context.Canceled)
	err = s.Watch(ctx, "", 0, func(crowbar.Change) error { return errEnough })
	require.ErrorIs(t, err, context.Canceled)
	_, err = s.Txn(ctx, nil, []crowbar.Op{{Key: "a", Value: []byte("2")}})
	require.ErrorIs(t, err, context.Canceled)
	got, err := s.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "1", string(got.Value))
}

func closed(t *testing.T, h Harness) {
	s := open(t, h)
	revision := put(t, s, "a", "1")
	lease, err := s.Lease(t.Context(), "l", time.Hour)
	require.NoError(t, err)
	watching, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- s.Watch(t.Context(), "", revision-1, func(crowbar.Change) error {
			close(watching)
			return nil
		})
	}()
	receive(t, watching, "the watch")
	require.NoError(t, s.Close())
	require.ErrorIs(t, receive(t, done, "the watch to end"), crowbar.ErrClosed)

	_, err = s.Get(t.Context(), "a")
	require.ErrorIs(t, err, crowbar.ErrClosed)
	_, err = s.List(t.Context(), "")
	require.ErrorIs(t, err, crowbar.ErrClosed)
	_, err = s.Txn(t.Context(), nil, []crowbar.Op{{Key: "a"}})
	require.ErrorIs(t, err, crowbar.ErrClosed)
	err = s.Watch(t.Context(), "", 0, func(crowbar.Change) error { return nil })
	require.ErrorIs(t, err, crowbar.ErrClosed)
	_, err = s.Lease(t.Context(), "l", time.Hour)
	require.ErrorIs(t, err, crowbar.ErrClosed)
	require.ErrorIs(t, lease.Renew(t.Context()), crowbar.ErrClosed)
	require.ErrorIs(t, s.Close(), crowbar.ErrClosed)
}

func persists(t *testing.T, h Harness) {
	s := open(t, h)
	first := put(t, s, "a", "1")
	put(t, s, "b", "2")
	last, err := s.Txn(t.Context(), nil, []crowbar.Op{{Key: "b"}})
	require.NoError(t, err)
	lease, err := s.Lease(t.Context(), "l", time.Hour)
	require.NoError(t, err)
	require.NoError(t, s.Close())

	s = open(t, h)
	listing, err := s.List(t.Context(), "")
	require.NoError(t, err)
	if !h.Persistent {
		require.Empty(t, listing.Records, "a store that is not persistent forgets")
		return
	}
	want := crowbar.Listing{Revision: last, Records: []crowbar.Record{{Key: "a", Value: []byte("1"), Revision: first}}}
	require.Empty(t, cmp.Diff(want, listing))
	again := takeLease(t, s, "l", time.Hour)
	require.Greater(t, again.Token(), lease.Token())

	next := put(t, s, "a", "3")
	require.Greater(t, next, last)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = s.Watch(ctx, "", last, func(c crowbar.Change) error {
		require.Empty(t, cmp.Diff(crowbar.Change{Key: "a", Value: []byte("3"), Revision: next}, c))
		return errEnough
	})
	require.ErrorIs(t, err, errEnough, "a watch goes on from the revision at which the store was closed")
	err = s.Watch(ctx, "", first-1, func(c crowbar.Change) error {
		require.Empty(t, cmp.Diff(crowbar.Change{Key: "a", Value: []byte("1"), Revision: first}, c))
		return errEnough
	})
	if err != errEnough { // a store may keep the history; it may not show a part of it
		require.ErrorIs(t, err, crowbar.ErrCompacted)
	}
}
