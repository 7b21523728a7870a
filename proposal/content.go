package proposal

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
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

// content returns the canonical text of value i, for comparing.
func (d *Document) content(i int) json.RawMessage { return d.appendContent(nil, i, nil) }

// shown is content for people and logs: what stands for a secret has its place.
func (d *Document) shown(i int) json.RawMessage { return d.appendContent(nil, i, d.secrets) }

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

type member struct {
	name string
	at   int
}

// contentMembers returns the members of object i by name, without bookkeeping; none for -1.
func (d *Document) contentMembers(i int) []member {
	if i < 0 {
		return nil
	}
	var members []member
	for c := range d.children(i) {
		if _, skip := slices.BinarySearch(d.bookkeeping, c); !skip {
			members = append(members, member{d.name(c), c})
		}
	}
	slices.SortFunc(members, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return members
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
