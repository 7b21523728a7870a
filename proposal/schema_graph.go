package proposal

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const (
	formatPassword = "password"
	maxSteps       = 1_000_000 // applications of a subschema to a value, in one check
)

// A schemaGraph is a compiled schema as nodes (its subschemas) and two sorts of edges: those
// that apply another subschema to the same value, and those that apply it to what is within.
type schemaGraph struct {
	all        []*jsonschema.Schema
	number     map[*jsonschema.Schema]int
	byLocation map[string]*jsonschema.Schema
	dynamic    map[string][]*jsonschema.Schema // $dynamicAnchor → all that it may lead to
}

// newSchemaGraph collects what is reachable, and what the validator could not stand: another
// draft, and references that come back to where they started without going into the value, or
// chains of them so long that following them is slow.
func newSchemaGraph(root *jsonschema.Schema, dynamic []*jsonschema.Schema) (*schemaGraph, []Problem) {
	g := &schemaGraph{
		number:     make(map[*jsonschema.Schema]int),
		byLocation: make(map[string]*jsonschema.Schema),
		dynamic:    make(map[string][]*jsonschema.Schema),
	}
	for _, s := range dynamic {
		g.dynamic[s.DynamicAnchor] = append(g.dynamic[s.DynamicAnchor], s)
	}
	all := []*jsonschema.Schema{root}
	add := func(s *jsonschema.Schema) {
		if _, known := g.number[s]; !known {
			g.number[s] = len(all)
			all = append(all, s)
		}
	}
	g.number[root] = 0
	for n := 0; n < len(all); n++ {
		s := all[n]
		g.byLocation[s.Location] = s
		if s.DynamicAnchor != "" && !slices.Contains(g.dynamic[s.DynamicAnchor], s) {
			g.dynamic[s.DynamicAnchor] = append(g.dynamic[s.DynamicAnchor], s)
		}
		for _, sub := range g.samePlace(s) {
			add(sub)
		}
		for _, sub := range within(s) {
			add(sub)
		}
	}
	for _, s := range all {
		if s.DraftVersion != 2020 {
			return nil, []Problem{{Path: schemaPointer(s.Location), Found: "a schema of another draft", Expected: "JSON Schema 2020-12"}}
		}
	}
	g.all = all
	return g, g.circles()
}

// circles finds references that lead back to themselves.
func (g *schemaGraph) circles() []Problem {
	const open = -1
	depth := make(map[*jsonschema.Schema]int, len(g.all))
	var problems []Problem
	var visit func(s *jsonschema.Schema) int
	visit = func(s *jsonschema.Schema) int {
		if d, known := depth[s]; known {
			if d == open && len(problems) == 0 {
				problems = []Problem{{Path: schemaPointer(s.Location), Found: "a subschema that applies itself to the same value again, without end",
					Expected: "references that go into the value, through properties or items"}}
			}
			return d
		}
		depth[s] = open
		deepest := 0
		for _, sub := range g.samePlace(s) {
			deepest = max(deepest, visit(sub)+1)
		}
		depth[s] = deepest
		if deepest > MaxDepth && len(problems) == 0 {
			problems = []Problem{{Path: schemaPointer(s.Location), Found: "a chain of more than " + strconv.Itoa(MaxDepth) + " subschemas for one value"}}
		}
		return deepest
	}
	for _, s := range g.all {
		visit(s)
	}
	return problems
}

// samePlace returns the subschemas that s applies to the value it is applied to itself, whatever
// that value is; conditions count as met.
func (g *schemaGraph) samePlace(s *jsonschema.Schema) []*jsonschema.Schema {
	var subs []*jsonschema.Schema
	for _, sub := range [...]*jsonschema.Schema{s.Ref, s.Not, s.If, s.Then, s.Else} {
		if sub != nil {
			subs = append(subs, sub)
		}
	}
	subs = append(append(append(subs, s.AllOf...), s.AnyOf...), s.OneOf...)
	for _, name := range slices.Sorted(maps.Keys(s.DependentSchemas)) {
		subs = append(subs, s.DependentSchemas[name])
	}
	for _, name := range slices.Sorted(maps.Keys(s.Dependencies)) {
		if sub, ok := s.Dependencies[name].(*jsonschema.Schema); ok {
			subs = append(subs, sub)
		}
	}
	if r := s.DynamicRef; r != nil {
		subs = append(subs, r.Ref)
		if r.Anchor != "" && r.Ref.DynamicAnchor == r.Anchor {
			subs = append(subs, g.dynamic[r.Anchor]...)
		}
	}
	return subs
}

// within returns the subschemas that s applies to members, their names, or elements.
func within(s *jsonschema.Schema) []*jsonschema.Schema {
	subs := slices.Clone(s.PrefixItems)
	additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
	for _, sub := range [...]*jsonschema.Schema{additional, s.PropertyNames, s.UnevaluatedProperties, s.Items2020, s.Contains, s.UnevaluatedItems} {
		if sub != nil {
			subs = append(subs, sub)
		}
	}
	for _, sub := range s.Properties {
		subs = append(subs, sub)
	}
	for _, sub := range s.PatternProperties {
		subs = append(subs, sub)
	}
	return subs
}

// A walk is a schema beside a value: which parts of the value are secrets, and what validation
// may cost at most. It takes the part of every alternative and condition.
type walk struct {
	*schemaGraph
	*tree
	steps   map[[2]int]int // what applying a subschema to a value costs
	work    int            // what the walk itself has cost, never more than its result
	secrets map[int]bool
	tooMuch bool // more than maxSteps: the walk has ended early, secrets are incomplete
}

func (g *schemaGraph) walk(t *tree, s *jsonschema.Schema, at int) *walk {
	w := &walk{schemaGraph: g, tree: t, steps: make(map[[2]int]int), secrets: make(map[int]bool)}
	if w.apply(s, at) > maxSteps {
		w.tooMuch = true
	}
	return w
}

// noValue stands for a member's name, which is no value of the tree.
const noValue = -1

// apply returns the steps of applying s to value i. Each pair is computed once, however often
// the schema leads to it; that is what keeps the walk itself within bounds.
func (w *walk) apply(s *jsonschema.Schema, i int) int {
	pair := [2]int{w.number[s], i}
	if steps, known := w.steps[pair]; known {
		return steps
	}
	own := w.own(s, i)
	if w.work += own; w.work > maxSteps {
		w.tooMuch = true
		return maxSteps + 1
	}
	if i != noValue && (s.WriteOnly || s.Format != nil && s.Format.Name == formatPassword) {
		w.secrets[i] = true
	}
	steps := own
	add := func(sub *jsonschema.Schema, i int) {
		if sub != nil && !w.tooMuch {
			steps = min(steps+w.apply(sub, i), maxSteps+1)
		}
	}
	for _, sub := range w.samePlace(s) {
		add(sub, i)
	}
	switch {
	case i == noValue:
	case w.kind(i) == isObject:
		additional, _ := s.AdditionalProperties.(*jsonschema.Schema)
		for c := range w.children(i) {
			name := w.name(c)
			sub, listed := s.Properties[name]
			add(sub, c)
			for pattern, sub := range s.PatternProperties {
				if pattern.MatchString(name) {
					listed = true
					add(sub, c)
				}
			}
			if !listed {
				add(additional, c)
			}
			add(s.UnevaluatedProperties, c)
			add(s.PropertyNames, noValue)
		}
	case w.kind(i) == isList:
		n := 0
		for c := range w.children(i) {
			if n < len(s.PrefixItems) {
				add(s.PrefixItems[n], c)
			} else {
				add(s.Items2020, c)
			}
			add(s.Contains, c)
			add(s.UnevaluatedItems, c)
			n++
		}
	}
	w.steps[pair] = steps
	return steps
}

// own is what applying s costs without its subschemas: what the validator goes through once.
func (w *walk) own(s *jsonschema.Schema, i int) int {
	steps := 1 + len(s.Required)
	if s.Enum != nil {
		steps += len(s.Enum.Values)
	}
	if i == noValue {
		return steps
	}
	switch v := w.values[i]; v.kind {
	case isObject:
		for c := range w.children(i) {
			steps += 1 + len(s.PatternProperties)*(1+int(w.values[c].nameEnd-w.values[c].nameAt)/64)
		}
	case isList:
		for range w.children(i) {
			steps++
		}
		if s.UniqueItems {
			steps += int(v.size)
		}
	default:
		steps += int(v.end-v.start) / 64
	}
	return steps
}

// schemaPointer returns the JSON Pointer of a place that package jsonschema names by URL.
func schemaPointer(location string) string {
	_, fragment, _ := strings.Cut(location, "#")
	if pointer, err := url.PathUnescape(fragment); err == nil {
		return pointer
	}
	return ""
}
