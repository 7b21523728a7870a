package kwalify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// What bounds the work: a real schema has some hundred rules, and proposal.CompileSchema takes no
// more than 10,000.
const (
	maxNodes   = 50_000 // keys and values, those that aliases repeat counted each time
	maxEnum    = 1000   // values
	maxPattern = 4096   // bytes
)

// reader gives the nodes of a schema with aliases and merge keys (<<) resolved.
type reader struct {
	problems
	text    *prepared
	nodes   int                 // handed out by fields
	merging map[*yaml.Node]bool // the mappings whose << is being followed
}

// parse returns the top node of the text's only document.
func (r *reader) parse(src []byte) (*yaml.Node, error) {
	text, problem := prepare(src)
	if problem != nil {
		r.problems.add(problem)
		return nil, r.err()
	}
	r.text = text
	decoder := yaml.NewDecoder(bytes.NewReader(text.text))
	var document, further yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		r.problems.add(&Problem{Line: 1, Column: 1, Found: "nothing", Expected: `a schema: { "type": "map", "mapping": { … } }`})
		return nil, r.err()
	} else if err != nil {
		r.problems.add(r.syntax(err))
		return nil, r.err()
	}
	switch err := decoder.Decode(&further); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.problems.add(r.syntax(err))
	default:
		r.add(further.Content[0], "", "a second document", "one schema", "kwalify read the first one only: remove the others")
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	return document.Content[0], nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// syntax gives an error of the YAML parser its place. The parser says the line only, often that
// where what went wrong begins; the column is that of the first character there. What goes wrong
// in practice (quotes, brackets, commas) prepare has found before.
func (r *reader) syntax(err error) *Problem {
	p := &Problem{Line: 1, Column: 1, Found: err.Error(), Expected: "YAML",
		Hint: "look for a missing colon or quote, or a wrong indentation, from here on"}
	m := yamlLine.FindStringSubmatch(err.Error())
	if m == nil {
		return p
	}
	p.Found = m[2]
	if n, err := strconv.Atoi(m[1]); err == nil && n > 0 {
		p.Line = n
	}
	lines := bytes.Split(r.text.text, []byte("\n"))
	if p.Line <= len(lines) {
		p.Column += indentation(lines[p.Line-1])
	}
	return p
}

// add notes a problem at a node.
func (r *reader) add(n *yaml.Node, path, found, expected, hint string) {
	r.problems.add(&Problem{Line: n.Line, Column: r.text.original(n.Line, n.Column), Path: path,
		Found: found, Expected: expected, Hint: hint})
}

// target follows an alias.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// A field is a key of a mapping with its value.
type field struct {
	key   string
	at    *yaml.Node // the key
	value *yaml.Node
}

// fields returns the keys of a mapping in the order of the text, those of << where it stands. A
// key may be repeated only to override a merged one; anything else made kwalify's parser stop
// with an error. Other kinds of nodes are a problem.
func (r *reader) fields(n *yaml.Node, path, expected string) []field {
	if n.Kind != yaml.MappingNode {
		r.add(n, path, describe(n), expected, "")
		return nil
	}
	if r.nodes += len(n.Content); r.nodes > maxNodes {
		if r.nodes-len(n.Content) <= maxNodes {
			r.add(n, path, fmt.Sprintf("more than %d entries", maxNodes), "a schema of fewer", "are there aliases of aliases?")
		}
		return nil
	}
	list := make([]field, 0, len(n.Content)/2)
	index := make(map[string]int, len(n.Content)/2)
	merged := make(map[string]bool)
	put := func(f field) {
		if i, ok := index[f.key]; ok {
			list[i].value, list[i].at = f.value, f.at
			return
		}
		index[f.key] = len(list)
		list = append(list, f)
	}
	for i := 0; i < len(n.Content); i += 2 {
		at, value := n.Content[i], target(n.Content[i+1])
		if at.Kind == yaml.ScalarNode && at.Value == "<<" && at.Style == 0 {
			for _, f := range r.merge(value, path) {
				put(f)
				merged[f.key] = true
			}
			continue
		}
		key, ok := r.key(at, path)
		if !ok {
			continue
		}
		if first, ok := index[key]; ok && !merged[key] {
			r.add(at, pointerTo(path, key), "the key a second time", "each key once",
				fmt.Sprintf("it is also in line %d; remove or rename one", list[first].at.Line))
			continue
		}
		delete(merged, key)
		put(field{key, at, value})
	}
	return list
}

// merge returns the fields that << brings, from one mapping or several.
func (r *reader) merge(n *yaml.Node, path string) []field {
	if r.merging[n] {
		r.add(n, path+"/<<", "a mapping merged into itself", "another mapping", "")
		return nil
	}
	r.merging[n] = true
	defer delete(r.merging, n)
	if n.Kind != yaml.SequenceNode {
		return r.fields(n, path+"/<<", "a mapping to merge")
	}
	var all []field
	for _, item := range n.Content {
		all = append(all, r.merge(target(item), path)...)
	}
	return all
}

// key returns a key's text. kwalify reads a bare 1 or no as a number or a bool, which no key of
// a JSON document ever equals.
func (r *reader) key(n *yaml.Node, path string) (string, bool) {
	if target(n) != n || n.Kind != yaml.ScalarNode {
		r.add(n, path, describe(n), "a plain key", "")
		return "", false
	}
	s := scalarOf(n)
	if s.kind != kindString {
		r.add(n, path, "the key "+n.Value+", "+s.kind.article(), "a string", `put it in quotes: "`+n.Value+`"`)
		return "", false
	}
	return s.text, true
}

// kind is what kwalify's parser makes of a scalar.
type kind string

const (
	kindNull   kind = "null"
	kindBool   kind = "bool"
	kindInt    kind = "int"
	kindFloat  kind = "float"
	kindString kind = "str"
	kindDate   kind = "date"
	kindTime   kind = "time"
)

func (k kind) article() string {
	if k == kindInt {
		return "an int"
	}
	return "a " + string(k)
}

// scalar is a value as kwalify's parser reads it.
type scalar struct {
	kind kind
	text string // JSON text of bool, int and float; else the string
}

var (
	floatText = regexp.MustCompile(`^(-?)0*(\d+\.\d+)$`)
	intText   = regexp.MustCompile(`^(-?)0*(\d+)$`)
	dateText  = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
	timeText  = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`)
)

// scalarOf reads a scalar by the rules of kwalify 0.7.2 (parser/yaml.rb, to_scalar), which differ
// from YAML's: 1e3, True, on and 0x1F are strings, 017 is seventeen. Tags are ignored.
func scalarOf(n *yaml.Node) scalar {
	v := n.Value
	if n.Style&^yaml.TaggedStyle != 0 {
		return scalar{kindString, v}
	}
	switch v {
	case "", "null", "~":
		return scalar{kindNull, ""}
	case "true", "yes":
		return scalar{kindBool, "true"}
	case "false", "no":
		return scalar{kindBool, "false"}
	}
	if m := intText.FindStringSubmatch(v); m != nil {
		return scalar{kindInt, m[1] + m[2]}
	}
	if m := floatText.FindStringSubmatch(v); m != nil {
		return scalar{kindFloat, m[1] + m[2]}
	}
	switch {
	case dateText.MatchString(v):
		return scalar{kindDate, v}
	case timeText.MatchString(v):
		return scalar{kindTime, v}
	}
	return scalar{kindString, strings.TrimPrefix(v, ":")}
}

// describe says what a node is, for a problem.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a sequence"
	case yaml.AliasNode:
		return "an alias"
	}
	s := scalarOf(n)
	switch s.kind {
	case kindNull:
		return "nothing"
	case kindString:
		return strconv.Quote(shorten(s.text))
	}
	return shorten(n.Value)
}

func shorten(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// pointerTo appends a token to a JSON Pointer (RFC 6901).
func pointerTo(parent, token string) string {
	if strings.ContainsAny(token, "~/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
	}
	return parent + "/" + token
}
