package network_test

import (
	"context"
	"fmt"

	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/network"
)

func Example() {
	for _, nodes := range []int{80, 81} {
		d, err := barclamptest.NewSite(nodes, 0).Commit(context.Background(), network.New())
		if err != nil {
			fmt.Println(err)
			return
		}
		hosts, err := network.Host(d)
		fmt.Println(nodes, "nodes have their addresses from", hosts, err)
	}
	// Output:
	// 80 nodes have their addresses from 192.168.124.81-192.168.124.160 <nil>
	// 81 nodes have their addresses from 10.124.64.0-10.124.127.255 <nil>
}
