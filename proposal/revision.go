package proposal

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// A Revision is one saved state of a proposal. Once appended it never changes.
type Revision struct {
	Number   int       `json:"number"`            // from 1, without gaps
	Parent   int       `json:"parent"`            // number of the revision it was made from; 0: the first
	Author   string    `json:"author"`            // who saved it
	Message  string    `json:"message,omitempty"` // why
	Time     time.Time `json:"time"`              // when, UTC
	Hash     string    `json:"hash,omitempty"`    // Document.Hash
	Document *Document `json:"document"`
}

// MarshalJSON writes the fields, the document as Document.MarshalJSON does, and no hash if the
// document has secrets: whoever knows the rest of it could try passwords until the hash fits. A
// structure that embeds a Revision needs a MarshalJSON of its own.
func (r Revision) MarshalJSON() ([]byte, error) {
	if r.Document != nil && len(r.Document.secrets) > 0 {
		r.Hash = ""
	}
	type fields Revision
	return json.Marshal(fields(r))
}

// Format prints key, number and author, "nova/default revision 3 by ada", for every verb: neither
// the document nor its hash, see MarshalJSON.
func (r Revision) Format(f fmt.State, _ rune) {
	if r.Document != nil {
		_, _ = io.WriteString(f, r.Document.String()+" ")
	}
	_, _ = fmt.Fprintf(f, "revision %d by %s", r.Number, r.Author)
}

// LogValue is the proposal's key with number and author: package log/slog would write the
// document and its hash.
func (r Revision) LogValue() slog.Value {
	attributes := []slog.Attr{slog.Int("number", r.Number), slog.String("author", r.Author)}
	if r.Document != nil {
		attributes = append(attributes, slog.Any("document", r.Document.LogValue()))
	}
	return slog.GroupValue(attributes...)
}

var (
	_ slog.LogValuer = Revision{}
	_ fmt.Formatter  = Revision{}
	_ json.Marshaler = Revision{}
)

// A Store keeps the revisions of proposals. MemoryStore is one; proposaltest.RunStore tells
// whether another one keeps to this contract.
//
// All methods may be called concurrently. A context that has ended is returned as its error,
// and then nothing was stored. Revisions are returned complete, with their documents byte for
// byte as they were appended, and are the caller's to change.
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
