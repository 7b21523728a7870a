package barclamptest

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"sync"

	"github.com/crowbarkit/crowbarkit/barclamp"
)

// StepContext is what a step is run with in a test. It keeps what the step does, and answers
// Authorize from a grant as the engine does. It is safe for concurrent use.
type StepContext struct {
	// Grant lists what may be destroyed; anything else is barclamp.ErrPlanChanged.
	Grant []barclamp.Destruction
	// Book holds the addresses that are taken. Contexts of several nodes may share one.
	Book *AddressBook

	node barclamp.Node

	mu         sync.Mutex
	authorized []barclamp.Destruction
	joined     []string
	messages   []string
	data       json.RawMessage
}

var (
	_ barclamp.StepContext = (*StepContext)(nil)
	_ barclamp.RoleData    = (*StepContext)(nil)
)

// NewStepContext returns a context for steps on a node, with no grant and an address book of
// its own.
func NewStepContext(n barclamp.Node) *StepContext {
	return &StepContext{node: n, Book: &AddressBook{}}
}

// Node is the node given to NewStepContext.
func (sc *StepContext) Node() barclamp.Node { return sc.node }

// Log discards.
func (sc *StepContext) Log() *slog.Logger { return slog.New(slog.DiscardHandler) }

// Progress keeps the message.
func (sc *StepContext) Progress(_ float64, message string) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.messages = append(sc.messages, message)
}

// Authorize allows what the grant lists, with no other disks.
func (sc *StepContext) Authorize(ctx context.Context, d barclamp.Destruction) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	for _, g := range sc.Grant {
		foreign := func(disk string) bool { return !slices.Contains(g.Disks, disk) }
		if g.Operation == d.Operation && !slices.ContainsFunc(d.Disks, foreign) {
			sc.authorized = append(sc.authorized, d)
			return nil
		}
	}
	return fmt.Errorf("%w: %s (%s) was not granted", barclamp.ErrPlanChanged, d.Operation, d.Description)
}

// Data is the context itself.
func (sc *StepContext) Data() barclamp.RoleData { return sc }

// Get decodes what Put was given last.
func (sc *StepContext) Get(into any) (bool, error) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if sc.data == nil {
		return false, nil
	}
	return true, json.Unmarshal(sc.data, into)
}

// Put keeps the data as JSON.
func (sc *StepContext) Put(ctx context.Context, data any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.data = raw
	return nil
}

// Join keeps the roles, each once.
func (sc *StepContext) Join(ctx context.Context, roles ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	sc.mu.Lock()
	defer sc.mu.Unlock()
	for _, role := range roles {
		if !slices.Contains(sc.joined, role) {
			sc.joined = append(sc.joined, role)
		}
	}
	return nil
}

// ClaimAddress takes the first candidate that is free in the book.
func (sc *StepContext) ClaimAddress(ctx context.Context, network string, candidates iter.Seq[netip.Addr]) (netip.Addr, error) {
	if err := ctx.Err(); err != nil {
		return netip.Addr{}, err
	}
	return sc.Book.claim(sc.node.Name, network, candidates)
}

// Authorized lists what was destroyed.
func (sc *StepContext) Authorized() []barclamp.Destruction {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return slices.Clone(sc.authorized)
}

// Joined lists the roles that were joined.
func (sc *StepContext) Joined() []string {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return slices.Clone(sc.joined)
}

// Messages lists the messages of Progress.
func (sc *StepContext) Messages() []string {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return slices.Clone(sc.messages)
}

// Stored is what Put was given last, as JSON; nil if it was not called.
func (sc *StepContext) Stored() json.RawMessage {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	return sc.data
}

// An AddressBook holds the addresses of a site's nodes. The zero value is empty.
type AddressBook struct {
	mu     sync.Mutex
	holder map[place]string
}

type place struct {
	network string
	address netip.Addr
}

func (b *AddressBook) claim(node, network string, candidates iter.Seq[netip.Addr]) (netip.Addr, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for p, holder := range b.holder {
		if holder == node && p.network == network {
			return p.address, nil
		}
	}
	for a := range candidates {
		p := place{network, a}
		if _, taken := b.holder[p]; taken {
			continue
		}
		if b.holder == nil {
			b.holder = map[place]string{}
		}
		b.holder[p] = node
		return a, nil
	}
	return netip.Addr{}, fmt.Errorf("%w in network %s for node %s", barclamp.ErrExhausted, network, node)
}

// Addresses lists the addresses of a network by node.
func (b *AddressBook) Addresses(network string) map[string]netip.Addr {
	b.mu.Lock()
	defer b.mu.Unlock()
	found := map[string]netip.Addr{}
	for p, node := range b.holder {
		if p.network == network {
			found[node] = p.address
		}
	}
	return found
}
