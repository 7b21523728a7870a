package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

// attributesOf are those of rack/default as they are stored, without white space.
func attributesOf(s *shell) string {
	s.t.Helper()
	var d struct {
		Attributes struct{ Rack json.RawMessage }
	}
	require.NoError(s.t, json.Unmarshal([]byte(s.ok("proposal", "export", "rack")), &d))
	raw, err := json.Marshal(d.Attributes.Rack)
	require.NoError(s.t, err)
	return string(raw)
}

// lenient lets every document pass.
func lenient(s *shell) {
	s.answers(func(method, path string, _ []byte) (int, string) {
		if path == "/api/v1/proposals/validate" {
			return 200, `{"problems":[]}`
		}
		return 0, ""
	})
}

func TestProposalSetValues(t *testing.T) {
	for name, c := range map[string]struct{ start, set, want string }{
		"number text":              {`{"a":42.0}`, `rack.a=1.50`, `{"a":1.50}`},
		"truth":                    {`{"a":1}`, `rack.a=true`, `{"a":true}`},
		"null":                     {`{"a":1}`, `rack.a=null`, `{"a":null}`},
		"no JSON":                  {`{"a":1}`, `rack.a=qemu`, `{"a":"qemu"}`},
		"string stays":             {`{"a":"x"}`, `rack.a=12`, `{"a":"12"}`},
		"string true":              {`{"a":"x"}`, `rack.a=true`, `{"a":"true"}`},
		"quoted":                   {`{"a":"x"}`, `rack.a="y\nz"`, `{"a":"y\nz"}`},
		"half quoted":              {`{"a":"x"}`, `rack.a="y`, `{"a":"\"y"}`},
		"forced":                   {`{"a":"x"}`, `rack.a:=12`, `{"a":12}`},
		"object":                   {`{"a":null}`, `rack.a={"b": 1e3}`, `{"a":{"b":1e3}}`},
		"empty":                    {`{"a":"x"}`, `rack.a=`, `{"a":""}`},
		"equals in the value":      {`{"a":"x"}`, `rack.a=b=c`, `{"a":"b=c"}`},
		"unicode":                  {`{"a":"x"}`, `rack.a=<ü&>`, `{"a":"\u003cü\u0026\u003e"}`},
		"new":                      {`{}`, `rack.a=1`, `{"a":1}`},
		"new number like a string": {`{}`, `rack.a=1x`, `{"a":"1x"}`},
		"deep":                     {`{"a":{"b":{"c":1}}}`, `rack.a.b.c=2`, `{"a":{"b":{"c":2}}}`},
		"dot":                      {`{"a.b":1}`, `rack.a\.b=2`, `{"a.b":2}`},
		"equals in the path":       {`{"a=b":1}`, `rack.a\=b=2`, `{"a=b":2}`},
		"colon at the end":         {`{"a:":"x"}`, `rack.a\:=2`, `{"a:":"2"}`},
		"element":                  {`{"a":[1,2]}`, `rack.a.1=3`, `{"a":[1,3]}`},
		"append":                   {`{"a":[1,2]}`, `rack.a.-=3`, `{"a":[1,2,3]}`},
		"pointer":                  {`{"a":1}`, `/attributes/rack/a=2`, `{"a":2}`},
		"pointer with escapes":     {`{"a/b":"x"}`, `/attributes/rack/a~1b=2`, `{"a/b":"2"}`},
		"all":                      {`{"a":1}`, `rack={"b":2}`, `{"b":2}`},
		"element of an object":     {`{"a":[{"b":"x"}]}`, `rack.a.0.b=2`, `{"a":[{"b":"2"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShell(t)
			lenient(s)
			s.stdin = `{"id":"bc-rack-default","attributes":{"rack":` + c.start + `},"deployment":{"rack":{}}}`
			s.ok("proposal", "import", "-")
			require.Contains(t, s.ok("proposal", "set", "rack", c.set), "rack/default: revision 2 is saved\n")
			require.Equal(t, c.want, attributesOf(s))
		})
	}
}

func TestProposalSet(t *testing.T) {
	s := newShell(t)
	lenient(s)
	sizes(s)
	require.Equal(t, "rack.size: 42.0 → 7.0\nrack/default: revision 2 is saved\n", s.ok("proposal", "set", "rack", "rack.size=7.0", "-m", "fewer"))
	require.Regexp(t, `(?m)^2 .* fewer$`, s.ok("proposal", "history", "rack"))
	require.Equal(t, "nothing changes\n", s.ok("proposal", "set", "rack", "default", "rack.size=7.0"))
	require.Contains(t, s.ok("proposal", "set", "rack", "rack.door=glass", "--delete", "rack.note", "rack.new.x=1"), "revision 3 is saved")
	require.Equal(t, `{"size":7.0,"door":"glass","new":{"x":1}}`, attributesOf(s))
	s.ok("proposal", "set", "rack", "--delete", "rack.new")
	var saved client.Saved
	require.NoError(t, json.Unmarshal([]byte(s.ok("proposal", "set", "rack", "rack.size=8", "-o", "json")), &saved))
	require.Equal(t, 5, saved.Number)
	require.NoError(t, json.Unmarshal([]byte(s.ok("proposal", "set", "rack", "rack.size=8", "-o", "json")), &saved))
	require.True(t, saved.Unchanged)
	require.Equal(t, 5, saved.Number)

	for args, says := range map[string]string{
		"":                             "BARCLAMP is missing",
		"rack.size=1":                  "BARCLAMP is missing",
		"rack":                         "nothing to set; give PATH=VALUE or --delete PATH",
		"rack default":                 "nothing to set",
		"rack default other rack.a=1":  `"other" is no PATH=VALUE`,
		"rack rack.a=1 other":          `"other" is no PATH=VALUE`,
		"rack =1":                      `"=1" is no PATH=VALUE`,
		"rack size=1":                  "path size: a path below attributes starts with the barclamp: rack.size",
		"rack rack..a=1":               "has an empty name",
		"rack rack.size.x=1":           "/attributes/rack/size is no object and has no members",
		"rack rack.siize.x=1":          "there is no /attributes/rack/siize; did you mean \"size\"? to make it all the same, set it first: /attributes/rack/siize:={}",
		"rack /attributes/rock/size=1": "there is no /attributes/rock; did you mean \"rack\"?",
		"rack --delete rack.sise":      "rack.sise: there is no /attributes/rack/sise; did you mean \"size\"?",
		"rack rack.size:=x":            "rack.size: the value is no JSON: line 1, column 1",
		"rack /deployment/rack/element_order/7=[]":       "the list /deployment/rack/element_order has 2 elements, counted from 0, and none is \"7\"; - appends one",
		"rack --delete /deployment/rack/element_order/7": "the list /deployment/rack/element_order has 2 elements, counted from 0, and none is \"7\"\n",
		"rack /deployment/rack/element_order/01=[]":      "none is \"01\"",
		"rack rack.newl.-=1":                             "rack.newl.-: there is no list /attributes/rack/newl to append to; make one first: rack.newl:=[]\n",
		"rack /attributes/rack/newl/a/-=1":               "make one first: /attributes/rack/newl/a:=[]\n",
		"rack /=5":                                       "path \"/\" has an empty name; give one like /attributes/rack/NAME",
		"rack rack.a=\xff\xfe":                           "rack.a: the value is not UTF-8 text, and JSON has no other",
		"rack rack.\xff=1":                               "path \"rack.\\xff\" is not UTF-8 text",
		"rack --delete /\xff":                            "path \"/\\xff\" is not UTF-8 text",
		"rack /attributes=1":                             "/attributes",
		"rack other2 rack.size=1":                        "there is no proposal rack/other2",
	} {
		s.fails(1, says, append([]string{"proposal", "set"}, strings.Fields(args)...)...)
	}
	require.Contains(t, s.ok("proposal", "list", "rack"), "rack      default  5", "nothing was saved")
}

// No number of the document is read, however it is written.
func TestProposalSetBesideNumbers(t *testing.T) {
	s := newShell(t)
	lenient(s)
	numbers := `"a":1e400,"b":` + strings.Repeat("7", 1<<20)
	imported(s, `{"id":"bc-rack-default","attributes":{"rack":{`+numbers+`,"c":1}},"deployment":{"rack":{}}}`)
	require.Equal(t, "rack.c: 1 → -1E-999\nrack/default: revision 2 is saved\n", s.ok("proposal", "set", "rack", "rack.c=-1E-999"))
	require.Equal(t, `{`+numbers+`,"c":-1E-999}`, attributesOf(s))
}

// A secret need not be on the command line, which other users see.
func TestProposalSetFromFile(t *testing.T) {
	s := newShell(t)
	lenient(s)
	imported(s, `{"id":"bc-rack-default","attributes":{"rack":{"a":"x","b":null}},"deployment":{"rack":{}}}`)
	file := filepath.Join(t.TempDir(), "a=b")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	for text, want := range map[string]string{
		"se cret\n": `"se cret"`, "12\n\n": `"12\n"`, "12": `"12"`, "": `""`, `"q"`: `"q"`,
	} {
		write(text)
		s.ok("proposal", "set", "rack", "--file", "rack.a="+file)
		require.Equal(t, `{"a":`+want+`,"b":null}`, attributesOf(s), text)
	}
	write("[1]\n")
	s.stdin = "true\n"
	s.ok("proposal", "set", "rack", "default", "--file", "rack.a:="+file, "--file", "rack.b=-", "rack.c=1")
	require.Equal(t, `{"a":[1],"b":true,"c":1}`, attributesOf(s))

	s.fails(1, "standard input is given for two values", "proposal", "set", "rack", "--file", "rack.a=-", "--file", "rack.b=-")
	s.fails(1, `--file "rack.a=" is no PATH=FILE; see`, "proposal", "set", "rack", "--file", "rack.a=")
	s.fails(1, "--file: /nowhere: there is no such file; give the path of one", "proposal", "set", "rack", "--file", "rack.a=/nowhere")
	write("\xff")
	s.fails(1, "rack.a: the value is not UTF-8 text", "proposal", "set", "rack", "--file", "rack.a="+file)
	require.Contains(t, s.ok("proposal", "set", "--help"), "--file nova.db.password=password.txt\n")
}

// What the schema does not allow is not saved; what was wrong before keeps nobody from saving.
func TestProposalSetRefusesNewProblems(t *testing.T) {
	s := newShell(t)
	sizes(s)
	s.fails(1, "not saved, that makes 1 problem; --force saves it in a draft all the same\n  /attributes/rack/sise: ", "proposal", "set", "rack", "rack.sise=1")
	s.fails(1, "/attributes/rack/size: found a string \"big\", expected a number", "proposal", "set", "rack", "rack.size=big")
	require.Contains(t, s.ok("proposal", "set", "rack", "rack.wrong=1", "--force"), "revision 2 is saved")
	require.Contains(t, s.ok("proposal", "set", "rack", "rack.size=3"), "revision 3 is saved", "rack.wrong was there before")
	s.fails(1, "that makes 1 problem", "proposal", "set", "rack", "rack.sise=1")
}

// Who saves meanwhile is neither overwritten nor in the way.
func TestProposalSetMeanwhile(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := newShell(t)
	sizes(s)
	other := &shell{t: t, site: s.site, env: s.env}
	meanwhile := func(assignment string) {
		once := sync.OnceFunc(func() { other.ok("proposal", "set", "rack", assignment) })
		s.answers(func(_, path string, _ []byte) (int, string) {
			if path == "/api/v1/proposals/validate" {
				once()
			}
			return 0, ""
		})
	}
	meanwhile("rack.door=glass")
	require.Equal(t, "rack.size: 42.0 → 7\nrack/default: revision 3 is saved; revision 2 of others was merged in\n", s.ok("proposal", "set", "rack", "rack.size=7"))
	require.Contains(t, attributesOf(s), `"size":7,"door":"glass"`)
	meanwhile("rack.size=8")
	code, _, stderr := s.run("proposal", "set", "rack", "rack.size=9")
	require.Equal(t, 4, code, stderr)
	require.Contains(t, stderr, "    base    7\n    ours    8 (the newest revision)\n    theirs  9 (yours: what you set)\n")
	require.Contains(t, attributesOf(s), `"size":8`)
	require.Len(t, left(t), 1)
}

const conflictAnswer = `{"error":{"code":"conflict","message":"others changed it","conflicts":[
	{"type":"changed-both","path":"/attributes/rack/size","base":42.0,"ours":7,"theirs":8},
	{"type":"removed-changed","path":"/attributes/rack/it's","base":1,"theirs":2}]}}`

// conflicting lets every save contradict others.
func conflicting(s *shell) {
	s.answers(func(method, path string, _ []byte) (int, string) {
		switch {
		case path == "/api/v1/proposals/validate":
			return 200, `{"problems":[]}`
		case method == "PUT", strings.HasSuffix(path, "/import"), strings.HasSuffix(path, "/merge"):
			return 409, conflictAnswer
		}
		return 0, ""
	})
}

var keptFile = regexp.MustCompile(`(?:document|text) is in ([^;\s]+);`)

// contradicts checks what is said of a conflict, and returns the file that was kept.
func contradicts(s *shell, base, yours string, args ...string) string {
	s.t.Helper()
	code, stdout, stderr := s.run(args...)
	require.Equal(s.t, 4, code, stderr)
	require.Empty(s.t, stdout)
	for _, want := range []string{
		"crowbar: not saved: rack/default contradicts what was saved since revision " + base + " at 2 places:\n",
		"  /attributes/rack/size: changed-both\n    base    42.0\n    ours    7 (the newest revision)\n    theirs  8 (yours: " + yours + ")\n",
		"    ours    nothing (the newest revision)\n",
		" --base " + base + ` --theirs /attributes/rack/size --theirs '/attributes/rack/it'\''s'`,
	} {
		require.Contains(s.t, stderr, want)
	}
	m := keptFile.FindStringSubmatch(stderr)
	require.NotNil(s.t, m, stderr)
	require.Contains(s.t, stderr, "crowbar proposal merge rack default "+m[1]+" --base")
	return m[1]
}

func TestConflictsKeepTheDocument(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := newShell(t)
	document := sizes(s, "8")
	conflicting(s)
	kept := contradicts(s, "2", "what you set", "proposal", "set", "rack", "rack.size=9")
	raw, err := os.ReadFile(kept)
	require.NoError(t, err)
	require.True(t, json.Valid(raw))
	require.Regexp(t, `"size": ?9,`, string(raw))
	info, err := os.Stat(kept)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	s.stdin = document
	kept = contradicts(s, "1", "the document", "proposal", "import", "-", "--base", "1")
	raw, err = os.ReadFile(kept)
	require.NoError(t, err)
	require.Equal(t, document, string(raw))
	file := filepath.Join(t.TempDir(), "my rack.json")
	require.NoError(t, os.WriteFile(file, []byte(document), 0o600))
	code, _, stderr := s.run("proposal", "import", file, "--base", "1")
	require.Equal(t, 4, code)
	require.Contains(t, stderr, "crowbar proposal merge rack default '"+file+"' --base 1")
	require.Contains(t, s.ok("proposal", "list"), "rack      default  2", "nothing was saved")
}
