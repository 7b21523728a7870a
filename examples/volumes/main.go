// Volumes embeds storage.Manager with two back ends: one in memory, and an EqualLogic group.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

func main() {
	if err := onSimulatedGroup(run, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, c storage.Config, out io.Writer) (err error) {
	m, err := storage.Open(ctx, c, map[string]storage.Opener{"memory": memory.Open, "eqlx": eqlx.Open})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	stats, err := m.Stats(ctx)
	if err != nil {
		return err
	}
	name, err := storage.Pick(stats, 10<<30) // where most space is left
	if err != nil {
		return err
	}
	backend, err := m.Backend(name)
	if err != nil {
		return err
	}
	volume, err := backend.Create(ctx, storage.VolumeSpec{ID: "db-1", SizeBytes: 10 << 30})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, volume.Name, volume.SizeBytes, "on", name)
	connection, err := backend.Connect(ctx, "db-1", storage.Connector{Host: "node1", Initiator: "iqn.1993-08.org.debian:01:a0b1"})
	fmt.Fprintln(out, connection) // without its secret; its JSON is Cinder's
	return err
}
