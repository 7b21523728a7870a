package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/cli"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

const chapSecret = "chap-secret-4711"

// serveGroup serves a simulated group on the loopback and returns its port.
func serveGroup(t *testing.T, c eqlxsim.Config) (*eqlxsim.Group, int) {
	group, err := eqlxsim.New(c)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- group.Serve(ctx, listener) }()
	t.Cleanup(func() { stop(); require.NoError(t, <-served) })
	return group, listener.Addr().(*net.TCPAddr).Port
}

// eqlxShell has a simulated group as the back end eqlx1.
func eqlxShell(t *testing.T, c eqlxsim.Config) (*shell, *eqlxsim.Group) {
	if c.Name == "" {
		c.Name = "rack1"
	}
	c.Password, c.CHAPUsers = "group-password-4711", []string{"chapadmin"}
	group, port := serveGroup(t, c)
	s := &shell{t: t, env: map[string]string{}}
	s.configure(map[string]any{"volumes": []any{map[string]any{
		"backend_driver": "eqlx", "backend_name": "eqlx1", "eqlx": map[string]any{
			"san_ip": "127.0.0.1", "san_ssh_port": port, "san_password": c.Password, "eqlx_group_name": c.Name,
			"san_host_key": ssh.FingerprintSHA256(group.HostKey()), "eqlx_cli_max_retries": 0,
			"use_chap_auth": true, "chap_username": "chapadmin", "chap_password": chapSecret,
		},
	}}})
	return s, group
}

// memoryShell has back ends in memory that outlive the commands.
func memoryShell(t *testing.T, names ...string) (*shell, map[string]*memory.Driver) {
	return memoryShellOf(t, memory.Config{}, names...)
}

func memoryShellOf(t *testing.T, c memory.Config, names ...string) (*shell, map[string]*memory.Driver) {
	c.CapacityBytes, c.CHAPUsername, c.CHAPPassword = 1<<40, "chapadmin", chapSecret
	s := &shell{t: t, env: map[string]string{}}
	drivers := map[string]*memory.Driver{}
	config := storage.Config{}
	for _, name := range names {
		d, err := memory.New(c)
		require.NoError(t, err)
		drivers[name] = d
		config.Volumes = append(config.Volumes, storage.BackendConfig{Driver: "memory", Name: name})
	}
	s.drivers = map[string]storage.Opener{"memory": func(_ context.Context, backend string, _ json.RawMessage, _ storage.Deps) (storage.Driver, error) {
		return drivers[backend], nil
	}}
	s.configure(config)
	return s, drivers
}

// configure writes the configuration of back ends.
func (s *shell) configure(document any) {
	raw, err := json.Marshal(document)
	require.NoError(s.t, err)
	path := filepath.Join(s.t.TempDir(), "volumes.json")
	require.NoError(s.t, os.WriteFile(path, raw, 0o600))
	s.env["CROWBAR_VOLUMES"] = path
}

// read runs a command with -o json and reads what it prints.
func (s *shell) read(args ...string) (v any) {
	s.t.Helper()
	require.NoError(s.t, json.Unmarshal([]byte(s.ok(append(args, "-o", "json")...)), &v))
	return v
}

func object(fields ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(fields); i += 2 {
		m[fields[i].(string)] = fields[i+1]
	}
	return m
}

const node1 = "iqn.1993-08.org.debian:01:a0b1"

func TestVolumeLife(t *testing.T) {
	s, group := eqlxShell(t, eqlxsim.Config{})
	db := object("backend", "eqlx1", "id", "db-1", "name", "volume-db-1", "size_bytes", float64(10<<30))
	require.Equal(t, db, s.read("volume", "create", "db-1", "--size", "10G"))
	require.Equal(t, "VOLUME  SIZE    BACKEND  NAME THERE\ndb-1    10 GiB  eqlx1    volume-db-1\n",
		s.ok("volume", "create", "db-1", "--size", "10737418240"), "to repeat it makes nothing")
	require.Equal(t, db, s.read("volume", "show", "db-1"))
	require.Equal(t, []any{db}, s.read("volume", "list"))
	code, _, stderr := s.run("volume", "create", "db-2", "--size", "1.5G")
	require.Equal(t, 0, code)
	require.Equal(t, "eqlx1 rounds sizes: 1536 MiB were asked for, db-2 has 2 GiB\n", stderr)

	require.Equal(t, object("backend", "eqlx1", "id", "nightly", "volume_id", "db-1", "size_bytes", float64(10<<30)),
		s.read("volume", "snapshot", "create", "db-1@nightly"))
	require.Equal(t, "SNAPSHOT      SIZE    BACKEND\ndb-1@nightly  10 GiB  eqlx1\n", s.ok("volume", "snapshot", "show", "db-1@nightly"))
	require.Equal(t, "SNAPSHOT      SIZE    BACKEND\ndb-1@nightly  10 GiB  eqlx1\n", s.ok("volume", "snapshot", "list", "db-1"))
	require.Equal(t, []any{object("backend", "eqlx1", "id", "nightly", "volume_id", "db-1", "size_bytes", float64(10<<30))}, s.read("volume", "snapshot", "list", "db-1"))
	require.Contains(t, s.ok("volume", "create", "old", "--from-snapshot", "db-1@nightly", "--size", "12G"), "12 GiB")
	require.Contains(t, s.ok("volume", "clone", "db-1", "copy"), "10 GiB")
	require.Contains(t, s.ok("volume", "extend", "copy", "11G"), "11 GiB")

	attach := []string{"volume", "attach", "db-1", "--host", "node1", "--ip", "192.0.2.7", "--initiator", node1}
	require.Contains(t, s.ok(attach...), "192.0.2.10:3260")
	s.fails(4, "delete db-1 on eqlx1: snapshot nightly, connection "+node1+" are in the way; first:\n  crowbar volume snapshot delete db-1@nightly\n  crowbar volume detach db-1 --initiator "+node1,
		"volume", "delete", "db-1", "--yes")
	s.ok("volume", "snapshot", "delete", "db-1@nightly", "--yes")
	s.fails(4, "is in the way; first: crowbar volume detach db-1 --initiator "+node1, "volume", "delete", "db-1", "--yes")
	require.Equal(t, object("backend", "eqlx1", "id", "db-1", "action", "detached"), s.read("volume", "detach", "db-1", "--initiator", node1))
	s.terminal, s.stdin = true, "no\n"
	code, _, stderr = s.run("volume", "delete", "db-1")
	require.Equal(t, 3, code)
	require.Contains(t, stderr, "not deleted: db-1 keeps its data; you did not say yes")
	s.terminal, s.stdin = false, ""
	require.Equal(t, "db-1 is deleted from eqlx1\n", s.ok("volume", "delete", "db-1"))
	s.fails(1, "volume", "volume", "show", "db-1")

	require.Equal(t, object("backend", "eqlx1", "id", "db-2", "name", "unmanaged-volume-db-2"), s.read("volume", "unmanage", "db-2"))
	require.Equal(t, []any{object("name", "unmanaged-volume-db-2", "size_bytes", float64(2<<30))}, s.read("volume", "manage", "--list"))
	require.Contains(t, s.ok("volume", "manage", "--list"), "unmanaged-volume-db-2  2 GiB")
	require.Contains(t, s.ok("volume", "manage", "unmanaged-volume-db-2", "back"), "volume-back")
	require.Equal(t, []any{}, s.read("volume", "manage", "--list"))

	names := map[string]bool{}
	for _, v := range group.Volumes() {
		names[v.Name] = true
	}
	require.Equal(t, map[string]bool{"volume-old": true, "volume-copy": true, "volume-back": true}, names, "what the group really has")
}

func TestVolumeBackends(t *testing.T) {
	s, _ := eqlxShell(t, eqlxsim.Config{})
	require.Equal(t, "eqlx1 can be used\n", s.ok("volume", "backend", "check"))
	require.Equal(t, []any{object("backend", "eqlx1", "ok", true)}, s.read("volume", "backend", "check"))
	stats := s.read("volume", "backend", "stats").([]any)[0].(map[string]any)
	require.Equal(t, "eqlx1", stats["backend"])
	require.Equal(t, float64(1000<<30), stats["total_bytes"])
	require.Equal(t, float64(20000<<30), stats["virtual_free_bytes"])
	require.Contains(t, s.ok("volume", "backend", "stats"), "eqlx1    iscsi     0        1000 GiB  1000 GiB  0 B          19.53 TiB")
	listed := s.read("volume", "backend", "list").([]any)[0].(map[string]any)
	require.Equal(t, []any{"clone", "extend", "list", "manage", "snapshot"}, listed["commands"], "as the table says")
	features := listed["features"]
	raw, err := os.ReadFile(s.env["CROWBAR_VOLUMES"])
	require.NoError(t, err)
	full := s.env["CROWBAR_VOLUMES"] + ".full"
	require.NoError(t, os.WriteFile(full, bytes.Replace(raw, []byte(`"san_ip"`), []byte(`"max_over_subscription_ratio":1,"san_ip"`), 1), 0o600))
	for _, id := range []string{"a", "b"} {
		s.ok("volume", "create", id, "--size", "600G")
	}
	require.Regexp(t, `1\.17 TiB +0 B\n$`, s.ok("volume", "backend", "stats", "--config", full), "less than nothing cannot be promised")
	require.Contains(t, features, "Snapshotter")
	require.NotContains(t, features, "ImageStreamer")
	s.fails(1, "export db on eqlx1: the driver eqlx cannot do that; see crowbar volume backend list", "volume", "export", "db", filepath.Join(t.TempDir(), "f"))
}

// A number alone is bytes, and nobody wants a volume of ten.
func TestVolumeOfTen(t *testing.T) {
	s, _ := memoryShell(t, "a")
	s.fails(1, "10 is a number of bytes; give 10G for 10 GiB, as Cinder means it", "volume", "create", "db", "--size", "10")
	s.ok("volume", "create", "db", "--size", "10GB")
	s.fails(1, "give 20G for 20 GiB", "volume", "extend", "db", "20")
}

// No command shows the CHAP secret or the group's password, but attach when it is told to.
func TestVolumeSecrets(t *testing.T) {
	s, _ := eqlxShell(t, eqlxsim.Config{})
	s.ok("volume", "create", "db", "--size", "1G")
	attach := []string{"volume", "attach", "db", "--host", "node1", "--initiator", node1}
	for _, args := range [][]string{
		attach,
		append(attach, "-o", "json"), append(attach, "--verbose"),
		{"volume", "backend", "list"}, {"volume", "backend", "check", "-v"}, {"volume", "backend", "stats", "-v"},
		{"volume", "list", "-v", "-o", "json"}, {"volume", "show", "none", "-v"}, {"volume", "detach", "db", "--initiator", node1, "-v"},
	} {
		_, stdout, stderr := s.run(args...)
		require.NotEmpty(t, stdout+stderr)
		for _, secret := range []string{chapSecret, "group-password-4711"} {
			require.NotContains(t, stdout+stderr, secret, "%v", args)
		}
	}
	require.Contains(t, s.ok(attach...), "password        (hidden; see --show-secrets)\n")
	require.Contains(t, s.ok(append(attach, "--show-secrets")...), "password        "+chapSecret+"\n")
	var connection storage.Connection
	require.NoError(t, json.Unmarshal([]byte(s.ok(append(attach, "--show-secrets", "-o", "json")...)), &connection))
	require.Equal(t, chapSecret, connection.ISCSI.AuthPassword)
	require.Equal(t, "CHAP", connection.ISCSI.AuthMethod)
	s.fails(1, "Give --host or --initiator", "volume", "attach", "db")
	s.fails(1, "Give --host or --initiator", "volume", "detach", "db")
}

func TestVolumePlace(t *testing.T) {
	s, drivers := memoryShell(t, "a", "b")
	require.NoError(t, drivers["a"].Put("foreign", 1<<39))
	code, stdout, stderr := s.run("volume", "create", "db", "--size", "700G")
	require.Equal(t, 0, code, stderr)
	require.Equal(t, "b has the most space: 1 TiB\n", stderr)
	require.Contains(t, stdout, "700 GiB  b ")
	// Now a has more space; but db is on b.
	code, _, stderr = s.run("volume", "create", "db", "--size", "700G")
	require.Equal(t, 0, code)
	require.Equal(t, "db is on b\n", stderr)
	_, err := drivers["a"].Get(t.Context(), "db")
	require.ErrorIs(t, err, storage.ErrNotFound)
	s.fails(1, "not enough space for 2 TiB on any of 2 back ends", "volume", "create", "huge", "--size", "2T")
	s.fails(1, "choose one with --backend", "volume", "show", "db")
	s.fails(4, "see crowbar volume show db --backend b", "volume", "create", "db", "--size", "1G", "--backend", "b")
	s.fails(1, "see crowbar volume list --backend a", "volume", "show", "db", "--backend", "a")
	require.Len(t, s.read("volume", "list"), 1)

	// A back end that cannot be asked may have the volume.
	drivers["a"].Inject(memory.Fault{Before: errors.New("down")})
	code, stdout, stderr = s.run("volume", "create", "new", "--size", "1G")
	require.Equal(t, 1, code, stdout)
	require.Contains(t, stderr, "new may be on a back end that cannot be asked; choose one with --backend\ncrowbar: create new on a: down\n")
	drivers["a"].Inject(memory.Fault{Before: errors.New("down")})
	code, stdout, stderr = s.run("volume", "backend", "stats")
	require.Equal(t, 1, code)
	require.Contains(t, stdout, "\nb ", "what was got is shown")
	require.Equal(t, "crowbar: backend stats on a: down\n", stderr)
	drivers["a"].Inject(memory.Fault{Before: errors.New("down")})
	code, stdout, stderr = s.run("volume", "backend", "check")
	require.Equal(t, 1, code)
	require.Equal(t, "b can be used\n", stdout)
	require.Equal(t, "crowbar: backend check on a: down\n", stderr)
}

func TestVolumeListsEveryPage(t *testing.T) {
	s, drivers := memoryShell(t, "a")
	for i := range 2001 {
		_, err := drivers["a"].Create(t.Context(), storage.VolumeSpec{ID: fmt.Sprintf("v%04d", i), SizeBytes: 1})
		require.NoError(t, err)
	}
	require.Len(t, s.read("volume", "list"), 2001)
}

func TestVolumePurge(t *testing.T) {
	s, drivers := memoryShellOf(t, memory.Config{DeferredDeletion: true}, "a", "b")
	for range 2 {
		s.ok("volume", "create", "v", "--size", "1G", "--backend", "b")
		s.ok("volume", "delete", "v", "--backend", "b")
	}
	drivers["a"].Inject(memory.Fault{Op: "purge trash", Before: errors.New("the pool is full")})
	code, stdout, stderr := s.run("volume", "backend", "purge")
	require.Equal(t, 1, code)
	require.Equal(t, "b: 2 volumes removed from the trash\n", stdout)
	require.Equal(t, "crowbar: backend purge on a: the pool is full\n", stderr)
	s.ok("volume", "create", "v", "--size", "1G", "--backend", "b")
	s.ok("volume", "delete", "v", "--backend", "b")
	drivers["b"].Inject(memory.Fault{Op: "purge trash", After: errors.New("one is in use")})
	code, stdout, stderr = s.run("volume", "backend", "purge", "--backend", "b")
	require.Equal(t, 1, code)
	require.Equal(t, "b: 1 volume removed from the trash\n", stdout, "the others are gone")
	require.Equal(t, "crowbar: backend purge on b: one is in use\n", stderr)
	require.Equal(t, []any{object("backend", "b", "removed", 0.0)}, s.read("volume", "backend", "purge", "--backend", "b"))
	s, _ = eqlxShell(t, eqlxsim.Config{})
	code, stdout, stderr = s.run("volume", "backend", "purge")
	require.Equal(t, 0, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "no back end of")
	s.fails(1, "backend purge on eqlx1: the driver eqlx cannot do that", "volume", "backend", "purge", "--backend", "eqlx1")
}

func TestVolumeRevertAndQoS(t *testing.T) {
	s, drivers := memoryShell(t, "a")
	s.ok("volume", "create", "db", "--size", "1G")
	require.NoError(t, drivers["a"].WriteAt(t.Context(), "db", []byte("before"), 0))
	s.ok("volume", "snapshot", "create", "db@s")
	require.NoError(t, drivers["a"].WriteAt(t.Context(), "db", []byte("after!"), 0))
	s.terminal, s.stdin = true, "\n"
	code, _, stderr := s.run("volume", "snapshot", "revert", "db@s")
	require.Equal(t, 3, code)
	require.Contains(t, stderr, "you did not say yes")
	s.terminal, s.stdin = false, ""
	s.fails(1, "not found", "volume", "snapshot", "revert", "db@none", "--yes")
	require.Equal(t, "db on a is as it was at s\n", s.ok("volume", "snapshot", "revert", "db@s", "--yes"))
	read := make([]byte, 6)
	require.NoError(t, drivers["a"].ReadAt(t.Context(), "db", read, 0))
	require.Equal(t, "before", string(read))
	s.fails(1, "expected VOLUME@SNAPSHOT", "volume", "snapshot", "show", "db")

	require.Equal(t, "db on a has no limits\n", s.ok("volume", "qos", "show", "db"))
	require.Equal(t, object("backend", "a", "id", "db", "qos", object("total_iops_sec", 500.0, "write_bytes_sec", float64(100<<20), "write_bytes_sec_max", float64(200<<20))),
		s.read("volume", "qos", "set", "db", "total_iops_sec=500", "write_bytes_sec=100M", "write_bytes_sec_max=200M"))
	require.Equal(t, "LIMIT            VALUE    BURST\ntotal_iops_sec   500      -\nwrite_bytes_sec  100 MiB  200 MiB\n", s.ok("volume", "qos", "show", "db"))
	s.fails(1, "limits: no such limit", "volume", "qos", "set", "db", "limits=1")
	s.fails(1, "expected a whole number", "volume", "qos", "set", "db", "read_iops_sec=1k")
	s.fails(1, "as LIMIT=VALUE", "volume", "qos", "set", "db", "read_iops_sec")
	s.fails(1, "read_iops_sec_max: 5 without a limit", "volume", "qos", "set", "db", "read_iops_sec_max=5")
	s.ok("volume", "qos", "clear", "db")
	require.Equal(t, object(), s.read("volume", "qos", "show", "db").(map[string]any)["qos"])
}

// What went wrong comes with what to do next.
func TestVolumeRemedies(t *testing.T) {
	s, drivers := memoryShell(t, "a")
	s.fails(1, "manage x on a: \"none\": not found; see crowbar volume manage --list", "volume", "manage", "none", "x")
	s.fails(1, "; see crowbar volume backend stats", "volume", "create", "x", "--size", "2T")
	s.fails(1, "crowbar: delete none on a: ", "volume", "delete", "none") // not that it was to be got
	require.NoError(t, drivers["a"].Put("lun", 1<<30))
	s.ok("volume", "manage", "lun", "db")
	code, _, stderr := s.run("volume", "manage", "lun", "db")
	require.Equal(t, 0, code)
	require.Equal(t, "db was there already, and nothing is called lun\n", stderr)
	drivers["a"].Inject(memory.Fault{Op: "list", Before: errors.New("down")})
	code, stdout, _ := s.run("volume", "list")
	require.Equal(t, 1, code, stdout)
	require.Empty(t, stdout, "no table of nothing")
	s.fails(1, "; see crowbar volume snapshot list x", "volume", "snapshot", "show", "x@s")
	drivers["a"].Inject(memory.Fault{Op: "get", Before: fmt.Errorf("dial: %w", context.DeadlineExceeded)})
	s.fails(1, "show x on a: dial: not done in time\n", "volume", "show", "x")
}

// With -o json a failure is an object, unless part of what was asked for is there.
func TestVolumeFailuresAsJSON(t *testing.T) {
	s, drivers := memoryShell(t, "a", "b")
	s.ok("volume", "create", "db", "--size", "1G", "--backend", "a")
	s.ok("volume", "attach", "db", "--backend", "a", "--initiator", node1)
	file := filepath.Join(t.TempDir(), "there")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for command, want := range map[string]struct {
		status int
		code   string
	}{
		"show nope --backend a":              {1, "not_found"},
		"snapshot delete db@s --backend a":   {1, "not_found"},
		"create db --size 2G --backend a":    {4, "exists"},
		"delete db --backend a":              {4, "busy"},
		"create big --size 9P":               {1, "no_space"},
		"create a/b --size 1G":               {1, "invalid"},
		"create a/b --size 1G --backend a":   {1, "invalid"},
		"list --config nofile":               {1, "failed"},
		"show db":                            {1, "failed"},
		"export db " + file + " --backend a": {1, "failed"},
	} {
		code, stdout, stderr := s.run(append([]string{"volume", "-o", "json"}, strings.Fields(command)...)...)
		require.Equal(t, want.status, code, command)
		var answer struct{ Error client.ErrorBody }
		require.NoError(t, json.Unmarshal([]byte(stdout), &answer), "%s: one document: %s", command, stdout)
		require.Equal(t, want.code, answer.Error.Code, command)
		require.Equal(t, stderr, "crowbar: "+answer.Error.Message+"\n")
	}
	s.terminal, s.stdin = true, "no\n"
	code, stdout, _ := s.run("volume", "delete", "db", "--backend", "a", "-o", "json")
	require.Equal(t, 3, code)
	require.Contains(t, stdout, `"code": "refused"`)
	s.terminal, s.stdin = false, ""

	drivers["b"].Inject(memory.Fault{Op: "list", Before: errors.New("down")})
	code, stdout, stderr := s.run("volume", "list", "-o", "json")
	require.Equal(t, 1, code)
	require.Equal(t, "crowbar: list on b: down\n", stderr)
	var found []any
	require.NoError(t, json.Unmarshal([]byte(stdout), &found), "one document: %s", stdout)
	require.Len(t, found, 1)
}

// What a group of old firmware does not know is no news at each command.
func TestVolumeOnOldFirmware(t *testing.T) {
	s, _ := eqlxShell(t, eqlxsim.Config{Quirks: eqlxsim.Quirks{RoughSizes: true, Prefill: true}})
	code, stdout, stderr := s.run("volume", "create", "db", "--size", "1G")
	require.Equal(t, 0, code)
	require.Contains(t, stdout, "volume-db")
	require.Empty(t, stderr)
	_, _, stderr = s.run("volume", "show", "db", "-v")
	require.Contains(t, stderr, "the group does not know a setting")
}

// Every connection that is in the way has its command, by whatever name the machine goes.
func TestVolumeDetachIsNamed(t *testing.T) {
	s, _ := memoryShell(t, "a")
	s.ok("volume", "create", "db", "--size", "1G")
	for _, name := range []string{node1, "eui.02004567A425678D", "naa.52004567BA64678D"} {
		s.ok("volume", "attach", "db", "--initiator", name)
	}
	_, _, stderr := s.run("volume", "delete", "db")
	for _, name := range []string{node1, "eui.02004567A425678D", "naa.52004567BA64678D"} {
		require.Contains(t, stderr, "\n  crowbar volume detach db --initiator "+name+"\n")
		s.ok("volume", "detach", "db", "--initiator", name)
	}
	s.ok("volume", "delete", "db")
	s.fails(1, "of a snapshot: crowbar volume snapshot delete db@s\n", "volume", "delete", "db@s")
	s.fails(1, `--ip "300.1.2.3": expected an IP address`, "volume", "attach", "db", "--initiator", node1, "--ip", "300.1.2.3")
}

// An interrupt at the question is a no, and at once.
func TestVolumeQuestionInterrupted(t *testing.T) {
	s, _ := memoryShell(t, "a")
	s.ok("volume", "create", "db", "--size", "1G")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	keyboard, typed := io.Pipe()
	read := make(chan struct{})
	var stderr bytes.Buffer
	code := cli.Crowbar(ctx, cli.Process{
		Args: []string{"volume", "delete", "db"}, Stderr: &stderr, Drivers: s.drivers,
		Stdin: readerFunc(func(p []byte) (int, error) {
			defer close(read)
			interrupt()
			return keyboard.Read(p) // nobody types
		}),
		Getenv:     func(name string) string { return s.env[name] },
		IsTerminal: func(any) bool { return true },
	})
	require.Equal(t, 3, code)
	require.Contains(t, stderr.String(), "[y/N] \ncrowbar: not deleted: db keeps its data; interrupted\n")
	require.NoError(t, typed.Close())
	<-read
	s.ok("volume", "show", "db")
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
