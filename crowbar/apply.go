package crowbar

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// apply runs an apply job from its first unfinished wave to its end.
func (e *Engine) apply(ctx context.Context, id string, t *targets) error {
	a := &application{engine: e, id: id, targets: t, visits: map[string]int64{}, failed: map[string]string{}}
	j, err := a.start(ctx)
	if errors.Is(err, errReplaced) {
		return nil
	}
	if err != nil {
		return err
	}
	outcome := a.waves(ctx, j)
	if ctx.Err() != nil || storeFailed(outcome) {
		return outcome // stopping, or the journal could not be written: the next run goes on from it
	}
	return a.finish(ctx, j, outcome)
}

// errReplaced says that a newer commit ended the job before it began.
var errReplaced = errors.New("replaced by a newer commit")

// An application is one run of an apply job.
type application struct {
	engine   *Engine
	id       string
	targets  *targets
	document *proposal.Document
	order    [][]string // of roles, a wave each
	info     barclamp.Info
	visits   map[string]int64  // where the nodes were when the job took them
	failed   map[string]string // nodes left behind, and why
}

// start marks job and proposal as running and takes the nodes.
func (a *application) start(ctx context.Context) (*Job, error) {
	e := a.engine
	present, err := e.Job(a.id)
	if err != nil {
		return nil, err
	}
	config, revision := e.configs.get(configRole(present.Proposal))
	if revision == 0 || config.Revision != present.Revision {
		return nil, errReplaced
	}
	a.document, a.order = config.Document, config.deployment().ElementOrder
	a.info = e.config.Registry.For(config.Document).Info()
	if present.Wave > 0 {
		maps.Copy(a.failed, present.Failures)
	}
	maps.Copy(a.failed, a.targets.lost)
	j, err := e.updateJob(ctx, a.id, func(j *Job, c *change) {
		if !j.Active() { // a commit was faster; it ended the job and put another document in force
			c.fail(errReplaced)
			return
		}
		if j.Status == JobQueued {
			j.Status, j.Started = JobRunning, e.clock.Now().UTC()
			c.tell(actorEngine, "job.started", j.Proposal.String(), fmt.Sprintf("job %s: %s began on %s", j.ID, j.Title, nodes(len(a.targets.due))))
		}
		j.Failures = maps.Clone(a.failed)
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
			a.visits[n.Name] = n.Lifecycle.Visit
			return errNothing // a role that is active in the pause leaves the node there
		}
		err := e.fire(n, c, statemachine.Event{Name: lifecycle.EventApply, Actor: actorEngine, Reason: present.Title})
		n.Job = a.id
		a.visits[n.Name] = n.Lifecycle.Visit
		return err
	})
}

// each changes the records of the job's nodes.
func (a *application) each(ctx context.Context, update nodeUpdate) error {
	for _, name := range a.targets.nodes() {
		if _, err := a.engine.updateNode(ctx, name, update); err != nil {
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
	for i, roles := range a.order {
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
	step := JobStep{ID: fmt.Sprintf("wave-%d", i), Title: fmt.Sprintf("%s on %s", strings.Join(run.roles(), ", "), nodes(len(run.Targets))),
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
		j.Failures = maps.Clone(a.failed)
		if applyErr == nil {
			j.Wave = i + 1
		}
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
	// The time of the state applying is the time of one wave: the engine does not hold the
	// waves before against a node.
	applying, _ := e.lifecycle.Machine().State(lifecycle.Applying)
	bounded, cancel := e.within(ctx, time.Duration(applying.Deadline))
	defer cancel()
	failed, err := e.config.Jig.Apply(bounded, run, func(ev JigEvent) {
		e.progress.show(Progress{Node: ev.Node, Job: a.id, Title: "apply " + ev.Role, Fraction: -1, Message: ev.Message})
	})
	if errors.Is(context.Cause(bounded), errOvertime) {
		err = fmt.Errorf("wave %d took longer than %s", run.Wave, applying.Deadline)
	}
	return failed, err
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
		if n.Lifecycle.Visit != a.visits[n.Name] {
			// It was rebooted, reset or allocated meanwhile. What the jig made of it may be gone;
			// when it comes to rest again it is caught up with.
			if a.failed[n.Name] == "" {
				a.failed[n.Name] = "went to " + n.Lifecycle.State + " while the proposal was applied"
			}
			return errNothing
		}
		failure := a.failed[n.Name]
		if failure == "" && outcome == nil {
			for _, role := range a.targets.due[n.Name] {
				n.applied(AppliedRole{Proposal: j.Proposal, Role: role, Revision: j.Revision, At: now})
			}
		}
		if n.Lifecycle.State != lifecycle.Applying {
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
		j.Status, j.Finished, j.Failures = JobDone, e.clock.Now().UTC(), maps.Clone(a.failed)
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

// catchUp queues jobs for nodes that rest without a role of a proposal which was applied to the
// others: they were dead, or were reset and installed again, or allocated later. Which nodes
// those are is told by the records; arrivals only says where to look before the next sweep.
func (e *Engine) catchUp(ctx context.Context) {
	behind := map[*ConfigRole][]string{}
	var configs []*ConfigRole // in the order of the nodes, so that jobs are numbered alike each time
	for _, name := range e.arrivals.take() {
		n, revision := e.nodes.get(RoleName(name))
		if revision == 0 {
			continue
		}
		for _, config := range e.late(n) {
			if behind[config] == nil {
				configs = append(configs, config)
			}
			behind[config] = append(behind[config], name)
		}
	}
	for _, config := range configs {
		names := behind[config]
		job := &Job{ID: e.jobNumber.next(), Kind: JobApply, Status: JobQueued, Created: e.clock.Now().UTC(), Only: names,
			Proposal: config.Proposal, Revision: config.Revision,
			Title: fmt.Sprintf("apply %s revision %d to %s that came later", config.Proposal, config.Revision, nodes(len(names)))}
		c := &change{}
		put(c, e.jobs, job.ID, job, 0)
		c.tell(actorEngine, "job.queued", config.Proposal.String(), fmt.Sprintf("job %s: %s", job.ID, job.Title))
		if err := e.engine.commit(ctx, c); err != nil && ctx.Err() == nil {
			e.log.Error("late nodes not queued", "proposal", config.Proposal, "error", err)
		}
	}
}

// late lists the applied proposals that a node in ready lacks a role of, unless a job for it
// is on the way.
func (e *Engine) late(n *Node) []*ConfigRole {
	if n.Lifecycle.State != lifecycle.Ready || n.Lifecycle.Phase != statemachine.PhaseSettled {
		return nil
	}
	var late []*ConfigRole
	for _, m := range e.members.of(n.Name) {
		config, revision := e.configs.get(configRole(m.Proposal))
		if revision == 0 || slices.Contains(late, config) || e.Status(m.Proposal).Status != StatusApplied {
			continue // its own job comes, or it failed and is to be committed again
		}
		due := e.targets(&Job{Proposal: m.Proposal, Only: []string{n.Name}}).due[n.Name]
		if n.lacks(config, due) && !e.catchingUp(m.Proposal, n.Name) {
			late = append(late, config)
		}
	}
	return late
}

// catchingUp says whether a job for this node alone is queued or running already.
func (e *Engine) catchingUp(k proposal.Key, node string) bool {
	return slices.ContainsFunc(e.jobs.list(), func(j *Job) bool {
		return j.Active() && j.Proposal == k && slices.Contains(j.Only, node)
	})
}

// has says whether the jig has applied a revision of a proposal to the node.
func (n *Node) has(k proposal.Key, revision int) bool {
	return slices.ContainsFunc(n.Applied, func(a AppliedRole) bool { return a.Proposal == k && a.Revision == revision })
}

// lacks says whether one of the roles has not been applied at the revision in force.
func (n *Node) lacks(config *ConfigRole, roles []string) bool {
	return slices.ContainsFunc(roles, func(role string) bool {
		return !slices.ContainsFunc(n.Applied, func(a AppliedRole) bool {
			return a.Proposal == config.Proposal && a.Role == role && a.Revision == config.Revision
		})
	})
}
