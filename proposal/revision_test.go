package proposal_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/proposal/proposaltest"
)

func TestRevisionJSON(t *testing.T) {
	d := parse(t, document(`{"b":1.0,"a":12345678901234567890,"null":null,"s":"<ü>"}`, ""))
	at := time.Date(2026, 3, 1, 12, 0, 0, 5, time.FixedZone("CET", 3600))
	r, err := proposal.NextRevision(d.Key(), 4, proposal.Revision{Author: "ada", Message: "why", Time: at, Document: d})
	require.NoError(t, err)
	text, err := json.Marshal(r)
	require.NoError(t, err)
	require.Contains(t, string(text), `{"number":5,"parent":4,"author":"ada","message":"why","time":"2026-03-01T11:00:00.000000005Z","hash":"`+d.Hash()+`","document":{"id":`)
	require.Contains(t, string(text), `{"b":1.0,"a":12345678901234567890,"null":null,`, "keys in order, numbers as text")

	var again proposal.Revision
	require.NoError(t, json.Unmarshal(text, &again))
	require.Equal(t, d.Hash(), again.Document.Hash())
	text2, err := json.Marshal(again)
	require.NoError(t, err)
	require.Equal(t, string(text), string(text2))
}

func TestHash(t *testing.T) {
	base := parse(t, document(`{"a":1.0,"b":"ü"}`, `"config":{"environment":"x"}`))
	require.Len(t, base.Hash(), 64)
	require.Equal(t, `{"attributes":{"nova":{"a":1.0,"b":"ü"}},"deployment":{"nova":{"config":{},"element_order":[["controller"],["compute","volume"]]}},"description":"d"}`,
		string(base.Content()))
	for name, edit := range map[string]proposal.Edit{
		"id":               set("/id", `"nova-other"`),
		"revision":         set("/deployment/nova/crowbar-revision", "7"),
		"no revision":      remove("/deployment/nova/crowbar-revision"),
		"applied":          set("/deployment/nova/crowbar-applied", "true"),
		"committing":       set("/deployment/nova/crowbar-committing", "true"),
		"queued":           set("/deployment/nova/crowbar-queued", "true"),
		"status":           set("/deployment/nova/crowbar-status", `"failed"`),
		"failed":           set("/deployment/nova/crowbar-failed", `"why"`),
		"environment":      set("/deployment/nova/config/environment", `"y"`),
		"escapes":          set("/attributes/nova/b", `"\u00fc"`),
		"white space":      set("/attributes/nova", "{\n\"b\" : \"ü\", \"a\": 1.0 }"),
		"the same content": set("/description", `"d"`),
	} {
		require.Equal(t, base.Hash(), with(t, base, edit).Hash(), name)
	}
	for name, edit := range map[string]proposal.Edit{
		"number text":        set("/attributes/nova/a", "1"),
		"attribute":          set("/attributes/nova/b", `"u"`),
		"description":        set("/description", `"e"`),
		"schema-revision":    set("/deployment/nova/schema-revision", "1"),
		"mode":               set("/deployment/nova/config/mode", `"full"`),
		"elements":           set("/deployment/nova/elements", "{}"),
		"id that is no id":   set("/attributes/nova/id", "1"),
		"other member":       set("/other", "1"),
		"status elsewhere":   set("/attributes/nova/crowbar-status", `"failed"`),
		"environment above":  set("/deployment/nova/environment", `"x"`),
		"order of a list":    set("/deployment/nova/element_order", `[["compute","volume"],["controller"]]`),
		"null for something": set("/attributes/nova/b", "null"),
	} {
		require.NotEqual(t, base.Hash(), with(t, base, edit).Hash(), name)
	}
}

func TestMemoryStore(t *testing.T) {
	open := func(*testing.T) proposal.Store { return proposal.NewMemoryStore() }
	proposaltest.RunStore(t, open)
	proposaltest.RunStoreModel(t, open)
}
