package api_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/apitest"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// Crowbar's clients know these paths and status codes.
func TestCrowbarVerbs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apitest.New(t)
		name, _ := s.Discover(1)
		for _, c := range []struct {
			method, path, body string
			status             int
			want               string // exact JSON; "" is not looked at
		}{
			{"GET", "/crowbar", "", 200, `{"rack":"Racks"}`},
			{"GET", "/crowbar/rack", "", 200, `{"versions":["1.0"]}`},
			{"GET", "/crowbar/nobody", "", 404, ""},
			{"GET", "/crowbar/rack/1.0", "", 200, `[]`},
			{"GET", "/crowbar/rack/1.0/elements", "", 200, `["rack-top","rack-unit"]`},
			{"GET", "/crowbar/rack/1.0/elements/rack-top", "", 200, `["` + name + `"]`},
			{"GET", "/crowbar/rack/1.0/elements/other", "", 404, ""},
			{"GET", "/crowbar/rack/1.0/proposals", "", 200, `[]`},
			{"GET", "/crowbar/rack/1.0/proposals/template", "", 200, ""},
			{"GET", "/crowbar/rack/1.0/proposals/default", "", 404, ""},
			{"PUT", "/crowbar/rack/1.0/proposals", `{"id":"default","description":"mine"}`, 200, `{}`},
			{"PUT", "/crowbar/rack/1.0/proposals", `{"name":"default"}`, 400, `{"error":"rack/default exists"}`},
			{"PUT", "/crowbar/rack/1.0/proposals", `{"name":"a b"}`, 400, ""},
			{"PUT", "/crowbar/rack/1.0/proposals", `{"name":"commit"}`, 403, ""},
			{"PUT", "/crowbar/rack/1.0/proposals", `{"name":7}`, 400, ""},
			{"PUT", "/crowbar/rack/1.0/proposals", `[]`, 400, ""},
			{"PUT", "/crowbar/nobody/1.0/proposals", `{"name":"default"}`, 404, ""},
			{"GET", "/crowbar/rack/1.0/proposals", "", 200, `["default"]`},
			{"POST", "/crowbar/rack/1.0/proposals/default", `{"id":"x"}`, 400, ""},
			{"POST", "/crowbar/rack/1.0/proposals/none", `{}`, 404, ""},
			{"POST", "/crowbar/rack/1.0/proposals/commit/none", "", 404, ""},
			{"POST", "/crowbar/rack/1.0/proposals/commit/default", "", 202, ""},
			{"GET", "/crowbar/rack/1.0", "", 200, `["default"]`},
			{"GET", "/crowbar/rack/1.0/default", "", 200, ""},
			{"GET", "/crowbar/rack/1.0/none", "", 404, ""},
			{"GET", "/crowbar/machines/1.0", "", 200, `{"nodes":[{"name":"` + name + `","alias":"","group":"","status":"discovered"}]}`},
			{"GET", "/crowbar/machines/1.0/" + name, "", 200, ""},
			{"GET", "/crowbar/machines/1.0/nobody", "", 404, ""},
			{"POST", "/crowbar/machines/1.0/allocate/" + name, "", 403, ""},
			{"POST", "/crowbar/rack/1.0/transition/default", `{"name":"` + name + `","state":"nowhere"}`, 400, ""},
			{"POST", "/crowbar/rack/1.0/transition/default", `{"name":"nobody","state":"ready"}`, 404, ""},
			{"GET", "/crowbar/rack/1.0/transition/default?state=discovered&name=" + name, "", 200, ""},
			{"POST", "/crowbar/machines/1.0/allocate/" + name, `{"allow_destroy":true}`, 200, ""},
			{"DELETE", "/crowbar/rack/1.0/proposals", "", 405, ""},
			{"GET", "/crowbar/rack/2.0", "", 404, ""},
		} {
			status, body := request(t, s, c.method, c.path, c.body)
			require.Equal(t, c.status, status, "%s %s %s: %s", c.method, c.path, c.body, body)
			if c.want != "" {
				require.JSONEq(t, c.want, body)
			}
			if status >= 400 {
				var e map[string]string
				require.NoError(t, json.Unmarshal([]byte(body), &e), body)
				require.NotEmpty(t, e["error"])
			}
		}
		status, _ := request(t, s, "GET", "/crowbar/rack/1.0/transition/default?state=reset&name="+name, "", "Sec-Fetch-Site", "cross-site")
		require.Equal(t, 403, status, "a link of a web page")
		require.NotEqual(t, lifecycle.Discovered, s.Settled(name, lifecycle.HardwareInstalled).Lifecycle.State)
	})
}

// A proposal shows what Crowbar notes in it; its revisions keep what was saved.
func TestCrowbarLiveValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := apitest.New(t)
		s.Discover(1)
		status, body := request(t, s, "PUT", "/crowbar/rack/1.0/proposals", `{"id":"default"}`)
		require.Equal(t, 200, status, body)
		status, body = request(t, s, "POST", "/crowbar/rack/1.0/proposals/commit/default", "")
		require.Equal(t, 202, status, body)
		_, body = request(t, s, "GET", "/crowbar/rack/1.0/proposals/default", "")
		d, err := proposal.Parse([]byte(body))
		require.NoError(t, err)
		var live struct {
			Deployment struct {
				Rack map[string]any `json:"rack"`
			} `json:"deployment"`
		}
		require.NoError(t, json.Unmarshal(d.Bytes(), &live))
		require.Equal(t, true, live.Deployment.Rack["crowbar-queued"])
		require.Equal(t, false, live.Deployment.Rack["crowbar-committing"])
		require.EqualValues(t, 1, live.Deployment.Rack["crowbar-revision"])
		stored, err := s.Client().Proposal(t.Context(), rack, 0)
		require.NoError(t, err)
		require.NotContains(t, string(stored.Document), "crowbar-queued")
	})
}

func TestCrowbarCreateMerges(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"whole values":     {`{"id":"default","attributes":{"rack":{"door":{"lock":1e3}}}}`, `{"door":{"lock":1e3}}`},
		"object by object": {`{"id":"default","crowbar-deep-merge-template":true,"attributes":{"rack":{"door":{"lock":1e3},"a/b":1}}}`, `{"size":42.0,"door":{"lock":1e3},"note":"<ü>","a/b":1}`},
		"nothing given":    {`{"id":"default"}`, `{"size":42.0,"door":null,"note":"<ü>"}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := apitest.New(t)
			status, body := request(t, s, "PUT", "/crowbar/rack/1.0/proposals", c.body)
			require.Equal(t, 200, status, body)
			stored, err := s.Client().Proposal(t.Context(), rack, 0)
			require.NoError(t, err)
			d, err := proposal.Parse(stored.Document)
			require.NoError(t, err)
			require.JSONEq(t, c.want, d.Attributes().Raw)
			require.Equal(t, 1, stored.Number, "one save")
		})
	}
	s := apitest.New(t)
	for body, says := range map[string]string{
		`{"id":"a","id":"b"}`:                                                        `is there twice`,
		`{"id":"a","attributes":{"rack":{"x":1,"x":2}}}`:                             "x",
		`{"id":"a","attributes":{"rack":{"code":"(secret /attributes/rack/code)"}}}`: "hidden",
		`{"id":"a"} {}`: "more than one",
		`[]`:            "expected an object",
	} {
		status, answer := request(t, s, "PUT", "/crowbar/rack/1.0/proposals", body)
		require.Equal(t, 400, status, body)
		require.Contains(t, answer, says)
	}
	status, body := request(t, s, "GET", "/crowbar/rack/1.0/proposals", "")
	require.Equal(t, 200, status)
	require.JSONEq(t, `[]`, body, "what was refused left nothing behind")
	status, body = request(t, s, "PUT", "/crowbar/rack/1.0/proposals", `{"name":"b","id":"a"}`)
	require.Equal(t, 200, status, body)
	_, body = request(t, s, "GET", "/crowbar/rack/1.0/proposals", "")
	require.JSONEq(t, `["a"]`, body)
}

// Crowbar's clients send back what they were shown, bookkeeping and all. What others saved
// meanwhile stays, and nothing is saved where nothing changed.
func TestCrowbarSavesWhatItShowed(t *testing.T) {
	s, c, _ := created(t)
	const path = "/crowbar/rack/1.0/proposals/default"
	_, shown := request(t, s, "GET", path, "")
	require.Contains(t, shown, `"crowbar-revision":1`)
	for range 3 {
		status, body := request(t, s, "POST", path, shown)
		require.Equal(t, 200, status, body)
	}
	require.Equal(t, 1, s.Engine.LatestRevision(rack), "nothing changed")

	text, _, err := c.Document(t.Context(), rack, 0)
	require.NoError(t, err)
	_, err = c.SaveProposal(t.Context(), rack, edited(t, text, "door", `"glass"`), client.SaveOptions{Base: 1})
	require.NoError(t, err)
	status, body := request(t, s, "POST", path, strings.Replace(shown, "<ü>", "noted", 1))
	require.Equal(t, 200, status, body)
	text, number, err := c.Document(t.Context(), rack, 0)
	require.NoError(t, err)
	require.Equal(t, 3, number)
	require.Contains(t, string(text), `"door":"glass"`, "saved by somebody else meanwhile")
	require.Contains(t, string(text), "noted")
	require.NotContains(t, string(text), "crowbar-revision", "the overlay is not stored")
	status, body = request(t, s, "POST", path, strings.Replace(shown, "<ü>", "otherwise", 1))
	require.Equal(t, 409, status, body)
	require.Contains(t, body, "/attributes/rack/note")
}

// Every real template comes back with the values it has, numbers as text.
func TestTemplatesRoundTrip(t *testing.T) {
	files, err := filepath.Glob("../../../shared/data/crowbar-templates/*.json")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no real templates here")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			given, err := proposal.Parse(raw)
			require.NoError(t, err)
			s := apitest.New(t)
			c := s.Client()
			for number := 1; number <= 2; number++ {
				r, err := c.ImportProposal(t.Context(), raw, "", client.SaveOptions{Message: "import"})
				require.NoError(t, err)
				require.Equal(t, 1, r.Number)
				require.Equal(t, number == 2, r.Unchanged)
				require.Equal(t, "default", r.Name)
			}
			shown, err := c.Proposal(t.Context(), proposal.Key{Barclamp: given.Barclamp(), Name: "default"}, 1)
			require.NoError(t, err)
			require.Equal(t, canonical(t, raw), canonical(t, shown.Document))
			status, elements := request(t, s, "GET", "/crowbar/"+given.Barclamp()+"/1.0/elements", "")
			require.Equal(t, 200, status, "a barclamp that nobody registered: %s", elements)
		})
	}
}

// canonical is every value of a JSON text with its number text, keys in their order.
func canonical(t *testing.T, raw []byte) []json.Token {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var tokens []json.Token
	for {
		token, err := d.Token()
		if err != nil {
			return tokens
		}
		tokens = append(tokens, token)
	}
}
