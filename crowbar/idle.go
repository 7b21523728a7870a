package crowbar

import (
	"context"

	"github.com/crowbarkit/crowbarkit/statemachine"
)

// Busy says whether anything is under way or about to be: a node on its way to a state in
// which it rests, a job that runs or has the nodes it needs, a role that a node in ready lacks.
// What waits for an operator, such as a proposal whose nodes pause, is not.
func (e *Engine) Busy() bool {
	for _, n := range e.nodes.list() {
		s, known := e.lifecycle.Machine().State(n.Lifecycle.State)
		if known && s.Kind == statemachine.Work || e.needsWork(n, e.clock.Now()) || len(e.late(n)) > 0 {
			return true
		}
	}
	for _, j := range e.jobs.list() {
		if !j.Active() {
			continue
		}
		config, revision := e.configs.get(configRole(j.Proposal))
		if j.Status == JobRunning || revision == 0 {
			return true
		}
		if t := e.targets(j); len(t.coming) > 0 || t.canStart(e.config.Registry.For(config.Document).Info(), j) {
			return true
		}
	}
	return false
}

// AwaitIdle returns once nothing is under way any more, or with ctx's error.
func (e *Engine) AwaitIdle(ctx context.Context) error {
	for {
		changed := e.ledger.watch()
		if !e.Busy() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
