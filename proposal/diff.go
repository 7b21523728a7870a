package proposal

import (
	"encoding/json"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
)

// A Kind tells what a Change is about.
type Kind string

// The kinds of Change.
const (
	KindAttribute   Kind = "attribute"   // a value below attributes
	KindRole        Kind = "role"        // the nodes of a role, in elements
	KindOrder       Kind = "order"       // element_order, element_run_list_order
	KindStates      Kind = "states"      // element_states
	KindConfig      Kind = "config"      // config, schema-revision and whatever else there is
	KindDescription Kind = "description" // description
)

// A Change is one difference as people see it.
type Change struct {
	Kind Kind `json:"kind"`
	// Path is the JSON Pointer of the value, in the later document where it is in both; of what
	// was removed, in the earlier.
	Path string `json:"path"`
	// Before and After are the values, canonical as in Document.Content; nil where there is none.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
	// Role, Added and Removed are set for KindRole: the role, and the nodes it gained and lost,
	// each once, in the order of the document they are in. Both empty: the nodes only changed
	// their order or number of mentions, or an empty role came or went.
	Role    string   `json:"role,omitempty"`
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
	// Secret: the value is a secret, and Before and After are what is shown in its place.
	Secret bool `json:"secret,omitempty"`
}

// A Move is a node that left exactly one role and joined exactly one other.
type Move struct {
	Node string `json:"node"`
	From string `json:"from"` // role
	To   string `json:"to"`   // role
}

// A Diff is the difference between the contents of two documents.
type Diff struct {
	// Patch is a JSON Patch (RFC 6902) of add, remove and replace operations; applied to the
	// earlier document's Content it gives exactly the later one's, except that secrets stand
	// in it as they are shown. It is never nil.
	Patch   json.RawMessage `json:"patch"`
	Changes []Change        `json:"changes"`
	// Moves tells which of the nodes that Changes call added and removed only changed their role.
	// It is nil where that would take more bytes than twice the documents and a megabyte.
	Moves []Move `json:"moves,omitempty"`
}

// Empty tells whether the documents say the same.
func (d *Diff) Empty() bool { return len(d.Changes) == 0 }

// Compare returns what changed from a to b. Bookkeeping is not compared (see Content), numbers
// are compared as text: 1.0 is not 1. Lists are matched element by element, so that an
// insertion does not rewrite what follows; a role's nodes are compared as a set, and replaced
// as one list in the patch. A value that either document knows to be a secret is compared as
// it is and shown hidden. The cost is linear in the documents (but for sorting keys, and for
// the bounded search for a short patch of a list).
//
// Each operation and each Change names its place, which for very many below very long names would
// be much longer than the documents. Where the paths of all in one object or list take more than
// twice its two texts and a megabyte, it is replaced as a whole, in one operation and one Change;
// the roles as a whole are a Change of KindRole without a Role.
//
// Documents of different barclamps fail with ErrOtherBarclamp. Summarize is for whom one line
// is enough.
func Compare(a, b *Document) (*Diff, error) { return compareWithin(a, b, spareBytes) }

// compareWithin is Compare with other spareBytes.
func compareWithin(a, b *Document, spare int) (*Diff, error) {
	c, err := newComparer(a, b, spare)
	if err != nil {
		return nil, err
	}
	return c.diff(), nil
}

// A comparer finds the differences. The operations of a patch are made one after the other, in
// such an order that all before the present place looks as in b already: so the path of a place
// in b serves the patch and the reader alike, save for what is removed from a list.
type comparer struct {
	a, b  hasher
	kind  Kind // of the differences being found
	paths paths
	found []difference
	bytes int // of the paths of found
	spare int
}

// A difference is an operation and a change that are not spelt yet.
type difference struct {
	kind      Kind
	path, was int // as the patch and as the reader of a know it
	i, j      int // values of a and b; -1: none
	form      form
}

// A form is how a difference is told.
type form uint8

const (
	formValue  form = iota
	formWhole       // an object or list with too many differences to name
	formRole        // the nodes of one role
	formPatch       // an operation alone: the changes are told as formReader
	formReader      // a role's change alone, the patch being one formPatch
)

func newComparer(a, b *Document, spare int) (*comparer, error) {
	if a.barclamp != b.barclamp {
		return nil, fmt.Errorf("%w: %s and %s", ErrOtherBarclamp, a.barclamp, b.barclamp)
	}
	seed := maphash.MakeSeed()
	c := &comparer{a: hasher{Document: a, seed: seed}, b: hasher{Document: b, seed: seed}, paths: newPaths(), spare: spare}
	c.document()
	return c, nil
}

func (c *comparer) document() {
	c.members(0, 0, topPath, func(name string, path, i, j int) {
		switch name {
		case "attributes":
			c.compare(KindAttribute, path, i, j)
		case "deployment":
			c.deployment(c.paths.below(path, c.a.barclamp))
		case "description":
			c.compare(KindDescription, path, i, j)
		default:
			c.compare(KindConfig, path, i, j)
		}
	})
}

func (c *comparer) deployment(path int) {
	i, j := c.a.deployment, c.b.deployment
	c.container(KindConfig, path, i, j, func() {
		c.members(i, j, path, func(name string, path, i, j int) {
			switch name {
			case keyElements:
				c.container(KindRole, path, i, j, func() { c.elements(path, i, j) })
			case keyElementOrder, keyRunListOrder:
				c.compare(KindOrder, path, i, j)
			case keyElementStates:
				c.compare(KindStates, path, i, j)
			default:
				c.compare(KindConfig, path, i, j)
			}
		})
	})
}

// members visits the members of two objects by name, save those that are spelt alike; -1 stands
// for a member that is not there.
func (c *comparer) members(i, j, path int, visit func(name string, path, i, j int)) {
	for _, p := range unlike(c.a.Document, i, c.b.Document, j) {
		known, found := len(c.paths), len(c.found)
		visit(p.name, c.paths.below(path, p.name), p.i, p.j)
		if len(c.found) == found { // they say the same
			c.paths = c.paths[:known]
		}
	}
}

// container finds the differences inside two values, and tells them as one if there are too many.
func (c *comparer) container(k Kind, path, i, j int, inside func()) {
	known, found, bytes := len(c.paths), len(c.found), c.bytes
	inside()
	if len(c.found) == found || c.bytes-bytes <= bytesOfPaths*(c.a.length(i)+c.b.length(j))+c.spare {
		return
	}
	c.paths, c.found, c.bytes = c.paths[:known], c.found[:found], bytes
	c.kind = k
	c.differs(difference{path: path, was: path, i: i, j: j, form: formWhole})
}

// length returns how long the text of a value is; -1 has none.
func (t *tree) length(i int) int {
	if i < 0 {
		return 0
	}
	return len(t.raw(i))
}

// compare finds the differences of two values, of which one may be absent (-1).
func (c *comparer) compare(k Kind, path, i, j int) {
	c.kind = k
	if i < 0 || j < 0 {
		c.differs(difference{path: path, was: path, i: i, j: j})
		return
	}
	c.value(path, i, j)
}

func (c *comparer) value(path, i, j int) {
	switch k := c.a.kind(i); {
	case k != c.b.kind(j):
		c.differs(difference{path: path, was: path, i: i, j: j})
	case k == isObject && !c.secret(i, j):
		kind := c.kind
		c.container(kind, path, i, j, func() {
			c.members(i, j, path, func(_ string, path, i, j int) { c.compare(kind, path, i, j) })
		})
	case k == isList && !c.secret(i, j) && c.kind == KindAttribute:
		c.container(c.kind, path, i, j, func() { c.list(path, i, j) })
	case !sameContent(c.a.Document, i, c.b.Document, j):
		c.differs(difference{path: path, was: path, i: i, j: j})
	}
}

func (c *comparer) differs(d difference) {
	d.kind = c.kind
	c.bytes += c.paths[d.was].bytes
	c.found = append(c.found, d)
}

// secret tells whether one of the values is a secret; its inside is not looked at.
func (c *comparer) secret(i, j int) bool { return c.a.isSecret(i) || c.b.isSecret(j) }

// list aligns the elements of two lists; what lies between two that are equal is compared pair
// by pair, then removed or added. Elements are aligned by hash and compared all the same: a
// collision makes a patch longer, never wrong.
func (c *comparer) list(path, i, j int) {
	old, now := slices.Collect(c.a.children(i)), slices.Collect(c.b.children(j))
	left, right := 0, 0
	for left < len(old) && left < len(now) && c.a.raw(old[left]) == c.b.raw(now[left]) {
		left, right = left+1, right+1
	}
	endLeft, endRight := len(old), len(now)
	for endLeft > left && endRight > right && c.a.raw(old[endLeft-1]) == c.b.raw(now[endRight-1]) {
		endLeft, endRight = endLeft-1, endRight-1
	}
	element := func(index int) int { return c.paths.below(path, strconv.Itoa(index)) }
	both := func(x, y int) {
		if c.a.raw(old[x]) != c.b.raw(now[y]) {
			c.value(element(y), old[x], now[y])
		}
	}
	between := func(toLeft, toRight int) {
		for ; left < toLeft && right < toRight; left, right = left+1, right+1 {
			both(left, right)
		}
		for ; left < toLeft; left++ {
			c.differs(difference{path: element(right), was: element(left), i: old[left], j: -1})
		}
		for ; right < toRight; right++ {
			at := element(right)
			c.differs(difference{path: at, was: at, i: -1, j: now[right]})
		}
	}
	first := left
	for _, m := range align(c.a.all(old[left:endLeft]), c.b.all(now[right:endRight])) {
		x, y := first+m[0], first+m[1]
		between(x, y)
		both(x, y)
		left, right = x+1, y+1
	}
	between(endLeft, endRight)
}

// elements compares the nodes of the roles. Where one side has no map of roles (absent, null or
// []) the patch takes all of it at once; people still see the roles.
func (c *comparer) elements(path, i, j int) {
	oldMap, newMap := mapOrNone(c.a.Document, i), mapOrNone(c.b.Document, j)
	maps := oldMap >= 0 && newMap >= 0
	found := len(c.found)
	c.members(oldMap, newMap, path, func(_ string, path, i, j int) {
		first := len(c.found)
		c.compare(KindRole, path, i, j)
		for n := first; n < len(c.found); n++ { // a list, so one at most
			c.found[n].form = formReader
			if maps {
				c.found[n].form = formRole
			}
		}
	})
	if maps {
		return
	}
	roles := len(c.found)
	c.compare(KindRole, path, i, j)
	if roles > found {
		for n := roles; n < len(c.found); n++ {
			c.found[n].form = formPatch
		}
	}
}

func mapOrNone(d *Document, i int) int {
	if i >= 0 && d.kind(i) == isObject {
		return i
	}
	return -1
}

// without returns the elements of list that are not in other, each once.
func without(list, other []string) []string {
	seen := make(map[string]struct{}, len(list)+len(other))
	for _, s := range other {
		seen[s] = struct{}{}
	}
	var left []string
	for _, s := range list {
		if _, ok := seen[s]; !ok {
			seen[s] = struct{}{}
			left = append(left, s)
		}
	}
	return left
}
