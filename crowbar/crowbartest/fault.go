package crowbartest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/crowbar"
)

// A Fault is what goes wrong at one transaction.
type Fault int

const (
	// FailBefore: nothing is written, and the caller knows (crowbar.ErrNotDone).
	FailBefore Fault = iota + 1
	// FailAfter: the transaction takes effect, or meets its conflict, and the answer is lost
	// (crowbar.ErrUnknownOutcome).
	FailAfter
	// LoseRequest: nothing is written, and the caller cannot know (crowbar.ErrUnknownOutcome).
	LoseRequest
	// CrashBefore: the process dies before the transaction. This call and all later ones of
	// any kind fail with ErrCrashed; watches end with it.
	CrashBefore
	// CrashAfter: the same, after the transaction took effect.
	CrashAfter
)

// ErrCrashed is what a FaultStore returns from its crash on. What the crashed process wrote
// is in the inner Store.
var ErrCrashed = errors.New("crowbartest: crashed")

// A FaultStore passes everything to another Store except for the faults that were planned.
type FaultStore struct {
	inner crowbar.Store

	mu     sync.Mutex
	count  int
	plan   map[int]Fault
	ctx    context.Context // ends at the crash, and with it the watches
	cancel context.CancelCauseFunc
}

var _ crowbar.Store = (*FaultStore)(nil)

// NewFaultStore wraps inner. plan gives the fault of the n-th call of Txn, counted from 1;
// nil plans none. Calls without ops write nothing and are not counted.
func NewFaultStore(inner crowbar.Store, plan map[int]Fault) *FaultStore {
	s := &FaultStore{inner: inner, plan: map[int]Fault{}}
	for n, fault := range plan {
		s.plan[n] = fault
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	return s
}

// Count is how many transactions were asked for so far.
func (s *FaultStore) Count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// FailNext plans a fault for the next transaction.
func (s *FaultStore) FailNext(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan[s.count+1] = f
}

// Crashed says whether a planned crash has happened.
func (s *FaultStore) Crashed() bool { return s.crashed() != nil }

// crashed returns ErrCrashed after the crash.
func (s *FaultStore) crashed() error { return context.Cause(s.ctx) }

// next counts a transaction and returns its fault.
func (s *FaultStore) next() (n int, f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	return s.count, s.plan[s.count]
}

// Txn does what the plan says.
func (s *FaultStore) Txn(ctx context.Context, conditions []crowbar.Condition, ops []crowbar.Op) (int64, error) {
	if err := s.crashed(); err != nil {
		return 0, err
	}
	if len(ops) == 0 {
		return s.inner.Txn(ctx, conditions, ops)
	}
	n, fault := s.next()
	switch fault {
	case FailBefore:
		return 0, fmt.Errorf("%w (planned, transaction %d)", crowbar.ErrNotDone, n)
	case LoseRequest:
		return 0, fmt.Errorf("%w (planned, transaction %d)", crowbar.ErrUnknownOutcome, n)
	case CrashBefore:
		s.cancel(ErrCrashed)
		return 0, ErrCrashed
	}
	revision, err := s.inner.Txn(ctx, conditions, ops)
	switch fault {
	case FailAfter:
		return 0, fmt.Errorf("%w (planned, transaction %d)", crowbar.ErrUnknownOutcome, n)
	case CrashAfter:
		s.cancel(ErrCrashed)
		return 0, ErrCrashed
	}
	return revision, err
}

// Get passes on.
func (s *FaultStore) Get(ctx context.Context, key string) (crowbar.Record, error) {
	if err := s.crashed(); err != nil {
		return crowbar.Record{}, err
	}
	return s.inner.Get(ctx, key)
}

// List passes on.
func (s *FaultStore) List(ctx context.Context, prefix string) (crowbar.Listing, error) {
	if err := s.crashed(); err != nil {
		return crowbar.Listing{}, err
	}
	return s.inner.List(ctx, prefix)
}

// Watch passes on until the crash.
func (s *FaultStore) Watch(ctx context.Context, prefix string, after int64, changed func(crowbar.Change) error) error {
	if err := s.crashed(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	err := s.inner.Watch(ctx, prefix, after, changed)
	if crash := s.crashed(); crash != nil && errors.Is(err, context.Canceled) {
		return crash
	}
	return err
}

// Lease passes on.
func (s *FaultStore) Lease(ctx context.Context, name string, ttl time.Duration) (crowbar.Lease, error) {
	if err := s.crashed(); err != nil {
		return nil, err
	}
	return s.inner.Lease(ctx, name, ttl)
}

// Close closes the inner Store, unless the process crashed: the world is then left as it is,
// for a new Store to be wrapped around it or opened on it.
func (s *FaultStore) Close() error {
	if err := s.crashed(); err != nil {
		return err
	}
	return s.inner.Close()
}
