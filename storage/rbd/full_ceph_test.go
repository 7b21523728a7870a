//go:build ceph && cgo

package rbd_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
)

// TestFullPool: an import into a pool whose quota is used up ends and says why, and deleting
// makes room again.
func TestFullPool(t *testing.T) {
	c := config(t)
	c.Pool, c.Timeout = "images", 3*time.Second
	d, p, ctx := driver(t, c), connect(t, "images"), t.Context()
	p.write(create(t, d, "fill", 64*mebi).Name, noise(1, 16*mebi))
	command(t, "ceph", "osd", "pool", "set-quota", "images", "max_bytes", "1048576")
	defer command(t, "ceph", "osd", "pool", "set-quota", "images", "max_bytes", "0")
	require.Eventually(t, func() bool {
		_, err := d.Import(ctx, storage.VolumeSpec{ID: "image"}, bytes.NewReader(noise(2, 8*mebi)), 8*mebi, nil)
		if err == nil { // the monitors have not noticed yet
			require.True(t, bytes.Equal(noise(2, 8*mebi), p.read(prefix(c)+"image", 8*mebi)), "what was said to be written is")
			require.NoError(t, d.Delete(ctx, "image"))
			return false
		}
		require.ErrorIs(t, err, storage.ErrNoSpace)
		return true
	}, time.Minute, 200*time.Millisecond)
	_, err := d.Get(ctx, "image")
	require.ErrorIs(t, err, storage.ErrNotFound, "nothing is left of it")
	require.NoError(t, d.Delete(ctx, "fill"), "it makes room")
	require.Empty(t, p.images(prefix(c)))
}
