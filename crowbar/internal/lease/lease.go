// Package lease keeps the leases of a store that lives in one process. A lease dies with
// the process; what must outlive it is the counter behind the tokens, which the store keeps.
package lease

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Table holds leases by name. All methods may be called concurrently.
type Table struct {
	now  func() time.Time
	held error

	mu     sync.Mutex
	leases map[string]*Lease
	ended  error
}

// NewTable returns an empty Table on the given clock. held is the error for a lease that
// another has.
func NewTable(now func() time.Time, held error) *Table {
	return &Table{now: now, held: held, leases: map[string]*Lease{}}
}

// A Lease is crowbar.Lease.
type Lease struct {
	table *Table
	name  string
	ttl   time.Duration
	token int64
	until time.Time // zero while its token is being made
}

// Take grants the lease if it is free. token makes the fencing token; meanwhile the lease
// counts as held, so no two are made for one grant.
func (t *Table) Take(name string, ttl time.Duration, token func() (int64, error)) (*Lease, error) {
	l := &Lease{table: t, name: name, ttl: ttl}
	t.mu.Lock()
	before := t.leases[name]
	if before != nil && (before.until.IsZero() || t.now().Before(before.until)) {
		t.mu.Unlock()
		return nil, fmt.Errorf("lease %q: %w", name, t.held)
	}
	t.leases[name] = l
	t.mu.Unlock()

	n, err := token()

	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		// The former holder, expired but not replaced, may still renew.
		if before == nil {
			delete(t.leases, name)
		} else {
			t.leases[name] = before
		}
		return nil, fmt.Errorf("lease %q: %w", name, err)
	}
	l.token, l.until = n, t.now().Add(ttl)
	return l, nil
}

// End makes every later Renew fail with err.
func (t *Table) End(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = err
}

// Token returns the fencing token.
func (l *Lease) Token() int64 { return l.token }

// Renew extends the lease by its ttl from now, also when it has expired, as long as nobody
// else took it and it was not released.
func (l *Lease) Renew(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := l.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended != nil {
		return t.ended
	}
	if t.leases[l.name] != l {
		return fmt.Errorf("renew lease %q: %w", l.name, t.held)
	}
	l.until = t.now().Add(l.ttl)
	return nil
}

// Release gives the lease up, if it is still held.
func (l *Lease) Release(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := l.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.leases[l.name] == l {
		delete(t.leases, l.name)
	}
	return nil
}
