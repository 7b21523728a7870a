package proposal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// Content returns what the document says, without the bookkeeping that Crowbar keeps in it
// (id; crowbar-revision, -applied, -committing, -queued, -status, -failed; config.environment),
// in canonical form: no white space, keys sorted by bytes, strings with the fewest escapes,
// numbers as written. Two documents say the same exactly if their Contents are equal.
func (d *Document) Content() []byte {
	return d.appendContent(make([]byte, 0, len(d.src)), 0, nil)
}

// Hash returns the SHA-256 of Content in hexadecimal.
func (d *Document) Hash() string {
	sum := sha256.Sum256(d.Content())
	return hex.EncodeToString(sum[:])
}

// shown returns the canonical text of value i for people and logs: what stands for a secret has
// its place.
func (d *Document) shown(i int) json.RawMessage { return d.appendContent(nil, i, d.secrets) }

func (d *Document) isSecret(i int) bool {
	_, secret := d.secrets[i]
	return secret
}

// appendContent writes value i; values in hide are written as the text that hides them.
func (d *Document) appendContent(b []byte, i int, hide map[int]string) []byte {
	if text, hidden := hide[i]; hidden {
		return appendText(b, text)
	}
	switch d.kind(i) {
	case isObject:
		b = append(b, '{')
		for n, m := range d.contentMembers(i) {
			if n > 0 {
				b = append(b, ',')
			}
			b = appendText(b, m.name)
			b = append(b, ':')
			b = d.appendContent(b, m.at, hide)
		}
		return append(b, '}')
	case isList:
		b = append(b, '[')
		first := i + 1
		for c := range d.children(i) {
			if c != first {
				b = append(b, ',')
			}
			b = d.appendContent(b, c, hide)
		}
		return append(b, ']')
	case isString:
		if d.values[i].textEsc {
			return appendText(b, d.text(i))
		}
	}
	return append(b, d.raw(i)...) // a string without escapes is canonical already
}

// sameValues compares all values, bookkeeping as well; the order of members and white space are
// no values.
func (d *Document) sameValues(other *Document) bool {
	if d.src == other.src {
		return true
	}
	a, b := *d, *other
	a.bookkeeping, b.bookkeeping = nil, nil
	return sameContent(&a, 0, &b, 0)
}

// inherit marks as secret what stands where documents that this one is made of have secrets.
// An element of a list counts as every element: its index may have changed, and
// hiding too much does no harm.
func (d *Document) inherit(from ...*Document) *Document {
	var places marker
	for _, f := range from {
		if len(f.secrets) > 0 {
			places.learn(&f.tree, 0, f.secretValues())
		}
	}
	if places.empty() {
		return d
	}
	values := make(map[int]bool)
	places.find(&d.tree, 0, values)
	return d.marked(values)
}

// A marker is the places of secrets as a tree, to be walked in step with a document: no place
// needs to be spelt, of which a long name would make many long ones.
type marker struct {
	secret  bool
	members map[string]*marker
	element *marker // any of a list
}

func (m *marker) empty() bool { return !m.secret && m.members == nil && m.element == nil }

// learn notes the places of values, ascending, that lie in value i and not within each other.
func (m *marker) learn(t *tree, i int, values []int) {
	if values[0] == i {
		m.secret = true
		return
	}
	for c := range t.children(i) {
		if len(values) == 0 {
			return
		}
		count, _ := slices.BinarySearch(values, t.next(c))
		if count > 0 {
			m.child(t, i, c).learn(t, c, values[:count])
			values = values[count:]
		}
	}
}

// child returns the marker of a child of value i, made if need be.
func (m *marker) child(t *tree, i, c int) *marker {
	if t.kind(i) == isList {
		if m.element == nil {
			m.element = new(marker)
		}
		return m.element
	}
	name := t.name(c)
	if m.members[name] == nil {
		if m.members == nil {
			m.members = make(map[string]*marker)
		}
		m.members[name] = new(marker)
	}
	return m.members[name]
}

// find adds what in value i stands at one of the places.
func (m *marker) find(t *tree, i int, values map[int]bool) {
	if m.secret {
		values[i] = true
		return
	}
	switch k := t.kind(i); {
	case k == isList && m.element != nil:
		for c := range t.children(i) {
			m.element.find(t, c, values)
		}
	case k == isObject && m.members != nil:
		for c := range t.children(i) {
			if member := m.members[t.name(c)]; member != nil {
				member.find(t, c, values)
			}
		}
	}
}

// isContent tells whether value i is none of the bookkeeping.
func (d *Document) isContent(i int) bool {
	_, skip := slices.BinarySearch(d.bookkeeping, i)
	return !skip
}

type member struct {
	name string
	at   int
}

func byName(a, b member) int { return strings.Compare(a.name, b.name) }

// contentMembers returns the members of object i by name, without bookkeeping; none for -1.
func (d *Document) contentMembers(i int) []member {
	if i < 0 {
		return nil
	}
	var members []member
	for c := range d.children(i) {
		if d.isContent(c) {
			members = append(members, member{d.name(c), c})
		}
	}
	slices.SortFunc(members, byName)
	return members
}

// A pair is the values that two documents have under one name; -1: none.
type pair struct {
	name string
	i, j int
}

// unlike returns the members of object i of a and j of b by name (-1: an object without
// members), but not those that are spelt alike, nor bookkeeping. Most often two objects have
// most members in the same order; these are neither sorted nor stored.
func unlike(a *Document, i int, b *Document, j int) []pair {
	var pairs []pair
	var old, now []member // that had no counterpart where one was expected
	x, endX := a.members(i)
	y, endY := b.members(j)
	for x < endX || y < endY {
		switch {
		case x < endX && !a.isContent(x):
			x = a.next(x)
		case y < endY && !b.isContent(y):
			y = b.next(y)
		case y >= endY:
			old = append(old, member{a.name(x), x})
			x = a.next(x)
		case x >= endX:
			now = append(now, member{b.name(y), y})
			y = b.next(y)
		case a.name(x) == b.name(y):
			if a.raw(x) != b.raw(y) {
				pairs = append(pairs, pair{a.name(x), x, y})
			}
			x, y = a.next(x), b.next(y)
		case a.next(x) < endX && a.name(a.next(x)) == b.name(y):
			old = append(old, member{a.name(x), x})
			x = a.next(x)
		default:
			now = append(now, member{b.name(y), y})
			y = b.next(y)
		}
	}
	slices.SortFunc(old, byName)
	slices.SortFunc(now, byName)
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0].name < now[0].name:
			pairs = append(pairs, pair{old[0].name, old[0].at, -1})
			old = old[1:]
		case len(old) == 0 || now[0].name < old[0].name:
			pairs = append(pairs, pair{now[0].name, -1, now[0].at})
			now = now[1:]
		default:
			if a.raw(old[0].at) != b.raw(now[0].at) {
				pairs = append(pairs, pair{old[0].name, old[0].at, now[0].at})
			}
			old, now = old[1:], now[1:]
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int { return strings.Compare(a.name, b.name) })
	return pairs
}

// sameContent tells whether two values say the same, however they are spelt.
func sameContent(a *Document, i int, b *Document, j int) bool {
	switch k := a.kind(i); {
	case a.raw(i) == b.raw(j):
		return true
	case k != b.kind(j):
		return false
	case k == isString:
		return a.text(i) == b.text(j)
	case k == isList:
		x, endX := a.members(i)
		y, endY := b.members(j)
		for ; x < endX && y < endY; x, y = a.next(x), b.next(y) {
			if !sameContent(a, x, b, y) {
				return false
			}
		}
		return x >= endX && y >= endY
	case k == isObject:
		for _, p := range unlike(a, i, b, j) {
			if p.i < 0 || p.j < 0 || !sameContent(a, p.i, b, p.j) {
				return false
			}
		}
		return true
	}
	return false
}

// A hasher gives equal hashes to values of equal content, to align lists by; each value is
// hashed once however deep it lies. Two that are compared with each other share the seed.
type hasher struct {
	*Document
	seed maphash.Seed
	sums []uint64 // of lists and objects; 0: not known yet
}

func (h *hasher) sum(i int) uint64 {
	switch k := h.kind(i); {
	case k == isString && h.values[i].textEsc:
		return maphash.String(h.seed, `"`+h.text(i)+`"`)
	case k != isList && k != isObject:
		return maphash.String(h.seed, h.raw(i))
	}
	if h.sums == nil {
		h.sums = make([]uint64, len(h.values))
	}
	if h.sums[i] == 0 {
		sum := uint64(h.kind(i)) // never 0 in practice; if it is, it is only found again
		for c := range h.children(i) {
			if h.kind(i) == isList {
				sum = maphash.Comparable(h.seed, [2]uint64{sum, h.sum(c)})
			} else if h.isContent(c) { // in any order
				sum += maphash.Comparable(h.seed, [2]uint64{maphash.String(h.seed, h.name(c)), h.sum(c)})
			}
		}
		h.sums[i] = sum
	}
	return h.sums[i]
}

func (h *hasher) all(values []int) []uint64 {
	sums := make([]uint64, len(values))
	for n, i := range values {
		sums[n] = h.sum(i)
	}
	return sums
}

// appendText appends s as a JSON string with the fewest escapes. Bytes that are not UTF-8 stay,
// for the scanner to refuse.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= 0x20:
			b = append(b, c)
		default:
			if at := strings.IndexByte("\b\t\n\f\r", c); at >= 0 {
				b = append(b, '\\', "btnfr"[at])
			} else {
				b = fmt.Appendf(b, `\u%04x`, c)
			}
		}
	}
	return append(b, '"')
}
