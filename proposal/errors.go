package proposal

import (
	"errors"
	"fmt"
	"strings"
)

// The errors of this package, for errors.Is.
var (
	// ErrInvalid: the input is wrong. *SyntaxError and *ValidationError match it and say where.
	ErrInvalid = errors.New("proposal: invalid")
	// ErrReservedName: the name is one of Crowbar's REST verbs.
	ErrReservedName = errors.New("proposal: reserved name")
	// ErrPath: an Edit's pointer leads nowhere, or an answer to a merge is for no conflict.
	ErrPath = errors.New("proposal: no such path")
	// ErrOtherBarclamp: documents of different barclamps cannot be compared or merged.
	ErrOtherBarclamp = errors.New("proposal: documents of different barclamps")
	// ErrConflict: the parent of an appended revision is not the latest one, or, as a *MergeError,
	// two documents changed the same values.
	ErrConflict = errors.New("proposal: conflict: there is a newer revision")
	// ErrNotFound: no such proposal or revision.
	ErrNotFound = errors.New("proposal: not found")
)

// A Problem is one thing wrong with a document.
type Problem struct {
	Path     string `json:"path"`               // JSON Pointer into the document
	Found    string `json:"found"`              // what is there
	Expected string `json:"expected,omitempty"` // what should be
	Hint     string `json:"hint,omitempty"`     // the remedy
}

// String returns "path: found X, expected Y (hint)".
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Path)
	if p.Path == "" {
		b.WriteString("document")
	}
	b.WriteString(": found ")
	b.WriteString(p.Found)
	if p.Expected != "" {
		b.WriteString(", expected " + p.Expected)
	}
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// A ValidationError lists everything wrong with a document, but after 1000 problems, or 4 MB of
// them, only how many more there are. It matches ErrInvalid.
type ValidationError struct {
	Problems []Problem // at least one
}

// Error returns one line for one problem, else a heading and a line for each.
func (e *ValidationError) Error() string {
	if len(e.Problems) == 1 {
		return ErrInvalid.Error() + ": " + e.Problems[0].String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %d problems:", ErrInvalid, len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// Unwrap returns ErrInvalid.
func (e *ValidationError) Unwrap() error { return ErrInvalid }

// maxProblems and maxProblemBytes bound what a hostile document can make us say; a real one
// has a handful of problems. A single one is told however long its path.
const (
	maxProblems     = 1000
	maxProblemBytes = 4 << 20
)

// problems collects; its err is nil as long as there is none.
type problems struct {
	list  []Problem
	bytes int // of the list
	more  int // found beyond the bounds
}

func (p *problems) add(path, found, expected, hint string) {
	size := len(path) + len(found) + len(expected) + len(hint)
	if p.full() || len(p.list) > 0 && p.bytes+size > maxProblemBytes {
		p.bytes = max(p.bytes, maxProblemBytes) // what comes after what was left out is left out, too
		p.more++
		return
	}
	p.bytes += size
	p.list = append(p.list, Problem{Path: path, Found: found, Expected: expected, Hint: hint})
}

// full tells whether add only counts. Who has paths to spell asks before.
func (p *problems) full() bool {
	return len(p.list) == maxProblems || p.bytes >= maxProblemBytes
}

// addAt is add for a path that is only spelt if it is needed: the names in it may be long.
func (p *problems) addAt(path func() string, found, expected, hint string) {
	if p.full() {
		p.more++
		return
	}
	p.add(path(), found, expected, hint)
}

func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	if p.more > 0 {
		p.list = append(p.list, Problem{Found: fmt.Sprintf("%d more problems", p.more)})
	}
	return &ValidationError{Problems: p.list}
}
