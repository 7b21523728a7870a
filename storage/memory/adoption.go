package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
)

// prefix is what the names of managed volumes begin with.
const prefix = "volume-"

// Put makes a volume of any size under a name of its own, which nobody manages. ErrInvalid: a
// name that the driver's own volumes could have. ErrExists, ErrNoSpace.
func (d *Driver) Put(name string, sizeBytes int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case name == "" || strings.HasPrefix(name, prefix):
		return fmt.Errorf("%w: name %q, expected one that does not begin with %s", storage.ErrInvalid, name, prefix)
	case sizeBytes < 1:
		return fmt.Errorf("%w: size of %d bytes", storage.ErrInvalid, sizeBytes)
	case d.foreign[name] != nil:
		return fmt.Errorf("%q: %w", name, storage.ErrExists)
	}
	if err := d.take(sizeBytes); err != nil {
		return err
	}
	d.foreign[name] = &volume{size: sizeBytes, data: contents{}, snapshots: map[string]snapshot{}, initiators: map[string]bool{}}
	return nil
}

// Manageable lists what Put and Unmanage left.
func (d *Driver) Manageable(ctx context.Context, after string, limit int) (found []storage.Manageable, err error) {
	err = d.do(ctx, "manageable", func() error {
		for _, name := range slices.Sorted(maps.Keys(d.foreign)) {
			if name > after && len(found) < limit {
				found = append(found, storage.Manageable{Name: name, SizeBytes: d.foreign[name].size})
			}
		}
		return nil
	})
	return found, err
}

// CreateFromImage makes a copy of memory://NAME, which is something that Put or Unmanage left.
func (d *Driver) CreateFromImage(ctx context.Context, spec storage.VolumeSpec, location string) (made *storage.Volume, err error) {
	name, ok := strings.CutPrefix(location, "memory://")
	if !ok {
		return nil, fmt.Errorf("%w: image location %.200q, expected memory://NAME", storage.ErrInvalid, location)
	}
	err = d.do(ctx, "create from image", func() error {
		image := d.foreign[name]
		if image == nil {
			return fmt.Errorf("image %q: %w", location, storage.ErrNotFound)
		}
		v, err := d.create(spec, image.data, image.size)
		if err == nil {
			made = v.as(spec.ID)
		}
		return err
	})
	return made, err
}

// Manage takes a volume over; it grows to a multiple of the unit.
func (d *Driver) Manage(ctx context.Context, id, name string) (managed *storage.Volume, err error) {
	if err := storage.CheckID(id); err != nil {
		return nil, err
	}
	err = d.do(ctx, "manage", func() error {
		v := d.foreign[name]
		switch {
		case v == nil:
			return fmt.Errorf("%q: %w", name, storage.ErrNotFound)
		case d.volumes[id] != nil:
			return fmt.Errorf("volume %q: %w", id, storage.ErrExists)
		}
		size, err := d.round(v.size)
		if err != nil {
			return err
		}
		if err := d.take(size - v.size); err != nil {
			return err
		}
		v.size = size
		delete(d.foreign, name)
		d.volumes[id] = v
		managed = v.as(id)
		return nil
	})
	return managed, err
}

// Unmanage gives a volume up that is not connected.
func (d *Driver) Unmanage(ctx context.Context, id string) (name string, err error) {
	err = d.with(ctx, "unmanage", id, func(v *volume) error {
		if err := v.busy(id, nil); err != nil {
			return err
		}
		name = "unmanaged-" + id
		for n := 2; d.foreign[name] != nil; n++ {
			name = fmt.Sprintf("unmanaged-%s-%d", id, n)
		}
		delete(d.volumes, id)
		d.foreign[name] = v
		return nil
	})
	if err != nil {
		return "", err
	}
	return name, nil
}
