package eqlx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
)

// The descriptions that Cinder's driver gives. Its Unmanage leaves the name; ours must change
// it, as the name is what makes a volume this driver's.
const (
	managed   literal = `"OpenStack Managed"`
	unmanaged literal = `"OpenStack UnManaged"`
	released          = "unmanaged-"
)

// Manageable lists volumes whose names are not of the template, with one command.
func (d *Driver) Manageable(ctx context.Context, after string, limit int) ([]storage.Manageable, error) {
	if limit < 1 {
		return nil, fmt.Errorf("%w: limit %d", storage.ErrInvalid, limit)
	}
	rows, err := d.rows(ctx)
	if err != nil {
		return nil, err
	}
	found := []storage.Manageable{}
	for _, r := range rows {
		if _, ours, _ := d.volumes.id(r.name); ours || r.name <= after {
			continue
		}
		m := storage.Manageable{Name: r.name, SizeBytes: r.size}
		switch {
		case checkWord(r.name) != nil:
			m.Reason = "its name cannot be put into a command safely; rename it on the group"
		case r.connections > 0:
			m.Reason = fmt.Sprintf("%d iSCSI connections", r.connections)
		}
		found = append(found, m)
	}
	slices.SortFunc(found, func(a, b storage.Manageable) int { return strings.Compare(a.Name, b.Name) })
	return found[:min(limit, len(found))], nil
}

// Manage renames a volume to the template and describes it as managed; its target name stays.
func (d *Driver) Manage(ctx context.Context, id, name string) (*storage.Volume, error) {
	if err := checkIDs(id); err != nil {
		return nil, err
	}
	if err := checkWord(name); err != nil {
		return nil, err
	}
	wrap := func(err error) error { return fmt.Errorf("volume %q on the group: %w", name, err) }
	v, err := d.showAny(ctx, name)
	if err != nil {
		return nil, wrap(err)
	}
	actual := strings.ToLower(name) // case does not count there
	if v.name != "" {
		actual = v.name
	}
	if other, ours, _ := d.volumes.id(actual); ours {
		if other == id {
			return nil, wrap(fmt.Errorf("%w: it is volume %q already", storage.ErrExists, id))
		}
		return nil, wrap(fmt.Errorf("%w: it is volume %q of this back end", storage.ErrInvalid, other))
	}
	if v.connections > 0 {
		return nil, wrap(&storage.BusyError{Dependents: []string{fmt.Sprintf("%d iSCSI connections", v.connections)}})
	}
	own := d.volumes.name(id)
	back := func(ctx context.Context) error {
		return d.cleanup(ctx, "volume "+own+", which was "+name, func(ctx context.Context) error {
			return d.do(ctx, changes, lit("volume rename"), arg(own), arg(name))
		})
	}
	// Without an answer the caller looks, and must find a whole volume or none.
	whole := func(ctx context.Context) {
		d.cleanup(ctx, "half-managed volume "+own, func(ctx context.Context) error { //nolint:errcheck // logged
			_, old := d.show(ctx, name)
			_, renamed := d.show(ctx, own)
			if renamed != nil || !errors.Is(old, storage.ErrNotFound) {
				return nil
			}
			return d.settle(ctx, id, own, v)
		})
	}
	err = d.do(ctx, makes, lit("volume rename"), arg(name), arg(own))
	if late := unawaited(err); late != nil {
		d.takeBack(ctx, func(ctx context.Context) {
			if _, err := late(); err == nil {
				back(ctx) //nolint:errcheck // logged; the caller has its error
			} else if !refused(err) {
				whole(ctx)
			}
		}, name, own)
		return nil, wrap(err)
	}
	if errors.Is(err, storage.ErrUnknownOutcome) {
		whole(ctx)
	}
	if err != nil {
		return nil, wrap(d.taken(ctx, own, err))
	}
	if err := d.settle(ctx, id, own, v); err != nil {
		if back(ctx) != nil {
			err = unknown(err)
		}
		return nil, wrap(err)
	}
	return d.as(id, roundUp(v.size)), nil
}

// settle gives a managed volume its description, settings and a whole number of gigabytes.
func (d *Driver) settle(ctx context.Context, id, own string, v info) error {
	description := lit(managed)
	if d.volumes.hides(id) {
		description = part{text: strings.TrimSuffix(string(managed), `"`) + " " + describeID(id) + `"`}
	}
	if err := d.do(ctx, settles, volume(own, lit("description"), description)...); err != nil {
		return err
	}
	if rounded := roundUp(v.size); rounded > v.size && v.slack == 0 { // else it may be less than it has
		if err := d.do(ctx, settles, volume(own, lit("size"), gigabytes(rounded), lit("no-snap"))...); err != nil {
			return err
		}
	}
	if !d.config.MultihostAccess {
		return nil
	}
	return d.do(ctx, settles, volume(own, lit("multihost-access enable"))...)
}

// Unmanage renames a volume to "unmanaged-" and its name, and describes it as unmanaged.
func (d *Driver) Unmanage(ctx context.Context, id string) (string, error) {
	if err := checkIDs(id); err != nil {
		return "", err
	}
	own := d.volumes.name(id)
	_, err := d.show(ctx, own)
	if err != nil {
		return "", about(id, err)
	}
	for n := 1; n <= 9; n++ {
		name := d.releasedName(own, n)
		err = d.taken(ctx, name, d.do(ctx, changes, lit("volume rename"), arg(own), arg(name)))
		if !errors.Is(err, storage.ErrExists) {
			if err != nil {
				return "", about(id, err)
			}
			d.forget(own)
			// The name is what counts; a description that stays does no harm.
			d.cleanup(ctx, "description of "+name, func(ctx context.Context) error { //nolint:errcheck // logged
				return d.do(ctx, settles, volume(name, lit("description"), lit(unmanaged))...)
			})
			return name, nil
		}
	}
	return "", about(id, err)
}

// releasedName is a name that is not of the template, the n-th to try.
func (d *Driver) releasedName(own string, n int) string {
	end := ""
	if n > 1 {
		end = fmt.Sprintf("-%d", n)
	}
	name := released + own + end
	if len(name) > maxName {
		name = released + strings.TrimPrefix(hashed(own), ":x") + end
	}
	if _, ours, _ := d.volumes.id(name); ours {
		name = "x-" + name // a template that begins with "unmanaged-"
	}
	return name
}
