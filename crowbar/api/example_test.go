package api_test

import (
	"context"
	"fmt"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/api"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/inprocess"
)

func ExampleNew() {
	ctx := context.Background()
	engine, err := crowbar.New(ctx, crowbar.Config{Store: crowbar.NewMemoryStore(), Registry: &barclamp.Registry{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler, err := api.New(api.Config{Engine: engine, Version: "1.0"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Elsewhere: http.ListenAndServe, and client.New with a URL.
	c, err := client.New(client.Config{Transport: inprocess.Transport(handler)})
	if err != nil {
		fmt.Println(err)
		return
	}
	status, err := c.Status(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(status.Version, len(status.Nodes))
	_, err = c.Node(ctx, "door")
	fmt.Println(err)
	// Output:
	// 1.0 0
	// no node is called "door"; list them: crowbar node list
}
