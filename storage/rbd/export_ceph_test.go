//go:build ceph && cgo

package rbd

import "context"

// Address returns the address of the driver's connection, with which the cluster can shut it out.
func (d *Driver) Address(ctx context.Context) (address string, err error) {
	err = d.do(ctx, call{run: func(_ context.Context, s *session) (err error) {
		address, err = s.conn.GetAddrs()
		return err
	}})
	return address, err
}

// HoldFlattens takes all turns to flatten, until the release.
func (d *Driver) HoldFlattens() (release func()) {
	for range cap(d.flattens.slots) {
		d.flattens.slots <- struct{}{}
	}
	return func() {
		for range cap(d.flattens.slots) {
			<-d.flattens.slots
		}
	}
}
