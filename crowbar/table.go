package crowbar

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A table is the engine's picture of all records of one kind, so that reading never touches
// the store. Values are pointers to what is never modified: to change one, clone it, put it.
type table[T any] struct {
	prefix string // of the keys in the store
	mu     sync.RWMutex
	rows   map[string]*row[T]
	ids    []string // sorted; nil after a change of membership
}

type row[T any] struct {
	value    T
	revision int64
	replaced chan struct{} // closed when the row is replaced or removed
}

func newTable[T any](prefix string) *table[T] {
	return &table[T]{prefix: prefix, rows: map[string]*row[T]{}}
}

// get returns the value and its revision; revision 0 says there is none.
func (t *table[T]) get(id string) (value T, revision int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if r, ok := t.rows[id]; ok {
		return r.value, r.revision
	}
	return value, 0
}

// watch is get with a channel that closes at the value's next change. The row must exist
// (revision != 0) for the channel to be non-nil.
func (t *table[T]) watch(id string) (value T, revision int64, replaced <-chan struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if r, ok := t.rows[id]; ok {
		return r.value, r.revision, r.replaced
	}
	return value, 0, nil
}

// list returns the values in the order of their ids.
func (t *table[T]) list() []T {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ids == nil {
		t.ids = make([]string, 0, len(t.rows))
		for id := range t.rows {
			t.ids = append(t.ids, id)
		}
		slices.Sort(t.ids)
	}
	values := make([]T, len(t.ids))
	for i, id := range t.ids {
		values[i] = t.rows[id].value
	}
	return values
}

func (t *table[T]) set(id string, value T, revision int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old, ok := t.rows[id]
	if ok {
		close(old.replaced)
	} else {
		t.ids = nil
	}
	t.rows[id] = &row[T]{value: value, revision: revision, replaced: make(chan struct{})}
}

func (t *table[T]) remove(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.rows[id]; ok {
		close(old.replaced)
		delete(t.rows, id)
		t.ids = nil
	}
}

// load makes the table hold the store's records under its prefix and no others.
func (t *table[T]) load(records []Record) error {
	return t.loadAs(records, func(data []byte) (value T, err error) {
		err = json.Unmarshal(data, &value)
		return value, err
	})
}

// loadAs is load for values that are not whole in their records.
func (t *table[T]) loadAs(records []Record, decode func(data []byte) (T, error)) error {
	stored := map[string]bool{}
	for _, r := range records {
		id := strings.TrimPrefix(r.Key, t.prefix)
		stored[id] = true
		if _, revision := t.get(id); revision == r.Revision {
			continue
		}
		value, err := decode(r.Value)
		if err != nil {
			return fmt.Errorf("crowbar: record %s: %w", r.Key, err)
		}
		t.set(id, value, r.Revision)
	}
	var gone []string
	t.each(func(id string, _ T) {
		if !stored[id] {
			gone = append(gone, id)
		}
	})
	for _, id := range gone {
		t.remove(id)
	}
	return nil
}

// put adds a record to a change: it is written if it is still at the given revision (0: does
// not exist yet), and shows in the table once the change is committed.
func put[T any](c *change, t *table[T], id string, value T, revision int64) {
	data, err := json.Marshal(value)
	if err != nil {
		c.fail(fmt.Errorf("crowbar: record %s%s: %w", t.prefix, id, err))
		return
	}
	c.conditions = append(c.conditions, Condition{Key: t.prefix + id, Revision: revision})
	c.ops = append(c.ops, Op{Key: t.prefix + id, Value: data})
	c.committed = append(c.committed, func(revision int64) { t.set(id, value, revision) })
}

// drop adds the removal of a record to a change.
func drop[T any](c *change, t *table[T], id string, revision int64) {
	c.conditions = append(c.conditions, Condition{Key: t.prefix + id, Revision: revision})
	c.ops = append(c.ops, Op{Key: t.prefix + id})
	c.committed = append(c.committed, func(int64) { t.remove(id) })
}

// dropAll adds the removal of all records that match to a change.
func dropAll[T any](c *change, t *table[T], match func(T) bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, r := range t.rows {
		if match(r.value) {
			drop(c, t, id, r.revision)
		}
	}
}

// each calls f for every row, in no order; f must not use the table.
func (t *table[T]) each(f func(id string, value T)) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for id, r := range t.rows {
		f(id, r.value)
	}
}
