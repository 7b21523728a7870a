//go:build ceph && cgo

package rbd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

const (
	// sizesFresh is how long a size is trusted that was not seen to change. The pool is this
	// driver's, but another process may have one too.
	sizesFresh = 10 * time.Minute
	// refreshed sizes per call keep the cost of stats bounded.
	refreshed = 32
)

// capacity asks the monitors for what the pool holds and can hold.
func (s *session) capacity(static bool) (storage.Stats, error) {
	raw, err := s.command("df", nil)
	if err != nil {
		return storage.Stats{}, err
	}
	u, err := parseDF(raw, s.pool)
	if err != nil {
		return storage.Stats{}, err
	}
	raw, err = s.command("osd pool get-quota", map[string]string{"pool": s.pool})
	if is(err, syscall.ENOENT) {
		return storage.Stats{}, errNotReady // the pool is there: it is open
	}
	if err != nil {
		return storage.Stats{}, err
	}
	quota, err := parseQuota(raw)
	if err != nil {
		return storage.Stats{}, err
	}
	total, free := u.capacity(quota, static)
	return storage.Stats{TotalBytes: total, FreeBytes: free}, nil
}

// Stats returns capacities as Cinder's driver computes them. Volumes are counted by their names.
// In a pool of its own the driver opens each image once and remembers its size; in a SharedPool
// the sizes are those of all images in it, asked for anew each time.
func (d *Driver) Stats(ctx context.Context) (*storage.Stats, error) {
	var stats storage.Stats
	err := d.do(ctx, call{run: func(ctx context.Context, s *session) (err error) {
		if stats, err = s.capacity(d.config.StaticTotalCapacity); err != nil {
			return err
		}
		all, err := rbd.GetImageNames(s.io)
		if err != nil {
			return fmt.Errorf("rbd: list pool %q: %w", s.pool, err)
		}
		names := d.ours(all)
		stats.Volumes = len(names)
		if !d.config.SharedPool {
			stats.ProvisionedBytes, err = d.provisioned(ctx, s, names)
			return err
		}
		pool, err := rbd.GetAllPoolStats(s.io)
		stats.ProvisionedBytes = int64(pool[rbd.PoolStatOptionImageProvisionedBytes])
		return err
	}})
	if err != nil {
		return nil, fmt.Errorf("stats of pool %q: %w", d.config.Pool, err)
	}
	stats.UnitBytes = unitBytes
	stats.Protocol = "rbd"
	stats.Thin = true
	stats.MaxOverSubscription = d.config.MaxOverSubscription
	stats.ReservedPercentage = d.config.ReservedPercentage
	stats.Vendor = "Open Source"
	stats.Multiattach = true
	stats.QoS = true
	return &stats, nil
}

// ours are the names that are volumes'.
func (d *Driver) ours(all []string) []string {
	return slices.DeleteFunc(all, func(name string) bool { _, ok := d.volumes.id(name); return !ok })
}

// provisioned adds up sizes. It looks at images whose size it does not know, and at a few of
// those it has known for long.
func (d *Driver) provisioned(ctx context.Context, s *session, names []string) (sum int64, err error) {
	now := d.clock.Now()
	var look []string
	d.sizes.mu.Lock()
	there := make(map[string]bool, len(names))
	old := 0
	for _, name := range names {
		there[name] = true
		if k, ok := d.sizes.known[name]; !ok {
			look = append(look, name)
		} else if now.Sub(k.at) > sizesFresh && old < refreshed {
			old++
			look = append(look, name)
		}
	}
	for name := range d.sizes.known { // what others deleted
		if !there[name] {
			delete(d.sizes.known, name)
		}
	}
	d.sizes.mu.Unlock()
	seen, err := d.measure(ctx, s, look)
	if err != nil {
		return 0, err
	}
	d.sizes.mu.Lock()
	defer d.sizes.mu.Unlock()
	for _, name := range look {
		if size, ok := seen[name]; ok {
			if k, ok := d.sizes.known[name]; !ok || !k.at.After(now) { // else it has just been changed
				d.sizes.known[name] = known{size, now}
			}
		} else {
			delete(d.sizes.known, name)
		}
	}
	for _, name := range names {
		sum += d.sizes.known[name].size
	}
	return sum, nil
}

// measure opens images, several at once, and returns the sizes of those that are there. One
// that is broken is left out and logged: it must not hide the others.
func (d *Driver) measure(ctx context.Context, s *session, names []string) (map[string]int64, error) {
	sizes := make(map[string]int64, len(names))
	var mu sync.Mutex
	var failed error
	next := 0
	work := func() {
		for {
			mu.Lock()
			if failed == nil {
				failed = ctx.Err()
			}
			if failed != nil || next == len(names) {
				mu.Unlock()
				return
			}
			name := names[next]
			next++
			mu.Unlock()
			size, err := s.size(name)
			mu.Lock()
			switch {
			case err == nil:
				sizes[name] = size
			case is(err, syscall.ENOENT): // deleted meanwhile, or a wreck
			case is(err, syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.ESHUTDOWN):
				failed = cmp.Or(failed, fmt.Errorf("image %q: %w", name, err))
			default:
				d.log.Warn("broken image left out", "image", name, "error", err)
			}
			mu.Unlock()
		}
	}
	var helpers sync.WaitGroup
	for range min(len(names)-1, cap(d.workers.slots)-1) {
		select { // with slots that nobody else needs now
		case d.workers.slots <- struct{}{}:
			helpers.Go(func() {
				defer func() { <-d.workers.slots }()
				work()
			})
		default:
		}
	}
	work()
	helpers.Wait()
	return sizes, failed
}

// List lists volumes. The names come from the pool's directory, the sizes from the images.
func (d *Driver) List(ctx context.Context, after string, limit int) ([]storage.Volume, error) {
	var volumes []storage.Volume
	err := d.do(ctx, call{run: func(ctx context.Context, s *session) error {
		all, err := rbd.GetImageNames(s.io)
		if err != nil {
			return err
		}
		ids := []string{}
		for _, name := range all {
			if id, ok := d.volumes.id(name); ok && id > after {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		// What is gone when it is measured makes room for the next ones.
		for len(ids) > 0 && len(volumes) < limit {
			page := ids[:min(limit-len(volumes), len(ids))]
			ids = ids[len(page):]
			names := make([]string, len(page))
			for i, id := range page {
				names[i] = d.volumes.name(id)
			}
			sizes, err := d.measure(ctx, s, names)
			if err != nil {
				return err
			}
			for i, id := range page {
				if size, ok := sizes[names[i]]; ok {
					volumes = append(volumes, *d.volume(id, size))
				}
			}
		}
		return nil
	}})
	if err != nil {
		return nil, fmt.Errorf("list pool %q: %w", d.config.Pool, err)
	}
	return volumes, nil
}
