package proposal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
)

var novaDefault = proposal.Key{Barclamp: "nova", Name: "default"}

// stored is a store whose nova/default has n revisions; number i has the attribute n: i.
func stored(t *testing.T, n int) *proposal.MemoryStore {
	s := proposal.NewMemoryStore()
	for i := range n {
		d := parse(t, document(fmt.Sprintf(`{"n":%d}`, i+1), ""))
		_, err := s.Append(t.Context(), novaDefault, i, proposal.Revision{Document: d})
		require.NoError(t, err)
	}
	return s
}

func withAttribute(t *testing.T, d *proposal.Document, path, value string) *proposal.Document {
	t.Helper()
	changed, err := d.Set(path, []byte(value))
	require.NoError(t, err)
	return changed
}

func TestSave(t *testing.T) {
	ctx := t.Context()
	s := stored(t, 1)
	base, err := s.Get(ctx, novaDefault, 1)
	require.NoError(t, err)

	_, err = proposal.Save(ctx, s, novaDefault, 0, proposal.Revision{Document: base.Document}, nil)
	require.ErrorIs(t, err, proposal.ErrConflict, "it exists")
	_, err = proposal.Save(ctx, s, novaDefault, 7, proposal.Revision{Document: withAttribute(t, base.Document, "a", "1")}, nil)
	require.ErrorIs(t, err, proposal.ErrNotFound)
	saved, err := proposal.Save(ctx, s, novaDefault, 1, proposal.Revision{Document: base.Document}, nil)
	require.NoError(t, err)
	require.True(t, saved.Unchanged)
	require.Equal(t, 1, saved.Revision.Number)

	saved, err = proposal.Save(ctx, s, novaDefault, 1, proposal.Revision{Author: "ada", Document: withAttribute(t, base.Document, "a", "1.0")}, nil)
	require.NoError(t, err)
	require.Equal(t, 2, saved.Revision.Number)
	require.Empty(t, saved.Merged)
	saved, err = proposal.Save(ctx, s, novaDefault, 1, proposal.Revision{Author: "grace", Document: withAttribute(t, base.Document, "b", "1e3")}, nil)
	require.NoError(t, err)
	require.Equal(t, []int{2}, saved.Merged)
	latest, err := s.Get(ctx, novaDefault, 0)
	require.NoError(t, err)
	require.Equal(t, saved.Revision, latest)
	require.JSONEq(t, `{"n":1,"a":1.0,"b":1e3}`, latest.Document.Attributes().Raw)

	late := proposal.Revision{Document: withAttribute(t, base.Document, "a", "2")}
	_, err = proposal.Save(ctx, s, novaDefault, 1, late, nil)
	var contradiction *proposal.MergeError
	require.ErrorAs(t, err, &contradiction)
	require.ErrorIs(t, err, proposal.ErrConflict)
	path := contradiction.Conflicts[0].Path
	list, err := s.List(ctx, novaDefault, 0, 0)
	require.NoError(t, err)
	require.Len(t, list, 3, "nothing was stored")
	saved, err = proposal.Save(ctx, s, novaDefault, 1, late, &proposal.MergeOptions{Resolve: map[string]proposal.Side{path: proposal.SideTheirs}})
	require.NoError(t, err)
	require.JSONEq(t, `{"n":1,"a":2,"b":1e3}`, saved.Revision.Document.Attributes().Raw)
}

// Many save at once, all from the first revision: no change is lost, and none is refused.
func TestSaveTogether(t *testing.T) {
	s := stored(t, 1)
	base, err := s.Get(t.Context(), novaDefault, 1)
	require.NoError(t, err)
	const savers = 40
	var wait sync.WaitGroup
	errs := make([]error, savers)
	for i := range savers {
		wait.Go(func() {
			d, err := base.Document.Set(fmt.Sprintf("by_%d", i), []byte("true"))
			if err == nil {
				_, err = proposal.Save(t.Context(), s, novaDefault, 1, proposal.Revision{Document: d}, nil)
			}
			errs[i] = err
		})
	}
	wait.Wait()
	latest, err := s.Get(t.Context(), novaDefault, 0)
	require.NoError(t, err)
	require.Equal(t, savers+1, latest.Number, "a revision for each")
	for i := range savers {
		require.NoError(t, errs[i])
		require.True(t, latest.Document.Get(fmt.Sprintf("by_%d", i)).Bool(), "the change of saver %d", i)
	}
}

// stuck is a store whose latest revision is never the latest when somebody appends.
type stuck struct{ *proposal.MemoryStore }

func (stuck) Append(context.Context, proposal.Key, int, proposal.Revision) (int, error) {
	return 0, proposal.ErrConflict
}

func TestSaveGivesUpOnADamagedStore(t *testing.T) {
	s := stuck{stored(t, 2)}
	_, err := proposal.Save(t.Context(), s, novaDefault, 2, proposal.Revision{Document: parse(t, document(`{"n":3}`, ""))}, nil)
	require.ErrorIs(t, err, proposal.ErrConflict)
	_, _, err = proposal.Rollback(t.Context(), s, novaDefault, 1, proposal.Revision{})
	require.ErrorIs(t, err, proposal.ErrConflict)
}

func TestRollback(t *testing.T) {
	ctx := t.Context()
	s := stored(t, 3)
	saved, undone, err := proposal.Rollback(ctx, s, novaDefault, 1, proposal.Revision{Author: "ada"})
	require.NoError(t, err)
	require.Equal(t, 4, saved.Revision.Number)
	require.Equal(t, "ada", saved.Revision.Author)
	require.Equal(t, "roll back to revision 1", saved.Revision.Message)
	require.Equal(t, "nova.n: 3 → 1\n", undone.Text())
	first, err := s.Get(ctx, novaDefault, 1)
	require.NoError(t, err)
	require.Equal(t, string(first.Document.Bytes()), string(saved.Revision.Document.Bytes()))
	saved, undone, err = proposal.Rollback(ctx, s, novaDefault, 1, proposal.Revision{})
	require.NoError(t, err)
	require.True(t, saved.Unchanged)
	require.True(t, undone.Empty())
	_, _, err = proposal.Rollback(ctx, s, novaDefault, 9, proposal.Revision{})
	require.ErrorIs(t, err, proposal.ErrNotFound)
}
