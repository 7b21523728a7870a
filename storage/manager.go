package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
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

// Pick returns the back end on which a volume of sizeBytes leaves the most free space, the
// first by name among equals. ErrNoSpace: it fits on none. ErrInvalid: a size below 1.
//
// It is pure, and sees only the stats it is given: to repeat a creation, repeat it on the
// back end that was picked.
func Pick(stats map[string]*Stats, sizeBytes int64) (backend string, err error) {
	if err := checkSize(sizeBytes); err != nil {
		return "", err
	}
	best := int64(-1)
	var most int64
	for _, name := range slices.Sorted(maps.Keys(stats)) {
		s := stats[name]
		most = max(most, s.FreeBytes)
		if left := s.FreeBytes - s.Round(sizeBytes); left > best {
			backend, best = name, left
		}
	}
	if best < 0 {
		return "", fmt.Errorf("%w: %d bytes asked for, at most %d free on any of %d back ends", ErrNoSpace, sizeBytes, most, len(stats))
	}
	return backend, nil
}

func checkSize(sizeBytes int64) error {
	if sizeBytes < 1 || sizeBytes > maxSize {
		return fmt.Errorf("%w: size of %d bytes, expected 1 to %d", ErrInvalid, sizeBytes, int64(maxSize))
	}
	return nil
}

// maxSize leaves room for rounding up.
const maxSize = 1 << 60

// interrupted tells an error by which a caller or a deadline ended a call.
func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
