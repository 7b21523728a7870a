package crowbar

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Registry returns the barclamps of the engine.
func (e *Engine) Registry() *barclamp.Registry { return e.config.Registry }

// LatestRevision is the number of a proposal's newest revision; 0: there is no such proposal.
func (e *Engine) LatestRevision(k proposal.Key) int { return e.proposals.number(k) }

// Proposals is the store of all revisions, for reading and for saving drafts.
func (e *Engine) Proposals() proposal.Store { return e.proposals }

// Status returns the engine's side of a proposal. One that was never committed is a draft.
func (e *Engine) Status(k proposal.Key) *ProposalStatus {
	if s, revision := e.statuses.get(k.String()); revision != 0 {
		return s
	}
	return &ProposalStatus{Proposal: k, Status: StatusDraft}
}

// InForce returns what a committed proposal put in force; false if nothing.
func (e *Engine) InForce(k proposal.Key) (*ConfigRole, bool) {
	c, revision := e.configs.get(configRole(k))
	return c, revision != 0
}

// NewProposal asks for a proposal to be made.
type NewProposal struct {
	Key     proposal.Key
	From    *proposal.Document // instead of the barclamp's template; may be nil
	Author  string
	Message string
	// Edit changes what the barclamp proposes before it is saved; may be nil.
	Edit func(*proposal.Document) (*proposal.Document, error)
}

// CreateProposal lets the barclamp propose: its draft, laid over the template or the given
// document, becomes the first revision. Roles that the document fills keep their nodes. The
// explanations say why each node was chosen. proposal.ErrConflict if the proposal exists;
// barclamp.ErrNoBarclamp if there is neither such a barclamp nor a document.
func (e *Engine) CreateProposal(ctx context.Context, p NewProposal) (*proposal.Revision, []barclamp.Explanation, error) {
	if err := p.Key.Check(); err != nil {
		return nil, nil, err
	}
	b, base, err := e.base(p)
	if err != nil {
		return nil, nil, err
	}
	if e.proposals.number(p.Key) != 0 {
		return nil, nil, fmt.Errorf("%w: proposal %s exists; show it, or import a file as its next revision", proposal.ErrConflict, p.Key)
	}
	draft, err := b.Propose(ctx, e.Site())
	if err != nil {
		return nil, nil, fmt.Errorf("crowbar: %s proposes: %w", p.Key.Barclamp, err)
	}
	doc, err := draft.Document(base)
	if err != nil {
		return nil, nil, err
	}
	if doc, err = doc.WithName(p.Key.Name); err != nil {
		return nil, nil, err
	}
	if p.Edit != nil {
		if doc, err = p.Edit(doc); err != nil {
			return nil, nil, err
		}
	}
	saved, err := e.SaveProposal(ctx, SaveProposal{Key: p.Key, Document: doc, Author: p.Author, Message: p.Message, Exactly: true})
	if err != nil {
		return nil, nil, err
	}
	return saved.Revision, draft.Explanations, nil
}

func (e *Engine) base(p NewProposal) (barclamp.Barclamp, *proposal.Document, error) {
	if p.From != nil {
		if p.From.Barclamp() != p.Key.Barclamp {
			return nil, nil, fmt.Errorf("%w: the document is of barclamp %s, not of %s", ErrInvalid, p.From.Barclamp(), p.Key.Barclamp)
		}
		return e.config.Registry.For(p.From), p.From, nil
	}
	b, err := e.config.Registry.Get(p.Key.Barclamp)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; list them: crowbar barclamp list, or create it from a file", err)
	}
	return b, b.Info().Template, nil
}

// SaveProposal asks for a document to become the next revision of a proposal, or its first.
type SaveProposal struct {
	Key      proposal.Key
	Document *proposal.Document
	Author   string
	Message  string
	// Base is the revision that the document was made from. Changes that others saved since are
	// merged with it, see proposal.Save. 0: the newest there is, or none.
	Base int
	// Exactly refuses to merge: Base must be the newest revision, 0 that there is none.
	Exactly bool
	// Resolve says by path which side of a conflict is taken.
	Resolve map[string]proposal.Side
}

// SaveProposal stores a document. Where it has a hidden text for a secret, the base's secret
// stays. A draft may be incomplete; what it must be to be committed, Check tells.
//
// proposal.ErrConflict (as *proposal.MergeError where changes contradict each other) if it was
// not stored because of others; then both sides are as they were.
func (e *Engine) SaveProposal(ctx context.Context, p SaveProposal) (*proposal.Saved, error) {
	if err := p.Key.Check(); err != nil {
		return nil, err
	}
	base, latest := p.Base, e.LatestRevision(p.Key)
	if base == 0 && !p.Exactly {
		base = latest
	}
	if base > latest {
		return nil, e.noRevision(p.Key, base)
	}
	doc, err := e.withSecrets(ctx, p, base)
	if err != nil {
		return nil, err
	}
	if doc.Name() != p.Key.Name { // it is of another proposal, and says so in two places
		if doc, err = doc.WithName(p.Key.Name); err != nil {
			return nil, err
		}
	}
	r := e.revision(doc, p.Author, p.Message)
	if !p.Exactly {
		return proposal.Save(ctx, e.proposals, p.Key, base, r, &proposal.MergeOptions{Resolve: p.Resolve})
	}
	number, err := e.proposals.Append(ctx, p.Key, base, r)
	if err != nil {
		return nil, err
	}
	stored, err := e.proposals.Get(ctx, p.Key, number)
	return &proposal.Saved{Revision: stored}, err
}

func (e *Engine) revision(doc *proposal.Document, author, message string) proposal.Revision {
	return proposal.Revision{Author: author, Message: message, Time: e.clock.Now().UTC(), Document: doc}
}

// withSecrets puts the base's secrets where the document only has the text that hides them.
func (e *Engine) withSecrets(ctx context.Context, p SaveProposal, base int) (*proposal.Document, error) {
	doc, schema := p.Document, e.config.Registry.Schema(p.Key.Barclamp)
	var from *proposal.Document // nil: nothing is hidden, but there may be a slip that wants to be told
	if hidden := doc.HiddenSecrets(); len(hidden) > 0 {
		if base == 0 {
			return nil, fmt.Errorf("%w: %s is new, and its document has %d secrets that are hidden; type them in their place", ErrInvalid, p.Key, len(hidden))
		}
		if p.Base == 0 && doc.HiddenInLists() {
			return nil, fmt.Errorf("%w: the document has hidden secrets in lists, whose order may have changed since; say which revision it was made from: --base N", ErrInvalid)
		}
		r, err := e.proposals.Get(ctx, p.Key, base)
		if err != nil {
			return nil, err
		}
		from = r.Document
	}
	doc, err := doc.RestoreSecrets(from, schema)
	if err != nil {
		return nil, err
	}
	return schema.MarkSecrets(doc), nil
}

// Check validates a document as a commit does: structure, schema, placement on the present
// nodes, and the barclamp's own rules. Every problem is in the error, a
// *proposal.ValidationError.
func (e *Engine) Check(ctx context.Context, doc *proposal.Document) error {
	b := e.config.Registry.For(doc)
	site := e.Site()
	found := []error{
		proposal.Validate(doc, e.config.Registry.Schema(doc.Barclamp())),
		e.checkStates(doc),
		barclamp.CheckPlacement(b.Info(), doc, site),
	}
	if v := barclamp.Find(b).Validator; v != nil {
		found = append(found, v.Validate(ctx, site, doc))
	}
	var all []proposal.Problem
	for _, err := range found {
		var invalid *proposal.ValidationError
		switch {
		case err == nil:
		case !errors.As(err, &invalid):
			return err
		default:
			earlier := all
			for _, p := range invalid.Problems {
				// What is wrong with a place is told by the first who noticed.
				if !slices.ContainsFunc(earlier, func(q proposal.Problem) bool { return q.Path == p.Path }) {
					all = append(all, p)
				}
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	return &proposal.ValidationError{Problems: all}
}

// checkStates refuses a role with nodes whose element_states name no state of the lifecycle:
// it would never be applied, and nobody would be told. Unknown names beside known ones are
// those of other times (Crowbar had more) and harmless.
func (e *Engine) checkStates(doc *proposal.Document) error {
	deployment := doc.Deployment()
	var problems []proposal.Problem
	for _, role := range doc.Roles() {
		states := deployment.ElementStates[role]
		known := slices.ContainsFunc(states, func(name string) bool {
			_, known := e.lifecycle.Machine().State(name)
			return known || name == "all"
		})
		if len(states) > 0 && !known && len(deployment.Elements[role]) > 0 {
			problems = append(problems, proposal.Problem{
				Path:     "/deployment/" + barclamp.PointerToken(doc.Barclamp()) + "/element_states/" + barclamp.PointerToken(role),
				Found:    strings.Join(states, ", "),
				Expected: "a state of the lifecycle, such as ready, or all",
				Hint:     "docs/lifecycle.md lists the states",
			})
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return &proposal.ValidationError{Problems: problems}
}

// Commit puts a revision (0: the latest) in force and queues the job that applies it. It
// returns at once; the job says which nodes it waits for. A job of the same proposal that has
// not started yet is replaced; one that runs makes the commit fail with ErrConflict.
func (e *Engine) Commit(ctx context.Context, k proposal.Key, number int, actor string) (*ProposalStatus, *Job, error) {
	r, err := e.proposals.Get(ctx, k, number)
	if err != nil {
		return nil, nil, err
	}
	if err := e.Check(ctx, r.Document); err != nil {
		return nil, nil, fmt.Errorf("crowbar: revision %d of %s cannot be committed: %w", r.Number, k, err)
	}
	if err := e.onlyOne(k, r.Document); err != nil {
		return nil, nil, err
	}
	c := &change{}
	status, statusRevision := e.statuses.get(k.String())
	if statusRevision != 0 {
		if err := e.supersede(c, status, r.Number); err != nil {
			return nil, nil, err
		}
	}
	now := e.clock.Now().UTC()
	job := &Job{ID: e.jobNumber.next(), Kind: JobApply, Status: JobQueued, Created: now,
		Title: fmt.Sprintf("apply %s revision %d", k, r.Number), Proposal: k, Revision: r.Number}
	next := &ProposalStatus{Proposal: k, Status: StatusQueued, Revision: r.Number, Job: job.ID}
	if status != nil {
		next.Applied = status.Applied
	}
	_, configRevision := e.configs.get(configRole(k))
	// The tables show the records one after another. Whoever sees the job must see what it is
	// to apply, or takes it for one that a newer commit has replaced.
	put(c, e.configs, configRole(k), &ConfigRole{Proposal: k, Revision: r.Number, Document: r.Document}, configRevision)
	put(c, e.statuses, k.String(), next, statusRevision)
	put(c, e.jobs, job.ID, job, 0)
	c.tell(actor, "proposal.committed", k.String(), fmt.Sprintf("revision %d of %s was committed", r.Number, k))
	c.after(func() { e.members.rebuild(e.configs.list()); e.wakeJobs() })
	if err := e.engine.commit(ctx, c); errors.Is(err, ErrConflict) {
		return nil, nil, fmt.Errorf("%w: %s was committed by somebody else at the same time, or its job began; see what is in force: crowbar proposal list %s", ErrConflict, k, k.Barclamp)
	} else if err != nil {
		return nil, nil, fmt.Errorf("crowbar: commit %s: %w", k, err)
	}
	return next, job, nil
}

// onlyOne refuses a second proposal in force of a barclamp that does not allow it.
func (e *Engine) onlyOne(k proposal.Key, doc *proposal.Document) error {
	if e.config.Registry.For(doc).Info().AllowMultiple {
		return nil
	}
	for _, other := range e.Site().Proposals(k.Barclamp) {
		if other != k {
			return fmt.Errorf("%w: barclamp %s allows one proposal in force, and %s is; save what it should say as its next revision: crowbar proposal import FILE --name %s", ErrRefused, k.Barclamp, other, other.Name)
		}
	}
	return nil
}

// supersede ends the queued job of an earlier commit.
func (e *Engine) supersede(c *change, status *ProposalStatus, by int) error {
	job, revision := e.jobs.get(status.Job)
	switch {
	case revision == 0 || !job.Active():
		return nil
	case job.Status == JobRunning:
		return fmt.Errorf("%w: revision %d of %s is being applied (job %s); watch it: crowbar job watch %s", ErrConflict, job.Revision, job.Proposal, job.ID, job.ID)
	}
	old := job.clone()
	old.Status, old.Reason, old.Finished = JobReplaced, fmt.Sprintf("replaced by revision %d", by), e.clock.Now().UTC()
	put(c, e.jobs, old.ID, old, revision)
	c.tell(actorEngine, "job.finished", old.Proposal.String(), fmt.Sprintf("job %s: %s %s by revision %d", old.ID, old.Title, old.Status, by))
	return nil
}
