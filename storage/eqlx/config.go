package eqlx

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/storage"
)

// A Config is a back end on one EqualLogic group. Schema documents the JSON that ParseConfig
// reads; each field names its option there. Config prints without its secrets.
type Config struct {
	Address  string // san_ip: the group's management (or group) address
	Port     int    // san_ssh_port, 0 = 22
	Username string // san_login, "" = grpadmin
	Password string // san_password; it wins over the key
	// PrivateKeyFile (san_private_key) holds a private key of any type, in OpenSSH's or PEM form.
	PrivateKeyFile       string
	PrivateKeyPassphrase string // san_private_key_passphrase

	// HostKey (san_host_key) pins the group's key: "SHA256:…" or "ssh-ed25519 AAAA…".
	HostKey string
	// KnownHostsFile (ssh_hosts_key_file) holds keys of hosts as OpenSSH does; unless
	// StrictHostKey, a first key is recorded there. With neither this nor HostKey the first key
	// is trusted for the life of the Driver.
	KnownHostsFile string
	StrictHostKey  bool // strict_ssh_host_key_policy: an unknown key is refused too
	// LegacyAlgorithms (ssh_legacy_algorithms) allows what old firmware speaks and everybody
	// else gave up: SHA-1 key exchanges and host keys, CBC ciphers.
	LegacyAlgorithms bool

	Group string // eqlx_group_name, which is the prompt; "" = group-0
	Pool  string // eqlx_pool, "" = default
	// ThickProvision is the contrary of san_thin_provision.
	ThickProvision bool
	// MultihostAccess (eqlx_multihost_access) lets several initiators write to a volume at once.
	// Cinder's driver always set it, and so took away what keeps two machines from mounting one
	// file system. Live migration needs it.
	MultihostAccess bool

	CHAP         bool   // use_chap_auth
	CHAPUsername string // chap_username: an account that the group has
	CHAPPassword string // chap_password, which goes into every Connection

	Timeout time.Duration // ssh_conn_timeout: for connecting, and for each command; 0 = 30 s
	// Keepalive (eqlx_ssh_keepalive_interval) is the time between signs of life, 0 = Timeout.
	Keepalive   time.Duration
	MinSessions int // ssh_min_pool_conn: idle sessions above it are closed, 0 = 1, -1 = none is kept
	MaxSessions int // ssh_max_pool_conn, 0 = 5; a group has few
	// Retries (eqlx_cli_max_retries) is how often connecting, and what only reads, is repeated
	// after the connection failed; 0 = 5, -1 = never.
	Retries int
	// RetryTime (eqlx_cli_retries_timeout) ends the repeating; 0 = the context alone.
	RetryTime time.Duration
	// LogCommands (eqlx_verbose_ssh) logs each command at level info, not debug.
	LogCommands bool

	// VolumeTemplate (volume_name_template) has "<id>" where the ID goes, "" = volume-<id>.
	VolumeTemplate   string
	SnapshotTemplate string // snapshot_name_template, "" = snapshot-<id>

	// MaxOverSubscriptionRatio (max_over_subscription_ratio) is reported in Stats, for who plans
	// capacity; 0 = 20.
	MaxOverSubscriptionRatio float64
	// BackendName (volume_backend_name) is kept; the Manager's backend_name rules.
	BackendName string

	// What follows is set in Go only.

	Logger *slog.Logger  // nil = silent
	Clock  storage.Clock // nil = real time
	// Dial opens connections, nil = net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// String describes the back end without secrets.
func (c Config) String() string {
	return fmt.Sprintf("EqualLogic group %s at %s, pool %s", c.Group, c.Address, c.Pool)
}

// GoString is String: %#v must not show secrets either.
func (c Config) GoString() string { return c.String() }

// LogValue is String.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// withDefaults fills what is zero.
func (c Config) withDefaults() Config {
	set(&c.Port, 22)
	set(&c.Username, "grpadmin")
	set(&c.Group, "group-0")
	set(&c.Pool, "default")
	set(&c.Timeout, 30*time.Second)
	set(&c.Keepalive, max(c.Timeout, time.Second))
	set(&c.MaxSessions, 5)
	set(&c.MinSessions, 1)
	set(&c.Retries, 5)
	set(&c.VolumeTemplate, "volume-"+idMark)
	set(&c.SnapshotTemplate, "snapshot-"+idMark)
	set(&c.MaxOverSubscriptionRatio, 20)
	// Cinder's own templates have %s.
	for _, t := range []*string{&c.VolumeTemplate, &c.SnapshotTemplate} {
		if !strings.Contains(*t, idMark) {
			*t = strings.Replace(*t, "%s", idMark, 1)
		}
	}
	return c
}

func set[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

var (
	hostPattern   = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$`)
	groupPattern  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,53}$`)
	printableText = regexp.MustCompile(`^[!-~]+$`)
	fingerprint   = regexp.MustCompile(`^SHA256:[A-Za-z0-9+/]{43}$`)
)

// check returns every problem, by option. It never shows a secret.
func (c Config) check() *multierror.Error {
	var problems *multierror.Error
	bad := func(option, format string, args ...any) { problems = problem(problems, option, format, args...) }
	_, notIP := netip.ParseAddr(c.Address)
	switch {
	case c.Address == "":
		bad("san_ip", "nothing, expected the group's address")
	case notIP != nil && !hostPattern.MatchString(c.Address):
		bad("san_ip", "%.80q, expected an IP address or a host name", c.Address)
	}
	if c.Port < 1 || c.Port > math.MaxUint16 {
		bad("san_ssh_port", "%d, expected 1 to %d", shown(c.Port), math.MaxUint16)
	}
	if !printableText.MatchString(c.Username) {
		bad("san_login", "%.80q, expected printable ASCII characters without spaces", c.Username)
	}
	if c.Password == "" && c.PrivateKeyFile == "" {
		bad("san_password", "nothing, expected a password here or a key file in san_private_key")
	}
	if c.PrivateKeyPassphrase != "" && c.PrivateKeyFile == "" {
		bad("san_private_key_passphrase", "given without san_private_key")
	}
	if c.HostKey != "" && !fingerprint.MatchString(c.HostKey) {
		if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(c.HostKey)); err != nil || len(rest) > 0 {
			bad("san_host_key", `%.80q, expected "SHA256:…" or a line as "ssh-keyscan" prints it without the host`, c.HostKey)
		}
	}
	if c.StrictHostKey && c.HostKey == "" && c.KnownHostsFile == "" {
		bad("strict_ssh_host_key_policy", "true without a known key; give san_host_key or ssh_hosts_key_file")
	}
	if !groupPattern.MatchString(c.Group) {
		bad("eqlx_group_name", "%.80q, expected up to 54 letters, digits, '.' and '-'", c.Group)
	}
	if checkWord(c.Pool) != nil {
		bad("eqlx_pool", "%.80q, expected %s", c.Pool, wordExpected)
	}
	if c.CHAP {
		if checkWord(c.CHAPUsername) != nil {
			bad("chap_username", "%.80q, expected %s", c.CHAPUsername, wordExpected)
		}
		if !printableText.MatchString(c.CHAPPassword) {
			bad("chap_password", "nothing or not printable, expected the secret of chap_username without spaces")
		}
	}
	for _, t := range []struct {
		option string
		d      time.Duration
		least  time.Duration
	}{
		{"ssh_conn_timeout", c.Timeout, 1}, {"eqlx_ssh_keepalive_interval", c.Keepalive, 1}, {"eqlx_cli_retries_timeout", c.RetryTime, 0},
	} {
		if t.d < t.least || t.d > 24*time.Hour {
			if t.d == zero*time.Second {
				t.d = 0
			}
			bad(t.option, "%v, expected at least 1s and at most a day", t.d)
		}
	}
	if c.MaxSessions < 1 || c.MaxSessions > 64 {
		bad("ssh_max_pool_conn", "%d, expected 1 to 64", shown(c.MaxSessions))
	} else if c.MinSessions < -1 || c.MinSessions > c.MaxSessions {
		bad("ssh_min_pool_conn", "%d, expected 0 to ssh_max_pool_conn, %d", c.MinSessions, c.MaxSessions)
	}
	if c.Retries < -1 || c.Retries > 1000 {
		bad("eqlx_cli_max_retries", "%d, expected 0 to 1000", c.Retries)
	}
	if _, err := newTemplate(c.VolumeTemplate); err != nil {
		bad("volume_name_template", "%.80q, expected %s", c.VolumeTemplate, templateExpected)
	}
	if _, err := newTemplate(c.SnapshotTemplate); err != nil {
		bad("snapshot_name_template", "%.80q, expected %s", c.SnapshotTemplate, templateExpected)
	}
	if r := c.MaxOverSubscriptionRatio; !(r >= 1) || math.IsInf(r, 0) {
		bad("max_over_subscription_ratio", "%v, expected 1 or more", r)
	}
	return problems
}

func problem(problems *multierror.Error, option, format string, args ...any) *multierror.Error {
	return multierror.Append(problems, fmt.Errorf("%w: /%s: %s", storage.ErrInvalid, option, fmt.Sprintf(format, args...)))
}

// ParseConfig reads the options of a back end: Cinder's, Crowbar's and those of the Nova driver
// of 2012, all accounted for in Schema. All problems are returned at once, each as
// storage.ErrInvalid with its JSON Pointer; values of secrets are not shown.
func ParseConfig(raw []byte) (Config, error) {
	var fields map[string]json.RawMessage
	decoder := json.NewDecoder(bytes.NewReader(raw))
	err := decoder.Decode(&fields)
	if err == nil && fields == nil {
		err = errors.New("null")
	}
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more after its end")
		}
	}
	if err != nil {
		// What encoding/json says may hold a piece of the document, and so of a password.
		return Config{}, fmt.Errorf("%w: options of the eqlx driver: not a JSON object", storage.ErrInvalid)
	}
	var c Config
	var problems *multierror.Error
	given := map[string]string{} // canonical name to the key that gave it
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		o := findOption(key)
		if o == nil {
			problems = problem(problems, pointer(key), "unknown option")
			continue
		}
		if other := given[o.name]; other != "" {
			if !bytes.Equal(bytes.TrimSpace(fields[other]), bytes.TrimSpace(fields[key])) {
				problems = problem(problems, pointer(key), "the same option as %s, with another value; remove the old name", other)
			}
			continue
		}
		given[o.name] = key
		if err := o.read(&c, fields[key]); err != nil {
			problems = problem(problems, pointer(key), "%v", err)
		}
	}
	if problems == nil {
		problems = c.withDefaults().check()
	} else {
		// A field that could not be read must not be reported as missing too.
		for _, err := range c.withDefaults().check().WrappedErrors() {
			missing := slices.ContainsFunc(problems.Errors, func(p error) bool { return option(p) == option(err) })
			if !missing {
				problems = multierror.Append(problems, err)
			}
		}
	}
	if err := problems.ErrorOrNil(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// option returns the canonical option that a problem is about.
func option(problem error) string {
	_, rest, _ := strings.Cut(problem.Error(), ": /")
	key, _, _ := strings.Cut(rest, ":")
	if o := findOption(key); o != nil {
		return o.name
	}
	return key
}

// pointer escapes a key for a JSON Pointer (RFC 6901) and cuts it to a sane length.
func pointer(key string) string {
	return fmt.Sprintf("%.80s", strings.NewReplacer("~", "~0", "/", "~1").Replace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, key)))
}

// signer reads the private key.
func (c Config) signer() (ssh.Signer, error) {
	raw, err := os.ReadFile(c.PrivateKeyFile)
	if err != nil {
		return nil, fmt.Errorf("%w: /san_private_key: %w", storage.ErrInvalid, err)
	}
	var signer ssh.Signer
	if c.PrivateKeyPassphrase != "" {
		signer, err = ssh.ParsePrivateKeyWithPassphrase(raw, []byte(c.PrivateKeyPassphrase))
	} else {
		signer, err = ssh.ParsePrivateKey(raw)
	}
	var missing *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &missing):
		return nil, fmt.Errorf("%w: /san_private_key: %s is encrypted; give its passphrase in san_private_key_passphrase", storage.ErrInvalid, c.PrivateKeyFile)
	case errors.Is(err, x509.IncorrectPasswordError):
		return nil, fmt.Errorf("%w: /san_private_key_passphrase: not the passphrase of %s", storage.ErrInvalid, c.PrivateKeyFile)
	case err != nil:
		return nil, fmt.Errorf("%w: /san_private_key: %s: %w", storage.ErrInvalid, c.PrivateKeyFile, err)
	}
	return signer, nil
}
