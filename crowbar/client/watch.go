package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Delays between two tries to get a lost stream back, in real time.
const (
	firstDelay = 250 * time.Millisecond
	lastDelay  = 5 * time.Second
)

// WatchEvents calls tell for each event after a sequence number, in order and each once,
// first those of the past, until ctx ends or tell returns an error; it returns that error. A
// connection that is lost later is taken up again after the last event that was told; a
// server that cannot be reached at the start is ErrUnreachable.
func (c *Client) WatchEvents(ctx context.Context, after int64, tell func(Event) error) error {
	return c.follow(ctx, get("events"), strconv.FormatInt(after, 10), func(m message) error {
		var ev Event
		if err := json.Unmarshal(m.data, &ev); err != nil {
			return fmt.Errorf("client: event after %d: %w", after, err)
		}
		if ev.Sequence <= after {
			return nil // sent again
		}
		after = ev.Sequence
		return tell(ev)
	})
}

// WatchJob calls tell with a job as it is and at each of its changes, and returns it when it
// has ended. It returns the error of tell if that is not nil. Changes that follow each other
// fast may be told as one.
func (c *Client) WatchJob(ctx context.Context, id string, tell func(*Job) error) (*Job, error) {
	var last *Job
	err := c.follow(ctx, get("jobs", id), "", func(m message) error {
		var j Job
		if err := json.Unmarshal(m.data, &j); err != nil {
			return fmt.Errorf("client: job %s: %w", id, err)
		}
		last = &j
		if err := tell(&j); err != nil {
			return err
		}
		if !j.Active() {
			return errEnded
		}
		return nil
	})
	if errors.Is(err, errEnded) {
		err = nil
	}
	return last, err
}

// WaitJob returns a job when it has ended.
func (c *Client) WaitJob(ctx context.Context, id string) (*Job, error) {
	return c.WatchJob(ctx, id, func(*Job) error { return nil })
}

// errEnded ends a stream from within.
var errEnded = errors.New("client: nothing more to come")

// told marks an error of the callback, which ends a stream for good.
type told struct{ error }

// follow reads a stream of server-sent events and opens it again where it was lost, until the
// callback returns an error, the server refuses, or ctx ends.
func (c *Client) follow(ctx context.Context, r request, id string, tell func(message) error) error {
	connected, delay := false, firstDelay
	for {
		err := c.stream(ctx, r, id, func(m message) error {
			if m.id != "" {
				id = m.id
			}
			if err := tell(m); err != nil {
				return told{err}
			}
			return nil
		}, func() { connected, delay = true, firstDelay })
		var own told
		switch {
		case errors.As(err, &own):
			return own.error
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !(connected && errors.Is(err, ErrUnreachable)):
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(delay):
		}
		delay = min(2*delay, lastDelay)
	}
}

// stream reads one connection to its end.
func (c *Client) stream(ctx context.Context, r request, id string, tell func(message) error, opened func()) error {
	r.header = http.Header{"Accept": {"text/event-stream"}}
	if id != "" {
		r.header.Set("Last-Event-ID", id)
	}
	response, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if got := response.Header.Get("Content-Type"); got != "text/event-stream" {
		return c.stranger(response, fmt.Errorf("content type %q", got))
	}
	opened()
	err = readMessages(response.Body, tell)
	var own told
	if err == nil || errors.As(err, &own) || errors.Is(err, errMessageSize) {
		return err
	}
	return c.unreachable(ctx, err)
}
