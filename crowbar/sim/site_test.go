package sim_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/sim"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

func open(t *testing.T, c sim.Config) *sim.Site {
	t.Helper()
	s, err := sim.New(c)
	require.NoError(t, err)
	return s
}

func TestMachinesOfASeed(t *testing.T) {
	for nodes, storage := range map[int]int{1: 0, 2: 1, 8: 3, 100: 38} {
		got := 0
		for _, m := range open(t, sim.Config{Nodes: nodes}).Machines() {
			if len(m.DiskWipes()) == 12 {
				got++
			}
		}
		require.Equal(t, storage, got, "of %d", nodes)
	}
	hundred := open(t, sim.Config{Nodes: 100, Seed: 3}).Machines()
	known := map[string]bool{}
	for i, m := range hundred {
		spec := m.Hardware().Spec()
		require.Regexp(t, `^52:54:00(:[0-9a-f]{2}){3}$`, m.MAC())
		for _, id := range []string{spec.Serial, spec.UUID, spec.NICs[0].MAC, spec.NICs[1].MAC, spec.Disks[0].WWN, spec.Disks[3].Serial} {
			require.False(t, known[id], "%s of machine %d is taken", id, i)
			known[id] = true
		}
		for serial := range m.DiskWipes() {
			contents, err := m.Hardware().Contents(serial)
			require.NoError(t, err)
			require.NotEmpty(t, contents, "a disk from the factory holds something")
		}
	}
	few := open(t, sim.Config{Nodes: 5, Seed: 3}).Machines()
	require.Equal(t, hundred[4].Hardware().Spec(), few[4].Hardware().Spec())
	require.NotEqual(t, few[4].MAC(), open(t, sim.Config{Nodes: 5, Seed: 4}).Machines()[4].MAC())
}

func TestMachineOfANode(t *testing.T) {
	s := open(t, sim.Config{})
	m := s.Machines()[3]
	mac, err := net.ParseMAC(m.MAC())
	require.NoError(t, err)
	name := "d"
	for i, b := range mac {
		if i > 0 {
			name += "-"
		}
		name += string("0123456789abcdef"[b>>4]) + string("0123456789abcdef"[b&15])
	}
	got, ok := s.Machine(name + ".crowbar.internal")
	require.True(t, ok)
	require.Same(t, m, got)
	_, ok = s.Machine("d52-54-00-00-00-00.crowbar.internal")
	require.False(t, ok)
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	s := open(t, sim.Config{Nodes: 4, Seed: 9, Dir: dir, WithoutBMC: func(i int) bool { return i == 2 }})
	require.Equal(t, uint64(9), s.Seed())
	for name, c := range map[string]struct {
		config sim.Config
		is     error
		says   string
	}{
		"fewer machines":    {sim.Config{Nodes: 3, Dir: dir}, sim.ErrOtherSite, "4 machines"},
		"another seed":      {sim.Config{Seed: 8, Dir: dir}, sim.ErrOtherSite, "seed 9"},
		"negative":          {sim.Config{Nodes: -1}, sim.ErrInvalid, "-1"},
		"negative duration": {sim.Config{Durations: sim.Durations{Install: -time.Second}}, sim.ErrInvalid, "Durations.Install"},
		"no URL":            {sim.Config{URL: "127.0.0.1:3000"}, sim.ErrInvalid, "127.0.0.1:3000"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := sim.New(c.config)
			require.ErrorIs(t, err, c.is)
			require.ErrorContains(t, err, c.says)
		})
	}
	again := open(t, sim.Config{Dir: dir})
	require.Equal(t, 4, again.Nodes())
	require.Nil(t, again.Machines()[2].BMC(), "what it has is kept")
	require.Equal(t, s.Machines()[0].MAC(), again.Machines()[0].MAC())
	require.Equal(t, 6, open(t, sim.Config{Nodes: 6, Dir: dir}).Nodes(), "a site can grow")
	require.Equal(t, 6, open(t, sim.Config{Dir: dir}).Nodes())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "machine-0001.json"), []byte(`{`), 0o600))
	_, err := sim.New(sim.Config{Dir: dir})
	require.ErrorContains(t, err, "machine-0001.json")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "site.json"), []byte(`{"version":2}`), 0o600))
	_, err = sim.New(sim.Config{Dir: dir})
	require.ErrorIs(t, err, sim.ErrOtherSite)
}

// A directory that takes no more files ends the run: machines must not go on unrecorded.
func TestRunEndsWhenNothingCanBeKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sim")
	s := open(t, sim.Config{Nodes: 2, Dir: dir})
	require.NoError(t, os.RemoveAll(dir))
	require.ErrorIs(t, s.Run(t.Context()), os.ErrNotExist)
}

// Gofish, as it is, over sockets and in process.
func TestBMCsOverSockets(t *testing.T) {
	s := open(t, sim.Config{Nodes: 3, WithoutBMC: func(i int) bool { return i == 0 }})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	var served sync.WaitGroup
	served.Go(func() { require.ErrorIs(t, s.ServeBMCs(ctx, listener), context.Canceled) })
	defer served.Wait()
	defer cancel()

	sockets := sim.DialBMCs(listener.Addr().String())
	defer sockets.CloseIdleConnections()
	for name, c := range map[string]redfish.Config{"sockets": {Transport: sockets}, "in process": {Transport: s.BMC()}} {
		t.Run(name, func(t *testing.T) {
			configurator, err := redfish.New(c)
			require.NoError(t, err)
			for i, disks := range map[int]int{1: 12, 2: 4} {
				seen, err := configurator.Observe(ctx, target(s, i))
				require.NoError(t, err)
				require.Len(t, seen.Storage[0].Drives, disks)
			}
			_, err = configurator.Observe(ctx, hardware.Target{Node: "x", URL: "http://bmc-1.sim/redfish/v1"})
			require.Error(t, err, "it has no BMC")
		})
	}
	_, _, err = s.Credentials("http://bmc-1.sim/redfish/v1")
	require.ErrorIs(t, err, sim.ErrInvalid)
}

func target(s *sim.Site, i int) hardware.Target {
	url := "http://bmc-" + string(rune('1'+i)) + ".sim/redfish/v1"
	return hardware.Target{Node: "x", URL: url, Credentials: func(context.Context) (string, string, error) { return s.Credentials(url) }}
}
