// Package server puts a crowbar-server together: store, barclamps, engine, API, and a
// simulated site if asked for. crowbar-server and crowbar demo are thin covers of it, and an
// installer of your own embeds it the same way, with its own barclamps beside the built-in ones.
//
//	s, err := server.Open(ctx, server.Config{DataDir: dir, Simulation: &server.Simulation{}})
//	fmt.Println(s.URL())
//	err = s.Serve(ctx)
//
// # Errors
//
// Open fails with one sentence that names the remedy, before it has changed anything, when
// the port is taken, the data directory cannot be written or is in use, holds other nodes
// than those asked for (crowbar.ErrSimulated), or secrets that the key does not open
// (crowbar.ErrOtherKey, crowbar.ErrKeyFile, or fs.ErrNotExist where it is gone).
//
// # Concurrency
//
// Serve owns every goroutine and returns when all have ended. The other methods may be called
// at any time.
package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/provisioner"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/api"
	"github.com/crowbarkit/crowbarkit/crowbar/boltstore"
	"github.com/crowbarkit/crowbarkit/crowbar/sim"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

// DefaultListen is where a server listens that is not told otherwise: operators are not
// authenticated, so it is reachable from the same machine only.
const DefaultListen = "127.0.0.1:3000"

// Config of a server. DataDir must be given.
type Config struct {
	DataDir string // made if it is missing
	Listen  string // address and port, default DefaultListen; port 0 takes a free one
	// SecretKeyFile has the key that secrets are sealed with, default secret.key in DataDir. It is
	// made if it is missing, unless the data directory was used with a key before.
	SecretKeyFile string
	// Simulation is the site; nil: real machines.
	Simulation *Simulation
	// Without names built-in barclamps to leave out, Barclamps are those to register beside them.
	Without   []string
	Barclamps []barclamp.Barclamp
	Version   string
	Logger    *slog.Logger // nil is silent
}

// MaxMachines is how many machines a site may simulate.
const MaxMachines = 10_000

// Simulation asks for a simulated site.
type Simulation struct {
	Nodes int    // at most MaxMachines; 0: those that the data directory holds, 8 in a new one
	Seed  uint64 // 0: that of the data directory, 1 in a new one
	// Speed is how many times as fast as the world's the time of nodes and engine runs; 1 or
	// less is the world's.
	Speed float64
	// WithoutBMC lists the machines, counted from 0, that have no BMC.
	WithoutBMC []int
	// BMCs is where the BMCs listen, default a free port of 127.0.0.1.
	BMCs string
}

// Server is an opened server.
type Server struct {
	config   Config
	log      *slog.Logger
	listener net.Listener
	bmcs     net.Listener // nil without simulation
	store    *boltstore.Store
	sealer   *crowbar.AgeSealer
	clock    *siteClock
	engine   *crowbar.Engine
	redfish  *redfish.Configurator
	site     *sim.Site // nil without simulation
	handler  http.Handler
}

// Open listens and opens everything; nothing moves and nobody is answered before Serve. A
// Server that is not served must be closed.
func Open(ctx context.Context, config Config) (s *Server, err error) {
	if config.DataDir == "" {
		return nil, errors.New("no data directory given: --data-dir DIR")
	}
	if config.Listen == "" {
		config.Listen = DefaultListen
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	// The barclamps do not need the site to be checked for their names, which comes first.
	if _, err := catalog.New(catalog.Config{Without: config.Without}); err != nil {
		return nil, err
	}
	if err := config.Simulation.check(); err != nil {
		return nil, err
	}
	s = &Server{config: config, log: config.Logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}()
	return s, s.open(ctx)
}

func (s *Simulation) check() error {
	switch {
	case s == nil:
		return nil
	case s.Nodes < 0 || s.Nodes > MaxMachines:
		return fmt.Errorf("%d simulated machines: expected 1 to %d", s.Nodes, MaxMachines)
	case s.Nodes > 0:
		return s.checkBMCs(s.Nodes)
	}
	return nil
}

func (s *Simulation) checkBMCs(machines int) error {
	for _, i := range s.WithoutBMC {
		if i < 0 || i >= machines {
			return fmt.Errorf("machine %d without BMC: the machines are counted from 0 to %d", i, machines-1)
		}
	}
	return nil
}

// open goes from what changes nothing to what does.
func (s *Server) open(ctx context.Context) error {
	var err error
	if s.listener, err = listen(s.config.Listen); err != nil {
		return err
	}
	simulation := s.config.Simulation
	speed := 1.0
	if simulation != nil {
		speed = simulation.Speed
		address := simulation.BMCs
		if address == "" {
			address = "127.0.0.1:0"
		}
		if s.bmcs, err = listen(address); err != nil {
			return err
		}
	}
	s.clock = newSiteClock(speed)
	if err := s.openStore(ctx); err != nil {
		return err
	}

	parts := catalog.Config{Without: s.config.Without}
	engine := crowbar.Config{Store: s.store, Sealer: s.sealer, Clock: s.clock, Logger: s.log}
	if simulation != nil {
		if err := s.openSite(simulation); err != nil {
			return err
		}
		engine.Simulated, engine.Jig, parts.Target = true, s.site.Jig(), s.site.Target
	}
	if parts.Hardware, err = s.configurator(); err != nil {
		return err
	}
	if engine.Registry, err = catalog.New(parts); err != nil {
		return err
	}
	for _, b := range s.config.Barclamps {
		if err := engine.Registry.Add(b); err != nil {
			return err
		}
	}
	if s.engine, err = crowbar.New(ctx, engine); err != nil {
		return fmt.Errorf("data directory %s: %w", s.config.DataDir, err)
	}
	if err := s.continueTime(ctx); err != nil {
		return err
	}
	booter, err := provisioner.NewBooter(provisioner.BooterConfig{
		Site:    s.engine.Site,
		Lookup:  s.lookup,
		Ticket:  s.ticket,
		BaseURL: s.URL(),
	})
	if err != nil {
		return err
	}
	s.handler, err = api.New(api.Config{
		Engine: s.engine, Booter: booter, Version: s.config.Version, Clock: s.clock, Logger: s.log,
	})
	return err
}

func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, &failure{fmt.Sprintf("address %s is taken, by another crowbar-server perhaps; stop it, or give another address: --listen 127.0.0.1:0", address), err}
	case err != nil:
		return nil, &failure{fmt.Sprintf("cannot listen on %s (%v); give another address, such as --listen %s", address, innermost(err), DefaultListen), err}
	}
	return l, nil
}

// openStore refuses a store of real nodes for a simulation, before anything simulated is
// written beside it.
func (s *Server) openStore(ctx context.Context) error {
	dir := s.config.DataDir
	store, err := boltstore.Open(filepath.Join(dir, "crowbar.db"), &boltstore.Options{Logger: s.log})
	switch {
	case errors.Is(err, boltstore.ErrLocked):
		return &failure{fmt.Sprintf("data directory %s is in use by another crowbar-server; stop it, or give another one: --data-dir DIR", dir), err}
	case errors.Is(err, boltstore.ErrDamaged), errors.Is(err, boltstore.ErrNewerFormat):
		return fmt.Errorf("data directory %s: %w", dir, err)
	case err != nil:
		return &failure{fmt.Sprintf("data directory %s cannot be made or written (%v); give one that this user can write: --data-dir DIR", dir, innermost(err)), err}
	}
	s.store = store
	settings, err := crowbar.ReadSettings(ctx, store)
	switch {
	case errors.Is(err, crowbar.ErrNotFound):
		return s.openKey("")
	case err != nil:
		return fmt.Errorf("data directory %s: %w", dir, err)
	case s.config.Simulation != nil && !settings.Simulated:
		return &failure{fmt.Sprintf("data directory %s is one for real nodes; start without --simulate, or give another one: --data-dir DIR", dir), crowbar.ErrSimulated}
	}
	return s.openKey(settings.Recipient)
}

// openKey finds the key to the secrets of the store. It makes one only where nothing can have
// been sealed: a new key beside an old store would hide that the old one is lost.
func (s *Server) openKey(recipient string) (err error) {
	dir, path := s.config.DataDir, s.config.SecretKeyFile
	if path == "" {
		path = filepath.Join(dir, "secret.key")
	}
	s.sealer, err = crowbar.OpenKeyFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && recipient == "":
		if s.sealer, err = crowbar.NewKeyFile(path); err != nil {
			return &failure{fmt.Sprintf("the key file %s cannot be made (%v); name one in a directory that this user can write: --secret-key-file FILE", path, innermost(err)), err}
		}
		s.log.Info("new key for secrets", "file", path, "recipient", s.sealer.Recipient())
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &failure{fmt.Sprintf("the key file %s is missing, and the secrets in data directory %s are sealed for %s; restore the file from a backup, or say where it is: --secret-key-file FILE", path, dir, recipient), err}
	case err != nil:
		return err
	case recipient != "" && recipient != s.sealer.Recipient():
		return &failure{fmt.Sprintf("the secrets in data directory %s are sealed for %s, and the key in %s is that of %s; say where the right one is: --secret-key-file FILE", dir, recipient, path, s.sealer.Recipient()), crowbar.ErrOtherKey}
	}
	return nil
}

// A failure is a sentence for the operator that holds its cause for programs.
type failure struct {
	text  string
	cause error
}

func (f *failure) Error() string { return f.text }
func (f *failure) Unwrap() error { return f.cause }

// innermost is what the system said, without the paths and calls around it.
func innermost(err error) error {
	var system syscall.Errno
	if errors.As(err, &system) {
		return system
	}
	return err
}

func (s *Server) openSite(simulation *Simulation) error {
	dir := filepath.Join(s.config.DataDir, "sim")
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && simulation.Nodes == 0 {
		if err := simulation.checkBMCs(defaultMachines); err != nil { // before there are any
			return err
		}
	}
	site, err := sim.New(sim.Config{
		Nodes:      simulation.Nodes,
		Seed:       simulation.Seed,
		Dir:        dir,
		URL:        s.URL(),
		WithoutBMC: func(i int) bool { return slices.Contains(simulation.WithoutBMC, i) },
		Clock:      s.clock,
		Logger:     s.log,
	})
	if err != nil {
		return err
	}
	s.site = site
	return simulation.checkBMCs(site.Nodes())
}

// defaultMachines is how many machines a new site has that is not told.
const defaultMachines = 8

// configurator reaches BMCs: the simulated ones over loopback, by the same protocol as real ones.
func (s *Server) configurator() (hardware.Configurator, error) {
	config := redfish.Config{
		Clock:  s.clock,
		Logger: s.log,
		// The barclamps ipmi, bios and raid look at a machine one after the other.
		KeepSession: 30 * time.Second,
		// They change it while it runs the discovery image, which has nothing to lose.
		ResetAtOnce: true,
	}
	if s.bmcs != nil {
		config.Transport = sim.DialBMCs(s.bmcs.Addr().String())
	}
	c, err := redfish.New(config)
	s.redfish = c
	return c, err
}

// continueTime moves the clock to where an earlier run, which may have been faster than the
// world, had come: time does not go back for a node.
func (s *Server) continueTime(ctx context.Context) error {
	last, err := s.engine.Events(ctx, s.engine.LastEvent()-1, 1)
	if err != nil {
		return err
	}
	for _, ev := range last {
		s.clock.notBefore(ev.Time)
	}
	return nil
}

func (s *Server) lookup(mac net.HardwareAddr) (node, state string, known bool) {
	n, err := s.engine.Node(s.engine.NodeName(mac))
	if err != nil {
		return "", "", false
	}
	return n.Name, n.Lifecycle.State, true
}

func (s *Server) ticket(ctx context.Context, mac net.HardwareAddr, state string) (provisioner.Ticket, error) {
	t, err := s.engine.NewTicket(ctx, mac, state)
	if err != nil {
		return provisioner.Ticket{}, err
	}
	return provisioner.Ticket(*t), nil
}

// URL is where the server is reached from the same machine.
func (s *Server) URL() string {
	host, port, err := net.SplitHostPort(s.listener.Addr().String())
	if err != nil {
		return "http://" + s.listener.Addr().String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// Notices say what an operator must know at the start.
func (s *Server) Notices() []string {
	var notices []string
	if s.engine.Simulated() && s.config.Simulation == nil {
		notices = append(notices, fmt.Sprintf("data directory %s holds simulated nodes: the engine is paused and starts nothing; start with --simulate to go on", s.config.DataDir))
	} else if why := s.engine.Paused(); why != "" {
		notices = append(notices, fmt.Sprintf("the engine is paused (%s); go on with: crowbar engine resume", why))
	}
	for _, name := range s.config.Without {
		for _, k := range s.engine.Site().Proposals(name) {
			notices = append(notices, fmt.Sprintf("proposal %s is in force, but --without leaves barclamp %s out: what it does in the states of a node is not done", k, name))
		}
	}
	return notices
}

// Site is the simulated site, nil without one.
func (s *Server) Site() *sim.Site { return s.site }

// Engine is the server's engine.
func (s *Server) Engine() *crowbar.Engine { return s.engine }

// Handler serves API and network boot.
func (s *Server) Handler() http.Handler { return s.handler }

// Now is the time of nodes and engine.
func (s *Server) Now() time.Time { return s.clock.Now() }

// Close gives back what Open took, for a Server that is not served.
func (s *Server) Close() error {
	var errs []error
	for _, l := range []net.Listener{s.listener, s.bmcs} {
		if l == nil {
			continue
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if s.redfish != nil {
		s.redfish.CloseIdleConnections()
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// DefaultDataDir is where a server keeps its data that is not told otherwise:
// /var/lib/crowbar for root, else crowbar in the user's state directory
// ($XDG_STATE_HOME, ~/.local/state).
func DefaultDataDir(getenv func(string) string) string {
	if os.Geteuid() == 0 {
		return "/var/lib/crowbar"
	}
	if state := getenv("XDG_STATE_HOME"); filepath.IsAbs(state) {
		return filepath.Join(state, "crowbar")
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "state", "crowbar")
	}
	return "crowbar-data"
}
