package redfishsim_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// A simulated server behind a real socket, configured like a real one.
func Example() {
	machine, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1", Disks: redfishsim.Disks("n1", 4)}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	bmc, err := redfishsim.NewBMC(redfishsim.Config{Machine: machine, Username: "root", Password: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(bmc)
	defer server.Close()

	configurator, err := redfish.New(redfish.Config{Transport: server.Client().Transport})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	target := hardware.Target{Node: "node1", URL: server.URL,
		Credentials: func(context.Context) (string, string, error) { return "root", "secret", nil }}
	seen, err := configurator.Observe(ctx, target)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := hardware.NewPlan(hardware.Profile{RAID: &hardware.RAIDProfile{Set: "SingleRaid10"}}, seen)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = configurator.Apply(ctx, target, plan, &hardware.ApplyOptions{
		Authorize: func(_ context.Context, d hardware.Destruction) error { fmt.Println(d.Description); return nil },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, v := range machine.State().Volumes {
		fmt.Println(v.RAIDLevel, v.SizeBytes, v.Disks)
	}
	// Output:
	// creates RAID10 volume system on controller RAID.Integrated.1-1; all data on n1-D0, n1-D1, n1-D2, n1-D3 is lost
	// RAID10 2000409772032 [n1-D0 n1-D1 n1-D2 n1-D3]
}
