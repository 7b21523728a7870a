package storagetest

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/crowbarkit/crowbarkit/storage"
)

// leaves returns what a call does that lets the first caller wait a little and all others until
// they have gone.
func leaves() func(context.Context) error {
	called := false
	return func(ctx context.Context) error {
		if !called {
			called = true
			time.Sleep(50 * time.Millisecond)
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
}

// The ways to break the rules about calls that are cancelled, or lost on their way.
var breaksOfFaults = map[string]map[string]func(b *broken, h *Harness){
	"a cancelled maker leaves nothing behind": {
		"made all the same": func(b *broken, h *Harness) {
			leave := leaves()
			b.create = func(ctx context.Context, s storage.VolumeSpec) (*storage.Volume, error) {
				v, err := b.Driver.Create(context.WithoutCancel(ctx), s)
				if s.ID == "made" {
					if err := leave(ctx); err != nil {
						return nil, err
					}
				}
				return v, err
			}
		},
	},
	"a cancelled snapshot leaves nothing behind": {
		"made all the same": func(b *broken, h *Harness) {
			leave := leaves()
			b.snapshot = func(ctx context.Context, volume, id string) (*storage.Snapshot, error) {
				s, err := b.Driver.CreateSnapshot(context.WithoutCancel(ctx), volume, id)
				if err := leave(ctx); err != nil {
					return nil, err
				}
				return s, err
			}
		},
		"made under another name": func(b *broken, h *Harness) {
			leave := leaves()
			b.snapshot = func(ctx context.Context, volume, id string) (*storage.Snapshot, error) {
				_, _ = b.Driver.CreateSnapshot(context.WithoutCancel(ctx), volume, "unnamed")
				if err := leave(ctx); err != nil {
					return nil, err
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
