package proposal_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// The tests here are of documents with a name so long that spelling the place of every value
// takes the square of the document.

const longName = 200_000

// many returns an object or list of n things, as many members or elements as the text has %d.
func many(n int, brackets, format string) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = strings.ReplaceAll(format, "%d", fmt.Sprint(i))
	}
	return brackets[:1] + strings.Join(texts, ",") + brackets[1:]
}

// requireLinear checks what f allocates against the size of documents.
func requireLinear(t *testing.T, factor int, f func(), documents ...*proposal.Document) {
	t.Helper()
	size := 0
	for _, d := range documents {
		size += len(d.Bytes())
	}
	require.Less(t, allocated(f), uint64(factor*size))
}

func TestSecretsUnderALongNameAreKeptLinearly(t *testing.T) {
	of := func(format string) *proposal.Document {
		text := document(`{"p":"hush","`+strings.Repeat("k", longName)+`":`+many(10_000, "{}", format)+`}`, "")
		return proposal.Marked(parse(t, text), "/attributes/nova/p")
	}
	base, ours := of(`"%d":[1]`), of(`"%d":[ 1 ]`)
	requireLinear(t, 100, func() {
		changed := with(t, base, set("/attributes/nova/q", "1"))
		require.Equal(t, []string{"/attributes/nova/p"}, changed.Secrets())
	}, base)
	theirs := with(t, base, set("/attributes/nova/q", "1"))
	requireLinear(t, 100, func() {
		merged, err := proposal.Merge(base, ours, theirs, nil)
		require.NoError(t, err)
		require.Equal(t, []string{"/attributes/nova/p"}, merged.Secrets())
	}, base, ours, theirs)
}

func TestProblemsUnderALongNameAreBounded(t *testing.T) {
	long := strings.Repeat("k", longName)
	texts := map[string]string{
		"nodes again":      document("{}", `"elements":{"`+long+`":`+many(20_000, "[]", `"n"`)+`}`),
		"nameless nodes":   document("{}", `"elements":{"`+long+`":`+many(20_000, "[]", `""`)+`}`),
		"no nodes":         document("{}", `"elements":{"`+long+`":`+many(20_000, "[]", `%d`)+`}`),
		"unknown roles":    strings.ReplaceAll(document("{}", `"elements":`+many(20_000, "{}", `"r%d":[]`)), "nova", long),
		"unknown in order": strings.ReplaceAll(document("{}", `"element_run_list_order":`+many(20_000, "{}", `"r%d":1`)), "nova", long),
		"roles again": strings.ReplaceAll(strings.Replace(document("{}", ""), `["controller"]`,
			strings.TrimSuffix(strings.Repeat(`["a","a"],`, 20_000), ","), 1), "nova", long),
		"roles that are no lists": strings.ReplaceAll(document("{}",
			`"elements":`+many(20_000, "{}", `"r%d":1`)), "nova", long),
		"states that are no lists": strings.ReplaceAll(document("{}",
			`"element_states":`+many(20_000, "{}", `"r%d":1`)), "nova", long),
		"further members": strings.ReplaceAll(document("{}", many(20_000, "  ", `"m%d":1`)), "nova", long),
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			var err error
			cost := allocated(func() {
				var d *proposal.Document
				if d, err = proposal.Parse([]byte(text)); err == nil {
					err = proposal.Validate(d)
				}
			})
			require.Less(t, cost, uint64(100*len(text)))
			if name == "further members" {
				require.NoError(t, err)
				return
			}
			var invalid *proposal.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Less(t, len(err.Error()), 5<<20)
			require.Contains(t, invalid.Problems[0].Path, long)
			last := invalid.Problems[len(invalid.Problems)-1]
			require.Regexp(t, `^\d+ more problems$`, last.Found)
		})
	}
}

// A problem is told however long its path is.
func TestOneProblemIsAlwaysTold(t *testing.T) {
	long := strings.Repeat("k", 5<<20)
	err := proposal.Validate(parse(t, document("{}", `"elements":{"`+long+`":[""]}`)))
	var invalid *proposal.ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, []string{"/deployment/nova/elements/" + long, ""}, []string{invalid.Problems[0].Path, invalid.Problems[1].Path})
}

func TestPlacesOfASchemaUnderALongNameAreBounded(t *testing.T) {
	s := compile(t, `{"additionalProperties":{"additionalProperties":{"type":"string"},"items":{"$ref":"#/additionalProperties"}}}`)
	deep := parse(t, document(`{"`+strings.Repeat("k", longName)+`":`+strings.Repeat("[", 200)+many(1000, "{}", `"%d":1`)+strings.Repeat("]", 200)+`}`, ""))
	var err error
	cost := allocated(func() { err = proposal.Validate(deep, s) })
	require.ErrorIs(t, err, proposal.ErrInvalid)
	require.Less(t, len(err.Error()), 5<<20)
	require.Less(t, cost, uint64(1<<30)) // of the places of all problems, of which the first are told
}

// Paths in a patch, in changes and in what people read are a small multiple of the documents.
func TestDifferencesUnderALongNameAreToldAsOne(t *testing.T) {
	long := strings.Repeat("k", longName)
	object := func(format string) string {
		return document(`{"n":1,"`+long+`":`+many(20_000, "{}", format)+`,"z":1}`, "")
	}
	barclamp := func(deployment string) string {
		return strings.ReplaceAll(document("{}", deployment), "nova", long)
	}
	deep := func(leaf string) string {
		text := leaf
		for range 200 {
			text = `{"` + strings.Repeat("k", 10_000) + `":` + text + `,"n":` + leaf + `}`
		}
		return document(text, "")
	}
	for name, c := range map[string]struct {
		a, b    string
		changes int // at most
	}{
		"members changed":  {object(`"%d":1`), strings.ReplaceAll(object(`"%d":2`), `"n":1`, `"n":2`), 2},
		"members respelt":  {object(`"%d":[1]`), object(`"%d":[ 1]`), 0},
		"members come":     {object(`"%d":1`), object(`"x%d":1`), 1},
		"members deep":     {object(`"%d":{"x":[1]}`), object(`"%d":{"x":[2]}`), 1},
		"elements changed": {object(`"%d":[1,2]`), object(`"%d":[1,%d,4]`), 1},
		"deep":             {deep("1"), deep("2"), 200},
		"roles":            {barclamp(`"elements":` + many(20_000, "{}", `"r%d":[]`)), barclamp(`"elements":` + many(20_000, "{}", `"r%d":["n"]`)), 1},
		"roles from none":  {barclamp(`"elements":null`), barclamp(`"elements":` + many(20_000, "{}", `"r%d":["n"]`)), 1},
		"deployment":       {barclamp(many(20_000, "  ", `"m%d":1`)), barclamp(many(20_000, "  ", `"m%d":2`)), 1},
		"nodes move": {document("{}", `"elements":{"`+long+`":`+many(20_000, "[]", `"n%d"`)+`,"b":[]}`),
			document("{}", `"elements":{"`+long+`":[],"b":`+many(20_000, "[]", `"n%d"`)+`}`), 2},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := parse(t, c.a), parse(t, c.b)
			requireLinear(t, 100, func() {
				d := compare(t, a, b)
				require.LessOrEqual(t, len(d.Changes), c.changes)
				require.Less(t, len(d.Patch), 4*len(c.a)+4*len(c.b))
				require.Less(t, len(d.Text()), 4*len(c.a)+4*len(c.b))
				require.Less(t, len(d.Summary()), 300)
				all, err := json.Marshal(d)
				require.NoError(t, err)
				require.Less(t, len(all), 10*len(c.a)+10*len(c.b))
			}, a, b)
			requireLinear(t, 50, func() {
				_, err := proposal.Summarize(a, b)
				require.NoError(t, err)
			}, a, b)
			require.Empty(t, cmp.Diff(decode(t, b.Content()), applyPatch(t, decode(t, a.Content()), compare(t, a, b).Patch)))
		})
	}
}

// Below what is told as one, secrets are hidden even where only one of the documents knows them.
func TestWhatIsToldAsOneHidesSecrets(t *testing.T) {
	of := func(n int) *proposal.Document {
		return parse(t, document(`{"l":[{"p":"TOPSECRET`+fmt.Sprint(n)+`","q":`+fmt.Sprint(n)+`,"r":[1]}]}`, ""))
	}
	marked := proposal.Marked(of(1), "/attributes/nova/l/0/p")
	for _, pair := range [][2]*proposal.Document{{marked, of(2)}, {of(2), marked}} {
		d, err := proposal.CompareWithin(pair[0], pair[1], -1000)
		require.NoError(t, err)
		all, err := json.Marshal(d)
		require.NoError(t, err)
		require.NotContains(t, string(all), "TOPSECRET")
		require.Contains(t, string(all), "(secret /attributes/nova/l/0/p)")
	}
}

// Conflicts are a small multiple of the documents, and answered at the path that they are told at.
func TestConflictsUnderALongNameAreToldAsOne(t *testing.T) {
	long := strings.Repeat("k", longName)
	of := func(format string) *proposal.Document {
		return parse(t, document(`{"n":1,"`+long+`":`+many(20_000, "{}", format)+`}`, ""))
	}
	barclamp := func(format string) *proposal.Document {
		return parse(t, strings.ReplaceAll(document("{}", many(20_000, "  ", format)), "nova", long))
	}
	for name, c := range map[string]struct {
		base, ours, theirs *proposal.Document
		path               string
		conflicts          bool
	}{
		"members":    {of(`"%d":1`), of(`"%d":2`), of(`"%d":3`), "/attributes/nova/" + long, true},
		"objects":    {of(`"%d":{"x":1}`), of(`"%d":{"x":2}`), of(`"%d":{"x":3}`), "/attributes/nova/" + long, true},
		"lists":      {of(`"%d":[{"x":1}]`), of(`"%d":[{"x":2}]`), of(`"%d":[{"x":3}]`), "/attributes/nova/" + long, true},
		"deployment": {barclamp(`"m%d":1`), barclamp(`"m%d":2`), barclamp(`"m%d":3`), "/deployment/" + long, true},
		"respelt":    {of(`"%d":[1,2]`), of(`"%d":[1, 2]`), of(`"%d":[1,3]`), "", false},
		"both":       {of(`"%d":[{"x":1,"y":1}]`), of(`"%d":[{"x":2,"y":1}]`), of(`"%d":[{"x":1,"y":2}]`), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			requireLinear(t, 150, func() {
				if _, err = proposal.Merge(c.base, c.ours, c.theirs, nil); err != nil {
					require.Less(t, len(err.Error()), 3<<20)
				}
			}, c.base, c.ours, c.theirs)
			if !c.conflicts {
				require.NoError(t, err)
				return
			}
			found := conflictsOf(t, err)
			require.Len(t, found, 1)
			require.Equal(t, proposal.ChangedBoth, found[0].Type)
			require.Equal(t, c.path, found[0].Path)
			for side, want := range map[proposal.Side]*proposal.Document{proposal.SideBase: c.base, proposal.SideOurs: c.ours, proposal.SideTheirs: c.theirs} {
				o := &proposal.MergeOptions{Resolve: map[string]proposal.Side{c.path: side}}
				requireLinear(t, 150, func() {
					merged, err := proposal.Merge(c.base, c.ours, c.theirs, o)
					require.NoError(t, err)
					require.True(t, compare(t, want, merged).Empty())
				}, c.base, c.ours, c.theirs)
			}
		})
	}
}

func TestConflictsToldAsOneHideSecrets(t *testing.T) {
	of := func(n int) *proposal.Document {
		return parse(t, document(`{"o":{"p":"TOPSECRET`+fmt.Sprint(n)+`","q":`+fmt.Sprint(n)+`,"r":[1]}}`, ""))
	}
	docs := []*proposal.Document{of(1), of(2), of(3)}
	for n := range docs {
		three := slices.Clone(docs)
		three[n] = proposal.Marked(three[n], "/attributes/nova/o/p")
		_, err := proposal.MergeWithin(three[0], three[1], three[2], nil, -1000)
		all, failed := json.Marshal(conflictsOf(t, err))
		require.NoError(t, failed)
		require.NotContains(t, string(all)+err.Error(), "TOPSECRET")
		require.Contains(t, string(all), "(secret /attributes/nova/o/p)")
	}
}
