package sim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/internal/clock"
)

// Errors of New.
var (
	ErrInvalid   = errors.New("sim: invalid configuration")
	ErrOtherSite = errors.New("sim: the directory holds another site")
)

// Clock paces the machines. The demo's runs faster than the world's.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Config of a Site. Its zero value is eight machines in memory, which reach Crowbar at
// client.DefaultURL.
type Config struct {
	// Nodes is how many machines there are. 0 is as many as Dir holds, else 8. A site that was
	// stored can grow, never shrink.
	Nodes int
	// Seed decides serial numbers, MAC addresses and UUIDs. 0 is the seed of what Dir holds,
	// else 1.
	Seed uint64
	// Dir holds the machines between runs and is made if it is missing; "" keeps them in memory.
	Dir string
	// URL of Crowbar, as machines reach it now. A crowbar.url that a machine was booted with
	// is not used: the server may have come back at another port.
	URL string
	// Transport carries what machines send to Crowbar; nil is an own http.Transport.
	Transport http.RoundTripper
	// WithoutBMC says which machines, counted from 0, have no BMC; nil: all have one. What a
	// stored machine has stays.
	WithoutBMC func(i int) bool
	Durations  Durations
	Clock      Clock        // nil is real time
	Logger     *slog.Logger // nil is silent
}

// Durations are how long things take on the Clock. Zero fields have the defaults: those of
// quick hardware and a small system.
type Durations struct {
	POST      time.Duration // power to boot loader; default 30 s
	Off       time.Duration // power off during a restart; default 5 s
	Shutdown  time.Duration // orderly end of a running system; default 10 s
	Boot      time.Duration // loading a kernel from network or disk; default 5 s
	Discovery time.Duration // taking the inventory; default 10 s
	Install   time.Duration // writing the operating system; default 2 min
	FirstBoot time.Duration // first boot of an installed system, beyond Boot; default 20 s
	Recovery  time.Duration // what an installed system waits before it asks to be readied again; default 30 s
	Role      time.Duration // applying one role to a node; default 3 s
	// Retry is the first pause after a request that failed; it doubles up to eight times as
	// much. Default 5 s.
	Retry time.Duration
}

func (d *Durations) check() error {
	for _, f := range []struct {
		name    string
		value   *time.Duration
		initial time.Duration
	}{
		{"POST", &d.POST, 30 * time.Second}, {"Off", &d.Off, 5 * time.Second}, {"Shutdown", &d.Shutdown, 10 * time.Second},
		{"Boot", &d.Boot, 5 * time.Second}, {"Discovery", &d.Discovery, 10 * time.Second}, {"Install", &d.Install, 2 * time.Minute},
		{"FirstBoot", &d.FirstBoot, 20 * time.Second}, {"Recovery", &d.Recovery, 30 * time.Second},
		{"Role", &d.Role, 3 * time.Second}, {"Retry", &d.Retry, 5 * time.Second},
	} {
		if *f.value < 0 {
			return fmt.Errorf("%w: Durations.%s is %v, expected none or a positive one", ErrInvalid, f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.initial
		}
	}
	return nil
}

// bmcUser is the account of every BMC; passwords differ.
const bmcUser = "root"

// Site is a simulated site.
type Site struct {
	config   Config
	clock    Clock
	log      *slog.Logger
	machines []*Machine
	byHost   map[string]*Machine // of the BMC
	failed   chan error          // holds the first file that could not be written
}

// New makes a site, or opens the one that Config.Dir holds. Nothing moves before Run.
func New(config Config) (*Site, error) {
	if config.Nodes < 0 {
		return nil, fmt.Errorf("%w: %d nodes, expected at least 1", ErrInvalid, config.Nodes)
	}
	if err := config.Durations.check(); err != nil {
		return nil, err
	}
	if config.URL == "" {
		config.URL = client.DefaultURL
	}
	if u, err := url.Parse(config.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: URL %q, expected one like %s", ErrInvalid, config.URL, client.DefaultURL)
	}
	if err := openDir(&config); err != nil {
		return nil, err
	}
	if config.Transport == nil {
		// Every machine holds a connection of its own while it waits for orders.
		config.Transport = &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			IdleConnTimeout:     90 * time.Second,
			MaxIdleConnsPerHost: config.Nodes,
		}
	}
	if config.Clock == nil {
		config.Clock = clock.System()
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Site{config: config, clock: config.Clock, log: config.Logger, byHost: map[string]*Machine{}, failed: make(chan error, 1)}
	for i := range config.Nodes {
		m, err := newMachine(s, i)
		if err != nil {
			return nil, err
		}
		s.machines = append(s.machines, m)
		if m.bmc != nil {
			s.byHost[m.bmcHost] = m
		}
	}
	return s, nil
}

// openDir settles how many machines there are and their seed with what the directory says.
func openDir(config *Config) error {
	stored := siteRecord{Version: formatVersion}
	path := filepath.Join(config.Dir, siteFile)
	if config.Dir != "" {
		if err := os.MkdirAll(config.Dir, 0o700); err != nil {
			return fmt.Errorf("sim: %w", err)
		}
		if _, err := load(path, &stored); err != nil {
			return err
		}
	}
	switch {
	case stored.Version != formatVersion:
		return fmt.Errorf("%w: %s has format %d, this program knows %d; use the program that made it or another directory", ErrOtherSite, config.Dir, stored.Version, formatVersion)
	case stored.Nodes > 0 && config.Seed != 0 && config.Seed != stored.Seed:
		return fmt.Errorf("%w: the machines in %s have seed %d, not %d; leave the seed out or use another directory", ErrOtherSite, config.Dir, stored.Seed, config.Seed)
	case config.Nodes != 0 && config.Nodes < stored.Nodes:
		return fmt.Errorf("%w: there are %d machines in %s, more than %d; leave the number out or use another directory", ErrOtherSite, stored.Nodes, config.Dir, config.Nodes)
	}
	known := stored
	if config.Nodes == 0 {
		config.Nodes = stored.Nodes
	}
	if config.Nodes == 0 {
		config.Nodes = 8
	}
	if stored.Nodes > 0 {
		config.Seed = stored.Seed
	}
	if config.Seed == 0 {
		config.Seed = 1
	}
	stored.Nodes, stored.Seed = config.Nodes, config.Seed
	if config.Dir == "" || stored == known {
		return nil
	}
	return store(path, stored)
}

// Run turns on the machines that have never been on, as if the site got its power, and runs
// all of them until ctx ends. It must be called once. The machines do not notice its end: they
// go on when a site is opened on the same directory.
func (s *Site) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var group sync.WaitGroup
	for _, m := range s.machines {
		group.Go(func() { m.run(ctx) })
	}
	var err error
	select {
	case err = <-s.failed:
		cancel()
	case <-ctx.Done():
		err = ctx.Err()
	}
	group.Wait()
	(&http.Client{Transport: s.config.Transport}).CloseIdleConnections()
	return err
}

// fail ends Run: a machine whose state cannot be kept must not go on.
func (s *Site) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Nodes is how many machines there are.
func (s *Site) Nodes() int { return len(s.machines) }

// Seed is the seed of the machines.
func (s *Site) Seed() uint64 { return s.config.Seed }

// Machines lists the machines; the list must not be modified.
func (s *Site) Machines() []*Machine { return s.machines }

// Machine finds the machine of a node by the node's name, d<MAC with dashes>.<domain>.
func (s *Site) Machine(node string) (*Machine, bool) {
	host, _, _ := strings.Cut(node, ".")
	for _, m := range s.machines {
		if host == "d"+strings.ReplaceAll(m.MAC(), ":", "-") {
			return m, true
		}
	}
	return nil, false
}

// wait lets time pass; an error is that of ctx.
func (s *Site) wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.clock.After(d):
		return ctx.Err()
	}
}

// Credentials returns the account of the BMC at a URL; ErrInvalid if no machine has it.
func (s *Site) Credentials(bmcURL string) (user, password string, err error) {
	u, err := url.Parse(bmcURL)
	if err == nil {
		if m, ok := s.byHost[u.Hostname()]; ok {
			return bmcUser, m.identity.password, nil
		}
	}
	return "", "", fmt.Errorf("%w: no simulated machine has a BMC at %s", ErrInvalid, bmcURL)
}

// Target is how the BMC of a simulated node is reached, for the barclamps that configure
// hardware: at the URL that the node reports, with the machine's own account.
func (s *Site) Target(n barclamp.Node) (hardware.Target, error) {
	if n.Facts.BMC == nil {
		return hardware.Target{}, fmt.Errorf("%w: node %s reports no BMC", ErrInvalid, n.Name)
	}
	user, password, err := s.Credentials(n.Facts.BMC.URL)
	return hardware.Target{Node: n.Name, URL: n.Facts.BMC.URL, Credentials: func(context.Context) (string, string, error) {
		return user, password, nil
	}}, err
}

// lookup is the BMC of a host, with or without port.
func (s *Site) lookup(host string) http.Handler {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if m, ok := s.byHost[host]; ok {
		return m.bmc
	}
	return nil
}

// BMC reaches all BMCs in process, each at the URL that its machine reports.
func (s *Site) BMC() http.RoundTripper { return redfishsim.Transport(s.lookup) }

// ServeBMCs serves all BMCs on one listener until ctx ends, then closes it and returns ctx's
// error. The request's host picks the BMC; [DialBMCs] leads there.
func (s *Site) ServeBMCs(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := s.lookup(r.Host)
			if h == nil {
				http.Error(w, "no simulated BMC is called "+r.Host, http.StatusMisdirectedRequest)
				return
			}
			h.ServeHTTP(w, r)
		}),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("sim: BMCs: %w", err)
	case <-ctx.Done():
	}
	server.Close()
	<-ended
	return ctx.Err()
}

// DialBMCs returns a transport that leads every request to the address of ServeBMCs, whatever
// its host: names of BMCs stay the same when the port does not, and need no name server.
func DialBMCs(address string) *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     30 * time.Second,
	}
}
