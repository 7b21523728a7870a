package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A path of a value is a JSON Pointer from the top of the document, or dotted below attributes,
// where it starts with the barclamp: nova.libvirt_type.

// pointerOf reads a path.
func pointerOf(barclamp, path string) (string, error) {
	if !utf8.ValidString(path) {
		return "", fmt.Errorf("path %q is not UTF-8 text, and JSON has no other names", path)
	}
	if strings.HasPrefix(path, "/") {
		return path, nil
	}
	var tokens []string
	var token strings.Builder
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path):
			i++
			token.WriteByte(path[i])
		case c == '.':
			tokens = append(tokens, token.String())
			token.Reset()
		default:
			token.WriteByte(c)
		}
	}
	tokens = append(tokens, token.String())
	switch {
	case slices.Contains(tokens, ""):
		return "", fmt.Errorf("path %q has an empty name; give one like %s.NAME.NAME, or a JSON Pointer", path, barclamp)
	case tokens[0] != barclamp:
		return "", fmt.Errorf("path %s: a path below attributes starts with the barclamp: %s.%s; a JSON Pointer from the top of the document starts with /", path, barclamp, path)
	}
	return pointerTo(append([]string{"attributes"}, tokens...)), nil
}

var (
	pointerEscape   = strings.NewReplacer("~", "~0", "/", "~1")
	pointerUnescape = strings.NewReplacer("~1", "/", "~0", "~")
)

func pointerTo(tokens []string) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString("/" + pointerEscape.Replace(t))
	}
	return b.String()
}

func pointerTokens(pointer string) []string {
	if pointer == "" {
		return nil
	}
	tokens := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, t := range tokens {
		tokens[i] = pointerUnescape.Replace(t)
	}
	return tokens
}

// dotted is a path below attributes as users write it.
func dotted(tokens []string) string {
	names := make([]string, len(tokens))
	for i, t := range tokens {
		names[i] = strings.NewReplacer(`\`, `\\`, ".", `\.`, "=", `\=`).Replace(t)
	}
	return strings.Join(names, ".")
}

// decoded is a document's JSON as Go values. No number is read: how it is written matters.
func decoded(text []byte) (content any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&content)
	return content, err
}

// lookup finds a value in decoded JSON. If it is not there, at is how many tokens lead to the
// innermost value that is, and parent is that value.
func lookup(document any, tokens []string) (value any, at int, parent any, found bool) {
	value = document
	for i, t := range tokens {
		parent = value
		switch v := value.(type) {
		case map[string]any:
			value, found = v[t]
		case []any:
			n, err := strconv.Atoi(t)
			if found = err == nil && strconv.Itoa(n) == t && n >= 0 && n < len(v); found {
				value = v[n]
			}
		default:
			found = false
		}
		if !found {
			return nil, i, parent, false
		}
	}
	return value, len(tokens), parent, true
}

// nearest is the member of an object that was probably meant, "" if none is like it.
func nearest(name string, object any) string {
	members, _ := object.(map[string]any)
	best, distance := "", len(name)/3+1
	for _, m := range slices.Sorted(maps.Keys(members)) {
		if d := edits(name, m); d <= distance && (best == "" || d < distance) {
			best, distance = m, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, before+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// placeOf is the offset in a JSON text where a value is named, or where the innermost value
// on the way to it is, if it is missing. ok is false if the text is no JSON up to there.
func placeOf(text []byte, tokens []string) (offset int, ok bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	next := func() int { // where the next token starts
		at := int(d.InputOffset())
		for at < len(text) && strings.IndexByte(" \t\r\n,:", text[at]) >= 0 {
			at++
		}
		return at
	}
	place := next()
	for _, want := range tokens {
		open, err := d.Token()
		if err != nil {
			return place, false
		}
		if open != json.Delim('{') && open != json.Delim('[') {
			return place, true
		}
		found := false
		for n := 0; !found && d.More(); n++ {
			at, name := next(), strconv.Itoa(n)
			if open == json.Delim('{') {
				token, err := d.Token()
				if err != nil {
					return place, false
				}
				name, _ = token.(string)
			}
			if found = name == want; found {
				place = at
				break
			}
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return place, false
			}
		}
		if !found {
			return place, true
		}
	}
	return place, true
}
