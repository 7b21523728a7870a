package proposal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"github.com/wI2L/jsondiff"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestCompare(t *testing.T) {
	const n = "/attributes/nova"
	const dep = "/deployment/nova"
	for name, c := range map[string]struct {
		a, b        string
		text, patch string
	}{
		"nothing":               {document(`{"a":1}`, ""), document(`{ "a": 1 }`, ""), "", `[]`},
		"key order and escapes": {document(`{"a":"ü","b":{"c":1,"d":2}}`, ""), document(`{"b":{"d":2,"c":1},"a":"\u00fc"}`, ""), "", `[]`},
		"bookkeeping": {
			document("{}", `"config":{"environment":"x"}`),
			strings.Replace(document("{}", `"crowbar-applied":true,"crowbar-status":"failed","crowbar-failed":"e","crowbar-queued":true,"crowbar-committing":true,"config":{"environment":"y"}`),
				`"crowbar-revision":0`, `"crowbar-revision":17`, 1),
			"", `[]`,
		},
		"attribute": {document(`{"libvirt_type":"kvm"}`, ""), document(`{"libvirt_type":"qemu"}`, ""),
			"nova.libvirt_type: \"kvm\" → \"qemu\"\n", `[{"op":"replace","path":"` + n + `/libvirt_type","value":"qemu"}]`},
		"number text": {document(`{"a":1.0,"b":1e3}`, ""), document(`{"a":1,"b":1000}`, ""),
			"nova.a: 1.0 → 1\nnova.b: 1e3 → 1000\n", `[{"op":"replace","path":"` + n + `/a","value":1},{"op":"replace","path":"` + n + `/b","value":1000}]`},
		"kind": {document(`{"a":{"b":1},"c":null}`, ""), document(`{"a":[],"c":false}`, ""),
			"nova.a: {\"b\":1} → []\nnova.c: null → false\n", `[{"op":"replace","path":"` + n + `/a","value":[]},{"op":"replace","path":"` + n + `/c","value":false}]`},
		"added and removed": {document(`{"a":{"x":1}}`, ""), document(`{"a":{"y/z.w":null}}`, ""),
			"nova.a.x: − 1\nnova.a.y/z\\.w: + null\n", `[{"op":"remove","path":"` + n + `/a/x"},{"op":"add","path":"` + n + `/a/y~1z.w","value":null}]`},
		"list insertion": {document(`{"l":["b","c",{"k":1}]}`, ""), document(`{"l":["a","b","x","c",{"k":2}]}`, ""),
			"nova.l.0: + \"a\"\nnova.l.2: + \"x\"\nnova.l.4.k: 1 → 2\n",
			`[{"op":"add","path":"` + n + `/l/0","value":"a"},{"op":"add","path":"` + n + `/l/2","value":"x"},{"op":"replace","path":"` + n + `/l/4/k","value":2}]`},
		"list removal": {document(`{"l":["a","b","c","d","e"]}`, ""), document(`{"l":["b","d"]}`, ""),
			"nova.l.0: − \"a\"\nnova.l.2: − \"c\"\nnova.l.4: − \"e\"\n",
			`[{"op":"remove","path":"` + n + `/l/0"},{"op":"remove","path":"` + n + `/l/1"},{"op":"remove","path":"` + n + `/l/2"}]`},
		"roles": {document("{}", `"elements":{"compute":["node3","node1"]}`), document("{}", `"elements":{"compute":["node1","node7","node8"]}`),
			"compute: + node7, node8 − node3\n", `[{"op":"replace","path":"` + dep + `/elements/compute","value":["node1","node7","node8"]}]`},
		"role added and removed": {document("{}", `"elements":{"compute":["n1"],"volume":[]}`), document("{}", `"elements":{"controller":["n1"],"x":[]}`),
			"compute: − n1 (to controller)\ncontroller: + n1 (from compute)\nvolume: − no nodes\nx: + no nodes\n",
			`[{"op":"remove","path":"` + dep + `/elements/compute"},{"op":"add","path":"` + dep + `/elements/controller","value":["n1"]},` +
				`{"op":"remove","path":"` + dep + `/elements/volume"},{"op":"add","path":"` + dep + `/elements/x","value":[]}]`},
		"role reordered": {document("{}", `"elements":{"compute":["n1","n2"]}`), document("{}", `"elements":{"compute":["n2","n1"]}`),
			"compute: same nodes, listed otherwise\n", `[{"op":"replace","path":"` + dep + `/elements/compute","value":["n2","n1"]}]`},
		"elements come": {document("{}", ""), document("{}", `"elements":{"compute":["n1"],"volume":["n2"]}`),
			"compute: + n1\nvolume: + n2\n", `[{"op":"add","path":"` + dep + `/elements","value":{"compute":["n1"],"volume":["n2"]}}]`},
		"elements from null": {document("{}", `"elements":null`), document("{}", `"elements":{}`),
			"elements: null → {}\n", `[{"op":"replace","path":"` + dep + `/elements","value":{}}]`},
		"deployment": {
			document("{}", `"schema-revision":1,"element_states":{"compute":["ready"]},"element_run_list_order":{"compute":95},"config":{"mode":"full","transition_list":["a"]}`),
			strings.Replace(document("{}", `"schema-revision":2,"element_states":{"compute":["all"]},"element_run_list_order":{"compute":90},"config":{"mode":"part","transition_list":["a","b"]}`),
				`[["controller"],["compute","volume"]]`, `[["controller"]]`, 1),
			"config.mode: \"full\" → \"part\"\nconfig.transition_list: [\"a\"] → [\"a\",\"b\"]\n" +
				"element_order: [[\"controller\"],[\"compute\",\"volume\"]] → [[\"controller\"]]\n" +
				"element_run_list_order.compute: 95 → 90\nelement_states.compute: [\"ready\"] → [\"all\"]\nschema-revision: 1 → 2\n",
			`[{"op":"replace","path":"` + dep + `/config/mode","value":"part"},{"op":"replace","path":"` + dep + `/config/transition_list","value":["a","b"]},` +
				`{"op":"replace","path":"` + dep + `/element_order","value":[["controller"]]},{"op":"replace","path":"` + dep + `/element_run_list_order/compute","value":90},` +
				`{"op":"replace","path":"` + dep + `/element_states/compute","value":["all"]},{"op":"replace","path":"` + dep + `/schema-revision","value":2}]`,
		},
		"description and others": {
			`{"id":"bc-a-x","description":"x","attributes":{"a":{}},"deployment":{"a":{}},"json_class":"Y"}`,
			`{"id":"bc-a-y","description":"y","attributes":{"a":{}},"deployment":{"a":{}}}`,
			"description: \"x\" → \"y\"\njson_class: − \"Y\"\n", `[{"op":"replace","path":"/description","value":"y"},{"op":"remove","path":"/json_class"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := parse(t, c.a), parse(t, c.b)
			d := compare(t, a, b)
			require.Equal(t, c.text, d.Text())
			require.Equal(t, c.patch, string(d.Patch))
			require.Equal(t, c.text == "", d.Empty())
			require.Equal(t, d.Empty(), a.Hash() == b.Hash())
			var out bytes.Buffer
			written, err := d.WriteTo(&out)
			require.NoError(t, err)
			require.Equal(t, int64(len(c.text)), written)
			require.Equal(t, c.text, out.String())
			checkDiff(t, a, b)
		})
	}
}

func TestCompareRefusesAnotherBarclamp(t *testing.T) {
	_, err := proposal.Compare(parse(t, document("{}", "")), parse(t, `{"id":"bc-swift-x","attributes":{},"deployment":{"swift":{}}}`))
	require.ErrorIs(t, err, proposal.ErrOtherBarclamp)
}

func TestChanges(t *testing.T) {
	a := parse(t, document(`{"l":[1,2]}`, `"elements":{"compute":["n1","n2"]}`))
	b := parse(t, document(`{"l":[2],"new":{}}`, `"elements":{"compute":["n2","n3","n3"]},"config":{"mode":"full"}`))
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	want := []proposal.Change{
		{Kind: proposal.KindAttribute, Path: "/attributes/nova/l/0", Before: raw("1")},
		{Kind: proposal.KindAttribute, Path: "/attributes/nova/new", After: raw("{}")},
		{Kind: proposal.KindConfig, Path: "/deployment/nova/config", After: raw(`{"mode":"full"}`)},
		{Kind: proposal.KindRole, Path: "/deployment/nova/elements/compute", Role: "compute",
			Before: raw(`["n1","n2"]`), After: raw(`["n2","n3","n3"]`), Added: []string{"n3"}, Removed: []string{"n1"}},
	}
	require.Empty(t, cmp.Diff(want, compare(t, a, b).Changes))
}

// checkDiff proves the laws of a diff for a pair of documents.
func checkDiff(t require.TestingT, a, b *proposal.Document) {
	d := compare(t, a, b)
	before, after := decode(t, a.Content()), decode(t, b.Content())

	// Equal hash, equal content and an empty diff are one thing; jsondiff agrees.
	require.Equal(t, a.Hash() == b.Hash(), d.Empty(), "hash and diff")
	require.Equal(t, bytes.Equal(a.Content(), b.Content()), d.Empty(), "content and diff")
	require.Equal(t, string(d.Patch) == "[]", d.Empty(), "patch and changes")
	peer, err := jsondiff.CompareWithoutMarshal(before, after)
	require.NoError(t, err)
	require.Equal(t, len(peer) == 0, d.Empty(), "jsondiff says %s", peer)

	// The patch leads from a to b.
	require.Empty(t, cmp.Diff(after, applyPatch(t, before, d.Patch)), "patch %s", d.Patch)

	line, err := proposal.Summarize(a, b)
	require.NoError(t, err)
	require.Equal(t, d.Summary(), line)

	// A role's nodes go from the one set to the other.
	old, now := a.Deployment().Elements, b.Deployment().Elements
	for _, c := range d.Changes {
		if c.Kind != proposal.KindRole || c.Path == "/deployment/"+a.Barclamp()+"/elements" {
			continue // no role's, but of the map as a whole
		}
		set := slices.DeleteFunc(slices.Clone(old[c.Role]), func(n string) bool { return slices.Contains(c.Removed, n) })
		set = append(set, c.Added...)
		require.Equal(t, sortedSet(now[c.Role]), sortedSet(set), "role %s", c.Role)
		delete(old, c.Role)
		delete(now, c.Role)
	}
	require.Empty(t, cmp.Diff(old, now), "a role changed and no change says so")
}

// Where there is no room for the paths, objects and lists are replaced as a whole, and still the
// patch leads from a to b.
func TestPatchWithoutRoomLeadsFromAToB(t *testing.T) {
	generated := documents()
	wholes := 0
	rapid.Check(t, func(t *rapid.T) {
		a := parse(t, generated.Draw(t, "a"))
		b := parse(t, generated.Draw(t, "b"))
		spare := rapid.IntRange(-200, 50).Draw(t, "spare")
		d, err := proposal.CompareWithin(a, b, spare)
		require.NoError(t, err)
		require.Equal(t, a.Hash() == b.Hash(), d.Empty())
		require.Equal(t, string(d.Patch) == "[]", d.Empty(), "patch and changes")
		require.Empty(t, cmp.Diff(decode(t, b.Content()), applyPatch(t, decode(t, a.Content()), d.Patch)), "patch %s", d.Patch)
		wholes += len(compare(t, a, b).Changes) - len(d.Changes)
		for _, c := range d.Changes {
			require.NotEmpty(t, c.String())
		}
	})
	require.Positive(t, wholes)
}

func TestSummarizeIsSummary(t *testing.T) {
	generated := documents()
	rapid.Check(t, func(t *rapid.T) {
		a := parse(t, generated.Draw(t, "a"))
		b := parse(t, generated.Draw(t, "b"))
		text, err := proposal.Summarize(a, b)
		require.NoError(t, err)
		require.Equal(t, compare(t, a, b).Summary(), text)
	})
	_, err := proposal.Summarize(parse(t, document("{}", "")), parse(t, strings.ReplaceAll(document("{}", ""), "nova", "swift")))
	require.ErrorIs(t, err, proposal.ErrOtherBarclamp)
}

func sortedSet(list []string) []string {
	list = slices.Sorted(slices.Values(list))
	return append([]string{}, slices.Compact(list)...)
}

func TestPatchLeadsFromAToB(t *testing.T) {
	generated := documents()
	rapid.Check(t, func(t *rapid.T) {
		a := parse(t, generated.Draw(t, "a"))
		b := parse(t, generated.Draw(t, "b"))
		checkDiff(t, a, b)
		require.True(t, compare(t, a, a).Empty())
	})
}

// Small differences of one list, where the order of operations matters most.
func TestPatchOfLists(t *testing.T) {
	list := rapid.SliceOfN(rapid.SampledFrom([]string{"1", "2", "3", "[1]", "[2,1]", `{"a":[1,2,3]}`, `{"a":[2,3]}`}), 0, 8)
	rapid.Check(t, func(t *rapid.T) {
		of := func(label string) *proposal.Document {
			return parse(t, document(`{"l":[`+strings.Join(list.Draw(t, label), ",")+`]}`, ""))
		}
		checkDiff(t, of("a"), of("b"))
	})
}

func TestPatchOfTemplates(t *testing.T) {
	for file, data := range templates(t) {
		t.Run(file, func(t *testing.T) {
			a := parse(t, string(data))
			b := with(t, a, set(a.AttributePointer("new.deep"), `["x"]`), set("/description", `"changed"`))
			b, err := b.WithElements(map[string][]string{a.Roles()[0]: {"node1"}})
			require.NoError(t, err)
			checkDiff(t, a, b)
			checkDiff(t, b, a)
			text := compare(t, a, b).Text()
			require.Contains(t, text, a.Barclamp()+".new: + {\"deep\":[\"x\"]}\n")
			require.Contains(t, text, a.Roles()[0]+": + node1\n")
			require.Contains(t, text, "→ \"changed\"\n")
		})
	}
}

func TestListTooLongToAlign(t *testing.T) {
	var a, b []string
	for n := range 400 {
		a = append(a, fmt.Sprint(n))
		b = append(b, fmt.Sprint(n*7%401))
	}
	checkDiff(t,
		parse(t, document(`{"l":[`+strings.Join(a, ",")+`]}`, "")),
		parse(t, document(`{"l":[`+strings.Join(b, ",")+`]}`, "")))
}

// A deployment of ten times the nodes costs at most some ten times the memory: an LCS or a
// comparison of all pairs would cost a hundred times. Memory is counted, not time, so that a
// busy machine does not matter.
func TestDiffIsLinearInTheNodes(t *testing.T) {
	cost := func(nodes int) uint64 {
		list := func(from int) []string {
			names := make([]string, nodes)
			for n := range names {
				names[n] = fmt.Sprintf("d52-54-00-%06d.rack.example.com", (n*7919+from)%(nodes*2))
			}
			return names
		}
		base := parse(t, document("{}", ""))
		a, err := base.WithElements(map[string][]string{"compute": list(0)})
		require.NoError(t, err)
		b, err := base.WithElements(map[string][]string{"compute": list(nodes / 2)})
		require.NoError(t, err)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := compare(t, a, b)
		runtime.ReadMemStats(&after)
		require.Len(t, d.Changes, 1)
		require.NotEmpty(t, d.Changes[0].Added)
		require.Len(t, d.Changes[0].Removed, len(d.Changes[0].Added))
		require.Equal(t, 1, strings.Count(string(d.Patch), `"op"`), "a role is replaced as one list")
		return after.TotalAlloc - before.TotalAlloc
	}
	small, large := cost(1_000), cost(10_000)
	require.Less(t, large, 20*small, "%d bytes for 1,000 nodes, %d for 10,000", small, large)
}

// Aligning two lists costs the product of their lengths, so only short ones are.
func TestDiffIsLinearInLongLists(t *testing.T) {
	cost := func(length int) uint64 {
		list := func(from int) *proposal.Document {
			elements := make([]string, length)
			for n := range elements {
				elements[n] = fmt.Sprintf("%09d", from+n*3)
			}
			return parse(t, document(`{"l":["`+strings.Join(elements, `","`)+`"]}`, ""))
		}
		a, b := list(0), list(1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		d := compare(t, a, b)
		runtime.ReadMemStats(&after)
		require.Len(t, d.Changes, length)
		return after.TotalAlloc - before.TotalAlloc
	}
	small, large := cost(500), cost(5_000)
	require.Less(t, large, 20*small, "%d bytes for 500 elements, %d for 5,000", small, large)
}

func TestMoves(t *testing.T) {
	a := parse(t, document("{}", `"elements":{"compute":["n1","n2","n3","n4","n5"],"controller":["n9"],"volume":["n5"]}`))
	b := parse(t, document("{}", `"elements":{"compute":["n4"],"controller":["n9","n1","n8","n2"],"storage":["n2","n5"]}`))
	d := compare(t, a, b)
	// n2 joined two roles, n5 left two, n3 joined none.
	require.Empty(t, cmp.Diff([]proposal.Move{{Node: "n1", From: "compute", To: "controller"}}, d.Moves))
	require.Equal(t, "compute: − n1 (to controller), n2, n3, n5\n"+
		"controller: + n1 (from compute), n8, n2\n"+
		"storage: + n2, n5\n"+
		"volume: − n5\n", d.Text())
	require.Equal(t, []string{"n1", "n2", "n3", "n5"}, d.Changes[0].Removed, "moved nodes are removed and added, too")
	require.Equal(t, "compute: − n1, n2, n3, n5", d.Changes[0].String())

	text, err := json.Marshal(d)
	require.NoError(t, err)
	require.Contains(t, string(text), `"moves":[{"node":"n1","from":"compute","to":"controller"}]`)
}

func TestSummary(t *testing.T) {
	for name, c := range map[string]struct{ a, b, want string }{
		"nothing":    {document("{}", ""), document("{}", `"crowbar-status":"x"`), "no changes"},
		"one":        {document(`{"a":1}`, ""), document(`{"a":2}`, ""), "nova.a"},
		"two":        {document(`{"a":1,"b":{"c.d":1}}`, ""), document(`{"a":2,"b":{}}`, ""), `nova.a, nova.b.c\.d`},
		"many":       {document(`{}`, ""), document(`{"a":1,"b":2,"c":3,"d":4}`, `"config":{"mode":"full"}`), "nova.a, nova.b and 3 more"},
		"role":       {document("{}", `"elements":{"x":["n1"]}`), document("{}", `"elements":{"x":["n2","n3"]}`), "x + 2 − 1"},
		"both":       {document("{}", ""), document(`{"a":1}`, `"elements":{"x":["n2","n3"]}`), "nova.a; x + 2"},
		"many roles": {document("{}", `"elements":{"c":["n1"],"d":["n1"]}`), document("{}", `"elements":{"a":["n1"],"b":[]}`), "a + 1, b and 2 more roles"},
		"long":       {document("{}", ""), document(`{"`+strings.Repeat("ü", 80)+`":1}`, ""), "nova." + strings.Repeat("ü", 27) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, compare(t, parse(t, c.a), parse(t, c.b)).Summary())
		})
	}
}

func TestSecretsAreComparedAndNotShown(t *testing.T) {
	const db = "/attributes/nova/db"
	marked := func(attributes string, pointers ...string) *proposal.Document {
		return proposal.Marked(parse(t, document(attributes, "")), pointers...)
	}
	for name, c := range map[string]struct {
		a, b *proposal.Document
		text string
	}{
		"same":         {marked(`{"db":{"password":"hush1"}}`, db+"/password"), marked(`{"db":{"password":"hush\u0031"}}`, db+"/password"), ""},
		"changed":      {marked(`{"db":{"password":"hush1"}}`, db+"/password"), marked(`{"db":{"password":"hush2"}}`, db+"/password"), "nova.db.password: changed (secret)\n"},
		"new kind":     {marked(`{"db":{"password":"hush1"}}`, db+"/password"), marked(`{"db":{"password":["hush2"]}}`, db+"/password"), "nova.db.password: changed (secret)\n"},
		"known before": {marked(`{"db":{"password":"hush1"}}`, db+"/password"), marked(`{"db":{"password":"hush2"}}`), "nova.db.password: changed (secret)\n"},
		"known after":  {marked(`{"db":{"password":"hush1"}}`), marked(`{"db":{"password":"hush2"}}`, db+"/password"), "nova.db.password: changed (secret)\n"},
		"added":        {marked(`{"db":{}}`), marked(`{"db":{"password":"hush2"}}`, db+"/password"), "nova.db.password: + (secret)\n"},
		"removed":      {marked(`{"db":{"password":"hush1"}}`, db+"/password"), marked(`{"db":{}}`), "nova.db.password: − (secret)\n"},
		"from null":    {marked(`{"db":{"password":null}}`), marked(`{"db":{"password":"hush2"}}`, db+"/password"), "nova.db.password: changed (secret)\n"},
		"object":       {marked(`{"db":{"a":"hush1","b":"hush2"}}`, db), marked(`{"db":{"a":"hush1","b":"hush3"}}`, db), "nova.db: changed (secret)\n"},
		"element":      {marked(`{"db":["hush1","hush2"]}`, db+"/0", db+"/1"), marked(`{"db":["hush0","hush1","hush2"]}`, db+"/0", db+"/1", db+"/2"), "nova.db.0: + (secret)\n"},
		"within what is added": {marked(`{}`), marked(`{"db":{"password":"hush2","user":"nova"}}`, db+"/password"),
			"nova.db: + {\"password\":\"(secret " + db + "/password)\",\"user\":\"nova\"}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			d := compare(t, c.a, c.b)
			require.Equal(t, c.text, d.Text())
			require.Equal(t, c.text == "", d.Empty())
			all, err := json.Marshal(d)
			require.NoError(t, err)
			require.NotContains(t, string(all)+d.Text()+d.Summary(), "hush")
			if name == "from null" {
				require.Equal(t, "null", string(d.Changes[0].Before))
			}
			for _, change := range d.Changes {
				require.Equal(t, name != "within what is added", change.Secret)
			}
		})
	}
}
