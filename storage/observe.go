package storage

import (
	"context"
	"errors"
	"time"
)

// An Observation is one call that ended, for metrics.
type Observation struct {
	Op      string // such as "create" or "delete snapshot": the same as in OpError
	Backend string
	ID      string        // no label for a metric: there are as many as volumes
	Waited  time.Duration // for its turn
	Took    time.Duration // in the driver; 0 if its turn never came
	Repeats int           // after lost answers
	Err     error         // nil, or the *OpError that the caller gets
}

// Class is Class(o.Err).
func (o Observation) Class() string { return Class(o.Err) }

// Class names the kind of an error, as the value of a metric's label: "ok" for nil,
// "not_found", "exists", "busy", "no_space", "invalid", "unsupported", "unavailable",
// "unknown_outcome", "cancelled", "timeout", "other". What may have happened is
// "unknown_outcome", however it came to that.
func Class(err error) string {
	for _, class := range []struct {
		err  error
		name string
	}{
		{nil, "ok"},
		{ErrUnknownOutcome, "unknown_outcome"},
		{ErrUnavailable, "unavailable"}, // also after a timeout of the driver's own
		{context.Canceled, "cancelled"},
		{context.DeadlineExceeded, "timeout"},
		{ErrNotFound, "not_found"},
		{ErrExists, "exists"},
		{ErrBusy, "busy"},
		{ErrNoSpace, "no_space"},
		{ErrInvalid, "invalid"},
		{ErrUnsupported, "unsupported"},
	} {
		if errors.Is(err, class.err) {
			return class.name
		}
	}
	return "other"
}
