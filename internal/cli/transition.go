package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// transition is node transition, and the verbs that are short for it.
type transition struct {
	*app
	yes bool
}

func (a *app) transitionCommands() []*cobra.Command {
	run := &transition{app: a}
	commands := []*cobra.Command{{
		Use: "transition NODE STATE", Short: "ask for a node to go into a state", Args: arguments("NODE", "STATE"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			return run.run(ctx, c, args[0], args[1])
		}),
	}}
	for _, verb := range []struct{ state, short string }{
		{lifecycle.Reset, "take a node out of use and discover it anew"},
		{lifecycle.Reinstall, "install a node again with the roles it has"},
		{lifecycle.Update, "bring a node's hardware up to date"},
		{lifecycle.Delete, "forget a node and give back what it holds"},
	} {
		commands = append(commands, &cobra.Command{
			Use: verb.state + " NODE", Short: verb.short, Args: arguments("NODE"),
			RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
				return run.run(ctx, c, args[0], verb.state)
			}),
		})
	}
	for _, c := range commands {
		c.Flags().BoolVarP(&run.yes, "yes", "y", false, "do not ask, even if the node is in use")
	}
	return commands
}

// takesDown says whether a state ends what a node does.
func takesDown(state string) bool {
	return slices.Contains([]string{lifecycle.Reset, lifecycle.Reinstall, lifecycle.Update, lifecycle.Delete}, state)
}

func (a *transition) run(ctx context.Context, c *client.Client, name, state string) error {
	if takesDown(state) {
		n, err := c.Node(ctx, name)
		if err != nil {
			return err
		}
		if inUse := n.Allocated || n.State == lifecycle.Ready; inUse && n.State != state {
			if err := a.confirm(ctx, n, state); err != nil {
				return err
			}
		}
	}
	n, err := c.Transition(ctx, name, state)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(n)
	}
	lines(a.Stdout, "%s is in %s", n.Name, stateOf(*n))
	return nil
}

// confirm shows what the node does now and asks.
func (a *transition) confirm(ctx context.Context, n *client.Node, state string) error {
	var w io.Writer = a.Stdout
	if a.output == "json" {
		w = a.Stderr
	}
	lines(w, "%s is in %s; roles: %s; proposals that name it: %s", n.Name, stateOf(*n),
		orDash(strings.Join(n.Roles, ", ")), orDash(strings.Join(proposalsOf(n), ", ")))
	return a.agree(ctx, a.yes, "not done: the node is in use", "allow it with --yes", fmt.Sprintf("%s %s?", state, wording.Node(n.Name)))
}

func proposalsOf(n *client.Node) []string {
	var keys []string
	for _, m := range n.Memberships {
		if k := m.Proposal.String(); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	return keys
}
