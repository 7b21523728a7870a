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

// nodeUpdate changes a clone of a node's record and may add more to the change. errNothing says
// that the record is right as it is.
type nodeUpdate func(n *Node, c *change) error

var errNothing = errors.New("nothing to change")

// updateNode changes a node's record by compare-and-set: update sees the present record, and
// again the newer one if somebody was faster.
func (e *Engine) updateNode(ctx context.Context, name string, update nodeUpdate) (*Node, error) {
	for ctx.Err() == nil {
		present, revision := e.nodes.get(RoleName(name))
		if revision == 0 {
			return nil, fmt.Errorf("%w: no node is called %q", ErrNotFound, name)
		}
		n, c := present.clone(), &change{}
		if err := update(n, c); errors.Is(err, errNothing) {
			return present, nil
		} else if err != nil {
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
	case lifecycle.Discovering: // its life begins anew, with what hooks give it from here on
		n.Allocated, n.Skipped, n.Applied, n.Hooks, n.Data = false, nil, nil, nil, nil
	case lifecycle.Discovered:
		n.Allocated, n.Skipped, n.Applied = false, nil, nil
	case lifecycle.Installing, lifecycle.Reinstall: // a new system has no roles
		n.Applied = nil
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

// By says who asks for something.
type By struct {
	Actor  string // of the lifecycle: operator, node, …
	Name   string // who that is, for the events; default Actor
	Reason string // why; it is shown with the node
}

// Transition asks for a node to go into a state, as Crowbar's transition call does: by name
// of the state. Asking for the present state is harmless and changes nothing. A way that the
// lifecycle does not have, or not for this actor, is a *statemachine.TransitionError.
func (e *Engine) Transition(ctx context.Context, name, state string, by By) (*Node, error) {
	n, err := e.Node(name)
	if err != nil {
		return nil, err
	}
	return e.updateNode(ctx, n.Name, func(n *Node, c *change) error {
		return e.fireTo(n, c, state, by)
	})
}

func (e *Engine) fireTo(n *Node, c *change, state string, by By) error {
	if n.Lifecycle.State == state {
		return errNothing
	}
	m := e.lifecycle.Machine()
	if _, known := m.State(state); !known {
		return fmt.Errorf("%w: no state is called %q; see docs/lifecycle.md", ErrInvalid, state)
	}
	event, ok := m.EventTo(n.Lifecycle.State, state, by.Actor)
	if !ok {
		event = state // the machine says what is allowed instead
	}
	err := e.fire(n, c, statemachine.Event{Name: event, Actor: by.Actor, Reason: by.Reason})
	if err == nil && by.Name != "" {
		c.events[len(c.events)-1].Actor = by.Name
	}
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
	return n.Lifecycle.Phase == statemachine.PhaseEntering || e.expired(n, now) || e.ended(n)
}

// ended says whether a node is at the end of its life.
func (e *Engine) ended(n *Node) bool {
	s, known := e.lifecycle.Machine().State(n.Lifecycle.State)
	return known && s.Kind == statemachine.End && n.Lifecycle.Phase == statemachine.PhaseSettled
}

// forget removes a node that has been deleted, with everything that is kept about it: its
// tickets, so that it cannot speak any more, its addresses and its grants. The events stay. A
// machine that boots with its MAC later is a new one.
func (e *Engine) forget(ctx context.Context, n *Node) error {
	parts := &change{}
	dropAll(parts, e.tokens, func(t *Token) bool { return t.Node == n.Name })
	dropAll(parts, e.allocations, func(a *Allocation) bool { return a.Node == n.Name })
	dropAll(parts, e.grants, func(g *Grant) bool { return g.Node == n.Name })
	for _, c := range parts.split(MaxTxnOps / 2) { // a condition and an op each
		if err := e.engine.commit(ctx, c); err != nil {
			return err
		}
	}
	if f, revision := e.facts.get(n.Name); revision != 0 {
		c := &change{}
		drop(c, e.facts, f.Node, revision)
		if err := e.node.commit(ctx, c); err != nil {
			return err
		}
	}
	_, revision := e.nodes.get(RoleName(n.Name))
	c := &change{}
	drop(c, e.nodes, RoleName(n.Name), revision)
	c.tell(actorEngine, "node.deleted", n.Name, fmt.Sprintf("%s was forgotten with its addresses and grants", n.Name))
	c.after(e.wakeJobs)
	return e.engine.commit(ctx, c)
}

// graceAfterStop is how long a node has after the engine was stopped or paused: while it was,
// nobody could report, and an outage is not the nodes' fault.
const graceAfterStop = 10 * time.Minute

// deadline is when the time of a node's state is over, if its state has a deadline.
func (e *Engine) deadline(n *Node) time.Time {
	if grace := e.working().Add(graceAfterStop); n.Lifecycle.Deadline.Before(grace) && n.Lifecycle.Since.Before(e.working()) {
		return grace
	}
	return n.Lifecycle.Deadline
}

// expired says whether the time of a node's state is over. While a job applies a proposal, its
// waves have their own time.
func (e *Engine) expired(n *Node, now time.Time) bool {
	if n.Lifecycle.Deadline.IsZero() || n.Lifecycle.State == lifecycle.Applying && e.applying(n) {
		return false
	}
	return !now.Before(e.deadline(n))
}

// applying says whether the job that took the node is still at work.
func (e *Engine) applying(n *Node) bool {
	j, revision := e.jobs.get(n.Job)
	return revision != 0 && j.Kind == JobApply && j.Active()
}

// working is since when the engine has been at work without a stop or a pause.
func (e *Engine) working() time.Time { return time.Unix(0, e.workingSince.Load()) }

// reconcile does what is due for a node: the hooks of a state it has come into, or leaving a
// state whose time is over. What fails here is tried again at the next sweep.
func (e *Engine) reconcile(ctx context.Context, name string) {
	n, revision := e.nodes.get(RoleName(name))
	if revision == 0 || e.Paused() != "" {
		return
	}
	var err error
	switch {
	case e.expired(n, e.clock.Now()):
		visit := n.Lifecycle.Visit
		_, err = e.updateNode(ctx, name, func(n *Node, c *change) error {
			return e.fire(n, c, statemachine.Event{Name: statemachine.Deadline, Visit: visit})
		})
	case n.Lifecycle.Phase == statemachine.PhaseEntering:
		err = e.runHooks(ctx, n)
	case e.ended(n):
		err = e.forget(ctx, n)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, statemachine.ErrStale) {
		e.log.Error("node not reconciled", "node", name, "error", err)
	}
}
