package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func (a *api) barclamps(w http.ResponseWriter, r *http.Request) error {
	list := []client.Barclamp{}
	for _, b := range a.Engine.Registry().All() {
		one, err := a.barclampInfo(r.Context(), b.Info())
		if err != nil {
			return err
		}
		list = append(list, one)
	}
	return ok(w, list)
}

func (a *api) barclampInfo(ctx context.Context, info barclamp.Info) (client.Barclamp, error) {
	keys, err := a.Engine.Proposals().Keys(ctx, info.Name)
	return wireBarclamp(info, keys), err
}

// registered is a barclamp, or what to do when there is none of the name.
func (a *api) registered(name string) (barclamp.Barclamp, error) {
	b, err := a.Engine.Registry().Get(name)
	if err != nil {
		return nil, fmt.Errorf("%w; list them: crowbar barclamp list", err)
	}
	return b, nil
}

func (a *api) barclamp(w http.ResponseWriter, r *http.Request) error {
	b, err := a.registered(r.PathValue("barclamp"))
	if err != nil {
		return err
	}
	one, err := a.barclampInfo(r.Context(), b.Info())
	if err != nil {
		return err
	}
	one.Template, one.Schema = b.Info().Template.Bytes(), b.Info().Schema
	return ok(w, one)
}

func (a *api) proposals(w http.ResponseWriter, r *http.Request) error {
	keys, err := a.Engine.Proposals().Keys(r.Context(), r.URL.Query().Get("barclamp"))
	if err != nil {
		return err
	}
	list := make([]client.Proposal, len(keys))
	for i, k := range keys {
		list[i] = client.Proposal{Barclamp: k.Barclamp, Name: k.Name, Latest: a.Engine.LatestRevision(k), Status: a.wireStatus(a.Engine.Status(k))}
	}
	return ok(w, list)
}

// keyOf is the proposal that the path names. A name that nothing can have is not found.
func keyOf(r *http.Request) proposal.Key {
	return proposal.Key{Barclamp: r.PathValue("barclamp"), Name: r.PathValue("name")}
}

// asked is the revision that path and query name.
func (a *api) asked(r *http.Request) (*proposal.Revision, error) {
	n, err := revisionNumber(r, "revision")
	if err != nil {
		return nil, err
	}
	return a.Engine.Revision(r.Context(), keyOf(r), n)
}

func (a *api) proposal(w http.ResponseWriter, r *http.Request) error {
	revision, err := a.asked(r)
	if err != nil {
		return err
	}
	tag(w, revision)
	return ok(w, a.wireRevision(keyOf(r), revision))
}

// document is the text alone, as it was saved.
func (a *api) document(w http.ResponseWriter, r *http.Request) error {
	revision, err := a.asked(r)
	if err != nil {
		return err
	}
	tag(w, revision)
	write(w, http.StatusOK, revision.Document.Redacted().Bytes())
	return nil
}

// tag names the revision that an answer shows: If-Match takes it.
func tag(w http.ResponseWriter, r *proposal.Revision) {
	w.Header().Set("ETag", strconv.Quote(strconv.Itoa(r.Number)))
}

func (a *api) createProposal(w http.ResponseWriter, r *http.Request) error {
	var body client.NewProposal
	if err := decode(w, r, maxDocument, &body); err != nil {
		return err
	}
	if body.Name == "" {
		body.Name = "default"
	}
	p := crowbar.NewProposal{
		Key:    proposal.Key{Barclamp: body.Barclamp, Name: body.Name},
		Author: actor(r), Message: body.Message,
	}
	if len(body.Document) > 0 && string(body.Document) != "null" {
		d, err := proposal.Parse(body.Document)
		if err != nil {
			return err
		}
		p.From = d
	}
	revision, explanations, err := a.Engine.CreateProposal(r.Context(), p)
	if errors.Is(err, proposal.ErrConflict) { // a first revision conflicts with nothing else
		return fmt.Errorf("%w: proposal %s exists; look at it: crowbar proposal show %s %s; a file becomes its next revision: crowbar proposal import FILE",
			errExists, p.Key, p.Key.Barclamp, p.Key.Name)
	}
	if err != nil {
		return err
	}
	wire := a.wireRevision(p.Key, revision)
	if explanations == nil {
		explanations = []barclamp.Explanation{}
	}
	tag(w, revision)
	reply(w, http.StatusCreated, client.Created{Revision: &wire, Explanations: explanations})
	return nil
}

// saveProposal stores the body as the next revision of the proposal that the path names.
func (a *api) saveProposal(w http.ResponseWriter, r *http.Request) error {
	d, err := a.bodyDocument(w, r)
	if err != nil {
		return err
	}
	return a.save(w, r, keyOf(r), d)
}

// importProposal stores the body as the next revision of the proposal that its id names.
func (a *api) importProposal(w http.ResponseWriter, r *http.Request) error {
	d, err := a.bodyDocument(w, r)
	if err != nil {
		return err
	}
	k := d.Key()
	if given := r.URL.Query().Get("name"); given != "" {
		k.Name = given
	}
	if k.Name == "" { // its id is of another barclamp, or of none
		return fmt.Errorf("%w: id and deployment disagree: the id is %q, the deployment is of barclamp %s; make the id bc-%s-NAME, or bc-template-%s for a template",
			errRequest, d.ID(), k.Barclamp, k.Barclamp, k.Barclamp)
	}
	return a.save(w, r, k, d)
}

func (a *api) bodyDocument(w http.ResponseWriter, r *http.Request) (*proposal.Document, error) {
	raw, err := readBody(w, r, maxDocument)
	if err != nil {
		return nil, err
	}
	d, err := proposal.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("not a proposal: %w", err)
	}
	return d, nil
}

func (a *api) save(w http.ResponseWriter, r *http.Request, k proposal.Key, d *proposal.Document) error {
	base, err := revisionNumber(r, "base")
	if err != nil {
		return err
	}
	p := crowbar.SaveProposal{Key: k, Document: d, Author: actor(r), Message: r.URL.Query().Get("message"), Base: base}
	if err := a.precondition(r, &p); err != nil {
		return err
	}
	saved, err := a.Engine.SaveProposal(r.Context(), p)
	if err != nil {
		return unmet(p, err)
	}
	status := http.StatusCreated
	if saved.Unchanged {
		status = http.StatusOK
	}
	tag(w, saved.Revision)
	reply(w, status, a.wireSaved(k, saved))
	return nil
}

// precondition reads If-Match and If-None-Match (RFC 9110, 13.1): with one of them nothing is
// merged; the save takes place after exactly the revision that the client has seen.
func (a *api) precondition(r *http.Request, p *crowbar.SaveProposal) error {
	latest := a.Engine.LatestRevision(p.Key)
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
	switch {
	case none == "*":
		if latest != 0 {
			return fmt.Errorf("%w: %s exists, its newest revision is %d", errPrecondition, p.Key, latest)
		}
	case none != "":
		return fmt.Errorf(`%w: If-None-Match %s: only * is understood here`, errRequest, none)
	case match == "":
		return nil
	case r.URL.Query().Has("base"):
		return fmt.Errorf("%w: If-Match saves after exactly one revision and base merges; give one of them", errRequest)
	case match != "*" && !strings.Contains(match, `"`):
		return fmt.Errorf(`%w: If-Match %s: a revision stands in quotes: "%s"`, errRequest, match, match)
	case latest == 0:
		return fmt.Errorf("%w: there is no proposal %s", errPrecondition, p.Key)
	case match == "*" && p.Document.HiddenInLists():
		return fmt.Errorf(`%w: the document has hidden secrets in lists, whose order may have changed since; If-Match must name the revision that it was made from`, errRequest)
	case match != "*" && !slices.Contains(tags(match), latest):
		return fmt.Errorf("%w: the newest revision of %s is %d; look at it, or merge: ?base=N instead of If-Match", errPrecondition, p.Key, latest)
	}
	p.Exactly, p.Base = true, latest
	return nil
}

// tags reads the revisions of an If-Match; a weak one never matches.
func tags(header string) []int {
	var numbers []int
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if text, err := strconv.Unquote(tag); err == nil {
			if n, err := strconv.Atoi(text); err == nil {
				numbers = append(numbers, n)
			}
		}
	}
	return numbers
}

// unmet tells a save that came too late for its If-Match.
func unmet(p crowbar.SaveProposal, err error) error {
	if p.Exactly && errors.Is(err, proposal.ErrConflict) {
		return fmt.Errorf("%w: %s was saved by somebody else at the same time: %w", errPrecondition, p.Key, err)
	}
	return err
}

func (a *api) mergeProposal(w http.ResponseWriter, r *http.Request) error {
	var body client.Merge
	if err := decode(w, r, maxDocument, &body); err != nil {
		return err
	}
	k := keyOf(r)
	m := crowbar.MergeRequest{Revision: body.Revision, SaveProposal: crowbar.SaveProposal{
		Key: k, Author: actor(r), Message: body.Message, Base: body.Base, Resolve: body.Resolve,
	}}
	if len(body.Document) > 0 && string(body.Document) != "null" {
		d, err := proposal.Parse(body.Document)
		if err != nil {
			return fmt.Errorf("not a proposal: %w", err)
		}
		m.Document = d
	} else if m.Revision < 1 {
		return fmt.Errorf("%w: what is to be merged? give a document or a revision", errRequest)
	}
	if body.DryRun {
		d, err := a.Engine.PreviewMerge(r.Context(), m)
		if err != nil {
			return err
		}
		return ok(w, client.Merged{Diff: wireDiff(d)})
	}
	saved, d, err := a.Engine.Merge(r.Context(), m)
	if err != nil {
		return err
	}
	tag(w, saved.Revision)
	return ok(w, client.Merged{Saved: new(a.wireSaved(k, saved)), Diff: wireDiff(d)})
}

func (a *api) rollback(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Revision int    `json:"revision"`
		Message  string `json:"message"`
	}
	if err := decode(w, r, maxBody, &body); err != nil {
		return err
	}
	k := keyOf(r)
	saved, d, err := a.Engine.Rollback(r.Context(), k, body.Revision, actor(r), body.Message)
	if err != nil {
		return err
	}
	tag(w, saved.Revision)
	return ok(w, client.RolledBack{Saved: new(a.wireSaved(k, saved)), Diff: wireDiff(d)})
}

// maxHistory is how many revisions one answer lists.
const maxHistory = 100

func (a *api) history(w http.ResponseWriter, r *http.Request) error {
	k := keyOf(r)
	before, err := revisionNumber(r, "before")
	if err != nil {
		return err
	}
	limit, err := number(r, "limit")
	if err != nil {
		return err
	}
	if limit == 0 || limit > maxHistory {
		limit = maxHistory
	}
	entries, err := a.Engine.History(r.Context(), k, before, int(limit))
	if err != nil {
		return err
	}
	status := a.Engine.Status(k)
	return ok(w, each(entries, func(e crowbar.HistoryEntry) client.HistoryEntry {
		r := e.Revision
		wire := client.HistoryEntry{
			Number: r.Number, Parent: r.Parent, Author: r.Author, Message: r.Message, Time: r.Time, Hash: r.Hash,
			Summary: e.Summary, Applied: r.Number == status.Applied,
		}
		if r.Number == status.Revision {
			wire.Status = status.Status
		}
		return wire
	}))
}

func (a *api) diff(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	d, err := a.Engine.Diff(r.Context(), keyOf(r), query.Get("from"), query.Get("to"))
	if err != nil {
		return err
	}
	return ok(w, wireDiff(d))
}

func wireDiff(d *proposal.Diff) *client.Diff {
	if d.Changes == nil {
		d.Changes = []proposal.Change{}
	}
	return d
}

// problems is the answer to a validation.
type problems struct {
	Problems []proposal.Problem `json:"problems"`
}

func (a *api) validateProposal(w http.ResponseWriter, r *http.Request) error {
	revision, err := a.asked(r)
	if err != nil {
		return err
	}
	return a.validated(w, r, revision.Document)
}

func (a *api) validateDocument(w http.ResponseWriter, r *http.Request) error {
	d, err := a.bodyDocument(w, r)
	if err != nil {
		return err
	}
	return a.validated(w, r, d)
}

func (a *api) validated(w http.ResponseWriter, r *http.Request, d *proposal.Document) error {
	err := a.Engine.Check(r.Context(), d)
	var invalid *proposal.ValidationError
	switch {
	case err == nil:
		return ok(w, problems{[]proposal.Problem{}})
	case errors.As(err, &invalid):
		return ok(w, problems{invalid.Problems})
	}
	return err
}

func (a *api) planProposal(w http.ResponseWriter, r *http.Request) error {
	n, err := revisionNumber(r, "revision")
	if err != nil {
		return err
	}
	plan, err := a.Engine.PlanProposal(r.Context(), keyOf(r), n)
	if err != nil {
		return err
	}
	return ok(w, wireProposalPlan(plan))
}

func (a *api) commit(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Revision int `json:"revision"`
	}
	if err := decode(w, r, maxBody, &body); err != nil {
		return err
	}
	k := keyOf(r)
	if _, err := a.Engine.Revision(r.Context(), k, body.Revision); err != nil {
		return err
	}
	status, job, err := a.Engine.Commit(r.Context(), k, body.Revision, actor(r))
	if err != nil {
		return err
	}
	wire := a.wireJob(job)
	reply(w, http.StatusAccepted, client.Committed{Status: a.wireStatus(status), Job: &wire})
	return nil
}
