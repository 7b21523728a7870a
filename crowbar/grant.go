package crowbar

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// ErrNoPlan says that a barclamp could not tell what it would do to a node, such as one whose
// BMC does not answer. Without a plan nothing is allocated.
var ErrNoPlan = errors.New("crowbar: no plan")

// NodePlan is what allocating a node will do to it, for a person to read first.
type NodePlan struct {
	Node string `json:"node"`
	// Parts are the barclamps' plans in the order in which they will act.
	Parts []PlanPart `json:"parts"`
	// Destructions lists everything that will lose data; its hash names what is granted.
	Destructions []barclamp.Destruction `json:"destructions"`
	Hash         string                 `json:"hash"`
	// Refused says why the node cannot be allocated all the same; empty if it can.
	Refused string `json:"refused,omitempty"`
}

// PlanPart is one barclamp's plan in one state.
type PlanPart struct {
	Barclamp string `json:"barclamp"`
	State    string `json:"state"`
	barclamp.Plan
}

// Plan asks the barclamps what they would do to a node that is allocated now, in each state
// of the way to ready that may destroy data. It looks at the machine and changes nothing.
func (e *Engine) Plan(ctx context.Context, name string) (*NodePlan, error) {
	n, err := e.Node(name)
	if err != nil {
		return nil, err
	}
	plan := &NodePlan{Node: n.Name}
	for _, state := range e.lifecycle.Machine().States() {
		if !state.Destructive {
			continue
		}
		for _, h := range e.hooks(state.Name) {
			if h.acts.Planner == nil {
				continue
			}
			p, err := h.acts.Planner.Plan(ctx, e.Site(), h.event(e.view(n), state.Name))
			if err != nil {
				return nil, fmt.Errorf("%w for node %s: %s: %w", ErrNoPlan, n.Name, h.info.Name, err)
			}
			if p == nil {
				continue
			}
			plan.Parts = append(plan.Parts, PlanPart{Barclamp: h.info.Name, State: state.Name, Plan: *p})
			plan.Destructions = append(plan.Destructions, p.Destructions...)
		}
	}
	for i, d := range plan.Destructions {
		if slices.ContainsFunc(plan.Destructions[:i], func(other barclamp.Destruction) bool { return other.Operation == d.Operation }) {
			return nil, fmt.Errorf("%w for node %s: operation %s is planned twice", ErrNoPlan, n.Name, d.Operation)
		}
	}
	plan.Refused = e.notInstalled(plan)
	plan.Hash, err = destructionHash(plan.Destructions)
	return plan, err
}

// notInstalled says why a node with this plan would wait in installing for ever; empty if
// somebody installs it.
func (e *Engine) notInstalled(p *NodePlan) string {
	why, _ := e.noInstaller()
	for _, part := range p.Parts {
		switch {
		case part.State != lifecycle.Installing:
		case part.Skipped == "":
			return ""
		default:
			why = part.Skipped
		}
	}
	return fmt.Sprintf("node %s would wait in installing for ever: %s", p.Node, why)
}

// noInstaller says why nodes cannot be installed, and the command that changes it; empty if a
// proposal in force plans something for the state installing. The barclamp's name is Crowbar's.
func (e *Engine) noInstaller() (why, command string) {
	if slices.ContainsFunc(e.hooks(lifecycle.Installing), func(h hook) bool { return h.acts.Planner != nil }) {
		return "", ""
	}
	if _, err := e.config.Registry.Get("provisioner"); err != nil {
		return "this server has no barclamp that installs nodes; start it with the provisioner", ""
	}
	k := proposal.Key{Barclamp: "provisioner", Name: "default"}
	if e.proposals.number(k) != 0 {
		return "no proposal in force installs nodes; first: crowbar proposal commit provisioner", "crowbar proposal commit provisioner"
	}
	return "no proposal in force installs nodes; first: crowbar proposal create provisioner, crowbar proposal commit provisioner", "crowbar proposal create provisioner"
}

// destructionHash names a set of destructions: operations and disks, not their wording.
func destructionHash(destructions []barclamp.Destruction) (string, error) {
	lines := make([]string, 0, len(destructions))
	for _, d := range destructions {
		disks := slices.Sorted(slices.Values(d.Disks))
		line, err := json.Marshal([]any{d.Operation, disks})
		if err != nil {
			return "", fmt.Errorf("crowbar: destruction %s: %w", d.Operation, err)
		}
		lines = append(lines, string(line))
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:]), nil
}

// AllocateOptions are the operator's word on what a node may lose.
type AllocateOptions struct {
	// PlanHash is the hash of the plan that the operator was shown. If the plan has changed
	// since, the allocation fails with ErrConflict.
	PlanHash string
	// AllowDestroy grants whatever the present plan destroys, for rules without a reader.
	AllowDestroy bool
	// IntendedRole, if set, is recorded on the node.
	IntendedRole string
}

// Allocate takes a node out of the pause, with a grant for what its plan destroys. ErrRefused
// if the plan destroys data and the options permit none of it; ErrConflict if the plan is no
// longer the one that was shown.
func (e *Engine) Allocate(ctx context.Context, name, actor string, opts AllocateOptions) (*Node, error) {
	plan, err := e.Plan(ctx, name)
	if err != nil {
		return nil, err
	}
	if plan.Refused != "" {
		return nil, fmt.Errorf("%w: %s", ErrRefused, plan.Refused)
	}
	switch {
	case opts.PlanHash != "" && opts.PlanHash != plan.Hash:
		return nil, fmt.Errorf("%w: the plan of node %s is not the one that was shown; look at it again: crowbar node allocate %s", ErrConflict, plan.Node, plan.Node)
	case opts.PlanHash == "" && !opts.AllowDestroy && len(plan.Destructions) > 0:
		return nil, fmt.Errorf("%w: allocating node %s destroys data (%s); allow it with the plan's hash or --allow-destroy", ErrRefused, plan.Node, describe(plan.Destructions))
	}
	return e.updateNode(ctx, plan.Node, func(n *Node, c *change) error {
		if n.Lifecycle.Phase != statemachine.PhaseSettled && n.Lifecycle.State == lifecycle.Discovered {
			return fmt.Errorf("%w: node %s is still coming into %s; try again in a moment", ErrRefused, n.Name, n.Lifecycle.State)
		}
		n.Allocated, n.Applied = true, nil
		n.Epoch++
		if opts.IntendedRole != "" {
			n.IntendedRole = opts.IntendedRole
		}
		if err := e.fire(n, c, statemachine.Event{Name: lifecycle.EventAllocate, Actor: lifecycle.ActorOperator}); err != nil {
			return err
		}
		c.events[len(c.events)-1].Actor = actor
		g := &Grant{
			ID:       grantID(n.Name, n.Epoch),
			Node:     n.Name,
			Epoch:    n.Epoch,
			PlanHash: plan.Hash,
			Issued:   e.clock.Now().UTC(),
			IssuedBy: actor,
		}
		for _, d := range plan.Destructions {
			g.Operations = append(g.Operations, GrantOperation{Destruction: d})
		}
		put(c, e.grants, g.ID, g, 0)
		c.tell(actor, "node.allocated", n.Name, fmt.Sprintf("%s was allocated; granted: %s", n.Name, describe(plan.Destructions)))
		return nil
	})
}

func describe(destructions []barclamp.Destruction) string {
	if len(destructions) == 0 {
		return "nothing that destroys data"
	}
	texts := make([]string, len(destructions))
	for i, d := range destructions {
		texts[i] = d.Description
	}
	return strings.Join(texts, "; ")
}

func grantID(node string, epoch int) string { return fmt.Sprintf("%s/%06d", node, epoch) }

// Grant returns the grant of a node's present allocation; false if it has none.
func (e *Engine) Grant(node string) (*Grant, bool) {
	n, revision := e.nodes.get(RoleName(node))
	if revision == 0 {
		return nil, false
	}
	g, revision := e.grants.get(grantID(n.Name, n.Epoch))
	return g, revision != 0
}

// An attempt is who is about to destroy something under a grant.
type attempt struct {
	by string
	// visit is the stay in the state that the work belongs to; 0 for a node, whose token says
	// as much.
	visit int64
	// looked says that the caller looks at the machine before it acts, so that an earlier
	// attempt which a crash cut off is known not to have been done: a destruction that took
	// place shows, as a volume that is there or gone. A node that installs itself cannot look
	// behind it.
	looked bool
}

// spend takes one operation of the node's grant, by compare-and-set, before the command
// leaves. Its rules keep destruction at most once:
//
//   - what nobody granted, or with other disks, is refused: the plan changed;
//   - a node that is not on its way through a destructive state is in use: refused; so is
//     work of a state that the node has left;
//   - an operation that an earlier attempt spent is given again only to one that looked;
//   - an operation that this very attempt spent is given again only to a node, which asks
//     because it did not hear the answer and knows that it has done nothing yet. For the
//     engine it is refused: it was done, or its answer was lost and nobody knows.
func (e *Engine) spend(ctx context.Context, node string, d barclamp.Destruction, by attempt) error {
	for ctx.Err() == nil {
		n, nodeRevision := e.nodes.get(RoleName(node))
		if nodeRevision == 0 {
			return fmt.Errorf("%w: no node is called %q", ErrNotFound, node)
		}
		state, known := e.lifecycle.Machine().State(n.Lifecycle.State)
		if !known || !state.Destructive || !n.Allocated {
			return fmt.Errorf("%w: node %s is in %s, where nothing may be destroyed", ErrRefused, node, n.Lifecycle.State)
		}
		if by.visit != 0 && by.visit != n.Lifecycle.Visit {
			return fmt.Errorf("%w: node %s has left the state that this was to be done in", ErrRefused, node)
		}
		if why := e.Paused(); why != "" {
			return fmt.Errorf("%w: %s", ErrPaused, why)
		}
		if len(d.Disks) == 0 || slices.Contains(d.Disks, "") {
			return fmt.Errorf("%w: %q of node %s does not name the disks that lose data", barclamp.ErrPlanChanged, d.Operation, node)
		}
		grant, revision := e.grants.get(grantID(node, n.Epoch))
		if revision == 0 {
			return fmt.Errorf("%w: node %s has no grant", barclamp.ErrPlanChanged, node)
		}
		i := slices.IndexFunc(grant.Operations, func(op GrantOperation) bool { return op.Operation == d.Operation })
		if i < 0 {
			return fmt.Errorf("%w: %s of node %s was not granted", barclamp.ErrPlanChanged, d.Description, node)
		}
		g := grant.clone()
		op := &g.Operations[i]
		for _, disk := range d.Disks {
			if !slices.Contains(op.Disks, disk) {
				return fmt.Errorf("%w: %s of node %s would destroy disk %s, which was not granted", barclamp.ErrPlanChanged, d.Description, node, disk)
			}
		}
		switch {
		case op.Spent == by.by && !by.looked:
			return nil
		case op.Spent != "" && (op.Spent == by.by || !by.looked):
			return fmt.Errorf("%w: the grant of node %s for %q is spent (by %s); whether it was done is unknown: look at the machine, then reset the node", ErrRefused, node, d.Description, op.Spent)
		}
		op.Spent, op.SpentAt = by.by, e.clock.Now().UTC()
		op.Attempts++
		c := &change{}
		put(c, e.grants, g.ID, g, revision)
		c.conditions = append(c.conditions, Condition{Key: rolePrefix + RoleName(node), Revision: nodeRevision})
		c.tell(actorEngine, "grant.spent", node, fmt.Sprintf("%s: %s (disks %s)", node, d.Description, strings.Join(d.Disks, ", ")))
		err := e.engine.commit(ctx, c)
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return ctx.Err()
}
