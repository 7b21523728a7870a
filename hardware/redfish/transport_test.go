package redfish_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

// served is a BMC behind real TLS, with a certificate nobody vouches for.
func served(t *testing.T) (server *httptest.Server, target hardware.Target, requests *atomic.Int32) {
	t.Helper()
	r := newRig(t, 2, nil)
	requests = &atomic.Int32{}
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		requests.Add(1)
		r.bmc.ServeHTTP(w, q)
	}))
	server.Config.ErrorLog = discard
	server.StartTLS()
	t.Cleanup(server.Close)
	target = r.target
	target.URL = server.URL
	return server, target, requests
}

func observeOver(t *testing.T, config redfish.Config, target hardware.Target) error {
	t.Helper()
	c, err := redfish.New(config)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close(context.Background())) }()
	_, err = c.Observe(t.Context(), target)
	return err
}

func TestCertificates(t *testing.T) {
	server, target, requests := served(t)
	err := observeOver(t, redfish.Config{}, target)
	require.ErrorIs(t, err, hardware.ErrUnreachable)
	var refused *redfish.CertificateError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, redfish.Fingerprint(server.Certificate()), refused.Offered)
	require.Contains(t, err.Error(), refused.Offered, "the operator can compare and pin it")
	require.Zero(t, requests.Load(), "nothing is sent to a stranger")

	known := x509.NewCertPool()
	known.AddCert(server.Certificate())
	require.NoError(t, observeOver(t, redfish.Config{TLS: &tls.Config{RootCAs: known}}, target))
}

func TestPins(t *testing.T) {
	first, target, requests := served(t)
	address := strings.TrimPrefix(first.URL, "https://")
	path := filepath.Join(t.TempDir(), "known_bmcs")
	config := redfish.Config{Pins: redfish.NewFilePins(path)}
	require.NoError(t, observeOver(t, config, target), "trusted when first seen")
	require.NoError(t, observeOver(t, config, target))
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, address+" "+redfish.Fingerprint(first.Certificate())+"\n", string(data))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	// Another certificate at that address.
	require.NoError(t, os.WriteFile(path, []byte("# comment\n\n"+address+" "+strings.Repeat("ab", 32)), 0o600))
	before := requests.Load()
	err = observeOver(t, config, target)
	var refused *redfish.CertificateError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, strings.Repeat("ab", 32), refused.Known)
	require.Equal(t, before, requests.Load())

	// A second BMC goes on a line of its own, though the last was not ended.
	second, other, _ := served(t)
	require.NoError(t, observeOver(t, config, other))
	data, err = os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(string(data), "ab\n"+strings.TrimPrefix(second.URL, "https://")+" "+redfish.Fingerprint(second.Certificate())+"\n"))

	require.NoError(t, os.WriteFile(path, []byte("a b c\n"), 0o600))
	err = observeOver(t, config, target)
	require.ErrorContains(t, err, path+":1")

	// As openssl x509 -fingerprint -sha256 prints it.
	print := strings.ToUpper(redfish.Fingerprint(first.Certificate()))
	for i := len(print) - 2; i > 0; i -= 2 {
		print = print[:i] + ":" + print[i:]
	}
	require.NoError(t, os.WriteFile(path, []byte(address+" "+print+"\n"), 0o600))
	require.NoError(t, observeOver(t, config, target))
	var memory redfish.MemoryPins
	require.NoError(t, observeOver(t, redfish.Config{Pins: &memory}, target))
	known, err := memory.Pin(t.Context(), address, "other")
	require.NoError(t, err)
	require.Equal(t, redfish.Fingerprint(first.Certificate()), known)
}

// A proxy of the environment is for downloads.
func TestNoProxy(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") }))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("HTTPS_PROXY", proxy.URL)
	_, target, _ := served(t)
	require.NoError(t, observeOver(t, redfish.Config{Pins: &redfish.MemoryPins{}}, target))
}
