package crowbar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/proposal"
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
	// Sealer seals the secrets of proposals before they are stored. nil: they are stored as they
	// are. One that has a method Recipient() string, as AgeSealer, is noted in the store, which
	// is from then on opened with that one only.
	Sealer proposal.Sealer
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

// New opens an engine on its store: it reads the records of the present, no history, and
// changes none but the settings: of an empty store, or to note the recipient of a first Sealer.
// ErrSimulated if the store holds real nodes and the config says simulated; ErrOtherKey if its
// secrets are sealed for another recipient than the Sealer's; ErrDamaged, naming the record.
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
	e.proposals = newProposalStore(e.operator, config.Registry, config.Sealer)
	l.reload = e.load
	if err := e.checkSite(ctx); err != nil {
		return nil, err
	}
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

// load fills the tables from the store. The last event is read before them: should a write of
// unknown outcome land in between, the next commit meets its event, and all is read once more.
func (e *Engine) load(ctx context.Context) error {
	if err := e.ledger.load(ctx); err != nil {
		return err
	}
	records, err := e.list(ctx, settingsKey, rolePrefix, factsPrefix, statusPrefix, jobPrefix, grantPrefix, allocationPrefix, tokenPrefix, headPrefix)
	if err != nil {
		return fmt.Errorf("crowbar: read the store: %w", err)
	}
	var nodes, configs []Record
	for _, r := range records[rolePrefix] {
		if strings.Contains(r.Key, configInfix) {
			configs = append(configs, r)
		} else {
			nodes = append(nodes, r)
		}
	}
	loads := []error{
		e.settings.load(records[settingsKey]),
		e.nodes.load(nodes),
		e.facts.load(records[factsPrefix]),
		e.statuses.load(records[statusPrefix]),
		e.jobs.load(records[jobPrefix]),
		e.grants.load(records[grantPrefix]),
		e.allocations.load(records[allocationPrefix]),
		e.tokens.load(records[tokenPrefix]),
		e.proposals.load(ctx, records[headPrefix]),
		e.configs.loadAs(configs, func(data []byte) (*ConfigRole, error) { return e.decodeConfig(ctx, data) }),
	}
	for _, err := range loads {
		if err != nil {
			return err
		}
	}
	e.members.rebuild(e.configs.list())
	return nil
}

// list reads the records under some prefixes as they were at one revision.
func (e *Engine) list(ctx context.Context, prefixes ...string) (map[string][]Record, error) {
	for {
		records := map[string][]Record{}
		revisions := map[int64]bool{}
		for _, prefix := range prefixes {
			listing, err := e.config.Store.List(ctx, prefix)
			if err != nil {
				return nil, err
			}
			records[prefix] = listing.Records
			revisions[listing.Revision] = true
		}
		if len(revisions) == 1 {
			return records, nil
		}
	}
}

// decodeConfig reads a config role together with the revision that it puts in force.
func (e *Engine) decodeConfig(ctx context.Context, data []byte) (*ConfigRole, error) {
	var c ConfigRole
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	r, err := e.proposals.read(ctx, c.Proposal, c.Revision)
	if err != nil {
		return nil, fmt.Errorf("what it puts in force: %w", err)
	}
	c.Document = r.Document
	return &c, nil
}

// checkSite compares the store with what the engine is started for, before all else.
func (e *Engine) checkSite(ctx context.Context) error {
	site, err := ReadSettings(ctx, e.config.Store)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err != nil:
		return err
	case e.config.Simulated && !site.Simulated:
		return fmt.Errorf("%w: this store holds real nodes; start without simulation, or with another data directory", ErrSimulated)
	case site.Recipient == "" || site.Recipient == recipient(e.config.Sealer):
		return nil
	case e.config.Sealer == nil:
		return fmt.Errorf("%w: the secrets of this store are sealed for %s and no key was given; start with the key file that has it", ErrOtherKey, site.Recipient)
	}
	return fmt.Errorf("%w: the secrets of this store are sealed for %s and the key given is %s; start with the key file of the former", ErrOtherKey, site.Recipient, recipient(e.config.Sealer))
}

// openSite notes what a new store, or one that had no key, is from now on.
func (e *Engine) openSite(ctx context.Context) error {
	site, revision := e.settings.get("")
	next := Settings{Simulated: e.config.Simulated}
	if revision != 0 {
		next = *site
	}
	next.Recipient = recipient(e.config.Sealer)
	if revision != 0 && next.Recipient == site.Recipient {
		return nil
	}
	c := &change{}
	put(c, e.settings, "", &next, revision)
	return e.engine.commit(ctx, c)
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
