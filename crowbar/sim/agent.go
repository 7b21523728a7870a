package sim

import (
	"context"
	"errors"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/statemachine"
)

const (
	// orderWait is how long one request waits for orders, in real time: the connection is
	// real even where the machines are not.
	orderWait = 20 * time.Second
	// strangerPause is what a machine waits whose ticket is refused.
	strangerPause = time.Minute
)

// An agent speaks for a node with the ticket of the machine's last network boot.
type agent struct {
	m      *Machine
	node   string
	client *client.Client
}

// follow does what the node's orders ask for until ctx ends. Nothing is remembered between
// one step and the next but what the record keeps: after an error, and after a restart, the
// agent tells its facts, hears where the node stands, and goes on from there. So no request is
// repeated blindly when its answer was lost.
//
// act returns the orders after what it did; nil lets them be asked for.
func (m *Machine) follow(ctx context.Context, act func(context.Context, *agent, client.Orders) (*client.Orders, error)) {
	m.mu.Lock()
	t := m.record.Ticket
	m.mu.Unlock()
	c, err := client.New(client.Config{BaseURL: m.site.config.URL, Transport: m.site.config.Transport, Token: t.Token, UserAgent: "crowbarkit-sim"})
	if err != nil {
		m.log.Error("agent", "error", err) // New has checked the URL, so it is the token
		return
	}
	a := &agent{m: m, node: t.Node, client: c}
	pause := m.pauses()
	var orders *client.Orders
	for ctx.Err() == nil {
		switch {
		case orders == nil:
			orders, err = a.report(ctx, "", m.facts)
		case orders.Phase == string(statemachine.PhaseEntering):
			orders, err = a.await(ctx, orders.Visit-1)
		default:
			orders, err = act(ctx, a, *orders)
		}
		switch {
		case err == nil:
			pause = m.pauses()
			continue
		case ctx.Err() != nil:
			return
		case errors.Is(err, client.ErrUnauthorized):
			m.log.Warn("the ticket is not good any more", "node", a.node)
			_ = m.site.wait(ctx, strangerPause)
			if m.running(m.hardware.State().Boots).fromNetwork() {
				_ = m.reboot(ctx) // for a new one
			}
		default:
			m.log.Info("agent", "node", a.node, "error", err)
			_ = pause.wait(ctx)
		}
		orders = nil
	}
}

func (r *running) fromNetwork() bool { return r != nil && r.Image != imageDisk }

// report sends one report. Its sequence number is kept before it leaves, so that no two
// reports of a boot have the same.
func (a *agent) report(ctx context.Context, state string, facts *barclamp.Facts) (*client.Orders, error) {
	var sequence int
	a.m.keep(func(r *record) {
		r.Ticket.Sequence++
		sequence = r.Ticket.Sequence
	})
	return a.client.Report(ctx, a.node, client.Report{Sequence: sequence, State: state, Facts: facts})
}

// await waits for orders of a later visit that rests.
func (a *agent) await(ctx context.Context, visit int64) (*client.Orders, error) {
	return a.client.AwaitOrders(ctx, a.node, visit, orderWait)
}

// reboot restarts the machine from within. The error is that of ctx, which has ended.
func (m *Machine) reboot(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(m.hardware.Reset(redfishsim.ResetForceRestart), ctx.Err())
}

// A backoff is the pauses after failures in a row.
type backoff struct {
	site       *Site
	next, most time.Duration
}

func (m *Machine) pauses() *backoff {
	first := m.site.config.Durations.Retry
	return &backoff{site: m.site, next: first, most: 8 * first}
}

func (b *backoff) wait(ctx context.Context) error {
	d := b.next
	b.next = min(2*b.next, b.most)
	return b.site.wait(ctx, d)
}
