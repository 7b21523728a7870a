package proposal_test

import (
	"errors"
	"testing"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func FuzzSchema(f *testing.F) {
	for _, text := range []string{
		`true`, `{"type":"object"}`, passwords, `{"$ref":"#"}`, `{"$dynamicRef":"#a","$defs":{"a":{"$dynamicAnchor":"a","type":"string"}}}`,
		`{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}],"unevaluatedProperties":false}`,
		`{"$id":"x","properties":{"a":{"$id":"y","$anchor":"z","$ref":"x#/properties"}}}`,
		`{"patternProperties":{"^a":{"minLength":1,"maximum":1.5,"multipleOf":0.1}},"propertyNames":{"pattern":"b"},"dependencies":{"a":["b"],"c":{"required":["d"]}}}`,
		`{"if":{"contains":{"const":1}},"then":{"minContains":2,"uniqueItems":true},"else":{"oneOf":[{},{"not":{}}],"anyOf":[{"enum":[1,"a"]},{"format":"ipv4"}]}}`,
	} {
		f.Add(text)
	}
	d, err := proposal.Parse([]byte(document(`{"a":{"a":{"b":["x",1,null,{"a":"topsecret"}]},"n":-1.5e3},"db":{"password":"p"},"list":[[1],[1],"1.2.3.4"],"s":"abc","t":true}`, `"elements":{"controller":["n1"]}`)))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, scope := range []proposal.Scope{proposal.WholeDocument, proposal.AttributesOnly} {
			s, err := proposal.CompileSchema([]byte(text), scope, nil)
			if err != nil {
				var syntax *proposal.SyntaxError
				var wrong *proposal.SchemaError
				if !errors.As(err, &syntax) && (!errors.As(err, &wrong) || len(wrong.Problems) == 0 || wrong.Line < 1) {
					t.Fatalf("%q: %v", text, err)
				}
				continue
			}
			if err := s.Check(d); err != nil {
				var invalid *proposal.ValidationError
				if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
					t.Fatalf("%q: %v", text, err)
				}
			}
			marked := s.MarkSecrets(d)
			back, err := marked.Redacted().RestoreSecrets(marked, nil)
			if err != nil || string(back.Bytes()) != string(d.Bytes()) {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}

func FuzzRedact(f *testing.F) {
	for _, attributes := range []string{
		`{}`, `{"a":"x"}`, `{"a":{"a":[1,"x"]},"b":"(secret /attributes/nova/a)"}`, `{"a":"(secret /attributes/nova/a)"}`, `{"":[{"a":"\u00fc"}],"a/b":"~"}`,
	} {
		f.Add(document(attributes, `"crowbar-status":"x"`))
	}
	s, err := proposal.CompileSchema([]byte(`{"properties":{"a":{"writeOnly":true}},"additionalProperties":{"$ref":"#"},"items":{"$ref":"#"}}`), proposal.AttributesOnly, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := proposal.Parse([]byte(text))
		if err != nil {
			return
		}
		d = s.MarkSecrets(d)
		r := d.Redacted()
		sameAsParsed(t, r)
		back, err := r.RestoreSecrets(d, nil)
		if err != nil || string(back.Bytes()) != text {
			t.Fatalf("%q became %q: %v", text, r.Bytes(), err)
		}
		sealed, err := d.Seal(t.Context(), plainSealer{})
		if err != nil {
			t.Fatal(err)
		}
		if back, err := sealed.Open(t.Context(), plainSealer{}); err != nil || string(back.Bytes()) != text {
			t.Fatalf("%q was sealed as %q: %v", text, sealed.Document.Bytes(), err)
		}
	})
}
