package proposal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// What a schema expects, in the words of a Problem.

func typeWord(name string) string {
	switch name {
	case "null":
		return "null"
	case "integer":
		return "an integer"
	case "array":
		return "a list"
	case "object":
		return "an object"
	}
	return "a " + name
}

func typeWords(names []string) string {
	words := make([]string, 0, len(names))
	for _, name := range names {
		if name != "integer" || !slices.Contains(names, "number") {
			words = append(words, typeWord(name))
		}
	}
	// What is wanted first, and null, which means "not set", last.
	if n := slices.Index(words, "null"); n >= 0 {
		words = append(slices.Delete(words, n, n+1), "null")
	}
	return either(words)
}

func either(words []string) string {
	const most = 8
	if len(words) > most {
		return strings.Join(words[:most], ", ") + ", …"
	}
	if n := len(words) - 1; n > 0 {
		return strings.Join(words[:n], ", ") + " or " + words[n]
	}
	return strings.Join(words, "")
}

// oneOf lists the values of an enum.
func oneOf(values []any) string {
	const most = 12
	texts := make([]string, 0, most)
	for _, v := range values {
		if len(texts) == most {
			texts = append(texts, "…")
			break
		}
		texts = append(texts, valueText(v))
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return "one of " + strings.Join(texts, ", ")
}

// valueText returns a value of the schema as JSON.
func valueText(v any) string {
	if s, ok := v.(string); ok {
		return quote(s)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return "another value"
	}
	return shortened(strings.TrimSpace(b.String()))
}

const formatUnknown = "a value of format "

func formatWords(name string) string {
	switch name {
	case "ipv4":
		return "an IPv4 address"
	case "ipv6":
		return "an IPv6 address"
	case "hostname":
		return "a host name"
	case "email":
		return "an e-mail address"
	case "uri", "iri":
		return "a URI"
	case "uuid":
		return "a UUID"
	case "regex":
		return "a regular expression"
	case "date-time":
		return "a date and time as in RFC 3339"
	case "date":
		return "a date, YYYY-MM-DD"
	case "time":
		return "a time as in RFC 3339"
	case "json-pointer":
		return "a JSON Pointer"
	}
	return formatUnknown + name
}

// number writes a limit without exponent.
func number(r *big.Rat) string {
	if r.IsInt() {
		return shortened(r.Num().String())
	}
	digits, exact := r.FloatPrec()
	if !exact {
		return r.RatString()
	}
	return shortened(r.FloatString(digits))
}

func count(n int, thing string) string {
	switch {
	case n == 1:
		return "1 " + thing
	case strings.HasSuffix(thing, "y"):
		return fmt.Sprintf("%d %sies", n, thing[:len(thing)-1])
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// described says in a few words what a subschema wants, "a value" if that takes more.
func described(s *jsonschema.Schema) string {
	for range 8 { // references further than that are not worth following
		switch {
		case s == nil || s.Bool != nil:
			return "a value"
		case s.Const != nil:
			return valueText(*s.Const)
		case s.Enum != nil:
			return oneOf(s.Enum.Values)
		case s.Format != nil && s.Format.Name != formatPassword:
			return formatWords(s.Format.Name)
		case s.Types != nil:
			return typeWords(s.Types.ToStrings())
		}
		s = s.Ref
	}
	return "a value"
}

// retyped is the remedy for a value that is of the wrong type only because of its quotes.
func retyped(t *tree, i int, want []string) string {
	wants := func(name string) bool { return slices.Contains(want, name) }
	switch t.kind(i) {
	case isString:
		text := t.text(i)
		s, err := scan(strings.TrimSpace(text))
		switch {
		case err == nil && s.kind(0) == isBool && wants("boolean"),
			err == nil && s.kind(0) == isNull && wants("null"),
			err == nil && s.kind(0) == isNumber && (wants("number") || wants("integer") && !strings.ContainsAny(text, ".eE")):
			return "write " + shortened(strings.TrimSpace(text)) + " without quotes"
		case wants("boolean"):
			switch strings.ToLower(strings.TrimSpace(text)) {
			case "true", "yes", "on", "1":
				return "write true without quotes"
			case "false", "no", "off", "0":
				return "write false without quotes"
			}
		}
		if wants("array") {
			return "write [" + shortened(t.raw(i)) + "]"
		}
	case isNumber, isBool:
		switch raw := t.raw(i); {
		case wants("string"):
			return "write " + quote(raw) + " with quotes"
		case wants("boolean") && (raw == "0" || raw == "1"):
			return "write " + map[string]string{"0": "false", "1": "true"}[raw]
		case wants("array"):
			return "write [" + shortened(raw) + "]"
		}
	}
	return ""
}

// nearMiss returns which of the names was probably meant, misspelt or cut short ("int"), "" if
// none. Unlike nearest it never lists what there is.
func nearMiss(names []string, name string) string {
	best, distance := "", min(len(name)/3+2, max(len(name), 1))
	for _, k := range names[:min(len(names), maxNames)] {
		d := editDistance(strings.ToLower(k), strings.ToLower(name), distance)
		if len(name) > 2 && strings.HasPrefix(k, name) {
			d = 1
		}
		switch {
		case k == name:
		case d < distance:
			best, distance = k, d
		}
	}
	return best
}
