package crowbar

import (
	"context"
	"errors"
	"time"
)

// Limits of every Store, the lowest common ones of the engines behind it (etcd's, with
// room to spare). Longer lists are written as immutable records first; then one pointer flips.
const (
	MaxTxnOps   = 100       // conditions and operations together
	MaxTxnBytes = 1 << 20   // keys and values of one transaction
	MaxValue    = 512 << 10 // one value
	MaxKey      = 1 << 10   // one key
)

// The errors of a Store. They tell apart what a caller must do next: after ErrConflict read
// again and decide anew; after ErrNotDone the write may be repeated as it is; after
// ErrUnknownOutcome only a compare-and-set or an idempotent write may be repeated.
var (
	ErrNotFound       = errors.New("crowbar: not found")
	ErrConflict       = errors.New("crowbar: conflict: the record changed since it was read")
	ErrNotDone        = errors.New("crowbar: not done: nothing was written")
	ErrUnknownOutcome = errors.New("crowbar: unknown outcome: the write may or may not have happened")
	ErrCompacted      = errors.New("crowbar: the history before this revision is gone: list again")
	ErrLimit          = errors.New("crowbar: beyond a limit of the store")
	ErrClosed         = errors.New("crowbar: store closed")
	ErrLeaseHeld      = errors.New("crowbar: lease held by another")
)

// A Store keeps records as bytes under keys, with revisions. It is the same on one machine
// (boltstore) and on many; crowbartest.RunStore proves an implementation.
//
// Every successful Txn gets one revision, greater than all before it. Keys are non-empty
// UTF-8 without NUL, ordered bytewise. All methods may be called concurrently; slices given
// and returned are copies. A cancelled context returns ctx.Err(), before anything is written
// or, where that cannot be told, together with ErrUnknownOutcome.
//
// Only the typed writers of this package call Txn: who owns which record is decided there.
type Store interface {
	// Get returns one record, or ErrNotFound.
	Get(ctx context.Context, key string) (Record, error)
	// List returns all records whose key starts with prefix, in key order, as they were at
	// one revision.
	List(ctx context.Context, prefix string) (Listing, error)
	// Txn performs all ops at one new revision if every condition holds, else nothing and
	// ErrConflict. A key may appear once in ops and once in conditions (else ErrLimit). No ops: the
	// conditions are checked and the present revision is returned.
	Txn(ctx context.Context, conditions []Condition, ops []Op) (revision int64, err error)
	// Watch calls changed for each change of a key under prefix with a revision greater than
	// after, in order and each exactly once, until ctx ends (it then returns ctx.Err()) or
	// changed returns an error (returned as it is). ErrCompacted: List again, watch from the
	// listing's revision. A slow changed never blocks a writer.
	Watch(ctx context.Context, prefix string, after int64, changed func(Change) error) error
	// Lease takes the named lease for ttl, or fails with ErrLeaseHeld. A lease is a hint: what
	// must not happen twice is fenced by its token.
	Lease(ctx context.Context, name string, ttl time.Duration) (Lease, error)
	// Close waits for what runs; later calls fail with ErrClosed.
	Close() error
}

// A Record is a value and the revision that wrote it.
type Record struct {
	Key      string
	Value    []byte
	Revision int64
}

// A Listing is what List saw, and the revision at which it saw it.
type Listing struct {
	Records  []Record
	Revision int64
}

// A Condition holds if the record at Key was last written at Revision; Revision 0 holds if
// there is no such record.
type Condition struct {
	Key      string
	Revision int64
}

// An Op puts Value at Key, or deletes Key if Value is nil. Deleting an absent key does nothing.
type Op struct {
	Key   string
	Value []byte
}

// A Change is one op of one transaction as Watch shows it. Value is nil after a delete.
type Change struct {
	Key      string
	Value    []byte
	Revision int64
}

// A Lease is held until it expires or is released.
type Lease interface {
	// Token is greater than every token given for this name before: the fencing token.
	Token() int64
	// Renew extends the lease by its ttl from now, or fails with ErrLeaseHeld once another has it.
	Renew(ctx context.Context) error
	// Release gives the lease up. Releasing a lost lease does nothing.
	Release(ctx context.Context) error
}
