package crowbar_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/boltstore"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/proposal/proposaltest"
)

// BenchmarkRevisions shows that saving, reading and opening cost the same however many revisions
// there are: of a 20 KB document, with a secret that is sealed or without any.
func BenchmarkRevisions(b *testing.B) {
	stores := map[string]func() crowbar.Store{
		"memory": crowbar.NewMemoryStore,
		"bolt": func() crowbar.Store {
			// Without waiting for the disk, which would hide the rest.
			store, err := boltstore.Open(filepath.Join(b.TempDir(), "crowbar.db"), &boltstore.Options{NoSync: true})
			require.NoError(b, err)
			b.Cleanup(func() { _ = store.Close() })
			return store
		},
	}
	plain := proposaltest.BigDoc(b, "vault", 20<<10)
	secret, err := plain.With(proposal.Edit{Pointer: "/attributes/vault/password", Value: []byte(`"hunter2"`)})
	require.NoError(b, err)
	for _, d := range []struct {
		name     string
		document *proposal.Document
	}{{"plain", plain}, {"sealed", secret}} {
		for _, kind := range []string{"memory", "bolt"} {
			for _, count := range []int{10, 10_000} {
				b.Run(fmt.Sprintf("%s/%s/revisions=%d", d.name, kind, count), func(b *testing.B) {
					benchmarkRevisions(b, stores[kind](), d.document, count)
				})
			}
		}
	}
}

func benchmarkRevisions(b *testing.B, store crowbar.Store, d *proposal.Document, count int) {
	key := newKey(b)
	registry, err := barclamp.NewRegistry(vault{"vault", vaultSchema})
	require.NoError(b, err)
	open := func() *crowbar.Engine {
		e, err := crowbar.New(b.Context(), crowbar.Config{Store: store, Registry: registry, Sealer: key})
		require.NoError(b, err)
		return e
	}
	proposals := open().Proposals()
	latest := 0
	save := func() {
		var err error
		latest, err = proposals.Append(b.Context(), vaultKey, latest, revisionOf(d, ""))
		require.NoError(b, err)
	}
	for range count {
		save()
	}
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			open()
		}
	})
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, err := proposals.Get(b.Context(), vaultKey, 5)
			require.NoError(b, err)
		}
	})
	b.Run("history", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			page, err := proposals.List(b.Context(), vaultKey, 0, 10)
			require.NoError(b, err)
			require.Len(b, page, 10)
		}
	})
	b.Run("save", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			save()
		}
	})
}
