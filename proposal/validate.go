package proposal

import (
	"slices"
	"strconv"
	"strings"
)

// Validate tells whether the parts of a document fit together; it is for documents that are
// about to be committed. All problems come back in one *ValidationError:
//
//   - id is bc-<barclamp>-<name>, <barclamp>-<name> or a template's, with a name that CheckName accepts
//   - attributes, unless empty, has a member named as the barclamp (others may stand beside it)
//   - elements and element_run_list_order name only roles of element_order or element_states
//   - a role has each node once, and no nameless one
//   - a batch of element_order has each role once (other batches may repeat it), no nameless one
//
// and what the schemas find (Schema.Check), after that. nil schemas are skipped. What else the
// barclamp says of its roles is not known here.
func Validate(d *Document, schemas ...*Schema) error {
	v := validator{Document: d}
	v.names()
	known := v.order()
	v.elements(known)
	v.runListOrder(known)
	for _, s := range schemas {
		if s != nil {
			s.check(d, &v.problems)
		}
	}
	return v.err()
}

type validator struct {
	*Document
	problems
}

func (v *validator) names() {
	name := v.Name()
	switch expected := "bc-" + v.barclamp + "-<name>"; {
	case name == "":
		hint := ""
		if last := v.id[strings.LastIndexByte(v.id, '-')+1:]; CheckName(last) == nil {
			hint = "did you mean " + quote("bc-"+v.barclamp+"-"+last) + "?"
		}
		v.add("/id", quote(v.id), expected, hint)
	case v.IsTemplate():
	case CheckName(name) != nil:
		v.add("/id", quote(v.id), expected, "a name has letters, digits and _, and is not template, nodes, commit or status")
	}
	attributes := v.member(0, "attributes")
	if v.member(attributes, v.barclamp) >= 0 || v.values[attributes].size == 1 {
		return
	}
	var members []string
	for m := range v.children(attributes) {
		members = append(members, v.name(m))
	}
	v.add("/attributes", "an object without a member "+quote(v.barclamp), "the attributes of "+v.barclamp,
		"deployment says that the barclamp is "+v.barclamp+", attributes has "+list(members))
}

// order checks the batches and returns the roles that may be used elsewhere.
func (v *validator) order() (known []string) {
	at := v.member(v.deployment, keyElementOrder)
	path := below("/deployment/"+v.barclamp, keyElementOrder)
	for n, batch := range v.batches(at) {
		v.once(batch, elementOf(path, n), "role", "batch")
		known = append(known, batch...)
	}
	for role := range v.textsByName(v.member(v.deployment, keyElementStates)) {
		known = append(known, role)
	}
	slices.Sort(known)
	return slices.Compact(known)
}

func (v *validator) elements(known []string) {
	path := v.deploymentPointer(keyElements)
	if i := v.member(v.deployment, keyElements); mapOrNone(v.Document, i) >= 0 {
		for c := range v.children(i) {
			role := v.name(c)
			v.known(known, role, below(path, role))
			v.once(v.texts(c), below(path, role), "node", "role")
		}
	}
}

func (v *validator) runListOrder(known []string) {
	path := v.deploymentPointer(keyRunListOrder)
	if i := v.member(v.deployment, keyRunListOrder); mapOrNone(v.Document, i) >= 0 {
		for c := range v.children(i) {
			v.known(known, v.name(c), below(path, v.name(c)))
		}
	}
}

func (v *validator) known(known []string, role string, path func() string) {
	if _, ok := slices.BinarySearch(known, role); ok {
		return
	}
	hint := ""
	if len(v.list) < maxHints && !v.full() {
		hint = nearest(known, role)
	}
	v.addAt(path, "unknown role "+quote(role), "a role of element_order or element_states", hint)
}

// once checks that a list names each thing, and each once.
func (v *validator) once(names []string, path func() string, thing, place string) {
	seen := make(map[string]int, len(names))
	for n, name := range names {
		first, again := seen[name]
		switch {
		case name == "":
			v.addAt(elementOf(path, n), "an empty string", "the name of a "+thing, "")
		case again:
			v.addAt(elementOf(path, n), thing+" "+quote(name)+" again", "each "+thing+" once in a "+place,
				"it is already at index "+strconv.Itoa(first))
		default:
			seen[name] = n
		}
	}
}

func quote(s string) string { return shortened(string(appendText(nil, s))) }

func list(names []string) string {
	const most = 5
	slices.Sort(names)
	text := ""
	for n, name := range names {
		if n == most {
			return text + ", …"
		}
		if n > 0 {
			text += ", "
		}
		text += quote(name)
	}
	return text
}

// Near misses are looked for among this many names, and for this many problems: what is found
// beyond was not mistyped.
const (
	maxHints = 20
	maxNames = 1000
)

// nearest returns a hint if one of the known names is what name probably stands for; else
// which ones there are.
func nearest(known []string, name string) string {
	best, distance := "", len(name)/3+2
	for _, k := range known[:min(len(known), maxNames)] {
		if d := editDistance(k, name, distance); d < distance {
			best, distance = k, d
		}
	}
	switch {
	case best != "":
		return "did you mean " + quote(best) + "?"
	case len(known) > 0:
		return "known: " + list(slices.Clone(known))
	}
	return "the document knows no roles"
}

// editDistance is Levenshtein's distance in bytes, or most if it is not below that. Names whose
// lengths tell already are not looked at, so a long one costs nothing.
func editDistance(a, b string, most int) int {
	if len(a)-len(b) >= most || len(b)-len(a) >= most || len(a) > 256 || len(b) > 256 {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return min(row[len(b)], most)
}
