package storage_test

import (
	"errors"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/storage"
)

const gib = 1 << 30

func TestFits(t *testing.T) {
	for name, c := range map[string]struct {
		stats storage.Stats
		size  int64
		says  string // "" = fits
	}{
		"thick":          {storage.Stats{TotalBytes: 500 * gib, FreeBytes: 200 * gib}, 200 * gib, ""},
		"thick, full":    {storage.Stats{TotalBytes: 500 * gib, FreeBytes: 200 * gib}, 200*gib + 1, "needed"},
		"thick, reserve": {storage.Stats{TotalBytes: 500 * gib, FreeBytes: 200 * gib, ReservedPercentage: 10}, 151 * gib, "beside the reserve of 10%"},
		"thick, rounded": {storage.Stats{TotalBytes: 5 * gib, FreeBytes: 5 * gib, UnitBytes: gib}, 5*gib + 1, "needed"},
		"thin, more than free": {
			storage.Stats{TotalBytes: 500 * gib, FreeBytes: 200 * gib, ProvisionedBytes: 500 * gib, Thin: true, MaxOverSubscription: 2}, 400 * gib, ""},
		"thin, over the ratio": {
			storage.Stats{TotalBytes: 500 * gib, FreeBytes: 200 * gib, ProvisionedBytes: 700 * gib, Thin: true, MaxOverSubscription: 2}, 301 * gib, "provisioned 2.00 times, at most 2"},
		"thin, free is too little": {
			storage.Stats{TotalBytes: 500 * gib, FreeBytes: 30 * gib, ProvisionedBytes: 500 * gib, Thin: true, MaxOverSubscription: 2, ReservedPercentage: 5}, 100 * gib, "taken 2 times"},
		"thin, Cinder's ratio": {
			storage.Stats{TotalBytes: 10 * gib, FreeBytes: 10 * gib, ProvisionedBytes: 100 * gib, Thin: true}, 100 * gib, ""},
		"thin, no ratio":    {storage.Stats{TotalBytes: gib, FreeBytes: gib, Thin: true, MaxOverSubscription: 0.5}, 1, "expected 1 or more"},
		"thin, no capacity": {storage.Stats{Thin: true}, 1, "no capacity"},
		"thick, nothing":    {storage.Stats{}, 1, "needed"},
		"largest of all":    {storage.Stats{TotalBytes: 1 << 62, FreeBytes: 1 << 62, ProvisionedBytes: 1 << 62, Thin: true}, 1 << 60, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.stats.Fits(c.size)
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, storage.ErrNoSpace)
			require.ErrorContains(t, err, c.says)
		})
	}
}

// Fits and VirtualFreeBytes against CapacityFilter and calculate_virtual_free_capacity, written
// down again in rational numbers.
func TestCapacityIsCinders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := storage.Stats{
			TotalBytes:          rapid.Int64Range(0, 1000).Draw(t, "total") * gib,
			ProvisionedBytes:    rapid.Int64Range(0, 3000).Draw(t, "provisioned") * gib,
			Thin:                rapid.Bool().Draw(t, "thin"),
			MaxOverSubscription: float64(rapid.IntRange(1, 12).Draw(t, "quarters")) / 4, // exact in binary
			ReservedPercentage:  rapid.IntRange(0, 100).Draw(t, "reserved"),
		}
		s.FreeBytes = rapid.Int64Range(0, s.TotalBytes).Draw(t, "free")
		size := rapid.Int64Range(1, 500).Draw(t, "size") * gib

		number := func(n int64) *big.Rat { return new(big.Rat).SetInt64(n) }
		ratio := new(big.Rat).SetFloat64(s.MaxOverSubscription)
		reserved := number(new(big.Int).Div(new(big.Int).Mul(big.NewInt(s.TotalBytes), big.NewInt(int64(s.ReservedPercentage))), big.NewInt(100)).Int64())
		free := new(big.Rat).Sub(number(s.FreeBytes), reserved)
		var fits bool
		virtual := free
		if s.Thin {
			promised := new(big.Rat).Add(number(s.ProvisionedBytes), number(size))
			all := new(big.Rat).Mul(number(s.TotalBytes), ratio)
			fits = s.TotalBytes > 0 && s.MaxOverSubscription >= 1 && promised.Cmp(all) <= 0 && new(big.Rat).Mul(free, ratio).Cmp(number(size)) >= 0
			virtual = new(big.Rat).Sub(new(big.Rat).Sub(all, number(s.ProvisionedBytes)), reserved)
		} else {
			fits = free.Cmp(number(size)) >= 0
		}
		if err := s.Fits(size); (err == nil) != fits || err != nil && !errors.Is(err, storage.ErrNoSpace) {
			t.Fatalf("%+v, %d: %v, expected %v", s, size, err, fits)
		}
		if got := number(s.VirtualFreeBytes()); virtual.Cmp(got) != 0 {
			t.Fatalf("%+v: virtually free %v, expected %v", s, got, virtual)
		}
	})
}

func TestPickSaysWhyNot(t *testing.T) {
	_, err := storage.Pick(map[string]*storage.Stats{
		"full": {TotalBytes: 10, FreeBytes: 1, ReservedPercentage: 10},
		"thin": {TotalBytes: 10, FreeBytes: 10, ProvisionedBytes: 20, Thin: true, MaxOverSubscription: 2},
		"down": nil,
	}, 5)
	require.ErrorIs(t, err, storage.ErrNoSpace)
	require.EqualError(t, err, "storage: not enough space for 5 bytes on any of 3 back ends: down: no stats; "+
		"full: 5 bytes needed, 0 bytes free beside the reserve of 10%; thin: it would be provisioned 2.50 times, at most 2")

	name, err := storage.Pick(map[string]*storage.Stats{
		"thick": {TotalBytes: 100, FreeBytes: 90},
		"thin":  {TotalBytes: 100, FreeBytes: 50, ProvisionedBytes: 50, Thin: true, MaxOverSubscription: 2},
	}, 5)
	require.NoError(t, err)
	require.Equal(t, "thin", name, "150 can still be promised there")

	name, err = storage.Pick(map[string]*storage.Stats{
		"coarse": {TotalBytes: 100, FreeBytes: 50, UnitBytes: 40},
		"fine":   {TotalBytes: 100, FreeBytes: 45},
	}, 5)
	require.NoError(t, err)
	require.Equal(t, "fine", name, "more is left there")
}

func TestCinderStats(t *testing.T) {
	s := storage.Stats{
		TotalBytes: 4_080_218_931, FreeBytes: 4_080_218_931, ProvisionedBytes: 3 * gib, Volumes: 2,
		Protocol: "rbd", Thin: true, Vendor: "Open Source", Multiattach: true, QoS: true,
	}
	require.Empty(t, cmp.Diff(map[string]any{
		"volume_backend_name": "ceph", "vendor_name": "Open Source", "storage_protocol": "ceph",
		"total_capacity_gb": 3.8, "free_capacity_gb": 3.8, "provisioned_capacity_gb": 3.0, "reserved_percentage": 0,
		"max_over_subscription_ratio": 20.0, "thin_provisioning_support": true, "thick_provisioning_support": false,
		"total_volumes": 2, "multiattach": true, "QoS_support": true,
	}, s.Cinder("ceph")))
	require.Equal(t, "iSCSI", (&storage.Stats{Protocol: "iscsi"}).Cinder("eqlx")["storage_protocol"])
}
