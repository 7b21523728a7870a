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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/server"
	"github.com/crowbarkit/crowbarkit/internal/cli"
)

var writeDocs = flag.Bool("write-docs", false, "write what the commands of the documentation print into it")

// asCommand makes the test binary the command crowbar.
const asCommand = "CROWBAR_TEST_AS_COMMAND"

func runAsCommand() {
	if os.Getenv(asCommand) != "" {
		os.Exit(cli.Crowbar(context.Background(), cli.System()))
	}
}

// block is what a reader types and sees.
var block = regexp.MustCompile("(?s)```console\n(.*?)```\n")

// moment is what differs from run to run.
var moment = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d`)

// TestDocumentedCommands types what docs/proposals.md says, in one shell directory on one
// simulated site, and compares what is printed.
func TestDocumentedCommands(t *testing.T) {
	const doc = "../../docs/proposals.md"
	text, err := os.ReadFile(doc)
	require.NoError(t, err)
	run := readerOf(t)
	count := 0
	now := block.ReplaceAllStringFunc(string(text), func(console string) string {
		var out strings.Builder
		out.WriteString("```console\n")
		for line := range strings.Lines(block.FindStringSubmatch(console)[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				fmt.Fprintf(&out, "%s%s", line, run(strings.TrimSuffix(command, "\n")))
				count++
			}
		}
		out.WriteString("```\n")
		return out.String()
	})
	require.Greater(t, count, 15)
	if *writeDocs {
		require.NoError(t, os.WriteFile(doc, []byte(now), 0o644))
		return
	}
	const same = "2026-11-22 12:00:00"
	require.Empty(t, cmp.Diff(moment.ReplaceAllString(string(text), same), moment.ReplaceAllString(now, same)),
		"to write what is printed now: go test ./internal/cli -run TestDocumentedCommands -args -write-docs")
}

// readerOf returns a shell in which crowbar is this program, on a site of six machines that
// have come to the pause.
func readerOf(t *testing.T) func(command string) string {
	s, err := server.Open(t.Context(), server.Config{
		DataDir: t.TempDir(), Listen: "127.0.0.1:0", Simulation: &server.Simulation{Nodes: 6, Speed: 60},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-served) })
	waiting, done := context.WithTimeout(ctx, time.Minute)
	defer done()
	discovered := func() bool {
		nodes := s.Engine().Nodes()
		return len(nodes) == 6 && !slices.ContainsFunc(nodes, func(n *crowbar.Node) bool { return n.Lifecycle.State != "discovered" })
	}
	enough := errors.New("all nodes pause")
	err = s.Engine().WatchEvents(waiting, 0, func(crowbar.Event) error {
		if discovered() {
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

	self, err := os.Executable()
	require.NoError(t, err)
	bin, dir := t.TempDir(), t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n%s=1 exec %q \"$@\"\n", asCommand, self)
	require.NoError(t, os.WriteFile(filepath.Join(bin, "crowbar"), []byte(script), 0o700))
	return func(command string) string {
		sh := exec.CommandContext(t.Context(), "/bin/sh", "-c", command)
		sh.Dir = dir
		sh.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "CROWBAR_SERVER="+s.URL(), "CROWBAR_USER=ada", "VISUAL=", "GOCOVERDIR="+dir)
		var out bytes.Buffer
		sh.Stdout, sh.Stderr = &out, &out
		_ = sh.Run() // the documentation shows failures, too
		return out.String()
	}
}
