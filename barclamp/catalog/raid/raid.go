// Package raid is the barclamp that makes the RAID volumes of nodes through their BMC: what
// Crowbar called dell_raid. Which volumes a node gets is a RAID set (SingleRaid10, JBODOnly, …)
// that the deployer's bios_map chooses by the node's roles.
//
// Roles:
//
//   - raid-configure: nodes whose volumes are made, all but the admin node. It is active in
//     hardware-installing only, so committing the proposal does nothing to nodes by itself.
//
// In that state, and in no other because volumes hold data, the barclamp observes the machine,
// plans and applies what is missing. What destroys data is asked for first, operation by
// operation, under the names that [Barclamp.Plan] gave: raid/<operation of hardware.Plan>. A
// machine that needs other operations than were planned makes the step fail with
// barclamp.ErrPlanChanged. A node without BMC is skipped, with the reason, as is all of them if
// enable is false. What was read back at the end is in the node's role ([Data]).
package raid

import (
	"context"
	_ "embed"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/deployer"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/machine"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Name of the barclamp.
const Name = "raid"

// RoleConfigure is on nodes whose volumes are made.
const RoleConfigure = "raid-configure"

//go:embed template.json
var template []byte

//go:embed schema.json
var schema []byte

// Config is how nodes' BMCs are reached.
type Config struct {
	// Configurator is nil where hardware is not configured: then every node is skipped.
	Configurator hardware.Configurator
	// Target finds a node's BMC; nil takes the URL of the node's facts, without credentials.
	Target func(barclamp.Node) (hardware.Target, error)
}

// Barclamp makes volumes.
type Barclamp struct {
	part     machine.Part
	template *proposal.Document
}

var (
	_ barclamp.Barclamp     = (*Barclamp)(nil)
	_ barclamp.Transitioner = (*Barclamp)(nil)
	_ barclamp.Planner      = (*Barclamp)(nil)
)

// New makes the barclamp.
func New(c Config) *Barclamp {
	d, _ := proposal.Parse(template) // a Registry refuses a template that is none
	return &Barclamp{template: d, part: machine.Part{
		Access: machine.Access(c),
		Name:   Name,
		Role:   RoleConfigure,
		Enable: "enable",
		Profile: func(c deployer.Choice) hardware.Profile {
			return hardware.Profile{RAID: &hardware.RAIDProfile{Set: c.RAIDSet}}
		},
		Set:    func(c deployer.Choice) string { return c.RAIDSet },
		Record: record,
	}}
}

// Info describes the barclamp.
func (b *Barclamp) Info() barclamp.Info {
	return barclamp.Info{
		Name:        Name,
		Version:     "1.0",
		Description: "Makes the RAID volumes of nodes by their roles",
		Roles:       []barclamp.Role{{Name: RoleConfigure}},
		Requires:    []string{deployer.Name},
		RunOrder:    18,
		Template:    b.template,
		Schema:      schema,
	}
}

// Propose takes all nodes.
func (b *Barclamp) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	return b.part.Propose(s), nil
}

// Data is what the barclamp keeps in a node's role: the set, and the volumes as the BMC
// reported them afterwards.
type Data struct {
	Set     string   `json:"set"`
	Volumes []Volume `json:"volumes"`
}

// A Volume of a node.
type Volume struct {
	Controller string             `json:"controller"`
	Name       string             `json:"name,omitempty"`
	RAIDLevel  hardware.RAIDLevel `json:"raid_level"`
	Disks      []string           `json:"disks"`            // identities
	Spares     []string           `json:"spares,omitempty"` // identities
	SizeBytes  int64              `json:"size_bytes"`
}

// Transition makes the volumes.
func (b *Barclamp) Transition(_ context.Context, s barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	if e.State != "hardware-installing" {
		return nil, nil
	}
	return b.part.Steps(s, e)
}

// Plan says what Transition's steps would change and destroy.
func (b *Barclamp) Plan(ctx context.Context, s barclamp.Site, e barclamp.Event) (*barclamp.Plan, error) {
	if e.State != "hardware-installing" {
		return nil, nil
	}
	return b.part.Plan(ctx, s, e)
}

func record(choice deployer.Choice, seen *hardware.Snapshot) any {
	d := Data{Set: choice.RAIDSet, Volumes: []Volume{}}
	for _, c := range seen.Storage {
		for _, v := range c.Volumes {
			d.Volumes = append(d.Volumes, Volume{Controller: c.ID, Name: v.Name, RAIDLevel: v.RAIDLevel, Disks: v.Drives, Spares: v.Spares, SizeBytes: v.SizeBytes})
		}
	}
	return d
}
