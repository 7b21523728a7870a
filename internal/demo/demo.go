// Package demo is the main job on a simulated rack, from power-on to ready, as an operator
// would do it: everything goes through the API, and what is shown at the end is read back from
// the simulated BMCs and disks.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/crowbar/server"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Config of a demo. The zero value is a rack of 8 machines at a minute a second.
type Config struct {
	Nodes   int
	Seed    uint64
	Speed   float64
	Without []string
	// WithoutBMC lists machines, counted from 0, that have no BMC.
	WithoutBMC []int
	Listen     string
	// DataDir keeps the store and the machines; "" is a temporary directory, removed at the end.
	DataDir string
	// Exit ends the demo after the run; else API and rack stay up until ctx ends.
	Exit bool
	// JSON makes the result one object on Out instead of a table.
	JSON bool
	// Out gets the result. Live gets what happens meanwhile: lines, or on a terminal of Width
	// columns one line per node that changes in place.
	Out      io.Writer
	Live     io.Writer
	Terminal bool
	Width    int
	Command  string // how the operator runs crowbar, default "crowbar"
	Version  string
	Logger   *slog.Logger
}

// Errors of Run. Everything about the rack has been shown.
var (
	ErrFailed      = errors.New("the rack did not become ready")
	ErrInterrupted = errors.New("interrupted before the rack was ready")
)

// barclamps in the order in which their proposals are made: what others read comes first.
var barclamps = []string{"deployer", "provisioner", "network", "ipmi", "bios", "raid", "nova", "swift"}

// Run runs the demo.
func Run(ctx context.Context, config Config) error {
	if config.Nodes == 0 {
		config.Nodes = 8
	}
	if config.Nodes < 0 {
		return fmt.Errorf("--nodes %d: a rack has at least 1 machine", config.Nodes)
	}
	if config.Speed == 0 {
		config.Speed = 60
	}
	if config.Command == "" {
		config.Command = "crowbar"
	}
	dir := config.DataDir
	if dir == "" {
		temporary, err := os.MkdirTemp("", "crowbar-demo-")
		if err != nil {
			var system *fs.PathError
			if errors.As(err, &system) {
				err = system.Err
			}
			return fmt.Errorf("no temporary directory can be made in %s (%w); set TMPDIR to one that you can write, or give --data-dir DIR", os.TempDir(), err)
		}
		defer func() { _ = os.RemoveAll(temporary) }()
		dir = temporary
	}
	s, err := server.Open(ctx, server.Config{
		DataDir: dir,
		Listen:  config.Listen,
		Simulation: &server.Simulation{
			Nodes: config.Nodes, Seed: config.Seed, Speed: config.Speed, WithoutBMC: config.WithoutBMC,
		},
		Without: config.Without,
		Version: config.Version,
		Logger:  config.Logger,
	})
	if err != nil {
		return err
	}
	// The server outlives an interrupt: what there is by then is still read from it.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	playing, end := context.WithCancel(ctx)
	defer end()
	var (
		running  sync.WaitGroup
		serveErr error
	)
	running.Go(func() { serveErr = s.Serve(serving); end() })
	err = play(playing, config, s)
	stop()
	running.Wait()
	if serveErr != nil {
		return serveErr // the play ended for that reason
	}
	return err
}

// A show is one run of the demo.
type show struct {
	config  Config
	server  *server.Server
	client  *client.Client
	screen  *screen
	started time.Time
	told    int64     // number of the last event that was shown
	moved   time.Time // of the rack's clock, when something last moved
	seen    string    // what stood then
}

func play(ctx context.Context, config Config, s *server.Server) error {
	c, err := client.New(client.Config{BaseURL: s.URL(), User: "demo"})
	if err != nil {
		return err
	}
	defer c.Close()
	d := &show{config: config, server: s, client: c, started: time.Now(),
		screen: &screen{out: config.Live, terminal: config.Terminal, width: config.Width, domain: domain(s)}}
	if err := d.run(ctx); err != nil {
		return d.failed(ctx, err)
	}
	if config.Exit {
		return nil
	}
	server := ""
	if s.URL() != client.DefaultURL {
		server = " --server " + s.URL()
	}
	d.screen.printf("\nAPI and rack stay up at %s until you interrupt (Ctrl-C). Look around:\n", s.URL())
	for _, command := range []string{"node list", "node why NODE", "proposal list", "proposal show nova default", "job list", "event watch"} {
		d.screen.printf("  %s%s %s\n", config.Command, server, command)
	}
	<-ctx.Done() // that is how a demo ends
	return nil
}

// domain is what the names of all nodes end in.
func domain(s *server.Server) string {
	_, domain, _ := strings.Cut(s.Engine().NodeName(make(net.HardwareAddr, 6)), ".")
	return "." + domain
}

// lastLook bounds the reading of what there is after a failure.
const lastLook = 5 * time.Second

// failed shows why each node is not ready, and the object with what there is.
func (d *show) failed(ctx context.Context, cause error) error {
	interrupted := ctx.Err() != nil
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	if interrupted {
		cause = ErrInterrupted
	} else {
		d.why(ctx)
		if !errors.Is(cause, ErrFailed) {
			cause = fmt.Errorf("%w: %v", ErrFailed, cause)
		}
	}
	if d.config.JSON {
		if err := d.result(ctx); err != nil {
			return errors.Join(cause, err)
		}
	}
	return cause
}

// why says of each node that is not ready what keeps it.
func (d *show) why(ctx context.Context) {
	nodes, err := d.client.Nodes(ctx)
	if err != nil {
		return // the server has ended, and says why itself
	}
	for _, n := range nodes {
		if n.State == "ready" && n.Phase == "settled" {
			continue
		}
		if x, err := d.client.Why(ctx, n.Name); err == nil {
			d.screen.printf("  %s\n", x.Sentence)
		}
	}
}

func (d *show) run(ctx context.Context) error {
	d.screen.heading("%s; the API is at %s; their time is simulated and runs %gx",
		powerOn(d.server.Site().Nodes()), d.server.URL(), d.config.Speed)
	if err := d.discovery(ctx); err != nil {
		return err
	}
	if err := d.propose(ctx); err != nil {
		return err
	}
	if err := d.commit(ctx); err != nil {
		return err
	}
	if err := d.allocate(ctx); err != nil {
		return err
	}
	if err := d.installation(ctx); err != nil {
		return err
	}
	return d.result(ctx)
}

func powerOn(machines int) string {
	if machines == 1 {
		return "1 simulated machine powers on"
	}
	return fmt.Sprintf("%d simulated machines power on", machines)
}

// discovery waits for the pause and says why there is one.
func (d *show) discovery(ctx context.Context) error {
	nodes, err := d.watch(ctx, func(nodes []client.Node) bool {
		return len(nodes) >= d.config.Nodes && all(nodes, func(n client.Node) bool {
			return n.State != "discovering" && n.Phase == "settled"
		})
	})
	if err != nil {
		return err
	}
	why, err := d.client.Why(ctx, nodes[0].Name)
	if err != nil {
		return err
	}
	if all(nodes, func(n client.Node) bool { return n.State == "discovered" }) {
		d.screen.heading("The rack is known (%s) and pauses: nova and swift want opposite hardware, so roles come first", wording.Count(len(nodes), "node"))
	} else {
		d.screen.heading("The rack is known (%s)", wording.Count(len(nodes), "node"))
	}
	d.screen.printf("  $ crowbar node why %s\n  %s\n", wording.Node(why.Node), why.Sentence)
	return nil
}

// propose lets each barclamp propose and shows what it changed in its template.
func (d *show) propose(ctx context.Context) error {
	d.screen.heading("Barclamps propose from what the nodes reported")
	for _, name := range d.barclamps() {
		k := proposal.Key{Barclamp: name, Name: "default"}
		_, err := d.client.CreateProposal(ctx, client.NewProposal{Barclamp: k.Barclamp, Name: k.Name, Message: "proposed by the demo"})
		if errors.Is(err, client.ErrExists) {
			continue // a demo that goes on in its data directory
		}
		if err != nil {
			return err
		}
		diff, err := d.client.Diff(ctx, k, client.Template, client.Latest)
		if err != nil {
			return err
		}
		d.screen.printf("  $ crowbar proposal diff %s %s\n", k.Barclamp, k.Name)
		d.screen.block("    ", diff.Text())
	}
	return nil
}

// commit puts the proposals in force. Every one that cannot be is shown, not the first only.
func (d *show) commit(ctx context.Context) error {
	d.screen.heading("Proposals are committed; those whose nodes are not installed yet wait for them")
	failed := false
	for _, name := range d.barclamps() {
		k := proposal.Key{Barclamp: name, Name: "default"}
		committed, err := d.client.Commit(ctx, k, 0)
		if errors.Is(err, client.ErrInvalid) {
			failed = true
			d.screen.printf("  %s cannot be committed: %s\n", k, err)
			continue
		}
		if err != nil {
			return err
		}
		d.screen.printf("  %-20s revision %d, job %s\n", k, committed.Status.Revision, committed.Job.ID)
	}
	if failed {
		return fmt.Errorf("%w: roles lack nodes (see above); try more: --nodes 8", ErrFailed)
	}
	return nil
}

func (d *show) barclamps() []string {
	var present []string
	for _, name := range barclamps {
		if !slices.Contains(d.config.Without, name) {
			present = append(present, name)
		}
	}
	return present
}

// concurrentPlans is how many nodes are looked at at the same time.
const concurrentPlans = 8

// allocate shows the plan of each paused node and allocates the node with that plan's grant.
func (d *show) allocate(ctx context.Context) error {
	nodes, err := d.client.Nodes(ctx)
	if err != nil {
		return err
	}
	d.screen.heading("Nodes are allocated, each with a grant for what its plan destroys and no more")
	plans := make([]*client.Plan, len(nodes))
	errs := make([]error, len(nodes))
	var group sync.WaitGroup
	places := make(chan struct{}, concurrentPlans)
	for i, n := range nodes {
		if n.State != "discovered" {
			continue
		}
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			plans[i], errs[i] = d.client.Plan(ctx, n.Name)
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: no plan: %v", ErrFailed, err)
	}
	for i, plan := range plans {
		if plan == nil {
			continue
		}
		d.screen.printf("  %s\n", wording.Node(nodes[i].Name))
		for _, part := range plan.Parts {
			text := part.Text
			if part.Skipped != "" {
				text = "skipped: " + part.Skipped
			}
			d.screen.printf("    %s\n", part.Barclamp)
			d.screen.block("      ", text)
		}
	}
	for i, plan := range plans {
		if plan == nil {
			continue
		}
		if _, err := d.client.Allocate(ctx, nodes[i].Name, client.AllocateOptions{PlanHash: plan.Hash}); err != nil {
			return fmt.Errorf("%w: %s is not allocated: %v", ErrFailed, wording.Node(nodes[i].Name), err)
		}
	}
	return nil
}

// installation waits until all nodes are ready and nothing is left to do, or a node is broken.
func (d *show) installation(ctx context.Context) error {
	d.screen.heading("Hardware is configured over Redfish, systems are installed, roles are applied wave by wave")
	broken := func(n client.Node) bool { return n.State == "problem" || n.Phase == "failed" }
	nodes, err := d.watch(ctx, func(nodes []client.Node) bool {
		if slices.ContainsFunc(nodes, broken) {
			return true
		}
		if !all(nodes, func(n client.Node) bool { return n.State == "ready" && n.Phase == "settled" }) {
			return false
		}
		status, err := d.client.Status(ctx)
		return err == nil && !status.Busy
	})
	if err != nil {
		return err
	}
	proposals, err := d.client.Proposals(ctx, "")
	if err != nil {
		return err
	}
	failed := slices.ContainsFunc(nodes, broken)
	for _, p := range proposals {
		if p.Status.Status != "applied" {
			failed = true
			d.screen.printf("  %s/%s is %s: %s\n", p.Barclamp, p.Name, p.Status.Status, p.Status.Reason)
		}
	}
	if failed {
		return ErrFailed
	}
	return nil
}

// patience is how long nothing may move on the rack's clock: longer than any state's time.
const patience = 4 * time.Hour

// stands says whether nothing has moved for too long.
func (d *show) stands(nodes []client.Node) bool {
	var b strings.Builder
	for _, n := range nodes {
		fmt.Fprintf(&b, "%s %d %s", n.Name, n.Visit, n.Phase)
		if n.Progress != nil {
			fmt.Fprintf(&b, " %+v", *n.Progress)
		}
	}
	fmt.Fprint(&b, d.server.Engine().LastEvent())
	if now := b.String(); now != d.seen || d.moved.IsZero() {
		d.seen, d.moved = now, d.server.Now()
	}
	return d.server.Now().Sub(d.moved) > patience
}

// pollInterval is how often the nodes are looked at: fast enough for the eye.
const pollInterval = 100 * time.Millisecond

// watch shows the nodes until done says so.
func (d *show) watch(ctx context.Context, done func([]client.Node) bool) ([]client.Node, error) {
	watching, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	if !d.config.Terminal {
		telling.Go(func() {
			_ = d.client.WatchEvents(watching, d.told, func(ev client.Event) error { // ends with the watching
				d.screen.event(time.Since(d.started), ev)
				d.told = ev.Sequence
				return nil
			})
		})
	}
	defer telling.Wait()
	defer cancel()
	defer d.screen.release()
	for {
		nodes, err := d.client.Nodes(ctx)
		if err != nil {
			return nil, err
		}
		d.screen.board(nodes)
		if done(nodes) {
			return nodes, nil
		}
		if d.stands(nodes) {
			return nil, fmt.Errorf("%w: nothing has moved for %s of the rack's time", ErrFailed, patience)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pollInterval):
		}
	}
}
