package proposal_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func compile(t require.TestingT, text string) *proposal.Schema {
	s, err := proposal.CompileSchema([]byte(text), proposal.AttributesOnly, nil)
	require.NoError(t, err, text)
	return s
}

// checked returns the problems of nova attributes, found with pointers below them.
func checked(t *testing.T, s *proposal.Schema, attributes string) []proposal.Problem {
	t.Helper()
	err := s.Check(parse(t, document(attributes, "")))
	if err == nil {
		return nil
	}
	var invalid *proposal.ValidationError
	require.ErrorAs(t, err, &invalid)
	var list []proposal.Problem
	for _, p := range invalid.Problems {
		require.True(t, strings.HasPrefix(p.Path, "/attributes/nova"), p.Path)
		p.Path = strings.TrimPrefix(p.Path, "/attributes/nova")
		list = append(list, p)
	}
	return list
}

type problems = []proposal.Problem

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		schema, attributes string
		want               problems
	}{
		"all is well": {`{"properties":{"a":{"type":"string"}},"required":["a"]}`, `{"a":"x"}`, nil},
		"wrong types": {`{"properties":{"a":{"type":"boolean"},"b":{"type":"integer"},"c":{"type":["string","null"]},"d":{"type":"array"},"e":{"type":"object"},"f":{"type":["number","integer"]},"g":{"type":"integer"},"h":{"type":"boolean"}}}`,
			`{"h":"no","g":1.5,"a":"true","b":"16","c":7,"d":"x","e":null,"f":[]}`, problems{
				{Path: "/h", Found: `a string "no"`, Expected: "a boolean", Hint: "write false without quotes"},
				{Path: "/g", Found: "a number 1.5", Expected: "an integer"},
				{Path: "/a", Found: `a string "true"`, Expected: "a boolean", Hint: "write true without quotes"},
				{Path: "/b", Found: `a string "16"`, Expected: "an integer", Hint: "write 16 without quotes"},
				{Path: "/c", Found: "an integer 7", Expected: "a string or null", Hint: `write "7" with quotes`},
				{Path: "/d", Found: `a string "x"`, Expected: "a list", Hint: `write ["x"]`},
				{Path: "/e", Found: "null", Expected: "an object"},
				{Path: "/f", Found: "a list", Expected: "a number"},
			}},
		"numbers are exact": {`{"properties":{"a":{"const":12345678901234567890},"b":{"maximum":12345678901234567890},"c":{"type":"integer"},"d":{"multipleOf":0.1},"e":{"exclusiveMinimum":0.25}}}`,
			`{"a":12345678901234567891,"b":12345678901234567891,"c":1e3,"d":0.3,"e":0.25}`, problems{
				{Path: "/a", Found: "a number 12345678901234567891", Expected: "12345678901234567890"},
				{Path: "/b", Found: "a number 12345678901234567891", Expected: "at most 12345678901234567890"},
				{Path: "/e", Found: "a number 0.25", Expected: "more than 0.25"},
			}},
		"numbers that nobody can hold": {`{"properties":{"a":{"minimum":5},"b":{"type":"integer"}}}`, `{"b":1e-9999999999,"a":1e999999999,"c":1` + strings.Repeat("0", 500) + `}`, problems{
			{Path: "/b", Found: "a number 1e-9999999999", Expected: "a number with at most 400 digits and an exponent within ±400"},
			{Path: "/a", Found: "a number 1e999999999", Expected: "a number with at most 400 digits and an exponent within ±400"},
			{Path: "/c", Found: "a number 1" + strings.Repeat("0", 59) + "…", Expected: "a number with at most 400 digits and an exponent within ±400"},
		}},
		"unknown member": {`{"properties":{"libvirt_type":{},"other":{}},"additionalProperties":false}`, `{"libvrt_type":"kvm","zzzzzzzzz":1}`, problems{
			{Path: "/libvrt_type", Found: `unknown member "libvrt_type"`, Expected: "no such member", Hint: `did you mean "libvirt_type"?`},
			{Path: "/zzzzzzzzz", Found: `unknown member "zzzzzzzzz"`, Expected: "no such member", Hint: `known: "libvirt_type", "other"`},
		}},
		"a near miss is rather what is absent": {`{"properties":{"port1":{},"port2":{}},"additionalProperties":false}`, `{"port1":1,"port":2}`, problems{
			{Path: "/port", Found: `unknown member "port"`, Expected: "no such member", Hint: `did you mean "port2"?`},
		}},
		"unknown member of a schema in parts": {`{"allOf":[{"$ref":"#/$defs/x"}],"properties":{"a":{}},"unevaluatedProperties":false,"$defs":{"x":{"properties":{"pool_name":{}}}}}`, `{"a":1,"poolname":2}`, problems{
			{Path: "/poolname", Found: `unknown member "poolname"`, Expected: "no such member", Hint: `did you mean "pool_name"?`},
		}},
		"missing member": {`{"properties":{"db":{"properties":{"user":{"type":"string"},"port":{"$ref":"#/$defs/port"},"kind":{"enum":["a","b"]}},"required":["user","port","kind","any"]}},"$defs":{"port":{"type":"integer"}}}`,
			`{"db":{"usr":"x"},"z":0}`, problems{
				{Path: "/db/any", Found: "nothing", Expected: "a value"},
				{Path: "/db/kind", Found: "nothing", Expected: `one of "a", "b"`},
				{Path: "/db/port", Found: "nothing", Expected: "an integer"},
				{Path: "/db/user", Found: "nothing", Expected: "a string", Hint: `is "usr" a misspelling of it?`},
			}},
		"member that another one needs": {`{"dependentRequired":{"user":["password"]},"properties":{"password":{"type":"string"}}}`, `{"user":"x"}`, problems{
			{Path: "/password", Found: "nothing", Expected: `a string, since "user" is there`},
		}},
		"enum": {`{"properties":{"a":{"enum":["kvm","qemu","xen"]},"b":{"enum":["1","2"]},"c":{"enum":[1,2]},"d":{"const":"raw"}}}`, `{"a":"quemu","b":1,"c":"2","d":"row"}`, problems{
			{Path: "/a", Found: `a string "quemu"`, Expected: `one of "kvm", "qemu", "xen"`, Hint: `did you mean "qemu"?`},
			{Path: "/b", Found: "an integer 1", Expected: `one of "1", "2"`, Hint: `write "1" with quotes`},
			{Path: "/c", Found: `a string "2"`, Expected: "one of 1, 2", Hint: "write 2 without quotes"},
			{Path: "/d", Found: `a string "row"`, Expected: `"raw"`, Hint: `did you mean "raw"?`},
		}},
		"limits": {`{"properties":{"a":{"minLength":2},"b":{"maxLength":1},"c":{"pattern":"^[a-z]+$"},"d":{"minimum":1},"e":{"exclusiveMaximum":1},"f":{"minItems":1},"g":{"maxItems":1},"h":{"uniqueItems":true},"i":{"multipleOf":512},"j":{"minProperties":2},"k":{"maxProperties":0}}}`,
			`{"a":"x","b":"xy","c":"X","d":0,"e":1,"f":[],"g":[1,2],"h":["a","b","a"],"i":100,"j":{"x":1},"k":{"x":1}}`, problems{
				{Path: "/a", Found: `a string "x"`, Expected: "a string of at least 2 characters"},
				{Path: "/b", Found: `a string "xy"`, Expected: "a string of at most 1 character"},
				{Path: "/c", Found: `a string "X"`, Expected: "a string that matches ^[a-z]+$"},
				{Path: "/d", Found: "an integer 0", Expected: "at least 1"},
				{Path: "/e", Found: "an integer 1", Expected: "less than 1"},
				{Path: "/f", Found: "a list of 0 elements", Expected: "at least 1 element"},
				{Path: "/g", Found: "a list of 2 elements", Expected: "at most 1 element"},
				{Path: "/h/2", Found: `a string "a" again`, Expected: "each element once", Hint: "it is already at index 0"},
				{Path: "/i", Found: "an integer 100", Expected: "a multiple of 512"},
				{Path: "/j", Found: "an object of 1 member", Expected: "at least 2 members"},
				{Path: "/k", Found: "an object of 1 member", Expected: "at most 0 members"},
			}},
		"lists": {`{"properties":{"a":{"prefixItems":[{"type":"string"}],"items":false},"b":{"contains":{"type":"integer"}},"c":{"items":{"type":"string"}},"d":{"contains":{"const":"x"},"maxContains":1}}}`,
			`{"a":["x",1],"b":["x"],"c":["x",1,"y",true],"d":["x","x"]}`, problems{
				{Path: "/a/1", Found: "an integer 1", Expected: "at most 1 element"},
				{Path: "/b", Found: "a list without such an element", Expected: "at least 1 element that is an integer"},
				{Path: "/c/1", Found: "an integer 1", Expected: "a string", Hint: `write "1" with quotes`},
				{Path: "/c/3", Found: "a boolean true", Expected: "a string", Hint: `write "true" with quotes`},
				{Path: "/d", Found: "a list with 2 such elements", Expected: `at most 1 element that is "x"`},
			}},
		"names": {`{"propertyNames":{"pattern":"^[a-z]+$","maxLength":3},"properties":{"no":false}}`, `{"ABCD":1,"no":2}`, problems{
			{Path: "/ABCD", Found: `a member named "ABCD"`, Expected: "as name a string of at most 3 characters, a string that matches ^[a-z]+$"},
			{Path: "/no", Found: "an integer 2", Expected: "nothing: the schema allows no value here"},
		}},
		"formats": {`{"properties":{"a":{"format":"ipv4"},"b":{"format":"email"},"c":{"format":"no-such-format"},"d":{"format":"password"}}}`, `{"a":"10.0.0.256","b":"x","c":"x","d":"x"}`, problems{
			{Path: "/a", Found: `a string "10.0.0.256"`, Expected: "an IPv4 address"},
			{Path: "/b", Found: `a string "x"`, Expected: "an e-mail address"},
		}},
		"not": {`{"properties":{"a":{"not":{"const":"crowbar"}},"b":{"not":{"enum":[1,2]}}},"not":{"required":["a","b"]}}`, `{"a":"crowbar","b":1}`, problems{
			{Path: "", Found: "an object", Expected: `not all of the members "a", "b"`},
			{Path: "/a", Found: `a string "crowbar"`, Expected: `anything but "crowbar"`},
			{Path: "/b", Found: "an integer 1", Expected: "anything but 1, 2"},
		}},
		"names in several objects": {`{"additionalProperties":{"propertyNames":{"maxLength":2}}}`, `{"a":{"no":1,"yes":2},"b":{},"c":{"x":{"yes":0},"yes":3}}`, problems{
			{Path: "/a/yes", Found: `a member named "yes"`, Expected: "as name a string of at most 2 characters"},
			{Path: "/c/yes", Found: `a member named "yes"`, Expected: "as name a string of at most 2 characters"},
		}},
		"names with slashes and dots": {`{"additionalProperties":{"type":"string"}}`, `{"a/b~c.d":{}}`, problems{
			{Path: "/a~1b~0c.d", Found: "an object", Expected: "a string"},
		}},
		"conditions": {`{"if":{"properties":{"mode":{"const":"ha"}},"required":["mode"]},"then":{"required":["vip"]},"else":{"required":["host"]}}`, `{"mode":"ha"}`, problems{
			{Path: "/vip", Found: "nothing", Expected: "a value"},
		}},
		"the same problem by two ways": {`{"allOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"a":{"type":"string"}}}]}`, `{"a":1}`, problems{
			{Path: "/a", Found: "an integer 1", Expected: "a string", Hint: `write "1" with quotes`},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := compile(t, c.schema)
			for range 5 { // the library goes through maps
				require.Empty(t, cmp.Diff(c.want, checked(t, s, c.attributes)))
			}
		})
	}
}

func TestCheckAlternatives(t *testing.T) {
	const volumes = `{"$defs":{
			"eqlx":{"properties":{"backend_driver":{"const":"eqlx"},"eqlx":{"type":"object","required":["san_ip"],"properties":{"san_ip":{"type":"string"}}}},"required":["backend_driver","eqlx"]},
			"rbd":{"properties":{"backend_driver":{"const":"rbd"},"rbd":{"type":"object"}},"required":["backend_driver","rbd"]}},
		"properties":{"volumes":{"items":{"oneOf":[{"$ref":"#/$defs/eqlx"},{"$ref":"#/$defs/rbd"}]}}}}`
	for name, c := range map[string]struct {
		schema, attributes string
		want               problems
	}{
		"the alternative that a constant tells": {volumes, `{"volumes":[{"backend_driver":"eqlx","eqlx":{"san_ip":7}},{"backend_driver":"rbd"}]}`, problems{
			{Path: "/volumes/0/eqlx/san_ip", Found: "an integer 7", Expected: "a string", Hint: `write "7" with quotes`},
			{Path: "/volumes/1/rbd", Found: "nothing", Expected: "an object"},
		}},
		"a constant of none": {volumes, `{"volumes":[{"backend_driver":"rdb","eqlx":{"san_ip":"x"},"rbd":{}}]}`, problems{
			{Path: "/volumes/0/backend_driver", Found: `a string "rdb"`, Expected: `"eqlx" or "rbd"`, Hint: `did you mean "rbd"?`},
		}},
		"types": {`{"properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"},{"type":"integer"}]}}}`, `{"a":[]}`, problems{
			{Path: "/a", Found: "a list", Expected: "a string, null or an integer"},
		}},
		"the alternative of the type": {`{"properties":{"a":{"anyOf":[{"type":"null"},{"type":"object","required":["x"]}]}}}`, `{"a":{}}`, problems{
			{Path: "/a/x", Found: "nothing", Expected: "a value"},
		}},
		"one of two members": {`{"anyOf":[{"required":["b"]},{"required":["a"]}]}`, `{}`, problems{
			{Path: "", Found: `none of the members "a" or "b"`, Expected: "one of them"},
		}},
		"at different places": {`{"anyOf":[{"properties":{"a":{"minimum":5}}},{"properties":{"b":{"minimum":7}}}]}`, `{"a":1,"b":1}`, problems{
			{Path: "", Found: "an object", Expected: "at /a at least 5 or at /b at least 7"},
		}},
		"several wrong in each": {`{"anyOf":[{"required":["a","b"]},{"required":["c","d"]}]}`, `{}`, problems{
			{Path: "/a", Found: "nothing", Expected: "a value", Hint: "the schema has other alternatives for this value"},
			{Path: "/b", Found: "nothing", Expected: "a value"},
		}},
		"too many fit": {`{"oneOf":[{"required":["a"]},{"required":["b"]}]}`, `{"a":1,"b":2}`, problems{
			{Path: "", Found: "an object", Expected: "what fits one alternative only", Hint: "it fits alternatives 1 and 2 of the schema"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(c.want, checked(t, compile(t, c.schema), c.attributes)))
		})
	}
}

func TestCheckNeverShowsSecrets(t *testing.T) {
	s := compile(t, `{"properties":{
		"a":{"type":"boolean","writeOnly":true},
		"b":{"enum":["hunter2"],"format":"password"},
		"c":{"pattern":"^x","minLength":50,"writeOnly":true},
		"d":{"writeOnly":true,"additionalProperties":{"type":"integer"},"propertyNames":{"maxLength":3},"required":["user"],"minProperties":9},
		"e":{"writeOnly":true,"items":{"format":"ipv4"},"uniqueItems":true},
		"f":{"oneOf":[{"type":"string","writeOnly":true,"maxLength":2},{"type":"integer"}]},
		"g":{"writeOnly":true,"properties":{"x":{}},"additionalProperties":false},
		"h":{"format":"password","minimum":2},
		"i":{"format":"password","minLength":5}}}`)
	const attributes = `{"a":"true","b":"hunter1","c":"topsecret","d":{"topsecret":"topsecret"},"e":["topsecret","topsecret"],"f":"topsecret","g":{"topsecret":1},"h":1,"i":""}`
	for _, d := range []*proposal.Document{parse(t, document(attributes, "")), s.MarkSecrets(parse(t, document(attributes, "")))} {
		err := s.Check(d)
		require.Error(t, err)
		for _, text := range []string{"topsecret", "hunter1", "true", "an integer 1", "did you mean", "without quotes"} {
			require.NotContains(t, err.Error(), text)
		}
		require.Contains(t, err.Error(), `/attributes/nova/d: found (secret), expected a member "user"`)
		require.Contains(t, err.Error(), `/attributes/nova/a: found (secret), expected a boolean`)
		require.Contains(t, err.Error(), `/attributes/nova/i: found a string "", expected a string of at least 5 characters`, "that it is empty is no secret")
	}
	marked := compile(t, `{"properties":{"a":{"format":"password"}}}`).MarkSecrets(parse(t, document(`{"a":"topsecret"}`, "")))
	require.ErrorContains(t, compile(t, `{"properties":{"a":{"type":"integer"}}}`).Check(marked), "found (secret), expected an integer", "marked by another schema")
}

func TestCheckScopes(t *testing.T) {
	whole, err := proposal.CompileSchema([]byte(`{"properties":{"description":{"type":"null"},"deployment":{"properties":{"nova":{"properties":{"crowbar-revision":{"minimum":1}}}}}}}`), proposal.WholeDocument, nil)
	require.NoError(t, err)
	var invalid *proposal.ValidationError
	require.ErrorAs(t, whole.Check(parse(t, document("{}", ""))), &invalid)
	require.Empty(t, cmp.Diff(problems{
		{Path: "/description", Found: `a string "d"`, Expected: "null"},
		{Path: "/deployment/nova/crowbar-revision", Found: "an integer 0", Expected: "at least 1"},
	}, invalid.Problems))

	none := parse(t, `{"id":"bc-nova-x","attributes":{},"deployment":{"nova":{}}}`)
	require.NoError(t, compile(t, `{"type":"object"}`).Check(none), "no attributes are empty ones")
	require.ErrorContains(t, compile(t, `{"required":["a"]}`).Check(none), "/attributes/nova/a: found nothing")
	require.NoError(t, (*proposal.Schema)(nil).Check(none))
}

func TestValidateWithSchemas(t *testing.T) {
	d := parse(t, document(`{"a":1}`, `"elements":{"contoller":[]}`))
	err := proposal.Validate(d, nil, compile(t, `{"properties":{"a":{"type":"string"}}}`), compile(t, `{"properties":{"a":{"minimum":2}}}`))
	var invalid *proposal.ValidationError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
	}
	require.Equal(t, []string{"/deployment/nova/elements/contoller", "/attributes/nova/a", "/attributes/nova/a"}, paths)
	require.NoError(t, proposal.Validate(parse(t, document("{}", "")), nil, nil))
}

func TestCheckCapsProblems(t *testing.T) {
	list := strings.TrimSuffix(strings.Repeat("0,", 5000), ",")
	var invalid *proposal.ValidationError
	require.ErrorAs(t, compile(t, `{"properties":{"a":{"items":{"type":"string"}}}}`).Check(parse(t, document(`{"a":[`+list+`]}`, ""))), &invalid)
	require.Len(t, invalid.Problems, 1001)
	require.Equal(t, "/attributes/nova/a/999", invalid.Problems[999].Path)
	require.Equal(t, "4000 more problems", invalid.Problems[1000].Found)
}

func TestFormatsOfTheCaller(t *testing.T) {
	s, err := proposal.CompileSchema([]byte(`{"properties":{"a":{"format":"odd"},"b":{"format":"odd","writeOnly":true}}}`), proposal.AttributesOnly,
		&proposal.SchemaOptions{Formats: map[string]func(any) error{"odd": func(v any) error {
			if text, ok := v.(string); ok && len(text)%2 == 0 {
				return fmt.Errorf("%q has an even length", text)
			}
			return nil
		}}})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(problems{
		{Path: "/a", Found: `a string "xy"`, Expected: "a value of format odd", Hint: `"xy" has an even length`},
		{Path: "/b", Found: "(secret)", Expected: "a value of format odd"},
	}, checked(t, s, `{"a":"xy","b":"zz"}`)))
	require.Empty(t, checked(t, s, `{"a":"x","b":7}`))
}

func TestCompileSchemaRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"no JSON":             {"{\n  \"type\": \"string\",\n}", []string{"schema: proposal: line 3, column 1: a comma stands before"}},
		"a name twice":        {`{"type":"string","type":"object"}`, []string{`line 1, column 18: "type" stands twice`}},
		"no schema":           {`"string"`, []string{`found a string "string", expected an object or a boolean`}},
		"unknown type":        {"{\"properties\":\n {\"a\":{\"type\":\"strng\"}}}", []string{"line 2, column 8", `/properties/a/type: found a string "strng"`, `did you mean "string"?`}},
		"several":             {`{"required":"a","minLength":"3","properties":[]}`, []string{"3 problems", "/required: found a string \"a\", expected a list", "/minLength", "write 3 without quotes", "/properties: found a list, expected an object"}},
		"another draft":       {`{"$schema":"http://json-schema.org/draft-07/schema#"}`, []string{"/$schema", "draft-07", "2020-12", "leave it out"}},
		"a draft deep in":     {`{"$defs":{"x":{"$id":"x","$schema":"http://json-schema.org/draft-07/schema#","type":"string"}},"$ref":"x"}`, []string{"/$defs/x", "another draft"}},
		"own dialect":         {`{"$schema":"https://example.com/dialect"}`, []string{"/$schema"}},
		"remote":              {"{\"items\":\n{\"$ref\":\"https://example.com/a.json#/x\"}}", []string{"line 2, column 2", `/items/$ref: found a reference to "https://example.com/a.json#/x"`, "nothing is loaded"}},
		"a file":              {`{"$ref":"file:///etc/passwd"}`, []string{`/$ref: found a reference to "file:///etc/passwd"`, "nothing is loaded"}},
		"a relative file":     {`{"$ref":"./other.json"}`, []string{`/$ref: found a reference to "./other.json"`, "nothing is loaded"}},
		"nowhere":             {`{"$ref":"#/$defs/prot","$defs":{"port":{}}}`, []string{`/$ref: found a reference to "#/$defs/prot", which is not there`, `did you mean "#/$defs/port"?`}},
		"no such anchor":      {`{"properties":{"a":{"$ref":"#prot"}}}`, []string{`/properties/a/$ref: found a reference to the anchor "#prot"`}},
		"into no schema":      {`{"$ref":"#/title","title":"x"}`, []string{`/title: found a string "x", expected a boolean or an object`}},
		"regex":               {`{"properties":{"a":{"pattern":"("}}}`, []string{`/properties/a/pattern: found a string "("`, "a regular expression"}},
		"regex of a name":     {`{"patternProperties":{"(":{}}}`, []string{"/patternProperties/(", "a regular expression"}},
		"anchors twice":       {`{"$defs":{"a":{"$anchor":"x"},"b":{"$anchor":"x"}}}`, []string{`the anchor "x" again`}},
		"circle":              {`{"$ref":"#"}`, []string{"applies itself to the same value again"}},
		"circle of two":       {`{"$defs":{"a":{"$ref":"#/$defs/b"},"b":{"allOf":[{"$ref":"#/$defs/a"}]}},"items":{"$ref":"#/$defs/a"}}`, []string{"/$defs/", "applies itself to the same value again"}},
		"circle by not":       {`{"properties":{"a":{"not":{"$ref":"#/properties/a"}}}}`, []string{"/properties/a", "applies itself"}},
		"dynamic circle":      {`{"$dynamicAnchor":"n","$dynamicRef":"#n"}`, []string{"applies itself"}},
		"huge number":         {`{"properties":{"a":{"minimum":1e999999999}}}`, []string{"/properties/a/minimum", "a smaller number"}},
		"too many objects":    {`{"enum":[` + strings.Repeat("{},", 5000) + `{}]}`, []string{"more than 5000 objects and booleans"}},
		"too many booleans":   {`{"allOf":[` + strings.Repeat("true,", 5000) + `true]}`, []string{"more than 5000 objects and booleans"}},
		"too many references": {`{"allOf":[` + strings.Repeat(`{"$ref":"#/x"},`, 1000) + `{"$ref":"#/x"}],"x":{}}`, []string{"or 1000 references"}},
		"too long":            {`{"title":"` + strings.Repeat("x", proposal.MaxSchemaBytes) + `"}`, []string{"a schema is at most 1024 KB long"}},
		"too deep":            {strings.Repeat(`{"not":`, 300) + "{}" + strings.Repeat("}", 300), []string{"nested more than 256 deep"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := proposal.CompileSchema([]byte(c.text), proposal.AttributesOnly, nil)
			require.ErrorIs(t, err, proposal.ErrInvalid)
			var wrong *proposal.SchemaError
			var syntax *proposal.SyntaxError
			require.True(t, errors.As(err, &wrong) || errors.As(err, &syntax), "%v", err)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
			require.NotContains(t, err.Error(), "schema:///")
		})
	}
}

func TestSchemasLoadNoFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "schema.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"type":"string"}`), 0o600))
	for _, ref := range []string{"file://" + file, file} {
		_, err := proposal.CompileSchema([]byte(`{"$ref":`+quoted(ref)+`}`), proposal.AttributesOnly, nil)
		require.ErrorContains(t, err, "nothing is loaded", ref)
	}
}

func TestRecursiveSchemas(t *testing.T) {
	tree := compile(t, `{"properties":{"name":{"type":"string"},"children":{"items":{"$ref":"#"}}},"additionalProperties":false}`)
	require.Empty(t, checked(t, tree, `{"name":"a","children":[{"name":"b","children":[]}]}`))
	require.Equal(t, problems{{Path: "/children/0/children/0/nam", Found: `unknown member "nam"`, Expected: "no such member", Hint: `did you mean "name"?`}},
		checked(t, tree, `{"children":[{"children":[{"nam":"b"}]}]}`))

	dynamic := compile(t, `{"$id":"https://example.com/numbers","$ref":"list","$defs":{
		"item":{"$dynamicAnchor":"item","type":"integer"},
		"list":{"$id":"list","properties":{"list":{"items":{"$dynamicRef":"#item"}}},"$defs":{"item":{"$dynamicAnchor":"item"}}}}}`)
	require.Equal(t, problems{{Path: "/list/1", Found: `a string "x"`, Expected: "an integer"}}, checked(t, dynamic, `{"list":[1,"x"]}`))

	meta := compile(t, `{"properties":{"schema":{"$ref":"https://json-schema.org/draft/2020-12/schema"}}}`)
	require.Equal(t, "/schema/type", checked(t, meta, `{"schema":{"type":7}}`)[0].Path, "the metaschema needs no network")
}

// Schemas whose checking takes exponential time without a bound.
func TestCheckIsBounded(t *testing.T) {
	var defs []string
	for n := range 60 {
		defs = append(defs, fmt.Sprintf(`"a%d":{"anyOf":[{"$ref":"#/$defs/a%d"},{"$ref":"#/$defs/a%d"}]}`, n, n+1, n+1))
	}
	for name, c := range map[string]struct{ schema, attributes string }{
		"many ways to one value": {`{"not":{"$ref":"#/$defs/a0"},"$defs":{` + strings.Join(defs, ",") + `,"a60":{"type":"null"}}}`, `{}`},
		"many ways down":         {`{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"properties":{"a":{"$ref":"#"}}}]}`, strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200)},
		"many patterns":          {`{"patternProperties":{` + patterns(2000) + `}}`, members(2000)},
		"many elements":          {`{"properties":{"a":{"items":{"type":"string"}}}}`, `{"a":[` + strings.Repeat("0,", 1_000_000) + `0]}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := compile(t, c.schema)
			d := parse(t, document(c.attributes, ""))
			require.ErrorContains(t, s.Check(d), "a million steps")
			require.Same(t, d, (*proposal.Schema)(nil).MarkSecrets(d))
			require.Equal(t, firstMembers(d), s.MarkSecrets(d).Secrets(), "what cannot be told is hidden")
		})
	}
}

func patterns(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"^x%d$":{}`, i))
	}
	return strings.Join(list, ",")
}

func members(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"y%d":1`, i))
	}
	return "{" + strings.Join(list, ",") + "}"
}

func firstMembers(d *proposal.Document) []string {
	list := []string{}
	d.Attributes().ForEach(func(name, value gjson.Result) bool {
		list = append(list, d.AttributePointer(name.String()))
		return true
	})
	return list
}

func TestSchemaIsSharedByGoroutines(t *testing.T) {
	s := compile(t, `{"properties":{"a":{"type":"string","format":"password"},"b":{"$ref":"#"}},"additionalProperties":false}`)
	d := parse(t, document(`{"a":1,"b":{"a":2,"c":3}}`, ""))
	want := s.Check(d).Error()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if got := s.Check(s.MarkSecrets(d)).Error(); got != want {
					t.Errorf("got %s", got)
				}
			}
		})
	}
	all.Wait()
}
