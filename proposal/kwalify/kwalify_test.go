package kwalify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/proposal/kwalify"
)

// TestTranslate shows what becomes of each thing a rule can say. The JSON is compared as text
// but for white space, so the order counts.
func TestTranslate(t *testing.T) {
	for name, c := range map[string]struct{ schema, want string }{
		"no type":           {`{ required: true }`, `{"type":"string"}`},
		"str":               {`{ "type": "str", "required": true }`, `{"type":"string"}`},
		"str or null":       {`{ "type": "str" }`, `{"type":["string","null"]}`},
		"required no":       {`{ type: str, required: no }`, `{"type":["string","null"]}`},
		"int":               {`{ type: int, required: true }`, `{"type":"integer","format":"crowbar-int"}`},
		"float":             {`{ type: float }`, `{"type":["number","null"],"format":"crowbar-float"}`},
		"number":            {`{ type: number, required: yes }`, `{"type":"number"}`},
		"text":              {`{ type: text, required: true }`, `{"type":["string","number"]}`},
		"bool":              {`{ type: bool, required: true }`, `{"type":"boolean"}`},
		"date":              {`{ type: date, required: true }`, `{"type":"string","format":"crowbar-date"}`},
		"time":              {`{ type: timestamp, required: true }`, `{"type":"string","format":"crowbar-time"}`},
		"scalar":            {`{ type: scalar }`, `{"type":["string","number","boolean","null"]}`},
		"any":               {`{ type: any }`, `{}`},
		"any but null":      {`{ type: any, required: true }`, `{"type":["string","number","boolean","object","array"]}`},
		"alternatives":      {`{ required: true, pattern: "/^single$|^dual$/" }`, `{"type":"string","pattern":"(?m:^single$|^dual$)"}`},
		"enum":              {`{ type: str, enum: [a, "1"] }`, `{"type":"string","enum":["a","1"]}`},
		"enum of numbers":   {`{ type: int, enum: [007, -2] }`, `{"type":"integer","format":"crowbar-int","enum":[7,-2]}`},
		"enum with null":    {`{ type: any, enum: [a, ~, yes, 1.50] }`, `{"enum":["a",null,true,1.50]}`},
		"range":             {`{ type: int, required: true, range: { min: 1, max-ex: 10 } }`, `{"type":"integer","format":"crowbar-int","minimum":1,"exclusiveMaximum":10}`},
		"range of floats":   {`{ type: float, required: true, range: { min-ex: 0.0, max: 1.5 } }`, `{"type":"number","format":"crowbar-float","exclusiveMinimum":0.0,"maximum":1.5}`},
		"length":            {`{ required: true, length: { min: 1, max: 8 } }`, `{"type":"string","minLength":1,"maxLength":8}`},
		"length exclusive":  {`{ required: true, length: { min-ex: 1, max-ex: 8 } }`, `{"type":"string","minLength":2,"maxLength":7}`},
		"default":           {`{ type: bool, default: no }`, `{"type":["boolean","null"],"default":false}`},
		"described":         {`{ required: true, name: Port, desc: "a <port>" }`, `{"type":"string","title":"Port","description":"a <port>"}`},
		"class":             {`{ type: map, required: true, class: Foo, mapping: { a: { type: any } } }`, `{"type":"object","properties":{"a":{}},"additionalProperties":false}`},
		"check":             {`{ required: true, name: FQDN }`, `{"type":"string","format":"crowbar-fqdn"}`},
		"check on an int":   {`{ type: int, required: true, name: IpAddress }`, `{"type":"integer","format":"crowbar-int","allOf":[{"format":"crowbar-ip-address"}]}`},
		"checked map":       {`{ type: map, required: true, name: IpAddressMap, mapping: { = : { type: any } } }`, `{"type":"object","format":"crowbar-ip-address-map","additionalProperties":{}}`},
		"sequence":          {`{ type: seq, required: true, sequence: [ { type: str } ] }`, `{"type":"array","items":{"type":["string","null"]}}`},
		"sequence of str":   {"type: seq\nrequired: true\nsequence:\n  -\n", `{"type":"array","items":{"type":["string","null"]}}`},
		"unique items":      {`{ type: seq, required: true, sequence: [ { type: str, unique: true, required: true } ] }`, `{"type":"array","items":{"type":"string"},"uniqueItems":true}`},
		"ident is required": {`{ type: map, required: true, mapping: { id: { ident: true } } }`, `{"type":"object","properties":{"id":{"type":"string"}},"required":["id"],"additionalProperties":false}`},
		"order of keys": {`{ "type": "map", "required": true, "mapping": {
			"z": { "type": "any" }, "a": { "required": true }, = : { type: bool }, "m": ~, "b": { "required": true } } }`,
			`{"type":"object","properties":{"z":{},"a":{"type":"string"},"m":{"type":["string","null"]},"b":{"type":"string"}},"required":["a","b"],"additionalProperties":{"type":["boolean","null"]}}`},
		"blank broadcast": {`{ type: map, required: true, mapping: { broadcast: { required: true, name: IpAddress }, netmask: { required: true, name: IpAddress } } }`,
			`{"type":"object","properties":{"broadcast":{"type":"string","format":"crowbar-ip-address-or-blank"},"netmask":{"type":"string","format":"crowbar-ip-address"}},"required":["broadcast","netmask"],"additionalProperties":false}`},
		"secrets": {`{ type: map, required: true, mapping: { db_password: { type: str }, monitor-secret: { required: true }, secret_uuid: { required: true }, token: { type: int, required: true } } }`,
			`{"type":"object","properties":{"db_password":{"type":["string","null"],"writeOnly":true},"monitor-secret":{"type":"string","writeOnly":true},"secret_uuid":{"type":"string"},"token":{"type":"integer","format":"crowbar-int"}},"required":["monitor-secret","secret_uuid","token"],"additionalProperties":false}`},

		"tabs":              {"{\n\t\"type\":\t\"bool\",\n\t\t\"required\": true\n}", `{"type":"boolean"}`},
		"tabs that indent":  {"type: seq\nrequired: true\nsequence:\n\t- type: bool\n\t  required: true\n", `{"type":"array","items":{"type":"boolean"}}`},
		"CRLF":              {"{\r\n  type: bool, # why\r\n  required: true\r\n}\r\n", `{"type":"boolean"}`},
		"comments":          {"# top\n{ type: bool, # { \" '\n  required: true } # end", `{"type":"boolean"}`},
		"byte order mark":   {"\uFEFF{ type: any }", `{}`},
		"document marker":   {"---\ntype: any\n", `{}`},
		"trailing commas":   {`{ type: seq, required: true, sequence: [ { type: any, }, ], }`, `{"type":"array","items":{}}`},
		"no spaces":         {`{"type":"seq","required":true,"sequence":[{"type":"any"}]}`, `{"type":"array","items":{}}`},
		"no space after =":  {`{ type: map, required: true, mapping: { =: { type: any } } }`, `{"type":"object","additionalProperties":{}}`},
		"quoted =":          {`{ type: map, required: true, mapping: { "=": { type: any } } }`, `{"type":"object","additionalProperties":{}}`},
		"last of two =":     {`{ type: map, required: true, mapping: { = : { type: str, required: true }, z: { type: any } } }`, `{"type":"object","properties":{"z":{}},"additionalProperties":{"type":"string"}}`},
		"invalid escapes":   {`{ required: true, pattern: "/^layer2\+3$|^\d\.\"\\d$/" }`, `{"type":"string","pattern":"(?m:^layer2\\+3$|^\\d\\.\"\\d$)"}`},
		"single quotes":     {`{ required: true, desc: 'it\'s \\ \d' }`, `{"type":"string","description":"it's \\ \\d"}`},
		"escapes":           {`{ required: true, desc: "\t\u00e9\x41\b" }`, `{"type":"string","description":"\té` + `A\b"}`},
		"block scalar":      {"desc: |\n  say \"x\\q\" # no {\n\nrequired: true\n", `{"type":"string","description":"say \"x\\q\" # no {\n"}`},
		"after a block":     {"type: map\nrequired: true\ndesc: >\n  it's\n# it's\n\"mapping\": { \"a\\+\": { type: any } }\n", `{"type":"object","description":"it's\n","properties":{"a\\+":{}},"additionalProperties":false}`},
		"apostrophe":        {"{ required: true, desc: it's {a} }", ``},
		"plain with quotes": {"required: true\ndesc: it's a \"q\n", `{"type":"string","description":"it's a \"q"}`},
		"anchor and alias":  {`{ type: map, required: true, mapping: { a: &str { type: str, required: true }, b: *str } }`, `{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"required":["a","b"],"additionalProperties":false}`},
		"anchored string":   {`{ required: true, desc: &d "x\+", name: *d }`, `{"type":"string","title":"x\\+","description":"x\\+"}`},
		"merge": {`{ type: map, required: true, mapping: { a: &a { type: int, required: true }, b: { <<: *a, type: str } } }`,
			`{"type":"object","properties":{"a":{"type":"integer","format":"crowbar-int"},"b":{"type":"string"}},"required":["a","b"],"additionalProperties":false}`},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := kwalify.Translate([]byte(c.schema))
			if c.want == "" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			var got, want strings.Builder
			require.NoError(t, compact(&got, text))
			body := strings.TrimPrefix(c.want, "{")
			if body != "}" {
				body = "," + body
			}
			require.NoError(t, compact(&want, []byte(`{"$schema":"https://json-schema.org/draft/2020-12/schema"`+body)))
			require.Equal(t, want.String(), got.String())
			_, err = compile(c.schema)
			require.NoError(t, err, "%s", text)
		})
	}
}

// compact takes away the white space between tokens.
func compact(b *strings.Builder, text []byte) error {
	quoted := false
	for i, c := range text {
		if c == '"' && text[i-1] != '\\' {
			quoted = !quoted
		}
		if quoted || c != ' ' && c != '\n' {
			b.WriteByte(c)
		}
	}
	if !json.Valid(text) {
		return errors.New("no JSON: " + string(text))
	}
	return nil
}

// TestProblems: line:column path: and a part of the message, for all problems in the order of
// the text.
func TestProblems(t *testing.T) {
	for name, c := range map[string]struct {
		schema string
		want   []string
	}{
		"empty":                  {"", []string{"1:1 : nothing"}},
		"comment only":           {"# x\n", []string{"1:1 : nothing"}},
		"null":                   {"~", []string{"1:1 : nothing"}},
		"a list":                 {"[]", []string{"1:1 : a sequence"}},
		"a string":               {`"map"`, []string{`1:1 : "map"`}},
		"unknown type":           {`{ type: string }`, []string{`1:9 /type: "string", expected one of any, bool, date, float`}},
		"type is a map":          {`{ type: {} }`, []string{"1:9 /type: a mapping"}},
		"unknown key":            {"{ type: str,\n  requird: true }", []string{"2:3 /requird: the key requird, expected one of type, name"}},
		"forgotten mapping":      {`{ type: map, nova: { type: str } }`, []string{"1:1 : type: map without mapping", "1:14 /nova: the key nova"}},
		"mapping in a str":       {`{ type: str, mapping: { a: { type: str } } }`, []string{"1:23 /mapping: mapping in a str, expected type: map"}},
		"sequence in a map":      {`{ type: map, mapping: { a: ~ }, sequence: [ ~ ] }`, []string{"/sequence: sequence in a map"}},
		"no sequence":            {`{ type: seq }`, []string{"1:1 : type: seq without sequence"}},
		"two items":              {`{ type: seq, sequence: [ ~, ~ ] }`, []string{"1:24 /sequence: 2 rules"}},
		"mapping is a list":      {`{ type: map, mapping: [] }`, []string{"1:23 /mapping: a sequence, expected a mapping of keys to rules"}},
		"empty mapping":          {`{ type: map, mapping: {} }`, []string{"1:23 /mapping: no key, expected at least one"}},
		"required 1":             {`{ required: 1 }`, []string{"1:13 /required: 1, expected true or false"}},
		"required True":          {`{ required: True }`, []string{`1:13 /required: "True"`}},
		"pattern no slashes":     {`{ pattern: "^a$" }`, []string{"1:12 /pattern: no slashes around it in ^a$"}},
		"pattern":                {`{ pattern: "/(a/" }`, []string{"1:12 /pattern: missing closing ): `(a`"}},
		"pattern lookahead":      {`{ pattern: "/^(?!x)/" }`, []string{`1:12 /pattern: "(?!x)", a group that only Ruby knows`}},
		"pattern on int":         {`{ type: int, pattern: "/^1/" }`, []string{"/pattern: pattern in a int, expected type: str"}},
		"enum type":              {`{ type: int, enum: [1, a, 1] }`, []string{`1:24 /enum: "a", expected a value of type int`, "1:27 /enum: 1 a second time"}},
		"long enum":              {"{ enum: [" + strings.Repeat("a,", 1001) + "] }", []string{"1:9 /enum: 1001 values, expected at most 1000"}},
		"long pattern":           {`{ pattern: "/` + strings.Repeat("a", 4096) + `/" }`, []string{"1:12 /pattern: 4098 bytes, expected at most 4096"}},
		"enum beside":            {`{ enum: [a], pattern: "/a/", length: { min: 1 } }`, []string{"/pattern: pattern beside enum", "/length: length beside enum"}},
		"enum in a map":          {`{ type: map, enum: [a], mapping: { a: ~ } }`, []string{"/enum: enum in a map, expected a scalar type"}},
		"range of str":           {`{ range: { min: a } }`, []string{"1:10 /range: range in a str"}},
		"range keys":             {`{ type: int, range: { min: 1.0, mx: 3 } }`, []string{"1:28 /range/min: 1.0, expected a number of the type", "1:33 /range/mx: the key mx"}},
		"range upside down":      {`{ type: int, range: { min: 3, max-ex: 3 } }`, []string{"/range: a minimum above the maximum"}},
		"range twice":            {`{ type: int, range: { min: 3, min-ex: 3 } }`, []string{"/range: min and min-ex"}},
		"length of int":          {`{ type: int, length: { min: 3 } }`, []string{"/length: length in a int"}},
		"default type":           {`{ type: int, default: a }`, []string{`1:23 /default: "a"`}},
		"default required":       {`{ default: a, required: true }`, []string{"1:12 /default: default beside required: true"}},
		"assert":                 {`{ assert: "val > 1" }`, []string{"1:11 /assert: Ruby code"}},
		"unique key of item":     {`{ type: seq, sequence: [ { type: map, mapping: { a: { unique: true } } } ] }`, []string{"1:63 /sequence/0/mapping/a/unique: a key that is unique"}},
		"ident of item":          {`{ type: seq, sequence: [ { type: map, mapping: { a: { ident: true } } } ] }`, []string{"/sequence/0/mapping/a/ident: ident among the items"}},
		"unique top":             {`{ unique: true }`, []string{"/unique: unique on the whole document"}},
		"class of a str":         {`{ class: A }`, []string{"/class: class in a str"}},
		"bare key 1":             {`{ type: map, mapping: { 1: ~, no: ~, "2": ~ } }`, []string{"1:25 /mapping: the key 1, an int", "1:31 /mapping: the key no, a bool"}},
		"key is a list":          {`{ type: map, mapping: { [a]: ~ } }`, []string{"1:25 /mapping: a sequence, expected a plain key"}},
		"duplicate key":          {"{ type: map, mapping: {\n \"a\": { type: str },\n \"a\": { type: int } } }", []string{"3:2 /mapping/a: the key a second time, expected each key once (it is also in line 2"}},
		"recursion":              {`&r { type: map, mapping: { a: *r } }`, []string{"/mapping/a: a rule that contains itself"}},
		"merge of itself":        {`&r { <<: *r, type: str }`, []string{"1:1 /<</<<: a mapping merged into itself"}},
		"merged key, then twice": {`{ type: map, mapping: { a: &a { type: int }, b: { <<: *a, type: str, type: bool } } }`, []string{"1:70 /mapping/b/type: the key a second time"}},
		"merge in a circle":      {`{ type: map, mapping: &m { a: &a { <<: [*m, *a] } } }`, nil},
		"merge of a string":      {`{ <<: x, type: str }`, []string{`/<<: "x", expected a mapping to merge`}},
		"column after \\+":       {`{ pattern: "/\+\d/", x: 1 }`, []string{"1:22 /x: the key x"}},
		"column after é":         {`{ desc: "é", x: 1 }`, []string{"1:14 /x: the key x"}},
		"all at once": {"{ type: map,\n mapping: {\n  a: { type: strr },\n  b/c: { pattern: x },\n  d: { type: seq } } }", []string{
			"3:14 /mapping/a/type: \"strr\"", "4:19 /mapping/b~1c/pattern: no slashes", "5:6 /mapping/d: type: seq without sequence"}},

		"unclosed string":                   {"{ type: \"str }\n", []string{"1:9 : a string that is never closed"}},
		"unclosed brace":                    {"{ type: map,\n  mapping: {\n}", []string{"1:1 : '{' that is never closed"}},
		"wrong bracket":                     {"{ type: seq,\n  sequence: [ { type: str ] } ]", []string{"2:27 : ']', expected '}' (close the '{' of line 2, column 15 first)"}},
		"missing comma":                     {"{ \"type\": \"str\"\n  \"required\": true }", []string{"2:3 : '\"' after a value, expected a comma"}},
		"missing comma after a plain value": {"{ type: str\n  \"required\": true }", []string{"2:3 : '\"' after a value, expected a comma"}},
		"missing comma after a map":         {"{ type: map, mapping: { a: ~ }\n  required: true }", []string{"2:3 : 'r' after a value, expected a comma"}},
		"missing colon":                     {"{ type: str,\n required true }", []string{"2:2 /required true"}},
		"extra brace":                       {"{ type: str }\n}\n", []string{"2:1 : '}', expected something that it closes"}},
		"two documents":                     {"type: str\n---\ntype: int\n", []string{"3:1 : a second document"}},
		"not UTF-8":                         {"{ type: \xff }", []string{"1:9 : the byte 0xff, expected UTF-8"}},
		"control character":                 {"{ type: \x01 }", []string{"1:9 : the control character U+0001"}},
		"unknown alias":                     {"{ type: *x }", []string{"1:1 : unknown anchor 'x' referenced"}},
		"too large":                         {strings.Repeat(" ", proposal.MaxSchemaBytes+1), []string{"1:1 : 1048577 bytes, expected at most 1 MB"}},
		"too deep":                          {strings.Repeat("[", proposal.MaxDepth+1), []string{"1:257 : brackets within each other"}},
		"too deep, indented": {func() string {
			var b strings.Builder
			for i := range proposal.MaxDepth {
				b.WriteString(strings.Repeat(" ", i) + "- ")
			}
			return strings.ReplaceAll(b.String(), "- ", "-\n")
		}(), []string{"1:1 : a sequence"}},
		"rules too deep": {func() string {
			const n = 200
			var b strings.Builder
			for i := range n {
				b.WriteString(strings.Repeat(" ", 2*i) + "type: seq\n" + strings.Repeat(" ", 2*i) + "sequence:\n" + strings.Repeat(" ", 2*i) + "- \n")
			}
			return b.String()
		}(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := kwalify.Translate([]byte(c.schema))
			require.Error(t, err)
			require.Nil(t, text)
			require.ErrorIs(t, err, kwalify.ErrSchema)
			var all *multierror.Error
			require.ErrorAs(t, err, &all)
			if c.want == nil {
				return
			}
			require.Len(t, all.Errors, len(c.want), "%v", err)
			for i, want := range c.want {
				var p *kwalify.Problem
				require.ErrorAs(t, all.Errors[i], &p)
				got := strings.Replace(strings.TrimPrefix(p.Error(), "kwalify: "), "found ", "", 1)
				place, message, _ := strings.Cut(want, ": ")
				at, path, _ := strings.Cut(place, " ")
				line, column, both := strings.Cut(at, ":")
				if both {
					require.Contains(t, got, "line "+line+", column "+column+": ")
				} else {
					path = place
				}
				require.Equal(t, path, p.Path)
				require.Contains(t, got, message)
			}
		})
	}
}

func TestAliasBombIsRefused(t *testing.T) {
	var b strings.Builder
	b.WriteString("type: map\nmapping:\n  l0: &l0 { type: str }\n")
	for i := range 30 {
		fmt.Fprintf(&b, "  l%d: &l%d { type: map, mapping: { p: *l%d, q: *l%d } }\n", i+1, i+1, i, i)
	}
	_, err := kwalify.Translate([]byte(b.String()))
	require.ErrorContains(t, err, "more than 50000 entries")
}

func FuzzTranslate(f *testing.F) {
	f.Add([]byte(`{ "type": "map", "required": true, "mapping": { = : { "type": "seq", "sequence": [ { "type": "str" } ] } } }`))
	f.Add([]byte("type: map\nmapping:\n\ta: &a { pattern: \"/^layer2\\+3$/\" } # c\n\tb: { <<: *a, name: FQDN }\n"))
	f.Add([]byte(`{ type: int, range: { min: 1, max-ex: 10 }, default: 3, enum: [1, 2], desc: 'it\'s' }`))
	f.Fuzz(func(t *testing.T, schema []byte) {
		text, err := kwalify.Translate(schema)
		if err != nil {
			require.ErrorIs(t, err, kwalify.ErrSchema)
			return
		}
		require.True(t, json.Valid(text), "%s", text)
		_, err = compile(string(schema))
		require.NoError(t, err, "%s", text)
		again, err := kwalify.Translate(schema)
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
	})
}
