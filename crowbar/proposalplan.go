package crowbar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// A ProposalPlan is what committing a revision now would do.
type ProposalPlan struct {
	Proposal proposal.Key
	Revision int
	InForce  int            // the revision that it would replace; 0: none
	Diff     *proposal.Diff // from the revision in force; nil if none is
	Waves    [][]string     // the roles that are applied, one batch after another
	Nodes    []NodeChange   // that have or had a role, by name
	Waiting  string         // what the job would wait for before it starts; empty: nothing
	Fails    string         // why the job would fail at once; empty: it would not
	Refused  error          // why it cannot be committed: matches ErrRefused or ErrConflict; nil: it can
	Problems []proposal.Problem
	// Changes is false if a revision that says the same is in force and applied.
	Changes bool
}

// afterAllJobs sorts behind the number of every job.
const afterAllJobs = "~"

// A NodeChange is what a commit would do to a node.
type NodeChange struct {
	Node, Alias, State string   // State is empty if there is no such node
	Gains, Loses       []string // roles, compared with the revision in force
	Applies            []string // roles that the job applies, wave by wave
	Note               string   // that it is waited for or left out, and why
}

// PlanProposal tells what committing a revision (0: the newest) now would do to which node. It
// looks where the job would look, so the job does the same as long as the nodes stay where they are.
func (e *Engine) PlanProposal(ctx context.Context, k proposal.Key, number int) (*ProposalPlan, error) {
	r, err := e.Revision(ctx, k, number)
	if err != nil {
		return nil, err
	}
	p := &ProposalPlan{Proposal: k, Revision: r.Number, Changes: true}
	if err := e.Check(ctx, r.Document); err != nil {
		var invalid *proposal.ValidationError
		if !errors.As(err, &invalid) {
			return nil, err
		}
		p.Problems = invalid.Problems
	}
	p.Refused = e.committable(k, r)
	next := &ConfigRole{Proposal: k, Revision: r.Number, Document: r.Document}
	before, inForce := e.InForce(k)
	if inForce {
		p.InForce = before.Revision
		if p.Diff, err = proposal.Compare(before.Document, r.Document); err != nil {
			return nil, err
		}
		p.Changes = !p.Diff.Empty() || e.Status(k).Status != StatusApplied
	}
	// The job would be the newest one, and take the place of one that is queued.
	job := &Job{ID: afterAllJobs, Kind: JobApply, Status: JobQueued, Proposal: k, Revision: r.Number}
	t, info := e.targetsOf(next, job), e.config.Registry.For(r.Document).Info()
	p.Waiting = e.waiting(job, t, info, e.Status(k).Job)
	if len(t.coming) == 0 && len(t.paused) == 0 {
		if role, needs := t.short(info, job, func(node string) bool { return len(t.due[node]) > 0 }); role != "" {
			p.Fails = fmt.Sprintf("role %s needs %s that can be worked on", role, nodes(needs))
		}
	}
	for _, batch := range next.deployment().ElementOrder {
		if roles := slices.DeleteFunc(slices.Clone(batch), func(role string) bool { return len(t.roles[role]) == 0 }); len(roles) > 0 {
			p.Waves = append(p.Waves, roles)
		}
	}
	p.Nodes = e.nodeChanges(before, next, p.Waves, t)
	return p, nil
}

// committable says why a revision cannot be committed, whatever is in it.
func (e *Engine) committable(k proposal.Key, r *proposal.Revision) error {
	if err := e.onlyOne(k, r.Document); err != nil {
		return err
	}
	if status, revision := e.statuses.get(k.String()); revision != 0 {
		return e.supersede(&change{}, status, r.Number)
	}
	return nil
}

func (e *Engine) nodeChanges(before, next *ConfigRole, waves [][]string, t *targets) []NodeChange {
	had, has := map[string][]string{}, rolesByNode(next)
	if before != nil {
		had = rolesByNode(before)
	}
	applied := map[string][]string{}
	for _, wave := range waves {
		for _, role := range wave {
			for _, node := range t.roles[role] {
				if !slices.Contains(applied[node], role) { // a role may be in two batches
					applied[node] = append(applied[node], role)
				}
			}
		}
	}
	names := slices.Sorted(maps.Keys(has))
	for node := range had {
		if _, still := has[node]; !still {
			names = append(names, node)
		}
	}
	slices.Sort(names)
	changes := make([]NodeChange, 0, len(names))
	for _, node := range names {
		c := NodeChange{Node: node, Gains: lacking(has[node], had[node]), Loses: lacking(had[node], has[node]), Applies: applied[node]}
		if n, revision := e.nodes.get(RoleName(node)); revision != 0 && n.Name == node {
			c.Alias, c.State = n.Alias, n.Lifecycle.State
		}
		c.Note = t.note(node, c)
		changes = append(changes, c)
	}
	return changes
}

// note says what becomes of a node that the job does not take at once.
func (t *targets) note(node string, c NodeChange) string {
	var notes []string
	switch {
	case t.coming[node] != "":
		notes = append(notes, "is waited for: "+t.coming[node])
	case t.paused[node] != "":
		notes = append(notes, "gets its roles once it is allocated and installed: "+t.paused[node])
	case t.lost[node] != "":
		notes = append(notes, "is left out: "+t.lost[node])
	case len(c.Applies) == 0 && len(c.Gains) > 0:
		notes = append(notes, "its roles act while its hardware is configured or its system installed, from then on")
	}
	if len(c.Loses) > 0 {
		notes = append(notes, "what "+strings.Join(c.Loses, ", ")+" did to it stays")
	}
	return strings.Join(notes, "; ")
}

func rolesByNode(c *ConfigRole) map[string][]string {
	byNode := map[string][]string{}
	elements := c.deployment().Elements
	for _, role := range slices.Sorted(maps.Keys(elements)) {
		for _, node := range elements[role] {
			byNode[node] = append(byNode[node], role)
		}
	}
	return byNode
}

// lacking returns those of list that are not in other.
func lacking(list, other []string) []string {
	var left []string
	for _, s := range list {
		if !slices.Contains(other, s) {
			left = append(left, s)
		}
	}
	return left
}
