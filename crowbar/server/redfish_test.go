package server_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/crowbar/server"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// TestPlansGoOverRedfish: what is known of the hardware was asked of each node's BMC, by gofish
// over HTTP, with sessions that are ended when the server stops.
func TestPlansGoOverRedfish(t *testing.T) {
	s, c, stop := running(t, t.TempDir(), &server.Simulation{Nodes: 4, Speed: 60})
	until(t, c, 4, "discovered")
	for _, name := range []string{"deployer", "bios", "raid"} {
		k := proposal.Key{Barclamp: name, Name: "default"}
		_, err := c.CreateProposal(t.Context(), client.NewProposal{Barclamp: k.Barclamp, Name: k.Name})
		require.NoError(t, err)
		_, err = c.Commit(t.Context(), k, 0)
		require.NoError(t, err)
	}
	for _, m := range s.Site().Machines() {
		before := len(m.BMC().RequestLog())
		plan, err := c.Plan(t.Context(), m.Node())
		require.NoError(t, err)
		require.Len(t, plan.Parts, 2)
		log := m.BMC().RequestLog()[before:]
		require.NotEmpty(t, log, "%s was planned without asking its BMC", m.Node())
		for _, r := range log {
			require.Contains(t, r.UserAgent, "gofish", "%s %s", r.Method, r.Path)
		}
		require.LessOrEqual(t, m.BMC().Sessions(), 1, "one session serves both barclamps")
	}
	stop()
	for _, m := range s.Site().Machines() {
		require.Zero(t, m.BMC().Sessions())
	}
}
