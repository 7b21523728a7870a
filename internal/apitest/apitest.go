// Package apitest is a small server for tests of what talks to one: an engine in memory with
// one barclamp, rack, whose plan wipes a disk, and nodes that the test plays.
package apitest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/api"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/inprocess"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/pxe"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

const template = `{"id":"bc-template-rack","description":"Racks","attributes":{"rack":{"size":42.0,"door":null,"note":"<ü>"}},"deployment":{"rack":{
	"element_states":{"rack-top":["ready"],"rack-unit":["ready","applying"]},
	"elements":{},"element_order":[["rack-top"],["rack-unit"]],
	"config":{"environment":"rack-config-base","mode":"full","transitions":true,"transition_list":["hardware-installing","installing"]}}}}`

// schema knows the template's attributes, and a secret that it has not.
const schema = `{"type":"object","additionalProperties":false,"properties":{
	"size":{"type":"number","minimum":1},"door":{"enum":[null,"glass","steel"]},"note":{"type":"string"},
	"code":{"type":"string","writeOnly":true},
	"locks":{"type":"array","items":{"type":"object","properties":{"key":{"type":"string","format":"password"}}}}}}`

// A Rack is the barclamp: the first node is on top, the others are units.
type Rack struct {
	mu      sync.Mutex
	planErr error
	disk    string
}

var (
	_ barclamp.Planner      = (*Rack)(nil)
	_ barclamp.Transitioner = (*Rack)(nil)
)

// Info describes the barclamp.
func (r *Rack) Info() barclamp.Info {
	t, err := proposal.Parse([]byte(template))
	if err != nil {
		panic(err) // the template above is wrong
	}
	return barclamp.Info{Name: "rack", Version: "1.0", Description: "Racks", RunOrder: 10, Template: t, Schema: []byte(schema), Roles: []barclamp.Role{
		{Name: "rack-top", Constraint: barclamp.Constraint{Minimum: 1, Count: 1}}, {Name: "rack-unit"},
	}}
}

// Propose places all nodes.
func (r *Rack) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	d := &barclamp.Draft{}
	for i, n := range s.Nodes() {
		if i == 0 {
			d.Place("rack-top", n.Name, "it is the first")
		} else {
			d.Place("rack-unit", n.Name, "it is not the first")
		}
	}
	return d, nil
}

// Transition does nothing but spend the grant.
func (r *Rack) Transition(_ context.Context, s barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	p, err := r.Plan(context.Background(), s, e)
	if p == nil || err != nil {
		return nil, err
	}
	return []barclamp.Step{{ID: "wipe", Title: "wipe", Run: func(ctx context.Context, sc barclamp.StepContext) error {
		for _, d := range p.Destructions {
			if err := sc.Authorize(ctx, d); err != nil {
				return err
			}
		}
		return nil
	}}}, nil
}

// Plan wipes one disk.
func (r *Rack) Plan(_ context.Context, _ barclamp.Site, e barclamp.Event) (*barclamp.Plan, error) {
	switch e.State {
	case lifecycle.Installing:
		return &barclamp.Plan{Text: "install"}, nil
	case lifecycle.HardwareInstalling:
	default:
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.planErr != nil {
		return nil, r.planErr
	}
	if r.disk == "" {
		return &barclamp.Plan{Text: "nothing to do"}, nil
	}
	return &barclamp.Plan{Text: "wipe one disk", Destructions: []barclamp.Destruction{
		{Operation: "rack/wipe", Disks: []string{r.disk}, Description: "wipe the disk"},
	}}, nil
}

// SetDisk changes which disk the plan wipes; "" is none.
func (r *Rack) SetDisk(disk string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disk = disk
}

// FailPlan makes plans fail.
func (r *Rack) FailPlan(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.planErr = err
}

type jig struct{}

func (jig) Apply(context.Context, crowbar.JigRun, func(crowbar.JigEvent)) (map[string]error, error) {
	return nil, nil
}

// Site is the server.
type Site struct {
	Engine  *crowbar.Engine
	Rack    *Rack
	Handler http.Handler

	t testing.TB
}

// New makes a server whose engine runs until the test ends.
func New(t testing.TB) *Site {
	return On(t, crowbar.NewMemoryStore())
}

// On is New on a store of the test.
func On(t testing.TB, store crowbar.Store) *Site {
	t.Helper()
	rack := &Rack{disk: "wwn-1"}
	registry, err := barclamp.NewRegistry(rack)
	require.NoError(t, err)
	engine, err := crowbar.New(t.Context(), crowbar.Config{Store: store, Registry: registry, Jig: jig{}})
	require.NoError(t, err)
	handler, err := api.New(api.Config{Engine: engine, Version: "test", Booter: pxe.BooterFunc(
		func(_ context.Context, c pxe.Client) (*pxe.Decision, error) {
			if c.Serial == "foreign" {
				return &pxe.Decision{Action: pxe.ActionIgnore, Reason: "not ours"}, nil
			}
			return &pxe.Decision{Action: pxe.ActionBoot, Kernel: "/files/" + c.MAC.String(), Reason: "test"}, nil
		})})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := engine.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("engine: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return &Site{Engine: engine, Rack: rack, Handler: handler, t: t}
}

// Transport reaches the server in process.
func (s *Site) Transport() http.RoundTripper { return inprocess.Transport(s.Handler) }

// Client is an operator's.
func (s *Site) Client() *client.Client {
	s.t.Helper()
	c, err := client.New(client.Config{Transport: s.Transport(), User: "ada"})
	require.NoError(s.t, err)
	return c
}

// Boot gives the i-th machine's node and the client of its agent.
func (s *Site) Boot(i int) (node string, agent *client.Client) {
	s.t.Helper()
	mac := net.HardwareAddr{0x52, 0x54, 0, 0, 0, byte(i)}
	state := ""
	if n, err := s.Engine.Node(s.Engine.NodeName(mac)); err == nil {
		state = n.Lifecycle.State
	}
	ticket, err := s.Engine.NewTicket(s.t.Context(), mac, state)
	require.NoError(s.t, err)
	agent, err = client.New(client.Config{Transport: s.Transport(), Token: ticket.Token})
	require.NoError(s.t, err)
	return ticket.Node, agent
}

// Discover brings the i-th machine to the pause.
func (s *Site) Discover(i int) (node string, agent *client.Client) {
	s.t.Helper()
	node, agent = s.Boot(i)
	for sequence, state := range []string{"", lifecycle.Discovered} {
		_, err := agent.Report(s.t.Context(), node, client.Report{Sequence: sequence + 1, State: state, Facts: Facts(i)})
		require.NoError(s.t, err)
	}
	s.Settled(node, lifecycle.Discovered)
	return node, agent
}

// Settled waits until a node rests in a state.
func (s *Site) Settled(node, state string) *crowbar.Node {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	for visit := int64(0); ; {
		n, err := s.Engine.Await(ctx, node, visit)
		if err != nil {
			require.NoError(s.t, err, "%s is in %s, not in %s: %+v", node, n.Lifecycle.State, state, n.Lifecycle)
		}
		if n.Lifecycle.State == state && n.Lifecycle.Phase == "settled" {
			return n
		}
		visit = n.Lifecycle.Visit
	}
}

// Facts of the i-th machine.
func Facts(i int) *barclamp.Facts {
	return &barclamp.Facts{
		Manufacturer: "Test", Product: "T1", Serial: fmt.Sprintf("S%03d", i), MemoryBytes: 64 << 30,
		CPU:   barclamp.CPU{Model: "CPU", Sockets: 2, Cores: 16},
		Disks: []barclamp.Disk{{Name: "sda", Serial: fmt.Sprintf("D%03d", i), SizeBytes: 1e12}},
		NICs:  []barclamp.NIC{{Name: "eth0", MAC: fmt.Sprintf("52:54:00:00:00:%02x", i)}},
	}
}
