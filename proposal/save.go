package proposal

import (
	"context"
	"errors"
	"fmt"
)

// Saved is what came of a save.
type Saved struct {
	Revision *Revision // the newest one
	// Unchanged: the newest revision had the same values already, so none was added.
	Unchanged bool
	// Merged lists the revisions that others had saved since the base and that Revision holds
	// together with the saved document.
	Merged []int
}

// Save stores r.Document, which was made from revision base (0: from none), as the newest
// revision of k. Where others have saved since, both changes are merged, see Merge: of its sides
// base is the revision of that number, ours the newest one and theirs r.Document. So nobody's
// save undoes what he has not seen, and nobody has to try again because somebody was faster.
//
// It fails with *MergeError, which matches ErrConflict, if the changes contradict each other
// and o does not resolve it, and with ErrConflict if base is 0 and the proposal exists; then
// nothing is stored. A base that does not exist is ErrNotFound.
func Save(ctx context.Context, s Store, k Key, base int, r Revision, o *MergeOptions) (*Saved, error) {
	if base == 0 {
		return appended(ctx, s, k, 0, r, nil)
	}
	for seen := 0; ; {
		latest, err := s.Get(ctx, k, 0)
		if err != nil {
			return nil, err
		}
		saved, err := save(ctx, s, k, base, latest, r, o)
		var contradiction *MergeError
		if !errors.Is(err, ErrConflict) || errors.As(err, &contradiction) || latest.Number == seen {
			return saved, err
		}
		seen = latest.Number // somebody saved between reading and appending: merge that, too
	}
}

func save(ctx context.Context, s Store, k Key, base int, latest *Revision, r Revision, o *MergeOptions) (*Saved, error) {
	var merged []int
	if base != latest.Number {
		from, err := s.Get(ctx, k, base)
		if err != nil {
			return nil, err
		}
		if r.Document, err = Merge(from.Document, latest.Document, r.Document, o); err != nil {
			return nil, fmt.Errorf("save %s, made from revision %d, after revision %d: %w", k, base, latest.Number, err)
		}
		for n := base + 1; n <= latest.Number; n++ {
			merged = append(merged, n)
		}
	}
	if r.Document != nil && r.Document.sameValues(latest.Document) {
		return &Saved{Revision: latest, Unchanged: true, Merged: merged}, nil
	}
	return appended(ctx, s, k, latest.Number, r, merged)
}

func appended(ctx context.Context, s Store, k Key, parent int, r Revision, merged []int) (*Saved, error) {
	number, err := s.Append(ctx, k, parent, r)
	if err != nil {
		return nil, err
	}
	stored, err := NextRevision(k, number-1, r)
	if err != nil {
		return nil, err
	}
	return &Saved{Revision: &stored, Merged: merged}, nil
}

// Rollback stores a new revision of k whose document is that of revision to, and returns it
// with what it undoes: the difference from the newest revision before it. r tells author,
// message and time; its Document is not looked at. History stays as it is: a rollback can be
// rolled back. ErrNotFound if there is no such revision.
func Rollback(ctx context.Context, s Store, k Key, to int, r Revision) (*Saved, *Diff, error) {
	target, err := s.Get(ctx, k, to)
	if err != nil {
		return nil, nil, err
	}
	r.Document = target.Document
	if r.Message == "" {
		r.Message = fmt.Sprintf("roll back to revision %d", target.Number)
	}
	for seen := 0; ; {
		latest, err := s.Get(ctx, k, 0)
		if err != nil {
			return nil, nil, err
		}
		undone, err := Compare(latest.Document, target.Document)
		if err != nil {
			return nil, nil, err
		}
		if undone.Empty() {
			return &Saved{Revision: latest, Unchanged: true}, undone, nil
		}
		saved, err := appended(ctx, s, k, latest.Number, r, nil)
		if !errors.Is(err, ErrConflict) || latest.Number == seen {
			return saved, undone, err
		}
		seen = latest.Number
	}
}
