//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// A stream is work that a worker does for a caller who reads or writes meanwhile: the caller's
// reader and writer are never used by a worker that the caller may have left.
type stream struct {
	ctx  context.Context
	task *task
	work chan func() error // what the worker shall do next
	done chan error        // what came of it
}

func newStream(ctx context.Context) *stream {
	return &stream{ctx: ctx, work: make(chan func() error), done: make(chan error, 1)}
}

// serve does what is asked for, in the worker, until the caller ends the stream.
func (s *stream) serve(ctx context.Context) error {
	for {
		select {
		case fn, more := <-s.work:
			if !more {
				return nil
			}
			s.done <- fn()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// do lets the worker do something.
func (s *stream) do(fn func() error) error {
	select {
	case s.work <- fn:
	case <-s.task.done:
		return errors.Join(s.task.err, errors.New("rbd: stream ended early"))
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
	select {
	case err := <-s.done:
		return err
	case <-s.ctx.Done():
		return s.ctx.Err()
	}
}

// imageWriter writes through a stream.
type imageWriter struct {
	stream *stream
	image  **rbd.Image // set by the worker before it serves
}

// WriteAt leaves p to the worker if the stream's context ends meanwhile, so the caller must not
// use p again after an error.
func (w imageWriter) WriteAt(p []byte, off int64) (int, error) {
	err := w.stream.do(func() error {
		_, err := (*w.image).WriteAt(p, off)
		return err
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// Import makes a volume of what r has.
func (d *Driver) Import(ctx context.Context, v storage.VolumeSpec, r io.Reader, size int64, progress func(done, total int64)) (*storage.Volume, error) {
	if err := storage.CheckID(v.ID); err != nil {
		return nil, err
	}
	has, err := fit(v.SizeBytes, size)
	if err != nil {
		return nil, err
	}
	name := d.volumes.name(v.ID)
	var image *rbd.Image
	failed := errors.New("stream failed") // the caller's side has; it knows why
	st := newStream(ctx)
	broken := false // written before work is closed
	t, err := d.begin(ctx, call{
		kind: changes, names: []string{v.ID},
		run: func(ctx context.Context, s *session) (err error) {
			if err := d.create(ctx, s, name, has); err != nil {
				return err
			}
			if image, err = s.edit(name); err == nil {
				err = st.serve(ctx)
				if err == nil && broken {
					err = failed
				}
				if err == nil {
					err = image.Flush()
				}
				err = errors.Join(err, image.Close())
			}
			if err != nil {
				return errors.Join(err, d.discard(s, name))
			}
			return nil
		},
		undo: func(s *session) error { return d.discard(s, name) },
	})
	if err != nil {
		return nil, fmt.Errorf("volume %q: %w", v.ID, err)
	}
	st.task = t
	filled := storage.Fill(ctx, imageWriter{st, &image}, r, size, progress)
	broken = filled != nil
	close(st.work)
	err = t.wait(ctx)
	if errors.Is(err, failed) || err == nil && filled != nil {
		err = typed(filled, changes)
	}
	if err != nil {
		d.sizes.forget(name)
		return nil, fmt.Errorf("volume %q: %w", v.ID, err)
	}
	d.sizes.set(name, has, d.clock.Now())
	return d.volume(v.ID, has), nil
}

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
	st := newStream(ctx)
	opened := make(chan struct{})
	t, err := d.begin(ctx, call{sees: []string{id}, run: func(ctx context.Context, s *session) (err error) {
		if image, err = s.view(d.volumes.name(id)); err != nil {
			return err
		}
		n, err := image.GetSize()
		size = int64(n)
		if err == nil {
			close(opened)
			err = st.serve(ctx)
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
		written = exportTo(st, image, size, w, progress)
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

func exportTo(st *stream, image *rbd.Image, size int64, w io.Writer, progress func(done, total int64)) error {
	out := storage.NewSparseWriter(w)
	for done := int64(0); done < size; {
		from, to := done, min(done+windowBytes, size)
		var extents []extent
		err := st.do(func() (err error) { extents, err = allocated(image, from, to-from); return err })
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
				err := st.do(func() error {
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

// CreateFromImage makes a copy-on-write clone of an image's snapshot that Glance, or somebody
// else, keeps on the same cluster: no data moves. location is rbd://FSID/POOL/IMAGE/SNAPSHOT.
//
// Errors: storage.ErrUnsupported: it is on another cluster, or its snapshot cannot be cloned;
// read the image and Import it. storage.ErrNotFound: no such image or snapshot, or the user may
// not see the pool.
func (d *Driver) CreateFromImage(ctx context.Context, v storage.VolumeSpec, location string) (*storage.Volume, error) {
	if err := storage.CheckID(v.ID); err != nil {
		return nil, err
	}
	from, err := ParseLocation(location)
	if err != nil {
		return nil, err
	}
	var size int64
	err = d.making(ctx, v.ID, func(ctx context.Context, s *session, name string) error {
		if from.FSID != s.fsid {
			return fmt.Errorf("%w: image %s is on another cluster than %s; import it", storage.ErrUnsupported, location, s.fsid)
		}
		pool, err := s.conn.OpenIOContext(from.Pool)
		if err != nil {
			return fmt.Errorf("pool %q of the image: %w", from.Pool, err)
		}
		defer pool.Destroy()
		there := &session{conn: s.conn, io: pool, pool: from.Pool}
		there.protect.Store(true) // whether others protect their snapshots is theirs to decide
		view, err := rbd.OpenImageReadOnly(pool, from.Image, from.Snapshot)
		if is(err, syscall.EPERM, syscall.EACCES) {
			err = fmt.Errorf("%w: %w", storage.ErrNotFound, err)
		}
		if err != nil {
			return fmt.Errorf("image %s: %w", location, err)
		}
		has, err := view.GetSize()
		info, stat := view.Stat()
		if err := errors.Join(err, stat, view.Close()); err != nil {
			return fmt.Errorf("image %s: %w", location, err)
		}
		if size, err = fit(v.SizeBytes, int64(has)); err != nil {
			return err
		}
		// A clone with smaller objects than its parent reads parts of objects each time.
		options := d.imageOptions(s, max(d.config.ObjectSizeBytes, int64(info.Obj_size)))
		defer options.Destroy()
		err = d.cloneTo(ctx, s, there, from.Image, from.Snapshot, name, int64(has), size, options)
		if is(err, syscall.EINVAL) {
			err = fmt.Errorf("%w: image %s cannot be cloned (a snapshot must be protected): %w", storage.ErrUnsupported, location, err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	d.sizes.set(d.volumes.name(v.ID), size, d.clock.Now())
	return d.volume(v.ID, size), nil
}
