// Package redfish observes and configures servers through their BMC's Redfish service
// (DMTF DSP0266), over gofish. It is a hardware.Configurator for any conforming BMC, lax with
// those that are not (missing links and badly typed members are listed in Snapshot.Unreadable
// instead of failing the whole), and told by a [Vendor] what else is special about one.
//
//	c, err := redfish.New(redfish.Config{})
//	defer c.Close(ctx)
//	seen, err := c.Observe(ctx, hardware.Target{Node: "node1", URL: "https://192.0.2.10", Credentials: creds})
//	plan, err := hardware.NewPlan(profile, seen)
//	result, err := c.Apply(ctx, target, plan, &hardware.ApplyOptions{Authorize: ask})
//
// gofish carries the requests and the errors. Resources are read with own, lenient decoding:
// one number given as a string must not hide a whole collection. Links are followed as the service
// gives them; only where a collection cannot be read is a usual member tried.
//
// # What Apply does
//
// It waits for a POST or job in progress, observes what the plan is about, and plans again; what
// the plan does not have makes it stale. Volumes are deleted and created one at a time, each
// followed to the end of its task and verified by reading the controller's volumes. Boot and BIOS
// settings are written together and taken over by one reset, which counts as done when a power
// transition was seen, no job is left, nothing pends, and the values read back. The operating
// system is asked to restart first, unless Config.ResetAtOnce. A machine that is off is turned on
// for that and stays on.
//
// A change whose answer is lost is looked for on the machine: if it does not show, the error is
// hardware.ErrUnknownOutcome. Settings may be sent a second time, a reset or a volume never.
//
// # Sessions and certificates
//
// Each call logs in and out, or with Config.KeepSession the next call goes on with the session
// and, when it is about settings only, with what was seen; a change of those by somebody else is
// then noticed by its ETag. The logout is sent even when ctx has ended. Certificates are verified
// against the system's CAs, Config.TLS, or, with Config.Pins, pinned when first seen.
//
// # Errors
//
// As listed in package hardware, and [CertificateError]. They carry node, request and the BMC's
// message, never credentials.
//
// # Concurrency
//
// A Configurator serves any number of BMCs at once. Apply and Power of one BMC run one
// after the other, and at most Config.RequestsPerBMC requests to one are in flight.
package redfish

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
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
	// Transport carries the requests; TLS and Pins are its own business then. Nil is an own
	// http.Transport that verifies certificates and uses no proxy, whatever the environment says.
	Transport http.RoundTripper
	// TLS is for the own transport, such as a CA for the BMCs.
	TLS *tls.Config
	// Pins, if not nil, remembers the certificate of each BMC from the first connection on, and
	// refuses another one, in place of verifying it against CAs: most BMCs sign their own.
	Pins   Pins
	Clock  Clock        // nil is real time
	Logger *slog.Logger // nil is silent
	// Vendors are asked before the built-in ones whether a BMC is theirs.
	Vendors []Vendor
	// FirmwareInventory makes Observe list the firmware of all components. Where the service
	// does not expand collections that is a request for each; without it there are the versions
	// of BIOS, BMC and storage controllers.
	FirmwareInventory bool
	// ResetAtOnce makes Apply reset machines without asking their operating system first, for
	// machines that have nothing to lose, as during an installation.
	ResetAtOnce bool
	// RequestsPerBMC bounds the requests in flight to one BMC; many at once have crashed BMCs.
	// Default 2.
	RequestsPerBMC int
	// KeepSession is how long a session is kept for the next call, on Clock; 0 logs out at the
	// end of each. Close ends what is kept.
	KeepSession time.Duration
	// RequestTimeout bounds each request, in real time. Default 60 s: BMCs are slow.
	RequestTimeout time.Duration

	// The following are on Clock.

	// PollInterval is between looks at a change in progress. It grows to four times as much when
	// that takes long. Default 5 s.
	PollInterval time.Duration
	// BusyTimeout is how long a read is repeated while the BMC says that it is busy (503, 429).
	// Default 1 min.
	BusyTimeout time.Duration
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
	config     Config
	transport  http.RoundTripper
	clock      Clock
	log        *slog.Logger
	registries registries

	mu     sync.Mutex
	bmcs   map[string]*bmc // by service URL
	closed chan struct{}
	kept   sync.WaitGroup // goroutines that wait to end a kept session
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
		"ShutdownTimeout": {&config.ShutdownTimeout, 3 * time.Minute}, "BusyTimeout": {&config.BusyTimeout, time.Minute},
		"KeepSession": {&config.KeepSession, 0},
	} {
		if *d.value < 0 {
			return nil, fmt.Errorf("redfish: %w: %s %v is negative", hardware.ErrInvalid, name, *d.value)
		}
		if *d.value == 0 {
			*d.value = d.initial
		}
	}
	if config.RequestsPerBMC < 0 {
		return nil, fmt.Errorf("redfish: %w: RequestsPerBMC %d is negative", hardware.ErrInvalid, config.RequestsPerBMC)
	}
	if config.RequestsPerBMC == 0 {
		config.RequestsPerBMC = 2
	}
	c := &Configurator{config: config, transport: config.Transport, clock: config.Clock, log: config.Logger,
		bmcs: map[string]*bmc{}, closed: make(chan struct{})}
	if c.clock == nil {
		c.clock = clock.System()
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.transport == nil {
		c.transport = newTransport(config.TLS, config.Pins, config.KeepSession+5*time.Second, c.log)
	}
	return c, nil
}

// Close ends the sessions that KeepSession keeps, and idle connections. Calls that still run
// log out at their end; so do later ones.
func (c *Configurator) Close(ctx context.Context) error {
	c.mu.Lock()
	select {
	case <-c.closed:
	default:
		close(c.closed)
	}
	c.mu.Unlock()
	done := make(chan struct{})
	go func() { c.kept.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return fmt.Errorf("redfish: sessions are still being ended: %w", ctx.Err())
	}
	c.CloseIdleConnections()
	return nil
}

// CloseIdleConnections closes the connections that the transport keeps for later.
func (c *Configurator) CloseIdleConnections() {
	(&http.Client{Transport: c.transport}).CloseIdleConnections()
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
	case u.RawQuery != "" || u.Fragment != "":
		return "", "", fmt.Errorf("redfish: %s: %w: the BMC's URL has a query or fragment", t.Node, hardware.ErrInvalid)
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if path == "/redfish/v1" || path == "/redfish" {
		path = ""
	}
	// One spelling for one BMC: changes of it are kept apart by that.
	host := strings.ToLower(u.Host)
	if port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]; strings.HasSuffix(host, port) {
		host = strings.TrimSuffix(host, port)
	}
	return (&url.URL{Scheme: u.Scheme, Host: host}).String(), path, nil
}

// poll calls look until it is done, fails, or limit has passed, which is reported as timeout.
// Errors that may pass are given time: a BMC that is busy or restarting answers with them for
// minutes.
func (c *Configurator) poll(ctx context.Context, limit time.Duration, timeout error, look func() (done bool, err error)) error {
	start, interval := c.clock.Now(), c.config.PollInterval
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
		case <-c.clock.After(interval):
		case <-ctx.Done():
			return ctx.Err()
		}
		if now.Sub(start) > 4*c.config.PollInterval {
			interval = min(interval+interval/2, 4*c.config.PollInterval)
		}
	}
}

// errChanged is a resource that somebody else changed since it was read.
var errChanged = errors.New("it was changed in the meantime")

var _ hardware.Configurator = (*Configurator)(nil)
