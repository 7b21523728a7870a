// Package intent reads what a node is meant for: Crowbar's intended_role where somebody gave it
// one, else the number of its disks. Nova and Swift must agree on that, or both would want the
// same nodes with opposite hardware.
package intent

import (
	"fmt"

	"github.com/crowbarkit/crowbarkit/barclamp"
)

// Crowbar's intentions that matter here; no_role is the same as none.
const (
	Controller = "controller"
	Compute    = "compute"
	storage    = "storage"
	none       = "no_role"
)

// manyDisks tells a storage machine from one that keeps its own system on some disks.
const manyDisks = 6

// Storage says why a node is meant for storage, "" if it is not.
func Storage(n barclamp.Node) string {
	switch n.IntendedRole {
	case storage:
		return "intended for storage"
	case "", none:
		if disks := len(n.Facts.Disks); disks >= manyDisks {
			return fmt.Sprintf("has %d disks", disks)
		}
	}
	return ""
}

// Stated says whether somebody gave the node an intention.
func Stated(n barclamp.Node) bool { return n.IntendedRole != "" && n.IntendedRole != none }

// ChooseController returns the node that services are controlled from, and why: the first that is
// intended for it, else the first that is not intended to compute. nodes are those that are not for
// storage, at least one.
func ChooseController(nodes []barclamp.Node) (barclamp.Node, string) {
	for _, n := range nodes {
		if n.IntendedRole == Controller {
			return n, "the first node intended as controller"
		}
	}
	for _, n := range nodes {
		if n.IntendedRole != Compute {
			return n, "the first node that is neither for storage nor for compute"
		}
	}
	return nodes[0], "the first node: all others, too, are intended for compute"
}
