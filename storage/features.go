package storage

import (
	"context"
	"io"
)

// A Cloner copies volumes inside the back end.
type Cloner interface {
	// Clone makes a volume with the present contents of another one, which may be in use. A size
	// of 0 is the source's; a smaller one is ErrInvalid. ErrExists as with Create. Deleting the
	// source afterwards is possible, or ErrBusy.
	Clone(ctx context.Context, v VolumeSpec, sourceID string) (*Volume, error)
}

// A SnapshotLister lists the snapshots that it would get as a Snapshotter.
type SnapshotLister interface {
	// ListSnapshots returns up to limit snapshots of the volume with an ID after the given one,
	// in bytewise order of their IDs. after "" begins; limit is positive; fewer than limit means
	// the end. ErrNotFound: no such volume. Snapshots that others made have no ID: they are left
	// out.
	ListSnapshots(ctx context.Context, volumeID, after string, limit int) ([]Snapshot, error)
}

// A Reverter puts volumes back to a snapshot.
type Reverter interface {
	// Revert gives the volume the snapshot's contents; what was written since is lost. It must
	// not be connected: ErrBusy. A volume that has grown since keeps its size.
	Revert(ctx context.Context, volumeID, snapshotID string) error
}

// An Adopter takes volumes over that were made by others, and gives volumes up.
type Adopter interface {
	// Manageable lists what is on the back end and has not the form of a volume of this driver,
	// by its name there, after the given one, at most limit.
	Manageable(ctx context.Context, after string, limit int) ([]Manageable, error)
	// Manage makes the volume that the back end calls name one of this driver's, with an ID of
	// the caller's. Its contents stay. ErrNotFound: no such name, whatever the ID;
	// ErrExists: the ID is taken; ErrBusy: somebody uses it. Where the back end rounds sizes, it grows.
	Manage(ctx context.Context, id, name string) (*Volume, error)
	// Unmanage leaves the volume on the back end and forgets it: Get is ErrNotFound then, and
	// Manageable lists it under the name returned. ErrBusy: it is connected, where that matters.
	Unmanage(ctx context.Context, id string) (name string, err error)
}

// A Manageable is a volume that Manage could take.
type Manageable struct {
	Name      string `json:"name"` // on the back end
	SizeBytes int64  `json:"size_bytes"`
	// Reason says why it cannot be taken at present; empty: it can.
	Reason string `json:"reason,omitempty"`
}

// An ImageStreamer moves contents of volumes in and out.
type ImageStreamer interface {
	// Import fills the new volume from r, size bytes; runs of zeroes are not written, and what
	// the volume has beyond is zero. A volume that could not be filled is removed. Progress may
	// be nil; else it is called by one goroutine, at least every 64 MiB, with a done that never
	// falls and that is the total at the end. Fill does most of it.
	Import(ctx context.Context, v VolumeSpec, r io.Reader, size int64, progress func(done, total int64)) (*Volume, error)
	// Export writes the volume's contents, SizeBytes of them, to w. Where w can seek (an
	// *os.File) holes are left out, as a SparseWriter does. Progress as with Import.
	Export(ctx context.Context, id string, w io.Writer, progress func(done, total int64)) error
}

// An ImageCloner makes volumes of images that the back end has already, as Cinder's clone_image.
type ImageCloner interface {
	// CreateFromImage makes a volume that stands, copy-on-write, on the image at location: no data
	// moves. What a location looks like is the driver's matter; it is what Glance calls direct_url
	// (rbd://FSID/POOL/IMAGE/SNAPSHOT). A size of 0 is the image's; a smaller one is ErrInvalid.
	// ErrExists as with Create. ErrInvalid: no location of this driver. ErrNotFound: no such image.
	// ErrUnsupported: it is an image that this back end cannot clone; Import its contents.
	CreateFromImage(ctx context.Context, v VolumeSpec, location string) (*Volume, error)
}

// A TrashPurger keeps what was deleted for a while, or until nothing depends on it any more. Of
// this driver's other methods none sees the trash.
type TrashPurger interface {
	// PurgeTrash removes for good what this driver deleted, has been in the trash long enough, and
	// is needed by nothing, and returns how many volumes that were, also with an error. None is no
	// error. All problems are returned at once.
	PurgeTrash(ctx context.Context) (removed int, err error)
}

// QoS limits what a volume's users may do; 0 is no limit. Names are those of Cinder's qos-specs
// (consumer back-end).
type QoS struct {
	TotalIOPS       int64 `json:"total_iops_sec,omitempty"`
	ReadIOPS        int64 `json:"read_iops_sec,omitempty"`
	WriteIOPS       int64 `json:"write_iops_sec,omitempty"`
	TotalBytes      int64 `json:"total_bytes_sec,omitempty"`
	ReadBytes       int64 `json:"read_bytes_sec,omitempty"`
	WriteBytes      int64 `json:"write_bytes_sec,omitempty"`
	TotalIOPSBurst  int64 `json:"total_iops_sec_max,omitempty"`
	ReadIOPSBurst   int64 `json:"read_iops_sec_max,omitempty"`
	WriteIOPSBurst  int64 `json:"write_iops_sec_max,omitempty"`
	TotalBytesBurst int64 `json:"total_bytes_sec_max,omitempty"`
	ReadBytesBurst  int64 `json:"read_bytes_sec_max,omitempty"`
	WriteBytesBurst int64 `json:"write_bytes_sec_max,omitempty"`
}

// A Limiter limits what a volume's users may do.
type Limiter interface {
	// SetQoS sets all limits of a volume; the zero QoS removes them.
	SetQoS(ctx context.Context, id string, q QoS) error
	// GetQoS returns them.
	GetQoS(ctx context.Context, id string) (QoS, error)
}
