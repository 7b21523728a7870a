package storage_test

import (
	"context"
	"testing"

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
	// The first request arrives after it was looked for, and the second one comes too late.
	v, err = manage(t, &overtaken{Driver: d}, storage.Config{}).Manage(ctx, "late", "lun-9")
	require.NoError(t, err)
	require.Equal(t, "late", v.ID)
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
	require.Equal(t, []storage.Manageable{{Name: "unmanaged-db", SizeBytes: 4 * mib}, {Name: "unmanaged-web", SizeBytes: mib}}, found)
}

// overtaken is a driver whose first Manage gets lost on its way and arrives with the second one.
type overtaken struct {
	*memory.Driver
	calls int
}

func (o *overtaken) Manage(ctx context.Context, id, name string) (*storage.Volume, error) {
	if o.calls++; o.calls == 1 {
		return nil, errLost
	}
	if _, err := o.Driver.Manage(ctx, id, name); err != nil {
		return nil, err
	}
	return o.Driver.Manage(ctx, id, name)
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
