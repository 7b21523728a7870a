package eqlx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
	"github.com/crowbarkit/crowbarkit/storage/storagetest"
)

// faults break the next commands that fit.
type faults struct {
	mu   sync.Mutex
	next func(line string) eqlxsim.Fault
}

func (f *faults) set(next func(line string) eqlxsim.Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = next
}

func (f *faults) fault(_ int, line string) eqlxsim.Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next == nil || strings.HasPrefix(line, "stty ") || strings.HasPrefix(line, "cli-settings ") {
		return eqlxsim.Fault{}
	}
	return f.next(line)
}

// once breaks the first command that contains words.
func (f *faults) once(words string, fault eqlxsim.Fault) {
	f.set(func(line string) eqlxsim.Fault {
		if !strings.Contains(line, words) {
			return eqlxsim.Fault{}
		}
		f.next = nil
		return fault
	})
}

// nth breaks the n-th command from now, from 0.
func (f *faults) nth(n int, fault eqlxsim.Fault) {
	f.set(func(string) eqlxsim.Fault {
		if n--; n >= 0 {
			return eqlxsim.Fault{}
		}
		f.next = nil
		return fault
	})
}

var losses = map[string]eqlxsim.Loss{
	"command": eqlxsim.LoseCommand, "reply": eqlxsim.LoseReply, "half of the reply": eqlxsim.CutReply, "prompt": eqlxsim.LosePrompt,
}

// The commands that do what an operation is for; of several, each may get lost.
var decisive = map[string][]string{
	"create": {"volume create", "multihost-access"}, "create from snapshot": {" clone ", " size ", "multihost-access"}, "clone": {" clone ", " size ", "multihost-access"},
	"delete": {"volume delete", "offline"}, "extend": {" size "}, "connect": {"access create"}, "disconnect": {"access delete"},
	"create snapshot": {"create-now", "rename"}, "delete snapshot": {"snapshot delete"}, "manage": {"volume rename", "description"},
}

// TestLostAnswers runs the rules of the suite about lost requests and answers, with the
// connection breaking at every point of each decisive command.
func TestLostAnswers(t *testing.T) {
	for name, loss := range losses {
		for variant := range 3 {
			t.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(name, " ", "_"), variant), func(t *testing.T) {
				t.Parallel()
				storagetest.Run(t, func(t *testing.T) storagetest.Harness {
					if !strings.Contains(t.Name(), "_lost_") {
						t.Skip("TestConformance has it")
					}
					var f faults
					group, address := serve(t, eqlxsim.Config{Fault: f.fault})
					c := options(group, address)
					c.MultihostAccess = variant > 0
					h := storagetest.Harness{Driver: open(t, c), Unsupported: unsupported()}
					lose := func(op string) {
						words := decisive[op]
						f.once(words[min(variant, len(words)-1)], eqlxsim.Fault{Lose: loss})
					}
					if loss == eqlxsim.LoseCommand {
						h.LoseRequest = lose
					} else {
						h.LoseReply = lose
					}
					t.Cleanup(func() { tidy(t, group) })
					return h
				})
			})
		}
	}
}

// tidy asserts that nothing half-made is on the group.
func tidy(t interface {
	Errorf(string, ...any)
	FailNow()
}, group *eqlxsim.Group) {
	require.Zero(t, group.Kicked(), "connections were cut")
	for _, v := range group.Volumes() {
		require.True(t, v.Online, "%s is offline", v.Name)
		require.Zero(t, v.SizeMB%1024, "%s has %d MB", v.Name, v.SizeMB)
		seen := map[string]bool{}
		for _, a := range v.Access {
			require.False(t, seen[a.Initiator], "%s has two records of %s", v.Name, a.Initiator)
			seen[a.Initiator] = true
		}
		for _, s := range v.Snapshots {
			require.False(t, strings.HasPrefix(s.Name, "volume-") && strings.HasPrefix(s.Description, "crowbar-"), "orphan %s", s.Name)
		}
	}
}

// backend manages a driver.
func backend(t testing.TB, d storage.Driver) *storage.Backend {
	t.Helper()
	m, err := storage.Open(context.Background(), storage.Config{Volumes: []storage.BackendConfig{{Driver: "eqlx", Name: "b"}}},
		map[string]storage.Opener{"eqlx": func(context.Context, string, json.RawMessage, storage.Deps) (storage.Driver, error) {
			return d, nil
		}})
	require.NoError(t, err)
	b, err := m.Backend("b")
	require.NoError(t, err)
	return b
}

// Every command of every operation, broken at every point: the operation either does what it
// says, or says that it is not known, or leaves everything as it was. Nothing is half-made.
func TestEveryCommandMayBreak(t *testing.T) {
	ctx := context.Background()
	connector := storage.Connector{Host: "n", Initiator: "iqn.2012-07.x:n"}
	operations := map[string]func(d *eqlx.Driver) error{
		"create": func(d *eqlx.Driver) error {
			_, err := d.Create(ctx, storage.VolumeSpec{ID: "new", SizeBytes: 1})
			return err
		},
		"connect":         func(d *eqlx.Driver) error { _, err := d.Connect(ctx, "v", connector); return err },
		"disconnect":      func(d *eqlx.Driver) error { return d.Disconnect(ctx, "c", connector) },
		"extend":          func(d *eqlx.Driver) error { _, err := d.Extend(ctx, "v", 2<<30); return err },
		"create snapshot": func(d *eqlx.Driver) error { _, err := d.CreateSnapshot(ctx, "v", "new"); return err },
		"delete snapshot": func(d *eqlx.Driver) error { return d.DeleteSnapshot(ctx, "v", "s") },
		"create from snapshot": func(d *eqlx.Driver) error {
			_, err := d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "new", SizeBytes: 2 << 30}, "v", "s")
			return err
		},
		"clone": func(d *eqlx.Driver) error { _, err := d.Clone(ctx, storage.VolumeSpec{ID: "new"}, "v"); return err },
		"clone bigger": func(d *eqlx.Driver) error {
			_, err := d.Clone(ctx, storage.VolumeSpec{ID: "new", SizeBytes: 3 << 30}, "v")
			return err
		},
		"delete":   func(d *eqlx.Driver) error { return d.Delete(ctx, "w") },
		"manage":   func(d *eqlx.Driver) error { _, err := d.Manage(ctx, "new", "foreign"); return err },
		"unmanage": func(d *eqlx.Driver) error { _, err := d.Unmanage(ctx, "w"); return err },
	}
	for name, do := range operations {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for _, point := range slices.Sorted(maps.Keys(losses)) {
				for n := 0; ; n++ {
					var f faults
					group, address := serve(t, eqlxsim.Config{Fault: f.fault})
					c := options(group, address)
					c.MultihostAccess, c.MaxSessions = true, 1
					d := open(t, c)
					create(t, d, "v", 1)
					_, err := d.CreateSnapshot(ctx, "v", "s")
					require.NoError(t, err)
					create(t, d, "c", 1)
					_, err = d.Connect(ctx, "c", connector)
					require.NoError(t, err)
					create(t, d, "w", 1)
					require.NoError(t, group.AddVolume(eqlxsim.Volume{Name: "foreign", SizeMB: 2048}))
					scheduled, err := group.AddSnapshot("volume-v")
					require.NoError(t, err)
					before := group.Volumes()
					_, from := sent(group, 0)
					f.nth(n, eqlxsim.Fault{Lose: losses[point]})
					err = do(d)
					f.set(nil)
					at := fmt.Sprintf("%s lost at command %d: %v", point, n, err)
					lines, _ := sent(group, from)
					after := group.Volumes()
					same := fmt.Sprint(before) == fmt.Sprint(after)
					switch {
					case err == nil:
						require.False(t, same, at)
					case !errors.Is(err, storage.ErrUnknownOutcome):
						require.True(t, same || name == "unmanage", "%s\nbefore %+v\nafter  %+v", at, before, after)
					}
					tidy(t, group)
					for _, v := range after {
						require.True(t, v.Multihost || !strings.HasPrefix(v.Name, "volume-"), "%s: %s lacks a setting", at, v.Name)
						require.True(t, v.Name != "volume-new" || name != "manage" || v.Description == "OpenStack Managed", "%s", at)
					}
					require.Condition(t, func() bool {
						for _, v := range after {
							for _, s := range v.Snapshots {
								if s.Name == scheduled {
									return true
								}
							}
						}
						return false
					}, "the scheduled snapshot is gone: %s", at)
					require.Eventually(t, func() bool { return group.Sessions() <= 1 }, 5*time.Second, time.Millisecond)
					if len(lines) <= n {
						require.NoError(t, err, "nothing broke")
						break
					}
				}
			}
		})
	}
}

// A cancelled or timed out command: the error says what is known, nothing is half-made, and
// no session stays.
func TestHangingCommands(t *testing.T) {
	for name, test := range map[string]struct {
		hang    string
		do      func(ctx context.Context, d *eqlx.Driver) error
		unknown bool
	}{
		"get": {"volume-v show", func(ctx context.Context, d *eqlx.Driver) error { _, err := d.Get(ctx, "v"); return err }, false},
		"create": {"volume create", func(ctx context.Context, d *eqlx.Driver) error {
			_, err := d.Create(ctx, storage.VolumeSpec{ID: "new", SizeBytes: 1})
			return err
		}, true},
		"clone": {"multihost", func(ctx context.Context, d *eqlx.Driver) error {
			_, err := d.Clone(ctx, storage.VolumeSpec{ID: "new"}, "v")
			return err
		}, false},
		"snapshot": {"create-now", func(ctx context.Context, d *eqlx.Driver) error { _, err := d.CreateSnapshot(ctx, "v", "s"); return err }, true},
		"rename":   {"rename", func(ctx context.Context, d *eqlx.Driver) error { _, err := d.CreateSnapshot(ctx, "v", "s"); return err }, true},
		"delete":   {"offline", func(ctx context.Context, d *eqlx.Driver) error { return d.Delete(ctx, "v") }, true},
	} {
		for _, cancelled := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/cancelled=%v", name, cancelled), func(t *testing.T) {
				t.Parallel()
				var f faults
				group, address := serve(t, eqlxsim.Config{Fault: f.fault})
				c := options(group, address)
				c.MultihostAccess, c.Retries, c.Timeout = true, -1, 2*time.Second
				if !cancelled {
					c.Timeout = 300 * time.Millisecond
				}
				d := open(t, c)
				create(t, d, "v", 1)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				f.set(func(line string) eqlxsim.Fault {
					if !strings.Contains(line, test.hang) {
						return eqlxsim.Fault{}
					}
					f.next = nil
					if cancelled {
						time.AfterFunc(50*time.Millisecond, cancel)
					}
					return eqlxsim.Fault{Lose: eqlxsim.Hang}
				})
				began := time.Now()
				err := test.do(ctx, d)
				require.Error(t, err)
				require.Less(t, time.Since(began), 5*time.Second)
				require.Equal(t, test.unknown, errors.Is(err, storage.ErrUnknownOutcome), "%v", err)
				require.Equal(t, cancelled, errors.Is(err, context.Canceled), "%v", err)
				_, err = d.Get(t.Context(), "v")
				require.NoError(t, err, "the driver goes on")
				tidy(t, group)
				if name == "clone" {
					require.Len(t, group.Volumes(), 1)
				}
				require.Eventually(t, func() bool { return group.Sessions() <= 1 }, 5*time.Second, time.Millisecond, "the hanging session was left")
			})
		}
	}
}

// TestModelWithFaults makes random calls through a Backend while connections break at random
// points, and compares what the group has with what was answered.
func TestModelWithFaults(t *testing.T) {
	var f faults
	group, address := serve(t, eqlxsim.Config{Fault: f.fault, CHAPUsers: []string{"u"}})
	c := options(group, address)
	c.MultihostAccess, c.MaxSessions, c.Clock = true, 2, clock.Scaled(20)
	d := open(t, c)
	b := backend(t, d)
	t.Cleanup(func() {
		require.Eventually(t, func() bool { return group.Sessions() <= 2 }, 5*time.Second, time.Millisecond)
	})
	ctx := context.Background()
	ids, snaps := []string{"a", "b", "C"}, []string{"s", "t"}
	initiator := func(host string) storage.Connector {
		return storage.Connector{Host: host, Initiator: "iqn.2012-07.x:" + host}
	}
	// state is what the group has of a volume, as the model sees it.
	type state struct {
		gb        int64
		access    []string
		snapshots []string
	}
	truth := func() map[string]state {
		all := map[string]state{}
		for _, v := range group.Volumes() {
			s := state{gb: v.SizeMB >> 10}
			for _, a := range v.Access {
				s.access = append(s.access, a.Initiator)
			}
			for _, n := range v.Snapshots {
				s.snapshots = append(s.snapshots, n.Name)
			}
			slices.Sort(s.access)
			slices.Sort(s.snapshots)
			all[v.Name] = s
		}
		return all
	}
	name := func(id string) string {
		return map[string]string{"a": "volume-a", "b": "volume-b", "C": "volume-:43"}[id]
	}
	rapid.Check(t, func(t *rapid.T) {
		f.set(nil)
		for _, id := range ids { // what the sequence before left
			left := truth()[name(id)]
			for _, iqn := range left.access {
				require.NoError(t, d.Disconnect(ctx, id, storage.Connector{Initiator: iqn}))
			}
			for _, s := range left.snapshots {
				require.NoError(t, d.DeleteSnapshot(ctx, id, strings.TrimPrefix(s, "snapshot-")))
			}
			if left.gb > 0 {
				require.NoError(t, d.Delete(ctx, id))
			}
		}
		require.Empty(t, truth())
		for range rapid.IntRange(1, 12).Draw(t, "calls") {
			id, other := rapid.SampledFrom(ids).Draw(t, "id"), rapid.SampledFrom(ids).Draw(t, "other")
			snap, host := rapid.SampledFrom(snaps).Draw(t, "snapshot"), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "host")
			gb := rapid.Int64Range(1, 3).Draw(t, "gb")
			if rapid.Bool().Draw(t, "breaks") {
				loss := rapid.SampledFrom(slices.Sorted(maps.Keys(losses))).Draw(t, "lost")
				f.nth(rapid.IntRange(0, 6).Draw(t, "command"), eqlxsim.Fault{Lose: losses[loss]})
			} else {
				f.set(nil)
			}
			before := truth()
			want := maps.Clone(before) // after success
			v, there := before[name(id)]
			op := rapid.SampledFrom([]string{"create", "delete", "connect", "disconnect", "extend", "snapshot", "delete snapshot", "clone", "from snapshot"}).Draw(t, "op")
			edit := func(do func(*state)) {
				if !there && op != "create" && op != "clone" && op != "from snapshot" {
					return // after a lost answer, what is not there counts as deleted
				}
				v.access, v.snapshots = slices.Clone(v.access), slices.Clone(v.snapshots)
				do(&v)
				slices.Sort(v.access)
				slices.Sort(v.snapshots)
				want[name(id)] = v
			}
			var err error
			switch op {
			case "create":
				_, err = b.Create(ctx, storage.VolumeSpec{ID: id, SizeBytes: gb << 30})
				if !there {
					edit(func(s *state) { s.gb = gb })
				}
			case "delete":
				err = b.Delete(ctx, id)
				delete(want, name(id))
			case "connect":
				_, err = b.Connect(ctx, id, initiator(host))
				edit(func(s *state) {
					if iqn := initiator(host).Initiator; !slices.Contains(s.access, iqn) {
						s.access = append(s.access, iqn)
					}
				})
			case "disconnect":
				err = b.Disconnect(ctx, id, initiator(host))
				edit(func(s *state) {
					s.access = slices.DeleteFunc(s.access, func(iqn string) bool { return iqn == initiator(host).Initiator })
				})
			case "extend":
				_, err = b.Extend(ctx, id, gb<<30)
				edit(func(s *state) { s.gb = max(s.gb, gb) })
			case "snapshot":
				_, err = b.CreateSnapshot(ctx, id, snap)
				edit(func(s *state) {
					if !slices.Contains(s.snapshots, "snapshot-"+snap) {
						s.snapshots = append(s.snapshots, "snapshot-"+snap)
					}
				})
			case "delete snapshot":
				err = b.DeleteSnapshot(ctx, id, snap)
				edit(func(s *state) {
					s.snapshots = slices.DeleteFunc(s.snapshots, func(n string) bool { return n == "snapshot-"+snap })
				})
			case "clone", "from snapshot":
				if op == "clone" {
					_, err = b.Clone(ctx, storage.VolumeSpec{ID: id, SizeBytes: gb << 30}, other)
				} else {
					_, err = b.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: id, SizeBytes: gb << 30}, other, snap)
				}
				if !there {
					edit(func(s *state) { s.gb = gb })
				}
			}
			f.set(nil)
			after := truth()
			switch {
			case err == nil:
				require.Equal(t, fmt.Sprint(want), fmt.Sprint(after), "%s %s succeeded", op, id)
			case errors.Is(err, storage.ErrUnknownOutcome):
				require.Contains(t, []string{fmt.Sprint(want), fmt.Sprint(before)}, fmt.Sprint(after), "%s %s: %v", op, id, err)
			default:
				require.Equal(t, fmt.Sprint(before), fmt.Sprint(after), "%s %s: %v", op, id, err)
			}
			tidy(t, group)
		}
	})
}

// TestModel is the suite's model, on a group that nothing goes wrong with.
func TestModel(t *testing.T) {
	storagetest.RunModel(t, func(t *testing.T) storagetest.Harness {
		group, address := serve(t, eqlxsim.Config{})
		return storagetest.Harness{Driver: open(t, options(group, address)), Unsupported: unsupported(), ModelChecks: 8}
	})
}

// A call that could not connect is ErrUnavailable only if nothing of it had arrived before.
func TestGoneHalfway(t *testing.T) {
	for name, test := range map[string]struct {
		after string // the connection ends after this command, and nobody answers any more
		do    func(ctx context.Context, d *eqlx.Driver) error
		want  error
	}{
		"repeated": {"offline", func(ctx context.Context, d *eqlx.Driver) error { return d.Delete(ctx, "v") }, storage.ErrUnknownOutcome},
		"read":     {"show", func(ctx context.Context, d *eqlx.Driver) error { return d.Delete(ctx, "v") }, storage.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			var f faults
			group, address := serve(t, eqlxsim.Config{Fault: f.fault})
			c := options(group, address)
			c.MaxSessions, c.Retries = 1, 1
			var dead atomic.Bool
			c.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if dead.Load() {
					return nil, errors.New("no route to host")
				}
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			d := open(t, c)
			create(t, d, "v", 1)
			f.set(func(line string) eqlxsim.Fault {
				if !strings.Contains(line, test.after) {
					return eqlxsim.Fault{}
				}
				dead.Store(true)
				return eqlxsim.Fault{Lose: eqlxsim.LoseReply}
			})
			err := test.do(t.Context(), d)
			require.ErrorIs(t, err, test.want)
			for _, other := range []error{storage.ErrUnavailable, storage.ErrUnknownOutcome} {
				if other != test.want {
					require.NotErrorIs(t, err, other)
				}
			}
		})
	}
}

// gated is a clock whose delays end when the test says so.
type gated struct {
	storage.Clock
	gate chan time.Time
}

func (g gated) After(time.Duration) <-chan time.Time { return g.gate }

// A maker that is cancelled before the group runs its command: what the group makes later is
// taken back, be the driver closed at once, and what was there before stays.
func TestCancelledMakersAreTakenBack(t *testing.T) {
	snapshot := func(ctx context.Context, d *eqlx.Driver) error {
		_, err := d.CreateSnapshot(ctx, "v", "new")
		return err
	}
	for name, test := range map[string]struct {
		at    string // the command during which the caller leaves
		do    func(context.Context, *eqlx.Driver) error
		there bool // a volume of the name that is to be made
		plain bool // the group knows no descriptions of snapshots
	}{
		"create": {at: "volume create", do: func(ctx context.Context, d *eqlx.Driver) error {
			_, err := d.Create(ctx, storage.VolumeSpec{ID: "new", SizeBytes: 1})
			return err
		}},
		"create what is there": {at: "volume create", there: true, do: func(ctx context.Context, d *eqlx.Driver) error {
			_, err := d.Create(ctx, storage.VolumeSpec{ID: "new", SizeBytes: 1})
			return err
		}},
		"clone": {at: " clone ", do: func(ctx context.Context, d *eqlx.Driver) error {
			_, err := d.Clone(ctx, storage.VolumeSpec{ID: "new"}, "v")
			return err
		}},
		"clone to what is there": {at: " clone ", there: true, do: func(ctx context.Context, d *eqlx.Driver) error {
			_, err := d.Clone(ctx, storage.VolumeSpec{ID: "new"}, "v")
			return err
		}},
		"snapshot":                     {at: "create-now", do: snapshot},
		"snapshot without description": {at: "create-now", do: snapshot, plain: true},
		"naming a snapshot":            {at: "snapshot rename", do: snapshot},
		"manage": {at: "volume rename", do: func(ctx context.Context, d *eqlx.Driver) error {
			_, err := d.Manage(ctx, "new", "foreign")
			return err
		}},
		"manage under a name that is there": {at: "volume rename", there: true, do: func(ctx context.Context, d *eqlx.Driver) error {
			_, err := d.Manage(ctx, "new", "foreign")
			return err
		}},
	} {
		for _, sessions := range []int{1, 4} {
			t.Run(fmt.Sprintf("%s/%d", strings.ReplaceAll(name, " ", "_"), sessions), func(t *testing.T) {
				t.Parallel()
				var f faults
				gate := make(chan time.Time, 1)
				group, address := serve(t, eqlxsim.Config{
					Fault: f.fault, Quirks: eqlxsim.Quirks{NoSnapshotDescription: test.plain}, Clock: gated{clock.System(), gate},
				})
				c := options(group, address)
				c.MaxSessions = sessions
				d := open(t, c)
				create(t, d, "v", 1)
				if test.there {
					create(t, d, "new", 1)
				}
				require.NoError(t, group.AddVolume(eqlxsim.Volume{Name: "foreign", SizeMB: 1024}))
				if test.plain { // it finds out
					_, err := d.CreateSnapshot(t.Context(), "v", "first")
					require.NoError(t, err)
				}
				before := group.Volumes()
				for _, closes := range []bool{false, true} {
					ctx, cancel := context.WithCancel(t.Context())
					f.set(func(line string) eqlxsim.Fault {
						if !strings.Contains(line, test.at) {
							return eqlxsim.Fault{}
						}
						f.next = nil
						cancel()
						return eqlxsim.Fault{Delay: time.Second} // until the gate opens
					})
					err := test.do(ctx, d) // returns, though the group has done nothing yet
					require.ErrorIs(t, err, context.Canceled)
					require.ErrorIs(t, err, storage.ErrUnknownOutcome)
					gate <- time.Time{}
					if closes {
						require.NoError(t, d.Close())
					} else {
						for _, id := range []string{"new", "v"} { // these wait for it
							if _, err = d.Get(t.Context(), id); err != nil {
								require.ErrorIs(t, err, storage.ErrNotFound)
							}
						}
					}
					require.Equal(t, fmt.Sprint(before), fmt.Sprint(group.Volumes()))
				}
			})
		}
	}
}
