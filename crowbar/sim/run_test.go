package sim_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/sim"
	"github.com/crowbarkit/crowbarkit/hardware"
)

// What the machines end up with, read from their hardware.
func TestSiteToReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, sim.Config{})
		w.ready()
		compute, storage := 0, 0
		for _, m := range w.site.Machines() {
			require.NotEmpty(t, m.Roles(), m.Node())
			require.NotEmpty(t, m.BMC().RequestLog())
			require.Equal(t, "disk", m.Status())
			wipes := m.DiskWipes()
			total := 0
			for serial, n := range wipes {
				require.LessOrEqual(t, n, 1, serial)
				total += n
			}
			switch len(wipes) {
			case 4:
				compute++
				require.Equal(t, []hardware.RAIDLevel{hardware.RAID10}, m.RAID())
				require.Equal(t, "Enabled", m.BIOS()["ProcVirtualization"])
				require.Equal(t, 4, total, "each member of the new volume once, and the install on it nothing more")
			case 12:
				storage++
				require.Empty(t, m.RAID())
				require.Equal(t, "Disabled", m.BIOS()["ProcVirtualization"])
				require.Equal(t, 1, total, "the boot disk once")
				require.Equal(t, 1, wipes[m.Serial()+"-D00"])
			}
		}
		require.Equal(t, 5, compute)
		require.Equal(t, 3, storage)
	})
}
