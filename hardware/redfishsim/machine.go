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
	ErrBackend  = errors.New("redfishsim: power backend") // wraps the backend's own error
	// ErrCommitted is ErrConflict: a job already holds the pending BIOS settings.
	ErrCommitted = fmt.Errorf("%w: pending BIOS settings are committed to a job", ErrConflict)
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

// State is all that changes about a machine. It serialises to JSON; one written by an
// earlier version, with fewer fields, still loads.
type State struct {
	// Revision grows by one with each change.
	Revision  uint64    `json:"revision"`
	Power     Power     `json:"power"`
	Until     time.Time `json:"until,omitzero"` // end of cycling, post and shutdown
	LastReset time.Time `json:"last_reset,omitzero"`
	Boots     int       `json:"boots"` // finished POSTs
	// BootTarget is the override: a Redfish BootSource such as None, Pxe, Hdd. BootEnabled is
	// Disabled, Once or Continuous; Once is used up by the next finished POST. BootMode is
	// UEFI or Legacy, "" for what the BIOS says.
	BootTarget  string `json:"boot_target"`
	BootEnabled string `json:"boot_enabled"`
	BootMode    string `json:"boot_mode,omitempty"`
	// BootOrder is what was asked for, as BootOptionReferences; BootOptions is what the last
	// POST found, in that order.
	BootOrder   []string             `json:"boot_order,omitempty"`
	BootOptions []BootOption         `json:"boot_options,omitempty"`
	SecureBoot  SecureBoot           `json:"secure_boot,omitzero"`
	BIOS        map[string]any       `json:"bios"`
	Pending     map[string]any       `json:"pending,omitempty"` // applied during POST
	Disks       map[string]DiskState `json:"disks"`             // by Disk.Serial
	Volumes     []Volume             `json:"volumes,omitempty"`
	NextVolume  int                  `json:"next_volume"`
	// Jobs are those that have not ended and the latest of those that have, oldest first.
	Jobs    []Job `json:"jobs,omitempty"`
	NextJob int   `json:"next_job,omitempty"`
	// Collisions counts how often a BIOS job and a RAID job ran into each other and both
	// failed (stackhpc/drac#2). A careful client keeps it at 0.
	Collisions   int       `json:"collisions,omitempty"`
	LastBMCReset time.Time `json:"last_bmc_reset,omitzero"`
}

// SecureBoot is UEFI secure boot.
type SecureBoot struct {
	Enable  bool `json:"enable"`  // wanted: in force after the next POST in UEFI mode
	Current bool `json:"current"` // in force since the last POST
}

// DiskState is what a disk, or rather its bay, remembers.
type DiskState struct {
	Contents string `json:"contents"` // what was last written, "" for blank
	Wipes    int    `json:"wipes"`    // how often data was destroyed on command
	Failed   bool   `json:"failed,omitempty"`
	// Serial is that of the disk which replaced the one the bay had from the factory.
	Serial string `json:"serial,omitempty"`
}

// PowerEvent is a transition that what runs on the machine would notice.
type PowerEvent struct {
	Machine string    `json:"machine"`
	Kind    EventKind `json:"kind"`
	At      time.Time `json:"at"`
	Boot    string    `json:"boot,omitempty"` // Booted: override in force (Redfish Pxe, Hdd, Cd), "" for Machine.BootOptions in order
	Mode    string    `json:"mode,omitempty"` // Booted: UEFI or Legacy
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
	// Backend is the real thing that the machine stands for; nil is none.
	Backend PowerBackend
}

// Machine is the model of one server.
type Machine struct {
	spec     Spec
	traits   *traits
	driveIDs []string // in the BMC's words, of spec.Disks
	clock    Clock
	onChange func(State)
	onPower  func(PowerEvent)
	backend  PowerBackend

	pressing sync.Mutex // held while the backend is asked to do something; taken before mu

	mu         sync.Mutex
	now        time.Time // of the last look
	state      State
	faults     faults
	events     []PowerEvent
	delivering bool
	wake       chan struct{} // has room for one; tells Run that the next deadline moved
}

// faults are the knobs of the machine itself. They are not part of its state.
type faults struct {
	stuckJobs      bool
	ignoreShutdown bool
	slow           float64 // factor on times of power, 0 is 1
}

// NewMachine makes a machine. A spec that is contradictory is ErrInvalid.
func NewMachine(spec Spec, opts *Options) (*Machine, error) {
	if opts == nil {
		opts = &Options{}
	}
	traits, err := spec.Personality.traits()
	if err != nil {
		return nil, err
	}
	spec = spec.withDefaults(traits)
	if err := spec.check(); err != nil {
		return nil, err
	}
	m := &Machine{spec: spec, traits: traits, clock: opts.Clock, onChange: opts.OnChange, onPower: opts.OnPower,
		backend: opts.Backend, wake: make(chan struct{}, 1)}
	if m.clock == nil {
		m.clock = clock.System()
	}
	m.now = m.clock.Now()
	m.state = State{Power: PowerOff, BootTarget: "None", BootEnabled: "Disabled",
		BIOS: map[string]any{}, Pending: map[string]any{}, Disks: map[string]DiskState{}, NextVolume: 1, NextJob: 1}
	if opts.State != nil {
		m.state = opts.State.clone()
		for _, values := range append([]map[string]any{m.state.BIOS, m.state.Pending}, jobValues(m.state.Jobs)...) {
			for name, v := range values {
				values[name] = integral(v)
			}
		}
		for i := range m.state.Volumes {
			if v := &m.state.Volumes[i]; v.Number == 0 { // of a version that did not count
				v.Number = i + 1
			}
		}
		m.state.NextJob = max(m.state.NextJob, 1)
	}
	m.factory(opts.State != nil)
	bays := map[string]int{}
	for _, d := range spec.Disks {
		m.driveIDs = append(m.driveIDs, traits.driveID(d, bays[d.Controller]))
		bays[d.Controller]++
	}
	return m, nil
}

// factory fills in what the machine has from the factory. A known machine has all of it but
// what was added to the spec since.
func (m *Machine) factory(known bool) {
	set := func(name string, v any) {
		if _, has := m.state.BIOS[name]; !has || !known {
			m.state.BIOS[name] = integral(v)
		}
	}
	for _, a := range m.spec.Attributes {
		value := a.Factory
		if a.Name == memSize {
			value = fmt.Sprintf("%d GB", m.spec.MemoryBytes>>30)
		}
		set(a.Name, value)
	}
	if !known {
		for name, v := range m.spec.BIOS {
			set(name, v)
		}
	}
	for _, d := range m.spec.Disks {
		if _, has := m.state.Disks[d.Serial]; !has {
			m.state.Disks[d.Serial] = DiskState{Contents: "old data"}
		}
	}
	if m.state.BootOptions == nil {
		m.state.BootOptions = m.findBootOptions()
	}
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

// Spec returns the machine's specification with its defaults filled in. Its slices are shared
// with other machines of the personality and must not be changed.
func (m *Machine) Spec() Spec { return m.spec }

// State returns a copy of the present state.
func (m *Machine) State() State {
	var s State
	_ = m.do(func() error { s = m.state.clone(); return nil })
	return s
}

func (s State) clone() State {
	s.BIOS, s.Pending, s.Disks = maps.Clone(s.BIOS), maps.Clone(s.Pending), maps.Clone(s.Disks)
	if s.BIOS == nil {
		s.BIOS = map[string]any{}
	}
	if s.Pending == nil {
		s.Pending = map[string]any{}
	}
	if s.Disks == nil {
		s.Disks = map[string]DiskState{}
	}
	s.BootOrder, s.BootOptions = slices.Clone(s.BootOrder), slices.Clone(s.BootOptions)
	s.Volumes = slices.Clone(s.Volumes)
	for i := range s.Volumes {
		s.Volumes[i] = s.Volumes[i].clone()
	}
	s.Jobs = slices.Clone(s.Jobs)
	for i := range s.Jobs {
		s.Jobs[i] = s.Jobs[i].clone()
	}
	return s
}

// do runs f under the lock on a machine that is up to date, and delivers the power events
// that came up.
func (m *Machine) do(f func() error) error {
	m.mu.Lock()
	m.settle(m.clock.Now())
	err := f()
	due := len(m.events) > 0
	m.mu.Unlock()
	if due {
		m.deliver()
	}
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

func (m *Machine) event(e PowerEvent) {
	if m.onPower != nil {
		e.Machine = m.spec.Name
		m.events = append(m.events, e)
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
	at, _ := m.due()
	return at
}

// Advance brings the machine up to the present and delivers the events that are due.
func (m *Machine) Advance() { _ = m.do(func() error { return nil }) }

// Run advances the machine whenever it is due, until ctx ends. It returns ctx's error. A
// machine with a PowerBackend also looks once a second whether that still runs.
func (m *Machine) Run(ctx context.Context) error {
	for {
		m.Advance()
		var due, look <-chan time.Time
		if next := m.NextDeadline(); !next.IsZero() {
			due = m.clock.After(next.Sub(m.clock.Now()))
		}
		if m.backend != nil {
			look = m.clock.After(time.Second)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.wake:
		case <-due:
		case <-look:
			_ = m.Follow(ctx) // what cannot be asked now can be in a second
		}
	}
}
