package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
)

// A Report is what a node says of itself.
type Report struct {
	// Sequence grows by one with each report of a boot; a report that is not newer than the
	// last one changes nothing.
	Sequence int `json:"sequence"`
	// State is the state that the node asks to go to; empty if it only tells.
	State string `json:"state,omitempty"`
	// Reason says why, such as what failed on the way to problem.
	Reason string `json:"reason,omitempty"`
	// Facts replace the node's facts; nil leaves them.
	Facts *barclamp.Facts `json:"facts,omitempty"`
}

// Orders say where a node stands, from which its agent knows what to do.
type Orders struct {
	Node  string `json:"node"`
	State string `json:"state"`
	Phase string `json:"phase"` // settled: act; entering: the engine is at work; failed
	Visit int64  `json:"visit"` // for the next AwaitOrders
}

// Boot asks what the machine with this MAC address boots, as its firmware does, and returns
// the iPXE script. params are the other parameters of pxe.ChainURL (uuid, arch, platform, …),
// nil for none. ErrNotFound: there is nothing to boot for it.
func (c *Client) Boot(ctx context.Context, mac string, params url.Values) (script string, err error) {
	query := url.Values{}
	for name, values := range params {
		query[name] = values
	}
	query.Set("mac", mac)
	response, err := c.do(ctx, request{
		method: http.MethodGet, path: []string{"boot", "ipxe"}, query: query,
		header: http.Header{"Accept": {"text/plain"}},
	})
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return "", c.unreachable(ctx, err)
	}
	said := strings.TrimSpace(string(raw))
	switch response.StatusCode { // firmware cannot read JSON, so the words are plain
	case http.StatusOK:
		return string(raw), nil
	case http.StatusNotFound:
		return "", &Error{Status: response.StatusCode, Code: CodeNotFound, Message: "boot of " + mac + ": " + said}
	case http.StatusBadRequest:
		return "", &Error{Status: response.StatusCode, Code: CodeInvalid, Message: "boot of " + mac + ": " + said}
	}
	return "", c.stranger(response, nil)
}

// Report tells the server of a node, with the token of its boot. A node that is not known yet
// is created by it. ErrUnauthorized if the token is of an earlier boot, ErrRefused if the
// node may not go to the state it asks for; the facts are kept even so.
func (c *Client) Report(ctx context.Context, node string, r Report) (*Orders, error) {
	return one[Orders](ctx, c, post("nodes", node, "report"), r)
}

// AwaitOrders returns the node's orders once it rests in a later visit than the given one, or
// those of the moment when the wait is over. The server waits at most a minute.
func (c *Client) AwaitOrders(ctx context.Context, node string, visit int64, wait time.Duration) (*Orders, error) {
	r := get("nodes", node, "orders")
	r.query = url.Values{
		"visit":        {strconv.FormatInt(visit, 10)},
		"wait_seconds": {strconv.FormatFloat(wait.Seconds(), 'f', -1, 64)},
	}
	return one[Orders](ctx, c, r, nil)
}

// Authorize asks, as the node, to destroy data, and spends the grant for it. Any error means:
// do not. ErrRefused if it was not granted, or spent already; ErrConflict if the machine is
// not as it was when the grant was given.
func (c *Client) Authorize(ctx context.Context, node string, d barclamp.Destruction) error {
	return c.call(ctx, post("nodes", node, "authorize"), d, nil)
}
