package proposal

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// A MemoryStore is a Store that keeps everything in memory.
type MemoryStore struct {
	mu        sync.RWMutex
	revisions map[Key][]Revision // number n at index n-1
}

var _ Store = (*MemoryStore)(nil)

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{revisions: make(map[Key][]Revision)}
}

// Append implements Store.
func (s *MemoryStore) Append(ctx context.Context, k Key, parent int, r Revision) (int, error) {
	r, err := NextRevision(k, parent, r)
	if err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if latest := len(s.revisions[k]); latest != parent {
		return 0, fmt.Errorf("append to %s after revision %d: %w: the latest is %d", k, parent, ErrConflict, latest)
	}
	s.revisions[k] = append(s.revisions[k], r)
	return r.Number, nil
}

// Get implements Store.
func (s *MemoryStore) Get(ctx context.Context, k Key, number int) (*Revision, error) {
	all, err := s.all(ctx, k)
	if err != nil {
		return nil, err
	}
	if number == 0 {
		number = len(all)
	}
	if number < 1 || number > len(all) {
		return nil, fmt.Errorf("revision %d of %s: %w", number, k, ErrNotFound)
	}
	r := all[number-1]
	return &r, nil
}

// List implements Store.
func (s *MemoryStore) List(ctx context.Context, k Key, before, limit int) ([]Revision, error) {
	all, err := s.all(ctx, k)
	if err != nil {
		return nil, err
	}
	end := len(all)
	if before > 0 {
		end = min(end, before-1)
	}
	start := 0
	if limit > 0 {
		start = max(0, end-limit)
	}
	page := slices.Clone(all[start:end])
	slices.Reverse(page)
	return page, nil
}

// all returns the revisions of k: a slice that is only ever appended to.
func (s *MemoryStore) all(ctx context.Context, k Key) ([]Revision, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := s.revisions[k]
	if len(all) == 0 {
		return nil, fmt.Errorf("proposal %s: %w", k, ErrNotFound)
	}
	return all, nil
}

// Keys implements Store.
func (s *MemoryStore) Keys(ctx context.Context, barclamp string) ([]Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	keys := slices.Collect(maps.Keys(s.revisions))
	s.mu.RUnlock()
	keys = slices.DeleteFunc(keys, func(k Key) bool { return barclamp != "" && k.Barclamp != barclamp })
	slices.SortFunc(keys, func(a, b Key) int {
		return cmp.Or(strings.Compare(a.Barclamp, b.Barclamp), strings.Compare(a.Name, b.Name))
	})
	return keys, nil
}
