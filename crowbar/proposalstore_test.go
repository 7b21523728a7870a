package crowbar_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/proposal/proposaltest"
)

// TestProposalStore: the engine's store of revisions keeps the same rules as any other.
func TestProposalStore(t *testing.T) {
	proposaltest.RunStore(t, func(t *testing.T) proposal.Store {
		engine, err := crowbar.New(t.Context(), crowbar.Config{Store: crowbar.NewMemoryStore(), Registry: &barclamp.Registry{}})
		require.NoError(t, err)
		return engine.Proposals()
	})
}

// TestRevisionsOutliveTheEngine: a second engine on the same store finds them, and goes on
// with their numbers.
func TestRevisionsOutliveTheEngine(t *testing.T) {
	store := crowbar.NewMemoryStore()
	open := func() *crowbar.Engine {
		e, err := crowbar.New(t.Context(), crowbar.Config{Store: store, Registry: &barclamp.Registry{}})
		require.NoError(t, err)
		return e
	}
	k := proposal.Key{Barclamp: "ceph", Name: "default"}
	doc := proposaltest.Doc(t, "ceph", 1)
	_, err := open().ImportProposal(t.Context(), k, doc, "tester", "first")
	require.NoError(t, err)
	again := open()
	r, err := again.Proposals().Get(t.Context(), k, 0)
	require.NoError(t, err)
	require.Equal(t, doc.Hash(), r.Hash)
	r, err = again.ImportProposal(t.Context(), k, doc, "tester", "second")
	require.NoError(t, err)
	require.Equal(t, 2, r.Number)
}
