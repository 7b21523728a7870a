package redfish

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// Apply implements hardware.Configurator.
func (c *Configurator) Apply(ctx context.Context, t hardware.Target, p *hardware.Plan, opts *hardware.ApplyOptions) (*hardware.Result, error) {
	res := &hardware.Result{Done: []string{}, Skipped: []string{}}
	if p == nil {
		return res, fmt.Errorf("redfish: %s: %w: no plan", t.Node, hardware.ErrInvalid)
	}
	if p.Node != t.Node {
		return res, fmt.Errorf("redfish: %s: %w: the plan is for node %q", t.Node, hardware.ErrStalePlan, p.Node)
	}
	if opts == nil {
		opts = &hardware.ApplyOptions{}
	}
	unlock, err := c.lock(ctx, t.URL)
	if err != nil {
		return res, fmt.Errorf("redfish: %s: wait for another change: %w", t.Node, err)
	}
	defer unlock()
	n, err := c.connect(ctx, t)
	if err != nil {
		return res, err
	}
	a := &applier{machine: machine{conn: n}, plan: p, opts: opts, res: res}
	err = a.run(ctx)
	res.Requests = n.close(ctx)
	return res, err
}

// applier is one run of Apply.
type applier struct {
	machine
	plan *hardware.Plan
	opts *hardware.ApplyOptions
	res  *hardware.Result
}

func (a *applier) run(ctx context.Context) error {
	todo, err := a.start(ctx)
	if err != nil {
		return err
	}
	remaining := map[string]bool{}
	for _, op := range todo.Operations {
		remaining[op.ID] = true
	}
	for _, op := range a.plan.Operations {
		if !remaining[op.ID] {
			a.res.Skipped = append(a.res.Skipped, op.ID)
		}
	}
	var bios []hardware.Operation
	for _, op := range todo.Operations {
		var err error
		switch op.Component {
		case hardware.ComponentRAID:
			err = a.raid(ctx, op)
		case hardware.ComponentBoot:
			err = a.boot(ctx, op)
		case hardware.ComponentBIOS:
			bios = append(bios, op)
		default:
			err = fmt.Errorf("redfish: %s: %s: %w", a.target.Node, op.ID, hardware.ErrUnsupported)
		}
		if err != nil {
			return err
		}
	}
	return a.bios(ctx, bios)
}

// start observes and finds what is left of the plan. While firmware tests and configures
// the machine, or a job runs, what is seen is about to change, and some BMCs refuse or
// spoil changes; so it waits first and looks again.
func (a *applier) start(ctx context.Context) (*hardware.Plan, error) {
	for {
		var err error
		if a.view, err = a.observe(ctx); err != nil {
			return nil, err
		}
		todo, err := a.plan.Remaining(a.view.snap)
		busy := inPOST(a.view.snap.System) || running(a.view.snap.Jobs)
		switch {
		case !busy && err != nil:
			return nil, fmt.Errorf("redfish: %w", err)
		case !busy || err == nil && todo.Empty():
			return todo, nil
		}
		a.progress("", hardware.PhaseWaiting, "waiting for the machine to finish what it is doing")
		timeout := fmt.Errorf("redfish: %s: %w: a POST or job is still in progress", a.target.Node, hardware.ErrNotConverged)
		err = a.c.poll(ctx, a.c.config.BootTimeout, timeout, func() (bool, error) {
			if err := a.refreshSystem(ctx); err != nil {
				return false, err
			}
			a.view.snap.Jobs = nil
			a.readJobs(ctx, a.view)
			return !inPOST(a.view.snap.System) && !running(a.view.snap.Jobs), nil
		})
		if err != nil {
			return nil, err
		}
	}
}

// inPOST reports whether firmware is still at work, as far as the BMC tells.
func inPOST(s hardware.System) bool {
	if s.Power == hardware.StateOff {
		return false
	}
	switch s.BootProgress {
	case "", "None", "OSBootStarted", "OSRunning", "SetupEntered", "OEM":
		return false
	}
	return true
}

// running leaves out jobs that wait for a reset: Apply is what resets.
func running(jobs []hardware.Job) bool {
	return slices.ContainsFunc(jobs, func(j hardware.Job) bool {
		return j.State == "Running" || j.State == "Starting" || j.State == "Stopping" || j.State == "Cancelling"
	})
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

func (a *applier) raid(ctx context.Context, op hardware.Operation) error {
	l := a.view.controllers[op.Controller]
	if l == nil || op.Volume == nil {
		return fmt.Errorf("redfish: %s: %s: %w", a.target.Node, op.ID, hardware.ErrUnsupported)
	}
	if err := a.authorize(ctx, op); err != nil {
		return err
	}
	a.progress(op.ID, hardware.PhaseStarted, "%s %s", op.Action, op.Target)
	var err error
	var exists bool
	switch op.Action {
	case hardware.ActionDeleteVolume:
		_, err = a.change(ctx, http.MethodDelete, l.volumes[op.Volume.ID], nil, nil)
		if statusOf(err) == http.StatusNotFound {
			err = nil // read back below
		}
	case hardware.ActionCreateVolume:
		exists = true
		err = a.postVolume(ctx, *op.Volume, l)
	}
	if err != nil && !doubtful(err) {
		return err
	}
	lost := err
	limit, timeout := a.c.config.VolumeTimeout, fmt.Errorf("redfish: %s: %s: %w: the controller's volumes do not show it", a.target.Node, op.ID, hardware.ErrNotConverged)
	if lost != nil {
		limit, timeout = a.c.config.SettleTimeout, unknown(a.target.Node, op.ID, lost)
	}
	a.progress(op.ID, hardware.PhaseWaiting, "waiting for the controller")
	err = a.c.poll(ctx, limit, timeout, func() (bool, error) {
		volumes, complete, err := a.volumes(ctx, l)
		if err != nil || !complete {
			return false, err
		}
		_, found := find(volumes, *op.Volume)
		if op.Action == hardware.ActionDeleteVolume {
			found = slices.ContainsFunc(volumes, func(v hardware.Volume) bool { return v.ID == op.Volume.ID })
		}
		return found == exists, nil
	})
	if err != nil {
		if lost != nil && !errors.Is(err, hardware.ErrUnknownOutcome) {
			// Could not even look: the doubt remains.
			return fmt.Errorf("%w (%w)", unknown(a.target.Node, op.ID, lost), err)
		}
		return err
	}
	a.done(op)
	return nil
}

// postVolume sends the one request that creates a volume. Only a clear refusal is answered
// by a second: some services do not know VolumeUsage, and nothing depends on it.
func (a *applier) postVolume(ctx context.Context, v hardware.Volume, l *links) error {
	body := volumeBody(v, l)
	_, err := a.change(ctx, http.MethodPost, l.volumesURI, body, nil)
	if statusOf(err) == http.StatusBadRequest && body["VolumeUsage"] != nil {
		delete(body, "VolumeUsage")
		if _, second := a.change(ctx, http.MethodPost, l.volumesURI, body, nil); second == nil || doubtful(second) {
			return second
		}
	}
	return err
}

// volumes reads a controller's volumes without leaving marks in the view.
func (a *applier) volumes(ctx context.Context, l *links) ([]hardware.Volume, bool, error) {
	scratch := &view{snap: &hardware.Snapshot{}}
	volumes, complete := a.readVolumes(ctx, scratch, l)
	if !complete {
		reason := scratch.snap.Unreadable[0]
		return nil, false, &requestError{kind: hardware.ErrUnreachable, cause: ctx.Err(), text: reason.Reason}
	}
	return volumes, true, nil
}

func unknown(node, op string, err error) error {
	return fmt.Errorf("redfish: %s: %s: %w: %w", node, op, hardware.ErrUnknownOutcome, err)
}

func (a *applier) boot(ctx context.Context, op hardware.Operation) error {
	want, _ := op.After.(string)
	target, known := bootTargets()[hardware.BootTarget(want)]
	if !known {
		return fmt.Errorf("redfish: %s: %s: %w", a.target.Node, op.ID, hardware.ErrUnsupported)
	}
	enabled := "Continuous"
	if target == "None" {
		enabled = "Disabled"
	}
	a.progress(op.ID, hardware.PhaseStarted, "boot override %s", want)
	body := map[string]any{"Boot": map[string]any{"BootSourceOverrideTarget": target, "BootSourceOverrideEnabled": enabled}}
	if err := a.patch(ctx, a.view.systemURI, body, a.view.system.etag); err != nil {
		return err
	}
	// A Supermicro/AMI board answered 200 and kept the old override (redfish.md, C2).
	timeout := fmt.Errorf("redfish: %s: %s: %w: the override reads back as before", a.target.Node, op.ID, hardware.ErrNotConverged)
	err := a.c.poll(ctx, a.c.config.SettleTimeout, timeout, func() (bool, error) {
		if err := a.refreshSystem(ctx); err != nil {
			return false, err
		}
		left, err := hardware.NewPlan(hardware.Profile{Boot: a.plan.Profile.Boot}, a.view.snap)
		return err == nil && left.Empty(), err
	})
	if err == nil {
		a.done(op)
	}
	return err
}

// patch sends a change that may be repeated: with the ETag it was read with, and again with
// a fresh one, or none, if that is refused. Some BMCs demand If-Match, some choke on it. A
// lost answer is no error: the caller reads back.
func (a *applier) patch(ctx context.Context, uri string, body any, etag string) error {
	for try := 1; ; try++ {
		header := map[string]string{}
		if etag != "" {
			header["If-Match"] = etag
		}
		_, err := a.change(ctx, http.MethodPatch, uri, body, header)
		switch status := statusOf(err); {
		case err == nil:
			return nil
		case (status == http.StatusPreconditionFailed || status == http.StatusPreconditionRequired) && try <= 2:
			fresh, err := a.get(ctx, uri)
			if err != nil {
				return err
			}
			if etag = fresh.etag; try == 2 {
				etag = "*"
			}
		case ctx.Err() == nil && doubtful(err) && try <= 2:
			// Setting the same values again does no harm.
		default:
			return err
		}
	}
}
