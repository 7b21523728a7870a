package sim_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"sync"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/provisioner"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/api"
	"github.com/crowbarkit/crowbarkit/crowbar/sim"
	"github.com/crowbarkit/crowbarkit/internal/clock"
)

// Eight machines power on, are discovered, and pause. The clock runs 600 times as fast as the
// world's.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	fast := clock.Scaled(600)
	engine, err := crowbar.New(ctx, crowbar.Config{Store: crowbar.NewMemoryStore(), Registry: &barclamp.Registry{}, Simulated: true, Clock: fast})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String()
	booter, err := provisioner.NewBooter(provisioner.BooterConfig{
		Site: engine.Site, BaseURL: url,
		Lookup: func(mac net.HardwareAddr) (node, state string, known bool) {
			n, err := engine.Node(engine.NodeName(mac))
			if err != nil {
				return "", "", false
			}
			return n.Name, n.Lifecycle.State, true
		},
		Ticket: func(ctx context.Context, mac net.HardwareAddr, state string) (provisioner.Ticket, error) {
			t, err := engine.NewTicket(ctx, mac, state)
			if err != nil {
				return provisioner.Ticket{}, err
			}
			return provisioner.Ticket(*t), nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if server.Config.Handler, err = api.New(api.Config{Engine: engine, Booter: booter, Clock: fast}); err != nil {
		fmt.Println(err)
		return
	}
	server.Start()
	site, err := sim.New(sim.Config{Nodes: 8, URL: url, Clock: fast})
	if err != nil {
		fmt.Println(err)
		return
	}

	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	running.Go(func() { _ = site.Run(ctx) })
	discovered := map[string]bool{}
	err = engine.WatchEvents(ctx, 0, func(e crowbar.Event) error {
		if e.Kind == "node.state" && e.State == "discovered" {
			discovered[e.Subject] = true
		}
		if len(discovered) == site.Nodes() {
			cancel()
		}
		return ctx.Err()
	})
	running.Wait()
	server.Close()

	fmt.Println(len(discovered), "nodes,", err)
	for _, m := range site.Machines()[:2] {
		spec := m.Hardware().Spec()
		fmt.Println(m.Node(), m.Status(), spec.Model, len(spec.Disks), "disks")
	}
	// Output:
	// 8 nodes, context canceled
	// d52-54-00-6d-29-03.crowbar.internal discovery Compute 4 4 disks
	// d52-54-00-6d-29-05.crowbar.internal discovery Storage 12 12 disks
}
