package statemachine

import (
	"fmt"
	"slices"
	"strings"
)

// arrow is all that leads from one state to another, for a drawing.
type arrow struct {
	from, to int
	labels   []string
	fault    bool // only failure and deadline lead there
}

// arrows groups the ways out of each state by target, in the order of the table, with
// failure and deadline exits after the transitions.
func (m *Machine) arrows() []arrow {
	var out []arrow
	for i, s := range m.states {
		first := len(out)
		add := func(to int, label string, fault bool) {
			for j := first; j < len(out); j++ {
				if out[j].to == to {
					out[j].labels = append(out[j].labels, label)
					out[j].fault = out[j].fault && fault
					return
				}
			}
			out = append(out, arrow{from: i, to: to, labels: []string{label}, fault: fault})
		}
		for _, t := range s.Transitions {
			label := t.Event
			if len(t.Actors) > 0 {
				label += " (" + strings.Join(t.Actors, ", ") + ")"
			}
			if len(t.Guards) > 0 {
				label += " [" + strings.Join(t.Guards, ", ") + "]"
			}
			add(m.index[t.To], label, false)
		}
		if s.onFailure >= 0 {
			add(s.onFailure, Failed, true)
		}
		if s.onDeadline >= 0 && s.Deadline > 0 {
			add(s.onDeadline, "after "+s.Deadline.String(), true)
		}
	}
	return out
}

// DOT draws the machine for Graphviz. The text is the same for the same definition.
// Pauses are octagons, ends doubled, destructive states red; an arrow that only a failure or a
// deadline takes is dashed.
func (m *Machine) DOT() string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n\tstart [shape=point];\n", m.definition.Name)
	for _, s := range m.states {
		shape := map[Kind]string{Rest: "ellipse", Pause: "octagon", Work: "box", End: "doublecircle"}[s.Kind]
		colour := ""
		if s.Destructive {
			colour = ", color=red"
		}
		fmt.Fprintf(&b, "\t%q [shape=%s%s];\n", s.Name, shape, colour)
	}
	fmt.Fprintf(&b, "\tstart -> %q;\n", m.definition.Initial)
	for _, a := range m.arrows() {
		style := ""
		if a.fault {
			style = ", style=dashed"
		}
		fmt.Fprintf(&b, "\t%q -> %q [label=%q%s];\n", m.states[a.from].Name, m.states[a.to].Name, strings.Join(a.labels, "\n"), style)
	}
	b.WriteString("}\n")
	return b.String()
}

// Mermaid draws the machine as a Mermaid state diagram. The text is the same for the same
// definition.
func (m *Machine) Mermaid() string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	ids := m.mermaidIDs()
	for i, s := range m.states {
		fmt.Fprintf(&b, "    state %q as %s\n", s.Name, ids[i])
	}
	fmt.Fprintf(&b, "    [*] --> %s\n", ids[m.index[m.definition.Initial]])
	for _, a := range m.arrows() {
		fmt.Fprintf(&b, "    %s --> %s : %s\n", ids[a.from], ids[a.to], strings.Join(a.labels, "<br/>"))
	}
	for i, s := range m.states {
		if s.Kind == End {
			fmt.Fprintf(&b, "    %s --> [*]\n", ids[i])
		}
	}
	class := func(name, style string, has func(State) bool) {
		var members []string
		for i, s := range m.states {
			if has(s.State) {
				members = append(members, ids[i])
			}
		}
		if len(members) > 0 {
			fmt.Fprintf(&b, "    classDef %s %s\n    class %s %s\n", name, style, strings.Join(members, ","), name)
		}
	}
	class("rest", "fill:#e6f4ea,stroke:#137333", func(s State) bool { return s.Kind == Rest })
	class("pause", "fill:#fef7e0,stroke:#b06000,stroke-width:3px", func(s State) bool { return s.Kind == Pause })
	class("destructive", "fill:#fce8e6,stroke:#c5221f", func(s State) bool { return s.Destructive })
	return b.String()
}

// mermaidIDs makes identifiers of the names: a diagram takes no '-' and '.' there, and some
// words, such as "end", not at all.
func (m *Machine) mermaidIDs() []string {
	ids := make([]string, len(m.states))
	for i, s := range m.states {
		id := "s_" + strings.NewReplacer("-", "_", ".", "_").Replace(s.Name)
		for slices.Contains(ids, id) {
			id += "_"
		}
		ids[i] = id
	}
	return ids
}
