package proposaltest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// RunStoreModel drives the stores which open returns with random calls, stale parents among
// them, and compares them with plain slices; then several savers work on one proposal at once,
// and no save of theirs may be lost or made twice. open is called once for each sequence and
// returns an empty store; it registers its own cleanup on t.
func RunStoreModel(t *testing.T, open func(t *testing.T) proposal.Store) {
	t.Run("is a list of revisions for each proposal", func(t *testing.T) {
		var documents []*proposal.Document
		for n := range 6 {
			documents = append(documents, Doc(t, "nova", n), Doc(t, "nova-extra", n))
		}
		big := BigDoc(t, "nova", 600<<10)
		rapid.Check(t, func(rt *rapid.T) {
			m := &model{ctx: t.Context(), store: open(t), documents: documents, big: big, revisions: map[proposal.Key][]proposal.Revision{}}
			rt.Repeat(rapid.StateMachineActions(m))
		})
	})
	t.Run("concurrent savers lose no update and no draft", func(t *testing.T) { runSavers(t, open(t)) })
}

// A model is what a store must be equal to.
type model struct {
	ctx       context.Context
	store     proposal.Store
	documents []*proposal.Document
	big       *proposal.Document                   // seldom taken: it is slow
	revisions map[proposal.Key][]proposal.Revision // number n at index n-1
	saves     int
}

var modelKeys = rapid.SampledFrom([]proposal.Key{
	{Barclamp: "nova", Name: "default"}, {Barclamp: "nova", Name: "b"}, {Barclamp: "nova-extra", Name: "default"},
})

// number draws the number of a revision of the proposal, or one beside it.
func (m *model) number(t *rapid.T, k proposal.Key, label string) int {
	return rapid.IntRange(-1, len(m.revisions[k])+2).Draw(t, label)
}

// Append saves after the latest revision mostly, else after any number.
func (m *model) Append(t *rapid.T) {
	k := modelKeys.Draw(t, "key")
	latest := len(m.revisions[k])
	parent := latest
	if rapid.IntRange(0, 3).Draw(t, "stale") == 0 {
		parent = m.number(t, k, "parent")
	}
	d := m.big
	if rapid.IntRange(0, 50).Draw(t, "small") < 50 {
		d = rapid.SampledFrom(m.documents).Draw(t, "document")
	}
	m.saves++
	r := proposal.Revision{Author: rapid.SampledFrom([]string{"ada", "", "ü\n"}).Draw(t, "author"),
		Message: fmt.Sprint("save ", m.saves), Time: noon, Document: d}
	n, err := m.store.Append(m.ctx, k, parent, r)
	switch {
	case parent < 0 || r.Document.Barclamp() != k.Barclamp:
		require.ErrorIs(t, err, proposal.ErrInvalid)
	case parent != latest:
		require.ErrorIs(t, err, proposal.ErrConflict, "parent %d, latest %d", parent, latest)
	default:
		require.NoError(t, err)
		require.Equal(t, latest+1, n)
		r, err := proposal.NextRevision(k, parent, r)
		require.NoError(t, err)
		m.revisions[k] = append(m.revisions[k], r)
	}
}

// Get reads any revision.
func (m *model) Get(t *rapid.T) {
	k := modelKeys.Draw(t, "key")
	all := m.revisions[k]
	number := m.number(t, k, "number")
	got, err := m.store.Get(m.ctx, k, number)
	if number == 0 {
		number = len(all)
	}
	if number < 1 || number > len(all) {
		require.ErrorIs(t, err, proposal.ErrNotFound, "number %d of %d", number, len(all))
		return
	}
	require.NoError(t, err)
	equal(t, all[number-1], *got)
}

// List reads any page.
func (m *model) List(t *rapid.T) {
	k := modelKeys.Draw(t, "key")
	all := m.revisions[k]
	before, limit := m.number(t, k, "before"), rapid.IntRange(-1, 4).Draw(t, "limit")
	page, err := m.store.List(m.ctx, k, before, limit)
	if len(all) == 0 {
		require.ErrorIs(t, err, proposal.ErrNotFound)
		return
	}
	require.NoError(t, err)
	var want []proposal.Revision
	for _, r := range slices.Backward(all) {
		if (before <= 0 || r.Number < before) && (limit <= 0 || len(want) < limit) {
			want = append(want, r)
		}
	}
	require.Len(t, page, len(want), "revisions below %d of %d, at most %d", before, len(all), limit)
	for i := range want {
		equal(t, want[i], page[i])
	}
}

// Keys lists the proposals.
func (m *model) Keys(t *rapid.T) {
	barclamp := rapid.SampledFrom([]string{"", "nova", "nova-extra", "none"}).Draw(t, "barclamp")
	var want []string
	for k := range m.revisions {
		if barclamp == "" || k.Barclamp == barclamp {
			want = append(want, k.Barclamp+"\x00"+k.Name)
		}
	}
	slices.Sort(want)
	keys, err := m.store.Keys(m.ctx, barclamp)
	require.NoError(t, err)
	var got []string
	for _, k := range keys {
		got = append(got, k.Barclamp+"\x00"+k.Name)
	}
	require.Equal(t, want, got)
}

// Check is called after each action.
func (m *model) Check(*rapid.T) {}

// equal compares all that a revision is, the document byte for byte.
func equal(t require.TestingT, want, got proposal.Revision) {
	require.NotNil(t, got.Document, "revision %d comes without its document", got.Number)
	// Not by Equal, which would print both.
	require.True(t, string(want.Document.Bytes()) == string(got.Document.Bytes()), "the document of revision %d is not the one that was saved, byte for byte", want.Number)
	want.Document, got.Document = nil, nil
	require.Equal(t, want, got)
}

// runSavers has savers count in one document, each in an attribute of its own: whoever saves
// reads the latest, changes it, and begins anew if another was quicker.
func runSavers(t *testing.T, store proposal.Store) {
	const savers, saves = 5, 8
	template := Doc(t, "nova", 0)
	for s := range savers {
		var err error
		template, err = template.With(proposal.Edit{Pointer: counter(s), Value: []byte("0")})
		require.NoError(t, err)
	}
	_, err := store.Append(t.Context(), nova, 0, proposal.Revision{Author: "ada", Message: "begin", Time: noon, Document: template})
	require.NoError(t, err)

	var writing, reading sync.WaitGroup
	errs := make([]error, savers+1)
	for s := range savers {
		writing.Go(func() {
			for i := 1; i <= saves && errs[s] == nil; i++ {
				errs[s] = count(t.Context(), store, s, i, savers*saves)
			}
		})
	}
	done := make(chan struct{})
	reading.Go(func() { errs[savers] = readAlong(t.Context(), store, done) })
	writing.Wait()
	close(done)
	reading.Wait()
	require.NoError(t, errors.Join(errs...))

	history, err := store.List(t.Context(), nova, 0, 0)
	require.NoError(t, err)
	slices.Reverse(history)
	require.Len(t, history, 1+savers*saves, "every save is in the history once")
	counts := make([]int, savers)
	for n, r := range history {
		require.Equal(t, n+1, r.Number)
		require.Equal(t, n, r.Parent)
		if n > 0 {
			var s, i int
			_, err := fmt.Sscanf(r.Message, "saver %d, save %d", &s, &i)
			require.NoError(t, err, "%q", r.Message)
			counts[s]++
			require.Equal(t, counts[s], i, "saver %d: its saves are in its order", s)
		}
		for s := range savers {
			require.Equal(t, int64(counts[s]), r.Document.Get(fmt.Sprint("counter", s)).Int(), "revision %d: an update of saver %d was lost", r.Number, s)
		}
	}
}

func counter(saver int) string { return fmt.Sprint("/attributes/nova/counter", saver) }

// count is one save: again as long as others are quicker, which is at most as often as they save.
func count(ctx context.Context, store proposal.Store, saver, to, all int) error {
	for range all + 1 {
		latest, err := store.Get(ctx, nova, 0)
		if err != nil {
			return err
		}
		d, err := latest.Document.With(proposal.Edit{Pointer: counter(saver), Value: fmt.Append(nil, to)})
		if err != nil {
			return err
		}
		message := fmt.Sprintf("saver %d, save %d", saver, to)
		_, err = store.Append(ctx, nova, latest.Number, proposal.Revision{Author: "ada", Message: message, Time: noon, Document: d})
		if !errors.Is(err, proposal.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("saver %d, save %d: more conflicts than others saved", saver, to)
}

// readAlong reads while others write: what it sees is whole and never goes back.
func readAlong(ctx context.Context, store proposal.Store, done <-chan struct{}) error {
	for seen := 0; ; {
		select {
		case <-done:
			return nil
		default:
		}
		page, err := store.List(ctx, nova, 0, 3)
		if err != nil {
			return err
		}
		if len(page) == 0 || page[0].Number < seen {
			return fmt.Errorf("the latest was revision %d and is not any more", seen)
		}
		seen = page[0].Number
		for i, r := range page {
			if r.Number != seen-i || r.Hash != r.Document.Hash() {
				return fmt.Errorf("revision %d, the %d. of a page from %d, is not whole", r.Number, i+1, seen)
			}
		}
	}
}

// BigDoc returns a valid document of the barclamp with about size bytes, none of which repeat
// for long.
func BigDoc(t testing.TB, barclamp string, size int) *proposal.Document {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "{\n  \"id\": \"bc-%[1]s-default\",\n  \"attributes\": { %[1]q: {", barclamp)
	for n := 0; text.Len() < size-100; n++ {
		if n > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, "\r\n\t\"key %06d\" : [ %d.50, \"ü <&> \\u00fc\" ]", n, n)
	}
	fmt.Fprintf(&text, "\n  } },\n  \"deployment\": { %q: {} }\n}\n", barclamp)
	d, err := proposal.Parse([]byte(text.String()))
	require.NoError(t, err)
	return d
}
