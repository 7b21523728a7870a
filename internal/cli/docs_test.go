package cli_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/server"
	"github.com/crowbarkit/crowbarkit/internal/cli"
	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

var writeDocs = flag.Bool("write-docs", false, "write what the commands of the documentation print into it")

// asCommand makes the test binary the command crowbar.
const asCommand = "CROWBAR_TEST_AS_COMMAND"

// asFast is how many times faster that command waits than a real one.
const asFast = "CROWBAR_TEST_SPEED"

func runAsCommand() {
	if os.Getenv(asCommand) != "" {
		p := cli.System()
		if speed, err := strconv.ParseFloat(os.Getenv(asFast), 64); err == nil {
			p.Clock = clock.Scaled(speed)
		}
		os.Exit(cli.Crowbar(context.Background(), p))
	}
}

// block is what a reader types and sees.
var block = regexp.MustCompile("(?s)```console\n(.*?)```\n")

// moment is what differs from run to run: times, keys and certificates of hosts, and how often a
// BMC was asked whether it is done.
var moment = regexp.MustCompile(`\b[0-9a-f]{64}\b|reboots?, \d+ requests|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d|SHA256:[A-Za-z0-9+/]{43}`)

// TestDocumentedCommands types what the documentation says, each document in one directory, and
// compares what is printed.
func TestDocumentedCommands(t *testing.T) {
	for name, document := range map[string]struct {
		commands int // at least
		reader   func(t *testing.T, text string) (run func(command string) string)
		tables   func(t *testing.T, text string) string
	}{
		"proposals.md": {16, readerOfProposals, nil},
		"volumes.md":   {16, readerOfVolumes, optionTables},
		"hardware.md":  {12, readerOfHardware, hardwareTables},
	} {
		t.Run(name, func(t *testing.T) {
			path := "../../docs/" + name
			raw, err := os.ReadFile(path)
			require.NoError(t, err)
			text := string(raw)
			now, count := typed(text, document.reader(t, text))
			require.GreaterOrEqual(t, count, document.commands)
			if document.tables != nil {
				now = document.tables(t, now)
			}
			const same = "2026-11-22 12:00:00"
			changed := cmp.Diff(moment.ReplaceAllString(text, same), moment.ReplaceAllString(now, same))
			if *writeDocs && changed != "" {
				require.NoError(t, os.WriteFile(path, []byte(now), 0o644))
				return
			}
			require.Empty(t, changed,
				"to write what is printed now: go test ./internal/cli -run TestDocumentedCommands -args -write-docs")
		})
	}
}

// typed is the text with what its commands print now, and how many they are.
func typed(text string, run func(command string) string) (now string, commands int) {
	now = block.ReplaceAllStringFunc(text, func(console string) string {
		var out strings.Builder
		out.WriteString("```console\n")
		for line := range strings.Lines(block.FindStringSubmatch(console)[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				fmt.Fprintf(&out, "%s%s", line, run(strings.TrimSuffix(command, "\n")))
				commands++
			}
		}
		out.WriteString("```\n")
		return out.String()
	})
	return now, commands
}

// readerOfProposals has a site of six machines that have come to the pause.
func readerOfProposals(t *testing.T, text string) func(command string) string {
	built(t, text, "crowbar", "crowbar-server")
	const nodes = 6
	s, err := server.Open(t.Context(), server.Config{
		DataDir: t.TempDir(), Listen: "127.0.0.1:0", Simulation: &server.Simulation{Nodes: nodes, Speed: 60},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-served) })
	waiting, done := context.WithTimeout(ctx, time.Minute)
	defer done()
	// Events are told before the engine's own list of nodes has them, so only they are counted.
	enough, paused := errors.New("all nodes pause"), map[string]bool{}
	err = s.Engine().WatchEvents(waiting, 0, func(ev crowbar.Event) error {
		if ev.State == lifecycle.Discovered {
			paused[ev.Subject] = true
		}
		if len(paused) == nodes {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		for _, n := range s.Engine().Nodes() {
			t.Logf("%s %s %s %s", n.Name, n.Lifecycle.State, n.Lifecycle.Phase, n.Lifecycle.Reason)
		}
	}
	require.ErrorIs(t, err, enough)
	for node := range paused {
		_, err := s.Engine().Await(waiting, node, 1)
		require.NoError(t, err)
	}
	return readerIn(t, t.TempDir(), "CROWBAR_SERVER="+s.URL(), "CROWBAR_USER=ada", "VISUAL=")
}

// readerIn returns a shell in a directory, in which crowbar is this program.
func readerIn(t *testing.T, dir string, env ...string) func(command string) string {
	self, err := os.Executable()
	require.NoError(t, err)
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", asCommand, self)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "crowbar"), []byte(script), 0o700))
	return func(command string) string {
		sh := exec.CommandContext(t.Context(), "/bin/sh", "-c", command)
		sh.Dir = dir
		sh.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "GOCOVERDIR="+t.TempDir())
		sh.Env = append(sh.Env, env...)
		var out bytes.Buffer
		sh.Stdout, sh.Stderr = &out, &out
		_ = sh.Run() // the documentation shows failures, too
		return out.String()
	}
}
