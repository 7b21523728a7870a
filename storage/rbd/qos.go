//go:build ceph && cgo

package rbd

import (
	"context"
	"fmt"
	"strconv"
	"syscall"

	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// limits are the fields of a QoS with librbd's configuration keys, which an image carries as
// metadata with the prefix "conf_". librbd of Nautilus or later obeys them wherever the image is
// open, within moments.
func limits(q *storage.QoS) [12]struct {
	key   string
	value *int64
} {
	return [...]struct {
		key   string
		value *int64
	}{
		{"rbd_qos_iops_limit", &q.TotalIOPS},
		{"rbd_qos_read_iops_limit", &q.ReadIOPS},
		{"rbd_qos_write_iops_limit", &q.WriteIOPS},
		{"rbd_qos_bps_limit", &q.TotalBytes},
		{"rbd_qos_read_bps_limit", &q.ReadBytes},
		{"rbd_qos_write_bps_limit", &q.WriteBytes},
		{"rbd_qos_iops_burst", &q.TotalIOPSBurst}, // Cinder writes it to rbd_qos_bps_burst
		{"rbd_qos_read_iops_burst", &q.ReadIOPSBurst},
		{"rbd_qos_write_iops_burst", &q.WriteIOPSBurst},
		{"rbd_qos_bps_burst", &q.TotalBytesBurst},
		{"rbd_qos_read_bps_burst", &q.ReadBytesBurst},
		{"rbd_qos_write_bps_burst", &q.WriteBytesBurst},
	}
}

const (
	confPrefix = "conf_"
	qosPrefix  = confPrefix + "rbd_qos_"
)

// SetQoS writes the limits to the image; its users obey them from then on. Clones do not inherit
// them: librbd would copy them, and Cinder leaves them.
func (d *Driver) SetQoS(ctx context.Context, id string, q storage.QoS) error {
	if err := q.Check(); err != nil {
		return err
	}
	return d.changing(ctx, id, func(_ context.Context, _ *session, image *rbd.Image) error {
		was, err := image.ListMetadata()
		if err != nil {
			return err
		}
		for _, limit := range limits(&q) {
			key, text := confPrefix+limit.key, strconv.FormatInt(*limit.value, 10)
			switch has, limited := was[key]; {
			case *limit.value == 0 && limited:
				err = image.RemoveMetadata(key)
			case *limit.value != 0 && has != text:
				err = image.SetMetadata(key, text)
			}
			if err != nil && !is(err, syscall.ENOENT) {
				return fmt.Errorf("%s: %w", limit.key, err)
			}
		}
		return nil
	})
}

// GetQoS reads the limits from the image.
func (d *Driver) GetQoS(ctx context.Context, id string) (storage.QoS, error) {
	if err := storage.CheckID(id); err != nil {
		return storage.QoS{}, err
	}
	var q storage.QoS
	err := d.do(ctx, call{sees: []string{id}, run: func(_ context.Context, s *session) error {
		view, err := s.view(d.volumes.name(id))
		if err != nil {
			return err
		}
		defer view.Close()
		q, err = getQoS(view)
		return err
	}})
	if err != nil {
		return storage.QoS{}, fmt.Errorf("volume %q: %w", id, err)
	}
	return q, nil
}

func getQoS(image *rbd.Image) (q storage.QoS, err error) {
	all, err := image.ListMetadata()
	if err != nil {
		return q, err
	}
	for _, limit := range limits(&q) {
		text, ok := all[confPrefix+limit.key]
		if !ok {
			continue
		}
		if *limit.value, err = strconv.ParseInt(text, 10, 64); err != nil {
			return q, fmt.Errorf("%s is %.40q, expected a number: %w", limit.key, text, err)
		}
	}
	return q, nil
}
