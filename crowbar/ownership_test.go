package crowbar

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWritersRefuseForeignRecords: each record has one owner, whatever a caller puts together.
func TestWritersRefuseForeignRecords(t *testing.T) {
	l := &ledger{store: NewMemoryStore(), now: time.Now}
	writers := map[string]func(context.Context, *change) error{
		"node": NodeWriter{l}.commit, "engine": EngineWriter{l}.commit, "operator": OperatorWriter{l}.commit,
	}
	owners := map[string]string{
		"facts/n": "node", "roles/crowbar-n": "engine", "roles/nova-config-default": "engine", "jobs/1": "engine",
		"grants/n/1": "engine", "proposals/nova/default/1": "operator", "proposal-status/nova/default": "engine",
		"allocations/admin/192.168.124.81": "engine", "tokens/x": "engine", "site": "engine",
	}
	for key, owner := range owners {
		for name, commit := range writers {
			c := &change{ops: []Op{{Key: key, Value: []byte(`{}`)}}}
			err := commit(t.Context(), c)
			if name == owner {
				require.NoError(t, err, "%s writes %s", name, key)
			} else {
				require.ErrorContains(t, err, "belongs to another writer", "%s writes %s", name, key)
			}
		}
	}
	err := EngineWriter{l}.commit(t.Context(), &change{ops: []Op{{Key: "events/0000000000000001", Value: []byte(`{}`)}}})
	require.Error(t, err, "events are written by the ledger alone")
}
