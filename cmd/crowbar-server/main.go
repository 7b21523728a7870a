// Command crowbar-server runs a Crowbar server.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/crowbarkit/crowbarkit/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(cli.Server(ctx, cli.System()))
}
