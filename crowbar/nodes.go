package crowbar

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// Who fires events that no operator fires.
const (
	actorEngine = lifecycle.ActorEngine
	actorNode   = lifecycle.ActorNode
)

// Nodes lists all nodes by name. The records must not be modified.
func (e *Engine) Nodes() []*Node { return e.nodes.list() }

// Node returns a node by its name, with or without the engine's domain, or by its alias; or
// ErrNotFound. The record must not be modified.
func (e *Engine) Node(name string) (*Node, error) {
	for _, full := range []string{name, name + "." + e.config.Domain} {
		if n, revision := e.nodes.get(RoleName(full)); revision != 0 && n.Name == full {
			return n, nil
		}
	}
	for _, n := range e.nodes.list() {
		if n.Alias != "" && n.Alias == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("%w: no node is called %q; list them: crowbar node list", ErrNotFound, name)
}

// Facts returns what a node last reported of itself; false before its first report.
func (e *Engine) Facts(node string) (*Facts, bool) {
	f, revision := e.facts.get(node)
	return f, revision != 0
}

// NodeName is the name of the machine that boots from mac: d<mac with dashes>.<domain>.
func (e *Engine) NodeName(mac net.HardwareAddr) string {
	return "d" + strings.ReplaceAll(mac.String(), ":", "-") + "." + e.config.Domain
}

// nodeUpdate changes a clone of a node's record and may add more to the change.
type nodeUpdate func(n *Node, c *change) error

// updateNode changes a node's record by compare-and-set: update sees the present record, and
// again the newer one if somebody was faster.
func (e *Engine) updateNode(ctx context.Context, name string, update nodeUpdate) (*Node, error) {
	for ctx.Err() == nil {
		present, revision := e.nodes.get(RoleName(name))
		if revision == 0 {
			return nil, fmt.Errorf("%w: no node is called %q", ErrNotFound, name)
		}
		n, c := present.clone(), &change{}
		if err := update(n, c); err != nil {
			return nil, err
		}
		put(c, e.nodes, RoleName(name), n, revision)
		err := e.engine.commit(ctx, c)
		if errors.Is(err, ErrConflict) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("crowbar: node %s: %w", name, err)
		}
		return n, nil
	}
	return nil, ctx.Err()
}

// createNode makes the record of a machine that was never seen before.
func (e *Engine) createNode(ctx context.Context, name string) error {
	role := RoleName(name)
	if strings.Contains(role, configInfix) {
		return fmt.Errorf("%w: node name %q would collide with the role of a proposal", ErrInvalid, name)
	}
	if other, revision := e.nodes.get(role); revision != 0 && other.Name != name {
		return fmt.Errorf("%w: node name %q would share the role %s with %s", ErrInvalid, name, role, other.Name)
	}
	instance, _ := e.lifecycle.Machine().Start(e.clock.Now())
	n := &Node{Name: name, Lifecycle: instance}
	n.visit(instance)
	c := &change{}
	put(c, e.nodes, role, n, 0)
	c.tell(name, "node.created", name, fmt.Sprintf("%s was seen for the first time", name))
	c.after(func() { e.due.add(name) })
	err := e.engine.commit(ctx, c)
	if errors.Is(err, ErrConflict) {
		return nil // created meanwhile
	}
	return err
}

// visit adds a state to the history.
func (n *Node) visit(to statemachine.Instance) {
	if last := len(n.Visits) - 1; last >= 0 {
		n.Visits[last].Left = to.Since
	}
	n.Visits = append(n.Visits, Visit{State: to.State, Entered: to.Since})
	if extra := len(n.Visits) - maxVisits; extra > 0 {
		n.Visits = n.Visits[extra:]
	}
}

// fire is the one place where a node's state changes: the machine decides, the record follows
// by compare-and-set, and what is to be done in the new state is marked as due.
func (e *Engine) fire(n *Node, c *change, ev statemachine.Event) error {
	ev.At = e.clock.Now()
	before := n.Lifecycle
	after, effects, err := e.lifecycle.Machine().Fire(before, ev, e.guard(n))
	if err != nil {
		return fmt.Errorf("crowbar: node %s: %w", n.Name, err)
	}
	n.Lifecycle = after
	name := n.Name
	c.after(func() {
		if after.State == lifecycle.Ready && after.Phase == statemachine.PhaseSettled {
			e.arrivals.add(name)
		}
		e.due.add(name)
		e.wakeJobs()
	})
	if len(effects) == 0 {
		return nil // the phase alone changed
	}
	n.visit(after)
	n.Job = ""
	switch after.State {
	case lifecycle.Discovering, lifecycle.Discovered: // at or before the pause: the next allocation begins anew
		n.Allocated, n.Skipped, n.Applied = false, nil, nil
	}
	message := fmt.Sprintf("%s went from %s to %s", n.Name, before.State, after.State)
	if after.Reason != "" {
		message += ": " + after.Reason
	}
	actor := ev.Actor
	if actor == "" {
		actor = actorEngine
	}
	c.tell(actor, "node.state", n.Name, message)
	c.events[len(c.events)-1].State = after.State
	return nil
}

// guard answers the lifecycle's guards for a node.
func (e *Engine) guard(n *Node) statemachine.Guard {
	return func(name string) error {
		switch name {
		case lifecycle.GuardGranted:
			if !n.Allocated {
				return fmt.Errorf("the node is not allocated: crowbar node allocate %s", n.Name)
			}
			if g, ok := e.grants.get(grantID(n.Name, n.Epoch)); ok != 0 && g.spent() {
				return fmt.Errorf("the grant of its allocation is spent: reset the node and allocate it again")
			}
			return nil
		default:
			return fmt.Errorf("the engine knows no guard %q", name)
		}
	}
}

// Transition asks for a node to go into a state, as Crowbar's transition call does: by name
// of the state, on behalf of an actor of the lifecycle (operator, node). Asking for the
// present state is harmless and changes nothing.
func (e *Engine) Transition(ctx context.Context, name, state, actor string) (*Node, error) {
	return e.updateNode(ctx, name, func(n *Node, c *change) error {
		return e.fireTo(n, c, state, actor)
	})
}

func (e *Engine) fireTo(n *Node, c *change, state, actor string) error {
	if n.Lifecycle.State == state {
		return nil
	}
	m := e.lifecycle.Machine()
	if _, known := m.State(state); !known {
		return fmt.Errorf("%w: no state is called %q; see docs/lifecycle.md", ErrInvalid, state)
	}
	event, ok := m.EventTo(n.Lifecycle.State, state, actor)
	if !ok {
		event = state // the machine says what is allowed instead
	}
	err := e.fire(n, c, statemachine.Event{Name: event, Actor: actor})
	var refused *statemachine.TransitionError
	if errors.Is(err, statemachine.ErrUnknownEvent) && errors.As(err, &refused) {
		// The state is known; that no event has its name is nobody's business.
		told := *refused
		told.To, told.Err = state, statemachine.ErrNotAllowed
		return fmt.Errorf("crowbar: node %s: %w", n.Name, &told)
	}
	return err
}

// Await returns the node once it rests in a later visit than the given one, or as it is when
// ctx ends (with ctx.Err()). Agents wait here for what to do next.
func (e *Engine) Await(ctx context.Context, name string, visit int64) (*Node, error) {
	for {
		n, revision, replaced := e.nodes.watch(RoleName(name))
		if revision == 0 {
			return nil, fmt.Errorf("%w: no node is called %q", ErrNotFound, name)
		}
		if n.Lifecycle.Visit > visit && n.Lifecycle.Phase != statemachine.PhaseEntering {
			return n, nil
		}
		select {
		case <-ctx.Done():
			return n, ctx.Err()
		case <-replaced:
		}
	}
}

// needsWork says whether reconcile has something to do for the node.
func (e *Engine) needsWork(n *Node, now time.Time) bool {
	return n.Lifecycle.Phase == statemachine.PhaseEntering || expired(n, now)
}

func expired(n *Node, now time.Time) bool {
	return !n.Lifecycle.Deadline.IsZero() && !now.Before(n.Lifecycle.Deadline)
}

// reconcile does what is due for a node: the hooks of a state it has come into, or leaving a
// state whose time is over. What fails here is tried again at the next sweep.
func (e *Engine) reconcile(ctx context.Context, name string) {
	n, revision := e.nodes.get(RoleName(name))
	if revision == 0 || e.Paused() != "" {
		return
	}
	var err error
	switch {
	case expired(n, e.clock.Now()):
		_, err = e.updateNode(ctx, name, func(n *Node, c *change) error {
			return e.fire(n, c, statemachine.Event{Name: statemachine.Deadline, Visit: n.Lifecycle.Visit})
		})
	case n.Lifecycle.Phase == statemachine.PhaseEntering:
		err = e.runHooks(ctx, n)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, statemachine.ErrStale) {
		e.log.Error("node not reconciled", "node", name, "error", err)
	}
}
