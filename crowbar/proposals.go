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
	r, err := e.save(ctx, p.Key, 0, doc, p.Author, p.Message)
	return r, draft.Explanations, err
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

// ImportProposal stores a document as it is: as the first revision of the proposal, or as
// its next one.
func (e *Engine) ImportProposal(ctx context.Context, k proposal.Key, doc *proposal.Document, author, message string) (*proposal.Revision, error) {
	if err := k.Check(); err != nil {
		return nil, err
	}
	for {
		r, err := e.save(ctx, k, e.proposals.number(k), doc, author, message)
		if !errors.Is(err, proposal.ErrConflict) {
			return r, err
		}
	}
}

func (e *Engine) save(ctx context.Context, k proposal.Key, parent int, doc *proposal.Document, author, message string) (*proposal.Revision, error) {
	number, err := e.proposals.Append(ctx, k, parent, proposal.Revision{
		Author: author, Message: message, Time: e.clock.Now().UTC(), Document: doc,
	})
	if err != nil {
		return nil, err
	}
	return e.proposals.Get(ctx, k, number)
}

// DiffTemplate compares a revision (0 is the latest) with the template that its barclamp
// starts from. A document of an unregistered barclamp has no template: ErrNotFound.
func (e *Engine) DiffTemplate(ctx context.Context, k proposal.Key, number int) (*proposal.Diff, error) {
	r, err := e.proposals.Get(ctx, k, number)
	if err != nil {
		return nil, err
	}
	b, err := e.config.Registry.Get(k.Barclamp)
	if err != nil {
		return nil, fmt.Errorf("%w: no template to compare %s with: %w", ErrNotFound, k, err)
	}
	return proposal.Compare(b.Info().Template, r.Document)
}

// Diff compares two revisions of a proposal; 0 is the latest.
func (e *Engine) Diff(ctx context.Context, k proposal.Key, from, to int) (*proposal.Diff, error) {
	a, err := e.proposals.Get(ctx, k, from)
	if err != nil {
		return nil, err
	}
	b, err := e.proposals.Get(ctx, k, to)
	if err != nil {
		return nil, err
	}
	return proposal.Compare(a.Document, b.Document)
}

// Check validates a document as a commit does: structure, placement on the present nodes, and
// the barclamp's own rules. Every problem is in the error.
func (e *Engine) Check(ctx context.Context, doc *proposal.Document) error {
	if err := proposal.Validate(doc); err != nil {
		return err
	}
	if err := e.checkStates(doc); err != nil {
		return err
	}
	b := e.config.Registry.For(doc)
	if err := barclamp.CheckPlacement(b.Info(), doc, e.Site()); err != nil {
		return err
	}
	if v := barclamp.Find(b).Validator; v != nil {
		return v.Validate(ctx, e.Site(), doc)
	}
	return nil
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
	if !e.config.Registry.For(r.Document).Info().AllowMultiple {
		for _, other := range e.Site().Proposals(k.Barclamp) {
			if other != k {
				return nil, nil, fmt.Errorf("%w: barclamp %s allows one proposal in force, and %s is; save what it should say as its next revision: crowbar proposal import FILE --name %s", ErrRefused, k.Barclamp, other, other.Name)
			}
		}
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
	put(c, e.jobs, job.ID, job, 0)
	put(c, e.statuses, k.String(), next, statusRevision)
	put(c, e.configs, configRole(k), &ConfigRole{Proposal: k, Revision: r.Number, Document: r.Document}, configRevision)
	c.tell(actor, "proposal.committed", k.String(), fmt.Sprintf("revision %d of %s was committed", r.Number, k))
	c.after(func() { e.members.rebuild(e.configs.list()); e.wakeJobs() })
	if err := e.engine.commit(ctx, c); err != nil {
		return nil, nil, fmt.Errorf("crowbar: commit %s: %w", k, err)
	}
	return next, job, nil
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
