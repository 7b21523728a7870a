//go:build !ceph || !cgo

package rbd

import (
	"context"

	"github.com/crowbarkit/crowbarkit/storage"
)

func open(context.Context, string, Config, storage.Deps) (storage.Driver, error) {
	return nil, ErrNotBuilt
}
