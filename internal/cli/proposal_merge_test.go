package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// asked is the last merge that was asked for.
func asked(s *shell, answer string) *client.Merge {
	var m client.Merge
	s.answers(func(method, path string, body []byte) (int, string) {
		if !strings.HasSuffix(path, "/merge") {
			return 0, ""
		}
		m = client.Merge{}
		require.NoError(s.t, json.Unmarshal(body, &m))
		return 200, answer
	})
	return &m
}

const mergedAnswer = `{"saved":{"barclamp":"rack","name":"default","number":4,"parent":3,"document":{}},
	"diff":{"patch":[],"changes":[{"kind":"attribute","path":"/attributes/rack/size","before":1,"after":2.0}]}}`

func TestProposalMergeAsks(t *testing.T) {
	s := newShell(t)
	document := sizes(s, "1e3", "7")
	m := asked(s, mergedAnswer)
	require.Equal(t, "rack.size: 1 → 2.0\nrack/default: revision 4 is saved\n", s.ok("proposal", "merge", "rack", "2"))
	require.Equal(t, &client.Merge{Base: 1, Revision: 2}, m, "the base is the parent")
	s.ok("proposal", "merge", "rack", "default", "2", "--base", "3", "-m", "undo")
	require.Equal(t, &client.Merge{Base: 3, Revision: 2, Message: "undo"}, m)

	file := filepath.Join(t.TempDir(), "rack.json")
	require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
	s.fails(1, "--base is missing: the revision that "+file+" was made from; find it: crowbar proposal history rack default", "proposal", "merge", "rack", "default", file)
	s.ok("proposal", "merge", "rack", "default", file, "--base", "1",
		"--ours", "rack.size", "--theirs", "/attributes/rack/door", "--take-base", `rack.a\.b`, "--ours", "/deployment/rack/elements/rack-top")
	require.Equal(t, 1, m.Base)
	require.JSONEq(t, document, string(m.Document))
	require.Equal(t, map[string]proposal.Side{
		"/attributes/rack/size": "ours", "/attributes/rack/door": "theirs", "/attributes/rack/a.b": "base", "/deployment/rack/elements/rack-top": "ours",
	}, m.Resolve)
	s.stdin = document
	s.ok("proposal", "merge", "rack", "-", "--base", "1")
	require.JSONEq(t, document, string(m.Document))

	// A text that edit kept tells what it was made from.
	require.NoError(t, os.WriteFile(file, []byte("# base: revision 2 of rack/default, attributes\n{\"rack\": {\n# so\n\"size\": 8}}"), 0o600))
	s.ok("proposal", "merge", "rack", file)
	require.Equal(t, 2, m.Base)
	require.Contains(t, string(m.Document), "bc-rack-default")
	require.Contains(t, string(m.Document), `8`)
	require.NotContains(t, string(m.Document), `#`)
	s.fails(1, "has an edit of rack/default, not of rack/other", "proposal", "merge", "rack", "other", file)
	require.NoError(t, os.WriteFile(file, []byte("# base: revision 2 of rack/default, attributes\n{\"rack\": {\n# so\n\"size\" 8}}"), 0o600))
	s.fails(1, file+": line 4, column 8", "proposal", "merge", "rack", file)

	for args, says := range map[string]string{
		"rack":                         "FROM is missing",
		"rack 0":                       "revisions are counted from 1",
		"rack 1":                       "rack/default revision 1 was made from none; give --base",
		"rack 9":                       "rack/default has no revision 9",
		"rack /nowhere.json --base 1":  "there is no such file",
		"rack 2 --base -1":             "--base is the number of a revision",
		"rack 2 --ours size":           "a path below attributes starts with the barclamp",
		"rack 2 --ours /a --theirs /a": "/a is given for two sides",
	} {
		s.fails(1, says, append([]string{"proposal", "merge"}, strings.Fields(args)...)...)
	}
	s.stdin = "{"
	s.fails(1, "- is no proposal: line 1", "proposal", "merge", "rack", "-", "--base", "1")
}

func TestProposalMergeTells(t *testing.T) {
	s := newShell(t)
	sizes(s, "1e3", "7")
	m := asked(s, `{"diff":{"patch":[],"changes":[{"kind":"attribute","path":"/attributes/rack/size","before":1,"after":2.0}]}}`)
	code, stdout, stderr := s.run("proposal", "merge", "rack", "2", "--dry-run")
	require.Equal(t, 0, code)
	require.True(t, m.DryRun)
	require.Equal(t, "rack.size: 1 → 2.0\n", stdout)
	require.Equal(t, "nothing is saved: this was a dry run\n", stderr)
	asked(s, `{"diff":{"patch":[],"changes":[]}}`)
	require.Equal(t, "nothing changes\n", s.ok("proposal", "merge", "rack", "2"))
	asked(s, mergedAnswer)
	var done client.Merged
	require.NoError(t, json.Unmarshal([]byte(s.ok("proposal", "merge", "rack", "2", "-o", "json")), &done))
	require.Equal(t, 4, done.Saved.Number)

	conflicting(s)
	code, stdout, stderr = s.run("proposal", "merge", "rack", "2")
	require.Equal(t, 4, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "crowbar: not merged: 2 and the newest revision of rack/default contradict each other:\n  /attributes/rack/size: changed-both\n    base    42.0\n")
	require.Contains(t, stderr, "    theirs  8 (revision 2)\n")
	require.Contains(t, stderr, "crowbar proposal merge rack default 2 --base 1 --theirs /attributes/rack/size\n")
}

// A slip in a path to decide is told with the paths that there are.
func TestProposalMergeDecidesNoConflict(t *testing.T) {
	s := newShell(t)
	sizes(s, "7", "8", "9")
	s.fails(1, "not merged: there is no conflict at /attributes/rack/door; conflicts are at: /attributes/rack/size\n",
		"proposal", "merge", "rack", "3", "--base", "1", "--theirs", "rack.door")
	s.fails(1, "not merged: there is no conflict at /attributes/rack/door; conflicts are at: /attributes/rack/size\n",
		"proposal", "merge", "rack", "3", "--base", "1", "--ours", "rack.door", "--theirs", "rack.size")
	s.fails(1, "not merged: there is no conflict at /attributes/rack/size, nor anywhere else; merge without --ours, --theirs and --take-base\n",
		"proposal", "merge", "rack", "3", "--base", "4", "--ours", "rack.size")
	s.fails(1, "rack/default has no revision 99", "proposal", "merge", "rack", "3", "--base", "99", "--ours", "rack.size")
	require.Contains(t, s.ok("proposal", "merge", "rack", "3", "--base", "1", "--theirs", "rack.size"), "revision 5 is saved")
}

// Of two that change the same one is told, and decides; nothing of either is lost meanwhile.
func TestProposalConflictIsDecided(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := newShell(t)
	sizes(s)
	s.ok("proposal", "set", "rack", "rack.size=7")
	s.stdin = strings.Replace(strings.Replace(s.ok("proposal", "show", "rack", "-r", "1"), "42.0", "8", 1), "null", `"glass"`, 1)
	code, _, stderr := s.run("proposal", "import", "-", "--base", "1")
	require.Equal(t, 4, code, stderr)
	require.Contains(t, stderr, "    base    42.0\n    ours    7 (the newest revision)\n    theirs  8 (yours: the document)\n")
	file := keptFile.FindStringSubmatch(stderr)[1]
	require.Contains(t, s.ok("proposal", "list"), "rack      default  2")
	code, _, stderr = s.run("proposal", "merge", "rack", "default", file, "--base", "1", "--dry-run")
	require.Equal(t, 4, code, stderr)
	require.Contains(t, s.ok("proposal", "merge", "rack", "default", file, "--base", "1", "--ours", "/attributes/rack/size"), "revision 3 is saved")
	require.Contains(t, attributesOf(s), `"size":7,"door":"glass"`)

	// The same with a text that edit kept.
	typing(s, func(text string) string {
		s.ok("proposal", "set", "rack", "rack.size=9")
		return replace(`7`, "10")(text)
	})
	code, _, stderr = s.run("proposal", "edit", "rack")
	require.Equal(t, 4, code, stderr)
	require.Contains(t, stderr, "    theirs  10 (yours: what you typed)\n")
	file = keptFile.FindStringSubmatch(stderr)[1]
	require.Contains(t, s.ok("proposal", "merge", "rack", "default", file, "--base", "3", "--theirs", "/attributes/rack/size"), "rack.size: 9 → 10\n")
}
