// Package cli is the command line: the commands crowbar and crowbar-server with everything
// they take from the process injected, so that tests run them as a shell does.
//
//	code := cli.Crowbar(ctx, cli.Process{Args: []string{"node", "list"}, Stdout: &out, Stderr: &err})
//
// Each file holds one command. A new one is a function that makes it, and a line in commands.
//
// Exit status: 0 done; 1 error; 2 there are changes (proposal diff, proposal plan); 3 refused by
// a rule, or not confirmed; 4 conflict: somebody else was faster, or something else is there or in
// the way (storage.ErrExists, storage.ErrBusy), or a machine is not the one that was planned for
// (hardware.ErrStalePlan). With -o json an error that has problems or conflicts is on standard
// output, too: {"error":{"code","message","problems","conflicts"}}. Those of hardware always are, and
// those of volume unless part of what was asked for is there.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/storage"
)

// Process is what a command has of the process it runs in. Nil streams are empty, or nothing
// is seen of what is written to them.
type Process struct {
	Args           []string // without the name of the program
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// IsTerminal tells whether one of the streams is a terminal; nil asks the system.
	IsTerminal func(stream any) bool
	// Transport carries requests to the server; nil is the network.
	Transport http.RoundTripper
	// Edit lets the user edit a file with an editor, a command line as in $EDITOR, and returns
	// when he has. Nil runs it in a shell, on the terminal of the process.
	Edit func(ctx context.Context, editor, file string) error
	// Clock paces looks at what a BMC is doing; nil is real time.
	Clock redfish.Clock
	// Drivers are those of the volume back ends, by name. Nil is what the program was built with.
	Drivers map[string]storage.Opener
}

// System is the process as it is.
func System() Process {
	return Process{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv}
}

func (p Process) complete() Process {
	if p.Stdin == nil {
		p.Stdin = strings.NewReader("")
	}
	if p.Stdout == nil {
		p.Stdout = io.Discard
	}
	if p.Stderr == nil {
		p.Stderr = io.Discard
	}
	if p.Getenv == nil {
		p.Getenv = func(string) string { return "" }
	}
	if p.IsTerminal == nil {
		p.IsTerminal = func(stream any) bool {
			f, ok := stream.(interface{ Fd() uintptr })
			return ok && term.IsTerminal(int(f.Fd()))
		}
	}
	if p.Edit == nil {
		p.Edit = runEditor
	}
	return p
}

// Exit statuses.
const (
	exitDone = iota
	exitError
	exitChanges
	exitRefused
	exitConflict
)

// Crowbar runs the command crowbar and returns its exit status.
func Crowbar(ctx context.Context, p Process) int {
	a := &app{Process: p.complete()}
	return a.run(ctx, a.root())
}

// app is one run of a command.
type app struct {
	Process
	server string
	output string
}

// run executes a command and says its error in one way.
func (a *app) run(ctx context.Context, root *cobra.Command) int {
	root.SetArgs(a.Args)
	if a.Args == nil {
		root.SetArgs([]string{}) // cobra would take those of the process
	}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		text := err.Error()
		var number *strconv.NumError
		if errors.As(err, &number) {
			text = strings.Replace(text, number.Error(), numberExpected(number), 1)
		}
		return fmt.Errorf("%s; see %s --help", text, c.CommandPath())
	})
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	if !errors.Is(err, errChanges) {
		fmt.Fprintf(a.Stderr, "%s: %s\n", root.Name(), a.explain(err))
		if body := details(err); body != nil && a.output == "json" {
			answer := map[string]any{"error": body}
			if machine := (*hardwareError)(nil); errors.As(err, &machine) {
				maps.Copy(answer, machine.beside)
			}
			_ = a.json(answer) // the error is told already
		}
	}
	return exitStatus(err)
}

// explain is the error for a person, with nothing in it that moves a terminal's cursor but the
// line ends between what is wrong.
func (a *app) explain(err error) string {
	text := wording.Error(err)
	kept, volume, machine, said := (*keptError)(nil), (*volumeError)(nil), (*hardwareError)(nil), (*client.Error)(nil)
	switch {
	case errors.As(err, &kept):
		text = kept.Error()
	case errors.As(err, &volume):
		text = volume.Error()
	case errors.As(err, &machine):
		text = machine.Error()
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.As(err, &said):
		text = wording.Error(errors.New(strings.Replace(err.Error(), said.Error(), sentence(said), 1)))
	}
	parts := strings.Split(text, "\n")
	for i, part := range parts {
		parts[i] = oneLine(part)
	}
	return strings.Join(parts, "\n")
}

// sentence is what the server says, each problem and conflict on one line whatever is in it.
func sentence(said *client.Error) string {
	text := said.Message
	for _, p := range said.Problems {
		text += "\n  " + oneLine(p.String())
	}
	for _, c := range said.Conflicts {
		text += "\n  " + oneLine(c.String())
	}
	return text
}

// details are what a program wants to know of an error beyond its sentence, if it has problems
// or conflicts or is one of hardware or volumes.
func details(err error) *client.ErrorBody {
	var said *client.Error
	var invalid *proposal.ValidationError
	var machine *hardwareError
	var volume *volumeError
	var partial *partialError
	switch {
	case errors.As(err, &partial):
		return nil
	case errors.As(err, &volume):
		return &client.ErrorBody{Code: volume.code(), Message: volume.text}
	case errors.As(err, &machine):
		short, _, _ := strings.Cut(machine.text, "\n")
		return &client.ErrorBody{Code: machine.code(), Message: short, Problems: machine.problems}
	case errors.As(err, &said) && len(said.Problems)+len(said.Conflicts) > 0:
		return &client.ErrorBody{Code: said.Code, Message: said.Message, Problems: said.Problems, Conflicts: said.Conflicts}
	case errors.As(err, &invalid):
		short := strings.Replace(err.Error(), invalid.Error(), wording.Count(len(invalid.Problems), "problem"), 1)
		return &client.ErrorBody{Code: client.CodeInvalid, Message: wording.Error(errors.New(short)), Problems: invalid.Problems}
	}
	return nil
}

// numberExpected says what a flag wants that was given something else.
func numberExpected(err *strconv.NumError) string {
	switch {
	case errors.Is(err, strconv.ErrRange):
		return "that number is out of range"
	case err.Func == "ParseFloat":
		return "expected a number"
	case err.Func == "ParseUint":
		return "expected a whole number from 0"
	case err.Func == "ParseBool":
		return "expected true or false"
	}
	return "expected a whole number"
}

// errChanges is how proposal diff and plan tell that there are some.
var errChanges = errors.New("there are changes")

func exitStatus(err error) int {
	switch {
	case errors.Is(err, errChanges):
		return exitChanges
	case errors.Is(err, client.ErrRefused), errors.Is(err, hardware.ErrNotAuthorized):
		return exitRefused
	case errors.Is(err, client.ErrConflict), errors.Is(err, storage.ErrExists), errors.Is(err, storage.ErrBusy),
		errors.Is(err, hardware.ErrStalePlan):
		return exitConflict
	}
	return exitError
}

// root makes the command crowbar.
func (a *app) root() *cobra.Command {
	root := group("crowbar", "turn racks of bare metal into running clusters", a.commands()...)
	root.Long = "crowbar shows and steers a crowbar-server; demo, hardware and volume need none."
	server := a.Getenv("CROWBAR_SERVER")
	if server == "" {
		server = client.DefaultURL
	}
	flags := root.PersistentFlags()
	flags.StringVar(&a.server, "server", server, "URL of the server (CROWBAR_SERVER)")
	flags.StringVarP(&a.output, "output", "o", "table", "how to print: table or json")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if a.output != "table" && a.output != "json" {
			return fmt.Errorf("output %q is not known; give -o table or -o json", a.output)
		}
		return nil
	}
	return root
}

// commands are those of crowbar. Here a new one is added.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.demoCommand(),
		a.nodeCommand(),
		a.barclampCommand(),
		a.proposalCommand(),
		a.jobCommand(),
		a.eventCommand(),
		a.hardwareCommand(),
		a.volumeCommand(),
		a.engineCommand(),
		a.versionCommand(),
	}
}

// connect makes the client; nothing is sent yet. The caller closes it.
func (a *app) connect() (*client.Client, error) {
	return client.New(client.Config{
		BaseURL: a.server, Transport: a.Transport, User: a.Getenv("CROWBAR_USER"), UserAgent: "crowbar/" + Version(),
	})
}

// ask is the body of a command that talks to the server.
func (a *app) ask(do func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.connect()
		if err != nil {
			return err
		}
		defer c.Close()
		return do(cmd.Context(), c, args)
	}
}

// group is a command that only has commands. cobra would print its help for a wrong one, and
// call that a success.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("no command is called %q; see %s --help", args[0], cmd.CommandPath())
			}
			return cmd.Help()
		},
	}
	c.AddCommand(commands...)
	return c
}

// arguments wants as many arguments as there are names; those in brackets may be left out.
func arguments(names ...string) cobra.PositionalArgs {
	var needed []string
	for _, n := range names {
		if !strings.HasPrefix(n, "[") {
			needed = append(needed, n)
		}
	}
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(needed):
			return fmt.Errorf("%s: %s is missing; see %s --help", cmd.CommandPath(), needed[len(args)], cmd.CommandPath())
		case len(args) > len(names):
			return fmt.Errorf("%s: %q is one argument too many; see %s --help", cmd.CommandPath(), args[len(names)], cmd.CommandPath())
		}
		return nil
	}
}

// Version of the program: that of the module, or of the commit it was built from.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
