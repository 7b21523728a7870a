package proposal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// A Sealer keeps secrets safe where documents are stored. What Seal returns is opaque, differs
// at each call and cannot be altered without Open noticing; Open fails for what another key
// sealed. Errors never hold any of the plain text. Both may be called concurrently.
type Sealer interface {
	Seal(ctx context.Context, plain []byte) (sealed []byte, err error)
	Open(ctx context.Context, sealed []byte) (plain []byte, err error)
}

// ErrSealed: there are secrets to seal or open and no Sealer, or the sealed secrets are not those
// of the document they are with.
var ErrSealed = errors.New("proposal: sealed")

// Sealed is a document as it is stored: its secrets apart.
type Sealed struct {
	Document *Document // null in place of each secret; all other bytes as they were
	Secrets  []byte    // what the Sealer made of a JSON object, pointer → value; nil: none
}

// Seal parts the document from the secrets that are marked in it (MarkSecrets). Without any the
// Sealer is not called and may be nil; else its error is returned, wrapped, or ErrSealed if
// it is nil.
func (d *Document) Seal(ctx context.Context, s Sealer) (*Sealed, error) {
	if len(d.secrets) == 0 {
		return &Sealed{Document: d}, nil
	}
	if s == nil {
		return nil, fmt.Errorf("%w: %s has secrets and there is no Sealer", ErrSealed, d)
	}
	plain := []byte{'{'}
	pointers := d.Secrets()
	for n, i := range d.secretValues() {
		if n > 0 {
			plain = append(plain, ',')
		}
		plain = append(appendText(plain, pointers[n]), ':')
		plain = append(plain, d.raw(i)...) // as it is: package json would rewrite it
	}
	sealed, err := s.Seal(ctx, append(plain, '}'))
	if err != nil {
		return nil, fmt.Errorf("seal the secrets of %s: %w", d, err)
	}
	return &Sealed{Document: d.withoutSecrets(isNull, func(int) string { return "null" }), Secrets: sealed}, nil
}

// Open puts the secrets back: the document has the very bytes that Seal was given, and the
// secrets are marked. It fails with what the Sealer fails with, wrapped, and with ErrSealed
// where secrets and document do not belong together.
func (s *Sealed) Open(ctx context.Context, sealer Sealer) (*Document, error) {
	if s.Secrets == nil {
		return s.Document, nil
	}
	if sealer == nil {
		return nil, fmt.Errorf("%w: %s has secrets and there is no Sealer", ErrSealed, s.Document)
	}
	plain, err := sealer.Open(ctx, s.Secrets)
	if err != nil {
		return nil, fmt.Errorf("open the secrets of %s: %w", s.Document, err)
	}
	// Nothing of what json says or of the secrets may get into an error.
	var secrets map[string]json.RawMessage
	if json.Unmarshal(plain, &secrets) != nil {
		return nil, fmt.Errorf("%w: the secrets of %s are no JSON object", ErrSealed, s.Document)
	}
	places := finder{tree: &s.Document.tree}
	at := make(map[int]string, len(secrets))
	marks := make(map[int]bool, len(secrets))
	for pointer, raw := range secrets {
		i := places.find(pointer)
		if i < 0 || s.Document.kind(i) != isNull {
			return nil, fmt.Errorf("%w: %s has no place for the secret %s", ErrSealed, s.Document, pointer)
		}
		at[i], marks[i] = string(raw), true
	}
	values := s.Document.outermost(marks)
	texts := make([]string, len(values))
	for n, i := range values {
		texts[n] = at[i]
	}
	d, err := s.Document.withValues(values, texts)
	if err != nil {
		return nil, fmt.Errorf("%w: the secrets of %s are not its own", ErrSealed, s.Document)
	}
	return d, nil
}
