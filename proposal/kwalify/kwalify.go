package kwalify

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/crowbarkit/crowbarkit/proposal"
)

const dialect = "https://json-schema.org/draft/2020-12/schema"

// Translate returns the JSON Schema (2020-12) that accepts the documents kwalify accepted by the
// schema, indented, with the properties in the order of the source. The package doc says what
// becomes what. The result needs the formats of Formats; validators that lack them ignore them
// and accept a little more.
//
// The error is a *multierror.Error with a *Problem for each thing wrong (the first one only if
// the text is not even YAML). Time and memory are bounded for any input of proposal.MaxSchemaBytes.
func Translate(schema []byte) (json.RawMessage, error) {
	t := &translator{reader: reader{merging: make(map[*yaml.Node]bool)}, inside: make(map[*yaml.Node]bool)}
	top, err := t.parse(schema)
	if err != nil {
		return nil, err
	}
	var rule translated
	if scalarNull(top) {
		t.add(top, "", "nothing", "a mapping with a type", "")
	} else {
		rule = t.rule(top, place{})
	}
	if err := t.err(); err != nil {
		return nil, err
	}
	text := append(object{{"$schema", dialect}}, rule.schema...).text()
	if len(text) > proposal.MaxSchemaBytes {
		t.add(top, "", "a schema that its aliases make larger than the limit", fmt.Sprintf("at most %d MB", proposal.MaxSchemaBytes>>20), "")
		return nil, t.err()
	}
	return text, nil
}

func scalarNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && scalarOf(n).kind == kindNull
}

// types are kwalify's, with the JSON Schema types they allow and the format that says the rest.
// Kwalify 0.7.2 has no others (types.rb).
var types = map[string]struct {
	json   []any
	format string
	kinds  []kind // of scalars in the schema itself: default, enum, range
}{
	"str":       {[]any{"string"}, "", []kind{kindString}},
	"int":       {[]any{"integer"}, formatInt, []kind{kindInt}},
	"float":     {[]any{"number"}, formatFloat, []kind{kindFloat}},
	"number":    {[]any{"number"}, "", []kind{kindInt, kindFloat}},
	"text":      {[]any{"string", "number"}, "", []kind{kindString, kindInt, kindFloat}},
	"bool":      {[]any{"boolean"}, "", []kind{kindBool}},
	"date":      {[]any{"string"}, formatDate, []kind{kindDate}},
	"time":      {[]any{"string"}, formatTime, []kind{kindTime}},
	"timestamp": {[]any{"string"}, formatTime, []kind{kindTime}},
	"scalar":    {[]any{"string", "number", "boolean"}, "", anyKind},
	"any":       {[]any{"string", "number", "boolean", "object", "array"}, "", anyKind},
	"map":       {[]any{"object"}, "", nil},
	"seq":       {[]any{"array"}, "", nil},
}

var anyKind = []kind{kindString, kindInt, kindFloat, kindBool, kindDate, kindTime, kindNull}

// otherNames are what others call kwalify's types.
var otherNames = map[string]string{"string": "str", "integer": "int", "boolean": "bool", "object": "map",
	"hash": "map", "array": "seq", "list": "seq"}

// ruleKeys are what a rule may say.
var ruleKeys = []string{"type", "name", "desc", "required", "pattern", "enum", "assert", "range",
	"length", "ident", "unique", "default", "sequence", "mapping", "class"}

// A place is where a rule stands.
type place struct {
	path    string // in the schema
	key     string // of the mapping that it belongs to; "" for =, an item and the whole
	depth   int
	keyed   bool // it belongs to a key (or =) of a mapping
	item    bool // it is the rule of a sequence's items
	inItem  bool // it belongs to a key of a mapping that is an item
	blankIP bool // a key on the way is called broadcast
}

// translated is what became of a rule.
type translated struct {
	schema   object
	required bool
	unique   bool
}

type translator struct {
	reader
	inside map[*yaml.Node]bool // the rules around this one, to find one that contains itself
}

// A rule collects what one rule says before it is written.
type rule struct {
	node     *yaml.Node
	place    place
	typ      string
	fields   map[string]field
	required bool
	unique   bool
	schema   object // the members after type
	format   []string
}

// rule translates a rule; a null is the rule { type: str }.
func (t *translator) rule(n *yaml.Node, at place) translated {
	n = target(n)
	r := &rule{node: n, place: at, fields: make(map[string]field)}
	switch {
	case t.inside[n]:
		t.add(n, at.path, "a rule that contains itself", "rules that end", "write it out as deep as documents go")
		return translated{}
	case at.depth > proposal.MaxDepth/2:
		t.add(n, at.path, "rules within each other", fmt.Sprintf("at most %d of them", proposal.MaxDepth/2), "")
		return translated{}
	case scalarNull(n):
	default:
		t.inside[n] = true
		defer delete(t.inside, n)
		for _, f := range t.fields(n, at.path, "a rule: a mapping with a type") {
			if !slices.Contains(ruleKeys, f.key) {
				t.add(f.at, pointerTo(at.path, f.key), "the key "+f.key, "one of "+strings.Join(ruleKeys, ", "),
					"did you mean it as a key of mapping:?")
				continue
			}
			r.fields[f.key] = f
		}
	}
	if t.typeOf(r) {
		t.flags(r)
		t.names(r)
		t.values(r)
		t.children(r)
	}
	return r.finish()
}

// wrong notes a problem with one of the rule's fields.
func (t *translator) wrong(r *rule, key, found, expected, hint string) {
	n := r.node
	if f, ok := r.fields[key]; ok {
		n = f.value
		if n.Line == 0 {
			n = f.at
		}
	}
	t.add(n, pointerTo(r.place.path, key), found, expected, hint)
}

func (t *translator) typeOf(r *rule) bool {
	r.typ = "str"
	f, ok := r.fields["type"]
	if !ok || scalarNull(f.value) {
		return true
	}
	if f.value.Kind == yaml.ScalarNode {
		r.typ = f.value.Value
	}
	if _, ok := types[r.typ]; !ok || f.value.Kind != yaml.ScalarNode {
		known := strings.Join(slices.Sorted(maps.Keys(types)), ", ")
		hint := ""
		if meant, ok := otherNames[r.typ]; ok {
			hint = "did you mean " + meant + "?"
		}
		t.wrong(r, "type", describe(f.value), "one of "+known, hint)
		return false
	}
	return true
}

// flags reads required, ident and unique.
func (t *translator) flags(r *rule) {
	collection := r.typ == "map" || r.typ == "seq"
	r.required = t.flag(r, "required")
	if t.flag(r, "ident") {
		r.required = true
		switch {
		case collection:
			t.wrong(r, "ident", "ident in a "+r.typ, "a scalar type", "")
		case !r.place.keyed:
			t.wrong(r, "ident", "ident outside of a mapping", "a key of a mapping", "")
		case r.place.inItem:
			t.wrong(r, "ident", "ident among the items of a sequence", "no ident",
				"JSON Schema cannot compare items by a key: make it required and check it in the barclamp")
		}
	}
	if !t.flag(r, "unique") {
		return
	}
	switch {
	case collection:
		t.wrong(r, "unique", "unique in a "+r.typ, "a scalar type", "")
	case !r.place.keyed && !r.place.item:
		t.wrong(r, "unique", "unique on the whole document", "an item of a sequence", "")
	case r.place.inItem:
		t.wrong(r, "unique", "a key that is unique among the items of a sequence", "no unique",
			"JSON Schema cannot compare items by a key: check it in the barclamp")
	}
	r.unique = r.place.item
}

func (t *translator) flag(r *rule, key string) bool {
	f, ok := r.fields[key]
	if !ok {
		return false
	}
	if s := scalarOf(f.value); f.value.Kind == yaml.ScalarNode && s.kind == kindBool {
		return s.text == "true"
	}
	t.wrong(r, key, describe(f.value), "true or false", "")
	return false
}

// names reads name, desc and class.
func (t *translator) names(r *rule) {
	if f, ok := r.fields["name"]; ok {
		switch format, known := checks[f.value.Value]; {
		case f.value.Kind != yaml.ScalarNode:
			t.wrong(r, "name", describe(f.value), "a name", "")
		case !known:
			r.schema.set("title", f.value.Value)
		case format == formatIPAddress && r.place.blankIP:
			r.format = append(r.format, formatIPAddressOrBlank)
		default:
			r.format = append(r.format, format)
		}
	}
	if f, ok := r.fields["desc"]; ok && f.value.Kind == yaml.ScalarNode {
		r.schema.set("description", f.value.Value)
	}
	if _, ok := r.fields["class"]; ok && r.typ != "map" {
		t.wrong(r, "class", "class in a "+r.typ, "type: map", "class names the Ruby class of a mapping and is ignored: remove it")
	}
	if _, ok := r.fields["assert"]; ok {
		t.wrong(r, "assert", "Ruby code", "no assert", "say it with pattern, enum, range or length, or check it in the barclamp")
	}
}

// finish puts the members together.
func (r *rule) finish() translated {
	var schema object
	kind := types[r.typ]
	allowed := kind.json
	_, enumerated := r.fields["enum"]
	switch {
	case r.required && r.typ == "any", !r.required && !enumerated && r.typ != "any":
		allowed = slices.Clone(allowed)
		if !r.required {
			allowed = append(allowed, "null")
		}
	case r.typ == "any":
		allowed = nil
	}
	switch len(allowed) {
	case 0:
	case 1:
		schema.set("type", allowed[0])
	default:
		schema.set("type", allowed)
	}
	if kind.format != "" {
		r.format = append([]string{kind.format}, r.format...)
	}
	for i, format := range r.format {
		if i == 0 {
			schema.set("format", format)
		} else {
			schema.set("allOf", []any{object{{"format", format}}})
		}
	}
	schema = append(schema, r.schema...)
	if (r.typ == "str" || r.typ == "text") && secretName(r.place.key) {
		schema.set("writeOnly", true)
	}
	return translated{schema, r.required, r.unique}
}
