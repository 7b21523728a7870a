package sim

import (
	"context"
	"errors"
	"fmt"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/provisioner"
	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// image is the agent of the discovery image (Crowbar's control.sh in Sledgehammer). It takes
// the inventory, and then moves on the states that the node itself has to move on. It never
// touches a disk: the hardware is configured by the engine, through the BMC.
func (m *Machine) image(ctx context.Context, a *agent, o client.Orders) (*client.Orders, error) {
	if o.Phase == string(statemachine.PhaseFailed) {
		return a.await(ctx, o.Visit)
	}
	switch o.State {
	case lifecycle.Discovering:
		if err := m.site.wait(ctx, m.site.config.Durations.Discovery); err != nil {
			return nil, err
		}
		return a.report(ctx, lifecycle.Discovered, nil)
	case lifecycle.Reset:
		return a.report(ctx, lifecycle.Discovering, nil)
	case lifecycle.Update:
		return a.report(ctx, lifecycle.HardwareUpdating, nil)
	case lifecycle.HardwareInstalled:
		return a.report(ctx, lifecycle.Installing, nil) // and then the case below
	case lifecycle.Installing, lifecycle.Reinstall, lifecycle.Installed, lifecycle.HardwareUpdated,
		lifecycle.Readying, lifecycle.Ready, lifecycle.Applying, lifecycle.Recovering, lifecycle.Reboot:
		return nil, m.reboot(ctx) // into what the node boots now
	}
	return a.await(ctx, o.Visit)
}

// installer is the operating system's installer with Crowbar's parts of its preseed file.
func (m *Machine) installer(ctx context.Context, a *agent, o client.Orders) (*client.Orders, error) {
	if o.Phase == string(statemachine.PhaseFailed) {
		return a.await(ctx, o.Visit)
	}
	switch o.State {
	case lifecycle.HardwareInstalled, lifecycle.Reinstall:
		return a.report(ctx, lifecycle.Installing, nil)
	case lifecycle.Installing:
		if err := m.install(ctx, a); err != nil {
			return nil, err
		}
		return a.report(ctx, lifecycle.Installed, m.facts)
	case lifecycle.Problem, lifecycle.Debug, lifecycle.Shutdown, lifecycle.Delete, lifecycle.DeleteFinal:
		return a.await(ctx, o.Visit)
	}
	return nil, m.reboot(ctx)
}

// install writes the system to the boot disk, if that has not been done in this boot. Unless
// it was granted, nothing is touched and the error says so.
func (m *Machine) install(ctx context.Context, a *agent) error {
	target := m.hardware.BootDisk()
	if target == "" {
		return errors.New("there is no disk to install on")
	}
	m.mu.Lock()
	contents := fmt.Sprintf("%s, installed on %s in boot %d", m.record.Running.OS, a.node, m.record.Ticket.Boot)
	m.mu.Unlock()
	there, err := m.hardware.Contents(target)
	if err != nil {
		return err
	}
	if there != contents {
		err := a.client.Authorize(ctx, a.node, barclamp.Destruction{
			Operation:   provisioner.InstallOperation,
			Disks:       m.disksOf(target),
			Description: "install on " + target,
		})
		if err != nil {
			return fmt.Errorf("install on %s: %w", target, err)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.keep(func(r *record) { r.Installed = &installed{Contents: contents} })
		if err := m.hardware.Write(target, contents); err != nil {
			return err
		}
	}
	if err := m.site.wait(ctx, m.site.config.Durations.Install); err != nil {
		return err
	}
	m.keep(func(r *record) { r.Installed.Complete = true })
	return nil
}

// disksOf lists the serial numbers of the disks behind a volume or a disk.
func (m *Machine) disksOf(target string) []string {
	for _, v := range m.hardware.State().Volumes {
		if v.ID == target {
			return v.Disks
		}
	}
	return []string{target}
}

// system is Crowbar's service on the installed system (crowbar_join). It says once in each
// boot that the system is up, and obeys orders to go down. Roles are the jig's business.
func (m *Machine) system(ctx context.Context, a *agent, o client.Orders) (*client.Orders, error) {
	m.mu.Lock()
	r, booted := *m.record.Running, m.record.Installed.Booted
	m.mu.Unlock()
	if !booted {
		if err := m.site.wait(ctx, m.site.config.Durations.FirstBoot); err != nil {
			return nil, err
		}
		m.keep(func(r *record) { r.Installed.Booted = true })
	}
	if !r.Up {
		return m.comeUp(ctx, a, o, r)
	}
	switch o.State {
	case lifecycle.Reboot, lifecycle.Reset, lifecycle.Reinstall, lifecycle.Update:
		return nil, m.reboot(ctx)
	case lifecycle.Shutdown:
		return nil, errors.Join(m.hardware.Reset(redfishsim.ResetGracefulShutdown), ctx.Err())
	case lifecycle.Recovering:
		// As crowbar_join: a second try, and if that fails as well, somebody has to look.
		if err := m.site.wait(ctx, m.site.config.Durations.Recovery); err != nil {
			return nil, err
		}
		if r.Tries > 0 {
			return a.report(ctx, lifecycle.Problem, nil)
		}
		m.keep(func(r *record) { r.Running.Tries++ })
		return a.report(ctx, lifecycle.Readying, nil)
	case lifecycle.Ready:
		if r.Tries > 0 {
			m.keep(func(r *record) { r.Running.Tries = 0 })
		}
	}
	return a.await(ctx, o.Visit)
}

// comeUp reports that the system runs, from any state that a node leaves in this way.
func (m *Machine) comeUp(ctx context.Context, a *agent, o client.Orders, r running) (*client.Orders, error) {
	up := func() { m.keep(func(r *record) { r.Running.Up = true }) }
	if r.Asked != 0 && o.Visit > r.Asked {
		up() // it was heard, though the answer was not
		return &o, nil
	}
	switch o.State {
	case lifecycle.Installed, lifecycle.HardwareUpdated, lifecycle.Recovering, lifecycle.Ready, lifecycle.Applying,
		lifecycle.Reboot, lifecycle.Shutdown, lifecycle.Problem:
		m.keep(func(r *record) { r.Running.Asked = o.Visit })
		orders, err := a.report(ctx, lifecycle.Readying, nil)
		if err == nil {
			up()
		}
		return orders, err
	}
	up()
	return &o, nil
}
