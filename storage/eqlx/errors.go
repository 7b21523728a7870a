package eqlx

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
)

// ErrConnect is a group that cannot be reached, or does not let the driver in. Nothing was sent
// to it then: it is storage.ErrUnavailable, unless an earlier command of the same call may have
// changed something. errors.As finds a *HostKeyError where it was the host key.
var ErrConnect = fmt.Errorf("eqlx: cannot connect: %w", storage.ErrUnavailable)

// ErrClosed is a Driver that was closed.
var ErrClosed = errors.New("eqlx: driver is closed")

// errTimeout is a command that was not answered in time.
var errTimeout = errors.New("eqlx: no answer in time")

// A CommandError is an error that the group printed. errors.Is finds storage.ErrNotFound,
// ErrExists, ErrBusy or ErrNoSpace where the words say so.
type CommandError struct {
	Command string // the line that was sent; no secret is ever in one
	Message string // what the group said
	kind    error
}

func (e *CommandError) Error() string {
	if busy := (*storage.BusyError)(nil); errors.As(e.kind, &busy) { // which has the same message
		return fmt.Sprintf("%v: the group says to %q: %.500s", storage.ErrBusy, e.Command, e.Message)
	}
	if e.kind != nil {
		return fmt.Sprintf("%v: the group says to %q: %.500s", e.kind, e.Command, e.Message)
	}
	return fmt.Sprintf("eqlx: the group says to %q: %.500s", e.Command, e.Message)
}

// Unwrap returns the kind.
func (e *CommandError) Unwrap() error { return e.kind }

// errorWords tell the kind of an error, the first that fits. Only "does not exist" is known
// from Cinder's driver; the others are what a group can be expected to say, and an error that
// fits none stays a CommandError of no kind. What the command itself said does not count: a volume
// may be called "connection".
func errorWords() []struct {
	words string
	kind  error
} {
	return []struct {
		words string
		kind  error
	}{
		{"does not exist", storage.ErrNotFound},
		{"not found", storage.ErrNotFound},
		{"already exist", storage.ErrExists},
		{"already in use", storage.ErrExists},
		{"not unique", storage.ErrExists},
		{"not enough", storage.ErrNoSpace},
		{"insufficient", storage.ErrNoSpace},
		{"no space", storage.ErrNoSpace},
		{"out of space", storage.ErrNoSpace},
		{"free space", storage.ErrNoSpace},
		{"is online", storage.ErrBusy},
		{"must be offline", storage.ErrBusy},
		{"set offline", storage.ErrBusy},
		{"connection", storage.ErrBusy},
		{"connected", storage.ErrBusy},
		{"has snapshots", storage.ErrBusy},
		{"in use", storage.ErrBusy},
		{"busy", storage.ErrBusy},
	}
}

// commandError makes the typed error of what the group said.
func commandError(line, message string) *CommandError {
	e := &CommandError{Command: line, Message: message}
	own := slices.DeleteFunc(strings.Fields(strings.ToLower(line)), func(word string) bool { return slices.Contains(keywords(), word) })
	words := slices.DeleteFunc(strings.Fields(strings.ToLower(message)), func(word string) bool {
		return slices.Contains(own, strings.Trim(word, ".,:;\"'()[]"))
	})
	lower := strings.Join(words, " ")
	for _, w := range errorWords() {
		if !strings.Contains(lower, w.words) {
			continue
		}
		switch e.kind = w.kind; {
		case w.kind == storage.ErrBusy:
			e.kind = &storage.BusyError{Dependents: []string{strings.TrimSuffix(message, ".")}}
		case w.kind != storage.ErrNotFound:
		case strings.Contains(lower, "pool"):
			e.kind = fmt.Errorf("%w: see the option eqlx_pool", storage.ErrInvalid)
		case strings.Contains(lower, "chap"), strings.Contains(lower, "user"):
			e.kind = fmt.Errorf("%w: see the option chap_username", storage.ErrInvalid)
		}
		break
	}
	return e
}

// keywords are the words of commands that are no arguments.
func keywords() []string {
	return []string{"access", "authmethod", "chap", "clone", "create", "create-now", "delete", "description", "enable",
		"grpparams", "initiator", "multihost-access", "no-snap", "offline", "online", "pool", "rename", "select", "show",
		"size", "snapshot", "thin-provision", "username", "volume"}
}
