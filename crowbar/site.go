package crowbar

import (
	"slices"
	"sync"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// members answers which roles the proposals in force give a node: the applied elements are a
// query, so that nothing has to be written on each node when a proposal is committed.
type members struct {
	mu     sync.RWMutex
	byNode map[string][]barclamp.Membership
}

func (m *members) rebuild(configs []*ConfigRole) {
	byNode := map[string][]barclamp.Membership{}
	for _, c := range configs {
		elements := c.deployment().Elements
		for _, role := range c.Document.Roles() {
			for _, node := range elements[role] {
				byNode[node] = append(byNode[node], barclamp.Membership{Proposal: c.Proposal, Role: role})
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byNode = byNode
}

func (m *members) of(node string) []barclamp.Membership {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.byNode[node]
}

// Memberships lists the roles of a node: those its proposals in force give it, and those that
// transitions added.
func (e *Engine) Memberships(n *Node) []barclamp.Membership {
	all := slices.Clone(e.members.of(n.Name))
	for _, hook := range n.Hooks {
		if !slices.ContainsFunc(all, func(m barclamp.Membership) bool {
			return m.Proposal == hook.Proposal && m.Role == hook.Role
		}) {
			all = append(all, hook)
		}
	}
	return all
}

// view is the node as barclamps see it.
func (e *Engine) view(n *Node) barclamp.Node {
	v := barclamp.Node{
		Name:         n.Name,
		Alias:        n.Alias,
		State:        n.Lifecycle.State,
		Allocated:    n.Allocated,
		IntendedRole: n.IntendedRole,
		Memberships:  e.Memberships(n),
		Addresses:    n.Addresses,
		Data:         n.Data,
	}
	if f, revision := e.facts.get(n.Name); revision != 0 {
		v.Facts = f.Facts
	}
	return v
}

// Site is the present picture of nodes and proposals in force, for barclamps.
func (e *Engine) Site() barclamp.Site {
	return &site{engine: e, nodes: sync.OnceValue(func() []barclamp.Node {
		records := e.nodes.list()
		views := make([]barclamp.Node, len(records))
		for i, n := range records {
			views[i] = e.view(n)
		}
		return views
	})}
}

type site struct {
	engine *Engine
	nodes  func() []barclamp.Node
}

var _ barclamp.Site = (*site)(nil)

func (s *site) Nodes() []barclamp.Node { return s.nodes() }

func (s *site) Node(name string) (barclamp.Node, bool) {
	n, revision := s.engine.nodes.get(RoleName(name))
	if revision == 0 || n.Name != name {
		return barclamp.Node{}, false
	}
	return s.engine.view(n), true
}

func (s *site) InForce(k proposal.Key) (*proposal.Document, bool) {
	c, revision := s.engine.configs.get(configRole(k))
	if revision == 0 {
		return nil, false
	}
	return c.Document, true
}

func (s *site) Proposals(name string) []proposal.Key {
	var keys []proposal.Key
	for _, c := range s.engine.configs.list() {
		if c.Proposal.Barclamp == name {
			keys = append(keys, c.Proposal)
		}
	}
	return keys
}
