package statemachine

import (
	"slices"
	"time"
)

// Machine is a checked definition. It is immutable and safe for concurrent use.
type Machine struct {
	definition Definition
	states     []state
	index      map[string]int
	events     map[string]struct{}
}

// state is a State with its names resolved to places in the table.
type state struct {
	State
	transitions []transition // without the one on "settled"
	settled     *transition
	onFailure   int // -1 = none
	onDeadline  int
}

type transition struct {
	*Transition
	to int
}

// New checks d and builds its machine. It copies d. The error is a *DefinitionError with
// every problem found.
func New(d Definition) (*Machine, error) {
	d = d.Clone()
	if problems := check(&d); len(problems) > 0 {
		return nil, &DefinitionError{Name: d.Name, Problems: problems}
	}
	m := &Machine{
		definition: d,
		states:     make([]state, len(d.States)),
		index:      make(map[string]int, len(d.States)),
		events:     make(map[string]struct{}),
	}
	for i, s := range d.States {
		m.index[s.Name] = i
	}
	at := func(name string) int {
		if i, ok := m.index[name]; ok {
			return i
		}
		return -1
	}
	for i, s := range d.States {
		row := state{State: s, onFailure: at(s.OnFailure), onDeadline: at(s.deadlineExit())}
		for j := range s.Transitions {
			t := transition{Transition: &s.Transitions[j], to: at(s.Transitions[j].To)}
			m.events[t.Event] = struct{}{}
			if t.Event == Settled {
				row.settled = &t
				continue
			}
			row.transitions = append(row.transitions, t)
		}
		m.states[i] = row
	}
	return m, nil
}

// Name of the definition.
func (m *Machine) Name() string { return m.definition.Name }

// Initial is the state in which instances start.
func (m *Machine) Initial() string { return m.definition.Initial }

// Definition returns a copy of the table.
func (m *Machine) Definition() Definition { return m.definition.Clone() }

// State returns a copy of the state of that name.
func (m *Machine) State(name string) (State, bool) {
	i, ok := m.index[name]
	if !ok {
		return State{}, false
	}
	return m.states[i].clone(), true
}

// States returns a copy of all states in the order of the definition.
func (m *Machine) States() []State { return m.definition.Clone().States }

// EventTo finds the event by which actor may lead an instance from one state to another,
// the first in the order of the table; for clients that ask for a state and not for an
// event. Guards are not asked, built-in events are never found, and from == to is found
// only where the table has such a transition.
func (m *Machine) EventTo(from, to, actor string) (event string, ok bool) {
	i, known := m.index[from]
	if !known {
		return "", false
	}
	for _, t := range m.states[i].transitions {
		if t.To == to && t.permits(actor) {
			return t.Event, true
		}
	}
	return "", false
}

// Start returns a new instance in the initial state, with the effects of entering it.
func (m *Machine) Start(at time.Time) (Instance, []Effect) {
	var in Instance
	effects := m.enter(&in, m.index[m.definition.Initial], at, "", new([maxEffects]Effect))
	return in, effects
}

func (t *Transition) permits(actor string) bool {
	return len(t.Actors) == 0 || slices.Contains(t.Actors, actor)
}
