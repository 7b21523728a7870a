package barclamp

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// An Event is a node coming into a state, seen by the barclamp of one committed proposal.
type Event struct {
	Node     Node
	State    string
	Name     string             // name of the proposal in force
	Document *proposal.Document // its revision in force
}

// A Step is one piece of work on one node.
type Step struct {
	// ID is stable: the same event gives the same ID. It is unique among the barclamp's steps
	// for the event.
	ID string
	// Title is what a person sees while the step runs, such as "create RAID10 on 4 disks".
	Title string
	// Skip, if set, says why there is nothing to run: Run is not called, and the reason is
	// shown wherever the node is explained.
	Skip string
	// Run does the work. It looks first and does only what is not done yet, because it is
	// called again after a crash.
	Run func(ctx context.Context, sc StepContext) error
}

// JoinSteps returns the step by which a hook makes the event's node a member of roles, as
// Crowbar's transitions did. There is none if the proposal's elements name the node in all of
// them already, and none for the admin node.
func (e Event) JoinSteps(roles ...string) []Step {
	elements := e.Document.Deployment().Elements
	missing := slices.DeleteFunc(slices.Clone(roles), func(role string) bool {
		return slices.Contains(elements[role], e.Node.Name)
	})
	if len(missing) == 0 || e.Node.Admin {
		return nil
	}
	return []Step{{
		ID:    "join",
		Title: "join " + strings.Join(missing, ", "),
		Run: func(ctx context.Context, sc StepContext) error {
			return sc.Data().Join(ctx, missing...)
		},
	}}
}

// A StepContext is what a running step may use of the engine. It is valid until Run returns.
type StepContext interface {
	// Node is the node as it was when the step began.
	Node() Node
	// Log writes to the job's log.
	Log() *slog.Logger
	// Progress shows how far the step is: fraction from 0 to 1, or negative if unknown.
	Progress(fraction float64, message string)
	// Authorize asks to destroy data and spends the grant for it. It returns nil once per
	// operation; after a crash once more for the same operation, for a step that has looked
	// and found it not done. Any error means: do not.
	Authorize(ctx context.Context, d Destruction) error
	// Data is the barclamp's part of the node's role, which it alone writes.
	Data() RoleData
}

// RoleData is a barclamp's part of a node's role (Crowbar's crowbar-<node>): what it has
// decided for this node. Membership that a hook adds lives here, never in a proposal.
type RoleData interface {
	// Get decodes the barclamp's data into the given pointer; false if there is none yet.
	Get(into any) (bool, error)
	// Put replaces the barclamp's data.
	Put(ctx context.Context, data any) error
	// Join makes the node a member of roles of the proposal in force.
	Join(ctx context.Context, roles ...string) error
	// ClaimAddress gives the node the first free candidate as its address in a network, and
	// the address it has there already if it has one. ErrExhausted if all are taken.
	ClaimAddress(ctx context.Context, network string, candidates iter.Seq[netip.Addr]) (netip.Addr, error)
}

// A Destruction is a request to destroy data.
type Destruction struct {
	// Operation identifies what is done, within the node; the plan and the step use the same.
	Operation string `json:"operation"`
	// Disks are the identities (Disk.Identity) of all disks that lose data.
	Disks []string `json:"disks"`
	// Description is for people: "delete volume factory (RAID1)".
	Description string `json:"description"`
}

// A Plan is what a barclamp would do to a node in a state.
type Plan struct {
	Text         string          `json:"text"`              // for people, several lines
	Detail       json.RawMessage `json:"detail,omitempty"`  // for programs, the barclamp's own shape
	Skipped      string          `json:"skipped,omitempty"` // why nothing will be done although something was asked for
	Destructions []Destruction   `json:"destructions,omitempty"`
}
