package pxe_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/pxe"
)

func ask(t *testing.T, h http.Handler, method, target string) *http.Response {
	t.Helper()
	request := httptest.NewRequest(method, target, nil)
	request.RemoteAddr = "10.77.0.50:1234"
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	response := recorder.Result()
	require.Equal(t, strconv.Itoa(recorder.Body.Len()), response.Header.Get("Content-Length"))
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	return response
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	raw, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(raw)
}

func fixed(d *pxe.Decision, err error) pxe.Booter {
	return pxe.BooterFunc(func(context.Context, pxe.Client) (*pxe.Decision, error) { return d, err })
}

func TestHandlerReadsTheClient(t *testing.T) {
	var got pxe.Client
	h := pxe.Handler(pxe.BooterFunc(func(_ context.Context, c pxe.Client) (*pxe.Decision, error) {
		got = c
		return &pxe.Decision{}, nil
	}), nil)
	for _, mac := range []string{"52%3A54%3A00%3a77%3a00%3a0a", "52:54:00:77:00:0A", "52-54-00-77-00-0a"} {
		got = pxe.Client{}
		response := ask(t, h, http.MethodGet, pxe.Path+"?mac="+mac+
			"&uuid=11111111-2222-3333-4444-55555555555A&arch=x86_64&platform=efi&manufacturer=Dell%20Inc.&product=R720&serial=%00AB%0a1&asset=x")
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, "#!ipxe\nexit 1\n", body(t, response))
		want := pxe.Client{
			MAC: testMAC, UUID: "11111111-2222-3333-4444-55555555555a", Arch: pxe.ArchX8664, Firmware: pxe.FirmwareEFI,
			Address: netip.MustParseAddr("10.77.0.50"), Manufacturer: "Dell Inc.", Product: "R720", Serial: "AB1", Asset: "x",
		}
		require.Empty(t, cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})))
	}
	for _, claim := range []string{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "nonsense", "11111111x2222-3333-4444-555555555555", ""} {
		ask(t, h, http.MethodGet, pxe.Path+"?mac=525400770001&uuid="+claim+"&serial="+strings.Repeat("s", 5000)+"&asset=100%")
		require.Empty(t, got.UUID)
		require.Len(t, got.Serial, 128)
	}
}

func TestHandlerRefuses(t *testing.T) {
	h := pxe.Handler(fixed(nil, errors.New("must not be asked")), nil)
	for _, query := range []string{"", "?mac=", "?mac=nonsense", "?mac=ff:ff:ff:ff:ff:ff", "?mac=%zz"} {
		response := ask(t, h, http.MethodGet, pxe.Path+query)
		require.Equal(t, http.StatusBadRequest, response.StatusCode, query)
		text := body(t, response)
		require.Equal(t, 1, strings.Count(text, "\n"), "one sentence: %q", text)
		require.Contains(t, text, "MAC address")
	}
	response := ask(t, h, http.MethodPost, pxe.Path+"?mac=525400770001")
	require.Equal(t, http.StatusMethodNotAllowed, response.StatusCode)
}

func TestHandlerDoubtBootsLocally(t *testing.T) {
	for name, booter := range map[string]pxe.Booter{
		"error":      fixed(nil, errors.New("store closed")),
		"no answer":  fixed(nil, nil),
		"bad answer": fixed(&pxe.Decision{Action: pxe.ActionBoot, Kernel: "/k", Args: []string{"a\nb"}}, nil),
		"error with decision": fixed(&pxe.Decision{Action: pxe.ActionBoot, Kernel: "/wipe-everything"},
			errors.New("not sure")),
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			h := pxe.Handler(booter, &pxe.HandlerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			response := ask(t, h, http.MethodGet, pxe.Path+"?mac=525400770001")
			require.Equal(t, http.StatusOK, response.StatusCode)
			require.Equal(t, "#!ipxe\necho crowbar: no decision, booting the local disk\nexit 1\n", body(t, response))
			require.Contains(t, log.String(), "level=ERROR")
			require.Contains(t, log.String(), "52:54:00:77:00:01")
		})
	}
	h := pxe.Handler(fixed(nil, nil), &pxe.HandlerOptions{Doubt: pxe.LocalSanboot})
	require.Contains(t, body(t, ask(t, h, http.MethodGet, pxe.Path+"?mac=525400770001")), "sanboot")
	h = pxe.Handler(fixed(nil, nil), &pxe.HandlerOptions{Doubt: "nonsense"})
	require.Equal(t, "#!ipxe\nexit 1\n", body(t, ask(t, h, http.MethodGet, pxe.Path+"?mac=525400770001")))
	h = pxe.Handler(fixed(nil, nil), &pxe.HandlerOptions{Doubt: pxe.LocalNotFound})
	require.Equal(t, http.StatusNotFound, ask(t, h, http.MethodGet, pxe.Path+"?mac=525400770001").StatusCode)
}

func TestHandlerSlowBooter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := pxe.Handler(pxe.BooterFunc(func(ctx context.Context, _ pxe.Client) (*pxe.Decision, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}), &pxe.HandlerOptions{Timeout: 3 * time.Second})
		start := time.Now()
		response := ask(t, h, http.MethodGet, pxe.Path+"?mac=525400770001")
		require.Contains(t, body(t, response), "exit 1")
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

func TestHandlerNotFound(t *testing.T) {
	for name, d := range map[string]*pxe.Decision{
		"ignore": {Action: pxe.ActionIgnore, Reason: "another server's machine"},
		"local":  {Local: pxe.LocalNotFound, Reason: "another server's machine"},
	} {
		response := ask(t, pxe.Handler(fixed(d, nil), nil), http.MethodGet, pxe.Path+"?mac=525400770001")
		require.Equal(t, http.StatusNotFound, response.StatusCode, name)
		require.Equal(t, "Nothing to boot: another server's machine.\n", body(t, response))
	}
}

func TestChainURL(t *testing.T) {
	const base = "http://10.77.0.1:8080"
	require.Equal(t, pxe.ChainURL(base), pxe.ChainURL(base+"/"))
	// As iPXE fills it in.
	filled := strings.NewReplacer("${net0/mac}", "52%3A54%3A00%3A77%3A00%3A0a", "${platform}", "pcbios", "${buildarch}", "i386").
		Replace(pxe.ChainURL(base))
	u, err := url.Parse(filled)
	require.NoError(t, err)
	h := pxe.Handler(pxe.BooterFunc(func(_ context.Context, c pxe.Client) (*pxe.Decision, error) {
		require.Equal(t, testMAC, c.MAC)
		require.Equal(t, pxe.FirmwareBIOS, c.Firmware)
		require.Equal(t, pxe.ArchI386, c.Arch)
		return &pxe.Decision{}, nil
	}), nil)
	require.Equal(t, http.StatusOK, ask(t, h, http.MethodGet, u.RequestURI()).StatusCode)
}
