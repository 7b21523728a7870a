package eqlx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/storage"
)

// A Driver is a back end on one group. It prints without secrets.
type Driver struct {
	config    Config // without secrets
	chap      func() string
	pool      *pool
	volumes   template
	snapshots template
	log       *slog.Logger

	mu      sync.Mutex
	portal  string
	foreign map[string]map[string]bool // by volume: snapshots with names of the group's that are not orphans
	plain   bool                       // the group knows no description of a new snapshot
	undoing map[string]chan struct{}   // by volume: closed when what a cancelled call made is gone
}

var (
	_ storage.Driver         = (*Driver)(nil)
	_ storage.Disconnector   = (*Driver)(nil)
	_ storage.Lister         = (*Driver)(nil)
	_ storage.Extender       = (*Driver)(nil)
	_ storage.Snapshotter    = (*Driver)(nil)
	_ storage.SnapshotLister = (*Driver)(nil)
	_ storage.Cloner         = (*Driver)(nil)
	_ storage.Adopter        = (*Driver)(nil)
	_ storage.Opener         = Open
)

// Open is the storage.Opener: ParseConfig and New.
func Open(_ context.Context, backend string, raw json.RawMessage, deps storage.Deps) (storage.Driver, error) {
	c, err := ParseConfig(raw)
	if err != nil {
		return nil, err
	}
	c.Logger, c.Clock = deps.Logger, deps.Clock
	if c.Logger != nil {
		c.Logger = c.Logger.With("backend", backend)
	}
	d, err := New(c)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// New returns a Driver that has not connected yet; Check does. All problems of the Config are
// returned at once, as storage.ErrInvalid. Close it.
func New(c Config) (*Driver, error) {
	c = c.withDefaults()
	if err := c.check().ErrorOrNil(); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	p, err := newPool(c)
	if err != nil {
		return nil, err
	}
	d := &Driver{pool: p, log: c.Logger, foreign: map[string]map[string]bool{}, undoing: map[string]chan struct{}{}}
	secret := c.CHAPPassword
	d.chap = func() string { return secret }
	c.Password, c.PrivateKeyPassphrase, c.CHAPPassword = "", "", ""
	d.config = c
	// check has found them good.
	d.volumes, _ = newTemplate(c.VolumeTemplate)
	d.snapshots, _ = newTemplate(c.SnapshotTemplate)
	return d, nil
}

// Close ends all sessions. Calls that still run fail, and later ones return ErrClosed. What
// cancelled calls made is removed first, if the group does that within the timeout.
func (d *Driver) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), d.config.Timeout)
	d.undone(ctx)
	cancel()
	d.pool.close()
	d.undone(context.Background()) // without sessions they end
	return nil
}

// undone waits until nothing is taken back any more.
func (d *Driver) undone(ctx context.Context) {
	for {
		d.mu.Lock()
		names := slices.Collect(maps.Keys(d.undoing))
		d.mu.Unlock()
		if len(names) == 0 || d.settled(ctx, names[0]) != nil {
			return
		}
	}
}

// ours marks the context of what takeBack runs.
type ours struct{}

// takeBack runs undo beside the caller, who leaves; other calls about a volume of these names wait
// for it.
func (d *Driver) takeBack(ctx context.Context, undo func(context.Context), names ...string) {
	done := make(chan struct{})
	var before []chan struct{}
	d.mu.Lock()
	for _, name := range names {
		if busy := d.undoing[name]; busy != nil {
			before = append(before, busy)
		}
		d.undoing[name] = done
	}
	d.mu.Unlock()
	go func() {
		undo(context.WithValue(context.WithoutCancel(ctx), ours{}, true))
		for _, busy := range before {
			<-busy // two callers made the same at once
		}
		d.mu.Lock()
		for _, name := range names {
			if d.undoing[name] == done {
				delete(d.undoing, name)
			}
		}
		d.mu.Unlock()
		close(done)
	}()
}

// unawaited is the answer to a command of the kind makes that the caller did not wait for; nil: there is
// none to wait for.
func unawaited(err error) (late func() ([]string, error)) {
	if lost := (*lostError)(nil); errors.As(err, &lost) {
		return lost.late
	}
	return nil
}

// refused tells that the group did nothing: it said so, or never got the command.
func refused(err error) bool {
	said := (*CommandError)(nil)
	return errors.As(err, &said) || errors.Is(err, errUnsent)
}

// settled waits until nothing that a cancelled call made is under that name.
func (d *Driver) settled(ctx context.Context, name string) error {
	for ctx.Value(ours{}) == nil {
		d.mu.Lock()
		busy := d.undoing[name]
		d.mu.Unlock()
		if busy == nil {
			break
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Namespace says where the names of volumes are unique: on the group, whatever the pool.
func (d *Driver) Namespace() string {
	return d.pool.address + " " + d.config.VolumeTemplate
}

// String describes the back end.
func (d *Driver) String() string { return d.config.String() }

// GoString is String.
func (d *Driver) GoString() string { return d.config.String() }

// send sends a command.
func (d *Driver) send(ctx context.Context, k kind, parts ...part) (lines []string, line string, err error) {
	line, err = command(parts...)
	if err != nil {
		return nil, "", err
	}
	for _, p := range parts {
		if p.value {
			if err := d.settled(ctx, p.text); err != nil {
				return nil, "", err
			}
		}
	}
	lines, err = d.pool.run(ctx, k, line)
	return lines, line, err
}

// do sends a command whose reply does not matter.
func (d *Driver) do(ctx context.Context, k kind, parts ...part) error {
	_, _, err := d.send(ctx, k, parts...)
	return err
}

// cleanup runs fn after a failure, even if the caller has given up. What it could not undo it
// logs.
func (d *Driver) cleanup(ctx context.Context, what string, fn func(context.Context) error) error {
	ctx, cancel := storage.Detach(ctx)
	defer cancel()
	err := fn(ctx)
	if err != nil {
		d.log.Warn("left behind on the group", "what", what, "error", err)
	}
	return err
}

// Check connects, and looks for the pool.
func (d *Driver) Check(ctx context.Context) error {
	if _, err := d.Stats(ctx); err != nil {
		return err
	}
	_, err := d.target(ctx)
	return err
}

// Stats returns the pool's capacities, with one command.
func (d *Driver) Stats(ctx context.Context) (*storage.Stats, error) {
	lines, line, err := d.send(ctx, reads, lit("pool select"), arg(d.config.Pool), lit("show"))
	if err != nil {
		return nil, fmt.Errorf("pool %q: %w", d.config.Pool, err)
	}
	p, missing := parsePool(lines)
	if missing != "" {
		return nil, &ReplyError{Command: line, Missing: missing}
	}
	return &storage.Stats{
		TotalBytes: p.total, FreeBytes: p.free, ProvisionedBytes: p.reported, Volumes: p.volumes,
		UnitBytes: gigabyte, Protocol: "iscsi", Thin: !d.config.ThickProvision, Vendor: "Dell EMC",
		MaxOverSubscription: d.config.MaxOverSubscriptionRatio, Multiattach: d.config.MultihostAccess,
	}, nil
}

// target returns where initiators reach the group, host:port. It asks once.
func (d *Driver) target(ctx context.Context) (string, error) {
	d.mu.Lock()
	portal := d.portal
	d.mu.Unlock()
	if portal != "" {
		return portal, nil
	}
	lines, line, err := d.send(ctx, reads, lit("grpparams show"))
	if err != nil {
		return "", err
	}
	address, ok := parseAddress(lines)
	if !ok {
		return "", &ReplyError{Command: line, Missing: "Group-Ipaddress"}
	}
	portal = net.JoinHostPort(address, "3260")
	d.mu.Lock()
	d.portal = portal
	d.mu.Unlock()
	return portal, nil
}

// checkIDs refuses what CheckID refuses, before it gets near a command line.
func checkIDs(ids ...string) error {
	for _, id := range ids {
		if err := storage.CheckID(id); err != nil {
			return err
		}
	}
	return nil
}

// wanted returns the size that a volume gets for which n bytes were asked.
func wanted(n int64) (int64, error) {
	if n < 1 || n > 1<<60 {
		return 0, fmt.Errorf("%w: size of %d bytes", storage.ErrInvalid, n)
	}
	return roundUp(n), nil
}

// unknown makes an error one of unknown outcome: something was sent that cannot be taken back.
func unknown(err error) error {
	switch {
	case errors.Is(err, storage.ErrUnknownOutcome):
		return err
	case errors.Is(err, storage.ErrUnavailable): // which says that nothing changed
		return fmt.Errorf("%w: %v", storage.ErrUnknownOutcome, err)
	}
	return fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, err)
}

// later is the error of a command after others of the same call that changed something.
func later(err error) error {
	if errors.Is(err, storage.ErrUnavailable) {
		return unknown(err)
	}
	return err
}
