package hardware

import (
	"fmt"
	"slices"
	"strings"
)

// Resolve returns the profile with its sets expanded, the set's settings overridden by the
// profile's own, volumes named and disks counted. The error is a *ValidationError.
func (p Profile) Resolve() (Profile, error) {
	var ps problems
	resolved := p.Clone().resolve(&ps)
	return resolved, ps.err()
}

func (p Profile) resolve(ps *problems) Profile {
	out := Profile{Boot: p.Boot, Firmware: p.Firmware}
	if p.BIOS != nil {
		out.BIOS = p.BIOS.resolve(ps)
	}
	if p.RAID != nil {
		out.RAID = p.RAID.resolve(ps)
	}
	if p.Boot != nil {
		p.Boot.check(out.BIOS, ps)
	}
	seen := map[string]int{}
	for i, f := range p.Firmware {
		at := fmt.Sprintf("/firmware/%d/", i)
		if f.Component == "" {
			ps.add(at+"component", "nothing", `"bios", "bmc" or another component`, "")
		} else if other, twice := seen[f.Component]; twice {
			ps.add(at+"component", fmt.Sprintf("%q", f.Component), "a component once", fmt.Sprintf("/firmware/%d has it too", other))
		}
		seen[f.Component] = i
		if f.Version == "" {
			ps.add(at+"version", "nothing", "a version", "")
		}
	}
	return out
}

func (b BIOSProfile) resolve(ps *problems) *BIOSProfile {
	out := &BIOSProfile{Intents: map[Intent]string{}, Attributes: b.Attributes}
	if b.Set != "" {
		set, ok := biosSet(b.Set)
		if !ok {
			ps.add("/bios/set", fmt.Sprintf("%q", b.Set), strings.Join(BIOSSets(), ", "), "")
		}
		for intent, value := range set.Intents {
			out.Intents[intent] = value
		}
	}
	for _, intent := range sortedKeys(b.Intents) {
		value, path := b.Intents[intent], "/bios/intents/"+pointer(string(intent))
		allowed := intent.Values()
		switch {
		case allowed == nil:
			ps.add(path, fmt.Sprintf("%q", intent), "one of "+join(Intents()), "vendor attributes go under /bios/attributes")
		case !slices.Contains(allowed, value):
			ps.add(path, fmt.Sprintf("%q", value), strings.Join(allowed, " or "), "")
		default:
			out.Intents[intent] = value
		}
	}
	for _, name := range sortedKeys(b.Attributes) {
		if _, ok := scalar(b.Attributes[name]); !ok {
			ps.add("/bios/attributes/"+pointer(name), kind(b.Attributes[name]), "a string, number or boolean", "")
		}
	}
	return out
}

func (b BootProfile) check(bios *BIOSProfile, ps *problems) {
	oneOf := func(path, value string, allowed []string) bool {
		if value == "" || slices.Contains(allowed, value) {
			return true
		}
		ps.add(path, fmt.Sprintf("%q", value), "one of "+strings.Join(allowed, ", "), "")
		return false
	}
	oneOf("/boot/target", string(b.Target), texts(BootTargets()))
	oneOf("/boot/secure_boot", b.SecureBoot, []string{"on", "off"})
	mode, intent := b.Mode, ""
	if bios != nil {
		intent = bios.Intents[BootMode]
	}
	if oneOf("/boot/mode", b.Mode, BootMode.Values()) && b.Mode != "" && intent != "" && intent != b.Mode {
		ps.add("/boot/mode", fmt.Sprintf("%q", b.Mode), fmt.Sprintf("%q, as /bios/intents/boot_mode has it", intent), "they are the same wish; say it once")
	}
	if mode == "" {
		mode = intent
	}
	if b.SecureBoot == "on" && mode == "bios" {
		ps.add("/boot/secure_boot", `"on" with boot mode bios`, "boot mode uefi", "only UEFI has secure boot")
	}
	for i, item := range b.Order {
		path := fmt.Sprintf("/boot/order/%d", i)
		switch {
		case item == "" || item == string(BootNone):
			ps.add(path, fmt.Sprintf("%q", item), "a boot target such as pxe or disk, or the reference of a boot option", "")
		case slices.Contains(b.Order[:i], item):
			ps.add(path, fmt.Sprintf("%q", item), "an entry once", "")
		}
	}
}

func (r RAIDProfile) resolve(ps *problems) *RAIDProfile {
	out := &RAIDProfile{Volumes: slices.Clone(r.Volumes)}
	if r.Set != "" {
		set, ok := raidSet(r.Set)
		if !ok {
			ps.add("/raid/set", fmt.Sprintf("%q", r.Set), strings.Join(RAIDSets(), ", "), "")
		}
		if len(r.Volumes) > 0 {
			ps.add("/raid/volumes", plural(len(r.Volumes), "volume")+" beside a set", "either a set or volumes", "")
		}
		out.Volumes = set.Volumes
	}
	names, disks, bootable := map[string]int{}, map[string]int{}, -1
	for i := range out.Volumes {
		v, path := &out.Volumes[i], fmt.Sprintf("/raid/volumes/%d", i)
		v.resolve(path, ps)
		if v.Name == "" {
			v.Name = fmt.Sprintf("vol%d", i)
		}
		if other, taken := names[v.Name]; taken {
			ps.add(path+"/name", fmt.Sprintf("%q", v.Name), "a name of its own", fmt.Sprintf("volume %d has it too", other))
		}
		names[v.Name] = i
		if v.Bootable && bootable >= 0 {
			ps.add(path+"/bootable", "true", "one volume to boot from", fmt.Sprintf("volume %d is it already", bootable))
		} else if v.Bootable {
			bootable = i
		}
		for j, disk := range v.Disks {
			if disk == "" {
				ps.add(fmt.Sprintf("%s/disks/%d", path, j), "an empty string", "a disk's serial number, WWN or ID", "")
			} else if other, taken := disks[disk]; taken {
				ps.add(fmt.Sprintf("%s/disks/%d", path, j), fmt.Sprintf("%q", disk), "a disk once", fmt.Sprintf("volume %d has it already", other))
			}
			disks[disk] = i
		}
	}
	return out
}

// resolve checks one volume and counts the disks it names.
func (v *VolumeProfile) resolve(path string, ps *problems) {
	bad := func(field, found, expected, hint string) { ps.add(path+"/"+field, found, expected, hint) }
	field := "disk_count"
	switch named := len(v.Disks); {
	case named > 0 && v.DiskCount == Remaining:
		v.DiskCount, field = DiskCount(named), "disks"
	case named > 0 && int(v.DiskCount) != named:
		bad("disk_count", fmt.Sprint(int(v.DiskCount)), fmt.Sprintf("%d, as many as it names", named), "leave it out beside disks")
	}
	count := int(v.DiskCount)
	switch {
	case !v.RAIDLevel.Valid():
		bad("raid_level", fmt.Sprintf("%q", v.RAIDLevel), "one of "+join(RAIDLevels()), "")
	case count < 0 || count > maxDisks:
		bad(field, fmt.Sprint(count), diskCountRule, "")
	case count > 0 && v.RAIDLevel.Fit(count) != count:
		bad(field, plural(count, "disk"), v.RAIDLevel.diskRule(), "")
	}
	for _, n := range []struct {
		field string
		bytes int64
		zero  string
	}{{"size_bytes", v.SizeBytes, "all"}, {"disk_min_bytes", v.DiskMinBytes, "no limit"}, {"disk_max_bytes", v.DiskMaxBytes, "no limit"}} {
		if n.bytes < 0 {
			bad(n.field, fmt.Sprint(n.bytes), "a number of bytes, or 0 for "+n.zero, "")
		}
	}
	for _, k := range []struct {
		field, value string
		allowed      []string
	}{{"media", v.Media, []string{"HDD", "SSD"}}, {"protocol", v.Protocol, []string{"SAS", "SATA", "NVMe"}}} {
		if k.value != "" && !slices.ContainsFunc(k.allowed, func(s string) bool { return strings.EqualFold(s, k.value) }) {
			bad(k.field, fmt.Sprintf("%q", k.value), "one of "+strings.Join(k.allowed, ", "), "")
		}
	}
	if v.DiskMaxBytes > 0 && v.DiskMaxBytes < v.DiskMinBytes {
		bad("disk_max_bytes", fmt.Sprint(v.DiskMaxBytes), fmt.Sprintf("at least disk_min_bytes, %d", v.DiskMinBytes), "")
	}
	if v.Spares < 0 || v.Spares > maxDisks {
		bad("spare_count", fmt.Sprint(v.Spares), "a number of disks", "")
	}
	if v.RAIDLevel == JBOD && (v.Bootable || v.SizeBytes > 0) {
		bad("raid_level", "JBOD with bootable or size_bytes", "neither: JBOD makes no volume", "")
	}
	if v.Spares > 0 && v.RAIDLevel.Valid() && !v.RAIDLevel.redundant() {
		bad("spare_count", plural(v.Spares, "spare")+" for "+string(v.RAIDLevel), "a level that survives the loss of a disk", "")
	}
}

// maxDisks bounds the numbers of disks in a profile; no controller comes near.
const maxDisks = 1 << 16

const diskCountRule = `a positive number or "remaining"`

// diskRule says in words which numbers of disks Fit leaves as they are.
func (l RAIDLevel) diskRule() string {
	switch l {
	case RAID1:
		return "2 disks for RAID1"
	case RAID10, RAID50, RAID60:
		return fmt.Sprintf("an even number of at least %d disks for %s", l.MinDisks(), l)
	}
	return fmt.Sprintf("at least %s for %s", plural(l.MinDisks(), "disk"), l)
}
