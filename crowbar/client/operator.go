package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

func get(elements ...string) request {
	return request{method: http.MethodGet, path: at(elements...)}
}

func post(elements ...string) request {
	return request{method: http.MethodPost, path: at(elements...)}
}

// Status returns the server at a glance.
func (c *Client) Status(ctx context.Context) (*Status, error) {
	return one[Status](ctx, c, get("status"), nil)
}

// Nodes lists all nodes by name, without their facts.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	return many[Node](ctx, c, get("nodes"))
}

// Node returns a node by its name or alias.
func (c *Client) Node(ctx context.Context, name string) (*Node, error) {
	return one[Node](ctx, c, get("nodes", name), nil)
}

// Why explains why a node is where it is.
func (c *Client) Why(ctx context.Context, name string) (*Explanation, error) {
	return one[Explanation](ctx, c, get("nodes", name, "why"), nil)
}

// Plan returns what allocating a node now would do to it. Nothing is changed.
func (c *Client) Plan(ctx context.Context, name string) (*Plan, error) {
	return one[Plan](ctx, c, get("nodes", name, "plan"), nil)
}

// Allocate takes a node out of its pause. ErrRefused if that destroys data and the options
// permit none of it; ErrConflict if the plan is no longer the one of the hash.
func (c *Client) Allocate(ctx context.Context, name string, opts AllocateOptions) (*Node, error) {
	return one[Node](ctx, c, post("nodes", name, "allocate"), opts)
}

// Transition asks for a node to go into a state, as the operator. ErrRefused if the lifecycle
// has no such way, ErrInvalid if it has no such state.
func (c *Client) Transition(ctx context.Context, name, state string) (*Node, error) {
	return one[Node](ctx, c, post("nodes", name, "transition"), map[string]string{"state": state})
}

// Barclamps lists the registered barclamps in run order.
func (c *Client) Barclamps(ctx context.Context) ([]Barclamp, error) {
	return many[Barclamp](ctx, c, get("barclamps"))
}

// Barclamp returns one barclamp with its template and schema.
func (c *Client) Barclamp(ctx context.Context, name string) (*Barclamp, error) {
	return one[Barclamp](ctx, c, get("barclamps", name), nil)
}

// Jobs lists all jobs, oldest first, without their steps.
func (c *Client) Jobs(ctx context.Context) ([]Job, error) {
	return many[Job](ctx, c, get("jobs"))
}

// Job returns a job with its steps.
func (c *Client) Job(ctx context.Context, id string) (*Job, error) {
	return one[Job](ctx, c, get("jobs", id), nil)
}

// Events returns the events after a sequence number, oldest first, at most limit (0: as many
// as the server sends at once, 1000). The next page is after the last one's number.
func (c *Client) Events(ctx context.Context, after int64, limit int) ([]Event, error) {
	r := get("events")
	r.query = url.Values{"after": {strconv.FormatInt(after, 10)}}
	if limit > 0 {
		r.query.Set("limit", strconv.Itoa(limit))
	}
	return many[Event](ctx, c, r)
}

// EnginePause keeps new work from starting until EngineResume; what runs goes on to its end.
func (c *Client) EnginePause(ctx context.Context, reason string) (*Status, error) {
	return one[Status](ctx, c, post("engine", "pause"), map[string]string{"reason": reason})
}

// EngineResume ends an EnginePause.
func (c *Client) EngineResume(ctx context.Context) (*Status, error) {
	return one[Status](ctx, c, post("engine", "resume"), json.RawMessage(`{}`))
}
