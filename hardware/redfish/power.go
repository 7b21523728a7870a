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
	unlock, err := c.lock(ctx, t.URL)
	if err != nil {
		return fmt.Errorf("redfish: %s: wait for another change: %w", t.Node, err)
	}
	defer unlock()
	n, err := c.connect(ctx, t)
	if err != nil {
		return err
	}
	defer n.close(ctx)
	m := &machine{conn: n, view: &view{snap: &hardware.Snapshot{Firmware: map[string]string{}}}}
	if err := n.findSystem(ctx, m.view); err != nil {
		return err
	}
	m.view.setSystem(m.view.system)
	return m.power(ctx, action)
}

func (m *machine) power(ctx context.Context, action hardware.PowerAction) error {
	off := m.view.snap.System.Power == hardware.StateOff
	switch {
	case action == hardware.PowerReset || action == hardware.PowerOn && off:
		transition, lost, err := m.restart(ctx)
		if err != nil {
			return err
		}
		return m.await(ctx, string(action), lost, transition)
	case action == hardware.PowerOn || off:
		return nil
	}
	isOff := func() (bool, error) {
		err := m.refreshSystem(ctx)
		return m.view.snap.System.Power == hardware.StateOff, err
	}
	if action == hardware.PowerShutdown && m.allows("GracefulShutdown") {
		// A guest without an operating system answers 204 and stays on (redfish.md, B2); one
		// in POST may refuse. Both end below.
		err := m.press(ctx, "GracefulShutdown")
		if ctx.Err() != nil {
			return err
		}
		if err == nil || doubtful(err) {
			err = m.c.poll(ctx, m.c.config.ShutdownTimeout, errStillOn, isOff)
			if !errors.Is(err, errStillOn) {
				return err
			}
		}
		m.c.log.Info("redfish: the operating system did not shut down, cutting power", "node", m.target.Node)
	}
	err := m.press(ctx, "ForceOff")
	if err != nil && !doubtful(err) {
		return err
	}
	return m.await(ctx, string(action), err, isOff)
}

var errStillOn = errors.New("redfish: still on")

// await polls for a power transition. lost is the error of a request whose answer was lost.
func (m *machine) await(ctx context.Context, doing string, lost error, look func() (bool, error)) error {
	limit, timeout := m.c.config.BootTimeout, fmt.Errorf("redfish: %s: power %s: %w", m.target.Node, doing, hardware.ErrNotConverged)
	if lost != nil {
		limit, timeout = m.c.config.SettleTimeout, unknown(m.target.Node, "power "+doing, lost)
	}
	return m.c.poll(ctx, limit, timeout, look)
}

func (m *machine) refreshSystem(ctx context.Context) error {
	d, err := m.get(ctx, m.view.systemURI)
	if err == nil {
		m.view.setSystem(d)
	}
	return err
}

// restart resets the machine, or turns it on if it is off. transition reads the system and
// reports whether it has happened; lost is the error of a request without an answer.
func (m *machine) restart(ctx context.Context) (transition func() (bool, error), lost, err error) {
	before := m.view.snap.System
	kind := "On"
	if before.Power != hardware.StateOff {
		kind = m.restartType()
	}
	if err := m.press(ctx, kind); err != nil {
		if !doubtful(err) {
			return nil, nil, err
		}
		lost = err
	}
	return m.transition(ctx, before), lost, nil
}

// transition tells a reset that happened from one that has yet to: "power is on" right
// after a reset proves nothing. Power was off between, or the time of the last reset
// changed, or POST began. A BMC that gives no such marks is taken at its word after three
// looks.
func (m *machine) transition(ctx context.Context, before hardware.System) func() (bool, error) {
	seen, looks := false, 0
	return func() (bool, error) {
		if err := m.refreshSystem(ctx); err != nil {
			return false, err
		}
		now := m.view.snap.System
		looks++
		switch {
		case seen:
		case before.Power == hardware.StateOff:
			seen = now.Power != hardware.StateOff
		case now.Power == hardware.StateOff, now.LastResetTime != before.LastResetTime, inPOST(now) && !inPOST(before):
			seen = true
		case now.LastResetTime == "" && now.BootProgress == "":
			seen = looks >= 3
		}
		return seen, nil
	}
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
