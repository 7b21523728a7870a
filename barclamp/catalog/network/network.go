// Package network is the barclamp that knows the site's networks and gives each node its
// address in the admin network.
//
// Roles:
//
//   - network: every node but the admin node. No further constraint.
//
// In hardware-installing, and in installed and readying for a node that came by without one,
// a node gets an address of the range host of the network admin. Which one depends on its rank
// among the site's nodes by name and not on who comes first, so that the same site has the
// same addresses each time it is built.
//
// Crowbar's template holds 80 nodes. For a larger site Propose writes a larger admin network
// (10.124.0.0/16, the ranges in the same order) and says so; networks cannot be changed later.
package network

import (
	"context"
	_ "embed"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Name of the barclamp.
const Name = "network"

// RoleNetwork is on every node.
const RoleNetwork = "network"

// Admin is the network in which Crowbar reaches the nodes, and HostRange the range of it that
// they have their addresses from.
const (
	Admin     = "admin"
	HostRange = "host"
)

//go:embed template.json
var template []byte

//go:embed schema.json
var schema []byte

// Barclamp gives addresses.
type Barclamp struct {
	template *proposal.Document
}

var (
	_ barclamp.Barclamp     = (*Barclamp)(nil)
	_ barclamp.Transitioner = (*Barclamp)(nil)
	_ barclamp.Validator    = (*Barclamp)(nil)
)

// New makes the barclamp.
func New() *Barclamp {
	d, _ := proposal.Parse(template) // a Registry refuses a template that is none
	return &Barclamp{template: d}
}

// Info describes the barclamp.
func (b *Barclamp) Info() barclamp.Info {
	return barclamp.Info{
		Name:        Name,
		Version:     "1.0",
		Description: "Gives nodes their addresses",
		Roles:       []barclamp.Role{{Name: RoleNetwork}},
		RunOrder:    20,
		Template:    b.template,
		Schema:      schema,
	}
}

// Propose takes all nodes, and a larger admin network if the template's has not enough
// addresses for them.
func (b *Barclamp) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	d := &barclamp.Draft{}
	nodes := barclamp.Candidates(s)
	for _, n := range nodes {
		d.Place(RoleNetwork, n.Name, "every node gets an address in the admin network")
	}
	if len(nodes) == 0 {
		d.Explain(RoleNetwork, "", "no node has been discovered yet")
	}
	hosts, err := Host(b.template)
	if err != nil {
		return nil, err
	}
	if size := hosts.Size(); len(nodes) > size {
		widen(d)
		d.Explain(RoleNetwork, "", fmt.Sprintf("%d nodes are more than the %d addresses of the range %s, so the admin network becomes 10.124.0.0/16 with %d",
			len(nodes), size, hosts, wideHost.Size()))
	}
	return d, nil
}

// wideHost has room for 16384 nodes.
var wideHost = Range{Start: netip.AddrFrom4([4]byte{10, 124, 64, 0}), End: netip.AddrFrom4([4]byte{10, 124, 127, 255})}

// widen replaces the admin network, and the networks that share its wire, by large ones.
func widen(d *barclamp.Draft) {
	span := func(start, end string) map[string]string { return map[string]string{"start": start, "end": end} }
	for _, network := range []string{Admin, "bmc", "bmc_vlan"} {
		d.Set("/networks/"+network+"/subnet", "10.124.0.0")
		d.Set("/networks/"+network+"/netmask", "255.255.0.0")
		d.Set("/networks/"+network+"/broadcast", "10.124.255.255")
	}
	d.Set("/networks/admin/router", "10.124.0.1")
	d.Set("/networks/admin/ranges", map[string]any{
		"admin":   span("10.124.0.10", "10.124.0.11"),
		"dhcp":    span("10.124.16.0", "10.124.63.255"),
		HostRange: span(wideHost.Start.String(), wideHost.End.String()),
		"switch":  span("10.124.0.241", "10.124.0.250"),
	})
	d.Set("/networks/bmc/ranges/host", span("10.124.128.0", "10.124.191.255"))
	d.Set("/networks/bmc_vlan/ranges/host", span("10.124.0.161", "10.124.0.161"))
}

// Data is what the barclamp keeps in a node's role.
type Data struct {
	Network string     `json:"network"`
	Address netip.Addr `json:"address"`
	Netmask string     `json:"netmask,omitempty"`
	Router  string     `json:"router,omitempty"`
}

// Transition gives the node its address.
func (b *Barclamp) Transition(_ context.Context, s barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	switch e.State {
	case "hardware-installing", "installed", "readying":
	default:
		return nil, nil
	}
	steps := e.JoinSteps(RoleNetwork)
	var recorded Data
	if _, err := e.Node.Decode(Name, &recorded); err != nil {
		return nil, err
	}
	has := e.Node.Addresses[Admin]
	if e.Node.Admin || has.IsValid() && recorded.Address == has {
		return steps, nil
	}
	hosts, err := Host(e.Document)
	if err != nil {
		return nil, err
	}
	admin := e.Document.Get("networks." + Admin)
	return append(steps, barclamp.Step{
		ID:    "claim-admin-address",
		Title: "claim an address in the admin network",
		Run: func(ctx context.Context, sc barclamp.StepContext) error {
			address, err := sc.Data().ClaimAddress(ctx, Admin, hosts.From(rank(s, e.Node.Name)))
			if err != nil {
				return fmt.Errorf("range %s of network %s (%s): %w", HostRange, Admin, hosts, err)
			}
			sc.Progress(1, address.String())
			return sc.Data().Put(ctx, Data{Network: Admin, Address: address,
				Netmask: admin.Get("netmask").String(), Router: admin.Get("router").String()})
		},
	}), nil
}

// rank is the node's place among the site's nodes by name.
func rank(s barclamp.Site, node string) int {
	nodes := barclamp.Candidates(s)
	at, _ := slices.BinarySearchFunc(nodes, node, func(n barclamp.Node, name string) int { return strings.Compare(n.Name, name) })
	return at
}

// A Range is a span of IPv4 addresses, both ends included.
type Range struct{ Start, End netip.Addr }

// String returns "192.0.2.1-192.0.2.9".
func (r Range) String() string { return r.Start.String() + "-" + r.End.String() }

// Size is the number of addresses.
func (r Range) Size() int { return int(number(r.End)) - int(number(r.Start)) + 1 }

// From yields every address of the range once, beginning with the one at the given index
// (modulo the size) and going on at the start after the end.
func (r Range) From(index int) iter.Seq[netip.Addr] {
	return func(yield func(netip.Addr) bool) {
		size := r.Size()
		for i := range size {
			at := number(r.Start) + uint32((index+i)%size)
			if !yield(netip.AddrFrom4([4]byte{byte(at >> 24), byte(at >> 16), byte(at >> 8), byte(at)})) {
				return
			}
		}
	}
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// Host returns the range of the admin network that nodes have their addresses from.
func Host(d *proposal.Document) (Range, error) {
	r := d.Get("networks." + Admin + ".ranges." + HostRange)
	start, err := netip.ParseAddr(r.Get("start").String())
	end, endErr := netip.ParseAddr(r.Get("end").String())
	if err != nil || endErr != nil || !start.Is4() || !end.Is4() || end.Less(start) {
		return Range{}, fmt.Errorf("network: %s has no usable range %s in network %s", d.Key(), HostRange, Admin)
	}
	return Range{Start: start, End: end}, nil
}
