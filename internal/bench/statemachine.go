package main

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/looplab/fsm"
	"github.com/qmuntal/stateless"
)

// The same cycle of four states for all: found → installing → ready → resetting → found.
// One piece of work is one transition, with no hooks, guards or callbacks.
//
//   - Ours looks the transition up, checks the actor, and returns a new Instance (state,
//     phase, time, deadline, visit, reason) with the list of effects; who stores it is the
//     caller's affair. Nothing is locked, as nothing is shared.
//   - looplab/fsm and qmuntal/stateless keep the state inside, behind their locks, and would
//     run callbacks there. stateless fires in its immediate mode, the quicker of its two.
//
// So the peers guard a state in memory, which ours leaves to the store. That is the
// difference in design that the ratio shows; with a durable store none of it counts.
var cycle = []struct{ event, from, to string }{
	{"allocate", "found", "installing"},
	{"installed", "installing", "ready"},
	{"reset", "ready", "resetting"},
	{"discovered", "resetting", "found"},
}

// walker fires n transitions of the cycle, beginning where it stands.
type walker interface {
	walk(n int) error
	state() string
}

func statemachineFire() comparison {
	one := func(name string, build func() (walker, error)) contender {
		return contender{name, func(b *testing.B) error {
			w, err := build()
			if err != nil {
				return err
			}
			b.ResetTimer()
			return w.walk(b.N)
		}}
	}
	return comparison{
		name: "statemachine-fire",
		ours: one("ours", newOurs),
		peers: []contender{
			one("looplab-fsm", newLooplab),
			one("qmuntal-stateless", newStateless),
		},
	}
}

// statemachineFire64 has 64 goroutines, each with an instance of its own: of ours they share
// one Machine, of the peers each has its own, as those hold the state.
func statemachineFire64() comparison {
	const goroutines = 64
	many := func(name string, build func() (walker, error)) contender {
		return contender{name, func(b *testing.B) error {
			walkers := make([]walker, goroutines)
			for i := range walkers {
				w, err := build()
				if err != nil {
					return err
				}
				walkers[i] = w
			}
			errs := make([]error, goroutines)
			b.ResetTimer()
			var all sync.WaitGroup
			for i, w := range walkers {
				n := b.N / goroutines
				if i < b.N%goroutines {
					n++
				}
				all.Go(func() { errs[i] = w.walk(n) })
			}
			all.Wait()
			for _, err := range errs {
				if err != nil {
					return err
				}
			}
			return nil
		}}
	}
	machine, err := ourMachine()
	shared := func() (walker, error) { return ourWalker(machine), err }
	return comparison{
		name: "statemachine-fire-64",
		ours: many("ours", shared),
		peers: []contender{
			many("looplab-fsm", newLooplab),
			many("qmuntal-stateless", newStateless),
		},
	}
}

type ours struct {
	machine *statemachine.Machine
	in      statemachine.Instance
	at      time.Time
	next    int
	effects int
}

func ourMachine() (*statemachine.Machine, error) {
	d := statemachine.Definition{Name: "cycle", Initial: cycle[0].from}
	for _, c := range cycle {
		d.States = append(d.States, statemachine.State{
			Name: c.from, Kind: statemachine.Rest,
			Transitions: []statemachine.Transition{{Event: c.event, To: c.to, Actors: []string{"node"}}},
		})
	}
	return statemachine.New(d)
}

func ourWalker(m *statemachine.Machine) walker {
	if m == nil {
		return nil
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	in, _ := m.Start(at)
	return &ours{machine: m, in: in, at: at}
}

func newOurs() (walker, error) {
	m, err := ourMachine()
	return ourWalker(m), err
}

func (w *ours) state() string { return w.in.State }

func (w *ours) walk(n int) error {
	for range n {
		in, effects, err := w.machine.Fire(w.in, statemachine.Event{Name: cycle[w.next].event, Actor: "node", At: w.at}, nil)
		if err != nil {
			return err
		}
		w.in = in
		w.effects += len(effects)
		w.next = (w.next + 1) % len(cycle)
	}
	return nil
}

type looplab struct {
	machine *fsm.FSM
	next    int
}

func newLooplab() (walker, error) {
	var events fsm.Events
	for _, c := range cycle {
		events = append(events, fsm.EventDesc{Name: c.event, Src: []string{c.from}, Dst: c.to})
	}
	return &looplab{machine: fsm.NewFSM(cycle[0].from, events, fsm.Callbacks{})}, nil
}

func (w *looplab) state() string { return w.machine.Current() }

func (w *looplab) walk(n int) error {
	ctx := context.Background()
	for range n {
		if err := w.machine.Event(ctx, cycle[w.next].event); err != nil {
			return err
		}
		w.next = (w.next + 1) % len(cycle)
	}
	return nil
}

type qmuntal struct {
	machine *stateless.StateMachine
	next    int
}

func newStateless() (walker, error) {
	m := stateless.NewStateMachineWithMode(cycle[0].from, stateless.FiringImmediate)
	for _, c := range cycle {
		m.Configure(c.from).Permit(c.event, c.to)
	}
	return &qmuntal{machine: m}, nil
}

func (w *qmuntal) state() string { return fmt.Sprint(w.machine.MustState()) }

func (w *qmuntal) walk(n int) error {
	ctx := context.Background()
	for range n {
		if err := w.machine.FireCtx(ctx, cycle[w.next].event); err != nil {
			return err
		}
		w.next = (w.next + 1) % len(cycle)
	}
	return nil
}
