package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestProposalValidate(t *testing.T) {
	s := newShell(t)
	name, _ := s.site.Discover(1)
	document := func() string { return s.ok("proposal", "show", "rack") }
	sizes(s)
	require.Equal(t, "rack/default is valid\n", s.ok("proposal", "validate", "rack"))
	require.Equal(t, "{\n  \"problems\": []\n}\n", s.ok("proposal", "validate", "rack", "default", "-r", "1", "-o", "json"))

	s.stdin = strings.Replace(document(), `"`+name+`"`, "", 1)
	s.ok("proposal", "import", "-")
	code, stdout, stderr := s.run("proposal", "validate", "rack")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "rack-top")
	require.Regexp(t, `^crowbar: rack/default has \d problems?; put it right: crowbar proposal edit rack default --raw\n$`, stderr)
	require.Equal(t, "rack/default revision 1 is valid\n", s.ok("proposal", "validate", "rack", "default", "-r", "1"))
	_, again, _ := s.run("proposal", "validate", "--file", "-")
	require.Equal(t, stdout, again, "a file has the same problems")
	code, stdout, _ = s.run("proposal", "validate", "--file", "-", "-o", "json")
	require.Equal(t, 1, code)
	var answer struct{ Problems []proposal.Problem }
	require.NoError(t, json.Unmarshal([]byte(stdout), &answer))
	require.NotEmpty(t, answer.Problems)

	for content, says := range map[string]string{
		`{"id":"bc-rack-default","attributes":{"rack":[]},"deployment":{"rack":{}}}`: "/attributes/rack",
	} {
		s.stdin = content
		code, stdout, stderr = s.run("proposal", "validate", "--file", "-")
		require.Equal(t, 1, code)
		require.Contains(t, stdout, says, stderr)
		code, stdout, _ = s.run("proposal", "validate", "--file", "-", "-o", "json")
		require.Equal(t, 1, code)
		require.NoError(t, json.Unmarshal([]byte(stdout), &answer))
		require.Len(t, answer.Problems, 1)
	}
	// A text that is no JSON has the same said of it as by import.
	for content, found := range map[string]string{
		"{\n \"id\": }": "line 2, column 8: found '}' where a value should follow\n",
		"# x":           "line 1, column 1: found '#' where a value should follow\n",
		"":              "line 1, column 1: the text ends where a value should follow\n",
	} {
		s.stdin = content
		s.fails(1, "crowbar: -: not a proposal: "+found, "proposal", "validate", "--file", "-")
		s.fails(1, "crowbar: -: not a proposal: "+found, "proposal", "import", "-")
		code, stdout, stderr = s.run("proposal", "validate", "--file", "-", "-o", "json")
		require.Equal(t, 1, code)
		require.Equal(t, "crowbar: - has 1 problem\n", stderr)
		require.NoError(t, json.Unmarshal([]byte(stdout), &answer))
		place, reason, _ := strings.Cut(strings.TrimSpace(found), ": ")
		require.Equal(t, []proposal.Problem{{Found: strings.TrimPrefix(reason, "found "), Expected: "strict JSON", Hint: place}}, answer.Problems)
	}
	s.fails(1, "BARCLAMP is missing, or --file FILE", "proposal", "validate")
	s.fails(1, "not both", "proposal", "validate", "rack", "--file", "x")
	s.fails(1, "there is no such file", "proposal", "validate", "--file", "/nowhere.json")
}
