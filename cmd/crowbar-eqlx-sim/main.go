// Command crowbar-eqlx-sim serves a simulated EqualLogic group over SSH, for others to test
// against. When it is ready it prints one line of JSON:
//
//	{"address":"127.0.0.1:40123","username":"grpadmin","password":"…","host_key":"ssh-ed25519 …","group":"group-0"}
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	if err := command().ExecuteContext(ctx); err != nil {
		problems := []error{err}
		if many := (*multierror.Error)(nil); errors.As(err, &many) {
			problems = many.Errors
		}
		for _, problem := range problems {
			fmt.Fprintln(os.Stderr, "crowbar-eqlx-sim:", problem)
		}
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var c eqlxsim.Config
	var listen, hostKey, lose string
	var pools []string
	var every int
	cmd := &cobra.Command{
		Use:   "crowbar-eqlx-sim",
		Short: "Serve a simulated EqualLogic group over SSH",
		Long:  "Serve a simulated EqualLogic group over SSH until interrupted. When it is ready, one line of JSON says how to reach it.",
		Args:  cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loss, err := eqlxsim.ParseLoss(lose)
			if err != nil {
				return err
			}
			c.Fault = eqlxsim.Every(every, loss)
			for _, text := range pools {
				name, size, _ := strings.Cut(text, "=")
				gb, err := strconv.ParseInt(strings.TrimSuffix(size, "GB"), 10, 64)
				if err != nil {
					return fmt.Errorf("--pool %q: expected NAME=SIZE in GB, such as default=500GB", text)
				}
				c.Pools = append(c.Pools, eqlxsim.Pool{Name: name, CapacityGB: gb})
			}
			if hostKey != "" {
				raw, err := os.ReadFile(hostKey)
				if err != nil {
					return err
				}
				if c.HostKey, err = ssh.ParsePrivateKey(raw); err != nil {
					return fmt.Errorf("--host-key %s: %w", hostKey, err)
				}
			}
			return serve(cmd, c, listen)
		},
	}
	f := cmd.Flags()
	f.StringVar(&listen, "listen", "127.0.0.1:0", "address to serve on; port 0 is any free one")
	f.StringVar(&c.Name, "group", "group-0", "name of the group, which is its prompt")
	f.StringVar(&c.Username, "username", "grpadmin", "account")
	f.StringVar(&c.Password, "password", "", "its password (default: a random one)")
	f.StringVar(&hostKey, "host-key", "", "file with the private host key (default: a new one)")
	f.StringArrayVar(&pools, "pool", nil, "NAME=SIZE in GB, for each pool (default default=1000GB)")
	f.StringVar(&c.IPAddress, "group-address", "192.0.2.10", "address that initiators are told")
	f.StringArrayVar(&c.CHAPUsers, "chap-user", nil, "a CHAP account of the group")
	f.IntVar(&c.MaxSessions, "max-sessions", 8, "SSH sessions at once")
	f.StringVar(&c.Banner, "banner", "", "text before the first prompt")
	f.BoolVar(&c.KeyboardInteractive, "keyboard-interactive", false, "ask for the password instead of taking it")
	q := &c.Quirks
	f.BoolVar(&q.NoEcho, "no-echo", false, "do not repeat command lines")
	f.BoolVar(&q.Prefill, "prefill", false, "put a failed command behind the next prompt")
	f.BoolVar(&q.LatePrefill, "late-prefill", false, "put a failed command behind the next prompt, but only as the next one has been typed")
	f.BoolVar(&q.CloseAfterError, "close-after-error", false, "hang up after an error, without a prompt")
	f.IntVar(&q.NameColumns, "name-columns", 15, "where tables break names")
	f.IntVar(&q.InitiatorColumns, "initiator-columns", 29, "where the access table breaks initiators")
	f.IntVar(&q.UserColumns, "user-columns", 0, "where the access table breaks user names; 0 is nowhere")
	f.IntVar(&q.CutUsers, "cut-users", 0, "where the access table cuts user names off; 0 is nowhere")
	f.BoolVar(&q.RoughSizes, "rough-sizes", false, "do not know cli-settings displayinMB: 1100 GB are 1.07TB")
	f.BoolVar(&q.ShortShow, "short-show", false, "show of a volume only what Cinder's fixtures have")
	f.BoolVar(&q.Terse, "terse", false, "print no success lines")
	f.BoolVar(&q.NoSnapshotDescription, "no-snapshot-description", false, "know no description of a new snapshot")
	f.DurationVar(&q.Delay, "delay", 0, "how long every command takes")
	f.StringToStringVar(&c.Errors, "error-words", nil, "other words for errors: 'Volume %s does not exist.=No such volume %s.'")
	f.IntVar(&every, "lose-every", 0, "break the connection at each n-th command; 0 is never")
	f.StringVar(&lose, "lose", "reply", "what gets lost then: command, reply, half-reply, prompt, hang")
	return cmd
}

// serve prints how to reach the group and serves it until the context ends.
func serve(cmd *cobra.Command, c eqlxsim.Config, address string) error {
	group, err := eqlxsim.New(c)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	ready := struct {
		Address  string `json:"address"`
		Username string `json:"username"`
		Password string `json:"password"`
		HostKey  string `json:"host_key"`
		Group    string `json:"group"`
	}{listener.Addr().String(), group.Username(), group.Password(), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(group.HostKey()))), group.Name()}
	if err := json.NewEncoder(cmd.OutOrStdout()).Encode(ready); err != nil {
		return err
	}
	return group.Serve(cmd.Context(), listener)
}
