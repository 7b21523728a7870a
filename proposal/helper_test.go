package proposal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// templates returns Crowbar's own templates by file name.
func templates(t testing.TB) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("../../shared/data/crowbar-templates/*.json")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the real templates (../shared/data/crowbar-templates) are not here")
	}
	all := make(map[string][]byte)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		all[filepath.Base(file)] = data
	}
	return all
}

// document returns a nova proposal with these attributes and these further members of its
// deployment.
func document(attributes, deployment string) string {
	if deployment != "" {
		deployment = ", " + deployment
	}
	return `{"id":"bc-nova-default","description":"d","attributes":{"nova":` + attributes + `},` +
		`"deployment":{"nova":{"crowbar-revision":0,"element_order":[["controller"],["compute","volume"]]` + deployment + `}}}`
}

func parse(t require.TestingT, text string) *proposal.Document {
	d, err := proposal.Parse([]byte(text))
	require.NoError(t, err, text)
	return d
}

func compare(t require.TestingT, a, b *proposal.Document) *proposal.Diff {
	d, err := proposal.Compare(a, b)
	require.NoError(t, err)
	return d
}

// decode reads JSON with the text of its numbers.
func decode(t require.TestingT, data []byte) any {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	require.NoError(t, dec.Decode(&v), "%s", data)
	return v
}

// values generates JSON values of the kinds that documents hold, short ones mostly.
func values(depth int) *rapid.Generator[string] {
	leaf := rapid.OneOf(
		rapid.SampledFrom([]string{"null", "true", "false", `""`, `"kvm"`, `"a<b>&\u00fc\n"`, "[]", "{}", `"\ud83d\ude00"`}),
		rapid.SampledFrom([]string{"0", "-0", "1", "1.0", "1e3", "1E+3", "12345678901234567890", "0.10"}),
		rapid.Map(rapid.StringN(0, 6, -1), quoted),
	)
	if depth == 0 {
		return leaf
	}
	nested := values(depth - 1)
	return rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(nested, 0, 6), func(list []string) string { return "[" + strings.Join(list, ", ") + "]" }),
		rapid.Map(rapid.MapOfN(keys(), nested, 0, 4), object),
	)
}

func keys() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom([]string{"a", "b", "c", "a/b", "m~n", "x.y", "", "ü", "config", "id"}), rapid.StringN(0, 4, -1))
}

func object(members map[string]string) string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(" ,\n ")
		}
		b.WriteString(quoted(name) + " : " + members[name])
	}
	return "{" + b.String() + "}"
}

func quoted(s string) string {
	text, _ := json.Marshal(strings.ToValidUTF8(s, "?"))
	return string(text)
}

// documents generates nova proposals, complete and sparse ones.
func documents() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		nodes := rapid.SliceOfN(rapid.Map(rapid.IntRange(1, 9), func(n int) string { return fmt.Sprintf(`"node%d"`, n) }), 0, 8)
		list := rapid.Map(nodes, func(n []string) string { return "[" + strings.Join(n, ",") + "]" })
		roles := rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"controller", "compute", "volume"}), list, 0, 3), object)
		deployment := map[string]string{}
		may := func(key string, g *rapid.Generator[string]) {
			if rapid.Bool().Draw(t, "has "+key) {
				deployment[key] = g.Draw(t, key)
			}
		}
		may("crowbar-revision", rapid.Map(rapid.IntRange(0, 99), strconv.Itoa))
		may("crowbar-status", rapid.SampledFrom([]string{`"success"`, `"failed"`, "null"}))
		may("schema-revision", rapid.Map(rapid.IntRange(0, 3), strconv.Itoa))
		may("elements", rapid.OneOf(roles, rapid.SampledFrom([]string{"null", "[]", "{}"})))
		may("element_order", rapid.SampledFrom([]string{"[]", `[["controller"],["compute","volume"]]`, `[["volume"]]`, "null"}))
		may("element_states", rapid.SampledFrom([]string{"{}", `{"controller":["all"]}`, `{"controller":["ready"],"volume":[]}`}))
		may("element_run_list_order", rapid.SampledFrom([]string{"{}", `{"controller":95}`, `{"controller":96,"volume":1}`}))
		may("config", rapid.SampledFrom([]string{
			"{}", `{"environment":"nova-config-a"}`, `{"environment":"nova-config-b","mode":"full","transitions":true}`, `{"transition_list":["all"]}`,
		}))
		may("extra", values(1))
		top := map[string]string{
			"id":         rapid.SampledFrom([]string{`"bc-nova-default"`, `"nova-x"`, `"template-nova"`}).Draw(t, "id"),
			"deployment": object(map[string]string{"nova": object(deployment)}),
			"attributes": object(map[string]string{"nova": rapid.Map(rapid.MapOfN(keys(), values(2), 0, 4), object).Draw(t, "attributes")}),
		}
		if rapid.Bool().Draw(t, "described") {
			top["description"] = rapid.SampledFrom([]string{`"one"`, `"two"`, "null"}).Draw(t, "description")
		}
		return object(top)
	})
}

// applyPatch is RFC 6902's add, remove and replace, over values with their number text.
func applyPatch(t require.TestingT, doc any, patch []byte) any {
	var ops []struct {
		Op, Path string
		Value    json.RawMessage
	}
	require.NoError(t, json.Unmarshal(patch, &ops), "%s", patch)
	for _, op := range ops {
		var value any
		if op.Op != "remove" {
			value = decode(t, op.Value)
		}
		tokens := strings.Split(op.Path, "/")
		require.Empty(t, tokens[0], "path %q", op.Path)
		require.Greater(t, len(tokens), 1, "the whole document is never replaced")
		doc = applyAt(t, doc, tokens[1:], op.Op, value)
	}
	return doc
}

func applyAt(t require.TestingT, at any, tokens []string, op string, value any) any {
	token := strings.NewReplacer("~1", "/", "~0", "~").Replace(tokens[0])
	last := len(tokens) == 1
	switch at := at.(type) {
	case map[string]any:
		old, exists := at[token]
		require.True(t, exists || last && op == "add", "%s: no member %q", op, token)
		switch {
		case !last:
			at[token] = applyAt(t, old, tokens[1:], op, value)
		case op == "remove":
			delete(at, token)
		default:
			at[token] = value
		}
		return at
	case []any:
		i, err := strconv.Atoi(token)
		require.NoError(t, err)
		if last && op == "add" {
			return slices.Insert(at, i, value)
		}
		require.Less(t, i, len(at))
		switch {
		case !last:
			at[i] = applyAt(t, at[i], tokens[1:], op, value)
		case op == "remove":
			return slices.Delete(at, i, i+1)
		default:
			at[i] = value
		}
		return at
	}
	require.Fail(t, "no container", "at %q", token)
	return nil
}

func escaped(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

// decodeOrNil is decode without a test.
func decodeOrNil(data []byte) any {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	_ = dec.Decode(&v)
	return v
}
