package redfish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// changeSettings writes boot and BIOS settings, resets the machine if any needs it, and waits
// until they are in force.
func (a *applier) changeSettings(ctx context.Context, ops []hardware.Operation) error {
	if len(ops) == 0 {
		return nil
	}
	var bios, waits []hardware.Operation
	reset := false
	for _, op := range ops {
		reset = reset || op.Reboot
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
			return a.changed(err)
		}
	}
	if len(bios) > 0 {
		if err := a.writeBIOS(ctx, bios); err != nil {
			return a.changed(err)
		}
	}
	if reset {
		if a.c.clock.Now().Sub(a.view.systemAt) > a.c.config.PollInterval {
			if err := a.refreshSystem(ctx); err != nil {
				return err
			}
		}
		a.progress("", hardware.PhaseWaiting, "resetting the machine")
		a.res.Reboots++
		if err := a.reset(ctx); err != nil {
			return err
		}
	}
	if len(waits) == 0 {
		return nil
	}
	timeout := fmt.Errorf("redfish: %s: %w: settings are not in force after the reset", a.target.Node, hardware.ErrNotConverged)
	if err := a.c.poll(ctx, a.c.config.BootTimeout, timeout, func() (bool, error) { return a.inForce(ctx) }); err != nil {
		return err
	}
	for _, op := range waits {
		a.done(op)
	}
	return nil
}

// writeBoot sends one boot setting. Whether it took is read back: at once for those that need no
// reset, a Supermicro/AMI board having answered 200 and kept the old override (redfish.md C2).
func (a *applier) writeBoot(ctx context.Context, op hardware.Operation) error {
	body, on := map[string]any{}, a.view.system
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
		if on = a.view.bootTarget; !on.Exists() {
			on = a.view.system
		}
		body["Boot"] = map[string]any{"BootOrder": op.After}
	case hardware.TargetSecureBoot:
		on = a.view.secureBoot
		body["SecureBootEnable"] = op.After == "on"
	default:
		return a.cannot(op)
	}
	a.progress(op.ID, hardware.PhaseStarted, "%s %v", op.Target, op.After)
	r, err := a.patch(ctx, a.uriOf(on), body, on.etag)
	if err != nil && statusOf(err) == http.StatusBadRequest && op.Target == hardware.TargetOverride && op.After != string(hardware.BootNone) {
		return fmt.Errorf("%w; the override that holds until it is changed may not be offered here", err)
	}
	a.follow202(r)
	return err
}

// uriOf is where a resource of the view was read. The resource's own word is not always there.
func (a *applier) uriOf(d doc) string {
	switch d.Raw {
	case a.view.system.Raw:
		return a.view.systemURI
	case a.view.secureBoot.Raw:
		return id(a.view.system.Get("SecureBoot"))
	}
	return id(a.view.system.Get(`\@Redfish\.Settings.SettingsObject`))
}

// writeBIOS sends the settings that do not pend yet and reports whether they were all there
// already. Where settings make jobs, a scheduled one that is not (only) ours is cancelled and
// what it would have set is sent along: nothing that somebody asked for is lost.
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
	r, err := a.patch(ctx, uri, body, a.view.settings.etag)
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

// inForce reads back: POST is over, no task or job is left, nothing pends, nothing is left to set.
func (a *applier) inForce(ctx context.Context) (bool, error) {
	if a.inPOST(a.view) || a.view.snap.System.Power == hardware.StateOff || len(a.tasks) > 0 {
		if err := a.refreshSystem(ctx); err != nil || a.inPOST(a.view) || a.view.snap.System.Power == hardware.StateOff {
			return false, err
		}
	}
	hadTasks := len(a.tasks) > 0
	if ended, err := a.tasksEnded(ctx); err != nil || !ended {
		return false, err
	}
	if a.quirks.SettingsMakeJobs || hadTasks {
		a.readJobs(ctx, a.view)
		if atWork, scheduled := settingsJob(a.view.snap.Jobs); atWork || scheduled || running(a.view.snap.Jobs) {
			return false, nil
		}
	}
	need := needed(a.plan.Profile)
	if need.bios {
		bios, err := a.get(ctx, a.view.biosURI)
		if err != nil {
			return false, err
		}
		a.setBIOS(ctx, a.view, bios)
	}
	if need.bootOptions {
		if err := a.refreshSystem(ctx); err != nil {
			return false, err
		}
		a.readPendingBoot(ctx, a.view)
	}
	if need.secureBoot {
		a.readSecureBoot(ctx, a.view)
	}
	left, err := a.left()
	return err == nil && left.Empty(), err
}
