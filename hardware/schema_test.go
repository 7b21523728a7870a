package hardware_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/hardware"
)

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(hardware.ProfileSchema()))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	require.NoError(t, c.AddResource("profile.json", doc))
	s, err := c.Compile("profile.json")
	require.NoError(t, err)
	return s
}

// beyond are the problems that a schema cannot find, by what they expect.
var beyond = []string{"a name of its own", "a disk once", "as many as it names", "at least disk_min_bytes", "a component once",
	"as /bios/intents/boot_mode has it", "boot mode uefi"}

// accepted reports whether ParseProfile finds nothing that a schema can find.
func accepted(t require.TestingT, data []byte) bool {
	_, err := hardware.ParseProfile(data)
	if err == nil {
		return true
	}
	var invalid *hardware.ValidationError
	require.True(t, errors.As(err, &invalid))
	for _, p := range invalid.Problems {
		known := slices.ContainsFunc(beyond, func(text string) bool { return strings.Contains(p.Expected, text) })
		// How many disks a level takes the schema says of disk_count only, not of the disks named.
		named := strings.HasSuffix(p.Path, "/disks") && strings.Contains(p.Expected, " for RAID")
		// A disk that one volume names twice it does say.
		var volume, disk, other int
		inPath, _ := fmt.Sscanf(p.Path, "/raid/volumes/%d/disks/%d", &volume, &disk)
		inHint, _ := fmt.Sscanf(p.Hint, "volume %d has it", &other)
		if !known && !named || inPath == 2 && inHint == 1 && volume == other {
			return false
		}
	}
	return true
}

// What the schema accepts ParseProfile accepts, and the other way round.
func TestSchemaAndParseProfileAgree(t *testing.T) {
	s := schema(t)
	var yes, no int
	rapid.Check(t, func(t *rapid.T) {
		data, err := json.Marshal(drawProfile(t))
		require.NoError(t, err)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		require.NoError(t, err)
		bySchema, byParser := s.Validate(doc), accepted(t, data)
		if (bySchema == nil) != byParser {
			_, parse := hardware.ParseProfile(data)
			t.Fatalf("%s\nschema: %v\nParseProfile: %v", data, bySchema, parse)
		}
		if byParser {
			yes++
		} else {
			no++
		}
	})
	require.NotZero(t, yes, "no valid profile was drawn")
	require.NotZero(t, no, "no invalid profile was drawn")
}

// Each value that Go knows is one for the schema, and each level has the same numbers of disks.
func TestSchemaKnowsEveryValue(t *testing.T) {
	s := schema(t)
	agree := func(valid bool, format string, args ...any) {
		t.Helper()
		data := fmt.Appendf(nil, format, args...)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		require.NoError(t, err)
		_, parse := hardware.ParseProfile(data)
		if err := s.Validate(doc); valid {
			require.NoError(t, err, "%s", data)
			require.NoError(t, parse)
		} else {
			require.Error(t, err, "%s", data)
			require.Error(t, parse, "%s", data)
		}
	}
	for _, intent := range hardware.Intents() {
		for _, value := range append(intent.Values(), "x") {
			agree(value != "x", `{"bios":{"intents":{%q:%q}}}`, intent, value)
		}
	}
	for _, target := range append(hardware.BootTargets(), "x") {
		agree(target.Valid(), `{"boot":{"target":%q}}`, target)
		agree(target != hardware.BootNone, `{"boot":{"order":[%q]}}`, target)
	}
	for _, level := range append(hardware.RAIDLevels(), "x") {
		for n := -1; n < 12; n++ {
			agree(n > 0 && level.Fit(n) == n, `{"raid":{"volumes":[{"raid_level":%q,"disk_count":%d}]}}`, level, n)
		}
		redundant := level.Valid() && level != hardware.JBOD && level != hardware.RAID0
		agree(redundant, `{"raid":{"volumes":[{"raid_level":%q,"spare_count":1}]}}`, level)
		agree(level.Valid() && level != hardware.JBOD, `{"raid":{"volumes":[{"raid_level":%q,"bootable":true}]}}`, level)
		agree(level.Valid() && level != hardware.JBOD, `{"raid":{"volumes":[{"raid_level":%q,"size_bytes":1}]}}`, level)
	}
}

// Every profile that a program can have as JSON is one for the schema.
func TestSchemaAcceptsWhatIsWritten(t *testing.T) {
	s := schema(t)
	for _, set := range hardware.RAIDSets() {
		for _, bios := range hardware.BIOSSets() {
			p, err := hardware.Profile{BIOS: &hardware.BIOSProfile{Set: bios}, RAID: &hardware.RAIDProfile{Set: set}, Boot: &hardware.BootProfile{}}.Resolve()
			require.NoError(t, err)
			data, err := json.Marshal(p)
			require.NoError(t, err)
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
			require.NoError(t, err)
			require.NoError(t, s.Validate(doc), "%s", data)
		}
	}
}

// drawProfile draws documents of the shape of a profile, now and then with a value that is none.
func drawProfile(t *rapid.T) any {
	wrong := []any{nil, true, "", "x", "on", 0, -1, 1.5, 70000, []any{}, []any{1}, map[string]any{}, map[string]any{"x": nil}}
	// A document has at most a few wrong values, or none would be accepted.
	chance := rapid.SampledFrom([]int{1 << 30, 40, 8}).Draw(t, "chance")
	either := func(v func() any) any {
		if rapid.IntRange(0, chance).Draw(t, "wrong") == 1 {
			return rapid.SampledFrom(wrong).Draw(t, "value")
		}
		return v()
	}
	of := func(values ...any) func() any {
		return func() any { return rapid.SampledFrom(values).Draw(t, "of") }
	}
	object := func(fields map[string]func() any, required ...string) func() any {
		return func() any {
			out := map[string]any{}
			names := make([]string, 0, len(fields))
			for name := range fields {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				if slices.Contains(required, name) || rapid.IntRange(0, 2).Draw(t, name) == 0 {
					out[name] = either(fields[name])
				}
			}
			if rapid.IntRange(0, chance).Draw(t, "unknown") == 1 {
				out["unknown"] = nil
			}
			return out
		}
	}
	list := func(most int, item func() any) func() any {
		return func() any {
			out := []any{}
			for range rapid.IntRange(0, most).Draw(t, "items") {
				out = append(out, either(item))
			}
			return out
		}
	}
	level := make([]any, 0, 8)
	for _, l := range hardware.RAIDLevels() {
		level = append(level, string(l))
	}
	serial := func() any { return fmt.Sprint("S", rapid.IntRange(0, 9).Draw(t, "serial")) }
	onOff := of("on", "off", true, false, "enabled", "disabled")
	return either(object(map[string]func() any{
		"bios": object(map[string]func() any{
			"set": of("default", "Virtualization", "Storage", "Hadoop", "HadoopInfra"),
			"intents": object(map[string]func() any{"virtualization": onOff, "iommu": onOff, "sriov": onOff, "smt": onOff, "nx": onOff,
				"boot_mode": of("uefi", "bios"), "power_profile": of("performance", "balanced"), "ac_recovery": of("on", "off", "last", true)}),
			"attributes": object(map[string]func() any{"A": of("x", "", 1, 1.5, true)}),
		}),
		"raid": object(map[string]func() any{
			"set": of("JBODOnly", "R1_JBOD", "SingleRaid0", "SingleRaid1", "SingleRaid10"),
			"volumes": list(2, object(map[string]func() any{
				"name": of("a", "b", ""), "raid_level": of(level...), "disk_count": of("remaining", 1, 2, 3, 4, 5, 6, 8, 8.0, 65536),
				"disks": list(3, serial), "bootable": of(true, false), "size_bytes": of(0, 1, 1e12, int64(1)<<62), "controller": of("c", ""),
				"media": of("SSD", "hdd", "tape"), "protocol": of("SAS", "nvme", "fc"), "disk_min_bytes": of(0, 5), "disk_max_bytes": of(0, 4, 6), "spare_count": of(0, 1, 2),
			}, "raid_level")),
		}),
		"boot": object(map[string]func() any{"target": of("none", "pxe", "http", "disk", "cd", "usb"), "mode": of("uefi", "bios"),
			"secure_boot": onOff, "order": list(3, of("pxe", "disk", "Boot0001", "none"))}),
		"firmware": list(2, object(map[string]func() any{"component": of("bios", "bmc"), "version": of("1")}, "component", "version")),
	}))
}
