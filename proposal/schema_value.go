package proposal

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// Numbers beyond these are not checked but refused: comparing them exactly takes as much memory
// as they have digits, and 1e999999999 has many. A float64 ends at 1e308.
const (
	maxDigits   = 400
	maxExponent = 400
)

// decoded returns value i as package jsonschema wants it, numbers as text. Those that are too
// huge to check are given as 0, and their indexes.
func (t *tree) decoded(i int) (value any, huge []int) {
	switch t.kind(i) {
	case isBool:
		return t.raw(i) == "true", nil
	case isString:
		return t.text(i), nil
	case isNumber:
		if isHuge(t.raw(i)) {
			return json.Number("0"), []int{i}
		}
		return json.Number(t.raw(i)), nil
	case isList:
		list := []any{}
		for c := range t.children(i) {
			v, h := t.decoded(c)
			list, huge = append(list, v), append(huge, h...)
		}
		return list, huge
	case isObject:
		object := make(map[string]any)
		for c := range t.children(i) {
			v, h := t.decoded(c)
			object[t.name(c)], huge = v, append(huge, h...)
		}
		return object, huge
	}
	return nil, nil
}

func isHuge(number string) bool {
	if len(number) > maxDigits {
		return true
	}
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return false
	}
	exponent, err := strconv.Atoi(number[at+1:])
	return err != nil || exponent > maxExponent || exponent < -maxExponent
}

// A finder resolves JSON Pointers, many of them in linear time.
type finder struct {
	*tree
	members map[int]map[string]int // of the containers met so far
}

// child returns the member of that name or the element of that index, -1 if there is none.
func (f *finder) child(i int, token string) int {
	if i < 0 || f.kind(i) != isObject && f.kind(i) != isList {
		return -1
	}
	known, ok := f.members[i]
	if !ok {
		known = make(map[string]int)
		n := 0
		for c := range f.children(i) {
			if f.kind(i) == isObject {
				known[f.name(c)] = c
			} else {
				known[strconv.Itoa(n)] = c
			}
			n++
		}
		if f.members == nil {
			f.members = make(map[int]map[string]int)
		}
		f.members[i] = known
	}
	if c, ok := known[token]; ok {
		return c
	}
	return -1
}

func (f *finder) find(pointer string) int {
	tokens, err := pointerTokens(pointer)
	if err != nil {
		return -1
	}
	at := 0
	for _, token := range tokens {
		at = f.child(at, token)
	}
	return at
}

// pointers returns the JSON Pointers of values, which are ascending and not within each other.
// It gives up once they are longer than most altogether.
func (t *tree) pointers(values []int, most int) (pointers []string, ok bool) {
	pointers = make([]string, 0, len(values))
	var path []byte
	var walk func(i int, within []int) bool
	walk = func(i int, within []int) bool {
		n, length := 0, len(path)
		for c := range t.children(i) {
			if len(within) == 0 {
				break
			}
			count, _ := slices.BinarySearch(within, t.next(c))
			if mine := within[:count]; count > 0 {
				within = within[count:]
				token := strconv.Itoa(n)
				if t.kind(i) == isObject {
					token = t.name(c)
				}
				path = appendToken(path[:length], token)
				if mine[0] != c {
					if !walk(c, mine) {
						return false
					}
				} else if most -= len(path); most < 0 {
					return false
				} else {
					pointers = append(pointers, string(path))
				}
			}
			n++
		}
		return true
	}
	return pointers, walk(0, values)
}
