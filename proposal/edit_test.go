package proposal_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestWithLeavesOtherBytesAlone(t *testing.T) {
	const before = `{ "id" : "bc-nova-default",
  "attributes": { "nova": {
    "type": "kvm",  "n": 1.0,
    "list": [ "a",
              "b" ],
    "empty": {}, "none": [ ], "null": null, "a/b": {"x~y": 1}
  } },
  "deployment":{"nova":{"elements":{}}}
}
`
	for name, c := range map[string]struct {
		edit     proposal.Edit
		from, to string // the part of the text that changes
	}{
		"set":                      {set("/attributes/nova/type", ` "qemu" `), `"kvm"`, `"qemu"`},
		"set number text":          {set("/attributes/nova/n", "1e3"), `"n": 1.0`, `"n": 1e3`},
		"set null":                 {set("/attributes/nova/n", "null"), `"n": 1.0`, `"n": null`},
		"set element":              {set("/attributes/nova/list/1", "7"), `"b" ]`, `7 ]`},
		"set through escapes":      {set("/attributes/nova/a~1b/x~0y", "2"), `"x~y": 1`, `"x~y": 2`},
		"escapes decode once":      {set("/attributes/nova/empty/~01", "1"), `"empty": {}`, `"empty": {"~1": 1}`},
		"add, spaced as the last":  {set("/attributes/nova/new", "[1]"), `{"x~y": 1}`, `{"x~y": 1}, "new": [1]`},
		"add to an empty object":   {set("/attributes/nova/empty/k", "1"), `"empty": {}`, `"empty": {"k": 1}`},
		"add with parents":         {set("/attributes/nova/a~1b/p/q/r", "1"), `"x~y": 1`, `"x~y": 1,"p": {"q": {"r": 1}}`},
		"add with colon as there":  {set("/deployment/nova/config", "{}"), `"elements":{}`, `"elements":{},"config":{}`},
		"append":                   {set("/attributes/nova/list/-", `"c"`), `"b" ]`, "\"b\",\n              \"c\" ]"},
		"append to an empty list":  {set("/attributes/nova/none/-", `"c"`), `[ ]`, `["c" ]`},
		"delete the first member":  {remove("/attributes/nova/type"), `"type": "kvm",  `, ``},
		"delete a middle member":   {remove("/attributes/nova/n"), `,  "n": 1.0`, ``},
		"delete the last member":   {remove("/attributes/nova/a~1b"), `, "a/b": {"x~y": 1}`, ``},
		"delete the only member":   {remove("/attributes/nova/a~1b/x~0y"), `{"x~y": 1}`, `{}`},
		"delete the first element": {remove("/attributes/nova/list/0"), "\"a\",\n              ", ""},
		"delete the last element":  {remove("/attributes/nova/list/1"), ",\n              \"b\"", ""},
		"nothing in an empty name": {set("/attributes/nova/empty/", "1"), `"empty": {}`, `"empty": {"": 1}`},
	} {
		t.Run(name, func(t *testing.T) {
			d := parse(t, before)
			require.Contains(t, before, c.from)
			changed, err := d.With(c.edit)
			require.NoError(t, err)
			require.Equal(t, replaceOnce(before, c.from, c.to), string(changed.Bytes()))
			require.Equal(t, before, string(d.Bytes()), "the old document stays")
		})
	}
}

func set(pointer, value string) proposal.Edit {
	return proposal.Edit{Pointer: pointer, Value: json.RawMessage(value)}
}

func remove(pointer string) proposal.Edit { return proposal.Edit{Pointer: pointer} }

func replaceOnce(s, from, to string) string {
	for i := range s {
		if len(s)-i >= len(from) && s[i:i+len(from)] == from {
			return s[:i] + to + s[i+len(from):]
		}
	}
	return s
}

func TestWithRefuses(t *testing.T) {
	d := parse(t, document(`{"a":1,"list":[1,2],"null":null}`, ""))
	for name, c := range map[string]struct {
		edit proposal.Edit
		want error
	}{
		"no pointer":              {set("attributes/nova", "1"), proposal.ErrPath},
		"whole document":          {set("", "{}"), proposal.ErrPath},
		"bad escape":              {set("/attributes/nova/~2", "1"), proposal.ErrPath},
		"below a number":          {set("/attributes/nova/a/b", "1"), proposal.ErrPath},
		"below null":              {set("/attributes/nova/null/b", "1"), proposal.ErrPath},
		"index beyond":            {set("/attributes/nova/list/2", "1"), proposal.ErrPath},
		"index with a zero":       {set("/attributes/nova/list/01", "1"), proposal.ErrPath},
		"negative index":          {set("/attributes/nova/list/-1", "1"), proposal.ErrPath},
		"below what is appended":  {set("/attributes/nova/list/-/a", "1"), proposal.ErrPath},
		"delete nothing":          {remove("/attributes/nova/x"), proposal.ErrPath},
		"delete below nothing":    {remove("/attributes/nova/x/y"), proposal.ErrPath},
		"delete the end":          {remove("/attributes/nova/list/-"), proposal.ErrPath},
		"name that is not UTF-8":  {set("/attributes/nova/\xff", "1"), proposal.ErrInvalid},
		"value that is no JSON":   {set("/attributes/nova/a", "kvm"), proposal.ErrInvalid},
		"two values":              {set("/attributes/nova/a", "1,2"), proposal.ErrInvalid},
		"empty value":             {set("/attributes/nova/a", ""), proposal.ErrInvalid},
		"no proposal any more":    {remove("/id"), proposal.ErrInvalid},
		"second barclamp":         {set("/deployment/swift", "{}"), proposal.ErrInvalid},
		"wrong kind":              {set("/deployment/nova/elements", "7"), proposal.ErrInvalid},
		"duplicate keys in value": {set("/attributes/nova/a", `{"x":1,"x":2}`), proposal.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := d.With(set("/attributes/nova/fine", "1"), c.edit)
			require.ErrorIs(t, err, c.want)
			if c.want == proposal.ErrPath {
				require.ErrorContains(t, err, fmt.Sprintf("edit %q", c.edit.Pointer))
			}
		})
	}
	_, err := d.With(remove("/id"))
	var invalid *proposal.ValidationError
	require.True(t, errors.As(err, &invalid))
}

func TestWithSeveralEditsInOrder(t *testing.T) {
	d := parse(t, document("{}", ""))
	d, err := d.With(set("/attributes/nova/l", "[]"), set("/attributes/nova/l/-", "1"), set("/attributes/nova/l/-", "2"), remove("/attributes/nova/l/0"))
	require.NoError(t, err)
	require.Equal(t, "[2]", d.Get("l").Raw)
}

func TestWithElements(t *testing.T) {
	for name, present := range map[string]string{"absent": "", "null": `"elements":null`, "list": `"elements":[]`, "map": `"elements":{"x":["y"]}`} {
		t.Run(name, func(t *testing.T) {
			want := map[string][]string{"volume": {"n2", "n1"}, "controller": {"n\"1"}, "zeta": {}, "alpha": nil}
			d, err := parse(t, document("{}", present)).WithElements(want)
			require.NoError(t, err)
			want["alpha"] = []string{}
			require.Empty(t, cmp.Diff(want, d.Deployment().Elements))
			require.Contains(t, string(d.Bytes()), `{"controller": ["n\"1"], "volume": ["n2", "n1"], "alpha": [], "zeta": []}`)
		})
	}
	d, err := parse(t, document("{}", `"elements":{"x":["y"]}`)).WithElements(nil)
	require.NoError(t, err)
	require.Empty(t, d.Deployment().Elements)
	_, err = d.WithElements(map[string][]string{"controller": {"\xff"}})
	require.ErrorIs(t, err, proposal.ErrInvalid)
}

func TestWithNameRefuses(t *testing.T) {
	d := parse(t, document("{}", ""))
	for _, name := range []string{"", "a-b", "ü", "a b", "template", "nodes", "commit", "status"} {
		_, err := d.WithName(name)
		require.ErrorIs(t, err, proposal.ErrInvalid, name)
	}
}

// What With does to the text is what the same assignment does to the decoded value.
func TestWithAgainstTheDecodedValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := parse(t, documents().Draw(t, "document"))
		attributes := decode(t, d.Bytes()).(map[string]any)["attributes"].(map[string]any)["nova"].(map[string]any)
		for range rapid.IntRange(1, 4).Draw(t, "edits") {
			key := keys().Draw(t, "key")
			pointer := "/attributes/nova/" + escaped(key)
			_, exists := attributes[key]
			if exists && rapid.Bool().Draw(t, "delete") {
				delete(attributes, key)
				d = with(t, d, remove(pointer))
				continue
			}
			value := values(2).Draw(t, "value")
			attributes[key] = decode(t, []byte(value))
			d = with(t, d, set(pointer, value))
		}
		require.Empty(t, cmp.Diff(attributes, decode(t, []byte(d.Attributes().Raw))))
	})
}

func with(t require.TestingT, d *proposal.Document, edits ...proposal.Edit) *proposal.Document {
	d, err := d.With(edits...)
	require.NoError(t, err)
	return d
}

func TestSetAndDelete(t *testing.T) {
	d := parse(t, document(`{"a": {"b.c": 1}, "l": [1]}`, ""))
	changed, err := d.Set(`a.b\.c`, json.RawMessage(`"x"`))
	require.NoError(t, err)
	require.Equal(t, document(`{"a": {"b.c": "x"}, "l": [1]}`, ""), string(changed.Bytes()))
	changed, err = d.Set("new.deep", json.RawMessage("1.0"))
	require.NoError(t, err)
	require.Equal(t, "1.0", changed.Get("new.deep").Raw)
	changed, err = d.Delete("l.0")
	require.NoError(t, err)
	require.Equal(t, document(`{"a": {"b.c": 1}, "l": []}`, ""), string(changed.Bytes()))

	_, err = d.Set("a", nil)
	require.ErrorIs(t, err, proposal.ErrInvalid)
	_, err = d.Set("l.7", json.RawMessage("1"))
	require.ErrorIs(t, err, proposal.ErrPath)
	_, err = d.Delete("nothing")
	require.ErrorIs(t, err, proposal.ErrPath)
}

func TestPosition(t *testing.T) {
	d := parse(t, "{ \"id\": \"bc-nova-x\",\n  \"attributes\": {\"nova\": {\"ü\": 1, \"a/b\":\n    [true, {\"x\": 2}]}},\n  \"deployment\": {\"nova\": {}} }\n")
	for pointer, want := range map[string][2]int{
		"":                          {1, 1},
		"/id":                       {1, 3},
		"/attributes":               {2, 3},
		"/attributes/nova":          {2, 18},
		"/attributes/nova/ü":        {2, 27},
		"/attributes/nova/a~1b":     {2, 35},
		"/attributes/nova/a~1b/0":   {3, 6},
		"/attributes/nova/a~1b/1":   {3, 12},
		"/attributes/nova/a~1b/1/x": {3, 13},
		"/deployment/nova":          {4, 18},
	} {
		line, column, ok := d.Position(pointer)
		require.True(t, ok, pointer)
		require.Equal(t, want, [2]int{line, column}, pointer)
	}
	for _, pointer := range []string{"id", "/none", "/id/x", "/attributes/nova/a~1b/2", "/attributes/nova/a~1b/01", "/attributes/nova/a~1b/-", "/attributes/nova/a~2b"} {
		_, _, ok := d.Position(pointer)
		require.False(t, ok, pointer)
	}
}

// Edits at once are the same edits one by one, to the byte and to the error: all pairs, and
// some longer sequences.
func TestWithAtOnceIsWithOneByOne(t *testing.T) {
	d := parse(t, document(`{ "a":{"x":1, "y" : 2}, "b": [ {"k":1} ,2 , 3], "c": {} ,"o":{ "k":1 },"d":[1] }`, ""))
	var edits []proposal.Edit
	for _, pointer := range []string{"/a", "/a/x", "/a/y", "/a/z", "/b", "/b/0", "/b/1", "/b/2", "/b/-", "/b/0/k", "/b/0/l",
		"/c", "/c/x/y", "/c/x/z", "/d", "/d/0", "/d/-", "/o/k", "/o/l", "/new", "/new/x", "/new/y"} {
		pointer = "/attributes/nova" + pointer
		edits = append(edits, remove(pointer), set(pointer, "7"), set(pointer, `{ "x":[] }`))
	}
	edits = append(edits, set("/attributes/nova/a/x", "bad"))
	check := func(t require.TestingT, edits ...proposal.Edit) {
		atOnce, err := d.With(edits...)
		one := d
		for _, edit := range edits {
			var failed error
			if one, failed = one.With(edit); failed != nil {
				require.Error(t, err, "%s", edits)
				require.Equal(t, failed.Error(), err.Error())
				return
			}
		}
		require.NoError(t, err, "%s", edits)
		require.Equal(t, string(one.Bytes()), string(atOnce.Bytes()), "%s", edits)
	}
	for _, first := range edits {
		for _, second := range edits {
			check(t, first, second)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.SliceOfN(rapid.SampledFrom(edits), 3, 8).Draw(t, "edits")...)
	})
}

func TestWithKeepsSecrets(t *testing.T) {
	const at = "/attributes/nova"
	d := proposal.Marked(parse(t, document(`{"db":{"password":"hush"},"l":[{"p":"hush"},{"p":"hush"}],"none":"hush"}`, "")),
		at+"/db/password", at+"/l/1/p", at+"/none")
	d = with(t, d, set(at+"/db/password", `"new"`), remove(at+"/l/0"), set(at+"/none", "null"), set(at+"/l/-", `{"p":"hush","q":1}`))
	require.Equal(t, []string{at + "/db/password", at + "/l/0/p", at + "/l/1/p"}, d.Secrets())
}

// Very many edits of one object or list cost no more each than a few do.
func TestManyEditsAreLinear(t *testing.T) {
	const count = 20_000
	d := parse(t, document(`{"o":`+many(count, "{}", `"k%d": %d`)+`,"l":`+many(count, "[]", "%d")+`}`, ""))
	for name, edit := range map[string]func(n int) proposal.Edit{
		"set members":     func(n int) proposal.Edit { return set(fmt.Sprint("/attributes/nova/o/k", n), "7") },
		"set downwards":   func(n int) proposal.Edit { return set(fmt.Sprint("/attributes/nova/o/k", count-1-n), "7") },
		"set at random":   func(n int) proposal.Edit { return set(fmt.Sprint("/attributes/nova/o/k", n*7919%count), "7") },
		"add members":     func(n int) proposal.Edit { return set(fmt.Sprint("/attributes/nova/o/x", n), "7") },
		"set elements":    func(n int) proposal.Edit { return set(fmt.Sprint("/attributes/nova/l/", n), "7") },
		"append elements": func(int) proposal.Edit { return set("/attributes/nova/l/-", "7") },
		"delete every other": func(n int) proposal.Edit {
			if n%2 == 0 {
				return set(fmt.Sprint("/attributes/nova/o/k", n), "7")
			}
			return remove(fmt.Sprint("/attributes/nova/o/k", n))
		},
	} {
		t.Run(name, func(t *testing.T) {
			edits := make([]proposal.Edit, count)
			for n := range edits {
				edits[n] = edit(n)
			}
			scanned, runs := proposal.Splices(t, d, edits)
			require.LessOrEqual(t, scanned, 5, "containers are searched once, then indexed")
			require.Less(t, runs, 20, "spans are found by bisection")
			requireLinear(t, 100, func() { with(t, d, edits...) }, d)
		})
	}
}

// White space is copied for a new child, but not very much of it.
func TestLongGapsAreNotCopied(t *testing.T) {
	d := parse(t, document(`{"o":{"a":1,`+strings.Repeat(" ", 100_000)+`"b"`+strings.Repeat(" ", 100_000)+`:2}}`, ""))
	var edits []proposal.Edit
	for n := range 1000 {
		edits = append(edits, set(fmt.Sprint("/attributes/nova/o/x", n), "7"))
	}
	var changed *proposal.Document
	requireLinear(t, 100, func() { changed = with(t, d, edits...) }, d)
	require.Contains(t, string(changed.Bytes()), `:2,"x0": 7,"x1": 7,`)
	requireLinear(t, 100, func() {
		theirs := with(t, parse(t, document(`{"o":{}}`, "")), edits...)
		_, err := proposal.Merge(parse(t, document(`{"o":{}}`, "")), d, theirs, nil)
		require.NoError(t, err)
	}, d)
}
