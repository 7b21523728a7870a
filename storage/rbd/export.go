//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// Sizes of Export's steps.
const (
	windowBytes = 64 << 20 // holes are asked for at once, and progress is told
	readBytes   = 4 << 20
)

// Export writes the volume's contents to w: what its users have written out by now.
func (d *Driver) Export(ctx context.Context, id string, w io.Writer, progress func(done, total int64)) error {
	if err := storage.CheckID(id); err != nil {
		return err
	}
	var image *rbd.Image
	var size int64
	st := newStream()
	opened := make(chan struct{})
	t, err := d.begin(ctx, call{sees: []string{id}, run: func(ctx context.Context, s *session) (err error) {
		if image, err = s.view(d.volumes.name(id)); err != nil {
			return err
		}
		n, err := image.GetSize()
		size = int64(n)
		if err == nil {
			close(opened)
			err = st.serve(ctx, d.workers.slots, 1)
		}
		return errors.Join(err, image.Close())
	}})
	if err != nil {
		return fmt.Errorf("volume %q: %w", id, err)
	}
	st.task = t
	var written error
	select {
	case <-opened:
		written = exportTo(ctx, st, image, size, w, progress)
		close(st.work)
	case <-t.done:
	case <-ctx.Done():
	}
	err = t.wait(ctx)
	if written != nil {
		err = written
	}
	if err != nil {
		return fmt.Errorf("volume %q: %w", id, typed(err, reads))
	}
	return nil
}

type extent struct{ off, length int64 }

func exportTo(ctx context.Context, st *stream, image *rbd.Image, size int64, w io.Writer, progress func(done, total int64)) error {
	out := storage.NewSparseWriter(w)
	for done := int64(0); done < size; {
		from, to := done, min(done+windowBytes, size)
		var extents []extent
		err := st.do(ctx, func() (err error) { extents, err = allocated(image, from, to-from); return err })
		if err != nil {
			return err
		}
		for _, e := range extents {
			if err := out.Hole(e.off - done); err != nil {
				return err
			}
			done = e.off
			for done < e.off+e.length {
				// A buffer of its own for each read: one that was left may still be written to.
				buffer := make([]byte, min(readBytes, e.off+e.length-done))
				err := st.do(ctx, func() error {
					n, err := image.ReadAt(buffer, done)
					if err == nil && n < len(buffer) || errors.Is(err, io.EOF) {
						err = fmt.Errorf("%w: it was made smaller meanwhile", storage.ErrBusy)
					}
					return err
				})
				if err != nil {
					return err
				}
				if _, err := out.Write(buffer); err != nil {
					return err
				}
				done += int64(len(buffer))
			}
		}
		if err := out.Hole(to - done); err != nil {
			return err
		}
		done = to
		if progress != nil {
			progress(done, size)
		}
	}
	return out.Close()
}

// allocated returns the parts of a window that may hold data, in order.
func allocated(image *rbd.Image, off, length int64) ([]extent, error) {
	var extents []extent
	err := image.DiffIterate(rbd.DiffIterateConfig{
		Offset: uint64(off), Length: uint64(length),
		IncludeParent: rbd.IncludeParent,
		Callback: func(at, n uint64, exists int, _ any) int {
			if exists != 0 {
				extents = append(extents, extent{int64(at), int64(n)})
			}
			return 0
		},
	})
	return extents, err
}
