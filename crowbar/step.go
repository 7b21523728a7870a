package crowbar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Progress is how far the step that runs on a node is. It is not stored.
type Progress struct {
	Node     string  `json:"node"`
	Job      string  `json:"job"`
	Title    string  `json:"title"`
	Fraction float64 `json:"fraction"` // 0 to 1; negative if unknown
	Message  string  `json:"message,omitempty"`
}

// A progressBoard shows what runs at this moment.
type progressBoard struct {
	mu     sync.Mutex
	byNode map[string]Progress
}

func (b *progressBoard) show(p Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byNode == nil {
		b.byNode = map[string]Progress{}
	}
	b.byNode[p.Node] = p
}

func (b *progressBoard) clear(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byNode, node)
}

// Progress returns the step that runs on a node; false if none does.
func (e *Engine) Progress(node string) (Progress, bool) {
	e.progress.mu.Lock()
	defer e.progress.mu.Unlock()
	p, ok := e.progress.byNode[node]
	return p, ok
}

// stepContext is what a running step holds of the engine.
type stepContext struct {
	engine *Engine
	work   *hookRun
	node   string
	key    proposal.Key
	job    string
	step   barclamp.Step
	seen   barclamp.Node

	mu          sync.Mutex
	destructive bool // holds a place among the destructive steps
}

var (
	_ barclamp.StepContext = (*stepContext)(nil)
	_ barclamp.RoleData    = (*stepContext)(nil)
)

func newStepContext(w *hookRun, key proposal.Key, step barclamp.Step) *stepContext {
	n, _ := w.engine.nodes.get(RoleName(w.node))
	sc := &stepContext{engine: w.engine, work: w, node: w.node, key: key, job: w.job.ID, step: step, seen: w.engine.view(n)}
	sc.Progress(-1, "")
	return sc
}

// close gives up what the step held.
func (sc *stepContext) close() {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.engine.progress.clear(sc.node)
	if sc.destructive {
		<-sc.engine.destructive
		sc.destructive = false
	}
}

func (sc *stepContext) Node() barclamp.Node { return sc.seen }

func (sc *stepContext) Log() *slog.Logger {
	return sc.engine.log.With("node", sc.node, "job", sc.job, "step", sc.step.ID)
}

func (sc *stepContext) Progress(fraction float64, message string) {
	sc.engine.progress.show(Progress{Node: sc.node, Job: sc.job, Title: sc.step.Title, Fraction: fraction, Message: message})
}

func (sc *stepContext) Data() barclamp.RoleData { return sc }

// Authorize waits while the engine is paused and for a place among the destructive steps,
// which the step then keeps until it ends, and spends the grant.
func (sc *stepContext) Authorize(ctx context.Context, d barclamp.Destruction) error {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	for {
		if err := sc.turn(ctx); err != nil {
			return err
		}
		err := sc.engine.spend(ctx, sc.node, d, attempt{by: sc.engine.started, visit: sc.work.visit, looked: true})
		if !errors.Is(err, ErrPaused) {
			return err
		}
	}
}

// turn waits until the step may destroy.
func (sc *stepContext) turn(ctx context.Context) error {
	e := sc.engine
	defer sc.work.waiting()()
	for e.Paused() != "" {
		_, _, resumed := e.settings.watch("")
		if e.Paused() == "" {
			break
		}
		sc.Progress(-1, "waits until the engine is resumed")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-resumed:
		}
	}
	if sc.destructive {
		return nil
	}
	select {
	case e.destructive <- struct{}{}:
	default:
		sc.Progress(-1, "waits for its turn: as many nodes as allowed are losing data at this moment")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e.destructive <- struct{}{}:
		}
	}
	sc.destructive = true
	return nil
}

func (sc *stepContext) Get(into any) (bool, error) {
	n, _ := sc.engine.nodes.get(RoleName(sc.node))
	return sc.engine.view(n).Decode(sc.key.Barclamp, into)
}

func (sc *stepContext) Put(ctx context.Context, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("crowbar: data of %s for node %s: %w", sc.key.Barclamp, sc.node, err)
	}
	_, err = sc.engine.updateNode(ctx, sc.node, func(n *Node, c *change) error {
		n.Data = putKey(n.Data, sc.key.Barclamp, json.RawMessage(raw))
		return nil
	})
	return err
}

func (sc *stepContext) Join(ctx context.Context, roles ...string) error {
	_, err := sc.engine.updateNode(ctx, sc.node, func(n *Node, c *change) error {
		before := len(n.Hooks)
		for _, role := range roles {
			m := barclamp.Membership{Proposal: sc.key, Role: role, Hook: true}
			if !slices.Contains(n.Hooks, m) {
				n.Hooks = append(n.Hooks, m)
			}
		}
		if len(n.Hooks) == before {
			return errNothing
		}
		c.tell(sc.key.Barclamp, "node.joined", n.Name, fmt.Sprintf("%s joined %s of %s", n.Name, strings.Join(roles, ", "), sc.key))
		return nil
	})
	return err
}

// ClaimAddress writes the allocation and the node's address in one transaction; the
// allocation's key is created, so that two nodes can never hold one address.
func (sc *stepContext) ClaimAddress(ctx context.Context, network string, candidates iter.Seq[netip.Addr]) (netip.Addr, error) {
	e := sc.engine
	var claimed netip.Addr
	_, err := e.updateNode(ctx, sc.node, func(n *Node, c *change) error {
		claimed = n.Addresses[network]
		if claimed.IsValid() {
			return nil
		}
		for address := range candidates {
			id := network + "/" + address.String()
			if _, taken := e.allocations.get(id); taken != 0 {
				continue
			}
			claimed = address
			put(c, e.allocations, id, &Allocation{Network: network, Address: address, Node: n.Name, Since: e.clock.Now().UTC()}, 0)
			c.tell(sc.key.Barclamp, "node.address", n.Name, fmt.Sprintf("%s has %s in network %s", n.Name, address, network))
			n.Addresses = putKey(n.Addresses, network, address)
			return nil
		}
		return fmt.Errorf("%w in network %s for node %s", barclamp.ErrExhausted, network, n.Name)
	})
	return claimed, err
}

func putKey[V any](m map[string]V, key string, value V) map[string]V {
	m = maps.Clone(m)
	if m == nil {
		m = map[string]V{}
	}
	m[key] = value
	return m
}
