package crowbar

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/crowbar/internal/history"
	"github.com/crowbarkit/crowbarkit/crowbar/internal/lease"
)

// NewMemoryStore returns a Store that forgets everything when it is closed: for tests, and
// for whoever embeds the engine without a disk. Leases run on real time.
func NewMemoryStore() Store {
	return &memoryStore{
		records: map[string]Record{},
		history: history.New(history.Config{Compacted: ErrCompacted}),
		leases:  lease.NewTable(time.Now, ErrLeaseHeld),
	}
}

type memoryStore struct {
	history *history.Log
	leases  *lease.Table
	watches sync.WaitGroup

	mu       sync.RWMutex
	closed   bool
	revision int64
	token    int64
	keys     []string          // sorted
	records  map[string]Record // their values are never changed in place
}

var _ Store = (*memoryStore)(nil)

// open returns why a call cannot start. The caller holds mu.
func (s *memoryStore) open(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed {
		return ErrClosed
	}
	return nil
}

func (s *memoryStore) Get(ctx context.Context, key string) (Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.open(ctx); err != nil {
		return Record{}, err
	}
	if err := CheckKey(key); err != nil {
		return Record{}, err
	}
	r, ok := s.records[key]
	if !ok {
		return Record{}, fmt.Errorf("get %q: %w", key, ErrNotFound)
	}
	r.Value = bytes.Clone(r.Value)
	return r, nil
}

func (s *memoryStore) List(ctx context.Context, prefix string) (Listing, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.open(ctx); err != nil {
		return Listing{}, err
	}
	listing := Listing{Revision: s.revision}
	first, _ := slices.BinarySearch(s.keys, prefix)
	for _, key := range s.keys[first:] {
		if !strings.HasPrefix(key, prefix) {
			break
		}
		r := s.records[key]
		r.Value = bytes.Clone(r.Value)
		listing.Records = append(listing.Records, r)
	}
	return listing, nil
}

func (s *memoryStore) Txn(ctx context.Context, conditions []Condition, ops []Op) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return 0, err
	}
	if err := CheckTxn(conditions, ops); err != nil {
		return 0, err
	}
	for _, c := range conditions {
		if at := s.records[c.Key].Revision; at != c.Revision {
			return 0, fmt.Errorf("%q is at revision %d, not %d: %w", c.Key, at, c.Revision, ErrConflict)
		}
	}
	if len(ops) == 0 {
		return s.revision, nil
	}
	s.revision++
	var changes []history.Change
	for _, op := range ops {
		i, found := slices.BinarySearch(s.keys, op.Key)
		value := bytes.Clone(op.Value)
		switch {
		case value == nil && !found:
			continue
		case value == nil:
			delete(s.records, op.Key)
			s.keys = slices.Delete(s.keys, i, i+1)
		default:
			s.records[op.Key] = Record{Key: op.Key, Value: value, Revision: s.revision}
			if !found {
				s.keys = slices.Insert(s.keys, i, op.Key)
			}
		}
		changes = append(changes, history.Change{Key: op.Key, Value: value, Revision: s.revision})
	}
	s.history.Append(changes...)
	return s.revision, nil
}

func (s *memoryStore) Watch(ctx context.Context, prefix string, after int64, changed func(Change) error) error {
	s.mu.RLock()
	err := s.open(ctx)
	if err == nil {
		s.watches.Add(1)
		defer s.watches.Done()
	}
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	return s.history.Watch(ctx, prefix, after, func(c history.Change) error { return changed(Change(c)) })
}

func (s *memoryStore) Lease(ctx context.Context, name string, ttl time.Duration) (Lease, error) {
	if err := CheckLease(name, ttl); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	l, err := s.leases.Take(name, ttl, func() (int64, error) {
		s.token++
		return s.token, nil
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (s *memoryStore) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	s.history.End(ErrClosed)
	s.leases.End(ErrClosed)
	s.watches.Wait()
	return nil
}
