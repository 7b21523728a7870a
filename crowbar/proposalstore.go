package crowbar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// A proposalStore keeps revisions in the engine's store: each an immutable record of its own
// under proposals/<barclamp>/<name>/<number>. Only the number of the latest is held in memory.
type proposalStore struct {
	operator OperatorWriter
	mu       sync.RWMutex
	latest   map[proposal.Key]int
}

var _ proposal.Store = (*proposalStore)(nil)

func newProposalStore(w OperatorWriter) *proposalStore {
	return &proposalStore{operator: w, latest: map[proposal.Key]int{}}
}

func revisionKey(k proposal.Key, number int) string {
	return fmt.Sprintf("%s%s/%08d", proposalPrefix, k, number)
}

func (s *proposalStore) load(records []Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.latest)
	for _, r := range records {
		parts := strings.Split(strings.TrimPrefix(r.Key, proposalPrefix), "/")
		if len(parts) != 3 {
			return fmt.Errorf("crowbar: record %s is no revision of a proposal", r.Key)
		}
		number, err := strconv.Atoi(parts[2])
		if err != nil {
			return fmt.Errorf("crowbar: record %s: %w", r.Key, err)
		}
		s.latest[proposal.Key{Barclamp: parts[0], Name: parts[1]}] = number
	}
	return nil
}

// Append implements proposal.Store.
func (s *proposalStore) Append(ctx context.Context, k proposal.Key, parent int, r proposal.Revision) (int, error) {
	r, err := proposal.NextRevision(k, parent, r)
	if err != nil {
		return 0, err
	}
	if latest := s.number(k); latest != parent {
		return 0, fmt.Errorf("append to %s after revision %d: %w: the latest is %d", k, parent, proposal.ErrConflict, latest)
	}
	data, err := json.Marshal(r)
	if err != nil {
		return 0, fmt.Errorf("crowbar: revision %d of %s: %w", r.Number, k, err)
	}
	if len(data) > MaxValue {
		return 0, fmt.Errorf("%w: proposal %s has %d bytes; at most %d can be stored", ErrLimit, k, len(data), MaxValue)
	}
	c := &change{}
	key := revisionKey(k, r.Number)
	c.conditions = append(c.conditions, Condition{Key: key})
	c.ops = append(c.ops, Op{Key: key, Value: data})
	message := fmt.Sprintf("revision %d of %s was saved", r.Number, k)
	if r.Message != "" {
		message += ": " + r.Message
	}
	c.tell(r.Author, "proposal.saved", k.String(), message)
	c.committed = append(c.committed, func(int64) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.latest[k] = r.Number
	})
	if err := s.operator.commit(ctx, c); errors.Is(err, ErrConflict) {
		return 0, fmt.Errorf("append to %s after revision %d: %w: somebody was faster", k, parent, proposal.ErrConflict)
	} else if err != nil {
		return 0, err
	}
	return r.Number, nil
}

func (s *proposalStore) number(k proposal.Key) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.latest[k]
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
	record, err := s.operator.ledger.store.Get(ctx, revisionKey(k, number))
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("revision %d of %s: %w", number, k, proposal.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("crowbar: revision %d of %s: %w", number, k, err)
	}
	var r proposal.Revision
	if err := json.Unmarshal(record.Value, &r); err != nil {
		return nil, fmt.Errorf("crowbar: record %s: %w", record.Key, err)
	}
	return &r, nil
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
		r, err := s.Get(ctx, k, n)
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
	s.mu.RLock()
	defer s.mu.RUnlock()
	var keys []proposal.Key
	for k := range s.latest {
		if barclamp == "" || k.Barclamp == barclamp {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b proposal.Key) int {
		if c := strings.Compare(a.Barclamp, b.Barclamp); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	return keys, nil
}
