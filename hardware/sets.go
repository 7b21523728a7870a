package hardware

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// BIOSSets returns the names that BIOSSet knows, Crowbar's.
func BIOSSets() []string {
	return []string{"default", "Virtualization", "Storage", "Hadoop", "HadoopInfra"}
}

// BIOSSet returns one of Crowbar's BIOS sets as intents. Crowbar kept a data bag per
// platform and set; what they change on purpose comes down to these intents. "default"
// leaves everything as it is: Crowbar's were snapshots of whole machines.
func BIOSSet(name string) (*BIOSProfile, error) {
	set, ok := biosSet(name)
	if !ok {
		return nil, fmt.Errorf("%w: no BIOS set %q; known: %s", ErrInvalid, name, strings.Join(BIOSSets(), ", "))
	}
	return &set, nil
}

func biosSet(name string) (BIOSProfile, bool) {
	storage := map[Intent]string{Virtualization: "off", IOMMU: "off", SRIOV: "off"}
	switch name {
	case "default":
		return BIOSProfile{}, true
	case "Virtualization":
		return BIOSProfile{Intents: map[Intent]string{Virtualization: "on", IOMMU: "on", SRIOV: "on"}}, true
	case "Storage":
		return BIOSProfile{Intents: storage}, true
	case "Hadoop":
		hadoop := maps.Clone(storage)
		hadoop[PowerProfile] = "performance"
		return BIOSProfile{Intents: hadoop}, true
	case "HadoopInfra":
		return BIOSProfile{Intents: map[Intent]string{Virtualization: "off", PowerProfile: "performance"}}, true
	}
	return BIOSProfile{}, false
}

// RAIDSets returns the names that RAIDSet knows, Crowbar's.
func RAIDSets() []string {
	return []string{"JBODOnly", "R1_JBOD", "SingleRaid0", "SingleRaid1", "SingleRaid10"}
}

// RAIDSet returns one of Crowbar's RAID sets. SingleRaid1 mirrors the first two disks and
// leaves further ones alone.
func RAIDSet(name string) (*RAIDProfile, error) {
	set, ok := raidSet(name)
	if !ok {
		return nil, fmt.Errorf("%w: no RAID set %q; known: %s", ErrInvalid, name, strings.Join(RAIDSets(), ", "))
	}
	return &set, nil
}

func raidSet(name string) (RAIDProfile, bool) {
	jbod := VolumeProfile{Name: "jbod", RAIDLevel: JBOD, DiskCount: Remaining}
	single := func(level RAIDLevel) (RAIDProfile, bool) {
		return RAIDProfile{Volumes: []VolumeProfile{{Name: "system", RAIDLevel: level, DiskCount: Remaining, Bootable: true}}}, true
	}
	switch name {
	case "JBODOnly":
		return RAIDProfile{Volumes: []VolumeProfile{jbod}}, true
	case "R1_JBOD":
		return RAIDProfile{Volumes: []VolumeProfile{{Name: "system", RAIDLevel: RAID1, DiskCount: 2, Bootable: true}, jbod}}, true
	case "SingleRaid0":
		return single(RAID0)
	case "SingleRaid1":
		return single(RAID1)
	case "SingleRaid10":
		return single(RAID10)
	}
	return RAIDProfile{}, false
}

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = string(v)
	}
	return out
}

func join[T ~string](list []T) string { return strings.Join(texts(list), ", ") }
