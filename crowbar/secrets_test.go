package crowbar_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/boltstore"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/proposal/proposaltest"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// A vault is a barclamp whose attributes have secrets.
type vault struct {
	name, schema string
}

const vaultSchema = `{"type":"object","properties":{
	"password":{"type":"string","writeOnly":true},
	"text":{"writeOnly":true},
	"keys":{"type":"array","items":{"type":"object","properties":{"private":{"type":"string","format":"password"}}}}}}`

func (v vault) Info() barclamp.Info {
	template, err := proposal.Parse(fmt.Appendf(nil, `{"id":"template-%[1]s","attributes":{%[1]q:{}},"deployment":{%[1]q:{"element_order":[["%[1]s-server"]],"elements":{}}}}`, v.name))
	if err != nil {
		panic(err)
	}
	return barclamp.Info{Name: v.name, Template: template, Schema: json.RawMessage(v.schema), Roles: []barclamp.Role{{Name: v.name + "-server"}}}
}

func (vault) Propose(context.Context, barclamp.Site) (*barclamp.Draft, error) {
	return &barclamp.Draft{}, nil
}

var vaultKey = proposal.Key{Barclamp: "vault", Name: "default"}

// vaultDocument has three secrets, and filler as long as is asked for.
func vaultDocument(t testing.TB, filler int) *proposal.Document {
	t.Helper()
	d, err := proposal.Parse([]byte("{\"id\":\"bc-vault-default\", \"attributes\":{\"vault\":{\n\t\"password\": \"hunter2\\u0021-" + strings.Repeat("x", 20) +
		"\",\n \"filler\": \"" + strings.Repeat("filler ", filler/7) + "\",\"keys\":[{\"private\":\"PRIVATE-KEY-ONE\",\"n\":1.0},{ \"private\" : \"PRIVATE-KEY-TWO\"}]}},\n" +
		`"deployment":{"vault":{"element_order":[["vault-server"]],"elements":{"vault-server":["d52-54-00-00-00-01.crowbar.internal"]}}}}`))
	require.NoError(t, err)
	return d
}

var vaultSecrets = []string{"hunter2", strings.Repeat("x", 20), "PRIVATE-KEY-ONE", "PRIVATE-KEY-TWO"}

func openVault(t testing.TB, store crowbar.Store, sealer proposal.Sealer) *crowbar.Engine {
	t.Helper()
	registry, err := barclamp.NewRegistry(vault{"vault", vaultSchema})
	require.NoError(t, err)
	e, err := crowbar.New(t.Context(), crowbar.Config{Store: store, Registry: registry, Sealer: sealer, Jig: &ledgerJig{}})
	require.NoError(t, err)
	return e
}

// useVault saves, commits and applies documents with secrets, short ones and such as lie in chunks.
func useVault(t testing.TB, e *crowbar.Engine) (hashes []string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	defer func() {
		stop()
		require.ErrorIs(t, <-ran, context.Canceled)
	}()
	ticket, err := e.NewTicket(ctx, mac(1), "")
	require.NoError(t, err)
	for i, state := range []string{"", lifecycle.Discovered} {
		_, err = e.Report(ctx, ticket.Node, ticket.Token, crowbar.Report{Sequence: i + 1, State: state, Facts: facts(ticket.Node)})
		require.NoError(t, err)
	}
	for _, size := range []int{10, 3 * crowbar.MaxValue, 20} {
		d := vaultDocument(t, size)
		saved, err := e.SaveProposal(t.Context(), crowbar.SaveProposal{Key: vaultKey, Document: d, Author: "tester", Message: "for the vault"})
		require.NoError(t, err)
		r := saved.Revision
		require.Equal(t, string(d.Bytes()), string(r.Document.Bytes()))
		require.Equal(t, []string{"/attributes/vault/password", "/attributes/vault/keys/0/private", "/attributes/vault/keys/1/private"}, r.Document.Secrets())
		require.Equal(t, d.Hash(), r.Hash)
		plain := sha256.Sum256(d.Bytes())
		hashes = append(hashes, r.Hash, hex.EncodeToString(plain[:]))
	}
	_, job, err := e.Commit(t.Context(), vaultKey, 0, "tester")
	require.NoError(t, err)
	done := errors.New("done")
	err = e.WatchEvents(ctx, 0, func(ev crowbar.Event) error {
		if ev.Kind == "job.finished" && ev.Subject == vaultKey.String() {
			return done
		}
		return nil
	})
	require.ErrorIs(t, err, done)
	job, err = e.Job(job.ID)
	require.NoError(t, err)
	require.Equal(t, crowbar.JobDone, job.Status, job.Reason)
	return hashes
}

// found lists which texts are in the data, as they are or as the bytes that they are the
// hexadecimal of.
func found(data []byte, texts []string) (found []string) {
	for _, text := range texts {
		forms := [][]byte{[]byte(text)}
		if raw, err := hex.DecodeString(text); err == nil {
			forms = append(forms, raw)
		}
		for _, form := range forms {
			if bytes.Contains(data, form) {
				found = append(found, text)
				break
			}
		}
	}
	return found
}

// TestSecretsAreNowhereInClear: nothing that is stored has a secret in it, nor a hash of one with
// which passwords could be tried.
func TestSecretsAreNowhereInClear(t *testing.T) {
	everything := func(store crowbar.Store) []byte {
		var all []byte
		for _, r := range listing(t, store, "") {
			all = append(append(append(all, r.Key...), '\n'), r.Value...)
		}
		return all
	}
	t.Run("memory", func(t *testing.T) {
		store := crowbar.NewMemoryStore()
		hashes := useVault(t, openVault(t, store, newKey(t)))
		require.Empty(t, found(everything(store), append(hashes, vaultSecrets...)))
		require.NotEmpty(t, found(everything(store), []string{"filler"}))
	})
	t.Run("bolt", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "crowbar.db")
		store, err := boltstore.Open(path, nil)
		require.NoError(t, err)
		hashes := useVault(t, openVault(t, store, newKey(t)))
		require.NoError(t, store.Close())
		file, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Empty(t, found(file, append(hashes, vaultSecrets...)))
		require.NotEmpty(t, found(file, []string{"filler"}))
	})
	t.Run("without a key they are", func(t *testing.T) {
		store := crowbar.NewMemoryStore()
		useVault(t, openVault(t, store, nil))
		require.Equal(t, vaultSecrets, found(everything(store), vaultSecrets))
	})
}

// TestSecretsOutliveTheEngine: another engine with the same key has them, marked; one with
// another key says which revision it cannot open, and what to do.
func TestSecretsOutliveTheEngine(t *testing.T) {
	store := crowbar.NewMemoryStore()
	right := newKey(t)
	useVault(t, openVault(t, store, right))
	d := vaultDocument(t, 20)

	e := openVault(t, store, right)
	inForce, ok := e.InForce(vaultKey)
	require.True(t, ok)
	history, err := e.Proposals().List(t.Context(), vaultKey, 0, 0)
	require.NoError(t, err)
	require.Len(t, history, 3)
	for _, got := range []*proposal.Document{inForce.Document, history[0].Document} {
		require.Equal(t, string(d.Bytes()), string(got.Bytes()))
		require.Len(t, got.Secrets(), 3)
	}
	later := open(t, store, right) // without the barclamp
	r, err := later.Proposals().Get(t.Context(), vaultKey, 0)
	require.NoError(t, err)
	require.Len(t, r.Document.Secrets(), 3, "what was sealed stays marked without its schema")

	// The settings keep other keys out; this is what would happen without them.
	_, err = store.Txn(t.Context(), nil, []crowbar.Op{{Key: "site", Value: []byte(`{}`)}})
	require.NoError(t, err)
	for name, sealer := range map[string]proposal.Sealer{"another key": newKey(t), "no key": nil} {
		_, err = crowbar.New(t.Context(), crowbar.Config{Store: store, Registry: e.Registry(), Sealer: sealer})
		require.ErrorIs(t, err, crowbar.ErrOtherKey, name)
		require.ErrorContains(t, err, "roles/vault-config-default: ", name)
		require.ErrorContains(t, err, "revision 3 of vault/default, ", name)
		require.ErrorContains(t, err, "start with the key file that it was sealed with", name)
	}
	_, err = store.Txn(t.Context(), nil, []crowbar.Op{{Key: "roles/vault-config-default"}})
	require.NoError(t, err)
	_, err = openVault(t, store, newKey(t)).Proposals().Get(t.Context(), vaultKey, 1)
	require.ErrorIs(t, err, crowbar.ErrOtherKey)
	require.ErrorContains(t, err, "revision 1 of vault/default, ")
}

// TestSecretsOfAnotherRevision: sealed secrets that were put beside another document are damage.
func TestSecretsOfAnotherRevision(t *testing.T) {
	store := crowbar.NewMemoryStore()
	proposals := openVault(t, store, newKey(t)).Proposals()
	other, err := proposal.Parse([]byte(`{"id":"bc-vault-default","attributes":{"vault":{"keys":[null,{"private":"c"}]}},"deployment":{"vault":{}}}`))
	require.NoError(t, err)
	for parent, d := range []*proposal.Document{vaultDocument(t, 10), other} {
		_, err := proposals.Append(t.Context(), vaultKey, parent, revisionOf(d, ""))
		require.NoError(t, err)
	}
	var lines [2]map[string]any
	var bodies [2][]byte
	for i, r := range listing(t, store, "proposals/") {
		first, body, _ := bytes.Cut(r.Value, []byte("\n"))
		require.NoError(t, json.Unmarshal(first, &lines[i]))
		bodies[i] = body
	}
	text := int(lines[1]["text_bytes"].(float64))
	sealed := bodies[0][int(lines[0]["text_bytes"].(float64)):]
	body := append(bytes.Clone(bodies[1][:text]), sealed...)
	sum := sha256.Sum256(body)
	lines[1]["sealed_bytes"], lines[1]["sha256"] = len(sealed), []string{hex.EncodeToString(sum[:])}
	first, err := json.Marshal(lines[1])
	require.NoError(t, err)
	_, err = store.Txn(t.Context(), nil, []crowbar.Op{{Key: "proposals/vault/default/00000002", Value: append(append(first, '\n'), body...)}})
	require.NoError(t, err)
	_, err = proposals.Get(t.Context(), vaultKey, 2)
	require.ErrorIs(t, err, crowbar.ErrDamaged)
	require.Empty(t, found([]byte(err.Error()), vaultSecrets))
}

// TestSecretsSavedBeforeTheirSchema: what lies there in clear is at least hidden when read.
func TestSecretsSavedBeforeTheirSchema(t *testing.T) {
	store := crowbar.NewMemoryStore()
	key := newKey(t)
	d := vaultDocument(t, 10)
	_, err := open(t, store, key).Proposals().Append(t.Context(), vaultKey, 0, revisionOf(d, ""))
	require.NoError(t, err)
	r, err := openVault(t, store, key).Proposals().Get(t.Context(), vaultKey, 1)
	require.NoError(t, err)
	require.Equal(t, string(d.Bytes()), string(r.Document.Bytes()))
	require.Len(t, r.Document.Secrets(), 3)
}

// TestSchemaThatFindsMoreSecrets: those that were sealed and those that it adds are marked.
func TestSchemaThatFindsMoreSecrets(t *testing.T) {
	store, key := crowbar.NewMemoryStore(), newKey(t)
	registry, err := barclamp.NewRegistry(vault{"vault", `{"properties":{"password":{"writeOnly":true}}}`})
	require.NoError(t, err)
	e, err := crowbar.New(t.Context(), crowbar.Config{Store: store, Registry: registry, Sealer: key})
	require.NoError(t, err)
	saved, err := e.SaveProposal(t.Context(), crowbar.SaveProposal{Key: vaultKey, Document: vaultDocument(t, 10), Author: "tester"})
	require.NoError(t, err)
	require.Equal(t, []string{"/attributes/vault/password"}, saved.Revision.Document.Secrets())
	r, err := openVault(t, store, key).Proposals().Get(t.Context(), vaultKey, 1)
	require.NoError(t, err)
	require.Len(t, r.Document.Secrets(), 3)
}

// TestSecretsLargerThanAValue: they lie in chunks like the rest.
func TestSecretsLargerThanAValue(t *testing.T) {
	store := crowbar.NewMemoryStore()
	e := openVault(t, store, newKey(t))
	d, err := vaultDocument(t, 10).With(proposal.Edit{Pointer: "/attributes/vault/password", Value: []byte(`"` + strings.Repeat("y", 2*crowbar.MaxValue) + `"`)})
	require.NoError(t, err)
	saved, err := e.SaveProposal(t.Context(), crowbar.SaveProposal{Key: vaultKey, Document: d, Author: "tester", Message: "for the vault"})
	require.NoError(t, err)
	r := saved.Revision
	require.True(t, string(d.Bytes()) == string(r.Document.Bytes()))
	require.NotEmpty(t, listing(t, store, "proposal-chunks/"))
}

// TestSecretsShorterThanNull: a document is only saved if it can be read again.
func TestSecretsShorterThanNull(t *testing.T) {
	e := openVault(t, crowbar.NewMemoryStore(), newKey(t))
	before, after := `{"id":"bc-vault-default","attributes":{"vault":{"text":1,"filler":"`, `"}},"deployment":{"vault":{}}}`
	d, err := proposal.Parse([]byte(before + strings.Repeat("f", proposal.MaxBytes-len(before)-len(after)) + after))
	require.NoError(t, err)
	_, err = e.SaveProposal(t.Context(), crowbar.SaveProposal{Key: vaultKey, Document: d, Author: "tester"})
	require.ErrorIs(t, err, crowbar.ErrLimit)
	_, err = e.Proposals().Get(t.Context(), vaultKey, 0)
	require.ErrorIs(t, err, proposal.ErrNotFound)
}

// secretStore is an engine's store in which each test document has a secret.
func secretStore(t *testing.T) proposal.Store {
	registry, err := barclamp.NewRegistry(vault{"nova", vaultSchema}, vault{"nova-extra", vaultSchema})
	require.NoError(t, err)
	require.Len(t, registry.Schema("nova").MarkSecrets(proposaltest.Doc(t, "nova", 1)).Secrets(), 1)
	e, err := crowbar.New(t.Context(), crowbar.Config{Store: crowbar.NewMemoryStore(), Registry: registry, Sealer: newKey(t)})
	require.NoError(t, err)
	return e.Proposals()
}
