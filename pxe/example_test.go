package pxe_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/crowbarkit/crowbarkit/pxe"
	"github.com/crowbarkit/crowbarkit/pxe/pxetest"
)

func Example() {
	inUse := map[pxe.MAC]bool{{0x52, 0x54, 0, 0x77, 0, 1}: true}
	booter := pxe.BooterFunc(func(_ context.Context, c pxe.Client) (*pxe.Decision, error) {
		if inUse[c.MAC] {
			return &pxe.Decision{Reason: "in use"}, nil // the zero Decision boots the local disk
		}
		return &pxe.Decision{
			Action:  pxe.ActionBoot,
			Reason:  "discovery",
			Kernel:  "/files/vmlinuz",
			Initrds: []pxe.Initrd{{URL: "/files/initrd"}},
			Args:    []string{"quiet", "inv.mac=${net0/mac}"},
		}, nil
	})
	mux := http.NewServeMux()
	mux.Handle(pxe.Path, pxe.Handler(booter, nil))
	server := httptest.NewServer(mux)
	defer server.Close()

	for _, mac := range []pxe.MAC{{0x52, 0x54, 0, 0x77, 0, 1}, {0x52, 0x54, 0, 0x77, 0, 2}} {
		machine := pxetest.Firmware{URL: server.URL, MAC: mac}
		d, err := machine.Boot(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(mac, d.Action, d.Args)
	}
	// Output:
	// 52:54:00:77:00:01 local []
	// 52:54:00:77:00:02 boot [quiet inv.mac=52:54:00:77:00:02]
}

func ExampleScript() {
	script, err := pxe.Script(&pxe.Decision{
		Action:  pxe.ActionBoot,
		Kernel:  "http://10.77.0.1:8080/vmlinuz",
		Initrds: []pxe.Initrd{{URL: "http://10.77.0.1:8080/initrd"}},
		Args:    []string{"console=ttyS0"},
	})
	fmt.Print(script, err)
	// Output:
	// #!ipxe
	// kernel http://10.77.0.1:8080/vmlinuz initrd=initrd console=ttyS0
	// initrd --name initrd http://10.77.0.1:8080/initrd
	// boot
	// <nil>
}
