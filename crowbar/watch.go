package crowbar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Events returns the events after a sequence number, oldest first, at most limit (0: all).
func (e *Engine) Events(ctx context.Context, after int64, limit int) ([]Event, error) {
	listing, err := e.config.Store.List(ctx, eventPrefix)
	if err != nil {
		return nil, fmt.Errorf("crowbar: events: %w", err)
	}
	events, err := decodeEvents(listing.Records, after)
	if limit > 0 && len(events) > limit {
		events = events[:limit]
	}
	return events, err
}

func decodeEvents(records []Record, after int64) ([]Event, error) {
	var events []Event
	for _, r := range records {
		if r.Key <= eventKey(after) {
			continue
		}
		var ev Event
		if err := json.Unmarshal(r.Value, &ev); err != nil {
			return nil, fmt.Errorf("crowbar: record %s: %w", r.Key, err)
		}
		events = append(events, ev)
	}
	return events, nil
}

// WatchEvents calls tell for each event after a sequence number, in order and each once,
// first those of the past, until ctx ends or tell returns an error, which is returned. What an
// event tells of, the engine shows by then: nodes, jobs and proposals are at least as new.
func (e *Engine) WatchEvents(ctx context.Context, after int64, tell func(Event) error) error {
	told := tell
	tell = func(ev Event) error {
		e.LastEvent() // waits for the change that the event is of: the store has it before the tables
		return told(ev)
	}
	for {
		listing, err := e.config.Store.List(ctx, eventPrefix)
		if err != nil {
			return fmt.Errorf("crowbar: events: %w", err)
		}
		past, err := decodeEvents(listing.Records, after)
		if err != nil {
			return err
		}
		for _, ev := range past {
			if err := tell(ev); err != nil {
				return err
			}
			after = ev.Sequence
		}
		err = e.config.Store.Watch(ctx, eventPrefix, listing.Revision, func(ch Change) error {
			var ev Event
			if err := json.Unmarshal(ch.Value, &ev); err != nil {
				return fmt.Errorf("crowbar: record %s: %w", ch.Key, err)
			}
			after = ev.Sequence
			return tell(ev)
		})
		if !errors.Is(err, ErrCompacted) {
			return err
		}
	}
}

// LastEvent is the sequence number of the newest event; 0 if there is none.
func (e *Engine) LastEvent() int64 {
	e.ledger.mu.Lock()
	defer e.ledger.mu.Unlock()
	return e.ledger.head.Sequence
}

// Pause keeps new work from starting until Resume: nodes stay where they are, jobs stay
// queued. What runs goes on to its end.
func (e *Engine) Pause(ctx context.Context, actor, reason string) error {
	return e.setPaused(ctx, actor, "engine.paused", reason)
}

// Resume ends a Pause. ErrRefused on a store of simulated nodes that was opened without
// simulation: nobody would answer for them.
func (e *Engine) Resume(ctx context.Context, actor string) error {
	if e.Simulated() && !e.config.Simulated {
		return fmt.Errorf("%w: the engine stays paused: %s; start the server with --simulate to go on", ErrRefused, e.Paused())
	}
	if err := e.setPaused(ctx, actor, "engine.resumed", ""); err != nil {
		return err
	}
	e.workingSince.Store(e.clock.Now().UnixNano())
	e.sweep()
	return nil
}

func (e *Engine) setPaused(ctx context.Context, actor, kind, reason string) error {
	for {
		present, revision := e.settings.get("")
		next := *present
		next.Paused = reason
		c := &change{}
		put(c, e.settings, "", &next, revision)
		c.tell(actor, kind, "site", kind+" "+reason)
		if err := e.engine.commit(ctx, c); !errors.Is(err, ErrConflict) {
			return err
		}
	}
}
