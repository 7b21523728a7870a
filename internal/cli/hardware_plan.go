package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/internal/clock"
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
				for _, flag := range []string{"bmc", "user", "password-file", "ca", "pin-file", "profile", "snapshot", "out"} {
					if cmd.Flags().Changed(flag) {
						return fmt.Errorf("leave out --%s: the profile of %s is that of its roles, and its BMC the server's to ask; "+
							"or give --bmc URL in place of a node", flag, args[0])
					}
				}
				return m.planOfNode(cmd.Context(), args[0])
			}
			if snapshot != "" && m.bmc != "" {
				return errors.New("--snapshot and --bmc exclude each other: it plans for an inventory, or for a machine")
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
				lines(m.Stderr, "the plan is in %s; to carry it out: crowbar hardware apply%s --plan %s", out, repeated(cmd), shellWord(out))
			}
			if !plan.Empty() {
				return errChanges
			}
			return nil
		},
	}
	c.Flags().Var(once(&profile), "profile", "what the machine should be, a JSON file; - is standard input")
	c.Flags().Var(once(&snapshot), "snapshot", "plan for this inventory instead of a machine")
	c.Flags().Var(once(&out), "out", "write the plan into this file, too")
	return c
}

// repeated are the flags of a command that the next one needs as well.
func repeated(cmd *cobra.Command) (text string) {
	for _, name := range []string{"bmc", "user", "password-file", "ca", "pin-file"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			text += " --" + name + " " + shellWord(f.Value.String())
		}
	}
	return text
}

const (
	// postTimeout bounds the wait for a POST, as redfish.Config.BootTimeout does in Apply.
	postTimeout = 20 * time.Minute
	// postInterval is between looks at it.
	postInterval = 10 * time.Second
)

// planNow plans for the machine as it is, and tells how many requests it took to see that. Volumes
// that the BMC does not show before POST is over are waited for.
func (m *machines) planNow(ctx context.Context, c *redfish.Configurator, want hardware.Profile) (*hardware.Plan, int, error) {
	var pace redfish.Clock = clock.System()
	if m.Clock != nil {
		pace = m.Clock
	}
	requests, deadline := 0, pace.Now().Add(postTimeout)
	for told := false; ; told = true {
		seen, err := c.Observe(ctx, m.target)
		if err != nil {
			return nil, requests, err
		}
		requests += seen.Requests
		plan, err := hardware.NewPlan(want, seen)
		if err == nil || !hiddenByPOST(seen, err) || !pace.Now().Before(deadline) {
			return plan, requests, err
		}
		if !told {
			lines(m.Stderr, "%s is in POST, and its BMC shows its volumes only after it; waiting for that, up to %s", m.target.Node, period(postTimeout))
		}
		select {
		case <-ctx.Done():
			return nil, requests, ctx.Err()
		case <-pace.After(postInterval):
		}
	}
}

// hiddenByPOST reports whether what is wrong with a plan may be right when POST is over: all of it
// is about volumes, and there is a controller that was not seen whole.
func hiddenByPOST(seen *hardware.Snapshot, err error) bool {
	var invalid *hardware.ValidationError
	return (seen.System.InPOST || seen.System.Power == hardware.StatePoweringOn) && errors.As(err, &invalid) &&
		!slices.ContainsFunc(invalid.Problems, func(p hardware.Problem) bool { return !strings.HasPrefix(p.Path, "/raid") }) &&
		slices.ContainsFunc(seen.Storage, func(c hardware.Controller) bool { return c.Partial })
}

// planOffline plans for an inventory that was kept.
func (m *machines) planOffline(want hardware.Profile, name string) (*hardware.Plan, error) {
	raw, err := m.readFile("--snapshot", name)
	if err != nil {
		return nil, err
	}
	var seen hardware.Snapshot
	err = json.Unmarshal(raw, &seen)
	if err != nil || seen.Node == "" || seen.TakenAt.IsZero() {
		is := "no inventory"
		if looksLikePlan(raw) {
			is = "a plan, not an inventory"
		}
		return nil, fmt.Errorf("--snapshot: %s is %s; make one with crowbar hardware inventory -o json", name, is)
	}
	m.target.Node = seen.Node
	plan, err := hardware.NewPlan(want, &seen)
	return plan, m.explained(err)
}

// looksLikePlan tells a plan, whether it can be read or not, from another document.
func looksLikePlan(raw []byte) bool {
	var head struct{ Operations *json.RawMessage }
	return json.Unmarshal(raw, &head) == nil && head.Operations != nil
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
	all, planned := &hardware.Plan{Node: p.Node}, false
	for _, part := range p.Parts {
		if looksLikePlan(part.Detail) {
			var plan hardware.Plan
			if err := json.Unmarshal(part.Detail, &plan); err != nil {
				return fmt.Errorf("the server's plan for %s cannot be read: %s; is it of another version?", part.Barclamp, hardwareText(err))
			}
			all.Operations = append(all.Operations, plan.Operations...)
			all.Profile = joined(all.Profile, plan.Profile)
			planned = true
		}
		if part.Skipped != "" {
			lines(m.Stderr, "%s is skipped: %s", part.Barclamp, oneLine(part.Skipped))
			planned = true
		}
	}
	if !planned {
		return fmt.Errorf("nothing is planned for the hardware of %s: no proposal in force configures it; "+
			"see what it waits for: crowbar node why %s", p.Node, shellWord(p.Node))
	}
	if err := m.showPlan(m.Stdout, all); err != nil {
		return err
	}
	if !all.Empty() {
		return errChanges
	}
	return nil
}

// joined is a profile with the parts that another one has; of two barclamps each has its own.
func joined(p, other hardware.Profile) hardware.Profile {
	p.BIOS, p.RAID, p.Boot = cmp.Or(other.BIOS, p.BIOS), cmp.Or(other.RAID, p.RAID), cmp.Or(other.Boot, p.Boot)
	p.Firmware = append(p.Firmware, other.Firmware...)
	return p
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
