package redfishsim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"syscall"
)

// Transport reaches handlers in process: lookup is given the URL's host (with port, if any)
// and returns its BMC, or nil for a host that refuses connections. It serves thousands of
// BMCs without a socket, and works inside testing/synctest. A reply that a BMC loses on
// purpose is io.ErrUnexpectedEOF.
func Transport(lookup func(host string) http.Handler) http.RoundTripper { return transport(lookup) }

type transport func(host string) http.Handler

// RoundTrip serves the request on the calling goroutine.
func (t transport) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	h := t(r.URL.Host)
	if h == nil {
		return nil, fmt.Errorf("connect to %s: %w", r.URL.Host, syscall.ECONNREFUSED)
	}
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	defer in.Body.Close()
	w := &recorder{header: http.Header{}}
	defer func() {
		if p := recover(); p != nil {
			if p != http.ErrAbortHandler {
				panic(p)
			}
			resp, err = nil, io.ErrUnexpectedEOF
		}
	}()
	h.ServeHTTP(w, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)), StatusCode: w.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *recorder) Write(p []byte) (int, error) { w.WriteHeader(http.StatusOK); return w.body.Write(p) }

var (
	_ http.Handler        = (*BMC)(nil)
	_ http.RoundTripper   = transport(nil)
	_ http.ResponseWriter = (*recorder)(nil)
)
