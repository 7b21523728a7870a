package cli_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/internal/cli"
)

// served starts crowbar-server and returns its URL and how to stop it.
func served(t *testing.T, args ...string) (url string, stop func() (code int, stderr string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		code := cli.Server(ctx, cli.Process{Args: append([]string{"--listen", "127.0.0.1:0"}, args...), Stdout: in, Stderr: &stderr})
		in.Close()
		ended <- code
	}()
	line := make([]byte, 4096)
	n, err := out.Read(line)
	if err != nil {
		cancel()
		require.NoError(t, err, "exit %d: %s", <-ended, &stderr)
	}
	ready := string(line[:n])
	require.Regexp(t, `^crowbar-server: listening on http://127\.0\.0\.1:\d+ \(data in [^;]*(; \d+ simulated machines?, their time runs \d+x)?\)\n$`, ready)
	return strings.Fields(ready)[3], func() (int, string) {
		cancel()
		return <-ended, stderr.String()
	}
}

// refused runs a crowbar-server that must not start.
func refused(t *testing.T, says string, args ...string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Server(t.Context(), cli.Process{Args: args, Stdout: &stdout, Stderr: &stderr})
	require.Equal(t, 1, code)
	require.Empty(t, stdout.String())
	require.Contains(t, stderr.String(), says)
	require.True(t, strings.HasPrefix(stderr.String(), "crowbar-server: "), stderr.String())
	require.Equal(t, 1, strings.Count(stderr.String(), "\n"), "one sentence: %s", &stderr)
}

func TestServerRefusesToStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	base := t.TempDir()
	fresh := filepath.Join(base, "fresh")
	refused(t, "address "+taken.Addr().String()+" is taken", "--listen", taken.Addr().String(), "--data-dir", fresh, "--simulate")
	require.NoDirExists(t, fresh, "a taken port changes nothing")
	refused(t, "cannot listen", "--listen", "127.0.0.1:port", "--data-dir", fresh)

	file := filepath.Join(base, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	refused(t, "data directory "+file+"/data cannot be made or written (not a directory); give one", "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(file, "data"))
	refused(t, "cannot be made or written (no such file or directory); give one", "--listen", "127.0.0.1:0", "--data-dir", "/proc/x")
	refused(t, "from 1 to 10000", "--data-dir", fresh, "--simulate", "9999999")
	refused(t, "counted from 0 to 2", "--data-dir", fresh, "--simulate", "3", "--without-bmc", "9", "--listen", "127.0.0.1:0")

	refused(t, "expected a number of machines", "--data-dir", fresh, "--simulate=0")
	refused(t, "expected a number of machines", "--data-dir", fresh, "--simulate", "many")
	refused(t, "is of use with --simulate only", "--data-dir", fresh, "--speed", "2")
	refused(t, "--speed -1", "--data-dir", fresh, "--simulate", "--speed", "-1")
	refused(t, `"noise" is not known`, "--data-dir", fresh, "--log-level", "noise")
	refused(t, `"nobody"`, "--data-dir", fresh, "--without", "nobody", "--listen", "127.0.0.1:0")
	refused(t, `"extra" is one argument too many`, "--data-dir", fresh, "extra")
	refused(t, "no data directory", "--data-dir", "", "--listen", "127.0.0.1:0")
	require.NoDirExists(t, fresh)
}

func TestServerAndItsDirectory(t *testing.T) {
	dir := t.TempDir()
	url, stop := served(t, "--data-dir", dir, "--simulate", "2", "--speed", "1000")
	s := &shell{t: t, env: map[string]string{"CROWBAR_SERVER": url}}
	require.Equal(t, "the engine works\n", s.ok("engine", "resume"))
	refused(t, "is in use by another crowbar-server; stop it", "--listen", "127.0.0.1:0", "--data-dir", dir, "--simulate")
	refused(t, "is taken", "--listen", strings.TrimPrefix(url, "http://"), "--data-dir", t.TempDir())
	code, stderr := stop()
	require.Equal(t, 0, code, stderr)

	refused(t, "more than 1", "--listen", "127.0.0.1:0", "--data-dir", dir, "--simulate=1")
	refused(t, "seed", "--listen", "127.0.0.1:0", "--data-dir", dir, "--simulate", "--seed", "77")

	url, stop = served(t, "--data-dir", dir)
	s.env["CROWBAR_SERVER"] = url
	s.fails(3, "the engine stays paused: the store holds simulated nodes", "engine", "resume")
	code, stderr = stop()
	require.Equal(t, 0, code)
	require.Contains(t, stderr, "holds simulated nodes: the engine is paused and starts nothing; start with --simulate to go on")

	url, stop = served(t, "--data-dir", dir, "--simulate", "--speed", "1000")
	s.env["CROWBAR_SERVER"] = url
	require.Eventually(t, func() bool { return strings.Count(s.ok("node", "list"), "discovered") == 2 }, 30*time.Second, 20*time.Millisecond)
	s.ok("proposal", "create", "raid")
	s.ok("proposal", "commit", "raid")
	code, stderr = stop()
	require.Equal(t, 0, code, stderr)
	_, stop = served(t, "--data-dir", dir, "--simulate", "--without", "raid")
	_, stderr = stop()
	require.Equal(t, "crowbar-server: proposal raid/default is in force, but --without leaves barclamp raid out: what it does in the states of a node is not done\n", stderr)

	realDir := t.TempDir()
	_, stop = served(t, "--data-dir", realDir)
	code, stderr = stop()
	require.Equal(t, 0, code, stderr)
	refused(t, "is one for real nodes; start without --simulate", "--listen", "127.0.0.1:0", "--data-dir", realDir, "--simulate")
	require.NoDirExists(t, filepath.Join(realDir, "sim"), "nothing half-written")
}
