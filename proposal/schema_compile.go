package proposal

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// check2020 returns what makes a text no schema of the draft that is spoken here, nil if it is.
func check2020(t *tree) []Problem {
	if k := t.kind(0); k != isObject && k != isBool {
		return []Problem{{Found: found(t, 0), Expected: "an object or a boolean"}}
	}
	const draft = "https://json-schema.org/draft/2020-12/schema"
	if i := t.member(0, "$schema"); i >= 0 && t.kind(i) == isString && strings.TrimSuffix(t.text(i), "#") != draft {
		return []Problem{{Path: "/$schema", Found: found(t, i), Expected: quote(draft), Hint: "leave it out"}}
	}
	schemas, references := 0, 0
	for i, v := range t.values {
		switch v.kind {
		case isObject, isBool:
			schemas++
		case isString:
			if v.nameEnd > 0 && isReference(t.name(i)) {
				references++
			}
		}
		if schemas > maxSubschemas || references > maxReferences {
			return []Problem{{Found: fmt.Sprintf("more than %d objects and booleans, or %d references", maxSubschemas, maxReferences), Expected: "a smaller schema"}}
		}
		if v.kind == isNumber && isHuge(t.raw(i)) {
			return []Problem{{Path: t.pointer(i), Found: found(t, i), Expected: "a smaller number"}}
		}
	}
	return nil
}

func (t *tree) pointer(i int) string {
	if paths, ok := t.pointers([]int{i}, MaxBytes); ok && len(paths) == 1 {
		return paths[0]
	}
	return ""
}

// dynamicSchemas returns the subschemas that only a $dynamicRef may lead to: they are compiled
// already, but not reachable from the root's fields.
func dynamicSchemas(t *tree, c *jsonschema.Compiler) []*jsonschema.Schema {
	var all []*jsonschema.Schema
	for i := range t.values {
		if t.kind(i) != isObject || t.member(i, "$dynamicAnchor") < 0 {
			continue
		}
		location := url.URL{Fragment: t.pointer(i)}
		if s, err := c.Compile(schemaURL + location.String()); err == nil && s.DynamicAnchor != "" {
			all = append(all, s)
		} // else it is no schema but part of an example or a constant
	}
	return all
}

// schemaError adds line and column of the first problem.
func schemaError(t *tree, problems []Problem) error {
	e := &SchemaError{Problems: problems}
	at := max((&finder{tree: t}).find(problems[0].Path), 0)
	before := t.src[:t.from(at)]
	e.Line = strings.Count(before, "\n") + 1
	e.Column = utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return e
}

// compileProblems says in our words why package jsonschema does not take a schema.
func compileProblems(t *tree, err error) []Problem {
	var (
		invalid   *jsonschema.SchemaValidationError
		remote    *jsonschema.LoadURLError
		nowhere   *jsonschema.JSONPointerNotFoundError
		noAnchor  *jsonschema.AnchorNotFoundError
		regex     *jsonschema.InvalidRegexError
		duplicate *jsonschema.DuplicateAnchorError
		sameID    *jsonschema.DuplicateIDError
	)
	const inside = "a reference to a place within the schema, as #/$defs/name"
	switch {
	case errors.As(err, &invalid):
		var e *jsonschema.ValidationError
		if !errors.As(invalid.Err, &e) {
			break
		}
		prefix := schemaPointer(invalid.URL)
		r := reporter{tree: t, prefix: prefix, root: (&finder{tree: t}).find(prefix)}
		r.report(e)
		var p problems
		if r.sorted(&p); p.list != nil {
			return p.list
		}
	case errors.As(err, &remote):
		path, text := reference(t, func(target string) bool { return target != "" && strings.HasSuffix(remote.URL, target) })
		return []Problem{{Path: path, Found: "a reference to " + quote(text), Expected: inside, Hint: "nothing is loaded: copy what it names into $defs"}}
	case errors.As(err, &nowhere):
		target := schemaPointer(nowhere.URL)
		path, text := referenceTo(t, target)
		return []Problem{{Path: path, Found: "a reference to " + quote(text) + ", which is not there", Expected: inside, Hint: nearTarget(t, target)}}
	case errors.As(err, &noAnchor):
		path, text := referenceTo(t, schemaPointer(noAnchor.Reference))
		return []Problem{{Path: path, Found: "a reference to the anchor " + quote(text) + ", which is not there", Expected: inside}}
	case errors.As(err, &regex):
		return []Problem{{Path: schemaPointer(regex.URL), Found: quote(regex.Regex), Expected: formatWords("regex"), Hint: regex.Err.Error()}}
	case errors.As(err, &duplicate):
		return []Problem{{Path: duplicate.Ptr2, Found: "the anchor " + quote(duplicate.Anchor) + " again", Expected: "each anchor once", Hint: "it is already at " + duplicate.Ptr1}}
	case errors.As(err, &sameID):
		return []Problem{{Path: sameID.Ptr2, Found: "the $id " + quote(sameID.ID) + " again", Expected: "each $id once", Hint: "it is already at " + sameID.Ptr1}}
	}
	return []Problem{{Found: shortened(strings.ReplaceAll(err.Error(), schemaURL, "")), Expected: "JSON Schema 2020-12"}}
}

// reference finds the first reference whose target, without the fragment, matches; "" and the
// target itself if there is none.
func reference(t *tree, match func(target string) bool) (path, text string) {
	return firstReference(t, func(text string) bool {
		target, _, _ := strings.Cut(text, "#")
		return match(strings.TrimLeft(target, "./"))
	})
}

func referenceTo(t *tree, fragment string) (path, text string) {
	path, text = firstReference(t, func(text string) bool { return schemaPointer(text) == fragment })
	if text == "" {
		text = "#" + fragment
	}
	return path, text
}

func firstReference(t *tree, match func(text string) bool) (path, text string) {
	for i, v := range t.values {
		if v.kind != isString || v.nameEnd == 0 {
			continue
		}
		if text := t.text(i); isReference(t.name(i)) && match(text) {
			return t.pointer(i), text
		}
	}
	return "", ""
}

func isReference(name string) bool {
	return name == "$ref" || name == "$dynamicRef" || name == "$schema"
}

// nearTarget is the remedy for a reference to a neighbour of what was meant.
func nearTarget(t *tree, target string) string {
	cut := strings.LastIndexByte(target, '/')
	if cut < 0 {
		return ""
	}
	parent := (&finder{tree: t}).find(target[:cut])
	if parent < 0 || t.kind(parent) != isObject {
		return ""
	}
	var names []string
	for c := range t.children(parent) {
		names = append(names, t.name(c))
	}
	tokens, err := pointerTokens(target[cut:])
	if err != nil {
		return ""
	}
	if near := nearMiss(names, tokens[0]); near != "" {
		return "did you mean " + quote("#"+pointerTo(target[:cut], near)) + "?"
	}
	return ""
}
