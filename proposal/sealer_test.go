package proposal_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// gcmSealer is AES-GCM with a random key; it counts its calls.
type gcmSealer struct {
	aead  cipher.AEAD
	calls int
}

func newSealer(t require.TestingT) *gcmSealer {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	require.NoError(t, err)
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCMWithRandomNonce(block)
	require.NoError(t, err)
	return &gcmSealer{aead: aead}
}

func (s *gcmSealer) Seal(_ context.Context, plain []byte) ([]byte, error) {
	s.calls++
	return s.aead.Seal(nil, nil, plain, nil), nil
}

func (s *gcmSealer) Open(_ context.Context, sealed []byte) ([]byte, error) {
	s.calls++
	return s.aead.Open(nil, nil, sealed, nil)
}

// plainSealer shows what is sealed.
type plainSealer struct{ err error }

func (s plainSealer) Seal(_ context.Context, b []byte) ([]byte, error) { return b, s.err }
func (s plainSealer) Open(_ context.Context, b []byte) ([]byte, error) { return b, s.err }

var _, _ proposal.Sealer = (*gcmSealer)(nil), plainSealer{}

func TestSeal(t *testing.T) {
	text := document(`{"db":{"password": "p\u00e4ss" ,"user":"u"},"keys":[ 1.0,{"a" :"(secret /attributes/nova/x)"} ],"volumes":[{"password":null},{"password":7}]}`, "")
	d := compile(t, passwords).MarkSecrets(parse(t, text))
	sealed, err := d.Seal(t.Context(), plainSealer{})
	require.NoError(t, err)
	require.Equal(t, `{"/attributes/nova/db/password":"p\u00e4ss","/attributes/nova/keys":[ 1.0,{"a" :"(secret /attributes/nova/x)"} ],"/attributes/nova/volumes/1/password":7}`, string(sealed.Secrets))
	require.Equal(t, document(`{"db":{"password": null ,"user":"u"},"keys":null,"volumes":[{"password":null},{"password":null}]}`, ""), string(sealed.Document.Bytes()))
	require.Empty(t, sealed.Document.Secrets())
	sameAsParsed(t, sealed.Document)

	// As a store has it back: parsed.
	stored := &proposal.Sealed{Document: parse(t, string(sealed.Document.Bytes())), Secrets: sealed.Secrets}
	back, err := stored.Open(t.Context(), plainSealer{})
	require.NoError(t, err)
	require.Equal(t, text, string(back.Bytes()))
	require.Equal(t, d.Secrets(), back.Secrets())
}

func TestSealWithoutSecretsNeedsNoSealer(t *testing.T) {
	d := compile(t, passwords).MarkSecrets(parse(t, document(`{"db":{"password":""}}`, "")))
	sealer := newSealer(t)
	for _, s := range []proposal.Sealer{nil, sealer} {
		sealed, err := d.Seal(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, &proposal.Sealed{Document: d}, sealed)
		back, err := sealed.Open(t.Context(), s)
		require.NoError(t, err)
		require.Same(t, d, back)
	}
	require.Zero(t, sealer.calls)
}

func TestSealFailures(t *testing.T) {
	ctx := t.Context()
	d := compile(t, passwords).MarkSecrets(parse(t, document(`{"db":{"password":"topsecret"}}`, "")))
	broken := errors.New("the key is gone")
	_, err := d.Seal(ctx, nil)
	require.ErrorIs(t, err, proposal.ErrSealed)
	_, err = d.Seal(ctx, plainSealer{broken})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "nova/default")

	sealed, err := d.Seal(ctx, newSealer(t))
	require.NoError(t, err)
	_, err = sealed.Open(ctx, nil)
	require.ErrorIs(t, err, proposal.ErrSealed)
	_, err = sealed.Open(ctx, newSealer(t))
	require.Error(t, err, "another key")
	_, err = sealed.Open(ctx, plainSealer{broken})
	require.ErrorIs(t, err, broken)

	for name, secrets := range map[string]string{
		"no object":         `["topsecret"]`,
		"no JSON":           `topsecret`,
		"nothing":           ``,
		"no such place":     `{"/attributes/nova/db/pass":"topsecret"}`,
		"no null there":     `{"/attributes/nova/db":"topsecret"}`,
		"no pointer":        `{"attributes":"topsecret"}`,
		"not what JSON has": `{"/attributes/nova/db/password":"topsecret\ud800"}`,
	} {
		_, err := (&proposal.Sealed{Document: sealed.Document, Secrets: []byte(secrets)}).Open(ctx, plainSealer{})
		require.ErrorIs(t, err, proposal.ErrSealed, name)
		require.NotContains(t, err.Error(), "topsecret", name)
	}
}

func TestSealProperties(t *testing.T) {
	sealer := newSealer(t)
	rapid.Check(t, func(t *rapid.T) {
		d := secretly().Draw(t, "document")
		sealed, err := d.Seal(t.Context(), sealer)
		require.NoError(t, err)
		require.Equal(t, len(d.Secrets()) == 0, sealed.Secrets == nil)
		sameAsParsed(t, sealed.Document)
		stored := &proposal.Sealed{Document: parse(t, string(sealed.Document.Bytes())), Secrets: sealed.Secrets}
		back, err := stored.Open(t.Context(), sealer)
		require.NoError(t, err)
		require.Equal(t, string(d.Bytes()), string(back.Bytes()))
		require.Equal(t, d.Secrets(), back.Secrets())
	})
}
