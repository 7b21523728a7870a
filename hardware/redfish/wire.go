package redfish

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// maxBody bounds a reply. The largest real ones are attribute registries of a few megabytes.
const maxBody = 32 << 20

// wire is the http.RoundTripper under gofish. It holds the credentials, so that they are in
// no gofish structure or dump, bounds each request, keeps to the BMC's share of requests in
// flight, and counts.
type wire struct {
	base           http.RoundTripper
	timeout        time.Duration
	slots          chan struct{} // requests in flight to this BMC, over all connections
	user, password string
	token          string
	basic          bool
	requests       atomic.Int64
	log            *slog.Logger
	// Of the last reply, as gofish drops the headers of errors.
	retryAfter, location string
	root                 *bytes.Buffer // gets the next reply, of which gofish sees little
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), w.timeout)
	select {
	case w.slots <- struct{}{}:
	case <-ctx.Done():
		cancel()
		return nil, &unsentError{fmt.Errorf("other requests to this BMC are in the way: %w", ctx.Err())}
	}
	release := sync.OnceFunc(func() { cancel(); <-w.slots })
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
	began := time.Now() // as the timeout, in real time
	resp, err := w.base.RoundTrip(r)
	took := time.Since(began).Round(time.Millisecond)
	if err != nil {
		w.log.Debug("redfish: request", "host", r.URL.Host, "method", r.Method, "path", r.URL.Path, "error", err, "took", took)
		release()
		return nil, err
	}
	w.log.Debug("redfish: request", "host", r.URL.Host, "method", r.Method, "path", r.URL.Path, "status", resp.StatusCode, "took", took)
	w.retryAfter, w.location = resp.Header.Get("Retry-After"), resp.Header.Get("Location")
	body := io.Reader(io.LimitReader(resp.Body, maxBody))
	if w.root != nil && resp.StatusCode == http.StatusOK {
		if _, err := io.Copy(w.root, body); err != nil {
			resp.Body.Close()
			release()
			return nil, err
		}
		body = bytes.NewReader(slimRoot(w.root.Bytes()))
		resp.ContentLength = -1
		w.root = nil
	}
	resp.Body = &boundedBody{Reader: body, closer: resp.Body, release: release}
	return resp, nil
}

// slimRoot is the service root for gofish, which needs nothing of it and would not forgive a badly
// typed member. What is no JSON is left as it is, for gofish to complain of.
func slimRoot(root []byte) []byte {
	if !json.Valid(root) {
		return root
	}
	return []byte(`{"@odata.id":"/redfish/v1/"}`)
}

type boundedBody struct {
	io.Reader
	closer  io.Closer
	release func()
}

func (b *boundedBody) Close() error {
	defer b.release()
	return b.closer.Close()
}

// unsentError is a request that never left.
type unsentError struct{ cause error }

func (e *unsentError) Error() string { return e.cause.Error() }
func (e *unsentError) Unwrap() error { return e.cause }

// sameHost keeps a redirect from taking the token to another machine, and from making a GET of a
// change.
func sameHost(r *http.Request, via []*http.Request) error {
	if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme || via[0].Method != http.MethodGet || len(via) > 5 {
		return http.ErrUseLastResponse
	}
	return nil
}
