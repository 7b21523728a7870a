package statemachine

import (
	"fmt"
	"strings"
	"time"
)

// Explanation says why an instance is where it is and what would move it on.
type Explanation struct {
	State       string `json:"state"`
	Description string `json:"description,omitempty"`
	Phase       Phase  `json:"phase"`
	Kind        Kind   `json:"kind"`
	// Actor who is expected to move it on; "" = nobody needs to.
	Actor    string     `json:"actor,omitempty"`
	Since    time.Time  `json:"since"`
	Deadline time.Time  `json:"deadline,omitzero"`
	Reason   string     `json:"reason,omitempty"`
	Previous string     `json:"previous,omitempty"`
	Next     []Possible `json:"next,omitempty"`
}

// Possible is one way on.
type Possible struct {
	Event  string   `json:"event"`
	To     string   `json:"to"`
	Actors []string `json:"actors,omitempty"` // none = anybody
	// Blocked is the guard's reason against it; "" = it is open now.
	Blocked string `json:"blocked,omitempty"`
}

// Why explains where in stands. Next lists the transitions in the order of the table, with
// guard asked for each, and last the deadline, if there is one. An instance in a state that
// the machine does not have is explained by its own fields, with no way on.
func (m *Machine) Why(in Instance, guard Guard) Explanation {
	e := Explanation{
		State: in.State, Phase: in.Phase, Since: in.Since,
		Deadline: in.Deadline, Reason: in.Reason, Previous: in.Previous,
	}
	i, ok := m.index[in.State]
	if !ok {
		return e
	}
	s := &m.states[i]
	e.Description, e.Kind, e.Actor = s.Description, s.Kind, s.Actor
	copied := s.clone()
	for j, t := range copied.Transitions {
		p := Possible{Event: t.Event, To: t.To, Actors: t.Actors}
		asked := transition{Transition: &copied.Transitions[j]}
		if name, err := asked.ask(in.Phase, guard); err != nil {
			p.Blocked = fmt.Sprintf("guard %q: %v", name, err)
		} else if t.Event == Settled && in.Phase != PhaseSettled {
			p.Blocked = "the hooks of the state have not finished"
		}
		e.Next = append(e.Next, p)
	}
	if !in.Deadline.IsZero() && s.onDeadline >= 0 {
		e.Next = append(e.Next, Possible{
			Event: Deadline, To: m.states[s.onDeadline].Name,
			Blocked: "not before " + in.Deadline.Format(time.RFC3339),
		})
	}
	return e
}

// String is the explanation in one sentence, such as
//
//	"discovered" since 2026-01-02T03:04:05Z, settled, waits for operator (allocate → installing; delete → deleted)
func (e Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q since %s, %s", e.State, e.Since.UTC().Format(time.RFC3339), e.Phase)
	if e.Reason != "" {
		fmt.Fprintf(&b, " (%s)", e.Reason)
	}
	switch {
	case e.Kind == "":
		return b.String() + ", is no state of this machine"
	case e.Kind == End:
		return b.String() + ", is the end"
	case e.Actor != "":
		fmt.Fprintf(&b, ", waits for %s", e.Actor)
	default:
		b.WriteString(", may stay")
	}
	var open, blocked []string
	for _, p := range e.Next {
		way := p.Event + " → " + p.To
		if p.Blocked == "" {
			open = append(open, way)
		} else {
			blocked = append(blocked, fmt.Sprintf("%s blocked: %s", way, p.Blocked))
		}
	}
	if ways := append(open, blocked...); len(ways) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(ways, "; "))
	}
	return b.String()
}
