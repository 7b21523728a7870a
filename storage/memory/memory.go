// Package memory is a storage.Driver without storage: volumes have names and sizes and can
// be connected, extended and snapshotted, but hold no data. It is the back end of tests and of
// the simulated rack.
//
//	driver, err := memory.New(memory.Config{CapacityBytes: 1 << 40})
//
// Open is its storage.Opener; the options are Config's fields in JSON:
//
//	{"backend_driver": "memory", "backend_name": "fast", "memory": {"capacity_bytes": 1099511627776}}
//
// # Errors
//
// Those of package storage. There is no ErrUnknownOutcome: nothing gets lost.
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
}

// A Driver is a back end in memory.
type Driver struct {
	config Config

	mu      sync.Mutex
	volumes map[string]*volume
	used    int64
}

type volume struct {
	size       int64
	snapshots  map[string]int64 // sizes
	initiators map[string]bool
}

var (
	_ storage.Driver       = (*Driver)(nil)
	_ storage.Disconnector = (*Driver)(nil)
	_ storage.Lister       = (*Driver)(nil)
	_ storage.Extender     = (*Driver)(nil)
	_ storage.Snapshotter  = (*Driver)(nil)
	_ storage.Opener       = Open
)

// Open is the storage.Opener. Every call makes a back end of its own, empty at first.
func Open(_ context.Context, _ string, raw json.RawMessage, _ storage.Deps) (storage.Driver, error) {
	var c Config
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return nil, fmt.Errorf("%w: options of the memory driver: %w", storage.ErrInvalid, err)
	}
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
	return &Driver{config: c, volumes: map[string]*volume{}}, nil
}

func (d *Driver) stats() *storage.Stats {
	s := &storage.Stats{
		TotalBytes: d.config.CapacityBytes,
		FreeBytes:  d.config.CapacityBytes - d.used,
		Volumes:    len(d.volumes),
		UnitBytes:  d.config.UnitBytes,
		Protocol:   "iscsi",
	}
	for _, v := range d.volumes {
		s.ProvisionedBytes += v.size
	}
	return s
}

// do runs fn alone.
func (d *Driver) do(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return fn()
}

// with runs fn alone on a volume that is there.
func (d *Driver) with(ctx context.Context, id string, fn func(*volume) error) error {
	return d.do(ctx, func() error {
		v := d.volumes[id]
		if v == nil {
			return fmt.Errorf("volume %q: %w", id, storage.ErrNotFound)
		}
		return fn(v)
	})
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
	return &storage.Volume{ID: id, Name: "volume-" + id, SizeBytes: v.size}
}

// Check has nothing to find.
func (d *Driver) Check(ctx context.Context) error { return ctx.Err() }

// Stats returns the capacities.
func (d *Driver) Stats(ctx context.Context) (stats *storage.Stats, err error) {
	err = d.do(ctx, func() error { stats = d.stats(); return nil })
	return stats, err
}

// Create makes a volume.
func (d *Driver) Create(ctx context.Context, spec storage.VolumeSpec) (made *storage.Volume, err error) {
	err = d.do(ctx, func() error { made, err = d.create(spec); return err })
	return made, err
}

func (d *Driver) create(spec storage.VolumeSpec) (*storage.Volume, error) {
	if err := storage.CheckID(spec.ID); err != nil {
		return nil, err
	}
	size, err := d.round(spec.SizeBytes)
	if err != nil {
		return nil, err
	}
	if d.volumes[spec.ID] != nil {
		return nil, fmt.Errorf("volume %q: %w", spec.ID, storage.ErrExists)
	}
	if err := d.take(size); err != nil {
		return nil, err
	}
	v := &volume{size: size, snapshots: map[string]int64{}, initiators: map[string]bool{}}
	d.volumes[spec.ID] = v
	return v.as(spec.ID), nil
}

// Get returns a volume.
func (d *Driver) Get(ctx context.Context, id string) (found *storage.Volume, err error) {
	err = d.with(ctx, id, func(v *volume) error { found = v.as(id); return nil })
	return found, err
}

// Delete removes a volume that has neither snapshots nor connections.
func (d *Driver) Delete(ctx context.Context, id string) error {
	return d.with(ctx, id, func(v *volume) error {
		busy := &storage.BusyError{}
		for _, name := range slices.Sorted(maps.Keys(v.snapshots)) {
			busy.Dependents = append(busy.Dependents, "snapshot "+name)
		}
		for _, name := range slices.Sorted(maps.Keys(v.initiators)) {
			busy.Dependents = append(busy.Dependents, "connection "+name)
		}
		if len(busy.Dependents) > 0 {
			return fmt.Errorf("volume %q: %w", id, busy)
		}
		d.used -= v.size
		delete(d.volumes, id)
		return nil
	})
}

// Connect lets an initiator in.
func (d *Driver) Connect(ctx context.Context, id string, c storage.Connector) (connection *storage.Connection, err error) {
	if c.Initiator == "" {
		return nil, fmt.Errorf("%w: connector of host %q without an initiator, which iSCSI needs", storage.ErrInvalid, c.Host)
	}
	err = d.with(ctx, id, func(v *volume) error {
		v.initiators[c.Initiator] = true
		target := &storage.ISCSI{
			TargetPortal: d.config.TargetPortal,
			TargetIQN:    "iqn.2012-07.com.crowbarkit.memory:volume-" + id,
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
	return d.with(ctx, id, func(v *volume) error {
		delete(v.initiators, c.Initiator)
		return nil
	})
}

// List lists volumes.
func (d *Driver) List(ctx context.Context, after string, limit int) (volumes []storage.Volume, err error) {
	err = d.do(ctx, func() error {
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
	err = d.with(ctx, id, func(v *volume) error {
		size, err := d.round(sizeBytes)
		if err != nil {
			return err
		}
		if size < v.size {
			return fmt.Errorf("%w: volume %q has %d bytes, %d are less", storage.ErrInvalid, id, v.size, size)
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

// CreateSnapshot takes as much space as the volume.
func (d *Driver) CreateSnapshot(ctx context.Context, volumeID, id string) (made *storage.Snapshot, err error) {
	if err := storage.CheckID(id); err != nil {
		return nil, err
	}
	err = d.with(ctx, volumeID, func(v *volume) error {
		if _, there := v.snapshots[id]; there {
			return fmt.Errorf("snapshot %q of %q: %w", id, volumeID, storage.ErrExists)
		}
		if err := d.take(v.size); err != nil {
			return err
		}
		v.snapshots[id] = v.size
		made = &storage.Snapshot{ID: id, VolumeID: volumeID, SizeBytes: v.size}
		return nil
	})
	return made, err
}

// snapshot runs fn alone on a snapshot that is there.
func (d *Driver) snapshot(ctx context.Context, volumeID, id string, fn func(v *volume, size int64) error) error {
	return d.with(ctx, volumeID, func(v *volume) error {
		size, there := v.snapshots[id]
		if !there {
			return fmt.Errorf("snapshot %q of %q: %w", id, volumeID, storage.ErrNotFound)
		}
		return fn(v, size)
	})
}

// GetSnapshot returns a snapshot.
func (d *Driver) GetSnapshot(ctx context.Context, volumeID, id string) (found *storage.Snapshot, err error) {
	err = d.snapshot(ctx, volumeID, id, func(_ *volume, size int64) error {
		found = &storage.Snapshot{ID: id, VolumeID: volumeID, SizeBytes: size}
		return nil
	})
	return found, err
}

// DeleteSnapshot gives its space back. Volumes made from it are copies.
func (d *Driver) DeleteSnapshot(ctx context.Context, volumeID, id string) error {
	return d.snapshot(ctx, volumeID, id, func(v *volume, size int64) error {
		d.used -= size
		delete(v.snapshots, id)
		return nil
	})
}

// CreateFromSnapshot makes a copy.
func (d *Driver) CreateFromSnapshot(ctx context.Context, spec storage.VolumeSpec, volumeID, snapshotID string) (made *storage.Volume, err error) {
	err = d.snapshot(ctx, volumeID, snapshotID, func(_ *volume, size int64) error {
		if spec.SizeBytes == 0 {
			spec.SizeBytes = size
		}
		rounded, err := d.round(spec.SizeBytes)
		if err != nil {
			return err
		}
		if rounded < size {
			return fmt.Errorf("%w: %d bytes, the snapshot has %d", storage.ErrInvalid, rounded, size)
		}
		made, err = d.create(spec)
		return err
	})
	return made, err
}
