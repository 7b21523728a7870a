//go:build ceph && cgo

package rbd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// depthSlack is how much deeper than MaxCloneDepth a chain may get while volumes wait for their
// turn to be flattened. Beyond it a clone waits for its own.
const depthSlack = 3

// Clone makes a copy-on-write clone of the volume as it is now, by a snapshot that goes with the
// clone. At the depth limit the new volume is flattened in the background: it can be used
// meanwhile. Limits of the source (QoS) come with the clone, as librbd has it.
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
		source, err := s.edit(d.volumes.name(sourceID))
		if err != nil {
			return before(fmt.Errorf("source %q: %w", sourceID, err))
		}
		defer source.Close()
		has, err := source.GetSize()
		if err != nil {
			return before(err)
		}
		if size, err = fit(v.SizeBytes, int64(has)); err != nil {
			return err
		}
		return d.clone(ctx, s, source, name, int64(has), size)
	})
	if err != nil {
		return nil, err
	}
	d.sizes.set(d.volumes.name(v.ID), size, d.clock.Now())
	return d.volume(v.ID, size), nil
}

func (d *Driver) clone(ctx context.Context, s *session, source *rbd.Image, name string, has, size int64) error {
	full := d.config.MaxCloneDepth == fullCopy
	depth := 0
	var err error
	if !full {
		if depth, err = s.depth(source, d.config.MaxCloneDepth+depthSlack); err != nil {
			return before(fmt.Errorf("how deep %q stands: %w", source.GetName(), err))
		}
	}
	// The name may be taken by the snapshot of an earlier volume of this ID that is in the trash.
	snapshot := name + cloneSnapSuffix
	if err := s.snapshot(source, snapshot); is(err, syscall.EEXIST) {
		snapshot = name + escape + rand.Text()[:8] + cloneSnapSuffix
		err = s.snapshot(source, snapshot)
		if err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	if full {
		err = d.overWreck(ctx, s, name, func() error { return d.copyTo(s, source.GetName(), snapshot, name, size) })
		return errors.Join(err, dropSnapshot(source, snapshot))
	}
	options := d.imageOptions(s, 0)
	defer options.Destroy()
	if err := d.cloneTo(ctx, s, s, source.GetName(), snapshot, name, has, size, options); err != nil {
		return errors.Join(err, dropSnapshot(source, snapshot))
	}
	switch {
	case depth >= d.config.MaxCloneDepth+depthSlack:
		return d.flattenNow(ctx, s, name)
	case depth >= d.config.MaxCloneDepth:
		d.flattenLater(s, name)
	}
	return nil
}

// copyTo makes a full copy of a snapshot.
func (d *Driver) copyTo(s *session, source, snapshot, name string, size int64) error {
	from, err := rbd.OpenImageReadOnly(s.io, source, snapshot)
	if err != nil {
		return err
	}
	defer from.Close()
	// Unlike DeepCopy it leaves the source's other snapshots out, and a copy of a clone is none.
	if err := from.Copy(s.io, name); err != nil {
		return err
	}
	if err := s.enlarge(name, size); err != nil {
		return errors.Join(err, d.discard(s, name))
	}
	return nil
}

// cloneTo makes a clone in s of a snapshot in from, and gives it its size. Nothing is left of it
// after an error.
func (d *Driver) cloneTo(ctx context.Context, s, from *session, source, snapshot, name string, has, size int64, options *rbd.ImageOptions) error {
	err := d.overWreck(ctx, s, name, func() error {
		err := rbd.CloneImage(from.io, source, snapshot, s.io, name, options)
		if !is(err, syscall.EINVAL) || s.protect.Load() {
			return err
		}
		// Not protected, and the cluster wants that: it was told to let old clients in again.
		image, look := rbd.OpenImage(from.io, source, rbd.NoSnapshot)
		if look != nil {
			return err
		}
		defer image.Close()
		if protected := image.GetSnapshot(snapshot).Protect(); protected != nil {
			return err
		}
		s.protect.Store(true)
		return rbd.CloneImage(from.io, source, snapshot, s.io, name, options)
	})
	if err != nil {
		return err
	}
	if size > has {
		err = s.enlarge(name, size)
	}
	if err == nil && d.config.FlattenVolumeFromSnapshot && !cloneSnap(snapshot) {
		err = d.flattenNow(ctx, s, name)
	}
	if err != nil {
		return errors.Join(err, d.discard(s, name))
	}
	return nil
}

func (s *session) enlarge(name string, size int64) error {
	image, err := s.edit(name)
	if err != nil {
		return err
	}
	return errors.Join(grow(image, size), image.Close())
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

// flattens copies parents' data into clones, so that they stand alone: few at once, since each
// moves all of a volume's data.
type flattens struct {
	slots chan struct{}

	mu      sync.Mutex
	running map[string]*flatten // by image ID
}

type flatten struct {
	cancel context.CancelFunc // has an effect while it waits for its turn
	done   chan struct{}
}

// flatten makes an image stand alone and drops the snapshot it stood on, if that was made for it.
func (d *Driver) flatten(ctx context.Context, s *session, id string) error {
	select {
	case d.flattens.slots <- struct{}{}:
		defer func() { <-d.flattens.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	image, err := rbd.OpenImageById(s.io, id, rbd.NoSnapshot)
	if err != nil {
		return err
	}
	parent, err := image.GetParent()
	if is(err, syscall.ENOENT) {
		return image.Close() // flat already
	}
	if err == nil {
		err = image.Flatten()
	}
	if err := errors.Join(err, image.Close()); err != nil {
		return err
	}
	return s.release(d, parent)
}

func (d *Driver) flattenNow(ctx context.Context, s *session, name string) error {
	id, err := s.id(name)
	if err != nil {
		return err
	}
	return d.flatten(ctx, s, id)
}

// flattenLater flattens in the background. If it fails the volume stays a clone.
func (d *Driver) flattenLater(s *session, name string) {
	id, err := s.id(name)
	if err != nil {
		d.log.Warn("not flattened", "image", name, "error", err)
		return
	}
	ctx, cancel := context.WithCancel(d.workers.root)
	f := &flatten{cancel: cancel, done: make(chan struct{})}
	d.flattens.mu.Lock()
	d.flattens.running[id] = f
	d.flattens.mu.Unlock()
	ended := func() {
		cancel()
		d.flattens.mu.Lock()
		delete(d.flattens.running, id)
		d.flattens.mu.Unlock()
		close(f.done)
	}
	err = d.workers.background(func(context.Context) {
		defer ended()
		err := func() error {
			s, release, err := d.sessions.use(ctx)
			if err != nil {
				return err
			}
			defer release()
			return d.flatten(ctx, s, id)
		}()
		switch {
		case err == nil:
			d.log.Info("flattened", "image", name)
		case ctx.Err() == nil && !is(err, syscall.ENOENT):
			d.log.Warn("not flattened; it stays a clone", "image", name, "error", err)
		}
	})
	if err != nil { // closed meanwhile
		ended()
	}
}

// noFlatten ends the background flatten of an image: one that waits for its turn at once, one
// that runs when it is done.
func (d *Driver) noFlatten(ctx context.Context, id string) error {
	d.flattens.mu.Lock()
	f := d.flattens.running[id]
	d.flattens.mu.Unlock()
	if f == nil {
		return nil
	}
	f.cancel()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), &storage.BusyError{Dependents: []string{"its flatten, which runs"}})
	}
}

func (s *session) id(name string) (string, error) {
	image, err := s.view(name)
	if err != nil {
		return "", err
	}
	id, err := image.GetId()
	return id, errors.Join(err, image.Close())
}
