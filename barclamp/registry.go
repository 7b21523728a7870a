package barclamp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// Errors of a Registry.
var (
	ErrNoBarclamp = errors.New("barclamp: not registered")
	ErrDuplicate  = errors.New("barclamp: registered already")
)

// A Registry holds barclamps by name. It is a value that its owner fills and hands to an
// engine; the zero value is empty and ready. Fill it from one goroutine before use.
type Registry struct {
	byName  map[string]Barclamp
	schemas map[string]*proposal.Schema
}

// NewRegistry registers the given barclamps.
func NewRegistry(barclamps ...Barclamp) (*Registry, error) {
	r := &Registry{}
	for _, b := range barclamps {
		if err := r.Add(b); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Add registers a barclamp. It refuses a second one of the same name, one whose template is
// missing or another barclamp's, and one whose schema is wrong (a *proposal.SchemaError or
// *proposal.SyntaxError says where) or not satisfied by the template
// (*proposal.ValidationError): an author sees that at once, not an operator some day.
func (r *Registry) Add(b Barclamp) error {
	info := b.Info()
	if _, taken := r.byName[info.Name]; taken {
		return fmt.Errorf("%w: %s", ErrDuplicate, info.Name)
	}
	if info.Template == nil {
		return fmt.Errorf("barclamp: %s has no template: a proposal needs a document to start from", info.Name)
	}
	if got := info.Template.Barclamp(); got != info.Name {
		return fmt.Errorf("barclamp: the template of %s is a document of %s", info.Name, got)
	}
	var schema *proposal.Schema
	if info.Schema != nil {
		var err error
		if schema, err = proposal.CompileSchema(info.Schema, proposal.AttributesOnly, nil); err != nil {
			return fmt.Errorf("barclamp: the schema of %s is wrong: %w", info.Name, err)
		}
		if err := schema.Check(info.Template); err != nil {
			return fmt.Errorf("barclamp: the template of %s does not satisfy its schema: %w", info.Name, err)
		}
	}
	if r.byName == nil {
		r.byName, r.schemas = map[string]Barclamp{}, map[string]*proposal.Schema{}
	}
	r.byName[info.Name], r.schemas[info.Name] = b, schema
	return nil
}

// Schema returns the compiled schema of the named barclamp: nil, which accepts everything and
// knows no secrets, if it has none or is not registered.
func (r *Registry) Schema(name string) *proposal.Schema { return r.schemas[name] }

// Get returns the named barclamp, or ErrNoBarclamp.
func (r *Registry) Get(name string) (Barclamp, error) {
	if b, ok := r.byName[name]; ok {
		return b, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrNoBarclamp, name)
}

// For returns the barclamp for a document: the registered one, or a Generic made from it.
func (r *Registry) For(d *proposal.Document) Barclamp {
	if b, ok := r.byName[d.Barclamp()]; ok {
		return b
	}
	return NewGeneric(d)
}

// All lists the registered barclamps in run order, then by name.
func (r *Registry) All() []Barclamp {
	all := make([]Barclamp, 0, len(r.byName))
	for _, b := range r.byName {
		all = append(all, b)
	}
	slices.SortFunc(all, func(a, b Barclamp) int { return CompareRunOrder(a.Info(), b.Info()) })
	return all
}

// CompareRunOrder sorts barclamps as the engine calls them: by RunOrder, then by name.
func CompareRunOrder(a, b Info) int {
	if a.RunOrder != b.RunOrder {
		return a.RunOrder - b.RunOrder
	}
	if a.Name < b.Name {
		return -1
	}
	if a.Name > b.Name {
		return 1
	}
	return 0
}
