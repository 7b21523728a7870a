package crowbar

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// A workQueue holds names that something is to be done for. A name is worked on by one
// goroutine at a time; one that is added while it is worked on comes up again afterwards.
type workQueue struct {
	mu     sync.Mutex
	ready  []string
	queued map[string]bool // in ready
	active map[string]bool // being worked on
	again  map[string]bool // added while active
	wake   chan struct{}   // holds one wish
}

func newWorkQueue() *workQueue {
	return &workQueue{
		queued: map[string]bool{},
		active: map[string]bool{},
		again:  map[string]bool{},
		wake:   make(chan struct{}, 1),
	}
}

func (q *workQueue) add(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.active[name]:
		q.again[name] = true
	case !q.queued[name]:
		q.push(name)
	}
}

// push needs the lock.
func (q *workQueue) push(name string) {
	q.queued[name] = true
	q.ready = append(q.ready, name)
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *workQueue) take() (string, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ready) == 0 {
		return "", false
	}
	name := q.ready[0]
	q.ready = q.ready[1:]
	delete(q.queued, name)
	q.active[name] = true
	return name, true
}

func (q *workQueue) done(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.active, name)
	if q.again[name] {
		delete(q.again, name)
		q.push(name)
	}
}

// run works on names until ctx ends, on at most limit at a time, and returns when the last
// one is finished.
func (q *workQueue) run(ctx context.Context, limit int, work func(ctx context.Context, name string)) {
	var group sync.WaitGroup
	defer group.Wait()
	places := make(chan struct{}, limit)
	for {
		name, ok := q.take()
		if !ok {
			select {
			case <-ctx.Done():
				return
			case <-q.wake:
				continue
			}
		}
		select {
		case <-ctx.Done():
			return
		case places <- struct{}{}:
		}
		group.Go(func() {
			defer func() { q.done(name); <-places }()
			work(ctx, name)
		})
	}
}

// A nameSet collects names until somebody takes them all.
type nameSet struct {
	mu    sync.Mutex
	names map[string]bool
}

func (s *nameSet) add(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names == nil {
		s.names = map[string]bool{}
	}
	s.names[name] = true
}

// take returns the names in order and forgets them.
func (s *nameSet) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	names := slices.Sorted(maps.Keys(s.names))
	s.names = nil
	return names
}
