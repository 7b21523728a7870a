// Package boltstore is a crowbar.Store in one bbolt file, for one process on one machine.
// It is the engine's default.
//
// One goroutine writes. While it waits for the disk, transactions queue; it then commits all
// of them with one fsync, each with a success or conflict of its own. A lone writer waits for
// nobody, and 64 writers share few fsyncs.
//
//	store, err := boltstore.Open("/var/lib/crowbar/store.db", nil)
//	if err != nil {
//		return err
//	}
//	defer store.Close()
//
// The file holds the records with the revision that wrote each, the last revision, the last
// fencing token and a format version. The changes behind Watch are kept in memory only (the
// last 10,000, or 64 MiB): after Open, Watch works from the present revision on, and an
// earlier one gets crowbar.ErrCompacted.
//
// # Errors
//
// Open returns an error for errors.Is: ErrLocked, ErrNewerFormat, ErrDamaged, or what the
// file system said, always with the path and the remedy. The methods return what
// crowbar.Store says. A full disk is crowbar.ErrNotDone, and the store works again once there
// is room. If the disk fails so late in a commit that its outcome cannot be told, the
// transactions get crowbar.ErrUnknownOutcome and the store stops: every later call returns
// ErrFailed, for memory and disk may now disagree.
//
// # Concurrency
//
// All methods may be called concurrently. Close waits for running calls, so it must not be
// called from a Watch's function. A Txn whose context ends while it queues is withdrawn and
// wrote nothing; once its commit has begun it waits for the outcome instead of guessing.
package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/internal/history"
	"github.com/crowbarkit/crowbarkit/crowbar/internal/lease"
)

// ErrFailed is what every call returns after a commit whose outcome is unknown. Open the
// store again: what the disk holds is then the truth.
var ErrFailed = errors.New("boltstore: stopped after a failed commit; open the store again")

// A Store is open from Open to Close.
type Store struct {
	path     string
	file     *os.File
	db       *bolt.DB
	readOnly bool
	log      *slog.Logger
	history  *history.Log
	leases   *lease.Table

	queue  chan *request
	writer sync.WaitGroup

	mu    sync.RWMutex
	calls sync.WaitGroup // grows only under mu, while ended is nil
	ended error          // ErrClosed or why the store failed

	// The writer goroutine's own.
	last     position
	failed   bool
	panicked bool // inside bbolt, whose locks may now be held for ever
	commit   func(*bolt.DB, func(*bolt.Tx) error) error
}

var _ crowbar.Store = (*Store)(nil)

// A position is how far the store has come; every commit moves one of the two.
type position struct{ revision, token int64 }

// The buckets and the keys of metaBucket. A record's value is its revision, 8 bytes big
// endian, followed by the value that was put.
const (
	recordsBucket = "records"
	metaBucket    = "meta"

	formatKey   = "format"
	revisionKey = "revision"
	tokenKey    = "token"
)

// begin starts a call, which ends with s.calls.Done.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.ended != nil {
		return s.ended
	}
	s.calls.Add(1)
	return nil
}

// Get returns one record, or crowbar.ErrNotFound.
func (s *Store) Get(ctx context.Context, key string) (crowbar.Record, error) {
	if err := s.begin(ctx); err != nil {
		return crowbar.Record{}, err
	}
	defer s.calls.Done()
	if err := crowbar.CheckKey(key); err != nil {
		return crowbar.Record{}, err
	}
	record := crowbar.Record{Key: key}
	err := s.view(func(tx *bolt.Tx) error {
		revision, value, err := read(tx, key)
		if err != nil {
			return err
		}
		if revision == 0 {
			return fmt.Errorf("get %q: %w", key, crowbar.ErrNotFound)
		}
		record.Revision, record.Value = revision, cloneValue(value)
		return nil
	})
	if err != nil {
		return crowbar.Record{}, err
	}
	return record, nil
}

// List returns the records under prefix as they were at one revision.
func (s *Store) List(ctx context.Context, prefix string) (crowbar.Listing, error) {
	if err := s.begin(ctx); err != nil {
		return crowbar.Listing{}, err
	}
	defer s.calls.Done()
	var listing crowbar.Listing
	err := s.view(func(tx *bolt.Tx) error {
		listing.Revision = number(tx, revisionKey)
		cursor := tx.Bucket([]byte(recordsBucket)).Cursor()
		for k, v := cursor.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = cursor.Next() {
			revision, value, err := split(k, v)
			if err != nil {
				return err
			}
			if len(listing.Records)%256 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			listing.Records = append(listing.Records, crowbar.Record{Key: string(k), Value: cloneValue(value), Revision: revision})
		}
		return nil
	})
	if err != nil {
		return crowbar.Listing{}, err
	}
	return listing, nil
}

// Txn performs all ops at one new revision if every condition holds.
func (s *Store) Txn(ctx context.Context, conditions []crowbar.Condition, ops []crowbar.Op) (int64, error) {
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.calls.Done()
	if err := crowbar.CheckTxn(conditions, ops); err != nil {
		return 0, err
	}
	if len(ops) == 0 {
		var revision int64
		err := s.view(func(tx *bolt.Tx) error {
			revision = number(tx, revisionKey)
			return holds(tx, conditions)
		})
		if err != nil {
			return 0, err
		}
		return revision, nil
	}
	r := &request{conditions: conditions, ops: ops}
	if err := s.submit(ctx, r); err != nil {
		return 0, err
	}
	return r.number, nil
}

// Watch calls changed for each change under prefix after a revision. A watcher that falls
// more than the kept history behind gets crowbar.ErrCompacted.
func (s *Store) Watch(ctx context.Context, prefix string, after int64, changed func(crowbar.Change) error) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.calls.Done()
	return s.history.Watch(ctx, prefix, after, func(c history.Change) error { return changed(crowbar.Change(c)) })
}

// Lease takes the named lease, which lives in this process: it ends when the process does.
// Its token is on disk before Lease returns.
func (s *Store) Lease(ctx context.Context, name string, ttl time.Duration) (crowbar.Lease, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	if err := crowbar.CheckLease(name, ttl); err != nil {
		return nil, err
	}
	l, err := s.leases.Take(name, ttl, func() (int64, error) {
		r := &request{}
		err := s.submit(ctx, r)
		return r.number, err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Close ends every Watch, waits for all running calls and closes the file.
func (s *Store) Close() error {
	s.mu.Lock()
	ended := s.ended
	s.ended = crowbar.ErrClosed
	s.mu.Unlock()
	if errors.Is(ended, crowbar.ErrClosed) {
		return crowbar.ErrClosed
	}
	s.history.End(crowbar.ErrClosed)
	s.leases.End(crowbar.ErrClosed)
	s.calls.Wait()
	close(s.queue)
	s.writer.Wait()
	closeFile := s.db.Close
	if s.panicked {
		unlock(s.file)
		closeFile = s.file.Close
	}
	if err := closeFile(); err != nil {
		return fmt.Errorf("close %s: %w", s.path, err)
	}
	s.log.Info("store closed", "path", s.path)
	return nil
}

// fail stops the store for good. Only the writer calls it.
func (s *Store) fail(err error) {
	s.failed = true
	s.mu.Lock()
	if s.ended == nil {
		s.ended = err
	}
	s.mu.Unlock()
	s.history.End(err)
	s.leases.End(err)
	s.log.Error("store stopped", "path", s.path, "error", err)
}

// view runs fn on a state of the store that does not change meanwhile.
func (s *Store) view(fn func(*bolt.Tx) error) error {
	return guard(s.path, func() error { return s.db.View(fn) })
}

// guard turns what bbolt does on a damaged file, a panic or a fault in its memory map, into
// an error.
func guard(path string, fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{path: path, value: r}
		}
	}()
	return fn()
}

// A panicError is ErrDamaged found the hard way.
type panicError struct {
	path  string
	value any
}

func (e *panicError) Error() string {
	return fmt.Sprintf("%s: %v: %v", e.path, ErrDamaged, e.value)
}

func (e *panicError) Unwrap() error { return ErrDamaged }

// read returns a record, or revision 0 if there is none. The value is valid within tx.
func read(tx *bolt.Tx, key string) (revision int64, value []byte, err error) {
	raw := tx.Bucket([]byte(recordsBucket)).Get([]byte(key))
	if raw == nil {
		return 0, nil, nil
	}
	return split([]byte(key), raw)
}

func split(key, raw []byte) (revision int64, value []byte, err error) {
	if len(raw) < 8 {
		return 0, nil, fmt.Errorf("record %q without a revision: %w", key, ErrDamaged)
	}
	return int64(binary.BigEndian.Uint64(raw)), raw[8:], nil
}

// cloneValue keeps an empty value apart from none.
func cloneValue(value []byte) []byte { return append(make([]byte, 0, len(value)), value...) }

// holds returns crowbar.ErrConflict for the first condition that does not hold.
func holds(tx *bolt.Tx, conditions []crowbar.Condition) error {
	for _, c := range conditions {
		at, _, err := read(tx, c.Key)
		if err != nil {
			return err
		}
		if at != c.Revision {
			return fmt.Errorf("%q is at revision %d, not %d: %w", c.Key, at, c.Revision, crowbar.ErrConflict)
		}
	}
	return nil
}

// number reads a counter of metaBucket, 0 if it was never written.
func number(tx *bolt.Tx, key string) int64 {
	raw := tx.Bucket([]byte(metaBucket)).Get([]byte(key))
	if len(raw) != 8 {
		return 0
	}
	return int64(binary.BigEndian.Uint64(raw))
}

func putNumber(tx *bolt.Tx, key string, n int64) error {
	return tx.Bucket([]byte(metaBucket)).Put([]byte(key), binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func readPosition(tx *bolt.Tx) position {
	return position{revision: number(tx, revisionKey), token: number(tx, tokenKey)}
}
