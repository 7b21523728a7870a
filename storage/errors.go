package storage

import (
	"errors"
	"fmt"
	"strings"
)

// The errors of every driver. ErrUnknownOutcome: the back end got the request, but the
// answer was lost; look before repeating. ErrUnavailable: the back end does not answer, or does
// not let the driver in, and nothing was changed; the same call may be made again, later or on
// another back end. No error is both.
var (
	ErrNotFound       = errors.New("storage: not found")
	ErrExists         = errors.New("storage: exists already")
	ErrBusy           = errors.New("storage: busy")
	ErrNoSpace        = errors.New("storage: not enough space")
	ErrInvalid        = errors.New("storage: invalid")
	ErrUnsupported    = errors.New("storage: not supported by this driver")
	ErrUnavailable    = errors.New("storage: back end cannot be used; nothing changed")
	ErrUnknownOutcome = errors.New("storage: unknown outcome: it may or may not have happened")
)

// A BusyError is ErrBusy with what is in the way.
type BusyError struct {
	Dependents []string // such as "snapshot nightly" or "connection iqn.2012-07.example:node1"
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("%v: in the way: %s", ErrBusy, strings.Join(e.Dependents, ", "))
}

// Is reports true for ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// An undoneError is what it wraps without ErrUnknownOutcome: what was made was removed again, or
// nothing was. It is ErrUnavailable, unless the caller or a deadline ended the call.
type undoneError struct{ err error }

func (e *undoneError) Error() string {
	unknown := ErrUnknownOutcome.Error()
	return "nothing is left of it: " + strings.NewReplacer(unknown+": ", "", ": "+unknown, "").Replace(e.err.Error())
}

func (e *undoneError) Is(target error) bool {
	switch target { //nolint:errorlint // sentinels
	case ErrUnknownOutcome:
		return false
	case ErrUnavailable:
		return !interrupted(e.err)
	}
	return errors.Is(e.err, target)
}

func (e *undoneError) As(target any) bool { return errors.As(e.err, target) }

// An OpError is what went wrong, where and on which volume.
type OpError struct {
	Op      string // such as "create" or "delete snapshot"
	Backend string
	ID      string // "" where the operation is about no volume
	Err     error
}

func (e *OpError) Error() string {
	if e.ID == "" {
		return fmt.Sprintf("%s on %s: %v", e.Op, e.Backend, e.Err)
	}
	return fmt.Sprintf("%s %s on %s: %v", e.Op, e.ID, e.Backend, e.Err)
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }
