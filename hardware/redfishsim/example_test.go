package redfishsim_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

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

// A Dell makes a job of BIOS settings; they are in force once it has ended, at the next POST.
func ExamplePersonality() {
	clock := &hand{now: time.Unix(1_800_000_000, 0)}
	machine, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1", Personality: redfishsim.Dell}, &redfishsim.Options{Clock: clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	bmc, err := redfishsim.NewBMC(redfishsim.Config{Machine: machine, Username: "root", Password: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest("PATCH", "/redfish/v1/Systems/System.Embedded.1/Bios/Settings",
		strings.NewReader(`{"Attributes":{"ProcVirtualization":"Enabled"},"@Redfish.SettingsApplyTime":{"ApplyTime":"OnReset"}}`))
	r.SetBasicAuth("root", "secret")
	w := httptest.NewRecorder()
	bmc.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Header().Get("Location"))
	for range 2 {
		s := machine.State()
		fmt.Println(s.BIOS["ProcVirtualization"], s.Jobs[0].Kind, s.Jobs[0].State)
		if err := machine.Reset(redfishsim.ResetOn); err != nil {
			fmt.Println(err)
		}
		clock.now = clock.now.Add(2 * time.Minute)
	}
	// Output:
	// 202 /redfish/v1/TaskService/Tasks/JID_000000000001
	// Disabled bios Scheduled
	// Enabled bios Completed
}

// A BMC that restarts is gone for a while, and forgets its sessions.
func ExampleBMC_RestartBMC() {
	clock := &hand{now: time.Unix(1_800_000_000, 0)}
	machine, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1"}, &redfishsim.Options{Clock: clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	bmc, err := redfishsim.NewBMC(redfishsim.Config{Machine: machine, Username: "root", Password: "secret"})
	if err != nil {
		fmt.Println(err)
		return
	}
	bmc.RestartBMC(time.Minute)
	for range 2 {
		w := httptest.NewRecorder()
		bmc.ServeHTTP(w, httptest.NewRequest("GET", "/redfish/v1/", nil))
		fmt.Println(w.Code, w.Header().Get("Retry-After"))
		clock.now = clock.now.Add(time.Minute)
	}
	// Output:
	// 503 60
	// 200
}
