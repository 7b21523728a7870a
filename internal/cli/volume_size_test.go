package cli_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/internal/cli"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "1B": 1, "512": 512, "1073741824": 1 << 30, "10G": 10 << 30, "10GiB": 10 << 30, "10GB": 10 << 30, "1mb": 1 << 20, "10gib": 10 << 30, "10Gi": 10 << 30,
		"500M": 500 << 20, "1.5T": 3 << 39, "0.5K": 512, "2P": 2 << 50, "9223372036854775807": math.MaxInt64,
	} {
		n, err := cli.ParseSize(text)
		require.NoError(t, err, text)
		require.Equal(t, want, n, text)
	}
	for text, says := range map[string]string{
		"": "expected a size", "0": "at least 1 byte", "0G": "at least 1 byte", "-1": "expected a size", "1e3": "expected a size", "1/2": "expected a size",
		"99999999999999999999": "more than any back end", "10 G": "expected a size", "10I": "expected a size", "10iB": "expected a size", "1.5": "no whole number",
		"0.3K": "no whole number", "9223372036854775808": "more than any back end", "9999999999999999999P": "more than any back end", "G": "expected a size", "1E": "expected a size",
	} {
		_, err := cli.ParseSize(text)
		require.ErrorContains(t, err, says, text)
	}
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 10 << 30: "10 GiB", 3 << 39: "1.5 TiB", 10<<30 + 1: "10 GiB", -(1 << 30): "-1 GiB", math.MaxInt64: "8192 PiB",
	} {
		require.Equal(t, want, cli.VolumeSize(n))
	}
}

func FuzzParseSize(f *testing.F) {
	for _, text := range []string{"10G", "1.5TiB", "10GB", "9999999999999999999.999999999P", "i"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if n, err := cli.ParseSize(text); err == nil {
			require.Positive(t, n)
		}
	})
}

// What is exact when it is shown is read as what it was.
func TestSizesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 1023).Draw(t, "n") << (10 * rapid.IntRange(0, 5).Draw(t, "unit"))
		got, err := cli.ParseSize(strings.ReplaceAll(cli.VolumeSize(n), " ", ""))
		require.NoError(t, err)
		require.Equal(t, n, got)
	})
}
