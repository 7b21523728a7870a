package rbd

import (
	"fmt"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/crowbarkit/crowbarkit/storage"
)

// A template maps IDs to names and back. The mapping is one to one: a name of another form is
// no volume's.
type template struct{ prefix, suffix string }

// Names that Cinder, and this driver, give to what is no volume and no snapshot of a user. An
// ID may end like them, since dots are allowed; its name then ends with escape, which no ID has.
const (
	deletedSuffix   = ".deleted"    // Cinder's silent parent: a deleted volume with clones
	cloneSnapSuffix = ".clone_snap" // the snapshot that a clone stands on
	escape          = "~"
	unmanagedSuffix = "~unmanaged"
)

func parseTemplate(s string) template {
	prefix, suffix, _ := strings.Cut(s, "%s")
	return template{prefix, suffix}
}

// checkTemplates finds all problems.
func checkTemplates(volume, snapshot string) error {
	var problems *multierror.Error
	problem := func(format string, args ...any) {
		problems = multierror.Append(problems, fmt.Errorf("%w: "+format, append([]any{storage.ErrInvalid}, args...)...))
	}
	for _, t := range []struct{ path, template string }{{"/volume_name_template", volume}, {"/snapshot_name_template", snapshot}} {
		switch rest := strings.Replace(t.template, "%s", "", 1); {
		case strings.Count(t.template, "%s") != 1 || strings.Contains(rest, "%"):
			problem("%s: %.80q, expected one %%s and no other %%", t.path, t.template)
		case strings.ContainsAny(rest, "/@~"):
			problem("%s: %.80q, expected none of / @ ~, which have a meaning in names of images", t.path, t.template)
		case parseTemplate(t.template).prefix == "":
			problem("%s: %.80q, expected something before %%s: else every name would be a volume's", t.path, t.template)
		case len(rest) > 63:
			problem("%s: %d bytes beside %%s, expected up to 63: names have a limit", t.path, len(rest))
		}
	}
	// A clone's snapshot is named after the volume. It must never look like a user's snapshot.
	v, s := parseTemplate(volume).prefix, parseTemplate(snapshot).prefix
	if problems == nil && (strings.HasPrefix(v, s) || strings.HasPrefix(s, v)) {
		problem("/snapshot_name_template: begins like /volume_name_template; the two must be apart")
	}
	return problems.ErrorOrNil()
}

// name returns the name for an ID.
func (t template) name(id string) string {
	n := t.prefix + id + t.suffix
	if reserved(n) {
		n += escape
	}
	return n
}

// id returns the ID of a name; false: the name has not the form.
func (t template) id(name string) (string, bool) {
	n, escaped := strings.CutSuffix(name, escape)
	if escaped != reserved(n) {
		return "", false
	}
	n, hasPrefix := strings.CutPrefix(n, t.prefix)
	n, hasSuffix := strings.CutSuffix(n, t.suffix)
	return n, hasPrefix && hasSuffix && storage.CheckID(n) == nil
}

func reserved(name string) bool {
	return strings.HasSuffix(name, deletedSuffix) || strings.HasSuffix(name, cloneSnapSuffix)
}

// silent says that Cinder deleted this volume and left it for its clones.
func silent(image string) bool { return strings.HasSuffix(image, deletedSuffix) }

// cloneSnap says that a clone stands, or stood, on this snapshot.
func cloneSnap(snapshot string) bool { return strings.HasSuffix(snapshot, cloneSnapSuffix) }

// backupSnap says that Cinder's backup service left this snapshot (backup.ID.snap.TIME). It is
// worth nothing without the volume.
func backupSnap(snapshot string) bool {
	rest, ok := strings.CutPrefix(snapshot, "backup.")
	_, at, snap := strings.Cut(rest, ".snap.")
	return ok && snap && at != "" && strings.Trim(at, "0123456789.") == ""
}
