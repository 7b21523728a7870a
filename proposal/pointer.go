package proposal

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A JSON Pointer (RFC 6901) is "" for the whole document, or "/" before each token, with ~0
// for ~ and ~1 for /.

func pointerTo(parent, token string) string { return parent + "/" + escapedToken(token) }

func appendToken(pointer []byte, token string) []byte {
	return append(append(pointer, '/'), escapedToken(token)...)
}

func escapedToken(token string) string {
	if strings.ContainsAny(token, "~/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
	}
	return token
}

// paths are the places that are being looked at, each a token below another one. A pointer is
// only spelt where it is told: to spell all takes, for a document with a long name high up, the
// square of its size.
type paths []pathStep

type pathStep struct {
	parent int
	token  string
	bytes  int // of the pointer
}

const topPath = 0

func newPaths() paths { return paths{{}} }

func (p *paths) below(parent int, token string) int {
	bytes := (*p)[parent].bytes + 1 + len(token) + strings.Count(token, "~") + strings.Count(token, "/")
	*p = append(*p, pathStep{parent, token, bytes})
	return len(*p) - 1
}

func (p paths) pointer(at int) string {
	return string(p.appendPointer(make([]byte, 0, p[at].bytes), at))
}

func (p paths) appendPointer(b []byte, at int) []byte {
	if at == topPath {
		return b
	}
	return appendToken(p.appendPointer(b, p[at].parent), p[at].token)
}

// What the paths of differences or conflicts may take, in bytes, is so many times the texts that
// they are of and spareBytes; where an object or list would need more, it is told as a whole.
// Nothing that somebody wrote comes near.
const (
	bytesOfPaths = 2
	spareBytes   = 1 << 20
)

func pointerAt(parent string, index int) string { return parent + "/" + strconv.Itoa(index) }

func pointerOf(tokens []string) string {
	var pointer []byte
	for _, token := range tokens {
		pointer = appendToken(pointer, token)
	}
	return string(pointer)
}

func pointerTokens(pointer string) ([]string, error) {
	if pointer == "" {
		return nil, nil
	}
	if pointer[0] != '/' {
		return nil, fmt.Errorf("%w: a JSON Pointer starts with /", ErrPath)
	}
	tokens := strings.Split(pointer[1:], "/")
	for i, token := range tokens {
		rest := strings.ReplaceAll(strings.ReplaceAll(token, "~0", ""), "~1", "")
		if strings.Contains(rest, "~") {
			return nil, fmt.Errorf("%w: ~ stands for itself only as ~0", ErrPath)
		}
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
	}
	return tokens, nil
}

// Position tells where in Bytes the value stands that a JSON Pointer names, a member of an
// object with its name: line and column (in characters), both from 1. It is false if there is
// no such value.
func (d *Document) Position(pointer string) (line, column int, ok bool) {
	tokens, err := pointerTokens(pointer)
	if err != nil {
		return 0, 0, false
	}
	at := 0
	for _, token := range tokens {
		if at, _ = d.child(at, token); at < 0 {
			return 0, 0, false
		}
	}
	line, column = d.lineColumn(int(d.from(at)))
	return line, column, true
}

// lineColumn counts both from 1, columns in characters.
func (t *tree) lineColumn(offset int) (line, column int) {
	before := t.src[:offset]
	start := strings.LastIndexByte(before, '\n') + 1
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[start:]) + 1
}
