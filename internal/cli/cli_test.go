package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/internal/apitest"
	"github.com/crowbarkit/crowbarkit/internal/cli"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/storage"
)

func TestMain(m *testing.M) {
	runAsCommand()
	goleak.VerifyTestMain(m)
}

// shell runs commands as a shell does, in English and without terminal.
type shell struct {
	t        *testing.T
	site     *apitest.Site
	env      map[string]string
	stdin    string
	terminal bool
	edit     func(ctx context.Context, editor, file string) error
	drivers  map[string]storage.Opener
	clock    redfish.Clock
	// transport, if there is one, is between the command and the site.
	transport func(next http.RoundTripper) http.RoundTripper
}

func (s *shell) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	return s.runContext(s.t.Context(), args...)
}

func (s *shell) runContext(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	p := cli.Process{
		Args: args, Stdin: strings.NewReader(s.stdin), Stdout: &out, Stderr: &errs,
		Getenv:     func(name string) string { return s.env[name] },
		IsTerminal: func(any) bool { return s.terminal },
		Edit:       s.edit,
		Drivers:    s.drivers,
		Clock:      s.clock,
	}
	if s.site != nil {
		p.Transport = s.site.Transport()
	}
	if s.transport != nil {
		p.Transport = s.transport(p.Transport)
	}
	code = cli.Crowbar(ctx, p)
	return code, out.String(), errs.String()
}

// ok runs a command that must succeed, and returns what it prints.
func (s *shell) ok(args ...string) string {
	s.t.Helper()
	code, stdout, stderr := s.run(args...)
	require.Equal(s.t, 0, code, "%v: %s", args, stderr)
	return stdout
}

// fails runs a command that must fail with one clear sentence.
func (s *shell) fails(code int, says string, args ...string) {
	s.t.Helper()
	got, stdout, stderr := s.run(args...)
	require.Equal(s.t, code, got, "%v: %s%s", args, stdout, stderr)
	require.Contains(s.t, stderr, says, "%v", args)
	require.True(s.t, strings.HasPrefix(stderr, "crowbar: "), "%v: %s", args, stderr)
	require.NotContains(s.t, stderr, "Usage:")
}

func newShell(t *testing.T) *shell {
	return &shell{t: t, site: apitest.New(t), env: map[string]string{}}
}

// answers puts answers of its own before the site's: those for which answer returns a status.
func (s *shell) answers(answer func(method, path string, body []byte) (status int, text string)) {
	s.transport = func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			var raw []byte
			if r.Body != nil {
				var err error
				if raw, err = io.ReadAll(r.Body); err != nil {
					return nil, err
				}
				r.Body = io.NopCloser(bytes.NewReader(raw))
			}
			status, text := answer(r.Method, r.URL.Path, raw)
			switch status {
			case 0:
				return next.RoundTrip(r)
			case -1:
				return nil, errors.New("connection refused")
			}
			return &http.Response{
				StatusCode: status, Status: http.StatusText(status), Request: r,
				Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(text)),
			}, nil
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func ExampleCrowbar() {
	code := cli.Crowbar(context.Background(), cli.Process{
		Args: []string{"node", "lits"}, Stderr: os.Stdout,
	})
	fmt.Println(code)
	// Output:
	// crowbar: no command is called "lits"; see crowbar node --help
	// 1
}

func TestUsage(t *testing.T) {
	s := newShell(t)
	s.fails(1, `no command is called "nod"; see crowbar --help`, "nod")
	s.fails(1, `no command is called "lits"; see crowbar node --help`, "node", "lits")
	s.fails(1, "NODE is missing; see crowbar node show --help", "node", "show")
	s.fails(1, `"b" is one argument too many`, "node", "show", "a", "b")
	s.fails(1, "unknown flag: --foo; see crowbar node list --help", "node", "list", "--foo")
	s.fails(1, `output "yaml" is not known; give -o table or -o json`, "node", "list", "-o", "yaml")
	s.fails(1, "no node given", "node", "allocate")
	s.fails(1, "not both", "node", "allocate", "a", "--all")
	s.fails(1, "is no URL", "node", "list", "--server", "rack:3000")
	s.fails(1, "/nowhere.json: there is no such file; give the path", "proposal", "import", "/nowhere.json")
	s.fails(1, "is a directory; give one file in it", "proposal", "import", t.TempDir())
	s.fails(1, `invalid argument "x" for "--nodes" flag: expected a whole number; see crowbar demo --help`, "demo", "--nodes", "x")
	s.fails(1, `invalid argument "x" for "--speed" flag: expected a number; see`, "demo", "--speed", "x")
	s.fails(1, "--nodes 9999999: expected 1 to 10000", "demo", "--nodes", "9999999")
	s.fails(1, "machine 9 without BMC: the machines are counted from 0 to 2", "demo", "--nodes", "3", "--without-bmc", "9", "--listen", "127.0.0.1:0")
	s.fails(1, "--speed NaN", "demo", "--speed", "NaN")
	require.NotContains(t, s.ok("event", "watch", "--help"), "-1")
	s.fails(1, `"x" is no revision`, "proposal", "diff", "rack", "default", "x")
	require.Contains(t, s.ok("--help"), "node")
	require.Contains(t, s.ok("node"), "allocate")
	require.Contains(t, s.ok("version"), "crowbar ")
	var version map[string]string
	require.NoError(t, json.Unmarshal([]byte(s.ok("version", "-o", "json")), &version))
}

func TestServerIsChosen(t *testing.T) {
	s := &shell{t: t, env: map[string]string{"CROWBAR_SERVER": "http://127.0.0.1:1"}}
	s.fails(1, "no answer from http://127.0.0.1:1", "node", "list")
	s.fails(1, "is crowbar-server running? give --server or CROWBAR_SERVER", "node", "list")
	s.fails(1, "no answer from http://127.0.0.1:2", "node", "list", "--server", "http://127.0.0.1:2")
	s = newShell(t)
	s.fails(1, "is http://rack/foo the server's address?", "node", "list", "--server", "http://rack/foo")
}

func TestNodes(t *testing.T) {
	s := newShell(t)
	require.Equal(t, "NODE  STATE  FOR  ADDRESS  ROLES\n", s.ok("node", "list"))
	require.Equal(t, "[]\n", s.ok("node", "list", "-o", "json"))
	name, _ := s.site.Discover(1)

	require.Regexp(t, `^NODE +STATE +FOR +ADDRESS +ROLES\n`+wording.Node(name)+` +discovered +0s +- +-\n$`, s.ok("node", "list"))
	var nodes []client.Node
	require.NoError(t, json.Unmarshal([]byte(s.ok("node", "list", "-o", "json")), &nodes))
	require.Equal(t, name, nodes[0].Name)
	shown := s.ok("node", "show", name)
	for _, want := range []string{"serial     S001\n", "S001", "64 GiB", "BMC", "none", "sda 1.0 TB D001"} {
		require.Contains(t, shown, want)
	}
	why := s.ok("node", "why", name)
	require.Contains(t, why, "it pauses until an operator allocates it")
	require.Contains(t, why, "it cannot be allocated yet: this server has no barclamp that installs nodes")

	s.fails(1, "list them: crowbar node list", "node", "show", "nobody")
	s.fails(3, name+" cannot go from discovered to ready by an operator's word; an operator can send it to hardware-installing (by crowbar node allocate "+
		name+"), debug, reset, delete\n", "node", "transition", name, "ready")
	s.fails(3, "cannot go from discovered to hardware-installing: the node is not allocated: crowbar node allocate "+name, "node", "transition", name, "hardware-installing")
	s.fails(1, `no state is called "nowhere"; `+name+" is in discovered, and an operator can send it to ", "node", "transition", name, "nowhere")
	require.Equal(t, name+" is in discovered\n", s.ok("node", "transition", name, "discovered"))

	s.terminal = true
	require.Contains(t, s.ok("node", "list"), "\x1b[1mNODE")
	s.env["NO_COLOR"] = "1"
	require.NotContains(t, s.ok("node", "list"), "\x1b")
}

// inForce puts rack in force on the machines of the site.
func inForce(t *testing.T, s *shell) {
	t.Helper()
	s.ok("proposal", "create", "rack")
	s.ok("proposal", "commit", "rack")
}

func TestAllocate(t *testing.T) {
	s := newShell(t)
	s.fails(1, "no node pauses in discovered", "node", "allocate", "--all")
	var names []string
	for i := range 5 {
		name, _ := s.site.Discover(i + 1)
		names = append(names, name)
	}
	inForce(t, s)

	// Without a terminal, and without a yes.
	code, stdout, stderr := s.run("node", "allocate", names[0])
	require.Equal(t, 3, code)
	require.Contains(t, stdout, "rack, in hardware-installing:\n    wipe one disk\n")
	require.Contains(t, stdout, "DESTROYS DATA: wipe the disk (disks wwn-1)")
	require.Equal(t, "crowbar: not allocated: it destroys data; allow it with --yes\n", stderr)

	s.terminal, s.env["NO_COLOR"] = true, "1"
	for _, no := range []string{"", "\n", "n\n", "what\n"} {
		s.stdin = no
		code, _, stderr = s.run("node", "allocate", names[0])
		require.Equal(t, 3, code, "%q", no)
		require.Contains(t, stderr, "destroy the data on these disks? [y/N] crowbar: not allocated: it destroys data; you did not say yes")
	}
	n, err := s.site.Engine.Node(names[0])
	require.NoError(t, err)
	require.False(t, n.Allocated)

	s.stdin = "y\n"
	code, stdout, stderr = s.run("node", "allocate", names[0], "--intended-role", "storage")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, names[0]+" is allocated and in hardware-")
	n, err = s.site.Engine.Node(names[0])
	require.NoError(t, err)
	require.Equal(t, "storage", n.IntendedRole)
	code, stdout, stderr = s.run("node", "allocate", names[0], "--yes")
	require.Equal(t, 3, code)
	require.Empty(t, stdout, "no plan is shown")
	require.Contains(t, stderr, names[0]+" cannot be allocated: it is in hardware-")

	s.terminal, s.stdin = false, ""
	s.ok("node", "allocate", names[1], "--allow-destroy")
	code, stdout, stderr = s.run("node", "allocate", names[2], "--yes", "-o", "json")
	require.Equal(t, 0, code)
	var allocated []client.Node
	require.NoError(t, json.Unmarshal([]byte(stdout), &allocated))
	require.Equal(t, names[2], allocated[0].Name)
	require.Contains(t, stderr, "DESTROYS DATA")

	// What destroys nothing needs no yes; and one node that fails does not keep the others.
	s.site.Rack.SetDisk("")
	code, stdout, stderr = s.run("node", "allocate", "nobody", names[3])
	require.Equal(t, 1, code)
	require.Contains(t, stdout, names[3]+" is allocated")
	require.Contains(t, stderr, "nobody")
	require.Contains(t, s.ok("node", "allocate", "--all"), names[4]+" is allocated")
}

// The plan that was shown is what is granted: if it changes while the operator reads, nothing is.
func TestAllocateConflict(t *testing.T) {
	s := newShell(t)
	name, _ := s.site.Discover(1)
	inForce(t, s)
	var out, errs bytes.Buffer
	code := cli.Crowbar(t.Context(), cli.Process{
		Args: []string{"node", "allocate", name}, Stdout: &out, Stderr: &errs, Transport: s.site.Transport(),
		Stdin: readFunc(func(p []byte) (int, error) {
			s.site.Rack.SetDisk("wwn-2")
			return copy(p, "y\n"), nil
		}),
		IsTerminal: func(any) bool { return true },
	})
	require.Equal(t, 4, code)
	require.Contains(t, errs.String(), "is not the one that was shown")
	n, err := s.site.Engine.Node(name)
	require.NoError(t, err)
	require.False(t, n.Allocated)
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

func TestBarclamps(t *testing.T) {
	s := newShell(t)
	require.Equal(t, "BARCLAMP  ORDER  PROPOSALS  DESCRIPTION\nrack      10     -          Racks\n", s.ok("barclamp", "list"))
	shown := s.ok("barclamp", "show", "rack")
	require.True(t, json.Valid([]byte(s.ok("barclamp", "schema", "rack"))))
	require.Contains(t, shown, "rack-top   exactly 1\n")
	require.Contains(t, shown, "rack-unit  any number\n")
	var b client.Barclamp
	require.NoError(t, json.Unmarshal([]byte(s.ok("barclamp", "show", "rack", "-o", "json")), &b))
	require.Contains(t, string(b.Template), "42.0")
	s.fails(1, "crowbar barclamp list", "barclamp", "show", "nobody")
}

func TestProposals(t *testing.T) {
	s := newShell(t)
	name, _ := s.site.Discover(1)
	created := s.ok("proposal", "create", "rack", "-m", "first")
	require.Contains(t, created, "rack/default: revision 1 is saved; commit it: crowbar proposal commit rack default\n")
	require.Regexp(t, `rack-top +`+name+` +it is the first\n`, created)
	s.fails(4, "crowbar: proposal rack/default exists; look at it: crowbar proposal show rack default; ", "proposal", "create", "rack")
	s.fails(1, "rack/default has no revision 9; its newest is 1", "proposal", "show", "rack", "--revision", "9")
	s.fails(1, "barclamp list", "proposal", "create", "nobody")
	s.fails(1, "proposal list", "proposal", "show", "rack", "none")

	code, stdout, _ := s.run("proposal", "diff", "rack", "default")
	require.Equal(t, 2, code)
	require.Equal(t, "rack-top: + "+name+"\n", stdout)
	_, again, _ := s.run("proposal", "diff", "rack")
	require.Equal(t, stdout, again, "the name is default")
	code, stdout, stderr := s.run("proposal", "diff", "rack", "default", "1")
	require.Equal(t, 0, code)
	require.Empty(t, stdout)
	require.Equal(t, "no changes\n", stderr)
	code, stdout, _ = s.run("proposal", "diff", "rack", "default", "-o", "json")
	require.Equal(t, 2, code)
	require.JSONEq(t, `[{"op":"add","path":"/deployment/rack/elements/rack-top","value":["`+name+`"]}]`, stdout)

	// What show prints can be edited and imported: it becomes the next revision.
	document := s.ok("proposal", "show", "rack")
	require.Contains(t, document, `"size": 42.0`)
	s.stdin = strings.Replace(document, "42.0", "1e3", 1)
	require.Equal(t, "rack.size: 42.0 → 1e3\nrack/default: revision 2 is saved\n", s.ok("proposal", "import", "-"))
	code, stdout, stderr = s.run("proposal", "diff", "rack", "default", "1", "2")
	require.Equal(t, 2, code, stderr)
	require.Equal(t, "rack.size: 42.0 → 1e3\n", stdout)
	require.Equal(t, document, s.ok("proposal", "show", "rack", "default", "--revision", "1"))
	require.Equal(t, "rack/other: revision 1 is saved\n", s.ok("proposal", "import", "-", "--name", "other"))

	require.Regexp(t, `rack +default +2 +draft +- +-\n`, s.ok("proposal", "list"))
	commit := s.ok("proposal", "commit", "rack")
	require.Regexp(t, `^rack/default: revision 2 is in force; job \d+ waits for 1 of 1 node: `+name, commit)
	require.Regexp(t, `rack +default +2 +queued +2 +- +waits`, s.ok("proposal", "list", "rack"))
	s.stdin = strings.Replace(document, "42.0", "43", 1)
	s.ok("proposal", "import", "-")
	require.Regexp(t, `REVISION +STATUS +OF +APPLIED\n(.*\n)*rack +default +3 +queued +2 +- +revision 3 is not committed; waits`, s.ok("proposal", "list", "rack"))

	// What cannot be committed says each role.
	s.stdin = strings.Replace(document, name, "", 1)
	s.stdin = strings.Replace(s.stdin, `""`, "", 1)
	s.ok("proposal", "import", "-", "--name", "empty")
	code, _, stderr = s.run("proposal", "commit", "rack", "empty")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "rack-top")
	require.Contains(t, stderr, "; put it right: crowbar proposal edit rack empty --raw\n")
	s.fails(1, "proposal list", "proposal", "commit", "rack", "none")

	// --from fills what the document leaves empty.
	require.Contains(t, s.ok("proposal", "create", "rack", "third", "--from", "-"), name)
	s.fails(3, "allows one proposal in force, and rack/default is", "proposal", "commit", "rack", "third")
}

func TestBadFiles(t *testing.T) {
	s := newShell(t)
	dir := t.TempDir()
	for content, says := range map[string]string{
		`{"id":"template-swift","attributes":{"nova":{}},"deployment":{"nova":{"elements":{}}}}`: `id and deployment disagree: the id is "template-swift", the deployment is of barclamp nova`,
		`{"id":"bc-rack-default",}`: "line 1",
		`{"id":"bc-rack-default","attributes":{"rack":[]},"deployment":{"rack":{"elements":{"rack-top":"n"}}}}`: "/deployment/rack/elements/rack-top",
		`[]`: "an object with id, attributes and deployment",
		``:   "not a proposal",
	} {
		file := filepath.Join(dir, "file.json")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		s.fails(1, says, "proposal", "import", file)
		s.fails(1, file, "proposal", "import", file)
		if !strings.Contains(content, "swift") {
			s.fails(1, "is no proposal", "proposal", "create", "rack", "--from", file)
		}
	}
	require.Equal(t, "[]\n", s.ok("proposal", "list", "-o", "json"), "nothing half-written")
}

func TestTemplatesImportAndShowEqual(t *testing.T) {
	files, err := filepath.Glob("../../../shared/data/crowbar-templates/*.json")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no real templates here")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			s := newShell(t)
			raw, err := os.ReadFile(file)
			require.NoError(t, err)
			given, err := proposal.Parse(raw)
			require.NoError(t, err)
			require.Equal(t, given.Barclamp()+"/default: revision 1 is saved\n", s.ok("proposal", "import", file))
			require.Equal(t, "nothing changes: "+given.Barclamp()+"/default revision 1 says the same\n", s.ok("proposal", "import", file))
			require.Equal(t, string(raw), s.ok("proposal", "export", given.Barclamp()), "byte for byte")
			e := typing(s, func(text string) string { return text + "\n# nothing else" })
			require.Equal(t, "nothing changes\n", s.ok("proposal", "edit", given.Barclamp(), "default", "--raw"))
			require.True(t, strings.HasSuffix(e.shown[0], "\n"+strings.TrimSpace(string(raw))+"\n"))
			shown, err := proposal.Parse([]byte(s.ok("proposal", "show", given.Barclamp())))
			require.NoError(t, err)
			require.Equal(t, given.ID(), shown.ID())
			require.Equal(t, given.Hash(), shown.Hash(), "every value with its number text")
			code, _, stderr := s.run("proposal", "commit", given.Barclamp())
			require.Equal(t, 1, code)
			require.Contains(t, stderr, "no node in any role")
			for _, role := range given.Roles() {
				require.Contains(t, stderr, role)
			}
			require.Contains(t, stderr, "crowbar proposal edit "+given.Barclamp()+" default --raw")
			require.NotContains(t, stderr, "roles )")
		})
	}
}

func TestJobs(t *testing.T) {
	s := newShell(t)
	name, _ := s.site.Discover(1)
	inForce(t, s)
	require.Regexp(t, `^JOB +STATUS +TOOK +TITLE\n000001 +queued +- +apply rack/default revision 1 +waits for`, s.ok("job", "list"))
	require.Contains(t, s.ok("job", "show", "1"), "job 000001: apply rack/default revision 1: queued")
	s.fails(1, "crowbar job list", "job", "watch", "77")

	watched, watching := make(chan string, 1), make(chan struct{})
	go func() {
		var out, errs bytes.Buffer
		told := sync.OnceFunc(func() { close(watching) })
		code := cli.Crowbar(t.Context(), cli.Process{
			Args: []string{"job", "watch", "1"}, Stderr: &errs, Transport: s.site.Transport(),
			Stdout: writeFunc(func(p []byte) (int, error) { defer told(); return out.Write(p) }),
		})
		told()
		watched <- fmt.Sprint(code, out.String(), errs.String())
	}()
	<-watching // else the job might be done before anybody looks
	s.ok("node", "allocate", name, "--yes")
	s.site.Settled(name, "hardware-installed")
	_, agent := s.site.Boot(1)
	for i, state := range []string{"installing", "installed", "readying"} {
		_, err := agent.Report(t.Context(), name, client.Report{Sequence: i + 1, State: state})
		require.NoError(t, err)
		if state != "readying" {
			s.site.Settled(name, state)
		}
	}
	text := <-watched
	require.True(t, strings.HasPrefix(text, "0job 000001: apply rack/default revision 1: queued; waits for"), text)
	require.Contains(t, text, ": done")
	require.Contains(t, s.ok("job", "watch", "1"), ": done")
	require.Regexp(t, `wipe +done`, s.ok("job", "show", "2"))
	var j client.Job
	require.NoError(t, json.Unmarshal([]byte(s.ok("job", "watch", "1", "-o", "json")), &j))
	require.Equal(t, client.JobDone, j.Status)
}

func TestEvents(t *testing.T) {
	s := newShell(t)
	s.ok("engine", "pause", "for", "the", "night")
	require.Equal(t, "the engine works\n", s.ok("engine", "resume"))
	list := s.ok("event", "list")
	require.Contains(t, list, "engine.paused")
	require.Contains(t, list, "for the night")
	require.NotContains(t, s.ok("event", "list", "--after", "1"), "for the night")
	var events []crowbar.Event
	require.NoError(t, json.Unmarshal([]byte(s.ok("event", "list", "-o", "json")), &events))
	require.NoError(t, crowbar.VerifyEvents(events))
	require.NoError(t, json.Unmarshal([]byte(s.ok("event", "list", "-o", "json", "--limit", "1")), &events))
	require.Len(t, events, 1)
	s.fails(1, "not below 0", "event", "list", "--limit", "-1")

	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel) // what is there has been told long before
	code, stdout, stderr := s.runContext(ctx, "event", "watch", "--after", "0")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, 2, strings.Count(stdout, "\n"))
}

func TestInterrupted(t *testing.T) {
	s := newShell(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, stderr := s.runContext(ctx, "node", "list")
	require.Equal(t, 1, code)
	require.Equal(t, "crowbar: interrupted\n", stderr)
}

func TestEngine(t *testing.T) {
	s := newShell(t)
	require.Equal(t, "the engine is paused: by hand\n", s.ok("engine", "pause", "by", "hand"))
	require.Equal(t, "by hand", s.site.Engine.Paused())
	var status client.Status
	require.NoError(t, json.Unmarshal([]byte(s.ok("engine", "resume", "-o", "json")), &status))
	require.Empty(t, status.Paused)
}
