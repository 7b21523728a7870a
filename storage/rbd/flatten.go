//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"sync"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

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
