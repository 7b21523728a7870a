//go:build ceph && cgo

package rbd

import (
	"context"
	"errors"
	"sync"
)

// A stream is work that a call's worker does for a caller who reads or writes meanwhile: the
// caller's reader and writer are never used by a worker that the caller may have left.
type stream struct {
	task *task
	work chan piece // what the worker shall do next; closed by the caller when there is no more
}

type piece struct {
	fn   func() error
	done chan<- error // has room
}

func newStream() *stream { return &stream{work: make(chan piece)} }

// serve does what is asked for, up to n pieces at once, until the caller ends the stream. When it
// returns nothing is under way. It is called by a worker, and lets others have the worker's slot
// while the caller, who may read from something slow, asks for nothing.
func (s *stream) serve(ctx context.Context, slots chan struct{}, n int) error {
	<-slots
	defer func() { slots <- struct{}{} }()
	var helpers sync.WaitGroup
	for range n - 1 {
		helpers.Go(func() { _ = s.serveOne(ctx, slots) }) // it has the same end
	}
	err := s.serveOne(ctx, slots)
	helpers.Wait()
	return err
}

func (s *stream) serveOne(ctx context.Context, slots chan struct{}) error {
	for {
		select {
		case p, more := <-s.work:
			if !more {
				return nil
			}
			select {
			case slots <- struct{}{}:
				err := p.fn()
				<-slots
				p.done <- err
			case <-ctx.Done():
				p.done <- ctx.Err()
				return ctx.Err()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// start lets the worker do something as soon as one of its threads is free. The result comes
// through the channel.
func (s *stream) start(ctx context.Context, fn func() error) (<-chan error, error) {
	done := make(chan error, 1)
	select {
	case s.work <- piece{fn, done}:
		return done, nil
	case <-s.task.done:
		return nil, errors.Join(s.task.err, errors.New("rbd: stream ended early"))
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// do lets the worker do something and waits for it.
func (s *stream) do(ctx context.Context, fn func() error) error {
	done, err := s.start(ctx, fn)
	if err != nil {
		return err
	}
	return result(ctx, done)
}

func result(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
