package cephtest_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/internal/cephtest"
)

// TestCluster needs a minute on a loaded machine, so it runs only where Ceph is wanted.
func TestCluster(t *testing.T) {
	if !cephtest.Required() {
		t.Skip("CROWBAR_TEST_CEPH=require is not set; make test-ceph sets it")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	start := time.Now()
	c, err := cephtest.Start(ctx, &cephtest.Options{Pools: []string{"volumes"}})
	require.NoError(t, err)
	t.Logf("ready after %v", time.Since(start))
	defer func() {
		require.NoError(t, c.Close())
		_, err := os.Stat(c.Dir)
		require.ErrorIs(t, err, os.ErrNotExist, "nothing is left")
	}()
	_, err = c.RBD(ctx, "create", "--size", "1G", "volumes/a")
	require.NoError(t, err)
	_, err = c.RBD(ctx, "--id", "cinder", "info", "volumes/a")
	require.NoError(t, err, "the restricted user works")
	_, err = c.RBD(ctx, "--id", "cinder", "pool", "stats", "device_health_metrics")
	require.Error(t, err, "and is restricted")

	require.NoError(t, c.StopOSD(syscall.SIGTERM))
	require.NoError(t, c.StartOSD(ctx))
	require.NoError(t, c.WaitReady(ctx, "volumes"))
	_, err = c.RBD(ctx, "info", "volumes/a")
	require.NoError(t, err, "data outlives the OSD's process")
}
