//go:build !ceph || !cgo

package rbd_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

func TestWithoutCephOpenSaysHowToBuild(t *testing.T) {
	_, err := rbd.Open(t.Context(), "ceph1", json.RawMessage(`{"pool":"volumes"}`), storage.Deps{})
	require.ErrorIs(t, err, rbd.ErrNotBuilt)
	require.ErrorContains(t, err, "-tags ceph,pacific")
	_, err = rbd.Open(t.Context(), "ceph1", json.RawMessage(`{"pool":1}`), storage.Deps{})
	require.ErrorIs(t, err, storage.ErrInvalid, "options are checked all the same")
}
