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
