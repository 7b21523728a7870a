package storage_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

func TestAdoption(t *testing.T) {
	ctx := t.Context()
	d, err := memory.New(memory.Config{})
	require.NoError(t, err)
	b := manage(t, d, storage.Config{})
	require.NoError(t, d.Put("lun-7", 3*mib+1))
	require.NoError(t, d.Put("lun-8", mib))

	d.Inject(memory.Fault{Op: "manage", Before: errLost})
	v, err := b.Manage(ctx, "db", "lun-7")
	require.NoError(t, err, "a lost request is repeated")
	require.EqualValues(t, 4*mib, v.SizeBytes, "it grows to what the back end can make")
	d.Inject(memory.Fault{Op: "manage", After: errLost})
	v, err = b.Manage(ctx, "web", "lun-8")
	require.NoError(t, err, "a lost answer is settled")
	require.Equal(t, "web", v.ID)
	again, err := b.Manage(ctx, "web", "lun-8")
	require.NoError(t, err, "to repeat it changes nothing")
	require.Equal(t, v, again)
	require.NoError(t, d.Put("lun-9", mib))
	_, err = b.Manage(ctx, "web", "lun-9")
	require.ErrorIs(t, err, storage.ErrExists)
	require.ErrorContains(t, err, `it is called "volume-web" there`)
	_, err = b.Manage(ctx, "none", "lun-8")
	require.ErrorIs(t, err, storage.ErrNotFound)
	for _, name := range []string{"", "a\rb", "a\x00", string(make([]byte, 256)), "\xff"} {
		_, err = b.Manage(ctx, "x", name)
		require.ErrorIs(t, err, storage.ErrInvalid, "%q", name)
	}
	_, err = b.Manageable(ctx, "", 0)
	require.ErrorIs(t, err, storage.ErrInvalid)

	d.Inject(memory.Fault{Op: "unmanage", Before: errLost})
	name, err := b.Unmanage(ctx, "db")
	require.NoError(t, err)
	require.Equal(t, "unmanaged-db", name)
	d.Inject(memory.Fault{Op: "unmanage", After: errLost})
	_, err = b.Unmanage(ctx, "web")
	require.ErrorIs(t, err, storage.ErrUnknownOutcome)
	require.ErrorContains(t, err, "it was given up, but the answer with its name got lost; list what is manageable")
	found, err := b.Manageable(ctx, "", 10)
	require.NoError(t, err)
	require.Equal(t, []storage.Manageable{{Name: "lun-9", SizeBytes: mib}, {Name: "unmanaged-db", SizeBytes: 4 * mib}, {Name: "unmanaged-web", SizeBytes: mib}}, found)
}

// overtaken is a driver whose first request gets lost on its way and arrives just before the second one.
type overtaken struct {
	*memory.Driver
	calls int
}

func (o *overtaken) late(do func() error) error {
	if o.calls++; o.calls == 1 {
		return errLost
	}
	if err := do(); err != nil {
		return err
	}
	return do()
}

func (o *overtaken) Create(ctx context.Context, spec storage.VolumeSpec) (v *storage.Volume, err error) {
	err = o.late(func() error { v, err = o.Driver.Create(ctx, spec); return err })
	return v, err
}

func (o *overtaken) Delete(ctx context.Context, id string) error {
	return o.late(func() error { return o.Driver.Delete(ctx, id) })
}

func (o *overtaken) CreateSnapshot(ctx context.Context, volume, id string) (s *storage.Snapshot, err error) {
	err = o.late(func() error { s, err = o.Driver.CreateSnapshot(ctx, volume, id); return err })
	return s, err
}

func (o *overtaken) DeleteSnapshot(ctx context.Context, volume, id string) error {
	return o.late(func() error { return o.Driver.DeleteSnapshot(ctx, volume, id) })
}

func (o *overtaken) Manage(ctx context.Context, id, name string) (v *storage.Volume, err error) {
	err = o.late(func() error { v, err = o.Driver.Manage(ctx, id, name); return err })
	return v, err
}

func (o *overtaken) Unmanage(ctx context.Context, id string) (name string, err error) {
	err = o.late(func() error { name, err = o.Driver.Unmanage(ctx, id); return err })
	return name, err
}

// The first request arrives after it was looked for, and the second one comes too late: what was
// asked for has happened.
func TestLateRequests(t *testing.T) {
	ctx := t.Context()
	d, err := memory.New(memory.Config{})
	require.NoError(t, err)
	late := func() *storage.Backend { return manage(t, &overtaken{Driver: d}, storage.Config{}) }
	v, err := late().Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: mib})
	require.NoError(t, err)
	require.Equal(t, "v", v.ID)
	s, err := late().CreateSnapshot(ctx, "v", "s")
	require.NoError(t, err)
	require.Equal(t, &storage.Snapshot{ID: "s", VolumeID: "v", SizeBytes: mib}, s)
	require.NoError(t, late().DeleteSnapshot(ctx, "v", "s"))
	_, err = late().Unmanage(ctx, "v")
	require.ErrorIs(t, err, storage.ErrUnknownOutcome, "not that there is no such volume")
	require.NotErrorIs(t, err, storage.ErrNotFound)
	require.ErrorContains(t, err, "it was given up, but the answer with its name got lost")
	v, err = late().Manage(ctx, "w", "unmanaged-v")
	require.NoError(t, err)
	require.Equal(t, "w", v.ID)
	require.NoError(t, late().Delete(ctx, "w"))
}

// parked is a driver whose Manage waits to be let go on.
type parked struct {
	*memory.Driver
	inside atomic.Int32
	gate   chan struct{}
}

func (p *parked) Manage(ctx context.Context, id, name string) (*storage.Volume, error) {
	p.inside.Add(1)
	<-p.gate
	return p.Driver.Manage(ctx, id, name)
}

// Spellings of a name take turns, as case does not count everywhere.
func TestManageTakesTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &parked{Driver: newFlaky(t).Driver, gate: make(chan struct{})}
		require.NoError(t, p.Put("LUN-1", mib))
		b := manage(t, p, storage.Config{})
		done := make(chan error, 2)
		for id, name := range map[string]string{"a": "LUN-1", "b": "lun-1"} {
			go func() { _, err := b.Manage(t.Context(), id, name); done <- err }()
		}
		synctest.Wait()
		require.EqualValues(t, 1, p.inside.Load())
		close(p.gate)
		first, second := <-done, <-done
		require.ErrorIs(t, errors.Join(first, second), storage.ErrNotFound, "of the other spelling, in memory")
	})
}

func TestQoSCheck(t *testing.T) {
	for name, c := range map[string]struct {
		qos  storage.QoS
		says []string
	}{
		"none":        {storage.QoS{}, nil},
		"fine":        {storage.QoS{TotalIOPS: 100, TotalIOPSBurst: 100, ReadBytes: 1}, nil},
		"below":       {storage.QoS{WriteIOPS: -1, ReadBytesBurst: -2}, []string{"/write_iops_sec: -1", "/read_bytes_sec_max: -2"}},
		"burst alone": {storage.QoS{TotalBytesBurst: 5}, []string{"/total_bytes_sec_max: 5 without a limit; set total_bytes_sec too"}},
		"burst below": {storage.QoS{ReadIOPS: 10, ReadIOPSBurst: 9}, []string{"/read_iops_sec_max: 9, expected at least read_iops_sec, which is 10"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.qos.Check()
			if c.says == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, storage.ErrInvalid)
			for _, says := range c.says {
				require.ErrorContains(t, err, says)
			}
		})
	}
}
