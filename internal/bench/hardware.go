package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// configurer configures servers one at a time: connect, inventory, boot from the network, BIOS
// set Virtualization, reset, wait, verify.
type configurer interface {
	configure(ctx context.Context, node, url string) error
	close() error // gives back what it keeps of all
}

// crowbarkit is our way: one Configurator for all BMCs, which pins their certificates.
type crowbarkit struct {
	c       *redfish.Configurator
	settled bool // a plan that is not empty is an error
}

func newCrowbarkit(poll time.Duration) (configurer, error) {
	c, err := redfish.New(redfish.Config{Pins: &redfish.MemoryPins{}, KeepSession: time.Minute, ResetAtOnce: true, PollInterval: poll})
	return &crowbarkit{c: c}, err
}

// newSettled is for servers that are configured.
func newSettled(poll time.Duration) (configurer, error) {
	c, err := newCrowbarkit(poll)
	c.(*crowbarkit).settled = true
	return c, err
}

func (k *crowbarkit) configure(ctx context.Context, node, url string) error {
	target := bmcTarget(node, url)
	seen, err := k.c.Observe(ctx, target)
	if err != nil {
		return err
	}
	drives := 0
	for _, controller := range seen.Storage {
		drives += len(controller.Drives)
	}
	if len(seen.Interfaces) != 2 || drives != 4 || len(seen.Unreadable) > 0 {
		return fmt.Errorf("%d network ports and %d drives, not read: %v", len(seen.Interfaces), drives, seen.Unreadable)
	}
	plan, err := hardware.NewPlan(hardware.Profile{BIOS: &hardware.BIOSProfile{Set: "Virtualization"}, Boot: &hardware.BootProfile{Target: hardware.BootPXE}}, seen)
	if err != nil {
		return err
	}
	if k.settled && !plan.Empty() {
		return fmt.Errorf("%s: there is more to do: %d operations", node, len(plan.Operations))
	}
	_, err = k.c.Apply(ctx, target, plan, nil)
	return err
}

func bmcTarget(node, url string) hardware.Target {
	return hardware.Target{Node: node, URL: url,
		Credentials: func(context.Context) (string, string, error) { return bmcUser, bmcPassword, nil }}
}

func (k *crowbarkit) close() error { return k.c.Close(context.Background()) }

// outcome is what it took to configure a fleet.
type outcome struct {
	servers            int
	wall               time.Duration
	each               []time.Duration // of each server, sorted
	failures           []error
	requests, changes  int64
	bytes, connections int64
	cpu                time.Duration // of this process: client and simulated BMCs together
	memory             uint64        // most at any time, of this process
	sessions           int           // left in the BMCs
}

// run configures servers of the fleet, limit of them at a time, and looks at each machine afterwards.
func (f *fleet) run(limit int, c configurer) (*outcome, error) {
	o := &outcome{servers: len(f.bmcs), each: make([]time.Duration, len(f.bmcs))}
	errs := make([]error, len(f.bmcs))
	requests, changes, bytes, connections := f.requests.Load(), f.changes.Load(), f.bytes.Load(), f.connections.Load()
	debug.FreeOSMemory() // so that the most memory is that of this run
	peak := watchMemory()
	cpu, start := cpuTime(), time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	free := make(chan struct{}, limit)
	for i := range f.bmcs {
		free <- struct{}{}
		all.Go(func() {
			began := time.Now()
			errs[i] = c.configure(ctx, fmt.Sprint("node", i), f.urls[i])
			o.each[i] = time.Since(began)
			<-free
		})
	}
	all.Wait()
	err := c.close()
	o.wall, o.cpu, o.memory = time.Since(start), cpuTime()-cpu, peak()
	o.requests, o.changes = f.requests.Load()-requests, f.changes.Load()-changes
	o.bytes, o.connections, o.sessions = f.bytes.Load()-bytes, f.connections.Load()-connections, f.sessions()
	slices.Sort(o.each)
	for i, failed := range errs {
		if failed == nil {
			failed = f.configured(i)
		}
		if failed != nil {
			o.failures = append(o.failures, failed)
		}
	}
	return o, err
}

func (o *outcome) perServer(n int64) float64 { return float64(n) / float64(o.servers) }

func (o *outcome) percentile(p int) time.Duration { return o.each[(len(o.each)-1)*p/100] }

// cpuTime is what this process has had of the processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchMemory returns a function that ends the watch and returns the most memory that the Go
// runtime held.
func watchMemory() func() uint64 {
	end, most := make(chan struct{}), make(chan uint64)
	go func() {
		samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		peak := uint64(0)
		for ended := false; !ended; {
			select {
			case <-tick.C:
			case <-end:
				ended = true
			}
			metrics.Read(samples)
			peak = max(peak, samples[0].Value.Uint64()-samples[1].Value.Uint64())
		}
		most <- peak
	}()
	return func() uint64 { close(end); return <-most }
}

// fleetBench is one comparison on fleets: what is done to them, how many servers at a time.
type fleetBench struct {
	name           string
	servers, limit int
	restart        redfishsim.Times
	poll           time.Duration // how often both sides look at a server that restarts
	knobs          redfishsim.Knobs
	gofish         bool // beside it
}

// fleetResult is what fleetBench finds.
type fleetResult struct {
	alone        time.Duration // what one server takes, when only one is configured at a time: the median
	first, again *outcome      // by us, and by us once more, which finds nothing to do
	gofish       *outcome      // by plainGofish, and
	expanding    *outcome      // by one with AutoExpand, so many servers as alone
}

// alone is how many servers are configured one by one to know what one takes.
const alone = 3

func (f fleetBench) measure() (r fleetResult, err error) {
	all, err := f.configure(min(alone, f.servers), 1, newCrowbarkit)
	if err != nil {
		return r, err
	}
	r.alone = all[0].percentile(50)
	if all, err = f.configure(f.servers, f.limit, newCrowbarkit, newSettled); err != nil {
		return r, err
	}
	r.first, r.again = all[0], all[1]
	if f.gofish {
		if all, err = f.configure(f.servers, f.limit, newPlainGofish); err != nil {
			return r, err
		}
		r.gofish = all[0]
		if all, err = f.configure(min(alone, f.servers), alone, newExpandingGofish); err != nil {
			return r, err
		}
		r.expanding = all[0]
	}
	return r, nil
}

// configure has a new fleet configured in these ways, one after the other.
func (f fleetBench) configure(servers, limit int, ways ...func(poll time.Duration) (configurer, error)) (all []*outcome, err error) {
	fleet, err := newFleet(servers, f.restart, f.knobs)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	for _, way := range ways {
		c, err := way(f.poll)
		if err != nil {
			return nil, err
		}
		o, err := fleet.run(limit, c)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func (f fleetBench) comparison() comparison {
	return comparison{name: f.name, more: func(w io.Writer) error {
		r, err := f.measure()
		if err != nil {
			return err
		}
		return f.print(w, r)
	}}
}

func (f fleetBench) print(w io.Writer, r fleetResult) error {
	batches := (f.servers + f.limit - 1) / f.limit
	ideal := time.Duration(batches) * r.alone
	line := func(format string, args ...any) { fmt.Fprintf(w, "bench: "+f.name+" "+format+"\n", args...) }
	beside := func(what, unit, peer string, ours, theirs float64) {
		line("%s ours=%.1f%s %s=%.1f%s ratio=%.2f", what, ours, unit, peer, theirs, unit, theirs/ours)
	}
	line("wall ours=%.1fs %dx-one-alone=%.1fs ratio=%.2f", r.first.wall.Seconds(), batches, ideal.Seconds(), ideal.Seconds()/r.first.wall.Seconds())
	if r.gofish != nil && len(r.first.failures)+len(r.gofish.failures) == 0 {
		for _, b := range []struct {
			what, unit string
			of         func(*outcome) float64
		}{
			{"wall", "s", func(o *outcome) float64 { return o.wall.Seconds() }},
			{"requests", "", func(o *outcome) float64 { return o.perServer(o.requests) }},
			{"bytes", "KB", func(o *outcome) float64 { return o.perServer(o.bytes) / 1e3 }},
			{"cpu", "ms", func(o *outcome) float64 { return o.perServer(o.cpu.Microseconds()) / 1e3 }},
			{"memory", "MB", func(o *outcome) float64 { return float64(o.memory) / 1e6 }},
		} {
			beside(b.what, b.unit, "gofish", b.of(r.first), b.of(r.gofish))
		}
		beside("requests", "", "gofish-expanding", r.first.perServer(r.first.requests), r.expanding.perServer(r.expanding.requests))
	}
	for _, o := range []struct {
		who string
		*outcome
	}{{"ours", r.first}, {"ours-again", r.again}, {"gofish", r.gofish}} {
		if o.outcome == nil {
			continue
		}
		line("%s: %d BMCs, %d at a time: %.1fs, failed %d, sessions left %d, most memory %.0fMB; each %.1fs (p50) to %.1fs (p99), %.1f requests, %.1f changes, %.1f connections, %.1fKB, %.1fms of processor", o.who, o.servers, f.limit,
			o.wall.Seconds(), len(o.failures), o.sessions, float64(o.memory)/1e6, o.percentile(50).Seconds(), o.percentile(99).Seconds(),
			o.perServer(o.requests), o.perServer(o.changes), o.perServer(o.connections), o.perServer(o.bytes)/1e3, o.perServer(o.cpu.Microseconds())/1e3)
		if len(o.failures) > 0 {
			line("%s: the first that failed: %v", o.who, o.failures[0])
		}
	}
	return nil
}

// fleetComparisons configure servers over TLS, client and simulated BMCs in this process: its
// processor time and memory are of both. Beside ours is a program that uses gofish alone; "one
// alone" is what a server takes us when it has the machine for itself. Ours does more: it pins
// certificates, knows from the registry what the BIOS takes, and looks for jobs and pending values.
func fleetComparisons(servers int) []comparison {
	var all []comparison
	for _, f := range []fleetBench{
		{name: "redfish-fleet-50", limit: 50},
		{name: "redfish-fleet-200", limit: 200},
		{name: "redfish-fleet-1000", limit: 1000, gofish: true},
		{name: "redfish-fleet-1000-latency-100ms", limit: 1000, knobs: redfishsim.Knobs{Latency: 100 * time.Millisecond}, gofish: true},
		{name: "redfish-fleet-200-busy", limit: 200, knobs: redfishsim.Knobs{ErrorRate: 0.01, SessionLimit: 4}, gofish: true},
	} {
		f.servers, f.restart, f.poll = servers, redfishsim.Times{Off: 500 * time.Millisecond, POST: 1500 * time.Millisecond}, 2*time.Second
		all = append(all, f.comparison())
	}
	return all
}
