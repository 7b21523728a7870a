package redfishsim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/internal/clock"
)

// Errors of a machine.
var (
	ErrInvalid  = errors.New("redfishsim: invalid")
	ErrConflict = errors.New("redfishsim: not possible in this state")
	ErrNotFound = errors.New("redfishsim: not found")
)

// Clock tells a machine the time.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

// Power is the phase a machine is in.
type Power string

// Phases. Redfish shows the first as Off and the others as On, as real BMCs do: "On" right
// after a reset proves nothing.
const (
	PowerOff      Power = "off"
	PowerCycling  Power = "cycling" // off for a moment, on the way to POST
	PowerPOST     Power = "post"    // firmware testing and configuring itself
	PowerOn       Power = "on"      // handed over to what it booted
	PowerShutdown Power = "shutdown"
)

// State is all that changes about a machine. It serialises to JSON.
type State struct {
	// Revision grows by one with each change.
	Revision  uint64    `json:"revision"`
	Power     Power     `json:"power"`
	Until     time.Time `json:"until,omitzero"` // end of cycling, post and shutdown
	LastReset time.Time `json:"last_reset,omitzero"`
	Boots     int       `json:"boots"` // finished POSTs
	// BootTarget is the override: Redfish None, Pxe, Hdd, Cd. BootEnabled is Disabled, Once
	// or Continuous; Once is used up by the next finished POST.
	BootTarget  string               `json:"boot_target"`
	BootEnabled string               `json:"boot_enabled"`
	BIOS        map[string]any       `json:"bios"`
	Pending     map[string]any       `json:"pending,omitempty"` // applied during POST
	Disks       map[string]DiskState `json:"disks"`             // by serial
	Volumes     []Volume             `json:"volumes,omitempty"`
	NextVolume  int                  `json:"next_volume"`
}

// DiskState is what a disk remembers.
type DiskState struct {
	Contents string `json:"contents"` // what was last written, "" for blank
	Wipes    int    `json:"wipes"`    // how often data on it was destroyed
}

// PowerEvent is a transition that what runs on the machine would notice.
type PowerEvent struct {
	Machine string    `json:"machine"`
	Kind    EventKind `json:"kind"`
	At      time.Time `json:"at"`
	Boot    string    `json:"boot,omitempty"` // Booted: override in force (Redfish Pxe, Hdd, Cd), "" for the firmware's own order
}

// EventKind tells power events apart.
type EventKind string

// Power events.
const (
	Stopping   EventKind = "stopping"    // asked to shut down; power goes after Times.Shutdown
	PoweredOff EventKind = "powered_off" // whatever ran is gone
	Booted     EventKind = "booted"      // POST finished, the firmware boots
)

// Options adjust a machine; nil means the zero value.
type Options struct {
	Clock Clock // nil is real time
	// State to go on from; nil is a machine from the factory: power off, disks holding
	// "old data", no volumes.
	State *State
	// OnChange gets each new state, in order, under the machine's lock.
	OnChange func(State)
	// OnPower gets power events, in order and one at a time, without the lock. It runs
	// where the event was noticed, which may be a request to the BMC, so it must return soon.
	// Events are not kept over a crash: who restores a machine looks at State.Power and Boots.
	OnPower func(PowerEvent)
}

// Machine is the model of one server.
type Machine struct {
	spec     Spec
	clock    Clock
	onChange func(State)
	onPower  func(PowerEvent)

	mu         sync.Mutex
	state      State
	events     []PowerEvent
	delivering bool
	wake       chan struct{} // has room for one; tells Run that the next deadline moved
}

// NewMachine makes a machine. A spec that is contradictory is ErrInvalid.
func NewMachine(spec Spec, opts *Options) (*Machine, error) {
	if opts == nil {
		opts = &Options{}
	}
	spec = spec.withDefaults()
	if err := spec.check(); err != nil {
		return nil, err
	}
	m := &Machine{spec: spec, clock: opts.Clock, onChange: opts.OnChange, onPower: opts.OnPower, wake: make(chan struct{}, 1)}
	if m.clock == nil {
		m.clock = clock.System()
	}
	if opts.State != nil {
		m.state = opts.State.clone()
		for name, v := range m.state.BIOS {
			m.state.BIOS[name] = integral(v)
		}
		for name, v := range m.state.Pending {
			m.state.Pending[name] = integral(v)
		}
		return m, nil
	}
	m.state = State{Power: PowerOff, BootTarget: "None", BootEnabled: "Disabled",
		BIOS: map[string]any{}, Pending: map[string]any{}, Disks: map[string]DiskState{}, NextVolume: 1}
	for _, a := range spec.Attributes {
		m.state.BIOS[a.Name] = integral(a.Factory)
	}
	if _, ok := m.state.BIOS["SysMemSize"]; ok {
		m.state.BIOS["SysMemSize"] = fmt.Sprintf("%d GB", spec.MemoryBytes>>30)
	}
	for name, v := range spec.BIOS {
		m.state.BIOS[name] = integral(v)
	}
	for _, d := range spec.Disks {
		m.state.Disks[d.Serial] = DiskState{Contents: "old data"}
	}
	return m, nil
}

// integral undoes what JSON does to whole numbers.
func integral(v any) any {
	switch v := v.(type) {
	case float64:
		if v == float64(int64(v)) {
			return int64(v)
		}
	case int:
		return int64(v)
	}
	return v
}

// Spec returns the machine's specification with its defaults filled in.
func (m *Machine) Spec() Spec { return m.spec }

// State returns a copy of the present state.
func (m *Machine) State() State {
	var s State
	_ = m.do(func() error { s = m.state.clone(); return nil })
	return s
}

func (s State) clone() State {
	s.BIOS, s.Pending, s.Disks = maps.Clone(s.BIOS), maps.Clone(s.Pending), maps.Clone(s.Disks)
	if s.Pending == nil {
		s.Pending = map[string]any{}
	}
	s.Volumes = slices.Clone(s.Volumes)
	for i := range s.Volumes {
		s.Volumes[i].Disks = slices.Clone(s.Volumes[i].Disks)
	}
	return s
}

// do runs f under the lock on a machine that is up to date, and delivers the power events
// that came up.
func (m *Machine) do(f func() error) error {
	m.mu.Lock()
	m.settle(m.clock.Now())
	err := f()
	m.mu.Unlock()
	m.deliver()
	return err
}

// changed must be called under the lock after each change.
func (m *Machine) changed() {
	m.state.Revision++
	if m.onChange != nil {
		m.onChange(m.state.clone())
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *Machine) event(kind EventKind, at time.Time, boot string) {
	if m.onPower != nil {
		m.events = append(m.events, PowerEvent{Machine: m.spec.Name, Kind: kind, At: at, Boot: boot})
	}
}

// deliver hands out events without the lock. One goroutine does so at a time; a hook that
// causes further events finds them handed out after it returns.
func (m *Machine) deliver() {
	m.mu.Lock()
	if m.delivering {
		m.mu.Unlock()
		return
	}
	m.delivering = true
	for len(m.events) > 0 {
		e := m.events[0]
		m.events = m.events[1:]
		m.mu.Unlock()
		m.onPower(e)
		m.mu.Lock()
	}
	m.delivering = false
	m.mu.Unlock()
}

// NextDeadline returns when the machine next changes by itself; zero if it rests.
func (m *Machine) NextDeadline() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Until
}

// Advance brings the machine up to the present and delivers the events that are due.
func (m *Machine) Advance() { _ = m.do(func() error { return nil }) }

// Run advances the machine whenever it is due, until ctx ends. It returns ctx's error.
func (m *Machine) Run(ctx context.Context) error {
	for {
		m.Advance()
		var due <-chan time.Time
		if until := m.NextDeadline(); !until.IsZero() {
			due = m.clock.After(until.Sub(m.clock.Now()))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.wake:
		case <-due:
		}
	}
}
