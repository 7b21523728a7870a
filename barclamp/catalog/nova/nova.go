// Package nova is the barclamp that places OpenStack Compute.
//
// Roles:
//
//   - nova-controller: exactly one node.
//   - nova-compute-kvm: nodes whose CPU virtualizes (vmx or svm); not together with -qemu.
//   - nova-compute-qemu: nodes whose CPU does not; not together with -kvm.
//
// At least one node must be in one of the compute roles. The attributes of 2012 have Nova's own
// volumes, on disks, in a file, or on an EqualLogic group; the options of the group are those of
// package storage/eqlx. What is suggested, of the nodes that
// are not meant for storage: the first node with the intention controller, else the first one,
// is the controller; the nodes with the intention compute, else all the rest, compute. A node
// counts as a storage node by its intention, else if it has six disks or more.
package nova

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/intent"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/volumes"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Name of the barclamp.
const Name = "nova"

// Roles.
const (
	RoleController = "nova-controller"
	RoleKVM        = "nova-compute-kvm"
	RoleQEMU       = "nova-compute-qemu"
)

//go:embed template.json
var template []byte

//go:embed schema.json
var schema []byte

// Barclamp is nova.
type Barclamp struct {
	template *proposal.Document
	schema   json.RawMessage
}

var (
	_ barclamp.Barclamp  = (*Barclamp)(nil)
	_ barclamp.Validator = (*Barclamp)(nil)
)

// New makes the barclamp.
func New() *Barclamp {
	d, _ := proposal.Parse(template) // a Registry refuses a template that is none
	return &Barclamp{template: d, schema: volumes.Embed(schema, "eqlx")}
}

// Info describes the barclamp.
func (b *Barclamp) Info() barclamp.Info {
	return barclamp.Info{
		Name:        Name,
		Version:     "1.0",
		Description: "OpenStack Compute: runs virtual machines",
		Roles: []barclamp.Role{
			{Name: RoleController, Constraint: barclamp.Constraint{Minimum: 1, Count: 1}},
			{Name: RoleKVM, Constraint: barclamp.Constraint{ConflictsWith: []string{RoleQEMU}}},
			{Name: RoleQEMU, Constraint: barclamp.Constraint{ConflictsWith: []string{RoleKVM}}},
		},
		RunOrder: 95,
		Template: b.template,
		Schema:   b.schema,
	}
}

// Propose places a controller and compute nodes.
func (b *Barclamp) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	d := &barclamp.Draft{}
	nodes := barclamp.Candidates(s)
	nodes = slices.DeleteFunc(nodes, func(n barclamp.Node) bool { return intent.Storage(n) != "" })
	if len(nodes) == 0 {
		d.Explain(RoleController, "", "lacks nodes: the site has none that is not for storage")
		d.Explain(RoleKVM, "", "lacks nodes: the site has none that is not for storage")
		return d, nil
	}
	controller, why := intent.ChooseController(nodes)
	d.Place(RoleController, controller.Name, why)
	nodes = slices.DeleteFunc(nodes, func(n barclamp.Node) bool { return n.Name == controller.Name })
	placeComputes(d, nodes)
	return d, nil
}

// placeComputes sorts the nodes that the controller leaves into the compute roles.
func placeComputes(d *barclamp.Draft, nodes []barclamp.Node) {
	intended := func(n barclamp.Node) bool { return n.IntendedRole == intent.Compute }
	if slices.ContainsFunc(nodes, intended) {
		nodes = slices.DeleteFunc(nodes, func(n barclamp.Node) bool { return !intended(n) })
	}
	for _, n := range nodes {
		flag := ""
		for _, f := range []string{"vmx", "svm"} {
			if slices.Contains(n.Facts.CPU.Flags, f) {
				flag = f
			}
		}
		if flag != "" {
			d.Place(RoleKVM, n.Name, "its CPU virtualizes ("+flag+")")
		} else {
			d.Place(RoleQEMU, n.Name, "its CPU shows neither vmx nor svm, so machines are emulated")
		}
	}
	switch {
	case len(nodes) == 0:
		d.Explain(RoleKVM, "", "lacks nodes: besides the controller the site has none that is not for storage")
	case len(d.Elements[RoleKVM]) == 0:
		d.Set("/libvirt_type", "qemu")
	default:
		d.Set("/libvirt_type", "kvm")
	}
}

// Validate wants a compute node, and of volumes on an EqualLogic group (2012) what the driver
// needs. A document of another era has other compute roles, which are left alone.
func (b *Barclamp) Validate(_ context.Context, _ barclamp.Site, d *proposal.Document) error {
	var problems barclamp.Problems
	if volume := d.Get("volume"); !volume.Get("use_cinder").Bool() { // else they are in the cinder proposal
		volumes.Block(&problems, d.AttributePointer("volume"), volume)
	}
	if !slices.Contains(d.Roles(), RoleKVM) {
		return problems.Err()
	}
	elements := d.Deployment().Elements
	computes := 0
	for _, role := range d.Roles() {
		if strings.HasPrefix(role, "nova-compute-") {
			computes += len(elements[role])
		}
	}
	if computes == 0 {
		problems.Add("/deployment/"+Name+"/elements/"+RoleKVM, "no node", fmt.Sprintf("at least one here or in %s", RoleQEMU),
			"role "+RoleKVM+" lacks nodes")
	}
	return problems.Err()
}
