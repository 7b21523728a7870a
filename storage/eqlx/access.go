package eqlx

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
)

// initiatorPattern is what an initiator may be called (RFC 3721 §1.1), and "_", which some are.
var initiatorPattern = regexp.MustCompile(`^(?i:iqn|eui|naa)\.[A-Za-z0-9.:_-]{1,219}$`)

func checkInitiator(c storage.Connector) error {
	if c.Initiator == "" {
		return fmt.Errorf("%w: host %.80q without an initiator; a group knows machines by their iSCSI names, such as iqn.1993-08.org.debian:01:a0b1", storage.ErrInvalid, c.Host)
	}
	if !initiatorPattern.MatchString(c.Initiator) {
		return fmt.Errorf("%w: initiator %.80q of host %.80q, expected an iSCSI name such as iqn.1993-08.org.debian:01:a0b1", storage.ErrInvalid, c.Initiator, c.Host)
	}
	return nil
}

// access returns a volume's access records.
func (d *Driver) access(ctx context.Context, name string) ([]accessRecord, error) {
	lines, _, err := d.send(ctx, reads, volume(name, lit("access show"))...)
	if err != nil {
		return nil, err
	}
	return parseAccess(lines), nil
}

// Connect gives the initiator an access record, if it has none, and returns the target. Two
// commands; three where a record is made. Records are compared before one is made, as a
// second for the same initiator would outlive Disconnect of Cinder's driver.
func (d *Driver) Connect(ctx context.Context, id string, c storage.Connector) (*storage.Connection, error) {
	if err := checkIDs(id); err != nil {
		return nil, err
	}
	if err := checkInitiator(c); err != nil {
		return nil, err
	}
	portal, err := d.target(ctx)
	if err != nil {
		return nil, about(id, err)
	}
	name := d.volumes.name(id)
	v, err := d.show(ctx, name)
	if err != nil {
		return nil, about(id, err)
	}
	if v.iqn == "" {
		return nil, about(id, &ReplyError{Command: "volume select " + name + " show", Missing: "iSCSI Name"})
	}
	records, err := d.access(ctx, name)
	if err != nil {
		return nil, about(id, err)
	}
	right, wrong := false, []accessRecord(nil)
	for _, r := range records {
		switch {
		case !strings.EqualFold(r.initiator, c.Initiator) || !r.reaches(c):
		case d.fits(r):
			right = true
		default:
			wrong = append(wrong, r)
		}
	}
	if !right {
		if err := d.allow(ctx, name, c.Initiator); err != nil {
			return nil, about(id, err)
		}
	}
	// A record from before CHAP was turned on would let the initiator in without it.
	if err := d.revoke(ctx, name, wrong); err != nil {
		if !right {
			err = later(err)
		}
		return nil, about(id, err)
	}
	target := &storage.ISCSI{TargetPortal: portal, TargetIQN: v.iqn, VolumeID: id, Discard: true}
	if d.config.CHAP {
		target.AuthMethod, target.AuthUsername, target.AuthPassword = "CHAP", d.config.CHAPUsername, d.chap()
	}
	return &storage.Connection{ISCSI: target}, nil
}

// fits reports whether a record asks of an initiator what the options ask.
func (d *Driver) fits(r accessRecord) bool {
	if !d.config.CHAP {
		return r.method != "chap"
	}
	// A user name may be cut or blank in the table.
	return r.method == "chap" && strings.HasPrefix(d.config.CHAPUsername, r.username)
}

// reaches reports whether a record lets an initiator at its address to the volume itself; others
// are for its snapshots, or for other addresses, and stay as they are.
func (r accessRecord) reaches(c storage.Connector) bool {
	address := r.address == "" || r.address == "*.*.*.*" || r.address == c.Address
	return address && (r.applies == "" || r.applies == "both" || r.applies == "volume")
}

func (d *Driver) allow(ctx context.Context, name, initiator string) error {
	parts := volume(name, lit("access create initiator"), arg(initiator))
	if d.config.CHAP {
		parts = append(parts, lit("authmethod chap username"), arg(d.config.CHAPUsername))
	}
	return d.do(ctx, changes, parts...)
}

// revoke deletes records, the last first: should a group number them anew, the others keep
// their numbers.
func (d *Driver) revoke(ctx context.Context, name string, records []accessRecord) error {
	for i := len(records) - 1; i >= 0; i-- {
		err := d.do(ctx, changes, volume(name, lit("access delete"), arg(records[i].id))...)
		if err != nil && !errors.Is(err, storage.ErrNotFound) {
			if i < len(records)-1 {
				err = later(err)
			}
			return err
		}
	}
	return nil
}

// Disconnect deletes every access record of the initiator, whoever made it, for whatever address and
// whether for the volume or its snapshots: what stayed would let the initiator in, or be in the way of
// Delete. Those of others stay, as in a live migration two machines have the volume.
func (d *Driver) Disconnect(ctx context.Context, id string, c storage.Connector) error {
	if err := checkIDs(id); err != nil {
		return err
	}
	if err := checkInitiator(c); err != nil {
		return err
	}
	name := d.volumes.name(id)
	if _, err := d.show(ctx, name); err != nil {
		return about(id, err)
	}
	records, err := d.access(ctx, name)
	if err != nil {
		return about(id, err)
	}
	var own []accessRecord
	for _, r := range records {
		if strings.EqualFold(r.initiator, c.Initiator) {
			own = append(own, r)
		}
	}
	return about(id, d.revoke(ctx, name, own))
}
