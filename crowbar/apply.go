package crowbar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
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

// start says whether a job can begin: nobody is on the way any more, and the nodes that still
// pause can be done without; whoever is allocated later is caught up with.
func (t *targets) start(info barclamp.Info, j *Job) bool {
	if len(t.coming) > 0 {
		return false
	}
	if len(t.paused) == 0 {
		return true
	}
	role, _ := t.short(info, j, func(node string) bool { return len(t.due[node]) > 0 })
	return role == ""
}

// targets looks where the nodes of a job are.
func (e *Engine) targets(j *Job) *targets {
	t := &targets{due: map[string][]string{}, coming: map[string]string{}, paused: map[string]string{}, lost: map[string]string{}, roles: map[string][]string{}}
	config, revision := e.configs.get(configRole(j.Proposal))
	if revision == 0 {
		return t
	}
	deployment := config.Document.Deployment()
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
	t := e.targets(j)
	why := maps.Clone(t.coming)
	if len(why) == 0 {
		why = t.paused
	}
	if config, revision := e.configs.get(configRole(j.Proposal)); revision == 0 || t.start(e.config.Registry.For(config.Document).Info(), j) {
		return "waits for its turn: an earlier job has its nodes"
	}
	nodes := slices.Sorted(maps.Keys(why))
	text := fmt.Sprintf("waits for %d of %d nodes: %s %s", len(nodes), len(t.all())+len(t.lost), nodes[0], why[nodes[0]])
	if len(nodes) > 1 {
		text += fmt.Sprintf(", and %d more", len(nodes)-1)
	}
	return text
}

// apply runs an apply job from its first unfinished wave to its end.
func (e *Engine) apply(ctx context.Context, id string, t *targets) error {
	a := &application{engine: e, id: id, targets: t, failed: map[string]string{}}
	j, err := a.start(ctx)
	if err != nil {
		return err
	}
	outcome := a.waves(ctx, j)
	if ctx.Err() != nil || storeFailed(outcome) {
		return outcome // stopping, or the journal could not be written: the next run goes on from it
	}
	return a.finish(ctx, j, outcome)
}

// An application is one run of an apply job.
type application struct {
	engine   *Engine
	id       string
	targets  *targets
	document *proposal.Document
	info     barclamp.Info
	failed   map[string]string // nodes left behind in this run
}

// start marks job and proposal as running and takes the nodes.
func (a *application) start(ctx context.Context) (*Job, error) {
	e := a.engine
	present, err := e.Job(a.id)
	if err != nil {
		return nil, err
	}
	config, revision := e.configs.get(configRole(present.Proposal))
	if revision == 0 {
		return nil, fmt.Errorf("%w: %s is not in force any more", ErrNotFound, present.Proposal)
	}
	a.document = config.Document
	a.info = e.config.Registry.For(config.Document).Info()
	maps.Copy(a.failed, present.Failures)
	maps.Copy(a.failed, a.targets.lost)
	j, err := e.updateJob(ctx, a.id, func(j *Job, c *change) {
		if j.Status == JobQueued {
			j.Status, j.Started = JobRunning, e.clock.Now().UTC()
			c.tell(actorEngine, "job.started", j.Proposal.String(), fmt.Sprintf("job %s: %s began on %d nodes", j.ID, j.Title, len(a.targets.due)))
		}
		j.Failures = a.failed
		if len(j.Only) == 0 {
			status, revision := e.statuses.get(j.Proposal.String())
			next := *status
			next.Status, next.Reason = StatusApplying, ""
			put(c, e.statuses, j.Proposal.String(), &next, revision)
		}
	})
	if err != nil {
		return nil, err
	}
	return j, a.each(ctx, func(n *Node, c *change) error {
		if n.Lifecycle.State != lifecycle.Ready {
			return errNothing // a role that is active in the pause leaves the node there
		}
		err := e.fire(n, c, statemachine.Event{Name: lifecycle.EventApply, Actor: actorEngine, Reason: present.Title})
		n.Job = a.id
		return err
	})
}

var errNothing = errors.New("nothing to change")

// each changes the records of the job's nodes.
func (a *application) each(ctx context.Context, update nodeUpdate) error {
	for _, name := range a.targets.nodes() {
		if _, err := a.engine.updateNode(ctx, name, update); err != nil && !errors.Is(err, errNothing) {
			if ctx.Err() != nil || storeFailed(err) {
				return err
			}
			a.failed[name] = err.Error() // it went elsewhere meanwhile
		}
	}
	return nil
}

// waves applies the batches of element_order one after another; it returns why the job failed.
func (a *application) waves(ctx context.Context, j *Job) error {
	if err := a.checkMinimums(); err != nil {
		return err
	}
	for i, roles := range a.document.Deployment().ElementOrder {
		if i < j.Wave {
			continue
		}
		if err := a.wave(ctx, i, roles); err != nil {
			return err
		}
	}
	return nil
}

func (a *application) wave(ctx context.Context, i int, roles []string) error {
	e := a.engine
	run := JigRun{Job: a.id, Wave: i, Document: a.document}
	for _, node := range a.targets.nodes() {
		n, revision := e.nodes.get(RoleName(node))
		if a.failed[node] != "" || revision == 0 {
			continue
		}
		target := JigTarget{Node: node, Address: n.Addresses["admin"], Data: n.Data}
		for _, role := range roles {
			if slices.Contains(a.targets.due[node], role) {
				target.Roles = append(target.Roles, role)
			}
		}
		if len(target.Roles) > 0 {
			run.Targets = append(run.Targets, target)
		}
	}
	if len(run.Targets) == 0 {
		return nil
	}
	step := JobStep{ID: fmt.Sprintf("wave-%d", i), Title: fmt.Sprintf("%s on %d nodes", strings.Join(roles, ", "), len(run.Targets)),
		Status: StepRunning, Started: e.clock.Now().UTC()}
	j, err := e.updateJob(ctx, a.id, func(j *Job, _ *change) { j.putStep(step) })
	if err != nil {
		return err
	}
	run.Proposal, run.Revision = j.Proposal, j.Revision
	failures, applyErr := a.jig(ctx, run)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for node, err := range failures {
		a.failed[node] = err.Error()
	}
	if applyErr == nil {
		applyErr = a.checkMinimums()
	}
	_, err = e.updateJob(ctx, a.id, func(j *Job, c *change) {
		step.Status, step.Finished = StepDone, e.clock.Now().UTC()
		if applyErr != nil {
			step.Status, step.Detail = StepFailed, applyErr.Error()
		}
		j.putStep(step)
		j.Wave, j.Failures = i+1, a.failed
		c.tell(actorEngine, "job.wave", j.Proposal.String(), fmt.Sprintf("job %s: %s %s", j.ID, step.Title, step.Status))
	})
	return errors.Join(applyErr, err)
}

func (a *application) jig(ctx context.Context, run JigRun) (map[string]error, error) {
	e := a.engine
	if e.config.Jig == nil {
		return nil, errors.New("this engine has no jig: nothing can apply roles to nodes")
	}
	for _, t := range run.Targets {
		e.progress.show(Progress{Node: t.Node, Job: a.id, Title: "apply " + strings.Join(t.Roles, ", "), Fraction: -1})
		defer e.progress.clear(t.Node)
	}
	return e.config.Jig.Apply(ctx, run, func(ev JigEvent) {
		e.progress.show(Progress{Node: ev.Node, Job: a.id, Title: "apply " + ev.Role, Fraction: -1, Message: ev.Message})
	})
}

// checkMinimums says which roles have too few nodes left: a dead node is left behind as long
// as its roles can do without it.
func (a *application) checkMinimums() error {
	job, err := a.engine.Job(a.id)
	if err != nil {
		return err
	}
	alive := func(node string) bool { return a.failed[node] == "" && len(a.targets.due[node]) > 0 }
	role, needs := a.targets.short(a.info, job, alive)
	if role == "" {
		return nil
	}
	nodes := a.targets.roles[role]
	left := slices.DeleteFunc(slices.Clone(nodes), func(n string) bool { return !alive(n) })
	return fmt.Errorf("role %s needs %d working nodes and has %d (%s)", role, needs, len(left), a.why(nodes))
}

func (a *application) why(nodes []string) string {
	var reasons []string
	for _, n := range nodes {
		if a.failed[n] != "" {
			reasons = append(reasons, n+" "+a.failed[n])
		}
	}
	return strings.Join(reasons, "; ")
}

// finish gives the nodes back and writes the outcome.
func (a *application) finish(ctx context.Context, j *Job, outcome error) error {
	e := a.engine
	now := e.clock.Now().UTC()
	err := a.each(ctx, func(n *Node, c *change) error {
		failure := a.failed[n.Name]
		if failure == "" && outcome == nil {
			for _, role := range a.targets.due[n.Name] {
				n.applied(AppliedRole{Proposal: j.Proposal, Role: role, Revision: j.Revision, At: now})
			}
		}
		if n.Lifecycle.State != lifecycle.Applying || n.Job != a.id {
			return nil
		}
		if failure != "" {
			return e.fire(n, c, statemachine.Event{Name: statemachine.Failed, Reason: fmt.Sprintf("%s: %s", j.Proposal, failure)})
		}
		return e.fire(n, c, statemachine.Event{Name: lifecycle.EventApplied, Actor: actorEngine})
	})
	if err != nil {
		return err
	}
	_, err = e.updateJob(ctx, a.id, func(j *Job, c *change) {
		j.Status, j.Finished, j.Failures = JobDone, e.clock.Now().UTC(), a.failed
		next := ProposalStatus{Proposal: j.Proposal, Status: StatusApplied, Revision: j.Revision, Applied: j.Revision, Job: j.ID}
		if outcome != nil {
			j.Status, j.Reason = JobFailed, outcome.Error()
			next.Status, next.Reason = StatusFailed, outcome.Error()
		} else if len(a.failed) > 0 {
			next.Reason = fmt.Sprintf("without %s", a.why(slices.Sorted(maps.Keys(a.failed))))
		}
		message := fmt.Sprintf("job %s: %s %s", j.ID, j.Title, j.Status)
		if j.Reason != "" {
			message += ": " + j.Reason
		}
		c.tell(actorEngine, "job.finished", j.Proposal.String(), message)
		present, revision := e.statuses.get(j.Proposal.String())
		if len(j.Only) > 0 || present.Job != j.ID {
			return // some nodes of a proposal that was applied before, or a newer commit waits
		}
		if outcome != nil {
			next.Applied = present.Applied
		}
		put(c, e.statuses, j.Proposal.String(), &next, revision)
	})
	return err
}

func (n *Node) applied(r AppliedRole) {
	n.Applied = slices.DeleteFunc(n.Applied, func(old AppliedRole) bool { return old.Proposal == r.Proposal && old.Role == r.Role })
	n.Applied = append(n.Applied, r)
}

func (j *Job) putStep(s JobStep) {
	if i := slices.IndexFunc(j.Steps, func(old JobStep) bool { return old.ID == s.ID }); i >= 0 {
		j.Steps[i] = s
		return
	}
	j.Steps = append(j.Steps, s)
}

// catchUp queues a job for each node that has come to rest after its proposal was applied to
// the others: it was dead, or was reset and installed again.
func (e *Engine) catchUp(ctx context.Context) {
	for _, name := range e.arrivals.take() {
		n, revision := e.nodes.get(RoleName(name))
		if revision == 0 {
			continue
		}
		var seen []proposal.Key
		for _, m := range e.members.of(name) {
			if slices.Contains(seen, m.Proposal) {
				continue
			}
			seen = append(seen, m.Proposal)
			config, _ := e.configs.get(configRole(m.Proposal))
			if e.Status(m.Proposal).Status != StatusApplied {
				continue // its own job comes, or it failed and is to be committed again
			}
			missing := &Job{Proposal: m.Proposal, Only: []string{name}}
			missing.Revision = config.Revision
			if roles := e.targets(missing).due[name]; !n.lacks(config, roles) || e.catchingUp(m.Proposal, name) {
				continue
			}
			missing.ID, missing.Kind, missing.Status, missing.Created = e.jobNumber.next(), JobApply, JobQueued, e.clock.Now().UTC()
			missing.Title = fmt.Sprintf("apply %s revision %d to %s", m.Proposal, config.Revision, name)
			c := &change{}
			put(c, e.jobs, missing.ID, missing, 0)
			if err := e.engine.commit(ctx, c); err != nil && ctx.Err() == nil {
				e.log.Error("late node not queued", "node", name, "proposal", m.Proposal, "error", err)
			}
		}
	}
}

// catchingUp says whether a job for this node alone is queued or running already.
func (e *Engine) catchingUp(k proposal.Key, node string) bool {
	return slices.ContainsFunc(e.jobs.list(), func(j *Job) bool {
		return j.Active() && j.Proposal == k && slices.Contains(j.Only, node)
	})
}

// lacks says whether one of the roles has not been applied at the revision in force.
func (n *Node) lacks(config *ConfigRole, roles []string) bool {
	return slices.ContainsFunc(roles, func(role string) bool {
		return !slices.ContainsFunc(n.Applied, func(a AppliedRole) bool {
			return a.Proposal == config.Proposal && a.Role == role && a.Revision == config.Revision
		})
	})
}
