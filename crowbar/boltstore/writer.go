package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"

	bolt "go.etcd.io/bbolt"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/internal/history"
)

// What one commit takes at most, so that the first of many does not wait for megabytes.
const (
	maxBatch      = 256
	maxBatchBytes = 4 << 20
)

// A request is one transaction, or, without ops, one fencing token.
type request struct {
	conditions []crowbar.Condition
	ops        []crowbar.Op

	state  atomic.Int32 // queued, taken or withdrawn
	done   chan struct{}
	number int64 // the revision or the token
	err    error
}

const (
	queued int32 = iota
	taken
	withdrawn
)

func (r *request) size() int {
	n := 0
	for _, op := range r.ops {
		n += len(op.Key) + len(op.Value)
	}
	return n
}

// submit hands r to the writer and waits for its outcome.
func (s *Store) submit(ctx context.Context, r *request) error {
	if s.readOnly {
		return fmt.Errorf("%w: %s is open read-only", crowbar.ErrNotDone, s.path)
	}
	r.done = make(chan struct{})
	select {
	case s.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.state.CompareAndSwap(queued, withdrawn) {
			return ctx.Err()
		}
		<-r.done
	}
	return r.err
}

// write commits what is queued until the queue is closed.
func (s *Store) write() {
	defer s.writer.Done()
	for first := range s.queue {
		batch, size := []*request{first}, first.size()
	fill:
		for len(batch) < maxBatch && size < maxBatchBytes {
			select {
			case r, ok := <-s.queue:
				if !ok {
					break fill
				}
				batch, size = append(batch, r), size+r.size()
			default:
				break fill
			}
		}
		s.commitBatch(batch)
	}
}

// errNothing makes bbolt roll back a batch in which nobody wrote.
var errNothing = errors.New("nothing to write")

func (s *Store) commitBatch(batch []*request) {
	defer func() {
		for _, r := range batch {
			close(r.done)
		}
	}()
	if s.failed {
		settle(batch, fmt.Errorf("%w: %w", crowbar.ErrNotDone, ErrFailed))
		return
	}
	var changes []history.Change
	next := s.last
	err := guard(s.path, func() error {
		return s.commit(s.db, func(tx *bolt.Tx) error {
			for _, r := range batch {
				if !r.state.CompareAndSwap(queued, taken) {
					continue
				}
				done, err := r.apply(tx, &next)
				if err != nil {
					return err
				}
				changes = append(changes, done...)
			}
			if next == s.last {
				return errNothing
			}
			if err := putNumber(tx, revisionKey, next.revision); err != nil {
				return err
			}
			return putNumber(tx, tokenKey, next.token)
		})
	})
	switch {
	case err == nil:
		s.last = next
		s.history.Append(changes...)
	case errors.Is(err, errNothing):
	default:
		settle(batch, s.outcome(err))
	}
}

// apply performs r within tx and moves next on. The error is the batch's; a conflict is r's
// own.
func (r *request) apply(tx *bolt.Tx, next *position) ([]history.Change, error) {
	if len(r.ops) == 0 {
		next.token++
		r.number = next.token
		return nil, nil
	}
	if err := holds(tx, r.conditions); err != nil {
		if !errors.Is(err, crowbar.ErrConflict) {
			return nil, err
		}
		r.err = err
		return nil, nil
	}
	next.revision++
	r.number = next.revision
	records := tx.Bucket([]byte(recordsBucket))
	changes := make([]history.Change, 0, len(r.ops))
	for _, op := range r.ops {
		key := []byte(op.Key)
		if op.Value == nil {
			if records.Get(key) == nil {
				continue
			}
			if err := records.Delete(key); err != nil {
				return nil, fmt.Errorf("delete %q: %w", op.Key, err)
			}
			changes = append(changes, history.Change{Key: op.Key, Revision: r.number})
			continue
		}
		raw := make([]byte, 8, 8+len(op.Value))
		binary.BigEndian.PutUint64(raw, uint64(r.number))
		raw = append(raw, op.Value...)
		if err := records.Put(key, raw); err != nil {
			return nil, fmt.Errorf("put %q: %w", op.Key, err)
		}
		changes = append(changes, history.Change{Key: op.Key, Value: raw[8:], Revision: r.number})
	}
	return changes, nil
}

// settle gives every request of a failed batch its error. A conflict may have been with a
// write that did not last, so it is not reported as one.
func settle(batch []*request, err error) {
	for _, r := range batch {
		r.number, r.err = 0, err
	}
}

// outcome tells what a failed commit left behind. bbolt writes the data pages first and then
// flips one meta page; the old position therefore means that nothing was written. The new one
// means that the flip was written but maybe not synced, and a page whose fsync failed may be
// gone from the cache later: nobody can tell any more.
func (s *Store) outcome(cause error) error {
	var panicked *panicError
	if errors.As(cause, &panicked) {
		s.panicked = true
		s.fail(fmt.Errorf("%w: %w", ErrFailed, cause))
		return fmt.Errorf("%w: %w", crowbar.ErrUnknownOutcome, cause)
	}
	var found position
	err := s.view(func(tx *bolt.Tx) error {
		found = readPosition(tx)
		return nil
	})
	if err == nil && found == s.last {
		s.log.Warn("commit failed; nothing was written", "path", s.path, "error", cause)
		return fmt.Errorf("%w: commit to %s: %w", crowbar.ErrNotDone, s.path, cause)
	}
	s.fail(fmt.Errorf("%w: %w", ErrFailed, cause))
	return fmt.Errorf("%w: commit to %s: %w", crowbar.ErrUnknownOutcome, s.path, cause)
}
