package proposal_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestMerge(t *testing.T) {
	attr := func(s string) string { return document(s, "") }
	dep := func(s string) string { return document("{}", s) }
	for name, c := range map[string]struct{ base, ours, theirs, want string }{
		"nothing changed": {attr(`{"a": 1}`), attr(`{ "a":1 }`), attr(`{"a":1}`), attr(`{ "a":1 }`)},
		"ours only":       {attr(`{"a":1}`), attr(`{"a": 2}`), attr(`{"a":1}`), attr(`{"a": 2}`)},
		"theirs only, spaced as ours": {attr(`{"a":1,"b":{"c":1}}`), attr("{ \"a\" : 1 ,\n  \"b\": {  \"c\":1 } }"), attr(`{"a":2,"b":{"c":3}}`),
			attr("{ \"a\" : 2 ,\n  \"b\": {  \"c\":3 } }")},
		"different members":  {attr(`{"a":1,"b":1,"c":1}`), attr(`{"a":2,"b":1}`), attr(`{"b":3,"c":1,"d":4,"a":1}`), attr(`{"a":2,"b":3,"d":4}`)},
		"same change":        {attr(`{"a":1,"b":1}`), attr(`{"a":{"x":1,"y":2}}`), attr(`{"a":{"y":2, "x":1}}`), attr(`{"a":{"x":1,"y":2}}`)},
		"both add an object": {attr(`{}`), attr(`{"db":{"host":"x"}}`), attr(`{"db":{"port":1}}`), attr(`{"db":{"host":"x","port":1}}`)},
		"null becomes an object": {attr(`{"db":null}`), attr(`{"db":{"host":"x"}}`), attr(`{"db":{"port":1}}`),
			attr(`{"db":{"host":"x","port":1}}`)},
		"first member removed":    {attr(`{"a":1,"b":1}`), attr(`{ "a": 1,   "b": 1 }`), attr(`{"b":1}`), attr(`{ "b": 1 }`)},
		"last member removed":     {attr(`{"a":1,"b":1}`), attr("{ \"a\": 1,\n\"b\": 1\n}"), attr(`{"a":1}`), attr("{ \"a\": 1\n}")},
		"all members removed":     {attr(`{"a":1}`), attr(`{ "a": 1 }`), attr(`{}`), attr(`{}`)},
		"added to an empty":       {attr(`{"o":{}}`), attr(`{"o":{ }}`), attr(`{"o":{"x":1,"y":2}}`), attr(`{"o":{"x": 1, "y": 2 }}`)},
		"added, spaced as others": {attr(`{"a":1}`), attr("{\n  \"a\" : 1\n}"), attr(`{"a":1,"z~":[1,2]}`), attr("{\n  \"a\" : 1,\n  \"z~\" : [1,2]\n}")},

		"list: one side": {attr(`{"l":[1,2,3]}`), attr(`{"l":[ 1,  2, 3 ]}`), attr(`{"l":[0,1,3,4]}`), attr(`{"l":[ 0, 1, 3, 4 ]}`)},
		"list: insertion and removal": {attr(`{"l":["a","b","c","d","e"]}`), attr(`{"l":["x","a","b","c","d","e"]}`), attr(`{"l":["a","b","c","e","f"]}`),
			attr(`{"l":["x","a","b","c","e","f"]}`)},
		"list: neighbours": {attr(`{"l":[80,443]}`), attr(`{"l":[81,443]}`), attr(`{"l":[80,444]}`), attr(`{"l":[81,444]}`)},
		"list: within elements": {
			attr(`{"l":[{"n":"a","ip":1,"pool":"p"},{"n":"b"}]}`),
			attr(`{"l":[{"n":"a","ip":2,"pool":"p"},{"n":"b"}]}`),
			attr(`{"l":[{"n":"a","ip":1,"pool":"q"},{"n":"b"},{"n":"c"}]}`),
			attr(`{"l":[{"n":"a","ip":2,"pool":"q"},{"n":"b"},{"n":"c"}]}`)},

		"bookkeeping of ours stays": {
			dep(`"crowbar-status":"failed","config":{"environment":"x","mode":"full"}`),
			dep(`"crowbar-status":"success","config":{"environment":"y","mode":"full"}`),
			dep(`"crowbar-applied":true,"config":{"environment":"z","mode":"part"}`),
			dep(`"crowbar-status":"success","config":{"environment":"y","mode":"part"}`)},
		"roles as sets": {
			dep(`"elements":{"compute":["n1","n2","n3"],"volume":["n9"]}`),
			dep(`"elements":{"compute":["n4", "n3","n1"],"volume":["n9"]}`),
			dep(`"elements":{"compute":["n5","n2","n3","n4"],"volume":["n9","n1"]}`),
			dep(`"elements":{"compute":["n4", "n3","n5"],"volume":["n9","n1"]}`)},
		"moved here, removed there": {
			dep(`"elements":{"compute":["n1","n2"],"controller":[]}`),
			dep(`"elements":{"compute":["n2"],"controller":["n1"]}`),
			dep(`"elements":{"compute":["n2","n3"],"controller":[]}`),
			dep(`"elements":{"compute":["n2","n3"],"controller":["n1"]}`)},
		"nodes mentioned twice": {
			dep(`"elements":{"compute":["n1","n1","n2","n2","n3"]}`),
			dep(`"elements":{"compute":["n1","n1","n2","n3","n4","n4"]}`),
			dep(`"elements":{"compute":["n1","n1","n2","n2","n3","n3","n4","n5","n5"]}`),
			dep(`"elements":{"compute":["n1","n1","n2","n3","n4","n3","n5","n5"]}`)},
		"nodes mentioned twice, the other way round": {
			dep(`"elements":{"compute":["n1","n1","n2","n2","n3"]}`),
			dep(`"elements":{"compute":["n1","n1","n2","n2","n3","n3","n4","n5","n5"]}`),
			dep(`"elements":{"compute":["n1","n1","n2","n3","n4","n4"]}`),
			dep(`"elements":{"compute":["n1","n1","n2","n3","n3","n4","n5","n5"]}`)},
		"role removed, only reordered there": {
			dep(`"elements":{"compute":["n1","n2"]}`), dep(`"elements":{}`), dep(`"elements":{"compute":["n2","n1"]}`), dep(`"elements":{}`)},
		"elements from nothing": {dep(""), dep(`"elements":null`), dep(`"elements":{"compute":["n1"]}`), dep(`"elements":{"compute": ["n1"]}`)},
		"elements to nothing": {
			dep(`"elements":{"compute":["n1"]}`), dep(`"elements":[]`), dep(`"elements":{"compute":["n1"],"volume":["n2"]}`), dep(`"elements":{"volume": ["n2"]}`)},
		"states and transitions as sets": {
			dep(`"element_states":{"compute":["ready"]},"config":{"transition_list":["a"]}`),
			dep(`"element_states":{"compute":["ready","applying"]},"config":{"transition_list":[]}`),
			dep(`"element_states":{"compute":["all"]},"config":{"transition_list":["a","b"]}`),
			dep(`"element_states":{"compute":["applying","all"]},"config":{"transition_list":["b"]}`)},
		"run list order": {
			dep(`"element_run_list_order":[]`), dep(`"element_run_list_order":{"compute":1}`), dep(`"element_run_list_order":{"volume":2}`),
			dep(`"element_run_list_order":{"compute":1,"volume":2}`)},
	} {
		t.Run(name, func(t *testing.T) {
			base, ours, theirs := parse(t, c.base), parse(t, c.ours), parse(t, c.theirs)
			merged, err := proposal.Merge(base, ours, theirs, nil)
			require.NoError(t, err)
			require.Equal(t, c.want, string(merged.Bytes()))
			checkMerge(t, base, ours, theirs)
		})
	}
}

func TestMergeConflicts(t *testing.T) {
	const at = "/attributes/nova"
	const dep = "/deployment/nova"
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	base := parse(t, document(`{"a":1,"b":{"x":1},"c":1,"same":1,"l":["p"],"m":[{"k":1},{"k":2}],"kind":1}`,
		`"elements":{"compute":["n1"],"volume":["n1"]},"config":{"mode":"full"}`))
	ours := parse(t, strings.Replace(document(`{"a":1.0,"c":2,"d":[1],"same":2,"l":["o"],"m":[{"k":0},{"k":3}],"kind":{"o":1}}`,
		`"elements":{"compute":["n2"]},"config":{"mode":"a"}`), `[["controller"],["compute","volume"]]`, `[["controller"]]`, 1))
	theirs := parse(t, strings.Replace(document(`{"a":1e0,"b":{"x":2},"d":[2],"same":2,"l":["t","p"],"m":[{"k":5},{"k":2},{"k":4}],"kind":{"t":1}}`,
		`"elements":{"volume":["n1","n2"]},"config":{"mode":"b"}`), `[["controller"],["compute","volume"]]`, `[["volume"]]`, 1))

	merged, err := proposal.Merge(base, ours, theirs, nil)
	require.Nil(t, merged)
	require.ErrorIs(t, err, proposal.ErrConflict)
	var conflict *proposal.MergeError
	require.ErrorAs(t, err, &conflict)
	want := []proposal.Conflict{
		{Type: proposal.ChangedBoth, Path: at + "/a", Base: raw("1"), Ours: raw("1.0"), Theirs: raw("1e0")},
		{Type: proposal.RemovedChanged, Path: at + "/b", Base: raw(`{"x":1}`), Theirs: raw(`{"x":2}`)},
		{Type: proposal.ChangedRemoved, Path: at + "/c", Base: raw("1"), Ours: raw("2")},
		{Type: proposal.AddedBoth, Path: at + "/d", Ours: raw("[1]"), Theirs: raw("[2]")},
		{Type: proposal.ChangedBoth, Path: at + "/kind", Base: raw("1"), Ours: raw(`{"o":1}`), Theirs: raw(`{"t":1}`)},
		{Type: proposal.ChangedBoth, Path: at + "/l", Base: raw(`["p"]`), Ours: raw(`["o"]`), Theirs: raw(`["t","p"]`)},
		{Type: proposal.ChangedBoth, Path: at + "/m", Base: raw(`[{"k":1},{"k":2}]`), Ours: raw(`[{"k":0},{"k":3}]`), Theirs: raw(`[{"k":5},{"k":2},{"k":4}]`)},
		{Type: proposal.ChangedBoth, Path: dep + "/config/mode", Base: raw(`"full"`), Ours: raw(`"a"`), Theirs: raw(`"b"`)},
		{Type: proposal.ChangedBoth, Path: dep + "/element_order", Base: raw(`[["controller"],["compute","volume"]]`), Ours: raw(`[["controller"]]`), Theirs: raw(`[["volume"]]`)},
		{Type: proposal.ChangedRemoved, Path: dep + "/elements/compute", Base: raw(`["n1"]`), Ours: raw(`["n2"]`)},
		{Type: proposal.RemovedChanged, Path: dep + "/elements/volume", Base: raw(`["n1"]`), Theirs: raw(`["n1","n2"]`)},
	}
	require.Empty(t, cmp.Diff(want, conflict.Conflicts))
	text := err.Error()
	require.Contains(t, text, "proposal: conflict in 11 values:\n  /attributes/nova/a: changed-both: base 1, ours 1.0, theirs 1e0\n")
	require.Contains(t, text, "\n  /attributes/nova/b: removed-changed: base {\"x\":1}, ours nothing, theirs {\"x\":2}\n")
	checkMerge(t, base, ours, theirs)

	t.Run("resolved", func(t *testing.T) {
		merged, err := proposal.Merge(base, ours, theirs, &proposal.MergeOptions{Resolve: map[string]proposal.Side{
			at + "/a": "ours", at + "/b": "theirs", at + "/c": "base", at + "/d": "base", at + "/kind": "theirs", at + "/l": "theirs", at + "/m": "ours",
			dep + "/config/mode": "base", dep + "/element_order": "theirs", dep + "/elements/compute": "theirs", dep + "/elements/volume": "ours",
		}})
		require.NoError(t, err)
		want := strings.Replace(document(`{"a":1.0,"c":1,"same":2,"l":["t","p"],"m":[{"k":0},{"k":3}],"kind":{"t":1},"b":{"x":2}}`,
			`"elements":{},"config":{"mode":"full"}`), `[["controller"],["compute","volume"]]`, `[["volume"]]`, 1)
		require.Equal(t, want, string(merged.Bytes()))
	})
	t.Run("some are left", func(t *testing.T) {
		_, err := proposal.Merge(base, ours, theirs, &proposal.MergeOptions{Resolve: map[string]proposal.Side{at + "/a": "ours"}})
		require.ErrorAs(t, err, &conflict)
		require.Empty(t, cmp.Diff(want[1:], conflict.Conflicts))
	})
	t.Run("no conflict there", func(t *testing.T) {
		_, err := proposal.Merge(base, ours, theirs, &proposal.MergeOptions{Resolve: map[string]proposal.Side{at + "/same": "ours", at + "/a": "ours"}})
		require.ErrorIs(t, err, proposal.ErrPath)
		require.ErrorContains(t, err, `"`+at+`/same"`)
		require.NotContains(t, err.Error(), `resolve "`+at+`/a"`)
		require.ErrorAs(t, err, &conflict)
	})
	t.Run("no such side", func(t *testing.T) {
		_, err := proposal.Merge(base, ours, theirs, &proposal.MergeOptions{Resolve: map[string]proposal.Side{at + "/a": "mine"}})
		require.ErrorIs(t, err, proposal.ErrInvalid)
		require.ErrorContains(t, err, `"mine"`)
	})
}

func TestMergeWithinAListElement(t *testing.T) {
	const at = "/attributes/nova"
	base := parse(t, document(`{"m":[{"k":1},{"k":2}]}`, ""))
	ours := parse(t, document(`{"m":[{"k":1},{"k":3,"o":1}]}`, ""))
	theirs := parse(t, document(`{"m":[{"k":0},{"k":1},{"k":4,"t":1}]}`, ""))
	_, err := proposal.Merge(base, ours, theirs, nil)
	var conflict *proposal.MergeError
	require.ErrorAs(t, err, &conflict)
	require.Len(t, conflict.Conflicts, 1)
	require.Equal(t, at+"/m/1/k", conflict.Conflicts[0].Path, "the index is the one in base")
	checkMerge(t, base, ours, theirs)
	merged, err := proposal.Merge(base, ours, theirs, &proposal.MergeOptions{Resolve: map[string]proposal.Side{at + "/m/1/k": "theirs"}})
	require.NoError(t, err)
	require.Equal(t, document(`{"m":[{"k":0},{"k":1},{"k":4,"o":1,"t":1}]}`, ""), string(merged.Bytes()))
}

func TestMergeRefusesAnotherBarclamp(t *testing.T) {
	nova, swift := parse(t, document("{}", "")), parse(t, `{"id":"bc-swift-x","attributes":{},"deployment":{"swift":{}}}`)
	for _, d := range [][3]*proposal.Document{{nova, nova, swift}, {nova, swift, nova}, {swift, nova, nova}} {
		_, err := proposal.Merge(d[0], d[1], d[2], nil)
		require.ErrorIs(t, err, proposal.ErrOtherBarclamp)
	}
}

// checkMerge proves the laws of a merge for three documents of one barclamp.
func checkMerge(t require.TestingT, b, x, y *proposal.Document) {
	checkMergeBy(t, proposal.Merge, b, x, y)
}

type mergeFunc func(base, ours, theirs *proposal.Document, o *proposal.MergeOptions) (*proposal.Document, error)

func checkMergeBy(t require.TestingT, merge mergeFunc, b, x, y *proposal.Document) {
	for _, law := range [][4]*proposal.Document{{b, x, b, x}, {b, b, y, y}, {b, x, x, x}, {b, y, y, y}} {
		merged, err := merge(law[0], law[1], law[2], nil)
		require.NoError(t, err)
		require.Equal(t, string(law[3].Content()), string(merged.Content()))
	}

	xy, errXY := merge(b, x, y, nil)
	yx, errYX := merge(b, y, x, nil)
	conflicts := conflictsOf(t, errXY)
	swapped := conflictsOf(t, errYX)
	for i, c := range swapped {
		swapped[i].Ours, swapped[i].Theirs = c.Theirs, c.Ours
		switch c.Type {
		case proposal.RemovedChanged:
			swapped[i].Type = proposal.ChangedRemoved
		case proposal.ChangedRemoved:
			swapped[i].Type = proposal.RemovedChanged
		}
	}
	require.Empty(t, cmp.Diff(conflicts, swapped))
	if len(conflicts) == 0 {
		require.Empty(t, cmp.Diff(asSets(t, xy), asSets(t, yx)))
		checkBytes(t, xy)
	}

	// Any answers will do, and what one answers here is what the other answers there.
	for _, side := range []proposal.Side{proposal.SideBase, proposal.SideOurs, proposal.SideTheirs} {
		there := side
		switch side {
		case proposal.SideOurs:
			there = proposal.SideTheirs
		case proposal.SideTheirs:
			there = proposal.SideOurs
		}
		one, other := make(map[string]proposal.Side), make(map[string]proposal.Side)
		for _, c := range conflicts {
			one[c.Path], other[c.Path] = side, there
		}
		xy, err := merge(b, x, y, &proposal.MergeOptions{Resolve: one})
		require.NoError(t, err)
		yx, err := merge(b, y, x, &proposal.MergeOptions{Resolve: other})
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(asSets(t, xy), asSets(t, yx)), "resolved with %s", side)
		checkBytes(t, xy)
	}
}

// The laws hold where there is no room for the paths of conflicts, and objects and lists stand for
// those in them, too. Answered, what they stand for is what it would be one by one.
func TestMergeWithoutRoom(t *testing.T) {
	generated := documents()
	wholes := 0
	rapid.Check(t, func(t *rapid.T) {
		b, x, y := parse(t, generated.Draw(t, "base")), parse(t, generated.Draw(t, "ours")), parse(t, generated.Draw(t, "theirs"))
		spare := rapid.IntRange(-300, 50).Draw(t, "spare")
		merge := func(base, ours, theirs *proposal.Document, o *proposal.MergeOptions) (*proposal.Document, error) {
			return proposal.MergeWithin(base, ours, theirs, o, spare)
		}
		checkMergeBy(t, merge, b, x, y)
		_, err := merge(b, x, y, nil)
		few := conflictsOf(t, err)
		_, err = proposal.Merge(b, x, y, nil)
		all := conflictsOf(t, err)
		named := make(map[string]bool)
		for _, c := range all {
			named[c.Path] = true
		}
		whole := slices.ContainsFunc(few, func(c proposal.Conflict) bool { return !named[c.Path] })
		if whole {
			wholes++
		}
		side := rapid.SampledFrom([]proposal.Side{proposal.SideBase, proposal.SideOurs, proposal.SideTheirs}).Draw(t, "side")
		one, other := make(map[string]proposal.Side), make(map[string]proposal.Side)
		for _, c := range few {
			one[c.Path] = side
		}
		for _, c := range all {
			other[c.Path] = side
		}
		few1, err := merge(b, x, y, &proposal.MergeOptions{Resolve: one})
		require.NoError(t, err)
		all1, err := proposal.Merge(b, x, y, &proposal.MergeOptions{Resolve: other})
		require.NoError(t, err)
		require.Equal(t, string(all1.Bytes()), string(few1.Bytes()))
		if whole { // what is inside has no answer of its own
			_, err = merge(b, x, y, &proposal.MergeOptions{Resolve: other})
			require.ErrorIs(t, err, proposal.ErrPath)
		}
	})
	require.Positive(t, wholes)
}

func conflictsOf(t require.TestingT, err error) []proposal.Conflict {
	if err == nil {
		return nil
	}
	conflict, ok := err.(*proposal.MergeError)
	require.True(t, ok, "%v", err)
	require.NotEmpty(t, conflict.Conflicts)
	return slices.Clone(conflict.Conflicts)
}

// checkBytes: what a document says is what its text says.
func checkBytes(t require.TestingT, d *proposal.Document) {
	again, err := proposal.Parse(d.Bytes())
	require.NoError(t, err)
	require.Equal(t, string(d.Content()), string(again.Content()))
}

// asSets decodes a document's content, its sets sorted.
func asSets(t require.TestingT, d *proposal.Document) any {
	content := decode(t, d.Content()).(map[string]any)
	set := func(v any) any {
		list, ok := v.([]any)
		if !ok {
			return v
		}
		texts := make([]string, len(list))
		for i, e := range list {
			texts[i] = e.(string)
		}
		slices.Sort(texts)
		return texts
	}
	deployment := content["deployment"].(map[string]any)[d.Barclamp()].(map[string]any)
	for _, key := range []string{"elements", "element_states"} {
		if roles, ok := deployment[key].(map[string]any); ok {
			for role := range roles {
				roles[role] = set(roles[role])
			}
		}
	}
	if config, ok := deployment["config"].(map[string]any); ok && config["transition_list"] != nil {
		config["transition_list"] = set(config["transition_list"])
	}
	return content
}

func TestMergeLaws(t *testing.T) {
	generated := documents()
	rapid.Check(t, func(t *rapid.T) {
		b := parse(t, generated.Draw(t, "base"))
		derive := func(label string) *proposal.Document {
			if rapid.IntRange(0, 4).Draw(t, label+" is another") == 0 {
				return parse(t, generated.Draw(t, label))
			}
			return edited(t, b, label)
		}
		checkMerge(t, b, derive("ours"), derive("theirs"))
	})
}

// edited returns a document with a few random edits.
func edited(t *rapid.T, d *proposal.Document, label string) *proposal.Document {
	for range rapid.IntRange(0, 5).Draw(t, label+" edits") {
		var edit proposal.Edit
		switch rapid.IntRange(0, 3).Draw(t, label) {
		case 0:
			edit = set("/attributes/nova/"+escaped(keys().Draw(t, label)), values(2).Draw(t, label))
		case 1:
			edit = remove("/attributes/nova/" + escaped(keys().Draw(t, label)))
		case 2:
			role := rapid.SampledFrom([]string{"controller", "compute"}).Draw(t, label)
			nodes := rapid.SliceOfN(rapid.SampledFrom([]string{`"node1"`, `"node2"`, `"node3"`}), 0, 4).Draw(t, label)
			edit = set("/deployment/nova/elements/"+role, "["+strings.Join(nodes, ",")+"]")
		case 3:
			edit = remove("/deployment/nova/" + rapid.SampledFrom([]string{"elements", "element_states", "config", "elements/compute"}).Draw(t, label))
		}
		if changed, err := d.With(edit); err == nil {
			d = changed
		}
	}
	return d
}

func TestMergeLawsOfLists(t *testing.T) {
	list := rapid.SliceOfN(rapid.SampledFrom([]string{"1", "2", "3", "[1]", `{"a":1}`, `{"a":2}`, `{"b":1,"a":1}`}), 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		of := func(label string) *proposal.Document {
			return parse(t, document(`{"l":[`+strings.Join(list.Draw(t, label), ",")+`]}`, ""))
		}
		checkMerge(t, of("base"), of("ours"), of("theirs"))
	})
}

func TestMergeOfTemplates(t *testing.T) {
	all := templates(t)
	for file, data := range all {
		t.Run(file, func(t *testing.T) {
			b := parse(t, string(data))
			role := b.Roles()[0]
			x, err := with(t, b, set(b.AttributePointer("debug_x"), "true")).WithElements(map[string][]string{role: {"node1"}})
			require.NoError(t, err)
			y, err := with(t, b, set("/description", `"y"`)).WithElements(map[string][]string{role: {"node2"}})
			require.NoError(t, err)
			merged, err := proposal.Merge(b, x, y, nil)
			require.NoError(t, err)
			require.Equal(t, []string{"node1", "node2"}, merged.Deployment().Elements[role])
			require.Equal(t, "y", merged.Description())
			require.Equal(t, "true", merged.Get("debug_x").Raw)
			checkMerge(t, b, x, y)
		})
	}
}

// Nova's templates of two eras share little but the name: what is different is bounded, and
// every law holds.
func TestTwoErasOfNova(t *testing.T) {
	all := templates(t)
	old, now := all["nova__crowbar--2012-eqlx.json"], all["nova__crowbar.json"]
	if old == nil || now == nil {
		t.Skip("nova's templates of both eras are not here")
	}
	a, b := parse(t, string(old)), parse(t, string(now))
	checkDiff(t, a, b)
	checkDiff(t, b, a)
	d := compare(t, a, b)
	require.False(t, d.Empty())
	require.Less(t, len(d.Changes), 200)
	require.Less(t, len(d.Patch), len(old)+len(now))

	x := with(t, a, set(a.AttributePointer("verbose"), "false"), set("/deployment/nova/elements", `{"nova-multi-controller":["n1"]}`))
	checkMerge(t, a, x, b)
	checkMerge(t, b, x, a)
	merged, err := proposal.Merge(a, x, b, &proposal.MergeOptions{Resolve: answers(t, a, x, b, proposal.SideOurs)})
	require.NoError(t, err)
	require.Equal(t, []string{"n1"}, merged.Deployment().Elements["nova-multi-controller"])
}

func answers(t require.TestingT, b, x, y *proposal.Document, side proposal.Side) map[string]proposal.Side {
	_, err := proposal.Merge(b, x, y, nil)
	resolve := make(map[string]proposal.Side)
	for _, c := range conflictsOf(t, err) {
		resolve[c.Path] = side
	}
	return resolve
}

// Two operators add 10,000 nodes each; neither is asked about any.
func TestMergeOfManyNodes(t *testing.T) {
	nodes := func(from, to int) map[string][]string {
		list := make([]string, 0, to-from)
		for n := from; n < to; n++ {
			list = append(list, fmt.Sprintf("d52-54-00-%06d.rack.example.com", n))
		}
		return map[string][]string{"compute": list}
	}
	of := func(from, to int) *proposal.Document {
		d, err := parse(t, document("{}", "")).WithElements(nodes(from, to))
		require.NoError(t, err)
		return d
	}
	merged, err := proposal.Merge(of(0, 10_000), of(5_000, 20_000), of(2_000, 15_000), nil)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(nodes(5_000, 20_000), merged.Deployment().Elements))
}

func TestMergeHidesSecrets(t *testing.T) {
	const at = "/attributes/nova"
	of := func(password string, pointers ...string) *proposal.Document {
		return proposal.Marked(parse(t, document(`{"password":`+password+`,"l":["hush"]}`, "")), pointers...)
	}
	base, ours, theirs := of(`"hush1"`), of(`{"k":"hush2"}`), of(`{"k":"hush3","o":1}`, at+"/password", at+"/l/0")
	_, err := proposal.Merge(base, ours, theirs, nil)
	var conflict *proposal.MergeError
	require.ErrorAs(t, err, &conflict)
	require.NotContains(t, err.Error(), "hush")
	hidden := json.RawMessage(`"(secret ` + at + `/password)"`)
	require.Empty(t, cmp.Diff([]proposal.Conflict{{Type: proposal.ChangedBoth, Path: at + "/password", Base: hidden, Ours: hidden, Theirs: hidden}}, conflict.Conflicts))

	merged, err := proposal.Merge(base, ours, theirs, &proposal.MergeOptions{Resolve: map[string]proposal.Side{at + "/password": "theirs"}})
	require.NoError(t, err)
	require.Equal(t, "hush3", merged.Get("password.k").String(), "the values are the real ones")
	require.Equal(t, []string{at + "/password", at + "/l/0"}, merged.Secrets())
}
