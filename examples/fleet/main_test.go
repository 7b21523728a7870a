package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFleet(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(t.Context(), t.TempDir(), &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 8)
	for _, line := range lines {
		require.Regexp(t, `^d52-54-00-\S+ ready 192\.168\.\S+$`, line)
	}
}
