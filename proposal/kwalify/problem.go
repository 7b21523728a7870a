package kwalify

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
)

// ErrSchema: the text is not a kwalify schema, or not one that JSON Schema can express. Every
// *Problem matches it.
var ErrSchema = errors.New("kwalify: wrong schema")

// A Problem is one thing wrong with a schema.
type Problem struct {
	Line     int    // from 1
	Column   int    // from 1, in characters
	Path     string // JSON Pointer into the schema, such as /mapping/attributes/mapping/nova; "" is the whole
	Found    string // what is there
	Expected string // what should be
	Hint     string // the remedy; may be empty
}

// Error returns "kwalify: line 3, column 14: /mapping/id: found X, expected Y (hint)".
func (p *Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "kwalify: line %d, column %d: ", p.Line, p.Column)
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString("found " + p.Found + ", expected " + p.Expected)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Unwrap returns ErrSchema.
func (p *Problem) Unwrap() error { return ErrSchema }

// maxProblems bounds what a hostile schema can make us say.
const maxProblems = 1000

// problems collects; its err is nil as long as there is none.
type problems struct {
	list []*Problem
	more int // found beyond maxProblems
}

func (p *problems) add(found *Problem) {
	if len(p.list) == maxProblems {
		p.more++
		return
	}
	p.list = append(p.list, found)
}

// err returns everything found as a *multierror.Error, in the order of the lines.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	all := &multierror.Error{ErrorFormat: inLines}
	for _, found := range p.list {
		all.Errors = append(all.Errors, found)
	}
	if p.more > 0 {
		all.Errors = append(all.Errors, fmt.Errorf("%w: %d problems more", ErrSchema, p.more))
	}
	return all
}

func inLines(errs []error) string {
	if len(errs) == 1 {
		return errs[0].Error()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v: %d problems:", ErrSchema, len(errs))
	for _, err := range errs {
		b.WriteString("\n  " + err.Error())
	}
	return b.String()
}
