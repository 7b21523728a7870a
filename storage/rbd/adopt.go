//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// Manageable lists the images of the pool that are not called like a volume.
func (d *Driver) Manageable(ctx context.Context, after string, limit int) ([]storage.Manageable, error) {
	var found []storage.Manageable
	err := d.do(ctx, call{run: func(ctx context.Context, s *session) error {
		all, err := rbd.GetImageNames(s.io)
		if err != nil {
			return err
		}
		others := slices.DeleteFunc(all, func(name string) bool { _, ours := d.volumes.id(name); return ours || name <= after })
		slices.Sort(others)
		for _, name := range others {
			if len(found) == limit {
				break
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			m, err := s.manageable(name)
			if is(err, syscall.ENOENT) {
				continue
			}
			if is(err, syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.ESHUTDOWN) {
				return fmt.Errorf("image %q: %w", name, err)
			}
			if err != nil {
				m.Reason = "it cannot be read: " + err.Error()
			}
			found = append(found, m)
		}
		return nil
	}})
	if err != nil {
		return nil, fmt.Errorf("list pool %q: %w", d.config.Pool, err)
	}
	return found, nil
}

func (s *session) manageable(name string) (storage.Manageable, error) {
	m := storage.Manageable{Name: name}
	view, err := s.view(name)
	if err != nil {
		return m, err
	}
	defer view.Close()
	size, err := view.GetSize()
	if err != nil {
		return m, err
	}
	m.SizeBytes = int64(size)
	users, err := s.watchers(view)
	if err != nil {
		return m, err
	}
	switch {
	case silent(name):
		m.Reason = "a volume that Cinder deleted and keeps for its clones"
	case len(users) > 0:
		m.Reason = "in use: " + strings.Join(users, ", ")
	}
	return m, nil
}

// Manage renames an image to the name of a volume. Snapshots of it stay; those with names of
// this driver's form are the volume's, the others must go before it can be deleted.
func (d *Driver) Manage(ctx context.Context, id, name string) (*storage.Volume, error) {
	if err := storage.CheckID(id); err != nil {
		return nil, err
	}
	if other, ours := d.volumes.id(name); ours {
		return nil, fmt.Errorf("%w: image %q is volume %q already", storage.ErrInvalid, name, other)
	}
	if name == "" || strings.ContainsAny(name, "/@\x00") {
		return nil, fmt.Errorf("%w: name of an image %q", storage.ErrInvalid, name)
	}
	to := d.volumes.name(id)
	var size int64
	err := d.do(ctx, call{
		kind: changes, names: []string{id},
		run: func(_ context.Context, s *session) error {
			m, err := s.manageable(name)
			switch {
			case err != nil:
				return before(err)
			case m.Reason != "":
				return &storage.BusyError{Dependents: []string{m.Reason}}
			}
			if size, err = round(max(m.SizeBytes, 1)); err != nil {
				return err
			}
			if err := rbd.GetImage(s.io, name).Rename(to); err != nil {
				return err
			}
			if err := s.settle(to, size, nil); err != nil {
				return errors.Join(err, rbd.GetImage(s.io, to).Rename(name))
			}
			return nil
		},
		undo: func(s *session) error { return rbd.GetImage(s.io, to).Rename(name) },
	})
	if err != nil {
		return nil, fmt.Errorf("image %q as volume %q: %w", name, id, err)
	}
	d.sizes.set(to, size, d.clock.Now())
	return d.volume(id, size), nil
}

// Unmanage renames the image so that it is no volume's any more.
func (d *Driver) Unmanage(ctx context.Context, id string) (string, error) {
	if err := storage.CheckID(id); err != nil {
		return "", err
	}
	name := d.volumes.name(id)
	var to string
	err := d.do(ctx, call{
		kind: changes, names: []string{id},
		run: func(ctx context.Context, s *session) error {
			imageID, err := s.id(name)
			if err != nil {
				return before(err)
			}
			if err := d.noFlatten(ctx, imageID); err != nil {
				return err
			}
			for n := 1; ; n++ {
				if to = name + unmanagedSuffix; n > 1 {
					to = fmt.Sprintf("%s-%d", to, n)
				}
				if err = rbd.GetImage(s.io, name).Rename(to); !is(err, syscall.EEXIST) {
					return err
				}
			}
		},
		undo: func(s *session) error { return rbd.GetImage(s.io, to).Rename(name) },
	})
	if err != nil {
		return "", fmt.Errorf("volume %q: %w", id, err)
	}
	d.sizes.forget(name)
	return to, nil
}
