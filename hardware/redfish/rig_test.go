package redfish_test

import (
	"context"
	"io"
	"log"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

const (
	user     = "root"
	password = "correct-horse-battery"
)

// rig is one simulated server and a Configurator that reaches it in process.
type rig struct {
	machine *redfishsim.Machine
	bmc     *redfishsim.BMC
	target  hardware.Target
	c       *redfish.Configurator
}

func newRig(t *testing.T, disks int, wrap func(http.RoundTripper) http.RoundTripper) *rig {
	t.Helper()
	m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1", Times: redfishsim.Times{POST: 30 * time.Second}, Disks: redfishsim.Disks("n1", disks),
		NICs: []redfishsim.NIC{{Name: "NIC.1", MAC: "52:54:00:00:00:01", SpeedMbps: 25000}}}, nil)
	require.NoError(t, err)
	r := rigOf(t, m)
	r.c = r.configurator(t, wrap)
	return r
}

func rigOf(t *testing.T, m *redfishsim.Machine) *rig {
	t.Helper()
	bmc, err := redfishsim.NewBMC(redfishsim.Config{Machine: m, Username: user, Password: password})
	require.NoError(t, err)
	return &rig{machine: m, bmc: bmc, target: target("node1", "http://bmc1")}
}

func target(node, url string) hardware.Target {
	return hardware.Target{Node: node, URL: url, Credentials: func(context.Context) (string, string, error) { return user, password, nil }}
}

// transport reaches the BMC in process.
func (r *rig) transport() http.RoundTripper {
	return redfishsim.Transport(func(host string) http.Handler {
		if host != "bmc1" {
			return nil
		}
		return r.bmc
	})
}

func (r *rig) configurator(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper, vendors ...redfish.Vendor) *redfish.Configurator {
	t.Helper()
	transport := r.transport()
	if wrap != nil {
		transport = wrap(transport)
	}
	c, err := redfish.New(redfish.Config{Transport: transport, Vendors: vendors})
	require.NoError(t, err)
	return c
}

func (r *rig) plan(t *testing.T, profile string) *hardware.Plan {
	t.Helper()
	p, err := hardware.ParseProfile([]byte(profile))
	require.NoError(t, err)
	seen, err := r.c.Observe(t.Context(), r.target)
	require.NoError(t, err)
	plan, err := hardware.NewPlan(p, seen)
	require.NoError(t, err)
	return plan
}

func allow(context.Context, hardware.Destruction) error { return nil }

const wholeProfile = `{"bios":{"set":"Virtualization"},"raid":{"set":"SingleRaid10"},"boot":{"target":"pxe"}}`

// discard is for servers whose clients are meant to hang up.
var discard = log.New(io.Discard, "", 0)
