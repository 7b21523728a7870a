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

func TestCloneSharesNothing(t *testing.T) {
	whole := func() hardware.Profile {
		p, err := hardware.ParseProfile([]byte(`{"bios":{"intents":{"smt":"on"},"attributes":{"A":1}},"raid":{"volumes":[{"raid_level":"RAID1","disks":["a","b"]}]},
			"boot":{"order":["pxe"]},"firmware":[{"component":"bios","version":"1"}]}`))
		require.NoError(t, err)
		return p
	}
	p := whole()
	c := p.Clone()
	c.BIOS.Intents[hardware.SMT], c.BIOS.Attributes["A"] = "off", 2
	c.RAID.Volumes[0].Disks[0], c.RAID.Volumes[0].Name = "x", "x"
	c.Boot.Order[0], c.Boot.Mode, c.Firmware[0].Version = "x", "x", "x"
	require.Empty(t, cmp.Diff(whole(), p))
}

// The shape of what is new, with what it may not be.
func TestParseBootAndDisks(t *testing.T) {
	p, err := hardware.ParseProfile([]byte(`{"bios":{"intents":{"nx":true,"ac_recovery":"last"}},"raid":{"volumes":[{"raid_level":"RAID5","disks":["a","b","c"],"spare_count":2,"disk_min_bytes":1e12,"disk_max_bytes":2e12}]},
		"boot":{"mode":"uefi","order":["pxe","Boot0001"],"secure_boot":true}}`))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(hardware.Profile{
		BIOS: &hardware.BIOSProfile{Intents: map[hardware.Intent]string{hardware.NX: "on", hardware.ACRecovery: "last"}},
		RAID: &hardware.RAIDProfile{Volumes: []hardware.VolumeProfile{{RAIDLevel: hardware.RAID5, Disks: []string{"a", "b", "c"}, Spares: 2, DiskMinBytes: 1e12, DiskMaxBytes: 2e12}}},
		Boot: &hardware.BootProfile{Mode: "uefi", Order: []string{"pxe", "Boot0001"}, SecureBoot: "on"},
	}, p))
	resolved, err := p.Resolve()
	require.NoError(t, err)
	require.Equal(t, hardware.DiskCount(3), resolved.RAID.Volumes[0].DiskCount)

	for in, want := range map[string][]string{
		`{"boot":{"target":"moon","mode":"legacy","secure_boot":"yes","order":["none","pxe","pxe",""]}}`: {"/boot/order/3", "/boot/target", "/boot/secure_boot", "/boot/mode", "/boot/order/0", "/boot/order/2"},
		`{"boot":{"mode":"uefi"},"bios":{"intents":{"boot_mode":"bios"}}}`:                               {"/boot/mode"},
		`{"boot":{"mode":"bios","secure_boot":"on"}}`:                                                    {"/boot/secure_boot"},
		`{"boot":{"secure_boot":"on"},"bios":{"intents":{"boot_mode":"bios"}}}`:                          {"/boot/secure_boot"},
		`{"raid":{"volumes":[{"raid_level":"RAID1","disks":["a"]},{"raid_level":"RAID0","disks":["b","b"]},{"raid_level":"RAID0","disks":["a"],"disk_count":2},
			{"raid_level":"RAID0","spare_count":1},{"raid_level":"RAID1","spare_count":-1,"disk_min_bytes":2,"disk_max_bytes":1}]}}`: {"/raid/volumes/4/spare_count", "/raid/volumes/0/disks",
			"/raid/volumes/1/disks/1", "/raid/volumes/2/disk_count", "/raid/volumes/2/disks/0", "/raid/volumes/3/spare_count", "/raid/volumes/4/disk_max_bytes"},
		`{"raid":{"volumes":[{"raid_level":7},"x",{"disk_count":"many"}]},"firmware":["x",{"component":"bios","version":"1"},{"component":"bios","version":"2"}]}`: {"/firmware/0",
			"/raid/volumes/0/raid_level", "/raid/volumes/1", "/raid/volumes/2/disk_count", "/raid/volumes/2/raid_level", "/firmware/2/component"},
	} {
		_, err := hardware.ParseProfile([]byte(in))
		require.Equal(t, want, paths(t, err), "%v", err)
	}
}

// What is wrong with the text says where.
func TestParseProfileSaysWhere(t *testing.T) {
	for in, want := range map[string]string{
		"{\n  \"bios\": {\"set\": \"Storage\",}\n}": "found at line 2, column 29: invalid character '}' looking for beginning of object key string, expected a JSON object",
		"{\"bios\": tru":          "found at line 1, column 13: it ends too early, expected a JSON object",
		"{}\n{}":                  "found at line 2, column 2: text after the document, expected a JSON object",
		"bios:\n  set: Storage\n": "found at line 1, column 1: invalid character 'b' looking for beginning of value, expected a JSON object (a profile is JSON, not YAML)",
		" \n":                     "found nothing, expected a JSON object",
		"\ufeff{}":                "found a byte order mark, expected a JSON object (save it as UTF-8 without one)",
		`[]`:                      "found a list, expected an object",
		`null`:                    "found null, expected an object",
		`{"bios":{"set":"Storage","set":"Hadoop","set":1,"attributes":{"A":1,"A":2}},"bios":{}}`:                                      "/bios/set: found \"set\" twice",
		`{"raid":{"volumes":[{"raid_level":"RAID1","raid_level":"RAID0"}]}}`:                                                          `/raid/volumes/0/raid_level: found "raid_level" twice`,
		`{"raid":{"volumes":[{"raid_level":"RAID1","media":"foo","protocol":"sas"}]}}`:                                                `/raid/volumes/0/media: found "foo", expected one of HDD, SSD`,
		`{"raid":{"volumes":[{"raid_level":"RAID1","protocol":"sax"}]}}`:                                                              `/raid/volumes/0/protocol: found "sax", expected one of SAS, SATA, NVMe`,
		`{"raid":{"volumes":[{"raid_level":"RAID1","bootable":true},{"raid_level":"RAID1"},{"raid_level":"RAID5","bootable":true}]}}`: `/raid/volumes/2/bootable: found true, expected one volume to boot from (volume 0 is it already)`,
	} {
		_, err := hardware.ParseProfile([]byte(in))
		require.ErrorIs(t, err, hardware.ErrInvalid, in)
		require.ErrorContains(t, err, want, in)
	}
	_, err := hardware.ParseProfile([]byte(`{"bios":{"set":"Storage","set":"Hadoop","attributes":{"A":1,"A":2}},"bios":null}`))
	require.Equal(t, []string{"/bios/set", "/bios/attributes/A", "/bios"}, paths(t, err))
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
