package crowbar

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// The key prefixes of the store. Each belongs to one writer.
const (
	settingsKey      = "site"
	factsPrefix      = "facts/"
	rolePrefix       = "roles/" // crowbar-<node>, and <barclamp>-config-<proposal>
	observedPrefix   = "observed/"
	proposalPrefix   = "proposals/"       // <barclamp>/<proposal>/<number>
	headPrefix       = "proposal-heads/"  // <barclamp>/<proposal>
	chunkPrefix      = "proposal-chunks/" // <SHA-256 of what it holds>
	statusPrefix     = "proposal-status/"
	jobPrefix        = "jobs/"
	grantPrefix      = "grants/"
	allocationPrefix = "allocations/"
	tokenPrefix      = "tokens/"
	eventPrefix      = "events/"
)

// The typed writers are the only way to change the store. Crowbar lost updates because server
// and node wrote the same record; here every record has one owner, and a writer refuses a key
// that is not its owner's.
type (
	// NodeWriter writes what nodes say of themselves.
	NodeWriter struct{ ledger *ledger }
	// EngineWriter writes what the engine decides.
	EngineWriter struct{ ledger *ledger }
	// OperatorWriter writes what operators want.
	OperatorWriter struct{ ledger *ledger }
)

func (w NodeWriter) commit(ctx context.Context, c *change) error {
	return w.ledger.commit(ctx, c, factsPrefix)
}

func (w EngineWriter) commit(ctx context.Context, c *change) error {
	return w.ledger.commit(ctx, c, settingsKey, rolePrefix, observedPrefix, statusPrefix,
		jobPrefix, grantPrefix, allocationPrefix, tokenPrefix)
}

func (w OperatorWriter) commit(ctx context.Context, c *change) error {
	return w.ledger.commit(ctx, c, proposalPrefix, headPrefix, chunkPrefix)
}

// A change is a transaction being put together: records with the revisions they must still
// have, the events that tell of it, and what follows once it is written.
type change struct {
	conditions []Condition
	ops        []Op
	events     []Event
	committed  []func(revision int64) // shows the records in the tables
	follows    []func()               // then wakes whoever has to look at them
	err        error                  // the first thing that could not be put together
}

func (c *change) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}

// tell adds an event; the ledger gives it number, time and link.
func (c *change) tell(actor, kind, subject, message string) {
	c.events = append(c.events, Event{Actor: actor, Kind: kind, Subject: subject, Message: message})
}

// after runs once the change is written.
func (c *change) after(f func()) {
	c.follows = append(c.follows, f)
}

// split cuts a change without events into parts of at most n records.
func (c *change) split(n int) []*change {
	var parts []*change
	for from := 0; from < len(c.ops); from += n {
		to := min(from+n, len(c.ops))
		parts = append(parts, &change{conditions: c.conditions[from:to], ops: c.ops[from:to], committed: c.committed[from:to]})
	}
	return parts
}

// A ledger commits changes one after another, so that the events form a chain and the tables
// see the changes in the order of the store.
type ledger struct {
	store Store
	now   func() time.Time

	// reload reads everything anew; for when nobody can tell what the store holds.
	reload func(ctx context.Context) error

	mu    sync.Mutex
	next  chan struct{} // closed by the next change; nil if nobody waits for it
	head  Event
	doubt bool // a write had an unknown outcome that reading could not settle
}

// commit writes a change. ErrConflict: a record changed since it was read, nothing is written.
func (l *ledger) commit(ctx context.Context, c *change, owned ...string) error {
	if c.err != nil {
		return c.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, op := range c.ops {
		if !hasAnyPrefix(op.Key, owned) {
			return fmt.Errorf("crowbar: record %s belongs to another writer", op.Key)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doubt {
		if err := l.reload(ctx); err != nil {
			return fmt.Errorf("%w: the store cannot be read after a write of unknown outcome: %w", ErrNotDone, err)
		}
		l.doubt = false
	}

	head := l.head
	conditions, ops := c.conditions, c.ops
	for _, ev := range c.events {
		ev.Time = l.now().UTC()
		if err := ev.seal(head); err != nil {
			return err
		}
		data, err := json.Marshal(ev)
		if err != nil {
			return fmt.Errorf("crowbar: event: %w", err)
		}
		conditions = append(conditions, Condition{Key: eventKey(ev.Sequence)})
		ops = append(ops, Op{Key: eventKey(ev.Sequence), Value: data})
		head = ev
	}
	revision, err := l.txn(ctx, conditions, ops)
	if err != nil {
		return err
	}
	l.head = head
	for _, f := range c.committed {
		f(revision)
	}
	if l.next != nil {
		close(l.next)
		l.next = nil
	}
	for _, f := range c.follows {
		f()
	}
	return nil
}

// watch returns a channel that the next change closes.
func (l *ledger) watch() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == nil {
		l.next = make(chan struct{})
	}
	return l.next
}

// txn hides an unknown outcome where reading can settle it: every op is conditional on its
// key, so if a value that it puts is there, the transaction took place. Where even reading
// fails, what is in memory is in doubt and read anew before the next change. The commit itself
// is not cancelled: giving up on a write under way would only make its outcome unknown.
func (l *ledger) txn(ctx context.Context, conditions []Condition, ops []Op) (int64, error) {
	ctx = context.WithoutCancel(ctx)
	revision, err := l.store.Txn(ctx, conditions, ops)
	switch {
	case errors.Is(err, ErrConflict):
		// Either a record changed since it was read, or an earlier write landed late.
		_, late := l.store.Get(ctx, eventKey(l.head.Sequence+1))
		l.doubt = late == nil
		return 0, err
	case !errors.Is(err, ErrUnknownOutcome):
		return revision, err
	}
	puts := slices.IndexFunc(ops, func(op Op) bool { return op.Value != nil })
	if puts < 0 {
		l.doubt = true
		return 0, err
	}
	found, readErr := l.store.Get(ctx, ops[puts].Key)
	switch {
	case readErr == nil && bytes.Equal(found.Value, ops[puts].Value):
		return found.Revision, nil
	case readErr == nil || errors.Is(readErr, ErrNotFound):
		return 0, fmt.Errorf("%w (found by reading after: %v)", ErrNotDone, err)
	default:
		l.doubt = true
		return 0, err
	}
}

func hasAnyPrefix(s string, prefixes []string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

// load finds the last event. Events are numbered without gaps, so that it takes few reads
// however many there are.
func (l *ledger) load(ctx context.Context) error {
	var head Event
	read := func(sequence int64) (found bool, err error) {
		record, err := l.store.Get(ctx, eventKey(sequence))
		if errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("crowbar: read the store: %w", err)
		}
		var ev Event
		if err := json.Unmarshal(record.Value, &ev); err != nil {
			return false, fmt.Errorf("crowbar: record %s: %w", record.Key, err)
		}
		head = ev
		return true, nil
	}
	last, none := int64(0), int64(1) // the last one lies between: last exists, none does not
	for {
		found, err := read(none)
		if err != nil {
			return err
		}
		if !found {
			break
		}
		last, none = none, 2*none
	}
	for none-last > 1 {
		middle := last + (none-last)/2
		found, err := read(middle)
		if err != nil {
			return err
		}
		if found {
			last = middle
		} else {
			none = middle
		}
	}
	l.head = head
	return nil
}
