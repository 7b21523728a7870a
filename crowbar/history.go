package crowbar

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// What can be compared beside a revision, which is written as its number.
const (
	RefLatest   = "latest"   // the newest revision; so is ""
	RefApplied  = "applied"  // the revision that was applied last
	RefTemplate = "template" // what the barclamp starts from
)

// ResolveRef returns the document that a revision's number or one of the Ref names stands for.
// ErrNotFound if there is none, with what there is instead.
func (e *Engine) ResolveRef(ctx context.Context, k proposal.Key, ref string) (*proposal.Document, error) {
	number := 0
	switch ref {
	case "", RefLatest:
	case RefApplied:
		if number = e.Status(k).Applied; number == 0 {
			return nil, fmt.Errorf("%w: %s has not been applied yet; compare revisions, or with template", ErrNotFound, k)
		}
	case RefTemplate:
		b, err := e.config.Registry.Get(k.Barclamp)
		if err != nil {
			return nil, fmt.Errorf("%w: no template to compare %s with: %w", ErrNotFound, k, err)
		}
		return e.config.Registry.Schema(k.Barclamp).MarkSecrets(b.Info().Template), nil
	default:
		var err error
		if number, err = strconv.Atoi(ref); err != nil || number < 1 {
			return nil, fmt.Errorf("%w: %q is no revision; give its number, or %s, %s or %s", ErrInvalid, ref, RefLatest, RefApplied, RefTemplate)
		}
	}
	r, err := e.Revision(ctx, k, number)
	if err != nil {
		return nil, err
	}
	return r.Document, nil
}

// Revision returns a revision of a proposal, the newest for 0. ErrNotFound says what there is
// instead.
func (e *Engine) Revision(ctx context.Context, k proposal.Key, number int) (*proposal.Revision, error) {
	r, err := e.proposals.Get(ctx, k, number)
	if !errors.Is(err, proposal.ErrNotFound) {
		return r, err
	}
	return nil, e.noRevision(k, number)
}

func (e *Engine) noRevision(k proposal.Key, number int) error {
	latest := e.LatestRevision(k)
	if latest == 0 {
		return fmt.Errorf("%w: there is no proposal %s; list them: crowbar proposal list", ErrNotFound, k)
	}
	return fmt.Errorf("%w: %s has no revision %d; its newest is %d", ErrNotFound, k, number, latest)
}

// Diff compares two states of a proposal, each named as for ResolveRef.
func (e *Engine) Diff(ctx context.Context, k proposal.Key, from, to string) (*proposal.Diff, error) {
	b, err := e.ResolveRef(ctx, k, to)
	if err != nil {
		return nil, err
	}
	a, err := e.ResolveRef(ctx, k, from)
	if err != nil {
		return nil, err
	}
	return proposal.Compare(a, b)
}

// A HistoryEntry is a revision without its document and, in one line, what it changed. Hash is
// empty where the document has secrets: whoever knows the rest could try passwords against it.
type HistoryEntry struct {
	Revision proposal.Revision
	Summary  string
}

// History lists revisions numbered below before (0: all), newest first, at most limit. It reads
// one revision more, since what one changed is told by its parent, and holds two at a time.
func (e *Engine) History(ctx context.Context, k proposal.Key, before, limit int) ([]HistoryEntry, error) {
	number := e.LatestRevision(k)
	if number == 0 {
		return nil, e.noRevision(k, 0)
	}
	if before > 0 {
		number = min(number, before-1)
	}
	entries := []HistoryEntry{}
	if number < 1 || limit < 1 {
		return entries, nil
	}
	r, err := e.proposals.Get(ctx, k, number)
	for ; err == nil && len(entries) < limit; number-- {
		entry := HistoryEntry{Revision: *r, Summary: "first revision"}
		entry.Revision.Document = nil
		if len(r.Document.Secrets()) > 0 {
			entry.Revision.Hash = ""
		}
		if number == 1 {
			return append(entries, entry), nil
		}
		parent, err := e.proposals.Get(ctx, k, number-1)
		if err != nil {
			return nil, err
		}
		if entry.Summary, err = proposal.Summarize(parent.Document, r.Document); err != nil {
			return nil, err
		}
		entries, r = append(entries, entry), parent
	}
	return entries, err
}

// Rollback saves a new revision that equals an earlier one and tells what it undoes.
func (e *Engine) Rollback(ctx context.Context, k proposal.Key, to int, author, message string) (*proposal.Saved, *proposal.Diff, error) {
	if to < 1 {
		return nil, nil, fmt.Errorf("%w: roll %s back to which revision? give its number; list them: crowbar proposal history %s %s", ErrInvalid, k, k.Barclamp, k.Name)
	}
	if _, err := e.Revision(ctx, k, to); err != nil {
		return nil, nil, err
	}
	return proposal.Rollback(ctx, e.proposals, k, to, e.revision(nil, author, message))
}

// A MergeRequest asks for changes that were made to an earlier revision to be made to the newest.
type MergeRequest struct {
	SaveProposal
	// Revision has the changes, if Document is nil.
	Revision int
}

// PreviewMerge tells what Merge would change in the newest revision, and stores nothing.
func (e *Engine) PreviewMerge(ctx context.Context, m MergeRequest) (*proposal.Diff, error) {
	_, d, _, err := e.merge(ctx, m)
	return d, err
}

// Merge makes the changes from revision Base to a document or revision to the newest one, too.
// Base may be any revision, so this undoes one (Base is it, Revision its parent) or makes it
// again (the other way round).
func (e *Engine) Merge(ctx context.Context, m MergeRequest) (*proposal.Saved, *proposal.Diff, error) {
	merged, d, latest, err := e.merge(ctx, m)
	if err != nil {
		return nil, nil, err
	}
	saved, err := proposal.Save(ctx, e.proposals, m.Key, latest, e.revision(merged, m.Author, m.Message), nil)
	return saved, d, err
}

// merge returns the merged document, and what differs from the newest revision and its number.
func (e *Engine) merge(ctx context.Context, m MergeRequest) (merged *proposal.Document, d *proposal.Diff, latest int, err error) {
	newest, err := e.Revision(ctx, m.Key, 0)
	if err != nil {
		return nil, nil, 0, err
	}
	if m.Base < 1 {
		return nil, nil, 0, fmt.Errorf("%w: which revision of %s was it made from? give its number: --base N; list them: crowbar proposal history %s %s", ErrInvalid, m.Key, m.Key.Barclamp, m.Key.Name)
	}
	base, err := e.Revision(ctx, m.Key, m.Base)
	if err != nil {
		return nil, nil, 0, err
	}
	doc, err := e.theirs(ctx, m)
	if err != nil {
		return nil, nil, 0, err
	}
	if merged, err = proposal.Merge(base.Document, newest.Document, doc, &proposal.MergeOptions{Resolve: m.Resolve}); err != nil {
		return nil, nil, 0, fmt.Errorf("merge into revision %d of %s what was made from revision %d: %w", newest.Number, m.Key, base.Number, err)
	}
	merged = e.config.Registry.Schema(m.Key.Barclamp).MarkSecrets(merged)
	d, err = proposal.Compare(newest.Document, merged)
	return merged, d, newest.Number, err
}

func (e *Engine) theirs(ctx context.Context, m MergeRequest) (*proposal.Document, error) {
	if m.Document != nil {
		return e.withSecrets(ctx, m.SaveProposal, m.Base)
	}
	r, err := e.Revision(ctx, m.Key, m.Revision)
	if err != nil {
		return nil, err
	}
	return r.Document, nil
}
