package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

func (m *machines) planCommand() *cobra.Command {
	var profile, snapshot, out string
	c := &cobra.Command{
		Use: "plan --profile FILE | NODE", Short: "show what it takes to bring a machine to a profile; exit status 2 if there is something to do",
		Long: "Show, operation by operation, what apply would do: what is there, what will be, why, whether it takes\n" +
			"a reboot, and which disks lose their data. Nothing is changed. Exit status 0: nothing to do,\n" +
			"2: there are changes, 1: the profile is wrong or cannot be had on this machine; all reasons are listed.\n\n" +
			"--out keeps the plan for a review; apply --plan carries out that plan or refuses. --snapshot plans for\n" +
			"what crowbar hardware inventory -o json printed, without asking the machine.\n\n" +
			"With a NODE of a server (--server) in place of --bmc it is the plan of its roles, which the server makes\n" +
			"and crowbar node allocate carries out.",
		Example: "  crowbar hardware plan --bmc 192.0.2.10 --user root --profile compute.json --out plan.json\n" +
			"  crowbar hardware plan --snapshot node7.json --profile compute.json",
		Args: arguments("[NODE]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if m.bmc != "" || profile != "" || snapshot != "" || out != "" {
					return errors.New("NODE stands alone: its profile is that of its roles, and its BMC the server's to ask")
				}
				return m.planOfNode(cmd.Context(), args[0])
			}
			want, err := m.readProfile(profile)
			if err != nil {
				return err
			}
			var plan *hardware.Plan
			if snapshot != "" {
				plan, err = m.planOffline(want, snapshot)
			} else {
				err = m.onBMC(cmd.Context(), observing(want), func(c *redfish.Configurator) (err error) {
					plan, _, err = m.planNow(cmd.Context(), c, want)
					return err
				})
			}
			if err != nil {
				return err
			}
			if err := m.showPlan(m.Stdout, plan); err != nil {
				return err
			}
			if out != "" {
				if err := keepPlan(out, plan); err != nil {
					return err
				}
				lines(m.Stderr, "the plan is in %s; to carry it out: crowbar hardware apply --plan %s", out, shellWord(out))
			}
			if !plan.Empty() {
				return errChanges
			}
			return nil
		},
	}
	c.Flags().StringVar(&profile, "profile", "", "what the machine should be, a JSON file; - is standard input")
	c.Flags().StringVar(&snapshot, "snapshot", "", "plan for this inventory instead of a machine")
	c.Flags().StringVar(&out, "out", "", "write the plan into this file, too")
	return c
}

// planNow plans for the machine as it is, and tells how many requests it took to see that.
func (m *machines) planNow(ctx context.Context, c *redfish.Configurator, want hardware.Profile) (*hardware.Plan, int, error) {
	seen, err := c.Observe(ctx, m.target)
	if err != nil {
		return nil, 0, err
	}
	plan, err := hardware.NewPlan(want, seen)
	return plan, seen.Requests, err
}

// planOffline plans for an inventory that was kept.
func (m *machines) planOffline(want hardware.Profile, name string) (*hardware.Plan, error) {
	raw, err := m.readFile("--snapshot", name)
	if err != nil {
		return nil, err
	}
	var seen hardware.Snapshot
	if err := json.Unmarshal(raw, &seen); err != nil || seen.Node == "" {
		return nil, fmt.Errorf("--snapshot: %s is no inventory; make one with crowbar hardware inventory -o json", name)
	}
	m.target.Node = seen.Node
	plan, err := hardware.NewPlan(want, &seen)
	return plan, m.explained(err)
}

// planOfNode shows what a server would do to the hardware of a node: the operations of all barclamps
// that plan for hardware.
func (m *machines) planOfNode(ctx context.Context, name string) error {
	c, err := m.app.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	p, err := c.Plan(ctx, name)
	if err != nil {
		return err
	}
	all := &hardware.Plan{Node: p.Node}
	for _, part := range p.Parts {
		var plan hardware.Plan
		if json.Unmarshal(part.Detail, &plan) == nil {
			all.Operations = append(all.Operations, plan.Operations...)
		}
		if part.Skipped != "" {
			lines(m.Stderr, "%s is skipped: %s", part.Barclamp, oneLine(part.Skipped))
		}
	}
	if err := m.showPlan(m.Stdout, all); err != nil {
		return err
	}
	if !all.Empty() {
		return errChanges
	}
	return nil
}

// showPlan prints a plan for people or programs.
func (m *machines) showPlan(w io.Writer, plan *hardware.Plan) error {
	if m.output == "json" {
		return m.json(plan)
	}
	_, err := io.WriteString(w, plan.Text())
	return err
}

func keepPlan(name string, plan *hardware.Plan) error {
	raw, err := json.MarshalIndent(plan, "", "  ")
	if err == nil {
		err = os.WriteFile(name, append(raw, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("--out: %w", err)
	}
	return nil
}

// readPlan reads what keepPlan wrote.
func (m *machines) readPlan(name string) (*hardware.Plan, error) {
	raw, err := m.readFile("--plan", name)
	if err != nil {
		return nil, err
	}
	var head struct{ Node, Hash string }
	if err := json.Unmarshal(raw, &head); err != nil || head.Node == "" || head.Hash == "" {
		return nil, fmt.Errorf("--plan: %s is no plan; make one with crowbar hardware plan --out", name)
	}
	var plan hardware.Plan
	if err := json.Unmarshal(raw, &plan); err != nil {
		return nil, fmt.Errorf("--plan: %s: %s; make the plan again", name, hardwareText(err))
	}
	return &plan, nil
}
