package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// onSimulatedServer runs do with a server that is simulated in process and starts in seconds.
// Yours needs no Transport, and its certificate needs a CA in Config.TLS, or Config.Pins.
func onSimulatedServer(do func(context.Context, redfish.Config, hardware.Target, io.Writer) error, out io.Writer) error {
	machine, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1", Disks: redfishsim.Disks("node1", 4),
		Times: redfishsim.Times{POST: 200 * time.Millisecond, Off: 50 * time.Millisecond}}, nil)
	if err != nil {
		return err
	}
	bmc, err := redfishsim.NewBMC(redfishsim.Config{Machine: machine, Username: "root", Password: "s3cret"})
	if err != nil {
		return err
	}
	config := redfish.Config{Transport: redfishsim.Transport(func(string) http.Handler { return bmc }), PollInterval: 20 * time.Millisecond}
	return do(context.Background(), config, hardware.Target{Node: "node1", URL: "https://bmc.node1",
		Credentials: func(context.Context) (string, string, error) { return "root", "s3cret", nil }}, out)
}
