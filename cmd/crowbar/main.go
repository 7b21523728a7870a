// Command crowbar shows and steers a crowbar-server; demo, hardware and volume need none.
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
	os.Exit(cli.Crowbar(ctx, cli.System()))
}
