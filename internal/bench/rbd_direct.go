//go:build ceph && cgo

package main

// What our driver does, done by go-ceph alone.

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"

	ceph "github.com/ceph/go-ceph/rbd"
)

func (s *rbdSite) options(order uint64) *ceph.ImageOptions {
	options := ceph.NewRbdImageOptions()
	_ = options.SetUint64(ceph.ImageOptionFeatures, 61) // the cluster's default; it cannot fail
	if order > 0 {
		_ = options.SetUint64(ceph.ImageOptionOrder, order)
	}
	return options
}

func (s *rbdSite) create(name string) error {
	options := s.options(22)
	defer options.Destroy()
	return ceph.CreateImage(s.io, name, 1<<30, options)
}

// source makes a volume that has something in it to be cloned.
func (s *rbdSite) source(name string) error {
	if err := s.create(name); err != nil {
		return err
	}
	image, err := ceph.OpenImage(s.io, name, ceph.NoSnapshot)
	if err != nil {
		return err
	}
	_, err = image.WriteAt(bytes.Repeat([]byte("data"), 1<<20), 0)
	return errors.Join(err, image.Close())
}

// imageFile needs an image, in memory and in a file.
func (s *rbdSite) imageFile(int, int) error {
	if s.image != nil {
		return nil
	}
	s.image = make([]byte, 64<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(s.image) // it has no errors
	return os.WriteFile(s.cluster.Dir+"/image", s.image, 0o600)
}

// fill makes a volume of the image by go-ceph.
func (s *rbdSite) fill(i int) error {
	if err := s.create(name(i)); err != nil {
		return err
	}
	image, err := ceph.OpenImage(s.io, name(i), ceph.NoSnapshot)
	if err != nil {
		return err
	}
	const piece = 4 << 20
	for at := 0; at < len(s.image) && err == nil; at += piece {
		_, err = image.WriteAt(s.image[at:min(at+piece, len(s.image))], int64(at))
	}
	return errors.Join(err, image.Flush(), image.Close())
}

// look is what is asked of a source before it is cloned.
func (s *rbdSite) look(image *ceph.Image) error {
	_, err := image.GetSize()
	if _, parent := image.GetParent(); !errors.Is(parent, ceph.ErrNotFound) {
		err = errors.Join(err, errors.New("it has a parent"))
	}
	_, meta := image.ListMetadata()
	return errors.Join(err, meta)
}

func (s *rbdSite) clone(i int) error {
	image, err := ceph.OpenImage(s.io, name(i), ceph.NoSnapshot)
	if err != nil {
		return err
	}
	if err := s.look(image); err != nil {
		return errors.Join(err, image.Close())
	}
	snap := name(i) + "-clone.clone_snap"
	snapshot, err := image.CreateSnapshot(snap)
	if err == nil { // whether it can be shared
		_, err1 := image.GetFeatures()
		_, err2 := image.GetSnapshotNames()
		_, err3 := image.LockIsExclusiveOwner()
		err = errors.Join(err1, err2, err3)
	}
	if err == nil {
		err = errors.Join(snapshot.Protect(), image.LockRelease())
	}
	if err == nil {
		options := s.options(0)
		defer options.Destroy()
		err = ceph.CloneImage(s.io, name(i), snap, s.io, name(i)+"-clone", options)
	}
	return errors.Join(err, image.Close())
}

// cloneAgain clones a volume by the snapshot of its first clone, which it only reads.
func (s *rbdSite) cloneAgain(i, source int) error {
	image, err := ceph.OpenImageReadOnly(s.io, name(source), ceph.NoSnapshot)
	if err != nil {
		return err
	}
	snap := name(source) + "-first.clone_snap"
	changed := false
	err1 := s.look(image)
	_, err2 := image.GetFeatures()
	_, err3 := image.GetSnapshotNames()
	_, err4 := image.ListWatchers()
	err = errors.Join(err1, err2, err3, err4, image.DiffIterate(ceph.DiffIterateConfig{
		SnapName: snap, Length: 1 << 30, WholeObject: ceph.EnableWholeObject,
		Callback: func(uint64, uint64, int, any) int { changed = true; return 0 },
	}))
	if changed {
		err = errors.Join(err, errors.New("it has changed"))
	}
	if err == nil {
		options := s.options(0)
		defer options.Destroy()
		err = ceph.CloneImage(s.io, name(source), snap, s.io, name(i)+"-clone", options)
	}
	return errors.Join(err, image.Close())
}

func (s *rbdSite) snapshot(i int) error {
	image, err := ceph.OpenImage(s.io, "volume-snapped", ceph.NoSnapshot)
	if err != nil {
		return err
	}
	if _, err := image.GetSize(); err != nil {
		return errors.Join(err, image.Close())
	}
	snapshot, err := image.CreateSnapshot(fmt.Sprint("snapshot-", i))
	if err == nil {
		err = snapshot.Protect()
	}
	return errors.Join(err, image.Close())
}

func (s *rbdSite) delete(i int) error {
	image, err := ceph.OpenImageReadOnly(s.io, name(i), ceph.NoSnapshot)
	if err != nil {
		return err
	}
	_, err = image.ListWatchers()
	_, err2 := image.GetId()
	_, err3 := image.GetSnapshotNames()
	if _, parent := image.GetParent(); !errors.Is(parent, ceph.ErrNotFound) {
		err = errors.Join(err, errors.New("it has a parent"))
	}
	if err := errors.Join(err, err2, err3, image.Close()); err != nil {
		return err
	}
	return ceph.RemoveImage(s.io, name(i))
}

func (s *rbdSite) connect(int) error {
	image, err := ceph.OpenImageReadOnly(s.io, "volume-kept0", ceph.NoSnapshot)
	if err != nil {
		return err
	}
	_, err = image.GetSize()
	if err := errors.Join(err, image.Close()); err != nil {
		return err
	}
	return s.ask(`{"prefix":"mon dump","format":"json"}`)
}

func (s *rbdSite) stats(int) error {
	if err := errors.Join(s.ask(`{"prefix":"df","format":"json"}`), s.ask(`{"prefix":"osd pool get-quota","pool":"volumes","format":"json"}`)); err != nil {
		return err
	}
	_, err := ceph.GetImageNames(s.io)
	return err
}

func (s *rbdSite) ask(command string) error {
	_, _, err := s.conn.MonCommand([]byte(command))
	return err
}
