package crowbar

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// A hook is a barclamp that acts in a state, for one of its proposals in force.
type hook struct {
	info   barclamp.Info
	acts   barclamp.Optional
	config *ConfigRole
}

// hooks lists who acts in a state, in run order.
func (e *Engine) hooks(state string) []hook {
	var hooks []hook
	for _, c := range e.configs.list() {
		config := c.deployment().Config
		if !config.Transitions || !slices.Contains(config.TransitionList, state) && !slices.Contains(config.TransitionList, "all") {
			continue
		}
		b := e.config.Registry.For(c.Document)
		hooks = append(hooks, hook{info: b.Info(), acts: barclamp.Find(b), config: c})
	}
	slices.SortStableFunc(hooks, func(a, b hook) int { return barclamp.CompareRunOrder(a.info, b.info) })
	return hooks
}

// event is what the hook's barclamp is told.
func (h hook) event(node barclamp.Node, state string) barclamp.Event {
	node.State = state
	return barclamp.Event{Node: node, State: state, Name: h.config.Proposal.Name, Document: h.config.Document}
}

// runHooks does the work of the state that the node has come into, and settles it. If a hook
// fails, the node takes the state's failure exit with the reason; if it found the machine
// other than planned, the node goes back to the pause.
func (e *Engine) runHooks(ctx context.Context, n *Node) error {
	visit, state := n.Lifecycle.Visit, n.Lifecycle.State
	w := &hookRun{engine: e, node: n.Name, state: state, visit: visit}
	outcome := statemachine.Event{Name: statemachine.Settled, Visit: visit}
	bounded, cancel := w.bound(ctx, n)
	err := w.run(bounded)
	overtime := errors.Is(context.Cause(bounded), errOvertime)
	cancel()
	if err != nil {
		switch {
		case ctx.Err() != nil:
			return ctx.Err() // stopping: the next run goes on
		case errors.Is(err, errLeft):
			return w.finish(ctx, err.Error())
		case overtime:
			outcome.Name = statemachine.Deadline
			outcome.Reason = fmt.Sprintf("%s took longer than %s", state, n.Lifecycle.Deadline.Sub(n.Lifecycle.Since))
		case errors.Is(err, errRetry) || storeFailed(err):
			return err // says nothing about the node: the next sweep tries again
		case errors.Is(err, barclamp.ErrPlanChanged):
			outcome = statemachine.Event{Name: lifecycle.EventReplan, Actor: actorEngine, Visit: visit, Reason: err.Error()}
		default:
			outcome = statemachine.Event{Name: statemachine.Failed, Visit: visit, Reason: err.Error()}
		}
	}
	if err := w.finish(ctx, outcome.Reason); err != nil {
		return err
	}
	_, err = e.updateNode(ctx, n.Name, func(n *Node, c *change) error {
		err := e.fire(n, c, outcome)
		if errors.Is(err, statemachine.ErrNotAllowed) && outcome.Name == lifecycle.EventReplan {
			outcome.Name = statemachine.Failed // this lifecycle has no way back from here
			return e.fire(n, c, outcome)
		}
		return err
	})
	return err
}

// errRetry marks what has nothing to do with the node: the engine's own store failed.
var errRetry = errors.New("crowbar: to be tried again")

// storeFailed says whether a step failed because its own records could not be written.
func storeFailed(err error) bool {
	return errors.Is(err, ErrNotDone) || errors.Is(err, ErrUnknownOutcome) || errors.Is(err, ErrClosed)
}

// A hookRun is the work of one visit to a state. Its journal is a job, which is written only
// once there is a step: most visits have none.
type hookRun struct {
	engine *Engine
	node   string
	state  string
	visit  int64
	job    *Job

	mu     sync.Mutex
	since  time.Time     // waiting for its turn since; zero: not waiting
	queued time.Duration // waited before that
}

func (w *hookRun) run(ctx context.Context) error {
	e := w.engine
	if n, _ := e.nodes.get(RoleName(w.node)); n.Job != "" { // a crash: the journal says how far it came
		if job, revision := e.jobs.get(n.Job); revision != 0 && job.Visit == w.visit {
			w.job = job
		}
	}
	for _, h := range e.hooks(w.state) {
		if h.acts.Transitioner == nil {
			continue
		}
		n, revision := e.nodes.get(RoleName(w.node))
		if revision == 0 || n.Lifecycle.Visit != w.visit {
			return errLeft
		}
		steps, err := h.acts.Transitioner.Transition(ctx, e.Site(), h.event(e.view(n), w.state))
		if err != nil {
			return fmt.Errorf("%s: %w", h.info.Name, err)
		}
		for _, s := range steps {
			if err := w.step(ctx, h, s); err != nil {
				return fmt.Errorf("%s: %s: %w", h.info.Name, s.Title, err)
			}
		}
	}
	return nil
}

// step runs one step unless the journal says that it is done.
func (w *hookRun) step(ctx context.Context, h hook, s barclamp.Step) error {
	id := h.config.Proposal.String() + "/" + s.ID
	i := w.find(id)
	if i >= 0 && (w.job.Steps[i].Status == StepDone || w.job.Steps[i].Status == StepSkipped) {
		return nil
	}
	record := JobStep{ID: id, Title: s.Title, Node: w.node, Status: StepRunning, Started: w.engine.clock.Now().UTC()}
	if s.Skip != "" {
		record.Status, record.Detail, record.Finished = StepSkipped, s.Skip, record.Started
		return w.journal(ctx, record, Skip{State: w.state, Barclamp: h.info.Name, Reason: s.Skip})
	}
	if err := w.journal(ctx, record, Skip{}); err != nil {
		return err
	}
	sc := newStepContext(w, h.config.Proposal, s)
	err := runStep(ctx, s, sc)
	sc.close()
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errLeft):
		return cause
	case ctx.Err() != nil && !errors.Is(cause, errOvertime):
		return ctx.Err()
	}
	record.Status, record.Finished = StepDone, w.engine.clock.Now().UTC()
	if err != nil {
		record.Status, record.Detail = StepFailed, err.Error()
	}
	// An overtime step is journalled too: ctx is over, and the engine is not.
	if journalErr := w.journal(context.WithoutCancel(ctx), record, Skip{}); journalErr != nil {
		return journalErr
	}
	return err
}

// runStep runs a step; one that panics has failed, and the server goes on.
func runStep(ctx context.Context, s barclamp.Step, sc *stepContext) (err error) {
	defer func() {
		if p := recover(); p != nil {
			sc.Log().Error("step panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return s.Run(ctx, sc)
}

func (w *hookRun) find(id string) int {
	if w.job == nil {
		return -1
	}
	return slices.IndexFunc(w.job.Steps, func(s JobStep) bool { return s.ID == id })
}

// journal writes a step into the job, which is made with the first one.
func (w *hookRun) journal(ctx context.Context, record JobStep, skip Skip) error {
	e := w.engine
	if w.job == nil {
		job := &Job{ID: e.jobNumber.next(), Kind: JobTransition, Status: JobRunning, Node: w.node, State: w.state, Visit: w.visit,
			Title: fmt.Sprintf("%s of %s", w.state, w.node), Created: record.Started, Started: record.Started}
		if _, err := e.updateNode(ctx, w.node, func(n *Node, c *change) error {
			n.Job = job.ID
			put(c, e.jobs, job.ID, job, 0)
			return nil
		}); err != nil {
			return fmt.Errorf("%w: %w", errRetry, err)
		}
		w.job = job
	}
	if skip.Reason != "" {
		if _, err := e.updateNode(ctx, w.node, func(n *Node, c *change) error {
			if !slices.Contains(n.Skipped, skip) {
				n.Skipped = append(n.Skipped, skip)
			}
			return nil
		}); err != nil {
			return fmt.Errorf("%w: %w", errRetry, err)
		}
	}
	job := w.job.clone()
	if i := w.find(record.ID); i >= 0 {
		job.Steps[i] = record
	} else {
		job.Steps = append(job.Steps, record)
	}
	return w.write(ctx, job)
}

// finish closes the journal; a reason says that it failed.
func (w *hookRun) finish(ctx context.Context, reason string) error {
	if w.job == nil {
		return nil
	}
	job := w.job.clone()
	job.Status, job.Finished = JobDone, w.engine.clock.Now().UTC()
	if reason != "" {
		job.Status, job.Reason = JobFailed, reason
	}
	for i, s := range job.Steps {
		if s.Status == StepRunning {
			job.Steps[i].Status, job.Steps[i].Detail, job.Steps[i].Finished = StepFailed, reason, job.Finished
		}
	}
	return w.write(ctx, job)
}

func (w *hookRun) write(ctx context.Context, job *Job) error {
	c := &change{}
	_, revision := w.engine.jobs.get(job.ID)
	put(c, w.engine.jobs, job.ID, job, revision)
	if err := w.engine.engine.commit(ctx, c); err != nil {
		return fmt.Errorf("%w: job %s: %w", errRetry, job.ID, err)
	}
	w.job = job
	return nil
}
