package hardware_test

import (
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

func TestRAIDArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		level := rapid.SampledFrom(hardware.RAIDLevels()[1:]).Draw(t, "level")
		sizes := rapid.SliceOfN(rapid.Int64Range(1, 1<<44), 0, 40).Draw(t, "sizes")
		n := level.Fit(len(sizes))
		if n > len(sizes) || n != 0 && n < level.MinDisks() || level.Fit(n) != n {
			t.Fatalf("%s fits %d of %d", level, n, len(sizes))
		}
		if len(sizes) >= level.MinDisks() && n == 0 {
			t.Fatalf("%s refuses %d disks", level, len(sizes))
		}
		if n == 0 {
			return
		}
		usable, err := level.Usable(sizes[:n])
		if err != nil {
			t.Fatal(err)
		}
		var sum, smallest int64 = 0, sizes[0]
		for _, s := range sizes[:n] {
			sum += s
			smallest = min(smallest, s)
		}
		if usable < smallest || usable > sum || usable%smallest != 0 {
			t.Fatalf("%s on %v gives %d", level, sizes[:n], usable)
		}
		// What a level survives is what it gives up.
		lost := map[hardware.RAIDLevel]int64{hardware.RAID0: 0, hardware.RAID1: 1, hardware.RAID5: 1, hardware.RAID6: 2,
			hardware.RAID10: int64(n) / 2, hardware.RAID50: 2, hardware.RAID60: 4}[level]
		if usable != (int64(n)-lost)*smallest {
			t.Fatalf("%s on %d disks gives up %d", level, n, int64(n)-usable/smallest)
		}
	})
}

// Whatever a plan does to any machine, doing it makes the next plan empty, and it can stop
// after any operation and go on.
func TestPlanConverges(t *testing.T) {
	levels := hardware.RAIDLevels()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "disks")
		seen := snapshot(n)
		c := &seen.Storage[0]
		for i := range c.Drives {
			if rapid.IntRange(0, 4).Draw(t, "ssd") == 0 {
				c.Drives[i].Media = "SSD"
			}
		}
		free := rapid.Permutation(c.Drives).Draw(t, "slots")
		for len(free) > 0 && rapid.Bool().Draw(t, "volume") {
			level := rapid.SampledFrom(levels[1:]).Draw(t, "level")
			k := level.Fit(rapid.IntRange(1, len(free)).Draw(t, "members"))
			if k == 0 {
				continue
			}
			v := hardware.Volume{ID: "old" + c.Drives[0].ID + free[0].ID, RAIDLevel: level, SizeBytes: 1000}
			for _, d := range free[:k] {
				v.Drives = append(v.Drives, d.Serial)
			}
			free = free[k:]
			c.Volumes = append(c.Volumes, v)
		}
		want := hardware.RAIDProfile{}
		for range rapid.IntRange(1, 3).Draw(t, "wishes") {
			level := rapid.SampledFrom(levels).Draw(t, "wish")
			want.Volumes = append(want.Volumes, hardware.VolumeProfile{RAIDLevel: level,
				DiskCount: hardware.DiskCount(level.Fit(rapid.IntRange(0, n).Draw(t, "count")))})
		}
		plan, err := hardware.NewPlan(hardware.Profile{RAID: &want}, seen)
		if err != nil {
			return // this machine cannot have it
		}
		for i, op := range plan.Operations {
			left, err := plan.Remaining(seen)
			if err != nil {
				t.Fatalf("after %d operations: %v", i, err)
			}
			if len(left.Operations) != len(plan.Operations)-i || left.Operations[0].ID != op.ID {
				t.Fatalf("after %d of %d operations %d are left: %s", i, len(plan.Operations), len(left.Operations), left.Text())
			}
			perform(c, op, rapid.Bool().Draw(t, "name kept"))
		}
		left, err := plan.Remaining(seen)
		if err != nil || !left.Empty() {
			t.Fatalf("not converged: %v %v", err, left)
		}
	})
}

func perform(c *hardware.Controller, op hardware.Operation, nameKept bool) {
	if op.Action == hardware.ActionCreateVolume {
		v := *op.Volume
		v.ID, v.SizeBytes = "new-"+op.ID, 1000
		if !nameKept {
			v.Name = ""
		}
		c.Volumes = append(c.Volumes, v)
		return
	}
	var kept []hardware.Volume
	for _, v := range c.Volumes {
		if v.ID != op.Volume.ID {
			kept = append(kept, v)
		}
	}
	c.Volumes = kept
}
