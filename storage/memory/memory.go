// Package memory is a storage.Driver in memory: all it can do, real drivers can do, and the
// bytes of its volumes are kept, sparsely. It is the back end of tests and of the simulated
// rack, and the shortest driver to read before writing one.
//
//	driver, err := memory.New(memory.Config{CapacityBytes: 1 << 40})
//
// It has every optional interface of package storage. Open is its storage.Opener; the options
// are Config's fields in JSON:
//
//	{"backend_driver": "memory", "backend_name": "fast", "memory": {"capacity_bytes": 1099511627776}}
//
// What a machine would do to a volume it is connected to, WriteAt and ReadAt do. Put makes a
// volume that nobody manages yet. CreateFromImage takes what nobody manages for an image, by the
// location memory://NAME. Inject makes calls slow, fail, or lose their answers.
//
// # Errors
//
// Those of package storage, and those that were injected.
//
// # Concurrency
//
// A Driver may be used by many goroutines at once.
package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/hashicorp/go-multierror"

	"github.com/crowbarkit/crowbarkit/internal/clock"
	"github.com/crowbarkit/crowbarkit/storage"
)

// A Config of a Driver; the zero value is useful.
type Config struct {
	// CapacityBytes is what volumes and snapshots may take together, 0 = 1 TiB.
	CapacityBytes int64 `json:"capacity_bytes,omitempty"`
	// UnitBytes is what sizes are rounded up to, 0 = 1 MiB.
	UnitBytes int64 `json:"unit_bytes,omitempty"`
	// TargetPortal is the address:port that connections name, "" = 192.0.2.1:3260, which is
	// nobody's (RFC 5737).
	TargetPortal string `json:"target_portal,omitempty"`
	// CHAPUsername and CHAPPassword go into every connection if they are set.
	CHAPUsername string `json:"chap_username,omitempty"`
	CHAPPassword string `json:"chap_password,omitempty"`
	// DeferredDeletion keeps what is deleted, and the space it takes, until PurgeTrash.
	DeferredDeletion bool `json:"deferred_deletion,omitempty"`
	// Clock is what the delays of faults run on, nil = real time.
	Clock storage.Clock `json:"-"`
}

// A Driver is a back end in memory.
type Driver struct {
	config Config

	mu      sync.Mutex
	volumes map[string]*volume // by ID
	foreign map[string]*volume // by name: those that nobody manages
	trash   []int64            // sizes of what was deleted
	used    int64
	faults  []Fault
}

type volume struct {
	size       int64
	data       contents
	snapshots  map[string]snapshot
	initiators map[string]bool
	qos        storage.QoS
}

var (
	_ storage.Driver         = (*Driver)(nil)
	_ storage.Disconnector   = (*Driver)(nil)
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
	_ storage.Opener         = Open
)

// Open is the storage.Opener. Every call makes a back end of its own, empty at first.
func Open(_ context.Context, _ string, raw json.RawMessage, deps storage.Deps) (storage.Driver, error) {
	var c Config
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return nil, fmt.Errorf("%w: options of the memory driver: %w", storage.ErrInvalid, err)
	}
	c.Clock = deps.Clock
	d, err := New(c)
	if err != nil {
		return nil, err
	}
	return d, nil
}

// New returns an empty back end. All problems are returned at once, as storage.ErrInvalid.
func New(c Config) (*Driver, error) {
	if c.CapacityBytes == 0 {
		c.CapacityBytes = 1 << 40
	}
	if c.UnitBytes == 0 {
		c.UnitBytes = 1 << 20
	}
	if c.TargetPortal == "" {
		c.TargetPortal = "192.0.2.1:3260"
	}
	if c.Clock == nil {
		c.Clock = clock.System()
	}
	var problems *multierror.Error
	problem := func(path, format string, args ...any) {
		problems = multierror.Append(problems, fmt.Errorf("%w: %s: %s", storage.ErrInvalid, path, fmt.Sprintf(format, args...)))
	}
	if c.CapacityBytes < 0 {
		problem("/capacity_bytes", "%d, expected 0 or more", c.CapacityBytes)
	}
	if c.UnitBytes < 0 || c.UnitBytes > 1<<40 {
		problem("/unit_bytes", "%d, expected 0 to %d", c.UnitBytes, int64(1)<<40)
	}
	if _, err := netip.ParseAddrPort(c.TargetPortal); err != nil {
		problem("/target_portal", "%q, expected address:port", c.TargetPortal)
	}
	if (c.CHAPUsername == "") != (c.CHAPPassword == "") {
		problem("/chap_username", "expected together with chap_password or not at all")
	}
	if err := problems.ErrorOrNil(); err != nil {
		return nil, err
	}
	return &Driver{config: c, volumes: map[string]*volume{}, foreign: map[string]*volume{}}, nil
}

func (d *Driver) stats() *storage.Stats {
	s := &storage.Stats{
		TotalBytes: d.config.CapacityBytes,
		FreeBytes:  d.config.CapacityBytes - d.used,
		Volumes:    len(d.volumes),
		UnitBytes:  d.config.UnitBytes,
		Protocol:   "iscsi",

		Vendor: "CrowbarKit", Multiattach: true, QoS: true,
	}
	for _, v := range d.volumes {
		s.ProvisionedBytes += v.size
	}
	return s
}

// do runs fn alone, unless a fault comes first.
func (d *Driver) do(ctx context.Context, op string, fn func() error) error {
	fault, err := d.fault(ctx, op)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := fn(); err != nil {
		return err
	}
	return fault.After
}

// with is do on a volume that is there.
func (d *Driver) with(ctx context.Context, op, id string, fn func(*volume) error) error {
	return d.do(ctx, op, func() error {
		v, err := d.volume(id)
		if err != nil {
			return err
		}
		return fn(v)
	})
}

func (d *Driver) volume(id string) (*volume, error) {
	if v := d.volumes[id]; v != nil {
		return v, nil
	}
	return nil, fmt.Errorf("volume %q: %w", id, storage.ErrNotFound)
}

// take takes space, or returns storage.ErrNoSpace.
func (d *Driver) take(size int64) error {
	if free := d.config.CapacityBytes - d.used; size > free {
		return fmt.Errorf("%w: %d bytes needed, %d free", storage.ErrNoSpace, size, free)
	}
	d.used += size
	return nil
}

func (d *Driver) round(size int64) (int64, error) {
	if size < 1 || size > 1<<60 {
		return 0, fmt.Errorf("%w: size of %d bytes", storage.ErrInvalid, size)
	}
	return (&storage.Stats{UnitBytes: d.config.UnitBytes}).Round(size), nil
}

func (v *volume) as(id string) *storage.Volume {
	return &storage.Volume{ID: id, Name: prefix + id, SizeBytes: v.size}
}

// Check has nothing to find but injected faults.
func (d *Driver) Check(ctx context.Context) error {
	return d.do(ctx, "check", func() error { return nil })
}

// Stats returns the capacities.
func (d *Driver) Stats(ctx context.Context) (stats *storage.Stats, err error) {
	err = d.do(ctx, "stats", func() error { stats = d.stats(); return nil })
	return stats, err
}

// Create makes a volume.
func (d *Driver) Create(ctx context.Context, spec storage.VolumeSpec) (made *storage.Volume, err error) {
	err = d.do(ctx, "create", func() error {
		v, err := d.create(spec, nil, 0)
		if err == nil {
			made = v.as(spec.ID)
		}
		return err
	})
	return made, err
}

// create makes a volume with the given contents, which have atLeast bytes; a size of 0 is
// theirs.
func (d *Driver) create(spec storage.VolumeSpec, data contents, atLeast int64) (*volume, error) {
	if err := storage.CheckID(spec.ID); err != nil {
		return nil, err
	}
	if spec.SizeBytes == 0 {
		spec.SizeBytes = atLeast
	}
	size, err := d.round(spec.SizeBytes)
	if err != nil {
		return nil, err
	}
	if d.volumes[spec.ID] != nil {
		return nil, fmt.Errorf("volume %q: %w", spec.ID, storage.ErrExists)
	}
	if size < atLeast {
		return nil, fmt.Errorf("%w: %d bytes are less than the %d bytes of the source", storage.ErrInvalid, size, atLeast)
	}
	if err := d.take(size); err != nil {
		return nil, err
	}
	v := &volume{size: size, data: data.clone(), snapshots: map[string]snapshot{}, initiators: map[string]bool{}}
	d.volumes[spec.ID] = v
	return v, nil
}

// Get returns a volume.
func (d *Driver) Get(ctx context.Context, id string) (found *storage.Volume, err error) {
	err = d.with(ctx, "get", id, func(v *volume) error { found = v.as(id); return nil })
	return found, err
}

// Delete removes a volume that has neither snapshots nor connections.
func (d *Driver) Delete(ctx context.Context, id string) error {
	return d.with(ctx, "delete", id, func(v *volume) error {
		var dependents []string
		for _, name := range slices.Sorted(maps.Keys(v.snapshots)) {
			dependents = append(dependents, "snapshot "+name)
		}
		if err := v.busy(id, dependents); err != nil {
			return err
		}
		if d.config.DeferredDeletion {
			d.trash = append(d.trash, v.size)
		} else {
			d.used -= v.size
		}
		delete(d.volumes, id)
		return nil
	})
}

// PurgeTrash gives the space of what was deleted back.
func (d *Driver) PurgeTrash(ctx context.Context) (removed int, err error) {
	err = d.do(ctx, "purge trash", func() error {
		for _, size := range d.trash {
			d.used -= size
		}
		removed, d.trash = len(d.trash), nil
		return nil
	})
	return removed, err
}

// busy returns a *storage.BusyError if there are dependents or connections.
func (v *volume) busy(id string, dependents []string) error {
	for _, name := range slices.Sorted(maps.Keys(v.initiators)) {
		dependents = append(dependents, "connection "+name)
	}
	if len(dependents) == 0 {
		return nil
	}
	return fmt.Errorf("volume %q: %w", id, &storage.BusyError{Dependents: dependents})
}

// Connect lets an initiator in.
func (d *Driver) Connect(ctx context.Context, id string, c storage.Connector) (connection *storage.Connection, err error) {
	if c.Initiator == "" {
		return nil, fmt.Errorf("%w: connector of host %q without an initiator, which iSCSI needs", storage.ErrInvalid, c.Host)
	}
	err = d.with(ctx, "connect", id, func(v *volume) error {
		v.initiators[c.Initiator] = true
		target := &storage.ISCSI{
			TargetPortal: d.config.TargetPortal,
			TargetIQN:    "iqn.2012-07.com.crowbarkit.memory:" + prefix + id,
			VolumeID:     id,
			Discard:      true,
		}
		if d.config.CHAPUsername != "" {
			target.AuthMethod, target.AuthUsername, target.AuthPassword = "CHAP", d.config.CHAPUsername, d.config.CHAPPassword
		}
		connection = &storage.Connection{ISCSI: target}
		return nil
	})
	return connection, err
}

// Disconnect shuts an initiator out.
func (d *Driver) Disconnect(ctx context.Context, id string, c storage.Connector) error {
	return d.with(ctx, "disconnect", id, func(v *volume) error {
		delete(v.initiators, c.Initiator)
		return nil
	})
}

// List lists volumes.
func (d *Driver) List(ctx context.Context, after string, limit int) (volumes []storage.Volume, err error) {
	err = d.do(ctx, "list", func() error {
		for _, id := range slices.Sorted(maps.Keys(d.volumes)) {
			if id > after && len(volumes) < limit {
				volumes = append(volumes, *d.volumes[id].as(id))
			}
		}
		return nil
	})
	return volumes, err
}

// Extend makes a volume bigger.
func (d *Driver) Extend(ctx context.Context, id string, sizeBytes int64) (extended *storage.Volume, err error) {
	err = d.with(ctx, "extend", id, func(v *volume) error {
		size, err := d.round(sizeBytes)
		if err != nil {
			return err
		}
		if size < v.size {
			return fmt.Errorf("%w: volume %q has %d bytes, %d bytes are less", storage.ErrInvalid, id, v.size, size)
		}
		if err := d.take(size - v.size); err != nil {
			return err
		}
		v.size = size
		extended = v.as(id)
		return nil
	})
	return extended, err
}

// SetQoS keeps limits; nothing obeys them.
func (d *Driver) SetQoS(ctx context.Context, id string, q storage.QoS) error {
	return d.with(ctx, "set qos", id, func(v *volume) error { v.qos = q; return nil })
}

// GetQoS returns them.
func (d *Driver) GetQoS(ctx context.Context, id string) (q storage.QoS, err error) {
	err = d.with(ctx, "get qos", id, func(v *volume) error { q = v.qos; return nil })
	return q, err
}
