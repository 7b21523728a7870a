// Fleet embeds an engine with a simulated site and brings its machines from power-on to ready.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/crowbarkit/crowbarkit/crowbar/server"
)

func main() {
	dir, err := os.MkdirTemp("", "fleet")
	if err == nil {
		err = run(context.Background(), dir, os.Stdout)
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir string, out io.Writer) error {
	s, err := server.Open(ctx, server.Config{DataDir: dir, Listen: "127.0.0.1:0", Simulation: &server.Simulation{Nodes: 8, Speed: 200}})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	err = install(ctx, s.Engine(), s.Site().Nodes())
	for _, n := range s.Engine().Nodes() {
		fmt.Fprintln(out, n.Name, n.Lifecycle.State, n.Addresses["admin"])
	}
	stop()
	return errors.Join(err, <-served)
}
