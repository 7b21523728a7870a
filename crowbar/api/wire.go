package api

import (
	"cmp"
	"errors"
	"slices"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// wireNode is a node without its facts.
func (a *api) wireNode(n *crowbar.Node) client.Node {
	at, now := n.Lifecycle, a.Clock.Now()
	memberships := a.Engine.Memberships(n)
	if memberships == nil {
		memberships = []barclamp.Membership{}
	}
	w := client.Node{
		Name:         n.Name,
		Alias:        n.Alias,
		State:        at.State,
		Phase:        string(at.Phase),
		Reason:       at.Reason,
		Visit:        at.Visit,
		Since:        at.Since,
		Deadline:     at.Deadline,
		Simulated:    a.Engine.Simulated(),
		Allocated:    n.Allocated,
		Epoch:        n.Epoch,
		IntendedRole: n.IntendedRole,
		Roles:        barclamp.Node{Memberships: memberships}.Roles(),
		Memberships:  memberships,
		Addresses:    n.Addresses,
		Data:         n.Data,
		Applied:      each(n.Applied, func(r crowbar.AppliedRole) client.AppliedRole { return client.AppliedRole(r) }),
		Skipped:      each(n.Skipped, func(s crowbar.Skip) client.Skip { return client.Skip(s) }),
		Visits: each(n.Visits, func(v crowbar.Visit) client.Visit {
			end := v.Left
			if end.IsZero() {
				end = now
			}
			return client.Visit{State: v.State, Entered: v.Entered, Left: v.Left, Seconds: end.Sub(v.Entered).Seconds()}
		}),
	}
	if p, runs := a.Engine.Progress(n.Name); runs {
		w.Progress = &client.Progress{Job: p.Job, Title: p.Title, Fraction: p.Fraction, Message: p.Message}
	}
	return w
}

// fullNode is wireNode with facts.
func (a *api) fullNode(n *crowbar.Node) client.Node {
	w := a.wireNode(n)
	if f, reported := a.Engine.Facts(n.Name); reported {
		w.Facts = &f.Facts
	}
	return w
}

func wireOrders(n *crowbar.Node) client.Orders {
	return client.Orders{Node: n.Name, State: n.Lifecycle.State, Phase: string(n.Lifecycle.Phase), Visit: n.Lifecycle.Visit}
}

func wireExplanation(x *crowbar.Explanation) client.Explanation {
	return client.Explanation{
		Node: x.Node, State: x.State, Phase: x.Phase, Actor: x.Actor, Since: x.Since, Deadline: x.Deadline,
		Sentence: x.Sentence, Command: x.Command, Waiting: x.Waiting,
		Skipped: each(x.Skipped, func(s crowbar.Skip) client.Skip { return client.Skip(s) }),
		Next:    each(x.Next, func(n crowbar.Next) client.Next { return client.Next(n) }),
	}
}

func wirePlan(p *crowbar.NodePlan) client.Plan {
	destructions := p.Destructions
	if destructions == nil {
		destructions = []barclamp.Destruction{}
	}
	return client.Plan{
		Node: p.Node, Hash: p.Hash, Destructions: destructions, Refused: p.Refused,
		Parts: each(p.Parts, func(part crowbar.PlanPart) client.PlanPart { return client.PlanPart(part) }),
	}
}

// wireBarclamp is a barclamp without template and schema.
func wireBarclamp(i barclamp.Info, proposals []proposal.Key) client.Barclamp {
	return client.Barclamp{
		Name: i.Name, Version: i.Version, Description: i.Description,
		Requires: i.Requires, RunOrder: i.RunOrder, AllowMultiple: i.AllowMultiple,
		Roles: each(i.Roles, func(r barclamp.Role) client.Role {
			return client.Role{
				Name: r.Name, Minimum: r.Constraint.Minimum, Count: r.Constraint.Count, Odd: r.Constraint.Odd,
				Unique: r.Constraint.Unique, ConflictsWith: r.Constraint.ConflictsWith, Admin: r.Constraint.Admin,
			}
		}),
		Proposals: each(proposals, func(k proposal.Key) string { return k.Name }),
	}
}

func (a *api) wireStatus(s *crowbar.ProposalStatus) client.ProposalStatus {
	w := client.ProposalStatus{Status: s.Status, Revision: s.Revision, Applied: s.Applied, Reason: s.Reason, Job: s.Job}
	if s.Job != "" {
		if j, err := a.Engine.Job(s.Job); err == nil {
			w.Waiting = a.Engine.Waiting(j)
		}
	}
	return w
}

func (a *api) wireRevision(k proposal.Key, r *proposal.Revision) client.Revision {
	return client.Revision{
		Barclamp: k.Barclamp, Name: k.Name, Number: r.Number, Parent: r.Parent, Author: r.Author,
		Message: r.Message, Time: r.Time, Hash: wireHash(r), Document: r.Document.Redacted().Bytes(),
		Status: a.wireStatus(a.Engine.Status(k)),
	}
}

// wireHash is empty where the document has secrets: whoever knows the rest of it could try
// passwords until the hash fits.
func wireHash(r *proposal.Revision) string {
	if len(r.Document.Secrets()) > 0 {
		return ""
	}
	return r.Hash
}

func (a *api) wireSaved(k proposal.Key, s *proposal.Saved) client.Saved {
	return client.Saved{Revision: a.wireRevision(k, s.Revision), Unchanged: s.Unchanged, Merged: s.Merged}
}

// wireJob is a job without its steps.
func (a *api) wireJob(j *crowbar.Job) client.Job {
	return client.Job{
		ID: j.ID, Kind: j.Kind, Title: j.Title, Status: j.Status, Reason: j.Reason, Waiting: a.Engine.Waiting(j),
		Created: j.Created, Started: j.Started, Finished: j.Finished,
		Node: j.Node, State: j.State,
		Proposal: j.Proposal, Revision: j.Revision, Wave: j.Wave, Failures: j.Failures,
	}
}

// fullJob is wireJob with the steps.
func (a *api) fullJob(j *crowbar.Job) client.Job {
	w := a.wireJob(j)
	w.Steps = each(j.Steps, func(s crowbar.JobStep) client.JobStep { return client.JobStep(s) })
	slices.SortStableFunc(w.Steps, func(x, y client.JobStep) int { return cmp.Compare(x.Node, y.Node) })
	return w
}

func wireProposalPlan(p *crowbar.ProposalPlan) client.ProposalPlan {
	w := client.ProposalPlan{
		Barclamp: p.Proposal.Barclamp, Name: p.Proposal.Name, Revision: p.Revision, InForce: p.InForce,
		Waves: p.Waves, Waiting: p.Waiting, Fails: p.Fails, Problems: p.Problems, Changes: p.Changes,
		Nodes: each(p.Nodes, func(c crowbar.NodeChange) client.NodeChange {
			return client.NodeChange{Node: c.Node, Alias: c.Alias, State: c.State, Gains: c.Gains, Loses: c.Loses, Applies: c.Applies, Note: c.Note}
		}),
	}
	if p.Refused != nil {
		w.Refused, w.RefusedCode = wording.Error(p.Refused), client.CodeRefused
		if errors.Is(p.Refused, crowbar.ErrConflict) {
			w.RefusedCode = client.CodeConflict
		}
	}
	if p.Diff != nil {
		w.Diff = wireDiff(p.Diff)
	}
	if w.Waves == nil {
		w.Waves = [][]string{}
	}
	return w
}
