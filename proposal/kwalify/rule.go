package kwalify

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// values reads pattern, enum, range, length and default. kwalify's own rules on which may stand
// together are kept (rule.rb, _check_confliction).
func (t *translator) values(r *rule) {
	collection := r.typ == "map" || r.typ == "seq"
	_, enumerated := r.fields["enum"]
	for _, key := range []string{"pattern", "enum", "range", "length", "default"} {
		f, ok := r.fields[key]
		switch {
		case !ok:
		case collection:
			t.wrong(r, key, key+" in a "+r.typ, "a scalar type", "")
		case enumerated && key != "enum" && key != "default":
			t.wrong(r, key, key+" beside enum", "one of the two", "")
		default:
			map[string]func(*rule, field){"pattern": t.pattern, "enum": t.enum, "range": t.bounds,
				"length": t.bounds, "default": t.fallback}[key](r, f)
		}
	}
}

func (t *translator) pattern(r *rule, f field) {
	if s := scalarOf(f.value); f.value.Kind != yaml.ScalarNode || s.kind != kindString {
		t.wrong(r, "pattern", describe(f.value), `"/…/"`, "")
		return
	}
	if r.typ != "str" {
		t.wrong(r, "pattern", "pattern in a "+r.typ, "type: str", "JSON Schema applies patterns to strings only: use enum or range")
		return
	}
	if n := len(f.value.Value); n > maxPattern {
		t.wrong(r, "pattern", fmt.Sprintf("%d bytes", n), fmt.Sprintf("at most %d", maxPattern), "")
		return
	}
	text, err := regexpOf(f.value.Value)
	if err != nil {
		t.wrong(r, "pattern", fmt.Sprintf("%v in %s", err, shorten(f.value.Value)),
			"a regular expression between slashes that RE2 knows", "")
		return
	}
	r.schema.set("pattern", text)
}

func (t *translator) enum(r *rule, f field) {
	if f.value.Kind != yaml.SequenceNode {
		t.wrong(r, "enum", describe(f.value), "a sequence", "")
		return
	}
	if n := len(f.value.Content); n > maxEnum {
		t.wrong(r, "enum", fmt.Sprintf("%d values", n), fmt.Sprintf("at most %d", maxEnum), "")
		return
	}
	list := []any{}
	seen := make(map[scalar]bool)
	for _, item := range f.value.Content {
		item = target(item)
		s := scalarOf(item)
		switch {
		case item.Kind != yaml.ScalarNode || !slices.Contains(types[r.typ].kinds, s.kind):
			t.add(item, pointerTo(r.place.path, "enum"), describe(item), "a value of type "+r.typ, "")
		case seen[s]:
			t.add(item, pointerTo(r.place.path, "enum"), describe(item)+" a second time", "each value once", "")
		default:
			seen[s] = true
			list = append(list, s.json())
		}
	}
	r.schema.set("enum", list)
}

func (t *translator) fallback(r *rule, f field) {
	s := scalarOf(f.value)
	switch {
	case f.value.Kind != yaml.ScalarNode || s.kind != kindNull && !slices.Contains(types[r.typ].kinds, s.kind):
		t.wrong(r, "default", describe(f.value), "a value of type "+r.typ, "")
	case s.kind == kindNull:
	case r.required:
		t.wrong(r, "default", "default beside required: true", "one of the two", "")
	default:
		r.schema.set("default", s.json())
	}
}

// bounds reads range (of numbers) and length (of strings).
func (t *translator) bounds(r *rule, f field) {
	key, names := "range", map[string]string{"min": "minimum", "max": "maximum",
		"min-ex": "exclusiveMinimum", "max-ex": "exclusiveMaximum"}
	kinds, possible := types[r.typ].kinds, r.typ == "int" || r.typ == "float" || r.typ == "number"
	if f.key == "length" {
		key, names = "length", map[string]string{"min": "minLength", "max": "maxLength",
			"min-ex": "minLength", "max-ex": "maxLength"}
		kinds, possible = []kind{kindInt}, r.typ == "str"
	}
	if !possible {
		t.wrong(r, key, key+" in a "+r.typ, map[string]string{"range": "type: int, float or number", "length": "type: str"}[key],
			"JSON Schema knows it for no other type")
		return
	}
	path := pointerTo(r.place.path, key)
	limits := make(map[string]*big.Rat)
	for _, b := range t.reader.fields(f.value, path, "a mapping of min, max, min-ex, max-ex") {
		s := scalarOf(b.value)
		name, ok := names[b.key]
		switch {
		case !ok:
			t.add(b.at, pointerTo(path, b.key), "the key "+b.key, "min, max, min-ex or max-ex", "")
		case b.value.Kind != yaml.ScalarNode || !slices.Contains(kinds, s.kind):
			t.add(b.value, pointerTo(path, b.key), describe(b.value), "a number of the type", "")
		case len(s.text) > 100:
			t.add(b.value, pointerTo(path, b.key), describe(b.value), "a number of at most 100 digits", "")
		default:
			limit, _ := new(big.Rat).SetString(s.text)
			limits[b.key] = limit
			text := s.text
			if key == "length" {
				text = wholeLength(limit, b.key)
			}
			r.schema.set(name, json.Number(text))
		}
	}
	for _, side := range []string{"min", "max"} {
		if limits[side] != nil && limits[side+"-ex"] != nil {
			t.wrong(r, key, side+" and "+side+"-ex", "one of the two", "")
			return
		}
	}
	low, high := limits["min"], limits["max"]
	exclusive := false
	if low == nil {
		low, exclusive = limits["min-ex"], true
	}
	if high == nil {
		high, exclusive = limits["max-ex"], true
	}
	if low != nil && high != nil && (low.Cmp(high) > 0 || exclusive && low.Cmp(high) == 0) {
		t.wrong(r, key, "a minimum above the maximum", "a minimum below it", "")
	}
}

// wholeLength returns a limit of a length as minLength or maxLength, which are inclusive and not
// negative. Nothing is shorter than a maximum below zero: then maxLength 0 comes closest.
func wholeLength(limit *big.Rat, key string) string {
	n := new(big.Int).Set(limit.Num())
	switch key {
	case "min-ex":
		n.Add(n, big.NewInt(1))
	case "max-ex":
		n.Sub(n, big.NewInt(1))
	}
	if n.Sign() < 0 {
		n.SetInt64(0)
	}
	return n.String()
}

// json returns the scalar as a value to write.
func (s scalar) json() any {
	switch s.kind {
	case kindNull:
		return nil
	case kindBool:
		return s.text == "true"
	case kindInt, kindFloat:
		return json.Number(s.text)
	}
	return s.text
}

// children reads mapping and sequence.
func (t *translator) children(r *rule) {
	for _, key := range []string{"mapping", "sequence"} {
		f, ok := r.fields[key]
		typ := map[string]string{"mapping": "map", "sequence": "seq"}[key]
		switch {
		case !ok && r.typ == typ:
			t.add(r.node, r.place.path, "type: "+typ+" without "+key, "a "+key, "say what is in it; type: any takes everything")
		case !ok:
		case r.typ != typ:
			t.wrong(r, key, key+" in a "+r.typ, "type: "+typ, "")
		case key == "mapping":
			t.mapping(r, f)
		default:
			t.sequence(r, f)
		}
	}
}

func (t *translator) mapping(r *rule, f field) {
	path := pointerTo(r.place.path, "mapping")
	fields := t.reader.fields(f.value, path, "a mapping of keys to rules")
	if len(fields) == 0 && f.value.Kind == yaml.MappingNode && len(f.value.Content) == 0 {
		t.wrong(r, "mapping", "no key", "at least one", "= stands for every key")
		return
	}
	properties, required, others := object{}, []any{}, any(false)
	for _, child := range fields {
		at := place{path: pointerTo(path, child.key), key: child.key, keyed: true, depth: r.place.depth + 1,
			inItem: r.place.item, blankIP: r.place.blankIP || strings.Contains(child.key, "broadcast")}
		if child.key == "=" {
			at.key = ""
			others = t.rule(child.value, at).schema
			continue
		}
		rule := t.rule(child.value, at)
		properties.set(child.key, rule.schema)
		if rule.required {
			required = append(required, child.key)
		}
	}
	if len(properties) > 0 {
		r.schema.set("properties", properties)
	}
	if len(required) > 0 {
		r.schema.set("required", required)
	}
	r.schema.set("additionalProperties", others)
}

func (t *translator) sequence(r *rule, f field) {
	path := pointerTo(r.place.path, "sequence")
	if f.value.Kind != yaml.SequenceNode || len(f.value.Content) != 1 {
		found := describe(f.value)
		if f.value.Kind == yaml.SequenceNode {
			found = fmt.Sprintf("%d rules", len(f.value.Content))
		}
		t.wrong(r, "sequence", found, "a sequence of one rule, for every item", "")
		return
	}
	item := t.rule(f.value.Content[0], place{path: pointerTo(path, "0"), item: true,
		depth: r.place.depth + 1, blankIP: r.place.blankIP})
	r.schema.set("items", item.schema)
	if item.unique {
		r.schema.set("uniqueItems", true)
	}
}
