package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
)

// Create returns the volume of this ID if it has the size that the spec comes to, and makes it
// if there is none. ErrExists: there is one of another size.
func (b *Backend) Create(ctx context.Context, spec VolumeSpec) (volume *Volume, err error) {
	o := operation{op: "create", id: spec.ID, volumes: []string{spec.ID}, changes: true, refused: checkSize(spec.SizeBytes)}
	err = b.run(ctx, o, func(ctx context.Context, c *call) error {
		volume, err = c.create(ctx, spec)
		return err
	})
	return volume, err
}

// create makes, and makes once more if the first try got lost and there is nothing. It does not
// look first, which would be a round trip for each volume; so it cannot know whose volume it is
// that it finds after an interruption, and deletes none: that is the driver's part.
func (c *call) create(ctx context.Context, spec VolumeSpec) (*Volume, error) {
	volume, err := c.driver.Create(ctx, spec)
	if errors.Is(err, ErrUnknownOutcome) {
		switch there, look := c.driver.Get(ctx, spec.ID); {
		case look == nil:
			return c.same(ctx, spec, there)
		case errors.Is(look, ErrNotFound):
			c.again(err)
			volume, err = c.driver.Create(ctx, spec)
		default:
			return nil, err
		}
	}
	if errors.Is(err, ErrExists) {
		there, look := c.driver.Get(ctx, spec.ID)
		if look != nil {
			return nil, err
		}
		return c.same(ctx, spec, there)
	}
	if err != nil {
		return nil, err
	}
	return volume, nil
}

// same returns there if it is what spec asks for. The back end does not keep what was asked
// for, only what it was rounded to.
func (b *Backend) same(ctx context.Context, spec VolumeSpec, there *Volume) (*Volume, error) {
	want := spec.SizeBytes
	if want == there.SizeBytes {
		return there, nil
	}
	stats, err := b.driver.Stats(ctx)
	if err != nil {
		return nil, fmt.Errorf("compare with the volume that is there: %w", err)
	}
	if want = stats.Round(want); want != there.SizeBytes {
		return nil, fmt.Errorf("%w: with %d bytes, not %d bytes", ErrExists, there.SizeBytes, want)
	}
	return there, nil
}

// copyOf is create for volumes that take long to make. It looks first; what is there after the
// driver says that it may have made something, and is not what was asked for, is therefore its own
// and removed, even when ctx has ended. What looks whole, or cannot be compared, it leaves: another
// process may have made it. After any other error the driver has left nothing, and nothing is touched.
//
// accept returns a volume that is there if it is what was asked for, and ErrExists if it is not.
// redo prepares a second do; nil: there can be none.
func (c *call) copyOf(ctx context.Context, id string,
	accept func(context.Context, *Volume) (*Volume, error), do func() (*Volume, error), redo func() error,
) (*Volume, error) {
	switch there, err := c.driver.Get(ctx, id); {
	case err == nil:
		c.settled = true
		return accept(ctx, there)
	case !errors.Is(err, ErrNotFound):
		c.settled = true
		return nil, err
	}
	for try := 1; ; try++ {
		volume, err := do()
		if errors.Is(err, ErrExists) { // another process was faster
			there, look := c.driver.Get(ctx, id)
			if look != nil {
				return nil, err
			}
			return accept(ctx, there)
		}
		if !errors.Is(err, ErrUnknownOutcome) {
			if interrupted(err) {
				_, look := c.look(ctx, id)
				c.settled = errors.Is(look, ErrNotFound)
			}
			return volume, err
		}
		switch there, look := c.look(ctx, id); {
		case look == nil:
			whole, differs := c.compare(ctx, there, accept)
			if whole != nil && ctx.Err() == nil {
				return whole, nil
			}
			if !errors.Is(differs, ErrExists) {
				return nil, err // it is whole, or nobody can tell; who asked may be gone, and whose it is cannot be told
			}
			if left := c.discard(ctx, id); left != nil {
				return nil, fmt.Errorf("%w; %v", err, left) //nolint:errorlint // an ErrUnavailable of the cleaning is not the call's
			}
		case !errors.Is(look, ErrNotFound): // nothing is deleted unseen
			return nil, fmt.Errorf("%w; looking for what it left: %v", err, look) //nolint:errorlint // likewise
		}
		if c.settled = true; try > 1 || redo == nil || ctx.Err() != nil || redo() != nil {
			return nil, &undoneError{err}
		}
		c.again(err)
	}
}

// look is Get, also after the caller has gone.
func (c *call) look(ctx context.Context, id string) (*Volume, error) {
	ctx, cancel := Detach(ctx)
	defer cancel()
	return c.driver.Get(ctx, id)
}

// compare is accept, also after the caller has gone.
func (c *call) compare(ctx context.Context, there *Volume, accept func(context.Context, *Volume) (*Volume, error)) (*Volume, error) {
	ctx, cancel := Detach(ctx)
	defer cancel()
	return accept(ctx, there)
}

// discard removes what a failed call half made.
func (c *call) discard(ctx context.Context, id string) error {
	ctx, cancel := Detach(ctx)
	defer cancel()
	c.log.Warn("removing a half-made volume", "op", c.op, "volume", id)
	if err := c.driver.Delete(ctx, id); err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("the half-made volume %s may be left, delete it: %w", id, err)
	}
	return nil
}

// Get is Driver.Get.
func (b *Backend) Get(ctx context.Context, id string) (volume *Volume, err error) {
	err = b.run(ctx, operation{op: "get", id: id, refused: CheckID(id)}, func(ctx context.Context, _ *call) error {
		volume, err = b.driver.Get(ctx, id)
		return err
	})
	return volume, err
}

// Delete is Driver.Delete. A volume that is not there is ErrNotFound, except after a lost
// answer: that it is gone then is all that can be seen, so success may also mean that there
// never was such a volume.
func (b *Backend) Delete(ctx context.Context, id string) error {
	o := operation{op: "delete", id: id, volumes: []string{id}, changes: true}
	return b.run(ctx, o, func(ctx context.Context, c *call) error {
		return c.remove(
			func() error { return b.driver.Delete(ctx, id) },
			func() error { _, err := b.driver.Get(ctx, id); return err })
	})
}

// PurgeTrash is TrashPurger.PurgeTrash. After a lost answer it is repeated; removed then leaves out
// what the first try removed and could not tell.
func (b *Backend) PurgeTrash(ctx context.Context) (removed int, err error) {
	driver, unsupported := feature[TrashPurger](b)
	o := operation{op: "purge trash", names: []string{trash}, changes: true, long: true, refused: unsupported}
	err = b.run(ctx, o, func(ctx context.Context, c *call) error {
		return c.repeat(func() error {
			n, err := driver.PurgeTrash(ctx)
			removed += n
			return err
		})
	})
	return removed, err
}

// trash is what a purge locks, so that two do not get into each other's way. Nothing on a back end
// is called so.
const trash = ""

// List is Lister.List; limit is 1 to 1000.
func (b *Backend) List(ctx context.Context, after string, limit int) (volumes []Volume, err error) {
	driver, unsupported := feature[Lister](b)
	o := operation{op: "list", refused: cmp.Or(unsupported, checkLimit(limit))}
	err = b.run(ctx, o, func(ctx context.Context, _ *call) error {
		volumes, err = driver.List(ctx, after, limit)
		return err
	})
	return volumes, err
}

// Extend is Extender.Extend.
func (b *Backend) Extend(ctx context.Context, id string, sizeBytes int64) (volume *Volume, err error) {
	driver, unsupported := feature[Extender](b)
	o := operation{op: "extend", id: id, volumes: []string{id}, changes: true, refused: cmp.Or(unsupported, checkSize(sizeBytes))}
	err = b.run(ctx, o, func(ctx context.Context, c *call) error {
		return c.repeat(func() error {
			volume, err = driver.Extend(ctx, id, sizeBytes)
			return err
		})
	})
	return volume, err
}

// Clone is Cloner.Clone, idempotent as Create is. Whether a volume that is there was cloned
// from this source is not compared: back ends forget it.
func (b *Backend) Clone(ctx context.Context, spec VolumeSpec, sourceID string) (volume *Volume, err error) {
	driver, unsupported := feature[Cloner](b)
	o := operation{
		op: "clone", id: spec.ID, volumes: []string{spec.ID, sourceID}, changes: true, long: true,
		refused: cmp.Or(unsupported, checkCopy(spec, sourceID)),
	}
	err = b.run(ctx, o, func(ctx context.Context, c *call) error {
		volume, err = c.copyOf(ctx, spec.ID,
			c.sized(spec, func(ctx context.Context) (int64, error) {
				source, err := b.driver.Get(ctx, sourceID)
				if err != nil {
					return 0, fmt.Errorf("source %q: %w", sourceID, err)
				}
				return source.SizeBytes, nil
			}),
			func() (*Volume, error) { return driver.Clone(ctx, spec, sourceID) },
			func() error { return nil })
		return err
	})
	return volume, err
}

// checkCopy refuses what is no copy of a volume; a size of 0 is the source's.
func checkCopy(spec VolumeSpec, sourceID string) error {
	if spec.ID == sourceID {
		return fmt.Errorf("%w: volume %.80q cannot be a copy of itself", ErrInvalid, spec.ID)
	}
	if spec.SizeBytes == 0 {
		return nil
	}
	return checkSize(spec.SizeBytes)
}

// sized accepts a volume of spec's size; 0 is the source's.
func (c *call) sized(spec VolumeSpec, source func(context.Context) (int64, error)) func(context.Context, *Volume) (*Volume, error) {
	return func(ctx context.Context, there *Volume) (_ *Volume, err error) {
		want := spec
		if want.SizeBytes == 0 {
			if want.SizeBytes, err = source(ctx); err != nil {
				return nil, err
			}
		}
		return c.same(ctx, want, there)
	}
}
