// Package proposaltest proves implementations of proposal.Store:
//
//	func TestStore(t *testing.T) {
//		open := func(t *testing.T) proposal.Store { return newMyStore(t) }
//		proposaltest.RunStore(t, open)
//		proposaltest.RunStoreModel(t, open)
//	}
//
// Each subtest is one rule of the contract and names it. It imports testing and testify and is
// for tests only.
package proposaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// Doc returns a small valid document of the barclamp with one attribute, n, for tests that need
// documents that differ.
func Doc(t testing.TB, barclamp string, n int) *proposal.Document {
	t.Helper()
	d, err := proposal.Parse(fmt.Appendf(nil, `{
  "id": "bc-%[1]s-default",
  "description": "about %[1]s",
  "attributes": { %[1]q: { "n": %[2]d, "text": "1.0 <&> ü", "number": 1.0 } },
  "deployment": { %[1]q: { "crowbar-revision": 0, "element_order": [["%[1]s-server"]], "elements": {} } }
}`, barclamp, n))
	require.NoError(t, err)
	return d
}

// RunStore checks that the stores which open returns keep to the contract of proposal.Store.
// open is called once per rule and returns an empty store; it registers its own cleanup on t.
func RunStore(t *testing.T, open func(t *testing.T) proposal.Store) {
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			rule.check(t, &world{T: t, store: open(t)})
		})
	}
}

var (
	nova   = proposal.Key{Barclamp: "nova", Name: "default"}
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))
	nobody = proposal.Key{Barclamp: "nova", Name: "nobody"}
)

// world is one store and the steps that several rules take.
type world struct {
	*testing.T
	store proposal.Store
}

func (w *world) revision(k proposal.Key, n int) proposal.Revision {
	return proposal.Revision{Author: "ada", Message: fmt.Sprint("save ", n), Time: noon, Document: Doc(w, k.Barclamp, n)}
}

func (w *world) append(k proposal.Key, parent int) {
	w.Helper()
	n, err := w.store.Append(w.Context(), k, parent, w.revision(k, parent+1))
	require.NoError(w, err)
	require.Equal(w, parent+1, n, "number of the revision appended after %d", parent)
}

func (w *world) appendMany(k proposal.Key, count int) {
	w.Helper()
	for parent := range count {
		w.append(k, parent)
	}
}

func (w *world) numbers(k proposal.Key, before, limit int) []int {
	w.Helper()
	list, err := w.store.List(w.Context(), k, before, limit)
	require.NoError(w, err)
	numbers := make([]int, 0, len(list))
	for _, r := range list {
		require.NotNil(w, r.Document, "revision %d is listed without its document", r.Number)
		require.Equal(w, int64(r.Number), r.Document.Get("n").Int(), "revision %d has the document of another one", r.Number)
		numbers = append(numbers, r.Number)
	}
	return numbers
}

var rules = []struct {
	name  string
	check func(t *testing.T, w *world)
}{
	{"append/numbers rise from 1 without gaps, for each proposal on its own", func(t *testing.T, w *world) {
		w.appendMany(nova, 3)
		w.append(proposal.Key{Barclamp: "nova", Name: "other"}, 0)
		w.append(nova, 3)
	}},
	{"append/a parent that is not the latest is ErrConflict and stores nothing", func(t *testing.T, w *world) {
		for _, parent := range []int{1, 7} {
			_, err := w.store.Append(t.Context(), nova, parent, w.revision(nova, 1))
			require.ErrorIs(t, err, proposal.ErrConflict, "parent %d of an empty proposal", parent)
		}
		w.appendMany(nova, 3)
		for _, parent := range []int{0, 1, 2, 4, 100} {
			_, err := w.store.Append(t.Context(), nova, parent, w.revision(nova, 99))
			require.ErrorIs(t, err, proposal.ErrConflict, "parent %d, latest 3", parent)
		}
		require.Equal(t, []int{3, 2, 1}, w.numbers(nova, 0, 0))
	}},
	{"append/of all concurrent writers to one parent exactly one wins, and none is lost", func(t *testing.T, w *world) {
		const rounds, writers = 8, 6
		for parent := range rounds {
			var wg sync.WaitGroup
			errs := make([]error, writers)
			for i := range writers {
				r := w.revision(nova, parent+1)
				r.Author = fmt.Sprint("writer ", i)
				wg.Go(func() { _, errs[i] = w.store.Append(t.Context(), nova, parent, r) })
			}
			wg.Wait()
			winner := -1
			for i, err := range errs {
				if err == nil {
					require.Equal(t, -1, winner, "writers %d and %d both appended after revision %d", winner, i, parent)
					winner = i
					continue
				}
				require.ErrorIs(t, err, proposal.ErrConflict)
			}
			require.NotEqual(t, -1, winner, "nobody could append after revision %d", parent)
			got, err := w.store.Get(t.Context(), nova, parent+1)
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint("writer ", winner), got.Author, "the stored revision is not the winner's")
		}
	}},
	{"append/savers who read and retry lose no update", func(t *testing.T, w *world) {
		const savers, saves = 4, 5
		var wg sync.WaitGroup
		errs := make([]error, savers)
		docs := make([]*proposal.Document, savers*saves+1)
		for n := range docs {
			docs[n] = Doc(t, "nova", n)
		}
		for s := range savers {
			wg.Go(func() {
				for i := range saves {
					message := fmt.Sprintf("saver %d, save %d", s, i)
					if errs[s] = save(t.Context(), w.store, docs, message); errs[s] != nil {
						return
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		list, err := w.store.List(t.Context(), nova, 0, 0)
		require.NoError(t, err)
		messages := make(map[string]bool)
		for _, r := range list {
			messages[r.Message] = true
			require.Equal(t, r.Number-1, r.Parent)
		}
		require.Len(t, messages, savers*saves, "every save is in the history")
		require.Len(t, list, savers*saves, "and none twice")
	}},
	{"append/of savers of the very same revision one wins, too", func(t *testing.T, w *world) {
		const rounds, savers = 20, 6
		for parent := range rounds {
			var wg sync.WaitGroup
			errs := make([]error, savers)
			r := w.revision(nova, parent+1)
			for i := range savers {
				wg.Go(func() { _, errs[i] = w.store.Append(t.Context(), nova, parent, r) })
			}
			wg.Wait()
			won := 0
			for _, err := range errs {
				if err == nil {
					won++
					continue
				}
				require.ErrorIs(t, err, proposal.ErrConflict)
			}
			require.Equal(t, 1, won, "savers were told that revision %d is theirs", parent+1)
		}
		require.Len(t, w.numbers(nova, 0, 0), rounds)
	}},
	{"append/what is no proposal revision is ErrInvalid and stores nothing", func(t *testing.T, w *world) {
		good := w.revision(nova, 1)
		noDocument := good
		noDocument.Document = nil
		foreign := good
		foreign.Document = Doc(t, "swift", 1)
		for name, c := range map[string]struct {
			k      proposal.Key
			parent int
			r      proposal.Revision
		}{
			"no document":                  {nova, 0, noDocument},
			"document of another barclamp": {nova, 0, foreign},
			"negative parent":              {nova, -1, good},
			"no barclamp":                  {proposal.Key{Name: "default"}, 0, good},
			"no name":                      {proposal.Key{Barclamp: "nova"}, 0, good},
			"slash in name":                {proposal.Key{Barclamp: "nova", Name: "a/b"}, 0, good},
			"reserved name":                {proposal.Key{Barclamp: "nova", Name: "commit"}, 0, good},
		} {
			_, err := w.store.Append(t.Context(), c.k, c.parent, c.r)
			require.ErrorIs(t, err, proposal.ErrInvalid, name)
		}
		keys, err := w.store.Keys(t.Context(), "")
		require.NoError(t, err)
		require.Empty(t, keys)
	}},
	{"get/gives back what was appended, with number, parent, hash and UTC time set", func(t *testing.T, w *world) {
		w.append(nova, 0)
		r := w.revision(nova, 2)
		r.Number, r.Parent, r.Hash = 77, 76, "wrong"
		_, err := w.store.Append(t.Context(), nova, 1, r)
		require.NoError(t, err)
		got, err := w.store.Get(t.Context(), nova, 2)
		require.NoError(t, err)
		require.Equal(t, 2, got.Number)
		require.Equal(t, 1, got.Parent)
		require.Equal(t, "ada", got.Author)
		require.Equal(t, "save 2", got.Message)
		require.Equal(t, noon.UTC(), got.Time)
		require.Equal(t, r.Document.Hash(), got.Hash)
		require.Equal(t, string(r.Document.Bytes()), string(got.Document.Bytes()))
		require.Equal(t, "1.0", got.Document.Get("number").Raw, "number text is kept")
		require.Equal(t, got.Hash, got.Document.Hash())
	}},
	{"get/the document comes back byte for byte", func(t *testing.T, w *world) {
		document := func(attributes string) string {
			return `{"id":"bc-nova-default","attributes":{"nova":` + attributes + `},"deployment":{"nova":{}}}`
		}
		for parent, text := range []string{
			document(`{}`),
			" \t\r\n" + document("{ \t \r\n}") + "\n\n ",
			document(`{"z":1.0,"a":[1e3,1E+3,-0,12345678901234567890,0.10],"null":null}`),
			document(`{"":"","a":"\u00fc\/<>&","b":"ü\ud83d\ude00😀\u2028` + "\u2028\u007f" + `\u0000"}`),
			document(`{"a.b":{"~":[[],[{}]],"/":[[[[[]]]]]}}`),
		} {
			d, err := proposal.Parse([]byte(text))
			require.NoError(t, err)
			_, err = w.store.Append(t.Context(), nova, parent, proposal.Revision{Author: "ada", Time: noon, Document: d})
			require.NoError(t, err)
			got, err := w.store.Get(t.Context(), nova, 0)
			require.NoError(t, err)
			require.Equal(t, text, string(got.Document.Bytes()))
		}
	}},
	{"get/so do large documents, which differ little and lie side by side", func(t *testing.T, w *world) {
		one := BigDoc(t, "nova", 2<<20)
		two, err := one.With(proposal.Edit{Pointer: "/attributes/nova/key 020000", Value: []byte("2")})
		require.NoError(t, err)
		for parent, d := range []*proposal.Document{one, two} {
			_, err := w.store.Append(t.Context(), nova, parent, proposal.Revision{Author: "ada", Time: noon, Document: d})
			require.NoError(t, err)
		}
		list, err := w.store.List(t.Context(), nova, 0, 0)
		require.NoError(t, err)
		require.Len(t, list, 2)
		// Not by Equal, which would print both.
		require.True(t, string(two.Bytes()) == string(list[0].Document.Bytes()))
		require.True(t, string(one.Bytes()) == string(list[1].Document.Bytes()))
		require.NotEqual(t, list[0].Hash, list[1].Hash)
	}},
	{"get/what is returned is the caller's to change", func(t *testing.T, w *world) {
		w.appendMany(nova, 2)
		text := string(Doc(t, "nova", 2).Bytes())
		spoil := func(r *proposal.Revision) {
			clear(r.Document.Bytes())
			*r = proposal.Revision{Number: 9, Author: "mallory"}
		}
		for range 2 {
			list, err := w.store.List(t.Context(), nova, 0, 0)
			require.NoError(t, err)
			require.Equal(t, []int{2, 1}, []int{list[0].Number, list[1].Number})
			require.Equal(t, text, string(list[0].Document.Bytes()))
			spoil(&list[0])
			slices.Reverse(list)
			r, err := w.store.Get(t.Context(), nova, 2)
			require.NoError(t, err)
			require.Equal(t, "ada", r.Author)
			require.Equal(t, text, string(r.Document.Bytes()))
			spoil(r)
			keys, err := w.store.Keys(t.Context(), "")
			require.NoError(t, err)
			require.Equal(t, []proposal.Key{nova}, keys)
			keys[0].Name = "mallory"
		}
	}},
	{"get/0 is the latest", func(t *testing.T, w *world) {
		for parent := range 3 {
			w.append(nova, parent)
			got, err := w.store.Get(t.Context(), nova, 0)
			require.NoError(t, err)
			require.Equal(t, parent+1, got.Number)
		}
	}},
	{"get/an old revision stays as it was", func(t *testing.T, w *world) {
		w.append(nova, 0)
		before, err := w.store.Get(t.Context(), nova, 1)
		require.NoError(t, err)
		want := *before
		before.Author, before.Number, before.Document = "mallory", 9, Doc(t, "nova", 9)
		w.append(nova, 1)
		list, err := w.store.List(t.Context(), nova, 0, 0)
		require.NoError(t, err)
		list[1].Author = "mallory"
		after, err := w.store.Get(t.Context(), nova, 1)
		require.NoError(t, err)
		equal(t, want, *after)
	}},
	{"get/an unknown proposal or number is ErrNotFound", func(t *testing.T, w *world) {
		w.appendMany(nova, 2)
		for _, number := range []int{-1, 3, 1000} {
			_, err := w.store.Get(t.Context(), nova, number)
			require.ErrorIs(t, err, proposal.ErrNotFound, "number %d of 2", number)
		}
		for _, number := range []int{0, 1} {
			_, err := w.store.Get(t.Context(), nobody, number)
			require.ErrorIs(t, err, proposal.ErrNotFound, "number %d of an unknown proposal", number)
		}
	}},
	{"list/newest first, below before, at most limit", func(t *testing.T, w *world) {
		w.appendMany(nova, 12) // beyond 9: numbers sort as numbers, not as text
		require.Equal(t, []int{12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, w.numbers(nova, 0, 0))
		require.Equal(t, []int{12, 11, 10}, w.numbers(nova, 0, 3))
		require.Equal(t, []int{10, 9}, w.numbers(nova, 11, 2))
		require.Equal(t, []int{2, 1}, w.numbers(nova, 3, 10))
		require.Equal(t, []int{12, 11}, w.numbers(nova, 100, 2))
		require.Empty(t, w.numbers(nova, 1, 5))
	}},
	{"list/page by page every revision comes once, also when some are saved meanwhile", func(t *testing.T, w *world) {
		w.appendMany(nova, 7)
		var seen []int
		for before := 0; ; {
			page := w.numbers(nova, before, 3)
			if len(page) == 0 {
				break
			}
			seen = append(seen, page...)
			before = page[len(page)-1]
			w.append(nova, w.numbers(nova, 0, 1)[0])
		}
		require.Equal(t, []int{7, 6, 5, 4, 3, 2, 1}, seen)
	}},
	{"list/an unknown proposal is ErrNotFound", func(t *testing.T, w *world) {
		w.append(nova, 0)
		_, err := w.store.List(t.Context(), nobody, 0, 0)
		require.ErrorIs(t, err, proposal.ErrNotFound)
	}},
	{"keys/sorted, of one barclamp exactly or of all", func(t *testing.T, w *world) {
		keys, err := w.store.Keys(t.Context(), "")
		require.NoError(t, err)
		require.Empty(t, keys)
		all := []proposal.Key{
			{Barclamp: "ceph", Name: "default"},
			{Barclamp: "nova", Name: "a"},
			{Barclamp: "nova", Name: "b"},
			{Barclamp: "nova-extra", Name: "a"},
			{Barclamp: "nova_dashboard", Name: "default"},
		}
		for _, i := range []int{3, 1, 4, 0, 2} {
			w.appendMany(all[i], 2)
		}
		keys, err = w.store.Keys(t.Context(), "")
		require.NoError(t, err)
		require.Equal(t, all, keys)
		keys, err = w.store.Keys(t.Context(), "nova")
		require.NoError(t, err)
		require.Equal(t, all[1:3], keys, "nova is not a prefix")
		keys, err = w.store.Keys(t.Context(), "swift")
		require.NoError(t, err)
		require.Empty(t, keys)
	}},
	{"keys/many", func(t *testing.T, w *world) {
		const count = 300
		var want []proposal.Key
		for n := range count {
			k := proposal.Key{Barclamp: "nova", Name: fmt.Sprintf("p%04d", n)}
			w.append(k, 0)
			want = append(want, k)
		}
		keys, err := w.store.Keys(t.Context(), "nova")
		require.NoError(t, err)
		require.Equal(t, want, keys)
		require.Equal(t, []int{1}, w.numbers(want[count/2], 0, 0))
	}},
	{"context/when it has ended its error comes back and nothing is stored", func(t *testing.T, w *world) {
		w.append(nova, 0)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := w.store.Append(ended, nova, 1, w.revision(nova, 2))
		require.ErrorIs(t, err, context.Canceled)
		_, err = w.store.Get(ended, nova, 1)
		require.ErrorIs(t, err, context.Canceled)
		_, err = w.store.List(ended, nova, 0, 0)
		require.ErrorIs(t, err, context.Canceled)
		_, err = w.store.Keys(ended, "")
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, []int{1}, w.numbers(nova, 0, 0))
	}},
}

// save appends after the latest revision, again as long as others are quicker: at most as often
// as there are others' saves.
func save(ctx context.Context, store proposal.Store, docs []*proposal.Document, message string) error {
	for range docs {
		parent := 0
		latest, err := store.Get(ctx, nova, 0)
		switch {
		case err == nil:
			parent = latest.Number
		case !errors.Is(err, proposal.ErrNotFound):
			return err
		}
		if parent+1 >= len(docs) {
			return fmt.Errorf("%d revisions are more than were saved", parent)
		}
		r := proposal.Revision{Author: "ada", Message: message, Time: noon, Document: docs[parent+1]}
		if _, err = store.Append(ctx, nova, parent, r); !errors.Is(err, proposal.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%q: %d attempts were conflicts, though fewer revisions came in between", message, len(docs))
}
