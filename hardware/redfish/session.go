package redfish

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// bmc is what a Configurator keeps of one BMC from call to call.
type bmc struct {
	changing  chan struct{} // has room for the one Apply or Power
	slots     chan struct{} // has room for the requests in flight
	noIfMatch atomic.Bool   // it refuses changes that carry an ETag

	mu   sync.Mutex
	idle *conn         // logged in, waiting for the next call
	took chan struct{} // closed when idle is taken
}

func (c *Configurator) bmc(service string) *bmc {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.bmcs[service]
	if b == nil {
		b = &bmc{changing: make(chan struct{}, 1), slots: make(chan struct{}, c.config.RequestsPerBMC)}
		c.bmcs[service] = b
	}
	return b
}

// with runs do on a connection to the target's BMC and returns how many requests that took. A
// call that changes something has the BMC to itself.
func (c *Configurator) with(ctx context.Context, t hardware.Target, change bool, do func(*conn) error) (requests int, err error) {
	service, system, err := endpoint(t)
	if err != nil {
		return 0, err
	}
	b := c.bmc(service)
	if change {
		select {
		case b.changing <- struct{}{}:
			defer func() { <-b.changing }()
		case <-ctx.Done():
			return 0, fmt.Errorf("redfish: %s: wait for another change: %w", t.Node, ctx.Err())
		}
	}
	n, err := b.take(ctx, t, system)
	if n == nil && err == nil {
		n, err = c.connect(ctx, t, b, service, system)
	}
	if err != nil {
		return 0, err
	}
	ended := false
	defer func() {
		if !ended { // a caller's function panicked
			n.logout(ctx)
		}
	}()
	err = do(n)
	ended = true
	if change {
		n.view = nil
	}
	requests = n.requests() // once it is kept, another call may have it
	if err != nil || ctx.Err() != nil || !c.keep(n) {
		n.logout(ctx)
		requests = n.requests()
	}
	if err != nil && err == ctx.Err() {
		err = fmt.Errorf("redfish: %s: %w", t.Node, err)
	}
	return requests, err
}

// take returns the idle connection if it is of the same user and system.
func (b *bmc) take(ctx context.Context, t hardware.Target, system string) (*conn, error) {
	b.mu.Lock()
	n := b.idle
	b.mu.Unlock()
	if n == nil || n.system != system {
		return nil, nil
	}
	user, password, err := (&conn{target: t}).credentials(ctx)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n != b.idle || user != n.wire.user || password != n.wire.password {
		return nil, nil
	}
	b.idle = nil
	close(b.took)
	n.target, n.start = t, n.wire.requests.Load()
	return n, nil
}

// keep holds a connection for the next call and ends its session when none comes in time. False
// means that the caller has to.
func (c *Configurator) keep(n *conn) bool {
	b := n.bmc
	b.mu.Lock()
	defer b.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.closed:
		return false
	default:
	}
	if c.config.KeepSession == 0 || b.idle != nil {
		return false
	}
	took := make(chan struct{})
	b.idle, b.took = n, took
	c.kept.Add(1)
	go func() {
		defer c.kept.Done()
		select {
		case <-took:
			return
		case <-c.closed:
		case <-c.clock.After(c.config.KeepSession):
		}
		b.mu.Lock()
		mine := b.idle == n
		if mine {
			b.idle = nil
		}
		b.mu.Unlock()
		if mine {
			n.logout(context.Background()) // bounded by RequestTimeout
		}
	}()
	return true
}
