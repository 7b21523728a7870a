// Bmclib reads a BMC's inventory with bmclib's Redfish provider and prints how much of it there is.
// It is a module of its own: this bmclib needs a gofish that ours does not compile with.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/bmc-toolbox/bmclib/v2"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: bmclib HOST PORT USER PASSWORD")
		os.Exit(2)
	}
	if err := inventory(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "bmclib:", err)
		os.Exit(1)
	}
}

func inventory(host, port, user, password string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client := bmclib.NewClient(host, user, password, bmclib.WithRedfishPort(port))
	client.Registry.Drivers = client.Registry.Using("redfish")
	if err := client.Open(ctx); err != nil {
		return err
	}
	defer client.Close(ctx) //nolint:errcheck // the session is the server's to count
	device, err := client.Inventory(ctx)
	if err != nil {
		return err
	}
	firmware := 0
	for _, known := range []bool{device.BMC != nil && device.BMC.Firmware != nil, device.BIOS != nil && device.BIOS.Firmware != nil} {
		if known {
			firmware++
		}
	}
	fmt.Printf("%d processors, %d memory modules, %d storage controllers, %d drives, %d network cards, %d power supplies, firmware of %d\n",
		len(device.CPUs), len(device.Memory), len(device.StorageControllers), len(device.Drives), len(device.NICs), len(device.PSUs), firmware)
	return nil
}
