package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func (a *app) proposalPlanCommand() *cobra.Command {
	number := 0
	c := &cobra.Command{
		Use:   "plan BARCLAMP [NAME]",
		Short: "tell what a commit would do to which node",
		Long: "Tell what committing a revision now would do: what differs from the one in force, which roles are\n" +
			"applied in which order, and what each node gets and loses. Nothing is changed.\n" +
			"Exit status 0: nothing differs from what is in force and applied, a commit would apply the same\n" +
			"again; 2: something does; 1: it cannot be committed, something is wrong with the document; 3: a\n" +
			"rule refuses it; 4: it cannot be committed now, a job that applies an earlier revision runs still.",
		Example: "  crowbar proposal plan nova\n  crowbar proposal plan nova default -r 3 -o json",
		Args:    arguments("BARCLAMP", "[NAME]"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			p, err := c.PlanProposal(ctx, key(args), number)
			if err != nil {
				return err
			}
			if a.output == "json" {
				err = a.json(p)
			} else {
				err = a.plan(p)
			}
			if err != nil {
				return err
			}
			return planOutcome(p)
		}),
	}
	revisionFlag(c, &number)
	return c
}

// planOutcome is the exit status.
func planOutcome(p *client.ProposalPlan) error {
	name := fmt.Sprintf("%s/%s revision %d", p.Barclamp, p.Name, p.Revision)
	switch {
	case len(p.Problems) > 0:
		k := proposal.Key{Barclamp: p.Barclamp, Name: p.Name}
		return fmt.Errorf("%s cannot be committed: it has %s; put it right: %s --raw", name, wording.Count(len(p.Problems), "problem"), proposalVerb("edit", k))
	case p.Refused != "":
		code := p.RefusedCode
		if code == "" {
			code = client.CodeRefused
		}
		return &client.Error{Code: code, Message: name + " cannot be committed: " + p.Refused}
	case p.Changes:
		return errChanges
	}
	return nil
}

func (a *app) plan(p *client.ProposalPlan) error {
	k := proposal.Key{Barclamp: p.Barclamp, Name: p.Name}
	lines(a.Stdout, "%s: %s", k, planHead(p))
	if p.Diff != nil && !p.Diff.Empty() {
		if err := a.diffBehind(a.Stdout, "  ", p.Diff); err != nil {
			return err
		}
	}
	for i, wave := range p.Waves {
		lines(a.Stdout, "wave %d: %s", i+1, oneLine(strings.Join(wave, ", ")))
	}
	if len(p.Nodes) > 0 {
		t := newTable("NODE", "STATE", "APPLIES", "GAINS", "LOSES", "NOTE")
		for _, n := range p.Nodes {
			s := plain
			switch {
			case len(n.Gains) > 0 && len(n.Loses) > 0:
				s = yellow
			case len(n.Gains) > 0:
				s = green
			case len(n.Loses) > 0:
				s = red
			}
			name := wording.Node(n.Node)
			if n.Alias != "" {
				name += " (" + n.Alias + ")"
			}
			t.add(s, name, orDash(n.State), roleList(n.Applies), roleList(n.Gains), roleList(n.Loses), n.Note)
		}
		if err := a.print(a.Stdout, t); err != nil {
			return err
		}
	}
	if p.Waiting != "" {
		lines(a.Stdout, "the job %s", oneLine(p.Waiting))
	}
	if p.Fails != "" {
		lines(a.Stdout, "the job would fail: %s", oneLine(p.Fails))
	}
	for _, problem := range p.Problems {
		lines(a.Stdout, "problem: %s", oneLine(problem.String()))
	}
	if len(p.Problems) > 0 && p.Refused != "" { // else the error says it
		lines(a.Stdout, "refused: %s", oneLine(p.Refused))
	}
	if len(p.Problems) == 0 && p.Refused == "" {
		lines(a.Stdout, "commit it: %s -r %d", proposalVerb("commit", k), p.Revision)
	}
	return nil
}

// planHead says what would come into force, and what of that is new.
func planHead(p *client.ProposalPlan) string {
	applied := 0
	for _, n := range p.Nodes {
		if len(n.Applies) > 0 {
			applied++
		}
	}
	head := fmt.Sprintf("commit revision %d", p.Revision)
	switch {
	case p.InForce == 0:
		return head + "; none is in force"
	case !p.Changes && p.InForce == p.Revision:
		return fmt.Sprintf("revision %d is in force and applied; a commit would apply the same roles again to %s", p.Revision, wording.Count(applied, "node"))
	case !p.Changes:
		return fmt.Sprintf("revision %d says the same as revision %d, which is in force and applied; a commit would apply the same roles again to %s",
			p.Revision, p.InForce, wording.Count(applied, "node"))
	case p.InForce == p.Revision:
		return head + ", which is in force, again"
	case p.Diff != nil && p.Diff.Empty():
		return head + fmt.Sprintf(" in the place of revision %d, which says the same", p.InForce)
	}
	return head + fmt.Sprintf(" in the place of revision %d", p.InForce)
}

func roleList(roles []string) string { return orDash(strings.Join(roles, " ")) }
