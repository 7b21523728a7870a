// Package cinder is the barclamp that places OpenStack Block Storage and holds its back ends.
//
// Roles, in the order in which they are applied:
//
//   - cinder-controller: exactly one node, with API and scheduler.
//   - cinder-volume: at least one node; it serves the volumes of raw and local from disks of its
//     own, and speaks to the back ends of all other drivers.
//
// What is suggested: the controller on the first node with the intention controller, else the
// first one that is for neither storage nor compute; cinder-volume on the nodes intended for
// storage, else on those with six disks or more, else on the controller.
//
// The attribute volumes is Crowbar's list of back ends,
//
//	[{"backend_driver": "eqlx", "backend_name": "eqlx1", "eqlx": {…}}]
//
// which package storage opens as it is. The options of eqlx and rbd are those of their drivers: the
// schema has theirs embedded, and Validate tells what they need. The forms of before 2014, in the
// attribute volume, are read too. A new proposal has Crowbar's back end: LVM on the first disk that
// nobody has.
package cinder

import (
	"context"
	_ "embed"
	"encoding/json"
	"slices"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/intent"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/volumes"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Name of the barclamp.
const Name = "cinder"

// Roles.
const (
	RoleController = "cinder-controller"
	RoleVolume     = "cinder-volume"
)

//go:embed template.json
var template []byte

//go:embed schema.json
var schema []byte

// Barclamp is cinder.
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
	return &Barclamp{template: d, schema: volumes.Embed(schema, "eqlx", "rbd")}
}

// Info describes the barclamp.
func (b *Barclamp) Info() barclamp.Info {
	return barclamp.Info{
		Name:        Name,
		Version:     "1.0",
		Description: "OpenStack Block Storage: keeps volumes on disks, arrays and clusters",
		Roles: []barclamp.Role{
			{Name: RoleController, Constraint: barclamp.Constraint{Minimum: 1, Count: 1}},
			{Name: RoleVolume, Constraint: barclamp.Constraint{Minimum: 1}},
		},
		RunOrder: 90,
		Template: b.template,
		Schema:   b.schema,
	}
}

// Propose places a controller and those who serve volumes.
func (b *Barclamp) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	d := &barclamp.Draft{}
	all := barclamp.Candidates(s)
	if len(all) == 0 {
		d.Explain(RoleController, "", "lacks nodes: the site has none")
		d.Explain(RoleVolume, "", "lacks nodes: the site has none")
		return d, nil
	}
	isStorage := func(n barclamp.Node) bool { return intent.Storage(n) != "" }
	others := slices.DeleteFunc(slices.Clone(all), isStorage)
	controller, why := all[0], "the first node: all are for storage"
	if len(others) > 0 {
		controller, why = intent.ChooseController(others)
	}
	d.Place(RoleController, controller.Name, why)

	storage := slices.DeleteFunc(all, func(n barclamp.Node) bool { return !isStorage(n) })
	if slices.ContainsFunc(storage, intent.Stated) {
		storage = slices.DeleteFunc(storage, func(n barclamp.Node) bool { return !intent.Stated(n) })
	}
	for _, n := range storage {
		d.Place(RoleVolume, n.Name, intent.Storage(n))
	}
	if len(storage) == 0 {
		d.Place(RoleVolume, controller.Name, "the controller: no node is for storage")
	}
	return d, nil
}

// Validate checks the back ends: their names, that each has the options of the driver it names
// and no other's, and what that driver needs. Back ends of before 2014 are checked alike.
func (b *Barclamp) Validate(_ context.Context, _ barclamp.Site, d *proposal.Document) error {
	var problems barclamp.Problems
	volumes.List(&problems, d.AttributePointer("volumes"), d.Get("volumes"))
	volumes.Block(&problems, d.AttributePointer("volume"), d.Get("volume"))
	return problems.Err()
}
