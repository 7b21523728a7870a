//go:build ceph && cgo

package rbd_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ceph "github.com/ceph/go-ceph/rbd"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

func TestBusyNamesWhatIsInTheWay(t *testing.T) {
	c := config(t)
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	v := create(t, d, "v", 8*mebi)
	_, err := d.CreateSnapshot(ctx, "v", "nightly")
	require.NoError(t, err)
	other := p.open(v.Name)
	_, err = other.CreateSnapshot("by-hand")
	require.NoError(t, err)

	var busy *storage.BusyError
	require.ErrorAs(t, d.Delete(ctx, "v"), &busy)
	require.Len(t, busy.Dependents, 3)
	require.Contains(t, busy.Dependents[0], "connection client.")
	require.Contains(t, busy.Dependents[0], "127.0.0.1")
	require.ElementsMatch(t, []string{"snapshot nightly", `snapshot "by-hand", which somebody else made`}, busy.Dependents[1:])
	require.ErrorAs(t, d.Revert(ctx, "v", "nightly"), &busy, "a machine has it open")
	require.Len(t, busy.Dependents, 1)
	require.Contains(t, busy.Dependents[0], "connection client.")

	require.NoError(t, other.GetSnapshot("by-hand").Remove())
	require.NoError(t, other.Close())
	require.NoError(t, d.Revert(ctx, "v", "nightly"))
	require.NoError(t, d.DeleteSnapshot(ctx, "v", "nightly"))
	require.NoError(t, d.Delete(ctx, "v"))
	require.Empty(t, p.images(prefix(c)))
}

func TestParentsLiveAsLongAsTheirClones(t *testing.T) {
	cloneFormats(t, func(t *testing.T, c rbd.Config) {
		d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
		contents := noise(1, mebi)
		p.write(create(t, d, "a", 8*mebi).Name, contents)
		clone(t, d, "b", "a")
		clone(t, d, "c", "b")
		require.NoError(t, d.Delete(ctx, "a"))
		require.NoError(t, d.Delete(ctx, "b"))
		_, err := d.Get(ctx, "a")
		require.ErrorIs(t, err, storage.ErrNotFound)
		list, err := d.List(ctx, "", 10)
		require.NoError(t, err)
		require.Len(t, list, 1, "only the clone is a volume")
		require.Len(t, p.trash(prefix(c)), 2)
		require.True(t, bytes.Equal(contents, p.read(prefix(c)+"c", len(contents))))

		// The same IDs again: nothing of the old ones is in the way.
		p.write(create(t, d, "a", 8*mebi).Name, noise(2, mebi))
		clone(t, d, "b", "a")
		require.NoError(t, d.Delete(ctx, "a"))
		require.True(t, bytes.Equal(noise(2, mebi), p.read(prefix(c)+"b", mebi)))
		require.Len(t, p.trash(prefix(c)), 3)

		require.NoError(t, d.Delete(ctx, "c"))
		require.Len(t, p.trash(prefix(c)), 1, "c was the last on the old a and b")
		require.NoError(t, d.Delete(ctx, "b"))
		require.Empty(t, p.trash(prefix(c)))
		require.Empty(t, p.images(prefix(c)))
	})
}

func TestSnapshotWithClonesIsDeleted(t *testing.T) {
	cloneFormats(t, func(t *testing.T, c rbd.Config) {
		d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
		p.write(create(t, d, "v", 8*mebi).Name, noise(1, mebi))
		_, err := d.CreateSnapshot(ctx, "v", "s")
		require.NoError(t, err)
		for i := range 3 {
			_, err := d.CreateFromSnapshot(ctx, storage.VolumeSpec{ID: fmt.Sprint("c", i)}, "v", "s")
			require.NoError(t, err)
		}
		require.NoError(t, d.DeleteSnapshot(ctx, "v", "s"))
		_, err = d.GetSnapshot(ctx, "v", "s")
		require.ErrorIs(t, err, storage.ErrNotFound)
		_, err = d.CreateSnapshot(ctx, "v", "s")
		require.NoError(t, err, "the ID is free again")
		require.NoError(t, d.DeleteSnapshot(ctx, "v", "s"))
		require.NoError(t, d.Delete(ctx, "v"))
		for i := range 3 {
			require.True(t, bytes.Equal(noise(1, mebi), p.read(fmt.Sprint(prefix(c), "c", i), mebi)))
			require.NoError(t, d.Delete(ctx, fmt.Sprint("c", i)))
		}
		require.Empty(t, p.images(prefix(c)))
		require.Empty(t, p.trash(prefix(c)))
	})
}

func TestClonesOfAnotherPoolKeepASnapshot(t *testing.T) {
	c := config(t)
	c.ConfigFile = extraConf(t, "rbd default clone format = 1")
	d, volumes, images, ctx := driver(t, c), connect(t, "volumes"), connect(t, "images"), t.Context()
	v := create(t, d, "v", 8*mebi)
	_, err := d.CreateSnapshot(ctx, "v", "s")
	require.NoError(t, err)
	options := ceph.NewRbdImageOptions()
	defer options.Destroy()
	require.NoError(t, ceph.CloneImage(volumes.io, v.Name, "snapshot-s", images.io, prefix(c)+"foreign", options))
	var busy *storage.BusyError
	require.ErrorAs(t, d.DeleteSnapshot(ctx, "v", "s"), &busy)
	require.Equal(t, []string{"clone images/" + prefix(c) + "foreign"}, busy.Dependents)
	require.NoError(t, ceph.RemoveImage(images.io, prefix(c)+"foreign"))
	require.NoError(t, d.DeleteSnapshot(ctx, "v", "s"))
}

func TestClonesBeyondTheDepthLimit(t *testing.T) {
	cloneFormats(t, func(t *testing.T, c rbd.Config) {
		c.MaxCloneDepth, c.ConcurrentFlattens = 2, 1
		d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
		contents := noise(1, mebi)
		p.write(create(t, d, "v0", 8*mebi).Name, contents)
		for i := 1; i <= 9; i++ {
			v := clone(t, d, fmt.Sprint("v", i), fmt.Sprint("v", i-1))
			require.LessOrEqual(t, p.depth(v.Name), 2+4, "never far beyond the limit")
		}
		for i := range 10 {
			name := fmt.Sprint(prefix(c), "v", i)
			require.Eventually(t, func() bool { return p.depth(name) <= 2 }, 30*time.Second, 50*time.Millisecond, "%s is flattened in the background", name)
			require.True(t, bytes.Equal(contents, p.read(name, len(contents))), name)
			if i > 0 && p.depth(name) == 0 {
				source := fmt.Sprint(prefix(c), "v", i-1)
				require.Eventually(t, func() bool { return !slices.Contains(p.snapshots(source), name+".clone_snap") },
					30*time.Second, 50*time.Millisecond, "what %s stood on goes", name)
			}
		}
		for i := range 10 {
			require.NoError(t, d.Delete(ctx, fmt.Sprint("v", i)))
		}
		require.Empty(t, p.images(prefix(c)))
		require.Empty(t, p.trash(prefix(c)))
	})
}

// TestCloneThatIsLeftWaitingForItsFlatten: far beyond the limit a clone waits, and may be left.
func TestCloneThatIsLeftWaitingForItsFlatten(t *testing.T) {
	c := config(t)
	c.MaxCloneDepth = 1
	d, p := driver(t, c), connect(t, "volumes")
	create(t, d, "v0", 8*mebi)
	release := d.HoldFlattens()
	for i := 1; i <= 4; i++ {
		clone(t, d, fmt.Sprint("v", i), fmt.Sprint("v", i-1))
	}
	before := p.snapshots(prefix(c) + "v4")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := d.Clone(ctx, storage.VolumeSpec{ID: "v5"}, "v4")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = d.Get(t.Context(), "v5") // waits for what is taken back
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.Equal(t, before, p.snapshots(prefix(c)+"v4"))
	release()
	clone(t, d, "v5", "v4")
}

func TestDeleteOfWhatIsBeingFlattened(t *testing.T) {
	c := config(t)
	c.MaxCloneDepth, c.ConcurrentFlattens = 1, 1
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	p.write(create(t, d, "a", 64*mebi).Name, noise(1, 16*mebi))
	clone(t, d, "b", "a")
	for i := range 4 { // one runs, the others wait for their turn
		clone(t, d, fmt.Sprint("c", i), "b")
	}
	for i := range 4 {
		require.NoError(t, d.Delete(ctx, fmt.Sprint("c", i)))
	}
	require.NoError(t, d.Delete(ctx, "a"))
	require.NoError(t, d.Delete(ctx, "b"))
	require.Empty(t, p.images(prefix(c)))
	require.Empty(t, p.trash(prefix(c)))
}

// TestCindersSilentParents: Cinder renames a volume that has clones and leaves it for its next
// release to clean up.
func TestCindersSilentParents(t *testing.T) {
	c := config(t)
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	v := create(t, d, "a", 8*mebi)
	clone(t, d, "b", "a")
	clone(t, d, "c", "b")
	require.NoError(t, ceph.GetImage(p.io, v.Name).Rename(v.Name+".deleted"))
	require.NoError(t, ceph.GetImage(p.io, prefix(c)+"b").Rename(prefix(c)+"b.deleted"))
	list, err := d.List(ctx, "", 10)
	require.NoError(t, err)
	require.Len(t, list, 1)
	found, err := d.Manageable(ctx, prefix(c), 1)
	require.NoError(t, err)
	require.Equal(t, v.Name+".deleted", found[0].Name)
	require.NotEmpty(t, found[0].Reason)
	require.NoError(t, d.Delete(ctx, "c"))
	require.Empty(t, p.images(prefix(c)), "both go with the last clone")

	odd := create(t, d, "x.deleted", 8*mebi)
	require.NoError(t, d.Delete(ctx, "x.deleted"), "an ID may end like that")
	require.Equal(t, prefix(c)+"x.deleted~", odd.Name)
}

func TestDeferredDeletion(t *testing.T) {
	c := config(t)
	c.DeferredDeletion, c.DeferredDeletionDelay, c.PurgeInterval = true, time.Hour, time.Hour
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	v := create(t, d, "v", 8*mebi)
	p.write(v.Name, noise(1, mebi))
	require.NoError(t, d.Delete(ctx, "v"))
	_, err := d.Get(ctx, "v")
	require.ErrorIs(t, err, storage.ErrNotFound)
	n, err := d.PurgeTrash(ctx)
	require.NoError(t, err)
	require.Zero(t, n, "not before its time")
	require.Equal(t, []string{v.Name}, p.trash(prefix(c)))
	p.restore(v.Name) // the point of it all
	require.True(t, bytes.Equal(noise(1, mebi), p.read(v.Name, mebi)))
	_, err = d.PurgeTrash(ctx)
	require.NoError(t, err)
	require.Equal(t, []string{v.Name}, p.images(prefix(c)), "what was taken back is not purged")

	// Nor when somebody moves it to the trash again by hand, though the mark is on it still, and
	// on what others clone from it.
	image := p.open(v.Name)
	marked, err := image.GetMetadata("crowbarkit.deleted")
	require.NoError(t, err)
	when, err := time.Parse(time.RFC3339, marked)
	require.NoError(t, err)
	require.NoError(t, image.SetMetadata("crowbarkit.deleted", when.Add(-time.Hour).Format(time.RFC3339)))
	require.NoError(t, image.Close())
	clone(t, d, "unmarked", "v")
	image = p.open(prefix(c) + "unmarked")
	_, err = image.GetMetadata("crowbarkit.deleted")
	require.ErrorIs(t, err, ceph.ErrNotFound)
	require.NoError(t, image.Close())
	p.sweep(prefix(c) + "unmarked")
	require.NoError(t, ceph.GetImage(p.io, v.Name).Trash(0))
	n, err = d.PurgeTrash(ctx)
	require.NoError(t, err)
	require.Zero(t, n)
	p.restore(v.Name)
	require.True(t, bytes.Equal(noise(1, mebi), p.read(v.Name, mebi)))

	c.DeferredDeletionDelay, c.PurgeInterval = 0, time.Second
	quick := driver(t, c)
	foreign := create(t, quick, "foreign", 8*mebi)
	require.NoError(t, ceph.GetImage(p.io, foreign.Name).Trash(0), "somebody else's trash")
	require.NoError(t, quick.Delete(ctx, "v"))
	create(t, quick, "w", 8*mebi)
	clone(t, quick, "x", "w")
	require.NoError(t, quick.Delete(ctx, "w"))
	require.NoError(t, quick.Delete(ctx, "x"))
	require.Eventually(t, func() bool { return len(p.trash(prefix(c))) == 1 }, 30*time.Second, 100*time.Millisecond, "the rest is purged")
	require.Equal(t, []string{foreign.Name}, p.trash(prefix(c)), "and only what this driver deleted")
	require.Empty(t, p.images(prefix(c)))

	create(t, d, "parent", 8*mebi)
	clone(t, d, "child", "parent")
	require.NoError(t, d.Delete(ctx, "parent"))
	c.DeferredDeletion, c.DeferredDeletionDelay = false, 0
	require.NoError(t, driver(t, c).Delete(ctx, "child"))
	require.ElementsMatch(t, []string{foreign.Name, prefix(c) + "parent"}, p.trash(prefix(c)), "its delay is not over, also without clones")
}

// TestAPurgeIsLeft in its middle, and tells how many images it had removed by then.
func TestAPurgeIsLeft(t *testing.T) {
	c := config(t)
	c.DeferredDeletion, c.PurgeInterval = true, time.Hour
	d, p := driver(t, c), connect(t, "volumes")
	const all = 12
	for i := range all {
		create(t, d, fmt.Sprint("v", i), 8*mebi)
		require.NoError(t, d.Delete(t.Context(), fmt.Sprint("v", i)))
	}
	require.Len(t, p.trash(prefix(c)), all, "a deletion leaves the work to the purge")
	ctx, cancel := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	defer watch.Wait()
	watch.Go(func() {
		defer cancel()
		for {
			left := 0
			entries, err := ceph.GetTrashList(p.io)
			for _, entry := range entries {
				if strings.HasPrefix(entry.Name, prefix(c)) {
					left++
				}
			}
			if err != nil || left <= all-2 {
				return
			}
		}
	})
	removed, err := d.PurgeTrash(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, storage.ErrUnknownOutcome)
	require.Less(t, removed, all)
	more, err := d.PurgeTrash(t.Context())
	require.NoError(t, err)
	require.LessOrEqual(t, removed+more, all)
	require.Empty(t, p.trash(prefix(c)))
}

// TestPurgeOfAFullTrash: a purge finds what is its own among very many others.
func TestPurgeOfAFullTrash(t *testing.T) {
	c := config(t)
	c.DeferredDeletion, c.PurgeInterval = true, time.Hour
	d, p, ctx := driver(t, c), connect(t, "volumes"), t.Context()
	other := create(t, d, "other", 8*mebi)
	require.NoError(t, ceph.GetImage(p.io, other.Name).Rename("other"))
	require.NoError(t, ceph.GetImage(p.io, "other").Trash(0))
	const directory = "rbd_trash"
	all, err := p.io.GetAllOmapValues(directory, "", "id_", 10)
	require.NoError(t, err)
	require.Len(t, all, 1)
	defer func() {
		trash, err := ceph.GetTrashList(p.io)
		require.NoError(t, err)
		require.Len(t, trash, 1, "what others deleted is there still")
		require.NoError(t, ceph.TrashRemove(p.io, trash[0].Id, true))
	}()
	for _, entry := range all { // as if as many images had been deleted
		more := map[string][]byte{}
		var keys []string
		for i := range 10300 {
			key := fmt.Sprintf("id_%08x", i)
			more[key], keys = entry, append(keys, key)
			if len(more) == 500 {
				require.NoError(t, p.io.SetOmap(directory, more))
				clear(more)
			}
		}
		require.NoError(t, p.io.SetOmap(directory, more))
		defer func() {
			for some := range slices.Chunk(keys, 500) {
				require.NoError(t, p.io.RmOmapKeys(directory, some))
			}
		}()
	}
	create(t, d, "v", 8*mebi)
	require.NoError(t, d.Delete(ctx, "v"))
	removed, err := d.PurgeTrash(ctx)
	require.NoError(t, err)
	require.Equal(t, 1, removed)
}

// TestVolumeWhoseParentIsGone has its own data still: somebody removed an image, or its pool, by force.
func TestVolumeWhoseParentIsGone(t *testing.T) {
	c := config(t)
	d, p, images, ctx := driver(t, c), connect(t, "volumes"), connect(t, "images"), t.Context()
	v, err := d.CreateFromImage(ctx, storage.VolumeSpec{ID: "v"}, image(c)(t, noise(1, mebi)))
	require.NoError(t, err)
	p.write(v.Name, noise(2, mebi/2))
	volume, parent := p.open(v.Name), images.open(prefix(c)+"image")
	volumeID, err := volume.GetId()
	require.NoError(t, err)
	parentID, err := parent.GetId()
	require.NoError(t, err)
	require.NoError(t, volume.Close())
	require.NoError(t, parent.Close())
	header := "rbd_header." + parentID
	require.NoError(t, images.io.Delete(header))

	_, err = d.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: mebi})
	require.ErrorIs(t, err, storage.ErrExists)
	_, err = d.Get(ctx, "v")
	require.Error(t, err)
	require.NotErrorIs(t, err, storage.ErrNotFound)
	_, err = p.io.Stat("rbd_header." + volumeID)
	require.NoError(t, err, "it is there still")
	list, err := d.List(ctx, "", 10)
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, d.Delete(ctx, "v"), "and can be deleted")
	require.Empty(t, p.images(prefix(c)))
	require.NoError(t, ceph.RemoveImage(images.io, prefix(c)+"image"))
}
