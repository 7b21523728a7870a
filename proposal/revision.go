package proposal

import (
	"context"
	"fmt"
	"time"
)

// A Revision is one saved state of a proposal. Once appended it never changes.
type Revision struct {
	Number   int       `json:"number"`            // from 1, without gaps
	Parent   int       `json:"parent"`            // number of the revision it was made from; 0: the first
	Author   string    `json:"author"`            // who saved it
	Message  string    `json:"message,omitempty"` // why
	Time     time.Time `json:"time"`              // when, UTC
	Hash     string    `json:"hash"`              // Document.Hash
	Document *Document `json:"document"`
}

// A Store keeps the revisions of proposals. MemoryStore is one; proposaltest.RunStore tells
// whether another one keeps to this contract.
//
// All methods may be called concurrently. A context that has ended is returned as its error,
// and then nothing was stored. Revisions are returned complete, with their documents.
type Store interface {
	// Append stores r as the revision after parent (0: as the first) and returns its number,
	// parent+1. It sets what NextRevision sets and fails as NextRevision does. It fails with
	// ErrConflict unless parent is the latest revision: of all that append to one parent,
	// exactly one wins.
	Append(ctx context.Context, k Key, parent int, r Revision) (number int, err error)
	// Get returns the revision of that number, the latest for 0, or ErrNotFound.
	Get(ctx context.Context, k Key, number int) (*Revision, error)
	// List returns revisions with a number below before (0: all), newest first, at most limit
	// (0: no limit). ErrNotFound if the proposal has no revision at all.
	List(ctx context.Context, k Key, before, limit int) ([]Revision, error)
	// Keys returns the proposals of a barclamp ("": of all), sorted by barclamp and name.
	Keys(ctx context.Context, barclamp string) ([]Key, error)
}

// NextRevision returns r as a Store stores it after parent: Number, Parent and Hash are set and
// Time is in UTC; Author, Message and Document stay. It fails with ErrInvalid for a wrong key, a
// negative parent, no document, or one of another barclamp than k's. Every Store calls it, so
// that all keep the same rules.
func NextRevision(k Key, parent int, r Revision) (Revision, error) {
	if err := k.Check(); err != nil {
		return Revision{}, err
	}
	switch {
	case parent < 0:
		return Revision{}, fmt.Errorf("%w: revision of %s: parent %d is negative", ErrInvalid, k, parent)
	case r.Document == nil || r.Document.barclamp == "":
		return Revision{}, fmt.Errorf("%w: revision of %s: no document", ErrInvalid, k)
	case r.Document.barclamp != k.Barclamp:
		return Revision{}, fmt.Errorf("%w: revision of %s: the document is of barclamp %s", ErrInvalid, k, r.Document.barclamp)
	}
	r.Number, r.Parent = parent+1, parent
	r.Hash = r.Document.Hash()
	r.Time = r.Time.UTC()
	return r, nil
}
