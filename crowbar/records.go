package crowbar

import (
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine"
)

// Node is the engine's record of a node: Crowbar's role crowbar-<node>. What the node says of
// itself is in [Facts]; which proposals name it is a query over the proposals in force.
type Node struct {
	Name string `json:"name"` // d<boot MAC with dashes>.<domain>, immutable
	// Alias is a short name for people; empty until somebody gives one.
	Alias string `json:"alias,omitempty"`
	// Lifecycle is where the node stands in the state machine.
	Lifecycle statemachine.Instance `json:"lifecycle"`
	// Allocated nodes have left the pause; Epoch counts the allocations and fences their grants.
	Allocated    bool   `json:"allocated"`
	Epoch        int    `json:"epoch"`
	IntendedRole string `json:"intended_role,omitempty"`
	// Hooks are memberships that transitions added.
	Hooks []barclamp.Membership `json:"hooks,omitempty"`
	// Addresses by network.
	Addresses map[string]netip.Addr `json:"addresses,omitempty"`
	// Data is each barclamp's own part, by its name.
	Data map[string]json.RawMessage `json:"data,omitempty"`
	// Applied lists what the jig has made of the node.
	Applied []AppliedRole `json:"applied,omitempty"`
	// Heard is the last report that asked for a state, handled in the write of its transition.
	Heard Heard `json:"heard,omitzero"`
	// Job is the work that the node waits for, if any.
	Job string `json:"job,omitempty"`
	// Skipped says what was left out in the present life of the node and why.
	Skipped []Skip `json:"skipped,omitempty"`
	// Visits is the path since discovery, oldest first; the last one has no end.
	Visits []Visit `json:"visits,omitempty"`
}

// Heard identifies a report: reports of a boot are numbered, and so are the boots.
type Heard struct {
	Boot     int `json:"boot_epoch"`
	Sequence int `json:"sequence"`
}

func (h Heard) before(other Heard) bool {
	return h.Boot < other.Boot || h.Boot == other.Boot && h.Sequence < other.Sequence
}

// AppliedRole says that a role has been applied to a node, at which revision of its proposal.
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

// Visit is a stay in a state.
type Visit struct {
	State   string    `json:"state"`
	Entered time.Time `json:"entered"`
	Left    time.Time `json:"left,omitzero"`
}

// maxVisits bounds the history kept in a node's record; the events hold the whole of it.
const maxVisits = 64

// clone copies what the engine changes in place; JSON values are replaced, never modified.
func (n *Node) clone() *Node {
	c := *n
	c.Hooks = slices.Clone(n.Hooks)
	c.Addresses = maps.Clone(n.Addresses)
	c.Data = maps.Clone(n.Data)
	c.Applied = slices.Clone(n.Applied)
	c.Skipped = slices.Clone(n.Skipped)
	c.Visits = slices.Clone(n.Visits)
	return &c
}

// RoleName is the name of a node's role: every dot of the node's name replaced (Crowbar).
func RoleName(node string) string { return "crowbar-" + strings.ReplaceAll(node, ".", "_") }

// configRole names what a committed proposal puts in force (Crowbar's config role).
func configRole(k proposal.Key) string { return k.Barclamp + configInfix + k.Name }

// configInfix tells config roles from the roles of nodes; no node's role name may contain it.
const configInfix = "-config-"

// Facts is the record that a node owns: what it last reported, and when.
type Facts struct {
	Node     string         `json:"node"`
	Boot     int            `json:"boot_epoch"`
	Sequence int            `json:"sequence"`
	Reported time.Time      `json:"reported"`
	Facts    barclamp.Facts `json:"facts"`
}

// ConfigRole is what a committed proposal put in force: Crowbar's role <barclamp>-config-<name>.
// The record only names the revision, which cannot change and is read with it.
type ConfigRole struct {
	Proposal proposal.Key       `json:"proposal"`
	Revision int                `json:"revision"`
	Document *proposal.Document `json:"-"`

	once   sync.Once
	parsed proposal.Deployment
}

// deployment is the document's, read once: hooks and jobs ask for it all the time.
func (c *ConfigRole) deployment() proposal.Deployment {
	c.once.Do(func() { c.parsed = c.Document.Deployment() })
	return c.parsed
}

// The life of a proposal.
const (
	StatusDraft    = "draft"
	StatusQueued   = "queued"
	StatusApplying = "applying"
	StatusApplied  = "applied"
	StatusFailed   = "failed"
)

// ProposalStatus is the engine's side of a proposal.
type ProposalStatus struct {
	Proposal proposal.Key `json:"proposal"`
	Status   string       `json:"status"`
	Revision int          `json:"revision"` // last committed; 0 if never
	Applied  int          `json:"applied"`  // last applied; 0 if none
	Reason   string       `json:"reason,omitempty"`
	Job      string       `json:"job,omitempty"`
}

// Kinds and states of a job.
const (
	JobTransition = "transition" // a node's hooks in a state
	JobApply      = "apply"      // a committed proposal, wave by wave

	JobQueued  = "queued"
	JobRunning = "running"
	JobDone    = "done"
	JobFailed  = "failed"
	// JobReplaced ends a job that a newer commit made pointless.
	JobReplaced = "replaced"
)

// Job is long work of the engine: journalled, resumed after a crash, shown while it runs.
type Job struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	Title    string    `json:"title"`
	Status   string    `json:"status"`
	Reason   string    `json:"reason,omitempty"` // what it waits for, or why it failed
	Created  time.Time `json:"created"`
	Started  time.Time `json:"started,omitzero"`
	Finished time.Time `json:"finished,omitzero"`
	Steps    []JobStep `json:"steps,omitempty"`

	// Of a transition: the node and its visit to the state.
	Node  string `json:"node,omitempty"`
	State string `json:"state,omitempty"`
	Visit int64  `json:"visit,omitempty"`

	// Of an apply: the frozen input is the config record at this revision.
	Proposal proposal.Key `json:"proposal,omitzero"`
	Revision int          `json:"revision,omitempty"`
	// Only limits the job to these nodes (empty: all of the proposal's).
	Only []string `json:"only,omitempty"`
	// Wave is the first wave that has not been finished.
	Wave int `json:"wave,omitempty"`
	// Failures are nodes that were left behind, with the reason.
	Failures map[string]string `json:"failures,omitempty"`
}

// Active says whether the job still has something to do.
func (j *Job) Active() bool { return j.Status == JobQueued || j.Status == JobRunning }

func (j *Job) clone() *Job {
	c := *j
	c.Steps = slices.Clone(j.Steps)
	c.Failures = maps.Clone(j.Failures)
	return &c
}

// States of a step.
const (
	StepRunning = "running"
	StepDone    = "done"
	StepSkipped = "skipped"
	StepFailed  = "failed"
)

// JobStep is the journal of one step.
type JobStep struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Node     string    `json:"node,omitempty"`
	Status   string    `json:"status"`
	Detail   string    `json:"detail,omitempty"` // why skipped or failed
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished,omitzero"`
}

// Grant permits a node's allocation to destroy data: each operation once.
type Grant struct {
	ID         string           `json:"id"`
	Node       string           `json:"node"`
	Epoch      int              `json:"epoch"`
	PlanHash   string           `json:"plan_hash"`
	Issued     time.Time        `json:"issued"`
	IssuedBy   string           `json:"issued_by"`
	Operations []GrantOperation `json:"operations"`
}

// GrantOperation is one destruction that a grant permits.
type GrantOperation struct {
	barclamp.Destruction
	// Spent names the attempt that spent it: an engine's run, or a node's boot.
	Spent   string    `json:"spent,omitempty"`
	SpentAt time.Time `json:"spent_at,omitzero"`
	// Attempts grows when a crash came between spending and doing, and looking showed it undone.
	Attempts int `json:"attempts,omitempty"`
}

// spent says that nothing is left of a grant which permitted something.
func (g *Grant) spent() bool {
	return len(g.Operations) > 0 && !slices.ContainsFunc(g.Operations, func(op GrantOperation) bool { return op.Spent == "" })
}

func (g *Grant) clone() *Grant {
	c := *g
	c.Operations = slices.Clone(g.Operations)
	return &c
}

// Allocation is an address that a node holds.
type Allocation struct {
	Network string     `json:"network"`
	Address netip.Addr `json:"address"`
	Node    string     `json:"node"`
	Since   time.Time  `json:"since"`
}

// Token lets one boot of a node speak for it. Only its hash is kept.
type Token struct {
	Node   string    `json:"node"`
	MAC    string    `json:"mac"`
	Boot   int       `json:"boot_epoch"`
	Issued time.Time `json:"issued"`
}

// Settings is the engine's own record of the site.
type Settings struct {
	Simulated bool   `json:"simulated"`        // its nodes are simulated; never mixed with real ones
	Paused    string `json:"paused,omitempty"` // why no new work starts; empty: it does
	// Recipient is the public key that the secrets of the store are sealed for; empty: none yet.
	Recipient string `json:"recipient,omitempty"`
}
