package hardware_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Whatever a plan does to any machine: every prefix of it can be done and leaves exactly the rest
// to do, under the same names; doing all of it makes the next plan empty; and the disks that lose
// their data are the disks it names. Where the controller keeps no names and several volumes of one
// level are wanted, which is which may be lost half way: then the plan is stale, and nothing more
// is done to the machine.
func TestPlanConverges(t *testing.T) {
	plans := 0
	rapid.Check(t, func(t *rapid.T) {
		machine := newModel(drawMachine(t))
		machine.loseNames = rapid.Bool().Draw(t, "names lost")
		want := drawWish(t, machine.Snapshot)
		switch rapid.IntRange(0, 3).Draw(t, "part") { // most machines cannot have all of it
		case 0:
			want = hardware.Profile{RAID: want.RAID}
		case 1:
			want = hardware.Profile{BIOS: want.BIOS, Boot: want.Boot}
		}
		plan, err := hardware.NewPlan(want, machine.Snapshot)
		if err != nil {
			require.ErrorIs(t, err, hardware.ErrInvalid)
			return // this machine cannot have it
		}
		plans++
		plan = throughJSON(t, plan)
		var waiting []string // sent, and in force after a reset
		for i, op := range plan.Operations {
			if _, err := plan.Remaining(machine.Snapshot); machine.loseNames && alike(want) && errors.Is(err, hardware.ErrStalePlan) {
				return
			}
			require.Equal(t, append(slices.Clone(waiting), ids(plan.Operations[i:])...), remaining(t, plan, machine.Snapshot), "after %d operations", i)
			require.NoError(t, machine.perform(op))
			if op.Reboot && op.Component != hardware.ComponentRAID {
				waiting = append(waiting, op.ID)
			}
		}
		if _, err := plan.Remaining(machine.Snapshot); machine.loseNames && alike(want) && errors.Is(err, hardware.ErrStalePlan) {
			return
		}
		require.Equal(t, waiting, remaining(t, plan, machine.Snapshot))
		machine.reset()
		require.Empty(t, remaining(t, plan, machine.Snapshot), "not converged")
		lost := slices.Sorted(maps.Keys(machine.lost))
		require.Equal(t, plan.Destroys(), append([]string{}, lost...))
	})
	require.NotZero(t, plans)
}

// alike reports whether several volumes of one level are wanted.
func alike(want hardware.Profile) bool {
	levels := map[hardware.RAIDLevel]int{}
	if want.RAID != nil {
		for _, v := range want.RAID.Volumes {
			levels[v.RAIDLevel]++
		}
	}
	delete(levels, hardware.JBOD)
	for _, n := range levels {
		if n > 1 {
			return true
		}
	}
	return false
}

func remaining(t *rapid.T, plan *hardware.Plan, seen *hardware.Snapshot) []string {
	left, err := plan.Remaining(seen)
	require.NoError(t, err)
	return ids(left.Operations)
}

func ids(ops []hardware.Operation) []string {
	var out []string
	for _, op := range ops {
		out = append(out, op.ID)
	}
	return out
}

func throughJSON(t require.TestingT, plan *hardware.Plan) *hardware.Plan {
	data, err := json.Marshal(plan)
	require.NoError(t, err)
	var back hardware.Plan
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, plan.Operations, back.Operations)
	return &back
}

// drawMachine draws a machine with two controllers, volumes and spares, failed disks, registry
// dependencies, something pending, boot options and secure boot.
func drawMachine(t *rapid.T) *hardware.Snapshot {
	seen := snapshot(0)
	seen.Storage = nil
	for i := range rapid.IntRange(1, 2).Draw(t, "controllers") {
		seen.Storage = append(seen.Storage, drawController(t, i))
	}
	values := []string{"a", "b", "c"}
	seen.BIOS = hardware.BIOS{Attributes: map[string]any{}, Registry: &hardware.Registry{Attributes: map[string]hardware.Attribute{}},
		Intents: map[hardware.Intent]hardware.Binding{}}
	for i := range 6 {
		name := fmt.Sprint("A", i)
		seen.BIOS.Attributes[name] = rapid.SampledFrom(values).Draw(t, name)
		// An attribute that others depend on takes a reset, or half of a plan would be another plan.
		seen.BIOS.Registry.Attributes[name] = hardware.Attribute{Type: hardware.TypeEnumeration, Values: values, AppliesAtOnce: i > 3 && rapid.Bool().Draw(t, "at once")}
		if rapid.IntRange(0, 5).Draw(t, "pending") == 0 {
			if seen.BIOS.Pending == nil {
				seen.BIOS.Pending = map[string]any{}
			}
			seen.BIOS.Pending[name] = rapid.SampledFrom(values).Draw(t, name)
		}
	}
	for range rapid.IntRange(0, 5).Draw(t, "dependencies") {
		d := hardware.Dependency{Attribute: fmt.Sprint("A", rapid.IntRange(0, 5).Draw(t, "of")), ReadOnly: rapid.Bool().Draw(t, "read-only"),
			If: []hardware.Condition{{Attribute: fmt.Sprint("A", rapid.IntRange(0, 3).Draw(t, "on")), Operator: "EQU", Value: rapid.SampledFrom(values).Draw(t, "if")}}}
		if !d.ReadOnly {
			d.Value = rapid.SampledFrom(values).Draw(t, "becomes")
		}
		seen.BIOS.Registry.Dependencies = append(seen.BIOS.Registry.Dependencies, d)
	}
	if rapid.Bool().Draw(t, "boot mode is an attribute") {
		seen.BIOS.Intents[hardware.BootMode] = hardware.Binding{Attribute: "A3", Values: map[string]any{"uefi": "a", "bios": "b"}}
	}
	targets := []hardware.BootTarget{hardware.BootPXE, hardware.BootDisk, hardware.BootHTTP, ""}
	for i := range rapid.IntRange(0, 6).Draw(t, "options") {
		o := hardware.BootOption{Reference: fmt.Sprint("Boot", i), Target: rapid.SampledFrom(targets).Draw(t, "kind"), Disabled: rapid.IntRange(0, 5).Draw(t, "disabled") == 0}
		seen.Boot.Options = append(seen.Boot.Options, o)
		if rapid.IntRange(0, 3).Draw(t, "in order") > 0 {
			seen.Boot.Order = append(seen.Boot.Order, o.Reference)
		}
	}
	seen.Boot.OrderOnReset = rapid.Bool().Draw(t, "order on reset")
	if seen.Boot.OrderOnReset && len(seen.Boot.Order) > 0 && rapid.Bool().Draw(t, "order pending") {
		seen.Boot.PendingOrder = rapid.Permutation(seen.Boot.Order).Draw(t, "pending order")
	}
	seen.Boot.Mode = rapid.SampledFrom([]string{"UEFI", "Legacy", ""}).Draw(t, "mode")
	if rapid.Bool().Draw(t, "secure boot") {
		seen.SecureBoot = &hardware.SecureBoot{Enabled: rapid.Bool().Draw(t, "enabled"), Current: rapid.Bool().Draw(t, "current")}
	}
	return seen
}

func drawController(t *rapid.T, number int) hardware.Controller {
	flag := func(name string, one int) bool { return rapid.IntRange(0, one).Draw(t, name) == 1 }
	c := hardware.Controller{ID: fmt.Sprint("RAID.", number), Configurable: !flag("HBA", 10), WholeDisksOnly: flag("whole disks", 4),
		OnReset: flag("on reset", 3), NoSpares: flag("no spares", 4)}
	for i := range rapid.IntRange(0, 10).Draw(t, "disks") {
		d := hardware.Drive{ID: fmt.Sprint(i), Serial: fmt.Sprintf("C%dS%d", number, i), SizeBytes: 1000, Media: "HDD", Protocol: "SAS"}
		if flag("ssd", 5) {
			d.Media = "SSD"
		}
		if flag("small", 5) {
			d.SizeBytes = 500
		}
		if flag("failed", 10) {
			d.Health = "Critical"
		}
		c.Drives = append(c.Drives, d)
	}
	if !c.Configurable || len(c.Drives) == 0 {
		return c
	}
	free := rapid.Permutation(c.Drives).Draw(t, "slots")
	for len(free) > 0 && rapid.Bool().Draw(t, "volume") {
		level := rapid.SampledFrom(hardware.RAIDLevels()[1:]).Draw(t, "level")
		n := level.Fit(rapid.IntRange(1, len(free)).Draw(t, "members"))
		if n == 0 {
			continue
		}
		v := hardware.Volume{ID: "old-" + free[0].ID, RAIDLevel: level, Health: rapid.SampledFrom([]string{"OK", "OK", "Warning"}).Draw(t, "health")}
		v.Name = rapid.SampledFrom([]string{"", "vol0", "vol1"}).Draw(t, "name")
		var sizes []int64
		for _, d := range free[:n] {
			v.Drives = append(v.Drives, d.Identity())
			sizes = append(sizes, d.SizeBytes)
		}
		v.SizeBytes, _ = level.Usable(sizes)
		free = free[n:]
		if len(free) > 0 && !c.NoSpares && flag("spare", 3) {
			v.Spares, free = []string{free[0].Identity()}, free[1:]
		}
		c.Volumes = append(c.Volumes, v)
	}
	return c
}

func drawWish(t *rapid.T, seen *hardware.Snapshot) hardware.Profile {
	flag := func(name string, one int) bool { return rapid.IntRange(0, one).Draw(t, name) == 1 }
	var want hardware.Profile
	want.RAID = &hardware.RAIDProfile{}
	for range rapid.IntRange(0, 3).Draw(t, "wishes") {
		level := rapid.SampledFrom(hardware.RAIDLevels()).Draw(t, "wish")
		v := hardware.VolumeProfile{RAIDLevel: level, DiskCount: hardware.DiskCount(level.Fit(rapid.IntRange(0, 6).Draw(t, "count")))}
		if c := rapid.SampledFrom(seen.Storage).Draw(t, "on"); flag("named", 3) && len(c.Drives) > 0 {
			v.DiskCount = 0
			for _, d := range rapid.Permutation(c.Drives).Draw(t, "which")[:level.Fit(rapid.IntRange(0, len(c.Drives)).Draw(t, "how many"))] {
				v.Disks = append(v.Disks, d.Serial)
			}
		}
		if level != hardware.JBOD && flag("sized", 3) {
			v.SizeBytes = rapid.SampledFrom([]int64{500, 1000, 2000}).Draw(t, "size")
		}
		if level != hardware.JBOD && level != hardware.RAID0 && flag("spares", 3) {
			v.Spares = rapid.IntRange(1, 2).Draw(t, "how many")
		}
		if flag("large", 4) {
			v.DiskMinBytes = 600
		}
		want.RAID.Volumes = append(want.RAID.Volumes, v)
	}
	want.BIOS = &hardware.BIOSProfile{Attributes: map[string]any{}}
	for i := range 6 {
		if flag("attribute", 2) {
			want.BIOS.Attributes[fmt.Sprint("A", i)] = rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "value")
		}
	}
	want.Boot = &hardware.BootProfile{Target: rapid.SampledFrom([]hardware.BootTarget{"", "none", "pxe"}).Draw(t, "target")}
	if flag("mode", 2) {
		want.Boot.Mode = rapid.SampledFrom([]string{"uefi", "bios"}).Draw(t, "which mode")
	}
	if seen.SecureBoot != nil && flag("secure", 1) {
		want.Boot.SecureBoot = rapid.SampledFrom([]string{"on", "off"}).Draw(t, "secure boot")
	}
	if len(seen.Boot.Options) > 0 && flag("order", 1) {
		o := rapid.SampledFrom(seen.Boot.Options).Draw(t, "first")
		want.Boot.Order = []string{o.Reference}
		if o.Target != "" && rapid.Bool().Draw(t, "kind") {
			want.Boot.Order = []string{string(o.Target)}
		}
	}
	if flag("firmware", 2) {
		want.Firmware = []hardware.FirmwareProfile{{Component: "bios", Version: rapid.SampledFrom([]string{"2.1", "3"}).Draw(t, "version")}}
	}
	return want
}
