package cli_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/internal/cli"
)

// What takes down a node in use is said first, and wants a yes.
func TestTakingDown(t *testing.T) {
	for _, command := range [][]string{{"node", "transition", "NODE", "reset"}, {"node", "reset", "NODE"}} {
		s := newShell(t)
		name, _ := s.site.Discover(1)
		inForce(t, s)
		s.ok("node", "allocate", name, "--yes")
		s.site.Settled(name, "hardware-installed")
		for i, a := range command {
			if a == "NODE" {
				command[i] = name
			}
		}

		code, stdout, stderr := s.run(command...)
		require.Equal(t, 3, code)
		require.Equal(t, name+" is in hardware-installed; roles: rack-top; proposals that name it: rack/default\n", stdout)
		require.Equal(t, "crowbar: not done: the node is in use; allow it with --yes\n", stderr)

		s.terminal, s.stdin = true, "n\n"
		code, _, stderr = s.run(command...)
		require.Equal(t, 3, code)
		require.Contains(t, stderr, "reset d52-54-00-00-00-01? [y/N] ")
		n, err := s.site.Engine.Node(name)
		require.NoError(t, err)
		require.Equal(t, "hardware-installed", n.Lifecycle.State)

		s.terminal = false
		require.Contains(t, s.ok(append(command, "--yes")...), name+" is in reset")
	}
}

// A node that nobody uses is not asked about.
func TestTakingDownWhatIsNotInUse(t *testing.T) {
	s := newShell(t)
	name, _ := s.site.Discover(1)
	require.Contains(t, s.ok("node", "reset", name), " is in reset")
	s.fails(1, "NODE is missing", "node", "delete")
	s.fails(1, "list them: crowbar node list", "node", "reset", "nobody")
}

func TestCommand(t *testing.T) {
	for executable, want := range map[string]string{
		"/tmp/go-build12/b001/exe/crowbar":          "go run ./cmd/crowbar",
		"/root/.cache/go-build/ab/abcdef-d/crowbar": "go run ./cmd/crowbar",
		"/usr/local/bin/crowbar":                    "crowbar",
	} {
		require.Equal(t, want, cli.Command(executable, nil), executable)
	}
}
