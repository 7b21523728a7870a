//go:build !ceph || !cgo

package main

import (
	"fmt"
	"io"
)

// rbdComparisons need librbd.
func rbdComparisons(notes io.Writer) []comparison {
	fmt.Fprintln(notes, "bench: rbd left out: built without cgo and -tags ceph, which need librbd's headers (Debian: librbd-dev librados-dev)")
	return nil
}
