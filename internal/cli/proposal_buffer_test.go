package cli_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/internal/cli"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// Marks come and go, and the text that was typed is as it was.
func FuzzMarks(f *testing.F) {
	f.Add("# base\n{\n \"a\": 1\n}\n", "/a", 3)
	f.Add("", "", 0)
	f.Add("#!! x\n#^^ y", "/a", 1)
	f.Add("{}\r\n\r\n", "/x", 9)
	f.Fuzz(func(t *testing.T, text, path string, line int) {
		if strings.ContainsAny(path, "\n\r") || line < 0 || line > 1000 {
			t.Skip()
		}
		text = cli.Unmarked(text)
		if cli.Unmarked(text) != text {
			t.Skip() // what is left looks like a mark
		}
		marks, back := cli.MarkedAndBack(text, path, line)
		require.Equal(t, strings.TrimSuffix(text, "\n"), strings.TrimSuffix(back, "\n"))
		require.Equal(t, cli.Body(text), cli.Body(marks), "marks are no text")
	})
}

// A place is in the text, and where Position finds it; what is missing is placed at its parent.
func FuzzPlace(f *testing.F) {
	f.Add(pretty, "/attributes/rack/size")
	f.Add(pretty, "/deployment/rack/elements/rack-top/0")
	f.Add("{\"a\": [1, {\"\\u0062\": 2}]", "/a/1/b")
	f.Add("# x\n{\"ü\": {\"b\": 1}}", "/ü/b")
	f.Add("[[[[", "/0/0/0")
	f.Fuzz(func(t *testing.T, text, pointer string) {
		line, column := cli.Place(text, pointer)
		require.LessOrEqual(t, line, 1+strings.Count(text, "\n"))
		if line > 0 {
			require.LessOrEqual(t, column, 1+utf8.RuneCountInString(strings.Split(text, "\n")[line-1]))
		}
		d, err := proposal.Parse([]byte(text))
		if err != nil {
			return
		}
		if wantLine, wantColumn, ok := d.Position(pointer); ok && pointer != "" {
			require.Equal(t, [2]int{wantLine, wantColumn}, [2]int{line, column})
		}
	})
}
