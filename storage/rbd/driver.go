//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/storage"
)

// A Driver makes volumes in a pool of a Ceph cluster. It is only in programs that are built with
// the tag ceph.
type Driver struct {
	config    Config
	log       *slog.Logger
	clock     storage.Clock
	volumes   template
	snapshots template
	workers   *workers
	sessions  *sessions
	sizes     sizes
	flattens  flattens
	bases     bases
}

var (
	_ storage.Driver         = (*Driver)(nil)
	_ storage.Lister         = (*Driver)(nil)
	_ storage.Extender       = (*Driver)(nil)
	_ storage.Snapshotter    = (*Driver)(nil)
	_ storage.SnapshotLister = (*Driver)(nil)
	_ storage.Cloner         = (*Driver)(nil)
	_ storage.Reverter       = (*Driver)(nil)
	_ storage.Adopter        = (*Driver)(nil)
	_ storage.ImageStreamer  = (*Driver)(nil)
	_ storage.ImageCloner    = (*Driver)(nil)
	_ storage.TrashPurger    = (*Driver)(nil)
	_ storage.Limiter        = (*Driver)(nil)
)

func open(_ context.Context, backend string, c Config, deps storage.Deps) (storage.Driver, error) {
	if deps.Logger != nil {
		deps.Logger = deps.Logger.With("backend", backend)
	}
	d, err := New(c, deps)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// New returns a driver. It does not talk to the cluster: the first call connects. All problems
// are returned at once, as storage.ErrInvalid. Close it.
func New(c Config, deps storage.Deps) (*Driver, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if deps.Logger == nil {
		deps.Logger = slog.New(slog.DiscardHandler)
	}
	if deps.Clock == nil {
		deps.Clock = clock.System()
	}
	d := &Driver{
		config: c, log: deps.Logger, clock: deps.Clock,
		volumes:   parseTemplate(c.VolumeNameTemplate),
		snapshots: parseTemplate(c.SnapshotNameTemplate),
		workers:   newWorkers(c.Concurrency),
		sessions:  &sessions{config: c, log: deps.Logger, clock: deps.Clock, turn: make(chan struct{}, 1)},
		sizes:     sizes{known: map[string]known{}},
		flattens:  flattens{slots: make(chan struct{}, c.ConcurrentFlattens), running: map[string]*flatten{}},
		bases:     bases{known: map[string]base{}, turns: map[string]*turn{}},
	}
	if c.DeferredDeletion {
		if err := d.workers.background(d.purging); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Close waits for the calls that are inside librados, at most twice as long as librados waits
// for the cluster, and disconnects. A flatten that runs cannot be stopped: if it outlasts that,
// Close says so and the connection ends with it. What is unfinished is found and done by later
// calls: a volume that was not flattened is a clone still.
func (d *Driver) Close() error {
	return d.workers.close(2*d.config.Timeout+5*time.Second, d.sessions.close)
}

// A call is what a method does in a worker.
type call struct {
	kind  kind
	names []string // IDs of volumes that it changes
	sees  []string // and of those it reads
	run   func(ctx context.Context, s *session) error
	undo  func(s *session) error
}

// do runs a call with the session.
func (d *Driver) do(ctx context.Context, c call) error {
	t, err := d.begin(ctx, c)
	if err != nil {
		return err
	}
	return t.wait(ctx)
}

// begin starts a call, for a caller who has something to do meanwhile.
func (d *Driver) begin(ctx context.Context, c call) (*task, error) {
	var s *session
	var release func()
	return d.workers.start(ctx, job{
		kind: c.kind, names: c.names, sees: c.sees,
		run: func(ctx context.Context) (err error) {
			if s, release, err = d.sessions.use(ctx); err != nil {
				return unreached(err)
			}
			err = typed(c.run(ctx, s), c.kind)
			if errors.Is(err, errUnavailable) {
				d.sessions.lose(s)
			}
			return err
		},
		undo: func() {
			if c.undo == nil {
				return
			}
			if err := c.undo(s); err != nil && !is(err, syscall.ENOENT) {
				d.log.Error("what a cancelled call made is left", "volumes", c.names, "error", err)
			}
		},
		end: func() {
			if release != nil {
				release()
			}
		},
	})
}

// unreached types an error of connecting: nothing was asked for yet. Whatever the reason, be it
// that there is no such pool, it says nothing of a volume.
func unreached(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
}

// unitBytes is what sizes are rounded up to, so that partitions and file systems align.
const unitBytes = 1 << 20

// maxBytes is more than librbd can make.
const maxBytes = 1 << 60

func round(size int64) (int64, error) {
	if size < 1 || size > maxBytes {
		return 0, fmt.Errorf("%w: size of %d bytes, expected 1 to %d", storage.ErrInvalid, size, int64(maxBytes))
	}
	return (size + unitBytes - 1) / unitBytes * unitBytes, nil
}

// fit is the size of a copy: size 0 is the source's, and a smaller one would lose data.
func fit(size, source int64) (int64, error) {
	if size == 0 {
		size = source
	}
	rounded, err := round(size)
	if err == nil && rounded < source {
		err = fmt.Errorf("%w: %d bytes are less than the %d bytes of the source", storage.ErrInvalid, size, source)
	}
	return rounded, err
}

func (d *Driver) volume(id string, size int64) *storage.Volume {
	return &storage.Volume{ID: id, Name: d.volumes.name(id), SizeBytes: size}
}

// Check connects and asks the pool and the monitors something.
func (d *Driver) Check(ctx context.Context) error {
	return d.do(ctx, call{run: func(_ context.Context, s *session) error {
		if _, err := s.capacity(d.config.StaticTotalCapacity); err != nil {
			return err
		}
		if _, err := rbd.GetImageNames(s.io); err != nil {
			return fmt.Errorf("rbd: list pool %q: %w", s.pool, err)
		}
		return nil
	}})
}

// Create makes an empty image.
func (d *Driver) Create(ctx context.Context, v storage.VolumeSpec) (*storage.Volume, error) {
	if err := storage.CheckID(v.ID); err != nil {
		return nil, err
	}
	size, err := round(v.SizeBytes)
	if err != nil {
		return nil, err
	}
	err = d.making(ctx, v.ID, func(ctx context.Context, s *session, name string) error {
		return d.create(ctx, s, name, size)
	})
	if err != nil {
		return nil, err
	}
	d.sizes.set(d.volumes.name(v.ID), size, d.clock.Now())
	return d.volume(v.ID, size), nil
}

// making runs what makes a volume; a caller who leaves leaves nothing behind.
func (d *Driver) making(ctx context.Context, id string, fn func(ctx context.Context, s *session, name string) error) error {
	name := d.volumes.name(id)
	err := d.do(ctx, call{
		kind: changes, names: []string{id},
		run:  func(ctx context.Context, s *session) error { return fn(ctx, s, name) },
		undo: func(s *session) error { return d.discard(s, name) },
	})
	if err != nil {
		d.sizes.forget(name)
		return fmt.Errorf("volume %q: %w", id, err)
	}
	return nil
}

// create makes an image. One that is there but cannot be opened is the wreck of a create that
// the cluster did not live to finish: it is removed once it is certain that nobody works on it.
func (d *Driver) create(ctx context.Context, s *session, name string, size int64) error {
	options := d.imageOptions(s, d.config.ObjectSizeBytes)
	defer options.Destroy()
	return d.overWreck(ctx, s, name, func() error {
		err := rbd.CreateImage(s.io, name, uint64(size), options)
		return tooBig(err, size, d.config.ObjectSizeBytes)
	})
}

// mostObjects is what an object map can have.
const mostObjects = 256_000_000

// tooBig types what librbd says of a size that an image cannot have.
func tooBig(err error, size, objectSize int64) error {
	if is(err, syscall.EINVAL, syscall.EFBIG) && size/objectSize >= mostObjects {
		return fmt.Errorf("%w: %d bytes are more than an image can have of objects of %d: %w", storage.ErrInvalid, size, objectSize, err)
	}
	return err
}

// wreckPatience is how long a create of another process may take between its steps.
const wreckPatience = 5 * time.Second

// overWreck runs fn, which makes an image, and once more after it has cleared a wreck away. After
// a timeout it removes nothing: what is there may have been there before.
func (d *Driver) overWreck(ctx context.Context, s *session, name string, fn func() error) error {
	err := fn()
	waited, wait := time.Duration(0), 20*time.Millisecond
	for is(err, syscall.EEXIST) {
		image, look := s.view(name)
		if look == nil {
			return errors.Join(err, image.Close())
		}
		if !is(look, syscall.ENOENT) {
			return err
		}
		if waited < wreckPatience {
			select {
			case <-d.clock.After(wait):
			case <-ctx.Done():
				return ctx.Err()
			}
			waited += wait
			wait = min(2*wait, wreckPatience/10)
			continue
		}
		d.log.Warn("removing the wreck of an image", "image", name)
		if err := rbd.RemoveImage(s.io, name); err != nil && !is(err, syscall.ENOENT) {
			return fmt.Errorf("remove the wreck of image %q: %w", name, err)
		}
		return fn()
	}
	return err
}

func (d *Driver) imageOptions(s *session, objectSize int64) *rbd.ImageOptions {
	options := rbd.NewRbdImageOptions()
	order := uint64(0)
	for n := objectSize; n > 1; n /= 2 {
		order++
	}
	// Both are values that librbd takes: setting them cannot fail.
	_ = options.SetUint64(rbd.ImageOptionFeatures, s.features)
	if order > 0 {
		_ = options.SetUint64(rbd.ImageOptionOrder, order)
	}
	return options
}

// Get returns a volume.
func (d *Driver) Get(ctx context.Context, id string) (*storage.Volume, error) {
	if err := storage.CheckID(id); err != nil {
		return nil, err
	}
	var size int64
	err := d.do(ctx, call{sees: []string{id}, run: func(_ context.Context, s *session) (err error) {
		size, err = s.size(d.volumes.name(id))
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("volume %q: %w", id, err)
	}
	return d.volume(id, size), nil
}

// Extend makes a volume bigger, also while it is connected.
func (d *Driver) Extend(ctx context.Context, id string, sizeBytes int64) (*storage.Volume, error) {
	if err := storage.CheckID(id); err != nil {
		return nil, err
	}
	size, err := round(sizeBytes)
	if err != nil {
		return nil, err
	}
	err = d.changing(ctx, id, func(_ context.Context, _ *session, image *rbd.Image) error {
		return grow(image, size)
	})
	if err != nil {
		d.sizes.forget(d.volumes.name(id)) // it may have been made bigger all the same
		return nil, err
	}
	d.sizes.set(d.volumes.name(id), size, d.clock.Now())
	return d.volume(id, size), nil
}

// grow makes an image bigger and never smaller.
func grow(image *rbd.Image, size int64) error {
	has, err := image.Stat()
	switch {
	case err != nil:
		return err
	case size < int64(has.Size):
		return fmt.Errorf("%w: it has %d bytes, %d bytes are less", storage.ErrInvalid, has.Size, size)
	case size == int64(has.Size):
		return nil
	}
	return tooBig(image.Resize(uint64(size)), size, int64(has.Obj_size))
}

// changing runs fn on a volume that is there.
func (d *Driver) changing(ctx context.Context, id string, fn func(context.Context, *session, *rbd.Image) error) error {
	if err := storage.CheckID(id); err != nil {
		return err
	}
	err := d.do(ctx, call{kind: changes, names: []string{id}, run: func(ctx context.Context, s *session) error {
		image, err := s.edit(d.volumes.name(id))
		if err != nil {
			return before(err)
		}
		return errors.Join(fn(ctx, s, image), image.Close())
	}})
	if err != nil {
		return fmt.Errorf("volume %q: %w", id, err)
	}
	return nil
}

// Connect tells where the volume is. A Ceph client needs no more than its key, so there is
// nothing to take back: the driver is no storage.Disconnector.
func (d *Driver) Connect(ctx context.Context, id string, _ storage.Connector) (*storage.Connection, error) {
	if err := storage.CheckID(id); err != nil {
		return nil, err
	}
	name := d.volumes.name(id)
	c := &storage.RBD{
		Name:        d.config.Pool + "/" + name,
		ClusterName: d.config.ClusterName,
		AuthEnabled: d.config.User != "", AuthUsername: d.config.User,
		SecretType: "ceph", SecretUUID: d.config.SecretUUID,
		VolumeID: id, Discard: true,
	}
	err := d.do(ctx, call{sees: []string{id}, run: func(_ context.Context, s *session) error {
		if _, err := s.size(name); err != nil {
			return err
		}
		if c.SecretUUID == "" {
			c.SecretUUID = s.fsid
		}
		dump, err := s.command("mon dump", nil)
		if err != nil {
			return err
		}
		c.Hosts, c.Ports, err = monAddresses(dump)
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("volume %q: %w", id, err)
	}
	return &storage.Connection{RBD: c}, nil
}

// sizes remembers the sizes of images, for stats that do not open each image each time.
type sizes struct {
	mu    sync.Mutex
	known map[string]known
}

type known struct {
	size int64
	at   time.Time
}

func (s *sizes) set(name string, size int64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[name] = known{size, at}
}

func (s *sizes) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, name)
}
