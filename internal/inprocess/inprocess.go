// Package inprocess carries HTTP requests to a handler of the same process, without sockets.
// Answers stream, contexts cancel, and each goroutine it starts has ended by the time the
// answer's body is closed: so thousands of simulated machines can use it, under
// testing/synctest as well.
//
//	c, err := client.New(client.Config{Transport: inprocess.Transport(handler)})
package inprocess

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
)

// Transport returns a RoundTripper whose requests are answered by h. A handler must return
// when its request's context ends: whoever closes the answer waits for it.
//
// Panics of the handler reach the caller as errors of the request or of its body;
// http.ErrAbortHandler as io.ErrUnexpectedEOF, like a connection that was cut.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

type transport struct{ handler http.Handler }

// RoundTrip returns when the handler has sent its header, or with ctx's error.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // a RoundTripper owes it
		}
		return nil, err
	}
	ctx, cancel := context.WithCancel(r.Context())
	body, sent := io.Pipe()
	w := &writer{header: http.Header{}, body: sent, started: make(chan struct{})}
	served := r.Clone(ctx)
	if served.Body == nil {
		served.Body = http.NoBody
	}
	if served.Host == "" {
		served.Host = served.URL.Host
	}
	served.RequestURI = served.URL.RequestURI()
	served.RemoteAddr = "127.0.0.1:0"

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer cancel()
		w.serve(t.handler, served)
		_ = served.Body.Close()
	}()
	answer := &answer{ReadCloser: body, interrupted: func() error { return context.Cause(r.Context()) }, cancel: cancel, ended: ended}
	select {
	case <-w.started:
	case <-ctx.Done(): // of the request, or the handler has started and ended
	}
	if cause := context.Cause(r.Context()); cause != nil { // even if a handler that gave up left an answer
		return nil, errors.Join(cause, answer.Close())
	}
	if w.failed != nil {
		return nil, errors.Join(w.failed, answer.Close())
	}
	return &http.Response{
		Status:        fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		StatusCode:    w.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.sent,
		Body:          answer,
		ContentLength: length(w.sent),
		Request:       r,
	}, nil
}

// length of the body, -1 if the handler did not say.
func length(h http.Header) int64 {
	if n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil && n >= 0 {
		return n
	}
	return -1
}

// An answer is the body as the caller has it.
type answer struct {
	io.ReadCloser
	interrupted func() error // why the request's context ended, if it did
	cancel      context.CancelFunc
	ended       <-chan struct{}
}

// Read waits for the handler's goroutine at the end, which is then about to go.
func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err == nil || errors.Is(err, io.ErrClosedPipe) {
		return n, err
	}
	<-a.ended
	if cut := a.interrupted(); cut != nil { // do not let what was cut off look whole
		err = cut
	}
	return n, err
}

// Close ends the handler's context and waits until it has returned.
func (a *answer) Close() error {
	a.cancel()
	err := a.ReadCloser.Close()
	<-a.ended
	return err
}

// A writer is the http.ResponseWriter that the handler has. Its fields status, sent and
// failed may be read once started is closed.
type writer struct {
	header  http.Header
	body    *io.PipeWriter
	once    sync.Once
	started chan struct{}

	status int
	sent   http.Header
	failed error // the handler panicked before it sent anything
}

var _ http.Flusher = (*writer)(nil)

func (w *writer) serve(h http.Handler, r *http.Request) {
	defer func() {
		var err error
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler: // net/http would cut the connection
			err = io.ErrUnexpectedEOF
		default:
			err = fmt.Errorf("inprocess: handler of %s %s panicked: %v", r.Method, r.URL.Path, p)
		}
		if err != nil {
			w.once.Do(func() { w.failed = err; close(w.started) })
		}
		w.WriteHeader(http.StatusOK)
		_ = w.body.CloseWithError(err) // nil is io.EOF
	}()
	h.ServeHTTP(w, r)
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	if status < 200 { // informational: the answer is still to come
		return
	}
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.started)
	})
}

func (w *writer) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush sends the header; what is written is never held back.
func (w *writer) Flush() { w.WriteHeader(http.StatusOK) }
