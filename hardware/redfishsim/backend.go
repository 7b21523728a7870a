package redfishsim

import (
	"context"
	"fmt"
)

// PowerBackend is something real behind a machine's power button, such as a virtual machine
// or a process. Its calls come one at a time.
type PowerBackend interface {
	// Start turns it on. It is called only for what does not run.
	Start(ctx context.Context, b Boot) error
	// Stop cuts its power; it does not run when Stop returns without error.
	Stop(ctx context.Context) error
	// Shutdown asks what runs to end, and does not wait for it.
	Shutdown(ctx context.Context) error
	Running(ctx context.Context) (bool, error)
}

// Boot says what to boot from.
type Boot struct {
	Target string // the override in force: Redfish Pxe, Hdd, Cd, …; "" for the boot order
	Mode   string // UEFI or Legacy
	Order  []BootOption
}

// Follow asks the backend whether it runs, and turns the machine on or off accordingly. Each
// request to the BMC that concerns the system does so first. Without a backend it does nothing.
func (m *Machine) Follow(ctx context.Context) error {
	if m.backend == nil {
		return nil
	}
	m.pressing.Lock()
	defer m.pressing.Unlock()
	_, err := m.follow(ctx)
	return err
}

// follow needs pressing.
func (m *Machine) follow(ctx context.Context) (runs bool, err error) {
	if runs, err = m.backend.Running(ctx); err != nil {
		return false, fmt.Errorf("%w: is it running: %w", ErrBackend, err)
	}
	return runs, m.do(func() error {
		off := m.state.Power == PowerOff
		switch {
		case runs && off:
			m.post(m.now)
		case !runs && !off:
			m.off(m.now)
		}
		return nil
	})
}

// resetBackend does with the real thing what reset does with the model, which then follows.
func (m *Machine) resetBackend(ctx context.Context, t ResetType) error {
	m.pressing.Lock()
	defer m.pressing.Unlock()
	runs, err := m.follow(ctx)
	if err != nil {
		return err
	}
	switch t {
	case ResetOn:
		if !runs {
			err = m.start(ctx)
		}
	case ResetForceOff:
		if runs {
			err = m.backend.Stop(ctx)
		}
	case ResetGracefulShutdown:
		return m.shutDownBackend(ctx, runs)
	case ResetForceRestart, ResetPowerCycle:
		if runs {
			if err = m.backend.Stop(ctx); err != nil {
				break
			}
			if err := m.do(func() error { m.off(m.now); return nil }); err != nil {
				return err
			}
		}
		err = m.start(ctx)
	default:
		return fmt.Errorf("%w: reset type %q", ErrInvalid, t)
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrBackend, t, err)
	}
	_, err = m.follow(ctx)
	return err
}

func (m *Machine) start(ctx context.Context) error {
	var b Boot
	_ = m.do(func() error {
		b = Boot{Target: m.override(), Mode: m.mode(), Order: m.findBootOptions()}
		return nil
	})
	return m.backend.Start(ctx, b)
}

func (m *Machine) shutDownBackend(ctx context.Context, runs bool) error {
	if !runs {
		return nil
	}
	if err := m.do(func() error { return m.shutdown(m.now) }); err != nil {
		return err
	}
	if m.State().Power != PowerShutdown {
		return nil // told to ignore it
	}
	if err := m.backend.Shutdown(ctx); err != nil {
		return fmt.Errorf("%w: shut down: %w", ErrBackend, err)
	}
	return nil
}
