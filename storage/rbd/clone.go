//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// depthSlack is how much deeper than MaxCloneDepth a chain may get while volumes wait for their
// turn to be flattened. Beyond it a clone waits for its own.
const depthSlack = 3

// Clone makes a copy-on-write clone of the volume as it is now. It stands on a snapshot that is
// made for it and goes with it, or on that of an earlier clone if nothing was written since: see
// bases. At the depth limit the new volume is flattened in the background: it can be used
// meanwhile.
func (d *Driver) Clone(ctx context.Context, v storage.VolumeSpec, sourceID string) (*storage.Volume, error) {
	if err := errors.Join(storage.CheckID(v.ID), storage.CheckID(sourceID)); err != nil {
		return nil, err
	}
	if v.ID == sourceID {
		return nil, fmt.Errorf("%w: volume %q cannot be a clone of itself", storage.ErrInvalid, v.ID)
	}
	var size int64
	err := d.making(ctx, v.ID, func(ctx context.Context, s *session, name string) error {
		if err := d.workers.settled(ctx, sourceID); err != nil {
			return err
		}
		image := d.volumes.name(sourceID)
		if d.bases.has(image) {
			// For reading: that sets no watch, and makes nobody who watches look at the image again.
			made, err := d.cloneOf(ctx, s, image, false, name, v.SizeBytes)
			if !errors.Is(err, errNoBase) {
				size = made
				return err
			}
		}
		made, err := d.cloneOf(ctx, s, image, true, name, v.SizeBytes)
		size = made
		return err
	})
	if err != nil {
		return nil, err
	}
	d.sizes.set(d.volumes.name(v.ID), size, d.clock.Now())
	return d.volume(v.ID, size), nil
}

// cloneOf makes a clone of an image, opened for changes or not, and returns its size.
func (d *Driver) cloneOf(ctx context.Context, s *session, image string, edit bool, name string, size int64) (int64, error) {
	open := s.view
	if edit {
		open = s.edit
	}
	source, err := open(image)
	if err != nil {
		return 0, before(fmt.Errorf("source %q: %w", image, err))
	}
	defer source.Close()
	has, err := source.GetSize()
	if err != nil {
		return 0, before(err)
	}
	if size, err = fit(size, int64(has)); err != nil {
		return 0, err
	}
	if d.config.MaxCloneDepth == fullCopy {
		return size, d.copy(ctx, s, source, name, size)
	}
	return size, d.clone(ctx, s, source, edit, name, int64(has), size)
}

func (d *Driver) clone(ctx context.Context, s *session, source *rbd.Image, edit bool, name string, has, size int64) error {
	depth, err := s.depth(source, d.config.MaxCloneDepth+depthSlack)
	if err != nil {
		return before(fmt.Errorf("how deep %q stands: %w", source.GetName(), err))
	}
	from := origin{s: s, image: source.GetName(), size: has}
	if from.keys, err = inherited(source); err != nil {
		return before(err)
	}
	for {
		shared := false
		if from.snapshot, shared, err = d.base(ctx, s, source, edit, name, from.snapshot); err != nil {
			return err
		}
		err = d.cloneTo(ctx, s, from, name, size)
		if err == nil {
			break
		}
		if !shared {
			return errors.Join(err, dropUnused(source, from.snapshot))
		}
		if !is(err, syscall.ENOENT, syscall.EINVAL) {
			return err
		}
		// The last clone on it was deleted just now, and it with that.
	}
	switch {
	case depth >= d.config.MaxCloneDepth+depthSlack:
		if err := d.flattenNow(ctx, s, name); err != nil {
			return d.takeBack(s, name, err)
		}
	case depth >= d.config.MaxCloneDepth:
		d.flattenLater(s, name)
	}
	return nil
}

// copy makes a full copy of the volume as it is now.
func (d *Driver) copy(ctx context.Context, s *session, source *rbd.Image, name string, size int64) error {
	snapshot, err := cloneSnapshot(source, name)
	if err != nil {
		return err
	}
	err = d.copyTo(ctx, s, source.GetName(), snapshot, name, size)
	return errors.Join(err, dropSnapshot(source, snapshot))
}

// copyTo makes a full copy of a snapshot.
func (d *Driver) copyTo(ctx context.Context, s *session, source, snapshot, name string, size int64) error {
	from, err := rbd.OpenImageReadOnly(s.io, source, snapshot)
	if err != nil {
		return err
	}
	defer from.Close()
	keys, err := inherited(from)
	if err != nil {
		return err
	}
	if err := d.create(ctx, s, name, size); err != nil {
		return err
	}
	image, err := s.edit(name)
	if err == nil {
		// Unlike DeepCopy it leaves the source's other snapshots out, and a copy of a clone is none.
		err = errors.Join(from.Copy2(image), image.Close())
	}
	if err == nil && len(keys) > 0 {
		err = s.settle(name, size, keys)
	}
	if err != nil {
		return d.takeBack(s, name, err)
	}
	return nil
}

// An origin is the snapshot that a clone is made of.
type origin struct {
	s               *session // with the image's pool
	image, snapshot string
	size            int64
	objectSize      int64    // of the clone; 0: the image's
	keys            []string // of metadata that the clone shall not inherit
}

// inherited returns the keys of an image's metadata that librbd copies to its clones and that are
// none of theirs: limits, since a clone is a volume of its own, and that it was deleted.
func inherited(image *rbd.Image) ([]string, error) {
	all, err := image.ListMetadata()
	if err != nil {
		return nil, err
	}
	var keys []string
	for key := range all {
		if strings.HasPrefix(key, qosPrefix) || key == deletedKey {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// cloneTo makes a clone in s and gives it its size. Nothing is left of it after an error.
func (d *Driver) cloneTo(ctx context.Context, s *session, from origin, name string, size int64) error {
	options := d.imageOptions(s, from.objectSize)
	defer options.Destroy()
	err := d.overWreck(ctx, s, name, func() error {
		err := rbd.CloneImage(from.s.io, from.image, from.snapshot, s.io, name, options)
		if !is(err, syscall.EINVAL) || from.s.protect.Load() {
			return err
		}
		// Not protected, and the cluster wants that: it was told to let old clients in again.
		if from.s.protectOld(from.image, from.snapshot) != nil {
			return err
		}
		from.s.protect.Store(true)
		return rbd.CloneImage(from.s.io, from.image, from.snapshot, s.io, name, options)
	})
	if err != nil {
		return err
	}
	if size > from.size || len(from.keys) > 0 {
		err = s.settle(name, size, from.keys)
	}
	if err == nil && d.config.FlattenVolumeFromSnapshot && !cloneSnap(from.snapshot) {
		err = d.flattenNow(ctx, s, name)
	}
	if err != nil {
		return d.takeBack(s, name, err)
	}
	return nil
}

// settle gives a new image its size, and takes metadata from it.
func (s *session) settle(name string, size int64, keys []string) error {
	image, err := s.edit(name)
	if err != nil {
		return err
	}
	err = grow(image, size)
	for _, key := range keys {
		if e := image.RemoveMetadata(key); e != nil && !is(e, syscall.ENOENT) {
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, image.Close())
}

// depth is how many images an image stands on, counted up to most.
func (s *session) depth(image *rbd.Image, most int) (int, error) {
	parent, err := image.GetParent()
	for depth := 0; ; depth++ {
		if is(err, syscall.ENOENT) || err == nil && depth == most {
			return depth, nil
		}
		if err != nil {
			return 0, err
		}
		if parent.Image.PoolName != s.pool || parent.Image.PoolNamespace != "" {
			return depth + 1, nil // an image of others; what it stands on is theirs
		}
		next, err := rbd.OpenImageByIdReadOnly(s.io, parent.Image.ImageID, rbd.NoSnapshot)
		if err != nil {
			return 0, err
		}
		var closed error
		parent, err = next.GetParent()
		if closed = next.Close(); closed != nil {
			return 0, closed
		}
		if is(err, syscall.ENOENT) {
			return depth + 1, nil
		}
		if err != nil {
			return 0, err
		}
	}
}
