package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

func (a *api) jobs(w http.ResponseWriter, _ *http.Request) error {
	return ok(w, each(a.Engine.Jobs(), a.wireJob))
}

// job answers with the job, or with the stream of its changes until it has ended.
func (a *api) job(w http.ResponseWriter, r *http.Request) error {
	j, err := a.Engine.Job(r.PathValue("job"))
	if err != nil {
		return err
	}
	if !wantsStream(r) {
		return ok(w, a.fullJob(j))
	}
	return a.stream(w, r, func(ctx context.Context, send func(id string, value any) error) error {
		var last client.Job
		tell := func(j *crowbar.Job) error {
			now := a.fullJob(j)
			if reflect.DeepEqual(now, last) {
				return nil
			}
			last = now
			return send("", now)
		}
		for {
			// What a queued job waits for changes without the job.
			look, cancel := context.WithTimeout(ctx, waitingInterval)
			err := a.Engine.WatchJob(look, j.ID, tell)
			cancel()
			if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
		}
	})
}

// waitingInterval is how often the stream of a queued job looks at what the job waits for.
const waitingInterval = 2 * time.Second

// maxEvents is how many events one answer that is no stream has at most.
const maxEvents = 1000

// events answers with the events after a number, or with the stream of them that does not end.
func (a *api) events(w http.ResponseWriter, r *http.Request) error {
	after, err := number(r, "after")
	if err != nil {
		return err
	}
	if !wantsStream(r) {
		limit, err := number(r, "limit")
		if err != nil {
			return err
		}
		if limit == 0 || limit > maxEvents {
			limit = maxEvents
		}
		events, err := a.Engine.Events(r.Context(), after, int(limit))
		if err != nil {
			return err
		}
		return ok(w, each(events, func(ev crowbar.Event) client.Event { return client.Event(ev) }))
	}
	if last := r.Header.Get("Last-Event-ID"); last != "" { // a browser's or ours, that was cut off
		if after, err = strconv.ParseInt(last, 10, 64); err != nil || after < 0 {
			return fmt.Errorf("%w: Last-Event-ID %q: expected the sequence number of an event", errRequest, last)
		}
	}
	return a.stream(w, r, func(ctx context.Context, send func(id string, value any) error) error {
		return a.Engine.WatchEvents(ctx, after, func(ev crowbar.Event) error {
			return send(strconv.FormatInt(ev.Sequence, 10), client.Event(ev))
		})
	})
}

func wantsStream(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

const (
	heartbeat    = 15 * time.Second // keeps proxies and NAT from forgetting a quiet stream
	writeTimeout = 30 * time.Second // for one message; a client that reads none is let go
)

// stream answers with server-sent events (WHATWG HTML §9.2) until produce returns or the
// client goes. It returns no error once the answer has begun.
func (a *api) stream(w http.ResponseWriter, r *http.Request, produce func(ctx context.Context, send func(id string, value any) error) error) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)

	s := &sse{writer: w, control: http.NewResponseController(w)}
	if err := s.write([]byte(":\n\n")); err != nil { // sends the header
		return nil
	}
	var beats sync.WaitGroup
	defer beats.Wait()
	defer cancel()
	beats.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(heartbeat):
				if s.write([]byte(":\n\n")) != nil {
					cancel()
					return
				}
			}
		}
	})
	if err := produce(ctx, s.send); err != nil && ctx.Err() == nil && !errors.Is(err, errClientGone) {
		a.Logger.Error("stream ended", "path", r.URL.Path, "error", err)
	}
	// The connection may serve other requests afterwards.
	_ = s.control.SetWriteDeadline(time.Time{})
	return nil
}

var errClientGone = errors.New("api: the client is gone")

// sse writes messages of a stream, each whole.
type sse struct {
	mu      sync.Mutex
	writer  http.ResponseWriter
	control *http.ResponseController
}

func (s *sse) send(id string, value any) error {
	var m bytes.Buffer
	if id != "" {
		m.WriteString("id: " + id + "\n")
	}
	m.WriteString("data: ")
	encoder := json.NewEncoder(&m) // escapes line ends, and writes one
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("api: message: %w", err)
	}
	m.WriteByte('\n')
	return s.write(m.Bytes())
}

func (s *sse) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// An in-process writer has no deadlines, and its reader's going ends the write.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := s.writer.Write(p); err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	if err := s.control.Flush(); err != nil {
		return fmt.Errorf("%w: %w", errClientGone, err)
	}
	return nil
}
