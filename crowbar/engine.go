package crowbar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// Errors of the engine. ErrRefused means that a rule says no; the message says which one and
// what would change it, and nothing has been done.
var (
	ErrRefused   = errors.New("crowbar: refused")
	ErrInvalid   = errors.New("crowbar: invalid")
	ErrSimulated = errors.New("crowbar: simulated and real nodes do not mix")
	// ErrPaused: nothing is destroyed until the engine is resumed; ask again then.
	ErrPaused = errors.New("crowbar: engine paused")
)

// Clock tells the time to the engine. The demo's runs faster than the world's.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Config is what an engine is made of. Store and Registry must be given.
type Config struct {
	Store    Store
	Registry *barclamp.Registry
	// Jig applies roles to nodes; without one a committed proposal with nodes fails, saying so.
	Jig Jig
	// Lifecycle of the nodes; nil is lifecycle.Default().
	Lifecycle *lifecycle.Lifecycle
	// Domain of the nodes' names; default "crowbar.internal".
	Domain string
	// Simulated says that this engine's nodes are simulated. A store that holds simulated
	// nodes is opened paused without it; a store with real nodes is refused with it.
	Simulated bool
	// DestructiveSteps is how many steps may be destroying data at one time; default 5.
	DestructiveSteps int
	// ConcurrentNodes is how many nodes are worked on at one time, those that wait for their
	// turn to destroy included; default 256.
	ConcurrentNodes int
	Clock           Clock        // nil is the system's
	Logger          *slog.Logger // nil is silent
}

// sweepInterval is how often all nodes are looked at for a deadline that has passed or for
// work that failed and is to be tried again.
const sweepInterval = 15 * time.Second

// Engine is the one place where states change. A request writes what is wanted and returns;
// what follows from it is done by Run, which reads the records, does what is due and writes
// the outcome. A crash anywhere leaves records from which the next Run goes on.
//
// All methods may be called concurrently. Reading and editing need no Run.
type Engine struct {
	config    Config
	lifecycle *lifecycle.Lifecycle
	clock     Clock
	log       *slog.Logger
	started   string // names this run of the engine where it spends a grant

	ledger    *ledger
	node      NodeWriter
	engine    EngineWriter
	operator  OperatorWriter
	proposals *proposalStore

	settings    *table[*Settings]
	nodes       *table[*Node]
	facts       *table[*Facts]
	configs     *table[*ConfigRole]
	statuses    *table[*ProposalStatus]
	jobs        *table[*Job]
	grants      *table[*Grant]
	allocations *table[*Allocation]
	tokens      *table[*Token]
	members     members

	due         *workQueue    // nodes to look at
	jobsDue     chan struct{} // wakes the job scheduler; holds one wish
	destructive chan struct{} // one place for each step that may be destroying
	progress    progressBoard
	arrivals    nameSet // nodes that have come to rest in ready
	jobNumber   sequence

	ticketing sync.Mutex
	ticketOf  map[string]string // node → its one token

	workingSince atomic.Int64 // Unix nanoseconds of the last start or resume
	runs         atomic.Bool
}

// New opens an engine on its store: it reads all records and changes none but the settings of
// an empty store. ErrSimulated if the store holds real nodes and the config says simulated.
func New(ctx context.Context, config Config) (*Engine, error) {
	if config.Store == nil || config.Registry == nil {
		return nil, fmt.Errorf("%w: an engine needs a Store and a Registry", ErrInvalid)
	}
	if config.Clock == nil {
		config.Clock = clock.System()
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Lifecycle == nil {
		config.Lifecycle = lifecycle.Default()
	}
	if config.Domain == "" {
		config.Domain = "crowbar.internal"
	}
	if strings.Contains(config.Domain, configInfix) {
		return nil, fmt.Errorf("%w: domain %q holds %q: roles of its nodes would be taken for those of proposals", ErrInvalid, config.Domain, configInfix)
	}
	if config.DestructiveSteps <= 0 {
		config.DestructiveSteps = 5
	}
	if config.ConcurrentNodes <= 0 {
		config.ConcurrentNodes = 256
	}
	l := &ledger{store: config.Store, now: config.Clock.Now}
	e := &Engine{
		config:      config,
		lifecycle:   config.Lifecycle,
		clock:       config.Clock,
		log:         config.Logger,
		ledger:      l,
		node:        NodeWriter{l},
		engine:      EngineWriter{l},
		operator:    OperatorWriter{l},
		settings:    newTable[*Settings](settingsKey),
		nodes:       newTable[*Node](rolePrefix),
		facts:       newTable[*Facts](factsPrefix),
		configs:     newTable[*ConfigRole](rolePrefix),
		statuses:    newTable[*ProposalStatus](statusPrefix),
		jobs:        newTable[*Job](jobPrefix),
		grants:      newTable[*Grant](grantPrefix),
		allocations: newTable[*Allocation](allocationPrefix),
		tokens:      newTable[*Token](tokenPrefix),
		due:         newWorkQueue(),
		jobsDue:     make(chan struct{}, 1),
		destructive: make(chan struct{}, config.DestructiveSteps),
	}
	e.proposals = newProposalStore(e.operator)
	l.reload = e.load
	if err := e.load(ctx); err != nil {
		return nil, err
	}
	e.ticketOf = map[string]string{}
	e.tokens.each(func(id string, t *Token) { e.ticketOf[t.Node] = id })
	if err := e.jobNumber.startAfter(e.jobs.list()); err != nil {
		return nil, err
	}
	e.started = fmt.Sprintf("run-%d", l.head.Sequence)
	return e, e.openSite(ctx)
}

// load fills the tables from the store.
func (e *Engine) load(ctx context.Context) error {
	listing, err := e.config.Store.List(ctx, "")
	if err != nil {
		return fmt.Errorf("crowbar: read the store: %w", err)
	}
	byKind := map[string][]Record{}
	for _, r := range listing.Records {
		kind, rest, found := strings.Cut(r.Key, "/")
		switch {
		case !found:
		case kind+"/" == rolePrefix && strings.Contains(rest, configInfix):
			kind = configInfix
		default:
			kind += "/"
		}
		byKind[kind] = append(byKind[kind], r)
	}
	loads := []error{
		e.settings.load(byKind[settingsKey]),
		e.nodes.load(byKind[rolePrefix]),
		e.configs.load(byKind[configInfix]),
		e.facts.load(byKind[factsPrefix]),
		e.statuses.load(byKind[statusPrefix]),
		e.jobs.load(byKind[jobPrefix]),
		e.grants.load(byKind[grantPrefix]),
		e.allocations.load(byKind[allocationPrefix]),
		e.tokens.load(byKind[tokenPrefix]),
		e.proposals.load(byKind[proposalPrefix]),
		e.ledger.load(byKind[eventPrefix]),
	}
	for _, err := range loads {
		if err != nil {
			return err
		}
	}
	e.members.rebuild(e.configs.list())
	return nil
}

// openSite compares the store with what the engine was started for.
func (e *Engine) openSite(ctx context.Context) error {
	site, revision := e.settings.get("")
	switch {
	case revision == 0:
		c := &change{}
		put(c, e.settings, "", &Settings{Simulated: e.config.Simulated}, 0)
		return e.engine.commit(ctx, c)
	case e.config.Simulated && !site.Simulated:
		return fmt.Errorf("%w: this store holds real nodes; start without simulation, or with another data directory", ErrSimulated)
	}
	return nil
}

// Simulated says whether the nodes of the store are simulated.
func (e *Engine) Simulated() bool {
	site, _ := e.settings.get("")
	return site.Simulated
}

// Paused says why no new work starts; empty if it does.
func (e *Engine) Paused() string {
	site, _ := e.settings.get("")
	if site.Simulated && !e.config.Simulated {
		return "the store holds simulated nodes and the server was started without --simulate"
	}
	return site.Paused
}

// Run does the engine's work until ctx ends, and returns once all of it has stopped: hooks
// of nodes that have come into a state, deadlines, jobs. A second Run at the same time is
// refused: it would do everything twice.
func (e *Engine) Run(ctx context.Context) error {
	if !e.runs.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: the engine runs already", ErrRefused)
	}
	defer e.runs.Store(false)
	e.workingSince.Store(e.clock.Now().UnixNano())
	if err := e.closeOrphans(ctx); err != nil {
		return err
	}
	var group sync.WaitGroup
	group.Go(func() { e.due.run(ctx, e.config.ConcurrentNodes, e.reconcile) })
	group.Go(func() { e.runJobs(ctx) })
	e.sweep()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-e.clock.After(sweepInterval):
			e.sweep()
		}
	}
	group.Wait()
	return ctx.Err()
}

// sweep marks the nodes that have something due, and lets the scheduler look at the jobs.
func (e *Engine) sweep() {
	defer e.wakeJobs()
	now := e.clock.Now()
	for _, n := range e.nodes.list() {
		if e.needsWork(n, now) {
			e.due.add(n.Name)
		}
		if n.Lifecycle.State == lifecycle.Ready {
			e.arrivals.add(n.Name)
		}
	}
}

// wakeJobs lets the scheduler look at the queue.
func (e *Engine) wakeJobs() {
	select {
	case e.jobsDue <- struct{}{}:
	default: // it will look anyway
	}
}
