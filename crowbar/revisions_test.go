package crowbar

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzParseRevision(f *testing.F) {
	body := `{"id":"x"}`
	for _, seed := range []string{
		"", "\n", "{}\n", "{}", "null\n{}", `{"number":1,"text_bytes":10,"sha256":["` + sum([]byte(body)) + `"]}` + "\n" + body,
		`{"number":1,"text_bytes":4,"sealed_bytes":6,"sha256":["` + sum([]byte(body)) + `"]}` + "\n" + body,
		`{"number":1,"text_bytes":9223372036854775807,"sealed_bytes":9223372036854775807,"sha256":["00"]}` + "\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		line, body, err := parseRevision(value)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			return
		}
		require.Positive(t, line.TextBytes)
		require.NotEmpty(t, line.SHA256)
		if body != nil {
			require.Len(t, body, line.TextBytes+line.SealedBytes)
			_ = body[:line.TextBytes] // as its reader does
		}
	})
}
