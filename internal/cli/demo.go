package cli

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/crowbarkit/crowbarkit/crowbar/server"
	"github.com/crowbarkit/crowbarkit/internal/demo"
)

func (a *app) demoCommand() *cobra.Command {
	config := demo.Config{Version: Version()}
	verbose := false
	c := &cobra.Command{
		Use:   "demo",
		Short: "the main job on a simulated rack: from power-on to ready",
		Long: "demo powers on simulated machines, lets barclamps propose, commits, allocates and installs,\n" +
			"all through the API of a server of its own, which stays up afterwards to be looked at.",
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config.Nodes < 1 || config.Nodes > server.MaxMachines {
				return fmt.Errorf("--nodes %d: expected 1 to %d", config.Nodes, server.MaxMachines)
			}
			if !(config.Speed > 0) { // not NaN either
				return fmt.Errorf("--speed %g: expected a number above 0", config.Speed)
			}
			config.Out, config.Live, config.JSON = a.Stdout, a.Stdout, a.output == "json"
			if config.JSON {
				config.Live = a.Stderr // the object stands alone on standard output
			}
			config.Terminal, config.Width = a.terminal(config.Live)
			config.Command = command(os.Executable())
			if verbose {
				config.Logger = slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
			}
			return demo.Run(cmd.Context(), config)
		},
	}
	f := c.Flags()
	f.IntVar(&config.Nodes, "nodes", 8, "how many machines; 3 of 8 are storage machines")
	f.Uint64Var(&config.Seed, "seed", 1, "of serial numbers and addresses; two runs with one seed end alike")
	f.Float64Var(&config.Speed, "speed", 60, "how many times as fast as the world's the rack's time runs")
	f.StringSliceVar(&config.Without, "without", nil, "barclamps to leave out, such as bios,raid,ipmi")
	f.IntSliceVar(&config.WithoutBMC, "without-bmc", nil, "machines, counted from 0, that have no BMC")
	f.StringVar(&config.Listen, "listen", server.DefaultListen, "address and port of the API; port 0 takes a free one")
	f.StringVar(&config.DataDir, "data-dir", "", "where everything is kept (default a temporary directory, removed at the end)")
	f.BoolVar(&config.Exit, "exit", false, "end after the run instead of staying up")
	f.BoolVarP(&verbose, "verbose", "v", false, "log what the server and the machines do")
	return c
}

// command is how this program is run again: go run leaves its executable in a directory of its
// own and takes it away.
func command(executable string, err error) string {
	if err == nil && slices.ContainsFunc(strings.Split(filepath.ToSlash(executable), "/"), func(element string) bool {
		return strings.HasPrefix(element, "go-build")
	}) {
		return "go run ./cmd/crowbar"
	}
	return "crowbar"
}

// terminal says whether a stream is one that can be drawn on, and how wide it is.
func (a *app) terminal(stream any) (is bool, width int) {
	if !a.IsTerminal(stream) || a.Getenv("TERM") == "dumb" {
		return false, 0
	}
	if f, ok := stream.(*os.File); ok {
		if w, _, err := term.GetSize(int(f.Fd())); err == nil {
			return true, w
		}
	}
	return true, 80
}
