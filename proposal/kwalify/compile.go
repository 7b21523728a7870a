package kwalify

import (
	"fmt"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// Compile translates a schema for proposal.Validate: it judges whole documents, with Formats.
// The errors are Translate's, and proposal.CompileSchema's for a schema of too many rules.
func Compile(schema []byte) (*proposal.Schema, error) {
	text, err := Translate(schema)
	if err != nil {
		return nil, err
	}
	s, err := proposal.CompileSchema(text, proposal.WholeDocument, &proposal.SchemaOptions{Formats: Formats()})
	if err != nil {
		return nil, fmt.Errorf("kwalify: compile the translation: %w", err)
	}
	return s, nil
}
