package crowbar

import (
	"fmt"
	"maps"
	"slices"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// targets sorts the nodes of an apply job by what can be done with them now.
type targets struct {
	due    map[string][]string // node → roles that the jig can apply
	coming map[string]string   // node → where it is on its way to rest
	paused map[string]string   // node → why it has not set out
	lost   map[string]string   // node → why it will not come
	roles  map[string][]string // role → all of its nodes
}

func (t *targets) nodes() []string { return slices.Sorted(maps.Keys(t.due)) }

// all lists the nodes that the job works on or waits for.
func (t *targets) all() []string {
	return slices.Concat(t.nodes(), slices.Sorted(maps.Keys(t.coming)), slices.Sorted(maps.Keys(t.paused)))
}

// short names the first role that has fewer nodes than it needs, if those that alive says no
// to are left out; empty if none has. A role without any node is nobody's business here: a
// commit checks that.
func (t *targets) short(info barclamp.Info, j *Job, alive func(node string) bool) (role string, needs int) {
	for _, role := range slices.Sorted(maps.Keys(t.roles)) {
		needs := 1
		if len(j.Only) == 0 { // else it is about some of the proposal's nodes
			needs = max(1, info.Role(role).Constraint.Minimum)
		}
		left := 0
		for _, node := range t.roles[role] {
			if alive(node) {
				left++
			}
		}
		if left < needs {
			return role, needs
		}
	}
	return "", 0
}

// canStart says whether a job can begin: nobody is on the way any more, and the nodes that still
// pause can be done without; whoever is allocated later is caught up with. One that has begun
// goes on without them.
func (t *targets) canStart(info barclamp.Info, j *Job) bool {
	if len(t.coming) > 0 {
		return false
	}
	if len(t.paused) == 0 || j.Status == JobRunning {
		return true
	}
	role, _ := t.short(info, j, func(node string) bool { return len(t.due[node]) > 0 })
	return role == ""
}

// targets looks where the nodes of a job are.
func (e *Engine) targets(j *Job) *targets {
	config, revision := e.configs.get(configRole(j.Proposal))
	if revision == 0 {
		return &targets{}
	}
	return e.targetsOf(config, j)
}

// targetsOf does so for a document that need not be in force.
func (e *Engine) targetsOf(config *ConfigRole, j *Job) *targets {
	t := &targets{due: map[string][]string{}, coming: map[string]string{}, paused: map[string]string{}, lost: map[string]string{}, roles: map[string][]string{}}
	deployment := config.deployment()
	for _, role := range config.Document.Roles() {
		states := deployment.ElementStates[role]
		if !e.appliedAtRest(states) {
			continue
		}
		for _, node := range deployment.Elements[role] {
			if len(j.Only) > 0 && !slices.Contains(j.Only, node) {
				continue
			}
			t.roles[role] = append(t.roles[role], node)
			switch where, why := e.disposition(j, node, states); where {
			case due:
				t.due[node] = append(t.due[node], role)
			case coming:
				t.coming[node] = why
			case paused:
				t.paused[node] = why
			case lost:
				t.lost[node] = why
			}
		}
	}
	return t
}

// appliedAtRest says whether the jig applies a role. element_states names the states in which
// a role is active (Crowbar); a role that is active only while the node is worked on, such as
// raid-configure, is the business of its barclamp's hooks. No list means every state.
func (e *Engine) appliedAtRest(states []string) bool {
	if len(states) == 0 || slices.Contains(states, "all") {
		return true
	}
	return slices.ContainsFunc(states, func(name string) bool {
		s, known := e.lifecycle.Machine().State(name)
		return known && (s.Kind == statemachine.Rest || s.Kind == statemachine.Pause)
	})
}

type disposition int

const (
	due disposition = iota
	coming
	paused
	lost
)

// disposition says whether a role that is active in the given states can be applied to a node
// now, later, or not at all.
func (e *Engine) disposition(j *Job, node string, states []string) (disposition, string) {
	n, revision := e.nodes.get(RoleName(node))
	if revision == 0 || n.Name != node {
		return lost, "no such node"
	}
	at := n.Lifecycle
	kind := statemachine.Kind("")
	if s, known := e.lifecycle.Machine().State(at.State); known {
		kind = s.Kind
	}
	active := len(states) == 0 || slices.Contains(states, "all") || slices.Contains(states, at.State)
	switch {
	case at.Phase == statemachine.PhaseFailed:
		return lost, fmt.Sprintf("failed in %s: %s", at.State, at.Reason)
	case at.State == lifecycle.Applying && n.Job == j.ID:
		return due, "" // a crash: the job goes on with it
	case j.Wave > 0 && !n.has(j.Proposal, j.Revision):
		return lost, "was not part of the job when it began" // it missed waves; it is caught up with
	case active && at.Phase == statemachine.PhaseSettled && (kind == statemachine.Rest || kind == statemachine.Pause):
		return due, ""
	case kind == statemachine.Pause || at.State == lifecycle.Discovering:
		return paused, fmt.Sprintf("is in %s and not allocated", at.State)
	case kind == statemachine.End || kind == statemachine.Rest && at.State != lifecycle.Ready:
		reason := "is in " + at.State
		if at.Reason != "" {
			reason += ": " + at.Reason
		}
		return lost, reason
	}
	return coming, "is in " + at.State
}

// Waiting says in one line what a queued job waits for; empty if it waits for nothing.
func (e *Engine) Waiting(j *Job) string {
	if j.Kind != JobApply || j.Status != JobQueued {
		return ""
	}
	config, revision := e.configs.get(configRole(j.Proposal))
	if revision == 0 {
		return ""
	}
	return e.waiting(j, e.targetsOf(config, j), e.config.Registry.For(config.Document).Info(), "")
}

// waiting does not count the job that this one would replace.
func (e *Engine) waiting(j *Job, t *targets, info barclamp.Info, replaced string) string {
	why := maps.Clone(t.coming)
	if len(why) == 0 {
		why = t.paused
	}
	if t.canStart(info, j) {
		return e.behind(j, t, replaced)
	}
	names := slices.Sorted(maps.Keys(why))
	text := fmt.Sprintf("waits for %d of %s: %s %s", len(names), nodes(len(t.all())+len(t.lost)), names[0], why[names[0]])
	if len(names) > 1 {
		text += fmt.Sprintf(", and %d more", len(names)-1)
	}
	return text
}

// behind says which earlier job has nodes that this one needs; empty if none does and the job
// is about to begin.
func (e *Engine) behind(j *Job, t *targets, replaced string) string {
	for _, other := range e.jobs.list() {
		if other.Kind != JobApply || !other.Active() || other.ID == j.ID || other.Status == JobQueued && (other.ID > j.ID || other.ID == replaced) {
			continue
		}
		its := e.targets(other).all()
		if slices.ContainsFunc(t.nodes(), func(n string) bool { return slices.Contains(its, n) }) {
			return fmt.Sprintf("waits for its turn: job %s has its nodes", other.ID)
		}
	}
	return ""
}
