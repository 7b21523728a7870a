package barclamp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// ErrPlanChanged is returned by a Step (wrapped) that finds the machine other than it was
// when the plan was shown: other disks, or operations that nobody granted.
var ErrPlanChanged = errors.New("barclamp: plan changed")

// ErrExhausted is returned by RoleData.ClaimAddress when every candidate is taken.
var ErrExhausted = errors.New("barclamp: no free address")

// A Barclamp proposes how its service is placed on a site.
type Barclamp interface {
	// Info says what the barclamp is. It returns the same value at every call.
	Info() Info
	// Propose writes attributes and places nodes into roles by what is known of them. It is
	// pure and deterministic. A site that lacks nodes is no error: the draft then leaves the
	// role empty and says why in an Explanation.
	Propose(ctx context.Context, s Site) (*Draft, error)
}

// Info describes a barclamp.
type Info struct {
	Name        string // Crowbar's name: nova, swift, deployer
	Version     string
	Description string
	// Roles with their placement rules, in the order in which a person would read them.
	// Roles of a document that are not listed here are unconstrained, as in Crowbar.
	Roles []Role
	// Requires names barclamps whose proposals this one reads.
	Requires []string
	// RunOrder sorts barclamps that act in the same state, lower first (crowbar.yml's
	// run_order; Crowbar's default is 1000 and the provisioner is last with 1060).
	RunOrder int
	// Template is the document that a new proposal starts from.
	Template *proposal.Document
	// Schema is a JSON Schema (2020-12) for attributes.<name>; nil means anything goes.
	Schema json.RawMessage
	// AllowMultiple permits more than one proposal (Crowbar's allow_multiple_proposals?).
	AllowMultiple bool
}

// Role returns the rules of the named role; an unlisted role has none.
func (i Info) Role(name string) Role {
	for _, r := range i.Roles {
		if r.Name == name {
			return r
		}
	}
	return Role{Name: name}
}

// A Role and the rules for the nodes in it.
type Role struct {
	Name       string
	Constraint Constraint
}

// A Draft is what a barclamp proposes: changes to its template.
type Draft struct {
	// Attributes sets values by JSON Pointer below attributes.<barclamp>, such as
	// "/libvirt_type". Other attributes keep the template's value.
	Attributes map[string]any
	// Elements places node names into roles; the order of the names is kept.
	Elements map[string][]string
	// Explanations say why a node was chosen, or why a role stayed empty.
	Explanations []Explanation
}

// An Explanation is one sentence about a choice; Node is empty if it is about a role without nodes.
type Explanation struct {
	Role   string `json:"role"`
	Node   string `json:"node,omitempty"`
	Reason string `json:"reason"`
}

// Place puts a node into a role and says why.
func (d *Draft) Place(role, node, reason string) {
	if d.Elements == nil {
		d.Elements = map[string][]string{}
	}
	d.Elements[role] = append(d.Elements[role], node)
	d.Explain(role, node, reason)
}

// Explain adds a reason without placing anything.
func (d *Draft) Explain(role, node, reason string) {
	d.Explanations = append(d.Explanations, Explanation{Role: role, Node: node, Reason: reason})
}

// Set gives an attribute a value; pointer is below attributes.<barclamp>.
func (d *Draft) Set(pointer string, value any) {
	if d.Attributes == nil {
		d.Attributes = map[string]any{}
	}
	d.Attributes[pointer] = value
}

func (d *Draft) attributeEdits(base *proposal.Document) ([]proposal.Edit, error) {
	pointers := slices.Sorted(maps.Keys(d.Attributes)) // the same draft gives the same bytes
	edits := make([]proposal.Edit, 0, len(pointers))
	for _, pointer := range pointers {
		raw, err := json.Marshal(d.Attributes[pointer])
		if err != nil {
			return nil, fmt.Errorf("barclamp: attribute %s proposed for %s: %w", pointer, base.Barclamp(), err)
		}
		edits = append(edits, proposal.Edit{Pointer: "/attributes/" + PointerToken(base.Barclamp()) + pointer, Value: raw})
	}
	return edits, nil
}

// A Transitioner acts when a node comes into a state. It is called for the states that its
// committed proposal lists in config.transition_list, in run order, with the node settled in
// no state yet: what it returns is done before the node rests.
type Transitioner interface {
	// Transition says what is to be done. It is pure; after a crash it is called again with
	// the same event and its steps are matched by ID.
	Transition(ctx context.Context, s Site, e Event) ([]Step, error)
}

// A Planner says what a Transitioner's steps would do in the event's state, for a person to
// read before the node is allocated. It may look at the machine but changes nothing.
type Planner interface {
	// Plan is nil in a state in which there is nothing to say.
	Plan(ctx context.Context, s Site, e Event) (*Plan, error)
}

// A Validator has rules for a document beyond structure, schema and placement. The engine
// asks before a commit. All problems come at once, as a *proposal.ValidationError; [Problems]
// collects them.
type Validator interface {
	Validate(ctx context.Context, s Site, d *proposal.Document) error
}

// Optional holds what a barclamp can do beyond proposing; a nil field says it cannot.
type Optional struct {
	Transitioner Transitioner
	Planner      Planner
	Validator    Validator
}

// Find discovers a barclamp's optional interfaces. It is the only place that asks.
func Find(b Barclamp) Optional {
	var o Optional
	o.Transitioner, _ = b.(Transitioner)
	o.Planner, _ = b.(Planner)
	o.Validator, _ = b.(Validator)
	return o
}
