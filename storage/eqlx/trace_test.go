package eqlx_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

// sent returns the lines since the n-th, without those that set shells up.
func sent(group *eqlxsim.Group, n int) (lines []string, next int) {
	all := group.Commands()
	for _, c := range all[n:] {
		if !strings.HasPrefix(c.Line, "stty ") && !strings.HasPrefix(c.Line, "cli-settings ") {
			lines = append(lines, c.Line)
		}
	}
	return lines, len(all)
}

var arrayMade = regexp.MustCompile(`volume-[0-9a-f-]+-\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d\.\d+`)

// TestTrace is the trace of Cinder's last driver, step by step. Lines
// that begin with "+" are ours on purpose, lines with "-" were Cinder's and are not sent:
//
//   - multihost-access only when the option asks for it, which it does here;
//   - what the volume is, is asked of the group, where Cinder had a database: a show before
//     attach, extend, snapshot, clone; no provider_location is kept;
//   - a first attach asks for the group's address, which Cinder's driver did at set-up;
//   - the snapshot is marked until it has its name;
//   - an access record is looked for before a volume is deleted;
//   - unmanage changes the name, as the name says whose a volume is, and before the description;
//   - a repeated attach or detach changes nothing; a missing snapshot or volume is asked for
//     once, not three times.
func TestTrace(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{Pools: []eqlxsim.Pool{{Name: "default", CapacityGB: 500}}})
	c := options(group, address)
	c.MultihostAccess, c.MaxSessions = true, 1
	d := open(t, c)
	ctx := t.Context()
	connector := storage.Connector{Host: "node1", Initiator: "iqn.1993-08.org.debian:01:2227dab76162"}
	const gb = 1 << 30
	steps := []struct {
		name string
		do   func() error
		want string
	}{
		{"create", func() error { _, err := d.Create(ctx, storage.VolumeSpec{ID: "1111", SizeBytes: gb}); return err }, `
			volume create volume-1111 1G thin-provision
			volume select volume-1111 multihost-access enable`},
		{"attach", func() error { _, err := d.Connect(ctx, "1111", connector); return err }, `
			+grpparams show
			+volume select volume-1111 show
			volume select volume-1111 access show
			volume select volume-1111 access create initiator iqn.1993-08.org.debian:01:2227dab76162`},
		{"attach again", func() error { _, err := d.Connect(ctx, "1111", connector); return err }, `
			+volume select volume-1111 show
			volume select volume-1111 access show
			-volume select volume-1111 access create initiator iqn.1993-08.org.debian:01:2227dab76162`},
		{"detach", func() error { return d.Disconnect(ctx, "1111", connector) }, `
			+volume select volume-1111 show
			volume select volume-1111 access show
			+volume select volume-1111 access delete 1`},
		{"detach again", func() error { return d.Disconnect(ctx, "1111", connector) }, `
			+volume select volume-1111 show
			volume select volume-1111 access show`},
		{"extend", func() error { _, err := d.Extend(ctx, "1111", 3*gb); return err }, `
			+volume select volume-1111 show
			volume select volume-1111 size 3G no-snap`},
		{"snapshot", func() error { _, err := d.CreateSnapshot(ctx, "1111", "1"); return err }, `
			+volume select volume-1111 show
			-volume select volume-1111 snapshot create-now
			+volume select volume-1111 snapshot create-now description crowbar-snapshot-1
			volume select volume-1111 snapshot rename ARRAY-MADE-NAME snapshot-1`},
		{"from snapshot, bigger", func() error {
			_, err := d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "2222", SizeBytes: 4 * gb}, "1111", "1")
			return err
		}, `
			+volume select volume-1111 show
			+volume select volume-1111 snapshot select snapshot-1 show
			+volume select volume-2222 show
			volume select volume-1111 snapshot select snapshot-1 clone volume-2222
			volume select volume-2222 size 4G no-snap
			volume select volume-2222 multihost-access enable`},
		{"clone", func() error { _, err := d.Clone(ctx, storage.VolumeSpec{ID: "3333"}, "1111"); return err }, `
			+volume select volume-1111 show
			volume select volume-1111 clone volume-3333
			volume select volume-3333 multihost-access enable`},
		{"stats", func() error { _, err := d.Stats(ctx); return err }, `
			pool select default show`},
		{"unmanage", func() error { _, err := d.Unmanage(ctx, "3333"); return err }, `
			+volume select volume-3333 show
			+volume rename volume-3333 unmanaged-volume-3333
			-volume select volume-3333 description "OpenStack UnManaged"
			+volume select unmanaged-volume-3333 description "OpenStack UnManaged"`},
		{"manage", func() error { _, err := d.Manage(ctx, "4444", "unmanaged-volume-3333"); return err }, `
			volume select unmanaged-volume-3333 show
			volume rename unmanaged-volume-3333 volume-4444
			volume select volume-4444 description "OpenStack Managed"
			volume select volume-4444 multihost-access enable
			-volume select volume-4444 show`},
		{"delete snapshot", func() error { return d.DeleteSnapshot(ctx, "1111", "1") }, `
			+volume select volume-1111 show
			volume select volume-1111 snapshot delete snapshot-1`},
		{"delete a missing snapshot", func() error {
			err := d.DeleteSnapshot(ctx, "1111", "1")
			require.ErrorIs(t, err, storage.ErrNotFound)
			return nil
		}, `
			+volume select volume-1111 show
			volume select volume-1111 snapshot delete snapshot-1
			-volume select volume-1111 snapshot delete snapshot-1
			-volume select volume-1111 snapshot delete snapshot-1`},
		{"delete", func() error { return d.Delete(ctx, "1111") }, `
			volume select volume-1111 show
			+volume select volume-1111 access show
			volume select volume-1111 offline
			volume delete volume-1111`},
		{"delete a missing volume", func() error {
			err := d.Delete(ctx, "1111")
			require.ErrorIs(t, err, storage.ErrNotFound)
			return nil
		}, `
			volume select volume-1111 show
			-volume select volume-1111 show
			-volume select volume-1111 show`},
		{"list", func() error { _, err := d.List(ctx, "", 10); return err }, `
			+volume show`},
		{"get", func() error { _, err := d.Get(ctx, "2222"); return err }, `
			volume select volume-2222 show`},
	}
	n := 0
	for _, step := range steps {
		require.NoError(t, step.do(), step.name)
		var lines []string
		lines, n = sent(group, n)
		var want []string
		for line := range strings.SplitSeq(strings.TrimSpace(step.want), "\n") {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-") {
				want = append(want, strings.TrimPrefix(line, "+"))
			}
		}
		for i, line := range lines {
			lines[i] = arrayMade.ReplaceAllString(line, "ARRAY-MADE-NAME")
		}
		require.Equal(t, want, lines, step.name)
	}
	// A shell is set up once.
	var setup []string
	for _, command := range group.Commands() {
		require.Equal(t, 1, command.Session)
		if strings.HasPrefix(command.Line, "stty ") || strings.HasPrefix(command.Line, "cli-settings ") {
			setup = append(setup, command.Line)
		}
	}
	require.Equal(t, []string{"stty columns 255", "cli-settings confirmation off", "cli-settings paging off", "cli-settings events off", "cli-settings formatoutput off",
		"cli-settings reprintBadInput off", "cli-settings displayinMB on"}, setup)
}

func TestPoolsThickAndCHAP(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{Pools: []eqlxsim.Pool{{Name: "default", CapacityGB: 100}, {Name: "non-default", CapacityGB: 100}}, CHAPUsers: []string{"USER"}})
	c := options(group, address)
	c.Pool, c.MaxSessions = "non-default", 1
	thin := open(t, c)
	_, err := thin.Create(t.Context(), storage.VolumeSpec{ID: "NAME", SizeBytes: 1})
	require.NoError(t, err)
	c.ThickProvision, c.CHAP, c.CHAPUsername, c.CHAPPassword = true, true, "USER", chapSecret
	thick := open(t, c)
	require.NotNil(t, create(t, thick, "b", 2))
	connection, err := thick.Connect(t.Context(), "b", storage.Connector{Host: "n", Initiator: "iqn.2012-07.x:a"})
	require.NoError(t, err)
	require.Equal(t, "CHAP", connection.ISCSI.AuthMethod)
	require.Equal(t, "USER", connection.ISCSI.AuthUsername)
	require.Equal(t, chapSecret, connection.ISCSI.AuthPassword)
	lines, _ := sent(group, 0)
	require.Contains(t, lines, "volume create volume-:4e:41:4d:45 1G pool non-default thin-provision")
	require.Contains(t, lines, "volume create volume-b 2G pool non-default")
	require.Contains(t, lines, "volume select volume-b access create initiator iqn.2012-07.x:a authmethod chap username USER")
	for _, line := range lines {
		noSecrets(t, line)
	}
	require.Equal(t, []string{"non-default", "non-default"}, []string{group.Volumes()[0].Pool, group.Volumes()[1].Pool})
}

// A record from before CHAP was turned on would let the initiator in without the secret.
func TestCHAPReplacesOpenRecords(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{CHAPUsers: []string{"u"}})
	c := options(group, address)
	plain := open(t, c)
	create(t, plain, "v", 1)
	connectors := []storage.Connector{{Host: "a", Initiator: "iqn.2012-07.x:a"}, {Host: "b", Initiator: "iqn.2012-07.x:b"}}
	for _, connector := range connectors {
		_, err := plain.Connect(t.Context(), "v", connector)
		require.NoError(t, err)
	}
	c.CHAP, c.CHAPUsername, c.CHAPPassword = true, "u", chapSecret
	chap := open(t, c)
	for range 2 {
		_, err := chap.Connect(t.Context(), "v", connectors[0])
		require.NoError(t, err)
	}
	require.Equal(t, []eqlxsim.Access{{ID: 2, Initiator: "iqn.2012-07.x:b"}, {ID: 3, Initiator: "iqn.2012-07.x:a", CHAPUser: "u"}}, group.Volumes()[0].Access)
	// An account that the group does not have is an error, not an open door.
	c.CHAPUsername = "absent"
	_, err := open(t, c).Connect(t.Context(), "v", connectors[0])
	var said *eqlx.CommandError
	require.ErrorAs(t, err, &said)
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.Contains(t, said.Message, "absent")
}

// What an ID, an initiator or a name holds, never becomes a command.
func TestNothingIsSmuggledIn(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	d := open(t, options(group, address))
	ctx := t.Context()
	create(t, d, "v", 1)
	_, n := sent(group, 0)
	for _, bad := range []string{"v\rvolume delete volume-v", "v\n", "v volume", `v"`, "v'", "group-0> ", "-v", "", "v\x00", "v;w", "ü"} {
		for _, err := range []error{
			func() error { _, err := d.Create(ctx, storage.VolumeSpec{ID: bad, SizeBytes: 1}); return err }(),
			func() error { _, err := d.Get(ctx, bad); return err }(),
			d.Delete(ctx, bad),
			func() error { _, err := d.Connect(ctx, bad, storage.Connector{Initiator: "iqn.x:a"}); return err }(),
			func() error {
				_, err := d.Connect(ctx, "v", storage.Connector{Initiator: "iqn.x:" + bad + " "})
				return err
			}(),
			func() error { _, err := d.Connect(ctx, "v", storage.Connector{Initiator: bad}); return err }(),
			d.Disconnect(ctx, "v", storage.Connector{Initiator: bad}),
			func() error { _, err := d.Extend(ctx, bad, 1); return err }(),
			func() error { _, err := d.CreateSnapshot(ctx, bad, "s"); return err }(),
			func() error { _, err := d.CreateSnapshot(ctx, "v", bad); return err }(),
			func() error { _, err := d.GetSnapshot(ctx, "v", bad); return err }(),
			d.DeleteSnapshot(ctx, "v", bad),
			func() error { _, err := d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "w"}, "v", bad); return err }(),
			func() error { _, err := d.Clone(ctx, storage.VolumeSpec{ID: "w"}, bad); return err }(),
			func() error { _, err := d.Manage(ctx, bad, "x"); return err }(),
			func() error { _, err := d.Manage(ctx, "w", bad); return err }(),
			func() error { _, err := d.Unmanage(ctx, bad); return err }(),
		} {
			require.ErrorIs(t, err, storage.ErrInvalid, "%q", bad)
		}
		_, err := d.Clone(ctx, storage.VolumeSpec{ID: bad}, "v")
		require.ErrorIs(t, err, storage.ErrInvalid)
	}
	lines, _ := sent(group, n)
	for _, line := range lines {
		require.Equal(t, "volume select volume-v show", line) // the source of the clone
	}
}
