package eqlx_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

func TestHostKeys(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	print := ssh.FingerprintSHA256(group.HostKey())
	other, _ := serve(t, eqlxsim.Config{})
	otherPrint := ssh.FingerprintSHA256(other.HostKey())
	line := func(g *eqlxsim.Group) string { return knownhosts.Line([]string{address}, g.HostKey()) + "\n" }
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(group.HostKey())))
	for name, test := range map[string]struct {
		set     func(c *eqlx.Config, file string)
		content string
		refused []string // what the error must name; none = accepted
		after   string   // content of the file
	}{
		"pinned by fingerprint":  {set: func(c *eqlx.Config, _ string) { c.HostKey = print }},
		"pinned by key":          {set: func(c *eqlx.Config, _ string) { c.HostKey = key }},
		"pinned, changed":        {set: func(c *eqlx.Config, _ string) { c.HostKey = otherPrint }, refused: []string{print, otherPrint, "san_host_key"}},
		"known":                  {set: func(c *eqlx.Config, file string) { c.KnownHostsFile = file }, content: line(group), after: line(group)},
		"known and strict":       {set: func(c *eqlx.Config, file string) { c.KnownHostsFile, c.StrictHostKey = file, true }, content: line(group), after: line(group)},
		"known, hashed":          {set: func(c *eqlx.Config, file string) { c.KnownHostsFile = file }, content: knownhosts.HashHostname(knownhosts.Normalize(address)) + " " + key + "\n", after: "|1|"},
		"first use is recorded":  {set: func(c *eqlx.Config, file string) { c.KnownHostsFile = file }, after: line(group)},
		"first use among others": {set: func(c *eqlx.Config, file string) { c.KnownHostsFile = file }, content: "other.example " + key, after: "other.example " + key + "\n" + line(group)},
		"unknown and strict":     {set: func(c *eqlx.Config, file string) { c.KnownHostsFile, c.StrictHostKey = file, true }, refused: []string{print, "strict_ssh_host_key_policy"}},
		"changed":                {set: func(c *eqlx.Config, file string) { c.KnownHostsFile = file }, content: line(other), refused: []string{print, otherPrint, ":1)", "remove that line"}, after: line(other)},
		"revoked":                {set: func(c *eqlx.Config, file string) { c.KnownHostsFile = file }, content: "@revoked * " + key + "\n", refused: []string{print, "revoked"}, after: "@revoked"},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "known_hosts")
			if test.content != "" {
				require.NoError(t, os.WriteFile(file, []byte(test.content), 0o600))
				require.NoError(t, os.Chmod(file, 0o640))
			}
			c := options(group, address)
			c.HostKey = ""
			test.set(&c, file)
			d := open(t, c)
			for range 2 {
				err := d.Check(t.Context())
				if test.refused == nil {
					require.NoError(t, err)
					continue
				}
				var refused *eqlx.HostKeyError
				require.ErrorAs(t, err, &refused)
				require.ErrorIs(t, err, eqlx.ErrConnect)
				for _, text := range test.refused {
					require.ErrorContains(t, err, text)
				}
			}
			if info, err := os.Stat(file); err == nil && test.content != "" {
				require.Equal(t, os.FileMode(0o640), info.Mode(), "as it was")
			}
			content, _ := os.ReadFile(file)
			require.Contains(t, string(content), test.after)
			left, err := filepath.Glob(file + ".*")
			require.NoError(t, err)
			require.Empty(t, left, "temporary files")
		})
	}
}

// A group whose key changes while the driver is open is refused too, also without a file.
func TestHostKeyChanges(t *testing.T) {
	a, addressA := serve(t, eqlxsim.Config{Password: password})
	_, addressB := serve(t, eqlxsim.Config{Password: password})
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	signer, err := ssh.NewSignerFromKey(rsaKey)
	require.NoError(t, err)
	_, addressC := serve(t, eqlxsim.Config{Password: password, HostKey: signer}) // of another type
	for _, next := range []string{addressB, addressC} {
		for _, file := range []string{"", filepath.Join(t.TempDir(), "known_hosts")} {
			var address atomic.Value
			address.Store(addressA)
			c := options(a, addressA)
			c.HostKey, c.KnownHostsFile = "", file
			c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address.Load().(string))
			}
			d := open(t, c)
			require.NoError(t, d.Check(t.Context()))
			require.NoError(t, d.Close())
			if file == "" {
				continue // a closed driver has forgotten it
			}
			address.Store(next)
			err := open(t, c).Check(t.Context())
			var refused *eqlx.HostKeyError
			require.ErrorAs(t, err, &refused)
			require.Contains(t, refused.Known[0], ssh.FingerprintSHA256(a.HostKey()))
			require.NotEqual(t, refused.Offered, ssh.FingerprintSHA256(a.HostKey()))
		}
	}
}

// shows serves SSH with these host keys, lets everybody in, and hangs up.
func shows(t *testing.T, keys ...ssh.Signer) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &ssh.ServerConfig{NoClientAuth: true}
	for _, key := range keys {
		c.AddHostKey(key)
	}
	done := make(chan struct{})
	t.Cleanup(func() { listener.Close(); <-done }) //nolint:errcheck // it ends Accept
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if server, _, _, err := ssh.NewServerConn(conn, c); err == nil {
				server.Close() //nolint:errcheck // the client sees it
			}
			conn.Close() //nolint:errcheck // likewise
		}
	}()
	return listener.Addr().String()
}

// A group with several keys shows the one that is known.
func TestGroupsWithSeveralKeys(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	known, err := ssh.NewSignerFromKey(ed)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	other, err := ssh.NewSignerFromKey(rsaKey) // which x/crypto asks for first
	require.NoError(t, err)
	one, both := shows(t, known), shows(t, known, other)
	file := filepath.Join(t.TempDir(), "known_hosts")
	require.NoError(t, os.WriteFile(file, []byte(knownhosts.Line([]string{both}, known.PublicKey())+"\n"), 0o600))
	for name, set := range map[string]func(c *eqlx.Config){
		"pinned":        func(c *eqlx.Config) { c.HostKey = string(ssh.MarshalAuthorizedKey(known.PublicKey())) },
		"in a file":     func(c *eqlx.Config) { c.KnownHostsFile = file },
		"trusted first": func(*eqlx.Config) {},
	} {
		t.Run(name, func(t *testing.T) {
			host, text, err := net.SplitHostPort(both)
			require.NoError(t, err)
			port, err := net.LookupPort("tcp", text)
			require.NoError(t, err)
			c := eqlx.Config{Address: host, Port: port, Password: password, Retries: -1}
			set(&c)
			address := one
			c.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			d := open(t, c)
			var refused *eqlx.HostKeyError
			for _, address = range []string{one, both} {
				err := d.Check(t.Context())
				require.ErrorIs(t, err, eqlx.ErrConnect, "it hangs up")
				require.False(t, errors.As(err, &refused), "%v", err)
			}
		})
	}
}

// A file of host keys that is a link stays one, and what it points to gets the key; the lock of a
// process that died is not in the way.
func TestFirstKeyBehindALink(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	dir := t.TempDir()
	file, link := filepath.Join(dir, "site"), filepath.Join(dir, "known_hosts")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.NoError(t, os.Symlink(file, link))
	require.NoError(t, os.WriteFile(file+".lock", nil, 0o600))
	require.NoError(t, os.Chtimes(file+".lock", time.Time{}, time.Now().Add(-2*time.Minute)))
	c := options(group, address)
	c.HostKey, c.KnownHostsFile = "", link
	require.NoError(t, open(t, c).Check(t.Context()))
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(content), knownhosts.Normalize(address))
	target, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, file, target)
}

// Several drivers that meet their groups for the first time lose no key.
func TestFirstKeysAreRecordedTogether(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	var all sync.WaitGroup
	var addresses []string
	for range 6 {
		group, address := serve(t, eqlxsim.Config{})
		addresses = append(addresses, address)
		c := options(group, address)
		c.HostKey, c.KnownHostsFile = "", file
		d := open(t, c)
		all.Go(func() {
			if err := d.Check(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, address := range addresses {
		require.Equal(t, 1, bytes.Count(content, []byte(knownhosts.Normalize(address)+" ")), "%s", content)
	}
}
