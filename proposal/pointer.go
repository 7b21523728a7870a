package proposal

import (
	"fmt"
	"strconv"
	"strings"
)

// A JSON Pointer (RFC 6901) is "" for the whole document, or "/" before each token, with ~0
// for ~ and ~1 for /.

func pointerTo(parent, token string) string {
	if strings.ContainsAny(token, "~/") {
		token = strings.ReplaceAll(strings.ReplaceAll(token, "~", "~0"), "/", "~1")
	}
	return parent + "/" + token
}

func pointerAt(parent string, index int) string { return parent + "/" + strconv.Itoa(index) }

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
