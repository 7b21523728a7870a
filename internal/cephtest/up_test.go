package cephtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/internal/cephtest"
)

// TestUp is `make ceph-up`: it keeps a cluster running until it is interrupted, and writes a
// configuration for crowbar volume into the file that CROWBAR_CEPH_UP names.
func TestUp(t *testing.T) {
	file := os.Getenv("CROWBAR_CEPH_UP")
	if file == "" {
		t.Skip("CROWBAR_CEPH_UP is not set; make ceph-up sets it")
	}
	file, err := filepath.Abs(file)
	require.NoError(t, err)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	c, err := cephtest.Start(ctx, nil)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	config, err := json.MarshalIndent(map[string]any{"volumes": []any{map[string]any{
		"backend_driver": "rbd", "backend_name": "ceph1",
		"rbd": map[string]any{"config_file": c.ConfFile, "user": "cinder", "pool": "volumes"},
	}}}, "", "  ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(config, '\n'), 0o600))
	defer os.Remove(file) //nolint:errcheck // it may be gone
	fmt.Printf("Ceph runs until you interrupt this. Its rbd and ceph commands: CEPH_CONF=%s\ncrowbar volume --config %s backend check\n", c.ConfFile, file)
	<-ctx.Done()
}
