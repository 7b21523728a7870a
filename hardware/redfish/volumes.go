package redfish

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// volumeChange is what firmware has yet to notice.
type volumeChange struct {
	any    bool // volumes have changed
	unseen bool // and no POST has found that out
}

// changeVolumes carries out deletions or creations, one at a time, each followed to its end.
// Those that wait for a reset share one.
func (a *applier) changeVolumes(ctx context.Context, ops []hardware.Operation, change *volumeChange) error {
	if len(ops) == 0 {
		return nil
	}
	change.any, change.unseen = true, true
	var waits []hardware.Operation
	for _, op := range ops {
		later, err := a.changeVolume(ctx, op)
		if err != nil {
			return err
		}
		if later {
			waits = append(waits, op)
		}
	}
	if len(waits) == 0 {
		return nil
	}
	if err := a.refreshSystem(ctx); err != nil {
		return err
	}
	a.progress("", hardware.PhaseWaiting, "resetting the machine for its volumes")
	a.res.Reboots++
	if err := a.reset(ctx); err != nil {
		return err
	}
	change.unseen = false
	timeout := fmt.Errorf("redfish: %s: %w: a change of volumes has not ended after the reset", a.target.Node, hardware.ErrNotConverged)
	err := a.c.poll(ctx, a.c.config.BootTimeout, timeout, func() (bool, error) {
		if err := a.refreshSystem(ctx); err != nil || a.inPOST(a.view) {
			return false, err
		}
		return a.tasksEnded(ctx)
	})
	if err != nil {
		return err
	}
	for _, op := range waits {
		if err := a.awaitVolume(ctx, op, nil); err != nil {
			return err
		}
	}
	return nil
}

// changeVolume sends one deletion or creation, and waits for it unless it waits for a reset
// itself, which is reported.
func (a *applier) changeVolume(ctx context.Context, op hardware.Operation) (later bool, err error) {
	l := a.view.controllers[op.Controller]
	i := slices.IndexFunc(a.view.snap.Storage, func(c hardware.Controller) bool { return c.ID == op.Controller })
	if l == nil || op.Volume == nil || i < 0 {
		return false, a.cannot(op)
	}
	c := a.view.snap.Storage[i]
	if err := a.authorize(ctx, op); err != nil {
		return false, err
	}
	// To be allowed may take as long as people do. What was allowed is the loss of these disks'
	// data and no others', so it is looked again at what the request would hit.
	id, gone, err := a.asPlanned(ctx, op, l)
	if err != nil {
		return false, err
	}
	if gone {
		a.done(op)
		return false, nil
	}
	a.progress(op.ID, hardware.PhaseStarted, "%s %s", op.Action, op.Target)
	before := a.view.snap.Jobs
	var r reply
	if op.Action == hardware.ActionDeleteVolume {
		r, err = a.change(ctx, http.MethodDelete, l.volumes[id], nil, nil)
		if statusOf(err) == http.StatusNotFound {
			err = nil // read back below
		}
	} else {
		r, err = a.postVolume(ctx, *op.Volume, l, c)
	}
	if err != nil && !doubtful(err) {
		return false, err
	}
	lost := err
	a.progress(op.ID, hardware.PhaseWaiting, "waiting for the controller")
	switch {
	case lost != nil && c.OnReset:
		// Nothing will show before the reset but the job, if it is there.
		if err := a.jobs(ctx, a.view); err != nil {
			return false, unknown(a.target.Node, op.ID, lost)
		}
		for _, j := range a.view.snap.Jobs {
			if waiting(j.State) && !slices.ContainsFunc(before, func(b hardware.Job) bool { return b.ID == j.ID }) {
				return true, nil
			}
		}
		return false, unknown(a.target.Node, op.ID, lost)
	case lost == nil && r.task() != "":
		if c.OnReset {
			a.tasks = append(a.tasks, r.task())
			return true, nil
		}
		switch err := a.awaitTask(ctx, r.task(), a.c.config.VolumeTimeout, op.ID); {
		case errors.Is(err, errWaits):
			a.tasks = append(a.tasks, r.task())
			return true, nil
		case err != nil:
			return false, err
		}
	case lost == nil && c.OnReset:
		return true, nil
	}
	return false, a.awaitVolume(ctx, op, lost)
}

// asPlanned reads the controller's volumes and refuses, as a stale plan, to create a volume on disks
// that others have, or to delete one that has become another. A volume is known by its disks:
// controllers number theirs anew when one goes. gone means that there is nothing left to delete.
func (a *applier) asPlanned(ctx context.Context, op hardware.Operation, l *links) (id string, gone bool, err error) {
	volumes, err := a.volumes(ctx, l)
	if err != nil {
		return "", false, err
	}
	if op.Action == hardware.ActionDeleteVolume {
		if have, found := find(volumes, *op.Volume); found && sameSet(have.Spares, op.Volume.Spares) {
			return have.ID, false, nil
		}
	}
	if have, taken := onto(volumes, slices.Concat(op.Volume.Drives, op.Volume.Spares)); taken {
		return "", false, fmt.Errorf("redfish: %s: %s: %w: volume %s is %s on %v by now", a.target.Node, op.ID, hardware.ErrStalePlan, have.ID, have.RAIDLevel, have.Drives)
	}
	return "", op.Action == hardware.ActionDeleteVolume, nil
}

// awaitVolume waits until the controller's volumes show the effect. If the answer was lost that
// is given SettleTimeout, and as long as a job is at work.
func (a *applier) awaitVolume(ctx context.Context, op hardware.Operation, lost error) error {
	l := a.view.controllers[op.Controller]
	start := a.c.clock.Now()
	timeout := fmt.Errorf("redfish: %s: %s: %w: the controller's volumes do not show it", a.target.Node, op.ID, hardware.ErrNotConverged)
	err := a.c.poll(ctx, a.c.config.VolumeTimeout, timeout, func() (bool, error) {
		volumes, err := a.volumes(ctx, l)
		if err != nil {
			return false, err
		}
		var shows bool
		if op.Action == hardware.ActionDeleteVolume {
			_, there := find(volumes, *op.Volume)
			shows = !there
		} else {
			var have hardware.Volume
			have, shows = find(volumes, *op.Volume)
			if shows && !sameSet(have.Spares, op.Volume.Spares) {
				return false, fmt.Errorf("redfish: %s: %s: %w: the controller made volume %s without its spares %v", a.target.Node, op.ID, hardware.ErrUnsupported, have.ID, op.Volume.Spares)
			}
			if want := op.Volume.SizeBytes; shows && !hardware.SizeFits(want, have.SizeBytes) {
				return false, fmt.Errorf("redfish: %s: %s: %w: the controller made volume %s of %d bytes in place of %d; ask for all that its disks give, by leaving size_bytes out",
					a.target.Node, op.ID, hardware.ErrUnsupported, have.ID, have.SizeBytes, want)
			}
		}
		if shows || lost == nil || a.c.clock.Now().Sub(start) < a.c.config.SettleTimeout {
			return shows, nil
		}
		if err := a.jobs(ctx, a.view); err != nil || running(a.view.snap.Jobs) {
			return false, err
		}
		return false, unknown(a.target.Node, op.ID, lost)
	})
	if err != nil {
		if lost != nil && !errors.Is(err, hardware.ErrUnknownOutcome) {
			// Could not even look: the doubt remains.
			return fmt.Errorf("%w (%w)", unknown(a.target.Node, op.ID, lost), err)
		}
		if lost == nil && passing(err) && !errors.Is(err, hardware.ErrNotConverged) {
			return fmt.Errorf("%w (%v)", timeout, err) // it was accepted: that is more than not to be reached
		}
		return err
	}
	a.done(op)
	return nil
}

// postVolume sends the one request that creates a volume. Only a clear refusal is answered
// by a second: some services do not know VolumeUsage, and nothing depends on it.
func (a *applier) postVolume(ctx context.Context, v hardware.Volume, l *links, c hardware.Controller) (reply, error) {
	body := a.volumeBody(v, l, c)
	r, err := a.change(ctx, http.MethodPost, l.volumesURI, body, nil)
	if statusOf(err) == http.StatusBadRequest && body["VolumeUsage"] != nil {
		delete(body, "VolumeUsage")
		if second, err := a.change(ctx, http.MethodPost, l.volumesURI, body, nil); err == nil || doubtful(err) {
			return second, err
		}
	}
	return r, err
}
