package kwalify

import (
	"bytes"
	"encoding/json"
)

// An object is a JSON object whose members keep their order.
type object []member

// A member's value is an object, []any, string, int, bool, json.Number or nil.
type member struct {
	name  string
	value any
}

func (o *object) set(name string, value any) { *o = append(*o, member{name, value}) }

// text returns the JSON, indented by two spaces. Nothing in it can fail to be written.
func (o object) text() json.RawMessage {
	var b bytes.Buffer
	write(&b, o, "\n")
	b.WriteByte('\n')
	return b.Bytes()
}

// write writes v; newline is "\n" and the indentation of the line that v starts in.
func write(b *bytes.Buffer, v any, newline string) {
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			b.WriteString("{}")
			return
		}
		for i, m := range v {
			b.WriteString([]string{"{", ","}[min(i, 1)] + newline + "  ")
			write(b, m.name, "")
			b.WriteString(": ")
			write(b, m.value, newline+"  ")
		}
		b.WriteString(newline + "}")
	case []any:
		for i, item := range v {
			b.WriteString([]string{"[", ", "}[min(i, 1)])
			write(b, item, newline)
		}
		if len(v) == 0 {
			b.WriteByte('[')
		}
		b.WriteByte(']')
	default:
		encoder := json.NewEncoder(b)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(v)   // strings, numbers and bools
		b.Truncate(b.Len() - 1) // Encode's newline
	}
}
