package pxetest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/pxe"
	"github.com/crowbarkit/crowbarkit/pxe/pxetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var mac = pxe.MAC{0x52, 0x54, 0, 0x77, 0, 1}

func boot(t *testing.T, h http.Handler) (*pxe.Decision, error) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	f := pxetest.Firmware{
		URL: server.URL, MAC: mac, UUID: "11111111-2222-3333-4444-555555555555",
		Arch: pxe.ArchX8664, Platform: pxe.FirmwareEFI, Serial: "AB 1&x", Transport: server.Client().Transport,
	}
	d, err := f.Boot(t.Context())
	if d != nil && d.Kernel != "" {
		require.Equal(t, server.URL+"/files/vmlinuz", d.Kernel, "made absolute")
		d.Kernel = "/files/vmlinuz"
	}
	return d, err
}

func TestFirmwareBootsWhatTheHandlerSends(t *testing.T) {
	want := &pxe.Decision{Action: pxe.ActionBoot, Kernel: "/files/vmlinuz", Initrds: []pxe.Initrd{{Name: "i", URL: "http://other/i"}}, Args: []string{"a=b"}}
	got, err := boot(t, pxe.Handler(pxe.BooterFunc(func(_ context.Context, c pxe.Client) (*pxe.Decision, error) {
		require.Equal(t, mac, c.MAC)
		require.Equal(t, "11111111-2222-3333-4444-555555555555", c.UUID)
		require.Equal(t, "AB 1&x", c.Serial)
		require.Equal(t, pxe.FirmwareEFI, c.Firmware)
		require.True(t, c.Address.IsLoopback())
		return want, nil
	}), nil))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(want, got))

	for _, local := range []pxe.LocalBoot{pxe.LocalExit, pxe.LocalSanboot, pxe.LocalNotFound} {
		got, err = boot(t, pxe.Handler(pxe.BooterFunc(func(context.Context, pxe.Client) (*pxe.Decision, error) {
			return &pxe.Decision{Local: local}, nil
		}), nil))
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(&pxe.Decision{Local: local}, got))
	}
}

func TestFirmwareIsStrict(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusMovedPermanently)
		},
		"chunked": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "#!ipxe\n")
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "exit 1\n")
		},
		"success":      func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "#!ipxe\nexit\n") },
		"server error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) },
	} {
		_, err := boot(t, h)
		require.ErrorIs(t, err, pxetest.ErrFirmware, name)
	}
	f := pxetest.Firmware{URL: "http://127.0.0.1:1", MAC: mac}
	_, err := f.Boot(t.Context())
	require.Error(t, err)
	require.False(t, errors.Is(err, pxetest.ErrFirmware), "no server is no bad answer")
}
