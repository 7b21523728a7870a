package eqlx_test

import (
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
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

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

// noticing is a connection whose user says that it is at its end by closing it.
type noticing struct {
	net.Conn
	noticed chan struct{}
	once    sync.Once
}

func (c *noticing) Close() error {
	c.once.Do(func() { close(c.noticed) })
	return c.Conn.Close()
}

// A session that the group has closed meanwhile is replaced before a command goes out.
func TestGroupHangsUp(t *testing.T) {
	var f faults
	group, address := serve(t, eqlxsim.Config{Fault: f.fault})
	c := options(group, address)
	c.MaxSessions = 1
	conns := make(chan *noticing, 10)
	c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		n := &noticing{Conn: conn, noticed: make(chan struct{})}
		conns <- n
		return n, nil
	}
	d := open(t, c)
	for i := range 5 {
		create(t, d, fmt.Sprint("v", i), 1)
		conn := <-conns
		require.NoError(t, conn.Conn.Close())
		<-conn.noticed // x/crypto says nothing of a packet that it could not write before
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
