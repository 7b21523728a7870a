// Command crowbar-bmc-sim serves simulated BMCs over Redfish, for others to test against.
// When they are ready it prints a line of JSON for each:
//
//	{"name":"node1","url":"http://127.0.0.1:40123","username":"root","password":"…"}
//
// With --tls the line also has the certificate's SHA-256 fingerprint, to pin it:
//
//	{…,"url":"https://127.0.0.1:40123","certificate_sha256":"5f3a…"}
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := command().ExecuteContext(ctx); err != nil {
		os.Exit(1)
	}
}

func command() *cobra.Command {
	c := fleetConfig{}
	var personality, listen, caFile string
	cmd := &cobra.Command{
		Use:   "crowbar-bmc-sim",
		Short: "Serve simulated BMCs over Redfish",
		Long:  "Serve simulated BMCs over Redfish until interrupted. When they are ready, one line of JSON for each says how to reach it.",
		Args:  cobra.NoArgs, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if caFile != "" && !c.tls {
				return errors.New("--ca-file: there are no certificates without --tls")
			}
			c.personality = redfishsim.Personality(personality)
			if c.password == "" {
				c.password = rand.Text()
			}
			f, err := newFleet(c, listen)
			if err != nil {
				return err
			}
			if caFile != "" {
				if err := os.WriteFile(caFile, f.certificates, 0o644); err != nil {
					f.close()
					return err
				}
			}
			return serve(cmd, f)
		},
	}
	names := make([]string, 0, len(redfishsim.Personalities()))
	for _, p := range redfishsim.Personalities() {
		names = append(names, string(p))
	}
	f := cmd.Flags()
	f.IntVar(&c.count, "count", 1, "how many BMCs, each with a machine of its own")
	f.StringVar(&personality, "personality", string(redfishsim.Generic), "whose BMC: "+strings.Join(names, ", "))
	f.StringVar(&listen, "listen", "127.0.0.1:0", "address to serve on; port 0 is any free ones, port N is N, N+1, …")
	f.BoolVar(&c.tls, "tls", false, "serve HTTPS, each BMC with a self-signed certificate made now")
	f.StringVar(&caFile, "ca-file", "", "with --tls, file to write all certificates to, as PEM")
	f.StringVar(&c.username, "user", "root", "account")
	f.StringVar(&c.password, "password", "", "its password (default: a random one)")
	f.IntVar(&c.disks, "disks", 4, "disks of each machine")
	f.BoolVar(&c.on, "on", false, "machines have been turned on a while ago")
	f.Float64Var(&c.speed, "speed", 1, "how much faster than real time machines are; --latency and --jitter are real time")
	f.Uint64Var(&c.seed, "seed", 0, "of what is random about --jitter and --error-rate, and of MAC addresses")
	k := &c.knobs
	f.DurationVar(&k.Latency, "latency", 0, "how long every request takes")
	f.DurationVar(&k.Jitter, "jitter", 0, "and up to so much more")
	f.Float64Var(&k.ErrorRate, "error-rate", 0, "share of GETs that are answered 503, 0 to 1")
	f.IntVar(&k.SessionLimit, "session-limit", 0, "sessions at once (default: the personality's)")
	f.BoolVar(&k.StuckJobs, "stuck-jobs", false, "jobs never go on, until the BMC is restarted")
	f.Float64Var(&k.SlowPower, "slow-power", 1, "factor on the time that power and POST take")
	f.BoolVar(&k.IgnoreShutdown, "ignore-shutdown", false, "a graceful shutdown is accepted, and nothing happens")
	f.BoolVar(&k.NoLicence, "no-licence", false, "refuse to write BIOS and secure boot")
	f.BoolVar(&k.Malformed, "malformed", false, "numbers as strings, missing links")
	return cmd
}

// serve serves the BMCs until the context ends, and prints how to reach them.
func serve(cmd *cobra.Command, f *fleet) error {
	return f.serve(cmd.Context(), func() error {
		out := bufio.NewWriter(cmd.OutOrStdout())
		lines := json.NewEncoder(out)
		for _, b := range f.bmcs {
			if err := lines.Encode(b.ready); err != nil {
				return err
			}
		}
		return out.Flush()
	})
}
