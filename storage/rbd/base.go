//go:build ceph && cgo

package rbd

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"syscall"

	"github.com/ceph/go-ceph/rbd"
)

// bases remember, of volumes that were cloned, the snapshot that the last clone stands on. While
// nothing is written to the volume further clones stand on the same one. To make a snapshot is
// half of the work of a clone, and what waits for the monitors: with their own intervals they
// give out the next number up to a second after the last. It also keeps images that are cloned
// often far from the 500 or so snapshots that kernels can map.
//
// That nothing was written is known from the object map, in which every client that writes
// notes an object before it first changes it after a snapshot. One thing it hides: a revert to a
// snapshot that is older than the base brings that one's map back, with objects that look as if
// they had not changed. So a base must be the oldest snapshot of its image when it is made, and
// that is what must be remembered: later nobody could tell whether an older one was there. After
// a restart the first clone of a volume has a snapshot of its own again.
type bases struct {
	mu    sync.Mutex
	known map[string]base  // by name of the image
	turns map[string]*turn // by ID of the image, which it keeps in the trash
}

// A turn is for whoever makes or removes snapshots for clones: one that is being made may serve
// who waits, and two handles of one image would take the exclusive lock from each other.
type turn struct {
	users int // who have it or wait for it
	sync.Mutex
}

type base struct {
	id   uint64 // which no other snapshot of the pool has: another image of this name lacks it
	name string
}

// mostBases keeps the memory bounded.
const mostBases = 4096

func (b *bases) get(image string) (base, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.known[image]
	return found, ok
}

func (b *bases) has(image string) bool {
	_, ok := b.get(image)
	return ok
}

func (b *bases) set(image string, to base) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for one := range b.known { // any
		if len(b.known) < mostBases {
			break
		}
		delete(b.known, one)
	}
	b.known[image] = to
}

func (b *bases) forget(image string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.known, image)
}

// take waits for the turn at an image, for as long as librados lets others have it.
func (b *bases) take(image string) (leave func()) {
	b.mu.Lock()
	t := b.turns[image]
	if t == nil {
		t = &turn{}
		b.turns[image] = t
	}
	t.users++
	b.mu.Unlock()
	t.Lock()
	return func() {
		t.Unlock()
		b.mu.Lock()
		defer b.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(b.turns, image)
		}
	}
}

// errNoBase: a snapshot must be made, and the image is open for reading.
var errNoBase = errors.New("no snapshot that can be shared")

// base returns a snapshot of the source that has what the source has now, for a clone of a name:
// one that others stand on already if there is one that is not the one that has just failed. Else
// it makes one, or returns errNoBase if the source cannot be changed.
func (d *Driver) base(ctx context.Context, s *session, source *rbd.Image, edit bool, name, failed string) (snapshot string, shared bool, err error) {
	id, err := source.GetId()
	if err != nil {
		return "", false, before(err)
	}
	if edit {
		defer d.bases.take(id)()
	}
	if err := ctx.Err(); err != nil {
		return "", false, err
	}
	image := source.GetName()
	if known, ok := d.bases.get(image); ok && known.name != failed {
		same, err := s.unchanged(source, known)
		if err != nil {
			return "", false, before(err)
		}
		if same {
			return known.name, true, nil
		}
	}
	if !edit {
		return "", false, errNoBase
	}
	d.bases.forget(image)
	if snapshot, err = cloneSnapshot(source, name); err != nil {
		return "", false, err
	}
	alone, err := onlySnapshot(source, snapshot) // before it is protected: see there
	if err == nil {
		err = s.protectNew(source.GetSnapshot(snapshot))
	}
	if err != nil {
		return "", false, errors.Join(err, dropUnused(source, snapshot))
	}
	if alone.id != 0 {
		d.bases.set(image, alone)
	}
	// For the next in turn: it would let this handle make its snapshot, and not know what was
	// between. EINVAL: somebody else has the lock.
	if err := source.LockRelease(); err != nil && !is(err, syscall.EINVAL) {
		d.log.Debug("exclusive lock kept until the image is closed", "image", source.GetName(), "error", err)
	}
	return snapshot, false, nil
}

// cloneSnapshot makes the snapshot for a clone, with Cinder's name.
func cloneSnapshot(source *rbd.Image, clone string) (string, error) {
	name := clone + cloneSnapSuffix
	_, err := source.CreateSnapshot(name)
	if is(err, syscall.EEXIST) {
		// An earlier volume of this name has it still: in the trash, or for clones of others.
		name = clone + escape + rand.Text()[:8] + cloneSnapSuffix
		_, err = source.CreateSnapshot(name)
	}
	return name, err
}

// tracked are the features of an image whose every change is noted in its object map.
const tracked = featureExclusiveLock | featureObjectMap | featureFastDiff

// onlySnapshot returns the snapshot that this handle has just made if it is the image's only one
// and was since it was made: this handle still has the exclusive lock that it took for making it,
// so nobody else has changed, reverted or snapshot anything. Otherwise its ID is 0.
func onlySnapshot(image *rbd.Image, name string) (base, error) {
	features, err := image.GetFeatures()
	if err != nil || features&tracked != tracked {
		return base{}, err
	}
	all, err := snapshotsOf(image)
	if err != nil || len(all) != 1 || all[0].Name != name {
		return base{}, err
	}
	if owner, err := image.LockIsExclusiveOwner(); err != nil || !owner {
		return base{}, err
	}
	return base{all[0].Id, name}, nil
}

// unchanged says that an image still has what it had in the snapshot. Who has the image open
// could have something in a cache; in that case it is not said.
func (s *session) unchanged(image *rbd.Image, b base) (bool, error) {
	features, err := image.GetFeatures()
	if err != nil || features&tracked != tracked {
		return false, err
	}
	size, err := image.GetSize()
	if err != nil {
		return false, err
	}
	all, err := snapshotsOf(image)
	if err != nil {
		return false, err
	}
	// One that was deleted, and is kept by librbd for its clones, has another name.
	if !slices.Contains(all, rbd.SnapInfo{Id: b.id, Size: size, Name: b.name}) {
		return false, nil
	}
	if users, err := s.watchers(image); err != nil || len(users) > 0 {
		return false, err
	}
	changed := false
	err = image.DiffIterate(rbd.DiffIterateConfig{
		SnapName: b.name, Length: size, WholeObject: rbd.EnableWholeObject,
		Callback: func(uint64, uint64, int, any) int {
			changed = true
			return -int(syscall.ECANCELED) // enough is seen
		},
	})
	if changed {
		return false, nil
	}
	if is(err, syscall.ENOENT) { // the snapshot has just gone
		return false, nil
	}
	return err == nil, err
}
