// Package bios is the barclamp that sets the firmware of nodes through their BMC: what Crowbar
// called dell_bios. Which settings a node gets is a BIOS set (Virtualization, Storage, …) that
// the deployer's bios_map chooses by the node's roles.
//
// Roles:
//
//   - bios-configure: nodes whose firmware is set, all but the admin node. It is active in
//     hardware-installing and hardware-updating only, so committing the proposal does nothing
//     to nodes by itself.
//
// In these two states the barclamp observes the machine, plans and applies what is missing, at
// the cost of at most one reboot. A node without BMC is skipped, with the reason, as is all of
// them if bios_setup_enable is false. What was read back at the end is in the node's role
// ([Data]).
package bios

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
const Name = "bios"

// RoleConfigure is on nodes whose firmware is set.
const RoleConfigure = "bios-configure"

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

// Barclamp sets firmware.
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
		Enable: "bios_setup_enable",
		Profile: func(c deployer.Choice) hardware.Profile {
			return hardware.Profile{BIOS: &hardware.BIOSProfile{Set: c.BIOSSet}}
		},
		Set:    func(c deployer.Choice) string { return c.BIOSSet },
		Record: record,
	}}
}

// Info describes the barclamp.
func (b *Barclamp) Info() barclamp.Info {
	return barclamp.Info{
		Name:        Name,
		Version:     "1.0",
		Description: "Sets the firmware of nodes by their roles",
		Roles:       []barclamp.Role{{Name: RoleConfigure}},
		Requires:    []string{deployer.Name},
		RunOrder:    17,
		Template:    b.template,
		Schema:      schema,
	}
}

// Propose takes all nodes.
func (b *Barclamp) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	return b.part.Propose(s), nil
}

// Data is what the barclamp keeps in a node's role: the set, and its settings as the BMC
// reported them afterwards, under the vendor's names.
type Data struct {
	Set        string         `json:"set"`
	Attributes map[string]any `json:"attributes,omitempty"`
}

// Transition sets the firmware.
func (b *Barclamp) Transition(_ context.Context, s barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	if !acts(e) {
		return nil, nil
	}
	return b.part.Steps(s, e)
}

// Plan says what Transition's steps would change.
func (b *Barclamp) Plan(ctx context.Context, s barclamp.Site, e barclamp.Event) (*barclamp.Plan, error) {
	if !acts(e) {
		return nil, nil
	}
	return b.part.Plan(ctx, s, e)
}

func acts(e barclamp.Event) bool {
	return e.State == "hardware-installing" || e.State == "hardware-updating"
}

// record picks the settings of the set out of what the BMC reported.
func record(choice deployer.Choice, seen *hardware.Snapshot) any {
	d := Data{Set: choice.BIOSSet, Attributes: map[string]any{}}
	set, err := hardware.BIOSSet(choice.BIOSSet)
	if err != nil {
		return d // cannot be: the set was planned for
	}
	for intent := range set.Intents {
		if binding, ok := seen.BIOS.Intents[intent]; ok {
			d.Attributes[binding.Attribute] = seen.BIOS.Attributes[binding.Attribute]
		}
	}
	return d
}
