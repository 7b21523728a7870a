package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestHardware(t *testing.T) {
	var out strings.Builder
	twice := func(ctx context.Context, c redfish.Config, target hardware.Target, out io.Writer) error {
		if err := run(ctx, c, target, out); err != nil {
			return err
		}
		return run(ctx, c, target, out) // there is nothing left to do
	}
	require.NoError(t, onSimulatedServer(twice, &out))
	first, second, cut := strings.Cut(out.String(), "1 reboots\n")
	require.True(t, cut, out.String())
	require.Contains(t, first, "5 operations, 1 reboot, DESTROYS all data on node1-D0, node1-D1, node1-D2, node1-D3\n"+
		"allowed: creates RAID10 volume system on controller RAID.Integrated.1-1; all data on node1-D0, node1-D1, node1-D2, node1-D3 is lost\n5 done, ")
	require.Equal(t, "nothing to do\n0 done, 0 reboots\n", second)
}
