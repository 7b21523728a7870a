package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/wording"
)

func (a *app) nodeCommand() *cobra.Command {
	commands := []*cobra.Command{
		{Use: "list", Short: "list all nodes", Args: arguments(), RunE: a.ask(a.nodeList)},
		{Use: "show NODE", Short: "show a node", Args: arguments("NODE"), RunE: a.ask(a.nodeShow)},
		{Use: "why NODE", Short: "say why a node is where it is, and what moves it on", Args: arguments("NODE"), RunE: a.ask(a.nodeWhy)},
		a.allocateCommand(),
	}
	return group("node", "look at nodes and move them on", append(commands, a.transitionCommands()...)...)
}

func (a *app) nodeList(ctx context.Context, c *client.Client, _ []string) error {
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(nodes)
	}
	t := newTable("NODE", "STATE", "FOR", "ADDRESS", "ROLES")
	for _, n := range nodes {
		name := wording.Node(n.Name)
		if n.Alias != "" {
			name += " (" + n.Alias + ")"
		}
		t.add(nodeStyle(n), name, stateOf(n), orDash(stay(n)), orDash(address(n)), orDash(wording.Roles(n.Memberships, 0)))
	}
	return a.print(a.Stdout, t)
}

func nodeStyle(n client.Node) style {
	switch {
	case n.Phase == "failed" || n.State == "problem":
		return red
	case n.State == "ready" && n.Phase == "settled":
		return green
	}
	return plain
}

// stateOf is the state, and what the engine does in it.
func stateOf(n client.Node) string {
	text := n.State
	switch {
	case n.Progress != nil && n.Progress.Fraction >= 0:
		text += fmt.Sprintf(" (%s, %.0f%%)", n.Progress.Title, 100*n.Progress.Fraction)
	case n.Progress != nil:
		text += " (" + n.Progress.Title + ")"
	case n.Phase != "settled":
		text += " (" + n.Phase + ")"
	}
	return text
}

// stay is how long the node has been in its state, on the server's clock.
func stay(n client.Node) string {
	if len(n.Visits) == 0 {
		return ""
	}
	return seconds(n.Visits[len(n.Visits)-1].Seconds)
}

// address is the node's in the admin network, else its first by the networks' names.
func address(n client.Node) string {
	if admin, ok := n.Addresses["admin"]; ok {
		return admin.String()
	}
	for _, network := range slices.Sorted(maps.Keys(n.Addresses)) {
		return n.Addresses[network].String()
	}
	return ""
}

func (a *app) nodeShow(ctx context.Context, c *client.Client, args []string) error {
	n, err := c.Node(ctx, args[0])
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(n)
	}
	t := &table{}
	field := func(name, value string) {
		if value != "" {
			t.add(plain, name, value)
		}
	}
	field("node", n.Name)
	field("alias", n.Alias)
	field("state", stateOf(*n))
	field("reason", n.Reason)
	field("for", stay(*n))
	field("allocated", map[bool]string{true: fmt.Sprintf("yes, for the %s time", wording.Ordinal(n.Epoch)), false: "no"}[n.Allocated])
	field("intended role", n.IntendedRole)
	field("roles", strings.Join(n.Roles, ", "))
	for _, network := range slices.Sorted(maps.Keys(n.Addresses)) {
		field("address", n.Addresses[network].String()+" ("+network+")")
	}
	if n.Progress != nil {
		field("progress", strings.TrimSuffix(n.Progress.Title+": "+n.Progress.Message, ": "))
	}
	if n.Facts != nil {
		facts(*n, field)
	}
	for _, r := range n.Applied {
		field("applied", fmt.Sprintf("%s of %s revision %d", r.Role, r.Proposal, r.Revision))
	}
	for _, s := range n.Skipped {
		field("skipped", fmt.Sprintf("%s in %s: %s", s.Barclamp, s.State, s.Reason))
	}
	for _, v := range n.Visits[:max(len(n.Visits)-1, 0)] { // the last one is the present
		field("was in", v.State+" for "+seconds(v.Seconds))
	}
	return a.print(a.Stdout, t)
}

func facts(n client.Node, field func(name, value string)) {
	f := n.Facts
	field("machine", strings.TrimSpace(f.Manufacturer+" "+f.Product))
	field("serial", f.Serial)
	field("firmware", f.Firmware)
	if f.CPU.Cores > 0 {
		field("CPU", strings.TrimPrefix(fmt.Sprintf("%s, %s in %s", f.CPU.Model, wording.Count(f.CPU.Cores, "core"), wording.Count(f.CPU.Sockets, "socket")), ", "))
	}
	if f.MemoryBytes > 0 {
		field("memory", memory(f.MemoryBytes))
	}
	for _, d := range f.Disks {
		field("disk", strings.TrimSpace(d.Name+" "+size(d.SizeBytes)+" "+d.Serial))
	}
	for _, i := range f.NICs {
		field("NIC", i.Name+" "+i.MAC)
	}
	if f.BMC != nil {
		field("BMC", f.BMC.URL)
	} else {
		field("BMC", "none")
	}
}

func (a *app) nodeWhy(ctx context.Context, c *client.Client, args []string) error {
	x, err := c.Why(ctx, args[0])
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(x)
	}
	lines(a.Stdout, "%s", x.Sentence)
	for _, w := range x.Waiting {
		lines(a.Stdout, "%s", w)
	}
	if x.Command != "" {
		lines(a.Stdout, "move it on: %s", x.Command)
	}
	return nil
}
