// Package deployer is the barclamp that turns roles into hardware. Its bios_map, Crowbar's
// ordered table, says which BIOS set and which RAID set a node gets by the roles it has:
//
//	"bios_map": [
//	  {"pattern": "nova-.*",  "bios_set": "Virtualization", "raid_set": "SingleRaid10"},
//	  {"pattern": "swift-.*", "bios_set": "Storage",        "raid_set": "JBODOnly"},
//	  {"pattern": ".*",       "bios_set": "Virtualization", "raid_set": "SingleRaid10"}
//	]
//
// Nova and Swift want opposite hardware. That is why nodes pause until their roles are known,
// and why a node with roles of both is an error and not a matter of table order.
//
// Roles:
//
//   - deployer-client: every node but the admin node. No further constraint.
//
// In hardware-installing it records the choice in the node's role, where the barclamps bios
// and raid and people find it ([Data]); in discovering and readying it adds deployer-client.
// use_allocate is true as in Crowbar: nodes wait in the pause until somebody allocates them.
//
// # Errors
//
// [HardwareSets] fails with [ErrNoChoice] if nothing is to be chosen from, and with
// *[ConflictError] if two roles of a node disagree.
package deployer

import (
	"context"
	_ "embed"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Name of the barclamp.
const Name = "deployer"

// RoleClient is on every node.
const RoleClient = "deployer-client"

//go:embed template.json
var template []byte

//go:embed schema.json
var schema []byte

// Barclamp is the deployer.
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
		Description: "Chooses the hardware settings of nodes by their roles",
		Roles:       []barclamp.Role{{Name: RoleClient}},
		RunOrder:    10,
		Template:    b.template,
		Schema:      schema,
	}
}

// Propose makes every node a deployer-client.
func (b *Barclamp) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	d := &barclamp.Draft{}
	nodes := barclamp.Candidates(s)
	for _, n := range nodes {
		d.Place(RoleClient, n.Name, "every node gets its hardware settings by its roles")
	}
	if len(nodes) == 0 {
		d.Explain(RoleClient, "", "no node has been discovered yet")
	}
	return d, nil
}

// Data is what the deployer keeps in a node's role.
type Data struct {
	BIOSSet string `json:"bios_set"`
	RAIDSet string `json:"raid_set"`
	Why     string `json:"why"`
}

// Transition records the hardware sets before hardware is configured.
func (b *Barclamp) Transition(_ context.Context, s barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	switch e.State {
	case "discovering", "readying":
		return e.JoinSteps(RoleClient), nil
	case "hardware-installing":
	default:
		return nil, nil
	}
	step := barclamp.Step{ID: "choose-sets", Title: "choose hardware sets"}
	choice, err := HardwareSets(s, e.Node)
	switch {
	case isNoChoice(err):
		step.Skip = err.Error()
	case err != nil:
		return nil, err
	default:
		step.Title += ": BIOS " + choice.BIOSSet + ", RAID " + choice.RAIDSet
		step.Run = func(ctx context.Context, sc barclamp.StepContext) error {
			return sc.Data().Put(ctx, Data{BIOSSet: choice.BIOSSet, RAIDSet: choice.RAIDSet, Why: choice.Why()})
		}
	}
	return []barclamp.Step{step}, nil
}
