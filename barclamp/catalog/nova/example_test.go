package nova_test

import (
	"context"
	"fmt"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/nova"
)

func Example() {
	draft, err := nova.New().Propose(context.Background(), barclamptest.NewSite(2, 2))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, x := range draft.Explanations {
		fmt.Printf("%s: %s (%s)\n", x.Role, x.Node, x.Reason)
	}
	// Output:
	// nova-controller: d52-54-00-00-00-01.crowbar.test (the first node that is neither for storage nor for compute)
	// nova-compute-kvm: d52-54-00-00-00-02.crowbar.test (its CPU virtualizes (vmx))
}
