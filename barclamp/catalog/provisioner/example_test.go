package provisioner_test

import (
	"context"
	"fmt"
	"net"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/provisioner"
	"github.com/crowbarkit/crowbarkit/pxe"
)

func ExampleNewBooter() {
	site := barclamptest.NewSite(1, 0)
	node := site.Machines[0].Name
	booter, err := provisioner.NewBooter(provisioner.BooterConfig{
		Site:    func() barclamp.Site { return site },
		BaseURL: "http://192.168.124.10:3000",
		Lookup:  func(net.HardwareAddr) (name, state string, known bool) { return node, "discovered", true },
		Ticket: func(context.Context, net.HardwareAddr, string) (provisioner.Ticket, error) {
			return provisioner.Ticket{Node: node, Boot: 1, Token: "secret"}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := booter.Boot(context.Background(), pxe.Client{MAC: pxe.MAC{0x52, 0x54, 0, 0, 0, 1}})
	fmt.Println(d.Reason, err)
	fmt.Println(d.Kernel)
	// Output:
	// d52-54-00-00-00-01.crowbar.test is in discovered: discovery <nil>
	// http://192.168.124.10:3000/files/discovery/vmlinuz
}
