package redfish

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/stmcginnis/gofish"
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
	expand  expand
	vendor  Vendor
	quirks  Quirks
	view    *view // what was last observed, to go on from within Config.KeepSession
	start   int64 // wire.requests when this call began
}

// connect reads the service root and logs in: by a session, else with Basic credentials.
func (c *Configurator) connect(ctx context.Context, t hardware.Target, b *bmc, service, system string) (*conn, error) {
	n := &conn{c: c, bmc: b, target: t, system: system, vendor: generic{},
		wire: &wire{base: c.transport, timeout: c.config.RequestTimeout, slots: b.slots}}
	var root bytes.Buffer
	n.wire.keep = &root
	var err error
	client := &http.Client{Transport: n.wire, CheckRedirect: sameHost}
	n.client, err = gofish.ConnectContext(ctx, gofish.ClientConfig{
		Endpoint: service, HTTPClient: client, NoModifyTransport: true, ReuseConnections: true})
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

func (n *conn) credentials(ctx context.Context) (user, password string, err error) {
	if n.target.Credentials == nil {
		return "", "", nil
	}
	if user, password, err = n.target.Credentials(ctx); err != nil {
		return "", "", fmt.Errorf("redfish: %s: get credentials: %w", n.target.Node, err)
	}
	return user, password, nil
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

// logout ends the session, also when ctx has ended, and once more if that fails: BMCs have few
// sessions to lose.
func (n *conn) logout(ctx context.Context) {
	for range 2 {
		if n.session == "" {
			return
		}
		api := n.client.WithContext(context.WithoutCancel(ctx))
		err := api.Service.DeleteSession(n.session)
		if status := statusOf(err); err == nil || status == http.StatusNotFound || status == http.StatusUnauthorized {
			n.session = ""
			return
		}
		n.c.log.Warn("redfish: logout failed", "node", n.target.Node, "error", n.scrub(err.Error()))
	}
}

// requests is how many the present call took.
func (n *conn) requests() int { return int(n.wire.requests.Load() - n.start) }

// doc is a resource with the ETag it was read with.
type doc struct {
	gjson.Result
	etag string
}

// get reads a resource. A service that is busy is asked again when it says, for BusyTimeout.
func (n *conn) get(ctx context.Context, uri string) (doc, error) {
	start := n.c.clock.Now()
	for {
		resp, err := n.send(ctx, http.MethodGet, uri, nil, nil)
		if s := statusOf(err); s == http.StatusServiceUnavailable || s == http.StatusTooManyRequests {
			wait := retryAfter(n.wire.retryAfter, n.c.config.PollInterval, n.c.clock.Now())
			if n.c.clock.Now().Add(wait).Sub(start) <= n.c.config.BusyTimeout {
				select {
				case <-n.c.clock.After(wait):
					continue
				case <-ctx.Done():
					return doc{}, n.fail(ctx, "GET "+uri, ctx.Err())
				}
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

// retryAfter reads a Retry-After (RFC 9110, 10.2.3): seconds or a date.
func retryAfter(header string, unset time.Duration, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(header)); err == nil && seconds >= 0 {
		return max(time.Duration(seconds)*time.Second, time.Second)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), time.Second)
	}
	return unset
}

// reply is what a change was answered.
type reply struct {
	status   int
	location string
	body     gjson.Result
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
	if gjson.ValidBytes(body) {
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
		if n.wire.user, n.wire.password, err = n.credentials(ctx); err != nil {
			return nil, err
		}
		if err := n.login(ctx); err != nil {
			return nil, err
		}
	}
}

// local makes a path of a link; some BMCs give whole URLs.
func local(uri string) string {
	if u, err := url.Parse(uri); err == nil && u.Host != "" {
		return u.RequestURI()
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
// demand it (428, Huawei: redfish.md C4.8), some refuse a fresh one (412), and then it is left
// out for good. A 412 to an ETag that is no longer the resource's is not answered by trying
// again: somebody else changed it, which is errChanged.
func (n *conn) patch(ctx context.Context, uri string, body any, etag string) (reply, error) {
	for try := 1; ; try++ {
		r, err := n.change(ctx, http.MethodPatch, uri, body, n.ifMatch(etag))
		switch status := statusOf(err); {
		case err == nil:
			return r, nil
		case status == http.StatusPreconditionRequired && try <= 2:
			n.bmc.noIfMatch.Store(false)
			fresh, err := n.get(ctx, uri)
			if err != nil {
				return reply{}, err
			}
			if etag = fresh.etag; etag == "" || try == 2 {
				etag = "*"
			}
		case status == http.StatusPreconditionFailed && try <= 2:
			fresh, getErr := n.get(ctx, uri)
			switch {
			case getErr != nil:
				return reply{}, getErr
			case fresh.etag != "" && fresh.etag != etag && etag != "":
				return reply{}, fmt.Errorf("%w: %w", errChanged, err)
			}
			n.bmc.noIfMatch.Store(true) // it is the same, and refused all the same
		case ctx.Err() == nil && doubtful(err) && try <= 2:
			// Setting the same values again does no harm. They may be there already, under a new ETag.
			if fresh, err := n.get(ctx, uri); err == nil {
				etag = fresh.etag
			}
		default:
			return reply{}, err
		}
	}
}

// members reads a collection and what is in it, in one request where the service expands.
// Members that cannot be read are listed as such; complete is false then.
func (n *conn) members(ctx context.Context, v *view, uri string) (out []doc, complete bool) {
	complete = true
	for pages := 0; uri != "" && pages < 100; pages++ {
		list, err := n.getExpanded(ctx, uri, &n.expand.collections, 1)
		if err != nil {
			v.unreadable(uri, err)
			return out, false
		}
		docs, all := n.follow(ctx, v, list.Get("Members").Array())
		out, complete = append(out, docs...), complete && all
		uri = list.Get(`Members\@odata\.nextLink`).String()
	}
	return out, complete
}

// follow reads the resources behind links, except those that came expanded.
func (n *conn) follow(ctx context.Context, v *view, list []gjson.Result) (out []doc, complete bool) {
	complete = true
	for _, m := range list {
		if expanded(m) {
			out = append(out, inline(m))
			continue
		}
		d, err := n.get(ctx, id(m))
		if err != nil {
			v.unreadable(id(m), err)
			complete = false
			continue
		}
		out = append(out, d)
	}
	return out, complete
}

// expanded reports whether a link came with the resource it leads to.
func expanded(m gjson.Result) bool {
	count := 0
	m.ForEach(func(_, _ gjson.Result) bool { count++; return count < 3 })
	return count > 2 || count == 2 && !m.Get(`\@odata\.type`).Exists()
}

// inline is a resource that came expanded in another.
func inline(m gjson.Result) doc { return doc{Result: m, etag: m.Get(`\@odata\.etag`).String()} }

// expand is how a service takes $expand (DSP0266, 7.3.1).
type expand struct {
	collections bool // collections bring their members
	resources   bool // other resources bring what they link to
	levels      int64
}

func readExpand(root gjson.Result) expand {
	query := root.Get("ProtocolFeaturesSupported.ExpandQuery")
	can := query.Get("NoLinks").Bool()
	e := expand{collections: can, resources: can, levels: 1}
	if query.Get("Levels").Bool() {
		e.levels = max(e.levels, query.Get("MaxLevels").Int())
	}
	return e
}

// getExpanded asks for what a resource links to along with it, levels deep at most. A service
// that claims to expand and then fails is not asked again; iLO expands collections only.
func (n *conn) getExpanded(ctx context.Context, uri string, can *bool, levels int64) (doc, error) {
	if *can && !strings.Contains(uri, "?") {
		d, err := n.get(ctx, fmt.Sprintf("%s?$expand=.($levels=%d)", uri, min(levels, n.expand.levels)))
		switch statusOf(err) {
		case http.StatusBadRequest, http.StatusNotAcceptable, http.StatusInternalServerError, http.StatusNotImplemented:
			*can = false
		default:
			return d, err
		}
	}
	return n.get(ctx, uri)
}

// resource reads what a link leads to, unless it came expanded.
func (n *conn) resource(ctx context.Context, link gjson.Result) (doc, error) {
	if expanded(link) {
		return inline(link), nil
	}
	return n.get(ctx, id(link))
}
