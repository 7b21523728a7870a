// Package machine is what the barclamps bios and raid have in common: they bring one part of a
// node's hardware to what the deployer chose for it, through a hardware.Configurator, in a step
// that observes first; and they tell beforehand what that would change and destroy.
package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/deployer"
	"github.com/crowbarkit/crowbarkit/hardware"
)

// Access is how the hardware of nodes is reached.
type Access struct {
	// Configurator is nil where hardware is not configured at all.
	Configurator hardware.Configurator
	// Target finds a node's BMC; nil takes the URL of the node's facts, without credentials.
	Target func(barclamp.Node) (hardware.Target, error)
}

// Unavailable says why a node's hardware cannot be reached, "" if it can.
func (a Access) Unavailable(n barclamp.Node) string {
	switch {
	case a.Configurator == nil:
		return "hardware configuration is not set up on this server, so it is skipped"
	case n.Facts.BMC == nil || n.Facts.BMC.URL == "":
		return "node has no BMC, so hardware configuration is skipped"
	}
	return ""
}

func (a Access) target(n barclamp.Node) (hardware.Target, error) {
	if a.Target == nil {
		return hardware.Target{Node: n.Name, URL: n.Facts.BMC.URL}, nil
	}
	return a.Target(n)
}

// Observe looks at a node's hardware.
func (a Access) Observe(ctx context.Context, n barclamp.Node) (*hardware.Snapshot, error) {
	t, err := a.target(n)
	if err != nil {
		return nil, fmt.Errorf("BMC of %s: %w", n.Name, err)
	}
	return a.Configurator.Observe(ctx, t)
}

// Propose places all nodes in a role, also those that will be skipped: their BMC may be found.
func (a Access) Propose(s barclamp.Site, role, reason string) *barclamp.Draft {
	d := &barclamp.Draft{}
	nodes := barclamp.Candidates(s)
	for _, n := range nodes {
		if why := a.Unavailable(n); why != "" {
			d.Place(role, n.Name, why)
		} else {
			d.Place(role, n.Name, reason)
		}
	}
	if len(nodes) == 0 {
		d.Explain(role, "", "no node has been discovered yet")
	}
	return d
}

// A Part is one barclamp's share of a node's hardware.
type Part struct {
	Access
	Name   string // of the barclamp; operations of its plans are <name>/<operation>
	Role   string // that hooks join
	Enable string // attribute that switches the barclamp off when it is false
	// Profile is what a choice of the deployer asks of this part.
	Profile func(deployer.Choice) hardware.Profile
	// Set names the choice for people, such as Virtualization.
	Set func(deployer.Choice) string
	// Record is what the node's role keeps of the hardware as it was read back at the end.
	Record func(deployer.Choice, *hardware.Snapshot) any
}

// Propose takes all nodes for the part's role.
func (p Part) Propose(s barclamp.Site) *barclamp.Draft {
	return p.Access.Propose(s, p.Role, "its hardware is configured through its BMC")
}

// Steps brings the event's node to the profile, or says in a step why that is skipped.
func (p Part) Steps(s barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	choice, skip, err := p.choose(s, e)
	if err != nil {
		return nil, err
	}
	step := barclamp.Step{ID: "configure", Title: "configure " + p.Name, Skip: skip}
	if skip == "" {
		step.Title += ": " + p.Set(choice)
		step.Run = func(ctx context.Context, sc barclamp.StepContext) error {
			seen, err := p.converge(ctx, sc, p.Profile(choice))
			if err != nil {
				return err
			}
			return sc.Data().Put(ctx, p.Record(choice, seen))
		}
	}
	return append(e.JoinSteps(p.Role), step), nil
}

// Plan says what Steps would do.
func (p Part) Plan(ctx context.Context, s barclamp.Site, e barclamp.Event) (*barclamp.Plan, error) {
	choice, skip, err := p.choose(s, e)
	if err != nil {
		return nil, err
	}
	if skip != "" {
		return &barclamp.Plan{Skipped: skip}, nil
	}
	seen, err := p.Observe(ctx, e.Node)
	if err != nil {
		return nil, err
	}
	todo, err := hardware.NewPlan(p.Profile(choice), seen)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", p.Name, e.Node.Name, err)
	}
	detail, err := json.Marshal(todo)
	if err != nil {
		return nil, err
	}
	plan := &barclamp.Plan{Text: todo.Text(), Detail: detail}
	for _, op := range todo.Operations {
		if len(op.Destroys) > 0 {
			plan.Destructions = append(plan.Destructions, p.destruction(op.Destruction(e.Node.Name)))
		}
	}
	return plan, nil
}

// choose asks the deployer what the node is to have; skip says why nothing is done instead.
func (p Part) choose(s barclamp.Site, e barclamp.Event) (choice deployer.Choice, skip string, err error) {
	if enabled := e.Document.Get(p.Enable); enabled.Exists() && !enabled.Bool() {
		return choice, fmt.Sprintf("%s is false in %s/%s", p.Enable, p.Name, e.Name), nil
	}
	if why := p.Unavailable(e.Node); why != "" {
		return choice, why, nil
	}
	choice, err = deployer.HardwareSets(s, e.Node)
	if errors.Is(err, deployer.ErrNoChoice) {
		return choice, err.Error(), nil
	}
	return choice, "", err
}

// converge brings the node to the profile and returns what was seen at the end. A machine that
// is not as it was planned for is barclamp.ErrPlanChanged.
func (p Part) converge(ctx context.Context, sc barclamp.StepContext, profile hardware.Profile) (*hardware.Snapshot, error) {
	n := sc.Node()
	t, err := p.target(n)
	if err != nil {
		return nil, fmt.Errorf("BMC of %s: %w", n.Name, err)
	}
	seen, err := p.Configurator.Observe(ctx, t)
	if err != nil {
		return nil, err
	}
	todo, err := hardware.NewPlan(profile, seen)
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", p.Name, n.Name, err)
	}
	if todo.Empty() {
		sc.Progress(1, "converged")
		return seen, nil
	}
	_, err = p.Configurator.Apply(ctx, t, todo, &hardware.ApplyOptions{
		Authorize: func(ctx context.Context, d hardware.Destruction) error {
			return sc.Authorize(ctx, p.destruction(d))
		},
		Progress: func(at hardware.Progress) {
			sc.Progress(float64(at.Done)/float64(max(at.Total, 1)), at.Message)
		},
	})
	switch {
	case errors.Is(err, hardware.ErrStalePlan):
		return nil, fmt.Errorf("%w: %w", barclamp.ErrPlanChanged, err)
	case err != nil:
		return nil, err
	}
	sc.Progress(1, fmt.Sprintf("%d operations done", len(todo.Operations)))
	return p.Configurator.Observe(ctx, t) // what is recorded is what the BMC says, not what was sent
}

// destruction names the operation within the node.
func (p Part) destruction(d hardware.Destruction) barclamp.Destruction {
	return barclamp.Destruction{Operation: p.Name + "/" + d.Operation, Disks: d.Disks, Description: d.Description}
}
