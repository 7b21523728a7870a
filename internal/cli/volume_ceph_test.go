//go:build ceph

package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/internal/cephtest"
)

// TestVolumeOnCeph takes each verb to a real cluster.
func TestVolumeOnCeph(t *testing.T) {
	var shared cephtest.Shared
	cluster := shared.Get(t)
	defer func() { require.NoError(t, shared.Close()) }()
	s := &shell{t: t, env: map[string]string{}}
	s.configure(object("volumes", []any{object("backend_driver", "rbd", "backend_name", "ceph1",
		"rbd", object("config_file", cluster.ConfFile, "user", "cinder", "pool", "volumes"))}))
	require.Equal(t, "ceph1 can be used\n", s.ok("volume", "backend", "check"))
	require.Contains(t, s.ok("volume", "backend", "stats"), "ceph1    rbd ")

	dir := t.TempDir()
	content := make([]byte, 9<<20)
	copy(content[5<<20:], strings.Repeat("crowbar!", 4096))
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	require.NoError(t, os.WriteFile(in, content, 0o600))
	require.Contains(t, s.ok("volume", "import", "db", in), "volume-db")
	s.ok("volume", "snapshot", "create", "db@s")
	s.ok("volume", "clone", "db", "copy", "--size", "16M")
	s.ok("volume", "create", "old", "--from-snapshot", "db@s")
	s.ok("volume", "extend", "db", "32M")
	s.ok("volume", "snapshot", "revert", "db@s", "--yes")
	s.ok("volume", "export", "old", out)
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got), "the bytes went in and came out")
	s.ok("volume", "qos", "set", "old", "total_iops_sec=100")
	require.Contains(t, s.ok("volume", "qos", "show", "old"), "total_iops_sec  100")

	data := s.read("volume", "attach", "db", "--host", "node1").(map[string]any)["data"].(map[string]any)
	require.Equal(t, "volumes/volume-db", data["name"])
	require.Contains(t, s.ok("volume", "attach", "db", "--host", "node1"), "username        cinder\n")
	require.Equal(t, "db on ceph1 is detached from node1\n", s.ok("volume", "detach", "db", "--host", "node1"), "Ceph keeps nothing of it")
	s.fails(1, "not found", "volume", "detach", "none", "--host", "node1")

	s.fails(4, "snapshot s is in the way; first: crowbar volume snapshot delete db@s", "volume", "delete", "db", "--yes")
	s.ok("volume", "snapshot", "delete", "db@s", "--yes")
	name := s.read("volume", "unmanage", "copy").(map[string]any)["name"].(string)
	require.Contains(t, s.ok("volume", "manage", "--list"), name)
	s.ok("volume", "manage", name, "back")
	for _, id := range []string{"db", "old", "back"} {
		s.ok("volume", "delete", id, "--yes")
	}
	require.Equal(t, []any{}, s.read("volume", "list"))
	left, err := cluster.RBD(t.Context(), "ls", "volumes")
	require.NoError(t, err)
	require.Empty(t, string(left))
}
