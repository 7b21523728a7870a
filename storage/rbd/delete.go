//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// deletedKey marks images in the trash that this driver deleted, and may therefore remove. Its
// value is when, in RFC 3339: an image that somebody got back has the mark still, and when it is
// moved to the trash again, later and by hand, it is not this driver's to remove.
const deletedKey = "crowbarkit.deleted"

// Delete destroys a volume. Clones made from it live on: the image then goes to the pool's trash
// and is removed with the last of them. storage.BusyError names its snapshots and who has it
// open for writing.
func (d *Driver) Delete(ctx context.Context, id string) error {
	if err := storage.CheckID(id); err != nil {
		return err
	}
	name := d.volumes.name(id)
	err := d.do(ctx, call{kind: changes, names: []string{id}, run: func(ctx context.Context, s *session) error {
		return d.delete(ctx, s, name)
	}})
	if err != nil {
		return fmt.Errorf("volume %q: %w", id, err)
	}
	d.sizes.forget(name)
	return nil
}

func (d *Driver) delete(ctx context.Context, s *session, name string) error {
	view, err := s.view(name)
	if is(err, syscall.ENOENT) || errors.Is(err, errOrphan) {
		return rbd.RemoveImage(s.io, name) // nothing, or what cannot be opened; librbd refuses what is in use
	}
	if err != nil {
		return before(err)
	}
	what, err := d.look(s, view)
	if err := errors.Join(err, view.Close()); err != nil {
		return before(err)
	}
	if len(what.busy) > 0 {
		return &storage.BusyError{Dependents: what.busy}
	}
	if err := d.noFlatten(ctx, what.id); err != nil {
		return err
	}
	d.bases.forget(name)
	held := false
	if len(what.internal) > 0 {
		if held, err = s.dropInternal(name, what.internal); err != nil {
			return err
		}
	}
	if !held && !d.config.DeferredDeletion {
		err := d.remove(ctx, s, name)
		if is(err, syscall.ENOENT) { // it was there when it was looked at: somebody else has removed it, or this call has
			there, look := s.header(name)
			if there || look != nil {
				return errors.Join(err, look)
			}
			err = nil
		}
		if err == nil {
			return s.release(d, what.parent)
		}
		if held = is(err, syscall.EBUSY, syscall.ENOTEMPTY); !held {
			return err
		}
	}
	if err := d.trash(s, name, what.id, held); err != nil {
		return err
	}
	if !held {
		return nil // the purge removes it, and its data: that takes long, and nobody waits for it
	}
	// The last clone may have gone between the look and the trash, and found nothing to remove.
	_, err = s.reap(d, what.id, name, "")
	return err
}

// inventory is what a deletion must know.
type inventory struct {
	id       string
	parent   *rbd.ParentInfo // nil: none
	busy     []string        // what forbids it
	internal []rbd.SnapInfo  // snapshots that only clones need
}

func (d *Driver) look(s *session, view *rbd.Image) (inventory, error) {
	var what inventory
	var err error
	if what.busy, err = s.watchers(view); err != nil {
		return what, err
	}
	if what.id, err = view.GetId(); err != nil {
		return what, err
	}
	if what.parent, err = view.GetParent(); err != nil && !is(err, syscall.ENOENT) {
		return what, err
	}
	all, err := snapshotsOf(view)
	if err != nil {
		return what, err
	}
	for _, snapshot := range all {
		id, ours := d.snapshots.id(snapshot.Name)
		switch {
		case ours:
			what.busy = append(what.busy, "snapshot "+id)
		case cloneSnap(snapshot.Name), backupSnap(snapshot.Name), trashed(view, snapshot):
			what.internal = append(what.internal, snapshot)
		default:
			what.busy = append(what.busy, fmt.Sprintf("snapshot %q, which somebody else made", snapshot.Name))
		}
	}
	return what, nil
}

// trashed says that a snapshot was deleted, and kept by librbd for its clones (clone v2).
func trashed(image *rbd.Image, snapshot rbd.SnapInfo) bool {
	namespace, err := image.GetSnapNamespaceType(snapshot.Id)
	return err == nil && namespace == rbd.SnapNamespaceTypeTrash
}

// dropInternal removes the snapshots that no clone needs any more. held: some are needed.
func (s *session) dropInternal(name string, snapshots []rbd.SnapInfo) (held bool, err error) {
	image, err := s.edit(name)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	return drop(image, snapshots)
}

func drop(image *rbd.Image, snapshots []rbd.SnapInfo) (held bool, err error) {
	for _, snapshot := range snapshots {
		if trashed(image, snapshot) {
			held = true // else librbd would have removed it
			continue
		}
		err := dropSnapshot(image, snapshot.Name)
		if is(err, syscall.EBUSY) {
			held = true
		} else if err != nil {
			return held, err
		}
	}
	left, err := snapshotsOf(image)
	return held || len(left) > 0, err
}

// remove removes an image. Watchers of clients that are just leaving go within moments.
func (d *Driver) remove(ctx context.Context, s *session, name string) error {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		err := rbd.RemoveImage(s.io, name)
		if !is(err, syscall.EBUSY) || wait > time.Second {
			return err
		}
		select {
		case <-d.clock.After(wait):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

// trash moves an image to the pool's trash, with a mark. held images may go with their last
// clone; others when the delay is over.
func (d *Driver) trash(s *session, name, id string, held bool) error {
	image, err := s.edit(name)
	if err != nil {
		return err
	}
	err = image.SetMetadata(deletedKey, time.Now().UTC().Format(time.RFC3339)) // the trash's times are real
	if err := errors.Join(err, image.Close()); err != nil {
		return err
	}
	delay := time.Duration(0)
	if d.config.DeferredDeletion {
		delay = d.config.DeferredDeletionDelay
	}
	if err := rbd.GetImage(s.io, name).Trash(delay); err != nil {
		return errors.Join(err, s.unmark(name))
	}
	d.log.Info("moved to the trash", "image", name, "image_id", id, "for_clones", held, "delay", delay)
	return nil
}

func (s *session) unmark(name string) error {
	image, err := s.edit(name)
	if err != nil {
		return err
	}
	return errors.Join(image.RemoveMetadata(deletedKey), image.Close())
}

// release drops the snapshot that a clone stood on, which is now gone or flat, and removes what
// was kept only for it.
func (s *session) release(d *Driver, parent *rbd.ParentInfo) error {
	_, err := s.releaseCounting(d, parent)
	return err
}

func (s *session) releaseCounting(d *Driver, parent *rbd.ParentInfo) (removed int, err error) {
	if parent == nil || parent.Image.PoolName != s.pool || parent.Image.PoolNamespace != "" {
		return 0, nil // others' images are theirs to clean up
	}
	return s.reap(d, parent.Image.ImageID, parent.Image.ImageName, parent.Snap.SnapName)
}

// reap drops a clone's snapshot of an image, if snapshot is one, and removes the image if it was
// deleted before and nothing needs it any more, and what that in turn sets free. It returns how
// many images it removed. One that must stay, be it for clones or for its delay, is no error.
func (s *session) reap(d *Driver, id, name, snapshot string) (removed int, err error) {
	mark, parent, err := d.unneeded(s, id, name, snapshot)
	if err != nil || mark == alive {
		return 0, err
	}
	if mark == inTrash {
		err = rbd.TrashRemove(s.io, id, false)
	} else {
		err = rbd.RemoveImage(s.io, name)
	}
	switch {
	case is(err, syscall.ENOENT): // somebody was faster, or got it out of the trash
		return 0, nil
	case is(err, syscall.EPERM): // its delay is not over
		return 0, nil
	case is(err, syscall.EBUSY, syscall.ENOTEMPTY): // somebody looks at it; the purge comes again
		return 0, nil
	case err != nil:
		return 0, err
	}
	d.log.Debug("removed what was kept for clones", "image", name, "image_id", id)
	more, err := s.releaseCounting(d, parent)
	return 1 + more, err
}

// What an image is that a clone stood on.
type mark int

const (
	alive   mark = iota // or needed, or gone
	inTrash             // deleted by this driver
	renamed             // deleted by Cinder
)

// unneeded drops the snapshots of an image that no clone needs and tells whether the image was
// deleted and is needed no longer, and its parent.
func (d *Driver) unneeded(s *session, id, name, snapshot string) (_ mark, parent *rbd.ParentInfo, err error) {
	defer d.bases.take(id)()
	image, err := rbd.OpenImageById(s.io, id, rbd.NoSnapshot)
	if is(err, syscall.ENOENT) {
		return alive, nil, nil
	}
	if err != nil {
		return alive, nil, err
	}
	defer func() { err = errors.Join(err, image.Close()) }()
	if cloneSnap(snapshot) {
		needed, err := s.standOn(image, snapshot)
		if err == nil && !needed {
			err = dropUnused(image, snapshot)
		}
		if err != nil {
			return alive, nil, err
		}
	}
	was := renamed
	switch when, err := image.GetMetadata(deletedKey); {
	case err == nil:
		if mine, err := d.trashedBy(s, image, when); err != nil || !mine {
			return alive, nil, err
		}
		was = inTrash
	case !is(err, syscall.ENOENT):
		return alive, nil, err
	case !silent(name):
		return alive, nil, nil
	}
	what, err := d.look(s, image)
	if err != nil || len(what.busy) > 0 {
		return alive, nil, err
	}
	held, err := drop(image, what.internal)
	if held || err != nil {
		return alive, nil, err
	}
	return was, what.parent, nil
}

// trashedBy says that an image with a mark is in the trash since the mark was made.
func (d *Driver) trashedBy(s *session, image *rbd.Image, mark string) (bool, error) {
	marked, err := time.Parse(time.RFC3339, mark)
	if err != nil {
		return false, nil
	}
	id, err := image.GetId()
	if err != nil {
		return false, err
	}
	entry, err := trashGet(s.io, id)
	if is(err, syscall.ENOENT) {
		return false, nil
	}
	after := entry.DeletionTime.Sub(marked)
	return err == nil && -time.Second <= after && after <= 2*d.config.Timeout, err // no call takes longer
}

// standOn says that clones stand on a snapshot, for clone v2, where librbd would take it out of
// sight and further clones could not stand on it. With v1 it cannot be removed.
func (s *session) standOn(image *rbd.Image, snapshot string) (bool, error) {
	if s.protect.Load() {
		return false, nil
	}
	err := image.SetSnapshot(snapshot)
	if is(err, syscall.ENOENT) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	children, err := image.ListChildrenAttributes()
	if is(err, syscall.ERANGE) { // more than go-ceph wants to list
		return true, image.SetSnapshot(rbd.NoSnapshot)
	}
	return len(children) > 0, errors.Join(err, image.SetSnapshot(rbd.NoSnapshot))
}

// takeBack removes what a call made before err. If that fails too it may be there still, and the
// outcome is unknown.
func (d *Driver) takeBack(s *session, name string, err error) error {
	if left := d.discard(s, name); left != nil {
		return fmt.Errorf("%w: %w; then, removing it: %w", storage.ErrUnknownOutcome, err, left)
	}
	return err
}

// discard removes an image that a call made and nobody wants, with the snapshot it stands on.
func (d *Driver) discard(s *session, name string) error {
	view, err := s.view(name)
	if is(err, syscall.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	parent, err := view.GetParent()
	if is(err, syscall.ENOENT) {
		parent, err = nil, nil
	}
	id, look := view.GetId()
	if err := errors.Join(err, look, view.Close()); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), d.config.Timeout)
	defer cancel()
	if err := d.noFlatten(ctx, id); err != nil {
		return err
	}
	if err := d.remove(ctx, s, name); err != nil && !is(err, syscall.ENOENT) {
		return err
	}
	return s.release(d, parent)
}

// PurgeTrash removes from the pool's trash what this driver deleted and what has been there long
// enough and is needed by no clone, and returns how many images that were. With DeferredDeletion
// the driver does it every PurgeInterval. All problems are returned at once.
func (d *Driver) PurgeTrash(ctx context.Context) (removed int, err error) {
	var gone atomic.Int64 // also for a caller who leaves
	err = d.do(ctx, call{kind: changes, run: func(ctx context.Context, s *session) error {
		entries, err := trashList(s.io)
		if err != nil {
			return err
		}
		var errs []error
		for _, entry := range entries {
			if ctx.Err() != nil {
				return errors.Join(append(errs, ctx.Err())...)
			}
			if _, ours := d.volumes.id(entry.Name); !ours || entry.DefermentEndTime.After(time.Now()) { // the cluster's time is real
				continue
			}
			n, err := s.reap(d, entry.Id, entry.Name, "")
			gone.Add(int64(n))
			if err != nil {
				errs = append(errs, fmt.Errorf("image %s, once %s: %w", entry.Id, entry.Name, err))
			}
		}
		return errors.Join(errs...)
	}})
	if err != nil {
		err = fmt.Errorf("rbd: purge the trash of pool %q: %w", d.config.Pool, err)
	}
	return int(gone.Load()), err
}

func (d *Driver) purging(ctx context.Context) {
	for {
		select {
		case <-d.clock.After(d.config.PurgeInterval):
		case <-ctx.Done():
			return
		}
		if n, err := d.PurgeTrash(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("purge", "error", err)
		} else if n > 0 {
			d.log.Info("purged the trash", "images", n)
		}
	}
}
