package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The line that the command prints is enough to use the group.
func TestCommand(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	cmd := command()
	cmd.SetOut(in)
	cmd.SetArgs([]string{"--group", "eql", "--pool", "fast=10GB", "--pool", "slow=20", "--prefill", "--max-sessions", "2", "--lose-every", "3"})
	done := make(chan error, 1)
	go func() { done <- cmd.ExecuteContext(ctx) }()
	var ready map[string]string
	require.NoError(t, json.NewDecoder(out).Decode(&ready))
	require.Len(t, ready, 5)
	host, port, err := net.SplitHostPort(ready["address"])
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	options, err := json.Marshal(map[string]any{
		"san_ip": host, "san_ssh_port": n, "san_login": ready["username"], "san_password": ready["password"],
		"san_host_key": ready["host_key"], "eqlx_group_name": ready["group"], "eqlx_pool": "fast", "ssh_max_pool_conn": 2,
	})
	require.NoError(t, err)
	m, err := storage.Open(ctx, storage.Config{Volumes: []storage.BackendConfig{{Driver: "eqlx", Name: "b", Options: options}}},
		map[string]storage.Opener{"eqlx": eqlx.Open})
	require.NoError(t, err)
	b, err := m.Backend("b")
	require.NoError(t, err)
	require.NoError(t, b.Check(ctx))
	for _, id := range []string{"a", "b", "c"} { // each third answer gets lost
		v, err := b.Create(ctx, storage.VolumeSpec{ID: id, SizeBytes: 1 << 30})
		require.NoError(t, err)
		require.Equal(t, "volume-"+id, v.Name)
	}
	require.NoError(t, m.Close())
	cancel()
	require.NoError(t, <-done)
}

func TestCommandRefuses(t *testing.T) {
	for _, args := range [][]string{{"--pool", "x"}, {"--pool", "x=1TB"}, {"--lose", "all"}, {"--group", "a b"}, {"--host-key", "absent"}, {"--listen", "nowhere"}, {"extra"}} {
		cmd := command()
		cmd.SetArgs(args)
		cmd.SetErr(io.Discard)
		cmd.SetOut(io.Discard)
		require.Error(t, cmd.Execute(), args)
	}
}
