package hardware_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// snapshot is a server with n like disks on one controller and the given volumes, each a
// level and the slots of its disks.
func snapshot(n int, volumes ...hardware.Volume) *hardware.Snapshot {
	c := hardware.Controller{ID: "RAID.1", Configurable: true, RAIDLevels: hardware.RAIDLevels()[1:], Volumes: volumes}
	for i := range n {
		c.Drives = append(c.Drives, hardware.Drive{ID: fmt.Sprint(i), Serial: fmt.Sprintf("S%d", i), SizeBytes: 1000, Media: "HDD", Protocol: "SAS"})
	}
	low, high := int64(60), int64(600)
	return &hardware.Snapshot{
		Node: "node1", System: hardware.System{Manufacturer: "Acme", Model: "M1", Power: hardware.StateOn},
		Firmware: map[string]string{"bios": "2.1"},
		BIOS: hardware.BIOS{
			Attributes: map[string]any{"ProcVirtualization": "Disabled", "SriovGlobalEnable": "Disabled", "Delay": int64(60), "Quiet": false, "SysMemSize": "128 GB", "Loose": "a"},
			Registry: &hardware.Registry{ID: "R", Attributes: map[string]hardware.Attribute{
				"ProcVirtualization": {Type: hardware.TypeEnumeration, Values: []string{"Enabled", "Disabled"}},
				"SriovGlobalEnable":  {Type: hardware.TypeEnumeration, Values: []string{"Enabled", "Disabled"}},
				"Delay":              {Type: hardware.TypeInteger, Min: &low, Max: &high},
				"Quiet":              {Type: hardware.TypeBoolean, AppliesAtOnce: true},
				"SysMemSize":         {Type: hardware.TypeString, ReadOnly: true},
				"SetupPassword":      {Type: hardware.TypePassword},
			}},
			Intents: map[hardware.Intent]hardware.Binding{
				hardware.Virtualization: {Attribute: "ProcVirtualization", Values: map[string]any{"on": "Enabled", "off": "Disabled"}},
				hardware.IOMMU:          {Attribute: "ProcVirtualization", Values: map[string]any{"on": "Enabled", "off": "Disabled"}},
				hardware.SRIOV:          {Attribute: "SriovGlobalEnable", Values: map[string]any{"on": "Enabled", "off": "Disabled"}},
				hardware.BootMode:       {Attribute: "BootMode", Values: map[string]any{"uefi": "Uefi"}},
			},
		},
		Storage: []hardware.Controller{c},
	}
}

func volume(id string, level hardware.RAIDLevel, slots ...int) hardware.Volume {
	v := hardware.Volume{ID: id, Name: id, RAIDLevel: level, SizeBytes: 1000}
	for _, s := range slots {
		v.Drives = append(v.Drives, fmt.Sprintf("S%d", s))
	}
	return v
}

// steps writes a RAID plan as short lines.
func steps(p *hardware.Plan) []string {
	out := []string{}
	for _, op := range p.Operations {
		out = append(out, fmt.Sprintf("%s %s %v", op.Action, op.Volume.RAIDLevel, op.Destroys))
	}
	return out
}

func TestPlanRAID(t *testing.T) {
	for name, tt := range map[string]struct {
		profile string
		seen    *hardware.Snapshot
		want    []string
	}{
		"JBOD on raw disks is nothing":      {`{"set":"JBODOnly"}`, snapshot(4), []string{}},
		"JBOD without a controller":         {`{"set":"JBODOnly"}`, &hardware.Snapshot{}, []string{}},
		"JBOD deletes volumes":              {`{"set":"JBODOnly"}`, snapshot(4, volume("v", hardware.RAID1, 1, 2)), []string{"delete_volume RAID1 [S1 S2]"}},
		"RAID10 on raw disks":               {`{"set":"SingleRaid10"}`, snapshot(4), []string{"create_volume RAID10 [S0 S1 S2 S3]"}},
		"RAID10 takes an even number":       {`{"set":"SingleRaid10"}`, snapshot(5), []string{"create_volume RAID10 [S0 S1 S2 S3]"}},
		"RAID10 is there":                   {`{"set":"SingleRaid10"}`, snapshot(5, volume("v", hardware.RAID10, 0, 1, 2, 3)), []string{}},
		"RAID1 takes two":                   {`{"set":"SingleRaid1"}`, snapshot(4), []string{"create_volume RAID1 [S0 S1]"}},
		"RAID1 leaves the others":           {`{"set":"SingleRaid1"}`, snapshot(4, volume("data", hardware.RAID1, 2, 3), volume("x", hardware.RAID0, 0)), []string{}},
		"RAID0 takes all":                   {`{"set":"SingleRaid0"}`, snapshot(3), []string{"create_volume RAID0 [S0 S1 S2]"}},
		"R1_JBOD":                           {`{"set":"R1_JBOD"}`, snapshot(4, volume("old", hardware.RAID5, 1, 2, 3)), []string{"delete_volume RAID5 [S1 S2 S3]", "create_volume RAID1 [S0 S1]"}},
		"R1_JBOD keeps a mirror elsewhere":  {`{"set":"R1_JBOD"}`, snapshot(4, volume("m", hardware.RAID1, 2, 3)), []string{}},
		"another level is replaced":         {`{"set":"SingleRaid10"}`, snapshot(4, volume("old", hardware.RAID5, 0, 1, 2)), []string{"delete_volume RAID5 [S0 S1 S2]", "create_volume RAID10 [S0 S1 S2 S3]"}},
		"two alike, one there":              {`{"volumes":[{"name":"a","raid_level":"RAID1","disk_count":2},{"name":"b","raid_level":"RAID1","disk_count":2}]}`, snapshot(4, volume("b", hardware.RAID1, 0, 1)), []string{"create_volume RAID1 [S2 S3]"}},
		"fixed counts choose first":         {`{"volumes":[{"raid_level":"RAID5","disk_count":"remaining"},{"raid_level":"RAID1","disk_count":2}]}`, snapshot(5), []string{"create_volume RAID1 [S0 S1]", "create_volume RAID5 [S2 S3 S4]"}},
		"no volumes wanted, none touched":   {`{}`, snapshot(4, volume("v", hardware.RAID1, 1, 2)), []string{}},
		"a size that the controller rounds": {`{"volumes":[{"raid_level":"RAID1","disk_count":2,"size_bytes":1005}]}`, snapshot(2, volume("v", hardware.RAID1, 0, 1)), []string{}},
		"another size":                      {`{"volumes":[{"raid_level":"RAID1","disk_count":2,"size_bytes":500}]}`, snapshot(2, volume("v", hardware.RAID1, 0, 1)), []string{"delete_volume RAID1 [S0 S1]", "create_volume RAID1 [S0 S1]"}},
	} {
		t.Run(name, func(t *testing.T) {
			plan := mustPlan(t, `{"raid":`+tt.profile+`}`, tt.seen)
			require.Empty(t, cmp.Diff(tt.want, steps(plan)))
			require.Zero(t, plan.Reboots())
		})
	}
}

func mustPlan(t *testing.T, profile string, seen *hardware.Snapshot) *hardware.Plan {
	t.Helper()
	p, err := hardware.ParseProfile([]byte(profile))
	require.NoError(t, err)
	plan, err := hardware.NewPlan(p, seen)
	require.NoError(t, err)
	return plan
}

func TestPlanRAIDKeepsVolumeWithFailedDisk(t *testing.T) {
	seen := snapshot(4, volume("v", hardware.RAID10, 0, 1, 2, 3))
	seen.Storage[0].Drives[2].Health = "Critical"
	require.True(t, mustPlan(t, `{"raid":{"set":"SingleRaid10"}}`, seen).Empty())

	seen = snapshot(4)
	seen.Storage[0].Drives[0].Health = "Critical"
	require.Equal(t, []string{"create_volume RAID1 [S1 S2]"}, steps(mustPlan(t, `{"raid":{"set":"SingleRaid1"}}`, seen)))
}

func TestPlanRAIDByMedia(t *testing.T) {
	seen := snapshot(6)
	seen.Storage[0].Drives[0].Media, seen.Storage[0].Drives[1].Media = "SSD", "SSD"
	require.Equal(t, []string{"create_volume RAID1 [S0 S1]", "create_volume RAID5 [S2 S3 S4 S5]"}, steps(mustPlan(t,
		`{"raid":{"volumes":[{"raid_level":"RAID1","disk_count":2,"media":"ssd"},{"raid_level":"RAID5","disk_count":"remaining","media":"HDD"}]}}`, seen)))
	require.Equal(t, []string{"create_volume RAID5 [S2 S3 S4]"}, steps(mustPlan(t, `{"raid":{"volumes":[{"raid_level":"RAID5","disk_count":3}]}}`, seen)),
		"a volume never mixes media")
}

func TestPlanProblems(t *testing.T) {
	partial := snapshot(4)
	partial.Storage[0].Partial = true
	mixed := snapshot(4)
	mixed.Storage[0].Drives[3].Media = "SSD"
	for name, tt := range map[string]struct {
		profile string
		seen    *hardware.Snapshot
		paths   []string
	}{
		"BIOS, all at once": {`{"bios":{"intents":{"virtualization":"on","iommu":"off","smt":"on","boot_mode":"bios"},
			"attributes":{"Nope":"x","procvirtualization":"x","SysMemSize":"1","Delay":59,"Quiet":"maybe","SriovGlobalEnable":"Perhaps","SetupPassword":"x"}}}`, snapshot(0),
			[]string{"/bios/intents/boot_mode", "/bios/intents/smt", "/bios/intents/virtualization", "/bios/attributes/Delay", "/bios/attributes/Nope",
				"/bios/attributes/Quiet", "/bios/attributes/SetupPassword", "/bios/attributes/SriovGlobalEnable", "/bios/attributes/procvirtualization", "/bios/attributes/SysMemSize"}},
		"no BIOS":               {`{"bios":{"set":"Storage"}}`, &hardware.Snapshot{}, []string{"/bios"}},
		"no storage":            {`{"raid":{"set":"SingleRaid0"}}`, &hardware.Snapshot{}, []string{"/raid"}},
		"storage unseen":        {`{"raid":{"set":"JBODOnly"}}`, &hardware.Snapshot{Unreadable: []hardware.Unreadable{{Path: "/S"}}}, []string{"/raid"}},
		"too few disks":         {`{"raid":{"set":"SingleRaid10"}}`, snapshot(3), []string{"/raid/volumes/0"}},
		"no disks":              {`{"raid":{"set":"SingleRaid0"}}`, snapshot(0), []string{"/raid/volumes/0"}},
		"mixed media":           {`{"raid":{"set":"SingleRaid0"}}`, mixed, []string{"/raid/volumes/0"}},
		"unseen volumes, RAID":  {`{"raid":{"set":"SingleRaid0"}}`, partial, []string{"/raid/volumes/0"}},
		"unseen volumes, JBOD":  {`{"raid":{"set":"JBODOnly"}}`, partial, []string{"/raid/volumes/0"}},
		"unknown controller":    {`{"raid":{"volumes":[{"raid_level":"RAID0","disk_count":1,"controller":"X"}]}}`, snapshot(2), []string{"/raid/volumes/0"}},
		"disks run out":         {`{"raid":{"volumes":[{"raid_level":"RAID1","disk_count":2},{"raid_level":"RAID1","disk_count":2},{"raid_level":"JBOD","disk_count":1}]}}`, snapshot(2), []string{"/raid/volumes/1", "/raid/volumes/2/disk_count"}},
		"larger than its disks": {`{"raid":{"volumes":[{"raid_level":"RAID1","disk_count":2,"size_bytes":2000}]}}`, snapshot(2), []string{"/raid/volumes/0/size_bytes"}},
		"firmware":              {`{"firmware":[{"component":"bios","version":"3"},{"component":"nic","version":"1"}]}`, snapshot(0), []string{"/firmware/1/component"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := hardware.ParseProfile([]byte(tt.profile))
			require.NoError(t, err)
			plan, err := hardware.NewPlan(p, tt.seen)
			require.Nil(t, plan)
			require.Empty(t, cmp.Diff(tt.paths, paths(t, err)))
		})
	}
	_, err := hardware.NewPlan(hardware.Profile{}, nil)
	require.ErrorIs(t, err, hardware.ErrInvalid)
}

func paths(t *testing.T, err error) []string {
	t.Helper()
	require.ErrorIs(t, err, hardware.ErrInvalid)
	var invalid *hardware.ValidationError
	require.True(t, errors.As(err, &invalid), "%v", err)
	var out []string
	for _, p := range invalid.Problems {
		out = append(out, p.Path)
	}
	return out
}

func TestPlanBIOS(t *testing.T) {
	seen := snapshot(0)
	plan := mustPlan(t, `{"bios":{"set":"Virtualization","intents":{"sriov":"off"},"attributes":{"Delay":"90","Quiet":true,"Loose":"b"}}}`, seen)
	var got []string
	for _, op := range plan.Operations {
		got = append(got, fmt.Sprintf("%s %v->%v reboot=%t", op.Target, op.Before, op.After, op.Reboot))
	}
	require.Equal(t, []string{"Delay 60->90 reboot=true", "Loose a->b reboot=true", "ProcVirtualization Disabled->Enabled reboot=true", "Quiet false->true reboot=false"}, got)
	require.Equal(t, 1, plan.Reboots())
	require.Empty(t, plan.Destroys())
	require.Zero(t, mustPlan(t, `{"bios":{"attributes":{"Quiet":true}}}`, seen).Reboots())

	// A read-only attribute may be asked to be what it is.
	require.True(t, mustPlan(t, `{"bios":{"attributes":{"SysMemSize":"128 GB"}}}`, seen).Empty())

	// What pends counts, both ways.
	seen.BIOS.Pending = map[string]any{"ProcVirtualization": "Enabled", "Delay": int64(90)}
	require.Len(t, mustPlan(t, `{"bios":{"intents":{"virtualization":"on"}}}`, seen).Operations, 1)
	require.Len(t, mustPlan(t, `{"bios":{"attributes":{"Delay":60}}}`, seen).Operations, 1)
}

func TestPlanIsPureAndSerialisable(t *testing.T) {
	seen := snapshot(5, volume("old", hardware.RAID5, 0, 1, 2))
	before, err := json.Marshal(seen)
	require.NoError(t, err)
	profile := `{"bios":{"set":"Storage","attributes":{"Delay":61,"Quiet":true},"intents":{"virtualization":"off"}},"raid":{"set":"SingleRaid10"},"boot":{"target":"disk"}}`
	plan := mustPlan(t, profile, seen)
	for range 20 {
		require.Empty(t, cmp.Diff(plan, mustPlan(t, profile, seen)))
	}
	after, err := json.Marshal(seen)
	require.NoError(t, err)
	require.Equal(t, string(before), string(after), "planning changes nothing")

	data, err := json.Marshal(plan)
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, json.Unmarshal(data, &doc))
	require.Equal(t, []any{"S0", "S1", "S2", "S3"}, doc["destroys"])
	require.Equal(t, 1.0, doc["reboots"])
	var back hardware.Plan
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, plan.Hash(), back.Hash())
	require.Empty(t, cmp.Diff(plan.Operations, back.Operations))
	left, err := back.Remaining(seen)
	require.NoError(t, err)
	require.Equal(t, plan.Hash(), left.Hash())

	back.Operations = back.Operations[1:]
	require.NotEqual(t, plan.Hash(), back.Hash())
	data, err = json.MarshalIndent(doc, "", "  ") // in another order, too
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &back))
}

// Whatever is edited in a plan that was written, it is not read back.
func TestEditedPlans(t *testing.T) {
	plan := mustPlan(t, `{"bios":{"set":"Storage","attributes":{"Delay":61}},"raid":{"volumes":[{"raid_level":"RAID10","disk_count":4,"size_bytes":7}]}}`, snapshot(5))
	written, err := json.Marshal(plan)
	require.NoError(t, err)
	var visit func(v any, at string, set func(any))
	count := 0
	edited := func(doc any, at string) {
		t.Helper()
		data, err := json.Marshal(doc)
		require.NoError(t, err)
		var back hardware.Plan
		require.Error(t, json.Unmarshal(data, &back), "%s: %s", at, data)
		require.Empty(t, cmp.Diff(hardware.Plan{}, back), at)
		count++
	}
	var doc any
	require.NoError(t, json.Unmarshal(written, &doc))
	visit = func(v any, at string, set func(any)) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				visit(v[name], at+"/"+name, func(x any) { v[name] = x })
				was := v[name]
				delete(v, name)
				if edited(doc, at+"/"+name+" left out"); at == "" {
					v[name+"x"] = was
					edited(doc, at+"/"+name+" renamed")
					delete(v, name+"x")
				}
				v[name] = was
			}
			v["note"] = "x"
			edited(doc, at+"/note")
			delete(v, "note")
		case []any:
			for i := range v {
				visit(v[i], fmt.Sprintf("%s/%d", at, i), func(x any) { v[i] = x })
			}
			set(append([]any{"x"}, v...))
			edited(doc, at)
			set(v)
		case bool:
			set(!v)
			edited(doc, at)
			set(v)
		case float64:
			set(v + 1)
			edited(doc, at)
			set(v)
		default:
			set("other")
			edited(doc, at)
			set(v)
		}
	}
	visit(doc, "", nil)
	require.Greater(t, count, 80)
}

func TestHashes(t *testing.T) {
	seen := snapshot(4)
	raid := mustPlan(t, `{"raid":{"set":"SingleRaid10"}}`, seen)
	both := mustPlan(t, `{"raid":{"set":"SingleRaid10"},"bios":{"set":"Virtualization"}}`, seen)
	require.NotEqual(t, raid.Hash(), both.Hash())
	require.Equal(t, raid.DestructiveHash(), both.DestructiveHash(), "settings do not change what is destroyed")
	seen.Storage[0].Drives[3].Serial = "other"
	require.NotEqual(t, raid.DestructiveHash(), mustPlan(t, `{"raid":{"set":"SingleRaid10"}}`, seen).DestructiveHash())
}

func TestDestructionSaysWhatIsLost(t *testing.T) {
	plan := mustPlan(t, `{"raid":{"volumes":[{"name":"data","raid_level":"RAID1","disk_count":2,"spare_count":1}]}}`, snapshot(3, volume("old", hardware.RAID5, 0, 1, 2)))
	var got []string
	for _, op := range plan.Operations {
		d := op.Destruction("node1")
		require.Equal(t, op.ID, d.Operation)
		require.Equal(t, []string{"S0", "S1", "S2"}, d.Disks)
		got = append(got, d.Description)
	}
	require.Equal(t, []string{"deletes RAID5 volume old on controller RAID.1; all data on S0, S1, S2 is lost",
		"creates RAID1 volume data on controller RAID.1; all data on S0, S1, S2 is lost"}, got)
}

func TestRemaining(t *testing.T) {
	old := volume("old", hardware.RAID5, 0, 1, 2)
	plan := mustPlan(t, `{"raid":{"set":"SingleRaid10"}}`, snapshot(4, old))
	require.Len(t, plan.Operations, 2)

	left, err := plan.Remaining(snapshot(4))
	require.NoError(t, err)
	require.Equal(t, plan.Operations[1:], left.Operations, "the volume is deleted, the new one to do")

	left, err = plan.Remaining(snapshot(4, volume("new", hardware.RAID10, 0, 1, 2, 3)))
	require.NoError(t, err)
	require.True(t, left.Empty())

	for name, seen := range map[string]*hardware.Snapshot{
		"another volume":      snapshot(4, volume("other", hardware.RAID1, 0, 1)),
		"same ID, more disks": snapshot(4, volume("old", hardware.RAID5, 0, 1, 2, 3)),
		"a disk fewer":        snapshot(3, old),
		"two disks more":      snapshot(6, old),
		"nothing to see":      {},
	} {
		_, err := plan.Remaining(seen)
		require.ErrorIs(t, err, hardware.ErrStalePlan, name)
	}
}

// Whatever a BMC made of itself: NewPlan answers, with a plan that can be written and read or with
// problems, and does not change the snapshot.
func FuzzNewPlan(f *testing.F) {
	add := func(profile string, seen *hardware.Snapshot) {
		data, err := json.Marshal(seen)
		require.NoError(f, err)
		f.Add([]byte(profile), data)
	}
	add(`{"raid":{"volumes":[{"raid_level":"RAID5","disk_count":"remaining","spare_count":1},{"raid_level":"JBOD","disks":["S0"]}]}}`, snapshot(6, volume("v", hardware.RAID1, 1, 2)))
	add(`{"bios":{"attributes":{"HwPrefetcher":"Disabled","WorkloadProfile":"Custom"},"intents":{"smt":"on"}}}`, proliant())
	add(`{"boot":{"target":"pxe","mode":"uefi","order":["pxe","Boot1"],"secure_boot":"on"},"firmware":[{"component":"bios","version":"2"}]}`, bootable())
	f.Add([]byte(`{"raid":{"set":"JBODOnly"}}`), []byte(`{"storage":[{"drives":[{"id":"a"},{"id":"a"}],"volumes":[{},{}]}]}`))
	f.Add([]byte(`{"bios":{"intents":{"smt":"on"},"attributes":{"A":1}}}`), []byte(`{"bios":{"attributes":{"A":[1],"B":null},"pending":{"A":{}},"intents":{"smt":{"attribute":"A","values":{"on":[]}}},"registry":{"attributes":{"A":{"type":"?"}},"dependencies":[{"attribute":"A","if":null},{"attribute":"A","value":{},"if":[{"value":[]}]}]}}}`))
	f.Fuzz(func(t *testing.T, profile, snapshot []byte) {
		p, err := hardware.ParseProfile(profile)
		if err != nil {
			return
		}
		var seen hardware.Snapshot
		if json.Unmarshal(snapshot, &seen) != nil {
			return
		}
		before, err := json.Marshal(seen)
		require.NoError(t, err)
		plan, err := hardware.NewPlan(p, &seen)
		after, marshalErr := json.Marshal(seen)
		require.NoError(t, marshalErr)
		require.Equal(t, string(before), string(after))
		if err != nil {
			require.ErrorIs(t, err, hardware.ErrInvalid)
			return
		}
		throughJSON(t, plan)
		require.NotEmpty(t, plan.Text())
		left, err := plan.Remaining(&seen)
		require.NoError(t, err)
		require.Equal(t, plan.Hash(), left.Hash())
	})
}
