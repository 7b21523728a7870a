// Package provisioner is the barclamp that decides what nodes boot and installs their operating
// system.
//
// Roles:
//
//   - provisioner-server: at most one node, which may be the admin node. Without one,
//     crowbar-server itself is the provisioner.
//   - provisioner-base: every node but the admin node.
//
// It acts last in each state (run order 1060), so that what nodes boot follows from what all
// others have decided. The decision itself is made anew at each request of a machine:
// [NewBooter] is the pxe.Booter that answers by the node's state, by the lifecycle, and by the
// proposal in force:
//
//   - enable_pxe: false sends every machine to its own disk
//   - dhcp.state_machine: Crowbar's map of state to boot action, laid over the lifecycle's
//   - discovery.append: more words for the kernel of the discovery image
//   - default_os, supported_oses: what is installed, {os: {arch: {kernel, initrd, append}}}
//     with paths below <base>/files/<os>/
//
// Installing overwrites disks. The installer may choose any, so [Barclamp.Plan] asks for the
// destruction of all under the name [InstallOperation], and the installer spends that.
package provisioner

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// Name of the barclamp.
const Name = "provisioner"

// Roles.
const (
	RoleServer = "provisioner-server"
	RoleBase   = "provisioner-base"
)

// InstallOperation names the destruction of a node's disks by the installer, in the plan, in
// the grant and when the installer asks.
const InstallOperation = "provisioner/install"

//go:embed template.json
var template []byte

//go:embed schema.json
var schema []byte

// Config of the barclamp.
type Config struct {
	// Lifecycle that dhcp.state_machine is checked against; nil is lifecycle.Default.
	Lifecycle *lifecycle.Lifecycle
}

// Barclamp is the provisioner.
type Barclamp struct {
	life     *lifecycle.Lifecycle
	template *proposal.Document
}

var (
	_ barclamp.Barclamp     = (*Barclamp)(nil)
	_ barclamp.Transitioner = (*Barclamp)(nil)
	_ barclamp.Planner      = (*Barclamp)(nil)
	_ barclamp.Validator    = (*Barclamp)(nil)
)

// New makes the barclamp.
func New(c Config) *Barclamp {
	d, _ := proposal.Parse(template) // a Registry refuses a template that is none
	if c.Lifecycle == nil {
		c.Lifecycle = lifecycle.Default()
	}
	return &Barclamp{life: c.Lifecycle, template: d}
}

// Info describes the barclamp.
func (b *Barclamp) Info() barclamp.Info {
	return barclamp.Info{
		Name:        Name,
		Version:     "1.0",
		Description: "Decides what nodes boot and installs their operating system",
		Roles: []barclamp.Role{
			{Name: RoleServer, Constraint: barclamp.Constraint{Count: 1, Admin: true}},
			{Name: RoleBase},
		},
		RunOrder: 1060,
		Template: b.template,
		Schema:   schema,
	}
}

// Propose takes all nodes.
func (b *Barclamp) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	d := &barclamp.Draft{}
	for _, n := range s.Nodes() {
		if n.Admin && len(d.Elements[RoleServer]) == 0 {
			d.Place(RoleServer, n.Name, "the admin node serves what others boot")
		}
	}
	if len(d.Elements[RoleServer]) == 0 {
		d.Explain(RoleServer, "", "the site has no admin node: crowbar-server itself is the provisioner")
	}
	nodes := barclamp.Candidates(s)
	for _, n := range nodes {
		d.Place(RoleBase, n.Name, "every node is installed from here")
	}
	if len(nodes) == 0 {
		d.Explain(RoleBase, "", "no node has been discovered yet")
	}
	return d, nil
}

// Transition makes nodes that came by later members.
func (b *Barclamp) Transition(_ context.Context, _ barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	switch e.State {
	case lifecycle.HardwareInstalling, lifecycle.Readying:
		return e.JoinSteps(RoleBase), nil
	}
	return nil, nil
}

// Plan says, for the state installing, that all disks of the node may be overwritten. The node
// has to have told its disks: what nobody can name cannot be granted.
func (b *Barclamp) Plan(_ context.Context, _ barclamp.Site, e barclamp.Event) (*barclamp.Plan, error) {
	if e.State != lifecycle.Installing {
		return nil, nil
	}
	os := DefaultOS(e.Document)
	var disks []string
	for _, d := range e.Node.Facts.Disks {
		if id := d.Identity(); id != "" {
			disks = append(disks, id)
		}
	}
	if len(disks) == 0 {
		return &barclamp.Plan{Skipped: "node has told of no disk with a serial number or WWN, so no operating system can be installed"}, nil
	}
	return &barclamp.Plan{
		Text: fmt.Sprintf("install %s; the installer chooses the disk, all data on %s may be lost\n", os, strings.Join(disks, ", ")),
		Destructions: []barclamp.Destruction{{
			Operation:   InstallOperation,
			Disks:       disks,
			Description: "install " + os + " over what is on any of its disks",
		}},
	}, nil
}

// DefaultOS is what a proposal installs: default_os, else the only one of supported_oses, else
// "".
func DefaultOS(d *proposal.Document) string {
	if os := d.Get("default_os").String(); os != "" {
		return os
	}
	known := d.Get("supported_oses").Map()
	if len(known) == 1 {
		for os := range known {
			return os
		}
	}
	return ""
}

// actions is the map dhcp.state_machine.
func actions(d *proposal.Document) map[string]string {
	m := map[string]string{}
	for state, action := range d.Get("dhcp.state_machine").Map() {
		m[state] = action.String()
	}
	return m
}

// Validate checks dhcp.state_machine against the lifecycle, and that there is an operating
// system to install. States that the lifecycle does not have are no problem: real documents
// name those of old releases.
func (b *Barclamp) Validate(_ context.Context, _ barclamp.Site, d *proposal.Document) error {
	var problems barclamp.Problems
	_, _, err := b.life.WithBootActions(actions(d))
	var refused *statemachine.DefinitionError
	if errors.As(err, &refused) {
		for _, p := range refused.Problems {
			problems.Add(d.AttributePointer("dhcp.state_machine")+p.Path, p.Found, p.Expected, p.Hint)
		}
	} else if err != nil {
		return err
	}
	known := d.Get("supported_oses").Map()
	switch os := DefaultOS(d); {
	case os == "":
		problems.Add(d.AttributePointer("default_os"), "nothing", "one of supported_oses", "Crowbar took the admin node's; here it has to be said")
	case !known[os].IsObject():
		problems.Add(d.AttributePointer("default_os"), strconv.Quote(os), "one of supported_oses", "")
	}
	if pxe := d.Get("enable_pxe"); pxe.Exists() && !pxe.IsBool() {
		problems.Add(d.AttributePointer("enable_pxe"), pxe.Raw, "true or false", "")
	}
	return problems.Err()
}
