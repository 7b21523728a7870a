package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

// sizes saves rack/default with these sizes, one revision each, and returns the last document.
func sizes(s *shell, texts ...string) (document string) {
	s.t.Helper()
	if code, _, _ := s.run("proposal", "show", "rack"); code != 0 {
		s.ok("proposal", "create", "rack", "-m", "the first")
	}
	first := s.ok("proposal", "show", "rack", "default", "-r", "1")
	for _, text := range texts {
		document = strings.Replace(first, "42.0", text, 1)
		s.stdin = document
		s.ok("proposal", "import", "-", "-m", "size "+text)
	}
	return document
}

func TestProposalHelp(t *testing.T) {
	s := newShell(t)
	for _, verb := range []string{"list", "show", "create", "edit", "set", "validate", "diff", "history", "rollback", "merge", "plan", "commit", "import", "export"} {
		help := s.ok("proposal", verb, "--help")
		require.Contains(t, help, "Examples:\n  ", verb)
		require.Contains(t, help, "crowbar proposal "+verb, verb)
	}
}

// BARCLAMP/NAME is one argument wherever BARCLAMP NAME are two.
func TestProposalNamedInOne(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := newShell(t)
	s.site.Discover(1)
	s.ok("proposal", "create", "rack/second")
	imported(s, strings.Replace(s.ok("proposal", "show", "rack/second"), "42.0", "7", 1))
	for _, c := range []struct {
		args string
		want int
	}{
		{"show rack/second -r 1", 0}, {"export rack/second", 0}, {"history rack/second", 0}, {"validate rack/second", 0},
		{"diff rack/second 1", 2}, {"diff rack/second 1 2", 2}, {"set rack/second rack.size=8", 0}, {"merge rack/second 2 --base 1", 4},
		{"rollback rack/second 1", 0}, {"merge rack/second 2", 0}, {"plan rack/second", 2}, {"commit rack/second", 0},
	} {
		code, stdout, stderr := s.run(append([]string{"proposal"}, strings.Fields(c.args)...)...)
		require.Equal(t, c.want, code, "%s: %s%s", c.args, stdout, stderr)
		require.NotContains(t, stderr, "rack/default", c.args)
	}
	typing(s, replace("7", "9"))
	s.ok("proposal", "edit", "rack/second")
	for args, says := range map[string]string{
		"show rack/second third":      `"third" is one argument too many`,
		"diff rack/second 1 2 3":      `"3" is one argument too many`,
		"rollback rack/second":        "N is missing",
		"merge rack/second":           "FROM is missing",
		"show rack/":                  `"rack/" is no BARCLAMP/NAME: `,
		"show a/b/c":                  `"a/b/c" is no BARCLAMP/NAME: `,
		"set rack/second":             "nothing to set",
		"set /attributes/rack/size=1": "BARCLAMP is missing",
	} {
		s.fails(1, says, append([]string{"proposal"}, strings.Fields(args)...)...)
	}
}

func TestProposalShow(t *testing.T) {
	s := newShell(t)
	sizes(s, "1e3")
	var r client.Revision
	require.NoError(t, json.Unmarshal([]byte(s.ok("proposal", "show", "rack", "-o", "json")), &r))
	require.Equal(t, 2, r.Number)
	require.Equal(t, "size 1e3", r.Message)
	require.Contains(t, string(r.Document), "1e3", "number text is kept")
	require.Contains(t, string(r.Document), "ü")

	s.terminal = true
	code, stdout, stderr := s.run("proposal", "show", "rack")
	require.Equal(t, 0, code)
	require.Contains(t, stderr, "rack/default revision 2 by ")
	require.True(t, json.Valid([]byte(stdout)))
}

func TestProposalExport(t *testing.T) {
	s := newShell(t)
	document := sizes(s, "1e3")
	code, stdout, stderr := s.run("proposal", "export", "rack")
	require.Equal(t, 0, code)
	require.Empty(t, stderr)
	require.Equal(t, document, stdout, "byte for byte")

	file := filepath.Join(t.TempDir(), "rack.json")
	require.Empty(t, s.ok("proposal", "export", "rack", "default", "--to", file))
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, document, string(raw))
	s.fails(1, file+" is there already; overwrite it with --force", "proposal", "export", "rack", "default", "-r", "1", "--to", file)
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, raw, kept)
	s.ok("proposal", "export", "rack", "default", "-r", "1", "--to", file, "--force")
	raw, err = os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(raw), "42.0")
	s.fails(1, "is a directory; give a file in it", "proposal", "export", "rack", "--to", filepath.Dir(file), "--force")
	s.fails(1, "crowbar: "+file+"none/x cannot be written: no such file or directory\n", "proposal", "export", "rack", "--to", filepath.Join(file+"none", "x"))
	link := filepath.Join(filepath.Dir(file), "link")
	require.NoError(t, os.Symlink(os.DevNull, link))
	s.fails(1, "is no regular file", "proposal", "export", "rack", "--to", link, "--force")
	entries, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, entries, 2, "nothing half-written is left")

	s.terminal = true
	_, _, stderr = s.run("proposal", "export", "rack")
	require.Equal(t, "rack/default revision 2\n", stderr)

	hidden := strings.Replace(document, `"<ü>"`, `"(secret /attributes/rack/code)"`, 1)
	s.answers(func(_, path string, _ []byte) (int, string) {
		if strings.HasSuffix(path, "/document") {
			return 200, hidden
		}
		return 0, ""
	})
	s.fails(1, "nothing that a crowbar-server says", "proposal", "export", "rack") // it must tell the revision
}

func TestHiddenSecretsAreTold(t *testing.T) {
	s := newShell(t)
	sizes(s)
	s.stdin = strings.Replace(s.ok("proposal", "show", "rack"), `"note": "<ü>"`, `"code": "hunter2"`, 1)
	s.ok("proposal", "import", "-")
	code, stdout, stderr := s.run("proposal", "show", "rack")
	require.Equal(t, 0, code)
	require.Contains(t, stdout, `"(secret /attributes/rack/code)"`)
	require.Equal(t, 1, strings.Count(stderr, "1 secret is hidden"))
	_, _, stderr = s.run("proposal", "export", "rack")
	require.Equal(t, 1, strings.Count(stderr, "1 secret is hidden"))

	// Saved as it is shown, it stays what it was; and set never prints it.
	s.stdin = stdout
	require.Contains(t, s.ok("proposal", "import", "-"), "nothing changes")
	code, stdout, stderr = s.run("proposal", "set", "rack", "rack.code=hunter3", "rack.door=glass")
	require.Equal(t, 0, code, stderr)
	require.NotContains(t, stdout+stderr, "hunter")
	require.Contains(t, stdout, "rack.code: ")
}

func TestProposalImportBase(t *testing.T) {
	s := newShell(t)
	document := sizes(s, "1e3")
	s.fails(1, "--base is the number of a revision", "proposal", "import", "-", "--base", "-1")
	s.stdin = strings.Replace(document, "ü", "x", 1)
	require.Equal(t, "rack.note: \"<ü>\" → \"<x>\"\nrack/default: revision 3 is saved\n", s.ok("proposal", "import", "-", "--base", "2"))
	s.stdin = strings.Replace(s.stdin, "null", `"glass"`, 1)
	var saved client.Saved
	require.NoError(t, json.Unmarshal([]byte(s.ok("proposal", "import", "-", "-o", "json")), &saved))
	require.Equal(t, 4, saved.Number)
	require.False(t, saved.Unchanged)
	require.NoError(t, json.Unmarshal([]byte(s.ok("proposal", "import", "-", "-o", "json")), &saved))
	require.Equal(t, 4, saved.Number)
	require.True(t, saved.Unchanged)
}

func TestProposalDiff(t *testing.T) {
	s := newShell(t)
	sizes(s, "1e3", "7")
	diff := func(want string, args ...string) {
		t.Helper()
		code, stdout, stderr := s.run(append([]string{"proposal", "diff", "rack"}, args...)...)
		if want == "" {
			require.Equal(t, 0, code, stderr)
			require.Empty(t, stdout)
			return
		}
		require.Equal(t, 2, code, stderr)
		require.Equal(t, want, stdout)
	}
	diff("rack.size: 42.0 → 7\n", "default", "1")
	diff("rack.size: 42.0 → 7\n", "default", "1", "latest")
	diff("rack.size: 7 → 1e3\n", "default", "latest", "2")
	diff("rack.size: 42.0 → 1e3\n", "default", "template", "2")
	diff("rack.size: 42.0 → 7\n")
	diff("", "default", "3")
	s.fails(1, "--help", "proposal", "diff")
	for _, wrong := range []string{"x", "0", "-1", "+1", "", "1.0"} {
		s.fails(1, "is no revision; give its number, applied, latest or template", "proposal", "diff", "rack", "default", "--", wrong)
	}
	s.fails(1, "a revision comes after the name: crowbar proposal diff rack default 2", "proposal", "diff", "rack", "2")
	s.fails(1, "applied", "proposal", "diff", "rack", "default", "applied")

	_, stdout, _ := s.run("proposal", "diff", "rack", "default", "1", "2", "-o", "json")
	require.JSONEq(t, `[{"op":"replace","path":"/attributes/rack/size","value":1e3}]`, stdout)
	require.Contains(t, stdout, "1e3")
	require.Equal(t, "[]\n", s.ok("proposal", "diff", "rack", "default", "1", "1", "-o", "json"))

	s.terminal = true
	code, stdout, stderr := s.run("proposal", "diff", "rack")
	require.Equal(t, 2, code)
	require.Equal(t, "rack/default: the template and revision 3, the latest:\n", stderr)
	require.Equal(t, "rack.size: \x1b[31m42.0\x1b[0m → \x1b[32m7\x1b[0m\n", stdout)
	s.env["NO_COLOR"] = "1"
	diff("rack.size: 42.0 → 7\n")
}

// What is in force and applied is what a diff starts from.
func TestProposalDiffApplied(t *testing.T) {
	s := newShell(t)
	sizes(s, "1e3", "7")
	s.terminal, s.env["NO_COLOR"] = true, "1"
	var asked string
	s.transport = func(next http.RoundTripper) http.RoundTripper { return applied{next, 2, &asked} }
	code, stdout, stderr := s.run("proposal", "diff", "rack")
	require.Equal(t, "from=applied&to=", asked)
	require.Equal(t, 2, code, stderr)
	require.Equal(t, "rack/default: revision 2, which is applied, and revision 3, the latest:\n", stderr)
	require.Equal(t, "rack.size: 1e3 → 7\n", stdout)
	require.Contains(t, s.ok("proposal", "rollback", "rack", "applied"), "revision 4 is saved, it equals revision 2; commit it: crowbar proposal commit rack default\n")
}

// applied lets a proposal look as if a revision had been applied.
type applied struct {
	next   http.RoundTripper
	number int
	asked  *string
}

func (a applied) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/diff"):
		*a.asked = r.URL.RawQuery
		query := r.URL.Query()
		query.Set("from", fmt.Sprint(a.number))
		r = r.Clone(r.Context())
		r.URL.RawQuery = query.Encode()
	case strings.HasSuffix(r.URL.Path, "/default"):
		answer, err := a.next.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		var revision client.Revision
		if err := json.NewDecoder(answer.Body).Decode(&revision); err != nil {
			return nil, err
		}
		revision.Status.Applied = a.number
		raw, err := json.Marshal(revision)
		if err != nil {
			return nil, err
		}
		answer.ContentLength = int64(len(raw))
		answer.Body = io.NopCloser(bytes.NewReader(raw))
		return answer, nil
	}
	return a.next.RoundTrip(r)
}

// Colours tell what comes and what goes, node by node; a node that only moves is neither.
func TestDiffColours(t *testing.T) {
	s := newShell(t)
	s.terminal = true
	node := func(role string, added, removed string) string {
		return `{"kind":"role","role":"` + role + `","path":"/deployment/rack/elements/` + role + `","before":["z"],"after":["z"],"added":[` + added + `],"removed":[` + removed + `]}`
	}
	const esc = "\x1b["
	for name, c := range map[string]struct{ change, want string }{
		"added":       {`{"kind":"attribute","path":"/attributes/rack/a","after":1}`, esc + "32mrack.a: + 1" + esc + "0m"},
		"removed":     {`{"kind":"attribute","path":"/attributes/rack/a","before":1}`, esc + "31mrack.a: − 1" + esc + "0m"},
		"changed":     {`{"kind":"attribute","path":"/attributes/rack/a","before":"1 → 2","after":3}`, "rack.a: " + esc + `31m"1 → 2"` + esc + "0m → " + esc + "32m3" + esc + "0m"},
		"secret":      {`{"kind":"attribute","path":"/attributes/rack/a","before":"x","after":"x","secret":true}`, esc + "33mrack.a: changed (secret)" + esc + "0m"},
		"nodes":       {node("top", `"n1","n2"`, `"n3"`), "top:" + esc + "32m + n1" + esc + "0m" + esc + "32m, n2" + esc + "0m" + esc + "31m − n3" + esc + "0m"},
		"same nodes":  {node("top", ``, ``), esc + "33mtop: same nodes, listed otherwise" + esc + "0m"},
		"moved":       {node("top", `"n1","n9"`, `"n3"`), "top:" + esc + "32m + n1" + esc + "0m" + esc + "33m, n9 (from unit)" + esc + "0m" + esc + "31m − n3" + esc + "0m"},
		"escape":      {node("top", `"n\u001b[2J"`, ``), "top:" + esc + "32m + n [2J" + esc + "0m"},
		"line end":    {node("top", `"n\nm"`, ``), "top:" + esc + "32m + n m" + esc + "0m"},
		"line end in": {`{"kind":"attribute","path":"/attributes/rack/a\nb","after":1}`, esc + "32mrack.a b: + 1" + esc + "0m"},
	} {
		t.Run(name, func(t *testing.T) {
			s.answers(func(_, path string, _ []byte) (int, string) {
				if !strings.HasSuffix(path, "/diff") {
					return 0, ""
				}
				return 200, `{"patch":[],"changes":[` + c.change + `],"moves":[{"node":"n9","from":"unit","to":"top"}]}`
			})
			code, stdout, stderr := s.run("proposal", "diff", "rack", "default", "1")
			require.Equal(t, 2, code, stderr)
			require.Equal(t, c.want+"\n", stdout)
		})
	}
}

// People see where a value is long; programs get all of it.
func TestLongValuesAreCut(t *testing.T) {
	s := newShell(t)
	sizes(s)
	long := strings.Repeat("ü", 300)
	want := `rack.note: "<ü>" → "` + strings.Repeat("ü", 199) + "…\n"
	require.Equal(t, want+"rack/default: revision 2 is saved\n", s.ok("proposal", "set", "rack", "rack.note="+long, "-m", long))
	code, stdout, _ := s.run("proposal", "diff", "rack", "default", "1")
	require.Equal(t, 2, code)
	require.Equal(t, want, stdout)
	_, stdout, _ = s.run("proposal", "diff", "rack", "default", "1", "-o", "json")
	require.Contains(t, stdout, long)
	require.Regexp(t, ` ü{200}…\n`, s.ok("proposal", "history", "rack"))
	require.Contains(t, s.ok("proposal", "history", "rack", "-o", "json"), long)
	require.Contains(t, s.ok("proposal", "diff", "--help"), "is not compared, and so is not\nin the patch")
	s.terminal = true
	_, stdout, _ = s.run("proposal", "diff", "rack", "default", "2", "1")
	require.Contains(t, stdout, "ü…\x1b[0m → \x1b[32m\"<ü>\"\x1b[0m\n")
}

func TestProposalHistory(t *testing.T) {
	s := newShell(t)
	s.fails(1, "proposal list", "proposal", "history", "rack")
	var texts []string
	for i := range 120 {
		texts = append(texts, fmt.Sprint(i+100))
	}
	sizes(s, texts...)
	all := strings.Split(strings.TrimSpace(s.ok("proposal", "history", "rack", "--limit", "121")), "\n")
	require.Len(t, all, 122)
	require.Regexp(t, `^REVISION +WHEN +WHO +SUMMARY +WHY$`, all[0])
	require.Regexp(t, `^121 +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +\S+ +\S.* +size 219$`, all[1])
	require.Regexp(t, `^1 .* the first$`, all[121])
	code, stdout, stderr := s.run("proposal", "history", "rack")
	require.Equal(t, 0, code)
	require.Equal(t, 51, strings.Count(stdout, "\n"))
	require.Equal(t, "there are older ones: crowbar proposal history rack default --before 72\n", stderr)
	code, stdout, stderr = s.run("proposal", "history", "rack", "default", "--before", "4", "--limit", "3")
	require.Equal(t, 0, code)
	require.Equal(t, 4, strings.Count(stdout, "\n"))
	require.Empty(t, stderr)
	for args, want := range map[string]int{"": 121, "--limit 3": 3, "--before 5": 4, "--before 1": 0, "--limit 110 --before 120": 110} {
		var entries []client.HistoryEntry
		out := s.ok(append([]string{"proposal", "history", "rack", "-o", "json"}, strings.Fields(args)...)...)
		require.NoError(t, json.Unmarshal([]byte(out), &entries))
		require.Len(t, entries, want, args)
		require.True(t, strings.HasPrefix(out, "["))
		for i := 1; i < len(entries); i++ {
			require.Equal(t, entries[i-1].Number-1, entries[i].Number)
		}
	}
	s.fails(1, "not below 0", "proposal", "history", "rack", "--limit", "-1")
}

func TestProposalHistoryTellsWhatIsInForce(t *testing.T) {
	s := newShell(t)
	s.site.Discover(1)
	sizes(s)
	s.ok("proposal", "commit", "rack")
	require.Regexp(t, `(?m)^1 .* in force, queued$`, s.ok("proposal", "history", "rack"))
}

func TestProposalRollback(t *testing.T) {
	s := newShell(t)
	sizes(s, "1e3", "7")
	require.Equal(t, "rack.size: 7 → 42.0\nrack/default: revision 4 is saved, it equals revision 1; commit it: crowbar proposal commit rack default\n",
		s.ok("proposal", "rollback", "rack", "1", "-m", "too small"))
	require.Regexp(t, `(?m)^4 .* too small$`, s.ok("proposal", "history", "rack"))
	require.Equal(t, "nothing changes: rack/default revision 4 says the same\n", s.ok("proposal", "rollback", "rack", "default", "1"))
	var done client.RolledBack
	require.NoError(t, json.Unmarshal([]byte(s.ok("proposal", "rollback", "rack", "default", "2", "-o", "json")), &done))
	require.Equal(t, 5, done.Saved.Number)
	require.Equal(t, "/attributes/rack/size", done.Diff.Changes[0].Path)
	s.fails(1, "rack/default has no revision 9; its newest is 5", "proposal", "rollback", "rack", "9")
	s.fails(1, `"other" is no revision to go back to; give its number, or applied`, "proposal", "rollback", "rack", "other")
	s.fails(1, "no revision of rack/default was ever applied", "proposal", "rollback", "rack", "applied")
	s.fails(1, "N is missing", "proposal", "rollback", "rack")
}
