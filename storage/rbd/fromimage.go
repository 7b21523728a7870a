//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// CreateFromImage makes a copy-on-write clone of an image's snapshot that Glance, or somebody
// else, keeps on the same cluster: no data moves. location is rbd://FSID/POOL/IMAGE/SNAPSHOT.
//
// Errors: storage.ErrUnsupported: it is on another cluster, or its snapshot cannot be cloned;
// read the image and Import it. storage.ErrNotFound: no such image or snapshot, or the user may
// not see the pool.
func (d *Driver) CreateFromImage(ctx context.Context, v storage.VolumeSpec, location string) (*storage.Volume, error) {
	if err := storage.CheckID(v.ID); err != nil {
		return nil, err
	}
	from, err := ParseLocation(location)
	if err != nil {
		return nil, err
	}
	var size int64
	err = d.making(ctx, v.ID, func(ctx context.Context, s *session, name string) error {
		if from.FSID != s.fsid {
			return fmt.Errorf("%w: image %s is on another cluster than %s", storage.ErrUnsupported, location, s.fsid)
		}
		pool, err := s.conn.OpenIOContext(from.Pool)
		if err != nil {
			return fmt.Errorf("pool %q of the image: %w", from.Pool, err)
		}
		defer pool.Destroy()
		there := &session{conn: s.conn, io: pool, pool: from.Pool}
		there.protect.Store(true) // whether others protect their snapshots is theirs to decide
		view, err := rbd.OpenImageReadOnly(pool, from.Image, from.Snapshot)
		if is(err, syscall.EPERM, syscall.EACCES) {
			err = fmt.Errorf("%w: %w", storage.ErrNotFound, err)
		}
		if err != nil {
			return fmt.Errorf("image %s: %w", location, err)
		}
		has, err := view.GetSize()
		info, stat := view.Stat()
		keys, meta := inherited(view)
		protected, look := view.GetSnapshot(from.Snapshot).IsProtected()
		if err := errors.Join(err, stat, meta, look, view.Close()); err != nil {
			return fmt.Errorf("image %s: %w", location, err)
		}
		// Not to be tried: librbd 16 says EINVAL, and now and then ends the process,
		// by a std::system_error of a lock that is gone already.
		if s.protect.Load() && !protected {
			return fmt.Errorf("%w: image %s cannot be cloned: its snapshot must be protected", storage.ErrUnsupported, location)
		}
		if size, err = fit(v.SizeBytes, int64(has)); err != nil {
			return err
		}
		err = d.cloneTo(ctx, s, origin{
			s: there, image: from.Image, snapshot: from.Snapshot, size: int64(has), keys: keys,
			// A clone with smaller objects than its parent reads parts of objects each time.
			objectSize: max(d.config.ObjectSizeBytes, int64(info.Obj_size)),
		}, name, size)
		if is(err, syscall.EINVAL) {
			err = fmt.Errorf("%w: image %s cannot be cloned (a snapshot must be protected): %w", storage.ErrUnsupported, location, err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	d.sizes.set(d.volumes.name(v.ID), size, d.clock.Now())
	return d.volume(v.ID, size), nil
}
