package hardware

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong with a profile, or cannot be had on a machine.
type Problem struct {
	Path     string `json:"path"` // JSON Pointer into the profile; empty: all of it
	Found    string `json:"found"`
	Expected string `json:"expected"`
	Hint     string `json:"hint,omitempty"`
}

// Error gives the problem on one line.
func (p Problem) Error() string {
	text := fmt.Sprintf("found %s, expected %s", p.Found, p.Expected)
	if p.Path != "" { // else it is about the whole document
		text = p.Path + ": " + text
	}
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}

// ValidationError lists all problems of a profile. It is ErrInvalid, and each Problem can
// be taken from it with errors.As.
type ValidationError struct {
	Problems []Problem `json:"problems"`
}

// Error lists the problems, one a line.
func (e *ValidationError) Error() string {
	if len(e.Problems) == 1 {
		return "hardware: invalid profile: " + e.Problems[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "hardware: invalid profile, %d problems:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n\t" + p.Error())
	}
	return b.String()
}

// Unwrap makes the error ErrInvalid and each of its problems.
func (e *ValidationError) Unwrap() []error {
	errs := []error{ErrInvalid}
	for _, p := range e.Problems {
		errs = append(errs, p)
	}
	return errs
}

type problems []Problem

func (ps *problems) add(path, found, expected, hint string) {
	*ps = append(*ps, Problem{Path: path, Found: found, Expected: expected, Hint: hint})
}

type paths map[string]bool

func (ps problems) paths() paths {
	out := paths{}
	for _, p := range ps {
		out[p.Path] = true
	}
	return out
}

// cover reports whether path or one above it is among ps.
func (ps paths) cover(path string) bool {
	for path != "" && !ps[path] {
		path = path[:max(strings.LastIndex(path, "/"), 0)]
	}
	return ps[path]
}

func (ps problems) err() error {
	if len(ps) == 0 {
		return nil
	}
	return &ValidationError{Problems: ps}
}

// pointer escapes one reference token of a JSON Pointer (RFC 6901).
func pointer(token string) string {
	return strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
}
