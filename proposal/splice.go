package proposal

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A splice is an edit as what comes in the place of a span of the text. Two whose guarded spans
// do not overlap mean the same in whichever order they are made.
type splice struct {
	from, to    uint32
	text        string
	guard, end  uint32 // the guarded span
	into        int    // the container that gets a further child; -1: none, or it has no other yet
	name        string // of that child
	pointer     string // of the edit
	intoIsAList bool
}

// A splicer collects the splices that can be made at once, because none touches another.
type splicer struct {
	*tree
	list     []splice
	guarded  spans
	growing  map[int]map[string]struct{} // containers that get further children: their names
	siblings map[int]*siblings           // of the containers that edits led through
}

func newSplicer(t *tree) *splicer {
	return &splicer{tree: t, growing: make(map[int]map[string]struct{}), siblings: make(map[int]*siblings)}
}

// touch tells whether s may mean something else once the splices are made. Children that a
// container gets one after the other do not touch.
func (p *splicer) touch(s splice) bool {
	if names, ok := p.growing[s.into]; ok { // then no other splice is where it grows
		_, again := names[s.name]
		return again && !s.intoIsAList
	}
	return p.guarded.overlap(span{s.guard, s.end})
}

// add takes a splice that does not touch the others.
func (p *splicer) add(s splice) {
	p.list = append(p.list, s)
	names, grows := p.growing[s.into]
	if !grows {
		p.guarded.add(span{s.guard, s.end})
		if s.into < 0 {
			return
		}
		names = make(map[string]struct{})
		p.growing[s.into] = names
	}
	names[s.name] = struct{}{}
}

// apply makes the splices and scans the text that results.
func (p *splicer) apply() (*tree, error) {
	slices.SortStableFunc(p.list, func(a, b splice) int { return cmp.Compare(a.from, b.from) })
	var b strings.Builder
	b.Grow(len(p.src))
	done := uint32(0)
	for _, s := range p.list {
		b.WriteString(p.src[done:s.from])
		b.WriteString(s.text)
		done = s.to
	}
	b.WriteString(p.src[done:])
	edited, err := scan(b.String())
	switch {
	case err == nil:
		return edited, nil
	case len(p.list) == 1:
		return nil, fmt.Errorf("edit %q: %w", p.list[0].pointer, err)
	}
	return nil, fmt.Errorf("after %d edits: %w", len(p.list), err)
}

// A span is a part of the text, never empty.
type span struct{ from, to uint32 }

// spans are parts of the text that do not overlap: sorted runs, each more than twice as long as the
// next, so that neither adding nor asking costs more than a few comparisons.
type spans [][]span

func (s spans) overlap(with span) bool {
	for _, run := range s {
		n := sort.Search(len(run), func(n int) bool { return run[n].to > with.from })
		if n < len(run) && run[n].from < with.to {
			return true
		}
	}
	return false
}

func (s *spans) add(one span) {
	run := []span{one}
	for n := len(*s) - 1; n >= 0 && len((*s)[n]) <= 2*len(run); n-- {
		run = merged((*s)[n], run)
		*s = (*s)[:n]
	}
	*s = append(*s, run)
}

func merged(a, b []span) []span {
	both := make([]span, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].from < b[0].from {
			both, a = append(both, a[0]), a[1:]
		} else {
			both, b = append(both, b[0]), b[1:]
		}
	}
	return append(append(both, a...), b...)
}

// siblings are the children of a container that several edits lead through.
type siblings struct {
	list []int
	at   map[string]int // of an object: name → index in list
}

// child returns the child that a token of a pointer names (-1 if there is none) and the one
// before it, which without such a child is the last.
func (p *splicer) child(i int, token string) (next, before int) {
	s, met := p.siblings[i]
	switch {
	case !met:
		p.siblings[i] = nil
		return p.tree.child(i, token)
	case s == nil:
		s = &siblings{list: slices.Collect(p.children(i))}
		if p.kind(i) == isObject {
			s.at = make(map[string]int, len(s.list))
			for n, c := range s.list {
				s.at[p.name(c)] = n
			}
		}
		p.siblings[i] = s
	}
	n, ok := s.at[token]
	if p.kind(i) == isList {
		n, ok = listIndex(token)
		ok = ok && n < len(s.list)
	}
	next, before = -1, -1
	if !ok {
		n = len(s.list)
	} else {
		next = s.list[n]
	}
	if n > 0 {
		before = s.list[n-1]
	}
	return next, before
}

// listIndex returns the index that a token is: digits without a superfluous 0.
func listIndex(token string) (int, bool) {
	n, err := strconv.Atoi(token)
	return n, err == nil && n >= 0 && strconv.Itoa(n) == token
}

// splice finds where an edit is to be made.
func (p *splicer) splice(e Edit) (splice, error) {
	tokens, err := pointerTokens(e.Pointer)
	if err != nil {
		return splice{}, err
	}
	if len(tokens) == 0 {
		return splice{}, fmt.Errorf("%w: the whole document cannot be edited away", ErrPath)
	}
	var text string
	if e.Value != nil {
		v, err := scan(string(e.Value))
		if err != nil {
			return splice{}, fmt.Errorf("value: %w", err)
		}
		text = v.raw(0)
	}
	in := 0
	for n := 0; ; n++ {
		token, last := tokens[n], n == len(tokens)-1
		next, before := -1, -1 // the child, and its left neighbour
		switch k := p.kind(in); {
		case k == isList && token == "-" && last:
			_, before = p.child(in, "")
		case k == isList:
			if next, before = p.child(in, token); next < 0 {
				return splice{}, fmt.Errorf("%w: the list %s has no element %q", ErrPath, pointerOf(tokens[:n]), token)
			}
		case k == isObject:
			next, before = p.child(in, token)
		default:
			return splice{}, fmt.Errorf("%w: %s is %s and has no members", ErrPath, pointerOf(tokens[:n]), k)
		}
		switch {
		case e.Value == nil && next < 0:
			return splice{}, fmt.Errorf("%w: nothing to delete at %s", ErrPath, pointerOf(tokens[:n+1]))
		case e.Value == nil && last:
			return p.without(in, next, before), nil
		case next < 0 && p.kind(in) == isList:
			return p.inserted(in, before, token, text), nil
		case next < 0:
			return p.inserted(in, before, token, nested(tokens[n:], text, p.colon(before))), nil
		case last:
			v := p.values[next]
			return splice{from: v.start, to: v.end, text: text, guard: v.start, end: v.end, into: -1}, nil
		}
		in = next
	}
}

// child returns the child that a token of a pointer names (-1 if there is none) and the one
// before it, which without such a child is the last.
func (t *tree) child(i int, token string) (next, before int) {
	index := -1
	if t.kind(i) == isList {
		if n, ok := listIndex(token); ok {
			index = n
		}
	}
	before = -1
	n := 0
	for c := range t.children(i) {
		if n == index || t.kind(i) == isObject && t.name(c) == token {
			return c, before
		}
		before = c
		n++
	}
	return -1, before
}

// nested writes "a": {"b": value} for the tokens a, b.
func nested(tokens []string, value, colon string) string {
	var b strings.Builder
	for i, token := range tokens {
		if i > 0 {
			b.WriteByte('{')
		}
		b.Write(appendText(nil, token))
		b.WriteString(colon)
	}
	b.WriteString(value)
	b.WriteString(strings.Repeat("}", len(tokens)-1))
	return b.String()
}

// from is where the text of a child begins: its name in an object.
func (t *tree) from(i int) uint32 {
	if v := t.values[i]; v.nameEnd > 0 {
		return v.nameAt
	}
	return t.values[i].start
}

// colon returns what stands between name and value of a member, ": " if there is none to copy.
func (t *tree) colon(member int) string {
	if member < 0 || t.values[member].nameEnd == 0 || t.values[member].start-t.values[member].nameEnd > maxSpacing {
		return ": "
	}
	return t.src[t.values[member].nameEnd:t.values[member].start]
}

// maxSpacing is how much white space, in bytes, is copied for a new child.
const maxSpacing = 1 << 10

// spacing returns the gap before a child for others to have, "" if it is too long.
func (t *tree) spacing(child int) string {
	end := int(t.from(child))
	start := max(end-maxSpacing, 0)
	before := t.src[start:end]
	gap := before[len(strings.TrimRight(before, " \t\r\n")):]
	if len(gap) == maxSpacing {
		return ""
	}
	return gap
}

// gap returns the white space before a child.
func (t *tree) gap(child int) string {
	before := t.src[:t.from(child)]
	return before[len(strings.TrimRight(before, " \t\r\n")):]
}

// inserted puts text behind the last child, with the white space that this child has before it.
func (t *tree) inserted(parent, last int, name, text string) splice {
	p := t.values[parent]
	if last < 0 {
		return splice{from: p.start + 1, to: p.start + 1, text: text, guard: p.start, end: p.end, into: -1}
	}
	behind := t.values[last].end
	return splice{from: behind, to: behind, text: "," + t.spacing(last) + text, guard: behind, end: p.end,
		into: parent, name: name, intoIsAList: p.kind == isList}
}

// without cuts a child and one comma beside it.
func (t *tree) without(parent, child, before int) splice {
	s := splice{into: -1}
	p, v := t.values[parent], t.values[child]
	_, end := t.members(parent)
	next := t.next(child)
	switch {
	case before >= 0: // ", child"
		s.from, s.to = t.values[before].end, v.end
	case next < end: // "child, "
		s.from, s.to = t.from(child), t.from(next)
	default: // the only one
		s.from, s.to = p.start+1, p.end-1
	}
	s.guard, s.end = s.from, s.to
	if p.kind == isList || before < 0 || next >= end { // indexes, or the spacing to follow, change
		s.end = p.end
	}
	return s
}
