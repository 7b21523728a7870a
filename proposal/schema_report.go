package proposal

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	fault "github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// A reporter makes Problems of what package jsonschema found.
type reporter struct {
	*tree
	graph   *schemaGraph // nil: of a metaschema, whose parts are not known by location
	root    int          // the value that was validated, -1 if it stands for one that is not there
	prefix  string       // its pointer
	secrets map[int]string
	huge    []int          // numbers that were not validated
	applied map[[2]int]int // which subschema applies to which value

	finder  finder
	found   []finding
	spent   int                             // bytes that the places found so far take
	more    int                             // what was found beyond maxReport
	names   map[*jsonschema.Schema][]string // members that a subschema speaks of
	named   map[[2]string][]int             // propertyNames and name → objects, see carriers
	parents []step                          // see tokens
}

// maxReport bounds what the places of problems may take, in bytes: names can be long, and problems
// many.
const maxReport = 32 << 20

// A finding is a Problem and where it stands in the document.
type finding struct {
	Problem
	at int
}

// A step leads from a value to what it is in, and from there back.
type step struct{ parent, index int }

// A place is a value of the document, or where one should be.
type place struct {
	path   string
	at     int // the value, -1 if there is none
	anchor int // it, or the innermost value that is there: for the order of problems
	secret int // the secret that it is or is in, -1 if none
	hidden string
}

func (r *reporter) place(tokens []string) place {
	if r.finder.tree == nil {
		r.finder.tree = r.tree
	}
	p := place{at: r.root, anchor: max(r.root, 0), secret: -1}
	path := []byte(r.prefix)
	// Where the validated part is within a secret, or is one, its own pointer is what is told.
	r.note(&p, path)
	for _, token := range tokens {
		path = appendToken(path, token)
		p.at = r.finder.child(p.at, token)
		r.note(&p, path)
	}
	p.path = string(path)
	r.spent += len(p.path) + 256 // and the rest of a finding
	return p
}

func (r *reporter) note(p *place, path []byte) {
	if p.at < 0 {
		return
	}
	p.anchor = p.at
	if _, secret := r.secrets[p.at]; secret {
		p.secret, p.hidden = p.at, string(path)
	}
}

// problem makes a Problem of a place. Of a secret it says only what is expected; of what is
// within one not even where.
func (r *reporter) problem(p place, what, expected, hint string) finding {
	if p.secret >= 0 {
		return finding{Problem{Path: p.hidden, Found: "(secret)", Expected: expected}, p.secret}
	}
	return finding{Problem{Path: p.path, Found: what, Expected: expected, Hint: hint}, p.anchor}
}

func (r *reporter) report(e *jsonschema.ValidationError) {
	r.found = r.flatten(e)
	if len(r.found) == 0 { // whatever was not understood, it is no reason to let it pass
		r.found = []finding{r.problem(r.place(nil), "what the schema does not allow", "", "")}
	}
}

// sorted adds all findings in document order, each once.
func (r *reporter) sorted(p *problems) {
	for _, i := range r.huge {
		r.found = slices.DeleteFunc(r.found, func(f finding) bool { return f.at == i })
	}
	for n, path := range r.hugePaths() {
		at := r.huge[n]
		r.found = append(r.found, finding{Problem{Path: path, Found: found(r.tree, at),
			Expected: "a number with at most " + strconv.Itoa(maxDigits) + " digits and an exponent within ±" + strconv.Itoa(maxExponent)}, at})
	}
	slices.SortFunc(r.found, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.Path, b.Path), strings.Compare(a.Expected, b.Expected),
			strings.Compare(a.Found, b.Found), strings.Compare(a.Hint, b.Hint))
	})
	r.found = slices.CompactFunc(r.found, func(a, b finding) bool {
		return a.Path == b.Path && a.Found == b.Found && a.Expected == b.Expected
	})
	for _, f := range r.found {
		p.add(f.Path, f.Found, f.Expected, f.Hint)
	}
	p.more += r.more
}

func (r *reporter) hugePaths() []string {
	paths, _ := r.pointers(r.huge, maxReport)
	r.more += len(r.huge) - len(paths)
	return paths
}

func (r *reporter) flattenAll(causes []*jsonschema.ValidationError) []finding {
	var all []finding
	for _, c := range causes {
		all = append(all, r.flatten(c)...)
	}
	return all
}

func (r *reporter) flatten(e *jsonschema.ValidationError) []finding {
	switch k := e.ErrorKind.(type) {
	case *fault.Schema, *fault.Group, *fault.Reference, *fault.AllOf:
		return r.flattenAll(e.Causes)
	case *fault.AnyOf:
		return r.alternatives(e)
	case *fault.OneOf:
		if k.Subschemas == nil {
			return r.alternatives(e)
		}
	}
	if r.spent > maxReport {
		r.more++
		return nil
	}
	p := r.place(e.InstanceLocation)
	one := func(expected, hint string) []finding {
		return []finding{r.problem(p, r.describe(p), expected, hint)}
	}
	switch k := e.ErrorKind.(type) {
	case *fault.Type:
		hint := ""
		if p.at >= 0 {
			hint = retyped(r.tree, p.at, k.Want)
		}
		return one(typeWords(k.Want), hint)
	case *fault.Enum:
		return one(oneOf(k.Want), r.nearValue(p, k.Want))
	case *fault.Const:
		return one(valueText(k.Want), r.nearValue(p, []any{k.Want}))
	case *fault.Format:
		expected := formatWords(k.Want)
		if strings.HasPrefix(expected, formatUnknown) {
			return one(expected, shortened(k.Err.Error())) // one of SchemaOptions, whose words are for people
		}
		return one(expected, "")
	case *fault.Pattern:
		return one("a string that matches "+shortened(k.Want), "")
	case *fault.MinLength:
		return one("a string of at least "+count(k.Want, "character"), "")
	case *fault.MaxLength:
		return one("a string of at most "+count(k.Want, "character"), "")
	case *fault.Minimum:
		return one("at least "+number(k.Want), "")
	case *fault.Maximum:
		return one("at most "+number(k.Want), "")
	case *fault.ExclusiveMinimum:
		return one("more than "+number(k.Want), "")
	case *fault.ExclusiveMaximum:
		return one("less than "+number(k.Want), "")
	case *fault.MultipleOf:
		return one("a multiple of "+number(k.Want), "")
	case *fault.MinItems:
		return []finding{r.problem(p, "a list of "+count(k.Got, "element"), "at least "+count(k.Want, "element"), "")}
	case *fault.MaxItems:
		return []finding{r.problem(p, "a list of "+count(k.Got, "element"), "at most "+count(k.Want, "element"), "")}
	case *fault.MinProperties:
		return []finding{r.problem(p, "an object of "+count(k.Got, "member"), "at least "+count(k.Want, "member"), "")}
	case *fault.MaxProperties:
		return []finding{r.problem(p, "an object of "+count(k.Got, "member"), "at most "+count(k.Want, "member"), "")}
	case *fault.UniqueItems:
		p = r.place(append(slices.Clone(e.InstanceLocation), strconv.Itoa(k.Duplicates[1])))
		return []finding{r.problem(p, r.describe(p)+" again", "each element once", "it is already at index "+strconv.Itoa(k.Duplicates[0]))}
	case *fault.Contains:
		return []finding{r.problem(p, "a list without such an element", "at least 1 element that is "+r.contained(e), "")}
	case *fault.MinContains:
		return []finding{r.problem(p, "a list with "+count(len(k.Got), "such element"), "at least "+count(k.Want, "element")+" that is "+r.contained(e), "")}
	case *fault.MaxContains:
		return []finding{r.problem(p, "a list with "+count(len(k.Got), "such element"), "at most "+count(k.Want, "element")+" that is "+r.contained(e), "")}
	case *fault.Required:
		return r.missing(e, k.Missing, "")
	case *fault.DependentRequired:
		return r.missing(e, k.Missing, k.Prop)
	case *fault.Dependency:
		return r.missing(e, k.Missing, k.Prop)
	case *fault.AdditionalProperties:
		return r.unknown(e, k.Properties)
	case *fault.PropertyNames:
		return r.misnamed(e, k.Property)
	case *fault.FalseSchema:
		return r.forbidden(e, p)
	case *fault.Not:
		return one(r.excluded(e), "")
	case *fault.OneOf:
		return one("what fits one alternative only", "it fits alternatives "+strconv.Itoa(k.Subschemas[0]+1)+" and "+strconv.Itoa(k.Subschemas[1]+1)+" of the schema")
	}
	return one("what the schema allows", "see the schema at "+shortened(schemaPointer(e.SchemaURL)))
}

func (r *reporter) describe(p place) string {
	if p.at < 0 {
		return "nothing"
	}
	if r.kind(p.at) == isNumber {
		if _, whole := r.integer(p.at); whole {
			return "an integer " + shortened(r.raw(p.at))
		}
	}
	return found(r.tree, p.at)
}

func (r *reporter) schema(e *jsonschema.ValidationError) *jsonschema.Schema {
	if r.graph == nil {
		return nil
	}
	return r.graph.byLocation[e.SchemaURL]
}

// nearValue is the remedy for a value that is nearly one of those allowed.
func (r *reporter) nearValue(p place, want []any) string {
	if p.at < 0 {
		return ""
	}
	text := r.raw(p.at)
	if r.kind(p.at) == isString {
		text = r.text(p.at)
	}
	var texts []string
	for _, v := range want {
		s, isText := v.(string)
		switch {
		case !isText && r.kind(p.at) == isString && valueText(v) == text:
			return "write " + shortened(text) + " without quotes"
		case isText && r.kind(p.at) != isString && s == text:
			return "write " + quote(text) + " with quotes"
		case isText:
			texts = append(texts, s)
		}
	}
	if r.kind(p.at) == isString {
		if s := nearMiss(texts, text); s != "" {
			return "did you mean " + quote(s) + "?"
		}
	}
	return ""
}

func (r *reporter) contained(e *jsonschema.ValidationError) string {
	if s := r.schema(e); s != nil {
		return described(s.Contains)
	}
	return "as the schema says"
}

// missing reports members that are not there, at the places where they should be.
func (r *reporter) missing(e *jsonschema.ValidationError, names []string, because string) []finding {
	object := r.place(e.InstanceLocation)
	s := r.schema(e)
	var strays []string
	if s != nil && object.at >= 0 {
		known := r.known(s)
		for c := range r.children(object.at) {
			if name := r.name(c); !slices.Contains(known, name) {
				strays = append(strays, name)
			}
		}
	}
	var all []finding
	for _, name := range names {
		p := object
		p.path, p.at = pointerTo(object.path, name), -1
		expected, hint := "a value", ""
		if s != nil {
			expected = described(s.Properties[name])
		}
		if because != "" {
			expected += ", since " + quote(because) + " is there"
		}
		if stray := nearMiss(strays, name); stray != "" {
			hint = "is " + quote(stray) + " a misspelling of it?"
		}
		if p.secret >= 0 {
			expected = "a member " + quote(name)
		}
		all = append(all, r.problem(p, "nothing", expected, hint))
	}
	return all
}

// unknown reports members that should not be there.
func (r *reporter) unknown(e *jsonschema.ValidationError, names []string) []finding {
	var known []string
	if s := r.schema(e); s != nil {
		known = slices.Sorted(maps.Keys(s.Properties))
	}
	var all []finding
	for _, name := range names {
		all = append(all, r.stranger(e.InstanceLocation, name, known))
	}
	return all
}

func (r *reporter) stranger(object []string, name string, known []string) finding {
	parent := r.place(object)
	// What is not there yet was rather meant than what is.
	var absent, present []string
	for _, k := range known {
		if r.finder.child(parent.at, k) < 0 {
			absent = append(absent, k)
		} else {
			present = append(present, k)
		}
	}
	hint := ""
	switch near := cmp.Or(nearMiss(absent, name), nearMiss(present, name)); {
	case near != "":
		hint = "did you mean " + quote(near) + "?"
	case len(known) > 0:
		hint = "known: " + list(slices.Clone(known))
	}
	p := r.place(append(slices.Clone(object), name))
	expected := "no such member"
	if parent.secret >= 0 {
		expected = "no further members"
	}
	return r.problem(p, "unknown member "+quote(name), expected, hint)
}

// misnamed reports members whose name the schema does not allow.
func (r *reporter) misnamed(e *jsonschema.ValidationError, name string) []finding {
	// What is wrong with the name is told as of a document that is that name.
	text := tree{src: string(appendText(nil, name))}
	text.values = []value{{end: uint32(len(text.src)), size: 1, kind: isString, textEsc: strings.Contains(text.src, `\`)}}
	of := reporter{tree: &text, graph: r.graph}
	var expected []string
	hint := ""
	for _, c := range e.Causes {
		for _, f := range of.flatten(c) {
			if !slices.Contains(expected, f.Expected) {
				expected = append(expected, f.Expected)
			}
			hint = cmp.Or(hint, f.Hint)
		}
	}
	slices.Sort(expected)
	var all []finding
	key := [2]string{e.SchemaURL, name}
	objects := r.carriers(key)
	if len(objects) > 1 {
		// Each of them has an error of its own, and they are all alike: the others need no telling.
		r.named[key] = objects[:1]
	}
	for _, i := range objects {
		if r.spent > maxReport {
			r.more++
			break
		}
		p := r.place(append(r.tokens(i), name))
		if p.secret >= 0 {
			all = append(all, r.problem(p, "", "other names of members", ""))
		} else {
			all = append(all, r.problem(p, "a member named "+quote(name), "as name "+cmp.Or(strings.Join(expected, ", "), "another one"), hint))
		}
	}
	return all
}

// carriers returns the objects to which a propertyNames, by its location, applies and that have a
// member of a name. The error itself cannot be trusted to tell: package
// jsonschema (6.0.3) does not copy the place into it and overwrites it with a later one. What
// is wrong with a name is wrong with it wherever the same subschema applies.
func (r *reporter) carriers(key [2]string) []int {
	if r.named == nil {
		r.named = make(map[[2]string][]int)
		for pair := range r.applied {
			s := r.graph.all[pair[0]]
			if s.PropertyNames == nil || pair[1] == noValue || r.kind(pair[1]) != isObject {
				continue
			}
			for c := range r.children(pair[1]) {
				named := [2]string{s.PropertyNames.Location, r.name(c)}
				r.named[named] = append(r.named[named], pair[1])
			}
		}
		if r.graph == nil { // metaschemas say this of one keyword that we let pass
			for i, v := range r.values {
				if v.kind == isObject && v.nameEnd > 0 && r.tree.name(i) == "patternProperties" {
					for c := range r.children(i) {
						named := [2]string{key[0], r.name(c)}
						r.named[named] = append(r.named[named], i)
					}
				}
			}
		}
	}
	return r.named[key]
}

// tokens returns the way from the root to value i.
func (r *reporter) tokens(i int) []string {
	if r.parents == nil {
		r.parents = make([]step, len(r.values))
		for parent := range r.values {
			n := 0
			for c := range r.children(parent) {
				r.parents[c] = step{parent, n}
				n++
			}
		}
	}
	var tokens []string
	for ; i != r.root; i = r.parents[i].parent {
		token := strconv.Itoa(r.parents[i].index)
		if r.kind(r.parents[i].parent) == isObject {
			token = r.name(i)
		}
		tokens = append(tokens, token)
	}
	slices.Reverse(tokens)
	return tokens
}

// forbidden reports what a schema false forbids: often a member or an element that no other
// part of the schema knows.
func (r *reporter) forbidden(e *jsonschema.ValidationError, p place) []finding {
	pointer := schemaPointer(e.SchemaURL)
	cut := strings.LastIndexByte(pointer, '/')
	if cut < 0 || len(e.InstanceLocation) == 0 {
		return []finding{r.problem(p, r.describe(p), "nothing: the schema allows no value here", "")}
	}
	last := len(e.InstanceLocation) - 1
	switch parent := r.parent(e.SchemaURL); pointer[cut+1:] {
	case "unevaluatedProperties", "additionalProperties":
		var known []string
		if parent != nil {
			known = r.known(parent)
		}
		return []finding{r.stranger(e.InstanceLocation[:last], e.InstanceLocation[last], known)}
	case "items", "unevaluatedItems":
		if parent != nil && parent.PrefixItems != nil {
			return []finding{r.problem(p, r.describe(p), "at most "+count(len(parent.PrefixItems), "element"), "")}
		}
	}
	return []finding{r.problem(p, r.describe(p), "nothing: the schema allows no value here", "")}
}

// parent returns the subschema of which a keyword's subschema is a part.
func (r *reporter) parent(location string) *jsonschema.Schema {
	if r.graph == nil {
		return nil
	}
	return r.graph.byLocation[location[:strings.LastIndexByte(location, '/')]]
}

// known returns every member that s or a subschema for the same value speaks of, by name.
func (r *reporter) known(s *jsonschema.Schema) []string {
	if names, done := r.names[s]; done {
		return names
	}
	seen := map[*jsonschema.Schema]bool{s: true}
	names := make(map[string]bool)
	for queue := []*jsonschema.Schema{s}; len(queue) > 0; queue = queue[1:] {
		for name := range queue[0].Properties {
			names[name] = true
		}
		for _, sub := range r.graph.samePlace(queue[0]) {
			if !seen[sub] {
				seen[sub] = true
				queue = append(queue, sub)
			}
		}
	}
	if r.names == nil {
		r.names = make(map[*jsonschema.Schema][]string)
	}
	r.names[s] = slices.Sorted(maps.Keys(names))
	return r.names[s]
}

// excluded says what "not" wants.
func (r *reporter) excluded(e *jsonschema.ValidationError) string {
	s := r.schema(e)
	if s == nil || s.Not == nil {
		return "something else"
	}
	switch not := s.Not; {
	case not.Const != nil:
		return "anything but " + valueText(*not.Const)
	case not.Enum != nil:
		return "anything but " + strings.TrimPrefix(oneOf(not.Enum.Values), "one of ")
	case len(not.Required) == 1:
		return "no member " + quote(not.Required[0])
	case len(not.Required) > 1:
		return "not all of the members " + list(slices.Clone(not.Required))
	case not.Types != nil:
		return "anything but " + typeWords(not.Types.ToStrings())
	case not.Pattern != nil:
		return "a string that does not match " + shortened(not.Pattern.String())
	}
	return "something else"
}
