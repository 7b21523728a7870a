package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

// A volumeError is an error of a volume command as a sentence with the place and the remedy.
type volumeError struct {
	text string
	err  error
}

func (e *volumeError) Error() string { return e.text }

func (e *volumeError) Unwrap() error { return e.err }

// code is the kind of the error, for programs.
func (e *volumeError) code() string {
	switch class := storage.Class(e.err); {
	case errors.Is(e.err, client.ErrRefused):
		return client.CodeRefused
	case errors.Is(e.err, rbd.ErrNotBuilt):
		return storage.Class(storage.ErrUnsupported)
	case class == "cancelled":
		return "interrupted"
	case class == "other":
		return "failed"
	default:
		return class
	}
}

// failed is an error as a person is told, and a program with -o json; one that got its document
// already, of the back ends that could be asked, gets no second one.
func (v *volumes) failed(err error) error {
	said := (*volumeError)(nil)
	switch err = v.explained(err); {
	case err == nil:
		return nil
	case v.printed:
		return &partialError{err}
	case errors.As(err, &said):
		return err
	}
	return &volumeError{v.explain(err), err}
}

// A partialError is what went wrong beside what was printed.
type partialError struct{ error }

func (e *partialError) Unwrap() error { return e.error }

// json prints a document, once.
func (v *volumes) json(document any) error {
	v.printed = true
	return v.app.json(document)
}

// explained makes the sentence of an error. Several are a line each.
func (v *volumes) explained(err error) error {
	if _, said := err.(*volumeError); said { //nolint:errorlint // the sentence as a whole, not of one of several
		return err
	}
	if many := (*multierror.Error)(nil); errors.As(err, &many) && len(many.Errors) > 1 {
		text := wording.Count(len(many.Errors), "problem")
		for _, e := range many.Errors {
			text += "\n  " + v.explained(e).Error()
		}
		return &volumeError{text, err}
	}
	op := (*storage.OpError)(nil)
	if said := (*volumeError)(nil); err == nil || errors.As(err, &said) || !errors.As(err, &op) {
		return err
	}
	where := v.whereIs(op)
	if why := v.broken[op.Backend]; why != nil { // whatever the driver could do
		return &volumeError{where + ": " + bare(why), why}
	}
	if busy := (*storage.BusyError)(nil); errors.As(op, &busy) && len(busy.Dependents) > 0 {
		is := "is"
		if len(busy.Dependents) > 1 {
			is = "are"
		}
		text := fmt.Sprintf("%s: %s %s in the way", where, strings.Join(busy.Dependents, ", "), is)
		return &volumeError{text + v.remedyFor(op, busy.Dependents), err}
	}
	if errors.Is(op, context.Canceled) {
		if !errors.Is(op, storage.ErrUnknownOutcome) {
			return &volumeError{fmt.Sprintf("interrupted: %s: nothing was changed", where), err}
		}
		return &volumeError{fmt.Sprintf("interrupted: %s: it may or may not have happened%s", where, v.remedy(op)), err}
	}
	if op.Err == storage.ErrUnsupported { //nolint:errorlint // a driver that cannot do it at all; one that says why wraps it
		return &volumeError{fmt.Sprintf("%s: the driver %s cannot do that; see crowbar volume backend list", where, v.driver(op.Backend)), err}
	}
	why := strings.TrimPrefix(bare(op.Err), fmt.Sprintf("volume %q: ", op.ID)) // which where says
	return &volumeError{where + ": " + strings.TrimSuffix(why, ".") + v.remedy(op), err}
}

// whereIs says which command about which volume on which back end, as it was typed: what it asked
// of the back end may have another name.
func (v *volumes) whereIs(op *storage.OpError) string {
	if op.ID == "" {
		return v.verb + " on " + op.Backend
	}
	return v.verb + " " + op.ID + " on " + op.Backend
}

// settled looks what an interrupted change has left. A driver that cannot stop what it has begun
// finishes it or takes it back first, and its answer is then what there is.
func (v *volumes) settled(ctx context.Context, m *storage.Manager, err error) error {
	op := (*storage.OpError)(nil)
	if !errors.Is(err, context.Canceled) || !errors.Is(err, storage.ErrUnknownOutcome) || !errors.As(err, &op) {
		return err
	}
	b, none := m.Backend(op.Backend)
	if none != nil {
		return err
	}
	ctx, cancel := storage.Detach(ctx)
	defer cancel()
	looks := func() { lines(v.Stderr, "interrupted; looking what is there now, unless you interrupt again") }
	left, look := "", error(nil)
	switch volume, snapshot, ok := strings.Cut(op.ID, "@"); {
	case op.Op == "connect" || op.Op == "disconnect" || op.Op == "set qos" || op.Op == "revert" || op.Op == "purge trash":
		return &volumeError{fmt.Sprintf("interrupted: %s: it may or may not have happened; repeat it: to do it twice is to do it once", v.whereIs(op)), err}
	case ok:
		looks()
		_, look = b.GetSnapshot(ctx, volume, snapshot)
		left = op.ID + " is there"
	default:
		looks()
		var there *storage.Volume
		if there, look = b.Get(ctx, op.ID); look == nil {
			left = fmt.Sprintf("%s is there, with %s", op.ID, volumeSize(there.SizeBytes))
		}
	}
	switch {
	case errors.Is(look, storage.ErrNotFound):
		left = "there is no " + op.ID
	case look != nil:
		return err
	}
	return &volumeError{fmt.Sprintf("interrupted: %s: %s now", v.whereIs(op), left), err}
}

// remedy says what to do next, if there is something.
func (v *volumes) remedy(op *storage.OpError) string {
	switch {
	case errors.Is(op, storage.ErrUnknownOutcome) && op.ID != "":
		return "; look before repeating it: " + v.look(op)
	case errors.Is(op, storage.ErrInvalid) && strings.Contains(op.ID, "@") && (v.verb == "delete" || v.verb == "show"):
		return "; of a snapshot: " + v.command(op, "snapshot "+v.verb+" "+op.ID)
	case op.Op == "create from image" && errors.Is(op, storage.ErrUnsupported):
		return "; read the image and import it: " + v.command(op, "import "+op.ID+" FILE")
	case op.Op == "create from image" && errors.Is(op, storage.ErrNotFound):
		return ""
	case errors.Is(op, storage.ErrNotFound) && op.Op == "manage":
		return "; see " + v.command(op, "manage --list")
	case errors.Is(op, storage.ErrNotFound) && strings.Contains(op.ID, "@"):
		volume, _, _ := strings.Cut(op.ID, "@")
		return "; see " + v.command(op, "snapshot list "+volume)
	case errors.Is(op, storage.ErrNotFound) && op.ID != "":
		return "; see " + v.command(op, "list")
	case errors.Is(op, storage.ErrExists):
		return "; see " + v.look(op)
	case errors.Is(op, storage.ErrNoSpace):
		return "; see " + v.command(op, "backend stats")
	}
	return ""
}

// remedyFor says how to remove what is in the way, a command for each thing.
func (v *volumes) remedyFor(op *storage.OpError, dependents []string) string {
	volume, _, _ := strings.Cut(op.ID, "@")
	var commands []string
	for _, dependent := range dependents {
		kind, name, _ := strings.Cut(dependent, " ")
		switch {
		case kind == "snapshot" && storage.CheckID(name) == nil:
			commands = append(commands, v.command(op, "snapshot delete "+volume+"@"+name))
		case kind == "connection" && iscsiName.MatchString(name):
			commands = append(commands, v.command(op, "detach "+volume+" --initiator "+name))
		}
	}
	switch len(commands) {
	case 0:
		return ""
	case 1:
		return "; first: " + commands[0]
	}
	return "; first:\n  " + strings.Join(commands, "\n  ")
}

// iscsiName is a name of an initiator (RFC 3720, 3.2.6.3).
var iscsiName = regexp.MustCompile(`^(iqn|eui|naa)\.[A-Za-z0-9.:-]+$`)

func (v *volumes) look(op *storage.OpError) string {
	if strings.Contains(op.ID, "@") {
		return v.command(op, "snapshot show "+op.ID)
	}
	return v.command(op, "show "+op.ID)
}

// command is what to type.
func (v *volumes) command(op *storage.OpError, words string) string {
	text := "crowbar volume " + words
	if len(v.config.Volumes) > 1 {
		text += " --backend " + op.Backend
	}
	return text
}

// kinds are how errors of storage name their package and kind where a sentence follows; in a path
// the name is that of the options.
var kinds = regexp.MustCompile(`(^|[^\w./-])(?:(?:storage|eqlx|rbd|memory): (?:(?:invalid|busy): )?)+`)

// twoPaths are that of a driver's options and one in them.
var twoPaths = regexp.MustCompile(`^(/volumes/[0-9]+/\w+): (/\w+:)`)

// manyBytes are sizes that are read better with a unit.
var manyBytes = regexp.MustCompile(`\b[0-9]{7,19} bytes\b`)

// bare is an error without the names of packages.
func bare(err error) string {
	text := kinds.ReplaceAllString(err.Error(), "$1")
	text = manyBytes.ReplaceAllStringFunc(text, func(size string) string {
		n, err := strconv.ParseInt(strings.TrimSuffix(size, " bytes"), 10, 64)
		if err != nil {
			return size
		}
		return exactSize(n)
	})
	text = strings.ReplaceAll(text, context.Canceled.Error(), "interrupted")
	return strings.ReplaceAll(text, context.DeadlineExceeded.Error(), "not done in time")
}

// configError is every problem of a configuration with its JSON Pointer, a line each.
func configError(path string, err error) error {
	found := problemsOf("", err)
	if len(found) == 1 {
		return &volumeError{path + ": " + found[0], err}
	}
	return &volumeError{fmt.Sprintf("%s: %s\n  %s", path, wording.Count(len(found), "problem"), strings.Join(found, "\n  ")), err}
}

// problemsOf are the sentences of nested problems. Those of a driver have paths relative to its
// options, whose own path comes before them.
func problemsOf(at string, err error) []string {
	many := (*multierror.Error)(nil)
	if !errors.As(err, &many) {
		text := bare(err)
		if at != "" && strings.HasPrefix(text, "/") {
			return []string{at + text}
		}
		if at != "" {
			return []string{at + ": " + text}
		}
		return []string{twoPaths.ReplaceAllString(text, "$1$2")}
	}
	if prefix, nested := strings.CutSuffix(err.Error(), ": "+many.Error()); nested {
		at += prefix
	}
	var all []string
	for _, e := range many.Errors {
		all = append(all, problemsOf(at, e)...)
	}
	return all
}
