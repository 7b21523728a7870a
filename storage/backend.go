package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Backend is one back end of a Manager. Its methods are those of Driver and of the optional
// interfaces, made safe to repeat; where the driver lacks an interface they return
// ErrUnsupported, but for Disconnect. Every error is an *OpError.
//
// After ErrUnknownOutcome from the driver a Backend looks, and repeats once what did not
// happen. It returns ErrUnknownOutcome only if it could not look, or if the second try got
// lost too.
//
// Clone, CreateFromSnapshot, CreateFromImage, Revert, Import, Export and PurgeTrash are the long
// calls: they have Config.LongTimeout, and at most half of the back end's slots, so that short
// calls go on beside them. The other calls have Config.Timeout. Waiting for a volume's turn and for a slot
// counts.
type Backend struct {
	name    string
	driver  Driver
	log     *slog.Logger
	observe func(Observation)
	timeout time.Duration
	long    time.Duration
	stall   time.Duration
	slots   chan struct{}
	halves  chan struct{} // what long calls take before a slot

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
		observe: c.Observe,
		timeout: c.Timeout, long: c.LongTimeout, stall: c.StallTimeout,
		slots:  make(chan struct{}, c.Concurrency),
		halves: make(chan struct{}, max(1, c.Concurrency/2)),
		locks:  map[string]*volumeLock{},
	}
}

// Name returns backend_name.
func (b *Backend) Name() string { return b.name }

// Features returns the names of the optional interfaces that the driver has, sorted. What is
// not among them is ErrUnsupported, but for Disconnect.
func (b *Backend) Features() []string { return Features(b.driver) }

// Features returns the names of the optional interfaces of this package that d has, sorted.
func Features(d Driver) []string {
	has := map[string]bool{}
	_, has["Disconnector"] = d.(Disconnector)
	_, has["Lister"] = d.(Lister)
	_, has["Extender"] = d.(Extender)
	_, has["Snapshotter"] = d.(Snapshotter)
	_, has["SnapshotLister"] = d.(SnapshotLister)
	_, has["Cloner"] = d.(Cloner)
	_, has["Reverter"] = d.(Reverter)
	_, has["Adopter"] = d.(Adopter)
	_, has["ImageStreamer"] = d.(ImageStreamer)
	_, has["ImageCloner"] = d.(ImageCloner)
	_, has["TrashPurger"] = d.(TrashPurger)
	_, has["Limiter"] = d.(Limiter)
	maps.DeleteFunc(has, func(_ string, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(has))
}

// feature returns the back end's driver as one of the optional interfaces.
func feature[T any](b *Backend) (T, error) {
	driver, ok := b.driver.(T)
	if !ok {
		return driver, ErrUnsupported
	}
	return driver, nil
}

// Check is Driver.Check.
func (b *Backend) Check(ctx context.Context) error {
	return b.run(ctx, operation{op: "check"}, func(ctx context.Context, _ *call) error { return b.driver.Check(ctx) })
}

// Stats is Driver.Stats.
func (b *Backend) Stats(ctx context.Context) (stats *Stats, err error) {
	err = b.run(ctx, operation{op: "stats"}, func(ctx context.Context, _ *call) error {
		stats, err = b.driver.Stats(ctx)
		return err
	})
	return stats, err
}

// An operation is what a method does, as far as running it is concerned.
type operation struct {
	op      string
	id      string   // what people read: a volume's ID, or volume@snapshot
	volumes []string // IDs, checked and locked
	names   []string // names on the back end, locked
	changes bool     // whether an interruption leaves open what happened
	long    bool
	refused error // what is wrong with the arguments, found beforehand
}

// A call is an operation under way.
type call struct {
	*Backend
	operation
	repeats int
	settled bool // it is known that nothing was left
}

// run runs do with the locks, in a slot of the back end and within the deadline. An error that
// ended a change early then says that it may have happened.
func (b *Backend) run(ctx context.Context, o operation, do func(context.Context, *call) error) (err error) {
	c := &call{Backend: b, operation: o}
	asked := time.Now()
	var begun time.Time
	defer func() {
		if err != nil {
			err = &OpError{Op: o.op, Backend: b.name, ID: o.id, Err: err}
		}
		seen := Observation{Op: o.op, Backend: b.name, ID: o.id, Waited: time.Since(asked), Repeats: c.repeats, Err: err}
		if !begun.IsZero() {
			seen.Waited, seen.Took = begun.Sub(asked), time.Since(begun)
		}
		b.log.Debug("storage call", "op", seen.Op, "volume", seen.ID, "waited", seen.Waited, "took", seen.Took, "repeats", seen.Repeats, "error", err)
		if b.observe != nil {
			b.observe(seen)
		}
	}()
	if o.refused != nil {
		return o.refused
	}
	for _, id := range o.volumes {
		if err := CheckID(id); err != nil {
			return err
		}
	}
	timeout := b.timeout
	if o.long {
		timeout = b.long
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	free, err := b.turn(ctx, o)
	defer free()
	if err != nil {
		return fmt.Errorf("waiting for its turn: %w", err)
	}
	begun = time.Now()
	err = do(ctx, c)
	unavailable := errors.Is(err, ErrUnavailable)
	switch {
	case unavailable && c.repeats > 0 && !c.settled:
		err = fmt.Errorf("%w: %v", ErrUnknownOutcome, err) // nothing changed is true of the second try only
	case o.changes && interrupted(err) && !unavailable && !c.settled && !errors.Is(err, ErrUnknownOutcome):
		err = fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
	return err
}

// turn waits for the locks and a slot; free gives them back, whatever the error.
func (b *Backend) turn(ctx context.Context, o operation) (free func(), err error) {
	var held []func()
	free = func() {
		for _, give := range slices.Backward(held) {
			give()
		}
	}
	keys := slices.Clone(o.volumes)
	for _, name := range o.names {
		keys = append(keys, "name "+name) // no ID has a space
	}
	// In one order for all, or two calls could each wait for the other. Slots come last: who
	// has one waits for nothing.
	for _, key := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		unlock, err := b.lock(ctx, key)
		if err != nil {
			return free, err
		}
		held = append(held, unlock)
	}
	places := []chan struct{}{b.slots}
	if o.long {
		places = []chan struct{}{b.halves, b.slots}
	}
	for _, place := range places {
		select {
		case place <- struct{}{}:
			held = append(held, func() { <-place })
		case <-ctx.Done():
			return free, ctx.Err()
		}
	}
	return free, ctx.Err()
}

// lock waits for the turn of a volume or name.
func (b *Backend) lock(ctx context.Context, key string) (unlock func(), err error) {
	b.mu.Lock()
	l := b.locks[key]
	if l == nil {
		l = &volumeLock{held: make(chan struct{}, 1)}
		b.locks[key] = l
	}
	l.users++
	b.mu.Unlock()
	leave := func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(b.locks, key)
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

// again counts and logs a second try.
func (c *call) again(err error) {
	c.repeats++
	c.log.Warn("answer lost; repeating", "op", c.op, "volume", c.id, "error", err)
}

// repeat runs what may be repeated as it is, and once more if it got lost.
func (c *call) repeat(do func() error) error {
	err := do()
	if errors.Is(err, ErrUnknownOutcome) && !interrupted(err) {
		c.again(err)
		err = do()
	}
	return err
}

// remove runs do, and once more if it got lost and look still finds something.
func (c *call) remove(do, look func() error) error {
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
	c.again(err)
	err = do()
	if errors.Is(err, ErrNotFound) {
		return nil // the lost request arrived in between
	}
	return err
}

// CleanupTimeout is how long cleaning up may take once the caller is gone.
const CleanupTimeout = time.Minute

// Detach returns a context for cleaning up after a call whose own context may have ended: it
// has ctx's values, ignores its end, and lasts CleanupTimeout. Drivers use it to remove what
// they half made.
func Detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), CleanupTimeout)
}

// checkSize refuses what is no size.
func checkSize(sizeBytes int64) error {
	if sizeBytes < 1 || sizeBytes > maxSize {
		return fmt.Errorf("%w: size of %d bytes, expected 1 to %d", ErrInvalid, sizeBytes, int64(maxSize))
	}
	return nil
}

// maxSize leaves room for rounding up.
const maxSize = 1 << 60

// checkLimit refuses what is no length of a page.
func checkLimit(limit int) error {
	if limit < 1 || limit > 1000 {
		return fmt.Errorf("%w: limit %d, expected 1 to 1000", ErrInvalid, limit)
	}
	return nil
}

// checkText refuses what could be more than one argument of a back end's command.
func checkText(what, text string) error {
	if len(text) > 255 || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%w: %s %.80q, expected up to 255 printable ASCII characters without spaces", ErrInvalid, what, text)
	}
	return nil
}

// interrupted tells an error by which a caller or a deadline ended a call.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
