package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// crowbarRoutes are Crowbar's own verbs at Crowbar's paths with Crowbar's status codes, for
// clients that know those. machines is no barclamp, but has the place of one.
func (a *api) crowbarRoutes() {
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET ":                                         a.oldBarclamps,
		"GET /{barclamp}":                              a.oldVersions,
		"GET /{barclamp}/1.0":                          a.oldActive,
		"GET /{barclamp}/1.0/{name}":                   a.oldShow,
		"GET /{barclamp}/1.0/elements":                 a.oldElements,
		"GET /{barclamp}/1.0/elements/{role}":          a.oldElement,
		"GET /{barclamp}/1.0/transition/{name}":        a.oldTransition,
		"POST /{barclamp}/1.0/transition/{name}":       a.oldTransition,
		"GET /{barclamp}/1.0/proposals":                a.oldProposals,
		"GET /{barclamp}/1.0/proposals/template":       a.oldTemplate,
		"GET /{barclamp}/1.0/proposals/{name}":         a.oldProposal,
		"PUT /{barclamp}/1.0/proposals":                a.oldCreate,
		"POST /{barclamp}/1.0/proposals/{name}":        a.oldSave,
		"POST /{barclamp}/1.0/proposals/commit/{name}": a.oldCommit,
		"POST /machines/1.0/allocate/{node}":           a.allocate,
	} {
		a.handle(pattern, "/crowbar", serve)
	}
}

func isCrowbarPath(r *http.Request) bool {
	return r.URL.Path == "/crowbar" || strings.HasPrefix(r.URL.Path, "/crowbar/")
}

const machines = "machines"

// nothing is Crowbar's reply to what succeeded without an answer.
var nothing = struct{}{}

func (a *api) oldBarclamps(w http.ResponseWriter, _ *http.Request) error {
	all := map[string]string{}
	for _, b := range a.Engine.Registry().All() {
		all[b.Info().Name] = b.Info().Description
	}
	return ok(w, all)
}

func (a *api) oldVersions(w http.ResponseWriter, r *http.Request) error {
	if name := r.PathValue("barclamp"); name != machines {
		if _, err := a.registered(name); err != nil {
			return err
		}
	}
	return ok(w, map[string][]string{"versions": {"1.0"}})
}

// oldActive lists what is in force, or the machines.
func (a *api) oldActive(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("barclamp")
	if name == machines {
		type machine struct {
			Name   string `json:"name"`
			Alias  string `json:"alias"`
			Group  string `json:"group"`
			Status string `json:"status"`
		}
		return ok(w, map[string][]machine{"nodes": each(a.Engine.Nodes(), func(n *crowbar.Node) machine {
			return machine{Name: n.Name, Alias: n.Alias, Status: n.Lifecycle.State}
		})})
	}
	return ok(w, each(a.Engine.Site().Proposals(name), func(k proposal.Key) string { return k.Name }))
}

// oldShow is the document in force, or a machine.
func (a *api) oldShow(w http.ResponseWriter, r *http.Request) error {
	k := keyOf(r)
	if k.Barclamp == machines {
		n, err := a.Engine.Node(k.Name)
		if err != nil {
			return err
		}
		return ok(w, a.fullNode(n))
	}
	c, inForce := a.Engine.InForce(k)
	if !inForce {
		return fmt.Errorf("%w: %s is not in force", crowbar.ErrNotFound, k)
	}
	return ok(w, c.Document.Redacted())
}

// oldElements lists the roles, as the template orders them; of a barclamp that is not
// registered, as its first proposal does.
func (a *api) oldElements(w http.ResponseWriter, r *http.Request) error {
	b, err := a.known(r)
	if err != nil {
		return err
	}
	return ok(w, each(b.Info().Template.Roles(), func(role string) string { return role }))
}

// oldElement lists the nodes that a role may have.
func (a *api) oldElement(w http.ResponseWriter, r *http.Request) error {
	b, err := a.known(r)
	if err != nil {
		return err
	}
	role := r.PathValue("role")
	if !slices.Contains(b.Info().Template.Roles(), role) {
		return fmt.Errorf("%w: barclamp %s has no role %q", crowbar.ErrNotFound, b.Info().Name, role)
	}
	admin := b.Info().Role(role).Constraint.Admin
	names := []string{}
	for _, n := range a.Engine.Site().Nodes() {
		if admin || !n.Admin {
			names = append(names, n.Name)
		}
	}
	return ok(w, names)
}

// known is a registered barclamp, or one that a stored proposal makes known.
func (a *api) known(r *http.Request) (barclamp.Barclamp, error) {
	name := r.PathValue("barclamp")
	b, err := a.registered(name)
	if err == nil {
		return b, nil
	}
	keys, keysErr := a.Engine.Proposals().Keys(r.Context(), name)
	if keysErr != nil || len(keys) == 0 {
		return nil, errors.Join(err, keysErr)
	}
	first, err := a.Engine.Revision(r.Context(), keys[0], 0)
	if err != nil {
		return nil, err
	}
	return a.Engine.Registry().For(first.Document), nil
}

// oldTransition takes {name, state} from the body, or from the query as a GET does.
func (a *api) oldTransition(w http.ResponseWriter, r *http.Request) error {
	body := struct {
		Name  string `json:"name"`
		State string `json:"state"`
	}{Name: r.URL.Query().Get("name"), State: r.URL.Query().Get("state")}
	if r.Method == http.MethodGet && r.ContentLength <= 0 {
		// Changing something by GET is Crowbar's way; a browser's link must not do it.
		if r.Header.Get("Sec-Fetch-Site") != "" && r.Header.Get("Sec-Fetch-Site") != "same-origin" {
			return errForeignOrigin
		}
	} else if err := decode(w, r, maxBody, &body); err != nil {
		return err
	}
	n, err := a.operatorTransition(r, body.Name, body.State)
	if err != nil {
		return err
	}
	return ok(w, a.fullNode(n))
}

func (a *api) oldProposals(w http.ResponseWriter, r *http.Request) error {
	keys, err := a.Engine.Proposals().Keys(r.Context(), r.PathValue("barclamp"))
	if err != nil {
		return err
	}
	return ok(w, each(keys, func(k proposal.Key) string { return k.Name }))
}

func (a *api) oldTemplate(w http.ResponseWriter, r *http.Request) error {
	b, err := a.registered(r.PathValue("barclamp"))
	if err != nil {
		return err
	}
	return ok(w, b.Info().Template)
}

// oldProposal is the latest revision with what Crowbar notes in a document as it is now.
func (a *api) oldProposal(w http.ResponseWriter, r *http.Request) error {
	k := keyOf(r)
	revision, err := a.Engine.Revision(r.Context(), k, 0)
	if err != nil {
		return err
	}
	status := a.Engine.Status(k)
	live := map[string]any{
		"crowbar-revision":   revision.Number,
		"crowbar-applied":    status.Status == crowbar.StatusApplied && status.Applied == revision.Number,
		"crowbar-committing": status.Status == crowbar.StatusApplying,
		"crowbar-queued":     status.Status == crowbar.StatusQueued,
	}
	switch status.Status {
	case crowbar.StatusApplied:
		live["crowbar-status"] = "success"
	case crowbar.StatusFailed:
		live["crowbar-status"] = "failed"
		live["crowbar-failed"] = status.Reason
	}
	var edits []proposal.Edit
	for _, name := range slices.Sorted(maps.Keys(live)) {
		value, err := json.Marshal(live[name])
		if err != nil {
			return fmt.Errorf("api: %s of %s: %w", name, k, err)
		}
		edits = append(edits, proposal.Edit{Pointer: "/deployment/" + k.Barclamp + "/" + name, Value: value})
	}
	d, err := revision.Document.Redacted().With(edits...)
	if err != nil {
		return fmt.Errorf("api: live values of %s: %w", k, err)
	}
	tag(w, revision)
	return ok(w, d)
}

// oldCreate makes a proposal: what the barclamp proposes, then the members of the body over
// it, as whole values or (crowbar-deep-merge-template) object by object.
func (a *api) oldCreate(w http.ResponseWriter, r *http.Request) error {
	raw, err := readBody(w, r, maxBody)
	if err != nil {
		return err
	}
	body, err := membersOf(raw)
	if err != nil {
		return err
	}
	var deep bool
	k := proposal.Key{Barclamp: r.PathValue("barclamp")}
	for _, m := range []struct {
		name string
		into any
	}{{"name", &k.Name}, {"id", &k.Name}, {"crowbar-deep-merge-template", &deep}} { // id counts
		if value, given := body[m.name]; given && json.Unmarshal(value, m.into) != nil {
			return fmt.Errorf("%w: body: %s is %s", errRequest, m.name, value)
		}
	}
	if err := proposal.CheckName(k.Name); errors.Is(err, proposal.ErrReservedName) {
		return fmt.Errorf("%w: %q is a reserved name", crowbar.ErrRefused, k.Name)
	}
	if _, err := a.registered(k.Barclamp); err != nil {
		return err
	}
	_, _, err = a.Engine.CreateProposal(r.Context(), crowbar.NewProposal{
		Key: k, Author: actor(r),
		Edit: func(d *proposal.Document) (*proposal.Document, error) { return overlay(d, body, deep) },
	})
	switch {
	case errors.Is(err, proposal.ErrConflict):
		return fmt.Errorf("%w: %s exists", errRequest, k)
	case err != nil:
		return err
	}
	return ok(w, nothing)
}

// membersOf reads an object that has each name once: package encoding/json takes the last.
func membersOf(raw []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return nil, fmt.Errorf("%w: body: expected an object with id", errRequest)
	}
	members := map[string]json.RawMessage{}
	for d.More() {
		token, err := d.Token()
		name, _ := token.(string)
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: body: %w", errRequest, err)
		}
		if _, twice := members[name]; twice {
			return nil, fmt.Errorf("%w: body: %q is there twice", errRequest, name)
		}
		members[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("%w: body: %w", errRequest, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: body: more than one JSON value", errRequest)
	}
	return members, nil
}

// overlay puts the members of a PUT's body over a document.
func overlay(d *proposal.Document, body map[string]json.RawMessage, deep bool) (*proposal.Document, error) {
	var edits []proposal.Edit
	for _, name := range []string{"attributes", "deployment", "description"} {
		value, given := body[name]
		switch {
		case !given:
		case deep && name != "description":
			var present map[string]json.RawMessage
			if err := json.Unmarshal(d.Bytes(), &present); err != nil {
				return nil, fmt.Errorf("api: %s: %w", d, err)
			}
			edits = append(edits, merge("/"+name, present[name], value)...)
		default:
			edits = append(edits, proposal.Edit{Pointer: "/" + name, Value: value})
		}
	}
	return d.With(edits...)
}

// merge makes the edits that put value over present: objects member by member, all else whole.
func merge(pointer string, present, value json.RawMessage) []proposal.Edit {
	var old, now map[string]json.RawMessage
	if json.Unmarshal(present, &old) != nil || json.Unmarshal(value, &now) != nil || old == nil || now == nil {
		return []proposal.Edit{{Pointer: pointer, Value: value}}
	}
	var edits []proposal.Edit
	for _, name := range slices.Sorted(maps.Keys(now)) {
		at := pointer + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
		if _, there := old[name]; there {
			edits = append(edits, merge(at, old[name], now[name])...)
		} else {
			edits = append(edits, proposal.Edit{Pointer: at, Value: now[name]})
		}
	}
	return edits
}

// bookkeeping is what Crowbar writes into a document as it works; the answers of these verbs
// have it as it is at the moment.
var bookkeeping = [...]string{"crowbar-revision", "crowbar-applied", "crowbar-committing", "crowbar-queued", "crowbar-status", "crowbar-failed"}

// oldSave replaces the document, by a new revision. Crowbar's clients send back what they were
// shown: crowbar-revision tells what that was, so that what others saved since is merged, and
// the bookkeeping stays as it is stored.
func (a *api) oldSave(w http.ResponseWriter, r *http.Request) error {
	k := keyOf(r)
	latest, err := a.Engine.Revision(r.Context(), k, 0)
	if err != nil {
		return err
	}
	raw, err := readBody(w, r, maxDocument)
	if err != nil {
		return err
	}
	d, err := proposal.Parse(raw)
	if err != nil {
		return err
	}
	if err := proposal.Validate(d); err != nil {
		return err
	}
	p := crowbar.SaveProposal{Key: k, Author: actor(r)}
	if shown := fact(d, "crowbar-revision"); 0 < shown.Int() && shown.Int() <= int64(latest.Number) {
		p.Base = int(shown.Int())
	}
	if p.Document, err = withBookkeeping(d, latest.Document); err != nil {
		return err
	}
	if err := a.precondition(r, &p); err != nil {
		return err
	}
	saved, err := a.Engine.SaveProposal(r.Context(), p)
	if err != nil {
		return unmet(p, err)
	}
	tag(w, saved.Revision)
	return ok(w, nothing)
}

// fact is a member of a document's bookkeeping.
func fact(d *proposal.Document, name string) gjson.Result {
	return gjson.GetBytes(d.Bytes(), "deployment."+d.Barclamp()+"."+name)
}

// withBookkeeping returns a document with the bookkeeping of another one.
func withBookkeeping(d, of *proposal.Document) (*proposal.Document, error) {
	var edits []proposal.Edit
	for _, name := range bookkeeping {
		present, wanted := fact(d, name), fact(of, name)
		edit := proposal.Edit{Pointer: "/deployment/" + d.Barclamp() + "/" + name}
		switch {
		case wanted.Exists():
			edit.Value = json.RawMessage(wanted.Raw)
		case !present.Exists():
			continue
		}
		edits = append(edits, edit)
	}
	return d.With(edits...)
}

// oldCommit replies 202 as long as the job waits or runs: Crowbar kept its clients waiting.
func (a *api) oldCommit(w http.ResponseWriter, r *http.Request) error {
	k := keyOf(r)
	if _, err := a.Engine.Revision(r.Context(), k, 0); err != nil {
		return err
	}
	_, job, err := a.Engine.Commit(r.Context(), k, 0, actor(r))
	switch {
	case errors.Is(err, crowbar.ErrConflict):
		reply(w, http.StatusPaymentRequired, map[string]string{"error": "committing: " + err.Error()}) // Crowbar's status for it
		return nil
	case err != nil:
		return err
	}
	if now, err := a.Engine.Job(job.ID); err == nil && now.Status == crowbar.JobDone {
		return ok(w, nothing)
	}
	reply(w, http.StatusAccepted, client.Committed{Status: a.wireStatus(a.Engine.Status(k)), Job: new(a.wireJob(job))})
	return nil
}
