package eqlx_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

func fresh(t *testing.T, change func(c *eqlx.Config, s *eqlxsim.Config, f *faults)) (*eqlxsim.Group, *eqlx.Driver, *faults) {
	t.Helper()
	f := &faults{}
	s := eqlxsim.Config{Fault: f.fault}
	c := eqlx.Config{}
	if change != nil {
		change(&c, &s, f)
	}
	group, address := serve(t, s)
	o := options(group, address)
	o.MultihostAccess, o.Retries, o.Pool = c.MultihostAccess, c.Retries, c.Pool
	return group, open(t, o), f
}

func busy(t *testing.T, err error) []string {
	t.Helper()
	var busy *storage.BusyError
	require.ErrorAs(t, err, &busy)
	return busy.Dependents
}

func TestDeleteNamesWhatIsInTheWay(t *testing.T) {
	group, d, f := fresh(t, nil)
	ctx := t.Context()
	create(t, d, "v", 1)
	require.NoError(t, group.SetConnections("volume-v", 2))
	require.Equal(t, []string{"2 iSCSI connections"}, busy(t, d.Delete(ctx, "v")))
	require.NoError(t, group.SetConnections("volume-v", 0))
	_, err := d.CreateSnapshot(ctx, "v", "Nightly")
	require.NoError(t, err)
	scheduled, err := group.AddSnapshot("volume-v")
	require.NoError(t, err)
	_, err = d.Connect(ctx, "v", storage.Connector{Initiator: "iqn.2012-07.x:a"})
	require.NoError(t, err)
	require.Equal(t, []string{"snapshot Nightly", "snapshot " + scheduled, "connection iqn.2012-07.x:a"}, busy(t, d.Delete(ctx, "v")))
	require.NoError(t, d.Disconnect(ctx, "v", storage.Connector{Initiator: "IQN.2012-07.X:A"}), "case does not count")
	require.Empty(t, group.Volumes()[0].Access)

	// An error of the group after the volume was set offline: it comes back online.
	create(t, d, "w", 1)
	f.once("volume delete", eqlxsim.Fault{Error: "Volume has active connections."})
	require.Equal(t, []string{"Volume has active connections"}, busy(t, d.Delete(ctx, "w")))
	tidy(t, group)
	f.once("volume delete", eqlxsim.Fault{Error: "The moon is full."})
	err = d.Delete(ctx, "w")
	var said *eqlx.CommandError
	require.ErrorAs(t, err, &said)
	require.Equal(t, "volume delete volume-w", said.Command)
	require.Equal(t, "The moon is full.", said.Message)
	for _, kind := range []error{storage.ErrBusy, storage.ErrNotFound, storage.ErrNoSpace, storage.ErrExists, storage.ErrUnknownOutcome} {
		require.NotErrorIs(t, err, kind)
	}
	tidy(t, group)

	// A volume that was offline stays so.
	f.set(func(line string) eqlxsim.Fault {
		if strings.HasSuffix(line, " online") || strings.HasPrefix(line, "volume delete") {
			return eqlxsim.Fault{Error: "The moon is full."}
		}
		return eqlxsim.Fault{}
	})
	require.Error(t, d.Delete(ctx, "w"))
	f.set(nil)
	require.False(t, group.Volumes()[1].Online, "nobody could help it")
	f.once("volume delete", eqlxsim.Fault{Error: "The moon is full."})
	require.Error(t, d.Delete(ctx, "w"))
	require.False(t, group.Volumes()[1].Online)
	require.NoError(t, d.Delete(ctx, "w"))
}

// A volume that others made by a size of their own grows to the whole gigabytes that it is said to have.
func TestExtendToWholeGigabytes(t *testing.T) {
	group, d, _ := fresh(t, nil)
	require.NoError(t, group.AddVolume(eqlxsim.Volume{Name: "volume-v", SizeMB: 1536}))
	for range 2 {
		v, err := d.Extend(t.Context(), "v", 2*gib)
		require.NoError(t, err)
		require.Equal(t, 2*gib, v.SizeBytes)
		require.EqualValues(t, 2048, group.Volumes()[0].SizeMB)
	}
}

// A driver that dies between making and naming a snapshot leaves one behind; the next that
// makes the same snapshot, or deletes the volume, removes it. Those of schedules stay.
func TestOrphansAreFound(t *testing.T) {
	group, d, f := fresh(t, func(c *eqlx.Config, _ *eqlxsim.Config, _ *faults) { c.Retries = -1 })
	ctx := t.Context()
	create(t, d, "v", 1)
	scheduled, err := group.AddSnapshot("volume-v")
	require.NoError(t, err)
	die := func(id string) {
		t.Helper()
		dead := false
		f.set(func(line string) eqlxsim.Fault {
			if dead = dead || strings.Contains(line, "rename"); dead {
				return eqlxsim.Fault{Lose: eqlxsim.LoseCommand}
			}
			return eqlxsim.Fault{}
		})
		_, err := d.CreateSnapshot(ctx, id, "s")
		require.ErrorIs(t, err, storage.ErrUnknownOutcome)
		require.ErrorContains(t, err, "the group closed the connection")
		f.set(nil)
	}
	die("v")
	require.Len(t, group.Volumes()[0].Snapshots, 2, "the orphan")
	_, err = d.CreateSnapshot(ctx, "v", "other")
	require.NoError(t, err)
	require.Len(t, group.Volumes()[0].Snapshots, 3, "another snapshot's orphan may be in the making")
	require.NoError(t, d.DeleteSnapshot(ctx, "v", "other"))
	_, err = d.CreateSnapshot(ctx, "v", "s")
	require.NoError(t, err)
	names := []string{}
	for _, s := range group.Volumes()[0].Snapshots {
		names = append(names, s.Name)
	}
	require.Equal(t, []string{scheduled, "snapshot-s"}, names)
	// What was found to be a schedule's is not asked for again.
	_, n := sent(group, 0)
	_, err = d.CreateSnapshot(ctx, "v", "t")
	require.NoError(t, err)
	lines, _ := sent(group, n)
	require.NotContains(t, strings.Join(lines, "\n"), "snapshot select "+scheduled)

	// Beside a schedule's snapshot the orphan is in nobody's way; alone it goes with the volume.
	create(t, d, "w", 1)
	die("w")
	require.Len(t, group.Volumes()[1].Snapshots, 1)
	require.NoError(t, d.Delete(ctx, "w"))
	create(t, d, "w", 1)
	scheduled, err = group.AddSnapshot("volume-w")
	require.NoError(t, err)
	die("w")
	require.Equal(t, []string{"snapshot " + scheduled}, busy(t, d.Delete(ctx, "w")))
}

// IDs that do not fit into a name are in the description, and survive a driver.
// A snapshot is tried without its description only where the group may not know that word.
func TestSnapshotThatIsRefused(t *testing.T) {
	group, d, f := fresh(t, nil)
	create(t, d, "v", 1)
	f.once("create-now", eqlxsim.Fault{Error: "Not enough free space."})
	_, err := d.CreateSnapshot(t.Context(), "v", "s")
	require.ErrorIs(t, err, storage.ErrNoSpace)
	require.Empty(t, group.Volumes()[0].Snapshots)
}

func TestLongIDs(t *testing.T) {
	group, d, _ := fresh(t, nil)
	ctx := t.Context()
	long := []string{strings.Repeat("x", 63), strings.Repeat("A_", 31), "short"}
	for _, id := range long {
		create(t, d, id, 1)
	}
	clone := strings.Repeat("y", 60)
	_, err := d.Clone(ctx, storage.VolumeSpec{ID: clone, SizeBytes: 2 << 30}, long[0])
	require.NoError(t, err)
	volumes, err := d.List(ctx, "", 10)
	require.NoError(t, err)
	var ids []string
	for _, v := range volumes {
		ids = append(ids, v.ID)
		require.LessOrEqual(t, len(v.Name), 63)
	}
	require.Equal(t, []string{long[1], "short", long[0], clone}, ids)
	name, err := d.Unmanage(ctx, long[0])
	require.NoError(t, err)
	require.LessOrEqual(t, len(name), 63)
	taken := strings.Repeat("z", 63)
	_, err = d.Manage(ctx, taken, name)
	require.NoError(t, err)
	volumes, err = d.List(ctx, clone, 10)
	require.NoError(t, err)
	require.Len(t, volumes, 1)
	require.Equal(t, taken, volumes[0].ID)
	require.Condition(t, func() bool {
		return slices.ContainsFunc(group.Volumes(), func(v eqlxsim.Volume) bool { return v.Description == "OpenStack Managed id="+taken })
	})
}

func TestManage(t *testing.T) {
	group, d, f := fresh(t, func(c *eqlx.Config, _ *eqlxsim.Config, _ *faults) { c.MultihostAccess = true })
	ctx := t.Context()
	for _, v := range []eqlxsim.Volume{{Name: "Mixed", SizeMB: 1035}, {Name: "used", SizeMB: 1024, Connections: 1}, {Name: "b", SizeMB: 1024}} {
		require.NoError(t, group.AddVolume(v))
	}
	create(t, d, "own", 1)
	found, err := d.Manageable(ctx, "", 10)
	require.NoError(t, err)
	require.Equal(t, []storage.Manageable{{Name: "Mixed", SizeBytes: 1085276160}, {Name: "b", SizeBytes: 1 << 30}, {Name: "used", SizeBytes: 1 << 30, Reason: "1 iSCSI connections"}}, found)
	_, err = d.Manage(ctx, "x", "used")
	require.Equal(t, []string{"1 iSCSI connections"}, busy(t, err))
	_, err = d.Manage(ctx, "own", "b")
	require.ErrorIs(t, err, storage.ErrExists)
	_, err = d.Manage(ctx, "own", "volume-own")
	require.ErrorIs(t, err, storage.ErrExists)
	_, err = d.Manage(ctx, "other", "volume-own")
	require.ErrorIs(t, err, storage.ErrInvalid)
	_, err = d.Manage(ctx, "none", "volume-none")
	require.ErrorIs(t, err, storage.ErrNotFound, "a name of ours that is not there")

	// A step fails: the volume has its name again.
	f.once(" size ", eqlxsim.Fault{Error: "Not enough free space."})
	_, err = d.Manage(ctx, "m", "Mixed")
	require.ErrorIs(t, err, storage.ErrNoSpace)
	_, err = d.Get(ctx, "m")
	require.ErrorIs(t, err, storage.ErrNotFound)

	v, err := d.Manage(ctx, "m", "Mixed")
	require.NoError(t, err)
	require.EqualValues(t, 2<<30, v.SizeBytes, "whole gigabytes")
	got, err := d.Get(ctx, "m")
	require.NoError(t, err)
	require.Equal(t, v, got)
	for _, on := range group.Volumes() {
		if on.Name == "volume-m" {
			require.Equal(t, "OpenStack Managed", on.Description)
			require.True(t, on.Multihost)
			require.Contains(t, on.IQN, "-mixed", "the target stays")
		}
	}
}

// A step of a maker fails with an error of the group: nothing stays.
func TestMakersLeaveNothing(t *testing.T) {
	group, d, f := fresh(t, func(c *eqlx.Config, _ *eqlxsim.Config, _ *faults) { c.MultihostAccess = true })
	ctx := t.Context()
	create(t, d, "v", 1)
	_, err := d.CreateSnapshot(ctx, "v", "s")
	require.NoError(t, err)
	for words, do := range map[string]func() error{
		"multihost": func() error { _, err := d.Create(ctx, storage.VolumeSpec{ID: "w", SizeBytes: 1}); return err },
		" size ":    func() error { _, err := d.Clone(ctx, storage.VolumeSpec{ID: "w", SizeBytes: 2 << 30}, "v"); return err },
		" size": func() error {
			_, err := d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "w", SizeBytes: 2 << 30}, "v", "s")
			return err
		},
		"rename": func() error { _, err := d.CreateSnapshot(ctx, "v", "t"); return err },
	} {
		f.once(words, eqlxsim.Fault{Error: "Not enough free space."})
		require.ErrorIs(t, do(), storage.ErrNoSpace, words)
		require.Len(t, group.Volumes(), 1, words)
		require.Len(t, group.Volumes()[0].Snapshots, 1, words)
	}
}

// A snapshot whose ID does not fit into a name is listed by its description, and where the group
// takes none, not at all.
func TestLongSnapshotIDs(t *testing.T) {
	for name, quirks := range map[string]eqlxsim.Quirks{"description": {}, "none": {NoSnapshotDescription: true}} {
		t.Run(name, func(t *testing.T) {
			group, address := serve(t, eqlxsim.Config{Quirks: quirks})
			d := open(t, options(group, address))
			create(t, d, "v", 1)
			want := []string{"a", strings.Repeat("Z", storage.MaxID)}
			for _, id := range want {
				_, err := d.CreateSnapshot(t.Context(), "v", id)
				require.NoError(t, err)
			}
			_, err := group.AddSnapshot("volume-v") // a schedule's
			require.NoError(t, err)
			if quirks.NoSnapshotDescription {
				want = want[:1]
			}
			listed, err := d.ListSnapshots(t.Context(), "v", "", 10)
			require.NoError(t, err)
			var ids []string
			for _, s := range listed {
				ids = append(ids, s.ID)
			}
			require.ElementsMatch(t, want, ids)
		})
	}
}
