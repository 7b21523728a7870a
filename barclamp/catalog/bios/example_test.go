package bios_test

import (
	"context"
	"fmt"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/bios"
)

// Without a Configurator every node is skipped, and it is said why.
func Example() {
	b, site := bios.New(bios.Config{}), barclamptest.NewSite(1, 0)
	d, err := site.Commit(context.Background(), b)
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := site.Event(site.Machines[0].Name, "hardware-installing", d)
	if err != nil {
		fmt.Println(err)
		return
	}
	steps, err := b.Transition(context.Background(), site, e)
	for _, s := range steps {
		fmt.Println(s.ID, "skipped:", s.Skip, err)
	}
	// Output:
	// configure skipped: hardware configuration is not set up on this server, so it is skipped <nil>
}
