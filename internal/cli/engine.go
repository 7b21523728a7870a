package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

func (a *app) engineCommand() *cobra.Command {
	return group("engine", "stop and start the engine's work",
		&cobra.Command{
			Use: "pause [REASON...]", Short: "start no new work until resumed; what runs goes on to its end",
			RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
				return a.engineStatus(c.EnginePause(ctx, strings.Join(args, " ")))
			}),
		},
		&cobra.Command{
			Use: "resume", Short: "go on", Args: arguments(),
			RunE: a.ask(func(ctx context.Context, c *client.Client, _ []string) error {
				return a.engineStatus(c.EngineResume(ctx))
			}),
		},
	)
}

func (a *app) engineStatus(s *client.Status, err error) error {
	switch {
	case err != nil:
		return err
	case a.output == "json":
		return a.json(s)
	case s.Paused != "":
		lines(a.Stdout, "the engine is paused: %s", s.Paused)
	default:
		lines(a.Stdout, "the engine works")
	}
	return nil
}
