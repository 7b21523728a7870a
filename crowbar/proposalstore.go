package crowbar

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// A proposalStore keeps revisions in the engine's store: each an immutable record of its own
// under proposals/<barclamp>/<name>/<number>, and for each proposal one record that says which
// number is the latest. Only the latter are held in memory, so that neither opening a store nor
// saving depends on how many revisions there are.
type proposalStore struct {
	operator OperatorWriter
	registry *barclamp.Registry // knows which attributes are secrets
	sealer   proposal.Sealer    // nil: secrets are stored as they are
	heads    *table[*proposalHead]
}

// A proposalHead points to the latest revision. It moves in the transaction that writes it.
type proposalHead struct {
	Proposal proposal.Key `json:"proposal"`
	Latest   int          `json:"latest"`
}

var _ proposal.Store = (*proposalStore)(nil)

func newProposalStore(w OperatorWriter, registry *barclamp.Registry, sealer proposal.Sealer) *proposalStore {
	return &proposalStore{operator: w, registry: registry, sealer: sealer, heads: newTable[*proposalHead](headPrefix)}
}

// load reads the heads.
func (s *proposalStore) load(ctx context.Context, records []Record) error {
	if len(records) == 0 {
		old, err := s.operator.ledger.store.List(ctx, proposalPrefix)
		if err != nil {
			return fmt.Errorf("crowbar: read the store: %w", err)
		}
		if len(old.Records) > 0 {
			return fmt.Errorf("%w: there are revisions, from %s on, and no %s* that says which is the latest; restore a copy of the store", ErrDamaged, old.Records[0].Key, headPrefix)
		}
	}
	if err := s.heads.load(records); err != nil {
		return err
	}
	for _, h := range s.heads.list() {
		if _, revision := s.heads.get(h.Proposal.String()); revision == 0 || h.Latest < 1 {
			return fmt.Errorf("%w: record %s%s names revision %d as the latest", ErrDamaged, headPrefix, h.Proposal, h.Latest)
		}
	}
	return nil
}

// Append implements proposal.Store.
func (s *proposalStore) Append(ctx context.Context, k proposal.Key, parent int, r proposal.Revision) (int, error) {
	r, err := proposal.NextRevision(k, parent, r)
	if err != nil {
		return 0, err
	}
	head, headRevision := s.heads.get(k.String())
	if headRevision == 0 {
		head = &proposalHead{}
	}
	if head.Latest != parent {
		return 0, fmt.Errorf("append to %s after revision %d: %w: the latest is %d", k, parent, proposal.ErrConflict, head.Latest)
	}
	record, err := s.encode(ctx, r)
	if err != nil {
		return 0, fmt.Errorf("crowbar: save revision %d of %s: %w", r.Number, k, err)
	}
	c := &change{}
	key := revisionKey(k, r.Number)
	// The record comes first: should the outcome be unknown, its attempt tells whose it is.
	c.conditions = append(c.conditions, Condition{Key: key})
	c.ops = append(c.ops, Op{Key: key, Value: record})
	put(c, s.heads, k.String(), &proposalHead{Proposal: k, Latest: r.Number}, headRevision)
	message := fmt.Sprintf("revision %d of %s was saved", r.Number, k)
	if r.Message != "" {
		message += ": " + r.Message
	}
	c.tell(r.Author, "proposal.saved", k.String(), message)
	if err := s.operator.commit(ctx, c); errors.Is(err, ErrConflict) {
		return 0, fmt.Errorf("append to %s after revision %d: %w: somebody was faster", k, parent, proposal.ErrConflict)
	} else if err != nil {
		return 0, fmt.Errorf("crowbar: save revision %d of %s: %w", r.Number, k, err)
	}
	return r.Number, nil
}

// number of the latest revision; 0 if there is none.
func (s *proposalStore) number(k proposal.Key) int {
	head, revision := s.heads.get(k.String())
	if revision == 0 {
		return 0
	}
	return head.Latest
}

// Get implements proposal.Store.
func (s *proposalStore) Get(ctx context.Context, k proposal.Key, number int) (*proposal.Revision, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	latest := s.number(k)
	if latest == 0 {
		return nil, fmt.Errorf("proposal %s: %w", k, proposal.ErrNotFound)
	}
	if number == 0 {
		number = latest
	}
	if number < 1 || number > latest {
		return nil, fmt.Errorf("revision %d of %s: %w", number, k, proposal.ErrNotFound)
	}
	return s.read(ctx, k, number)
}

// List implements proposal.Store.
func (s *proposalStore) List(ctx context.Context, k proposal.Key, before, limit int) ([]proposal.Revision, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	from := s.number(k)
	if from == 0 {
		return nil, fmt.Errorf("proposal %s: %w", k, proposal.ErrNotFound)
	}
	if before > 0 {
		from = min(from, before-1)
	}
	var page []proposal.Revision
	for n := from; n >= 1 && (limit <= 0 || len(page) < limit); n-- {
		r, err := s.read(ctx, k, n)
		if err != nil {
			return nil, err
		}
		page = append(page, *r)
	}
	return page, nil
}

// Keys implements proposal.Store.
func (s *proposalStore) Keys(ctx context.Context, barclamp string) ([]proposal.Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var keys []proposal.Key
	for _, h := range s.heads.list() {
		if barclamp == "" || h.Proposal.Barclamp == barclamp {
			keys = append(keys, h.Proposal)
		}
	}
	slices.SortFunc(keys, func(a, b proposal.Key) int {
		return cmp.Or(strings.Compare(a.Barclamp, b.Barclamp), strings.Compare(a.Name, b.Name))
	})
	return keys, nil
}
