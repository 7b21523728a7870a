package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/apitest"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// edited returns a revision's document with one attribute of the rack changed.
func edited(t *testing.T, text []byte, path, value string) []byte {
	t.Helper()
	d, err := proposal.Parse(text)
	require.NoError(t, err)
	d, err = d.With(proposal.Edit{Pointer: d.AttributePointer(path), Value: json.RawMessage(value)})
	require.NoError(t, err)
	return d.Bytes()
}

// created is a site with a first revision of rack/default.
func created(t *testing.T) (*apitest.Site, *client.Client, []byte) {
	t.Helper()
	s := apitest.New(t)
	c := s.Client()
	_, err := c.CreateProposal(t.Context(), client.NewProposal{Barclamp: "rack", Message: "first"})
	require.NoError(t, err)
	text, number, err := c.Document(t.Context(), rack, 0)
	require.NoError(t, err)
	require.Equal(t, 1, number)
	return s, c, text
}

func TestSaveMergesWhatOthersSaved(t *testing.T) {
	_, c, text := created(t)
	ctx := t.Context()
	saved, err := c.SaveProposal(ctx, rack, edited(t, text, "size", "47"), client.SaveOptions{Base: 1, Message: "taller"})
	require.NoError(t, err)
	require.Equal(t, 2, saved.Number)
	require.Empty(t, saved.Merged)
	again, err := c.SaveProposal(ctx, rack, edited(t, text, "size", "47"), client.SaveOptions{Base: 2})
	require.NoError(t, err)
	require.True(t, again.Unchanged)
	require.Equal(t, 2, again.Number)

	// Another one has not seen revision 2.
	saved, err = c.SaveProposal(ctx, rack, edited(t, text, "door", `"glass"`), client.SaveOptions{Base: 1})
	require.NoError(t, err)
	require.Equal(t, 3, saved.Number)
	require.Equal(t, []int{2}, saved.Merged)
	now, _, err := c.Document(ctx, rack, 0)
	require.NoError(t, err)
	require.Contains(t, string(now), `"size":47,`)
	require.Contains(t, string(now), `"door":"glass"`)

	// A third one contradicts: nothing is stored, and he is told what and where.
	_, err = c.SaveProposal(ctx, rack, edited(t, text, "size", "50"), client.SaveOptions{Base: 1})
	require.ErrorIs(t, err, client.ErrConflict)
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusConflict, refused.Status)
	require.Len(t, refused.Conflicts, 1)
	require.Equal(t, "/attributes/rack/size", refused.Conflicts[0].Path)
	require.JSONEq(t, "42.0", string(refused.Conflicts[0].Base))
	require.JSONEq(t, "47", string(refused.Conflicts[0].Ours))
	require.JSONEq(t, "50", string(refused.Conflicts[0].Theirs))
	list, err := c.History(ctx, rack, 0, 0)
	require.NoError(t, err)
	require.Len(t, list, 3)
	_, err = c.SaveProposal(ctx, rack, text, client.SaveOptions{Base: 9})
	require.ErrorIs(t, err, client.ErrNotFound)
}

func TestMergeResolves(t *testing.T) {
	_, c, text := created(t)
	ctx := t.Context()
	_, err := c.SaveProposal(ctx, rack, edited(t, text, "size", "47"), client.SaveOptions{})
	require.NoError(t, err)
	mine := client.Merge{Base: 1, Document: edited(t, edited(t, text, "size", "50"), "note", `"mine"`)}
	_, err = c.MergeProposal(ctx, rack, mine)
	require.ErrorIs(t, err, client.ErrConflict)
	mine.Resolve = map[string]proposal.Side{"/attributes/rack/size": proposal.SideOurs}
	mine.DryRun = true
	merged, err := c.MergeProposal(ctx, rack, mine)
	require.NoError(t, err)
	require.Nil(t, merged.Saved)
	require.Equal(t, "rack.note: \"<ü>\" → \"mine\"\n", merged.Diff.Text())
	mine.DryRun = false
	merged, err = c.MergeProposal(ctx, rack, mine)
	require.NoError(t, err)
	require.Equal(t, 3, merged.Saved.Number)
	require.Equal(t, "rack.note: \"<ü>\" → \"mine\"\n", merged.Diff.Text())

	// Revision 2 alone is undone: its parent's values, made from it.
	merged, err = c.MergeProposal(ctx, rack, client.Merge{Base: 2, Revision: 1})
	require.NoError(t, err)
	require.Equal(t, "rack.size: 47 → 42.0\n", merged.Diff.Text())

	for what, m := range map[string]client.Merge{
		"which revision":         {Document: text},
		"give a document or":     {Base: 1},
		"no revision 9":          {Base: 9, Document: text},
		"not a proposal":         {Base: 1, Document: json.RawMessage(`[]`)},
		"/attributes/rack/where": {Base: 1, Document: text, Resolve: map[string]proposal.Side{"/attributes/rack/where": proposal.SideOurs}},
	} {
		_, err := c.MergeProposal(ctx, rack, m)
		require.ErrorContains(t, err, what)
	}
}

func TestRollback(t *testing.T) {
	_, c, text := created(t)
	ctx := t.Context()
	for i, size := range []string{"43", "44"} {
		_, err := c.SaveProposal(ctx, rack, edited(t, text, "size", size), client.SaveOptions{Message: fmt.Sprint("save ", i)})
		require.NoError(t, err)
	}
	back, err := c.RollbackProposal(ctx, rack, 1, "")
	require.NoError(t, err)
	require.Equal(t, 4, back.Saved.Number)
	require.Equal(t, "rack.size: 44 → 42.0\n", back.Diff.Text())
	now, _, err := c.Document(ctx, rack, 0)
	require.NoError(t, err)
	require.Equal(t, string(text), string(now), "every byte")
	back, err = c.RollbackProposal(ctx, rack, 1, "")
	require.NoError(t, err)
	require.True(t, back.Saved.Unchanged)

	list, err := c.History(ctx, rack, 0, 0)
	require.NoError(t, err)
	var lines []string
	for _, e := range list {
		lines = append(lines, fmt.Sprintf("%d<-%d %s %s|%s", e.Number, e.Parent, e.Author, e.Message, e.Summary))
	}
	require.Equal(t, []string{
		"4<-3 ada roll back to revision 1|rack.size",
		"3<-2 ada save 1|rack.size",
		"2<-1 ada save 0|rack.size",
		"1<-0 ada first|first revision",
	}, lines)
	page, err := c.History(ctx, rack, 4, 2)
	require.NoError(t, err)
	require.Equal(t, list[1:3], page)

	_, err = c.RollbackProposal(ctx, rack, 9, "")
	require.ErrorIs(t, err, client.ErrNotFound)
	require.ErrorContains(t, err, "its newest is 4")
	_, err = c.RollbackProposal(ctx, rack, 0, "")
	require.ErrorContains(t, err, "give its number")
	_, err = c.History(ctx, proposal.Key{Barclamp: "rack", Name: "nobody"}, 0, 0)
	require.ErrorIs(t, err, client.ErrNotFound)
}

func TestIfMatch(t *testing.T) {
	s, c, text := created(t)
	put := func(body []byte, header ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), "PUT", "/api/v1/proposals/rack/default", strings.NewReader(string(body)))
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		w := httptest.NewRecorder()
		s.Handler.ServeHTTP(w, r)
		return w
	}
	w := put(edited(t, text, "size", "1"), "If-Match", `"1"`)
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	require.Equal(t, `"2"`, w.Header().Get("ETag"))
	for _, header := range [][]string{{"If-Match", `"1"`}, {"If-Match", `W/"2"`}, {"If-Match", `"x"`}, {"If-None-Match", "*"}} {
		w = put(edited(t, text, "size", "2"), header...)
		require.Equal(t, http.StatusPreconditionFailed, w.Code, "%v: %s", header, w.Body)
		require.Contains(t, w.Body.String(), `"code":"conflict"`)
	}
	w = put(edited(t, text, "size", "3"), "If-Match", `"1", "2"`)
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	w = put(edited(t, text, "size", "4"), "If-Match", "*")
	require.Equal(t, http.StatusCreated, w.Code, w.Body)
	require.Equal(t, http.StatusBadRequest, put(text, "If-None-Match", `"1"`).Code)
	latest, err := c.Proposal(t.Context(), rack, 0)
	require.NoError(t, err)
	require.Equal(t, 4, latest.Number)
	_, err = c.SaveProposal(t.Context(), rack, text, client.SaveOptions{Base: 3, Exactly: true})
	require.ErrorIs(t, err, client.ErrConflict)

	// Crowbar's own verb takes it as well; without it, it overwrites as in Crowbar.
	code, body := request(t, s, "POST", "/crowbar/rack/1.0/proposals/default", string(text), "If-Match", `"1"`)
	require.Equal(t, http.StatusPreconditionFailed, code, body)
	code, body = request(t, s, "POST", "/crowbar/rack/1.0/proposals/default", string(text))
	require.Equal(t, http.StatusOK, code, body)
}

func TestSecretsAreNeverTold(t *testing.T) {
	s, c, text := created(t)
	ctx := t.Context()
	const secret = "cr0wBar!"
	_, err := c.SaveProposal(ctx, rack, edited(t, text, "code", `"`+secret+`"`), client.SaveOptions{})
	require.NoError(t, err)
	_, err = c.SaveProposal(ctx, rack, edited(t, edited(t, text, "code", `"`+secret+`-2"`), "locks", `[{"key":"`+secret+`-a"},{"key":"`+secret+`-b"}]`), client.SaveOptions{})
	require.NoError(t, err)

	d, err := c.Diff(ctx, rack, "2", "3")
	require.NoError(t, err)
	require.Contains(t, d.Text(), "rack.code: changed (secret)")
	for _, path := range []string{"", "/document", "/history", "/diff?from=1&to=3", "/diff?from=2", "/diff?from=template", "/validate", "/plan"} {
		_, body := request(t, s, "GET", "/api/v1/proposals/rack/default"+path, "")
		require.NotContains(t, body, secret, path)
	}
	_, body := request(t, s, "GET", "/crowbar/rack/1.0/proposals/default", "")
	require.NotContains(t, body, secret)
	require.Contains(t, body, "(secret /attributes/rack/code)")
	_, body = request(t, s, "GET", "/api/v1/events", "")
	require.NotContains(t, body, secret)

	stored, err := s.Engine.Proposals().Get(ctx, rack, 0)
	require.NoError(t, err)
	_, body = request(t, s, "GET", "/api/v1/proposals/rack/default/history", "")
	require.NotContains(t, body, stored.Hash, "passwords could be tried against it")
	require.Contains(t, body, `"hash"`, "revision 1 has no secrets")

	// What is shown can be edited and saved: the secrets stay.
	shown, base, err := c.Document(ctx, rack, 0)
	require.NoError(t, err)
	require.NotContains(t, string(shown), secret)
	_, err = c.SaveProposal(ctx, rack, edited(t, shown, "note", `"changed"`), client.SaveOptions{Base: base})
	require.NoError(t, err)
	stored, err = s.Engine.Proposals().Get(ctx, rack, 0)
	require.NoError(t, err)
	require.Equal(t, secret+"-2", stored.Document.Get("code").String())
	require.Equal(t, secret+"-b", stored.Document.Get("locks.1.key").String())

	// Elements of lists keep theirs when they move.
	swapped := strings.Replace(strings.Replace(strings.Replace(string(shown), "locks/0", "locks/X", 1), "locks/1", "locks/0", 1), "locks/X", "locks/1", 1)
	require.NotEqual(t, string(shown), swapped)
	_, err = c.SaveProposal(ctx, rack, []byte(swapped), client.SaveOptions{})
	require.ErrorIs(t, err, client.ErrInvalid, "which revision was it made from?")
	require.ErrorContains(t, err, "--base N")
	_, err = c.SaveProposal(ctx, rack, []byte(swapped), client.SaveOptions{Base: base})
	require.NoError(t, err)
	stored, err = s.Engine.Proposals().Get(ctx, rack, 0)
	require.NoError(t, err)
	require.Equal(t, secret+"-b", stored.Document.Get("locks.0.key").String())

	w := httptest.NewRecorder()
	late := httptest.NewRequestWithContext(ctx, "PUT", "/api/v1/proposals/rack/default", bytes.NewReader(shown))
	late.Header.Set("If-Match", "*")
	s.Handler.ServeHTTP(w, late)
	require.Equal(t, http.StatusBadRequest, w.Code, "the newest revision has the locks in another order: %s", w.Body)

	// A secret stays a secret: it is not copied to where it would be shown.
	for path, value := range map[string]string{"note": `"(secret /attributes/rack/code)"`, "code": `"(secrt /attributes/rack/code)"`} {
		_, err = c.SaveProposal(ctx, rack, edited(t, shown, path, value), client.SaveOptions{Base: base})
		require.ErrorIs(t, err, client.ErrInvalid, "%s", path)
		require.ErrorContains(t, err, "/attributes/rack/"+path)
	}

	// There is nothing to put in the place of these.
	_, err = c.SaveProposal(ctx, proposal.Key{Barclamp: "rack", Name: "other"}, shown, client.SaveOptions{})
	require.ErrorIs(t, err, client.ErrInvalid)
	_, err = c.SaveProposal(ctx, rack, shown, client.SaveOptions{Base: 1})
	require.ErrorIs(t, err, client.ErrInvalid)
}

func TestValidate(t *testing.T) {
	_, c, text := created(t)
	ctx := t.Context()
	wrong := edited(t, edited(t, text, "sise", "47"), "door", `"glas"`)
	problems, err := c.ValidateDocument(ctx, wrong)
	require.NoError(t, err)
	byPath := map[string]proposal.Problem{}
	for _, p := range problems {
		byPath[p.Path] = p
	}
	require.Contains(t, byPath["/attributes/rack/sise"].Hint, `did you mean "size"?`)
	require.Contains(t, byPath["/attributes/rack/door"].Hint, `did you mean "glass"?`)
	require.Contains(t, byPath, "/deployment/rack/elements", "placement is checked as well")
	_, err = c.SaveProposal(ctx, rack, wrong, client.SaveOptions{})
	require.NoError(t, err, "a draft may be wrong")
	stored, err := c.ValidateProposal(ctx, rack, 0)
	require.NoError(t, err)
	require.Equal(t, problems, stored)
	_, err = c.Commit(ctx, rack, 0)
	var refused *client.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, problems, refused.Problems)
	_, err = c.ValidateDocument(ctx, []byte(`{"id": "x",}`))
	require.ErrorIs(t, err, client.ErrInvalid)
	require.ErrorContains(t, err, "line 1, column 12")
}

func TestDiffNamesStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := apitest.New(t), t.Context()
		c := s.Client()
		s.Discover(1)
		_, err := c.CreateProposal(ctx, client.NewProposal{Barclamp: "rack"})
		require.NoError(t, err)
		_, err = c.Diff(ctx, rack, client.Applied, client.Latest)
		require.ErrorIs(t, err, client.ErrNotFound)
		require.ErrorContains(t, err, "has not been applied")
		_, err = c.Diff(ctx, rack, "first", "2")
		require.ErrorIs(t, err, client.ErrNotFound)
		_, err = c.Diff(ctx, rack, "first", "1")
		require.ErrorIs(t, err, client.ErrInvalid)
		d, err := c.Diff(ctx, rack, "template", "latest")
		require.NoError(t, err)
		require.False(t, d.Empty())
	})
}

// The plan of a commit tells what the job then does.
func TestPlanProposal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, ctx := apitest.New(t), t.Context()
		c := s.Client()
		first, _ := s.Discover(1)
		second, _ := s.Discover(2)
		_, err := c.CreateProposal(ctx, client.NewProposal{Barclamp: "rack"})
		require.NoError(t, err)
		plan, err := c.PlanProposal(ctx, rack, 0)
		require.NoError(t, err)
		require.True(t, plan.Changes)
		require.Zero(t, plan.InForce)
		require.Nil(t, plan.Diff)
		require.Equal(t, [][]string{{"rack-top"}, {"rack-unit"}}, plan.Waves)
		require.Len(t, plan.Nodes, 2)
		require.Equal(t, client.NodeChange{
			Node: first, State: lifecycle.Discovered, Gains: []string{"rack-top"}, Applies: []string{"rack-top"},
			Note: "gets its roles once it is allocated and installed: is in discovered and not allocated",
		}, plan.Nodes[0])
		require.Contains(t, plan.Waiting, "waits for 2 of 2 nodes")
		_, err = c.Commit(ctx, rack, 0)
		require.NoError(t, err)

		text, _, err := c.Document(ctx, rack, 0)
		require.NoError(t, err)
		d, err := proposal.Parse(text)
		require.NoError(t, err)
		d, err = d.WithElements(map[string][]string{"rack-top": {second}, "rack-unit": {"nobody"}})
		require.NoError(t, err)
		_, err = c.SaveProposal(ctx, rack, d.Bytes(), client.SaveOptions{})
		require.NoError(t, err)
		plan, err = c.PlanProposal(ctx, rack, 0)
		require.NoError(t, err)
		require.Equal(t, 1, plan.InForce)
		require.Contains(t, plan.Diff.Text(), "(from rack-unit)")
		require.NotEmpty(t, plan.Problems, "there is no such node")
		require.Equal(t, []string{first, second, "nobody"}, []string{plan.Nodes[0].Node, plan.Nodes[1].Node, plan.Nodes[2].Node})
		require.Equal(t, []string{"rack-top"}, plan.Nodes[0].Loses)
		require.Empty(t, plan.Nodes[2].State)
		require.Contains(t, plan.Nodes[2].Note, "no such node")
	})
}

// A mistyped name in a query would have no effect, and be missed.
func TestQueriesAreKnown(t *testing.T) {
	s, _, text := created(t)
	for path, says := range map[string]string{
		"PUT /api/v1/proposals/rack/default?bse=1":    "known: message, base",
		"GET /api/v1/proposals/rack/default/diff?a=1": "known: from, to",
		"GET /api/v1/proposals/rack/default/plan?r=1": "known: revision",
		"POST /api/v1/proposals/import?nam=x":         "known: name, message, base",
		"POST /api/v1/proposals/validate?x=1":         "known: none",
	} {
		method, path, _ := strings.Cut(path, " ")
		code, body := request(t, s, method, path, string(text))
		require.Equal(t, http.StatusBadRequest, code, path)
		require.Contains(t, body, says)
	}
	code, body := request(t, s, "PUT", "/api/v1/proposals/rack/default?base=1", string(text), "If-Match", `"1"`)
	require.Equal(t, http.StatusBadRequest, code, body)
	code, body = request(t, s, "PUT", "/api/v1/proposals/rack/default", string(text), "If-Match", `1`)
	require.Equal(t, http.StatusBadRequest, code, body)
	require.Contains(t, body, `a revision stands in quotes`)
	code, body = request(t, s, "PUT", "/api/v1/proposals/rack/default", strings.Repeat(" ", 11<<20))
	require.Equal(t, http.StatusRequestEntityTooLarge, code)
	require.Contains(t, body, "larger than 10 MB")
	code, _ = request(t, s, "PUT", "/api/v1/proposals/rack/"+strings.Repeat("n", proposal.MaxName+1), string(text))
	require.Equal(t, http.StatusBadRequest, code)
}

func TestOnlyPutTakesIfMatch(t *testing.T) {
	s, _, _ := created(t)
	for path, body := range map[string]string{"rollback": `{"revision":1}`, "merge": `{"base":1,"revision":1}`, "commit": `{}`} {
		code, answer := request(t, s, "POST", "/api/v1/proposals/rack/default/"+path, body, "If-Match", `"9"`)
		require.Equal(t, http.StatusBadRequest, code, answer)
	}
}

// A document saved under another name says so itself.
func TestSavedUnderAnotherName(t *testing.T) {
	s, c, text := created(t)
	other := proposal.Key{Barclamp: "rack", Name: "second"}
	_, err := c.SaveProposal(t.Context(), other, text, client.SaveOptions{})
	require.NoError(t, err)
	stored, err := s.Engine.Proposals().Get(t.Context(), other, 0)
	require.NoError(t, err)
	require.Equal(t, other, stored.Document.Key())
	require.Equal(t, "rack-config-second", stored.Document.Deployment().Config.Environment)
}
