package proposal

import (
	"fmt"
	"io"
	"log/slog"
)

var (
	_ fmt.Formatter  = Document{}
	_ slog.LogValuer = (*Document)(nil)
	_ fmt.Formatter  = Sealed{}
	_ slog.LogValuer = Sealed{}
)

// Format prints the key, "nova/default", for every verb, %#v and %+v included: a document in a
// log line or an error never shows its content, not even where it was copied by value.
func (d Document) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, d.Key().String())
}

// LogValue is the key, as in String.
func (d *Document) LogValue() slog.Value {
	if d == nil {
		return slog.StringValue("<nil>")
	}
	return slog.StringValue(d.String())
}

// Format prints the document's key for every verb, and nothing of the secrets.
func (s Sealed) Format(f fmt.State, verb rune) {
	if s.Document != nil {
		s.Document.Format(f, verb)
	}
}

// LogValue is the document's key.
func (s Sealed) LogValue() slog.Value { return s.Document.LogValue() }
