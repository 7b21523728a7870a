package proposal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A Scope tells which part of a document a Schema describes.
type Scope int

const (
	// WholeDocument is everything, bookkeeping included, as Crowbar's own schemas have it.
	WholeDocument Scope = iota
	// AttributesOnly is attributes.<barclamp>; where the document has none, an empty object.
	AttributesOnly
)

// MaxSchemaBytes is the length that the text of a schema may have; it may also not hold more than
// 5000 objects and booleans, nor 1000 references. Schemas of barclamps have hundreds.
const MaxSchemaBytes = 1 << 20

// Package jsonschema compiles in quadratic time.
const (
	maxSubschemas = 5000
	maxReferences = 1000
)

// SchemaOptions are what CompileSchema takes beside the text.
type SchemaOptions struct {
	// Formats are further values of the keyword "format". A function returns nil for a value
	// of the format and for one of a type that the format does not speak of; what it says else
	// becomes a Problem's Hint. It may be called concurrently. "regex" cannot be changed.
	Formats map[string]func(value any) error
}

// A Schema is a compiled JSON Schema (2020-12). It never changes and may be used by many
// goroutines. A nil Schema accepts everything and marks nothing.
type Schema struct {
	scope    Scope
	compiled *jsonschema.Schema
	graph    *schemaGraph
}

// CompileSchema reads a schema. "format" is asserted, numbers are compared exactly, and nothing
// is ever loaded: references lead into the schema itself or to the metaschemas of 2020-12. It
// fails with a *SyntaxError where the text is not strict JSON (as Parse), and with a
// *SchemaError that lists what else is wrong: what the metaschema does not allow, references
// that lead nowhere, elsewhere or in a circle, another draft.
func CompileSchema(text []byte, scope Scope, o *SchemaOptions) (*Schema, error) {
	src := string(text)
	if len(src) > MaxSchemaBytes {
		return nil, fmt.Errorf("schema: %w", (&scanner{tree: &tree{src: src}}).fail(MaxSchemaBytes, "a schema is at most %d KB long", MaxSchemaBytes>>10))
	}
	t, err := scan(src)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	if found := check2020(t); found != nil {
		return nil, schemaError(t, found)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	// No check belongs to password; but a format that the library does not know is dropped, and
	// MarkSecrets has to see it.
	c.RegisterFormat(&jsonschema.Format{Name: formatPassword, Validate: func(any) error { return nil }})
	if o != nil {
		for name, validate := range o.Formats {
			c.RegisterFormat(&jsonschema.Format{Name: name, Validate: validate})
		}
	}
	root, _ := t.decoded(0)
	if err := c.AddResource(schemaURL, root); err != nil {
		return nil, schemaError(t, []Problem{{Found: err.Error()}})
	}
	compiled, err := c.Compile(schemaURL)
	if err != nil {
		return nil, schemaError(t, compileProblems(t, err))
	}
	graph, problems := newSchemaGraph(compiled, dynamicSchemas(t, c))
	if problems != nil {
		return nil, schemaError(t, problems)
	}
	return &Schema{scope: scope, compiled: compiled, graph: graph}, nil
}

// schemaURL is the base of the schema's references; of no scheme that anyone would load.
const schemaURL = "schema:///"

var errNotLoaded = errors.New("nothing is loaded")

type noLoader struct{}

func (noLoader) Load(string) (any, error) { return nil, errNotLoaded }

// Check returns what the schema does not allow: one *ValidationError with all problems, in the
// order of the document, with pointers from its top. An unknown member is reported at its own
// place, a missing one at the place where it should be, with Found "nothing". Of alternatives
// (anyOf, oneOf) the one that fits best tells what is wrong. Values that are secrets, by this
// schema or as marked, are never shown.
//
// The cost is bounded: a document that would take more than a million steps is refused with
// a problem that says so.
func (s *Schema) Check(d *Document) error {
	if s == nil {
		return nil
	}
	var p problems
	s.check(d, &p)
	return p.err()
}

func (s *Schema) check(d *Document, p *problems) {
	at, prefix := s.root(d)
	r := reporter{tree: &d.tree, graph: s.graph, root: at, prefix: prefix}
	var value any = map[string]any{}
	if at >= 0 {
		w := s.graph.walk(&d.tree, s.compiled, at)
		if w.tooMuch {
			p.add(prefix, "a document that takes more than a million steps to check", "a smaller one, or a simpler schema",
				"parts of the schema apply to one value again and again: use fewer alternatives")
			return
		}
		r.secrets, r.applied = d.secretMarks(w.secrets), w.steps
		value, r.huge = d.decoded(at)
	}
	var invalid *jsonschema.ValidationError
	if err := s.compiled.Validate(value); errors.As(err, &invalid) {
		r.report(invalid)
	}
	r.sorted(p)
}

// root returns the value that the schema describes, -1 if the document has none, and its pointer.
func (s *Schema) root(d *Document) (at int, pointer string) {
	if s.scope == AttributesOnly {
		return d.attributes, pointerTo("/attributes", d.barclamp)
	}
	return 0, ""
}

// A SchemaError lists what is wrong with a schema. It matches ErrInvalid.
type SchemaError struct {
	Problems []Problem // at least one; Path is a JSON Pointer into the schema
	Line     int       // where the first one is, from 1
	Column   int       // in characters, from 1
}

// Error returns line, column and problem, or a heading and a line for each problem.
func (e *SchemaError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v schema: line %d, column %d", ErrInvalid, e.Line, e.Column)
	if len(e.Problems) == 1 {
		return b.String() + ": " + e.Problems[0].String()
	}
	fmt.Fprintf(&b, " and further: %d problems:", len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// Unwrap returns ErrInvalid.
func (e *SchemaError) Unwrap() error { return ErrInvalid }
