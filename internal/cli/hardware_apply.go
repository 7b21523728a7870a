package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
	"github.com/crowbarkit/crowbarkit/internal/wording"
)

// application is one run of hardware apply.
type application struct {
	*machines
	profile, plan string
	allow         []string // disks that may lose their data
	resetAtOnce   bool
}

func (m *machines) applyCommand() *cobra.Command {
	a := &application{machines: m}
	c := &cobra.Command{
		Use: "apply --profile FILE | --plan FILE", Short: "bring a machine to a profile",
		Long: "Show the plan and carry it out. It asks nothing: what may be lost is said beforehand. A plan that\n" +
			"destroys data needs --allow-destroy with the serial number of every disk that loses its data, else\n" +
			"nothing is done (exit status 3). Every operation is read back from the machine before it counts as\n" +
			"done. Settings that need it are brought in force by one reset: the operating system is asked to shut\n" +
			"down and power cut when it does not, or, with --reset-at-once, the machine is reset without asking.\n\n" +
			"After an interrupt or an error give the same command again: it looks what is there and goes on.\n" +
			"--plan carries out a plan that crowbar hardware plan --out kept; if the machine is another one by\n" +
			"now, nothing is done (exit status 4).\n\n" +
			"Two apply of one BMC at the same time are not told of each other. Keep them apart.",
		Example: "  crowbar hardware apply --bmc 192.0.2.10 --user root --profile compute.json --allow-destroy S0A1,S0A2\n" +
			"  crowbar hardware apply --bmc 192.0.2.10 --user root --plan plan.json",
		Args: noNode,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd.Context()) },
	}
	f := c.Flags()
	f.Var(once(&a.profile), "profile", "what the machine should be, a JSON file; - is standard input")
	f.Var(once(&a.plan), "plan", "the plan to carry out, made by crowbar hardware plan --out")
	f.StringSliceVar(&a.allow, "allow-destroy", nil, "serial numbers of the disks that may lose their data, with commas between")
	f.BoolVar(&a.resetAtOnce, "reset-at-once", false, "reset the machine without asking its operating system to shut down")
	return c
}

func (a *application) run(ctx context.Context) error {
	for i, serial := range a.allow {
		a.allow[i] = strings.TrimSpace(serial)
	}
	var plan *hardware.Plan
	var want hardware.Profile
	var err error
	switch {
	case a.plan != "" && a.profile != "":
		return errors.New("--profile and --plan exclude each other: a plan has the profile that it was made for")
	case a.plan != "":
		plan, err = a.readPlan(a.plan)
	default:
		want, err = a.readProfile(a.profile)
	}
	if err != nil {
		return err
	}
	config := observing(want)
	config.ResetAtOnce = a.resetAtOnce
	return a.onBMC(ctx, config, func(c *redfish.Configurator) (err error) {
		requests := 0
		switch {
		case plan == nil:
			if plan, requests, err = a.planNow(ctx, c, want); err != nil {
				return err
			}
		case plan.Node != a.target.Node:
			return &hardwareError{err: hardware.ErrStalePlan,
				text: fmt.Sprintf("%s is a plan for %s, and --bmc is %s; plan for that one", a.plan, plan.Node, a.target.Node)}
		}
		return a.carryOut(ctx, c, plan, requests)
	})
}

// carryOut shows the plan, makes sure that what it destroys may be destroyed, and applies it.
func (a *application) carryOut(ctx context.Context, c *redfish.Configurator, plan *hardware.Plan, requests int) error {
	var w io.Writer = a.Stdout
	if a.output == "json" {
		w = a.Stderr
	}
	if _, err := io.WriteString(w, plan.Text()); err != nil {
		return err
	}
	if lost := without(plan.Destroys(), a.allow); len(lost) > 0 {
		return &hardwareError{err: hardware.ErrNotAuthorized, beside: map[string]any{"plan": plan},
			text: fmt.Sprintf("nothing was done: all data on %s would be lost; if that is meant, give --allow-destroy %s",
				strings.Join(lost, ", "), shellWord(strings.Join(plan.Destroys(), ",")))}
	}
	result := &hardware.Result{Done: []string{}, Skipped: []string{}, Left: []string{}}
	var err error
	if !plan.Empty() {
		result, err = c.Apply(ctx, a.target, plan, &hardware.ApplyOptions{Authorize: a.authorize, Progress: a.progress})
	}
	result.Requests += requests
	switch {
	case a.output == "json" && err == nil:
		return a.json(result)
	case a.output != "json" && !plan.Empty():
		a.summary(plan, result)
	}
	if err == nil {
		return nil
	}
	failed := a.failed(result, err)
	failed.beside = map[string]any{"plan": plan, "result": result}
	return failed
}

// failed says why it did not get to the end, and how an interrupt may leave the machine.
func (a *application) failed(result *hardware.Result, err error) *hardwareError {
	if !errors.Is(err, context.Canceled) {
		explained := (*hardwareError)(nil)
		errors.As(a.explained(err), &explained)
		return explained
	}
	text := "interrupted; what the BMC was told goes on there"
	if result.Reboots > 0 {
		text += fmt.Sprintf(". %s may be off: it was asked to shut down or to reset, and nobody may have turned it on again", a.target.Node)
	}
	return &hardwareError{text: text + ". Give the same command again to do the rest", err: err}
}

// authorize allows what was named. Apply only does what was planned, and that was compared with
// the names before; this is the second lock on the same door.
func (a *application) authorize(_ context.Context, d hardware.Destruction) error {
	if lost := without(d.Disks, a.allow); len(lost) > 0 {
		return fmt.Errorf("%s; --allow-destroy does not name %s", d.Description, strings.Join(lost, ", "))
	}
	return nil
}

// progress tells what is done, on a terminal.
func (a *application) progress(p hardware.Progress) {
	if is, _ := a.terminal(a.Stderr); !is {
		return
	}
	text := p.Message
	if p.Operation != "" && p.Phase != hardware.PhaseStarted {
		text = p.Operation + ": " + text
	}
	lines(a.Stderr, "%d of %d done: %s", p.Done, p.Total, oneLine(text))
}

// summary says how far it came and what it took.
func (a *application) summary(plan *hardware.Plan, r *hardware.Result) {
	text := fmt.Sprintf("%d of %s done and read back", len(r.Done), wording.Count(len(plan.Operations), "operation"))
	if n := len(r.Skipped); n > 0 {
		text += fmt.Sprintf(", %d in effect already", n)
	}
	if n := len(r.Left); n > 0 {
		text += fmt.Sprintf(", %d left to the vendor's means", n)
	}
	lines(a.Stdout, "%s; %s, %s", text, wording.Count(r.Reboots, "reboot"), wording.Count(r.Requests, "request"))
}

// without is what of a is not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}
