package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/crowbar/sim"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// TestMain lets the test binary be crowbar-server, for tests that kill it.
func TestMain(m *testing.M) {
	if os.Getenv("BE_CROWBAR_SERVER") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A process is a crowbar-server of its own.
type process struct {
	*client.Client
	t       *testing.T
	cmd     *exec.Cmd
	drained sync.WaitGroup // its standard output is read to the end
	stderr  buffer
}

// A buffer is written by the process while a test reads it.
type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0], append([]string{"--listen", "127.0.0.1:0"}, args...)...)}
	p.cmd.Env = append(os.Environ(), "BE_CROWBAR_SERVER=1")
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(p.kill)
	lines := bufio.NewScanner(stdout)
	require.True(t, lines.Scan(), "crowbar-server did not come up")
	_, rest, found := strings.Cut(lines.Text(), "listening on ")
	require.True(t, found, lines.Text())
	url, _, _ := strings.Cut(rest, " ")
	p.drained.Go(func() {
		for lines.Scan() {
		}
	})
	p.Client, err = client.New(client.Config{BaseURL: url, User: "tester"})
	require.NoError(t, err)
	return p
}

// kill ends the process as a power cut would.
func (p *process) kill() { p.end(syscall.SIGKILL) }

// stop ends it as an operator would.
func (p *process) stop() { p.end(syscall.SIGTERM) }

func (p *process) end(signal syscall.Signal) {
	if p.cmd.ProcessState != nil {
		return
	}
	_ = p.cmd.Process.Signal(signal) // it may have ended by itself
	p.drained.Wait()
	_ = p.cmd.Wait() // killed
	p.Close()
}

// await polls until the nodes are as wanted.
func (p *process) await(what string, wanted func([]client.Node) bool) []client.Node {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 90*time.Second)
	defer cancel()
	for {
		nodes, err := p.Nodes(ctx)
		require.NoError(p.t, err, "waiting until %s: %s", what, p.stderr.String())
		if wanted(nodes) {
			return nodes
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("not within 90 s: %s; nodes: %+v", what, nodes)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func allIn(state string, count int) func([]client.Node) bool {
	return func(nodes []client.Node) bool {
		return len(nodes) == count && !slices.ContainsFunc(nodes, func(n client.Node) bool {
			return n.State != state || n.Phase != "settled"
		})
	}
}

func anyIn(state string) func([]client.Node) bool {
	return func(nodes []client.Node) bool {
		return slices.ContainsFunc(nodes, func(n client.Node) bool { return n.State == state })
	}
}

// commitAll creates and commits the proposals; edit may change a document in between.
func (p *process) commitAll(edit func(*proposal.Document) *proposal.Document) {
	ctx := p.t.Context()
	for _, name := range []string{"deployer", "provisioner", "network", "ipmi", "bios", "raid", "nova", "swift"} {
		k := proposal.Key{Barclamp: name, Name: "default"}
		created, err := p.CreateProposal(ctx, client.NewProposal{Barclamp: k.Barclamp, Name: k.Name})
		require.NoError(p.t, err)
		if edit != nil {
			doc, err := proposal.Parse(created.Revision.Document)
			require.NoError(p.t, err)
			_, err = p.ImportProposal(ctx, edit(doc).Bytes(), k.Name, client.SaveOptions{Message: "edited"})
			require.NoError(p.t, err)
		}
		_, err = p.Commit(ctx, k, 0)
		require.NoError(p.t, err)
	}
}

func (p *process) allocateAll(nodes []client.Node) {
	for _, n := range nodes {
		_, err := p.Allocate(p.t.Context(), n.Name, client.AllocateOptions{AllowDestroy: true})
		require.NoError(p.t, err)
	}
}

// settled waits until every proposal is applied.
func (p *process) settled() {
	p.await("every proposal is applied", func(nodes []client.Node) bool {
		proposals, err := p.Proposals(p.t.Context(), "")
		require.NoError(p.t, err)
		for _, s := range proposals {
			require.NotEqual(p.t, "failed", s.Status.Status, "%s: %s", s.Barclamp, s.Status.Reason)
			if s.Status.Status != "applied" {
				return false
			}
		}
		status, err := p.Status(p.t.Context())
		require.NoError(p.t, err)
		return !status.Busy && allIn("ready", len(nodes))(nodes)
	})
}

// hardwareOf reads the machines that a server which has ended left behind.
func hardwareOf(t *testing.T, dir string) []*sim.Machine {
	site, err := sim.New(sim.Config{Dir: filepath.Join(dir, "sim"), URL: "http://127.0.0.1:1"})
	require.NoError(t, err)
	return site.Machines()
}

const machines = 8

// TestKilled: a server that is killed while its nodes are in any of the states of the way
// goes on after a restart, and no disk loses data beyond its grant.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"hardware-installing", "installing", "applying"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			p := start(t, "--data-dir", dir, "--simulate=8")
			nodes := p.await("all nodes pause", allIn("discovered", machines))
			p.commitAll(nil)
			p.allocateAll(nodes)
			p.await("a node is in "+state, anyIn(state))
			p.kill()

			p = start(t, "--data-dir", dir, "--simulate")
			p.settled()
			p.stop()
			for _, m := range hardwareOf(t, dir) {
				wiped := 0
				for disk, times := range m.DiskWipes() {
					require.LessOrEqual(t, times, 1, "disk %s", disk)
					wiped += times
				}
				if len(m.DiskWipes()) == 4 {
					require.Equal(t, []hardware.RAIDLevel{"RAID10"}, m.RAID())
					require.Equal(t, 4, wiped)
				} else {
					require.Empty(t, m.RAID())
					require.Equal(t, 1, wiped)
				}
			}

			// Without --simulate the store can be looked at, and nothing moves.
			p = start(t, "--data-dir", dir)
			status, err := p.Status(t.Context())
			require.NoError(t, err)
			require.Contains(t, status.Paused, "--simulate")
			require.Equal(t, map[string]int{"ready": machines}, status.Nodes)
			p.stop()
			require.Contains(t, p.stderr.String(), "paused")
		})
	}
}

// TestOtherRAIDForNova: the deployer's bios_map decides, here for RAID1 instead of RAID10.
func TestOtherRAIDForNova(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, "--data-dir", dir, "--simulate=8")
	nodes := p.await("all nodes pause", allIn("discovered", machines))
	p.commitAll(func(d *proposal.Document) *proposal.Document {
		if d.Barclamp() != "deployer" {
			return d
		}
		for i, row := range d.Get("bios_map").Array() {
			if strings.HasPrefix(row.Get("pattern").String(), "nova") {
				pointer := "/attributes/deployer/bios_map/" + string(rune('0'+i)) + "/raid_set"
				edited, err := d.With(proposal.Edit{Pointer: pointer, Value: []byte(`"SingleRaid1"`)})
				require.NoError(t, err)
				return edited
			}
		}
		t.Fatal("the deployer's bios_map has no row for nova")
		return nil
	})
	p.allocateAll(nodes)
	p.settled()
	p.stop()
	compute := 0
	for _, m := range hardwareOf(t, dir) {
		if len(m.DiskWipes()) == 4 {
			compute++
			require.Equal(t, []hardware.RAIDLevel{"RAID1"}, m.RAID())
		}
	}
	require.Equal(t, 5, compute)
}
