package proposal

import (
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of every document. Real ones are below 30 KB and nest less than 12 deep; the limits
// keep the time and memory that hostile input can cost within bounds.
const (
	MaxBytes = 10 << 20 // length of a document
	MaxDepth = 256      // objects and lists within each other
)

// A SyntaxError is the first place where a text is not strict JSON: RFC 8259, and I-JSON's
// (RFC 7493) refusal of what readers understand differently: a name twice in one object,
// invalid UTF-8, half a surrogate pair. It matches ErrInvalid.
type SyntaxError struct {
	Line   int    // from 1
	Column int    // in characters, from 1
	Offset int    // in bytes, from 0
	Reason string // what is wrong there
}

// Error returns "line L, column C: reason".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("proposal: line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

// Unwrap returns ErrInvalid.
func (e *SyntaxError) Unwrap() error { return ErrInvalid }

type kind uint8

const (
	isNull kind = iota
	isBool
	isNumber
	isString
	isList
	isObject
)

func (k kind) String() string {
	return [...]string{"null", "a boolean", "a number", "a string", "a list", "an object"}[k]
}

// A value is one JSON value as a span of the source. Values lie in document order, each
// followed by what it contains.
type value struct {
	start, end       uint32
	nameAt, nameEnd  uint32 // span of the member name with its quotes; empty outside objects
	size             uint32 // number of values in this one, itself included: next sibling = index + size
	kind             kind
	nameEsc, textEsc bool // contains a backslash
}

// A tree is a scanned JSON text: the text, and where in it the values lie. The root is value 0.
type tree struct {
	src    string
	values []value
}

func (t *tree) kind(i int) kind  { return t.values[i].kind }
func (t *tree) raw(i int) string { return t.src[t.values[i].start:t.values[i].end] }

// name returns the decoded member name of value i.
func (t *tree) name(i int) string {
	v := &t.values[i]
	return unquote(t.src[v.nameAt:v.nameEnd], v.nameEsc)
}

// text returns the decoded string i.
func (t *tree) text(i int) string { return unquote(t.raw(i), t.values[i].textEsc) }

// children yields the members of an object or the elements of a list.
func (t *tree) children(i int) iter.Seq[int] {
	return func(yield func(int) bool) {
		end := i + int(t.values[i].size)
		for c := i + 1; c < end; c += int(t.values[c].size) {
			if !yield(c) {
				return
			}
		}
	}
}

// members returns the first child of value i and the end of its children, for walking two
// values in step; for -1 there are none.
func (t *tree) members(i int) (first, end int) {
	if i < 0 {
		return 0, 0
	}
	return i + 1, i + int(t.values[i].size)
}

// next returns the sibling that follows value i, if there is one.
func (t *tree) next(i int) int { return i + int(t.values[i].size) }

// member returns the value of the named member, or -1 when i is no object or has none such.
func (t *tree) member(i int, name string) int {
	if i < 0 || t.kind(i) != isObject {
		return -1
	}
	for c := range t.children(i) {
		if t.name(c) == name {
			return c
		}
	}
	return -1
}

// texts returns the strings of a list; what is no string is left out.
func (t *tree) texts(i int) []string {
	if i < 0 || t.kind(i) != isList {
		return nil
	}
	list := make([]string, 0, 4)
	for c := range t.children(i) {
		if t.kind(c) == isString {
			list = append(list, t.text(c))
		}
	}
	return list
}

func unquote(quoted string, escaped bool) string {
	if !escaped {
		return quoted[1 : len(quoted)-1]
	}
	var s string
	_ = json.Unmarshal([]byte(quoted), &s) // cannot fail: the scanner accepted it
	return s
}

// scan reads one strict JSON text.
func scan(src string) (*tree, error) {
	s := scanner{tree: &tree{src: src}}
	if len(src) > MaxBytes {
		return nil, s.fail(MaxBytes, "the document is larger than %d MB", MaxBytes>>20)
	}
	if strings.HasPrefix(src, "\ufeff") {
		return nil, s.fail(0, "starts with a byte order mark: save it as UTF-8 without one")
	}
	s.values = make([]value, 0, len(src)/16+1) // about what real documents need
	s.space()
	if err := s.value(0); err != nil {
		return nil, err
	}
	s.space()
	if s.pos < len(src) {
		return nil, s.unexpected("the end of the document")
	}
	return s.tree, nil
}

type scanner struct {
	*tree
	pos int
}

func (s *scanner) fail(at int, format string, args ...any) error {
	line, column := s.lineColumn(at)
	return &SyntaxError{Line: line, Column: column, Offset: at, Reason: fmt.Sprintf(format, args...)}
}

func (s *scanner) unexpected(wanted string) error {
	if s.pos >= len(s.src) {
		return s.fail(len(s.src), "the text ends where %s should follow", wanted)
	}
	r, size := utf8.DecodeRuneInString(s.src[s.pos:])
	if r == utf8.RuneError && size <= 1 {
		return s.fail(s.pos, "found byte 0x%02x where %s should follow", s.src[s.pos], wanted)
	}
	return s.fail(s.pos, "found %q where %s should follow", r, wanted)
}

// peek returns the next byte, 0 at the end: NUL is no JSON, so it needs no telling apart.
func (s *scanner) peek() byte {
	if s.pos < len(s.src) {
		return s.src[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.src) {
		switch s.src[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) error {
	at := len(s.values)
	s.values = append(s.values, value{start: uint32(s.pos)})
	var (
		k       kind
		escaped bool
		err     error
	)
	switch c := s.peek(); {
	case c == '{':
		k, err = isObject, s.object(depth+1)
	case c == '[':
		k, err = isList, s.list(depth+1)
	case c == '"':
		k = isString
		escaped, err = s.quoted()
	case c == '-' || '0' <= c && c <= '9':
		k, err = isNumber, s.number()
	case c == 't':
		k, err = isBool, s.word("true")
	case c == 'f':
		k, err = isBool, s.word("false")
	case c == 'n':
		k, err = isNull, s.word("null")
	default:
		err = s.unexpected("a value")
	}
	if err != nil {
		return err
	}
	v := &s.values[at]
	v.kind, v.textEsc = k, escaped
	v.end, v.size = uint32(s.pos), uint32(len(s.values)-at)
	return nil
}

func (s *scanner) object(depth int) error {
	if depth > MaxDepth {
		return s.fail(s.pos, "nested more than %d deep", MaxDepth)
	}
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	var seen names
	for {
		if s.peek() != '"' {
			return s.unexpected("a member name in double quotes")
		}
		nameAt := s.pos
		escaped, err := s.quoted()
		if err != nil {
			return err
		}
		nameEnd := s.pos
		name := unquote(s.src[nameAt:nameEnd], escaped)
		if !seen.add(name) {
			return s.fail(nameAt, "%q stands twice in one object", name)
		}
		s.space()
		if s.peek() != ':' {
			return s.unexpected("a colon")
		}
		s.pos++
		s.space()
		at := len(s.values)
		if err := s.value(depth); err != nil {
			return err
		}
		v := &s.values[at]
		v.nameAt, v.nameEnd, v.nameEsc = uint32(nameAt), uint32(nameEnd), escaped
		more, err := s.more('}')
		if !more {
			return err
		}
	}
}

func (s *scanner) list(depth int) error {
	if depth > MaxDepth {
		return s.fail(s.pos, "nested more than %d deep", MaxDepth)
	}
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if err := s.value(depth); err != nil {
			return err
		}
		more, err := s.more(']')
		if !more {
			return err
		}
	}
}

// more steps over what follows an element: a comma (there is more) or the closing bracket.
func (s *scanner) more(closing byte) (bool, error) {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		if s.peek() == closing {
			return false, s.fail(s.pos, "a comma stands before %q", closing)
		}
		return true, nil
	case closing:
		s.pos++
		return false, nil
	}
	return false, s.unexpected(fmt.Sprintf("a comma or %q", closing))
}

func (s *scanner) word(w string) error {
	if !strings.HasPrefix(s.src[s.pos:], w) {
		return s.unexpected("a value")
	}
	s.pos += len(w)
	return nil
}

func (s *scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	zero := s.peek() == '0'
	digits := s.digits()
	switch {
	case digits == 0:
		return s.unexpected("a digit")
	case zero && digits > 1:
		return s.fail(s.pos-digits, "a number starts with a superfluous 0")
	}
	if s.peek() == '.' {
		s.pos++
		if s.digits() == 0 {
			return s.unexpected("a digit")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if s.digits() == 0 {
			return s.unexpected("a digit")
		}
	}
	return nil
}

func (s *scanner) digits() int {
	from := s.pos
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos - from
}

// quoted steps over a string and tells whether it holds an escape.
func (s *scanner) quoted() (escaped bool, err error) {
	from := s.pos
	s.pos++
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		switch {
		case c == '"':
			s.pos++
			return escaped, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return false, err
			}
		case c < 0x20:
			return false, s.fail(s.pos, "the control character 0x%02x in a string is not escaped", c)
		case c < utf8.RuneSelf:
			s.pos++
		default:
			r, size := utf8.DecodeRuneInString(s.src[s.pos:])
			if r == utf8.RuneError && size == 1 {
				return false, s.fail(s.pos, "byte 0x%02x is not valid UTF-8", c)
			}
			s.pos += size
		}
	}
	return false, s.fail(from, "the string that starts here does not end")
}

func (s *scanner) escape() error {
	at := s.pos
	s.pos++
	c := s.peek()
	s.pos++
	switch c {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
	default:
		return s.fail(at, "unknown escape in a string: use \\\\ for a backslash")
	}
	unit, ok := s.hex4()
	switch {
	case !ok:
		return s.fail(at, "\\u needs four hexadecimal digits")
	case unit < 0xd800 || unit > 0xdfff:
		return nil
	case unit < 0xdc00 && strings.HasPrefix(s.src[s.pos:], `\u`):
		s.pos += 2
		if low, ok := s.hex4(); ok && low >= 0xdc00 && low <= 0xdfff {
			return nil
		}
	}
	return s.fail(at, "half of a surrogate pair is no character")
}

func (s *scanner) hex4() (unit uint32, ok bool) {
	if len(s.src)-s.pos < 4 {
		return 0, false
	}
	for _, c := range []byte(s.src[s.pos : s.pos+4]) {
		switch {
		case '0' <= c && c <= '9':
			unit = unit<<4 | uint32(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			unit = unit<<4 | uint32(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	s.pos += 4
	return unit, true
}

// names is the set of an object's member names: most objects are small, so it becomes a map
// only when searching a slice would cost more.
type names struct {
	few  []string
	many map[string]struct{}
}

func (n *names) add(name string) bool {
	if n.many == nil {
		if slices.Contains(n.few, name) {
			return false
		}
		if n.few = append(n.few, name); len(n.few) > 16 {
			n.many = make(map[string]struct{}, 64)
			for _, name := range n.few {
				n.many[name] = struct{}{}
			}
		}
		return true
	}
	if _, ok := n.many[name]; ok {
		return false
	}
	n.many[name] = struct{}{}
	return true
}
