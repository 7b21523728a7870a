package cinder_test

import (
	"context"
	"fmt"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/cinder"
)

func Example() {
	draft, err := cinder.New().Propose(context.Background(), barclamptest.NewSite(2, 2))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, x := range draft.Explanations {
		fmt.Printf("%s: %s (%s)\n", x.Role, x.Node, x.Reason)
	}
	// Output:
	// cinder-controller: d52-54-00-00-00-01.crowbar.test (the first node that is neither for storage nor for compute)
	// cinder-volume: d52-54-00-00-00-03.crowbar.test (has 12 disks)
	// cinder-volume: d52-54-00-00-00-04.crowbar.test (has 12 disks)
}
