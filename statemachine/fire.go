package statemachine

import (
	"errors"
	"fmt"
	"time"
)

// The built-in events.
const (
	// Settled says that the hooks of the state have finished. The phase becomes settled; if
	// the state has a transition on this event whose guards hold, the instance moves on at
	// once, and if a guard refuses it stays, settled, until Settled is fired again.
	Settled = "settled"
	// Failed says that the hooks or the work of the state failed with Event.Reason. The
	// instance goes to State.OnFailure; without one its phase becomes failed.
	Failed = "failed"
	// Deadline says that the time of the state is over. It is refused while Event.At is
	// before Instance.Deadline.
	Deadline = "deadline"
)

// GuardSettled is the guard that this package answers itself: it holds once the hooks of
// the state have finished.
const GuardSettled = "settled"

// Phase is how far a visit of a state has come.
type Phase string

const (
	PhaseEntering Phase = "entering" // hooks are to run or are running
	PhaseSettled  Phase = "settled"  // hooks have finished
	PhaseFailed   Phase = "failed"   // hooks or work failed, and the state has no failure exit
)

// Instance is where one thing stands in the machine: a value for the caller to store.
type Instance struct {
	State string `json:"state"`
	Phase Phase  `json:"phase"`
	// Since is when the state was entered, in UTC.
	Since time.Time `json:"since"`
	// Deadline is when the state times out; zero = never.
	Deadline time.Time `json:"deadline,omitzero"`
	// Visit counts the states entered, from 1.
	Visit int64 `json:"visit"`
	// Reason is why the state was entered, or why its phase is failed.
	Reason string `json:"reason,omitempty"`
	// Previous is the state before this one; "" after Start.
	Previous string `json:"previous,omitempty"`
}

// Event is something that happened to an instance.
type Event struct {
	Name string `json:"name"`
	// Actor who fired it; not asked for built-in events.
	Actor string `json:"actor,omitempty"`
	// At is when it happened. Fire reads no clock.
	At time.Time `json:"at"`
	// Reason becomes Instance.Reason.
	Reason string `json:"reason,omitempty"`
	// Visit that the event belongs to; 0 = whichever it is now.
	Visit int64 `json:"visit,omitempty"`
}

// EffectKind says what the caller is to do.
type EffectKind string

const (
	// Leave: a visit is over. Stop its hooks and timers; their results are stale from now on.
	Leave EffectKind = "leave"
	// Enter: a visit has begun. Run the hooks of the state, then fire Settled or Failed with
	// the Visit of the effect.
	Enter EffectKind = "enter"
	// ArmDeadline: fire Deadline with the Visit of the effect at its time At.
	ArmDeadline EffectKind = "arm_deadline"
)

// Effect is work that follows from a change. Effects come in the order leave, enter,
// arm_deadline and can all be told again from a stored Instance: a caller that lost them in
// a crash runs the hooks of an instance that is entering and arms Instance.Deadline.
type Effect struct {
	Kind  EffectKind `json:"kind"`
	State string     `json:"state"`
	Visit int64      `json:"visit"`
	At    time.Time  `json:"at"`
}

// Guard answers whether the guard of that name holds now; an error says why not. It must
// not change anything. A nil Guard refuses every name but GuardSettled.
type Guard func(name string) error

var errNoGuard = errors.New("nobody answers this guard here")

// maxEffects is what one event can lead to: leave, enter, arm_deadline.
const maxEffects = 3

// Fire returns the instance that follows from ev and the effects to carry out. It changes
// nothing and reads no clock: the same arguments give the same result. On error, a
// *TransitionError, the instance is returned as it was.
//
// It is short enough to be inlined, so that the effects live on the caller's stack.
func (m *Machine) Fire(in Instance, ev Event, guard Guard) (Instance, []Effect, error) {
	effects, err := m.fire(&in, &ev, guard, new([maxEffects]Effect))
	return in, effects, err
}

// fire changes in, which it leaves alone on error, and writes the effects into room.
func (m *Machine) fire(in *Instance, ev *Event, guard Guard, room *[maxEffects]Effect) ([]Effect, error) {
	i, ok := m.index[in.State]
	if !ok {
		return nil, &TransitionError{State: in.State, Event: ev.Name, Actor: ev.Actor, Err: ErrUnknownState}
	}
	s := &m.states[i]
	if ev.Visit != 0 && ev.Visit != in.Visit {
		return nil, s.refuse(ev, nil, refusal{ErrStale, fmt.Errorf("the event is for visit %d, the instance is at visit %d", ev.Visit, in.Visit)})
	}
	switch ev.Name {
	case Settled:
		return m.settle(in, s, ev, guard, room), nil
	case Failed:
		return m.fail(in, s, ev, room), nil
	case Deadline:
		return m.expire(in, s, ev, room)
	}
	for j := range s.transitions {
		t := &s.transitions[j]
		if t.Event != ev.Name {
			continue
		}
		if !t.permits(ev.Actor) {
			return nil, s.refuse(ev, t, ErrNotAllowed)
		}
		if name, err := t.ask(in.Phase, guard); err != nil {
			refused := s.refuse(ev, t, refusal{ErrGuard, err})
			refused.Guard = name
			return nil, refused
		}
		return m.enter(in, t.to, ev.At, ev.Reason, room), nil
	}
	if _, known := m.events[ev.Name]; !known {
		return nil, s.refuse(ev, nil, ErrUnknownEvent)
	}
	return nil, s.refuse(ev, nil, ErrNotAllowed)
}

func (m *Machine) settle(in *Instance, s *state, ev *Event, guard Guard, room *[maxEffects]Effect) []Effect {
	if s.settled != nil {
		if _, err := s.settled.ask(PhaseSettled, guard); err == nil {
			return m.enter(in, s.settled.to, ev.At, ev.Reason, room)
		}
	}
	if in.Phase == PhaseFailed { // the hooks were run again: the old failure is over
		in.Reason = ""
	}
	if ev.Reason != "" {
		in.Reason = ev.Reason
	}
	in.Phase = PhaseSettled
	return nil
}

func (m *Machine) fail(in *Instance, s *state, ev *Event, room *[maxEffects]Effect) []Effect {
	reason := ev.Reason
	if reason == "" {
		reason = fmt.Sprintf("%s failed without giving a reason", s.Name)
	}
	if s.onFailure >= 0 {
		return m.enter(in, s.onFailure, ev.At, reason, room)
	}
	in.Phase, in.Reason = PhaseFailed, reason
	return nil
}

func (m *Machine) expire(in *Instance, s *state, ev *Event, room *[maxEffects]Effect) ([]Effect, error) {
	switch {
	// The definition may have lost a deadline that a stored instance still carries.
	case in.Deadline.IsZero() || s.onDeadline < 0:
		return nil, s.refuse(ev, nil, refusal{ErrNotAllowed, errors.New("the state has no deadline")})
	case ev.At.Before(in.Deadline):
		return nil, s.refuse(ev, nil, refusal{ErrNotAllowed, fmt.Errorf("the deadline is %s", in.Deadline.Format(time.RFC3339))})
	}
	reason := ev.Reason
	if reason == "" {
		reason = fmt.Sprintf("%s took longer than %s", s.Name, Duration(in.Deadline.Sub(in.Since)))
	}
	return m.enter(in, s.onDeadline, ev.At, reason, room), nil
}

// enter is the only place where an instance gets into a state.
func (m *Machine) enter(in *Instance, to int, at time.Time, reason string, room *[maxEffects]Effect) []Effect {
	s := &m.states[to]
	at = at.UTC().Round(0) // the instance is stored: no monotonic reading
	effects := room[:0]
	if in.Visit > 0 {
		effects = append(effects, Effect{Kind: Leave, State: in.State, Visit: in.Visit, At: at})
	}
	in.Previous, in.State = in.State, s.Name
	in.Phase, in.Since, in.Deadline, in.Reason = PhaseEntering, at, time.Time{}, reason
	in.Visit++
	effects = append(effects, Effect{Kind: Enter, State: in.State, Visit: in.Visit, At: at})
	if s.Deadline > 0 {
		in.Deadline = at.Add(time.Duration(s.Deadline))
		effects = append(effects, Effect{Kind: ArmDeadline, State: in.State, Visit: in.Visit, At: in.Deadline})
	}
	return effects
}

// ask returns the first guard that refuses, with its reason.
func (t *transition) ask(phase Phase, guard Guard) (string, error) {
	for _, name := range t.Guards {
		switch {
		case name == GuardSettled:
			if phase != PhaseSettled {
				return name, fmt.Errorf("the hooks of the state have not finished (phase %s)", phase)
			}
		case guard == nil:
			return name, errNoGuard
		default:
			if err := guard(name); err != nil {
				return name, err
			}
		}
	}
	return "", nil
}

func (s *state) refuse(ev *Event, t *transition, err error) *TransitionError {
	e := &TransitionError{State: s.Name, Event: ev.Name, Actor: ev.Actor, Err: err}
	if t != nil {
		e.To = t.To
	}
	for _, t := range s.transitions {
		if ev.Actor == "" || t.permits(ev.Actor) {
			e.Allowed = append(e.Allowed, t.Event)
		}
	}
	return e
}
