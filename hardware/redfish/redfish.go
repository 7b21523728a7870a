// Package redfish observes and configures servers through their BMC's Redfish service
// (DMTF DSP0266), over gofish. It is a hardware.Configurator for any conforming BMC, and
// lax with those that are not: missing links and badly typed members are listed in
// Snapshot.Unreadable instead of failing the whole.
//
//	c, err := redfish.New(redfish.Config{})
//	seen, err := c.Observe(ctx, hardware.Target{Node: "node1", URL: "https://192.0.2.10", Credentials: creds})
//	plan, err := hardware.NewPlan(profile, seen)
//	result, err := c.Apply(ctx, target, plan, &hardware.ApplyOptions{Authorize: ask})
//
// gofish carries the connection, the login and the errors. Resources are read with own,
// lenient decoding: one number given as a string must not hide a whole collection.
//
// # What Apply does
//
// It waits for a POST in progress, observes, and plans again; what the plan does not have
// makes it stale. Volumes are deleted and created one at a time, each verified by reading
// the controller's volumes. BIOS settings are written together and taken over by one reset,
// which counts as done when a power transition was seen, nothing pends, and the values read
// back. A machine that is off is turned on for that and stays on.
//
// A change whose answer is lost is looked for on the machine and never sent a second time:
// if it does not show, the error is hardware.ErrUnknownOutcome.
//
// # Errors
//
// As listed in package hardware. They carry node, request and the BMC's message, never
// credentials.
//
// # Concurrency
//
// A Configurator serves any number of BMCs at once. Apply and Power of one BMC run one
// after the other. Each call logs in and out; the logout is sent even when ctx has ended.
package redfish

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/internal/clock"
)

// Clock paces polling and its deadlines.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Config of a Configurator; the zero value is useful.
type Config struct {
	// Transport carries the requests. Nil is an own http.Transport that verifies
	// certificates with TLS and uses no proxy, whatever the environment says.
	Transport http.RoundTripper
	// TLS is for the own transport: a CA for the BMCs, or pinned certificates.
	TLS    *tls.Config
	Clock  Clock        // nil is real time
	Logger *slog.Logger // nil is silent

	// RequestTimeout bounds each request, in real time. Default 60 s: BMCs are slow.
	RequestTimeout time.Duration

	// The following are on Clock.

	PollInterval time.Duration // between looks at a change in progress, default 5 s
	// BootTimeout bounds a reset until POST has finished and settings are in force, and the
	// wait for a POST or job that was in progress before. Default 20 min.
	BootTimeout time.Duration
	// VolumeTimeout bounds the creation or deletion of a volume. Default 45 min: cleaning
	// with 30 has failed in the field.
	VolumeTimeout time.Duration
	// OutageTimeout is how long a BMC may be silent while it is polled. Default 5 min.
	OutageTimeout time.Duration
	// SettleTimeout is how long to look for the effect of a request whose answer was lost.
	// Default 1 min.
	SettleTimeout time.Duration
	// ShutdownTimeout is how long an operating system may take before power is cut.
	// Default 3 min.
	ShutdownTimeout time.Duration
}

// Configurator configures servers through Redfish.
type Configurator struct {
	config    Config
	transport http.RoundTripper
	clock     Clock
	log       *slog.Logger

	mu    sync.Mutex
	locks map[string]*lock // of BMCs that are being changed
}

// New checks the configuration. Negative durations are refused.
func New(config Config) (*Configurator, error) {
	for name, d := range map[string]struct {
		value   *time.Duration
		initial time.Duration
	}{
		"RequestTimeout": {&config.RequestTimeout, time.Minute}, "PollInterval": {&config.PollInterval, 5 * time.Second},
		"BootTimeout": {&config.BootTimeout, 20 * time.Minute}, "VolumeTimeout": {&config.VolumeTimeout, 45 * time.Minute},
		"OutageTimeout": {&config.OutageTimeout, 5 * time.Minute}, "SettleTimeout": {&config.SettleTimeout, time.Minute},
		"ShutdownTimeout": {&config.ShutdownTimeout, 3 * time.Minute},
	} {
		if *d.value < 0 {
			return nil, fmt.Errorf("redfish: %s %v is negative", name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.initial
		}
	}
	c := &Configurator{config: config, transport: config.Transport, clock: config.Clock, log: config.Logger, locks: map[string]*lock{}}
	if c.transport == nil {
		c.transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
			TLSClientConfig:     config.TLS.Clone(),
			TLSHandshakeTimeout: 30 * time.Second,
			MaxIdleConnsPerHost: 1,
			IdleConnTimeout:     30 * time.Second,
		}
	}
	if c.clock == nil {
		c.clock = clock.System()
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// CloseIdleConnections closes the connections that the transport keeps for later.
func (c *Configurator) CloseIdleConnections() {
	(&http.Client{Transport: c.transport}).CloseIdleConnections()
}

// lock serialises changes of one BMC; waiters come and go with their contexts.
type lock struct {
	held    chan struct{} // has room for the one holder
	waiters int
}

func (c *Configurator) lock(ctx context.Context, key string) (unlock func(), err error) {
	c.mu.Lock()
	l := c.locks[key]
	if l == nil {
		l = &lock{held: make(chan struct{}, 1)}
		c.locks[key] = l
	}
	l.waiters++
	c.mu.Unlock()
	leave := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if l.waiters--; l.waiters == 0 {
			delete(c.locks, key)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}

// endpoint splits a target's URL into the service and, if it has a path, the system.
func endpoint(t hardware.Target) (service, system string, err error) {
	u, err := url.Parse(t.URL)
	switch {
	case err != nil:
		// The parse error quotes the URL, which may hold a password.
		return "", "", fmt.Errorf("redfish: %s: %w: the BMC's URL cannot be parsed", t.Node, hardware.ErrInvalid)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", "", fmt.Errorf("redfish: %s: %w: the BMC's URL is not http:// or https:// and a host", t.Node, hardware.ErrInvalid)
	case u.User != nil:
		return "", "", fmt.Errorf("redfish: %s: %w: credentials do not belong in the BMC's URL", t.Node, hardware.ErrInvalid)
	}
	path := strings.TrimSuffix(u.Path, "/")
	if path == "/redfish/v1" || path == "/redfish" {
		path = ""
	}
	return u.Scheme + "://" + u.Host, path, nil
}

// poll calls look every PollInterval until it is done, fails, or limit has passed, which is
// reported as timeout. Errors that may pass are given time: a BMC that is busy or restarting
// answers with them for minutes.
func (c *Configurator) poll(ctx context.Context, limit time.Duration, timeout error, look func() (done bool, err error)) error {
	start := c.clock.Now()
	silent := time.Time{}
	for {
		done, err := look()
		now := c.clock.Now()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !passing(err):
			return err
		case err != nil && silent.IsZero():
			silent = now
		case err != nil && now.Sub(silent) >= c.config.OutageTimeout:
			return err
		case err == nil:
			silent = time.Time{}
		}
		if done {
			return nil
		}
		if now.Sub(start) >= limit {
			if err != nil {
				return fmt.Errorf("%w (%w)", timeout, err)
			}
			return timeout
		}
		select {
		case <-c.clock.After(c.config.PollInterval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var _ hardware.Configurator = (*Configurator)(nil)
