package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Manageable is Adopter.Manageable; limit is 1 to 1000.
func (b *Backend) Manageable(ctx context.Context, after string, limit int) (found []Manageable, err error) {
	driver, unsupported := feature[Adopter](b)
	o := operation{op: "manageable", refused: cmp.Or(unsupported, checkLimit(limit))}
	err = b.run(ctx, o, func(ctx context.Context, _ *call) error {
		found, err = driver.Manageable(ctx, after, limit)
		return err
	})
	return found, err
}

// Manage is Adopter.Manage, idempotent: where there is a volume of this ID and nothing of the name
// any more, the volume is returned. Whether that was its name is not compared: back ends forget it.
func (b *Backend) Manage(ctx context.Context, id, name string) (volume *Volume, err error) {
	driver, unsupported := feature[Adopter](b)
	o := operation{
		op: "manage", id: id, volumes: []string{id}, names: []string{strings.ToLower(name)}, changes: true, // some fold case
		refused: cmp.Or(unsupported, checkName(name)),
	}
	err = b.run(ctx, o, func(ctx context.Context, c *call) error {
		before, look := b.driver.Get(ctx, id)
		if look != nil && !errors.Is(look, ErrNotFound) {
			c.settled = true
			return look
		}
		volume, err = driver.Manage(ctx, id, name)
		if before != nil {
			switch {
			case errors.Is(err, ErrNotFound):
				volume, err = before, nil
			case errors.Is(err, ErrExists):
				err = fmt.Errorf("%w: it is called %q there", ErrExists, before.Name)
			}
			return err
		}
		if !errors.Is(err, ErrUnknownOutcome) {
			return err
		}
		// There was none of this ID before: if there is one now it is the one asked for.
		there, look := b.driver.Get(ctx, id)
		if errors.Is(look, ErrNotFound) {
			c.again(err)
			volume, err = driver.Manage(ctx, id, name)
			if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrExists) {
				return err
			}
			there, look = b.driver.Get(ctx, id) // the lost request may have arrived in between
		}
		if look == nil {
			volume, err = there, nil
		}
		return err
	})
	return volume, err
}

// Unmanage is Adopter.Unmanage. ErrUnknownOutcome may also say that the volume was given up,
// but that the answer with its name got lost; Manageable has it then.
func (b *Backend) Unmanage(ctx context.Context, id string) (name string, err error) {
	driver, unsupported := feature[Adopter](b)
	o := operation{op: "unmanage", id: id, volumes: []string{id}, changes: true, refused: unsupported}
	err = b.run(ctx, o, func(ctx context.Context, c *call) error {
		name, err = driver.Unmanage(ctx, id)
		if !errors.Is(err, ErrUnknownOutcome) {
			return err
		}
		_, look := b.driver.Get(ctx, id)
		if look == nil {
			lost := err
			c.again(err)
			name, err = driver.Unmanage(ctx, id)
			if !errors.Is(err, ErrNotFound) {
				return err
			}
			err, look = lost, err // the lost request arrived in between
		}
		if errors.Is(look, ErrNotFound) {
			err = fmt.Errorf("it was given up, but the answer with its name got lost; list what is manageable: %w", err)
		}
		return err
	})
	return name, err
}

// checkName refuses what no back end calls a volume; each driver is stricter.
func checkName(name string) error {
	if name == "" || len(name) > 255 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("%w: name %.80q, expected 1 to 255 bytes of UTF-8 without control characters", ErrInvalid, name)
	}
	return nil
}
