package crowbar_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/boltstore"
	"github.com/crowbarkit/crowbarkit/crowbar/crowbartest"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/proposal/proposaltest"
)

// open opens an engine that knows no barclamp.
func open(t testing.TB, store crowbar.Store, sealer proposal.Sealer) *crowbar.Engine {
	t.Helper()
	e, err := crowbar.New(context.Background(), crowbar.Config{Store: store, Registry: &barclamp.Registry{}, Sealer: sealer})
	require.NoError(t, err)
	return e
}

func boltStore(t testing.TB) crowbar.Store {
	t.Helper()
	store, err := boltstore.Open(filepath.Join(t.TempDir(), "crowbar.db"), &boltstore.Options{NoSync: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// TestProposalStore: the engine's store of revisions keeps the same rules as any other, on each
// store that it may lie in.
func TestProposalStore(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) proposal.Store{
		"memory": func(t *testing.T) proposal.Store { return open(t, crowbar.NewMemoryStore(), nil).Proposals() },
		"bolt":   func(t *testing.T) proposal.Store { return open(t, boltStore(t), nil).Proposals() },
		"sealed": secretStore,
	} {
		t.Run(name, func(t *testing.T) { proposaltest.RunStore(t, open) })
	}
}

// TestProposalStoreModel: it does what it should whatever goes wrong where it lies.
func TestProposalStoreModel(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) proposal.Store{
		"bolt": func(t *testing.T) proposal.Store { return open(t, boltStore(t), nil).Proposals() },
		"failing": func(t *testing.T) proposal.Store {
			return insistent{open(t, crowbartest.NewFaultStore(crowbar.NewMemoryStore(), someFaults()), nil).Proposals()}
		},
		"opened again and again": func(t *testing.T) proposal.Store {
			store := crowbar.NewMemoryStore()
			return &reopened{open: func() proposal.Store { return open(t, store, nil).Proposals() }}
		},
	} {
		t.Run(name, func(t *testing.T) { proposaltest.RunStoreModel(t, open) })
	}
}

// someFaults breaks about half of all transactions but the first, which makes the site, in
// every way that leaves the process alive.
func someFaults() map[int]crowbartest.Fault {
	faults := []crowbartest.Fault{crowbartest.FailBefore, crowbartest.FailAfter, crowbartest.LoseRequest}
	plan := map[int]crowbartest.Fault{}
	for n := range 2000 {
		if i := rand.IntN(6); i < len(faults) {
			plan[n+2] = faults[i]
		}
	}
	return plan
}

// insistent repeats what was not done, as who is told so may: should it have been done after
// all, the repetition is a conflict that no rule of the contract allows.
type insistent struct{ proposal.Store }

func (s insistent) Append(ctx context.Context, k proposal.Key, parent int, r proposal.Revision) (int, error) {
	for {
		n, err := s.Store.Append(ctx, k, parent, r)
		if !errors.Is(err, crowbar.ErrNotDone) {
			return n, err
		}
	}
}

// reopened has a new engine for every few calls.
type reopened struct {
	open func() proposal.Store

	mu    sync.Mutex
	calls int
	store proposal.Store
}

func (s *reopened) next() proposal.Store {
	if s.calls%3 == 0 {
		s.store = s.open()
	}
	s.calls++
	return s.store
}

func (s *reopened) Append(ctx context.Context, k proposal.Key, parent int, r proposal.Revision) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next().Append(ctx, k, parent, r)
}

func (s *reopened) Get(ctx context.Context, k proposal.Key, number int) (*proposal.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next().Get(ctx, k, number)
}

func (s *reopened) List(ctx context.Context, k proposal.Key, before, limit int) ([]proposal.Revision, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next().List(ctx, k, before, limit)
}

func (s *reopened) Keys(ctx context.Context, barclamp string) ([]proposal.Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next().Keys(ctx, barclamp)
}

var ceph = proposal.Key{Barclamp: "ceph", Name: "default"}

func revisionOf(d *proposal.Document, message string) proposal.Revision {
	return proposal.Revision{Author: "tester", Message: message, Time: time.Unix(1, 0), Document: d}
}

// TestLargestDocument: whatever proposal reads can be saved, and its revisions share what they
// have in common.
func TestLargestDocument(t *testing.T) {
	store := boltStore(t)
	proposals := open(t, store, nil).Proposals()
	d := proposaltest.BigDoc(t, "ceph", proposal.MaxBytes)
	_, err := proposals.Append(t.Context(), ceph, 0, revisionOf(d, ""))
	require.NoError(t, err)
	got, err := proposals.Get(t.Context(), ceph, 0)
	require.NoError(t, err)
	require.True(t, string(d.Bytes()) == string(got.Document.Bytes()))
	require.Equal(t, d.Hash(), got.Hash)
	chunks := len(listing(t, store, "proposal-chunks/"))
	require.GreaterOrEqual(t, chunks, len(d.Bytes())/crowbar.MaxValue)
	_, err = proposals.Append(t.Context(), ceph, 1, revisionOf(d, "the same"))
	require.NoError(t, err)
	require.Len(t, listing(t, store, "proposal-chunks/"), chunks)
}

func listing(t testing.TB, store crowbar.Store, prefix string) []crowbar.Record {
	t.Helper()
	l, err := store.List(t.Context(), prefix)
	require.NoError(t, err)
	return l.Records
}

// TestCrashWhileSaving: after a crash at any write of a revision with chunks, a new engine has
// all of it or nothing, and saving again works.
func TestCrashWhileSaving(t *testing.T) {
	d := proposaltest.BigDoc(t, "ceph", 3*crowbar.MaxValue)
	for _, fault := range []crowbartest.Fault{crowbartest.CrashBefore, crowbartest.CrashAfter} {
		for n := 2; ; n++ { // the first transaction makes the site
			inner := crowbar.NewMemoryStore()
			faults := crowbartest.NewFaultStore(inner, map[int]crowbartest.Fault{n: fault})
			proposals := open(t, faults, nil).Proposals()
			_, err := proposals.Append(t.Context(), ceph, 0, revisionOf(d, "first"))
			if !faults.Crashed() {
				require.NoError(t, err)
				require.Equal(t, 2+4, n, "4 chunks, and the revision with its head")
				break
			}
			require.ErrorIs(t, err, crowbartest.ErrCrashed)

			proposals = open(t, inner, nil).Proposals()
			parent := 0
			got, err := proposals.Get(t.Context(), ceph, 0)
			if n == 2+3 && fault == crowbartest.CrashAfter {
				require.NoError(t, err)
				require.True(t, string(d.Bytes()) == string(got.Document.Bytes()))
				parent = 1
			} else {
				require.ErrorIs(t, err, proposal.ErrNotFound)
			}
			number, err := proposals.Append(t.Context(), ceph, parent, revisionOf(d, "again"))
			require.NoError(t, err)
			got, err = proposals.Get(t.Context(), ceph, number)
			require.NoError(t, err)
			require.True(t, string(d.Bytes()) == string(got.Document.Bytes()))
		}
	}
}

// TestTieOfEqualSavers: of two who save the very same revision after the same one, and get no
// answer from the store, one is told that it is theirs.
func TestTieOfEqualSavers(t *testing.T) {
	plan := map[int]crowbartest.Fault{}
	for n := 2; n < 20; n++ {
		plan[n] = crowbartest.FailAfter
	}
	// A document with chunks, so that both can be held up where they have seen that nobody else
	// saved, and have not begun to.
	store := &meeting{Store: crowbartest.NewFaultStore(crowbar.NewMemoryStore(), plan)}
	store.both.Add(2)
	proposals := insistent{open(t, store, nil).Proposals()}
	r := revisionOf(proposaltest.BigDoc(t, "ceph", crowbar.MaxValue+100), "mine")
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() { _, errs[i] = proposals.Append(t.Context(), ceph, 0, r) })
	}
	wg.Wait()
	if errs[0] != nil {
		errs[0], errs[1] = errs[1], errs[0]
	}
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], proposal.ErrConflict)
	require.Len(t, listing(t, store, "proposals/"), 1)
}

// A meeting lets the first two who ask for a chunk go on together.
type meeting struct {
	crowbar.Store
	both  sync.WaitGroup
	asked atomic.Int32
}

func (m *meeting) Get(ctx context.Context, key string) (crowbar.Record, error) {
	if strings.HasPrefix(key, "proposal-chunks/") && m.asked.Add(1) <= 2 {
		m.both.Done()
		m.both.Wait()
	}
	return m.Store.Get(ctx, key)
}

// TestDamagedRevisions: what is gone or was changed is an error that names record and proposal,
// never a panic, and never "not found".
func TestDamagedRevisions(t *testing.T) {
	small, large := proposaltest.Doc(t, "ceph", 1), proposaltest.BigDoc(t, "ceph", 2*crowbar.MaxValue)
	for name, c := range map[string]struct {
		document *proposal.Document
		prefix   string // of the records that are hit
		damage   func(value []byte) []byte
		says     string
	}{
		"revision gone":     {small, "proposals/", func([]byte) []byte { return nil }, "it is gone"},
		"revision empty":    {small, "proposals/", func([]byte) []byte { return []byte{} }, "no first line"},
		"not JSON":          {small, "proposals/", func(v []byte) []byte { return append([]byte("x"), v...) }, "invalid character"},
		"no fields":         {small, "proposals/", func([]byte) []byte { return []byte("{}\n{}") }, "lacks what the body is"},
		"negative size":     {small, "proposals/", replace(`"text_bytes":`, `"text_bytes":-`), "lacks what the body is"},
		"other revision":    {small, "proposals/", replace(`"number":1`, `"number":2`), "holds revision 2"},
		"document changed":  {small, "proposals/", replace(`"n": 1`, `"n": 2`), "its body was changed"},
		"document cut":      {small, "proposals/", func(v []byte) []byte { return v[:len(v)-1] }, "its body was changed"},
		"body gone":         {small, "proposals/", func(v []byte) []byte { return v[:strings.IndexByte(string(v), '\n')+1] }, "its chunk proposal-chunks/"},
		"chunks gone":       {large, "proposal-chunks/", func([]byte) []byte { return nil }, "is gone"},
		"chunks changed":    {large, "proposal-chunks/", func(v []byte) []byte { v[7]++; return v }, "was changed"},
		"text_bytes larger": {large, "proposals/", replace(`"text_bytes":1`, `"text_bytes":11`), "do not have"},
		"text_bytes less":   {large, "proposals/", replace(`"text_bytes":10`, `"text_bytes":1`), "do not have"},
	} {
		t.Run(name, func(t *testing.T) {
			store := crowbar.NewMemoryStore()
			proposals := open(t, store, nil).Proposals()
			_, err := proposals.Append(t.Context(), ceph, 0, revisionOf(c.document, ""))
			require.NoError(t, err)
			for _, r := range listing(t, store, c.prefix) {
				_, err := store.Txn(t.Context(), nil, []crowbar.Op{{Key: r.Key, Value: c.damage(r.Value)}})
				require.NoError(t, err)
			}
			check := func(err error) {
				require.ErrorIs(t, err, crowbar.ErrDamaged)
				require.NotErrorIs(t, err, proposal.ErrNotFound)
				require.NotErrorIs(t, err, crowbar.ErrNotFound)
				require.ErrorContains(t, err, "revision 1 of ceph/default, record proposals/ceph/default/00000001: ")
				require.ErrorContains(t, err, c.says)
			}
			_, err = proposals.Get(t.Context(), ceph, 1)
			check(err)
			_, err = proposals.List(t.Context(), ceph, 0, 0)
			check(err)
			n, err := proposals.Append(t.Context(), ceph, 1, revisionOf(small, "life goes on"))
			require.NoError(t, err)
			require.Equal(t, 2, n)
			_, err = proposals.Get(t.Context(), ceph, 2)
			require.NoError(t, err)
		})
	}
}

func replace(old, with string) func([]byte) []byte {
	return func(v []byte) []byte { return []byte(strings.Replace(string(v), old, with, 1)) }
}

// TestDamagedHeads: a pointer that leads nowhere is found when the store is opened.
func TestDamagedHeads(t *testing.T) {
	for name, c := range map[string]struct{ value, says string }{
		"gone":           {"", "no proposal-heads/*"},
		"not JSON":       {"{", "record proposal-heads/ceph/default"},
		"other proposal": {`{"proposal":{"barclamp":"nova","name":"default"},"latest":1}`, "proposal-heads/nova/default"},
		"no revision":    {`{"proposal":{"barclamp":"ceph","name":"default"}}`, "names revision 0"},
	} {
		t.Run(name, func(t *testing.T) {
			store := crowbar.NewMemoryStore()
			_, err := open(t, store, nil).Proposals().Append(t.Context(), ceph, 0, revisionOf(proposaltest.Doc(t, "ceph", 1), ""))
			require.NoError(t, err)
			op := crowbar.Op{Key: "proposal-heads/ceph/default"}
			if c.value != "" {
				op.Value = []byte(c.value)
			}
			_, err = store.Txn(t.Context(), nil, []crowbar.Op{op})
			require.NoError(t, err)
			_, err = crowbar.New(t.Context(), crowbar.Config{Store: store, Registry: &barclamp.Registry{}})
			require.ErrorContains(t, err, c.says)
		})
	}
}

// TestInForceOutlivesTheEngine: a config role names its revision only, and is whole again in the
// next engine; one whose revision is gone stops it.
func TestInForceOutlivesTheEngine(t *testing.T) {
	registry, err := barclamp.NewRegistry(&rack{})
	require.NoError(t, err)
	store := crowbar.NewMemoryStore()
	config := crowbar.Config{Store: store, Registry: registry}
	e, err := crowbar.New(t.Context(), config)
	require.NoError(t, err)
	d, err := proposal.Parse([]byte(strings.Replace(rackTemplate, `"elements":{}`, `"elements":{"rack-unit":["n1"]}`, 1)))
	require.NoError(t, err)
	for number := range 2 {
		n, err := e.Proposals().Append(t.Context(), rackKey, number, proposal.Revision{Author: "tester", Document: d})
		require.NoError(t, err)
		require.Equal(t, number+1, n)
	}
	e = commitAnyway(t, e, store)

	records := listing(t, store, "roles/rack-config-default")
	require.Len(t, records, 1)
	require.JSONEq(t, `{"proposal":{"barclamp":"rack","name":"default"},"revision":2}`, string(records[0].Value))
	inForce, ok := e.InForce(rackKey)
	require.True(t, ok)
	require.Equal(t, string(d.Bytes()), string(inForce.Document.Bytes()))
	require.Equal(t, []string{"n1"}, inForce.Document.Deployment().Elements["rack-unit"])

	_, err = store.Txn(t.Context(), nil, []crowbar.Op{{Key: "proposals/rack/default/00000002"}})
	require.NoError(t, err)
	_, err = crowbar.New(t.Context(), config)
	require.ErrorIs(t, err, crowbar.ErrDamaged)
	require.ErrorContains(t, err, "record roles/rack-config-default: what it puts in force: crowbar: revision 2 of rack/default, record proposals/rack/default/00000002: ")
}

// commitAnyway writes the config role of revision 2, as a commit on a site with such a node would,
// and returns a new engine.
func commitAnyway(t *testing.T, e *crowbar.Engine, store crowbar.Store) *crowbar.Engine {
	t.Helper()
	value := fmt.Sprintf(`{"proposal":{"barclamp":%q,"name":%q},"revision":2}`, rackKey.Barclamp, rackKey.Name)
	_, err := store.Txn(t.Context(), nil, []crowbar.Op{{Key: "roles/rack-config-default", Value: []byte(value)}})
	require.NoError(t, err)
	again, err := crowbar.New(t.Context(), crowbar.Config{Store: store, Registry: e.Registry()})
	require.NoError(t, err)
	return again
}

// TestHistoryCostsNothing: what is read to open a store, to save and to list a page does not grow
// with revisions and events.
func TestHistoryCostsNothing(t *testing.T) {
	store := &countingStore{Store: crowbar.NewMemoryStore()}
	proposals := open(t, store, nil).Proposals()
	latest := 0
	save := func() {
		var err error
		latest, err = proposals.Append(t.Context(), ceph, latest, revisionOf(proposaltest.Doc(t, "ceph", 1), ""))
		require.NoError(t, err)
	}
	costs := func(what func()) int {
		before := store.records
		what()
		return store.records - before
	}
	for range 10 {
		save()
	}
	opening := costs(func() { open(t, store, nil) })
	for range 1000 {
		save()
	}
	require.Zero(t, costs(save))
	require.Equal(t, 5, costs(func() {
		_, err := proposals.List(t.Context(), ceph, 500, 5)
		require.NoError(t, err)
	}))
	require.LessOrEqual(t, costs(func() { open(t, store, nil) }), opening+20, "a few reads more find the last event")
}

// countingStore counts the records that it hands out.
type countingStore struct {
	crowbar.Store
	records int
}

func (s *countingStore) Get(ctx context.Context, key string) (crowbar.Record, error) {
	s.records++
	return s.Store.Get(ctx, key)
}

func (s *countingStore) List(ctx context.Context, prefix string) (crowbar.Listing, error) {
	l, err := s.Store.List(ctx, prefix)
	s.records += len(l.Records)
	return l, err
}

// TestRevisionsOutliveTheEngine: a second engine on the same store finds them, and goes on
// with their numbers.
func TestRevisionsOutliveTheEngine(t *testing.T) {
	store := crowbar.NewMemoryStore()
	doc := proposaltest.Doc(t, "ceph", 1)
	_, err := open(t, store, nil).SaveProposal(t.Context(), crowbar.SaveProposal{Key: ceph, Document: doc, Author: "tester", Message: "first"})
	require.NoError(t, err)
	again := open(t, store, nil)
	r, err := again.Proposals().Get(t.Context(), ceph, 0)
	require.NoError(t, err)
	require.Equal(t, doc.Hash(), r.Hash)
	saved, err := again.SaveProposal(t.Context(), crowbar.SaveProposal{Key: ceph, Document: proposaltest.Doc(t, "ceph", 2), Author: "tester", Message: "second"})
	require.NoError(t, err)
	require.Equal(t, 2, saved.Revision.Number)
	events, err := again.Events(t.Context(), 0, 0)
	require.NoError(t, err)
	require.NoError(t, crowbar.VerifyEvents(events), "the chain goes on")
}
