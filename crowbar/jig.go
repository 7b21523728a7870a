package crowbar

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// A Jig makes nodes take their roles (OpenCrowbar's word for a configuration manager). The
// engine decides what is applied where and when; the jig only does it.
type Jig interface {
	// Apply applies one wave: the given roles to the given nodes, all at once, and returns
	// when the last is done. It is idempotent: after a crash the same wave is applied again.
	// The result names the nodes that failed and why; an error says that nothing can be said
	// of any node. sink may be called from several goroutines until Apply returns.
	Apply(ctx context.Context, run JigRun, sink func(JigEvent)) (failed map[string]error, err error)
}

// A JigRun is the frozen input of one wave. Its Document has the secrets, for Get and Bytes; in
// JSON, so in what is logged, they are hidden.
type JigRun struct {
	Job      string             `json:"job"`
	Proposal proposal.Key       `json:"proposal"`
	Revision int                `json:"revision"`
	Wave     int                `json:"wave"` // from 0, of the document's element_order
	Document *proposal.Document `json:"document"`
	Targets  []JigTarget        `json:"targets"` // by node
}

// A JigTarget is a node of a wave.
type JigTarget struct {
	Node    string                     `json:"node"`
	Address netip.Addr                 `json:"address,omitzero"` // in the admin network; none before it has one
	Roles   []string                   `json:"roles"`
	Data    map[string]json.RawMessage `json:"data,omitempty"` // the node's role data by barclamp
}

// A JigEvent is progress of a run.
type JigEvent struct {
	Node    string `json:"node"`
	Role    string `json:"role"`
	Message string `json:"message"`
}

// roles lists the roles that the wave really applies, each once.
func (r JigRun) roles() []string {
	var roles []string
	for _, t := range r.Targets {
		for _, role := range t.Roles {
			if !slices.Contains(roles, role) {
				roles = append(roles, role)
			}
		}
	}
	return roles
}

// nodes counts nodes in words.
func nodes(n int) string {
	if n == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}
