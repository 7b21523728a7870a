package redfishsim

import (
	"context"
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
func (m *Machine) Reset(t ResetType) error { return m.ResetContext(context.Background(), t) }

// ResetContext is Reset with a limit for the PowerBackend. If that fails, the machine stays
// as it was and the error is ErrBackend.
func (m *Machine) ResetContext(ctx context.Context, t ResetType) error {
	if m.backend != nil {
		return m.resetBackend(ctx, t)
	}
	return m.do(func() error { return m.reset(t, m.now) })
}

// reset needs the lock.
func (m *Machine) reset(t ResetType, now time.Time) error {
	off := m.state.Power == PowerOff
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
		return m.shutdown(now)
	case ResetForceRestart, ResetPowerCycle:
		if off {
			m.post(now)
			return nil
		}
		m.interrupt()
		m.enter(PowerCycling, now.Add(m.slow(m.spec.Times.Off)))
		m.event(PowerEvent{Kind: PoweredOff, At: now})
		m.changed()
	default:
		return fmt.Errorf("%w: reset type %q", ErrInvalid, t)
	}
	return nil
}

func (m *Machine) shutdown(now time.Time) error {
	switch m.state.Power {
	case PowerOff, PowerShutdown:
	case PowerOn:
		if m.faults.ignoreShutdown {
			return nil // an operating system that does not listen (sushy-tools over a guest without one)
		}
		var until time.Time
		if m.backend == nil { // else it goes off when the real thing does
			until = now.Add(m.slow(m.spec.Times.Shutdown))
		}
		m.enter(PowerShutdown, until)
		m.event(PowerEvent{Kind: Stopping, At: now})
		m.changed()
	default:
		return fmt.Errorf("%w: %s has nothing running to shut down", ErrConflict, m.spec.Name)
	}
	return nil
}

// due is when the machine next changes by itself, and the job that does; -1 for the power.
// Zero if it rests. It needs the lock.
func (m *Machine) due() (at time.Time, job int) {
	at, job = m.state.Until, -1
	for i := range m.state.Jobs {
		if j := &m.state.Jobs[i]; j.timed() && !m.faults.stuckJobs && (at.IsZero() || j.Until.Before(at)) {
			at, job = j.Until, i
		}
	}
	return at, job
}

// settle makes the transitions that are due, each at its own time.
func (m *Machine) settle(now time.Time) {
	m.now = now
	for {
		at, job := m.due()
		if at.IsZero() || now.Before(at) {
			return
		}
		switch {
		case job >= 0:
			m.finish(&m.state.Jobs[job], at)
			m.changed()
		case m.state.Power == PowerCycling:
			m.post(at)
		case m.state.Power == PowerShutdown:
			m.off(at)
		case m.state.Power == PowerPOST:
			m.boot(at)
		default:
			m.state.Until = time.Time{}
		}
	}
}

func (m *Machine) slow(d time.Duration) time.Duration {
	if m.faults.slow > 0 {
		return time.Duration(float64(d) * m.faults.slow)
	}
	return d
}

func (m *Machine) enter(p Power, until time.Time) { m.state.Power, m.state.Until = p, until }

func (m *Machine) off(at time.Time) {
	m.interrupt()
	m.enter(PowerOff, time.Time{})
	m.event(PowerEvent{Kind: PoweredOff, At: at})
	m.changed()
}

// post begins POST, and the jobs that waited for it.
func (m *Machine) post(at time.Time) {
	m.state.LastReset = at
	until := at.Add(m.slow(m.spec.Times.POST) + m.startJobs(at))
	for i := range m.state.Jobs {
		if j := &m.state.Jobs[i]; j.OnReset && j.State == JobRunning {
			j.Until = until
		}
	}
	m.enter(PowerPOST, until)
	m.changed()
}

// boot ends POST: jobs have done their work, pending settings are in force, a boot override
// for once is used up.
func (m *Machine) boot(at time.Time) {
	before := m.biosMode()
	if !m.traits.biosJobs {
		m.applyBIOS(m.state.Pending)
	}
	m.finishJobs(at)
	m.state.BootOptions = m.findBootOptions()
	if m.biosMode() != before {
		m.state.BootMode = "" // the latest word counts
	}
	target := m.override()
	e := PowerEvent{Kind: Booted, At: at, Boot: target, Mode: m.mode()}
	if m.state.BootEnabled == "Once" {
		m.state.BootEnabled, m.state.BootTarget, m.state.BootMode = "Disabled", "None", ""
	}
	m.state.SecureBoot.Current = m.state.SecureBoot.Enable && m.mode() == modeUEFI
	m.state.Boots++
	m.enter(PowerOn, time.Time{})
	m.event(e)
	m.changed()
}

// inPOST says whether firmware is still at work, and whether it has found all devices: it
// has in the last quarter of POST. HPE tells the two apart.
func (m *Machine) inPOST() (post, discovered bool) {
	if m.state.Power != PowerPOST {
		return m.state.Power == PowerCycling, m.state.Power == PowerOn || m.state.Power == PowerShutdown
	}
	return true, !m.now.Before(m.state.Until.Add(-m.slow(m.spec.Times.POST) / 4))
}
