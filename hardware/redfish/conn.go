package redfish

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/stmcginnis/gofish"
	"github.com/stmcginnis/gofish/schemas"
	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// maxBody bounds a reply. The largest real ones are attribute registries of a few megabytes.
const maxBody = 32 << 20

// conn is one login to one BMC, used by one goroutine.
type conn struct {
	c       *Configurator
	target  hardware.Target
	system  string // path of the system if the target names one
	client  *gofish.APIClient
	wire    *wire
	root    gjson.Result
	session string // URI to delete at the end; empty with Basic
	expand  bool
}

// wire is the http.RoundTripper under gofish. It holds the credentials, so that they are in
// no gofish structure or dump, bounds each request, and counts.
type wire struct {
	base           http.RoundTripper
	timeout        time.Duration
	user, password string
	token          string
	basic          bool
	requests       atomic.Int64
	keep           *bytes.Buffer // gets a copy of the next reply
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), w.timeout)
	r = r.Clone(ctx)
	r.Header.Set("User-Agent", strings.TrimSpace("crowbarkit "+r.UserAgent())) // before gofish's own
	r.Header.Set("OData-Version", "4.0")
	switch {
	case w.token != "":
		r.Header.Set("X-Auth-Token", w.token)
	case w.basic:
		r.SetBasicAuth(w.user, w.password)
	}
	w.requests.Add(1)
	resp, err := w.base.RoundTrip(r)
	if err != nil {
		cancel()
		return nil, err
	}
	body := io.Reader(io.LimitReader(resp.Body, maxBody))
	if w.keep != nil {
		body = io.TeeReader(body, w.keep)
		w.keep = nil
	}
	resp.Body = &boundedBody{Reader: body, closer: resp.Body, cancel: cancel}
	return resp, nil
}

type boundedBody struct {
	io.Reader
	closer io.Closer
	cancel context.CancelFunc
}

func (b *boundedBody) Close() error {
	defer b.cancel()
	return b.closer.Close()
}

// connect reads the service root and logs in: by a session, else with Basic credentials.
func (c *Configurator) connect(ctx context.Context, t hardware.Target) (*conn, error) {
	service, system, err := endpoint(t)
	if err != nil {
		return nil, err
	}
	n := &conn{c: c, target: t, system: system, wire: &wire{base: c.transport, timeout: c.config.RequestTimeout}}
	var root bytes.Buffer
	n.wire.keep = &root
	client := &http.Client{Transport: n.wire, CheckRedirect: sameHost}
	n.client, err = gofish.ConnectContext(ctx, gofish.ClientConfig{
		Endpoint: service, HTTPClient: client, NoModifyTransport: true, ReuseConnections: true})
	if err != nil {
		return nil, n.fail(ctx, "read the service root", err)
	}
	n.root = gjson.ParseBytes(root.Bytes())
	n.expand = n.client.Service.ProtocolFeaturesSupported.ExpandQuery.NoLinks
	if t.Credentials == nil {
		return n, nil
	}
	if n.wire.user, n.wire.password, err = t.Credentials(ctx); err != nil {
		return nil, fmt.Errorf("redfish: %s: get credentials: %w", t.Node, err)
	}
	if err := n.login(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// sameHost keeps a redirect from taking the token to another machine.
func sameHost(r *http.Request, via []*http.Request) error {
	if r.URL.Host != via[0].URL.Host || len(via) > 5 {
		return http.ErrUseLastResponse
	}
	return nil
}

// login opens a session. The request outlives ctx, up to RequestTimeout: a session whose
// opening nobody waited for could not be closed.
func (n *conn) login(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return n.fail(ctx, "log in", err)
	}
	n.wire.token, n.wire.basic = "", false
	if n.root.Get(`Links.Sessions.\@odata\.id`).Exists() {
		service := n.client.WithContext(context.WithoutCancel(ctx)).Service
		auth, err := service.CreateSession(n.wire.user, n.wire.password)
		switch status := statusOf(err); {
		case err == nil && auth.Token != "":
			n.wire.token, n.session = auth.Token, auth.Session
			return nil
		case status == http.StatusUnauthorized || status == http.StatusForbidden:
			return n.fail(ctx, "log in", err)
		case err != nil && status == 0:
			return n.fail(ctx, "log in", err)
		}
		// No session service, or all sessions taken (iDRAC answers 503, RAC0218).
		n.c.log.Debug("redfish: no session, using basic authentication", "node", n.target.Node, "status", statusOf(err))
	}
	n.wire.basic = true
	return nil
}

// close logs out and returns how many requests the connection took. The logout is sent even
// when ctx has ended, and once more if it fails: BMCs have few sessions to lose.
func (n *conn) close(ctx context.Context) int {
	for range 2 {
		if n.session == "" {
			break
		}
		api := n.client.WithContext(context.WithoutCancel(ctx))
		err := api.Service.DeleteSession(n.session)
		if status := statusOf(err); err == nil || status == http.StatusNotFound || status == http.StatusUnauthorized {
			break
		}
		n.c.log.Warn("redfish: logout failed", "node", n.target.Node, "error", n.scrub(err.Error()))
	}
	return int(n.wire.requests.Load())
}

// doc is a resource with the ETag it was read with.
type doc struct {
	gjson.Result
	etag string
}

// get reads a resource. A service that is busy is asked again after Retry-After.
func (n *conn) get(ctx context.Context, uri string) (doc, error) {
	for try := 1; ; try++ {
		resp, err := n.send(ctx, http.MethodGet, uri, nil, nil)
		if s := statusOf(err); (s == http.StatusServiceUnavailable || s == http.StatusTooManyRequests) && try < 4 {
			select {
			case <-n.c.clock.After(n.c.config.PollInterval):
				continue
			case <-ctx.Done():
				return doc{}, n.fail(ctx, "GET "+uri, ctx.Err())
			}
		}
		if err != nil {
			return doc{}, n.fail(ctx, "GET "+uri, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			return doc{}, n.fail(ctx, "GET "+uri, err)
		}
		if !gjson.ValidBytes(body) {
			return doc{}, &requestError{text: fmt.Sprintf("redfish: %s: GET %s: the reply is not JSON", n.target.Node, uri), kind: hardware.ErrUnsupported}
		}
		d := doc{Result: gjson.ParseBytes(body), etag: resp.Header.Get("ETag")}
		if d.etag == "" {
			d.etag = d.Get(`\@odata\.etag`).String()
		}
		return d, nil
	}
}

// change sends a request that changes something and returns the reply's Location.
func (n *conn) change(ctx context.Context, method, uri string, payload any, header map[string]string) (location string, err error) {
	resp, err := n.send(ctx, method, uri, payload, header)
	if err != nil {
		return "", n.fail(ctx, method+" "+uri, err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.Header.Get("Location"), nil
}

// send makes one request and logs in again if the session was lost, which is safe: 401
// means that nothing was done.
func (n *conn) send(ctx context.Context, method, uri string, payload any, header map[string]string) (*http.Response, error) {
	uri = n.local(uri)
	if uri == "" {
		return nil, errNoLink
	}
	again := n.session != ""
	for {
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
		if statusOf(err) != http.StatusUnauthorized || !again {
			return resp, err
		}
		again = false
		if err := n.login(ctx); err != nil {
			return nil, err
		}
	}
}

var errNoLink = errors.New("the service has no link to it")

// local makes a path of a link; some BMCs give whole URLs.
func (n *conn) local(uri string) string {
	if u, err := url.Parse(uri); err == nil && u.Host != "" {
		return u.RequestURI()
	}
	return uri
}

// requestError is a failed request with credentials removed. Its kind is one of the
// hardware errors.
type requestError struct {
	text   string
	kind   error
	status int   // 0 without an answer
	unsent bool  // it certainly never reached the BMC
	cause  error // context.Canceled or DeadlineExceeded of the caller, else nil
}

func (e *requestError) Error() string { return e.text }

func (e *requestError) Unwrap() []error {
	if e.cause != nil {
		return []error{e.kind, e.cause}
	}
	return []error{e.kind}
}

// fail says what a request's error means.
func (n *conn) fail(ctx context.Context, doing string, err error) error {
	var known *requestError
	if errors.As(err, &known) {
		return known
	}
	e := &requestError{kind: hardware.ErrUnreachable, status: statusOf(err), cause: ctx.Err()}
	message := err.Error()
	switch {
	case errors.Is(err, errNoLink):
		e.kind, e.unsent = hardware.ErrUnsupported, true
	case e.status == http.StatusUnauthorized || e.status == http.StatusForbidden:
		e.kind = hardware.ErrUnauthorized
	case e.status == http.StatusNotFound || e.status == http.StatusMethodNotAllowed || e.status == http.StatusNotImplemented:
		e.kind = hardware.ErrUnsupported
	case e.status != 0:
		e.kind = hardware.ErrRejected
	default:
		var op *net.OpError
		e.unsent = errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &op) && op.Op == "dial"
	}
	var answered *schemas.Error
	if errors.As(err, &answered) {
		message = answer(answered)
	}
	e.text = fmt.Sprintf("redfish: %s: %s: %v: %s", n.target.Node, doing, e.kind, n.scrub(message))
	return e
}

// answer is what the BMC said, on one line.
func answer(e *schemas.Error) string {
	text := e.Message
	for _, info := range e.ExtendedInfos {
		if info.Message != "" {
			text = info.Message
			break
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return strconv.Itoa(e.HTTPReturnedStatusCode) + " " + text
}

// scrub removes the credentials from a text that may quote a request.
func (n *conn) scrub(text string) string {
	quoted, _ := json.Marshal(n.wire.password)
	quoted = quoted[1 : len(quoted)-1]
	basic := base64.StdEncoding.EncodeToString([]byte(n.wire.user + ":" + n.wire.password))
	for _, secret := range []string{n.wire.password, string(quoted), basic, n.wire.token} {
		if secret != "" && secret != "Og==" { // base64 of ":"
			text = strings.ReplaceAll(text, secret, "[redacted]")
		}
	}
	return text
}

func statusOf(err error) int {
	var e *schemas.Error
	if errors.As(err, &e) {
		return e.HTTPReturnedStatusCode
	}
	var r *requestError
	if errors.As(err, &r) {
		return r.status
	}
	return 0
}

// passing reports whether a failed read may succeed later.
func passing(err error) bool {
	var e *requestError
	return errors.As(err, &e) && e.cause == nil && (e.status == 0 || e.status >= 500 || e.status == http.StatusTooManyRequests ||
		e.status == http.StatusNotFound || e.status == http.StatusConflict)
}

// doubtful reports whether a failed change may have taken effect all the same.
func doubtful(err error) bool {
	var e *requestError
	return errors.As(err, &e) && !e.unsent && (e.status == 0 || e.status >= 500 && e.status != http.StatusNotImplemented)
}
