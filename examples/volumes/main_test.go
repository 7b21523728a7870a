package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/storage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestVolumes(t *testing.T) {
	var out strings.Builder
	twice := func(ctx context.Context, c storage.Config, out io.Writer) error {
		if err := run(ctx, c, out); err != nil {
			return err
		}
		return run(ctx, c, out) // what is there is returned
	}
	require.NoError(t, onSimulatedGroup(twice, &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 4)
	// Thin volumes may be promised 20 times a group's 1000 GB; those in memory are thick.
	require.Equal(t, "volume-db-1 10737418240 on eqlx1", lines[0])
	require.Regexp(t, `^iscsi 192\.0\.2\.10:3260,iqn\.2001-05\.com\.equallogic:\S+-volume-db-1,0$`, lines[1])
	require.Equal(t, lines[:2], lines[2:])
}
