package client

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func messages(r io.Reader) (got []string, err error) {
	err = readMessages(r, func(m message) error {
		got = append(got, m.id+"|"+string(m.data))
		return nil
	})
	return got, err
}

func TestReadMessages(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		want   []string
	}{
		"one":                 {"id: 7\ndata: {}\n\n", []string{"7|{}"}},
		"id stays":            {"id: 7\ndata: a\n\ndata: b\n\n", []string{"7|a", "7|b"}},
		"several lines":       {"data: a\ndata:b\ndata:  c\n\n", []string{"|a\nb\n c"}},
		"comments":            {": hello\n\n:\n\ndata: a\n\n", []string{"|a"}},
		"CR LF, CR and BOM":   {"\ufeffdata: a\r\n\r\ndata: b\r\rdata: c\n\n", []string{"|a", "|b", "|c"}},
		"cut off":             {"data: a\n\ndata: b\n", []string{"|a"}},
		"cut off in a line":   {"data: a\n\nda", []string{"|a"}},
		"no data, no message": {"id: 1\n\nevent: x\n\ndata: a\n\n", []string{"1|a"}},
		"empty data":          {"data\n\n", []string{"|"}},
		"id with NUL":         {"id: 1\ndata: a\n\nid: \x00\ndata: b\n\n", []string{"1|a", "1|b"}},
		"colons in the value": {"data: a:b: c\n\n", []string{"|a:b: c"}},
		"unknown field":       {"retry: 10\nfoo: bar\ndata: a\n\n", []string{"|a"}},
		"nothing":             {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := messages(strings.NewReader(c.stream))
			require.NoError(t, err)
			require.Equal(t, c.want, got)
			slow, err := messages(iotest.OneByteReader(strings.NewReader(c.stream)))
			require.NoError(t, err)
			require.Equal(t, c.want, slow)
		})
	}
}

func TestReadMessagesErrors(t *testing.T) {
	broken := errors.New("broken")
	_, err := messages(iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)

	err = readMessages(strings.NewReader("data: a\n\ndata: b\n\n"), func(message) error { return broken })
	require.ErrorIs(t, err, broken)

	endless := io.MultiReader(strings.NewReader("data: "), strings.NewReader(strings.Repeat("x", maxMessage+1)))
	_, err = messages(endless)
	require.ErrorIs(t, err, errMessageSize)
	line := "data: " + strings.Repeat("x", maxMessage/2) + "\n"
	_, err = messages(strings.NewReader(line + line + line))
	require.ErrorIs(t, err, errMessageSize)
}

// FuzzReadMessages: what a stream says does not depend on how it arrives, and what we write
// is what we read.
func FuzzReadMessages(f *testing.F) {
	f.Add("id: 7\ndata: {}\n\n: beat\n\ndata: a\ndata: b\n\n")
	f.Add("data: a\r\n\r\ndata: b\r\r")
	f.Fuzz(func(t *testing.T, stream string) {
		got, err := messages(strings.NewReader(stream))
		require.NoError(t, err)
		slow, err := messages(iotest.OneByteReader(strings.NewReader(stream)))
		require.NoError(t, err)
		require.Equal(t, got, slow)
		if !strings.ContainsAny(stream, "\r\n") {
			again, err := messages(strings.NewReader("data: " + stream + "\n\n"))
			require.NoError(t, err)
			require.Equal(t, []string{"|" + stream}, again)
		}
	})
}
