package redfish_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The demo runs machine and Configurator on one fast clock, with real sockets between.
func TestScaledClock(t *testing.T) {
	fast := clock.Scaled(2000)
	booted := make(chan redfishsim.PowerEvent, 4)
	m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1", Disks: redfishsim.Disks("n1", 4)},
		&redfishsim.Options{Clock: fast, OnPower: func(e redfishsim.PowerEvent) { booted <- e }})
	require.NoError(t, err)
	bmc, err := redfishsim.NewBMC(redfishsim.Config{Machine: m, Username: user, Password: password})
	require.NoError(t, err)
	server := httptest.NewServer(bmc)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()

	c, err := redfish.New(redfish.Config{Clock: fast, BootTimeout: 10 * time.Hour})
	require.NoError(t, err)
	defer c.CloseIdleConnections()
	target := target("node1", server.URL)
	seen, err := c.Observe(t.Context(), target)
	require.NoError(t, err)
	plan, err := hardware.NewPlan(hardware.Profile{BIOS: &hardware.BIOSProfile{Set: "Hadoop"}, Boot: &hardware.BootProfile{Target: hardware.BootPXE}}, seen)
	require.NoError(t, err)
	_, err = c.Apply(t.Context(), target, plan, nil)
	require.NoError(t, err)
	require.Equal(t, "PerfOptimized", m.State().BIOS["SysProfile"])
	e := <-booted
	require.Equal(t, redfishsim.Booted, e.Kind)
	require.Equal(t, "Pxe", e.Boot)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}
