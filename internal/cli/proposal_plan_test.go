package cli_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestProposalPlan(t *testing.T) {
	s := newShell(t)
	name, _ := s.site.Discover(1)
	sizes(s)
	code, stdout, stderr := s.run("proposal", "plan", "rack")
	require.Equal(t, 2, code, stderr)
	require.Contains(t, stdout, "rack/default: commit revision 1; none is in force\n")
	require.Contains(t, stdout, "wave 1: rack-top\n")
	require.Regexp(t, `NODE +STATE +APPLIES +GAINS +LOSES`, stdout)
	require.Regexp(t, `d52-54-00-00-00-01 .*discovered +rack-top +rack-top +-`, stdout)
	var p client.ProposalPlan
	code, stdout, _ = s.run("proposal", "plan", "rack", "default", "-r", "1", "-o", "json")
	require.Equal(t, 2, code)
	require.NoError(t, json.Unmarshal([]byte(stdout), &p))
	require.Equal(t, name, p.Nodes[0].Node)

	s.ok("proposal", "commit", "rack")
	sizes(s, "1e3")
	code, stdout, _ = s.run("proposal", "plan", "rack")
	require.Equal(t, 2, code)
	require.Contains(t, stdout, "rack/default: commit revision 2 in the place of revision 1\n  rack.size: 42.0 → 1e3\n")

	s.stdin = strings.Replace(s.ok("proposal", "show", "rack"), `"`+name+`"`, "", 1)
	s.ok("proposal", "import", "-")
	code, stdout, stderr = s.run("proposal", "plan", "rack")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "problem: ")
	require.Contains(t, stderr, "put it right: crowbar proposal edit rack default --raw")
	s.ok("proposal", "create", "rack", "second")
	s.fails(3, "allows one proposal in force, and rack/default is", "proposal", "plan", "rack", "second")
}

// Whatever a plan says has its place.
func TestProposalPlanIsReadable(t *testing.T) {
	s := newShell(t)
	plan := client.ProposalPlan{Barclamp: "rack", Name: "default", Revision: 4, InForce: 3, Waves: [][]string{{"a"}, {"b", "c"}}, Waiting: "waits for job 7",
		Nodes: []client.NodeChange{{Node: "n1.x", Alias: "top", State: "ready", Gains: []string{"b"}, Applies: []string{"a", "b"}}, {Node: "n2.x", Loses: []string{"c"}, Note: "there is no such node"}}}
	run := func() (int, string, string) {
		raw, err := json.Marshal(plan)
		require.NoError(t, err)
		s.answers(func(string, string, []byte) (int, string) { return 200, string(raw) })
		return s.run("proposal", "plan", "rack")
	}
	code, stdout, stderr := run()
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "rack/default: revision 4 says the same as revision 3, which is in force and applied; a commit would apply the same roles again to 1 node\nwave 1: a\nwave 2: b, c\n")
	require.Regexp(t, `(?m)^n1 \(top\) +ready +a b +b +-$`, stdout)
	require.Regexp(t, `(?m)^n2 +- +- +- +c +there is no such node$`, stdout)
	require.True(t, strings.HasSuffix(stdout, "the job waits for job 7\ncommit it: crowbar proposal commit rack default -r 4\n"), stdout)
	plan.InForce = 4
	_, stdout, _ = run()
	require.Contains(t, stdout, "rack/default: revision 4 is in force and applied; a commit would apply the same roles again to 1 node\n")
	plan.Changes = true
	code, stdout, _ = run()
	require.Equal(t, 2, code)
	require.Contains(t, stdout, "rack/default: commit revision 4, which is in force, again\n")
	plan.InForce, plan.Diff = 3, &client.Diff{}
	_, stdout, _ = run()
	require.Contains(t, stdout, "rack/default: commit revision 4 in the place of revision 3, which says the same\n")
	for answer, want := range map[string]int{"": 3, client.CodeRefused: 3, client.CodeConflict: 4} {
		plan.Refused, plan.RefusedCode = "no", answer
		code, stdout, stderr = run()
		require.Equal(t, want, code)
		require.Equal(t, "crowbar: rack/default revision 4 cannot be committed: no\n", stderr)
		require.NotContains(t, stdout, "commit it")
	}
	plan.Problems = []proposal.Problem{{Path: "/id", Found: "x"}}
	code, stdout, _ = run()
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "problem: /id: found x\nrefused: no\n")
}

func TestProposalCommitTells(t *testing.T) {
	s := newShell(t)
	sizes(s)
	require.Contains(t, s.ok("proposal", "commit", "--help"), "4: a job that applies an earlier revision runs still")
	const queued, done = `{"id":"000001","title":"apply","status":"queued"}`, `{"id":"000001","title":"apply","status":"done"}`
	s.answers(func(_, path string, _ []byte) (int, string) {
		switch {
		case strings.HasSuffix(path, "/commit"):
			return 200, `{"status":{"status":"queued","revision":1},"job":` + queued + `}`
		case strings.Contains(path, "/jobs/"):
			return 200, "data: " + queued + "\n\ndata: " + done + "\n\n"
		}
		return 0, ""
	})
	answers := s.transport
	s.transport = func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			answer, err := answers(next).RoundTrip(r)
			if err == nil && strings.Contains(r.URL.Path, "/jobs/") {
				answer.Header.Set("Content-Type", "text/event-stream")
			}
			return answer, err
		})
	}
	require.Equal(t, "rack/default: revision 1 is in force; job 000001\njob 000001: apply: queued\njob 000001: apply: done\n", s.ok("proposal", "commit", "rack", "--wait"))
}
