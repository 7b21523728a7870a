package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Proposal is a proposal as lists show it.
type Proposal struct {
	Barclamp string         `json:"barclamp"`
	Name     string         `json:"name"`
	Latest   int            `json:"latest"` // number of the newest revision
	Status   ProposalStatus `json:"status"`
}

// ProposalStatus is what the engine has made of a proposal.
type ProposalStatus struct {
	Status   string `json:"status"`            // draft, queued, applying, applied or failed
	Revision int    `json:"revision"`          // last committed; 0 if never
	Applied  int    `json:"applied"`           // last applied; 0 if none
	Reason   string `json:"reason,omitempty"`  // why it failed
	Waiting  string `json:"waiting,omitempty"` // what its job waits for
	Job      string `json:"job,omitempty"`
}

// Revision is one saved state of a proposal with its document, in which every value is as it
// was saved: number text, nulls, order of keys. Secrets are hidden: see [Client.Document].
type Revision struct {
	Barclamp string          `json:"barclamp"`
	Name     string          `json:"name"`
	Number   int             `json:"number"`
	Parent   int             `json:"parent"`
	Author   string          `json:"author"`
	Message  string          `json:"message,omitempty"`
	Time     time.Time       `json:"time"`
	Hash     string          `json:"hash,omitempty"` // of the content; none where it has secrets
	Status   ProposalStatus  `json:"status"`
	Document json.RawMessage `json:"document"`
}

// NewProposal asks for a proposal to be made.
type NewProposal struct {
	Barclamp string `json:"barclamp"`
	Name     string `json:"name"`
	Message  string `json:"message,omitempty"`
	// Document to start from instead of the barclamp's template; may be nil.
	Document json.RawMessage `json:"document,omitempty"`
}

// Created is a new proposal and why its nodes were chosen.
type Created struct {
	Revision     *Revision              `json:"revision"`
	Explanations []barclamp.Explanation `json:"explanations"`
}

// Saved is the outcome of a save: the newest revision.
type Saved struct {
	Revision
	// Unchanged: the newest revision said the same already, and none was added.
	Unchanged bool `json:"unchanged,omitempty"`
	// Merged lists the revisions that others saved meanwhile and that were merged with this one.
	Merged []int `json:"merged,omitempty"`
}

// Merge asks for the changes from one revision to a document (or to another revision) to be
// made to the newest revision, too.
type Merge struct {
	Base int `json:"base"` // the revision that the document was made from
	// Document with the changes; or, if it is nil, Revision has them.
	Document json.RawMessage `json:"document,omitempty"`
	Revision int             `json:"revision,omitempty"`
	// Resolve says for the path of a conflict whose value is taken: ours (of the newest
	// revision), theirs (of the document) or base.
	Resolve map[string]proposal.Side `json:"resolve,omitempty"`
	Message string                   `json:"message,omitempty"`
	// DryRun only says what would change, or which conflicts there are.
	DryRun bool `json:"dry_run,omitempty"`
}

// Merged is the outcome of a merge: what changed in the newest revision, and the revision
// that has it; of a dry run only the former.
type Merged struct {
	Saved *Saved `json:"saved,omitempty"`
	Diff  *Diff  `json:"diff"`
}

// RolledBack is the outcome of a rollback: the new revision, and what it undoes.
type RolledBack struct {
	Saved *Saved `json:"saved"`
	Diff  *Diff  `json:"diff"`
}

// HistoryEntry is a revision as a history lists it.
type HistoryEntry struct {
	Number  int       `json:"number"`
	Parent  int       `json:"parent"`
	Author  string    `json:"author"`
	Message string    `json:"message,omitempty"`
	Time    time.Time `json:"time"`
	Hash    string    `json:"hash,omitempty"`    // of the content; none where it has secrets
	Summary string    `json:"summary"`           // what changed since the parent, in one line
	Status  string    `json:"status,omitempty"`  // of the revision that is in force: queued, applying, applied or failed
	Applied bool      `json:"applied,omitempty"` // the last one that was applied
}

// ProposalPlan is what committing a revision now would do.
type ProposalPlan struct {
	Barclamp string `json:"barclamp"`
	Name     string `json:"name"`
	Revision int    `json:"revision"`
	InForce  int    `json:"in_force"` // the revision that it would replace; 0: none
	// Diff is what differs from the revision in force; nil if none is.
	Diff *Diff `json:"diff,omitempty"`
	// Waves are the roles that are applied one batch after another.
	Waves [][]string `json:"waves"`
	// Nodes are those that have or had a role, by name.
	Nodes []NodeChange `json:"nodes"`
	// Waiting is what the job would wait for before it starts; empty: nothing.
	Waiting string `json:"waiting,omitempty"`
	// Fails is why the job would fail at once, as too few nodes can be worked on; empty: it would not.
	Fails string `json:"fails,omitempty"`
	// Refused says why it cannot be committed; Problems lists what is wrong with the document.
	// RefusedCode is CodeRefused, or CodeConflict for what passes, such as a job that runs.
	Refused     string             `json:"refused,omitempty"`
	RefusedCode string             `json:"refused_code,omitempty"`
	Problems    []proposal.Problem `json:"problems,omitempty"`
	// Changes tells whether the commit would change anything: false if this revision, or one
	// that says the same, is in force and applied.
	Changes bool `json:"changes"`
}

// NodeChange is what a commit would do to a node.
type NodeChange struct {
	Node    string   `json:"node"`
	Alias   string   `json:"alias,omitempty"`
	State   string   `json:"state,omitempty"`   // empty: there is no such node
	Gains   []string `json:"gains,omitempty"`   // roles that it does not have by the revision in force
	Loses   []string `json:"loses,omitempty"`   // roles that it has no more
	Applies []string `json:"applies,omitempty"` // roles that the job applies to it, wave by wave
	// Note says what else there is to know: that it is waited for, or left out, and why.
	Note string `json:"note,omitempty"`
}

// Diff is the difference between two documents: a JSON Patch, and as people read it.
type Diff = proposal.Diff

// Committed is the outcome of a commit: the job is queued, or runs already.
type Committed struct {
	Status ProposalStatus `json:"status"`
	Job    *Job           `json:"job"`
}

// What a diff can compare beside revisions, which are written as numbers.
const (
	Latest   = ""         // the newest revision
	Applied  = "applied"  // the revision that was applied last
	Template = "template" // what the barclamp starts from
)

func proposalPath(k proposal.Key, rest ...string) []string {
	return append([]string{"proposals", k.Barclamp, k.Name}, rest...)
}

// Proposals lists the proposals of a barclamp ("": of all) by barclamp and name.
func (c *Client) Proposals(ctx context.Context, barclamp string) ([]Proposal, error) {
	r := get("proposals")
	if barclamp != "" {
		r.query = url.Values{"barclamp": {barclamp}}
	}
	return many[Proposal](ctx, c, r)
}

// Proposal returns a revision of a proposal, the latest for number 0.
func (c *Client) Proposal(ctx context.Context, k proposal.Key, number int) (*Revision, error) {
	r := get(proposalPath(k)...)
	r.query = url.Values{"revision": {strconv.Itoa(number)}}
	return one[Revision](ctx, c, r, nil)
}

// Document returns the text of a revision (0: the latest) as it was saved, white space
// included, and the revision's number. Each secret is hidden by a text that names it; saving a
// document with such texts leaves the secrets as they are.
func (c *Client) Document(ctx context.Context, k proposal.Key, number int) (text []byte, revision int, err error) {
	r := get(proposalPath(k, "document")...)
	r.query = url.Values{"revision": {strconv.Itoa(number)}}
	response, err := c.send(ctx, r)
	if err != nil {
		return nil, 0, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, 0, c.unreachable(ctx, err)
	}
	revision, err = strconv.Atoi(strings.Trim(response.Header.Get("ETag"), `"`))
	if err != nil {
		return nil, 0, c.stranger(response, err)
	}
	return text, revision, nil
}

// CreateProposal lets the barclamp propose, from its template or the given document.
// ErrExists if the proposal exists.
func (c *Client) CreateProposal(ctx context.Context, p NewProposal) (*Created, error) {
	return one[Created](ctx, c, post("proposals"), p)
}

// SaveOptions of SaveProposal and ImportProposal.
type SaveOptions struct {
	Message string // why, for the history
	// Base is the revision that the document was made from. If others saved since, their
	// changes are merged with this one's; ErrConflict with Error.Conflicts, and nothing saved,
	// where that cannot be. 0: the document becomes the newest revision whatever was before.
	Base int
	// Exactly refuses to merge: ErrConflict unless Base is the newest revision.
	Exactly bool
}

func (o SaveOptions) request(r request) request {
	r.query = url.Values{}
	if o.Message != "" {
		r.query.Set("message", o.Message)
	}
	switch {
	case o.Exactly:
		r.header = http.Header{"If-Match": {strconv.Quote(strconv.Itoa(o.Base))}}
	case o.Base > 0:
		r.query.Set("base", strconv.Itoa(o.Base))
	}
	return r
}

// SaveProposal saves a document as the next revision of a proposal, or as its first one. The
// document need not be JSON for this to be called: a wrong one is ErrInvalid, with what is
// wrong and where. A draft may be incomplete; what it must be to be committed, ValidateDocument tells.
func (c *Client) SaveProposal(ctx context.Context, k proposal.Key, document []byte, o SaveOptions) (*Saved, error) {
	r := o.request(request{method: http.MethodPut, path: at(proposalPath(k)...)})
	r.body = append([]byte{}, document...)
	return one[Saved](ctx, c, r, nil)
}

// ImportProposal is SaveProposal for a document that tells by its id which proposal it is of,
// unless a name is given.
func (c *Client) ImportProposal(ctx context.Context, document []byte, name string, o SaveOptions) (*Saved, error) {
	r := o.request(post("proposals", "import"))
	if name != "" {
		r.query.Set("name", name)
	}
	r.body = append([]byte{}, document...)
	return one[Saved](ctx, c, r, nil)
}

// MergeProposal makes changes to the newest revision that were made to an earlier one.
// ErrConflict with Error.Conflicts, and nothing saved, if some of them contradict each other
// and are not resolved.
func (c *Client) MergeProposal(ctx context.Context, k proposal.Key, m Merge) (*Merged, error) {
	return one[Merged](ctx, c, post(proposalPath(k, "merge")...), m)
}

// RollbackProposal saves a new revision that equals an earlier one.
func (c *Client) RollbackProposal(ctx context.Context, k proposal.Key, to int, message string) (*RolledBack, error) {
	return one[RolledBack](ctx, c, post(proposalPath(k, "rollback")...), map[string]any{"revision": to, "message": message})
}

// History lists revisions below number before (0: from the newest), newest first, at most limit
// (0: as many as the server sends at once, 100).
func (c *Client) History(ctx context.Context, k proposal.Key, before, limit int) ([]HistoryEntry, error) {
	r := get(proposalPath(k, "history")...)
	r.query = url.Values{"before": {strconv.Itoa(before)}, "limit": {strconv.Itoa(limit)}}
	return many[HistoryEntry](ctx, c, r)
}

// Diff compares two states of a proposal: revisions by number, Applied, Template, or Latest.
// ErrNotFound if there is none such.
func (c *Client) Diff(ctx context.Context, k proposal.Key, from, to string) (*Diff, error) {
	r := get(proposalPath(k, "diff")...)
	r.query = url.Values{"from": {from}, "to": {to}}
	return one[Diff](ctx, c, r, nil)
}

// ValidateProposal tells everything that keeps a revision (0: the latest) from being committed.
func (c *Client) ValidateProposal(ctx context.Context, k proposal.Key, number int) ([]proposal.Problem, error) {
	r := get(proposalPath(k, "validate")...)
	r.query = url.Values{"revision": {strconv.Itoa(number)}}
	return c.problems(ctx, r)
}

// ValidateDocument does the same for a document that is not saved, be it JSON or not.
func (c *Client) ValidateDocument(ctx context.Context, document []byte) ([]proposal.Problem, error) {
	r := post("proposals", "validate")
	r.body = append([]byte{}, document...)
	problems, err := c.problems(ctx, r)
	var refused *Error
	if errors.As(err, &refused) && refused.Code == CodeInvalid && len(refused.Problems) > 0 {
		return refused.Problems, nil
	}
	return problems, err
}

func (c *Client) problems(ctx context.Context, r request) ([]proposal.Problem, error) {
	var answer struct {
		Problems []proposal.Problem `json:"problems"`
	}
	err := c.call(ctx, r, nil, &answer)
	return answer.Problems, err
}

// PlanProposal tells what committing a revision (0: the latest) now would do to which node.
// Nothing is changed.
func (c *Client) PlanProposal(ctx context.Context, k proposal.Key, number int) (*ProposalPlan, error) {
	r := get(proposalPath(k, "plan")...)
	r.query = url.Values{"revision": {strconv.Itoa(number)}}
	return one[ProposalPlan](ctx, c, r, nil)
}

// Commit puts a revision in force (0: the latest) and returns the job that applies it.
// ErrInvalid with every problem if it cannot be committed.
func (c *Client) Commit(ctx context.Context, k proposal.Key, number int) (*Committed, error) {
	return one[Committed](ctx, c, post(proposalPath(k, "commit")...), map[string]int{"revision": number})
}
