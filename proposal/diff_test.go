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
			"compute: − n1\ncontroller: + n1\nvolume: − no nodes\nx: + no nodes\n",
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

	// A role's nodes go from the one set to the other.
	old, now := a.Deployment().Elements, b.Deployment().Elements
	for _, c := range d.Changes {
		if c.Kind != proposal.KindRole || c.Role == "" {
			continue
		}
		set := slices.DeleteFunc(slices.Clone(old[c.Role]), func(n string) bool { return slices.Contains(c.Removed, n) })
		set = append(set, c.Added...)
		require.Equal(t, sortedSet(now[c.Role]), sortedSet(set), "role %s", c.Role)
		delete(old, c.Role)
		delete(now, c.Role)
	}
	require.Empty(t, cmp.Diff(old, now), "a role changed and no change says so")
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

// FuzzCompare: whatever two documents Parse takes, the laws of a diff hold.
func FuzzCompare(f *testing.F) {
	f.Add([]byte(document(`{"a":[1,2,3],"b":{"c":1.0}}`, `"elements":{"x":["n1"]}`)), []byte(document(`{"a":[2,3,4],"b":{"c":1}}`, `"elements":null`)))
	f.Add([]byte(document(`{"a":null}`, "")), []byte(document(`{}`, `"config":{"environment":"x"}`)))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		a, err := proposal.Parse(first)
		if err != nil {
			return
		}
		b, err := proposal.Parse(second)
		if err != nil || a.Barclamp() != b.Barclamp() {
			return
		}
		checkDiff(t, a, b)
	})
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

func BenchmarkCompare(b *testing.B) {
	for _, size := range []int{20_000, 200_000} {
		first, second := benchmarkPair(b, size)
		b.Run(fmt.Sprintf("proposal/%dKB", size/1000), func(b *testing.B) {
			for b.Loop() {
				x, _ := proposal.Parse(first)
				y, _ := proposal.Parse(second)
				if _, err := proposal.Compare(x, y); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("jsondiff/%dKB", size/1000), func(b *testing.B) {
			for b.Loop() {
				if _, err := jsondiff.CompareJSON(first, second); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchmarkPair(tb testing.TB, size int) (first, second []byte) {
	var members []string
	for n := 0; len(members)*100 < size; n++ {
		members = append(members, fmt.Sprintf(`"key_%d": {"name": "value %d", "n": %d, "on": true, "list": ["a", "b", "c%d"], "none": null}`, n, n, n, n))
	}
	a := parse(tb, document("{"+strings.Join(members, ",\n")+"}", `"elements":{"compute":["n1","n2"]}`))
	b := with(tb, a,
		set("/attributes/nova/key_0/name", `"new"`), set("/attributes/nova/key_9/list/-", `"z"`), remove("/attributes/nova/key_3"),
		set("/attributes/nova/key_7/list/0", "1"), set("/attributes/nova/more", `{"a":1}`), set("/deployment/nova/elements/compute/-", `"n3"`))
	return a.Bytes(), b.Bytes()
}
