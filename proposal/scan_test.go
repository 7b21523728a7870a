package proposal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestSyntaxErrors(t *testing.T) {
	for name, c := range map[string]struct {
		text         string
		line, column int
		reason       string
	}{
		"empty":                  {"", 1, 1, "the text ends where a value should follow"},
		"only space":             {" \n ", 2, 2, "the text ends where a value should follow"},
		"truncated":              {`{"id":`, 1, 7, "the text ends where a value should follow"},
		"truncated in a string":  {"{\n \"id", 2, 2, "the string that starts here does not end"},
		"truncated in an escape": {`{"id\`, 1, 5, `unknown escape in a string: use \\ for a backslash`},
		"truncated list":         {`[1`, 1, 3, `the text ends where a comma or ']' should follow`},
		"no colon":               {`{"id" 1}`, 1, 7, "found '1' where a colon should follow"},
		"name without quotes":    {`{id:1}`, 1, 2, "found 'i' where a member name in double quotes should follow"},
		"duplicate key":          {"{\"ü\":1,\n\"ä\":{\"b\":1, \"b\":2}}", 2, 13, `"b" stands twice in one object`},
		"duplicate by escape":    {`{"id":1,"i\u0064":2}`, 1, 9, `"id" stands twice in one object`},
		"columns are characters": {`{"äöü":?}`, 1, 8, "found '?' where a value should follow"},
		"trailing comma":         {`{"a":1,}`, 1, 8, "a comma stands before '}'"},
		"trailing list comma":    {`[1, ]`, 1, 5, "a comma stands before ']'"},
		"second value":           {`{} {}`, 1, 4, "found '{' where the end of the document should follow"},
		"comment":                {"{} // x", 1, 4, "found '/' where the end of the document should follow"},
		"invalid UTF-8":          {"{\"a\": \"x\xff\"}", 1, 9, "byte 0xff is not valid UTF-8"},
		"invalid UTF-8 outside":  {"{\xff}", 1, 2, "found byte 0xff where a member name in double quotes should follow"},
		"byte order mark":        {"\ufeff{}", 1, 1, "starts with a byte order mark: save it as UTF-8 without one"},
		"control character":      {"[\"a\tb\"]", 1, 4, "the control character 0x09 in a string is not escaped"},
		"unknown escape":         {`["\x41"]`, 1, 3, `unknown escape in a string: use \\ for a backslash`},
		"short escape":           {`["\u12"]`, 1, 3, `\u needs four hexadecimal digits`},
		"half a pair":            {`["\ud800"]`, 1, 3, "half of a surrogate pair is no character"},
		"wrong second half":      {`["\ud800\u0041"]`, 1, 3, "half of a surrogate pair is no character"},
		"second half alone":      {`["\udc00"]`, 1, 3, "half of a surrogate pair is no character"},
		"second half twice":      {`["\udc00\udc01"]`, 1, 3, "half of a surrogate pair is no character"},
		"leading zero":           {`[012]`, 1, 2, "a number starts with a superfluous 0"},
		"plus":                   {`[+1]`, 1, 2, "found '+' where a value should follow"},
		"bare minus":             {`[-]`, 1, 3, "found ']' where a digit should follow"},
		"no fraction":            {`[1.]`, 1, 4, "found ']' where a digit should follow"},
		"no exponent":            {`[1e+]`, 1, 5, "found ']' where a digit should follow"},
		"NaN":                    {`[NaN]`, 1, 2, "found 'N' where a value should follow"},
		"misspelt word":          {`[trve]`, 1, 2, "found 't' where a value should follow"},
		"kwalify default key":    {`{ = : 1}`, 1, 3, "found '=' where a member name in double quotes should follow"},
		"deep lists":             {strings.Repeat("[", 10_000), 1, 257, "nested more than 256 deep"},
		"deep objects":           {strings.Repeat(`{"a":`, 10_000), 1, 256*5 + 1, "nested more than 256 deep"},
		"large":                  {"\n\"" + strings.Repeat("x", proposal.MaxBytes), 2, proposal.MaxBytes, "the document is larger than 10 MB"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := proposal.Parse([]byte(c.text))
			var syntax *proposal.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.ErrorIs(t, err, proposal.ErrInvalid)
			require.Equal(t, c.reason, syntax.Reason)
			require.Equal(t, fmt.Sprintf("%d:%d", c.line, c.column), fmt.Sprintf("%d:%d", syntax.Line, syntax.Column))
			require.Contains(t, err.Error(), fmt.Sprintf("line %d, column %d", c.line, c.column))
			require.LessOrEqual(t, syntax.Offset, len(c.text))
		})
	}
}

func TestDepthAtTheLimitIsTaken(t *testing.T) {
	// Three objects stand around the attribute.
	deep := strings.Repeat("[", proposal.MaxDepth-3) + strings.Repeat("]", proposal.MaxDepth-3)
	parse(t, document(`{"deep":`+deep+`}`, ""))
	_, err := proposal.Parse([]byte(document(`{"deep":[`+deep+`]}`, "")))
	require.ErrorContains(t, err, "nested more than 256 deep")
}

func TestManyNamesInOneObject(t *testing.T) {
	var b strings.Builder
	for n := range 1000 {
		fmt.Fprintf(&b, `"k%d":%d,`, n, n)
	}
	d := parse(t, document("{"+b.String()+`"last":1}`, ""))
	require.Equal(t, int64(999), d.Get("k999").Int())
	for _, twice := range []string{"k0", "k15", "k16", "k17", "k999"} {
		_, err := proposal.Parse([]byte(document("{"+b.String()+`"`+twice+`":1}`, "")))
		require.ErrorContains(t, err, twice+`" stands twice`)
	}
}
