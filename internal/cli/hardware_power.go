package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

func (m *machines) powerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "power on|off|shutdown|reset", Short: "turn a machine on or off, and see that it happened",
		Long: "Change the power state and return when it was seen to have changed. off and reset act at once, as the\n" +
			"button held down; shutdown asks the operating system first and cuts power when that takes too long.\n" +
			"A machine that is in that state already stays as it is; reset turns on one that is off. on and reset do\n" +
			"not wait for the POST that follows; what needs it over (plan and apply, for volumes) waits itself.",
		Args:      arguments("ACTION"),
		ValidArgs: []string{"on", "off", "shutdown", "reset"},
		RunE: func(cmd *cobra.Command, args []string) error {
			action := hardware.PowerAction(args[0])
			if !action.Valid() {
				return fmt.Errorf("%q is no power action; give on, off, shutdown or reset", args[0])
			}
			err := m.onBMC(cmd.Context(), redfish.Config{}, func(c *redfish.Configurator) error {
				return c.Power(cmd.Context(), m.target, action)
			})
			if err != nil {
				return err
			}
			if m.output == "json" {
				state := hardware.StateOn
				if action == hardware.PowerOff || action == hardware.PowerShutdown {
					state = hardware.StateOff
				}
				return m.json(struct {
					Node   string               `json:"node"`
					Action hardware.PowerAction `json:"action"`
					Power  hardware.PowerState  `json:"power"`
				}{m.target.Node, action, state})
			}
			state := map[hardware.PowerAction]string{hardware.PowerOn: "is on", hardware.PowerOff: "is off",
				hardware.PowerShutdown: "is off", hardware.PowerReset: "was reset"}[action]
			lines(m.Stdout, "%s %s", m.target.Node, state)
			return nil
		},
	}
}
