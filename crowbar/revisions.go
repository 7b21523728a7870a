package crowbar

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// ErrDamaged says that a record is not what was written, or is gone. The message names it.
var ErrDamaged = errors.New("crowbar: damaged")

// A revisionRecord is the first line of a revision's record. The body follows it: the text of
// the document, byte for byte but for null in place of each sealed secret, then what the
// secrets were sealed to.
//
// A body too long for one value lies in chunks, records under the SHA-256 of what they hold:
// writing one twice changes nothing, revisions share them, and one whose revision was never
// written is garbage that nobody sees.
//
// The hash of the document is not stored. It covers the secrets: with the rest of the document
// beside it, whoever has the file could try passwords against it. Reading computes it; that the
// record is whole is told by the hash of what is stored.
type revisionRecord struct {
	Number  int       `json:"number"`
	Author  string    `json:"author"`
	Message string    `json:"message,omitempty"`
	Time    time.Time `json:"time"`
	// Attempt tells apart two savers of the very same revision: of them, too, one wins, also
	// where the store lost its answer and only reading can tell whose record is there.
	Attempt     string `json:"attempt"`
	TextBytes   int    `json:"text_bytes"`
	SealedBytes int    `json:"sealed_bytes,omitempty"`
	// SHA256 of the body or, where none follows the line, of each of its chunks in order.
	SHA256 []string `json:"sha256"`
}

func revisionKey(k proposal.Key, number int) string {
	return fmt.Sprintf("%s%s/%08d", proposalPrefix, k, number)
}

// encode returns the record of a revision, having written its chunks if it needs any.
func (s *proposalStore) encode(ctx context.Context, r proposal.Revision) ([]byte, error) {
	sealed, err := s.seal(ctx, r.Document)
	if err != nil {
		return nil, err
	}
	text := sealed.Document.Bytes()
	if len(text) > proposal.MaxBytes { // null is longer than some secrets
		return nil, fmt.Errorf("%w: the document has %d bytes without its secrets, at most %d can be read again", ErrLimit, len(text), proposal.MaxBytes)
	}
	line := revisionRecord{Number: r.Number, Author: r.Author, Message: r.Message, Time: r.Time,
		Attempt: rand.Text(), TextBytes: len(text), SealedBytes: len(sealed.Secrets)}
	body := append(text, sealed.Secrets...)
	line.SHA256 = []string{sum(body)}
	record, err := json.Marshal(line)
	if err != nil {
		return nil, err
	}
	if len(record)+1+len(body) <= MaxValue {
		return append(append(record, '\n'), body...), nil
	}
	line.SHA256 = nil
	for len(body) > 0 {
		chunk := body[:min(MaxValue, len(body))]
		body = body[len(chunk):]
		if err := s.putChunk(ctx, chunk); err != nil {
			return nil, err
		}
		line.SHA256 = append(line.SHA256, sum(chunk))
	}
	if record, err = json.Marshal(line); err != nil {
		return nil, err
	}
	return append(record, '\n'), nil
}

// seal parts a document from the secrets that its barclamp's schema marks, if there is a key.
func (s *proposalStore) seal(ctx context.Context, d *proposal.Document) (*proposal.Sealed, error) {
	if s.sealer == nil {
		return &proposal.Sealed{Document: d}, nil
	}
	return s.mark(d).Seal(ctx, s.sealer)
}

// mark has a document know its secrets. Those that were sealed with it stay marked, should the
// schema have changed.
func (s *proposalStore) mark(d *proposal.Document) *proposal.Document {
	return s.registry.Schema(d.Barclamp()).MarkSecrets(d)
}

// unseal is the document that was saved, its secrets marked.
func (s *proposalStore) unseal(ctx context.Context, text, secrets []byte) (*proposal.Document, error) {
	d, err := proposal.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	const remedy = "start with the key file that it was sealed with"
	switch {
	case len(secrets) == 0:
		return s.mark(d), nil
	case s.sealer == nil:
		return nil, fmt.Errorf("%w: it holds sealed secrets and no key was given; %s", ErrOtherKey, remedy)
	}
	d, err = (&proposal.Sealed{Document: d, Secrets: secrets}).Open(ctx, s.sealer)
	switch {
	case errors.Is(err, ErrOtherKey):
		return nil, fmt.Errorf("%w; %s", err, remedy)
	case errors.Is(err, proposal.ErrSealed):
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	case err != nil:
		return nil, err
	}
	return s.mark(d), nil
}

// putChunk makes sure that a chunk is stored. Each has a transaction of its own, so that
// finding it there settles an unknown outcome.
func (s *proposalStore) putChunk(ctx context.Context, chunk []byte) error {
	key := chunkPrefix + sum(chunk)
	found, err := s.operator.ledger.store.Get(ctx, key)
	switch {
	case err == nil && bytes.Equal(found.Value, chunk):
		return nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return err
	}
	return s.operator.commit(ctx, &change{ops: []Op{{Key: key, Value: chunk}}})
}

// read returns a revision that must be there.
func (s *proposalStore) read(ctx context.Context, k proposal.Key, number int) (*proposal.Revision, error) {
	key := revisionKey(k, number)
	fail := func(cause error) (*proposal.Revision, error) {
		return nil, fmt.Errorf("crowbar: revision %d of %s, record %s: %w", number, k, key, cause)
	}
	record, err := s.operator.ledger.store.Get(ctx, key)
	if errors.Is(err, ErrNotFound) {
		return fail(fmt.Errorf("%w: it is gone", ErrDamaged))
	} else if err != nil {
		return fail(err)
	}
	line, body, err := parseRevision(record.Value)
	if err == nil && line.Number != number {
		err = fmt.Errorf("%w: it holds revision %d", ErrDamaged, line.Number)
	}
	if err == nil && body == nil {
		body, err = s.chunks(ctx, line)
	}
	if err != nil {
		return fail(err)
	}
	document, err := s.unseal(ctx, body[:line.TextBytes], body[line.TextBytes:])
	if err != nil {
		return fail(err)
	}
	return &proposal.Revision{Number: number, Parent: number - 1, Author: line.Author, Message: line.Message,
		Time: line.Time.UTC(), Hash: document.Hash(), Document: document}, nil
}

// chunks puts a body together.
func (s *proposalStore) chunks(ctx context.Context, line revisionRecord) ([]byte, error) {
	size := line.TextBytes + line.SealedBytes
	var body []byte
	for _, want := range line.SHA256 {
		chunk, err := s.operator.ledger.store.Get(ctx, chunkPrefix+want)
		switch {
		case errors.Is(err, ErrNotFound):
			return nil, fmt.Errorf("%w: its chunk %s%s is gone", ErrDamaged, chunkPrefix, want)
		case err != nil:
			return nil, fmt.Errorf("chunk %s%s: %w", chunkPrefix, want, err)
		case sum(chunk.Value) != want:
			return nil, fmt.Errorf("%w: its chunk %s%s was changed", ErrDamaged, chunkPrefix, want)
		}
		if body = append(body, chunk.Value...); len(body) > size {
			break
		}
	}
	if len(body) != size {
		return nil, fmt.Errorf("%w: its chunks do not have the %d bytes that it names", ErrDamaged, size)
	}
	return body, nil
}

// parseRevision takes a record apart. body is nil if it lies in chunks; else it is whole.
func parseRevision(value []byte) (line revisionRecord, body []byte, err error) {
	first, body, found := bytes.Cut(value, []byte{'\n'})
	if !found {
		return line, nil, fmt.Errorf("%w: it has no first line", ErrDamaged)
	}
	if err := json.Unmarshal(first, &line); err != nil {
		return line, nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	switch {
	case line.TextBytes <= 0 || line.SealedBytes < 0 || len(line.SHA256) == 0:
		return line, nil, fmt.Errorf("%w: its first line lacks what the body is", ErrDamaged)
	case len(body) == 0:
		return line, nil, nil
	case len(body) != line.TextBytes+line.SealedBytes || len(line.SHA256) != 1 || sum(body) != line.SHA256[0]:
		return line, nil, fmt.Errorf("%w: its body was changed", ErrDamaged)
	}
	return line, body, nil
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}
