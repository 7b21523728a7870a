package redfish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// changeSettings writes boot and BIOS settings, resets the machine if any needs it, and waits
// until they are in force.
//
// The boot order is another matter where volumes have changed: disks and volumes are what firmware
// offers to boot, and it finds them during a POST. So the order comes after that, and once more if
// the POST found others than were known.
func (a *applier) changeSettings(ctx context.Context, ops []hardware.Operation, volumes volumeChange) error {
	i := slices.IndexFunc(ops, func(op hardware.Operation) bool {
		return op.Target == hardware.TargetOrder && op.Component == hardware.ComponentBoot
	})
	var order *hardware.Operation
	reset := slices.ContainsFunc(ops, func(op hardware.Operation) bool { return op.Reboot })
	if i >= 0 && volumes.any {
		order, ops = &ops[i], slices.Concat(ops[:i], ops[i+1:])
		reset = volumes.unseen || slices.ContainsFunc(ops, func(op hardware.Operation) bool { return op.Reboot })
	}
	if len(ops) > 0 || reset {
		orderLeft, err := a.writeSettings(ctx, ops, reset)
		if err != nil {
			return err
		}
		switch {
		case orderLeft && i < 0:
			return fmt.Errorf("redfish: %s: %w: the machine has other boot options since the reset, and their order was not planned; all else is done",
				a.target.Node, hardware.ErrStalePlan)
		case orderLeft && order == nil:
			order = &ops[i]
		}
	}
	for range 3 {
		if order == nil {
			return nil
		}
		left, err := a.orderLeft(ctx)
		if err != nil {
			return err
		}
		if left == nil {
			a.done(*order)
			return nil
		}
		orderLeft, err := a.writeSettings(ctx, []hardware.Operation{*left}, left.Reboot)
		if err != nil || !orderLeft {
			return err
		}
	}
	return fmt.Errorf("redfish: %s: %s: %w: firmware offers other boot options after each reset", a.target.Node, order.ID, hardware.ErrNotConverged)
}

// writeSettings writes settings, resets the machine if asked, and waits until they are in force.
// orderLeft means that all are but the boot order, since there are other options now.
func (a *applier) writeSettings(ctx context.Context, ops []hardware.Operation, reset bool) (orderLeft bool, err error) {
	var bios, waits []hardware.Operation
	for _, op := range ops {
		if op.Component == hardware.ComponentBIOS {
			a.progress(op.ID, hardware.PhaseStarted, "%s = %v", op.Target, op.After)
			bios, waits = append(bios, op), append(waits, op)
			continue
		}
		err := a.writeBoot(ctx, op)
		if err == nil && !op.Reboot {
			err = a.settle(ctx, op)
		} else if err == nil {
			waits = append(waits, op)
		}
		if err != nil {
			return false, a.changed(err)
		}
	}
	if len(bios) > 0 {
		err := a.writeBIOS(ctx, bios)
		if errors.Is(err, hardware.ErrRejected) && a.quirks.SettingsMakeJobs && len(a.tasks) > 0 {
			// The boot order became a job, and no second is taken beside it
			// (iDRAC-Redfish-Scripting#319).
			if err = a.runTasks(ctx); err == nil {
				err = a.writeBIOS(ctx, bios)
			}
		}
		if err != nil {
			return false, a.changed(err)
		}
	}
	if reset {
		if a.c.clock.Now().Sub(a.view.systemAt) > a.c.config.PollInterval {
			if err := a.refreshSystem(ctx); err != nil {
				return false, err
			}
		}
		a.progress("", hardware.PhaseWaiting, "resetting the machine")
		a.res.Reboots++
		if err := a.reset(ctx); err != nil {
			return false, err
		}
	}
	if len(waits) == 0 && !reset {
		return false, nil
	}
	looks, quiet := 0, time.Time{}
	timeout := fmt.Errorf("redfish: %s: %w: settings are not in force after the reset", a.target.Node, hardware.ErrNotConverged)
	err = a.c.poll(ctx, a.c.config.BootTimeout, timeout, func() (bool, error) {
		left, err := a.inForce(ctx)
		switch {
		case err != nil || left == nil:
			return false, err
		case len(left) == 0:
			return true, nil
		case len(left) == 1 && left[0].Target == hardware.TargetOrder:
			looks++
			orderLeft = looks >= 3 // it may take longer than the others
			return orderLeft, nil
		}
		// Some BMCs show settings minutes after POST. After that nobody will bring them in force.
		now := a.c.clock.Now()
		if quiet.IsZero() || len(a.view.snap.BIOS.Pending) > 0 {
			quiet = now
		}
		if now.Sub(quiet) >= a.c.config.OutageTimeout {
			return false, fmt.Errorf("%w, and nothing pends; firmware or somebody else undid %s", timeout, names(left))
		}
		return false, nil
	})
	if err != nil {
		return false, err
	}
	for _, op := range waits {
		if op.Target != hardware.TargetOrder || !orderLeft {
			a.done(op)
		}
	}
	return orderLeft, nil
}

func names(ops []hardware.Operation) string {
	var out []string
	for _, op := range ops {
		out = append(out, fmt.Sprintf("%s = %v", op.Target, op.After))
	}
	return strings.Join(out, ", ")
}

// runTasks gives the tasks of accepted changes a reset of their own, and looks again.
func (a *applier) runTasks(ctx context.Context) error {
	a.progress("", hardware.PhaseWaiting, "resetting the machine for the boot order, which the BMC takes alone")
	a.res.Reboots++
	if err := a.reset(ctx); err != nil {
		return err
	}
	timeout := fmt.Errorf("redfish: %s: %w: a change of the boot order has not ended after the reset", a.target.Node, hardware.ErrNotConverged)
	return a.c.poll(ctx, a.c.config.BootTimeout, timeout, func() (bool, error) {
		if err := a.refreshSystem(ctx); err != nil || a.inPOST(a.view) {
			return false, err
		}
		if ended, err := a.tasksEnded(ctx); err != nil || !ended {
			return false, err
		}
		if err := a.jobs(ctx, a.view); err != nil || running(a.view.snap.Jobs) {
			return false, err
		}
		return true, a.reread(ctx, needed(a.plan.Profile))
	})
}

// writeBoot sends one boot setting. Whether it took is read back: at once for those that need no
// reset, a Supermicro/AMI board having answered 200 and kept the old override (bmc-toolbox/bmclib#459).
func (a *applier) writeBoot(ctx context.Context, op hardware.Operation) error {
	body, uri, etag := map[string]any{}, a.view.systemURI, a.view.system.etag
	switch op.Target {
	case hardware.TargetOverride:
		want, _ := op.After.(string)
		source, enabled := bootSource(hardware.BootTarget(want)), "Continuous"
		switch source {
		case "":
			return a.cannot(op)
		case "None":
			enabled = "Disabled"
		}
		body["Boot"] = map[string]any{"BootSourceOverrideTarget": source, "BootSourceOverrideEnabled": enabled}
	case hardware.TargetMode:
		// A mode alone is no override on some BMCs, so what is there is sent along.
		b := a.view.snap.Boot
		body["Boot"] = map[string]any{"BootSourceOverrideMode": op.After, "BootSourceOverrideTarget": bootSource(b.Target), "BootSourceOverrideEnabled": b.Enabled}
	case hardware.TargetOrder:
		if settings := a.view.bootSettings; settings.Exists() {
			uri, etag = systemSettings(a.view.system), settings.etag
		}
		body["Boot"] = map[string]any{"BootOrder": op.After}
	case hardware.TargetSecureBoot:
		uri, etag = linkTo(a.view.system.Result, "SecureBoot"), a.view.secureBoot.etag
		body["SecureBootEnable"] = op.After == "on"
	default:
		return a.cannot(op)
	}
	a.progress(op.ID, hardware.PhaseStarted, "%s %v", op.Target, op.After)
	r, err := a.patch(ctx, uri, body, etag, nil)
	if settings := systemSettings(a.view.system); settings != "" && uri == a.view.systemURI && (statusOf(err) == http.StatusBadRequest || statusOf(err) == http.StatusMethodNotAllowed) {
		// iDRAC 10 and AMI's have the system read-only, and its settings object for changes.
		fresh, getErr := a.get(ctx, settings)
		if getErr != nil {
			return getErr
		}
		r, err = a.patch(ctx, settings, body, fresh.etag, nil)
	}
	if err != nil && statusOf(err) == http.StatusBadRequest && op.Target == hardware.TargetOverride && op.After != string(hardware.BootNone) {
		return fmt.Errorf("%w; the override that holds until it is changed may not be offered here", err)
	}
	a.follow202(r)
	return err
}

// writeBIOS sends the settings that do not pend yet, if any. Where settings make jobs, a scheduled
// one that is not (only) ours is cancelled and what it would have set is sent along: nothing that
// somebody asked for is lost.
func (a *applier) writeBIOS(ctx context.Context, ops []hardware.Operation) error {
	bios := a.view.snap.BIOS
	values, missing := map[string]any{}, false
	for _, op := range ops {
		pending, ok := bios.Pending[op.Target]
		if ok && pending == op.After {
			continue
		}
		missing = true
		values[op.Target] = op.After
	}
	if q, ok := a.vendor.(JobQueue); ok && a.quirks.SettingsMakeJobs {
		_, scheduled := settingsJob(a.view.snap.Jobs)
		if scheduled && !missing {
			return nil
		}
		for _, job := range a.view.snap.Jobs {
			if job.Component == hardware.ComponentBIOS && waiting(job.State) {
				if err := q.CancelSettings(ctx, a.conn, a.view.manager.Result, job); err != nil {
					return err
				}
				a.view.settings.etag = "" // of what was dropped with it
			}
		}
		all := maps.Clone(bios.Pending)
		if all == nil {
			all = map[string]any{}
		}
		for _, op := range ops {
			all[op.Target] = op.After
		}
		values = all
	} else if !missing {
		return nil
	}
	uri := a.view.settingsURI
	if uri == "" {
		uri = a.view.biosURI
	}
	body := map[string]any{"Attributes": values}
	if a.view.onReset {
		// On Dell this itself creates the job; elsewhere pending until reset is what a
		// settings object means anyway.
		body["@Redfish.SettingsApplyTime"] = map[string]any{"ApplyTime": "OnReset"}
	}
	r, err := a.patch(ctx, uri, body, a.view.settings.etag, func(now doc) bool {
		have := attributes(now.Result)
		for name, value := range values {
			if have[name] != value {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	a.follow202(r)
	return nil
}

// changed makes a change by somebody else a stale plan.
func (a *applier) changed(err error) error {
	if errors.Is(err, errChanged) {
		return fmt.Errorf("redfish: %s: %w: settings were changed by somebody else while they were written (%w)", a.target.Node, hardware.ErrStalePlan, err)
	}
	return err
}

// orderLeft reads the boot options again and plans the order on them; nil if it is as wished.
func (a *applier) orderLeft(ctx context.Context) (*hardware.Operation, error) {
	var left *hardware.Operation
	timeout := fmt.Errorf("redfish: %s: %w: the boot options cannot be read", a.target.Node, hardware.ErrNotConverged)
	err := a.c.poll(ctx, a.c.config.SettleTimeout, timeout, func() (bool, error) {
		if err := a.reread(ctx, parts{bootOptions: true}); err != nil {
			return false, err
		}
		plan, err := hardware.NewPlan(hardware.Profile{Boot: &hardware.BootProfile{Order: a.plan.Profile.Boot.Order}}, a.view.snap)
		if err != nil {
			return false, fmt.Errorf("redfish: %s: after volumes have changed: %w", a.target.Node, err)
		}
		if len(plan.Operations) > 0 {
			left = &plan.Operations[0]
		}
		return true, nil
	})
	return left, err
}

// reread reads parts again. What cannot be read now is an error, not a gap: it would pass for
// something that the machine does not have.
func (a *applier) reread(ctx context.Context, need parts) error {
	known := slices.Clone(a.view.snap.Unreadable)
	if need.bios {
		bios, err := a.get(ctx, a.view.biosURI)
		if err != nil {
			return err
		}
		a.setBIOS(ctx, a.view, bios, doc{})
	}
	if need.bootOptions {
		if err := a.refreshSystem(ctx); err != nil {
			return err
		}
		a.readBootOptions(ctx, a.view)
	}
	if need.secureBoot {
		a.readSecureBoot(ctx, a.view)
	}
	now := a.view.snap.Unreadable
	a.view.snap.Unreadable = known
	for _, gap := range now {
		if !slices.ContainsFunc(known, func(k hardware.Unreadable) bool { return k.Path == gap.Path }) {
			return &requestError{kind: hardware.ErrUnreachable, cause: ctx.Err(), text: fmt.Sprintf("redfish: %s: %s", a.target.Node, gap.Reason)}
		}
	}
	return nil
}

// settle reads back a boot setting that needs no reset.
func (a *applier) settle(ctx context.Context, op hardware.Operation) error {
	timeout := fmt.Errorf("redfish: %s: %s: %w: it reads back as before", a.target.Node, op.ID, hardware.ErrNotConverged)
	err := a.c.poll(ctx, a.c.config.SettleTimeout, timeout, func() (bool, error) {
		if err := a.refreshSystem(ctx); err != nil {
			return false, err
		}
		left, err := a.left()
		return err == nil && !slices.ContainsFunc(left.Operations, func(o hardware.Operation) bool { return o.ID == op.ID }), err
	})
	if err == nil {
		a.done(op)
	}
	return err
}

// left plans for the settings again, on what was read last.
func (a *applier) left() (*hardware.Plan, error) {
	return hardware.NewPlan(hardware.Profile{BIOS: a.plan.Profile.BIOS, Boot: a.plan.Profile.Boot}, a.view.snap)
}

// inForce reads back: POST is over, no task or job is left, nothing pends. What is left to set is
// nil as long as that cannot be said.
func (a *applier) inForce(ctx context.Context) (left []hardware.Operation, err error) {
	booting := func() bool { return a.inPOST(a.view) || a.view.snap.System.Power == hardware.StateOff }
	if booting() && a.c.clock.Now().Sub(a.view.systemAt) >= a.c.config.PollInterval/2 {
		if err := a.refreshSystem(ctx); err != nil {
			return nil, err
		}
	}
	if booting() {
		return nil, nil
	}
	hadTasks := len(a.tasks) > 0
	if ended, err := a.tasksEnded(ctx); err != nil || !ended {
		return nil, err
	}
	if a.quirks.SettingsMakeJobs || hadTasks {
		if err := a.jobs(ctx, a.view); err != nil {
			return nil, err
		}
		if atWork, scheduled := settingsJob(a.view.snap.Jobs); atWork || scheduled || running(a.view.snap.Jobs) {
			return nil, nil
		}
	}
	if err := a.reread(ctx, needed(a.plan.Profile)); err != nil {
		return nil, err
	}
	plan, err := a.left()
	if err != nil {
		return nil, err
	}
	return append([]hardware.Operation{}, plan.Operations...), nil
}
