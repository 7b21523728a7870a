package redfishsim

import (
	"fmt"
	"time"
)

// ResetType is a Redfish ResetType.
type ResetType string

// Reset types that the machine knows.
const (
	ResetOn               ResetType = "On"
	ResetForceOff         ResetType = "ForceOff"
	ResetGracefulShutdown ResetType = "GracefulShutdown"
	ResetForceRestart     ResetType = "ForceRestart"
	ResetPowerCycle       ResetType = "PowerCycle"
)

// ResetTypes returns the reset types that Reset takes.
func ResetTypes() []ResetType {
	return []ResetType{ResetOn, ResetForceOff, ResetGracefulShutdown, ResetForceRestart, ResetPowerCycle}
}

// Reset presses the power button in one of its ways. A machine in the wanted state already
// stays as it is; a restart turns on a machine that is off; a shutdown works only once
// something has booted.
func (m *Machine) Reset(t ResetType) error {
	return m.do(func() error {
		now, off := m.clock.Now(), m.state.Power == PowerOff
		switch t {
		case ResetOn:
			if off {
				m.post(now)
			}
		case ResetForceOff:
			if !off {
				m.off(now)
			}
		case ResetGracefulShutdown:
			switch m.state.Power {
			case PowerOff, PowerShutdown:
			case PowerOn:
				m.enter(PowerShutdown, now.Add(m.spec.Times.Shutdown))
				m.event(Stopping, now, "")
				m.changed()
			default:
				return fmt.Errorf("%w: %s has nothing running to shut down", ErrConflict, m.spec.Name)
			}
		case ResetForceRestart, ResetPowerCycle:
			if off {
				m.post(now)
				return nil
			}
			m.enter(PowerCycling, now.Add(m.spec.Times.Off))
			m.event(PoweredOff, now, "")
			m.changed()
		default:
			return fmt.Errorf("%w: reset type %q", ErrInvalid, t)
		}
		return nil
	})
}

// settle makes the transitions that are due, each at its own time.
func (m *Machine) settle(now time.Time) {
	for !m.state.Until.IsZero() && !now.Before(m.state.Until) {
		at := m.state.Until
		switch m.state.Power {
		case PowerCycling:
			m.post(at)
		case PowerShutdown:
			m.off(at)
		case PowerPOST:
			m.boot(at)
		default:
			m.state.Until = time.Time{}
		}
	}
}

func (m *Machine) enter(p Power, until time.Time) { m.state.Power, m.state.Until = p, until }

func (m *Machine) off(at time.Time) {
	m.enter(PowerOff, time.Time{})
	m.event(PoweredOff, at, "")
	m.changed()
}

func (m *Machine) post(at time.Time) {
	m.state.LastReset = at
	m.enter(PowerPOST, at.Add(m.spec.Times.POST))
	m.changed()
}

// boot ends POST: pending settings are in force, a boot override for once is used up.
func (m *Machine) boot(at time.Time) {
	for name, v := range m.state.Pending {
		m.state.BIOS[name] = v
	}
	clear(m.state.Pending)
	target := ""
	if m.state.BootEnabled != "Disabled" && m.state.BootTarget != "None" {
		target = m.state.BootTarget
	}
	if m.state.BootEnabled == "Once" {
		m.state.BootEnabled, m.state.BootTarget = "Disabled", "None"
	}
	m.state.Boots++
	m.enter(PowerOn, time.Time{})
	m.event(Booted, at, target)
	m.changed()
}

// SetBoot sets the boot override: target None, Pxe, Hdd or Cd, enabled Disabled, Once or
// Continuous.
func (m *Machine) SetBoot(target, enabled string) error {
	return m.do(func() error {
		switch target {
		case "None", "Pxe", "Hdd", "Cd":
		default:
			return fmt.Errorf("%w: boot target %q", ErrInvalid, target)
		}
		switch enabled {
		case "Disabled", "Once", "Continuous":
		default:
			return fmt.Errorf("%w: boot override %q", ErrInvalid, enabled)
		}
		m.state.BootTarget, m.state.BootEnabled = target, enabled
		m.changed()
		return nil
	})
}
