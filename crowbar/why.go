package crowbar

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// An Explanation says why a node is where it is and what would move it on.
type Explanation struct {
	Node     string    `json:"node"`
	State    string    `json:"state"`
	Phase    string    `json:"phase"`
	Actor    string    `json:"actor"` // who moves it on: operator, node, engine, bmc
	Since    time.Time `json:"since"`
	Deadline time.Time `json:"deadline,omitzero"`
	Sentence string    `json:"sentence"`
	// Command would move the node on; empty if there is nothing for an operator to do.
	Command string `json:"command,omitempty"`
	// Skipped is what was left out and why.
	Skipped []Skip `json:"skipped,omitempty"`
	// Waiting lists the jobs that wait for this node's turn, with the reason.
	Waiting []string `json:"waiting,omitempty"`
	Next    []Next   `json:"next"`
}

// Next is a way out of the present state.
type Next struct {
	Event   string   `json:"event"`
	To      string   `json:"to"`
	Actors  []string `json:"actors"`
	Blocked string   `json:"blocked,omitempty"`
}

// Why explains a node in one sentence, with the command that would move it on.
func (e *Engine) Why(name string) (*Explanation, error) {
	n, err := e.Node(name)
	if err != nil {
		return nil, err
	}
	w := e.lifecycle.Machine().Why(n.Lifecycle, e.guard(n))
	x := &Explanation{
		Node: n.Name, State: w.State, Phase: string(w.Phase), Actor: w.Actor,
		Since: w.Since, Deadline: w.Deadline, Skipped: n.Skipped,
	}
	for _, p := range w.Next {
		x.Next = append(x.Next, Next{Event: p.Event, To: p.To, Actors: p.Actors, Blocked: p.Blocked})
	}
	for _, j := range e.jobs.list() {
		if j.Kind != JobApply || j.Status != JobQueued {
			continue
		}
		if slices.Contains(e.targets(j).all(), n.Name) {
			x.Waiting = append(x.Waiting, fmt.Sprintf("%s (job %s) %s", j.Title, j.ID, e.Waiting(j)))
		}
	}
	x.Sentence, x.Command = e.sentence(n, w)
	return x, nil
}

func (e *Engine) sentence(n *Node, w statemachine.Explanation) (sentence, command string) {
	about := fmt.Sprintf("%s is in %s", n.Name, w.State)
	var rest []string
	switch {
	case e.Paused() != "":
		rest = append(rest, "the engine is paused: "+e.Paused())
	case w.Phase == statemachine.PhaseFailed:
		rest = append(rest, "its hooks failed: "+w.Reason)
		command = "crowbar node reset " + n.Name
	case w.State == lifecycle.Discovered && w.Phase == statemachine.PhaseSettled:
		rest = append(rest, "it pauses until an operator allocates it, so that its roles are known before its hardware is configured")
		command = "crowbar node allocate " + n.Name
		if why, first := e.noInstaller(); why != "" {
			rest = append(rest, "it cannot be allocated yet: "+why)
			command = first
		}
	case w.State == lifecycle.Problem:
		rest = append(rest, w.Reason)
		command = "crowbar node reset " + n.Name
	case w.State == lifecycle.Ready && w.Phase == statemachine.PhaseSettled:
		rest = append(rest, "it is in service")
	case w.Phase == statemachine.PhaseEntering:
		if p, ok := e.Progress(n.Name); ok {
			text := "the engine runs: " + p.Title
			if p.Message != "" {
				text += " (" + p.Message + ")"
			}
			rest = append(rest, text)
		} else {
			rest = append(rest, "the engine has its hooks to run")
		}
	default:
		rest = append(rest, "the next word has the "+w.Actor)
		if w.Reason != "" {
			rest = append(rest, w.Reason)
		}
	}
	if !w.Deadline.IsZero() {
		rest = append(rest, "its time ends at "+w.Deadline.Format(time.RFC3339))
	}
	rest = append(rest, skips(n)...)
	for _, config := range e.late(n) {
		rest = append(rest, fmt.Sprintf("it lacks roles of %s, which will be applied to it", config.Proposal))
	}
	if m := e.hardwareMissing(n); m != "" {
		rest = append(rest, m)
	}
	return about + ": " + strings.Join(rest, "; "), command
}

// skips says once per reason what was left out.
func skips(n *Node) []string {
	var texts []string
	for _, s := range n.Skipped {
		who := []string{}
		for _, other := range n.Skipped {
			if other.State == s.State && other.Reason == s.Reason {
				who = append(who, other.Barclamp)
			}
		}
		text := fmt.Sprintf("%s skipped in %s: %s", strings.Join(who, ", "), s.State, s.Reason)
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

// hardwareMissing says that nobody configures the hardware of a node, if that is so: its life
// goes on without, and this is the only place where it shows.
func (e *Engine) hardwareMissing(n *Node) string {
	if !n.Allocated {
		return ""
	}
	for _, h := range e.hooks(lifecycle.HardwareInstalling) {
		if h.acts.Planner != nil {
			return ""
		}
	}
	return "hardware configuration was skipped: no barclamp that configures hardware (bios, raid) is in force"
}
