// Package ipmi is the barclamp of management controllers. The name is Crowbar's; what is spoken
// is Redfish.
//
// Roles:
//
//   - ipmi: nodes whose BMC is looked at, all but the admin node. It is active in
//     hardware-installing only, so committing the proposal does nothing to nodes by itself.
//
// In that state it checks, before bios and raid rely on it, that the BMC answers and takes the
// credentials, and records what it is ([Data]). bmc_user is the user name that the site's
// credentials are expected to have; the password is never an attribute. A node without BMC is
// skipped, with the reason, as is all of them if bmc_enable is false.
package ipmi

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/machine"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Name of the barclamp.
const Name = "ipmi"

// RoleIPMI is on nodes whose BMC is looked at.
const RoleIPMI = "ipmi"

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

// Barclamp checks BMCs.
type Barclamp struct {
	access   machine.Access
	template *proposal.Document
}

var (
	_ barclamp.Barclamp     = (*Barclamp)(nil)
	_ barclamp.Transitioner = (*Barclamp)(nil)
)

// New makes the barclamp.
func New(c Config) *Barclamp {
	d, _ := proposal.Parse(template) // a Registry refuses a template that is none
	return &Barclamp{access: machine.Access(c), template: d}
}

// Info describes the barclamp.
func (b *Barclamp) Info() barclamp.Info {
	return barclamp.Info{
		Name:        Name,
		Version:     "1.0",
		Description: "Checks that the management controllers of nodes answer",
		Roles:       []barclamp.Role{{Name: RoleIPMI}},
		RunOrder:    15,
		Template:    b.template,
		Schema:      schema,
	}
}

// Propose takes all nodes.
func (b *Barclamp) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	return b.access.Propose(s, RoleIPMI, "its BMC is checked before hardware is configured"), nil
}

// Data is what the barclamp keeps in a node's role.
type Data struct {
	URL          string `json:"url"`
	Manufacturer string `json:"manufacturer,omitempty"`
	Model        string `json:"model,omitempty"`
	Serial       string `json:"serial,omitempty"`
	Firmware     string `json:"firmware,omitempty"` // version of the BMC's
}

// Transition checks the BMC.
func (b *Barclamp) Transition(_ context.Context, _ barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	if e.State != "hardware-installing" {
		return nil, nil
	}
	step := barclamp.Step{ID: "check-bmc", Title: "check the BMC"}
	if enabled := e.Document.Get("bmc_enable"); enabled.Exists() && !enabled.Bool() {
		step.Skip = fmt.Sprintf("bmc_enable is false in %s/%s", Name, e.Name)
	} else if why := b.access.Unavailable(e.Node); why != "" {
		step.Skip = why
	} else {
		step.Run = b.check
	}
	return append(e.JoinSteps(RoleIPMI), step), nil
}

func (b *Barclamp) check(ctx context.Context, sc barclamp.StepContext) error {
	n := sc.Node()
	seen, err := b.access.Observe(ctx, n)
	if err != nil {
		return err
	}
	sc.Progress(1, seen.System.Manufacturer+" "+seen.System.Model)
	return sc.Data().Put(ctx, Data{URL: n.Facts.BMC.URL, Manufacturer: seen.System.Manufacturer,
		Model: seen.System.Model, Serial: seen.System.Serial, Firmware: seen.Firmware["bmc"]})
}
