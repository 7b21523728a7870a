//go:build ceph && cgo

package rbd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	ceph "github.com/ceph/go-ceph/rbd"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

// TestClonesShareASnapshot while nothing is written to their source, and have their own data.
func TestClonesShareASnapshot(t *testing.T) {
	cloneFormats(t, func(t *testing.T, c rbd.Config) {
		d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
		source := create(t, d, "source", 16*mebi)
		first, second := noise(1, 6*mebi), noise(2, 6*mebi)
		p.write(source.Name, first)
		for i := range 3 {
			clone(t, d, fmt.Sprint("a", i), "source")
		}
		bigger, err := d.Clone(ctx, storage.VolumeSpec{ID: "a3", SizeBytes: 32 * mebi}, "source")
		require.NoError(t, err)
		require.Equal(t, int64(32*mebi), bigger.SizeBytes)
		require.Equal(t, []string{prefix(c) + "a0.clone_snap"}, p.snapshots(source.Name))

		// With an older snapshot there a change could be one that does not show: no more sharing.
		p.write(source.Name, second)
		clone(t, d, "b0", "source")
		clone(t, d, "b1", "source")
		require.Len(t, p.snapshots(source.Name), 3)
		for id, want := range map[string][]byte{"a0": first, "a1": first, "a2": first, "a3": first, "b0": second, "b1": second} {
			require.True(t, bytes.Equal(want, p.read(prefix(c)+id, len(want))), id)
		}

		// A snapshot is there as long as a clone needs it, and no longer.
		for _, id := range []string{"a0", "b0", "b1", "a1", "a2"} {
			require.NoError(t, d.Delete(ctx, id))
		}
		require.Equal(t, []string{prefix(c) + "a0.clone_snap"}, p.snapshots(source.Name))
		require.True(t, bytes.Equal(first, p.read(prefix(c)+"a3", len(first))))
		clone(t, d, "a0", "source") // the ID for which that was made can be used again
		require.Len(t, p.snapshots(source.Name), 2)
		require.NoError(t, d.Delete(ctx, "a0"))
		require.NoError(t, d.Delete(ctx, "a3"))
		require.Empty(t, p.snapshots(source.Name))

		// And from the start.
		for _, id := range []string{"a0", "a1", "a2"} {
			clone(t, d, id, "source")
		}
		require.NoError(t, d.Delete(ctx, "a0"))
		require.Equal(t, []string{prefix(c) + "a0.clone_snap"}, p.snapshots(source.Name))
		clone(t, d, "a0", "source")
		require.Len(t, p.snapshots(source.Name), 1, "also when the clone is gone for which it was made")
		require.NoError(t, d.Delete(ctx, "source"))
		require.True(t, bytes.Equal(second, p.read(prefix(c)+"a0", len(second))))
		for _, id := range []string{"a0", "a1", "a2"} {
			require.NoError(t, d.Delete(ctx, id))
		}
		require.Empty(t, p.images(prefix(c)))
		require.Empty(t, p.trash(prefix(c)))
	})
}

// TestCloneAfterARevert: a revert to a snapshot from before the last clone is a change that the
// object map does not show.
func TestCloneAfterARevert(t *testing.T) {
	c := config(t)
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	source := create(t, d, "source", 16*mebi)
	first, second := noise(1, mebi), noise(2, mebi)
	p.write(source.Name, first)
	for _, id := range []string{"older", "old"} { // in the map of the second all is clean
		_, err := d.CreateSnapshot(ctx, "source", id)
		require.NoError(t, err)
	}
	p.write(source.Name, second)
	clone(t, d, "a", "source")
	require.NoError(t, d.Revert(ctx, "source", "old"))
	for _, id := range []string{"old", "older"} { // nobody sees later that they were there
		require.NoError(t, d.DeleteSnapshot(ctx, "source", id))
	}
	require.True(t, bytes.Equal(first, p.read(source.Name, mebi)))
	clone(t, d, "b", "source")
	require.True(t, bytes.Equal(second, p.read(prefix(c)+"a", mebi)))
	require.True(t, bytes.Equal(first, p.read(prefix(c)+"b", mebi)))
}

// TestCloneOfWhatIsInACache: a machine's librbd has confirmed writes that the cluster has not
// seen. A snapshot makes it write them out.
func TestCloneOfWhatIsInACache(t *testing.T) {
	c := config(t)
	d, p := driver(t, c), connect(t, "volumes")
	source := create(t, d, "source", 16*mebi)
	clone(t, d, "a", "source")
	clone(t, d, "b", "source")
	require.Len(t, p.snapshots(source.Name), 1, "it is remembered")
	machine := connectWith(t, "volumes", extraConf(t, "rbd cache policy = writeback")).open(source.Name)
	defer func() { require.NoError(t, machine.Close()) }()
	require.NoError(t, machine.Flush()) // from now on it does not write through
	data := noise(3, 64<<10)
	_, err := machine.WriteAt(data, 0)
	require.NoError(t, err)
	clone(t, d, "c", "source")
	require.True(t, bytes.Equal(data, p.read(prefix(c)+"c", len(data))))
}

// TestClonesHaveWhatTheSourceHas does what one can do to an image, through another client and
// through the driver, in random order, and clones between.
func TestClonesHaveWhatTheSourceHas(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	c := config(t)
	c.ObjectSizeBytes, c.MaxCloneDepth = mebi/4, 10
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	source := create(t, d, "source", 4*mebi)
	other := func(fn func(image *ceph.Image) error) func() error {
		return func() error {
			image := p.open(source.Name)
			return errors.Join(fn(image), image.Flush(), image.Close())
		}
	}
	size := func(image *ceph.Image) uint64 {
		n, err := image.GetSize()
		require.NoError(t, err)
		return n
	}
	at := func(image *ceph.Image) (uint64, uint64) {
		off := r.Uint64N(size(image))
		return off, min(1+r.Uint64N(mebi), size(image)-off)
	}
	snapshots, next := []string{}, 0
	some := func() (string, int) { i := r.IntN(len(snapshots)); return snapshots[i], i }
	acts := map[string]func() error{
		"write": other(func(image *ceph.Image) error {
			off, n := at(image)
			_, err := image.WriteAt(noise(r.Uint64(), int(n)), int64(off))
			return err
		}),
		"discard": other(func(image *ceph.Image) error {
			off, n := at(image)
			_, err := image.Discard(off, n)
			return err
		}),
		"zeroes": other(func(image *ceph.Image) error {
			off, n := at(image)
			_, err := image.WriteAt(make([]byte, n), int64(off))
			return err
		}),
		"resize": other(func(image *ceph.Image) error { return image.Resize(uint64(1+r.IntN(6)) * mebi) }),
		"snapshot": func() error {
			next++
			snapshots = append(snapshots, fmt.Sprint(next))
			_, err := d.CreateSnapshot(ctx, "source", fmt.Sprint(next))
			return err
		},
		"revert": func() error {
			if len(snapshots) == 0 {
				return nil
			}
			id, _ := some()
			return d.Revert(ctx, "source", id)
		},
		"drop": func() error {
			if len(snapshots) == 0 {
				return nil
			}
			id, i := some()
			snapshots = append(snapshots[:i], snapshots[i+1:]...)
			return d.DeleteSnapshot(ctx, "source", id)
		},
	}
	names := []string{"write", "discard", "zeroes", "resize", "snapshot", "revert", "drop"}
	all := func(name string) []byte {
		image := p.open(name)
		data := make([]byte, size(image))
		_, err := image.ReadAt(data, 0)
		require.NoError(t, err)
		require.NoError(t, image.Close())
		return data
	}
	var log []string
	var live []string
	contents := map[string][]byte{}
	for i := range 60 {
		for range r.IntN(3) {
			name := names[r.IntN(len(names))]
			log = append(log, name)
			require.NoError(t, acts[name](), "%v", log)
		}
		id := fmt.Sprint("c", i)
		log = append(log, "clone")
		clone(t, d, id, "source")
		want := all(source.Name)
		require.True(t, bytes.Equal(want, all(prefix(c)+id)), "clone %d after %v", i, log)
		live = append(live, id)
		contents[id] = want
		if len(live) > 3 {
			gone := r.IntN(len(live))
			log = append(log, "delete a clone")
			require.NoError(t, d.Delete(ctx, live[gone]), "%v", log)
			live = append(live[:gone], live[gone+1:]...)
		}
	}
	for _, id := range live {
		require.True(t, bytes.Equal(contents[id], all(prefix(c)+id)), "%s is what it was", id)
		require.NoError(t, d.Delete(ctx, id))
	}
	for _, name := range p.snapshots(source.Name) {
		require.False(t, strings.HasSuffix(name, ".clone_snap"), "%s is left", name)
	}
}

// TestClonesComeAndGo at once from one source.
func TestClonesComeAndGo(t *testing.T) {
	cloneFormats(t, func(t *testing.T, c rbd.Config) {
		d, p := driver(t, c), connect(t, "volumes")
		source := create(t, d, "source", 16*mebi)
		contents := noise(1, mebi)
		p.write(source.Name, contents)
		errs := make(chan error, 8)
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				_, err := d.Clone(context.Background(), storage.VolumeSpec{ID: fmt.Sprint("first", worker)}, "source")
				errs <- err
			})
		}
		for range 8 {
			require.NoError(t, <-errs)
		}
		all.Wait()
		require.Len(t, p.snapshots(source.Name), 1, "they come at once and share")
		for worker := range 8 {
			require.NoError(t, d.Delete(t.Context(), fmt.Sprint("first", worker)))
		}
		for worker := range 8 {
			all.Go(func() {
				for i := range 4 {
					id := fmt.Sprintf("c%d-%d", worker, i)
					if _, err := d.Clone(context.Background(), storage.VolumeSpec{ID: id}, "source"); err != nil {
						errs <- fmt.Errorf("clone %s: %w", id, err)
						return
					}
					if i == 3 {
						return
					}
					if err := d.Delete(context.Background(), id); err != nil {
						errs <- fmt.Errorf("delete %s: %w", id, err)
						return
					}
				}
			})
		}
		all.Wait()
		close(errs)
		for err := range errs {
			require.NoError(t, err)
		}
		require.Len(t, p.images(prefix(c)), 9)
		t.Logf("%d snapshots", len(p.snapshots(source.Name)))
		for worker := range 8 {
			id := fmt.Sprintf("c%d-3", worker)
			require.True(t, bytes.Equal(contents, p.read(prefix(c)+id, mebi)), id)
			require.NoError(t, d.Delete(t.Context(), id))
		}
		require.Empty(t, p.snapshots(source.Name))
		require.NoError(t, d.Delete(t.Context(), "source"))
		require.Empty(t, p.trash(prefix(c)))
	})
}

// TestLimitsAreNotInherited: a clone is a volume of its own.
func TestLimitsAreNotInherited(t *testing.T) {
	c := config(t)
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	v := create(t, d, "v", 8*mebi)
	limits := storage.QoS{TotalIOPS: 100, WriteBytes: 1 << 20}
	require.NoError(t, d.SetQoS(ctx, "v", limits))
	image := p.open(v.Name)
	require.NoError(t, image.SetMetadata("owner", "somebody"))
	require.NoError(t, image.Close())
	_, err := d.CreateSnapshot(ctx, "v", "s")
	require.NoError(t, err)
	at := rbd.Location{FSID: shared.Get(t).FSID, Pool: "volumes", Image: v.Name, Snapshot: "snapshot-s"}
	full := c
	full.MaxCloneDepth = -1
	for id, make := range map[string]func(storage.VolumeSpec) (*storage.Volume, error){
		"clone":         func(v storage.VolumeSpec) (*storage.Volume, error) { return d.Clone(ctx, v, "v") },
		"copy":          func(v storage.VolumeSpec) (*storage.Volume, error) { return driver(t, full).Clone(ctx, v, "v") },
		"from-snapshot": func(v storage.VolumeSpec) (*storage.Volume, error) { return d.CreateFromSnapshot(ctx, v, "v", "s") },
		"from-image":    func(v storage.VolumeSpec) (*storage.Volume, error) { return d.CreateFromImage(ctx, v, at.String()) },
	} {
		made, err := make(storage.VolumeSpec{ID: id})
		require.NoError(t, err, id)
		got, err := d.GetQoS(ctx, id)
		require.NoError(t, err)
		require.Zero(t, got, id)
		image := p.open(made.Name)
		owner, err := image.GetMetadata("owner")
		require.NoError(t, err, "other metadata comes along with a %s", id)
		require.Equal(t, "somebody", owner)
		require.NoError(t, image.Close())
	}
	got, err := d.GetQoS(ctx, "v")
	require.NoError(t, err)
	require.Equal(t, limits, got, "the source has its limits still")
}

// TestOldClientsAreLetInAgain: a driver that knew that all clients know clone v2 finds that they
// need not any more. It protects what is its own, and nothing of others.
func TestOldClientsAreLetInAgain(t *testing.T) {
	c := config(t)
	d, p, images, ctx := driver(t, c), connect(t, "volumes"), connect(t, "images"), t.Context()
	command(t, "ceph", "osd", "set-require-min-compat-client", "mimic", "--yes-i-really-mean-it")
	letIn := func() {
		command(t, "ceph", "osd", "set-require-min-compat-client", "luminous", "--yes-i-really-mean-it")
	}
	defer letIn()
	v := create(t, d, "v", 8*mebi)
	for _, id := range []string{"s", "t"} {
		_, err := d.CreateSnapshot(ctx, "v", id)
		require.NoError(t, err)
	}
	at := image(c)(t, noise(1, mebi))
	glances := images.open(prefix(c) + "image")
	require.NoError(t, glances.GetSnapshot("snap").Unprotect())
	protected := func(image *ceph.Image, snapshot string) bool {
		is, err := image.GetSnapshot(snapshot).IsProtected()
		require.NoError(t, err)
		return is
	}
	ours := p.open(v.Name)
	require.False(t, protected(ours, "snapshot-s"), "clones need it not")
	require.NoError(t, ours.Close())

	letIn()
	require.Eventually(t, func() bool { // the driver's client hears of it in its own time
		_, err := d.CreateFromImage(ctx, storage.VolumeSpec{ID: "a"}, at)
		require.False(t, protected(glances, "snap"), "others' snapshots are theirs to protect")
		if err == nil {
			require.NoError(t, d.Delete(ctx, "a"))
			return false
		}
		require.ErrorIs(t, err, storage.ErrUnsupported)
		return true
	}, 30*time.Second, 100*time.Millisecond)
	require.NoError(t, glances.Close())
	_, err := d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "b"}, "v", "s")
	require.NoError(t, err)
	_, err = driver(t, c).CreateFromSnapshot(ctx, storage.VolumeSpec{ID: "c"}, "v", "t")
	require.NoError(t, err, "one that knew from the start")
	ours = p.open(v.Name)
	require.True(t, protected(ours, "snapshot-s"))
	require.True(t, protected(ours, "snapshot-t"))
	require.NoError(t, ours.Close())
}
