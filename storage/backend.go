package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Backend is one back end of a Manager. Its methods are those of Driver and of the optional
// interfaces, made safe to repeat; where the driver lacks an interface they return
// ErrUnsupported. Every error is an *OpError.
//
// After ErrUnknownOutcome from the driver a Backend looks, and repeats once what did not
// happen. It returns ErrUnknownOutcome only if it could not look, or if the second try got
// lost too.
type Backend struct {
	name    string
	driver  Driver
	log     *slog.Logger
	timeout time.Duration
	slots   chan struct{}

	mu    sync.Mutex
	locks map[string]*volumeLock
}

type volumeLock struct {
	users int           // those who hold it or wait for it
	held  chan struct{} // one element while it is held
}

func newBackend(name string, driver Driver, c Config) *Backend {
	return &Backend{
		name: name, driver: driver,
		log:     c.Deps.Logger.With("backend", name),
		timeout: c.Timeout,
		slots:   make(chan struct{}, c.Concurrency),
		locks:   map[string]*volumeLock{},
	}
}

// Name returns backend_name.
func (b *Backend) Name() string { return b.name }

// Check is Driver.Check.
func (b *Backend) Check(ctx context.Context) error {
	return b.call(ctx, "check", "", nil, b.driver.Check)
}

// Stats is Driver.Stats.
func (b *Backend) Stats(ctx context.Context) (stats *Stats, err error) {
	err = b.call(ctx, "stats", "", nil, func(ctx context.Context) error {
		stats, err = b.driver.Stats(ctx)
		return err
	})
	return stats, err
}

// Create returns the volume of this ID if it has the size that the spec comes to, and makes it
// if there is none. ErrExists: there is one of another size.
func (b *Backend) Create(ctx context.Context, spec VolumeSpec) (volume *Volume, err error) {
	err = b.call(ctx, "create", spec.ID, []string{spec.ID}, func(ctx context.Context) error {
		if err := checkSize(spec.SizeBytes); err != nil {
			return err
		}
		volume, err = b.create(ctx, spec, func() (*Volume, error) { return b.driver.Create(ctx, spec) })
		return err
	})
	return volume, err
}

// create runs do, and once more if it got lost and there is nothing.
func (b *Backend) create(ctx context.Context, spec VolumeSpec, do func() (*Volume, error)) (*Volume, error) {
	volume, err := do()
	if errors.Is(err, ErrUnknownOutcome) {
		switch there, look := b.driver.Get(ctx, spec.ID); {
		case look == nil:
			return b.same(ctx, spec, there)
		case errors.Is(look, ErrNotFound):
			b.log.Warn("answer lost; repeating", "op", "create", "volume", spec.ID, "error", err)
			volume, err = do()
		default:
			return nil, err
		}
	}
	if errors.Is(err, ErrExists) {
		there, look := b.driver.Get(ctx, spec.ID)
		if look != nil {
			return nil, err
		}
		return b.same(ctx, spec, there)
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
		return nil, fmt.Errorf("%w: with %d bytes, not %d", ErrExists, there.SizeBytes, want)
	}
	return there, nil
}

// Get is Driver.Get.
func (b *Backend) Get(ctx context.Context, id string) (volume *Volume, err error) {
	err = b.call(ctx, "get", id, nil, func(ctx context.Context) error {
		if err := CheckID(id); err != nil {
			return err
		}
		volume, err = b.driver.Get(ctx, id)
		return err
	})
	return volume, err
}

// Delete is Driver.Delete. A volume that is not there is ErrNotFound, except after a lost
// answer, when it was this call that deleted it.
func (b *Backend) Delete(ctx context.Context, id string) error {
	return b.call(ctx, "delete", id, []string{id}, func(ctx context.Context) error {
		return b.remove("delete", id,
			func() error { return b.driver.Delete(ctx, id) },
			func() error { _, err := b.driver.Get(ctx, id); return err })
	})
}

// remove runs do, and once more if it got lost and look still finds something.
func (b *Backend) remove(op, id string, do, look func() error) error {
	err := do()
	if !errors.Is(err, ErrUnknownOutcome) {
		return err
	}
	switch found := look(); {
	case errors.Is(found, ErrNotFound):
		return nil
	case found != nil:
		return err
	}
	b.log.Warn("answer lost; repeating", "op", op, "volume", id, "error", err)
	err = do()
	if errors.Is(err, ErrNotFound) {
		return nil // the lost request arrived in between
	}
	return err
}

// Connect is Driver.Connect.
func (b *Backend) Connect(ctx context.Context, id string, c Connector) (connection *Connection, err error) {
	err = b.call(ctx, "connect", id, []string{id}, func(ctx context.Context) error {
		if err := checkConnector(c); err != nil {
			return err
		}
		return b.repeat("connect", id, func() error {
			connection, err = b.driver.Connect(ctx, id, c)
			return err
		})
	})
	return connection, err
}

// Disconnect is Disconnector.Disconnect.
func (b *Backend) Disconnect(ctx context.Context, id string, c Connector) error {
	return b.call(ctx, "disconnect", id, []string{id}, func(ctx context.Context) error {
		driver, ok := b.driver.(Disconnector)
		if !ok {
			return ErrUnsupported
		}
		if err := checkConnector(c); err != nil {
			return err
		}
		return b.repeat("disconnect", id, func() error { return driver.Disconnect(ctx, id, c) })
	})
}

// repeat runs what may be repeated as it is, and once more if it got lost.
func (b *Backend) repeat(op, id string, do func() error) error {
	err := do()
	if errors.Is(err, ErrUnknownOutcome) && !interrupted(err) {
		b.log.Warn("answer lost; repeating", "op", op, "volume", id, "error", err)
		err = do()
	}
	return err
}

// checkConnector refuses what could be more than one argument of a back end's command.
func checkConnector(c Connector) error {
	if c.Host == "" && c.Initiator == "" {
		return fmt.Errorf("%w: connector with neither host nor initiator", ErrInvalid)
	}
	for name, value := range map[string]string{"host": c.Host, "ip": c.Address, "initiator": c.Initiator} {
		if len(value) > 255 || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return fmt.Errorf("%w: connector's %s %.80q, expected up to 255 printable ASCII characters without spaces", ErrInvalid, name, value)
		}
	}
	return nil
}

// List is Lister.List; limit is 1 to 1000.
func (b *Backend) List(ctx context.Context, after string, limit int) (volumes []Volume, err error) {
	err = b.call(ctx, "list", "", nil, func(ctx context.Context) error {
		driver, ok := b.driver.(Lister)
		if !ok {
			return ErrUnsupported
		}
		if limit < 1 || limit > 1000 {
			return fmt.Errorf("%w: limit %d, expected 1 to 1000", ErrInvalid, limit)
		}
		volumes, err = driver.List(ctx, after, limit)
		return err
	})
	return volumes, err
}

// Extend is Extender.Extend.
func (b *Backend) Extend(ctx context.Context, id string, sizeBytes int64) (volume *Volume, err error) {
	err = b.call(ctx, "extend", id, []string{id}, func(ctx context.Context) error {
		driver, ok := b.driver.(Extender)
		if !ok {
			return ErrUnsupported
		}
		if err := checkSize(sizeBytes); err != nil {
			return err
		}
		return b.repeat("extend", id, func() error {
			volume, err = driver.Extend(ctx, id, sizeBytes)
			return err
		})
	})
	return volume, err
}

// CreateSnapshot returns the snapshot of this ID if there is one, and makes it if not.
func (b *Backend) CreateSnapshot(ctx context.Context, volumeID, id string) (snapshot *Snapshot, err error) {
	err = b.snapshots(ctx, "create snapshot", volumeID, id, func(ctx context.Context, driver Snapshotter) error {
		snapshot, err = driver.CreateSnapshot(ctx, volumeID, id)
		lost := errors.Is(err, ErrUnknownOutcome)
		if !lost && !errors.Is(err, ErrExists) {
			return err
		}
		there, look := driver.GetSnapshot(ctx, volumeID, id)
		switch {
		case look == nil:
			snapshot, err = there, nil
		case lost && errors.Is(look, ErrNotFound):
			snapshot, err = driver.CreateSnapshot(ctx, volumeID, id)
		}
		return err
	})
	return snapshot, err
}

// GetSnapshot is Snapshotter.GetSnapshot.
func (b *Backend) GetSnapshot(ctx context.Context, volumeID, id string) (snapshot *Snapshot, err error) {
	err = b.snapshots(ctx, "get snapshot", volumeID, id, func(ctx context.Context, driver Snapshotter) error {
		snapshot, err = driver.GetSnapshot(ctx, volumeID, id)
		return err
	})
	return snapshot, err
}

// DeleteSnapshot is Snapshotter.DeleteSnapshot, as Delete is Driver.Delete.
func (b *Backend) DeleteSnapshot(ctx context.Context, volumeID, id string) error {
	return b.snapshots(ctx, "delete snapshot", volumeID, id, func(ctx context.Context, driver Snapshotter) error {
		return b.remove("delete snapshot", volumeID,
			func() error { return driver.DeleteSnapshot(ctx, volumeID, id) },
			func() error { _, err := driver.GetSnapshot(ctx, volumeID, id); return err })
	})
}

func (b *Backend) snapshots(ctx context.Context, op, volumeID, id string, do func(context.Context, Snapshotter) error) error {
	return b.call(ctx, op, volumeID+"@"+id, []string{volumeID}, func(ctx context.Context) error {
		driver, ok := b.driver.(Snapshotter)
		if !ok {
			return ErrUnsupported
		}
		if err := CheckID(id); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		return do(ctx, driver)
	})
}

// CreateFromSnapshot is Snapshotter.CreateFromSnapshot, idempotent as Create is. Whether a
// volume that is there came from this snapshot is not compared: back ends forget it.
func (b *Backend) CreateFromSnapshot(ctx context.Context, spec VolumeSpec, volumeID, snapshotID string) (volume *Volume, err error) {
	err = b.call(ctx, "create from snapshot", spec.ID, []string{spec.ID, volumeID}, func(ctx context.Context) error {
		driver, ok := b.driver.(Snapshotter)
		if !ok {
			return ErrUnsupported
		}
		if err := CheckID(snapshotID); err != nil {
			return fmt.Errorf("snapshot: %w", err)
		}
		snapshot, err := driver.GetSnapshot(ctx, volumeID, snapshotID)
		if err != nil {
			return err
		}
		want := spec
		if want.SizeBytes == 0 {
			want.SizeBytes = snapshot.SizeBytes
		}
		if err := checkSize(want.SizeBytes); err != nil {
			return err
		}
		volume, err = b.create(ctx, want, func() (*Volume, error) { return driver.CreateFromSnapshot(ctx, spec, volumeID, snapshotID) })
		return err
	})
	return volume, err
}

// call runs do with the locks of ids, in a slot of the back end and within the timeout. With
// ids it changes something: an error that ended it early then says that it may have happened.
func (b *Backend) call(ctx context.Context, op, id string, ids []string, do func(context.Context) error) (err error) {
	defer func() {
		if err != nil {
			err = &OpError{Op: op, Backend: b.name, ID: id, Err: err}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	// In one order for all, or two calls could each wait for the other.
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for _, locked := range ids {
		if err := CheckID(locked); err != nil {
			return err
		}
		unlock, err := b.lock(ctx, locked)
		if err != nil {
			return err
		}
		defer unlock()
	}
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	start := time.Now()
	err = do(ctx)
	if len(ids) > 0 && interrupted(err) && !errors.Is(err, ErrUnknownOutcome) {
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	b.log.Debug("storage call", "op", op, "volume", id, "took", time.Since(start), "error", err)
	return err
}

// lock waits for the volume's turn.
func (b *Backend) lock(ctx context.Context, id string) (unlock func(), err error) {
	b.mu.Lock()
	l := b.locks[id]
	if l == nil {
		l = &volumeLock{held: make(chan struct{}, 1)}
		b.locks[id] = l
	}
	l.users++
	b.mu.Unlock()
	leave := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(b.locks, id)
		}
	}
	select {
	case l.held <- struct{}{}:
		return func() { <-l.held; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
