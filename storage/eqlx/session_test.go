package eqlx_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
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

	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

func TestPrivateKeysOfAnyType(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, key := range map[string]any{"ed25519": ed, "ecdsa": ec, "rsa": rs} {
		t.Run(name, func(t *testing.T) {
			signer, err := ssh.NewSignerFromKey(key)
			require.NoError(t, err)
			group, address := serve(t, eqlxsim.Config{AuthorizedKeys: []ssh.PublicKey{signer.PublicKey()}})
			file := filepath.Join(t.TempDir(), "key")
			block, err := ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(chapSecret))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
			c := options(group, address)
			c.Password, c.PrivateKeyFile = "", file

			_, err = eqlx.New(c)
			require.ErrorIs(t, err, storage.ErrInvalid)
			require.ErrorContains(t, err, "san_private_key_passphrase", "the remedy")
			c.PrivateKeyPassphrase = "wrong"
			_, err = eqlx.New(c)
			require.ErrorIs(t, err, storage.ErrInvalid)
			require.ErrorContains(t, err, "/san_private_key_passphrase")
			require.NotContains(t, err.Error(), "wrong")
			c.PrivateKeyPassphrase = chapSecret
			require.NoError(t, open(t, c).Check(t.Context()))
		})
	}
}

func TestWrongPassword(t *testing.T) {
	for _, interactive := range []bool{false, true} {
		group, address := serve(t, eqlxsim.Config{KeyboardInteractive: interactive})
		c := options(group, address)
		c.Password = chapSecret
		began := time.Now()
		err := open(t, c).Check(t.Context())
		require.ErrorIs(t, err, eqlx.ErrConnect)
		require.ErrorContains(t, err, "san_password", "the remedy")
		noSecrets(t, err.Error())
		require.Less(t, time.Since(began), 2*time.Second, "it is not tried again: accounts get locked")
	}
}

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

func TestAnotherGroupsName(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{Name: "eql-prod"})
	c := options(group, address)
	c.Group = "group-0"
	err := open(t, c).Check(t.Context())
	require.ErrorIs(t, err, eqlx.ErrConnect)
	require.ErrorContains(t, err, `"eql-prod> "`)
	require.ErrorContains(t, err, "eqlx_group_name")
}

// ahead is a clock that a test sets forward, and on which every wait takes its time at once.
type ahead struct {
	mu  sync.Mutex
	now time.Time
}

func (a *ahead) add(d time.Duration) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = a.now.Add(d)
	return a.now
}

func (a *ahead) Now() time.Time { return a.add(0) }

func (a *ahead) After(d time.Duration) <-chan time.Time {
	out := make(chan time.Time, 1)
	if d < time.Hour {
		out <- a.add(d)
	}
	return out
}

// Nothing is repeated after eqlx_cli_retries_timeout, and what was idle for long is not trusted to
// be still there: a group logs idle people out.
func TestTimeOfSessions(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	c := options(group, address)
	now := &ahead{now: time.Now()}
	c.Clock, c.Keepalive, c.Retries, c.RetryTime = now, 24*time.Hour, 1000, 20*time.Second
	dials, down := 0, false
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; down {
			return nil, errors.New("no route to host")
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	d := open(t, c)
	for range 2 {
		require.NoError(t, d.Check(t.Context()))
	}
	require.Equal(t, 1, dials)
	now.add(5*time.Minute + time.Second)
	require.NoError(t, d.Check(t.Context()))
	require.Equal(t, 2, dials)
	now.add(5*time.Minute + time.Second)
	dials, down = 0, true
	require.ErrorIs(t, d.Check(t.Context()), eqlx.ErrConnect)
	require.Less(t, dials, 20, "a wait is at most 5 s, half of that at least")
	require.Greater(t, dials, 5)
}

func TestNobodyThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	d := open(t, eqlx.Config{Address: "127.0.0.1", Port: port, Password: password, Retries: 2, Clock: clock.Scaled(100)})
	err = d.Check(t.Context())
	require.ErrorIs(t, err, eqlx.ErrConnect)
	require.ErrorIs(t, d.Delete(t.Context(), "v"), storage.ErrUnavailable, "nothing was sent")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.Check(ctx), context.Canceled)
	require.NoError(t, d.Close())
	require.ErrorIs(t, d.Check(t.Context()), eqlx.ErrClosed)
}

// A server that never speaks does not hold anybody longer than the timeout.
func TestSilentServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close() //nolint:errcheck // the test ends
	d := open(t, eqlx.Config{Address: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port, Password: password, Retries: -1, Timeout: 100 * time.Millisecond})
	began := time.Now()
	err = d.Check(t.Context())
	require.ErrorIs(t, err, eqlx.ErrConnect)
	require.ErrorContains(t, err, "no answer in time")
	require.Less(t, time.Since(began), 3*time.Second)
}

// 64 callers share the sessions there are; each session is used again and again.
func TestManyCallersAtTheCap(t *testing.T) {
	const sessions, callers, calls = 3, 64, 8
	var most atomic.Int64
	var group *eqlxsim.Group
	var ready sync.WaitGroup
	ready.Add(1)
	group, address := serve(t, eqlxsim.Config{MaxSessions: sessions, Fault: func(int, string) eqlxsim.Fault {
		ready.Wait()
		most.Store(max(most.Load(), int64(group.Sessions())))
		return eqlxsim.Fault{}
	}})
	ready.Done()
	c := options(group, address)
	c.MaxSessions = sessions
	d := open(t, c)
	create(t, d, "v", 1)
	errs := make(chan error, callers)
	for range callers {
		go func() {
			var err error
			for range calls {
				_, one := d.Get(context.Background(), "v")
				err = errors.Join(err, one)
			}
			errs <- err
		}()
	}
	for range callers {
		require.NoError(t, <-errs)
	}
	require.LessOrEqual(t, most.Load(), int64(sessions))
	last := group.Commands()[len(group.Commands())-1]
	require.LessOrEqual(t, last.Session, sessions, "sessions were opened again")
}

// A session that the group has closed meanwhile is replaced before a command goes out.
func TestGroupHangsUp(t *testing.T) {
	var f faults
	group, address := serve(t, eqlxsim.Config{Fault: f.fault})
	c := options(group, address)
	c.MaxSessions = 1
	var conns sync.Map
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		conns.Store(conn, nil)
		return conn, err
	}
	d := open(t, c)
	for i := range 5 {
		create(t, d, fmt.Sprint("v", i), 1)
		conns.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true }) //nolint:errcheck // that is the test
		require.Eventually(t, func() bool { return group.Sessions() == 0 }, 5*time.Second, time.Millisecond)
	}
	require.Len(t, group.Volumes(), 5)
	lines, _ := sent(group, 0)
	require.Len(t, lines, 5, "none was sent twice")
}

// A connection that gives no sign of life is closed.
func TestKeepalive(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	c := options(group, address)
	c.Keepalive, c.Timeout = 20*time.Millisecond, time.Second
	stall := make(chan struct{})
	var writes atomic.Int64
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		return &stalling{Conn: conn, stall: stall, writes: &writes}, err
	}
	d := open(t, c)
	require.NoError(t, d.Check(t.Context()))
	before := writes.Load()
	require.Eventually(t, func() bool { return writes.Load() >= before+3 }, 10*time.Second, time.Millisecond, "it asks for signs of life")
	require.Equal(t, 1, group.Sessions())
	close(stall)
	require.Eventually(t, func() bool { return group.Sessions() == 0 }, 10*time.Second, time.Millisecond)
}

// stalling swallows what is written once stall is closed.
type stalling struct {
	net.Conn
	stall  chan struct{}
	writes *atomic.Int64
}

func (s *stalling) Write(p []byte) (int, error) {
	s.writes.Add(1)
	select {
	case <-s.stall:
		return len(p), nil
	default:
		return s.Conn.Write(p)
	}
}

// Idle sessions above the minimum are closed; those that people need are few.
func TestIdleSessionsAreClosed(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{Quirks: eqlxsim.Quirks{Delay: 5 * time.Millisecond}})
	c := options(group, address)
	c.MinSessions, c.MaxSessions, c.Clock = 1, 4, clock.Scaled(2000) // 5 minutes in 150 ms
	d := open(t, c)
	create(t, d, "v", 1)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := d.Get(context.Background(), "v"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Greater(t, group.Sessions(), 1)
	require.Eventually(t, func() bool { return group.Sessions() == 1 }, 10*time.Second, time.Millisecond)
}

// Output that arrives between commands must not be taken for the next reply.
func TestStrayOutput(t *testing.T) {
	var f faults
	group, address := serve(t, eqlxsim.Config{Fault: f.fault})
	c := options(group, address)
	c.MaxSessions = 1
	d := open(t, c)
	require.NoError(t, group.AddVolume(eqlxsim.Volume{Name: "volume-v", SizeMB: 1024, Description: "group-0> Size: 9GB"}))
	f.once("show", eqlxsim.Fault{Noise: []string{"group-0> looks like a prompt", "WARNING:event:05-Sep-2012:MgmtExec:Volume x"}})
	for range 3 {
		v, err := d.Get(t.Context(), "v")
		require.NoError(t, err)
		require.EqualValues(t, 1<<30, v.SizeBytes)
	}
}

// At every level nothing that is logged, and no error, has a secret in it.
func TestSecretsStayHidden(t *testing.T) {
	log := &logged{}
	group, address := serve(t, eqlxsim.Config{CHAPUsers: []string{"u"}, Banner: "welcome"})
	c := options(group, address)
	c.CHAP, c.CHAPUsername, c.CHAPPassword, c.LogCommands = true, "u", chapSecret, true
	c.Logger = slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug - 4}))
	d := open(t, c)
	create(t, d, "v", 1)
	connection, err := d.Connect(t.Context(), "v", storage.Connector{Initiator: "iqn.2012-07.x:a"})
	require.NoError(t, err)
	c.Logger.Info("all", "connection", connection, "driver", d, "config", c, "text", fmt.Sprintf("%+v %#v %v", connection, d, c))
	err = d.Delete(t.Context(), "v")
	require.Error(t, err)
	noSecrets(t, err.Error()+fmt.Sprintf("%+v %#v", err, err))
	require.Contains(t, log.String(), `"line":"volume create volume-v 1G thin-provision"`)
	require.Contains(t, log.String(), `"level":"INFO"`)
	noSecrets(t, log.String())
}
