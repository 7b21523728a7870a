package eqlx_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
	"github.com/crowbarkit/crowbarkit/storage/storagetest"
)

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
