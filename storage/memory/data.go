package memory

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/crowbarkit/crowbarkit/storage"
)

const blockBytes = 64 << 10

// contents are the blocks that are not zero, by number. A block never changes once it is here:
// copies of a volume share them.
type contents map[int64]*[blockBytes]byte

func (c contents) clone() contents {
	if c == nil {
		return contents{}
	}
	return maps.Clone(c)
}

func (c contents) write(p []byte, off int64) {
	for len(p) > 0 {
		number, at := off/blockBytes, off%blockBytes
		block := new([blockBytes]byte)
		if old := c[number]; old != nil {
			*block = *old
		}
		n := copy(block[at:], p)
		if *block == ([blockBytes]byte{}) {
			delete(c, number)
		} else {
			c[number] = block
		}
		p, off = p[n:], off+int64(n)
	}
}

func (c contents) read(p []byte, off int64) {
	for len(p) > 0 {
		number, at := off/blockBytes, off%blockBytes
		n := min(len(p), int(blockBytes-at))
		if block := c[number]; block != nil {
			copy(p[:n], block[at:])
		} else {
			clear(p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
}

// WriteAt writes to a volume, as a machine would that is connected to it.
func (d *Driver) WriteAt(ctx context.Context, id string, p []byte, off int64) error {
	return d.with(ctx, "write", id, func(v *volume) error {
		if err := v.within(p, off); err != nil {
			return err
		}
		v.data.write(p, off)
		return nil
	})
}

// ReadAt reads from a volume, as a machine would that is connected to it.
func (d *Driver) ReadAt(ctx context.Context, id string, p []byte, off int64) error {
	return d.with(ctx, "read", id, func(v *volume) error {
		if err := v.within(p, off); err != nil {
			return err
		}
		v.data.read(p, off)
		return nil
	})
}

func (v *volume) within(p []byte, off int64) error {
	if off < 0 || off > v.size-int64(len(p)) {
		return fmt.Errorf("%w: %d bytes at %d of a volume of %d", storage.ErrInvalid, len(p), off, v.size)
	}
	return nil
}

// filler writes to one volume, whatever becomes of its ID.
type filler struct {
	d *Driver
	v *volume
}

func (f filler) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.v.data.write(p, off)
	return len(p), nil
}

// Import fills a new volume. It is there while it is being filled, as on a real back end.
func (d *Driver) Import(ctx context.Context, spec storage.VolumeSpec, r io.Reader, size int64, progress func(done, total int64)) (*storage.Volume, error) {
	fault, err := d.fault(ctx, "import")
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	v, err := d.create(spec, nil, size)
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if err := storage.Fill(ctx, filler{d, v}, r, size, progress); err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.volumes[spec.ID] == v { // nobody deleted it meanwhile
			d.used -= v.size
			delete(d.volumes, spec.ID)
		}
		return nil, err
	}
	if fault.After != nil {
		return nil, fault.After
	}
	return v.as(spec.ID), nil
}

// Export writes a volume's contents as they are when it begins.
func (d *Driver) Export(ctx context.Context, id string, w io.Writer, progress func(done, total int64)) error {
	var size int64
	var data contents
	if err := d.with(ctx, "export", id, func(v *volume) error {
		size, data = v.size, v.data.clone()
		return nil
	}); err != nil {
		return err
	}
	const step = 64 << 20 / blockBytes // in which progress must be told
	if progress == nil {
		progress = func(int64, int64) {}
	}
	out := storage.NewSparseWriter(w)
	done := int64(0)
	upTo := func(to int64) error {
		for done < to {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(to-done, step*blockBytes)
			if err := out.Hole(n); err != nil {
				return err
			}
			done += n
			progress(done, size)
		}
		return nil
	}
	for i, number := range slices.Sorted(maps.Keys(data)) {
		if err := upTo(number * blockBytes); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		block := data[number][:min(blockBytes, size-done)]
		if _, err := out.Write(block); err != nil {
			return err
		}
		if done += int64(len(block)); i%step == step-1 {
			progress(done, size)
		}
	}
	if done == size {
		progress(done, size)
	} else if err := upTo(size); err != nil {
		return err
	}
	return out.Close()
}
