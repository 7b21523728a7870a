package statemachine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Kind says what an instance does in a state.
type Kind string

const (
	// Rest is a state in which the instance may stay for ever.
	Rest Kind = "rest"
	// Pause is a state in which the instance stays until a decider decides.
	Pause Kind = "pause"
	// Work is a state in which somebody is at work: it ends, fails or times out.
	Work Kind = "work"
	// End is the last state: it has no way out.
	End Kind = "end"
)

func (k Kind) resting() bool { return k == Rest || k == Pause || k == End }

// Definition is the table of a machine. Names of states, events, actors and guards are 1 to
// 63 letters, digits, '.', '_' and '-', and begin with a letter or digit.
type Definition struct {
	// Name of the machine, used in errors and graphs.
	Name string `json:"name"`
	// Initial is the state in which an instance starts.
	Initial string `json:"initial"`
	// Deciders are the actors whose events are decisions, such as an operator. Needed as
	// soon as there is a pause or a destructive state.
	Deciders []string `json:"deciders,omitempty"`
	States   []State  `json:"states"`
}

// State is one row of the table.
type State struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Kind        Kind   `json:"kind"`
	// Actor is who is expected to move the instance on. A working state and a pause need
	// one; it explains and does not permit: see Transition.Actors.
	Actor string `json:"actor,omitempty"`
	// Deadline is how long the state may take from entering it; 0 = no limit, which a
	// working state may not have.
	Deadline Duration `json:"deadline_seconds,omitempty"`
	// OnDeadline is the state that follows when the deadline has passed; "" = OnFailure.
	OnDeadline string `json:"on_deadline,omitempty"`
	// OnFailure is the state that follows when the hooks or the work fail. Without it the
	// state itself shows the failure; a working state must have it.
	OnFailure string `json:"on_failure,omitempty"`
	// Destructive marks a working state in which something is destroyed that cannot be had
	// back. It is only entered by decision. A decision is a transition that leaves a rest or
	// a pause and is limited to deciders; it holds for the working states that follow, until
	// the instance rests again. What else leads to a destructive state, along any path from
	// the initial state or from a state of rest, is refused.
	Destructive bool         `json:"destructive,omitempty"`
	Transitions []Transition `json:"transitions,omitempty"`
}

// Transition says where an event leads.
type Transition struct {
	// Event that takes it, once per state. "settled" is taken without being asked for.
	Event string `json:"event"`
	// To is the state entered; it may be the same one, which is then entered anew.
	To string `json:"to"`
	// Actors who may fire it; none = anybody.
	Actors []string `json:"actors,omitempty"`
	// Guards that must all hold, asked in this order.
	Guards []string `json:"guards,omitempty"`
}

// Duration is a time.Duration that is a number of seconds in JSON.
type Duration time.Duration

// String is that of time.Duration without zero parts at its end: "2h", "1m30s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalJSON writes seconds, with a fraction where there is one.
func (d Duration) MarshalJSON() ([]byte, error) {
	seconds, rest := d/Duration(time.Second), d%Duration(time.Second)
	if rest == 0 {
		return fmt.Appendf(nil, "%d", int64(seconds)), nil
	}
	sign := ""
	if d < 0 {
		sign, seconds, rest = "-", -seconds, -rest
	}
	return []byte(strings.TrimRight(fmt.Sprintf("%s%d.%09d", sign, int64(seconds), int64(rest)), "0")), nil
}

// UnmarshalJSON reads a number of seconds without exponent.
func (d *Duration) UnmarshalJSON(data []byte) error {
	parsed, err := time.ParseDuration(string(data) + "s")
	if err != nil {
		return fmt.Errorf("%s is not a number of seconds", data)
	}
	*d = Duration(parsed)
	return nil
}

// Parse reads a definition in JSON and checks it as New does. Unknown keys are refused:
// a misspelt on_failure would otherwise be a state without one.
func Parse(data []byte) (*Machine, error) {
	var d Definition
	if err := Decode(data, &d); err != nil {
		return nil, err
	}
	return New(d)
}

// Decode reads one JSON document into a struct that holds or extends a Definition, for
// packages whose states carry more than this one knows. Unknown keys, text after the
// document and values of the wrong type are a *DefinitionError.
func Decode(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(into)
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			return nil
		}
		err = errors.New("text after the document")
	}
	p := Problem{Found: strings.TrimPrefix(err.Error(), "json: "), Expected: "one JSON object of a definition"}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		// encoding/json does not say which state it was.
		p.Path = "/" + strings.ReplaceAll(wrong.Field, ".", "/")
		p.Found, p.Expected = "a "+wrong.Value, wrong.Type.String()
	}
	return &DefinitionError{Problems: []Problem{p}}
}

// Clone returns a deep copy.
func (d Definition) Clone() Definition {
	d.Deciders = slices.Clone(d.Deciders)
	d.States = slices.Clone(d.States)
	for i, s := range d.States {
		d.States[i] = s.clone()
	}
	return d
}

func (s State) clone() State {
	s.Transitions = slices.Clone(s.Transitions)
	for i, t := range s.Transitions {
		s.Transitions[i].Actors = slices.Clone(t.Actors)
		s.Transitions[i].Guards = slices.Clone(t.Guards)
	}
	return s
}

// deadlineExit is where the state goes when its time is over.
func (s *State) deadlineExit() string {
	if s.OnDeadline != "" {
		return s.OnDeadline
	}
	return s.OnFailure
}
