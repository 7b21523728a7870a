package rbd

import (
	"context"
	"encoding/json"

	"github.com/crowbarkit/crowbarkit/storage"
)

var _ storage.Opener = Open

// Open is the storage.Opener. All problems with the options are returned at once, as
// storage.ErrInvalid; ErrNotBuilt: the program has no Ceph in it. It does not talk to the
// cluster: the first call connects.
func Open(ctx context.Context, backend string, raw json.RawMessage, deps storage.Deps) (storage.Driver, error) {
	c, err := ParseConfig(raw)
	if err != nil {
		return nil, err
	}
	return open(ctx, backend, c, deps)
}
