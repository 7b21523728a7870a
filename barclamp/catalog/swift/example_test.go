package swift_test

import (
	"context"
	"fmt"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/swift"
)

func Example() {
	draft, err := swift.New().Propose(context.Background(), barclamptest.NewSite(2, 2))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, x := range draft.Explanations {
		fmt.Printf("%s: %s (%s)\n", x.Role, x.Node, x.Reason)
	}
	// Output:
	// swift-storage: d52-54-00-00-00-03.crowbar.test (has 12 disks)
	// swift-storage: d52-54-00-00-00-04.crowbar.test (has 12 disks)
	// swift-ring-compute: d52-54-00-00-00-03.crowbar.test (the first storage node: it has no role that wants other hardware)
	// swift-proxy: d52-54-00-00-00-03.crowbar.test (the first storage node: it has no role that wants other hardware)
	// swift-dispersion: d52-54-00-00-00-03.crowbar.test (the first storage node: it has no role that wants other hardware)
}
