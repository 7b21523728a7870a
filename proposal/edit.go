package proposal

import (
	"encoding/json"
	"fmt"
	"slices"
)

// An Edit sets or deletes one value of a document.
type Edit struct {
	// Pointer is the JSON Pointer of the value, from the top of the document. Objects that are
	// missing on the way are created; what is no object is never replaced on the way. In a list
	// the token is the index of an element that is there, or - to append one.
	Pointer string
	// Value is the new value, any JSON text, kept as it is. nil deletes; to set null, say null.
	Value json.RawMessage
}

// With returns a new document with the edits made one after the other; every byte that they do
// not concern stays. A pointer that leads nowhere fails with ErrPath, a Value that is no JSON
// with *SyntaxError (its line and column are within Value), a result that is no proposal any
// more with *ValidationError. What is known to be a secret stays one, with a new value too.
// The text is read anew where an edit comes close to an earlier one, else once for all.
func (d *Document) With(edits ...Edit) (*Document, error) {
	made := newSplicer(&d.tree)
	for _, e := range edits {
		s, err := made.splice(e)
		if len(made.list) > 0 && (err != nil || made.touch(s)) {
			t, failed := made.apply()
			if failed != nil {
				return nil, failed
			}
			made = newSplicer(t)
			s, err = made.splice(e)
		}
		if err != nil {
			return nil, fmt.Errorf("edit %q: %w", e.Pointer, err)
		}
		s.pointer = e.Pointer
		made.add(s)
	}
	t, err := made.apply()
	if err != nil {
		return nil, err
	}
	changed, err := newDocument(t)
	if err != nil {
		return nil, err
	}
	return changed.inherit(d), nil
}

// Set returns a new document in which the attribute at path (see AttributePointer) has this
// value, any JSON text. It is With of one Edit, but a nil value is refused as no JSON.
func (d *Document) Set(path string, value json.RawMessage) (*Document, error) {
	if value == nil {
		value = json.RawMessage{}
	}
	return d.With(Edit{Pointer: d.AttributePointer(path), Value: value})
}

// Delete returns a new document without the attribute at path (see AttributePointer), ErrPath
// if there is none.
func (d *Document) Delete(path string) (*Document, error) {
	return d.With(Edit{Pointer: d.AttributePointer(path)})
}

// WithElements returns a new document whose elements are these, roles in the order of Roles
// and then by name, nodes in the order given.
func (d *Document) WithElements(elements map[string][]string) (*Document, error) {
	order := make([]string, 0, len(elements))
	for _, role := range d.roles {
		if _, ok := elements[role]; ok {
			order = append(order, role)
		}
	}
	known := len(order)
	listed := make(map[string]struct{}, known)
	for _, role := range order {
		listed[role] = struct{}{}
	}
	for role := range elements {
		if _, ok := listed[role]; !ok {
			order = append(order, role)
		}
	}
	slices.Sort(order[known:])

	text := []byte{'{'}
	for i, role := range order {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = appendText(text, role)
		text = append(text, ": ["...)
		for j, node := range elements[role] {
			if j > 0 {
				text = append(text, ", "...)
			}
			text = appendText(text, node)
		}
		text = append(text, ']')
	}
	return d.With(Edit{Pointer: d.deploymentPointer(keyElements), Value: append(text, '}')})
}

// WithName returns a new document of the same content under another name: id becomes
// bc-<barclamp>-<name> and config.environment <barclamp>-config-<name>, as when Crowbar makes
// a proposal of a template. A name that CheckName refuses is refused.
func (d *Document) WithName(name string) (*Document, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	return d.With(
		Edit{Pointer: "/id", Value: appendText(nil, "bc-"+d.barclamp+"-"+name)},
		Edit{Pointer: d.deploymentPointer(keyConfig, keyEnvironment), Value: appendText(nil, d.barclamp+"-config-"+name)},
	)
}

func (d *Document) deploymentPointer(tokens ...string) string {
	pointer := pointerTo("/deployment", d.barclamp)
	for _, token := range tokens {
		pointer = pointerTo(pointer, token)
	}
	return pointer
}
