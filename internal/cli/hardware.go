package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

// machines is one run of a hardware command. It needs no server: it talks to a BMC itself.
type machines struct {
	*app
	bmc, user, passwordFile string
	ca, pinFile             string
	verbose                 bool

	target hardware.Target
	pins   *pins
	file   string // what the profile was read from, for errors
}

func (a *app) hardwareCommand() *cobra.Command {
	m := &machines{app: a}
	c := group("hardware", "see and configure the hardware of one machine through its BMC; no server is needed",
		m.inventoryCommand(), m.planCommand(), m.applyCommand(), m.powerCommand(), m.schemaCommand())
	for _, sub := range c.Commands() {
		args, run := sub.Args, sub.RunE
		sub.Args = func(cmd *cobra.Command, given []string) error { return m.explained(args(cmd, given)) }
		sub.RunE = func(cmd *cobra.Command, given []string) error { return m.explained(run(cmd, given)) }
	}
	c.Long = "hardware talks Redfish to the BMC of one machine, without a server: iDRAC, iLO, XCC and others.\n" +
		"What a machine should be is a profile, JSON of BIOS settings, RAID volumes, boot and firmware:\n" +
		`{"bios":{"set":"Virtualization"},"raid":{"set":"SingleRaid10"},"boot":{"target":"pxe"}}.` + "\n" +
		"docs/hardware.md has the format and walks through the commands. The nodes of a server are configured by\n" +
		"their roles when they are allocated; plan NODE shows how.\n\n" +
		"The password comes from --password-file, CROWBAR_BMC_PASSWORD or a prompt, never from a flag.\n" +
		"Without --user no login is made.\n\n" +
		"Certificates are verified against the system's CAs or those of --ca. Most BMCs sign their own:\n" +
		"with --pin-file the first certificate of each BMC is recorded and another one refused.\n\n" +
		"Exit status: 0 done, 1 error, 2 plan has changes, 3 data would be lost that --allow-destroy does\n" +
		"not name, 4 the machine is no longer the one that was planned for. With -o json a failure is\n" +
		`{"error":{"code","message",…}} on standard output.`
	f := c.PersistentFlags()
	f.Var(once(&m.bmc), "bmc", "URL of the BMC (CROWBAR_BMC), https:// if it has no scheme")
	f.StringVar(&m.user, "user", "", "account on the BMC (CROWBAR_BMC_USER)")
	f.StringVar(&m.passwordFile, "password-file", "", "file with its password (or CROWBAR_BMC_PASSWORD, or a prompt)")
	f.StringVar(&m.ca, "ca", "", "PEM file of the CAs that sign the BMCs' certificates")
	f.StringVar(&m.pinFile, "pin-file", "", "trust a BMC's first certificate, recorded in this file (CROWBAR_BMC_PINS)")
	f.BoolVarP(&m.verbose, "verbose", "v", false, "log what is done on the BMC, request by request")
	return c
}

func (m *machines) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "print the JSON Schema of a profile",
		Long: "Print the JSON Schema (draft 2020-12) of what --profile takes, for editors and other programs.",
		Args: arguments(),
		RunE: func(*cobra.Command, []string) error {
			_, err := m.Stdout.Write(hardware.ProfileSchema())
			return err
		},
	}
}

// onceValue is a string that a flag gives at most once: of two the first would be ignored in
// silence.
type onceValue struct {
	*string
	set bool
}

func once(s *string) *onceValue { return &onceValue{string: s} }

func (v *onceValue) String() string {
	if v.string == nil {
		return ""
	}
	return *v.string
}

func (v *onceValue) Type() string { return "string" }

func (v *onceValue) Set(s string) error {
	if v.set {
		return fmt.Errorf("it is given twice, and was %s before", *v.string)
	}
	*v.string, v.set = s, true
	return nil
}

// onBMC is the body of a command on the BMC: it logs in for do and out after it, also when that
// was interrupted.
func (m *machines) onBMC(ctx context.Context, config redfish.Config, do func(*redfish.Configurator) error) error {
	if err := m.connect(ctx, &config); err != nil {
		return err
	}
	config.Clock = m.Clock
	config.KeepSession = sessionKept
	config.Logger = m.logger(m.verbose, slog.LevelWarn)
	c, err := redfish.New(config)
	if err != nil {
		return err
	}
	err = do(c)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), logoutTimeout)
	defer cancel()
	if left := c.Close(closing); left != nil { // what was asked for was done, or not, before
		lines(m.Stderr, "crowbar: %s", hardwareText(left))
	}
	return m.explained(err)
}

// noNode refuses a node of a server.
func noNode(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no node, only --bmc URL; of a server's nodes crowbar hardware plan NODE shows the plan, "+
			"and crowbar node allocate NODE carries it out", cmd.CommandPath())
	}
	return nil
}

// readFile reads a file that a flag names; - is standard input.
func (m *machines) readFile(flag, name string) ([]byte, error) {
	if name == "-" {
		if m.IsTerminal(m.Stdin) {
			return nil, fmt.Errorf("%s: standard input is a terminal; give a file, or redirect one", flag)
		}
		return io.ReadAll(m.Stdin)
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return raw, nil
}

// readProfile reads the profile that --profile names.
func (m *machines) readProfile(name string) (hardware.Profile, error) {
	if name == "" {
		return hardware.Profile{}, errors.New("what the machine should be is missing; give --profile FILE (docs/hardware.md)")
	}
	raw, err := m.readFile("--profile", name)
	if err != nil {
		return hardware.Profile{}, err
	}
	m.file = name
	if name == "-" {
		m.file = "the profile on standard input"
	}
	p, err := hardware.ParseProfile(raw)
	return p, m.explained(err)
}

// observing is the configuration to plan for a profile with: what firmware components there are
// is asked for only where the profile names one, for it costs a request each on some BMCs.
func observing(p hardware.Profile) redfish.Config {
	for _, f := range p.Firmware {
		if f.Component != "bios" && f.Component != "bmc" {
			return redfish.Config{FirmwareInventory: true}
		}
	}
	return redfish.Config{}
}
