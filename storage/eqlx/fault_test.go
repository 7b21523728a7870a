package eqlx_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

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
