package redfish

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"
	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// conn is one login to one BMC, used by one goroutine at a time.
type conn struct {
	c       *Configurator
	bmc     *bmc
	target  hardware.Target
	system  string // path of the system if the target names one
	client  *gofish.APIClient
	wire    *wire
	root    gjson.Result
	session string // URI to delete at the end; empty with Basic
	renewed time.Time
	refused bool // also a new session is refused
	expand  expand
	vendor  Vendor
	quirks  Quirks
	view    *view // what was last observed, to go on from within Config.KeepSession
	start   int64 // wire.requests when this call began
}

// connect reads the service root and logs in: by a session, else with Basic credentials.
func (c *Configurator) connect(ctx context.Context, t hardware.Target, b *bmc, service, system string) (*conn, error) {
	n := &conn{c: c, bmc: b, target: t, system: system, vendor: generic{},
		wire: &wire{base: c.transport, timeout: c.config.RequestTimeout, slots: b.slots, log: c.log}}
	var root bytes.Buffer
	n.wire.root = &root
	client := &http.Client{Transport: n.wire, CheckRedirect: sameHost}
	err := n.whileBusy(ctx, func() (err error) {
		n.client, err = gofish.ConnectContext(ctx, gofish.ClientConfig{
			Endpoint: service, HTTPClient: client, NoModifyTransport: true, ReuseConnections: true})
		return err
	})
	if statusOf(err) == http.StatusNotFound || err != nil && n.wire.root == nil && !json.Valid(root.Bytes()) {
		return nil, n.unsupported(fmt.Sprintf("no Redfish service answers at %s/redfish/v1/ (%s); is this the BMC's address?", service, n.brief(err.Error())))
	}
	if err != nil {
		return nil, n.fail(ctx, "read the service root", err)
	}
	n.root = gjson.ParseBytes(root.Bytes())
	n.expand = readExpand(n.root)
	if t.Credentials == nil {
		return n, nil
	}
	if n.wire.user, n.wire.password, err = n.credentials(ctx); err != nil {
		return nil, err
	}
	if err := n.login(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// requests is how many the present call took.
func (n *conn) requests() int { return int(n.wire.requests.Load() - n.start) }

// reply is what a change was answered.
type reply struct {
	status   int
	location string
	body     gjson.Result
}

// task is where an accepted change can be followed: its monitor, or the task itself where only
// the body names it. Empty: it is done, or cannot be followed.
func (r reply) task() string {
	switch {
	case r.status != http.StatusAccepted:
		return ""
	case r.location != "":
		return r.location
	case r.body.Get("TaskState").Exists() || r.body.Get("JobState").Exists():
		return id(r.body)
	}
	return ""
}

// change sends a request that changes something, once.
func (n *conn) change(ctx context.Context, method, uri string, payload any, header map[string]string) (reply, error) {
	resp, err := n.send(ctx, method, uri, payload, header)
	if err != nil {
		return reply{}, n.fail(ctx, method+" "+uri, err)
	}
	// What the body says is a help at most; that it breaks off does not undo the change.
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	r := reply{status: resp.StatusCode, location: resp.Header.Get("Location")}
	if json.Valid(body) {
		r.body = gjson.ParseBytes(body)
	}
	return r, nil
}

// send makes one request and logs in again if the session was lost, which is safe: 401
// means that nothing was done.
func (n *conn) send(ctx context.Context, method, uri string, payload any, header map[string]string) (*http.Response, error) {
	uri = local(uri)
	if uri == "" {
		return nil, errNoLink
	}
	for redirects := 0; ; {
		api := n.client.WithContext(ctx)
		var resp *http.Response
		var err error
		switch method {
		case http.MethodGet:
			resp, err = api.GetWithHeaders(uri, header)
		case http.MethodPost:
			resp, err = api.PostWithHeaders(uri, payload, header)
		case http.MethodPatch:
			resp, err = api.PatchWithHeaders(uri, payload, header)
		default:
			resp, err = api.DeleteWithHeaders(uri, header)
		}
		if err != nil && resp != nil && !(method == http.MethodGet && errors.Is(err, schemas.ErrNotModified)) {
			resp.Body.Close() // gofish leaves that of a 304 to the caller, whatever was asked
			return nil, &schemas.Error{HTTPReturnedStatusCode: resp.StatusCode, Message: err.Error()}
		}
		switch status := statusOf(err); {
		case redirected(status) && method != http.MethodGet && redirects < 5 && n.wire.location != "":
			// Followed here, since net/http would make a GET of it. Nothing was done yet.
			redirects, uri = redirects+1, local(n.wire.location)
		case status == http.StatusUnauthorized && n.session != "" && !n.refused:
			if err := n.renew(ctx); err != nil {
				return nil, err
			}
		default:
			return resp, err
		}
	}
}

func redirected(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// local makes a path of a link; some BMCs give whole URLs. What is neither must not become part
// of the host that the path is appended to.
func local(uri string) string {
	if u, err := url.Parse(uri); err == nil && u.Host != "" {
		uri = u.RequestURI()
	}
	if uri != "" && uri[0] != '/' {
		uri = "/" + uri
	}
	return uri
}

// ifMatch is the header of a change to a resource that was read with an ETag, as far as this BMC
// wants it.
func (n *conn) ifMatch(etag string) map[string]string {
	if etag == "" || n.bmc.noIfMatch.Load() {
		return nil
	}
	return map[string]string{"If-Match": etag}
}

// patch sends a change that may be repeated. What the BMC thinks of If-Match is learned: some
// demand it (428, Huawei: stmcginnis/gofish#174), some refuse a fresh one (412), and then it is left
// out for good. A 412 to an ETag that is no longer the resource's is not answered by trying
// again: somebody else changed it, which is errChanged.
//
// A lost answer is looked for in the resource itself, by took; without it, or if it does not show,
// the change is sent again, which does no harm.
func (n *conn) patch(ctx context.Context, uri string, body any, etag string, took func(doc) bool) (reply, error) {
	for try := 1; ; try++ {
		match := n.ifMatch(etag)
		r, err := n.change(ctx, http.MethodPatch, uri, body, match)
		status := statusOf(err)
		switch {
		case err == nil:
			return r, nil
		case try > 3:
		case status == http.StatusPreconditionRequired || status == http.StatusPreconditionFailed && match == nil:
			n.bmc.noIfMatch.Store(false)
			fresh, err := n.get(ctx, uri)
			if err != nil {
				return reply{}, err
			}
			if etag = fresh.etag; etag == "" || try == 3 {
				etag = "*"
			}
			continue
		case status == http.StatusPreconditionFailed:
			fresh, getErr := n.get(ctx, uri)
			switch {
			case getErr != nil:
				return reply{}, getErr
			case fresh.etag == "" || fresh.etag == etag:
				n.bmc.noIfMatch.Store(true) // it is the same, and refused all the same
			case opaque(fresh.etag) == opaque(etag):
				etag = fresh.etag // the same, in the spelling of headers
			default:
				return reply{}, fmt.Errorf("%w: %w", errChanged, err)
			}
			continue
		case ctx.Err() == nil && doubtful(err):
			fresh, getErr := n.get(ctx, uri)
			if getErr != nil {
				return reply{}, unknown(n.target.Node, "PATCH "+uri, err)
			}
			if took != nil && took(fresh) {
				return reply{status: http.StatusOK, body: fresh.Result}, nil
			}
			etag = fresh.etag
			continue
		}
		if doubtful(err) {
			err = unknown(n.target.Node, "PATCH "+uri, err)
		}
		return reply{}, err
	}
}

// opaque is what an ETag tells apart: BMCs quote it or not, and call it weak or not, as the place
// has it.
func opaque(etag string) string { return strings.Trim(strings.TrimPrefix(etag, "W/"), `"`) }
