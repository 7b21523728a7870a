package proposal_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// seeds are documents to begin fuzzing with: the shapes of the wild, and the real templates if
// they are here.
func seeds(f *testing.F) []string {
	all := []string{
		document(`{"a":[1.0,-0,1e3,null,true,"\u00fc\ud83d\ude00"],"b":{"c":1.0}}`, `"elements":{"compute":["n1"]}`),
		document(`{"a":[2,3,{"k":1},{"k":[1,[2]]}],"b":{"c":1}}`, `"elements":null,"config":{"environment":"x","transition_list":["all"]}`),
		document(`{"a":[1,2,3,{"k":2}],"x/y":{"m~n":null}}`, `"elements":{"compute":["n2","n1"],"volume":[]},"element_states":{"compute":["ready"]}`),
		document(`{"a":null}`, `"elements":[],"element_run_list_order":{"compute":95},"crowbar-status":"failed"`),
		"{\n  \"id\" : \"template-nova\",\n  \"attributes\": { \"nova\": { } },\n  \"deployment\": { \"nova\": { \"elements\": { } } }\n}\n",
		`{"id":"bc-nova-x","attributes":{},"deployment":{"nova":{}}}`,
		document("{}", `"elements":{"":[],"elements":["n1"]}`), // odd names of roles
	}
	files, err := filepath.Glob("../../shared/data/crowbar-templates/*.json")
	require.NoError(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(f, err)
		all = append(all, string(data))
	}
	return all
}

// FuzzParse: what Parse takes is JSON to encoding/json too and keeps its bytes and values; what
// it refuses it refuses with a position or a list of problems.
func FuzzParse(f *testing.F) {
	for _, text := range append(seeds(f), `{"id":1,"id":2}`, `[[[[`, `"\ud800"`, "{}", "\xff", `{"a":01}`) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := proposal.Parse(data)
		if err != nil {
			var syntax *proposal.SyntaxError
			if !errors.As(err, &syntax) {
				var invalid *proposal.ValidationError
				require.ErrorAs(t, err, &invalid)
				require.NotEmpty(t, invalid.Problems)
			}
			require.ErrorIs(t, err, proposal.ErrInvalid)
			require.True(t, utf8.ValidString(err.Error()), "%q", err)
			return
		}
		require.True(t, json.Valid(data))
		require.True(t, utf8.Valid(data))
		require.Equal(t, string(data), string(d.Bytes()))
		again, err := proposal.Parse(d.Bytes())
		require.NoError(t, err)
		require.Equal(t, d.Hash(), again.Hash())
		diff := compare(t, d, again)
		require.True(t, diff.Empty())
		require.Equal(t, "[]", string(diff.Patch))

		// Written anew, keys sorted and escapes otherwise, it still says the same.
		respelt, err := json.Marshal(decode(t, data))
		require.NoError(t, err)
		again, err = proposal.Parse(respelt)
		require.NoError(t, err)
		require.Equal(t, string(d.Content()), string(again.Content()))
		require.True(t, compare(t, d, again).Empty())
		if err := proposal.Validate(d); err != nil {
			require.ErrorIs(t, err, proposal.ErrInvalid)
		}
	})
}

// FuzzPatch: whatever two documents Parse takes, the laws of a diff hold.
func FuzzPatch(f *testing.F) {
	all := seeds(f)
	for i, text := range all {
		f.Add([]byte(text), []byte(all[(i+1)%len(all)]))
		f.Add([]byte(text), []byte(strings.Replace(text, "1", "2", 3)))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		docs := fuzzed(t, first, second)
		if docs == nil {
			return
		}
		checkDiff(t, docs[0], docs[1])
	})
}

// FuzzMerge: whatever three documents Parse takes, the laws of a merge hold.
func FuzzMerge(f *testing.F) {
	all := seeds(f)
	for i, text := range all {
		f.Add([]byte(text), []byte(all[(i+1)%len(all)]), []byte(all[(i+2)%len(all)]))
		f.Add([]byte(text), []byte(strings.Replace(text, "1", "2", 3)), []byte(strings.Replace(text, "true", "false", 2)))
	}
	f.Fuzz(func(t *testing.T, base, ours, theirs []byte) {
		docs := fuzzed(t, base, ours, theirs)
		if docs == nil {
			return
		}
		checkMerge(t, docs[0], docs[1], docs[2])
	})
}

// fuzzed parses texts; nil unless all are documents of one barclamp.
func fuzzed(t *testing.T, texts ...[]byte) []*proposal.Document {
	var docs []*proposal.Document
	for _, text := range texts {
		d, err := proposal.Parse(text)
		if err != nil {
			return nil
		}
		docs = append(docs, d)
		if d.Barclamp() != docs[0].Barclamp() {
			_, err := proposal.Compare(docs[0], d)
			require.ErrorIs(t, err, proposal.ErrOtherBarclamp)
			_, err = proposal.Merge(docs[0], docs[0], d, nil)
			require.ErrorIs(t, err, proposal.ErrOtherBarclamp)
			return nil
		}
	}
	return docs
}
