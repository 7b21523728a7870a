// Package storage makes volumes on storage back ends: EqualLogic groups, Ceph clusters, and
// whatever else has a Driver.
//
// A Driver does the six things every back end can do, and says by the optional interfaces of
// this package what more it can: Disconnector, Lister, Extender, Snapshotter, SnapshotLister,
// Cloner, Reverter, Adopter, ImageStreamer, ImageCloner, TrashPurger, Limiter. Users hold a Manager
// and its Backends, which have all of these methods: they validate, make calls idempotent, lock
// each volume, bound what runs at once and how long, settle what got lost, remove what was half
// made, and type the errors.
//
//	manager, err := storage.Open(ctx, config, map[string]storage.Opener{"memory": memory.Open})
//	if err != nil {
//		return err
//	}
//	defer manager.Close()
//	backend, err := manager.Backend("fast")
//	if err != nil {
//		return err
//	}
//	volume, err := backend.Create(ctx, storage.VolumeSpec{ID: "db-1", SizeBytes: 10 << 30})
//
// Sizes are bytes. IDs are the caller's: [A-Za-z0-9._-]{1,63}, beginning with a letter or
// digit; what a volume is called on the back end is the driver's matter. Everything a Manager
// knows it asks the back end: there is no second record that could disagree. What makes
// something therefore returns what is there already, if it is what was asked for.
//
// Where Cinder has a term or a rule it is Cinder's: a Connection is the reply of its
// initialize_connection, Pick follows its CapacityFilter and CapacityWeigher, QoS its qos-specs.
// A Config is Crowbar's attribute of the cinder barclamp; UpgradeConfig reads its older forms.
//
// Drivers are tested with package storagetest. Fill, SparseWriter and Detach are for them.
//
// # Errors
//
// For errors.Is: ErrNotFound, ErrExists, ErrBusy (a *BusyError names what is in the way),
// ErrNoSpace, ErrInvalid, ErrUnsupported, ErrUnavailable, ErrUnknownOutcome. A Backend's methods
// wrap them in an *OpError with operation, back end and volume. Class names them for metrics.
//
// # Concurrency
//
// A Driver, a Manager and a Backend may be used by many goroutines at once. Calls that change
// one volume run one after another; a copy holds its source too. The locks are those of one
// process: between processes the back end decides.
package storage

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// A Driver is one back end. Every method honours its context, is safe for concurrent use
// with other volumes, and returns the errors of this package.
//
// After an error that leaves open whether something changed, a method returns
// ErrUnknownOutcome; the caller then looks with Get and repeats. Where the back end cannot be
// reached and nothing was changed it is ErrUnavailable. What makes volumes in several
// steps removes what it made when one of them fails, also when its context has ended: see
// Detach. If that fails too, the outcome is unknown.
type Driver interface {
	// Check tells whether the back end can be reached and used, changing nothing.
	Check(ctx context.Context) error
	// Create makes an empty volume of at least the size asked for. ErrExists: there is one of
	// this ID, whatever its size. ErrInvalid: a size below 1. A Create that fails leaves no volume
	// behind.
	Create(ctx context.Context, v VolumeSpec) (*Volume, error)
	// Get returns the volume as the back end has it, or ErrNotFound.
	Get(ctx context.Context, id string) (*Volume, error)
	// Delete destroys the volume and its data. ErrNotFound, or ErrBusy while it has snapshots
	// or is connected.
	Delete(ctx context.Context, id string) error
	// Connect lets the initiator reach the volume and returns where it is. Repeating it
	// changes nothing and returns the same.
	Connect(ctx context.Context, id string, c Connector) (*Connection, error)
	// Stats returns capacities as they are now.
	Stats(ctx context.Context) (*Stats, error)
}

// A Disconnector takes back what Connect gave. A driver that has nothing to take back is none.
type Disconnector interface {
	// Disconnect ends the connector's access; none is no error. ErrNotFound: no such volume.
	Disconnect(ctx context.Context, id string, c Connector) error
}

// A Lister lists the volumes it would Get: those that carry its name template.
type Lister interface {
	// List returns up to limit volumes with an ID after the given one, in bytewise order of
	// their IDs. after "" begins; limit is positive; fewer than limit means the end.
	List(ctx context.Context, after string, limit int) ([]Volume, error)
}

// An Extender makes volumes bigger.
type Extender interface {
	// Extend makes the volume at least as big as sizeBytes. The size it has is no error;
	// a smaller one is ErrInvalid: data would be lost.
	Extend(ctx context.Context, id string, sizeBytes int64) (*Volume, error)
}

// A Snapshotter keeps states of volumes. A snapshot's ID is the caller's and unique within
// its volume.
type Snapshotter interface {
	// CreateSnapshot keeps the present state. ErrExists: there is one of this ID.
	CreateSnapshot(ctx context.Context, volumeID, id string) (*Snapshot, error)
	// GetSnapshot returns the snapshot, or ErrNotFound.
	GetSnapshot(ctx context.Context, volumeID, id string) (*Snapshot, error)
	// DeleteSnapshot destroys it, or ErrNotFound. Volumes made from it are not affected, or
	// it is ErrBusy.
	DeleteSnapshot(ctx context.Context, volumeID, id string) error
	// CreateFromSnapshot makes a volume with the contents of a snapshot. A size of 0 is the
	// snapshot's; a smaller one is ErrInvalid. ErrExists as with Create.
	CreateFromSnapshot(ctx context.Context, v VolumeSpec, volumeID, snapshotID string) (*Volume, error)
}

// A VolumeSpec is the volume that is wanted.
type VolumeSpec struct {
	ID        string `json:"id"`
	SizeBytes int64  `json:"size_bytes"` // at least 1; rounded up to what the back end can make
}

// A Volume is a volume as the back end has it.
type Volume struct {
	ID        string `json:"id"`
	Name      string `json:"name"`       // on the back end
	SizeBytes int64  `json:"size_bytes"` // after rounding
}

// A Snapshot is a kept state of a volume.
type Snapshot struct {
	ID        string `json:"id"`
	VolumeID  string `json:"volume_id"`
	SizeBytes int64  `json:"size_bytes"` // of the volume when it was taken
}

// Stats are a back end's capacities.
type Stats struct {
	TotalBytes int64 `json:"total_bytes"`
	// FreeBytes can still be filled with data, or, where volumes are thick, be given to them.
	FreeBytes int64 `json:"free_bytes"`
	// ProvisionedBytes is the sum of the sizes of all volumes, which may exceed TotalBytes
	// where they are thin.
	ProvisionedBytes int64 `json:"provisioned_bytes"`
	Volumes          int   `json:"volumes"`
	// UnitBytes is what sizes are rounded up to; 0 is 1.
	UnitBytes int64 `json:"unit_bytes"`
	// Protocol is "iscsi" or "rbd".
	Protocol string `json:"protocol"`
	// Thin tells that volumes take space only as they are written to.
	Thin bool `json:"thin"`
	// MaxOverSubscription is how many times TotalBytes may be provisioned where volumes are
	// thin: Cinder's max_over_subscription_ratio, at least 1; 0 is DefaultOverSubscription.
	MaxOverSubscription float64 `json:"max_over_subscription_ratio,omitempty"`
	// ReservedPercentage of TotalBytes is not for new volumes, 0 to 100.
	ReservedPercentage int `json:"reserved_percentage,omitempty"`
	// Vendor is Cinder's vendor_name.
	Vendor string `json:"vendor,omitempty"`
	// Multiattach tells that several machines may write to a volume at once; QoS that Limiter
	// has an effect.
	Multiattach bool `json:"multiattach"`
	QoS         bool `json:"qos"`
}

// Clock is the time that drivers run on.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Deps is what a driver may use of its surroundings.
type Deps struct {
	Logger *slog.Logger // nil = silent
	Clock  Clock        // nil = real time
}

// MaxID is the longest ID, in bytes.
const MaxID = 63

// CheckID returns ErrInvalid for anything but [A-Za-z0-9._-]{1,63} that begins with a letter
// or digit. A driver may then put the ID into a command line.
func CheckID(id string) error {
	ok := id != "" && len(id) <= MaxID
	for i := 0; ok && i < len(id); i++ {
		c := id[i]
		alphanumeric := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		ok = alphanumeric || i > 0 && (c == '.' || c == '_' || c == '-')
	}
	if !ok {
		return fmt.Errorf("%w: ID %.80q, expected [A-Za-z0-9._-]{1,%d} beginning with a letter or digit", ErrInvalid, id, MaxID)
	}
	return nil
}
