package proposal

import (
	"encoding/json"
	"fmt"
	"slices"
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
}

// A Diff is the difference between the contents of two documents.
type Diff struct {
	// Patch is a JSON Patch (RFC 6902) of add, remove and replace operations; applied to the
	// earlier document's Content it gives exactly the later one's. It is never nil.
	Patch   json.RawMessage `json:"patch"`
	Changes []Change        `json:"changes"`
}

// Empty tells whether the documents say the same.
func (d *Diff) Empty() bool { return len(d.Changes) == 0 }

// Compare returns what changed from a to b. Bookkeeping is not compared (see Content), numbers
// are compared as text: 1.0 is not 1. Lists are matched element by element, so that an
// insertion does not rewrite what follows; a role's nodes are compared as a set, and replaced
// as one list in the patch. The cost is linear in the documents (but for sorting keys).
// Documents of different barclamps fail with ErrOtherBarclamp.
func Compare(a, b *Document) (*Diff, error) {
	if a.barclamp != b.barclamp {
		return nil, fmt.Errorf("%w: %s and %s", ErrOtherBarclamp, a.barclamp, b.barclamp)
	}
	c := comparer{a: a, b: b, patch: []byte{'['}}
	c.document()
	return &Diff{Patch: append(c.patch, ']'), Changes: c.changes}, nil
}

// A comparer finds the differences. The operations of a patch are made one after the other, in
// such an order that all before the present place looks as in b already: so the path of a place
// in b serves the patch and the reader alike, save for what is removed from a list.
type comparer struct {
	a, b    *Document
	kind    Kind // of the changes being found
	patch   []byte
	changes []Change
}

func (c *comparer) document() {
	c.members(0, 0, "", func(name string, path string, i, j int) {
		switch name {
		case "attributes":
			c.compare(KindAttribute, path, i, j)
		case "deployment":
			c.deployment(pointerTo(path, c.a.barclamp))
		case "description":
			c.compare(KindDescription, path, i, j)
		default:
			c.compare(KindConfig, path, i, j)
		}
	})
}

func (c *comparer) deployment(path string) {
	c.members(c.a.deployment, c.b.deployment, path, func(name string, path string, i, j int) {
		switch name {
		case keyElements:
			c.elements(path, i, j)
		case keyElementOrder, keyRunListOrder:
			c.compare(KindOrder, path, i, j)
		case keyElementStates:
			c.compare(KindStates, path, i, j)
		default:
			c.compare(KindConfig, path, i, j)
		}
	})
}

// members visits the members of two objects by name; -1 stands for a member that is not there.
func (c *comparer) members(i, j int, path string, visit func(name string, path string, i, j int)) {
	old, now := c.a.contentMembers(i), c.b.contentMembers(j)
	for len(old) > 0 || len(now) > 0 {
		name, i, j := "", -1, -1
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].name <= now[0].name:
			name = old[0].name
		default:
			name = now[0].name
		}
		if len(old) > 0 && old[0].name == name {
			i, old = old[0].at, old[1:]
		}
		if len(now) > 0 && now[0].name == name {
			j, now = now[0].at, now[1:]
		}
		if i < 0 || j < 0 || c.a.raw(i) != c.b.raw(j) {
			visit(name, pointerTo(path, name), i, j)
		}
	}
}

// compare finds the differences of two values, of which one may be absent (-1).
func (c *comparer) compare(k Kind, path string, i, j int) {
	c.kind = k
	switch {
	case i < 0:
		c.added(path, j)
	case j < 0:
		c.removed(path, path, i)
	default:
		c.value(path, i, j)
	}
}

func (c *comparer) value(path string, i, j int) {
	switch k := c.a.kind(i); {
	case k != c.b.kind(j):
		c.replaced(path, i, j)
	case k == isObject:
		c.members(i, j, path, func(_ string, path string, i, j int) { c.compare(c.kind, path, i, j) })
	case k == isList && c.kind == KindAttribute:
		c.list(path, i, j)
	case !c.equal(i, j):
		c.replaced(path, i, j)
	}
}

// equal compares contents.
func (c *comparer) equal(i, j int) bool {
	return c.a.raw(i) == c.b.raw(j) || string(c.a.content(i)) == string(c.b.content(j))
}

func (c *comparer) added(path string, j int) {
	after := c.b.shown(j)
	c.operation("add", path, after)
	c.changes = append(c.changes, Change{Kind: c.kind, Path: path, After: after})
}

// removed tells the place of a value as the patch and as the reader of a knows it.
func (c *comparer) removed(path, was string, i int) {
	c.operation("remove", path, nil)
	c.changes = append(c.changes, Change{Kind: c.kind, Path: was, Before: c.a.shown(i)})
}

func (c *comparer) replaced(path string, i, j int) {
	before, after := c.a.shown(i), c.b.shown(j)
	c.operation("replace", path, after)
	c.changes = append(c.changes, Change{Kind: c.kind, Path: path, Before: before, After: after})
}

func (c *comparer) operation(op string, path string, value json.RawMessage) {
	if len(c.patch) > 1 {
		c.patch = append(c.patch, ',')
	}
	c.patch = append(c.patch, `{"op":"`+op+`","path":`...)
	c.patch = appendText(c.patch, path)
	if value != nil {
		c.patch = append(c.patch, `,"value":`...)
		c.patch = append(c.patch, value...)
	}
	c.patch = append(c.patch, '}')
}

// list matches the equal elements of two lists; what lies between two matches is compared pair
// by pair, then removed or added.
func (c *comparer) list(path string, i, j int) {
	old, now := slices.Collect(c.a.children(i)), slices.Collect(c.b.children(j))
	left, right := 0, 0
	between := func(toLeft, toRight int) {
		for ; left < toLeft && right < toRight; left, right = left+1, right+1 {
			c.value(pointerAt(path, right), old[left], now[right])
		}
		for ; left < toLeft; left++ {
			c.removed(pointerAt(path, right), pointerAt(path, left), old[left])
		}
		for ; right < toRight; right++ {
			c.added(pointerAt(path, right), now[right])
		}
	}
	for _, m := range matches(c.texts(old, now)) {
		between(m[0], m[1])
		left, right = m[0]+1, m[1]+1
	}
	between(len(old), len(now))
}

// texts returns the contents of the elements, to match them by.
func (c *comparer) texts(old, now []int) (a, b []string) {
	a, b = make([]string, len(old)), make([]string, len(now))
	for n, i := range old {
		a[n] = string(c.a.content(i))
	}
	for n, j := range now {
		b[n] = string(c.b.content(j))
	}
	return a, b
}

// matches returns ascending pairs of equal elements: all that the lists begin and end with in
// common and, if what is left is small, a longest common subsequence of that.
func matches(a, b []string) [][2]int {
	var pairs [][2]int
	start := 0
	for start < len(a) && start < len(b) && a[start] == b[start] {
		pairs = append(pairs, [2]int{start, start})
		start++
	}
	endA, endB := len(a), len(b)
	for endA > start && endB > start && a[endA-1] == b[endB-1] {
		endA, endB = endA-1, endB-1
	}
	for _, m := range commonSubsequence(a[start:endA], b[start:endB]) {
		pairs = append(pairs, [2]int{start + m[0], start + m[1]})
	}
	for endA < len(a) {
		pairs = append(pairs, [2]int{endA, endB})
		endA, endB = endA+1, endB+1
	}
	return pairs
}

// commonSubsequence is quadratic, so it leaves alone what is not small: a patch of such a list
// is longer then, and as right.
func commonSubsequence(a, b []string) [][2]int {
	const most = 1 << 14
	if len(a)*len(b) > most {
		return nil
	}
	width := len(b) + 1
	longest := make([]int, (len(a)+1)*width) // of a[i:], b[j:]
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			at := i*width + j
			if a[i] == b[j] {
				longest[at] = longest[at+width+1] + 1
			} else {
				longest[at] = max(longest[at+width], longest[at+1])
			}
		}
	}
	var pairs [][2]int
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch at := i*width + j; {
		case a[i] == b[j]:
			pairs = append(pairs, [2]int{i, j})
			i, j = i+1, j+1
		case longest[at+width] >= longest[at+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}

// elements compares the nodes of the roles. Where one side has no map of roles (absent, null or
// []) the patch takes all of it at once; people still see the roles.
func (c *comparer) elements(path string, i, j int) {
	c.kind = KindRole
	patch, changes := c.patch, c.changes
	oldMap, newMap := mapOrNone(c.a, i), mapOrNone(c.b, j)
	c.members(oldMap, newMap, path, c.role)
	if oldMap >= 0 && newMap >= 0 {
		return
	}
	roles := slices.Clone(c.changes[len(changes):])
	c.patch, c.changes = patch, changes
	c.compare(KindRole, path, i, j)
	if len(roles) > 0 {
		c.changes = append(changes, roles...)
	}
}

func mapOrNone(d *Document, i int) int {
	if i >= 0 && d.kind(i) == isObject {
		return i
	}
	return -1
}

func (c *comparer) role(role, path string, i, j int) {
	first := len(c.changes)
	c.compare(KindRole, path, i, j)
	for n := first; n < len(c.changes); n++ {
		before, after := c.a.texts(i), c.b.texts(j)
		c.changes[n].Role = role
		c.changes[n].Added = without(after, before)
		c.changes[n].Removed = without(before, after)
	}
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
