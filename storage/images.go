package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Import is ImageStreamer.Import. A size of 0 in spec is the image's; a smaller one is
// ErrInvalid. ErrExists: there is a volume of this ID, whatever it holds. An r that ends before
// size bytes is ErrInvalid and io.ErrUnexpectedEOF. When Import returns an error it has left no
// volume, or says so; it must not run for one ID in two processes at once. After a lost answer
// it begins again if r is an io.Seeker.
//
// Where nothing moves for Config.StallTimeout it is ended; but a Read of r that blocks is only
// ended by r.
func (b *Backend) Import(ctx context.Context, spec VolumeSpec, r io.Reader, size int64, progress func(done, total int64)) (volume *Volume, err error) {
	driver, unsupported := feature[ImageStreamer](b)
	if spec.SizeBytes == 0 {
		spec.SizeBytes = size
	}
	o := operation{
		op: "import", id: spec.ID, volumes: []string{spec.ID}, changes: true, long: true,
		refused: cmp.Or(unsupported, checkSize(size), checkSize(spec.SizeBytes)),
	}
	if o.refused == nil && spec.SizeBytes < size {
		o.refused = fmt.Errorf("%w: image of %d bytes for a volume of %d", ErrInvalid, size, spec.SizeBytes)
	}
	err = b.run(ctx, o, func(ctx context.Context, c *call) error {
		ctx, stream := c.stream(ctx, progress)
		defer stream.end()
		image := &imageReader{r: r, size: size, alive: stream.alive, ended: ctx.Err}
		volume, err = c.copyOf(ctx, spec.ID,
			func(_ context.Context, there *Volume) (*Volume, error) {
				return nil, fmt.Errorf("%w: with %d bytes", ErrExists, there.SizeBytes)
			},
			func() (*Volume, error) {
				v, err := driver.Import(ctx, spec, image, size, stream.progress)
				return v, stream.why(ctx, err)
			},
			image.rewind(r))
		return err
	})
	return volume, err
}

// CreateFromImage is ImageCloner.CreateFromImage, idempotent as Create is: the volume of this ID is
// returned if it has the size that the spec comes to, and with a size of 0, which only the image
// knows, whatever size it has. Whether it came from this image is not compared: back ends forget it.
func (b *Backend) CreateFromImage(ctx context.Context, spec VolumeSpec, location string) (volume *Volume, err error) {
	driver, unsupported := feature[ImageCloner](b)
	o := operation{
		op: "create from image", id: spec.ID, volumes: []string{spec.ID}, changes: true, long: true,
		refused: cmp.Or(unsupported, checkLocation(location)),
	}
	if o.refused == nil && spec.SizeBytes != 0 {
		o.refused = checkSize(spec.SizeBytes)
	}
	err = b.run(ctx, o, func(ctx context.Context, c *call) error {
		volume, err = c.copyOf(ctx, spec.ID,
			func(ctx context.Context, there *Volume) (*Volume, error) {
				if spec.SizeBytes == 0 {
					return there, nil
				}
				return c.same(ctx, spec, there)
			},
			func() (*Volume, error) { return driver.CreateFromImage(ctx, spec, location) },
			func() error { return nil })
		return err
	})
	return volume, err
}

// checkLocation refuses what is no location anywhere; each driver is stricter.
func checkLocation(location string) error {
	if location == "" || len(location) > 2048 || !utf8.ValidString(location) || strings.ContainsFunc(location, unicode.IsControl) {
		return fmt.Errorf("%w: image location %.80q, expected 1 to 2048 bytes of UTF-8 without control characters", ErrInvalid, location)
	}
	return nil
}

// Export is ImageStreamer.Export. Where nothing moves for Config.StallTimeout it is ended; but
// a Write to w that blocks is only ended by w. It is never repeated: w has got something.
func (b *Backend) Export(ctx context.Context, id string, w io.Writer, progress func(done, total int64)) error {
	driver, unsupported := feature[ImageStreamer](b)
	o := operation{op: "export", id: id, volumes: []string{id}, long: true, refused: unsupported}
	return b.run(ctx, o, func(ctx context.Context, c *call) error {
		ctx, stream := c.stream(ctx, progress)
		defer stream.end()
		return stream.why(ctx, driver.Export(ctx, id, w, stream.progress))
	})
}

// A stream ends its context when nothing moves any more.
type stream struct {
	timer    *time.Timer
	timeout  time.Duration
	cancel   context.CancelCauseFunc
	progress func(done, total int64)
}

func (c *call) stream(ctx context.Context, progress func(done, total int64)) (context.Context, *stream) {
	ctx, cancel := context.WithCancelCause(ctx)
	stalled := fmt.Errorf("nothing moved for %v: %w", c.stall, context.DeadlineExceeded)
	s := &stream{timeout: c.stall, cancel: cancel, timer: time.AfterFunc(c.stall, func() { cancel(stalled) })}
	s.progress = func(done, total int64) {
		s.alive()
		if progress != nil {
			progress(done, total)
		}
	}
	return ctx, s
}

func (s *stream) alive() { s.timer.Reset(s.timeout) }

func (s *stream) end() {
	s.timer.Stop()
	s.cancel(nil)
}

// why adds why ctx ended to an error that only says that it did. Where nothing moved it is no
// context.Canceled any more: nobody cancelled the call.
func (s *stream) why(ctx context.Context, err error) error {
	cause := context.Cause(ctx)
	switch {
	case err == nil || cause == nil || errors.Is(err, cause):
		return err
	case !errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", cause, err)
	case errors.Is(err, ErrUnknownOutcome):
		cause = fmt.Errorf("%w: %w", ErrUnknownOutcome, cause)
	}
	return fmt.Errorf("%w: %v", cause, err) //nolint:errorlint // as said
}

// An imageReader reads exactly size bytes, and says so when there are fewer.
type imageReader struct {
	r          io.Reader
	size, done int64
	alive      func()
	ended      func() error // the context's: a cancelled import ends with the next Read
}

func (i *imageReader) Read(p []byte) (int, error) {
	if i.done == i.size {
		return 0, io.EOF
	}
	if err := i.ended(); err != nil {
		return 0, err
	}
	n, err := i.r.Read(p[:min(int64(len(p)), i.size-i.done)])
	i.alive()
	if i.done += int64(n); i.done == i.size {
		return n, nil
	}
	if err == io.EOF { //nolint:errorlint // io.Reader returns it as it is
		err = fmt.Errorf("%w: image ended after %d bytes of %d bytes: %w", ErrInvalid, i.done, i.size, io.ErrUnexpectedEOF)
	}
	return n, err
}

// rewind returns how to begin again, nil if r cannot.
func (i *imageReader) rewind(r io.Reader) func() error {
	seeker, ok := r.(io.Seeker)
	if !ok {
		return nil
	}
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil { // a pipe
		return nil
	}
	return func() error {
		_, err := seeker.Seek(start, io.SeekStart)
		i.done = 0
		return err
	}
}

// Sizes of Fill's steps: what it reads at once, and the zeroes that are worth leaving out.
const (
	fillBytes = 4 << 20
	holeBytes = 64 << 10
)

// Fill is what drivers make Import of: it copies size bytes from r to the new and empty w,
// leaves runs of 64 KiB of zeroes out, and stops when ctx ends. Progress may be nil; it is
// called every 4 MiB and at the end.
func Fill(ctx context.Context, w io.WriterAt, r io.Reader, size int64, progress func(done, total int64)) error {
	buffer := make([]byte, min(fillBytes, size))
	for done := int64(0); done < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		chunk := buffer[:min(int64(len(buffer)), size-done)]
		if n, err := io.ReadFull(r, chunk); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return fmt.Errorf("%w: image ended after %d bytes of %d bytes: %w", ErrInvalid, done+int64(n), size, io.ErrUnexpectedEOF)
			}
			return fmt.Errorf("read image: %w", err)
		}
		if err := fill(w, chunk, done); err != nil {
			return err
		}
		done += int64(len(chunk))
		if progress != nil {
			progress(done, size)
		}
	}
	return nil
}

// fill writes the parts of chunk that are not zero, which belongs at offset.
func fill(w io.WriterAt, chunk []byte, offset int64) error {
	for at := 0; at < len(chunk); {
		from := at
		for at < len(chunk) {
			end := min(at+holeBytes, len(chunk))
			if isZero(chunk[at:end]) {
				break
			}
			at = end
		}
		if from < at {
			if _, err := w.WriteAt(chunk[from:at], offset+int64(from)); err != nil {
				return err
			}
		}
		at = min(at+holeBytes, len(chunk)) // past the zeroes that ended it
	}
	return nil
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// A SparseWriter is what drivers make Export of: it writes to w, and where w can seek and has
// nothing yet, leaves holes out. On what is there already, such as a block device, it writes
// zeroes: what was there before must not show through. A pipe, which only looks as if it could
// seek, gets zeroes too.
type SparseWriter struct {
	w      io.Writer
	seeker io.Seeker // nil: cannot
	hole   int64     // not yet in w
	zeroes []byte
}

// NewSparseWriter returns a SparseWriter that begins where w is. Close it to have a hole at the
// end.
func NewSparseWriter(w io.Writer) *SparseWriter {
	s := &SparseWriter{w: w}
	seeker, ok := w.(io.Seeker)
	if !ok {
		return s
	}
	at, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return s
	}
	end, err := seeker.Seek(0, io.SeekEnd)
	if err != nil || at < end {
		_, _ = seeker.Seek(at, io.SeekStart)
		return s
	}
	s.seeker = seeker
	return s
}

// Hole is n bytes of zeroes.
func (s *SparseWriter) Hole(n int64) error {
	if s.seeker != nil {
		s.hole += n
		return nil
	}
	if s.zeroes == nil {
		s.zeroes = make([]byte, holeBytes)
	}
	for n > 0 {
		wrote, err := s.w.Write(s.zeroes[:min(n, int64(len(s.zeroes)))])
		if err != nil {
			return err
		}
		n -= int64(wrote)
	}
	return nil
}

// Write writes p.
func (s *SparseWriter) Write(p []byte) (int, error) {
	if len(p) > 0 && s.hole > 0 {
		if err := s.skip(); err != nil {
			return 0, err
		}
	}
	return s.w.Write(p)
}

// skip goes behind the hole. A file that was opened to append to writes at its end, wherever it
// stands: that is moved too.
func (s *SparseWriter) skip() error {
	at, err := s.seeker.Seek(s.hole, io.SeekCurrent)
	if file, ok := s.w.(interface{ Truncate(size int64) error }); ok && err == nil {
		err = file.Truncate(at)
	}
	s.hole = 0
	return err
}

// Close makes a hole at the end real, by a zero as the last byte. It does not close w.
func (s *SparseWriter) Close() error {
	if s.hole == 0 {
		return nil
	}
	s.hole--
	_, err := s.Write([]byte{0})
	return err
}
