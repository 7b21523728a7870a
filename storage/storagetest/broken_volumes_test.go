package storagetest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/crowbarkit/crowbarkit/storage"
)

// lower makes IDs that differ only in case the same, as some back ends do.
var lower = strings.ToLower

// The ways to break the rules about volumes and lists.
var breaksOfVolumes = map[string]map[string]func(b *broken, h *Harness){
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
}
