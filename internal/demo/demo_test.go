package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/demo"
)

// run runs a demo as `crowbar demo --exit -o json` does, and returns its object and what was
// shown meanwhile.
func run(t *testing.T, config demo.Config) (demo.Summary, string, error) {
	var out, live bytes.Buffer
	config.Listen, config.Exit, config.JSON, config.Out, config.Live = "127.0.0.1:0", true, true, &out, &live
	err := demo.Run(t.Context(), config)
	var s demo.Summary
	require.NoError(t, json.Unmarshal(out.Bytes(), &s), "there is an object, whatever happened")
	return s, live.String(), err
}

// TestDemo: 8 nodes come to ready with opposite hardware, no disk loses data twice, and a
// second run with the same seed ends alike.
func TestDemo(t *testing.T) {
	t.Parallel()
	first, live, err := run(t, demo.Config{Seed: 7})
	require.NoError(t, err, live)
	require.Len(t, first.Nodes, 8)
	require.Len(t, first.Proposals, 8)
	for _, p := range first.Proposals {
		require.Equal(t, "applied", p.Status, "%s", p.Barclamp)
		require.Equal(t, 1, p.Revision)
	}
	services := map[string]int{}
	addresses := map[string]bool{}
	for _, n := range first.Nodes {
		require.Equal(t, "ready", n.State)
		addresses[n.Address] = true
		wiped := 0
		for disk, times := range n.DiskWipes {
			require.LessOrEqual(t, times, 1, "disk %s of %s", disk, n.Name)
			wiped += times
		}
		switch len(n.DiskWipes) {
		case 4: // a compute machine: every disk went into the volume
			require.Equal(t, []string{"RAID10"}, n.RAID)
			require.Equal(t, 4, wiped)
			require.Equal(t, "Enabled", n.BIOS["ProcVirtualization"])
		case 12: // a storage machine: only the disk of the system lost data
			require.Equal(t, []string{"JBOD"}, n.RAID)
			require.Equal(t, 1, wiped)
			require.Equal(t, "Disabled", n.BIOS["ProcVirtualization"])
		default:
			t.Fatalf("%s has %d disks", n.Name, len(n.DiskWipes))
		}
		for _, role := range n.Roles {
			services[role]++
		}
	}
	require.Len(t, addresses, 8)
	require.Equal(t, map[string]int{
		"deployer-client": 8, "provisioner-base": 8, "network": 8, "ipmi": 8, "bios-configure": 8, "raid-configure": 8,
		"nova-controller": 1, "nova-compute-kvm": 4,
		"swift-storage": 3, "swift-proxy": 1, "swift-ring-compute": 1, "swift-dispersion": 1,
	}, services)
	require.Contains(t, live, "pauses until an operator allocates it")
	require.Contains(t, live, "RAID10 on ")

	second, _, err := run(t, demo.Config{Seed: 7})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(first, second, cmpopts.IgnoreFields(demo.Summary{}, "Seconds")))
}

// TestTooFewNodes: the roles that lack nodes are named.
func TestTooFewNodes(t *testing.T) {
	t.Parallel()
	s, live, err := run(t, demo.Config{Nodes: 2})
	require.ErrorIs(t, err, demo.ErrFailed)
	require.Contains(t, live, "role nova-compute-kvm lacks nodes")
	require.Contains(t, live, "role swift-storage lacks nodes")
	require.Len(t, s.Nodes, 2)
	require.Len(t, s.Proposals, 8)
}

// TestWithoutHardware: without the barclamps that configure hardware everything else works.
func TestWithoutHardware(t *testing.T) {
	t.Parallel()
	s, live, err := run(t, demo.Config{Without: []string{"bios", "raid", "ipmi"}})
	require.NoError(t, err, live)
	require.Len(t, s.Nodes, 8)
	for _, n := range s.Nodes {
		require.Equal(t, "ready", n.State)
		require.Equal(t, []string{"JBOD"}, n.RAID)
	}
}

// TestInterrupted: an interrupt ends the demo, also in the middle, and leaves nothing behind.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	live := &interrupter{at: "went from discovering", act: cancel}
	var out bytes.Buffer
	require.ErrorIs(t, demo.Run(ctx, demo.Config{Listen: "127.0.0.1:0", Out: &out, JSON: true, Live: live}), demo.ErrInterrupted)
	require.Error(t, ctx.Err())
	var s demo.Summary
	require.NoError(t, json.Unmarshal(out.Bytes(), &s))
	require.NotEmpty(t, s.Nodes)
}

// TestInterruptedWhenReady: that is how a demo that stays up ends.
func TestInterruptedWhenReady(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	live := &interrupter{at: "event watch", act: cancel}
	var out bytes.Buffer
	require.NoError(t, demo.Run(ctx, demo.Config{Listen: "127.0.0.1:0", Command: "go run ./cmd/crowbar", Speed: 300, Out: &out, Live: live}))
	require.Error(t, ctx.Err())
	require.Contains(t, live.text.String(), "go run ./cmd/crowbar --server http://127.0.0.1:")
	require.NotContains(t, live.text.String(), "crowbar.internal")
	for line := range strings.Lines(out.String()) {
		require.LessOrEqual(t, len(line), 121, line)
	}
	require.Contains(t, out.String(), "swift-dispersion swift-proxy (+")
}

// TestStandstill: a demo whose rack does not move ends, with what keeps each node.
func TestStandstill(t *testing.T) {
	t.Parallel()
	url := ""
	live := &interrupter{at: "Hardware is configured"}
	live.act = func() {
		_, rest, _ := strings.Cut(live.text.String(), "the API is at ")
		url, _, _ = strings.Cut(rest, ";")
		c, err := client.New(client.Config{BaseURL: url})
		require.NoError(t, err)
		defer c.Close()
		_, err = c.EnginePause(t.Context(), "for lunch")
		require.NoError(t, err)
	}
	err := demo.Run(t.Context(), demo.Config{Listen: "127.0.0.1:0", Speed: 3600, Exit: true, Out: io.Discard, Live: live})
	require.ErrorIs(t, err, demo.ErrFailed)
	require.ErrorContains(t, err, "nothing has moved for 4h")
	require.Contains(t, live.text.String(), "the engine is paused: for lunch")
}

// TestRefusedAllocation ends the demo.
func TestRefusedAllocation(t *testing.T) {
	t.Parallel()
	s, live, err := run(t, demo.Config{Speed: 3000, Without: []string{"provisioner"}})
	require.ErrorIs(t, err, demo.ErrFailed)
	require.Contains(t, live, "it pauses until an operator allocates it")
	require.Len(t, s.Nodes, 8)
}

// An interrupter acts once when it is shown something.
type interrupter struct {
	at   string
	act  func()
	text strings.Builder
	once sync.Once
}

func (i *interrupter) Write(p []byte) (int, error) {
	i.text.Write(p)
	if bytes.Contains(p, []byte(i.at)) {
		i.once.Do(i.act)
	}
	return len(p), nil
}

// TestNodeWithoutBMC: it comes to ready with its hardware as it was, and what was skipped is said.
func TestNodeWithoutBMC(t *testing.T) {
	t.Parallel()
	s, live, err := run(t, demo.Config{WithoutBMC: []int{0}})
	require.NoError(t, err, live)
	require.Len(t, s.Nodes, 8)
	without := 0
	for _, n := range s.Nodes {
		require.Equal(t, "ready", n.State)
		if len(n.DiskWipes) == 4 && n.RAID[0] == "JBOD" {
			without++
		}
	}
	require.Equal(t, 1, without)
	require.Contains(t, live, "no BMC")
}
