// Package history keeps the last changes of a store that lives in one process and hands
// them to its watchers.
//
// It cannot import package crowbar, whose memory store uses it; so Change has the shape of
// crowbar.Change, and the errors that watchers get are given by the store.
package history

import (
	"bytes"
	"context"
	"sort"
	"strings"
	"sync"
)

// Change converts to and from crowbar.Change.
type Change struct {
	Key      string
	Value    []byte
	Revision int64
}

// Config of a Log. Compacted is required.
type Config struct {
	Revision   int64 // of the store now: changes up to here are gone
	MaxChanges int   // kept, 0 = 10,000
	MaxBytes   int   // of the keys and values kept, 0 = 64 MiB
	Compacted  error // what Watch returns for changes that are gone
}

// A Log holds the last changes in memory. All methods may be called concurrently.
type Log struct {
	config Config

	mu      sync.Mutex
	entries []Change
	first   int64         // position of entries[0] since the log began
	bytes   int           // in entries
	floor   int64         // changes of this revision or less may be gone
	more    chan struct{} // closed, and made anew, by each Append
	ended   error
}

// New returns a Log without changes.
func New(c Config) *Log {
	if c.MaxChanges <= 0 {
		c.MaxChanges = 10_000
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 64 << 20
	}
	return &Log{config: c, floor: c.Revision, more: make(chan struct{})}
}

// Append adds the changes of one revision, which is greater than all before it. The log
// keeps the slices: they must not change any more.
func (l *Log) Append(changes ...Change) {
	if len(changes) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, changes...)
	for _, c := range changes {
		l.bytes += len(c.Key) + len(c.Value)
	}
	for len(l.entries) > l.config.MaxChanges || l.bytes > l.config.MaxBytes {
		oldest := &l.entries[0]
		l.floor = oldest.Revision
		l.bytes -= len(oldest.Key) + len(oldest.Value)
		*oldest = Change{} // the array outlives the reslicing; the value must not
		l.entries = l.entries[1:]
		l.first++
	}
	close(l.more)
	l.more = make(chan struct{})
}

// End makes every Watch, running or to come, return err. The first End counts.
func (l *Log) End(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended == nil {
		l.ended = err
		close(l.more)
		l.more = make(chan struct{})
	}
}

// Watch is crowbar.Store's Watch. A watcher that is too slow for the log gets Compacted.
func (l *Log) Watch(ctx context.Context, prefix string, after int64, changed func(Change) error) error {
	position := int64(-1)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch, next, more, err := l.read(prefix, after, position)
		if err != nil {
			return err
		}
		for _, c := range batch {
			if err := ctx.Err(); err != nil {
				return err
			}
			c.Value = bytes.Clone(c.Value)
			if err := changed(c); err != nil {
				return err
			}
		}
		position = next
		if more == nil {
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
		}
	}
}

// batchSize bounds what a watcher takes at once, and so the memory that a slow one holds.
const batchSize = 128

// read returns matching changes from position on and the position after them; a negative
// position finds the first change after the given revision. more is closed when there is
// more to read, nil when there is already.
func (l *Log) read(prefix string, after, position int64) (batch []Change, next int64, more <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return nil, 0, nil, l.ended
	}
	switch {
	case position >= 0 && position < l.first, position < 0 && after < l.floor:
		return nil, 0, nil, l.config.Compacted
	case position < 0:
		position = l.first + int64(sort.Search(len(l.entries), func(i int) bool { return l.entries[i].Revision > after }))
	}
	i := int(position - l.first)
	for ; i < len(l.entries) && len(batch) < batchSize; i++ {
		// A watcher may start from a revision that is not reached yet.
		if c := l.entries[i]; c.Revision > after && strings.HasPrefix(c.Key, prefix) {
			batch = append(batch, c)
		}
	}
	if i == len(l.entries) {
		more = l.more
	}
	return batch, l.first + int64(i), more, nil
}
