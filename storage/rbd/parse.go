package rbd

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strings"
)

// What the monitors answer, as far as it is needed. Ceph adds fields with every release.

// errNotReady: the manager's first digest is not out yet. The monitors then know no usage and
// deny that pools have a quota.
var errNotReady = errors.New("rbd: the cluster has no statistics yet; its manager has just started or does not run")

// monAddresses reads "mon dump": hosts and ports of msgr v1, which is what clients of any age
// speak, or of v2 for a monitor that has nothing else.
func monAddresses(raw []byte) (hosts, ports []string, err error) {
	var dump struct {
		Mons []struct {
			Addr    string `json:"addr"` // v1, with a nonce: 192.0.2.1:6789/0
			Address struct {
				Vector []struct {
					Type string `json:"type"`
					Addr string `json:"addr"`
				} `json:"addrvec"`
			} `json:"public_addrs"`
		} `json:"mons"`
	}
	if err := json.Unmarshal(raw, &dump); err != nil {
		return nil, nil, fmt.Errorf("rbd: mon dump: %w", err)
	}
	for _, mon := range dump.Mons {
		candidates := []string{mon.Addr}
		for _, a := range mon.Address.Vector {
			candidates = append(candidates, a.Addr)
		}
		for _, candidate := range candidates {
			host, port, err := splitAddress(candidate)
			if err == nil {
				hosts, ports = append(hosts, host), append(ports, port)
				break
			}
		}
	}
	if len(hosts) == 0 {
		return nil, nil, errors.New("rbd: mon dump: no monitor with an address")
	}
	return hosts, ports, nil
}

// splitAddress reads "192.0.2.1:6789/0" and "[2001:db8::1]:6789/0". Port 0 is no address.
func splitAddress(s string) (host, port string, err error) {
	s, _, _ = strings.Cut(s, "/")
	if host, port, err = net.SplitHostPort(s); err != nil {
		return "", "", err
	}
	a, err := netip.ParseAddrPort(s)
	if err != nil {
		return "", "", err
	}
	if a.Port() == 0 {
		return "", "", fmt.Errorf("address %s has no port", s)
	}
	return host, port, nil
}

// usage is what a pool holds and can hold.
type usage struct {
	used, available int64 // of the pool
	cluster         int64 // size of the cluster
}

// parseDF reads "df".
func parseDF(raw []byte, pool string) (usage, error) {
	var df struct {
		Stats struct {
			TotalBytes float64 `json:"total_bytes"`
		} `json:"stats"`
		Pools []struct {
			Name  string `json:"name"`
			Stats struct {
				Stored    *float64 `json:"stored"` // without replicas; from Nautilus on
				BytesUsed float64  `json:"bytes_used"`
				MaxAvail  float64  `json:"max_avail"`
			} `json:"stats"`
		} `json:"pools"`
	}
	if err := json.Unmarshal(raw, &df); err != nil {
		return usage{}, fmt.Errorf("rbd: df: %w", err)
	}
	for _, p := range df.Pools {
		if p.Name != pool {
			continue
		}
		used := p.Stats.BytesUsed
		if p.Stats.Stored != nil {
			used = *p.Stats.Stored
		}
		u := usage{used: bytesOf(used), available: bytesOf(p.Stats.MaxAvail), cluster: bytesOf(df.Stats.TotalBytes)}
		if u.cluster == 0 {
			return usage{}, errNotReady
		}
		return u, nil
	}
	return usage{}, errNotReady
}

// parseQuota reads "osd pool get-quota"; 0 is none.
func parseQuota(raw []byte) (int64, error) {
	var quota struct {
		MaxBytes float64 `json:"quota_max_bytes"`
	}
	if err := json.Unmarshal(raw, &quota); err != nil {
		return 0, fmt.Errorf("rbd: osd pool get-quota: %w", err)
	}
	return bytesOf(quota.MaxBytes), nil
}

// bytesOf reads a number that Ceph may write as a float.
func bytesOf(f float64) int64 {
	switch {
	case !(f > 0):
		return 0
	case f >= math.MaxInt64:
		return math.MaxInt64
	}
	return int64(f)
}

// capacity makes Cinder's two numbers of it.
func (u usage) capacity(quota int64, static bool) (total, free int64) {
	switch {
	case quota > 0:
		total, free = quota, min(quota-u.used, u.available)
	case static:
		total, free = u.cluster, u.available
	default:
		total, free = u.used+u.available, u.available
	}
	return max(total, 0), min(max(free, 0), max(total, 0))
}

// knowsCloneV2 reads "osd get-require-min-compat-client". Clone v2 came with Mimic, and releases are
// in the order of the alphabet; "unknown" is a cluster that was never told.
func knowsCloneV2(release string) bool {
	release = strings.TrimSpace(release)
	return release >= "mimic" && release != "unknown" && !strings.Contains(release, " ")
}
