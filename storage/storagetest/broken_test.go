package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

// broken is a memory driver with some methods replaced.
type broken struct {
	*memory.Driver
	check        func(context.Context) error
	create       func(context.Context, storage.VolumeSpec) (*storage.Volume, error)
	get          func(context.Context, string) (*storage.Volume, error)
	delete       func(context.Context, string) error
	connect      func(context.Context, string, storage.Connector) (*storage.Connection, error)
	disconnect   func(context.Context, string, storage.Connector) error
	stats        func(context.Context) (*storage.Stats, error)
	list         func(context.Context, string, int) ([]storage.Volume, error)
	extend       func(context.Context, string, int64) (*storage.Volume, error)
	snapshot     func(context.Context, string, string) (*storage.Snapshot, error)
	unsnapshot   func(context.Context, string, string) error
	fromSnapshot func(context.Context, storage.VolumeSpec, string, string) (*storage.Volume, error)
	snapshots    func(context.Context, string, string, int) ([]storage.Snapshot, error)
	clone        func(context.Context, storage.VolumeSpec, string) (*storage.Volume, error)
	revert       func(context.Context, string, string) error
	manageable   func(context.Context, string, int) ([]storage.Manageable, error)
	unmanage     func(context.Context, string) (string, error)
	imports      func(context.Context, storage.VolumeSpec, io.Reader, int64, func(int64, int64)) (*storage.Volume, error)
	exports      func(context.Context, string, io.Writer, func(int64, int64)) error
	fromImage    func(context.Context, storage.VolumeSpec, string) (*storage.Volume, error)
	purge        func(context.Context) (int, error)
	setQoS       func(context.Context, string, storage.QoS) error
}

// or returns the replacement if there is one.
func or[F any](replacement, own F, replaced bool) F {
	if replaced {
		return replacement
	}
	return own
}

func (b *broken) Check(ctx context.Context) error {
	return or(b.check, b.Driver.Check, b.check != nil)(ctx)
}

func (b *broken) Create(ctx context.Context, v storage.VolumeSpec) (*storage.Volume, error) {
	return or(b.create, b.Driver.Create, b.create != nil)(ctx, v)
}

func (b *broken) Get(ctx context.Context, id string) (*storage.Volume, error) {
	return or(b.get, b.Driver.Get, b.get != nil)(ctx, id)
}

func (b *broken) Delete(ctx context.Context, id string) error {
	return or(b.delete, b.Driver.Delete, b.delete != nil)(ctx, id)
}

func (b *broken) Connect(ctx context.Context, id string, c storage.Connector) (*storage.Connection, error) {
	return or(b.connect, b.Driver.Connect, b.connect != nil)(ctx, id, c)
}

func (b *broken) Disconnect(ctx context.Context, id string, c storage.Connector) error {
	return or(b.disconnect, b.Driver.Disconnect, b.disconnect != nil)(ctx, id, c)
}

func (b *broken) Stats(ctx context.Context) (*storage.Stats, error) {
	return or(b.stats, b.Driver.Stats, b.stats != nil)(ctx)
}

func (b *broken) List(ctx context.Context, after string, limit int) ([]storage.Volume, error) {
	return or(b.list, b.Driver.List, b.list != nil)(ctx, after, limit)
}

func (b *broken) Extend(ctx context.Context, id string, size int64) (*storage.Volume, error) {
	return or(b.extend, b.Driver.Extend, b.extend != nil)(ctx, id, size)
}

func (b *broken) CreateSnapshot(ctx context.Context, volume, id string) (*storage.Snapshot, error) {
	return or(b.snapshot, b.Driver.CreateSnapshot, b.snapshot != nil)(ctx, volume, id)
}

func (b *broken) DeleteSnapshot(ctx context.Context, volume, id string) error {
	return or(b.unsnapshot, b.Driver.DeleteSnapshot, b.unsnapshot != nil)(ctx, volume, id)
}

func (b *broken) CreateFromSnapshot(ctx context.Context, v storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
	return or(b.fromSnapshot, b.Driver.CreateFromSnapshot, b.fromSnapshot != nil)(ctx, v, volume, id)
}

func (b *broken) ListSnapshots(ctx context.Context, volume, after string, limit int) ([]storage.Snapshot, error) {
	return or(b.snapshots, b.Driver.ListSnapshots, b.snapshots != nil)(ctx, volume, after, limit)
}

func (b *broken) Clone(ctx context.Context, v storage.VolumeSpec, source string) (*storage.Volume, error) {
	return or(b.clone, b.Driver.Clone, b.clone != nil)(ctx, v, source)
}

func (b *broken) Revert(ctx context.Context, volume, id string) error {
	return or(b.revert, b.Driver.Revert, b.revert != nil)(ctx, volume, id)
}

func (b *broken) Manageable(ctx context.Context, after string, limit int) ([]storage.Manageable, error) {
	return or(b.manageable, b.Driver.Manageable, b.manageable != nil)(ctx, after, limit)
}

func (b *broken) Unmanage(ctx context.Context, id string) (string, error) {
	return or(b.unmanage, b.Driver.Unmanage, b.unmanage != nil)(ctx, id)
}

func (b *broken) Import(ctx context.Context, v storage.VolumeSpec, r io.Reader, size int64, progress func(int64, int64)) (*storage.Volume, error) {
	return or(b.imports, b.Driver.Import, b.imports != nil)(ctx, v, r, size, progress)
}

func (b *broken) Export(ctx context.Context, id string, w io.Writer, progress func(int64, int64)) error {
	return or(b.exports, b.Driver.Export, b.exports != nil)(ctx, id, w, progress)
}

func (b *broken) CreateFromImage(ctx context.Context, v storage.VolumeSpec, location string) (*storage.Volume, error) {
	return or(b.fromImage, b.Driver.CreateFromImage, b.fromImage != nil)(ctx, v, location)
}

func (b *broken) PurgeTrash(ctx context.Context) (int, error) {
	return or(b.purge, b.Driver.PurgeTrash, b.purge != nil)(ctx)
}

func (b *broken) SetQoS(ctx context.Context, id string, q storage.QoS) error {
	return or(b.setQoS, b.Driver.SetQoS, b.setQoS != nil)(ctx, id, q)
}

var errLost = fmt.Errorf("read answer: %w", storage.ErrUnknownOutcome)

// lower makes IDs that differ only in case the same, as some back ends do.
var lower = strings.ToLower

// Each rule with the ways to break it.
var breaks = map[string]map[string]func(b *broken, h *Harness){
	"what is unsupported is declared": {
		"undeclared":           func(b *broken, h *Harness) { h.Driver = struct{ storage.Driver }{b} },
		"declared for nothing": func(b *broken, h *Harness) { h.Unsupported = []string{"Cloner"} },
		"refuses all the same": func(b *broken, h *Harness) {
			b.clone = func(context.Context, storage.VolumeSpec, string) (*storage.Volume, error) {
				return nil, storage.ErrUnsupported
			}
		},
	},
	"a check passes": {
		"fails": func(b *broken, h *Harness) { b.check = func(context.Context) error { return io.ErrClosedPipe } },
	},
	"a volume is as it was made": {
		"no name": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				v, err := b.Driver.Create(ctx, s)
				if err == nil {
					v.Name = ""
				}
				return v, err
			}
		},
		"got differently": func(b *broken, h *Harness) {
			b.get = func(ctx context.Context, id string) (*storage.Volume, error) {
				v, err := b.Driver.Get(ctx, id)
				if err == nil {
					v.SizeBytes--
				}
				return v, err
			}
		},
	},
	"a size is rounded up and the stats tell how": {
		"the stats tell otherwise": func(b *broken, h *Harness) {
			b.stats = func(ctx context.Context) (*storage.Stats, error) {
				s, err := b.Driver.Stats(ctx)
				if err == nil {
					s.UnitBytes = 1
				}
				return s, err
			}
		},
		"size 0": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				s.SizeBytes = max(s.SizeBytes, 1)
				return b.Driver.Create(ctx, s)
			}
		},
	},
	"creating twice finds the first": {
		"made anew": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				_ = b.Driver.Delete(ctx, s.ID)
				return b.Driver.Create(ctx, s)
			}
		},
	},
	"an absent volume is not found": {
		"deleting it is fine": func(b *broken, h *Harness) {
			b.delete = func(ctx context.Context, id string) error {
				if err := b.Driver.Delete(ctx, id); !errors.Is(err, storage.ErrNotFound) {
					return err
				}
				return nil
			}
		},
		"extending it fails otherwise": func(b *broken, h *Harness) {
			b.extend = func(context.Context, string, int64) (*storage.Volume, error) { return nil, storage.ErrInvalid }
		},
	},
	"a deleted volume is gone": {
		"stays": func(b *broken, h *Harness) { b.delete = func(context.Context, string) error { return nil } },
		"takes others along": func(b *broken, h *Harness) {
			b.delete = func(ctx context.Context, id string) error {
				volumes, _ := b.Driver.List(ctx, "", 100)
				for _, v := range volumes {
					if v.ID != id && strings.HasPrefix(v.ID, id) {
						_ = b.Driver.Delete(ctx, v.ID)
					}
				}
				return b.Driver.Delete(ctx, id)
			}
		},
	},
	"IDs are kept apart": {
		"dots are dashes": func(b *broken, h *Harness) {
			dash := strings.NewReplacer(".", "-", "_", "-").Replace
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				v, err := b.Driver.Create(ctx, s)
				if err == nil {
					v.Name = dash(v.Name)
				}
				return v, err
			}
		},
		"short names": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				if len(s.ID) > 60 {
					return nil, storage.ErrInvalid
				}
				return b.Driver.Create(ctx, s)
			}
		},
	},
	"a bad ID is refused": {
		"something is there": func(b *broken, h *Harness) {
			_, err := b.Driver.Create(context.Background(), storage.VolumeSpec{ID: "left", SizeBytes: 1})
			if err != nil {
				panic(err)
			}
		},
	},
	"a connection has Cinder's shape and repeats": {
		"differs": func(b *broken, h *Harness) {
			var n atomic.Int32
			b.connect = func(ctx context.Context, id string, c storage.Connector) (*storage.Connection, error) {
				connection, err := b.Driver.Connect(ctx, id, c)
				if err == nil {
					connection.ISCSI.TargetLUN = int(n.Add(1))
				}
				return connection, err
			}
		},
		"no target": func(b *broken, h *Harness) {
			b.connect = func(ctx context.Context, id string, c storage.Connector) (*storage.Connection, error) {
				connection, err := b.Driver.Connect(ctx, id, c)
				if err == nil {
					connection.ISCSI.TargetIQN = ""
				}
				return connection, err
			}
		},
		"another protocol": func(b *broken, h *Harness) {
			b.connect = func(ctx context.Context, id string, c storage.Connector) (*storage.Connection, error) {
				return &storage.Connection{RBD: &storage.RBD{VolumeID: id, Name: "volumes/" + id}}, nil
			}
		},
	},
	"stats follow": {
		"count nothing": func(b *broken, h *Harness) {
			b.stats = func(ctx context.Context) (*storage.Stats, error) {
				s, err := b.Driver.Stats(ctx)
				if err == nil {
					s.Volumes = 0
				}
				return s, err
			}
		},
		"forget what was deleted": func(b *broken, h *Harness) {
			var most int64
			b.stats = func(ctx context.Context) (*storage.Stats, error) {
				s, err := b.Driver.Stats(ctx)
				if err == nil {
					most = max(most, s.ProvisionedBytes)
					s.ProvisionedBytes = most
				}
				return s, err
			}
		},
	},
	"a full back end says so and keeps nothing": {
		"says otherwise": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				v, err := b.Driver.Create(ctx, s)
				if errors.Is(err, storage.ErrNoSpace) {
					err = storage.ErrInvalid
				}
				return v, err
			}
		},
		"keeps a smaller one": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				v, err := b.Driver.Create(ctx, s)
				if errors.Is(err, storage.ErrNoSpace) {
					s.SizeBytes = 1
					_, _ = b.Driver.Create(ctx, s)
				}
				return v, err
			}
		},
	},
	"a cancelled call changes nothing": {
		"ignores it": func(b *broken, h *Harness) {
			b.delete = func(ctx context.Context, id string) error { return b.Driver.Delete(context.WithoutCancel(ctx), id) }
		},
	},
	"of many creators of one volume all get it": {
		"exists otherwise": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				v, err := b.Driver.Create(ctx, s)
				if errors.Is(err, storage.ErrExists) {
					err = storage.ErrBusy
				}
				return v, err
			}
		},
	},
	"many volumes at once": {
		"sessions are not given back": func(b *broken, h *Harness) {
			var sessions atomic.Int32
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				if sessions.Add(1) > 8 {
					return nil, storage.ErrBusy
				}
				return b.Driver.Create(ctx, s)
			}
		},
	},
	"a connected volume is busy until disconnected": {
		"the wrong one": func(b *broken, h *Harness) {
			b.disconnect = func(ctx context.Context, id string, c storage.Connector) error {
				for _, node := range []string{"node1", "node2"} {
					c.Initiator = "iqn.2012-07.com.example:" + node
					if err := b.Driver.Disconnect(ctx, id, c); err != nil {
						return err
					}
				}
				return nil
			}
		},
		"not named": func(b *broken, h *Harness) {
			b.delete = func(ctx context.Context, id string) error {
				if err := b.Driver.Delete(ctx, id); errors.Is(err, storage.ErrBusy) {
					return storage.ErrBusy
				} else {
					return err
				}
			}
		},
	},
	"a list has each volume once in order": {
		"by chance": func(b *broken, h *Harness) {
			b.list = func(ctx context.Context, after string, limit int) ([]storage.Volume, error) {
				v, err := b.Driver.List(ctx, after, limit)
				slices.Reverse(v)
				return v, err
			}
		},
		"after must be there": func(b *broken, h *Harness) {
			b.list = func(ctx context.Context, after string, limit int) ([]storage.Volume, error) {
				if _, err := b.Driver.Get(ctx, after); after != "" && err != nil {
					return nil, nil
				}
				return b.Driver.List(ctx, after, limit)
			}
		},
	},
	"a volume grows and never shrinks": {
		"shrinks": func(b *broken, h *Harness) {
			b.extend = func(ctx context.Context, id string, size int64) (*storage.Volume, error) {
				v, err := b.Driver.Extend(ctx, id, size)
				if errors.Is(err, storage.ErrInvalid) {
					return b.Driver.Get(ctx, id)
				}
				return v, err
			}
		},
	},
	"a list of very many volumes is whole": {
		"one page": func(b *broken, h *Harness) {
			b.list = func(ctx context.Context, after string, limit int) ([]storage.Volume, error) {
				return b.Driver.List(ctx, after, min(limit, 100))
			}
		},
	},
	"the stats add up to the list": {
		"clones do not count": func(b *broken, h *Harness) {
			b.stats = func(ctx context.Context) (*storage.Stats, error) {
				s, err := b.Driver.Stats(ctx)
				if v, look := b.Driver.Get(ctx, "clone"); look == nil {
					s.ProvisionedBytes -= v.SizeBytes
				}
				return s, err
			}
		},
	},
	"a snapshot outlives changes and blocks deletion": {
		"one for all volumes": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				v, err := b.Driver.Create(ctx, s)
				if err == nil && s.ID == "w" {
					_, err = b.Driver.CreateSnapshot(ctx, "w", "nightly")
				}
				return v, err
			}
		},
		"goes with its volume": func(b *broken, h *Harness) {
			b.delete = func(ctx context.Context, id string) error {
				_ = b.Driver.DeleteSnapshot(ctx, id, "nightly")
				return b.Driver.Delete(ctx, id)
			}
		},
	},
	"snapshot IDs are kept apart": {
		"not by case": func(b *broken, h *Harness) {
			b.unsnapshot = func(ctx context.Context, volume, id string) error {
				err := b.Driver.DeleteSnapshot(ctx, volume, id)
				if id == "a.b" || id == "A.b" {
					_ = b.Driver.DeleteSnapshot(ctx, volume, lower(id))
				}
				return err
			}
		},
	},
	"a list has each snapshot once in order": {
		"by the order in which they were made": func(b *broken, h *Harness) {
			b.snapshots = func(ctx context.Context, volume, after string, limit int) ([]storage.Snapshot, error) {
				all, err := b.Driver.ListSnapshots(ctx, volume, after, limit)
				slices.Reverse(all)
				return all, err
			}
		},
		"after one that is gone": func(b *broken, h *Harness) {
			b.snapshots = func(ctx context.Context, volume, after string, limit int) ([]storage.Snapshot, error) {
				if _, err := b.Driver.GetSnapshot(ctx, volume, after); volume == "v" && after != "" && err != nil {
					return nil, nil
				}
				return b.Driver.ListSnapshots(ctx, volume, after, limit)
			}
		},
		"of no volume": func(b *broken, h *Harness) {
			b.snapshots = func(ctx context.Context, volume, after string, limit int) ([]storage.Snapshot, error) {
				all, err := b.Driver.ListSnapshots(ctx, volume, after, limit)
				if errors.Is(err, storage.ErrNotFound) {
					err = nil
				}
				return all, err
			}
		},
		"with the size of the volume": func(b *broken, h *Harness) {
			b.snapshots = func(ctx context.Context, volume, after string, limit int) ([]storage.Snapshot, error) {
				all, err := b.Driver.ListSnapshots(ctx, volume, after, limit)
				for i := range all {
					v, err := b.Driver.Get(ctx, volume)
					if err != nil {
						return nil, err
					}
					all[i].SizeBytes = v.SizeBytes
				}
				return all, err
			}
		},
	},
	"a volume from a snapshot stands alone": {
		"leaves a smaller one": func(b *broken, h *Harness) {
			b.fromSnapshot = func(ctx context.Context, s storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
				v, err := b.Driver.CreateFromSnapshot(ctx, s, volume, id)
				if errors.Is(err, storage.ErrInvalid) {
					_, _ = b.Driver.Create(ctx, s)
				}
				return v, err
			}
		},
		"busy without a name": func(b *broken, h *Harness) {
			b.unsnapshot = func(context.Context, string, string) error { return storage.ErrBusy }
		},
	},
	"a volume from a snapshot has the data of then": {
		"has that of now": func(b *broken, h *Harness) {
			b.fromSnapshot = func(ctx context.Context, s storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
				return b.Driver.Clone(ctx, s, volume)
			}
		},
		"has none": func(b *broken, h *Harness) {
			b.fromSnapshot = func(ctx context.Context, s storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
				s.SizeBytes = max(s.SizeBytes, smallBytes)
				return b.Driver.Create(ctx, s)
			}
		},
	},
	"of many who snapshot and copy all get it": {
		"one at a time": func(b *broken, h *Harness) {
			b.fromSnapshot = func(ctx context.Context, s storage.VolumeSpec, volume, id string) (*storage.Volume, error) {
				if s.ID == "w5" {
					return nil, storage.ErrBusy
				}
				return b.Driver.CreateFromSnapshot(ctx, s, volume, id)
			}
		},
	},
	"a clone is as big as asked and stands alone": {
		"as big as its source": func(b *broken, h *Harness) {
			b.clone = func(ctx context.Context, s storage.VolumeSpec, source string) (*storage.Volume, error) {
				s.SizeBytes = 0
				return b.Driver.Clone(ctx, s, source)
			}
		},
		"of nothing": func(b *broken, h *Harness) {
			b.clone = func(ctx context.Context, s storage.VolumeSpec, source string) (*storage.Volume, error) {
				v, err := b.Driver.Clone(ctx, s, source)
				if errors.Is(err, storage.ErrNotFound) {
					return b.Driver.Create(ctx, storage.VolumeSpec{ID: s.ID, SizeBytes: 1})
				}
				return v, err
			}
		},
		"goes with its source": func(b *broken, h *Harness) {
			b.delete = func(ctx context.Context, id string) error {
				if id == "v" {
					_ = b.Driver.Delete(ctx, "same")
				}
				return b.Driver.Delete(ctx, id)
			}
		},
	},
	"a clone has the data of its source": {
		"has none": func(b *broken, h *Harness) {
			b.clone = func(ctx context.Context, s storage.VolumeSpec, _ string) (*storage.Volume, error) {
				s.SizeBytes = max(s.SizeBytes, smallBytes)
				return b.Driver.Create(ctx, s)
			}
		},
		"shares it": func(b *broken, h *Harness) {
			h.Write = func(ctx context.Context, id string, p []byte, off int64) error {
				if id == "v" {
					_ = b.Driver.WriteAt(ctx, "same", p, off)
				}
				return b.Driver.WriteAt(ctx, id, p, off)
			}
		},
	},
	"a revert needs a snapshot and no connection": {
		"connected": func(b *broken, h *Harness) {
			b.revert = func(ctx context.Context, volume, id string) error {
				if err := b.Driver.Revert(ctx, volume, id); !errors.Is(err, storage.ErrBusy) {
					return err
				}
				return nil
			}
		},
		"to nothing": func(b *broken, h *Harness) {
			b.revert = func(context.Context, string, string) error { return nil }
		},
		"takes the snapshot along": func(b *broken, h *Harness) {
			b.revert = func(ctx context.Context, volume, id string) error {
				err := b.Driver.Revert(ctx, volume, id)
				if err == nil {
					err = b.Driver.DeleteSnapshot(ctx, volume, id)
				}
				return err
			}
		},
	},
	"a revert brings back the data": {
		"does not": func(b *broken, h *Harness) { b.revert = func(context.Context, string, string) error { return nil } },
		"to the first": func(b *broken, h *Harness) {
			b.revert = func(ctx context.Context, volume, _ string) error { return b.Driver.Revert(ctx, volume, "first") }
		},
	},
	"an image comes back as it went in": {
		"without its last byte": func(b *broken, h *Harness) {
			b.imports = func(ctx context.Context, s storage.VolumeSpec, r io.Reader, size int64, progress func(int64, int64)) (*storage.Volume, error) {
				if size > 1 {
					image, err := io.ReadAll(io.LimitReader(r, size))
					if err != nil {
						return nil, err
					}
					image[size-1], image[0] = 0, 0
					r = bytes.NewReader(image)
				}
				return b.Driver.Import(ctx, s, r, size, progress)
			}
		},
		"tells nothing": func(b *broken, h *Harness) {
			b.exports = func(ctx context.Context, id string, w io.Writer, _ func(int64, int64)) error {
				return b.Driver.Export(ctx, id, w, nil)
			}
		},
		"over what is there": func(b *broken, h *Harness) {
			b.imports = func(ctx context.Context, s storage.VolumeSpec, r io.Reader, size int64, progress func(int64, int64)) (*storage.Volume, error) {
				_ = b.Driver.Delete(ctx, s.ID)
				return b.Driver.Import(ctx, s, r, size, progress)
			}
		},
	},
	"an image leaves holes out and nothing shows through": {
		"writes them all": func(b *broken, h *Harness) {
			b.exports = func(ctx context.Context, id string, w io.Writer, p func(int64, int64)) error {
				return b.Driver.Export(ctx, id, struct{ io.Writer }{w}, p)
			}
		},
		"shows through": func(b *broken, h *Harness) {
			b.exports = func(ctx context.Context, id string, w io.Writer, p func(int64, int64)) error {
				if file, ok := w.(*os.File); ok {
					return b.Driver.Export(ctx, id, &careless{file: file}, p)
				}
				return b.Driver.Export(ctx, id, w, p)
			}
		},
	},
	"a failed import leaves nothing": {
		"leaves it": func(b *broken, h *Harness) {
			b.imports = func(ctx context.Context, s storage.VolumeSpec, r io.Reader, size int64, p func(int64, int64)) (*storage.Volume, error) {
				v, err := b.Driver.Import(ctx, s, r, size, p)
				if err != nil && s.ID == "v" {
					_, _ = b.Driver.Create(context.WithoutCancel(ctx), s)
				}
				return v, err
			}
		},
		"takes what there is": func(b *broken, h *Harness) {
			b.imports = func(ctx context.Context, s storage.VolumeSpec, r io.Reader, size int64, p func(int64, int64)) (*storage.Volume, error) {
				image, err := io.ReadAll(r)
				if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
					return nil, err
				}
				return b.Driver.Import(ctx, s, io.MultiReader(bytes.NewReader(image), bytes.NewReader(make([]byte, size))), size, p)
			}
		},
	},
	"a volume from an image stands on it and has its data": {
		"has none": func(b *broken, h *Harness) {
			b.fromImage = func(ctx context.Context, s storage.VolumeSpec, location string) (*storage.Volume, error) {
				if s.SizeBytes == 0 {
					s.SizeBytes = smallBytes
				}
				v, err := b.Driver.CreateFromImage(ctx, s, location)
				if err == nil {
					_ = b.Driver.WriteAt(ctx, s.ID, make([]byte, smallBytes), 0)
				}
				return v, err
			}
		},
		"always of the image's size": func(b *broken, h *Harness) {
			b.fromImage = func(ctx context.Context, s storage.VolumeSpec, location string) (*storage.Volume, error) {
				s.SizeBytes = 0
				return b.Driver.CreateFromImage(ctx, s, location)
			}
		},
		"takes the image": func(b *broken, h *Harness) {
			b.fromImage = func(ctx context.Context, s storage.VolumeSpec, location string) (*storage.Volume, error) {
				v, err := b.Driver.CreateFromImage(ctx, s, location)
				if err == nil && s.ID == "same" {
					_, _ = b.Driver.Manage(ctx, "taken", strings.TrimPrefix(location, "memory://"))
				}
				return v, err
			}
		},
	},
	"a purge of the trash takes nothing that is there": {
		"takes it": func(b *broken, h *Harness) {
			b.purge = func(ctx context.Context) (int, error) {
				_ = b.Driver.Delete(ctx, "kept")
				return b.Driver.PurgeTrash(ctx)
			}
		},
		"counts what is there": func(b *broken, h *Harness) {
			b.purge = func(ctx context.Context) (int, error) {
				_, err := b.Driver.PurgeTrash(ctx)
				return 1, err
			}
		},
	},
	"a volume given up can be taken over": {
		"still there": func(b *broken, h *Harness) {
			b.unmanage = func(context.Context, string) (string, error) { return "somewhere", nil }
		},
		"without its data": func(b *broken, h *Harness) {
			b.unmanage = func(ctx context.Context, id string) (string, error) {
				if _, err := b.Driver.Get(ctx, id); err == nil {
					_ = b.Driver.WriteAt(ctx, id, make([]byte, 1), 0)
				}
				return b.Driver.Unmanage(ctx, id)
			}
		},
	},
	"what can be taken over is listed in order": {
		"one page": func(b *broken, h *Harness) {
			b.manageable = func(ctx context.Context, after string, limit int) ([]storage.Manageable, error) {
				return b.Driver.Manageable(ctx, after, min(limit, 5))
			}
		},
		"from the begin": func(b *broken, h *Harness) {
			b.manageable = func(ctx context.Context, _ string, limit int) ([]storage.Manageable, error) {
				return b.Driver.Manageable(ctx, "", limit)
			}
		},
	},
	"limits stay until they are changed": {
		"the highest stay": func(b *broken, h *Harness) {
			b.setQoS = func(ctx context.Context, id string, q storage.QoS) error {
				old, err := b.Driver.GetQoS(ctx, id)
				if err != nil {
					return err
				}
				q.TotalIOPS = max(q.TotalIOPS, old.TotalIOPS)
				return b.Driver.SetQoS(ctx, id, q)
			}
		},
		// The bug of Cinder's rbd.py: total_iops_sec_max goes to rbd_qos_bps_burst.
		"bursts mixed up": func(b *broken, h *Harness) {
			b.setQoS = func(ctx context.Context, id string, q storage.QoS) error {
				if q.TotalIOPSBurst != 0 {
					q.TotalIOPSBurst, q.TotalBytesBurst = 0, q.TotalIOPSBurst
				}
				return b.Driver.SetQoS(ctx, id, q)
			}
		},
	},
	"a cancelled maker leaves nothing behind": {
		"made all the same": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				v, err := b.Driver.Create(context.WithoutCancel(ctx), s)
				if s.ID == "made" {
					select {
					case <-time.After(50 * time.Millisecond):
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}
				return v, err
			}
		},
	},
	"a cancelled snapshot leaves nothing behind": {
		"made all the same": func(b *broken, h *Harness) {
			b.snapshot = func(ctx context.Context, volume, id string) (*storage.Snapshot, error) {
				s, err := b.Driver.CreateSnapshot(context.WithoutCancel(ctx), volume, id)
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				return s, err
			}
		},
		"made under another name": func(b *broken, h *Harness) {
			b.snapshot = func(ctx context.Context, volume, id string) (*storage.Snapshot, error) {
				_, _ = b.Driver.CreateSnapshot(context.WithoutCancel(ctx), volume, "unnamed")
				select {
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				_ = b.Driver.DeleteSnapshot(ctx, volume, "unnamed")
				return b.Driver.CreateSnapshot(ctx, volume, id)
			}
		},
	},
	"a lost request is repeated": {
		"taken for done": func(b *broken, h *Harness) {
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				v, err := b.Driver.Create(ctx, s)
				if errors.Is(err, storage.ErrUnknownOutcome) {
					return &storage.Volume{ID: s.ID, SizeBytes: s.SizeBytes}, nil
				}
				return v, err
			}
		},
	},
	"a lost answer is settled by looking": {
		"taken for a failure": func(b *broken, h *Harness) {
			b.extend = func(ctx context.Context, id string, size int64) (*storage.Volume, error) {
				v, err := b.Driver.Extend(ctx, id, size)
				if errors.Is(err, storage.ErrUnknownOutcome) {
					err = io.ErrUnexpectedEOF
				}
				return v, err
			}
		},
		"a second disconnect fails": func(b *broken, h *Harness) {
			var once atomic.Bool
			b.disconnect = func(ctx context.Context, id string, c storage.Connector) error {
				err := b.Driver.Disconnect(ctx, id, c)
				if errors.Is(err, storage.ErrUnknownOutcome) {
					once.Store(true)
				} else if once.Load() {
					return storage.ErrNotFound
				}
				return err
			}
		},
	},
}

// The ways to break what only a sequence of calls shows.
var breaksOfModel = map[string]func(b *broken, h *Harness){
	"a revert forgets the second snapshot": func(b *broken, h *Harness) {
		b.revert = func(ctx context.Context, volume, id string) error {
			err := b.Driver.Revert(ctx, volume, id)
			if err == nil && id == "s" {
				_ = b.Driver.DeleteSnapshot(ctx, volume, "t")
			}
			return err
		}
	},
	"a snapshot after an extension is of before": func(b *broken, h *Harness) {
		extended := map[string]bool{}
		b.extend = func(ctx context.Context, id string, size int64) (*storage.Volume, error) {
			v, err := b.Driver.Extend(ctx, id, size)
			extended[id] = extended[id] || err == nil
			return v, err
		}
		b.snapshot = func(ctx context.Context, volume, id string) (*storage.Snapshot, error) {
			s, err := b.Driver.CreateSnapshot(ctx, volume, id)
			if err == nil && extended[volume] {
				s.SizeBytes--
			}
			return s, err
		}
	},
	"a clone takes the limits along": func(b *broken, h *Harness) {
		b.clone = func(ctx context.Context, s storage.VolumeSpec, source string) (*storage.Volume, error) {
			v, err := b.Driver.Clone(ctx, s, source)
			if err == nil {
				q, _ := b.Driver.GetQoS(ctx, source)
				_ = b.Driver.SetQoS(ctx, s.ID, q)
			}
			return v, err
		}
	},
	"a second connection replaces the first": func(b *broken, h *Harness) {
		b.connect = func(ctx context.Context, id string, c storage.Connector) (*storage.Connection, error) {
			for _, node := range []string{"node1", "node2"} {
				_ = b.Driver.Disconnect(ctx, id, storage.Connector{Initiator: "iqn.2012-07.com.example:" + node})
			}
			return b.Driver.Connect(ctx, id, c)
		}
	},
	"a write after a revert is lost": func(b *broken, h *Harness) {
		reverted := map[string]bool{}
		b.revert = func(ctx context.Context, volume, id string) error {
			reverted[volume] = true
			return b.Driver.Revert(ctx, volume, id)
		}
		h.Write = func(ctx context.Context, id string, p []byte, off int64) error {
			if reverted[id] {
				return nil
			}
			return b.Driver.WriteAt(ctx, id, p, off)
		}
	},
}

// careless looks empty, whatever the file has.
type careless struct {
	file *os.File
	at   int64
}

func (c *careless) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return 0, nil
	}
	if whence == io.SeekCurrent {
		offset += c.at
	}
	c.at = offset
	return c.at, nil
}

func (c *careless) Write(p []byte) (int, error) {
	n, err := c.file.WriteAt(p, c.at)
	c.at += int64(n)
	return n, err
}

func testHarness(t *testing.T) (*broken, Harness) {
	config := memory.Config{CapacityBytes: 1 << 40}
	d, err := memory.New(config)
	require.NoError(t, err)
	b := &broken{Driver: d}
	return b, Harness{
		Driver: b, CapacityBytes: config.CapacityBytes, Write: d.WriteAt, Read: d.ReadAt,
		Image: func(t *testing.T, data []byte) string {
			size := int64(len(data))
			_, err := d.Import(t.Context(), storage.VolumeSpec{ID: "image", SizeBytes: size}, bytes.NewReader(data), size, nil)
			require.NoError(t, err)
			name, err := d.Unmanage(t.Context(), "image")
			require.NoError(t, err)
			return "memory://" + name
		},
		LoseRequest: func(op string) { d.Inject(memory.Fault{Op: op, Before: errLost}) },
		LoseReply:   func(op string) { d.Inject(memory.Fault{Op: op, After: errLost}) },
	}
}

const breakVariable = "STORAGETEST_BREAK"

// TestBroken runs one rule over a driver that breaks it, for TestRulesFindWhatBreaksThem.
func TestBroken(t *testing.T) {
	name, way, asked := strings.Cut(os.Getenv(breakVariable), "/")
	if !asked {
		t.Skip("it fails on purpose")
	}
	if name == "model" {
		RunModel(t, func(t *testing.T) Harness {
			b, h := testHarness(t)
			breaksOfModel[way](b, &h)
			return h
		})
	}
	for _, rule := range rules() {
		if rule.name == name {
			b, h := testHarness(t)
			breaks[name][way](b, &h)
			rule.run(t, h)
		}
	}
}

func TestRulesFindWhatBreaksThem(t *testing.T) {
	for _, rule := range rules() {
		t.Run(rule.name, func(t *testing.T) {
			_, h := testHarness(t)
			rule.run(t, h) // it holds where nothing is broken, so that what fails is the break
			require.NotEmpty(t, breaks[rule.name], "a rule that nothing breaks")
			t.Parallel()
			for way := range breaks[rule.name] {
				mustFail(t, rule.name+"/"+way)
			}
		})
	}
	for way := range breaksOfModel {
		t.Run("model/"+way, func(t *testing.T) {
			t.Parallel()
			mustFail(t, "model/"+way)
		})
	}
}

// mustFail runs TestBroken in a process of its own, as a test cannot fail inside another.
func mustFail(t *testing.T, broken string) {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestBroken$", "-test.timeout=60s", "-rapid.nofailfile", "-rapid.checks=1000")
	command.Env = append(os.Environ(), breakVariable+"="+broken)
	out, err := command.CombinedOutput()
	require.Error(t, err, "%s: not found", broken)
	require.Regexp(t, regexp.MustCompile(`(?m)^--- FAIL: TestBroken`), string(out), broken)
}
