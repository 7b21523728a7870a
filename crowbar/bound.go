package crowbar

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Why the work of a visit is cut off.
var (
	errOvertime = errors.New("the time of the state is over")
	errLeft     = errors.New("the node has left the state")
)

// bound ends the work of a state when the state's time is over, or when the node has left the
// state: what belongs to an earlier visit must not touch the machine any more. Time that the
// work spends waiting for its turn does not count. The caller must call cancel, which waits
// for the watcher.
func (w *hookRun) bound(ctx context.Context, n *Node) (bounded context.Context, cancel func()) {
	e := w.engine
	bounded, stop := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() {
		timer := e.expiry(n)
		for {
			present, revision, replaced := e.nodes.watch(RoleName(w.node))
			if revision == 0 || present.Lifecycle.Visit != w.visit {
				stop(errLeft)
				return
			}
			select {
			case <-bounded.Done():
				return
			case <-replaced:
			case <-timer:
				waited := w.waited()
				if waited == 0 {
					stop(errOvertime)
					return
				}
				timer = e.clock.After(waited)
			}
		}
	})
	return bounded, func() { stop(nil); watcher.Wait() }
}

// expiry signals when the state's time is over; never for a state that has no deadline.
func (e *Engine) expiry(n *Node) <-chan time.Time {
	if n.Lifecycle.Deadline.IsZero() {
		return nil
	}
	return e.clock.After(e.deadline(n).Sub(e.clock.Now()))
}

// waiting notes that the work waits for its turn, until the returned function is called.
func (w *hookRun) waiting() (done func()) {
	w.mu.Lock()
	w.since = w.engine.clock.Now()
	w.mu.Unlock()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.queued += w.engine.clock.Now().Sub(w.since)
		w.since = time.Time{}
	}
}

// waited returns how long the work has waited since it was last asked.
func (w *hookRun) waited() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.queued
	w.queued = 0
	if !w.since.IsZero() {
		now := w.engine.clock.Now()
		d += now.Sub(w.since)
		w.since = now
	}
	return d
}

// within bounds a context by the engine's clock; 0 is no bound. The caller must call cancel,
// which waits for the watcher.
func (e *Engine) within(ctx context.Context, limit time.Duration) (bounded context.Context, cancel func()) {
	bounded, stop := context.WithCancelCause(ctx)
	if limit <= 0 {
		return bounded, func() { stop(nil) }
	}
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-bounded.Done():
		case <-e.clock.After(limit):
			stop(errOvertime)
		}
	})
	return bounded, func() { stop(nil); watcher.Wait() }
}
