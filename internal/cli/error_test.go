package cli_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

// With -o json a program gets what is wrong as data; the sentence is for people all the same.
func TestFailuresAsJSON(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := newShell(t)
	document := sizes(s, "7", "8")
	failed := func(code int, args ...string) client.ErrorBody {
		t.Helper()
		got, stdout, stderr := s.run(append(args, "-o", "json")...)
		require.Equal(t, code, got, stderr)
		require.True(t, strings.HasPrefix(stderr, "crowbar: "), stderr)
		if stdout == "" {
			return client.ErrorBody{}
		}
		var answer struct{ Error client.ErrorBody }
		d := json.NewDecoder(strings.NewReader(stdout))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&answer), stdout)
		require.False(t, d.More(), "one value: %s", stdout)
		return answer.Error
	}
	refused := failed(1, "proposal", "set", "rack", "rack.size=big")
	require.Equal(t, client.CodeInvalid, refused.Code)
	require.Equal(t, "not saved, that makes 1 problem; --force saves it in a draft all the same", refused.Message)
	require.Equal(t, "/attributes/rack/size", refused.Problems[0].Path)
	refused = failed(1, "proposal", "commit", "rack") // no node is there
	require.NotEmpty(t, refused.Problems)
	require.Contains(t, refused.Message, "; put it right: crowbar proposal edit rack default --raw")
	s.stdin = `{"id":1,"attributes":[],"deployment":{"rack":{}}}`
	for _, args := range [][]string{{"import", "-"}, {"create", "rack", "other", "--from", "-"}} {
		refused = failed(1, append([]string{"proposal"}, args...)...)
		require.Equal(t, client.CodeInvalid, refused.Code)
		require.Len(t, refused.Problems, 2, args)
		require.NotContains(t, refused.Message, "\n")
	}

	s.stdin = strings.Replace(document, "8", "9", 1)
	refused = failed(4, "proposal", "import", "-", "--base", "1")
	require.Equal(t, client.CodeConflict, refused.Code)
	require.Equal(t, "/attributes/rack/size", refused.Conflicts[0].Path)
	require.JSONEq(t, "9", string(refused.Conflicts[0].Theirs))
	require.Len(t, failed(4, "proposal", "merge", "rack", "2", "--base", "1").Conflicts, 1)
	typing(s, func(text string) string {
		s.ok("proposal", "set", "rack", "rack.size=9")
		return replace("8", "10")(text)
	})
	require.Len(t, failed(4, "proposal", "edit", "rack").Conflicts, 1)

	require.Empty(t, failed(1, "proposal", "show", "rack", "nowhere"), "there is nothing to say beyond the sentence")
	require.Empty(t, failed(1, "node", "show", "nobody"))
	_, stdout, _ := s.run("proposal", "set", "rack", "rack.size=big")
	require.Empty(t, stdout)
}

// Whatever a document or a server says, a terminal's cursor stays in its line.
func TestErrorsDoNotSteerTheTerminal(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := newShell(t)
	sizes(s)
	const message = `{"error":{"code":"invalid","message":"no\u001b[2J","problems":[{"path":"/a\u001b[1A\nb","found":"\u0007x\r"}]}}`
	s.answers(func(method, _ string, _ []byte) (int, string) {
		if method != "GET" {
			return 400, message
		}
		return 0, ""
	})
	for _, args := range [][]string{{"rollback", "rack", "1"}, {"commit", "rack"}, {"import", "-"}} {
		_, _, stderr := s.run(append([]string{"proposal"}, args...)...)
		require.Contains(t, stderr, "no [2J")
		require.Contains(t, stderr, "\n  /a [1A b: found  x \n")
		require.NotRegexp(t, `[\x00-\x09\x0b-\x1f]`, stderr)
	}
	s.answers(func(method, _ string, _ []byte) (int, string) {
		if method != "GET" {
			return 409, `{"error":{"code":"conflict","message":"no","conflicts":[{"type":"changed-both","path":"/a\u001b[1A\nit's","base":1}]}}`
		}
		return 0, ""
	})
	s.stdin = s.ok("proposal", "show", "rack")
	code, _, stderr := s.run("proposal", "import", "-", "--base", "1")
	require.Equal(t, 4, code)
	require.Contains(t, stderr, `--theirs $'/a\033[1A\012it\'s'`)
	require.NotRegexp(t, `[\x00-\x09\x0b-\x1f]`, stderr)
	require.FileExists(t, left(t)[0])
	require.NoError(t, os.Remove(left(t)[0]))
	s.transport = nil
	code, _, stderr = s.run("proposal", "set", "rack", "--delete", "rack.a\x1b[2J")
	require.Equal(t, 1, code)
	require.NotContains(t, stderr, "\x1b")
}
