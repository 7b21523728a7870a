package eqlx_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
	"github.com/crowbarkit/crowbarkit/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	password   = "gr00p-s3cret"
	chapSecret = "ch4p-s3cret-16ch"
)

// serve starts a group for the length of the test.
func serve(t testing.TB, c eqlxsim.Config) (*eqlxsim.Group, string) {
	t.Helper()
	if c.Password == "" {
		c.Password = password
	}
	group, err := eqlxsim.New(c)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- group.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	return group, listener.Addr().String()
}

// options are the Config that reaches a group.
func options(group *eqlxsim.Group, address string) eqlx.Config {
	host, port, _ := net.SplitHostPort(address)
	n, _ := net.LookupPort("tcp", port)
	return eqlx.Config{
		Address: host, Port: n, Username: group.Username(), Password: group.Password(), Group: group.Name(),
		HostKey: ssh.FingerprintSHA256(group.HostKey()), Timeout: 10 * time.Second,
	}
}

// open opens a driver for the length of the test; nothing it logs may hold a secret.
func open(t testing.TB, c eqlx.Config) *eqlx.Driver {
	t.Helper()
	log := &logged{}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	driver, err := eqlx.New(c)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, driver.Close())
		noSecrets(t, log.String())
	})
	return driver
}

type logged struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func noSecrets(t testing.TB, text string) {
	t.Helper()
	for _, secret := range []string{password, chapSecret} {
		if at := strings.Index(text, secret); at >= 0 {
			t.Fatalf("a secret in: %.300s", text[max(0, at-200):])
		}
	}
}

// unsupported are the features that this driver does without.
func unsupported() []string {
	return []string{"Reverter", "ImageStreamer", "ImageCloner", "TrashPurger", "Limiter"}
}

// TestConformance runs the suite over groups of every kind.
func TestConformance(t *testing.T) {
	const capacity = 200 // GB
	for name, test := range map[string]struct {
		quirks eqlxsim.Quirks
		group  eqlxsim.Config
		driver eqlx.Config
	}{
		"plain":                     {},
		"no echo":                   {quirks: eqlxsim.Quirks{NoEcho: true}},
		"prefilled prompt":          {quirks: eqlxsim.Quirks{Prefill: true}},
		"prefilled without echo":    {quirks: eqlxsim.Quirks{Prefill: true, NoEcho: true}},
		"hangs up after errors":     {quirks: eqlxsim.Quirks{CloseAfterError: true}},
		"narrow tables":             {quirks: eqlxsim.Quirks{NameColumns: 5, InitiatorColumns: 8}},
		"wide tables":               {quirks: eqlxsim.Quirks{NameColumns: 200, InitiatorColumns: 250}},
		"as the fixtures":           {quirks: eqlxsim.Quirks{Terse: true, ShortShow: true}},
		"prefilled late":            {quirks: eqlxsim.Quirks{LatePrefill: true}},
		"late without echo":         {quirks: eqlxsim.Quirks{LatePrefill: true, NoEcho: true}},
		"no exact sizes":            {quirks: eqlxsim.Quirks{RoughSizes: true}},
		"no exact sizes, hangs up":  {quirks: eqlxsim.Quirks{RoughSizes: true, CloseAfterError: true}},
		"user names cut":            {quirks: eqlxsim.Quirks{CutUsers: 4}, group: chapGroup(), driver: chapDriver()},
		"user names broken":         {quirks: eqlxsim.Quirks{UserColumns: 4, InitiatorColumns: 8}, group: chapGroup(), driver: chapDriver()},
		"other words":               {group: eqlxsim.Config{Errors: map[string]string{"Volume %s already exists.": "E1234", "Snapshot %s already exists.": "E1235"}}},
		"no snapshot descriptions":  {quirks: eqlxsim.Quirks{NoSnapshotDescription: true}},
		"no descriptions, prefill":  {quirks: eqlxsim.Quirks{NoSnapshotDescription: true, Prefill: true}},
		"slow":                      {quirks: eqlxsim.Quirks{Delay: time.Millisecond}},
		"one session":               {group: eqlxsim.Config{MaxSessions: 1}, driver: eqlx.Config{MaxSessions: 1}},
		"fewer sessions than asked": {group: eqlxsim.Config{MaxSessions: 2}, driver: eqlx.Config{MaxSessions: 3, Retries: 50}},
		"thick":                     {driver: eqlx.Config{ThickProvision: true}},
		"multihost":                 {driver: eqlx.Config{MultihostAccess: true}},
		"chap":                      {group: chapGroup(), driver: chapDriver()},
		"asks for the password":     {group: eqlxsim.Config{KeyboardInteractive: true}},
		"another pool":              {group: eqlxsim.Config{Pools: []eqlxsim.Pool{{Name: "default", CapacityGB: capacity}, {Name: "fast", CapacityGB: capacity}}}, driver: eqlx.Config{Pool: "fast"}},
		"another template":          {driver: eqlx.Config{VolumeTemplate: "os.<id>-prod", SnapshotTemplate: "s-%s"}},
		"banner with prompts":       {group: eqlxsim.Config{Name: "eql", Banner: "Welcome to eql> the group\neql> is its prompt\n"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			storagetest.Run(t, func(t *testing.T) storagetest.Harness {
				config := test.group
				config.Quirks = test.quirks
				if config.Pools == nil {
					config.Pools = []eqlxsim.Pool{{Name: "default", CapacityGB: capacity}}
				}
				group, address := serve(t, config)
				c := options(group, address)
				d := test.driver
				c.MaxSessions, c.Retries, c.ThickProvision, c.MultihostAccess = d.MaxSessions, d.Retries, d.ThickProvision, d.MultihostAccess
				c.CHAP, c.CHAPUsername, c.CHAPPassword = d.CHAP, d.CHAPUsername, d.CHAPPassword
				c.Pool, c.VolumeTemplate, c.SnapshotTemplate = d.Pool, d.VolumeTemplate, d.SnapshotTemplate
				t.Cleanup(func() { require.Zero(t, group.Kicked(), "connections were cut") })
				return storagetest.Harness{
					Driver: open(t, c), CapacityBytes: capacity << 30, Many: 120, Unsupported: unsupported(),
				}
			})
		})
	}
}

func chapGroup() eqlxsim.Config { return eqlxsim.Config{CHAPUsers: []string{"chapadmin"}} }

func chapDriver() eqlx.Config {
	return eqlx.Config{CHAP: true, CHAPUsername: "chapadmin", CHAPPassword: chapSecret}
}

func create(t testing.TB, d storage.Driver, id string, gb int64) *storage.Volume {
	t.Helper()
	v, err := d.Create(t.Context(), storage.VolumeSpec{ID: id, SizeBytes: gb << 30})
	require.NoError(t, err)
	return v
}
