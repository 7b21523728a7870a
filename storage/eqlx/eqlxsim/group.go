package eqlxsim

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-multierror"
	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/internal/clock"
)

// ErrConfig is a Config that describes no group.
var ErrConfig = errors.New("eqlxsim: bad config")

// Clock is the time that names of snapshots and slow replies run on.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// A Config is a group as it begins. The zero value is a group of one pool of 1000 GB.
type Config struct {
	// Name is the group's name and so its prompt, "" = group-0.
	Name string
	// Username and Password of the administrator; "" = grpadmin and a random password, which
	// Group.Password tells.
	Username, Password string
	// AuthorizedKeys may log in too.
	AuthorizedKeys []ssh.PublicKey
	// KeyboardInteractive groups ask for the password instead of taking it.
	KeyboardInteractive bool
	// HostKey is what the group shows, nil = a new ed25519 key.
	HostKey ssh.Signer
	// IPAddress is where initiators reach the group, "" = 192.0.2.10, nobody's (RFC 5737).
	IPAddress string
	// Pools of the group, none = one "default" of 1000 GB.
	Pools []Pool
	// CHAPUsers are the local CHAP accounts that access records may name.
	CHAPUsers []string
	// MaxSessions is how many SSH sessions there may be, 0 = 8; OpenNebula's driver keeps to 7 [W].
	MaxSessions int
	// Banner comes before the first prompt.
	Banner string
	Quirks Quirks
	// Errors replaces the words of errors, by their default.
	Errors map[string]string
	// Fault, if set, is asked at each command line, counted from 1 over all sessions. The lines
	// that set a shell up (stty, cli-settings) count too.
	Fault func(n int, line string) Fault
	// Clock, nil = real time.
	Clock Clock
}

// A Pool is where volumes take their space.
type Pool struct {
	Name       string
	CapacityGB int64
}

// Quirks are what differs between groups, firmwares or guesses at them.
type Quirks struct {
	// NoEcho groups do not repeat the command line. Real ones do [W]: eayunstack-tools reads
	// the result from the second line of what Cinder's reader returns.
	NoEcho bool
	// Prefill puts a command that failed behind the next prompt: "group-0> volume …" [M ce8b5a3e6],
	// and does not know "cli-settings reprintBadInput", which turns that off [W].
	Prefill bool
	// LatePrefill is Prefill with the command so late that the next one is typed behind it [A].
	LatePrefill bool
	// CloseAfterError ends the connection after an error instead of printing a prompt [M a76266559].
	CloseAfterError bool
	// NameColumns is where the tables of volumes and snapshots break names, 0 = 15.
	NameColumns int
	// InitiatorColumns is where the access table breaks initiators, 0 = 29 [T].
	InitiatorColumns int
	// UserColumns is where the access table breaks user names, CutUsers where it cuts them off; 0 =
	// never [A].
	UserColumns, CutUsers int
	// RoughSizes groups do not know "cli-settings displayinMB" [A]: 1100 GB are 1.07TB.
	RoughSizes bool
	// ShortShow groups print of a volume only size, iSCSI name and description, as the
	// fixtures of Cinder do [T], and not what a real one prints [D].
	ShortShow bool
	// Terse groups print no success lines, as the fixtures of Cinder do [T].
	Terse bool
	// NoSnapshotDescription groups know no description in "snapshot create-now" [A].
	NoSnapshotDescription bool
	// Delay is how long every command takes.
	Delay time.Duration
}

// A Group is a simulated group.
type Group struct {
	config  Config
	clock   Clock
	hostKey ssh.Signer

	mu       sync.Mutex
	volumes  map[string]*volume // by lower-case name: names are case-insensitive [A]
	serial   int
	sessions map[int]struct{}
	nextID   int
	commands []Command
	kicked   int
	terminal terminal // of the command that runs
	accepted int
}

type volume struct {
	name, pool, description, iqn string
	sizeMB                       int64
	thin, offline, multihost     bool
	connections                  int
	access                       []access
	nextAccess                   int
	snapshots                    []*snapshot
}

type snapshot struct {
	name, description, iqn string
	sizeMB                 int64
	online                 bool
	connections            int
}

type access struct {
	id                                    int
	initiator, chapUser, address, applyTo string
}

var (
	groupName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,53}$`)
	poolName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$`)
	// Dell's EqualLogic Configuration Guide v14.1 §5.2.1 [D] has 1 to 64 letters, digits, ".",
	// "-" and ":". That the ends must be letters or digits is assumed.
	volumeName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.:-]{0,62}[A-Za-z0-9])?$`)
)

// New returns a group that nobody can reach yet.
func New(c Config) (*Group, error) {
	if c.Name == "" {
		c.Name = "group-0"
	}
	if c.Username == "" {
		c.Username = "grpadmin"
	}
	if c.Password == "" {
		c.Password = random()
	}
	if c.IPAddress == "" {
		c.IPAddress = "192.0.2.10"
	}
	if len(c.Pools) == 0 {
		c.Pools = []Pool{{Name: "default", CapacityGB: 1000}}
	}
	if c.MaxSessions == 0 {
		c.MaxSessions = 8
	}
	if c.Quirks.NameColumns == 0 {
		c.Quirks.NameColumns = 15
	}
	if c.Quirks.InitiatorColumns == 0 {
		c.Quirks.InitiatorColumns = 29
	}
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	var problems *multierror.Error
	problem := func(format string, args ...any) {
		problems = multierror.Append(problems, fmt.Errorf("%w: "+format, append([]any{ErrConfig}, args...)...))
	}
	if !groupName.MatchString(c.Name) {
		problem("name %q, expected letters, digits, '.' and '-'", c.Name)
	}
	if ip, err := netip.ParseAddr(c.IPAddress); err != nil || !ip.Is4() {
		problem("IP address %q, expected one of version 4", c.IPAddress)
	}
	seen := map[string]bool{}
	for _, p := range c.Pools {
		if !poolName.MatchString(p.Name) || seen[p.Name] {
			problem("pool %q, expected letters, digits, '.' and '-', each once", p.Name)
		}
		seen[p.Name] = true
		if p.CapacityGB < 1 || p.CapacityGB > 1<<30 {
			problem("pool %s has %d GB, expected 1 to %d", p.Name, p.CapacityGB, 1<<30)
		}
	}
	if c.MaxSessions < 1 {
		problem("%d sessions, expected 1 or more", c.MaxSessions)
	}
	if c.Quirks.NameColumns < 4 || c.Quirks.InitiatorColumns < 4 {
		problem("columns of %d and %d characters, expected 4 or more", c.Quirks.NameColumns, c.Quirks.InitiatorColumns)
	}
	for words := range c.Errors {
		if !slices.Contains(errorWords(), words) {
			problem("no error says %q", words)
		}
	}
	if err := problems.ErrorOrNil(); err != nil {
		return nil, err
	}
	if c.HostKey == nil {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, fmt.Errorf("eqlxsim: host key: %w", err)
		}
		if c.HostKey, err = ssh.NewSignerFromKey(key); err != nil {
			return nil, fmt.Errorf("eqlxsim: host key: %w", err)
		}
	}
	return &Group{
		config: c, clock: c.Clock, hostKey: c.HostKey,
		volumes: map[string]*volume{}, sessions: map[int]struct{}{},
	}, nil
}

func random() string {
	b := make([]byte, 8)
	rand.Read(b) //nolint:errcheck // crypto/rand.Read never fails
	return hex.EncodeToString(b)
}

// Name returns the group's name.
func (g *Group) Name() string { return g.config.Name }

// Username returns the administrator's name.
func (g *Group) Username() string { return g.config.Username }

// Password returns the administrator's password.
func (g *Group) Password() string { return g.config.Password }

// HostKey returns the public key that the group shows.
func (g *Group) HostKey() ssh.PublicKey { return g.hostKey.PublicKey() }

// A Volume is what the group has of a volume.
type Volume struct {
	Name, Pool, Description, IQN string
	SizeMB                       int64
	Thin, Online, Multihost      bool
	Connections                  int
	Access                       []Access
	Snapshots                    []Snapshot
}

// An Access is a record of a volume's access list. CHAPUser "" is authmethod none, Address "" all
// addresses, ApplyTo "" both: the volume and its snapshots.
type Access struct {
	ID                                    int
	Initiator, CHAPUser, Address, ApplyTo string
}

// A Snapshot is a snapshot of a volume.
type Snapshot struct {
	Name, Description string
	SizeMB            int64
	Online            bool
}

// Volumes returns all volumes in the order of their names.
func (g *Group) Volumes() []Volume {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []Volume
	for _, key := range slices.Sorted(maps.Keys(g.volumes)) {
		v := g.volumes[key]
		seen := Volume{
			Name: v.name, Pool: v.pool, Description: v.description, IQN: v.iqn, SizeMB: v.sizeMB,
			Thin: v.thin, Online: !v.offline, Multihost: v.multihost, Connections: v.connections,
		}
		for _, a := range v.access {
			seen.Access = append(seen.Access, Access{ID: a.id, Initiator: a.initiator, CHAPUser: a.chapUser, Address: a.address, ApplyTo: a.applyTo})
		}
		for _, s := range v.snapshots {
			seen.Snapshots = append(seen.Snapshots, Snapshot{Name: s.name, Description: s.description, SizeMB: s.sizeMB, Online: s.online})
		}
		all = append(all, seen)
	}
	return all
}

// AddVolume makes a volume as another administrator would; of v only name, pool, description,
// size and connections count.
func (g *Group) AddVolume(v Volume) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.Pool == "" {
		v.Pool = g.config.Pools[0].Name
	}
	made, err := g.create(v.Name, v.SizeMB, v.Pool)
	if err != nil {
		return fmt.Errorf("eqlxsim: volume %q: %w", v.Name, err)
	}
	made.description, made.connections = v.Description, v.Connections
	return nil
}

// AddSnapshot makes a snapshot as a schedule of the group would and returns its name.
func (g *Group) AddSnapshot(volume string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.volumes[strings.ToLower(volume)]
	if v == nil {
		return "", fmt.Errorf("eqlxsim: no volume %q", volume)
	}
	return g.snapshotNow(v).name, nil
}

// AddAccess makes an access record as another administrator would; its ID is the next one.
func (g *Group) AddAccess(volume string, a Access) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.volumes[strings.ToLower(volume)]
	if v == nil {
		return fmt.Errorf("eqlxsim: no volume %q", volume)
	}
	v.nextAccess++
	v.access = append(v.access, access{id: v.nextAccess, initiator: a.Initiator, chapUser: a.CHAPUser, address: a.Address, applyTo: a.ApplyTo})
	return nil
}

// SetConnections says how many iSCSI connections a volume has.
func (g *Group) SetConnections(volume string, n int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := g.volumes[strings.ToLower(volume)]
	if v == nil {
		return fmt.Errorf("eqlxsim: no volume %q", volume)
	}
	v.connections = n
	return nil
}

// Kicked returns how many iSCSI connections were cut by setting volumes offline.
func (g *Group) Kicked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.kicked
}

// Sessions returns how many SSH sessions there are.
func (g *Group) Sessions() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.sessions)
}

// A Command is a line that a session sent.
type Command struct {
	Session int // from 1
	Line    string
}

// Connections returns how many SSH connections there have been, refused ones too.
func (g *Group) Connections() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.accepted
}

// Commands returns every line so far, in the order of arrival.
func (g *Group) Commands() []Command {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.commands)
}
