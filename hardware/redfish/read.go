package redfish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stmcginnis/gofish/schemas"
	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// doc is a resource with the ETag it was read with.
type doc struct {
	gjson.Result
	etag string
}

// get reads a resource. A service that is busy is asked again when it says, for BusyTimeout.
func (n *conn) get(ctx context.Context, uri string) (doc, error) {
	return n.getIfChanged(ctx, uri, doc{})
}

// getIfChanged reads a resource unless it is still as known, which a BMC answers without sending
// it (304). Not for what is polled: there a BMC that forgets to change an ETag would be waited for
// in vain.
func (n *conn) getIfChanged(ctx context.Context, uri string, known doc) (doc, error) {
	var header map[string]string
	if known.etag != "" {
		header = map[string]string{"If-None-Match": known.etag}
	}
	var resp *http.Response
	err := n.whileBusy(ctx, func() (err error) {
		resp, err = n.send(ctx, http.MethodGet, uri, nil, header)
		return err
	})
	if errors.Is(err, schemas.ErrNotModified) {
		resp.Body.Close()
		return known, nil
	}
	if err != nil {
		return doc{}, n.fail(ctx, "GET "+uri, err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return doc{}, n.fail(ctx, "GET "+uri, err)
	}
	if !json.Valid(body) { // not gjson's, which has no limit to nesting and so overflows the stack
		return doc{}, &requestError{text: fmt.Sprintf("redfish: %s: GET %s: the reply is not JSON", n.target.Node, uri), kind: hardware.ErrUnsupported}
	}
	d := doc{Result: gjson.ParseBytes(body), etag: resp.Header.Get("ETag")}
	if d.etag == "" {
		d.etag = d.Get(`\@odata\.etag`).String()
	}
	return d, nil
}

// whileBusy repeats a read, when the service says, that it answers with being busy.
func (n *conn) whileBusy(ctx context.Context, read func() error) error {
	start := n.c.clock.Now()
	for {
		err := read()
		if s := statusOf(err); s != http.StatusServiceUnavailable && s != http.StatusTooManyRequests {
			return err
		}
		wait := retryAfter(n.wire.retryAfter, n.c.config.PollInterval, n.c.clock.Now())
		if n.c.clock.Now().Add(wait).Sub(start) > n.c.config.BusyTimeout {
			return err
		}
		select {
		case <-n.c.clock.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
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

// gap is a resource that could not be read.
type gap struct {
	path string
	err  error
}

// maxPages bounds a collection; real ones have a page or two.
const maxPages = 100

// collect reads a collection and what is in it, in one request where the service expands, and so
// many levels deep. What could not be read are the gaps: without any the collection is complete.
func (n *conn) collect(ctx context.Context, uri string, levels int64) (out []doc, gaps []gap) {
	seen := map[string]bool{}
	for uri != "" {
		if seen[uri] || len(seen) >= maxPages {
			return out, append(gaps, gap{uri, fmt.Errorf("the pages of this collection go on after %d, or round in a circle", len(seen))})
		}
		list, err := n.getExpanded(ctx, uri, &n.expand.collections, levels)
		if err != nil {
			return out, append(gaps, gap{uri, err})
		}
		docs, missing := n.follow(ctx, list.Get("Members").Array())
		out, gaps = append(out, docs...), append(gaps, missing...)
		if !list.Get("Members").IsArray() && list.Get(`Members\@odata\.count`).Int() > 0 {
			gaps = append(gaps, gap{uri, errors.New("it counts members and lists none")})
		}
		seen[uri] = true
		uri = list.Get(`Members\@odata\.nextLink`).String()
	}
	return out, gaps
}

// members is collect for a view: gaps are listed there.
func (n *conn) members(ctx context.Context, v *view, uri string) (out []doc, complete bool) {
	out, gaps := n.collect(ctx, uri, 1)
	v.gaps(gaps)
	return out, len(gaps) == 0
}

// allMembers is collect where a gap is an error.
func (n *conn) allMembers(ctx context.Context, uri string) ([]doc, error) {
	out, gaps := n.collect(ctx, uri, 1)
	if len(gaps) > 0 {
		return out, gaps[0].err
	}
	return out, nil
}

// follow reads the resources behind links, except those that came expanded.
func (n *conn) follow(ctx context.Context, list []gjson.Result) (out []doc, gaps []gap) {
	for _, m := range list {
		if expanded(m) {
			out = append(out, inline(m))
			continue
		}
		d, err := n.get(ctx, id(m))
		if err != nil {
			gaps = append(gaps, gap{id(m), err})
			continue
		}
		out = append(out, d)
	}
	return out, gaps
}

// expanded reports whether a link came with the resource it leads to, annotations of the link
// aside.
func expanded(m gjson.Result) bool {
	properties := 0
	m.ForEach(func(name, _ gjson.Result) bool {
		if !strings.HasPrefix(name.String(), "@") {
			properties++
		}
		return properties < 2
	})
	return properties > 1 || m.Get("Members").Exists()
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

// resource reads what a link leads to, unless it came expanded or is still as known.
func (n *conn) resource(ctx context.Context, link gjson.Result, known doc) (doc, error) {
	if expanded(link) {
		return inline(link), nil
	}
	return n.getIfChanged(ctx, id(link), known)
}
