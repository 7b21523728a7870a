package crowbar

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// sequence numbers jobs in the order in which they are made.
type sequence struct {
	mu   sync.Mutex
	last int
}

// startAfter goes on after the jobs that there are. A number that was drawn and never
// committed leaves a gap, so their count would not do.
func (s *sequence) startAfter(jobs []*Job) error {
	for _, j := range jobs {
		number, err := strconv.Atoi(j.ID)
		if err != nil {
			return fmt.Errorf("crowbar: job %q: %w", j.ID, err)
		}
		s.last = max(s.last, number)
	}
	return nil
}

func (s *sequence) next() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	return fmt.Sprintf("%06d", s.last)
}

// Jobs lists all jobs, oldest first. The records must not be modified.
func (e *Engine) Jobs() []*Job { return e.jobs.list() }

// Job returns a job by its ID, with or without leading zeros, or ErrNotFound.
func (e *Engine) Job(id string) (*Job, error) {
	if j, revision := e.jobs.get(jobID(id)); revision != 0 {
		return j, nil
	}
	return nil, fmt.Errorf("%w: no job %q; list them: crowbar job list", ErrNotFound, id)
}

func jobID(id string) string { return strings.Repeat("0", max(0, 6-len(id))) + id }

// AwaitJob returns the job once it has ended, or as it is when ctx ends (with ctx.Err()).
func (e *Engine) AwaitJob(ctx context.Context, id string) (*Job, error) {
	for {
		j, revision, replaced := e.jobs.watch(jobID(id))
		switch {
		case revision == 0:
			return nil, fmt.Errorf("%w: no job %q; list them: crowbar job list", ErrNotFound, id)
		case !j.Active():
			return j, nil
		}
		select {
		case <-ctx.Done():
			return j, ctx.Err()
		case <-replaced:
		}
	}
}

// WatchJob calls tell with the job as it is and after each of its changes, until it has ended
// (nil), ctx ends, or tell returns an error, which is returned. Changes that follow each other
// fast are told as one. The record must not be modified.
func (e *Engine) WatchJob(ctx context.Context, id string, tell func(*Job) error) error {
	for {
		j, revision, replaced := e.jobs.watch(jobID(id))
		if revision == 0 {
			return fmt.Errorf("%w: no job %q; list them: crowbar job list", ErrNotFound, id)
		}
		if err := tell(j); err != nil || !j.Active() {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-replaced:
		}
	}
}

// closeOrphans ends the jobs of hooks whose node had left their state when the engine stopped.
func (e *Engine) closeOrphans(ctx context.Context) error {
	for _, j := range e.jobs.list() {
		if j.Kind != JobTransition || !j.Active() {
			continue
		}
		if n, revision := e.nodes.get(RoleName(j.Node)); revision != 0 && n.Job == j.ID {
			continue
		}
		w := &hookRun{engine: e, node: j.Node, state: j.State, visit: j.Visit, job: j}
		if err := w.finish(ctx, errLeft.Error()); err != nil {
			return err
		}
	}
	return nil
}

// updateJob changes a job's record. Only the goroutine that runs the job does so, and a commit
// that ends it before it runs: ErrConflict then.
func (e *Engine) updateJob(ctx context.Context, id string, update func(j *Job, c *change)) (*Job, error) {
	present, revision := e.jobs.get(id)
	if revision == 0 {
		return nil, fmt.Errorf("%w: no job %q", ErrNotFound, id)
	}
	j, c := present.clone(), &change{}
	update(j, c)
	put(c, e.jobs, id, j, revision)
	if err := e.engine.commit(ctx, c); err != nil {
		return nil, fmt.Errorf("crowbar: job %s: %w", id, err)
	}
	return j, nil
}

// runJobs starts jobs whose nodes are there and free, until ctx ends, and returns when the
// last one has stopped. It is the only place where jobs are started, so that two jobs never
// wait for each other's nodes.
func (e *Engine) runJobs(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	busy := &busyNodes{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.jobsDue:
		}
		if e.Paused() != "" {
			continue
		}
		e.catchUp(ctx)
		waiting := map[string]bool{} // nodes of earlier jobs: a node takes its proposals in the order of their commits
		for _, j := range e.jobs.list() {
			if j.Kind != JobApply || !j.Active() || busy.runs(j.ID) {
				continue
			}
			config, revision := e.configs.get(configRole(j.Proposal))
			if revision == 0 || config.Revision != j.Revision {
				e.replaced(ctx, j)
				continue
			}
			t := e.targets(j)
			// One that the last process had begun has had its turn: its nodes rest when it has ended.
			behind := j.Status == JobQueued && slices.ContainsFunc(t.nodes(), func(n string) bool { return waiting[n] })
			ready := t.canStart(e.config.Registry.For(config.Document).Info(), j)
			if behind || !ready || !busy.take(j.ID, t.nodes()) {
				if !behind && !ready && len(t.coming) == 0 {
					continue // it waits for nodes to be allocated, which may take days: others go before
				}
				for _, n := range slices.Concat(t.nodes(), slices.Collect(maps.Keys(t.coming))) {
					waiting[n] = true
				}
				continue
			}
			running.Go(func() {
				err := e.apply(ctx, j.ID, t)
				busy.free(j.ID)
				switch {
				case err == nil:
					e.wakeJobs() // its nodes are free
				case ctx.Err() == nil: // the store failed: the next sweep tries again
					e.log.Error("job not finished", "job", j.ID, "error", err)
				}
			})
		}
	}
}

// replaced ends a job whose input is not in force any more.
func (e *Engine) replaced(ctx context.Context, j *Job) {
	_, err := e.updateJob(ctx, j.ID, func(j *Job, c *change) {
		j.Status, j.Finished = JobReplaced, e.clock.Now().UTC()
		j.Reason = fmt.Sprintf("revision %d of %s is not in force any more", j.Revision, j.Proposal)
		c.tell(actorEngine, "job.finished", j.Proposal.String(), fmt.Sprintf("job %s: %s %s", j.ID, j.Title, j.Status))
	})
	if err != nil && ctx.Err() == nil {
		e.log.Error("job not ended", "job", j.ID, "error", err)
	}
}

// busyNodes knows which job works on which node.
type busyNodes struct {
	mu    sync.Mutex
	byJob map[string][]string
	taken map[string]bool
}

func (b *busyNodes) runs(job string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	_, ok := b.byJob[job]
	return ok
}

// take gives a job all of its nodes, or none.
func (b *busyNodes) take(job string, nodes []string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range nodes {
		if b.taken[n] {
			return false
		}
	}
	if b.byJob == nil {
		b.byJob, b.taken = map[string][]string{}, map[string]bool{}
	}
	b.byJob[job] = nodes
	for _, n := range nodes {
		b.taken[n] = true
	}
	return true
}

func (b *busyNodes) free(job string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.byJob[job] {
		delete(b.taken, n)
	}
	delete(b.byJob, job)
}
