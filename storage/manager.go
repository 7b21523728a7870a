package storage

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/hashicorp/go-multierror"
)

// A Manager holds the back ends of a Config. Make it with Open.
type Manager struct {
	backends []*Backend
}

// Backends returns the names of the back ends in the order of the Config.
func (m *Manager) Backends() []string {
	names := make([]string, 0, len(m.backends))
	for _, b := range m.backends {
		names = append(names, b.name)
	}
	return names
}

// Backend returns one back end, or ErrNotFound with the names there are.
func (m *Manager) Backend(name string) (*Backend, error) {
	for _, b := range m.backends {
		if b.name == name {
			return b, nil
		}
	}
	return nil, fmt.Errorf("back end %q: %w; there is: %s", name, ErrNotFound, strings.Join(m.Backends(), ", "))
}

// Check checks all back ends at once and returns every problem, each an *OpError.
func (m *Manager) Check(ctx context.Context) error {
	return m.all(func(b *Backend) error { return b.Check(ctx) })
}

// Stats asks all back ends at once. It returns what it got, by name, also when it returns the
// problems of the others.
func (m *Manager) Stats(ctx context.Context) (map[string]*Stats, error) {
	var mu sync.Mutex
	all := map[string]*Stats{}
	err := m.all(func(b *Backend) error {
		stats, err := b.Stats(ctx)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		all[b.name] = stats
		return nil
	})
	return all, err
}

// Close closes the drivers that can be closed. Calls must have ended.
func (m *Manager) Close() error {
	return m.all(func(b *Backend) error {
		if closer, ok := b.driver.(io.Closer); ok {
			if err := closer.Close(); err != nil {
				return &OpError{Op: "close", Backend: b.name, Err: err}
			}
		}
		return nil
	})
}

// all runs fn for each back end at once and waits.
func (m *Manager) all(fn func(*Backend) error) error {
	errs := make([]error, len(m.backends))
	var wait sync.WaitGroup
	for i, b := range m.backends {
		wait.Go(func() { errs[i] = fn(b) })
	}
	wait.Wait()
	var problems *multierror.Error
	for _, err := range errs {
		if err != nil {
			problems = multierror.Append(problems, err)
		}
	}
	return problems.ErrorOrNil()
}
