package eqlx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

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

// Of two records one is deleted, and then nobody can be reached: that nothing changed would be wrong.
func TestGoneBetweenRecords(t *testing.T) {
	connect := func(ctx context.Context, d *eqlx.Driver) error { _, err := d.Connect(ctx, "v", node("n")); return err }
	disconnect := func(ctx context.Context, d *eqlx.Driver) error { return d.Disconnect(ctx, "v", node("n")) }
	for name, test := range map[string]struct {
		do    func(ctx context.Context, d *eqlx.Driver) error
		after string
		left  int
	}{
		"nothing was changed": {disconnect, "access show", 2},
		"one was deleted":     {disconnect, "access delete", 1},
		"one was made":        {connect, "access create", 3}, // and the open ones are to go
	} {
		t.Run(name, func(t *testing.T) {
			group, address := serve(t, chapGroup())
			c := options(group, address)
			c.MaxSessions, c.Retries = 1, -1
			c.CHAP, c.CHAPUsername, c.CHAPPassword = true, "chapadmin", chapSecret
			var conn net.Conn
			dead := false
			c.Dial = func(ctx context.Context, network, address string) (_ net.Conn, err error) {
				if dead {
					return nil, errors.New("no route to host")
				}
				conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
				return conn, err
			}
			// What is logged of a command is logged when it has been answered.
			c.Logger = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == "line" && strings.Contains(a.Value.String(), test.after) {
					dead = true
					conn.Close() //nolint:errcheck // that is the test
				}
				return a
			}}))
			d := open(t, c)
			create(t, d, "v", 1)
			for range 2 {
				require.NoError(t, group.AddAccess("volume-v", eqlxsim.Access{Initiator: node("n").Initiator}))
			}
			err := test.do(t.Context(), d)
			require.Len(t, group.Volumes()[0].Access, test.left)
			if test.left == 2 {
				require.ErrorIs(t, err, storage.ErrUnavailable)
				require.NotErrorIs(t, err, storage.ErrUnknownOutcome)
				return
			}
			require.ErrorIs(t, err, storage.ErrUnknownOutcome)
			require.NotErrorIs(t, err, storage.ErrUnavailable)
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
