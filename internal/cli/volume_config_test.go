package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

// Each command is a process of its own: what it trusted the first time it must know the next.
func TestVolumeHostKeyIsRecorded(t *testing.T) {
	home := t.TempDir()
	for i, group := range []string{"first", "second"} {
		g, port := serveGroup(t, eqlxsim.Config{Password: "p", Name: group})
		s := &shell{t: t, env: map[string]string{"HOME": home}}
		s.configure(object("volumes", []any{object("backend_driver", "eqlx", "backend_name", "e", "eqlx",
			object("san_ip", "127.0.0.1", "san_ssh_port", port, "san_password", "p", "eqlx_group_name", group))}))
		code, _, stderr := s.run("volume", "backend", "check")
		require.Equal(t, 0, code, stderr)
		require.Contains(t, stderr, ssh.FingerprintSHA256(g.HostKey()))
		known, err := os.ReadFile(filepath.Join(home, ".config", "crowbar", "storage_known_hosts"))
		require.NoError(t, err)
		require.Equal(t, i+1, bytes.Count(known, []byte("\n")))
		_, _, stderr = s.run("volume", "backend", "check")
		require.Empty(t, stderr)
		// Somebody in between.
		other := strings.ReplaceAll(string(known), strings.Fields(string(known))[i*3+2], strings.Fields(string(ssh.MarshalAuthorizedKey(anotherKey(t))))[1])
		require.NoError(t, os.WriteFile(filepath.Join(home, ".config", "crowbar", "storage_known_hosts"), []byte(other), 0o600))
		s.fails(1, "host key of 127.0.0.1:", "volume", "backend", "check")
		require.NoError(t, os.WriteFile(filepath.Join(home, ".config", "crowbar", "storage_known_hosts"), known, 0o600))
	}
}

// A relative name is from where the configuration is: the key is known wherever the command runs.
func TestVolumeHostKeysBesideTheConfiguration(t *testing.T) {
	_, port := serveGroup(t, eqlxsim.Config{Password: "p"})
	s := &shell{t: t, env: map[string]string{}}
	s.configure(object("volumes", []any{object("backend_driver", "eqlx", "backend_name", "e", "eqlx",
		object("san_ip", "127.0.0.1", "san_ssh_port", port, "san_password", "p", "ssh_hosts_key_file", "known"))}))
	s.ok("volume", "backend", "check")
	require.FileExists(t, filepath.Join(filepath.Dir(s.env["CROWBAR_VOLUMES"]), "known"))
}

func anotherKey(t *testing.T) ssh.PublicKey {
	g, err := eqlxsim.New(eqlxsim.Config{})
	require.NoError(t, err)
	return g.HostKey()
}

func TestVolumeConfig(t *testing.T) {
	t.Chdir(t.TempDir())
	s := &shell{t: t, env: map[string]string{}}
	s.fails(1, "there is no volumes.json here; name one with --config or CROWBAR_VOLUMES", "volume", "list")
	write := func(text string) { require.NoError(t, os.WriteFile("volumes.json", []byte(text), 0o600)) }
	for text, says := range map[string]string{
		`{"volumes":[]}`:           "volumes.json has no back ends",
		`{`:                        "volumes.json: line 1: it ends too early, expected {",
		"":                         "volumes.json: nothing, expected {",
		"[]":                       "volumes.json: an array, expected {",
		"volumes:\n- a":            "volumes.json: line 1: invalid character 'v' looking for beginning of value, expected {",
		"{\n\"volumes\": [\n],}\n": "volumes.json: line 3: invalid character '}'",
		"{}\n{}":                   "volumes.json: more after the end of the document, expected {",
		`{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ip":"h","san_private_key":"/nonexistent/key"}}]}`:                                                               "volumes.json: /volumes/0/eqlx/san_private_key: open /nonexistent/key: no such file",
		`{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ip":"h","san_ssh_port":"22","san_password":"x"}}]}`:                                                             "volumes.json: /volumes/0/eqlx/san_ssh_port: a string, expected an integer",
		`{"attributes":{"cinder":{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ip":"h","san_password":"(secret /attributes/cinder/volumes/0/eqlx/san_password)"}}]}}}`: "volumes.json: hidden: /attributes/cinder/volumes/0/eqlx/san_password; put back what crowbar proposal export left out",
		`{"volumes":[{"backend_driver":"lvm","backend_name":"a"}]}`:                                                                                                                           `volumes.json: /volumes/0/backend_driver: "lvm", expected one of: eqlx, rbd`,
		`{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":"x"}]}`:                                                                                                               "volumes.json: /volumes/0/eqlx: a string, expected an object",
		`{"volumes":[{"backend_driver":"lvm","backend_name":"a","memory":{}}]}`:                                                                                                               `volumes.json: /volumes/0/memory: unknown key, expected "lvm"`,
		`{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ip":"h","san_password":"x","eqlx_pool":"a b","secret":"4711"}},{"backend_driver":"rbd","backend_name":"b c"}]}`: `volumes.json: /volumes/1/backend_name: "b c"`,
		`{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ip":"h","eqlx_pool":"a b","secret":"4711"}},{"backend_driver":"rbd","backend_name":"b","rbd":{"pool":"a/b"}}]}`: "volumes.json: 4 problems\n  /volumes/0/eqlx/secret: unknown option\n",
	} {
		write(text)
		s.fails(1, says, "volume", "list")
	}
	_, _, stderr := s.run("volume", "list")
	require.NotContains(t, stderr, "4711")

	// One of a driver that is not here is not in the way of the one that is meant.
	write(`{"volumes":[{"backend_driver":"netapp","backend_name":"n","netapp":{}},{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ip":"h","san_password":"x"}}]}`)
	s.fails(1, `/volumes/0/backend_driver: "netapp", expected one of: eqlx, rbd`, "volume", "backend", "list")
	s.fails(1, `/volumes/0/backend_driver: "netapp", expected one of: eqlx, rbd`, "volume", "backend", "list", "--backend", "n")
	require.Contains(t, s.ok("volume", "backend", "list", "--backend", "a"), "a        eqlx    clone, ")

	// A proposal of 2012.
	group, port := serveGroup(t, eqlxsim.Config{Password: "12345"})
	write(fmt.Sprintf(`{"attributes": {"nova": {"volume": {"volume_type": "eqlx", "local_file": "/var/lib/nova/volume.raw",
		"eqlx": {"san_ip": "127.0.0.1", "san_ssh_port": %d, "san_host_key": %q, "san_password": "12345", "eqlx_cli_timeout": 30}}}}}`,
		port, ssh.FingerprintSHA256(group.HostKey())))
	code, _, stderr := s.run("volume", "backend", "check")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stderr, "volumes.json: /attributes/nova/volume/local_file was dropped: ")
	require.NotContains(t, stderr, "12345")
	code, stdout, stderr := s.run("volume", "create", "db", "--size", "1G")
	require.Equal(t, 0, code, stderr)
	require.Contains(t, stdout, "default")
	require.Equal(t, "volumes.json was upgraded as it was read; crowbar volume backend list tells how\n", stderr)
	code, _, stderr = s.run("volume", "attach", "db", "--initiator", node1, "-o", "json")
	require.Equal(t, 0, code)
	require.NotContains(t, stderr, "auth_password", "there is none")
}

// A back end that cannot be opened is in the way of those commands only that are about it.
func TestVolumeOpensWhatWasNamed(t *testing.T) {
	s, _ := memoryShell(t, "a", "b")
	open := s.drivers["memory"]
	s.drivers["memory"] = func(ctx context.Context, backend string, config json.RawMessage, deps storage.Deps) (storage.Driver, error) {
		if backend == "b" {
			return nil, errors.New("no such file")
		}
		return open(ctx, backend, config, deps)
	}
	s.ok("volume", "create", "db", "--size", "1G", "--backend", "a")
	s.fails(1, "/volumes/1/memory: no such file", "volume", "list")
}

// A program without Ceph tells so where it matters, and uses the other back ends.
func TestVolumeWithoutCeph(t *testing.T) {
	s, _ := eqlxShell(t, eqlxsim.Config{})
	raw, err := os.ReadFile(s.env["CROWBAR_VOLUMES"])
	require.NoError(t, err)
	config, err := storage.ParseConfig(raw)
	require.NoError(t, err)
	config.Volumes = append(config.Volumes, storage.BackendConfig{Driver: "rbd", Name: "ceph1", Options: json.RawMessage(`{"config_file":"/nonexistent","connect_retries":0}`)})
	s.configure(config)
	s.ok("volume", "create", "db", "--size", "1G", "--backend", "eqlx1")
	code, stdout, stderr := s.run("volume", "backend", "check")
	require.Equal(t, 1, code)
	require.Equal(t, "eqlx1 can be used\n", stdout)
	require.Contains(t, stderr, "check on ceph1: ")
	s.fails(1, "choose one with --backend", "volume", "show", "db")
	require.Contains(t, s.ok("volume", "backend", "list"), "ceph1    rbd     ")
}

// What the driver could do is not the question where it is not in the program.
func TestVolumeDriverNotBuilt(t *testing.T) {
	s, _ := memoryShell(t, "a")
	s.drivers = map[string]storage.Opener{"memory": func(context.Context, string, json.RawMessage, storage.Deps) (storage.Driver, error) {
		return nil, rbd.ErrNotBuilt
	}}
	for _, command := range []string{"list", "create db --size 1G", "snapshot create db@s", "detach db --host node1", "backend purge --backend a"} {
		s.fails(1, " on a: built without Ceph: build with ", append([]string{"volume"}, strings.Fields(command)...)...)
	}
}
