package crowbartest

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/crowbar"
)

// RunStoreModel drives a Store with random calls and compares it with a map.
// It asks for a new Harness for each sequence.
func RunStoreModel(t *testing.T, harness func() Harness) {
	rapid.Check(t, func(rt *rapid.T) {
		h := harness()
		m := &model{ctx: t.Context(), h: h, records: map[string]crowbar.Record{}}
		var err error
		if m.store, err = h.Open(); err != nil {
			rt.Fatalf("open: %v", err)
		}
		defer func() { _ = m.store.Close() }()
		rt.Repeat(rapid.StateMachineActions(m))
	})
}

// model is what a Store must be equal to.
type model struct {
	ctx      context.Context
	h        Harness
	store    crowbar.Store
	records  map[string]crowbar.Record
	revision int64
	opened   int64 // the revision at which store was opened
	changes  []crowbar.Change
}

var modelKeys = rapid.SampledFrom([]string{"a", "a/", "a/1", "a/2", "a0", "b/1", "ü"})

// Txn tries conditions of which some hold.
func (m *model) Txn(t *rapid.T) {
	conditions := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) crowbar.Condition {
		key := modelKeys.Draw(t, "key")
		revision := m.records[key].Revision
		if rapid.IntRange(0, 4).Draw(t, "wrong") == 0 {
			revision = rapid.Int64Range(0, m.revision+1).Draw(t, "revision")
		}
		return crowbar.Condition{Key: key, Revision: revision}
	}), 0, 3, func(c crowbar.Condition) string { return c.Key }).Draw(t, "conditions")
	ops := rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) crowbar.Op {
		op := crowbar.Op{Key: modelKeys.Draw(t, "key")}
		if rapid.IntRange(0, 2).Draw(t, "delete") > 0 {
			op.Value = append([]byte{}, rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "value")...)
		}
		return op
	}), 0, 4, func(op crowbar.Op) string { return op.Key }).Draw(t, "ops")

	holds := true
	for _, c := range conditions {
		holds = holds && m.records[c.Key].Revision == c.Revision
	}
	revision, err := m.store.Txn(m.ctx, conditions, ops)
	switch {
	case !holds:
		mustBe(t, err, crowbar.ErrConflict)
		return
	case err != nil:
		t.Fatalf("txn: %v", err)
	case len(ops) == 0:
		if revision != m.revision {
			t.Fatalf("present revision %d, want %d", revision, m.revision)
		}
		return
	case revision <= m.revision:
		t.Fatalf("revision %d after %d", revision, m.revision)
	}
	m.revision = revision
	for _, op := range ops {
		_, there := m.records[op.Key]
		switch {
		case op.Value != nil:
			m.records[op.Key] = crowbar.Record{Key: op.Key, Value: op.Value, Revision: revision}
		case !there:
			continue
		default:
			delete(m.records, op.Key)
		}
		m.changes = append(m.changes, crowbar.Change{Key: op.Key, Value: op.Value, Revision: revision})
	}
}

// Get compares one record.
func (m *model) Get(t *rapid.T) {
	key := modelKeys.Draw(t, "key")
	got, err := m.store.Get(m.ctx, key)
	want, there := m.records[key]
	if !there {
		mustBe(t, err, crowbar.ErrNotFound)
		return
	}
	equal(t, want, got, err)
}

// Watch compares the changes after a revision.
func (m *model) Watch(t *rapid.T) {
	after := rapid.Int64Range(m.opened, m.revision).Draw(t, "after")
	prefix := rapid.SampledFrom([]string{"", "a/", "a"}).Draw(t, "prefix")
	var want []crowbar.Change
	for _, c := range m.changes {
		if c.Revision > after && strings.HasPrefix(c.Key, prefix) {
			want = append(want, c)
		}
	}
	if len(want) == 0 {
		return
	}
	got, err := collect(m.ctx, m.store, prefix, after, len(want))
	byRevision := func(changes []crowbar.Change) {
		sort.SliceStable(changes, func(i, j int) bool {
			a, b := changes[i], changes[j]
			return a.Revision < b.Revision || a.Revision == b.Revision && a.Key < b.Key
		})
	}
	for i := 1; i < len(got); i++ {
		if got[i].Revision < got[i-1].Revision {
			t.Fatalf("revision %d after %d", got[i].Revision, got[i-1].Revision)
		}
	}
	byRevision(want)
	byRevision(got)
	equal(t, want, got, err)
}

// Reopen closes and opens the world.
func (m *model) Reopen(t *rapid.T) {
	if !m.h.Persistent {
		t.Skip("forgets")
	}
	if err := m.store.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	store, err := m.h.Open()
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	m.store, m.opened = store, m.revision
}

// Check compares everything after each call.
func (m *model) Check(t *rapid.T) {
	prefix := rapid.SampledFrom([]string{"", "a/", "a", "zz"}).Draw(t, "list")
	want := crowbar.Listing{Revision: m.revision}
	for key, r := range m.records {
		if strings.HasPrefix(key, prefix) {
			want.Records = append(want.Records, r)
		}
	}
	sort.Slice(want.Records, func(i, j int) bool { return want.Records[i].Key < want.Records[j].Key })
	got, err := m.store.List(m.ctx, prefix)
	equal(t, want, got, err)
}

func mustBe(t *rapid.T, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("error %v, want %v", err, target)
	}
}

func equal(t *rapid.T, want, got any, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(fmt.Errorf("unexpected: %w", err))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("the store differs from the model (-model +store):\n%s", diff)
	}
}
