package crowbar

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"

	"github.com/crowbarkit/crowbarkit/barclamp"
)

// ErrUnauthorized says that a token is missing, wrong, or of an earlier boot.
var ErrUnauthorized = errors.New("crowbar: token not valid")

// A Ticket lets a machine that boots from the network speak for its node.
type Ticket struct {
	Node  string // name of the node, which need not exist yet
	Boot  int    // boot epoch: grows with each ticket of the node
	Token string // to be given back in reports; the engine keeps only its hash
}

// NewTicket makes the ticket for a network boot and ends the tickets of earlier boots, so that
// a machine which was replaced or reset cannot speak any more. A local boot needs none: the
// installed system keeps the ticket of its installer. state is that by which the boot was
// decided, "" for a node that does not exist; if it is another by now, ErrConflict is returned
// and no ticket ends.
//
// A network boot is not authenticated: whoever asks with a machine's MAC gets its ticket. A
// ticket lets it report, never read secrets, and destroy only what was granted.
func (e *Engine) NewTicket(ctx context.Context, mac net.HardwareAddr, state string) (*Ticket, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("crowbar: make a token: %w", err)
	}
	t := &Ticket{Node: e.NodeName(mac), Token: base64.RawURLEncoding.EncodeToString(secret), Boot: 1}
	e.ticketing.Lock() // two first tickets of one machine have no record in common
	defer e.ticketing.Unlock()
	for ctx.Err() == nil {
		n, revision := e.nodes.get(RoleName(t.Node))
		now := ""
		if revision != 0 {
			now = n.Lifecycle.State
		}
		if now != state {
			return nil, fmt.Errorf("%w: node %s went to %s while it asked what to boot", ErrConflict, t.Node, now)
		}
		c := &change{conditions: []Condition{{Key: rolePrefix + RoleName(t.Node), Revision: revision}}}
		if id, ok := e.ticketOf[t.Node]; ok {
			if old, revision := e.tokens.get(id); revision != 0 {
				drop(c, e.tokens, id, revision)
				t.Boot = max(t.Boot, old.Boot+1)
			}
		}
		if f, ok := e.Facts(t.Node); ok {
			t.Boot = max(t.Boot, f.Boot+1)
		}
		put(c, e.tokens, tokenID(t.Token), &Token{Node: t.Node, MAC: mac.String(), Boot: t.Boot, Issued: e.clock.Now().UTC()}, 0)
		err := e.engine.commit(ctx, c)
		if errors.Is(err, ErrConflict) {
			continue // what was conflicted with is looked at again
		}
		if err == nil {
			e.ticketOf[t.Node] = tokenID(t.Token)
		}
		return t, err
	}
	return nil, ctx.Err()
}

func tokenID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// checkToken returns the ticket's record if it lets its holder speak for the node.
func (e *Engine) checkToken(node, token string) (*Token, error) {
	t, revision := e.tokens.get(tokenID(token))
	if revision == 0 || t.Node != node {
		return nil, fmt.Errorf("%w for node %s: it is of an earlier boot or of another node", ErrUnauthorized, node)
	}
	return t, nil
}

// A Report is what a node says of itself.
type Report struct {
	// Sequence grows by one with each report of a boot. A report that is not newer than the
	// last one changes nothing: late, repeated and reordered reports are harmless.
	Sequence int
	// State is the state that the node asks to go to; empty if it only tells.
	State string
	// Reason says why, such as what failed on the way to problem.
	Reason string
	// Facts replace the node's facts; nil leaves them.
	Facts *barclamp.Facts
}

// Report takes what a node says, with the token of its boot. A node that is not known yet is
// created by it. The reply is the node as it is afterwards. A state that the lifecycle does
// not allow is refused with a *statemachine.TransitionError; the facts are kept even so.
func (e *Engine) Report(ctx context.Context, name, token string, r Report) (*Node, error) {
	t, err := e.checkToken(name, token)
	if err != nil {
		return nil, err
	}
	if err := e.keepFacts(ctx, t, r); err != nil {
		return nil, err
	}
	if _, known := e.nodes.get(RoleName(name)); known == 0 {
		if err := e.createNode(ctx, name); err != nil {
			return nil, err
		}
	}
	if r.State == "" {
		return e.Node(name)
	}
	// What a report asks is done once, and the node's record says so in the same write: a
	// report that is repeated because its first answer was lost finishes what is left of it.
	this := Heard{Boot: t.Boot, Sequence: r.Sequence}
	return e.updateNode(ctx, name, func(n *Node, c *change) error {
		if !n.Heard.before(this) {
			return errNothing
		}
		n.Heard = this
		err := e.fireTo(n, c, r.State, By{Actor: actorNode, Name: name, Reason: r.Reason})
		if errors.Is(err, errNothing) {
			return nil // it is there already; that it asked is kept
		}
		return err
	})
}

// keepFacts writes the node's own record, unless the report is not newer than it.
func (e *Engine) keepFacts(ctx context.Context, t *Token, r Report) error {
	for ctx.Err() == nil {
		f := &Facts{Node: t.Node, Boot: t.Boot, Sequence: r.Sequence, Reported: e.clock.Now().UTC()}
		old, revision := e.facts.get(t.Node)
		if revision != 0 {
			if !(Heard{old.Boot, old.Sequence}).before(Heard{t.Boot, r.Sequence}) {
				return nil
			}
			f.Facts = old.Facts
		}
		if r.Facts != nil {
			f.Facts = *r.Facts
		}
		c := &change{}
		put(c, e.facts, t.Node, f, revision)
		if err := e.node.commit(ctx, c); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return ctx.Err()
}

// AwaitOrders is Await for the node itself, with the token of its boot.
func (e *Engine) AwaitOrders(ctx context.Context, name, token string, visit int64) (*Node, error) {
	if _, err := e.checkToken(name, token); err != nil {
		return nil, err
	}
	return e.Await(ctx, name, visit)
}

// AuthorizeNode lets a node destroy data itself: an installer asks before it writes to a
// disk. It is the same grant that the engine's own steps spend. The same boot may ask again,
// for an answer that it did not hear; a later boot may not, because nobody can say how far
// the earlier one came.
func (e *Engine) AuthorizeNode(ctx context.Context, name, token string, d barclamp.Destruction) error {
	t, err := e.checkToken(name, token)
	if err != nil {
		return err
	}
	return e.spend(ctx, name, d, attempt{by: fmt.Sprintf("boot-%d", t.Boot)})
}
