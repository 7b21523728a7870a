package redfish_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// Without Authorize an Apply says what it would destroy, and stops.
func ExampleConfigurator_Apply() {
	machine, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1", Disks: redfishsim.Disks("n1", 2)}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	bmc, err := redfishsim.NewBMC(redfishsim.Config{Machine: machine, Username: "root", Password: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := redfish.New(redfish.Config{Transport: redfishsim.Transport(func(string) http.Handler { return bmc })})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	target := hardware.Target{Node: "node1", URL: "https://bmc.node1",
		Credentials: func(context.Context) (string, string, error) { return "root", "secret", nil }}
	seen, err := c.Observe(ctx, target)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := hardware.NewPlan(hardware.Profile{RAID: &hardware.RAIDProfile{Set: "SingleRaid1"}}, seen)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = c.Apply(ctx, target, plan, nil)
	fmt.Println(err)
	// Output:
	// redfish: node1: hardware: destruction not authorized: creates RAID1 volume system on controller RAID.Integrated.1-1; all data on n1-D0, n1-D1 is lost
}
