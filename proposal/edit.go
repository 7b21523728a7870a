package proposal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
// more with *ValidationError. The cost is linear in the document for each edit.
func (d *Document) With(edits ...Edit) (*Document, error) {
	t := &d.tree
	for _, e := range edits {
		src, err := edited(t, e)
		if err != nil {
			return nil, fmt.Errorf("edit %q: %w", e.Pointer, err)
		}
		if t, err = scan(src); err != nil {
			return nil, fmt.Errorf("edit %q: %w", e.Pointer, err)
		}
	}
	return newDocument(t)
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
	for role := range elements {
		if !slices.Contains(order[:known], role) {
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

// edited returns the source with one edit made.
func edited(t *tree, e Edit) (string, error) {
	tokens, err := pointerTokens(e.Pointer)
	if err != nil {
		return "", err
	}
	if len(tokens) == 0 {
		return "", fmt.Errorf("%w: the whole document cannot be edited away", ErrPath)
	}
	var text string
	if e.Value != nil {
		v, err := scan(string(e.Value))
		if err != nil {
			return "", fmt.Errorf("value: %w", err)
		}
		text = v.raw(0)
	}
	at, path := 0, ""
	for n := 0; ; n++ {
		token, last := tokens[n], n == len(tokens)-1
		next, before := -1, -1 // the child, and its left neighbour
		switch k := t.kind(at); {
		case k == isObject:
			next, before = t.find(at, func(c, _ int) bool { return t.name(c) == token })
		case k == isList && token == "-" && last:
			_, before = t.find(at, func(int, int) bool { return false })
		case k == isList:
			next, before = t.find(at, func(_, n int) bool { return strconv.Itoa(n) == token })
			if next < 0 {
				return "", fmt.Errorf("%w: the list %s has no element %q", ErrPath, path, token)
			}
		default:
			return "", fmt.Errorf("%w: %s is %s and has no members", ErrPath, path, k)
		}
		path = pointerTo(path, token)
		switch {
		case e.Value == nil && next < 0:
			return "", fmt.Errorf("%w: nothing to delete at %s", ErrPath, path)
		case e.Value == nil && last:
			return t.without(at, next, before), nil
		case next < 0 && t.kind(at) == isList:
			return t.inserted(at, before, text), nil
		case next < 0:
			return t.inserted(at, before, nested(tokens[n:], text, t.colon(before))), nil
		case last:
			v := t.values[next]
			return t.src[:v.start] + text + t.src[v.end:], nil
		}
		at = next
	}
}

// find returns the first child that matches (-1 if none) and the one before it, which without
// a match is the last.
func (t *tree) find(i int, match func(child, index int) bool) (next, before int) {
	before = -1
	n := 0
	for c := range t.children(i) {
		if match(c, n) {
			return c, before
		}
		before = c
		n++
	}
	return -1, before
}

// nested writes "a": {"b": value} for the tokens a, b.
func nested(tokens []string, value, colon string) string {
	var b strings.Builder
	for i, token := range tokens {
		if i > 0 {
			b.WriteByte('{')
		}
		b.Write(appendText(nil, token))
		b.WriteString(colon)
	}
	b.WriteString(value)
	b.WriteString(strings.Repeat("}", len(tokens)-1))
	return b.String()
}

// from is where the text of a child begins: its name in an object.
func (t *tree) from(i int) uint32 {
	if v := t.values[i]; v.nameEnd > 0 {
		return v.nameAt
	}
	return t.values[i].start
}

// colon returns what stands between name and value of a member, ": " if there is none to copy.
func (t *tree) colon(member int) string {
	if member < 0 || t.values[member].nameEnd == 0 {
		return ": "
	}
	return t.src[t.values[member].nameEnd:t.values[member].start]
}

// inserted puts text behind the last child, with the white space that this child has before it.
func (t *tree) inserted(parent, last int, text string) string {
	if last < 0 {
		at := t.values[parent].start + 1
		return t.src[:at] + text + t.src[at:]
	}
	from := t.from(last)
	gap := len(strings.TrimRight(t.src[:from], " \t\r\n"))
	at := t.values[last].end
	return t.src[:at] + "," + t.src[gap:from] + text + t.src[at:]
}

// without cuts a child and one comma beside it.
func (t *tree) without(parent, child, before int) string {
	v := t.values[child]
	end := int(t.values[parent].size) + parent
	switch next := child + int(v.size); {
	case before >= 0: // ", child"
		return t.src[:t.values[before].end] + t.src[v.end:]
	case next < end: // "child, "
		return t.src[:t.from(child)] + t.src[t.from(next):]
	default: // the only one
		return t.src[:t.values[parent].start+1] + t.src[t.values[parent].end-1:]
	}
}
