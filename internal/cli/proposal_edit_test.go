package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

// An editor shows what it was given and types what the rounds say: each is a function of the text.
type editor struct {
	t      *testing.T
	rounds []func(text string) string
	shown  []string
	file   string
}

func (e *editor) edit(_ context.Context, _, file string) error {
	raw, err := os.ReadFile(file)
	require.NoError(e.t, err)
	e.file = file
	require.Less(e.t, len(e.shown), len(e.rounds), "the editor opened once too often: %s", raw)
	typed := e.rounds[len(e.shown)](string(raw))
	e.shown = append(e.shown, string(raw))
	return os.WriteFile(file, []byte(typed), 0o600)
}

// typing makes the shell's editor; its temporary files are in a directory of their own.
func typing(s *shell, rounds ...func(string) string) *editor {
	s.t.Helper()
	s.t.Setenv("TMPDIR", s.t.TempDir())
	s.env["EDITOR"] = "typing"
	e := &editor{t: s.t, rounds: rounds}
	s.edit = e.edit
	return e
}

func replace(old, new string) func(string) string {
	return func(text string) string { return strings.Replace(text, old, new, 1) }
}

func leave(text string) string { return text }

// left are the files in the temporary directory.
func left(t *testing.T) []string {
	files, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	require.NoError(t, err)
	return files
}

const pretty = `{
  "id": "bc-rack-default",
  "attributes": {
    "rack": {
      "size": 42.0,

      "note": "# no comment"
    }
  },
  "deployment": { "rack": { "elements": { "rack-top": [ ] } } }
}
`

func imported(s *shell, document string) {
	s.t.Helper()
	stdin := s.stdin
	s.stdin = document
	s.ok("proposal", "import", "-")
	s.stdin = stdin
}

func TestProposalEdit(t *testing.T) {
	s := newShell(t)
	sizes(s)
	e := typing(s, replace("42.0", "1e3"))
	require.Equal(t, "rack.size: 42.0 → 1e3\nrack/default: revision 2 is saved\n", s.ok("proposal", "edit", "rack", "-m", "grown"))
	require.Contains(t, e.shown[0], "# base: revision 1 of rack/default, attributes\n{\n  \"rack\": {\n    \"size\": 42.0,\n")
	require.NotContains(t, e.shown[0], "elements")
	require.Empty(t, left(t), "the text is not needed any more")
	require.Regexp(t, `(?m)^2 .* grown$`, s.ok("proposal", "history", "rack"))

	e = typing(s, replace(`"rack-unit"`, `"rack-other"`))
	s.ok("proposal", "edit", "rack", "default", "--raw", "--force")
	require.Regexp(t, `# base: revision 2 of rack/default, document\n\{\s*"id": ?"bc-rack-default",`, e.shown[0])
	require.Contains(t, s.ok("proposal", "show", "rack"), "rack-other")

	// What a comment says is not saved, wherever it stands.
	typing(s, replace(`"size"`, "# why\n\t # so\n\"size\""), func(string) string { panic("once") })
	require.Equal(t, "nothing changes: rack/default revision 3 says the same\n", s.ok("proposal", "edit", "rack"))

	var saved client.Saved
	typing(s, replace("1e3", "7"))
	require.NoError(t, json.Unmarshal([]byte(s.ok("proposal", "edit", "rack", "-o", "json")), &saved))
	require.Equal(t, 4, saved.Number)
	require.Empty(t, left(t))
}

func TestProposalEditNothing(t *testing.T) {
	s := newShell(t)
	sizes(s)
	for name, typed := range map[string]func(string) string{
		"as it was": leave,
		"emptied":   func(string) string { return "" },
		"comments":  func(string) string { return "# only\n  # this\n\n" },
		"more comments": func(text string) string {
			return "# more\n" + text
		},
	} {
		for _, raw := range []string{"--raw=false", "--raw"} {
			typing(s, typed)
			require.Equal(t, "nothing changes\n", s.ok("proposal", "edit", "rack", "default", raw), name)
			require.Empty(t, left(t), name)
		}
	}
	// The file is gone: nothing was typed.
	typing(s)
	s.edit = func(_ context.Context, _, file string) error { return os.Remove(file) }
	require.Equal(t, "nothing changes\n", s.ok("proposal", "edit", "rack"))
	s.fails(1, "there is no proposal rack/other", "proposal", "edit", "rack", "other")
	delete(s.env, "EDITOR")
	s.fails(1, "there is no editor; say which one with EDITOR", "proposal", "edit", "rack")
}

// Text that is edited keeps its form where it was not touched.
func TestProposalEditKeepsTheForm(t *testing.T) {
	for _, raw := range []string{"--raw=false", "--raw"} {
		s := newShell(t)
		imported(s, pretty)
		var sent string
		s.answers(func(method, path string, body []byte) (int, string) {
			switch {
			case path == "/api/v1/proposals/validate":
				return 200, `{"problems":[]}`
			case method == "PUT":
				sent = string(body)
			}
			return 0, ""
		})
		require.Equal(t, pretty, s.ok("proposal", "export", "rack"))
		typing(s, replace("42.0", "43"))
		s.ok("proposal", "edit", "rack", "default", raw)
		require.Equal(t, strings.Replace(pretty, "42.0", "43", 1), sent)
	}
	// Without an empty line in it, the text starts at the margin.
	s := newShell(t)
	document := strings.Replace(pretty, ",\n\n", ",\n", 1)
	imported(s, document)
	e := typing(s, replace("42.0", "43"))
	s.ok("proposal", "edit", "rack")
	require.Contains(t, e.shown[0], ", attributes\n{\n  \"rack\": {\n    \"size\": 42.0,\n")
	require.Equal(t, strings.Replace(document, "42.0", "43", 1), s.ok("proposal", "export", "rack"))
}

// Wrong text comes back with the problems marked, and nothing of it is lost.
func TestProposalEditMarksProblems(t *testing.T) {
	s := newShell(t)
	sizes(s)
	e := typing(s,
		replace("42.0,", "42.0,,\n# mine"),
		func(text string) string { return strings.Replace(text, "42.0,,", `"big",`+"\n    \"sise\": 1,", 1) },
		func(text string) string {
			return strings.Replace(strings.Replace(text, `"size": "big"`, `"size": 7`, 1), `"sise": 1,`, "", 1)
		},
	)
	require.Contains(t, s.ok("proposal", "edit", "rack"), "rack.size: 42.0 → 7\nrack/default: revision 2 is saved\n")

	// Round two: no JSON. The place that is told is the place in the text that is shown.
	second := e.shown[1]
	require.Contains(t, second, "# mine\n", "comments of the user stay")
	marked(t, second, `    "size": 42.0,,`)
	require.Contains(t, second, "#!! Not saved: 1 problem. Put it right")
	// Round three: what the schema says of two attributes.
	third := e.shown[2]
	require.NotContains(t, third, ",,")
	require.Equal(t, 2, strings.Count(third, "^^ "), third)
	marked(t, third, `    "size": "big",`)
	marked(t, third, `    "sise": 1,`)
	require.Contains(t, third, "#!! Not saved: 2 problems.")
	require.Contains(t, third, "#   ^^ found a string \"big\", expected a number\n")
	require.Regexp(t, `(?m): /attributes/rack/sise: found .*did you mean "?size"?\?`, third)
	require.Equal(t, 1, strings.Count(third, "# base: "))
	require.Equal(t, `{"size":7,"door":null,"note":"\u003cü\u003e"}`, attributesOf(s))
	require.Empty(t, left(t))
}

var told = regexp.MustCompile(`(?m)^#!! line (\d+), column (\d+): `)

// marked says that one problem is told of a line, and marked below it.
func marked(t *testing.T, text, line string) {
	t.Helper()
	lines := strings.Split(text, "\n")
	for _, m := range told.FindAllStringSubmatch(text, -1) {
		var at, column int
		_, err := fmt.Sscan(m[1], &at)
		require.NoError(t, err)
		_, err = fmt.Sscan(m[2], &column)
		require.NoError(t, err)
		if lines[at-1] == line {
			require.Regexp(t, `^# +\^\^ `, lines[at])
			require.Equal(t, max(column-1, 2), strings.Index(lines[at], "^"), "it points at the place")
			return
		}
	}
	require.Fail(t, "no problem is told of this line", "%s\nin\n%s", line, text)
}

// Structure that is wrong, and problems that have no place in the text, are told as well.
func TestProposalEditWrongStructure(t *testing.T) {
	s := newShell(t)
	sizes(s)
	e := typing(s, func(string) string { return `{"rack": []}` }, leave)
	s.fails(1, "/attributes/rack: found", "proposal", "edit", "rack")
	marked(t, e.shown[1], `{"rack": []}`)
	e = typing(s, replace(`"rack-top"`, `"rack-top": 1, "x"`), leave)
	s.fails(1, "not saved: the text was left as it was; your text is in "+os.TempDir(), "proposal", "edit", "rack", "--raw")
	require.Contains(t, e.shown[1], "#!! line ")
	e = typing(s, func(string) string { return `[]` }, leave)
	s.fails(1, "not saved", "proposal", "edit", "rack", "--raw", "--force")
	require.Contains(t, e.shown[1], "#!! ")
	require.Contains(t, s.ok("proposal", "list"), "rack      default  1")
}

func TestProposalEditForce(t *testing.T) {
	s := newShell(t)
	sizes(s)
	typing(s, replace("42.0", `"big"`))
	s.ok("proposal", "edit", "rack", "--force")
	// What is wrong already keeps nobody from changing something else.
	typing(s, replace(`null`, `"glass"`))
	s.ok("proposal", "edit", "rack")
	require.Contains(t, attributesOf(s), `"size":"big","door":"glass"`)
}

// Wherever it fails, what was typed is in a file, whose name is told, and can be taken up again.
func TestTypedTextIsNeverLost(t *testing.T) {
	const typed = `"glass"`
	for name, c := range map[string]struct {
		prepare func(s *shell, e *editor)
		says    string
		code    int
	}{
		"the problems stay": {func(s *shell, e *editor) {
			e.rounds = []func(string) string{replace("42.0", `"big"`), replace("null", typed), leave}
		}, "the text was left as it was", 1},
		"no JSON": {func(_ *shell, e *editor) {
			e.rounds = []func(string) string{replace("null", typed+","), leave}
		}, "the text was left as it was", 1},
		"emptied when it came back": {func(_ *shell, e *editor) {
			e.rounds = []func(string) string{replace("null", typed+","), func(string) string { return "" }}
		}, "the text was emptied", 1},
		"the editor failed": {func(s *shell, e *editor) {
			s.edit = func(ctx context.Context, editor, file string) error {
				return errors.Join(e.edit(ctx, editor, file), errors.New("exit status 1"))
			}
		}, "exit status 1", 1},
		"the editor failed when the text came back": {func(s *shell, e *editor) {
			e.rounds = []func(string) string{replace("null", typed+","), func(string) string { return "" }}
			s.edit = func(ctx context.Context, editor, file string) error {
				err := e.edit(ctx, editor, file)
				if len(e.shown) == 2 {
					err = errors.Join(err, errors.New("exit status 1"))
				}
				return err
			}
		}, "exit status 1", 1},
		"no server to validate": {func(s *shell, _ *editor) { failing(s, "/validate", -1, "") }, "is crowbar-server running?", 1},
		"no server to save":     {func(s *shell, _ *editor) { failing(s, "/default", -1, "") }, "is crowbar-server running?", 1},
		"the server fails":      {func(s *shell, _ *editor) { failing(s, "/default", 500, "oops") }, "nothing that a crowbar-server says", 1},
		"refused": {func(s *shell, _ *editor) {
			failing(s, "/default", 403, `{"error":{"code":"refused","message":"not now"}}`)
		}, "not now", 3},
		"too large": {func(s *shell, _ *editor) {
			failing(s, "/default", 413, `{"error":{"code":"invalid","message":"too large"}}`)
		}, "too large", 1},
		"conflict": {func(s *shell, _ *editor) { conflicting(s) }, "contradicts what was saved since revision 1", 4},
		"conflict without more": {func(s *shell, _ *editor) {
			failing(s, "/default", 409, `{"error":{"code":"conflict","message":"too late"}}`)
		}, "too late", 4},
		"invalid when it is saved": {func(s *shell, e *editor) {
			e.rounds = append(e.rounds, leave)
			failing(s, "/default", 400, `{"error":{"code":"invalid","message":"1 problem","problems":[{"path":"/attributes/rack/door","found":"glass"}]}}`)
		}, "/attributes/rack/door: found glass", 1},
		"the base line is gone": {func(s *shell, e *editor) {
			e.rounds = []func(string) string{func(text string) string { return replace("# base", "#")(replace("null", typed)(text)) }}
			failing(s, "/default", -1, "")
		}, "is crowbar-server running?", 1},
	} {
		for _, raw := range []string{"--raw=false", "--raw"} {
			t.Run(name+raw, func(t *testing.T) {
				s := newShell(t)
				sizes(s)
				e := typing(s, replace("null", typed))
				c.prepare(s, e)
				s.fails(c.code, c.says, "proposal", "edit", "rack", "default", raw)
				files := left(t)
				require.Len(t, files, 1)
				text, err := os.ReadFile(files[0])
				require.NoError(t, err)
				require.Contains(t, string(text), typed)
				info, err := os.Stat(files[0])
				require.NoError(t, err)
				require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
				require.Contains(t, s.ok("proposal", "list"), "rack      default  1", "nothing was saved")

				// Taken up again, with what is wrong put right, it is saved.
				s.transport = nil
				s.edit = (&editor{t: t, rounds: []func(string) string{func(text string) string {
					return big.ReplaceAllString(strings.Replace(text, ",,", ",", 1), `"size": 8`)
				}}}).edit
				require.Contains(t, s.ok("proposal", "edit", "rack", "--from", files[0]), "rack/default: revision 2 is saved\n")
				require.Contains(t, attributesOf(s), `"door":"glass"`)
			})
		}
	}
}

func TestProposalEditNeedsAFile(t *testing.T) {
	s := newShell(t)
	sizes(s)
	typing(s)
	t.Setenv("TMPDIR", "/nowhere")
	s.fails(1, "crowbar: no file for the text can be made in /nowhere: no such file or directory; name a directory that you can write in with TMPDIR\n", "proposal", "edit", "rack")
}

var big = regexp.MustCompile(`"size": ?"big"`)

// failing answers what changes a path that ends so with an error.
func failing(s *shell, suffix string, status int, text string) {
	s.answers(func(method, path string, _ []byte) (int, string) {
		if method != "GET" && strings.HasSuffix(path, suffix) {
			return status, text
		}
		return 0, ""
	})
}

// The failure names the file, and the command that takes it up.
func TestProposalEditTellsTheFile(t *testing.T) {
	s := newShell(t)
	sizes(s)
	e := typing(s, replace("null", `"glass"`))
	failing(s, "/default", -1, "")
	_, _, stderr := s.run("proposal", "edit", "rack")
	require.Contains(t, stderr, "; your text is in "+e.file+"; take it up again: crowbar proposal edit rack default --from "+e.file+"\n")
}

func TestProposalEditInterrupted(t *testing.T) {
	s := newShell(t)
	sizes(s)
	e := typing(s, replace("null", `"glass"`))
	ctx, cancel := context.WithCancel(t.Context())
	s.edit = func(ctx context.Context, editor, file string) error {
		err := e.edit(ctx, editor, file)
		cancel()
		return err
	}
	code, _, stderr := s.runContext(ctx, "proposal", "edit", "rack")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "crowbar: not saved: interrupted; your text is in "+e.file)

	// With nothing typed there is nothing to keep.
	e = typing(s, leave)
	ctx, cancel = context.WithCancel(t.Context())
	s.edit = func(ctx context.Context, editor, file string) error {
		err := e.edit(ctx, editor, file)
		cancel()
		return errors.Join(err, errors.New("signal: interrupt"))
	}
	code, _, stderr = s.runContext(ctx, "proposal", "edit", "rack")
	require.Equal(t, 1, code)
	require.Equal(t, "crowbar: interrupted\n", stderr)
	require.Empty(t, left(t))
}

func TestProposalEditFrom(t *testing.T) {
	s := newShell(t)
	sizes(s, "7")
	typing(s, leave)
	dir := t.TempDir()
	file := filepath.Join(dir, "mine.json")
	write := func(text string) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	}
	write("{}")
	s.fails(1, `mine.json does not tell what it was made from; give it a line like "# base: revision 1 of rack/default, attributes"`, "proposal", "edit", "rack", "--from", file)
	write("# base: revision 1 of rack/other, attributes\n{}")
	s.fails(1, "has an edit of rack/other, not of rack/default", "proposal", "edit", "rack", "--from", file)
	write("# base: revision 1 of rack/default, attributes\n{}")
	s.fails(1, "has attributes, not a whole document; leave out --raw", "proposal", "edit", "rack", "--raw", "--from", file)
	s.fails(1, "there is no such file", "proposal", "edit", "rack", "--from", file+"x")
	s.fails(1, "--from is a file", "proposal", "edit", "rack", "--from", "-")
	write("# base: revision 9 of rack/default, attributes\n{}")
	s.fails(1, "rack/default has no revision 9", "proposal", "edit", "rack", "--from", file)

	// It is saved against the revision that it was made from, even if the editor changes nothing.
	write("# base: revision 1 of rack/default, attributes\n" + `{"rack":{"size":42.0,"door":"glass","note":"x"}}`)
	var base string
	s.transport = func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == "PUT" {
				base = r.URL.Query().Get("base")
			}
			return next.RoundTrip(r)
		})
	}
	require.Contains(t, s.ok("proposal", "edit", "rack", "--from", file), "revision 3 is saved; revision 2 of others was merged in\n")
	require.Equal(t, "1", base)
	require.FileExists(t, file, "the user's file stays")
}

// A program that brings back wrong text again and again is stopped.
func TestProposalEditEnds(t *testing.T) {
	s := newShell(t)
	sizes(s)
	typing(s)
	rounds := 0
	s.edit = func(_ context.Context, _, file string) error {
		rounds++
		return os.WriteFile(file, []byte(strings.Repeat("x", rounds)), 0o600)
	}
	s.fails(1, "after 100 rounds of editing it is wrong still", "proposal", "edit", "rack")
	require.Equal(t, 100, rounds)
}

// A real editor: the command line of VISUAL, with arguments, run by a shell.
func TestRealEditor(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip(err)
	}
	s := newShell(t)
	sizes(s)
	t.Setenv("TMPDIR", t.TempDir())
	script := filepath.Join(t.TempDir(), "my editor")
	require.NoError(t, os.WriteFile(script, []byte("#!/bin/sh\nsed \"s/42.0/$1/\" \"$2\" > \"$2.new\" && mv \"$2.new\" \"$2\"\n"), 0o700))
	s.env["EDITOR"] = "false"
	s.env["VISUAL"] = `"` + script + `" 1e3`
	require.Equal(t, "rack.size: 42.0 → 1e3\nrack/default: revision 2 is saved\n", s.ok("proposal", "edit", "rack"))
	require.Empty(t, left(t))
	s.env["VISUAL"] = ""
	s.fails(1, "the editor false failed: exit status 1", "proposal", "edit", "rack")
	require.Empty(t, left(t), "nothing was typed")
	s.env["EDITOR"] = "/nowhere/vi"
	s.fails(1, "the editor /nowhere/vi failed: exit status 127", "proposal", "edit", "rack")
	require.Empty(t, left(t))
}
