package eqlx_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

const gib = int64(1) << 30

func node(name string) storage.Connector {
	return storage.Connector{Host: name, Initiator: "iqn.1993-08.org.debian:01:" + name}
}

// A group that prints its prompt once too often, while a command runs: no later command takes the
// answer of another one for its own.
func TestAnswersArePairedWithTheirCommands(t *testing.T) {
	for _, quirks := range []eqlxsim.Quirks{{}, {NoEcho: true}} {
		for name, use := range map[string]func(t *testing.T, group *eqlxsim.Group, d *eqlx.Driver){
			"get": func(t *testing.T, _ *eqlxsim.Group, d *eqlx.Driver) {
				for range 3 {
					v, err := d.Get(t.Context(), "b")
					require.NoError(t, err)
					require.Equal(t, 2*gib, v.SizeBytes)
				}
			},
			"delete": func(t *testing.T, group *eqlxsim.Group, d *eqlx.Driver) {
				require.ErrorIs(t, d.Delete(t.Context(), "c"), storage.ErrBusy)
				require.Len(t, group.Volumes(), 3)
			},
			"connect": func(t *testing.T, group *eqlxsim.Group, d *eqlx.Driver) {
				c, err := d.Connect(t.Context(), "b", node("b"))
				require.NoError(t, err)
				require.Equal(t, group.Volumes()[1].IQN, c.ISCSI.TargetIQN)
			},
		} {
			t.Run(fmt.Sprintf("%s/echo=%v", name, !quirks.NoEcho), func(t *testing.T) {
				t.Parallel()
				var f faults
				group, address := serve(t, eqlxsim.Config{Fault: f.fault, Quirks: quirks})
				o := options(group, address)
				o.MaxSessions = 1
				d := open(t, o)
				for i, id := range []string{"a", "b", "c"} {
					create(t, d, id, int64(i+1))
				}
				_, err := d.CreateSnapshot(t.Context(), "c", "nightly")
				require.NoError(t, err)
				_, err = d.Connect(t.Context(), "a", node("a")) // which learns where the group is
				require.NoError(t, err)
				require.NoError(t, group.SetConnections("volume-c", 1))
				f.once("volume-a show", eqlxsim.Fault{Event: "INFO: volume-a is being moved."})
				_, err = d.Get(t.Context(), "a")
				require.Error(t, err, "there was no answer")
				use(t, group, d)
				require.Zero(t, group.Kicked())
			})
		}
	}
}

// Sizes of 1 TB and more, which groups print in hundredths of a TB unless they are asked not to.
func TestBigVolumes(t *testing.T) {
	big := eqlxsim.Config{Pools: []eqlxsim.Pool{{Name: "default", CapacityGB: 1 << 20}}}
	ctx := t.Context()
	t.Run("exact", func(t *testing.T) {
		var f faults
		c := big
		c.Fault = f.fault
		group, address := serve(t, c)
		b := backend(t, open(t, options(group, address)))
		for _, gb := range []int64{1024, 1100, 1101, 1500, 2047, 3000, 15000} {
			id, size := fmt.Sprint("v", gb), gb*gib
			f.once("volume create", eqlxsim.Fault{Lose: eqlxsim.LoseReply})
			for range 2 {
				v, err := b.Create(ctx, storage.VolumeSpec{ID: id, SizeBytes: size})
				require.NoError(t, err)
				require.Equal(t, size, v.SizeBytes)
			}
			_, err := b.Clone(ctx, storage.VolumeSpec{ID: id + "c", SizeBytes: size}, id)
			require.NoError(t, err)
			_, err = b.Extend(ctx, id, size-gib)
			require.ErrorIs(t, err, storage.ErrInvalid)
			v, err := b.Extend(ctx, id, size+gib)
			require.NoError(t, err)
			require.Equal(t, size+gib, v.SizeBytes)
			require.NoError(t, group.AddVolume(eqlxsim.Volume{Name: fmt.Sprint("old-", gb), SizeMB: gb << 10}))
			v, err = b.Manage(ctx, id+"m", fmt.Sprint("old-", gb))
			require.NoError(t, err)
			require.Equal(t, size, v.SizeBytes)
		}
		all, err := b.List(ctx, "", 100)
		require.NoError(t, err)
		sizes := map[string]int64{}
		for _, v := range group.Volumes() {
			sizes[v.Name] = v.SizeMB << 20
		}
		require.Len(t, all, len(sizes))
		for _, v := range all {
			require.Equal(t, sizes[v.Name], v.SizeBytes)
		}
	})
	t.Run("rough", func(t *testing.T) {
		c := big
		c.Quirks.RoughSizes = true
		group, address := serve(t, c)
		d := open(t, options(group, address))
		for _, gb := range []int64{1100, 1101, 3000} {
			id := fmt.Sprint("v", gb)
			create(t, d, id, gb)
			for size := gb - 20; size <= gb+20; size++ {
				_, err := d.Extend(ctx, id, size*gib) // what cannot be told is not asked for
				if err != nil {
					require.ErrorIs(t, err, storage.ErrInvalid)
				}
			}
			_, err := d.Extend(ctx, id, (gb+100)*gib)
			require.NoError(t, err)
			_, err = d.Clone(ctx, storage.VolumeSpec{ID: id + "c"}, id)
			require.NoError(t, err)
			require.NoError(t, group.AddVolume(eqlxsim.Volume{Name: fmt.Sprint("old-", gb), SizeMB: gb << 10}))
			_, err = d.Manage(ctx, id+"m", fmt.Sprint("old-", gb))
			require.NoError(t, err)
		}
		sizes := map[string]int64{}
		for _, v := range group.Volumes() {
			sizes[v.Name] = v.SizeMB >> 10
		}
		for _, gb := range []int64{1100, 1101, 3000} {
			require.Equal(t, gb, sizes[fmt.Sprint("volume-v", gb, "m")], "what is taken over keeps its size")
			require.Equal(t, gb+100, sizes[fmt.Sprint("volume-v", gb)])
		}
		lines, _ := sent(group, 0)
		has := map[string]int64{}
		for _, line := range lines { // no shrink was ever asked for
			var name string
			var gb int64
			if n, _ := fmt.Sscanf(line, "volume create %s %dG", &name, &gb); n == 2 {
				has[name] = gb
			}
			if n, _ := fmt.Sscanf(line, "volume select %s size %dG", &name, &gb); n == 2 {
				require.Greater(t, gb, has[name], line)
				has[name] = gb
			}
		}
	})
}

// Case does not count in names on a group, so what differs in case is the only volume of its name,
// and not this driver's.
func TestNamesOfOtherCase(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	d := open(t, options(group, address))
	b := backend(t, d)
	ctx := t.Context()
	require.NoError(t, group.AddVolume(eqlxsim.Volume{Name: "Volume-Legacy", SizeMB: 10 << 10}))
	_, err := b.Get(ctx, "legacy")
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.ErrorContains(t, err, `the group has "Volume-Legacy"`)
	_, err = b.Create(ctx, storage.VolumeSpec{ID: "legacy", SizeBytes: 10 * gib})
	require.ErrorIs(t, err, storage.ErrExists)
	require.ErrorIs(t, b.Delete(ctx, "legacy"), storage.ErrNotFound)
	require.NoError(t, group.AddAccess("volume-legacy", eqlxsim.Access{Initiator: node("n").Initiator}))
	theirs := group.Volumes()
	require.ErrorIs(t, b.Disconnect(ctx, "legacy", node("n")), storage.ErrNotFound)
	require.ErrorContains(t, b.DeleteSnapshot(ctx, "legacy", "s"), `the group has "Volume-Legacy"`)
	_, err = b.Unmanage(ctx, "legacy")
	require.ErrorIs(t, err, storage.ErrNotFound)
	_, err = b.ListSnapshots(ctx, "legacy", "", 10)
	require.ErrorIs(t, err, storage.ErrNotFound)
	_, err = b.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "copy"}, "legacy", "s")
	require.ErrorContains(t, err, `the group has "Volume-Legacy"`)
	require.Equal(t, theirs, group.Volumes())
	create(t, d, "db-1", 1)
	_, err = b.Manage(ctx, "stolen", "VOLUME-DB-1")
	require.ErrorIs(t, err, storage.ErrInvalid)
	_, err = b.Get(ctx, "db-1")
	require.NoError(t, err)
	_, err = b.Manage(ctx, "taken", "Volume-Legacy")
	require.NoError(t, err, "it may be taken over")
}

// What a cancelled call made is not taken back once somebody else uses it.
func TestTakingBackLooksFirst(t *testing.T) {
	var f faults
	gate := make(chan time.Time, 1)
	group, address := serve(t, eqlxsim.Config{Fault: f.fault, Clock: gated{clock.System(), gate}})
	a, b := open(t, options(group, address)), backend(t, open(t, options(group, address)))
	ctx, cancel := context.WithCancel(t.Context())
	made := make(chan struct{})
	f.set(func(line string) eqlxsim.Fault {
		switch {
		case strings.Contains(line, "volume create"):
			f.next = func(line string) eqlxsim.Fault {
				if !strings.Contains(line, "volume-db show") {
					return eqlxsim.Fault{}
				}
				f.next = nil
				close(made) // the group has made it, and A looks at it
				return eqlxsim.Fault{Delay: time.Second}
			}
			cancel()
		}
		return eqlxsim.Fault{}
	})
	_, err := a.Create(ctx, storage.VolumeSpec{ID: "db", SizeBytes: gib})
	if err != nil { // else it was answered just in time
		require.ErrorIs(t, err, context.Canceled)
		<-made
		v, err := b.Create(t.Context(), storage.VolumeSpec{ID: "db", SizeBytes: gib})
		require.NoError(t, err, "another process finds it")
		require.Equal(t, gib, v.SizeBytes)
		_, err = b.Connect(t.Context(), "db", node("n"))
		require.NoError(t, err)
		gate <- time.Time{}
	}
	require.NoError(t, a.Close())
	require.Len(t, group.Volumes(), 1)
	require.Zero(t, group.Kicked())
	require.True(t, group.Volumes()[0].Online)
}

// Records that are not the driver's: for snapshots, for other addresses, by address alone.
func TestRecordsOfOthers(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	d := open(t, options(group, address))
	create(t, d, "v", 1)
	for _, a := range []eqlxsim.Access{
		{Initiator: node("n").Initiator, ApplyTo: "snapshot"},
		{Initiator: node("n").Initiator, Address: "192.0.2.99"},
		{Address: "192.0.2.*"},
	} {
		require.NoError(t, group.AddAccess("volume-v", a))
	}
	for range 2 {
		_, err := d.Connect(t.Context(), "v", node("n"))
		require.NoError(t, err)
		require.Len(t, group.Volumes()[0].Access, 4, "one of its own, and theirs")
	}
	require.NoError(t, d.Disconnect(t.Context(), "v", node("n")))
	err := d.Delete(t.Context(), "v")
	var busy *storage.BusyError
	require.ErrorAs(t, err, &busy)
	require.Equal(t, []string{"access record 3"}, busy.Dependents, "machines at these addresses may use it")
}

// Without CHAP a record that asks for it would keep the initiator out.
func TestRecordsThatAskForCHAP(t *testing.T) {
	group, address := serve(t, chapGroup())
	d := open(t, options(group, address))
	create(t, d, "v", 1)
	require.NoError(t, group.AddAccess("volume-v", eqlxsim.Access{Initiator: node("n").Initiator, CHAPUser: "chapadmin"}))
	_, err := d.Connect(t.Context(), "v", node("n"))
	require.NoError(t, err)
	require.Equal(t, []eqlxsim.Access{{ID: 2, Initiator: node("n").Initiator}}, group.Volumes()[0].Access)
}

// What is given up has no name of the template any more, whatever the template.
func TestUnmanageFromAnOddTemplate(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	o := options(group, address)
	o.VolumeTemplate = "unmanaged-<id>"
	d := open(t, o)
	create(t, d, "v", 1)
	name, err := d.Unmanage(t.Context(), "v")
	require.NoError(t, err)
	found, err := d.Manageable(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, []storage.Manageable{{Name: name, SizeBytes: gib}}, found)
}

// A volume whose name does not tell its ID is still found after it could not be given up.
func TestUnmanageThatFails(t *testing.T) {
	var f faults
	group, address := serve(t, eqlxsim.Config{Fault: f.fault})
	d := open(t, options(group, address))
	id := strings.Repeat("Abc_", 14)
	create(t, d, id, 1)
	f.once("volume rename", eqlxsim.Fault{Error: "E1234"})
	_, err := d.Unmanage(t.Context(), id)
	require.Error(t, err)
	all, err := d.List(t.Context(), "", 10)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.Equal(t, id, all[0].ID)
}

// Calls that find all sessions taken wait for one, and do not dial meanwhile.
func TestWaitingForASession(t *testing.T) {
	var f faults
	gate := make(chan time.Time, 1)
	group, address := serve(t, eqlxsim.Config{MaxSessions: 1, Fault: f.fault, Clock: gated{clock.System(), gate}})
	o := options(group, address)
	o.Retries, o.Clock = -1, waiting{clock.System()}
	d := open(t, o)
	require.NoError(t, d.Check(t.Context()))
	running := make(chan struct{})
	f.set(func(line string) eqlxsim.Fault {
		if !strings.Contains(line, "volume create") {
			return eqlxsim.Fault{}
		}
		f.next = nil
		close(running)
		return eqlxsim.Fault{Delay: time.Second}
	})
	done := make(chan error, 4)
	go func() {
		_, err := d.Create(t.Context(), storage.VolumeSpec{ID: "a", SizeBytes: gib})
		done <- err
	}()
	<-running
	before := group.Connections()
	for range 3 {
		go func() { _, err := d.Stats(t.Context()); done <- err }()
	}
	require.Eventually(t, func() bool { return group.Connections() == before+3 }, 10*time.Second, time.Millisecond, "each is refused once")
	gate <- time.Time{}
	for range 4 {
		require.NoError(t, <-done)
	}
	require.Equal(t, before+3, group.Connections())
}

// A place that somebody else gives back is found, though the pool's own sessions are all busy.
func TestPlacesOfOthersComeFree(t *testing.T) {
	var f faults
	gate, look, waits := make(chan time.Time, 1), make(chan time.Time), make(chan struct{}, 1)
	group, address := serve(t, eqlxsim.Config{MaxSessions: 2, Fault: f.fault, Clock: gated{clock.System(), gate}})
	o := options(group, address)
	o.Retries, o.Clock = -1, looking{clock.System(), look, waits}
	d, other := open(t, o), open(t, options(group, address))
	require.NoError(t, d.Check(t.Context()))
	require.NoError(t, other.Check(t.Context()))
	running := make(chan struct{})
	f.set(func(line string) eqlxsim.Fault {
		if !strings.Contains(line, "volume create") {
			return eqlxsim.Fault{}
		}
		f.next = nil
		close(running)
		return eqlxsim.Fault{Delay: time.Second}
	})
	made, got := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := d.Create(t.Context(), storage.VolumeSpec{ID: "a", SizeBytes: gib})
		made <- err
	}()
	<-running
	go func() { _, err := d.Stats(t.Context()); got <- err }()
	<-waits // it was refused
	require.NoError(t, other.Close())
	require.Eventually(t, func() bool { return group.Sessions() == 1 }, 10*time.Second, time.Millisecond)
	look <- time.Time{}
	require.NoError(t, <-got)
	gate <- time.Time{}
	require.NoError(t, <-made)
}

// looking is a clock on which no time passes but that until a pool asks the group again.
type looking struct {
	storage.Clock
	look  chan time.Time
	waits chan struct{}
}

func (l looking) After(d time.Duration) <-chan time.Time {
	if d == 5*time.Second {
		l.waits <- struct{}{}
		return l.look
	}
	return nil
}

// waiting is a clock on which no time passes.
type waiting struct{ storage.Clock }

func (waiting) After(time.Duration) <-chan time.Time { return nil }

// The kind of an error is what the group says, not what the command was about.
func TestKindsOfErrors(t *testing.T) {
	f := &faults{}
	group, address := serve(t, eqlxsim.Config{Fault: f.fault, Pools: []eqlxsim.Pool{{Name: "default", CapacityGB: 1000}, {Name: "e", CapacityGB: 1000}},
		Errors: map[string]string{"Volume %s already exists.": "Duplicate volume name %s.", "CHAP user %s does not exist.": "User %s does not exist."}})
	o := options(group, address)
	o.CHAP, o.CHAPUsername, o.CHAPPassword = true, "nobody", chapSecret
	d := open(t, o)
	b := backend(t, d)
	ctx := t.Context()
	for range 2 {
		_, err := b.Create(ctx, storage.VolumeSpec{ID: "connection-busy", SizeBytes: gib})
		require.NoError(t, err, "whatever the group says to the second one")
	}
	_, err := b.Connect(ctx, "connection-busy", node("n"))
	require.ErrorIs(t, err, storage.ErrInvalid, "the CHAP account does not exist, the volume does")
	require.ErrorContains(t, err, "chap_username")
	f.once("volume select", eqlxsim.Fault{Error: "E1234 volume-connection-busy"})
	err = b.Delete(ctx, "connection-busy")
	require.Equal(t, "other", storage.Class(err))
	f.once("offline", eqlxsim.Fault{Error: "The volume has active connections."})
	err = b.Delete(ctx, "connection-busy")
	require.ErrorIs(t, err, storage.ErrBusy)
	require.Equal(t, 1, strings.Count(err.Error(), "active connections"))
	o.Pool = "e"
	_, err = open(t, o).Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 2000 * gib})
	require.ErrorIs(t, err, storage.ErrNoSpace, "the pool's name is no part of the words of others")
	o.Pool = "none"
	var said *eqlx.CommandError
	err = open(t, o).Check(ctx)
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.True(t, errors.As(err, &said))
}
