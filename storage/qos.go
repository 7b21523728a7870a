package storage

import (
	"cmp"
	"context"
	"fmt"

	"github.com/hashicorp/go-multierror"
)

// Check returns every problem, as ErrInvalid with a JSON Pointer: limits below 0, and bursts
// without their limit or below it, which librbd refuses (TokenBucketThrottle::set_limit).
func (q QoS) Check() error {
	var problems *multierror.Error
	for _, pair := range []struct {
		name         string
		limit, burst int64
	}{
		{"total_iops_sec", q.TotalIOPS, q.TotalIOPSBurst},
		{"read_iops_sec", q.ReadIOPS, q.ReadIOPSBurst},
		{"write_iops_sec", q.WriteIOPS, q.WriteIOPSBurst},
		{"total_bytes_sec", q.TotalBytes, q.TotalBytesBurst},
		{"read_bytes_sec", q.ReadBytes, q.ReadBytesBurst},
		{"write_bytes_sec", q.WriteBytes, q.WriteBytesBurst},
	} {
		if pair.limit < 0 {
			problems = problem(problems, "/"+pair.name, "%d, expected 0 (no limit) or more", pair.limit)
		}
		switch burst := "/" + pair.name + "_max"; {
		case pair.burst < 0:
			problems = problem(problems, burst, "%d, expected 0 (no burst) or more", pair.burst)
		case pair.burst > 0 && pair.limit <= 0:
			problems = problem(problems, burst, "%d without a limit; set %s too", pair.burst, pair.name)
		case pair.burst > 0 && pair.burst < pair.limit:
			problems = problem(problems, burst, "%d, expected at least %s, which is %d", pair.burst, pair.name, pair.limit)
		}
	}
	return problems.ErrorOrNil()
}

// SetQoS is Limiter.SetQoS for a QoS that Check finds nothing in.
func (b *Backend) SetQoS(ctx context.Context, id string, q QoS) error {
	driver, unsupported := feature[Limiter](b)
	if err := q.Check(); err != nil && unsupported == nil {
		unsupported = fmt.Errorf("qos: %w", err)
	}
	o := operation{op: "set qos", id: id, volumes: []string{id}, changes: true, refused: unsupported}
	return b.run(ctx, o, func(ctx context.Context, c *call) error {
		return c.repeat(func() error { return driver.SetQoS(ctx, id, q) })
	})
}

// GetQoS is Limiter.GetQoS.
func (b *Backend) GetQoS(ctx context.Context, id string) (q QoS, err error) {
	driver, unsupported := feature[Limiter](b)
	o := operation{op: "get qos", id: id, refused: cmp.Or(unsupported, CheckID(id))}
	err = b.run(ctx, o, func(ctx context.Context, _ *call) error {
		q, err = driver.GetQoS(ctx, id)
		return err
	})
	return q, err
}
