//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// Import makes a volume of what r has. Several writes are under way at once; progress tells what
// the cluster has confirmed.
func (d *Driver) Import(ctx context.Context, v storage.VolumeSpec, r io.Reader, size int64, progress func(done, total int64)) (*storage.Volume, error) {
	if err := storage.CheckID(v.ID); err != nil {
		return nil, err
	}
	has, err := fit(v.SizeBytes, size)
	if err != nil {
		return nil, err
	}
	name := d.volumes.name(v.ID)
	var image *rbd.Image // set by the worker before it serves
	var filled error     // what the caller's side came to; set before the stream is ended
	st := newStream()
	t, err := d.begin(ctx, call{
		kind: changes, names: []string{v.ID},
		run: func(ctx context.Context, s *session) (err error) {
			if err := d.create(ctx, s, name, has); err != nil {
				return err
			}
			if image, err = s.edit(name); err == nil {
				if err = own(image); err == nil {
					err = st.serve(ctx, d.workers.slots, writesAhead)
				}
				if err == nil {
					err = filled
				}
				if err == nil {
					err = image.Flush()
				}
				err = errors.Join(err, image.Close())
			}
			if err != nil {
				return d.takeBack(s, name, err)
			}
			return nil
		},
		undo: func(s *session) error { return d.discard(s, name) },
	})
	if err != nil {
		return nil, fmt.Errorf("volume %q: %w", v.ID, err)
	}
	st.task = t
	u := &upload{progress: progress, start: func(p []byte, off int64) (<-chan error, error) {
		return st.start(ctx, func() error { _, err := image.WriteAt(p, off); return err })
	}}
	u.result = func(done <-chan error) error {
		patient, leave := context.WithTimeout(ctx, patience*d.config.Timeout)
		defer leave()
		return result(patient, done)
	}
	if filled = storage.Fill(ctx, u, r, size, u.read); filled == nil {
		filled = u.finish()
	}
	close(st.work)
	patient, leave := context.WithTimeout(ctx, patience*d.config.Timeout)
	defer leave()
	if err := t.wait(patient); err != nil {
		if filled != nil && patient.Err() != nil && ctx.Err() == nil {
			err = fmt.Errorf("%w: %w", err, filled)
		}
		d.sizes.forget(name)
		return nil, fmt.Errorf("volume %q: %w", v.ID, err)
	}
	d.sizes.set(name, has, d.clock.Now())
	return d.volume(v.ID, has), nil
}

// patience is for how many timeouts a write, and then the end, is waited for. librbd 16 has waits
// without a timeout, beside own's in the closing of an image that it cannot watch any more.
const patience = 6

// own takes the exclusive lock, if the image has one. The first write would, too. But of several
// that wait for the lock when the OSD goes down librbd 16 fails the first, and leaves the others
// until it can watch the image again, however long that is.
func own(image *rbd.Image) error {
	features, err := image.GetFeatures()
	if err != nil || features&featureExclusiveLock == 0 {
		return err
	}
	return image.LockAcquire(rbd.LockModeExclusive)
}
