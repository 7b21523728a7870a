package kwalify_test

import (
	"encoding/json"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal/kwalify"
)

func patternOf(t *testing.T, ruby string) (string, error) {
	t.Helper()
	rule, err := json.Marshal(ruby)
	require.NoError(t, err)
	text, err := kwalify.Translate([]byte(`{ required: true, pattern: ` + string(rule) + ` }`))
	if err != nil {
		return "", err
	}
	var schema struct{ Pattern string }
	require.NoError(t, json.Unmarshal(text, &schema))
	return schema.Pattern, nil
}

func TestPatterns(t *testing.T) {
	for ruby, c := range map[string]struct {
		want      string
		good, bad []string
	}{
		`/^a$|^b$/`:             {`(?m:^a$|^b$)`, []string{"a", "b", "x\na", "b\n"}, []string{"ab", "xa", ""}},
		`/^(fernet)$/`:          {`(?m:^(fernet)$)`, []string{"fernet"}, []string{"fernets"}},
		`/a/`:                   {`a`, []string{"xax"}, []string{"x"}},
		`//`:                    {``, []string{"", "x"}, nil},
		`/a/i`:                  {`(?mi:a)`, []string{"A"}, []string{"b"}},
		`/a.b/`:                 {`a.b`, []string{"axb"}, []string{"a\nb"}},
		`/a.b/m`:                {`(?ms:a.b)`, []string{"a\nb"}, []string{"ab"}},
		`/\Aab\z/`:              {`(?-m:^)ab(?-m:$)`, []string{"ab"}, []string{"ab\n", "x\nab"}},
		`/^x\Z/`:                {`(?m:^x(?-m:\n?$))`, []string{"x", "x\n", "a\nx"}, []string{"x\ny"}},
		`/^\h+[\h-]$/`:          {`(?m:^[0-9a-fA-F]+[0-9a-fA-F-]$)`, []string{"fA-"}, []string{"g-"}},
		`/^\H$/`:                {`(?m:^[^0-9a-fA-F]$)`, []string{"g"}, []string{"f"}},
		`/^a{,2}$/`:             {`(?m:^a{0,2}$)`, []string{"", "aa"}, []string{"aaa", "a{,2}"}},
		`/^layer2\+3$/`:         {`(?m:^layer2\+3$)`, []string{"layer2+3"}, []string{"layer223"}},
		`/^a\/b[\/$^.]$/`:       {`(?m:^a\/b[\/$^.]$)`, []string{"a/b$", "a/b/"}, []string{"a/bc"}},
		`/[[:alpha:]][^]a]/`:    {`[[:alpha:]][^]a]`, nil, nil},
		`/(?i:a)(?m:.)(?<n>b)/`: {`(?i:a)(?s:.)(?<n>b)`, []string{"A\nb"}, []string{"A\nB"}},
		`/\d+|remaining/`:       {`\d+|remaining`, []string{"7", "remaining"}, []string{"x"}},
		`/\é/`:                  {`é`, []string{"é"}, []string{"e"}},
	} {
		t.Run(ruby, func(t *testing.T) {
			got, err := patternOf(t, ruby)
			if ruby == `/[[:alpha:]][^]a]/` {
				require.ErrorContains(t, err, "an empty character class")
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			re := regexp.MustCompile(got)
			for _, s := range c.good {
				require.True(t, re.MatchString(s), "%q", s)
			}
			for _, s := range c.bad {
				require.False(t, re.MatchString(s), "%q", s)
			}
		})
	}
}

func TestPatternsThatOnlyRubyKnows(t *testing.T) {
	for ruby, want := range map[string]string{
		`a`: "no slashes", `/`: "no slashes", `/a/x`: "the option 'x'", `/a/imi`: "more than two options",
		`/(a/`: "missing closing )", `/a)/`: "unexpected )", `/[a/`: "never closed", `/*a/`: "missing argument",
		`/(?=a)/`: "lookaround", `/(?<!a)/`: "lookaround", `/(?>a)/`: "atomic", `/(?#x)/`: "comment", `/(?x: a)/`: "the option",
		`/a++/`: "invalid nested repetition", `/a{2}?/`: "{n}?", `/(a)\1/`: "back reference", `/\Ga/`: `\G`, `/\Qa/`: `\Q`,
		`/[a&&b]/`: "intersection", `/[a[b]]/`: "within another", `/[\H]/`: `\H`, `/a\/`: "a backslash at the end",
		`/\p{Foo}/`: "invalid character class range", `/a{1001}/`: "invalid repeat count", `/[b-a]/`: "invalid character class range",
	} {
		t.Run(ruby, func(t *testing.T) {
			_, err := patternOf(t, ruby)
			require.ErrorContains(t, err, want)
			require.ErrorContains(t, err, "line 1, column 28: /pattern")
		})
	}
}
