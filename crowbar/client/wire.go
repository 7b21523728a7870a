package client

import (
	"encoding/json"
	"net/netip"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Status is the server at a glance.
type Status struct {
	Version   string         `json:"version"`
	Simulated bool           `json:"simulated"`        // the nodes of its store are simulated
	Paused    string         `json:"paused,omitempty"` // why no new work starts; empty: it does
	Busy      bool           `json:"busy"`             // something is under way, or about to be
	Nodes     map[string]int `json:"nodes"`            // how many nodes are in each state
	LastEvent int64          `json:"last_event"`       // sequence number of the newest event
}

// Node is a node with everything that concerns it.
type Node struct {
	Name      string    `json:"name"` // d<boot MAC with dashes>.<domain>, immutable
	Alias     string    `json:"alias,omitempty"`
	State     string    `json:"state"`
	Phase     string    `json:"phase"`            // entering, settled or failed
	Reason    string    `json:"reason,omitempty"` // why it came into the state, or why it failed there
	Visit     int64     `json:"visit"`            // counts the states entered
	Since     time.Time `json:"since"`
	Deadline  time.Time `json:"deadline,omitzero"` // when the state times out
	Simulated bool      `json:"simulated,omitempty"`

	Allocated    bool   `json:"allocated"`
	Epoch        int    `json:"epoch"` // counts the allocations
	IntendedRole string `json:"intended_role,omitempty"`

	Roles       []string              `json:"roles"` // sorted, each once
	Memberships []barclamp.Membership `json:"memberships"`
	Addresses   map[string]netip.Addr `json:"addresses,omitempty"` // by network
	// Data is each barclamp's part of the node's role, by the barclamp's name.
	Data map[string]json.RawMessage `json:"data,omitempty"`

	Applied  []AppliedRole `json:"applied,omitempty"`
	Skipped  []Skip        `json:"skipped,omitempty"`
	Visits   []Visit       `json:"visits,omitempty"` // the path since discovery, oldest first
	Progress *Progress     `json:"progress,omitempty"`
	// Facts are what the node last reported of itself. Lists of nodes leave them out.
	Facts *barclamp.Facts `json:"facts,omitempty"`
}

// AppliedRole says that a role has been applied to a node, and from which revision.
type AppliedRole struct {
	Proposal proposal.Key `json:"proposal"`
	Role     string       `json:"role"`
	Revision int          `json:"revision"`
	At       time.Time    `json:"at"`
}

// Skip is work that was not done, and why.
type Skip struct {
	State    string `json:"state"`
	Barclamp string `json:"barclamp"`
	Reason   string `json:"reason"`
}

// Visit is a stay in a state; the present one has not been left.
type Visit struct {
	State   string    `json:"state"`
	Entered time.Time `json:"entered"`
	Left    time.Time `json:"left,omitzero"`
	Seconds float64   `json:"seconds"` // until it was left, or until now
}

// Progress is the step that runs on a node.
type Progress struct {
	Job      string  `json:"job"`
	Title    string  `json:"title"`
	Fraction float64 `json:"fraction"` // from 0 to 1, negative if unknown
	Message  string  `json:"message,omitempty"`
}

// Explanation says why a node is where it is and what would move it on.
type Explanation struct {
	Node     string    `json:"node"`
	State    string    `json:"state"`
	Phase    string    `json:"phase"`
	Actor    string    `json:"actor"` // who moves it on: operator, node, engine, bmc
	Since    time.Time `json:"since"`
	Deadline time.Time `json:"deadline,omitzero"`
	Sentence string    `json:"sentence"`
	Command  string    `json:"command,omitempty"` // what an operator can do; empty: nothing
	Skipped  []Skip    `json:"skipped,omitempty"`
	Waiting  []string  `json:"waiting,omitempty"` // jobs that wait for their turn on the node
	Next     []Next    `json:"next"`
}

// Next is a way out of a state.
type Next struct {
	Event   string   `json:"event"`
	To      string   `json:"to"`
	Actors  []string `json:"actors"`
	Blocked string   `json:"blocked,omitempty"`
}

// Plan is what allocating a node will do to it.
type Plan struct {
	Node  string     `json:"node"`
	Parts []PlanPart `json:"parts"`
	// Destructions lists everything that will lose data; Hash names it, for Allocate.
	Destructions []barclamp.Destruction `json:"destructions"`
	Hash         string                 `json:"hash"`
	Refused      string                 `json:"refused,omitempty"` // why the node cannot be allocated all the same
}

// PlanPart is one barclamp's plan in one state.
type PlanPart struct {
	Barclamp string `json:"barclamp"`
	State    string `json:"state"`
	barclamp.Plan
}

// AllocateOptions are the operator's word on what a node may lose.
type AllocateOptions struct {
	// PlanHash is the hash of the plan that the operator was shown; ErrConflict if the plan
	// is another one by now.
	PlanHash string `json:"plan_hash,omitempty"`
	// AllowDestroy grants whatever the present plan destroys.
	AllowDestroy bool `json:"allow_destroy,omitempty"`
	// IntendedRole, if set, is recorded on the node: controller, compute, storage, …
	IntendedRole string `json:"intended_role,omitempty"`
}

// Barclamp describes a module of the server.
type Barclamp struct {
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Description   string   `json:"description"`
	Roles         []Role   `json:"roles"`
	Requires      []string `json:"requires,omitempty"`
	RunOrder      int      `json:"run_order"`
	AllowMultiple bool     `json:"allow_multiple"`
	Proposals     []string `json:"proposals"` // names of its proposals
	// Template and Schema are in the answer for one barclamp; lists leave them out.
	Template json.RawMessage `json:"template,omitempty"`
	Schema   json.RawMessage `json:"schema,omitempty"`
}

// Role is a role of a barclamp with the rules for the nodes in it.
type Role struct {
	Name          string   `json:"name"`
	Minimum       int      `json:"minimum,omitempty"`
	Count         int      `json:"count,omitempty"` // at most; 0 is unlimited
	Odd           bool     `json:"odd,omitempty"`
	Unique        bool     `json:"unique,omitempty"`
	ConflictsWith []string `json:"conflicts_with,omitempty"`
	Admin         bool     `json:"admin,omitempty"`
}

// Job is long work of the engine.
type Job struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"` // transition: a node's hooks; apply: a committed proposal
	Title    string    `json:"title"`
	Status   string    `json:"status"` // queued, running, done or failed
	Reason   string    `json:"reason,omitempty"`
	Waiting  string    `json:"waiting,omitempty"` // what a queued job waits for
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Steps    []JobStep `json:"steps,omitempty"`

	Node  string `json:"node,omitempty"` // of a transition
	State string `json:"state,omitempty"`

	Proposal proposal.Key      `json:"proposal,omitzero"` // of an apply
	Revision int               `json:"revision,omitempty"`
	Wave     int               `json:"wave,omitempty"`     // first wave that has not been finished
	Failures map[string]string `json:"failures,omitempty"` // nodes that were left behind, and why
}

// Active says whether the job still has something to do.
func (j *Job) Active() bool { return j.Status == JobQueued || j.Status == JobRunning }

// The states of a job.
const (
	JobQueued  = "queued"
	JobRunning = "running"
	JobDone    = "done"
	JobFailed  = "failed"
)

// JobStep is one step of a job.
type JobStep struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Node     string    `json:"node,omitempty"`
	Status   string    `json:"status"` // running, done, skipped or failed
	Detail   string    `json:"detail,omitempty"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
}

// Event is one entry of the server's log: what changed, who did it and why. Each holds the
// hash of the one before.
type Event struct {
	Sequence int64     `json:"sequence"` // from 1, without gaps
	Time     time.Time `json:"time"`
	Actor    string    `json:"actor"` // an operator, "engine", "node", or a node's name
	Kind     string    `json:"kind"`  // node.state, proposal.committed, …
	Subject  string    `json:"subject"`
	Message  string    `json:"message"`
	State    string    `json:"state,omitempty"` // that a node came into
	Previous string    `json:"previous_hash"`
	Hash     string    `json:"hash"`
}
