package hardware_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

func TestParseProfile(t *testing.T) {
	p, err := hardware.ParseProfile([]byte(`{
		"bios":{"set":"Storage","intents":{"virtualization":true,"smt":"disabled"},"attributes":{"A":3,"B":"x","C":false,"D":1.5}},
		"raid":{"volumes":[{"name":"os","raid_level":"RAID1","disk_count":2,"bootable":true,"media":"SSD"},{"raid_level":"JBOD","disk_count":"remaining"}]},
		"boot":{"target":"disk"},"firmware":[{"component":"bios","version":"1"}]}`))
	require.NoError(t, err)
	want := hardware.Profile{
		BIOS: &hardware.BIOSProfile{Set: "Storage", Intents: map[hardware.Intent]string{hardware.Virtualization: "on", hardware.SMT: "off"},
			Attributes: map[string]any{"A": int64(3), "B": "x", "C": false, "D": 1.5}},
		RAID: &hardware.RAIDProfile{Volumes: []hardware.VolumeProfile{
			{Name: "os", RAIDLevel: hardware.RAID1, DiskCount: 2, Bootable: true, Media: "SSD"}, {RAIDLevel: hardware.JBOD, DiskCount: hardware.Remaining}}},
		Boot:     &hardware.BootProfile{Target: hardware.BootDisk},
		Firmware: []hardware.FirmwareProfile{{Component: "bios", Version: "1"}},
	}
	require.Empty(t, cmp.Diff(want, p))

	data, err := json.Marshal(p)
	require.NoError(t, err)
	back, err := hardware.ParseProfile(data)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(p, back))
}

func TestParseProfileListsAllProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		in    string
		paths []string
	}{
		"not JSON":      {`{`, []string{""}},
		"two documents": {`{} {}`, []string{""}},
		"not an object": {`[]`, []string{""}},
		"shape": {`{"bois":{},"bios":{"set":1,"intents":[],"attributes":{"a/b":[]}},"raid":{"volumes":[{"raid_level":1,"disk_count":"some","bootable":"yes","size_bytes":1.5,"x":1}]},"boot":"pxe","firmware":{}}`,
			[]string{"/bios/attributes/a~1b", "/bios/intents", "/bios/set", "/bois", "/boot", "/firmware",
				"/raid/volumes/0/bootable", "/raid/volumes/0/disk_count", "/raid/volumes/0/raid_level", "/raid/volumes/0/size_bytes", "/raid/volumes/0/x"}},
		"meaning": {`{"bios":{"set":"Fast","intents":{"turbo":"on","smt":"maybe"}},
			"raid":{"set":"Best","volumes":[]},"boot":{"target":"moon"},"firmware":[{}]}`,
			[]string{"/bios/set", "/bios/intents/smt", "/bios/intents/turbo", "/raid/set", "/boot/target", "/firmware/0/component", "/firmware/0/version"}},
		"volumes": {`{"raid":{"volumes":[{"raid_level":"RAID7","disk_count":2},{"raid_level":"RAID1","disk_count":3},{"raid_level":"RAID10","disk_count":5},
			{"raid_level":"JBOD","bootable":true},{"name":"a","raid_level":"RAID0","disk_count":1,"size_bytes":-1},{"name":"a","raid_level":"RAID0","disk_count":1}]}}`,
			[]string{"/raid/volumes/4/size_bytes", "/raid/volumes/0/raid_level", "/raid/volumes/1/disk_count", "/raid/volumes/2/disk_count", "/raid/volumes/3/raid_level", "/raid/volumes/5/name"}},
		"zero disks":      {`{"raid":{"volumes":[{"raid_level":"RAID0","disk_count":0}]}}`, []string{"/raid/volumes/0/disk_count"}},
		"set and volumes": {`{"raid":{"set":"JBODOnly","volumes":[{"raid_level":"RAID0","disk_count":1}]}}`, []string{"/raid/volumes"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hardware.ParseProfile([]byte(tt.in))
			require.Empty(t, cmp.Diff(tt.paths, paths(t, err)), "%v", err)
		})
	}
}

func TestSets(t *testing.T) {
	for _, name := range hardware.BIOSSets() {
		set, err := hardware.BIOSSet(name)
		require.NoError(t, err)
		_, err = hardware.Profile{BIOS: set}.Resolve()
		require.NoError(t, err, name)
	}
	for _, name := range hardware.RAIDSets() {
		set, err := hardware.RAIDSet(name)
		require.NoError(t, err)
		byValue, err := hardware.Profile{RAID: set}.Resolve()
		require.NoError(t, err, name)
		byName, err := hardware.Profile{RAID: &hardware.RAIDProfile{Set: name}}.Resolve()
		require.NoError(t, err)
		require.Equal(t, byName, byValue)
	}
	_, err := hardware.BIOSSet("Fast")
	require.ErrorContains(t, err, "default, Virtualization, Storage, Hadoop, HadoopInfra")
	_, err = hardware.RAIDSet("Best")
	require.ErrorContains(t, err, "JBODOnly, R1_JBOD, SingleRaid0, SingleRaid1, SingleRaid10")
}

// A set that is handed out is the caller's own: changing it changes no other.
func TestSetsAreNotShared(t *testing.T) {
	set, err := hardware.BIOSSet("Hadoop")
	require.NoError(t, err)
	set.Intents[hardware.SRIOV] = "on"
	storage, err := hardware.BIOSSet("Storage")
	require.NoError(t, err)
	require.Equal(t, "off", storage.Intents[hardware.SRIOV])
}

func FuzzParseProfile(f *testing.F) {
	for _, seed := range []string{`{}`, `null`, `{"bios":null}`, `{"bios":{"set":"Storage","intents":{"smt":true},"attributes":{"A":1e400,"B":-0.0}}}`,
		`{"raid":{"set":"R1_JBOD"}}`, `{"raid":{"volumes":[{"raid_level":"RAID10","disk_count":99999999999},{"disk_count":"remaining"}]}}`, `{"firmware":[{}]}`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := hardware.ParseProfile(data)
		if err != nil {
			require.ErrorIs(t, err, hardware.ErrInvalid)
			return
		}
		_, err = p.Resolve()
		require.NoError(t, err, "what was parsed is valid")
		out, err := json.Marshal(p)
		require.NoError(t, err)
		back, err := hardware.ParseProfile(out)
		require.NoError(t, err, "%s", out)
		again, err := json.Marshal(back)
		require.NoError(t, err)
		require.Equal(t, string(out), string(again))
		_, _ = hardware.NewPlan(p, snapshot(4))
	})
}

func TestDiskCountJSON(t *testing.T) {
	var v hardware.VolumeProfile
	require.NoError(t, json.Unmarshal([]byte(`{"raid_level":"RAID1","disk_count":2}`), &v))
	require.Equal(t, hardware.DiskCount(2), v.DiskCount)
	require.NoError(t, json.Unmarshal([]byte(`{"disk_count":"remaining"}`), &v))
	require.Equal(t, hardware.Remaining, v.DiskCount)
	for _, bad := range []string{`0`, `-1`, `1.5`, `"all"`, `{}`} {
		require.ErrorIs(t, json.Unmarshal([]byte(`{"disk_count":`+bad+`}`), &v), hardware.ErrInvalid, bad)
	}
}
