package proposal

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// A result is what a value becomes: that of one side as it is, or a container of results.
type result struct {
	doc   *Document
	at    int    // value of doc; -1: there is none
	kind  kind   // isObject or isList: made of parts
	parts []part // spaced as the container at in ours, if that is one
}

// A part is a member or an element.
type part struct {
	result
	name string
	own  int // the child of ours that it comes from; -1: it is new there
}

func (r result) exists() bool { return r.kind != isNull || r.at >= 0 }

func (h *hasher) asIs(i int) result { return result{doc: h.Document, at: i} }

// same tells whether two values, which may be absent, say the same.
func same(a *hasher, i int, b *hasher, j int) bool {
	if i < 0 || j < 0 {
		return i == j
	}
	return a.raw(i) == b.raw(j) || a.kind(i) == b.kind(j) && a.sum(i) == b.sum(j) && sameContent(a.Document, i, b.Document, j)
}

// is tells whether value i is there and of kind k.
func (h *hasher) is(i int, k kind) bool { return i >= 0 && h.kind(i) == k }

// isNone tells whether value i is absent or null.
func (h *hasher) isNone(i int) bool { return i < 0 || h.kind(i) == isNull }

// value merges values i of base, j of ours and k of theirs, which token names below a spot; -1
// stands for one that is absent.
func (m *merger) value(p rule, parent spot, token string, i, j, k int) result {
	if same(&m.ours, j, &m.theirs, k) || same(&m.base, i, &m.theirs, k) {
		return m.ours.asIs(j)
	}
	known, found := len(m.paths), len(m.found)
	r := m.differing(p, m.below(parent, token), i, j, k)
	if len(m.found) == found { // no path needs to be spelt
		m.paths = m.paths[:known]
	}
	return r
}

func (m *merger) differing(p rule, at spot, i, j, k int) result {
	untouched := same(&m.base, i, &m.ours, j)
	secret := m.secret(i, j, k) != "" // one value, whatever is in it
	objects := m.ours.is(j, isObject) && m.theirs.is(k, isObject) && !secret
	lists := m.ours.is(j, isList) && m.theirs.is(k, isList) && !secret
	switch {
	case objects && (p == ruleSets || p == ruleNumbers || m.base.is(i, isObject) || m.base.isNone(i)):
		return m.object(p, at, i, j, k)
	case lists && p == ruleOther && m.base.is(i, isList):
		if r, ok := m.list(at, i, j, k); ok {
			return r
		}
	case untouched:
		return m.theirs.asIs(k)
	case p == ruleSets || p == ruleNumbers: // absent, null and [] are maps without roles
		return m.object(p, at, i, j, k)
	case p == ruleSet && lists && (m.base.is(i, isList) || m.base.isNone(i)):
		return m.set(i, j, k)
	case p == ruleSet && j < 0 && sameSet(m.base.texts(i), m.theirs.texts(k)),
		p == ruleSet && k < 0 && sameSet(m.base.texts(i), m.ours.texts(j)):
		return result{at: -1}
	}
	m.contradicts(at, i, j, k)
	switch at.side {
	case SideBase:
		return m.base.asIs(i)
	case SideTheirs:
		return m.theirs.asIs(k)
	}
	return m.ours.asIs(j)
}

func (m *merger) contradicts(at spot, i, j, k int) {
	m.bytes += m.paths[at.path].bytes
	m.found = append(m.found, contradiction{at.path, i, j, k, at.answered()})
}

// within merges what is in an object or list. Where that gives more conflicts than can be named, it
// is one.
func (m *merger) within(at spot, i, j, k int, inside func() (result, bool)) (result, bool) {
	known, found, bytes := len(m.paths), len(m.found), m.bytes
	r, ok := inside()
	room := bytesOfPaths*(m.base.length(i)+m.ours.length(j)+m.theirs.length(k)) + m.spare
	if at.path != topPath && len(m.found) > found && m.bytes-bytes > room {
		m.paths, m.found, m.bytes = m.paths[:known], m.found[:found], bytes
		m.contradicts(at, i, j, k)
	}
	return r, ok
}

// conflict spells a contradiction.
func (m *merger) conflict(path string, f contradiction, show [3]*Document) Conflict {
	hidden := m.secret(f.i, f.j, f.k)
	text := func(d *Document, i int) json.RawMessage {
		switch {
		case i < 0:
			return nil
		case hidden != "" && d.kind(i) != isNull:
			return appendText(nil, hidden)
		}
		return d.shown(i)
	}
	c := Conflict{Type: ChangedBoth, Path: path, Base: text(show[0], f.i), Ours: text(show[1], f.j), Theirs: text(show[2], f.k)}
	switch {
	case f.i < 0:
		c.Type = AddedBoth
	case f.j < 0:
		c.Type = RemovedChanged
	case f.k < 0:
		c.Type = ChangedRemoved
	}
	return c
}

// shown returns base, ours and theirs so that each hides what any knows to be a secret: below
// what conflicts as a whole, secrets have not been looked at one by one.
func (m *merger) shown() [3]*Document {
	base, ours, theirs := m.base.Document, m.ours.Document, m.theirs.Document
	if len(m.found) == 0 {
		return [3]*Document{base, ours, theirs}
	}
	return [3]*Document{base.inherit(ours, theirs), ours.inherit(base, theirs), theirs.inherit(base, ours)}
}

// secret returns what is shown for a value that one of the documents knows to be a secret, "" for
// any other.
func (m *merger) secret(i, j, k int) string {
	return cmp.Or(m.ours.secrets[j], m.theirs.secrets[k], m.base.secrets[i])
}

// object merges member by member; what is no object has no members. Bookkeeping is a member of
// ours alone, so it stays as it is.
func (m *merger) object(p rule, path spot, i, j, k int) result {
	r, _ := m.within(path, i, j, k, func() (result, bool) { return m.members(p, path, i, j, k), true })
	return r
}

func (m *merger) members(p rule, path spot, i, j, k int) result {
	base, theirs := m.base.byName(i), m.theirs.byName(k)
	at := func(members map[string]int, name string) int {
		if at, ok := members[name]; ok {
			return at
		}
		return -1
	}
	r := result{kind: isObject, at: -1}
	ours := make(map[string]struct{})
	if m.ours.is(j, isObject) {
		r.at = j
		for c := range m.ours.children(j) {
			name := m.ours.name(c)
			ours[name] = struct{}{}
			v := m.value(p.member(name), path, name, at(base, name), c, at(theirs, name))
			if v.exists() {
				r.parts = append(r.parts, part{v, name, c})
			}
		}
	}
	if !m.theirs.is(k, isObject) {
		return r
	}
	for c := range m.theirs.children(k) {
		name := m.theirs.name(c)
		if _, ok := ours[name]; ok || !m.theirs.isContent(c) {
			continue
		}
		v := m.value(p.member(name), path, name, at(base, name), -1, c)
		if v.exists() {
			r.parts = append(r.parts, part{v, name, -1})
		}
	}
	return r
}

// byName returns the members of value i, none if it is no object.
func (h *hasher) byName(i int) map[string]int {
	if !h.is(i, isObject) {
		return nil
	}
	members := make(map[string]int)
	for c := range h.children(i) {
		if h.isContent(c) {
			members[h.name(c)] = c
		}
	}
	return members
}

// set merges two lists of strings as sets. A string that is mentioned more than once stays so as far
// as one side alone, or neither, says otherwise: whose list is ours makes no difference but to
// the order.
func (m *merger) set(i, j, k int) result {
	base, ours, theirs := mentions(m.base.Document, i), mentions(m.ours.Document, j), mentions(m.theirs.Document, k)
	left := make(map[string]int, len(ours)+len(theirs)) // mentions still to be made
	for _, side := range [...]map[string]int{ours, theirs} {
		for s := range side {
			left[s] = mergedCount(base[s], ours[s], theirs[s])
		}
	}
	r := result{kind: isList, at: j}
	for c := range m.ours.children(j) {
		if s := m.ours.text(c); left[s] > 0 {
			left[s]--
			r.parts = append(r.parts, part{m.ours.asIs(c), "", c})
		}
	}
	for c := range m.theirs.children(k) {
		if s := m.theirs.text(c); left[s] > 0 {
			left[s]--
			r.parts = append(r.parts, part{m.theirs.asIs(c), "", -1})
		}
	}
	return r
}

// mentions counts the strings of list i, which may be absent.
func mentions(d *Document, i int) map[string]int {
	counts := make(map[string]int)
	for _, s := range d.texts(i) {
		counts[s]++
	}
	return counts
}

// mergedCount returns how often a string is mentioned that each side mentions so often.
func mergedCount(base, ours, theirs int) int {
	switch {
	case ours == base:
		return theirs
	case theirs == base:
		return ours
	}
	return min(ours, theirs)
}

func sameSet(a, b []string) bool { return len(without(a, b)) == 0 && len(without(b, a)) == 0 }

// list merges three lists by aligning those of ours and theirs with that of base: between two
// elements that all have, what only one side changed is as on that side. It is false if both
// changed something in the same place.
func (m *merger) list(at spot, i, j, k int) (result, bool) {
	return m.within(at, i, j, k, func() (result, bool) { return m.elements(at, i, j, k) })
}

func (m *merger) elements(at spot, i, j, k int) (result, bool) {
	base := slices.Collect(m.base.children(i))
	ours := slices.Collect(m.ours.children(j))
	theirs := slices.Collect(m.theirs.children(k))
	inOurs, inTheirs := counterparts(&m.base, base, &m.ours, ours), counterparts(&m.base, base, &m.theirs, theirs)

	r := result{kind: isList, at: j}
	var objects []func() // what is to be merged in depth if there is no conflict here
	own := func(elements []int) {
		for _, c := range elements {
			r.parts = append(r.parts, part{m.ours.asIs(c), "", c})
		}
	}
	x, y, z := 0, 0, 0
	between := func(toX, toY, toZ int) bool {
		b, o, t := base[x:toX], ours[y:toY], theirs[z:toZ]
		switch {
		case allSame(&m.ours, o, &m.theirs, t), allSame(&m.base, b, &m.theirs, t):
			own(o)
		case allSame(&m.base, b, &m.ours, o):
			for _, c := range t {
				r.parts = append(r.parts, part{m.theirs.asIs(c), "", -1})
			}
		case len(b) != len(o) || len(b) != len(t):
			return false
		default: // the same places on either side
			for n := range b {
				switch {
				case same(&m.ours, o[n], &m.theirs, t[n]), same(&m.base, b[n], &m.theirs, t[n]):
					own(o[n : n+1])
				case same(&m.base, b[n], &m.ours, o[n]):
					r.parts = append(r.parts, part{m.theirs.asIs(t[n]), "", o[n]})
				case m.base.is(b[n], isObject) && m.ours.is(o[n], isObject) && m.theirs.is(t[n], isObject):
					own(o[n : n+1])
					part, index, i, j, k := len(r.parts)-1, x+n, b[n], o[n], t[n]
					objects = append(objects, func() {
						r.parts[part].result = m.object(ruleOther, m.below(at, strconv.Itoa(index)), i, j, k)
					})
				default:
					return false
				}
			}
		}
		return true
	}
	for n := range base {
		if inOurs[n] >= 0 && inTheirs[n] >= 0 {
			if !between(n, inOurs[n], inTheirs[n]) {
				return result{}, false
			}
			own(ours[inOurs[n] : inOurs[n]+1])
			x, y, z = n+1, inOurs[n]+1, inTheirs[n]+1
		}
	}
	if !between(len(base), len(ours), len(theirs)) {
		return result{}, false
	}
	for _, merge := range objects {
		merge()
	}
	return r, true
}

// counterparts returns for each element of list the index of the equal one in other that it is
// aligned with, -1 if there is none.
func counterparts(a *hasher, list []int, b *hasher, other []int) []int {
	counterpart := slices.Repeat([]int{-1}, len(list))
	for _, p := range align(a.all(list), b.all(other)) {
		if same(a, list[p[0]], b, other[p[1]]) {
			counterpart[p[0]] = p[1]
		}
	}
	return counterpart
}

func allSame(a *hasher, list []int, b *hasher, other []int) bool {
	for n := range list {
		if n >= len(other) || !same(a, list[n], b, other[n]) {
			return false
		}
	}
	return len(list) == len(other)
}

// append writes the result. A container keeps the spacing that ours has.
func (r result) append(b []byte, ours *Document) []byte {
	if r.kind == isNull {
		return append(b, r.doc.raw(r.at)...)
	}
	brackets := "[]"
	if r.kind == isObject {
		brackets = "{}"
	}
	first, last := -1, -1 // children in ours
	tail := ""            // before the closing bracket
	if r.at >= 0 {
		for c := range ours.children(r.at) {
			if first < 0 {
				first = c
			}
			last = c
		}
		begin := ours.values[r.at].start + 1
		if last >= 0 {
			begin = ours.values[last].end
		}
		tail = ours.src[begin : ours.values[r.at].end-1]
		if len(r.parts) == 0 && last >= 0 {
			tail = ""
		}
	}
	b = append(b, brackets[0])
	for n, p := range r.parts {
		if n > 0 {
			b = append(b, ',')
		}
		switch {
		case first < 0 && n > 0:
			b = append(b, ' ')
		case first < 0:
		case n == 0:
			b = append(b, ours.gap(first)...)
		case p.own < 0:
			b = append(b, ours.spacing(last)...)
		case p.own == first:
			b = append(b, ours.gap(last)...)
		default:
			b = append(b, ours.gap(p.own)...)
		}
		switch {
		case r.kind == isList:
		case p.own >= 0:
			b = append(b, ours.src[ours.from(p.own):ours.values[p.own].start]...)
		default:
			b = append(appendText(b, p.name), ours.colon(last)...)
		}
		b = p.result.append(b, ours)
		if p.own >= 0 && p.own != last {
			rest := ours.src[ours.values[p.own].end:]
			b = append(b, rest[:len(rest)-len(strings.TrimLeft(rest, " \t\r\n"))]...)
		}
	}
	return append(append(b, tail...), brackets[1])
}
