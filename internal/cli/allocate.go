package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

type allocation struct {
	*app
	all, yes, allowDestroy bool
	intendedRole           string
}

func (a *app) allocateCommand() *cobra.Command {
	run := &allocation{app: a}
	c := &cobra.Command{
		Use:   "allocate NODE... | --all",
		Short: "take nodes out of the pause, to be configured and installed",
		Long: "allocate shows what will be done to the nodes. If that destroys data it asks, or wants --yes.\n" +
			"What is granted is what was shown: if a plan changes in between, nothing is done.",
		RunE: a.ask(run.run),
	}
	c.Flags().BoolVar(&run.all, "all", false, "all nodes that pause in discovered")
	c.Flags().BoolVarP(&run.yes, "yes", "y", false, "destroy the data without being asked")
	c.Flags().BoolVar(&run.allowDestroy, "allow-destroy", false, "the same as --yes")
	c.Flags().StringVar(&run.intendedRole, "intended-role", "", "record what the node is meant for: controller, compute, storage, …")
	return c
}

func (a *allocation) run(ctx context.Context, c *client.Client, args []string) error {
	names, err := a.names(ctx, c, args)
	if err != nil {
		return err
	}
	var failures []error
	var plans []*client.Plan
	destroys := false
	for _, name := range names {
		if err := paused(ctx, c, name); err != nil {
			failures = append(failures, err)
			continue
		}
		p, err := c.Plan(ctx, name)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		if p.Refused != "" {
			failures = append(failures, refusal(p.Refused))
			continue
		}
		a.show(p)
		plans = append(plans, p)
		destroys = destroys || len(p.Destructions) > 0
	}
	if destroys {
		err := a.agree(ctx, a.yes || a.allowDestroy, "not allocated: it destroys data", "allow it with --yes", "destroy the data on these disks?")
		if err != nil {
			return err
		}
	}
	allocated := []*client.Node{}
	for _, p := range plans {
		n, err := c.Allocate(ctx, p.Node, client.AllocateOptions{PlanHash: p.Hash, IntendedRole: a.intendedRole})
		if err != nil {
			failures = append(failures, err)
			continue
		}
		allocated = append(allocated, n)
		if a.output != "json" {
			lines(a.Stdout, "%s is allocated and in %s", n.Name, stateOf(*n))
		}
	}
	if a.output == "json" {
		if err := a.json(allocated); err != nil {
			return err
		}
	}
	return errors.Join(failures...)
}

// paused refuses a node that cannot be allocated before its plan is shown.
func paused(ctx context.Context, c *client.Client, name string) error {
	n, err := c.Node(ctx, name)
	if err != nil || n.State == lifecycle.Discovered && n.Phase == "settled" {
		return err
	}
	return refusal(fmt.Sprintf("%s cannot be allocated: it is in %s and does not pause in %s; see why: crowbar node why %s",
		n.Name, stateOf(*n), lifecycle.Discovered, n.Name))
}

func (a *allocation) names(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	switch {
	case a.all && len(args) > 0:
		return nil, errors.New("give nodes or --all, not both")
	case len(args) > 0:
		return args, nil
	case !a.all:
		return nil, errors.New("no node given; name some, or give --all")
	}
	nodes, err := c.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range nodes {
		if n.State == lifecycle.Discovered && n.Phase == "settled" {
			names = append(names, n.Name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no node pauses in %s; see where they are: crowbar node list", lifecycle.Discovered)
	}
	return names, nil
}

// show prints a plan where it is not in the way of JSON.
func (a *allocation) show(p *client.Plan) {
	var w io.Writer = a.Stdout
	if a.output == "json" {
		w = a.Stderr
	}
	lines(w, "%s:", p.Node)
	if len(p.Parts) == 0 {
		lines(w, "  nothing is done to its hardware or disks")
	}
	for _, part := range p.Parts {
		lines(w, "  %s, in %s:", part.Barclamp, part.State)
		text := strings.TrimSpace(part.Text)
		if part.Skipped != "" {
			text = strings.TrimSpace(text + "\nskipped: " + part.Skipped)
		}
		for line := range strings.Lines(text) {
			lines(w, "    %s", strings.TrimRight(line, "\n"))
		}
	}
	for _, d := range p.Destructions {
		lines(w, "  DESTROYS DATA: %s (disks %s)", d.Description, strings.Join(d.Disks, ", "))
	}
}
