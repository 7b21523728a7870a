package rbd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/storage"
)

// ErrClosed is that the driver is closed.
var ErrClosed = errors.New("rbd: driver is closed")

// workers run calls that block inside librados and cannot be interrupted there. Each has a slot;
// a caller whose context ends leaves at once, while the worker goes on and keeps its slot and
// its names until librados is done, takes back what nobody waits for any more, and ends.
type workers struct {
	slots chan struct{}
	root  context.Context // ends with close
	end   context.CancelFunc

	mu        sync.Mutex
	closed    bool
	running   sync.WaitGroup
	names     map[string]*nameLock
	abandoned map[string]chan struct{} // closed when the worker that nobody waits for is done with the name
}

type nameLock struct {
	users int           // those who hold it or wait for it
	held  chan struct{} // one element while it is held
}

func newWorkers(n int) *workers {
	root, end := context.WithCancel(context.Background())
	return &workers{slots: make(chan struct{}, n), root: root, end: end,
		names: map[string]*nameLock{}, abandoned: map[string]chan struct{}{}}
}

// A job is a call.
type job struct {
	kind  kind
	names []string // that it changes: nobody else does meanwhile
	sees  []string // that it reads: nothing that nobody waits for is going on with them
	run   func(ctx context.Context) error
	undo  func() // takes back what run did, if it succeeded and nobody waits for it; may be nil
	end   func() // always last; may be nil
}

// A task is a running job.
type task struct {
	w    *workers
	job  job
	done chan struct{}

	mu        sync.Mutex
	abandoned bool
	finished  bool
	err       error // after finished
}

// do runs a job.
func (w *workers) do(ctx context.Context, j job) error {
	t, err := w.start(ctx, j)
	if err != nil {
		return err
	}
	return t.wait(ctx)
}

// start begins a job when its names and a slot are free. If the context ends before that, nothing
// has happened.
func (w *workers) start(ctx context.Context, j job) (_ *task, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	slices.Sort(j.names) // in one order for all, or two jobs could each wait for the other
	j.names = slices.Compact(j.names)
	taken := 0
	defer func() {
		if err != nil {
			w.unlock(j.names[:taken])
		}
	}()
	for _, name := range j.names {
		if err := w.lock(ctx, name); err != nil {
			return nil, err
		}
		taken++
	}
	for _, name := range j.sees {
		if err := w.settled(ctx, name); err != nil {
			return nil, err
		}
	}
	if err := w.slot(ctx); err != nil {
		return nil, err
	}
	t := &task{w: w, job: j, done: make(chan struct{})}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		<-w.slots
		return nil, ErrClosed
	}
	w.running.Add(1)
	w.mu.Unlock()
	go t.work(ctx)
	return t, nil
}

func (w *workers) slot(ctx context.Context) error {
	select {
	case <-w.root.Done():
		return ErrClosed
	default:
	}
	select {
	case w.slots <- struct{}{}:
		return nil
	case <-w.root.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *task) work(ctx context.Context) {
	defer t.w.running.Done()
	defer func() { <-t.w.slots }()
	defer close(t.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(t.w.root, cancel)() // a job of several steps stops between them
	err := t.job.run(ctx)
	if err != nil && t.w.root.Err() != nil && errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", ErrClosed, err)
	}
	t.mu.Lock()
	t.finished, t.err = true, err
	abandoned := t.abandoned
	t.mu.Unlock()
	if abandoned && err == nil && t.job.undo != nil {
		t.job.undo()
	}
	if t.job.end != nil {
		t.job.end()
	}
	t.w.mu.Lock()
	if abandoned {
		for _, name := range t.job.names {
			close(t.w.abandoned[name])
			delete(t.w.abandoned, name)
		}
	}
	t.w.mu.Unlock()
	t.w.unlock(t.job.names)
}

// wait returns what the job returned, or leaves it when the context ends.
func (t *task) wait(ctx context.Context) error {
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
	}
	t.mu.Lock()
	if !t.finished {
		t.abandoned = true
		t.w.mu.Lock()
		for _, name := range t.job.names {
			t.w.abandoned[name] = make(chan struct{})
		}
		t.w.mu.Unlock()
	}
	finished, err := t.finished, t.err
	t.mu.Unlock()
	switch {
	case finished:
		return err
	case t.job.kind == changes:
		return fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, ctx.Err())
	}
	return ctx.Err()
}

// lock waits for a name's turn.
func (w *workers) lock(ctx context.Context, name string) error {
	w.mu.Lock()
	l := w.names[name]
	if l == nil {
		l = &nameLock{held: make(chan struct{}, 1)}
		w.names[name] = l
	}
	l.users++
	w.mu.Unlock()
	select {
	case l.held <- struct{}{}:
		return nil
	case <-ctx.Done():
		w.leave(name, l)
		return ctx.Err()
	case <-w.root.Done():
		w.leave(name, l)
		return ErrClosed
	}
}

func (w *workers) unlock(names []string) {
	for _, name := range names {
		w.mu.Lock()
		l := w.names[name]
		w.mu.Unlock()
		<-l.held
		w.leave(name, l)
	}
}

func (w *workers) leave(name string, l *nameLock) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.users--; l.users == 0 {
		delete(w.names, name)
	}
}

// settled waits until no abandoned job works on the name: what it makes will be gone again.
func (w *workers) settled(ctx context.Context, name string) error {
	for {
		w.mu.Lock()
		busy := w.abandoned[name]
		w.mu.Unlock()
		if busy == nil {
			return nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// background runs what no caller waits for. fn ends soon after its context.
func (w *workers) background(fn func(ctx context.Context)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return ErrClosed
	}
	w.running.Go(func() { fn(w.root) })
	return nil
}

// close refuses new jobs and waits for those that run, at most d. then runs when all have ended,
// be it later.
func (w *workers) close(d time.Duration, then func()) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	w.closed = true
	w.mu.Unlock()
	w.end()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.running.Wait()
		then()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ended:
		return nil
	case <-timer.C:
		return fmt.Errorf("rbd: closed, but calls are still inside librados after %v; the connection ends with them", d)
	}
}
