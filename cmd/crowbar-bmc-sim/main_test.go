package main

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// asCommand makes the test's own binary the command.
const asCommand = "CROWBAR_BMC_SIM_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// start runs the command as a process and reads the lines that it prints for its BMCs.
func start(t *testing.T, count int, args ...string) (lines []ready, process *exec.Cmd) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"--count", fmt.Sprint(count)}, args...)...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	read := bufio.NewScanner(out)
	for len(lines) < count && read.Scan() {
		var r ready
		require.NoError(t, json.Unmarshal(read.Bytes(), &r))
		lines = append(lines, r)
	}
	require.Len(t, lines, count)
	return lines, cmd
}

// pinned trusts one certificate by its fingerprint.
func pinned(fingerprint string) *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		if sum := sha256.Sum256(s.PeerCertificates[0].Raw); hex.EncodeToString(sum[:]) != fingerprint {
			return errors.New("another certificate")
		}
		return nil
	}}}
}

func get(t *testing.T, transport *http.Transport, r ready, path string) map[string]any {
	t.Helper()
	defer transport.CloseIdleConnections()
	ask, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+path, nil)
	require.NoError(t, err)
	ask.SetBasicAuth(r.Username, r.Password)
	answer, err := (&http.Client{Transport: transport}).Do(ask)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	var doc map[string]any
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&doc))
	return doc
}

// The lines are enough to use each BMC, with its certificate pinned or trusted; a signal ends
// the process well.
func TestProcess(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	lines, process := start(t, 3, "--personality", "dell", "--tls", "--ca-file", ca, "--disks", "2", "--on", "--speed", "1000")
	pem, err := os.ReadFile(ca)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	seen := map[any]bool{}
	for i, r := range lines {
		require.Equal(t, fmt.Sprintf("node%d", i+1), r.Name)
		require.True(t, strings.HasPrefix(r.URL, "https://127.0.0.1:"), r.URL)
		require.Equal(t, "root", r.Username)
		require.NotEmpty(t, r.Password)
		system := get(t, pinned(r.Fingerprint), r, "/redfish/v1/Systems/System.Embedded.1")
		require.Equal(t, r.Name, system["Name"], "the BMC of this line")
		require.Equal(t, "On", system["PowerState"])
		seen[system["UUID"]] = true
		storage := get(t, &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}, r, "/redfish/v1/Systems/System.Embedded.1/Storage/RAID.Integrated.1-1")
		require.EqualValues(t, 2, storage["Drives@odata.count"])
		nic := get(t, pinned(r.Fingerprint), r, "/redfish/v1/Systems/System.Embedded.1/EthernetInterfaces/NIC.1")
		seen[nic["MACAddress"]] = true
	}
	require.Len(t, seen, 6, "each machine is one of its own")
	_, err = (&http.Client{Transport: pinned(lines[1].Fingerprint)}).Get(lines[0].URL)
	require.ErrorContains(t, err, "another certificate")
	require.NoError(t, process.Process.Signal(syscall.SIGTERM))
	require.NoError(t, process.Wait())
}

func TestPortsInARow(t *testing.T) {
	for range 20 { // until two ports in a row are free
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		port := l.Addr().(*net.TCPAddr).Port
		require.NoError(t, l.Close())
		f, err := newFleet(fleetConfig{count: 2, username: "admin", password: "s3cret", speed: 1}, fmt.Sprintf("127.0.0.1:%d", port))
		if errors.Is(err, syscall.EADDRINUSE) || port == 65535 {
			continue
		}
		require.NoError(t, err)
		defer f.close()
		require.Equal(t, ready{Name: "node1", URL: fmt.Sprintf("http://127.0.0.1:%d", port), Username: "admin", Password: "s3cret"}, f.bmcs[0].ready)
		require.Equal(t, ready{Name: "node2", URL: fmt.Sprintf("http://127.0.0.1:%d", port+1), Username: "admin", Password: "s3cret"}, f.bmcs[1].ready)
		return
	}
	t.Fatal("found no two ports in a row")
}

// Thousands open together.
func TestMany(t *testing.T) {
	f, err := newFleet(fleetConfig{count: 1000, disks: 4, personality: "hpe", username: "root", password: "x", speed: 1, tls: true}, "127.0.0.1:0")
	require.NoError(t, err)
	defer f.close()
	require.Len(t, f.byPort, 1000)
	fingerprints := map[string]bool{}
	for _, b := range f.bmcs {
		fingerprints[b.ready.Fingerprint] = true
	}
	require.Len(t, fingerprints, 1000)
}

func TestCommandRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	for _, args := range [][]string{{"--personality", "commodore"}, {"--count", "0"}, {"--disks", "-1"}, {"--speed", "0"}, {"--speed", "NaN"}, {"--listen", "nowhere"},
		{"--listen", "127.0.0.1:65535", "--count", "2"}, {"--listen", "127.0.0.1:x"}, {"--listen", taken.Addr().String()}, {"--user", ""},
		{"--error-rate", "2"}, {"--error-rate", "NaN"}, {"--latency", "-1s"}, {"--jitter", "-1s"}, {"--session-limit", "-1"}, {"--slow-power", "-1"},
		{"--ca-file", "/nonexistent/x", "--tls"}, {"--ca-file", "/nonexistent/x"}, {"extra"}} {
		cmd := command()
		cmd.SetArgs(args)
		cmd.SetErr(io.Discard)
		cmd.SetOut(io.Discard)
		err := cmd.Execute()
		require.Error(t, err, args)
		if flag := args[0]; len(args) == 2 && flag != "--personality" && flag != "--user" {
			require.True(t, strings.HasPrefix(err.Error(), flag) || flag == "--listen", "%v: %v", args, err)
		}
	}
}
