package statemachine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/hashicorp/go-multierror"
)

var (
	// ErrDefinition says that a table is refused; the *DefinitionError lists why.
	ErrDefinition = errors.New("statemachine: invalid definition")
	// ErrNotAllowed says that the state does not take this event, or not from this actor,
	// or that a deadline has not passed yet.
	ErrNotAllowed = errors.New("statemachine: not allowed")
	// ErrGuard says that the event fits but a guard refuses; its reason is wrapped.
	ErrGuard = errors.New("statemachine: refused by a guard")
	// ErrStale says that the event belongs to an earlier visit of the state.
	ErrStale = errors.New("statemachine: stale event")
	// ErrUnknownEvent says that no state of the machine knows the event.
	ErrUnknownEvent = errors.New("statemachine: unknown event")
	// ErrUnknownState says that the instance is in a state that the machine does not have,
	// as happens when a stored instance meets a new definition.
	ErrUnknownState = errors.New("statemachine: unknown state")
)

// Problem is one fault of a definition.
type Problem struct {
	// Path is the JSON Pointer of the faulty value; "" is the whole document.
	Path     string `json:"path"`
	Found    string `json:"found"`
	Expected string `json:"expected"`
	Hint     string `json:"hint,omitempty"`
}

// Error is the problem in one line.
func (p Problem) Error() string {
	path := p.Path
	if path == "" {
		path = "(document)"
	}
	text := fmt.Sprintf("%s: found %s, expected %s", path, p.Found, p.Expected)
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}

// DefinitionError lists everything that is wrong with a definition. It matches
// ErrDefinition, and it unwraps to a *multierror.Error of the problems.
type DefinitionError struct {
	Name     string
	Problems []Problem
}

// Error lists the problems, one a line.
func (e *DefinitionError) Error() string {
	var b strings.Builder
	b.WriteString(ErrDefinition.Error())
	if e.Name != "" {
		fmt.Fprintf(&b, " %q", e.Name)
	}
	if len(e.Problems) == 1 {
		return b.String() + ": " + e.Problems[0].Error()
	}
	fmt.Fprintf(&b, ": %d problems:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n\t" + p.Error())
	}
	return b.String()
}

// Is reports whether target is ErrDefinition.
func (e *DefinitionError) Is(target error) bool { return target == ErrDefinition }

// Unwrap returns the problems as a *multierror.Error.
func (e *DefinitionError) Unwrap() error {
	var all *multierror.Error
	for _, p := range e.Problems {
		all = multierror.Append(all, p)
	}
	return all.ErrorOrNil()
}

// TransitionError says why an event was refused. The instance is unchanged.
type TransitionError struct {
	State, Event, Actor string
	// To is where the event would have led, where the table says so.
	To string
	// Guard that refused, for ErrGuard.
	Guard string
	// Allowed are the events that this actor could fire instead, in the order of the
	// table; guards were not asked.
	Allowed []string
	// Err is or wraps one of the sentinels of this package.
	Err error
}

// Error is one sentence that names what is allowed instead.
func (e *TransitionError) Error() string {
	switch {
	case errors.Is(e.Err, ErrUnknownState):
		return fmt.Sprintf("statemachine: %q in state %q: the machine has no such state", e.Event, e.State)
	case errors.Is(e.Err, ErrStale):
		return fmt.Sprintf("statemachine: %q in state %q: %v", e.Event, e.State, detail(e.Err))
	case errors.Is(e.Err, ErrGuard):
		return fmt.Sprintf("statemachine: %q is refused in state %q by guard %q: %v", e.Event, e.State, e.Guard, detail(e.Err))
	}
	var b strings.Builder
	if errors.Is(e.Err, ErrUnknownEvent) {
		fmt.Fprintf(&b, "statemachine: %q is no event of this machine; state %q", e.Event, e.State)
	} else {
		fmt.Fprintf(&b, "statemachine: %q is not allowed in state %q", e.Event, e.State)
		if e.To != "" && e.Actor != "" {
			fmt.Fprintf(&b, " for %s", e.Actor)
		}
	}
	if d := detail(e.Err); d != nil {
		fmt.Fprintf(&b, ": %v", d)
	}
	allowed := "nothing"
	if len(e.Allowed) > 0 {
		allowed = strings.Join(e.Allowed, ", ")
	}
	fmt.Fprintf(&b, " (allowed: %s)", allowed)
	return b.String()
}

// Unwrap returns Err.
func (e *TransitionError) Unwrap() error { return e.Err }

// refusal is a sentinel together with what led to it.
type refusal struct{ sentinel, cause error }

func (r refusal) Error() string   { return r.sentinel.Error() + ": " + r.cause.Error() }
func (r refusal) Unwrap() []error { return []error{r.sentinel, r.cause} }

func detail(err error) error {
	var r refusal
	if errors.As(err, &r) {
		return r.cause
	}
	return nil
}
