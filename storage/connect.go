package storage

import (
	"cmp"
	"context"
	"fmt"
)

// Connect is Driver.Connect.
func (b *Backend) Connect(ctx context.Context, id string, c Connector) (connection *Connection, err error) {
	o := operation{op: "connect", id: id, volumes: []string{id}, changes: true, refused: c.check()}
	err = b.run(ctx, o, func(ctx context.Context, call *call) error {
		return call.repeat(func() error {
			connection, err = b.driver.Connect(ctx, id, c)
			return err
		})
	})
	return connection, err
}

// Disconnect is Disconnector.Disconnect. A driver that is none keeps nothing of a connection, as
// that of RBD: then it is no error either, so that who attaches volumes of any back end can
// detach them.
func (b *Backend) Disconnect(ctx context.Context, id string, c Connector) error {
	disconnect := func(ctx context.Context) error {
		_, err := b.driver.Get(ctx, id)
		return err
	}
	if driver, ok := b.driver.(Disconnector); ok {
		disconnect = func(ctx context.Context) error { return driver.Disconnect(ctx, id, c) }
	}
	o := operation{op: "disconnect", id: id, volumes: []string{id}, changes: true, refused: c.check()}
	return b.run(ctx, o, func(ctx context.Context, call *call) error {
		return call.repeat(func() error { return disconnect(ctx) })
	})
}

// check refuses what names nobody, and what could be more than one argument of a command.
func (c Connector) check() error {
	if c.Host == "" && c.Initiator == "" {
		return fmt.Errorf("%w: connector with neither host nor initiator", ErrInvalid)
	}
	return cmp.Or(
		checkText("connector's host", c.Host),
		checkText("connector's ip", c.Address),
		checkText("connector's initiator", c.Initiator),
		checkText("connector's platform", c.Platform),
		checkText("connector's os_type", c.OSType),
	)
}
