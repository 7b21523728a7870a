package barclamptest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// FakeSite is a site of plain values. As in the engine, a node is a member of the roles that
// the elements of Committed give it, besides those it says itself.
type FakeSite struct {
	Machines  []barclamp.Node      // in any order
	Committed []*proposal.Document // what is in force
}

var _ barclamp.Site = (*FakeSite)(nil)

// NewSite returns a site of discovered nodes without BMC: the first compute of them have 4
// disks, the other storage have 12. All CPUs have vmx.
func NewSite(compute, storage int) *FakeSite {
	s := &FakeSite{}
	for i := range compute + storage {
		disks := 4
		if i >= compute {
			disks = 12
		}
		s.Machines = append(s.Machines, NewNode(i+1, disks))
	}
	return s
}

// NewNode returns the node of a site that has the given number, from 1 to 65535.
func NewNode(number, disks int) barclamp.Node {
	high, low := number>>8, number&0xff
	n := barclamp.Node{
		Name:  fmt.Sprintf("d52-54-00-00-%02x-%02x.crowbar.test", high, low),
		State: "discovered",
		Facts: barclamp.Facts{
			Manufacturer: "CrowbarKit",
			Product:      "Fake Server",
			Serial:       fmt.Sprintf("FAKE%05d", number),
			Firmware:     "uefi",
			CPU:          barclamp.CPU{Model: "Fake CPU", Sockets: 2, Cores: 16, Flags: []string{"lm", "sse4_2", "vmx"}},
			MemoryBytes:  64 << 30,
			NICs: []barclamp.NIC{
				{Name: "eth0", MAC: fmt.Sprintf("52:54:00:00:%02x:%02x", high, low), SpeedMbps: 10000, Link: true},
				{Name: "eth1", MAC: fmt.Sprintf("52:54:00:01:%02x:%02x", high, low), SpeedMbps: 10000},
			},
		},
	}
	for i := range disks {
		n.Facts.Disks = append(n.Facts.Disks, barclamp.Disk{
			Name:       "sd" + string(rune('a'+i)),
			Serial:     fmt.Sprintf("FAKE%05d-%02d", number, i),
			WWN:        fmt.Sprintf("5000c500%06x%02x", number, i),
			SizeBytes:  1_000_204_886_016,
			Rotational: true,
		})
	}
	return n
}

// Nodes lists the nodes by name.
func (s *FakeSite) Nodes() []barclamp.Node {
	nodes := make([]barclamp.Node, len(s.Machines))
	for i, n := range s.Machines {
		nodes[i] = s.view(n)
	}
	slices.SortFunc(nodes, func(a, b barclamp.Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes
}

// Node finds one node.
func (s *FakeSite) Node(name string) (barclamp.Node, bool) {
	for _, n := range s.Machines {
		if n.Name == name {
			return s.view(n), true
		}
	}
	return barclamp.Node{}, false
}

func (s *FakeSite) view(n barclamp.Node) barclamp.Node {
	n.Memberships = slices.Clone(n.Memberships)
	for _, d := range s.Committed {
		elements := d.Deployment().Elements
		for _, role := range d.Roles() {
			m := barclamp.Membership{Proposal: d.Key(), Role: role}
			if slices.Contains(elements[role], n.Name) && !slices.Contains(n.Memberships, m) {
				n.Memberships = append(n.Memberships, m)
			}
		}
	}
	return n
}

// InForce finds a document of Committed.
func (s *FakeSite) InForce(k proposal.Key) (*proposal.Document, bool) {
	for _, d := range s.Committed {
		if d.Key() == k {
			return d, true
		}
	}
	return nil, false
}

// Proposals lists the keys of a barclamp's documents in Committed, by name.
func (s *FakeSite) Proposals(name string) []proposal.Key {
	var keys []proposal.Key
	for _, d := range s.Committed {
		if d.Barclamp() == name {
			keys = append(keys, d.Key())
		}
	}
	slices.SortFunc(keys, func(a, b proposal.Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
}

// Commit puts what a barclamp proposes for the site in force, in place of an earlier document
// of the same name, and returns it.
func (s *FakeSite) Commit(ctx context.Context, b barclamp.Barclamp) (*proposal.Document, error) {
	draft, err := b.Propose(ctx, s)
	if err != nil {
		return nil, err
	}
	template, err := b.Info().Template.WithName("default")
	if err != nil {
		return nil, err
	}
	d, err := draft.Document(template)
	if err != nil {
		return nil, err
	}
	s.Put(d)
	return d, nil
}

// Put puts a document in force.
func (s *FakeSite) Put(d *proposal.Document) {
	s.Committed = slices.DeleteFunc(s.Committed, func(old *proposal.Document) bool { return old.Key() == d.Key() })
	s.Committed = append(s.Committed, d)
}

// Event is a node of the site coming into a state, as the barclamp of a document in force is
// told. The node must be there.
func (s *FakeSite) Event(node, state string, d *proposal.Document) (barclamp.Event, error) {
	n, ok := s.Node(node)
	if !ok {
		return barclamp.Event{}, fmt.Errorf("barclamptest: the site has no node %q", node)
	}
	n.State = state
	return barclamp.Event{Node: n, State: state, Name: d.Name(), Document: d}, nil
}
