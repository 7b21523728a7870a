package cli

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/server"
	"github.com/crowbarkit/crowbarkit/internal/wording"
)

// Server runs the command crowbar-server and returns its exit status.
func Server(ctx context.Context, p Process) int {
	a := &app{Process: p.complete()}
	return a.run(ctx, a.serverRoot())
}

// stored is --simulate without a number: as many machines as there are.
const stored = "stored"

func (a *app) serverRoot() *cobra.Command {
	config := server.Config{Version: Version()}
	var simulate, level string
	simulation := &server.Simulation{}
	c := &cobra.Command{
		Use:     "crowbar-server",
		Short:   "run a Crowbar server until interrupted",
		Args:    arguments(),
		Version: Version(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := wanted(simulate, simulation); err != nil {
				return err
			}
			if simulate != "" {
				config.Simulation = simulation
			}
			for _, name := range []string{"speed", "seed"} {
				if simulate == "" && cmd.Flags().Changed(name) {
					return fmt.Errorf("--%s is of use with --simulate only", name)
				}
			}
			var minimum slog.Level
			if err := minimum.UnmarshalText([]byte(level)); err != nil {
				return fmt.Errorf("log level %q is not known; give debug, info, warn or error", level)
			}
			config.Logger = slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: minimum}))
			return a.serve(cmd.Context(), config)
		},
	}
	f := c.Flags()
	f.StringVar(&config.Listen, "listen", server.DefaultListen, "address and port; operators are not authenticated, so choose who can reach it")
	f.StringVar(&config.DataDir, "data-dir", server.DefaultDataDir(a.Getenv), "where everything is kept")
	f.StringVar(&config.SecretKeyFile, "secret-key-file", "", "`FILE` with the key that secrets are sealed with; made if there is none yet (default: secret.key in the data directory)")
	f.StringVar(&simulate, "simulate", "", "simulate a site of `N` machines; without a number those that are there, 8 in a new data directory")
	f.Lookup("simulate").NoOptDefVal = stored
	f.Float64Var(&simulation.Speed, "speed", 60, "how many times as fast as the world's a simulated site's time runs")
	f.Uint64Var(&simulation.Seed, "seed", 0, "of the simulated machines; 0 is what the data directory has, 1 in a new one")
	f.IntSliceVar(&simulation.WithoutBMC, "without-bmc", nil, "simulated machines, counted from 0, that have no BMC")
	f.StringSliceVar(&config.Without, "without", nil, "barclamps to leave out, such as bios,raid,ipmi")
	f.StringVar(&level, "log-level", "warn", "debug, info, warn or error")
	// pflag takes "--simulate 8" for a flag without value and an argument.
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && simulate == stored {
			simulate = args[0]
			return nil
		}
		return arguments()(cmd, args)
	}
	return c
}

// wanted reads the number of machines.
func wanted(simulate string, s *server.Simulation) error {
	if simulate == "" {
		return nil
	}
	if !(s.Speed > 0) { // not NaN either
		return fmt.Errorf("--speed %g: expected a number above 0", s.Speed)
	}
	if simulate == stored {
		return nil
	}
	n, err := strconv.Atoi(simulate)
	if err != nil || n < 1 || n > server.MaxMachines {
		return fmt.Errorf("--simulate %s: expected a number of machines from 1 to %d", strings.TrimSpace(simulate), server.MaxMachines)
	}
	s.Nodes = n
	return nil
}

func (a *app) serve(ctx context.Context, config server.Config) error {
	s, err := server.Open(ctx, config)
	if err != nil {
		return err
	}
	for _, notice := range s.Notices() {
		lines(a.Stderr, "crowbar-server: %s", notice)
	}
	about := "data in " + config.DataDir
	if config.Simulation != nil {
		about += fmt.Sprintf("; %s, their time runs %gx", wording.Count(s.Site().Nodes(), "simulated machine"), config.Simulation.Speed)
	}
	lines(a.Stdout, "crowbar-server: listening on %s (%s)", s.URL(), about)
	return s.Serve(ctx)
}
