package hardware_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/hardware"
)

func TestUsable(t *testing.T) {
	for level, tt := range map[hardware.RAIDLevel]struct {
		disks int
		want  int64 // with disks of 100
	}{
		hardware.RAID0: {3, 300}, hardware.RAID1: {2, 100}, hardware.RAID5: {4, 300}, hardware.RAID6: {6, 400},
		hardware.RAID10: {6, 300}, hardware.RAID50: {6, 400}, hardware.RAID60: {8, 400},
	} {
		sizes := make([]int64, tt.disks)
		for i := range sizes {
			sizes[i] = 100 + int64(i) // the smallest counts
		}
		got, err := level.Usable(sizes)
		require.NoError(t, err)
		require.Equal(t, tt.want, got, level)
	}
	for _, level := range []hardware.RAIDLevel{hardware.JBOD, "RAID7"} {
		_, err := level.Usable([]int64{1, 1})
		require.ErrorIs(t, err, hardware.ErrInvalid)
	}
}

// spans are the groups of disks that a level makes of n, and how many disks each gives up. It is
// written from the levels' definitions, not from Usable.
func spans(level hardware.RAIDLevel, n int) (groups []int, redundancy int) {
	switch level {
	case hardware.RAID0:
		return []int{n}, 0
	case hardware.RAID1, hardware.RAID5:
		return []int{n}, 1
	case hardware.RAID6:
		return []int{n}, 2
	case hardware.RAID50:
		return []int{n / 2, n - n/2}, 1
	case hardware.RAID60:
		return []int{n / 2, n - n/2}, 2
	}
	for range n / 2 { // RAID10: mirrors
		groups = append(groups, 2)
	}
	return groups, 1
}

// What a level holds is counted by filling it, stripe by stripe, until a disk is full.
func TestRAIDArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		level := rapid.SampledFrom(hardware.RAIDLevels()[1:]).Draw(t, "level")
		sizes := rapid.SliceOfN(rapid.Int64Range(1, 60), 0, 24).Draw(t, "sizes")
		n := level.Fit(len(sizes))
		possible := 0
		for m := 1; m <= len(sizes); m++ {
			groups, redundancy := spans(level, m)
			even := level == hardware.RAID10 || level == hardware.RAID50 || level == hardware.RAID60
			least := redundancy + 1 // one disk of data a group, and RAID5 and 6 are no mirrors
			if level == hardware.RAID5 || level == hardware.RAID6 || level == hardware.RAID50 || level == hardware.RAID60 {
				least++
			}
			if even && (m%2 != 0 || m < 4) || level == hardware.RAID1 && m != 2 || m < least*len(groups) {
				continue
			}
			possible = m
		}
		require.Equal(t, possible, n, "%s on %d disks", level, len(sizes))
		if n == 0 {
			return
		}
		free, held := slices.Clone(sizes[:n]), int64(0)
		groups, redundancy := spans(level, n)
		for slices.Min(free) > 0 {
			for i := range free {
				free[i]--
			}
			for _, g := range groups {
				held += int64(g - redundancy)
			}
		}
		usable, err := level.Usable(sizes[:n])
		require.NoError(t, err)
		require.Equal(t, held, usable, "%s on %v", level, sizes[:n])
	})
}
