package proposal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestMarkSecrets(t *testing.T) {
	const nova = "/attributes/nova"
	for name, c := range map[string]struct {
		schema, attributes string
		want               []string
	}{
		"none":                         {`{"properties":{"a":{"type":"string"}}}`, `{"a":"x"}`, []string{}},
		"writeOnly and password":       {`{"properties":{"a":{"writeOnly":true},"b":{"format":"password"},"c":{"writeOnly":false}}}`, `{"c":"x","b":"x","a":"x"}`, []string{"/b", "/a"}},
		"empty values stay visible":    {`{"additionalProperties":{"writeOnly":true}}`, `{"a":"","b":null,"c":[],"d":{},"e":0,"f":false," ":" "}`, []string{"/e", "/f", "/ "}},
		"hidden texts stay visible":    {`{"additionalProperties":{"writeOnly":true}}`, `{"a":"(secret /attributes/nova/b)","b":"(secret /attributes/~)","c":"(secret /x)"}`, []string{"/b", "/c"}},
		"a list is hidden whole":       {`{"properties":{"a":{"writeOnly":true,"items":{"format":"password"}}}}`, `{"a":["x","y"]}`, []string{"/a"}},
		"lists":                        {`{"properties":{"a":{"prefixItems":[{},{"writeOnly":true}],"items":{"properties":{"p":{"format":"password"}}}},"b":{"contains":{"format":"password"}}}}`, `{"a":["x","y",{"p":"z","q":"w"}],"b":["x"]}`, []string{"/a/1", "/a/2/p", "/b/0"}},
		"patterns":                     {`{"patternProperties":{"_password$":{"writeOnly":true}},"additionalProperties":{"properties":{"p":{"writeOnly":true}}}}`, `{"san_password":"x","p":"y","o":{"p":"z"}}`, []string{"/san_password", "/o/p"}},
		"not additional if listed":     {`{"properties":{"a":{}},"patternProperties":{"b":{}},"additionalProperties":{"writeOnly":true}}`, `{"a":"x","b":"x","c":"x"}`, []string{"/c"}},
		"references":                   {`{"properties":{"a":{"$ref":"#/$defs/p"},"b":{"$ref":"#p"},"c":{"properties":{"d":{"$ref":"#"}}}},"$defs":{"p":{"$anchor":"p","writeOnly":true}}}`, `{"a":"x","b":"x","c":{"d":{"a":"x"}}}`, []string{"/a", "/b", "/c/d/a"}},
		"dynamic references":           {`{"$id":"https://example.com/s","$ref":"list","$defs":{"item":{"$dynamicAnchor":"item","format":"password"},"list":{"$id":"list","properties":{"l":{"items":{"$dynamicRef":"#item"}}},"$defs":{"item":{"$dynamicAnchor":"item"}}}}}`, `{"l":["x"]}`, []string{"/l/0"}},
		"alternatives and conditions":  {`{"allOf":[{"properties":{"a":{"writeOnly":true}}}],"anyOf":[{"properties":{"b":{"const":"y","writeOnly":true}}},{}],"oneOf":[{"required":["z"],"properties":{"c":{"writeOnly":true}}},{}],"if":{"properties":{"d":{"const":1}}},"then":{"properties":{"e":{"writeOnly":true}}},"else":{"properties":{"f":{"writeOnly":true}}},"dependentSchemas":{"g":{"properties":{"h":{"writeOnly":true}}}},"unevaluatedProperties":{"properties":{"i":{"writeOnly":true}}}}`, `{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"j":{"i":1}}`, []string{"/a", "/b", "/c", "/e", "/f", "/h", "/j/i"}},
		"the attributes as a whole":    {`{"writeOnly":true}`, `{"a":"x","b":{"c":1},"d":""}`, []string{"/a", "/b"}},
		"names that pointers escape":   {`{"additionalProperties":{"writeOnly":true}}`, `{"a/b~c.d\u00fc\"":"x"}`, []string{"/a~1b~0c.dü\""}},
		"whatever the type":            {`{"type":"string","properties":{"a":{"type":"null","writeOnly":true}}}`, `{"a":"x"}`, []string{"/a"}},
		"nothing for a boolean schema": {`true`, `{"a":"x"}`, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			for i := range c.want {
				c.want[i] = nova + c.want[i]
			}
			s := compile(t, c.schema)
			d := s.MarkSecrets(parse(t, document(c.attributes, "")))
			require.Equal(t, c.want, d.Secrets())
			require.Equal(t, c.want, s.MarkSecrets(d).Secrets(), "marked again")
		})
	}
}

func TestMarksJoinAndStayBelowAttributes(t *testing.T) {
	d := parse(t, `{"id":"bc-nova-x","description":"d","attributes":{"rails":{"key":"r"},"nova":{"a":"x","b":{"c":"y","d":"z"}}},"deployment":{"nova":{"elements":{"role":["node"]}}}}`)
	all, err := proposal.CompileSchema([]byte(`{"writeOnly":true}`), proposal.WholeDocument, nil)
	require.NoError(t, err)
	require.Equal(t, []string{"/attributes/rails", "/attributes/nova/a", "/attributes/nova/b"}, all.MarkSecrets(d).Secrets())
	rest, err := proposal.CompileSchema([]byte(`{"properties":{"deployment":{"writeOnly":true},"id":{"format":"password"}}}`), proposal.WholeDocument, nil)
	require.NoError(t, err)
	require.Empty(t, rest.MarkSecrets(d).Secrets())

	a, b := compile(t, `{"properties":{"a":{"writeOnly":true},"b":{"properties":{"c":{"writeOnly":true}}}}}`), compile(t, `{"properties":{"b":{"writeOnly":true}}}`)
	require.Equal(t, []string{"/attributes/nova/a", "/attributes/nova/b/c"}, a.MarkSecrets(d).Secrets())
	require.Equal(t, []string{"/attributes/nova/a", "/attributes/nova/b"}, b.MarkSecrets(a.MarkSecrets(d)).Secrets(), "what holds a secret hides it")
	require.Equal(t, b.MarkSecrets(a.MarkSecrets(d)).Secrets(), a.MarkSecrets(b.MarkSecrets(d)).Secrets())
	require.Same(t, d, (*proposal.Schema)(nil).MarkSecrets(d))
	require.Empty(t, d.Secrets(), "the document itself does not change")

	named, err := a.MarkSecrets(d).WithName("y")
	require.NoError(t, err)
	require.Equal(t, []string{"/attributes/nova/a", "/attributes/nova/b/c"}, named.Secrets(), "an edit keeps the marks")
}

func TestVeryManySecretsAreHiddenWhole(t *testing.T) {
	s := compile(t, `{"properties":{"a":{"items":{"writeOnly":true}}}}`)
	for n, want := range map[int]int{10_000: 10_000, 10_001: 2} {
		d := s.MarkSecrets(parse(t, document(`{"a":[`+strings.TrimSuffix(strings.Repeat("1,", n), ",")+`],"b":1}`, "")))
		require.Len(t, d.Secrets(), want)
	}
	long := strings.Repeat("x", 1<<20)
	d := compile(t, `{"additionalProperties":{"items":{"writeOnly":true}}}`).MarkSecrets(parse(t, document(`{"`+long+`":[1,2,3,4,5,6,7,8]}`, "")))
	require.Equal(t, []string{"/attributes/nova/" + long}, d.Secrets(), "pointers that are long altogether")
}

const passwords = `{"$defs":{"p":{"format":"password"}},"properties":{
	"db":{"properties":{"password":{"$ref":"#/$defs/p"}}},
	"keys":{"writeOnly":true},
	"volumes":{"items":{"properties":{"password":{"$ref":"#/$defs/p"}}}}}}`

func TestRedacted(t *testing.T) {
	text := document(`{ "db": {"password":"p\u00e4ss", "user" : "u"}, "keys":[1.0, {"k" : "kk"}],"volumes":[{"password":""},{"password":"v"} ] ,"n":1e3}`, `"config":{"environment":"nova-config-x"}`)
	d := compile(t, passwords).MarkSecrets(parse(t, text))
	r := d.Redacted()
	require.Equal(t, document(`{ "db": {"password":"(secret /attributes/nova/db/password)", "user" : "u"}, "keys":"(secret /attributes/nova/keys)","volumes":[{"password":""},{"password":"(secret /attributes/nova/volumes/1/password)"} ] ,"n":1e3}`, `"config":{"environment":"nova-config-x"}`), string(r.Bytes()))
	require.Equal(t, text, string(d.Bytes()))
	require.Empty(t, r.Secrets())
	require.Same(t, r, r.Redacted())
	sameAsParsed(t, r)

	require.Equal(t, []string{"/attributes/nova/db/password", "/attributes/nova/keys", "/attributes/nova/volumes/1/password"}, r.HiddenSecrets())
	require.True(t, r.HiddenInLists())
	require.False(t, d.HiddenInLists())
	require.Empty(t, d.HiddenSecrets())
	without, err := r.With(proposal.Edit{Pointer: "/attributes/nova/volumes"})
	require.NoError(t, err)
	require.False(t, without.HiddenInLists())
	require.Same(t, r, compile(t, passwords).MarkSecrets(r).Redacted().Redacted().Redacted(), "nothing is hidden twice")
}

// sameAsParsed checks that a document made by splicing knows what Parse would.
func sameAsParsed(t require.TestingT, d *proposal.Document) {
	parsed := parse(t, string(d.Bytes()))
	require.Equal(t, string(parsed.Content()), string(d.Content()))
	require.Equal(t, parsed.Deployment(), d.Deployment())
	require.Equal(t, parsed.Attributes().Raw, d.Attributes().Raw)
	require.Equal(t, parsed.Roles(), d.Roles())
	require.Equal(t, parsed.Key(), d.Key())
	diff := compare(t, parsed, d)
	require.True(t, diff.Empty(), "%s", diff.Patch)
	require.Equal(t, fmt.Sprint(proposal.Validate(parsed)), fmt.Sprint(proposal.Validate(d)))
}

func TestRestoreSecrets(t *testing.T) {
	s := compile(t, passwords)
	from := s.MarkSecrets(parse(t, document(`{"db":{"password":"old"},"keys":{"a" : [1.0]},"volumes":[{"name":"x","password":"vx"},{"name":"y","password":"vy"}]}`, "")))
	edit := func(t *testing.T, d *proposal.Document, pointer, value string) *proposal.Document {
		d, err := d.With(proposal.Edit{Pointer: pointer, Value: []byte(value)})
		require.NoError(t, err)
		return d
	}

	t.Run("as it was", func(t *testing.T) {
		back, err := from.Redacted().RestoreSecrets(from, nil)
		require.NoError(t, err)
		require.Equal(t, string(from.Bytes()), string(back.Bytes()))
		require.Equal(t, from.Secrets(), back.Secrets())
	})
	t.Run("elements that moved keep their own", func(t *testing.T) {
		d := edit(t, from.Redacted(), "/attributes/nova/volumes", `[{"name":"y","password":"(secret /attributes/nova/volumes/1/password)"},{"name":"new","password":"typed"},{"name":"x","password":"(secret /attributes/nova/volumes/0/password)"}]`)
		back, err := d.RestoreSecrets(from, nil)
		require.NoError(t, err)
		require.Equal(t, `[{"name":"y","password":"vy"},{"name":"new","password":"typed"},{"name":"x","password":"vx"}]`, back.Get("volumes").Raw)
		require.Equal(t, `{"a" : [1.0]}`, back.Get("keys").Raw)
		require.Equal(t, []string{"/attributes/nova/db/password", "/attributes/nova/keys", "/attributes/nova/volumes/0/password", "/attributes/nova/volumes/2/password"}, back.Secrets())
		require.Contains(t, string(back.Redacted().Bytes()), `"(secret /attributes/nova/volumes/2/password)"`)
		require.Len(t, s.MarkSecrets(back).Secrets(), 5)
		marked, err := s.MarkSecrets(d).RestoreSecrets(from, nil)
		require.NoError(t, err)
		require.Len(t, marked.Secrets(), 5, "marks that were there stay")
	})
	t.Run("all that is not there is reported", func(t *testing.T) {
		d := edit(t, from.Redacted(), "/attributes/nova/db/password", `"(secret /attributes/nova/db/pasword)"`)
		d = edit(t, d, "/attributes/nova/user", `"(secret /attributes/nova/db)"`)
		_, err := d.RestoreSecrets(from, nil)
		var invalid *proposal.ValidationError
		require.ErrorAs(t, err, &invalid)
		const found, hint = "hidden text of a secret that revision does not have", "type the value, or delete it"
		require.Empty(t, cmp.Diff(problems{
			{Path: "/attributes/nova/db/password", Found: found, Expected: "a value", Hint: hint},
			{Path: "/attributes/nova/user", Found: found, Expected: "a value", Hint: hint},
		}, invalid.Problems))
	})
	t.Run("from a revision whose secrets nobody marked", func(t *testing.T) {
		_, err := from.Redacted().RestoreSecrets(parse(t, string(from.Bytes())), s)
		require.ErrorIs(t, err, proposal.ErrInvalid)
	})
	t.Run("only exact texts, and only below attributes", func(t *testing.T) {
		d := edit(t, from, "/description", `"(secret /attributes/nova/db/password)"`)
		d = edit(t, d, "/attributes/nova/x", `"see (secret /attributes/nova/db/password)"`)
		back, err := d.RestoreSecrets(from, nil)
		require.NoError(t, err)
		require.Same(t, d, back)
	})
	t.Run("a text that looks like one", func(t *testing.T) {
		like := parse(t, document(`{"a":"(secret /attributes/nova/zzz)"}`, ""))
		back, err := like.RestoreSecrets(like, nil)
		require.NoError(t, err)
		require.Same(t, like, back)
	})
	t.Run("too long", func(t *testing.T) {
		big := s.MarkSecrets(parse(t, document(`{"db":{"password":"`+strings.Repeat("x", 3<<20)+`"}}`, "")))
		d := edit(t, big.Redacted(), "/attributes/nova/x", `["(secret /attributes/nova/db/password)","(secret /attributes/nova/db/password)","(secret /attributes/nova/db/password)"]`)
		whole := compile(t, `{"properties":{"x":{"writeOnly":true}}}`)
		_, err := d.RestoreSecrets(big, whole)
		require.ErrorContains(t, err, "larger than 10 MB")
	})
}

// Whoever may edit a document must not have its secrets shown to him.
func TestSecretsOnlyGoWhereTheyStaySecrets(t *testing.T) {
	s := compile(t, `{"$defs":{"p":{"writeOnly":true}},"properties":{
		"db":{"properties":{"password":{"$ref":"#/$defs/p"},"old":{"$ref":"#/$defs/p"}}},
		"keys":{"$ref":"#/$defs/p"},
		"users":{"additionalProperties":{"properties":{"password":{"$ref":"#/$defs/p"}}}},
		"volumes":{"items":{"properties":{"password":{"$ref":"#/$defs/p"}}}}}}`)
	from := s.MarkSecrets(parse(t, document(`{"db":{"password":"TOP"},"keys":["k"],"users":{"0":{"password":"u0"},"x":{}},"volumes":[{"password":"v0"},{"name":"n"}],"script":"","list":[[1]]}`, "")))
	const (
		password = `"(secret /attributes/nova/db/password)"`
		expected = "a value: a secret may only be kept where it was, or moved to a place that is a secret, too"
		remedy   = "type the value, or delete it"
	)
	for name, c := range map[string]struct {
		pointer, value string
		schema         *proposal.Schema
		fine           bool
	}{
		"shown":                             {"/script", password, s, false},
		"in a new list":                     {"/list", "[" + password + "]", s, false},
		"beside":                            {"/db/user", password, s, false},
		"above":                             {"/db", password, s, false},
		"below":                             {"/db/password", `{"x":` + password + `}`, nil, false},
		"within a secret":                   {"/db/password", `{"x":` + password + `}`, s, true},
		"where another is":                  {"/keys", `["a",` + password + `]`, s, true},
		"to a new place of a secret":        {"/db/old", password, s, true},
		"the same, but nobody says so":      {"/db/old", password, nil, false},
		"another element":                   {"/volumes/1/password", `"(secret /attributes/nova/volumes/0/password)"`, nil, true},
		"another member":                    {"/users/x/password", `"(secret /attributes/nova/users/0/password)"`, nil, false},
		"a member that looks like an index": {"/users", `[{},{"password":"(secret /attributes/nova/users/0/password)"}]`, nil, false},
		"another member, marked":            {"/users/x/password", `"(secret /attributes/nova/users/0/password)"`, s, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := with(t, from.Redacted(), set("/attributes/nova"+c.pointer, c.value))
			back, err := d.RestoreSecrets(from, c.schema)
			if c.fine {
				require.NoError(t, err)
				require.Empty(t, back.HiddenSecrets())
				require.NotRegexp(t, "TOP|v0|u0", string(back.Redacted().Bytes()), "what was restored is marked")
				return
			}
			var invalid *proposal.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Len(t, invalid.Problems, 1)
			require.Equal(t, []string{expected, remedy}, []string{invalid.Problems[0].Expected, invalid.Problems[0].Hint})
			require.Contains(t, invalid.Problems[0].Path, "/attributes/nova"+c.pointer)
		})
	}

	t.Run("all are secrets where that cannot be told", func(t *testing.T) {
		all := compile(t, `{"writeOnly":true}`)
		_, err := with(t, from.Redacted(), set("/attributes/nova/script", password)).RestoreSecrets(from, all)
		require.NoError(t, err)
	})
}

// A slip in a hidden text is no password.
func TestNearlyHiddenTextsAreRefused(t *testing.T) {
	s := compile(t, passwords)
	from := s.MarkSecrets(parse(t, document(`{"db":{"password":"TOP"},"keys":["k"],"script":""}`, "")))
	for _, slip := range []string{"(secrt /attributes/nova/db/password)", "(Secret /attributes/nova/db/password)", "(secret  /attributes/nova/db/password)",
		" (secret /attributes/nova/db/password)", "( /attributes/)", "(secret /attributes/nova/db/~2)"} {
		at := func(pointer string) *proposal.Document {
			return with(t, from.Redacted(), set(pointer, quoted(slip)))
		}
		for pointer, at := range map[string]*proposal.Document{
			"/attributes/nova/db/password": at("/attributes/nova/db/password"),
			"/attributes/nova/keys/1":      with(t, from.Redacted(), set("/attributes/nova/keys", `["x",`+quoted(slip)+`]`)),
		} {
			for _, from := range []*proposal.Document{nil, from} {
				if from == nil {
					at = with(t, at, set("/attributes/nova/db/user", "1"))
				}
				_, err := at.RestoreSecrets(from, s)
				var invalid *proposal.ValidationError
				require.ErrorAs(t, err, &invalid, slip)
				at := slices.IndexFunc(invalid.Problems, func(p proposal.Problem) bool { return p.Path == pointer })
				require.NotEqual(t, -1, at)
				require.Equal(t, "a text that is nearly the hidden text of a secret", invalid.Problems[at].Found)
				require.Contains(t, invalid.Problems[at].Hint, "(secret "+pointer+")")
			}
		}
		_, err := at("/attributes/nova/script").RestoreSecrets(from, s)
		require.NoError(t, err, "elsewhere it is any text")
	}
	d := with(t, from, set("/attributes/nova/db/password", `"(pass /word/)"`))
	same, err := d.RestoreSecrets(nil, s)
	require.NoError(t, err)
	require.Same(t, d, same)
}

// secretly generates a document, a schema that marks some of its values, and the texts of these.
func secretly() *rapid.Generator[*proposal.Document] {
	return rapid.Custom(func(t *rapid.T) *proposal.Document {
		d := parse(t, documents().Draw(t, "document"))
		rule := rapid.SampledFrom([]string{
			`{"writeOnly":true}`, `{"properties":{"a":{"writeOnly":true}},"additionalProperties":{"$ref":"#"},"items":{"$ref":"#"}}`,
			`{"additionalProperties":{"anyOf":[{"writeOnly":true},{}]}}`, `{"items":{"format":"password"},"additionalProperties":{"$ref":"#"}}`,
			`{"patternProperties":{"^[a-b]":{"writeOnly":true}},"additionalProperties":{"$ref":"#"}}`, `{}`,
		}).Draw(t, "rule")
		return compile(t, rule).MarkSecrets(d)
	})
}

func TestRedactedProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := secretly().Draw(t, "document")
		r := d.Redacted()
		sameAsParsed(t, r)
		require.Equal(t, len(d.Secrets()), len(r.HiddenSecrets()))
		for _, pointer := range d.Secrets() {
			require.Equal(t, `"(secret `+pointer+`)"`, canonical(r, pointer))
		}
		back, err := r.RestoreSecrets(d, nil)
		require.NoError(t, err)
		require.Equal(t, string(d.Bytes()), string(back.Bytes()))
		require.Equal(t, d.Secrets(), back.Secrets())
		require.Equal(t, d.Hash(), back.Hash())
	})
}

// canonical returns the canonical text of a value by its pointer.
func canonical(d *proposal.Document, pointer string) string {
	var v any = decodeOrNil(d.Bytes())
	for _, token := range strings.Split(pointer, "/")[1:] {
		token = strings.NewReplacer("~1", "/", "~0", "~").Replace(token)
		switch at := v.(type) {
		case map[string]any:
			v = at[token]
		case []any:
			n, _ := strconv.Atoi(token)
			v = at[n]
		}
	}
	s, _ := v.(string)
	return `"` + s + `"`
}

func TestSecretTextsAreNowhere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Texts that cannot be elsewhere by chance.
		n := rapid.IntRange(0, 1<<30).Draw(t, "n")
		secret := fmt.Sprintf("TOPSECRET%dX", n)
		wrap := rapid.SampledFrom([]string{`"%s"`, `["%s"]`, `{"%s":1}`, `[{"x":"%s"},0]`, `"\u0041%s"`}).Draw(t, "shape")
		key := rapid.SampledFrom([]string{"a", "a/b", "~", "ü", ""}).Draw(t, "key")
		d := parse(t, document(`{"x":1,`+quoted(key)+`: `+fmt.Sprintf(wrap, secret)+`, "list":[`+fmt.Sprintf(wrap, secret)+`]}`, ""))
		s := compile(t, `{"properties":{"x":{}},"additionalProperties":{"writeOnly":true,"type":"boolean","const":0,"minLength":99,"maxProperties":0,"propertyNames":{"maxLength":1},"items":{"enum":[1]}}}`)
		marked := s.MarkSecrets(d)
		sealer := newSealer(t)
		sealed, err := marked.Seal(t.Context(), sealer)
		require.NoError(t, err)
		for _, text := range []string{
			string(marked.Redacted().Bytes()), string(sealed.Document.Bytes()), string(sealed.Secrets), s.Check(d).Error(), s.Check(marked).Error(),
			fmt.Sprint(marked), fmt.Sprintf("%#v %+v %d %x %q", marked, *marked, marked, marked, *marked),
		} {
			require.NotContains(t, text, secret)
		}
	})
}

func TestDocumentsDoNotPrintTheirContent(t *testing.T) {
	d := parse(t, document(`{"password":"topsecret"}`, ""))
	var log bytes.Buffer
	for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&log, nil)), slog.New(slog.NewJSONHandler(&log, nil))} {
		logger.Info("saved", "document", d, "copy", *d, "list", slog.GroupValue(slog.Any("d", d)), "none", (*proposal.Document)(nil))
	}
	revision := proposal.Revision{Number: 1, Document: d}
	for _, text := range []string{
		log.String(), d.String(), fmt.Sprint(d, *d, revision, &revision), fmt.Sprintf("%v|%+v|%#v|%s|%q|%d|%x|%T", d, d, d, d, d, d, d, d),
		fmt.Sprintf("%v|%+v|%#v|%s", *d, *d, *d, *d), fmt.Sprintf("%+v %#v", revision, revision), fmt.Errorf("save: %v", d).Error(),
	} {
		require.NotContains(t, text, "topsecret")
		require.Contains(t, text, "nova/default")
	}
	require.Equal(t, "<nil>", fmt.Sprint((*proposal.Document)(nil)))
}

func TestRevisionsAreNotLogged(t *testing.T) {
	d := compile(t, passwords).MarkSecrets(parse(t, document(`{"db":{"password":"topsecret"}}`, "")))
	r := proposal.Revision{Number: 3, Author: "ada", Hash: d.Hash(), Document: d}
	var text, lines bytes.Buffer
	slog.New(slog.NewJSONHandler(&text, nil)).Info("saved", "revision", r, "pointer", &r)
	slog.New(slog.NewTextHandler(&lines, nil)).Info("saved", "revision", r, "pointer", &r)
	for _, out := range []string{text.String(), lines.String(), fmt.Sprintf("%v %+v %#v", r, &r, d)} {
		require.NotContains(t, out, "topsecret")
	}
	require.Contains(t, lines.String(), "revision.number=3")
}

// Whatever a document is part of, logs and JSON do not tell its secrets, nor the hash that
// passwords could be tried against.
func TestSecretsAreInNoLogAndNoJSON(t *testing.T) {
	d := compile(t, passwords).MarkSecrets(parse(t, document(`{"db":{"password":"topsecret","user":"u<1>"}}`, "")))
	r, err := proposal.NextRevision(d.Key(), 2, proposal.Revision{Author: "ada", Document: d})
	require.NoError(t, err)
	type holder struct {
		D *proposal.Document
		V proposal.Document
		R proposal.Revision
		L []*proposal.Revision
	}
	for name, v := range map[string]any{
		"document": d, "document's value": *d, "documents": []*proposal.Document{d}, "values": []proposal.Document{*d},
		"revision": r, "revision's pointer": &r, "revisions": []proposal.Revision{r}, "pointers": []*proposal.Revision{&r},
		"saved": proposal.Saved{Revision: &r}, "saved's pointer": &proposal.Saved{Revision: &r},
		"sealed": proposal.Sealed{Document: d}, "sealed's pointer": &proposal.Sealed{Document: d},
		"a structure": holder{d, *d, r, []*proposal.Revision{&r}}, "its pointer": &holder{d, *d, r, []*proposal.Revision{&r}},
		"a map": map[string]any{"d": d, "r": r},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			for _, logger := range []*slog.Logger{slog.New(slog.NewTextHandler(&out, nil)), slog.New(slog.NewJSONHandler(&out, nil))} {
				logger.Info("saved", "value", v, "in a list", []any{v}, slog.Group("g", "v", v))
			}
			text, err := json.Marshal(v)
			require.NoError(t, err)
			out.Write(text)
			fmt.Fprintf(&out, "%v %+v %#v %s %q %x %d", v, v, v, v, v, v, v)
			require.NotContains(t, out.String(), "topsecret")
			require.NotContains(t, out.String(), r.Hash)
		})
	}
	text, err := json.Marshal([]proposal.Revision{r})
	require.NoError(t, err)
	require.Contains(t, string(text), `"password":"(secret /attributes/nova/db/password)"`)
	require.Contains(t, string(d.Bytes()), "topsecret")
	require.Equal(t, "nova/default revision 3 by ada", fmt.Sprintf("%+v", &r))
	require.Equal(t, "<nil>", fmt.Sprint((*proposal.Revision)(nil)))
}
