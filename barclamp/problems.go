package barclamp

import "github.com/crowbarkit/crowbarkit/proposal"

// Problems collects what a [Validator] finds wrong with a document, so that all of it is
// reported at once. The zero value is empty and ready.
type Problems []proposal.Problem

// Add notes a problem: where (a JSON Pointer into the document, see
// proposal.Document.AttributePointer), what is there, what should be, and the remedy if it is
// not plain.
func (p *Problems) Add(path, found, expected, hint string) {
	*p = append(*p, proposal.Problem{Path: path, Found: found, Expected: expected, Hint: hint})
}

// Err returns a *proposal.ValidationError with all problems, nil if there are none.
func (p Problems) Err() error {
	if len(p) == 0 {
		return nil
	}
	return &proposal.ValidationError{Problems: p}
}
