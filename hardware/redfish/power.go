package redfish

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// machine is a connection together with what was last seen through it.
type machine struct {
	*conn
	view *view
}

// Power implements hardware.Configurator. A shutdown that the operating system does not
// follow within ShutdownTimeout ends with the power cut.
func (c *Configurator) Power(ctx context.Context, t hardware.Target, action hardware.PowerAction) error {
	if !action.Valid() {
		return fmt.Errorf("redfish: %s: %w: power action %q", t.Node, hardware.ErrInvalid, action)
	}
	_, err := c.with(ctx, t, true, func(n *conn) error {
		v, err := n.observe(ctx, parts{})
		if err != nil {
			return err
		}
		return (&machine{conn: n, view: v}).power(ctx, action)
	})
	return err
}

func (m *machine) power(ctx context.Context, action hardware.PowerAction) error {
	if err := m.settled(ctx); err != nil {
		return err
	}
	off := m.view.snap.System.Power == hardware.StateOff
	switch {
	case action == hardware.PowerReset || action == hardware.PowerOn && off:
		return m.restart(ctx)
	case action == hardware.PowerOn || off:
		return nil
	}
	if action == hardware.PowerShutdown {
		down, err := m.shutDown(ctx)
		if err != nil || down {
			return err
		}
	}
	err := m.press(ctx, "ForceOff")
	if err != nil && !doubtful(err) {
		return err
	}
	return m.await(ctx, "power off", err, m.isOff(ctx))
}

// settled waits for a machine that is on its way from on to off or back. One that does not say is
// an error: what was done to it could not be seen.
func (m *machine) settled(ctx context.Context) error {
	err := m.await(ctx, "wait for its power to settle", nil, func() (bool, error) {
		switch m.view.snap.System.Power {
		case hardware.StateOn, hardware.StateOff, hardware.StateUnknown:
			return true, nil
		}
		return false, m.refreshSystem(ctx)
	})
	if err == nil && m.view.snap.System.Power == hardware.StateUnknown {
		err = m.unsupported("the BMC does not say whether the machine is on")
	}
	return err
}

func (m *machine) isOff(ctx context.Context) func() (bool, error) {
	return func() (bool, error) {
		err := m.refreshSystem(ctx)
		return m.view.snap.System.Power == hardware.StateOff, err
	}
}

var errStillOn = errors.New("redfish: still on")

// shutDown asks the operating system to, and reports whether it did. A guest without one answers
// 204 and stays on (sushy-tools); one in POST may refuse.
func (m *machine) shutDown(ctx context.Context) (down bool, err error) {
	if !m.allows("GracefulShutdown") {
		return false, nil
	}
	err = m.press(ctx, "GracefulShutdown")
	if ctx.Err() != nil {
		return false, err
	}
	if err == nil || doubtful(err) {
		err = m.c.poll(ctx, m.c.config.ShutdownTimeout, errStillOn, m.isOff(ctx))
		if !errors.Is(err, errStillOn) {
			return err == nil, err
		}
	}
	m.c.log.Info("redfish: the operating system did not shut down, cutting power", "node", m.target.Node)
	return false, nil
}

// await polls for a power transition. lost is the error of a request whose answer was lost.
func (m *machine) await(ctx context.Context, doing string, lost error, look func() (bool, error)) error {
	limit, timeout := m.c.config.BootTimeout, fmt.Errorf("redfish: %s: %s: %w", m.target.Node, doing, hardware.ErrNotConverged)
	if lost != nil {
		limit, timeout = m.c.config.SettleTimeout, unknown(m.target.Node, doing, lost)
	}
	err := m.c.poll(ctx, limit, timeout, look)
	if lost != nil && err != nil && err == ctx.Err() {
		return fmt.Errorf("%w (%w)", unknown(m.target.Node, doing, lost), err)
	}
	return err
}

func (m *machine) refreshSystem(ctx context.Context) error {
	d, err := m.get(ctx, m.view.systemURI)
	if err == nil {
		m.setSystem(m.view, d)
	}
	return err
}

// reset brings the machine through a reset as gently as it can be: the operating system is asked
// first, where that can be seen to have worked, and not asked again.
func (m *machine) reset(ctx context.Context) error {
	if m.view.snap.System.Power != hardware.StateOff && !m.c.config.ResetAtOnce && !m.inPOST(m.view) {
		if _, err := m.shutDown(ctx); err != nil {
			return err
		}
	}
	return m.restart(ctx)
}

// restart resets the machine at once, or turns it on if it is off, and returns when that was
// seen to happen and it is on. Its POST goes on then.
func (m *machine) restart(ctx context.Context) error {
	before := m.view.snap.System
	kind := "On"
	if before.Power != hardware.StateOff {
		kind = m.restartType()
	}
	err := m.press(ctx, kind)
	if err != nil && !doubtful(err) {
		return err
	}
	if err := m.await(ctx, "reset", err, m.transition(ctx, before)); err != nil {
		return err
	}
	return m.staysOn(ctx)
}

// staysOn waits for the machine to be on after it was seen off. If it stays off it is turned on,
// once: an operating system may be done with the shutdown it was asked for just as it is reset.
func (m *machine) staysOn(ctx context.Context) error {
	start, pressed := m.c.clock.Now(), false
	return m.await(ctx, "power on", nil, func() (bool, error) {
		if m.c.clock.Now().Sub(m.view.systemAt) >= m.c.config.PollInterval/2 {
			if err := m.refreshSystem(ctx); err != nil {
				return false, err
			}
		}
		off := m.view.snap.System.Power == hardware.StateOff
		if off && !pressed && m.c.clock.Now().Sub(start) >= m.c.config.SettleTimeout {
			pressed = true
			if err := m.press(ctx, "On"); err != nil && !doubtful(err) {
				return false, err
			}
		}
		return !off, nil
	})
}

// transition tells a reset that happened from one that has yet to: "power is on" right
// after a reset proves nothing. Power was off between, or the time of the last reset
// changed, or POST began. A BMC that gives no such marks is taken at its word after three
// looks.
func (m *machine) transition(ctx context.Context, before hardware.System) func() (bool, error) {
	wasInPOST, looks := m.inPOST(m.view), 0
	return func() (bool, error) {
		if err := m.refreshSystem(ctx); err != nil {
			return false, err
		}
		now := m.view.snap.System
		looks++
		switch {
		case before.Power == hardware.StateOff:
			return now.Power != hardware.StateOff, nil
		case now.Power == hardware.StateOff, now.LastResetTime != before.LastResetTime, m.inPOST(m.view) && !wasInPOST:
			return true, nil
		}
		return !m.marked() && looks >= 3, nil
	}
}

// marked reports whether the BMC has marks of a reset: when it was, or how far POST is.
func (m *machine) marked() bool {
	if r, ok := m.vendor.(POSTReader); ok {
		if _, known := r.InPOST(m.view.system.Result); known {
			return true
		}
	}
	switch m.view.snap.System.BootProgress {
	case "", "None", "OEM":
		return m.view.snap.System.LastResetTime != ""
	}
	return true
}

const resetAction = `Actions.#ComputerSystem\.Reset`

// allows reports whether the system takes a reset type; one that lists none may take any.
func (m *machine) allows(kind string) bool {
	list := m.view.system.Get(resetAction + `.ResetType\@Redfish\.AllowableValues`).Array()
	return len(list) == 0 || slices.ContainsFunc(list, func(v gjson.Result) bool { return v.String() == kind })
}

func (m *machine) restartType() string {
	for _, kind := range []string{"ForceRestart", "PowerCycle", "GracefulRestart"} {
		if m.allows(kind) {
			return kind
		}
	}
	return "ForceRestart"
}

func (m *machine) press(ctx context.Context, kind string) error {
	target := m.view.system.Get(resetAction + ".target").String()
	_, err := m.change(ctx, http.MethodPost, target, map[string]any{"ResetType": kind}, nil)
	return err
}
