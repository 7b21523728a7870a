package redfish

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Apply implements hardware.Configurator.
func (c *Configurator) Apply(ctx context.Context, t hardware.Target, p *hardware.Plan, opts *hardware.ApplyOptions) (*hardware.Result, error) {
	res := &hardware.Result{Done: []string{}, Skipped: []string{}, Left: []string{}}
	if p == nil {
		return res, fmt.Errorf("redfish: %s: %w: no plan", t.Node, hardware.ErrInvalid)
	}
	if p.Node != t.Node {
		return res, fmt.Errorf("redfish: %s: %w: the plan is for node %q", t.Node, hardware.ErrStalePlan, p.Node)
	}
	if opts == nil {
		opts = &hardware.ApplyOptions{}
	}
	var err error
	res.Requests, err = c.with(ctx, t, true, func(n *conn) error {
		return (&applier{machine: machine{conn: n}, plan: p, opts: opts, res: res}).run(ctx)
	})
	return res, err
}

// applier is one run of Apply.
type applier struct {
	machine
	plan  *hardware.Plan
	opts  *hardware.ApplyOptions
	res   *hardware.Result
	tasks []string // of changes that were accepted, not known to have ended
}

// run does the plan in four phases: what pends in the BMC is given its way, volumes go, volumes
// come, settings are written and taken over by one reset.
func (a *applier) run(ctx context.Context) error {
	todo, err := a.start(ctx)
	if err != nil {
		return err
	}
	for _, op := range a.plan.Operations {
		if !slices.ContainsFunc(todo.Operations, func(left hardware.Operation) bool { return left.ID == op.ID }) {
			a.res.Skipped = append(a.res.Skipped, op.ID)
		}
	}
	var deletions, creations, settings, flash []hardware.Operation
	for _, op := range todo.Operations {
		switch {
		case op.Action == hardware.ActionDeleteVolume:
			deletions = append(deletions, op)
		case op.Action == hardware.ActionCreateVolume:
			creations = append(creations, op)
		case op.Component == hardware.ComponentBIOS, op.Component == hardware.ComponentBoot:
			settings = append(settings, op)
		case op.Component == hardware.ComponentFirmware:
			flash = append(flash, op)
		default:
			return a.cannot(op)
		}
	}
	var volumes volumeChange
	for _, phase := range [][]hardware.Operation{deletions, creations} {
		if err := a.changeVolumes(ctx, phase, &volumes); err != nil {
			return err
		}
	}
	if err := a.changeSettings(ctx, settings, volumes); err != nil {
		return err
	}
	var left []string
	for _, op := range flash {
		a.res.Left = append(a.res.Left, op.ID)
		left = append(left, fmt.Sprintf("%s %v to %v", op.Target, op.Before, op.After))
	}
	if len(left) > 0 {
		return fmt.Errorf("redfish: %s: %w: firmware is not flashed here, use the vendor's means: %s; all else is done",
			a.target.Node, hardware.ErrUnsupported, strings.Join(left, ", "))
	}
	return nil
}

// start observes and finds what is left of the plan. While firmware tests and configures
// the machine, or a job runs, what is seen is about to change, and some BMCs refuse or
// spoil changes; so it waits first and looks again. A change of volumes that waits for a reset
// (an Apply died before it) gets its reset first.
//
// Within KeepSession of an observation by this Configurator a plan that destroys nothing goes on
// from that: whether somebody else changed the settings since, their ETag tells.
func (a *applier) start(ctx context.Context) (*hardware.Plan, error) {
	if seen := a.conn.view; seen != nil && seen.has.covers(needed(a.plan.Profile)) && len(a.plan.Destroys()) == 0 &&
		a.c.clock.Now().Sub(seen.at) <= a.c.config.KeepSession && !a.inPOST(seen) && len(seen.snap.Jobs) == 0 && a.guarded(seen) {
		a.view = seen
		if todo, err := a.plan.Remaining(seen.snap); err == nil {
			return todo, nil
		}
	}
	for {
		before, err := a.view, error(nil)
		if a.view, err = a.observe(ctx, needed(a.plan.Profile)); err != nil {
			return nil, err
		}
		if before != nil && before.snap.System.BootProgress == a.view.snap.System.BootProgress && before.snap.System.LastResetTime == a.view.snap.System.LastResetTime {
			a.view.stepAt = before.stepAt // patience with a POST does not begin anew
		}
		if a.view.jobsErr != nil {
			return nil, a.view.jobsErr // what they would do is not known
		}
		todo, planErr := a.plan.Remaining(a.view.snap)
		busy := a.inPOST(a.view) || running(a.view.snap.Jobs)
		switch {
		case a.view.has.storage && a.quirks.VolumesAfterPOST && a.view.snap.System.Power == hardware.StateOff:
			a.progress("", hardware.PhaseWaiting, "turning the machine on: its volumes cannot be seen before")
			err = a.restart(ctx)
		case !busy && planErr == nil && a.volumesWait(todo):
			if a.res.Reboots > 0 {
				return nil, fmt.Errorf("redfish: %s: %w: a change of volumes still waits after a reset%s", a.target.Node, hardware.ErrNotConverged, a.describeJobs())
			}
			a.progress("", hardware.PhaseWaiting, "resetting the machine for a change of volumes that waits for it")
			a.res.Reboots++
			err = a.reset(ctx)
		case !busy && planErr != nil:
			return nil, fmt.Errorf("redfish: %w", planErr)
		case !busy || planErr == nil && todo.Empty():
			return todo, nil
		}
		if err != nil {
			return nil, err
		}
		a.progress("", hardware.PhaseWaiting, "waiting for the machine to finish what it is doing")
		timeout := fmt.Errorf("redfish: %s: %w: a POST or job is still in progress%s", a.target.Node, hardware.ErrNotConverged, a.describeJobs())
		err = a.c.poll(ctx, a.c.config.BootTimeout, timeout, func() (bool, error) {
			if err := a.refreshSystem(ctx); err != nil || a.inPOST(a.view) {
				return false, err
			}
			err := a.jobs(ctx, a.view)
			return err == nil && !running(a.view.snap.Jobs), err
		})
		if err != nil {
			return nil, err
		}
	}
}

// guarded reports whether a change by somebody else would show as another ETag of what is written.
func (a *applier) guarded(seen *view) bool {
	need := needed(a.plan.Profile)
	return !a.bmc.noIfMatch.Load() && seen.system.etag != "" && (!need.bios || seen.settings.etag != "" && seen.bios.etag != "") &&
		(!need.secureBoot || seen.secureBoot.etag != "")
}

// volumesWait reports whether volumes are to be changed and a change of some waits for a reset.
func (a *applier) volumesWait(todo *hardware.Plan) bool {
	return slices.ContainsFunc(todo.Operations, func(op hardware.Operation) bool { return op.Component == hardware.ComponentRAID }) &&
		slices.ContainsFunc(a.view.snap.Jobs, func(j hardware.Job) bool { return j.Component == hardware.ComponentRAID && waiting(j.State) })
}

func (a *applier) describeJobs() string {
	var out []string
	for _, j := range a.view.snap.Jobs {
		out = append(out, fmt.Sprintf("job %s (%s) is %s", j.ID, j.Name, j.State))
	}
	if len(out) == 0 {
		return ""
	}
	return ": " + strings.Join(out, ", ")
}

func (a *applier) progress(op string, phase hardware.Phase, format string, args ...any) {
	p := hardware.Progress{Operation: op, Phase: phase, Message: fmt.Sprintf(format, args...), Done: len(a.res.Done) + len(a.res.Skipped),
		Total: len(a.plan.Operations), At: a.c.clock.Now().UTC()}
	a.c.log.Debug("redfish: apply", "node", a.target.Node, "operation", op, "phase", phase, "message", p.Message)
	if a.opts.Progress != nil {
		a.opts.Progress(p)
	}
}

func (a *applier) done(op hardware.Operation) {
	a.res.Done = append(a.res.Done, op.ID)
	a.progress(op.ID, hardware.PhaseDone, "verified")
}

func (a *applier) cannot(op hardware.Operation) error {
	return fmt.Errorf("redfish: %s: %s: %w", a.target.Node, op.ID, hardware.ErrUnsupported)
}

// authorize asks before data is destroyed.
func (a *applier) authorize(ctx context.Context, op hardware.Operation) error {
	if len(op.Destroys) == 0 {
		return nil
	}
	if a.opts.Authorize == nil {
		return fmt.Errorf("redfish: %s: %w: %s", a.target.Node, hardware.ErrNotAuthorized, op.Destruction(a.target.Node).Description)
	}
	if err := a.opts.Authorize(ctx, op.Destruction(a.target.Node)); err != nil {
		return fmt.Errorf("redfish: %s: %s: %w: %w", a.target.Node, op.ID, hardware.ErrNotAuthorized, err)
	}
	return nil
}
