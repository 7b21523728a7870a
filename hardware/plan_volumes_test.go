package hardware_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// change returns snapshot(n, volumes...) with its controller changed.
func change(n int, f func(*hardware.Controller), volumes ...hardware.Volume) *hardware.Snapshot {
	seen := snapshot(n, volumes...)
	f(&seen.Storage[0])
	return seen
}

func failed(slots ...int) func(*hardware.Controller) {
	return func(c *hardware.Controller) {
		for _, s := range slots {
			c.Drives[s].Health = "Critical"
		}
	}
}

func spared(v hardware.Volume, slots ...int) hardware.Volume {
	for _, s := range slots {
		v.Spares = append(v.Spares, fmt.Sprint("S", s))
	}
	return v
}

func degraded(v hardware.Volume) hardware.Volume {
	v.Health = "Warning"
	return v
}

func TestPlanDisksAndSpares(t *testing.T) {
	names := func(c *hardware.Controller) {
		c.Drives[2].WWN = "5000C500ABCDEF01"
		c.Drives[3].Serial = ""
	}
	sizes := func(c *hardware.Controller) { c.Drives[0].SizeBytes, c.Drives[3].SizeBytes = 400, 4000 }
	whole := func(c *hardware.Controller) { c.WholeDisksOnly = true }
	for name, tt := range map[string]struct {
		volumes string
		seen    *hardware.Snapshot
		want    []string
	}{
		"disks by serial, WWN and ID":       {`{"raid_level":"RAID5","disks":["3","5000c500abcdef01","S1"]}`, change(4, names), []string{"create_volume RAID5 [S1 S2 3]"}},
		"named disks choose first":          {`{"raid_level":"RAID1","disk_count":2},{"raid_level":"RAID1","disks":["S0","S1"]}`, snapshot(4), []string{"create_volume RAID1 [S0 S1]", "create_volume RAID1 [S2 S3]"}},
		"JBOD by name":                      {`{"raid_level":"JBOD","disks":["S0"]},{"raid_level":"RAID1","disk_count":2}`, snapshot(3, volume("v", hardware.RAID0, 0)), []string{"delete_volume RAID0 [S0]", "create_volume RAID1 [S1 S2]"}},
		"named disks are a volume":          {`{"raid_level":"RAID1","disks":["S2","S1"]}`, snapshot(4, volume("v", hardware.RAID1, 1, 2)), []string{}},
		"a volume on other disks":           {`{"raid_level":"RAID1","disks":["S0","S1"]}`, snapshot(4, volume("v", hardware.RAID1, 1, 2)), []string{"delete_volume RAID1 [S1 S2]", "create_volume RAID1 [S0 S1]"}},
		"a spare took a named disk's place": {`{"raid_level":"RAID1","disks":["S0","S1"]}`, change(3, failed(1), volume("v", hardware.RAID1, 0, 2)), []string{}},

		"size limits":                 {`{"raid_level":"RAID1","disk_count":2,"disk_min_bytes":500,"disk_max_bytes":2000}`, change(4, sizes), []string{"create_volume RAID1 [S1 S2]"}},
		"limits for what is there":    {`{"raid_level":"RAID1","disk_count":2,"disk_min_bytes":500}`, change(4, sizes, volume("v", hardware.RAID1, 0, 1)), []string{"delete_volume RAID1 [S0 S1]", "create_volume RAID1 [S1 S2]"}},
		"spares":                      {`{"raid_level":"RAID5","disk_count":3,"spare_count":1}`, snapshot(5), []string{"create_volume RAID5 [S0 S1 S2 S3]"}},
		"spares of the remaining":     {`{"raid_level":"RAID10","disk_count":"remaining","spare_count":1}`, snapshot(6), []string{"create_volume RAID10 [S0 S1 S2 S3 S4]"}},
		"the smallest is a member":    {`{"raid_level":"RAID1","disk_count":2,"spare_count":1}`, change(3, func(c *hardware.Controller) { c.Drives[2].SizeBytes = 400 }), []string{"create_volume RAID1 [S0 S2 S1]"}},
		"disks that give the size":    {`{"raid_level":"RAID1","disk_count":2,"size_bytes":1000}`, change(4, sizes), []string{"create_volume RAID1 [S1 S2]"}},
		"no spare that another names": {`{"raid_level":"RAID1","disks":["S0","S1"],"spare_count":1},{"raid_level":"RAID0","disks":["S2"]}`, snapshot(4), []string{"create_volume RAID1 [S0 S1 S3]", "create_volume RAID0 [S2]"}},
		"whole disks of that size":    {`{"raid_level":"RAID0","disk_count":1,"size_bytes":1000}`, change(4, func(c *hardware.Controller) { sizes(c); whole(c) }), []string{"create_volume RAID0 [S1]"}},
		"no spare that is too small":  {`{"raid_level":"RAID1","disks":["S1","S2"],"spare_count":1}`, change(4, sizes), []string{"create_volume RAID1 [S1 S2 S3]"}},
		"spares are there":            {`{"raid_level":"RAID5","disk_count":3,"spare_count":1}`, snapshot(5, spared(volume("v", hardware.RAID5, 0, 1, 2), 4)), []string{}},
		"more spares than asked for":  {`{"raid_level":"RAID5","disk_count":3},{"raid_level":"JBOD"}`, snapshot(5, spared(volume("v", hardware.RAID5, 0, 1, 2), 4)), []string{}},
		"the one with spares":         {`{"raid_level":"RAID1","disk_count":2,"spare_count":1},{"raid_level":"RAID1","disk_count":2}`, snapshot(5, volume("v", hardware.RAID1, 0, 1), spared(volume("w", hardware.RAID1, 2, 3), 4)), []string{}},
		"not another's by size":       {`{"name":"a","raid_level":"RAID1","disk_count":2},{"name":"b","raid_level":"RAID1","disk_count":2,"size_bytes":500}`, change(4, func(c *hardware.Controller) { c.Volumes[0].SizeBytes = 500 }, volume("v", hardware.RAID1, 0, 1), volume("w", hardware.RAID1, 2, 3)), []string{}},
		"a spare has been used":       {`{"raid_level":"RAID1","disk_count":2,"spare_count":1}`, change(3, failed(1), volume("v", hardware.RAID1, 0, 2)), []string{}},
		"another's spare is wanted":   {`{"raid_level":"RAID0","disks":["S2"]}`, snapshot(3, spared(volume("v", hardware.RAID1, 0, 1), 2)), []string{"delete_volume RAID1 [S0 S1]", "create_volume RAID0 [S2]"}},

		"and so are its members": {`{"raid_level":"RAID0","disks":["S2"]},{"raid_level":"RAID1","disk_count":2}`, snapshot(3, spared(volume("v", hardware.RAID1, 0, 1), 2)), []string{"delete_volume RAID1 [S0 S1]", "create_volume RAID0 [S2]", "create_volume RAID1 [S0 S1]"}},

		"a member failed":               {`{"raid_level":"RAID5","disk_count":3}`, change(4, failed(1), volume("v", hardware.RAID5, 0, 1, 2)), []string{}},
		"a member was pulled":           {`{"raid_level":"RAID5","disk_count":3}`, snapshot(4, degraded(volume("v", hardware.RAID5, 0, 1))), []string{}},
		"a member is not listed":        {`{"raid_level":"RAID1","disk_count":2}`, snapshot(2, degraded(volume("v", hardware.RAID1, 0, 7))), []string{}},
		"two failed, one of them since": {`{"raid_level":"RAID6","disk_count":"remaining"}`, change(6, failed(0, 3), volume("v", hardware.RAID6, 1, 2, 3, 4, 5)), []string{}},
		"healthy and too few":           {`{"raid_level":"RAID5","disk_count":3}`, snapshot(4, volume("v", hardware.RAID5, 0, 1)), []string{"delete_volume RAID5 [S0 S1]", "create_volume RAID5 [S0 S1 S2]"}},

		"whole disks":                {`{"raid_level":"RAID1","disk_count":2,"size_bytes":1000}`, change(2, whole), []string{"create_volume RAID1 [S0 S1]"}},
		"whole disks, smaller since": {`{"raid_level":"RAID1","disk_count":2,"size_bytes":1000}`, change(2, func(c *hardware.Controller) { whole(c); c.Volumes[0].SizeBytes = 900 }, volume("v", hardware.RAID1, 0, 1)), []string{}},
		"what an HBA has":            {`{"raid_level":"RAID1","disk_count":2}`, change(2, func(c *hardware.Controller) { c.Configurable = false }, volume("v", hardware.RAID1, 0, 1)), []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := mustPlan(t, `{"raid":{"volumes":[`+tt.volumes+`]}}`, tt.seen)
			require.Empty(t, cmp.Diff(tt.want, steps(plan)))
			for _, op := range plan.Operations {
				if op.Action == hardware.ActionCreateVolume && tt.seen.Storage[0].WholeDisksOnly {
					require.Zero(t, op.Volume.SizeBytes, "the controller refuses any size")
				}
			}
		})
	}
}

func TestPlanOnReset(t *testing.T) {
	seen := change(4, func(c *hardware.Controller) { c.OnReset = true }, volume("old", hardware.RAID5, 0, 1, 2))
	seen.Storage = append(seen.Storage, hardware.Controller{ID: "RAID.2", Configurable: true, Drives: []hardware.Drive{{ID: "9", SizeBytes: 1}}})
	plan := mustPlan(t, `{"raid":{"volumes":[{"raid_level":"RAID10","disk_count":4},{"raid_level":"RAID0","disk_count":1}]},"bios":{"attributes":{"Delay":61}}}`, seen)
	var got []string
	for _, op := range plan.Operations {
		got = append(got, fmt.Sprint(op.Action, " ", op.Target, " ", op.Reboot))
	}
	require.Equal(t, []string{"delete_volume RAID.1/old true", "create_volume RAID.1/vol0 true", "create_volume RAID.2/vol1 false", "set Delay true"}, got)
	require.Equal(t, 3, plan.Reboots())
}

func TestPlanVolumeProblems(t *testing.T) {
	mixed := change(4, func(c *hardware.Controller) { c.Drives[3].Media = "SSD" })
	two := snapshot(2)
	two.Storage = append(two.Storage, hardware.Controller{ID: "RAID.2", Configurable: true, Drives: []hardware.Drive{{ID: "0", Serial: "T0", SizeBytes: 9}}})
	for name, tt := range map[string]struct {
		volumes string
		seen    *hardware.Snapshot
		paths   []string
		text    string
	}{
		"unknown disks":         {`{"raid_level":"RAID1","disks":["S9","S0"]},{"raid_level":"JBOD","disks":["X"]}`, snapshot(2), []string{"/raid/volumes/0/disks/0", "/raid/volumes/1/disks/0"}, "one of S0, S1"},
		"an ambiguous name":     {`{"raid_level":"RAID0","disks":["0"]}`, two, []string{"/raid/volumes/0/disks/0"}, "2 disks"},
		"on two controllers":    {`{"raid_level":"RAID1","disks":["S0","T0"]}`, two, []string{"/raid/volumes/0/disks/1"}, "RAID.1"},
		"named by two names":    {`{"raid_level":"RAID0","disks":["S0"]},{"raid_level":"RAID0","disks":["0"],"controller":"RAID.1"}`, two, []string{"/raid/volumes/1/disks/0"}, "a disk once"},
		"not of its kind":       {`{"raid_level":"RAID0","disks":["S0"],"media":"SSD"}`, snapshot(1), []string{"/raid/volumes/0/disks/0"}, "SAS HDD of 1000 bytes"},
		"named media mixed":     {`{"raid_level":"RAID1","disks":["S0","S3"]}`, mixed, []string{"/raid/volumes/0/disks"}, "mixed media"},
		"a failed disk named":   {`{"raid_level":"RAID1","disks":["S0","S1"]}`, change(2, failed(1)), []string{"/raid/volumes/0/disks"}, "failed disk S1"},
		"none of that size":     {`{"raid_level":"RAID1","disk_count":2,"disk_min_bytes":5000}`, snapshot(2), []string{"/raid/volumes/0"}, "at least 5000 bytes"},
		"no spare left":         {`{"raid_level":"RAID1","disk_count":2,"spare_count":1}`, snapshot(2), []string{"/raid/volumes/0/spare_count"}, "0 free disks as spare"},
		"spares of other media": {`{"raid_level":"RAID5","disk_count":3,"spare_count":1}`, mixed, []string{"/raid/volumes/0/spare_count"}, "0 free disks as spare"},
		"takes no spares":       {`{"raid_level":"RAID1","disk_count":2,"spare_count":1}`, change(3, func(c *hardware.Controller) { c.NoSpares = true }), []string{"/raid/volumes/0"}, "takes no spares"},
		"spares lacking":        {`{"raid_level":"RAID1","disk_count":2,"spare_count":1}`, snapshot(3, volume("v", hardware.RAID1, 0, 1)), []string{"/raid/volumes/0/spare_count"}, "0 spares of volume v"},
		"members to be spares":  {`{"raid_level":"RAID5","disk_count":"remaining","spare_count":1}`, snapshot(4, volume("v", hardware.RAID5, 0, 1, 2, 3)), []string{"/raid/volumes/0/spare_count"}, "delete it"},
		"part of whole disks":   {`{"raid_level":"RAID1","disk_count":2,"size_bytes":500}`, change(2, func(c *hardware.Controller) { c.WholeDisksOnly = true }), []string{"/raid/volumes/0/size_bytes"}, "whole disks only"},
		"named too small":       {`{"raid_level":"RAID1","disks":["S0","S1"],"size_bytes":1001}`, snapshot(2), []string{"/raid/volumes/0/size_bytes"}, "room for 1000 bytes"},
		"remaining too small":   {`{"raid_level":"RAID5","size_bytes":3001}`, snapshot(4), []string{"/raid/volumes/0/size_bytes"}, "room for 3000 bytes"},
		"JBOD on an HBA":        {`{"raid_level":"JBOD"}`, change(2, func(c *hardware.Controller) { c.Configurable = false }, volume("v", hardware.RAID1, 0, 1)), []string{"/raid/volumes/0"}, "cannot delete"},
		"JBOD on no controller": {`{"raid_level":"JBOD","controller":"X"}`, snapshot(2), []string{"/raid/volumes/0"}, "RAID.1"},
		"disks alike":           {`{"raid_level":"RAID0","disk_count":1}`, change(2, func(c *hardware.Controller) { c.Drives[1].Serial = "S0" }), []string{"/raid/volumes/0"}, `two disks called "S0"`},
		"volumes alike":         {`{"raid_level":"JBOD"}`, snapshot(2, volume("v", hardware.RAID0, 0), volume("v", hardware.RAID0, 1)), []string{"/raid/volumes/0"}, `two volumes called "v"`},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := hardware.ParseProfile([]byte(`{"raid":{"volumes":[` + tt.volumes + `]}}`))
			require.NoError(t, err)
			_, err = hardware.NewPlan(p, tt.seen)
			require.Equal(t, tt.paths, paths(t, err), "%v", err)
			require.ErrorContains(t, err, tt.text)
		})
	}
}

// The table stays readable with many operations and many disks.
func TestText(t *testing.T) {
	seen := snapshot(24)
	for i := range seen.Storage[0].Drives {
		seen.Storage[0].Drives[i].Serial = fmt.Sprintf("S5G2NX0R1234%02d", i)
	}
	seen.BIOS.Attributes["AnAttributeWithAVeryLongNameThatEndsInPort7"] = "x\x1b[31my"
	plan := mustPlan(t, `{"raid":{"set":"SingleRaid10"},"bios":{"set":"Virtualization","intents":{"iommu":"on"},"attributes":{"AnAttributeWithAVeryLongNameThatEndsInPort7":"`+strings.Repeat("z", 99)+`"}}}`, seen)
	text := plan.Text()
	require.NotContains(t, text, "\x1b", "what a BMC says does not move the cursor")
	for _, line := range strings.Split(text, "\n") {
		require.LessOrEqual(t, len([]rune(line)), 160, line)
	}
	require.Contains(t, text, "RAID10 on 24 disks")
	for _, d := range seen.Storage[0].Drives {
		require.Contains(t, text, d.Serial, "what is destroyed is named in full")
	}
	require.Contains(t, text, "AnAttributeWithAVeryLongNameThatEndsInPort7")
}

// A long boot order is shown from where it begins to differ.
func TestTextOfBootOrders(t *testing.T) {
	order := func(n ...int) (out []string) {
		for _, i := range n {
			out = append(out, fmt.Sprintf("Boot%04d", i))
		}
		return out
	}
	for want, change := range map[string][2][]string{
		"Boot0001,Boot0002  Boot0002,Boot0001 ":                       {order(1, 2), order(2, 1)},
		"Boot0001,Boot0002,Boot0003,…  Boot0009,Boot0001,Boot0002,… ": {order(1, 2, 3, 4, 9), order(9, 1, 2, 3, 4)},
		"…,Boot0003,Boot0004,…  …,Boot0005,Boot0003,… ":               {order(1, 2, 3, 4, 5), order(1, 2, 5, 3, 4)},
	} {
		p := hardware.Plan{Operations: []hardware.Operation{{Component: hardware.ComponentBoot, Action: hardware.ActionSet, Target: hardware.TargetOrder, Before: change[0], After: change[1]}}}
		require.Contains(t, p.Text(), want)
	}
	p := hardware.Plan{Operations: []hardware.Operation{{Before: []string(nil), After: order(1, 2, 3, 4)}}}
	require.Contains(t, p.Text(), "Boot0001,Boot0002,Boot0003,…")
}

// What cannot be seen yet says what to do.
func TestUnseenStorageHasARemedy(t *testing.T) {
	for _, c := range []struct {
		system hardware.System
		hint   string
	}{
		{hardware.System{Power: hardware.StateOff}, "could not read /storage/1: later; turn the machine on and plan again when its POST has finished"},
		{hardware.System{Power: hardware.StateOn, InPOST: true}, "could not read /storage/1: later; plan again when the machine's POST has finished"},
		{hardware.System{Power: hardware.StateOn}, "could not read /storage/1: later"},
	} {
		for _, profile := range []string{`{"raid":{"set":"SingleRaid10"}}`, `{"raid":{"set":"JBODOnly"}}`, `{"raid":{"volumes":[{"raid_level":"RAID1","disks":["S0","S1"]}]}}`} {
			seen := snapshot(4)
			seen.System, seen.Storage[0].Partial = c.system, true
			seen.Unreadable = []hardware.Unreadable{{Path: "/storage/1", Reason: "later"}}
			want, err := hardware.ParseProfile([]byte(profile))
			require.NoError(t, err)
			_, err = hardware.NewPlan(want, seen)
			var p hardware.Problem
			require.ErrorAs(t, err, &p, profile)
			require.Equal(t, c.hint, p.Hint, profile)
		}
	}
}

// Disks that are there but not wanted are told apart from none.
func TestDisksOfAnotherKind(t *testing.T) {
	seen := snapshot(4)
	seen.Storage[0].Drives[3].SizeBytes = 2000
	for profile, says := range map[string]string{
		`{"raid":{"volumes":[{"raid_level":"RAID1","disk_count":2,"media":"SSD"}]}}`: "found only 4 SAS HDD of 1000 to 2000 bytes free on RAID.1, expected 2 disks of SSD for RAID1, all of one medium and protocol",
		`{"raid":{"volumes":[{"raid_level":"RAID5","disk_min_bytes":9000}]}}`:        "found only 4 SAS HDD of 1000 to 2000 bytes free on RAID.1, expected the remaining disks of at least 9000 bytes: at least 3 disks for RAID5",
		`{"raid":{"volumes":[{"raid_level":"RAID0"},{"raid_level":"RAID0"}]}}`:       "found no free disk on RAID.1",
	} {
		want, err := hardware.ParseProfile([]byte(profile))
		require.NoError(t, err)
		_, err = hardware.NewPlan(want, seen)
		require.ErrorContains(t, err, says)
	}
}
