package redfish

import (
	"context"
	"fmt"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// bios writes all settings at once, resets the machine if any needs it, and waits until
// they are in force.
func (a *applier) bios(ctx context.Context, ops []hardware.Operation) error {
	if len(ops) == 0 {
		return nil
	}
	values, reset := map[string]any{}, false
	for _, op := range ops {
		a.progress(op.ID, hardware.PhaseStarted, "%s = %v", op.Target, op.After)
		reset = reset || op.Reboot
		if pending, ok := a.view.snap.BIOS.Pending[op.Target]; !ok || pending != op.After {
			values[op.Target] = op.After
		}
	}
	if len(values) > 0 {
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
		if err := a.patch(ctx, uri, body, a.view.settings.etag); err != nil {
			return err
		}
	}
	watch := func() (bool, error) { return a.biosInForce(ctx) }
	if reset {
		if err := a.refreshSystem(ctx); err != nil {
			return err
		}
		a.progress("", hardware.PhaseWaiting, "resetting the machine")
		a.res.Reboots++
		transition, _, err := a.restart(ctx) // an answer that is lost is no error, the settings tell
		if err != nil {
			return err
		}
		watch = func() (bool, error) {
			seen, err := transition()
			if err != nil || !seen || inPOST(a.view.snap.System) || a.view.snap.System.Power == hardware.StateOff {
				return false, err
			}
			return a.biosInForce(ctx)
		}
	}
	timeout := fmt.Errorf("redfish: %s: %w: BIOS settings are not in force after the reset", a.target.Node, hardware.ErrNotConverged)
	if err := a.c.poll(ctx, a.c.config.BootTimeout, timeout, watch); err != nil {
		return err
	}
	for _, op := range ops {
		a.done(op)
	}
	return nil
}

// biosInForce reads back: nothing left to set, nothing pending, no job at work on it.
func (a *applier) biosInForce(ctx context.Context) (bool, error) {
	bios, err := a.get(ctx, a.view.biosURI)
	if err != nil {
		return false, err
	}
	a.setBIOS(ctx, a.view, bios)
	left, err := hardware.NewPlan(hardware.Profile{BIOS: a.plan.Profile.BIOS}, a.view.snap)
	if err != nil || !left.Empty() {
		return false, err
	}
	a.view.snap.Jobs = nil
	a.readJobs(ctx, a.view)
	return !running(a.view.snap.Jobs), nil
}
