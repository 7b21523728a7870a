package proposal_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// withPassword returns a document with a secret, and the schema that says so.
func withPassword() (*proposal.Document, *proposal.Schema) {
	schema, err := proposal.CompileSchema([]byte(`{"properties":{"db":{"properties":{"password":{"type":"string","format":"password"}}}}}`), proposal.AttributesOnly, nil)
	if err != nil {
		panic(err)
	}
	d, _ := mustParse(template).Set("db", []byte(`{"user":"nova","password":"hunter2"}`))
	return schema.MarkSecrets(d), schema
}

func ExampleDocument_Redacted() {
	d, _ := withPassword()
	fmt.Println(d.Secrets())
	fmt.Println(d.Redacted().Get("db").Raw)

	// So is the JSON of whatever the document is part of.
	text, err := json.Marshal([]proposal.Revision{{Number: 1, Document: d}})
	fmt.Println(strings.Contains(string(text), "hunter2"), err)
	// Output:
	// [/attributes/nova/db/password]
	// {"user":"nova","password":"(secret /attributes/nova/db/password)"}
	// false <nil>
}

func ExampleDocument_RestoreSecrets() {
	d, schema := withPassword()
	shown := d.Redacted()

	// Somebody edits what he was shown; the password is put back.
	edited, _ := shown.Set("db.user", []byte(`"admin"`))
	restored, err := edited.RestoreSecrets(d, schema)
	fmt.Println(restored.Get("db").Raw, err)

	// He cannot have it shown elsewhere.
	edited, _ = shown.Set("motd", []byte(`"(secret /attributes/nova/db/password)"`))
	_, err = edited.RestoreSecrets(d, schema)
	fmt.Println(err)
	// Output:
	// {"user":"admin","password":"hunter2"} <nil>
	// proposal: invalid: /attributes/nova/motd: found hidden text of the secret /attributes/nova/db/password, expected a value: a secret may only be kept where it was, or moved to a place that is a secret, too (type the value, or delete it)
}

// aesSealer is a Sealer of the standard library. A real key is random and lies in a file.
type aesSealer struct{ cipher.AEAD }

func newAESSealer(key []byte) (aesSealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return aesSealer{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return aesSealer{aead}, err
}

func (s aesSealer) Seal(_ context.Context, plain []byte) ([]byte, error) {
	return s.AEAD.Seal(nil, nil, plain, nil), nil
}

func (s aesSealer) Open(_ context.Context, sealed []byte) ([]byte, error) {
	return s.AEAD.Open(nil, nil, sealed, nil)
}

func ExampleDocument_Seal() {
	ctx := context.Background()
	sealer, err := newAESSealer([]byte("an example's key of 32 bytes ..."))
	if err != nil {
		fmt.Println(err)
		return
	}
	d, _ := withPassword()
	sealed, err := d.Seal(ctx, sealer)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sealed.Document.Get("db").Raw, strings.Contains(string(sealed.Secrets), "hunter2"))

	// Text and secrets are stored apart, and are one again.
	stored := &proposal.Sealed{Document: mustParse(string(sealed.Document.Bytes())), Secrets: sealed.Secrets}
	opened, err := stored.Open(ctx, sealer)
	fmt.Println(opened.Get("db").Raw, opened.Secrets(), err)
	// Output:
	// {"user":"nova","password":null} false
	// {"user":"nova","password":"hunter2"} [/attributes/nova/db/password] <nil>
}
