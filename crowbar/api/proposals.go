package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"

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
		latest, err := a.Engine.Proposals().Get(r.Context(), k, 0)
		if err != nil {
			return err
		}
		list[i] = client.Proposal{Barclamp: k.Barclamp, Name: k.Name, Latest: latest.Number, Status: a.wireStatus(a.Engine.Status(k))}
	}
	return ok(w, list)
}

// keyOf is the proposal that the path names. A name that nothing can have is not found.
func keyOf(r *http.Request) proposal.Key {
	return proposal.Key{Barclamp: r.PathValue("barclamp"), Name: r.PathValue("name")}
}

// stored is a revision (0: the latest), or what to do when there is none.
func (a *api) stored(ctx context.Context, k proposal.Key, number int) (*proposal.Revision, error) {
	r, err := a.Engine.Proposals().Get(ctx, k, number)
	if err == nil || !errors.Is(err, proposal.ErrNotFound) {
		return r, err
	}
	latest, err := a.Engine.Proposals().Get(ctx, k, 0)
	switch {
	case errors.Is(err, proposal.ErrNotFound):
		return nil, fmt.Errorf("%w: there is no proposal %s; list them: crowbar proposal list", crowbar.ErrNotFound, k)
	case err != nil:
		return nil, err
	}
	return nil, fmt.Errorf("%w: %s has no revision %d; its newest is %d", crowbar.ErrNotFound, k, number, latest.Number)
}

func (a *api) proposal(w http.ResponseWriter, r *http.Request) error {
	n, err := revisionNumber(r, "revision")
	if err != nil {
		return err
	}
	revision, err := a.stored(r.Context(), keyOf(r), n)
	if err != nil {
		return err
	}
	return ok(w, a.wireRevision(keyOf(r), revision))
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
	reply(w, http.StatusCreated, client.Created{Revision: &wire, Explanations: explanations})
	return nil
}

// importProposal stores the body as it is.
func (a *api) importProposal(w http.ResponseWriter, r *http.Request) error {
	raw, err := readBody(w, r, maxDocument)
	if err != nil {
		return err
	}
	d, err := proposal.Parse(raw)
	if err != nil {
		return fmt.Errorf("not a proposal: %w", err)
	}
	k := d.Key()
	if given := r.URL.Query().Get("name"); given != "" {
		k.Name = given
	}
	if k.Name == "" { // its id is of another barclamp, or of none
		return fmt.Errorf("%w: id and deployment disagree: the id is %q, the deployment is of barclamp %s; make the id bc-%s-NAME, or bc-template-%s for a template",
			errRequest, d.ID(), k.Barclamp, k.Barclamp, k.Barclamp)
	}
	revision, err := a.Engine.ImportProposal(r.Context(), k, d, actor(r), r.URL.Query().Get("message"))
	if err != nil {
		return err
	}
	reply(w, http.StatusCreated, a.wireRevision(k, revision))
	return nil
}

func (a *api) diff(w http.ResponseWriter, r *http.Request) error {
	k := keyOf(r)
	to, err := revisionNumber(r, "to")
	if err != nil {
		return err
	}
	if _, err := a.stored(r.Context(), k, to); err != nil {
		return err
	}
	var d *proposal.Diff
	if r.URL.Query().Get("from") == "template" {
		d, err = a.Engine.DiffTemplate(r.Context(), k, to)
	} else {
		from, numberErr := revisionNumber(r, "from")
		if numberErr != nil {
			return numberErr
		}
		d, err = a.Engine.Diff(r.Context(), k, from, to)
	}
	if err != nil {
		return err
	}
	if d.Changes == nil {
		d.Changes = []proposal.Change{}
	}
	return ok(w, d)
}

func (a *api) commit(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Revision int `json:"revision"`
	}
	if err := decode(w, r, maxBody, &body); err != nil {
		return err
	}
	k := keyOf(r)
	if _, err := a.stored(r.Context(), k, body.Revision); err != nil {
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
