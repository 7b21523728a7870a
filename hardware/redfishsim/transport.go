package redfishsim

import (
	"fmt"
	"net/http"
	"syscall"

	"github.com/crowbarkit/crowbarkit/internal/inprocess"
)

// Transport reaches handlers in process: lookup is given the URL's host (with port, if any)
// and returns its BMC, or nil for a host that refuses connections. It serves thousands of
// BMCs without a socket, and works inside testing/synctest. A reply that a BMC loses on
// purpose is io.ErrUnexpectedEOF; one that has just been restarted refuses connections.
func Transport(lookup func(host string) http.Handler) http.RoundTripper { return transport(lookup) }

type transport func(host string) http.Handler

// RoundTrip answers with the host's handler.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	h := t(r.URL.Host)
	if gone, ok := h.(interface{ refusesConnections() bool }); h == nil || ok && gone.refusesConnections() {
		return nil, fmt.Errorf("connect to %s: %w", r.URL.Host, syscall.ECONNREFUSED)
	}
	return inprocess.Transport(h).RoundTrip(r)
}

var (
	_ http.Handler      = (*BMC)(nil)
	_ http.RoundTripper = transport(nil)
)
