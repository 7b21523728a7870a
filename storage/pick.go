package storage

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Round returns the size that a volume has for which sizeBytes were asked.
func (s *Stats) Round(sizeBytes int64) int64 {
	if s.UnitBytes <= 1 {
		return sizeBytes
	}
	if rest := sizeBytes % s.UnitBytes; rest != 0 {
		return sizeBytes - rest + s.UnitBytes
	}
	return sizeBytes
}

// DefaultOverSubscription is Cinder's max_over_subscription_ratio.
const DefaultOverSubscription = 20.0

// reserved is what must stay free.
func (s *Stats) reserved() int64 {
	percent := int64(min(max(s.ReservedPercentage, 0), 100))
	return s.TotalBytes/100*percent + s.TotalBytes%100*percent/100
}

func (s *Stats) overSubscription() float64 {
	if s.MaxOverSubscription == 0 {
		return DefaultOverSubscription
	}
	return s.MaxOverSubscription
}

// VirtualFreeBytes is what can still be promised to volumes: where they are thin, TotalBytes
// times the over-subscription ratio, less what was provisioned and what is reserved; else
// FreeBytes less what is reserved. It can be negative. Back ends are weighed by it, as in
// Cinder's CapacityWeigher (cinder/utils.py, calculate_virtual_free_capacity).
func (s *Stats) VirtualFreeBytes() int64 {
	if !s.Thin {
		return s.FreeBytes - s.reserved()
	}
	return bytesOf(float64(s.TotalBytes)*s.overSubscription() - float64(s.ProvisionedBytes) - float64(s.reserved()))
}

// Fits returns nil if a volume of sizeBytes fits, or an ErrNoSpace that says what is in the way.
// The rules are those of Cinder's CapacityFilter
// (cinder/scheduler/filters/capacity_filter.py): thick volumes must fit into what is free beside
// the reserve; thin ones must keep the provisioned within the over-subscription ratio, and the
// free bytes beside the reserve, times the ratio, must hold them.
func (s *Stats) Fits(sizeBytes int64) error {
	size := s.Round(sizeBytes)
	free := s.FreeBytes - s.reserved()
	if !s.Thin {
		if size > free {
			return fmt.Errorf("%w: %d bytes needed, %d bytes free beside the reserve of %d%%", ErrNoSpace, size, free, s.ReservedPercentage)
		}
		return nil
	}
	ratio := s.overSubscription()
	switch provisioned := (float64(s.ProvisionedBytes) + float64(size)) / float64(s.TotalBytes); {
	case ratio < 1:
		return fmt.Errorf("%w: over-subscription ratio %g, expected 1 or more", ErrNoSpace, ratio)
	case s.TotalBytes <= 0:
		return fmt.Errorf("%w: no capacity at all", ErrNoSpace)
	case provisioned > ratio:
		return fmt.Errorf("%w: it would be provisioned %.2f times, at most %g", ErrNoSpace, provisioned, ratio)
	case float64(size) > float64(free)*ratio:
		return fmt.Errorf("%w: %d bytes needed, %d bytes free beside the reserve of %d%%, taken %g times", ErrNoSpace, size, free, s.ReservedPercentage, ratio)
	}
	return nil
}

// bytesOf rounds down, within what an int64 can hold.
func bytesOf(f float64) int64 {
	return int64(math.Floor(min(max(f, -(1<<62)), 1<<62)))
}

// Cinder returns the stats as a Cinder driver's _update_volume_stats has them: sizes in GiB with
// two decimals, protocols as "iSCSI" and "ceph". driver_version and what belongs to one driver
// alone, such as location_info, are left to the caller.
func (s *Stats) Cinder(backend string) map[string]any {
	gib := func(bytes int64) float64 { return math.Round(float64(bytes)/(1<<30)*100) / 100 }
	protocol, known := map[string]string{"iscsi": "iSCSI", "rbd": "ceph"}[s.Protocol]
	if !known {
		protocol = s.Protocol
	}
	return map[string]any{
		"volume_backend_name":         backend,
		"vendor_name":                 s.Vendor,
		"storage_protocol":            protocol,
		"total_capacity_gb":           gib(s.TotalBytes),
		"free_capacity_gb":            gib(s.FreeBytes),
		"provisioned_capacity_gb":     gib(s.ProvisionedBytes),
		"reserved_percentage":         s.ReservedPercentage,
		"max_over_subscription_ratio": s.overSubscription(),
		"thin_provisioning_support":   s.Thin,
		"thick_provisioning_support":  !s.Thin,
		"total_volumes":               s.Volumes,
		"multiattach":                 s.Multiattach,
		"QoS_support":                 s.QoS,
	}
}

// Pick returns the back end on which a volume of sizeBytes Fits and leaves the most
// VirtualFreeBytes, the first by name among equals. ErrNoSpace: it fits on none, and why not.
// ErrInvalid: a size below 1.
//
// It is pure, and sees only the stats it is given: to repeat a creation, repeat it on the
// back end that was picked.
func Pick(stats map[string]*Stats, sizeBytes int64) (backend string, err error) {
	if err := checkSize(sizeBytes); err != nil {
		return "", err
	}
	found := false
	var best int64
	var reasons []string
	for _, name := range slices.Sorted(maps.Keys(stats)) {
		s := stats[name]
		if s == nil {
			reasons = append(reasons, name+": no stats")
			continue
		}
		if err := s.Fits(sizeBytes); err != nil {
			reasons = append(reasons, name+": "+strings.TrimPrefix(err.Error(), ErrNoSpace.Error()+": "))
			continue
		}
		if left := s.VirtualFreeBytes() - s.Round(sizeBytes); !found || left > best {
			found, backend, best = true, name, left
		}
	}
	if !found {
		return "", fmt.Errorf("%w for %d bytes on any of %d back ends: %s", ErrNoSpace, sizeBytes, len(stats), strings.Join(reasons, "; "))
	}
	return backend, nil
}
