package proposal_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestRealTemplates(t *testing.T) {
	for file, data := range templates(t) {
		t.Run(file, func(t *testing.T) {
			d, err := proposal.Parse(data)
			require.NoError(t, err)
			require.Equal(t, string(data), string(d.Bytes()), "bytes as read")
			barclamp, _, _ := strings.Cut(file, "__")
			require.Equal(t, proposal.Key{Barclamp: barclamp, Name: "default"}, d.Key())
			require.True(t, d.IsTemplate())
			require.NotEmpty(t, d.Description())
			require.NotEmpty(t, d.Roles())
			require.True(t, d.Attributes().IsObject())
			require.NoError(t, proposal.Validate(d))

			text, err := json.Marshal(d)
			require.NoError(t, err)
			again, err := proposal.Parse(text)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(tokens(t, data), tokens(t, text)), "same keys in the same order, same values")
			require.Equal(t, d.Hash(), again.Hash())

			named, err := d.WithName("rack_1")
			require.NoError(t, err)
			require.Equal(t, "bc-"+barclamp+"-rack_1", named.ID())
			require.Equal(t, "rack_1", named.Name())
			require.Equal(t, barclamp+"-config-rack_1", named.Deployment().Config.Environment)
			require.Equal(t, d.Hash(), named.Hash(), "a name is no content")
			require.NoError(t, proposal.Validate(named))
		})
	}
}

// tokens is a document as its sequence of names and values, numbers as text.
func tokens(t *testing.T, data []byte) []json.Token {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var all []json.Token
	for dec.More() {
		for {
			token, err := dec.Token()
			if err != nil {
				break
			}
			all = append(all, token)
		}
	}
	require.NotEmpty(t, all)
	return all
}

func TestParseTakesTheVariantsOfTheWild(t *testing.T) {
	for name, text := range map[string]string{
		"sparse":                      `{"id":"bc-nova-x","attributes":{},"deployment":{"nova":{}}}`,
		"two members of attributes":   `{"id":"bc-crowbar-default","attributes":{"crowbar":{},"rails":{"env":"x"}},"deployment":{"crowbar":{}}}`,
		"role with an empty list":     document("{}", `"elements":{"controller":[]}`),
		"elements an empty list":      document("{}", `"elements":[]`),
		"nulls of the deployment":     document("{}", `"elements":null,"element_states":null,"element_run_list_order":null,"config":null,"schema-revision":null`),
		"null attributes":             document(`{"LimitNOFILE":null}`, ""),
		"attributes null":             document("null", ""),
		"null in config":              document("{}", `"config":{"environment":null,"mode":null,"transitions":null,"transition_list":null}`),
		"role repeated in the order":  `{"id":"swift-default","attributes":{},"deployment":{"swift":{"element_order":[["a"],["b"],["a"]]}}}`,
		"role in states only":         document("{}", `"element_states":{"ha":["ready"]}`),
		"numbers that no float holds": document(`{"a":1.0,"b":1e3,"c":12345678901234567890}`, ""),
		"status is not looked at":     document("{}", `"crowbar-committing":false,"crowbar-status":null,"crowbar-failed":"<pre>x</pre>"`),
	} {
		t.Run(name, func(t *testing.T) {
			d := parse(t, text)
			require.Equal(t, text, string(d.Bytes()))
			require.NoError(t, proposal.Validate(d))
		})
	}
}

func TestParseListsEveryProblem(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []proposal.Problem
	}{
		"no object": {`[1]`, []proposal.Problem{
			{Path: "", Found: "a list", Expected: "an object with id, attributes and deployment"},
		}},
		"nothing": {`{}`, []proposal.Problem{
			{Path: "/id", Found: "nothing", Expected: "a string"},
			{Path: "/attributes", Found: "nothing", Expected: "an object"},
			{Path: "/deployment", Found: "nothing", Expected: "an object"},
		}},
		"wrong kinds": {`{"id":7,"description":[],"attributes":"x","deployment":null}`, []proposal.Problem{
			{Path: "/description", Found: "a list", Expected: "a string"},
			{Path: "/id", Found: "a number 7", Expected: "a string"},
			{Path: "/attributes", Found: `a string "x"`, Expected: "an object"},
			{Path: "/deployment", Found: "null", Expected: "an object"},
		}},
		"long text is cut between characters": {`{"id":"x","attributes":"` + strings.Repeat("ü", 40) + `","deployment":{"a":{}}}`, []proposal.Problem{
			{Path: "/attributes", Found: `a string "` + strings.Repeat("ü", 29) + "…", Expected: "an object"},
		}},
		"no barclamp": {`{"id":"x","attributes":{},"deployment":{}}`, []proposal.Problem{
			{Path: "/deployment", Found: "an object with 0 members", Expected: "one member, named as the barclamp"},
		}},
		"two barclamps": {`{"id":"x","attributes":{},"deployment":{"a":{},"b":{}}}`, []proposal.Problem{
			{Path: "/deployment", Found: "an object with 2 members", Expected: "one member, named as the barclamp"},
		}},
		"barclamp that is a path": {`{"id":"x","attributes":{},"deployment":{"../~x":{}}}`, []proposal.Problem{
			{Path: "/deployment/..~1~0x", Found: `a member "../~x"`, Expected: "one member, named as the barclamp", Hint: "a barclamp's name has letters, digits, _ and - only"},
		}},
		"barclamp no object": {`{"id":"x","attributes":{},"deployment":{"nova":[]}}`, []proposal.Problem{
			{Path: "/deployment/nova", Found: "a list", Expected: "an object"},
		}},
		"attributes of the barclamp": {document("[]", ""), []proposal.Problem{
			{Path: "/attributes/nova", Found: "a list", Expected: "an object"},
		}},
		"deployment": {document("{}", `
			"elements":{"controller":"node1","compute":[1,"a",null]}, "element_states":["x"],
			"element_run_list_order":{"controller":"95","compute":1.0,"volume":99999999999999999999},
			"schema-revision":"300","config":{"environment":1,"mode":true,"transitions":"yes","transition_list":"all"}`), []proposal.Problem{
			{Path: "/deployment/nova/elements/controller", Found: `a string "node1"`, Expected: "a list of strings", Hint: `write ["node1"]`},
			{Path: "/deployment/nova/elements/compute/0", Found: "a number 1", Expected: "a string"},
			{Path: "/deployment/nova/elements/compute/2", Found: "null", Expected: "a string"},
			{Path: "/deployment/nova/element_states", Found: "a list", Expected: "a map of roles to lists of strings"},
			{Path: "/deployment/nova/element_run_list_order/controller", Found: `a string "95"`, Expected: "an integer"},
			{Path: "/deployment/nova/element_run_list_order/compute", Found: "a number 1.0", Expected: "an integer"},
			{Path: "/deployment/nova/element_run_list_order/volume", Found: "a number 99999999999999999999", Expected: "an integer"},
			{Path: "/deployment/nova/schema-revision", Found: `a string "300"`, Expected: "an integer"},
			{Path: "/deployment/nova/config/environment", Found: "a number 1", Expected: "a string"},
			{Path: "/deployment/nova/config/mode", Found: "a boolean true", Expected: "a string"},
			{Path: "/deployment/nova/config/transitions", Found: `a string "yes"`, Expected: "a boolean"},
			{Path: "/deployment/nova/config/transition_list", Found: `a string "all"`, Expected: "a list of strings", Hint: `write ["all"]`},
		}},
		"order": {`{"id":"x","attributes":{},"deployment":{"nova":{"element_order":["a",["b",2]]}}}`, []proposal.Problem{
			{Path: "/deployment/nova/element_order/0", Found: `a string "a"`, Expected: "a list of strings", Hint: `write ["a"]`},
			{Path: "/deployment/nova/element_order/1/1", Found: "a number 2", Expected: "a string"},
		}},
		"order no list": {`{"id":"x","attributes":{},"deployment":{"nova":{"element_order":{}}}}`, []proposal.Problem{
			{Path: "/deployment/nova/element_order", Found: "an object", Expected: "a list"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := proposal.Parse([]byte(c.text))
			require.ErrorIs(t, err, proposal.ErrInvalid)
			var invalid *proposal.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Empty(t, cmp.Diff(c.want, invalid.Problems))
			for _, p := range c.want {
				require.Contains(t, err.Error(), p.String())
			}
		})
	}
}

func TestProblemsAreBounded(t *testing.T) {
	_, err := proposal.Parse([]byte(document("{}", `"elements":{"controller":[`+strings.Repeat("1,", 4999)+`1]}`)))
	var invalid *proposal.ValidationError
	require.ErrorAs(t, err, &invalid)
	require.Len(t, invalid.Problems, 1001)
	require.Equal(t, "4000 more problems", invalid.Problems[1000].Found)
}

func TestAccessors(t *testing.T) {
	d := parse(t, `{
		"id": "nova-rack\u005f1", "description": "Compute \u00fc",
		"attributes": {"nova": {"libvirt_type": "kvm", "a.b": {"c": [1.0, 2]}, "none": null}, "rails": {"x": 1}},
		"deployment": {"nova": {
			"schema-revision": 307,
			"elements": {"nova-compute": ["n2", "n1"], "zeta": []},
			"element_order": [["nova-controller"], ["nova-volume", "nova-compute"], ["nova-controller"]],
			"element_states": {"nova-ha": ["all"], "nova-compute": ["ready", "applying"]},
			"element_run_list_order": {"nova-compute": 97, "ec2-api": -1},
			"config": {"environment": "nova-config-rack_1", "mode": "full", "transitions": true, "transition_list": ["installed"]}
		}}}`)
	require.Equal(t, "nova-rack_1", d.ID())
	require.Equal(t, "nova", d.Barclamp())
	require.Equal(t, "rack_1", d.Name())
	require.Equal(t, "Compute ü", d.Description())
	require.Equal(t, "nova/rack_1", d.String())
	require.False(t, d.IsTemplate())
	require.Equal(t, []string{"nova-controller", "nova-volume", "nova-compute", "ec2-api", "nova-ha"}, d.Roles())
	require.Equal(t, "kvm", d.Get("libvirt_type").String())
	require.Equal(t, "1.0", d.Get(`a\.b.c.0`).Raw)
	require.True(t, d.Get("none").Exists())
	require.False(t, d.Get("x").Exists(), "only the barclamp's own attributes")
	require.Len(t, d.Attributes().Map(), 3)
	require.Equal(t, "/attributes/nova", d.AttributePointer(""))
	require.Equal(t, "/attributes/nova/a.b/c", d.AttributePointer(`a\.b.c`))
	require.Equal(t, "/attributes/nova/a~1b/m~0n", d.AttributePointer("a/b.m~n"))

	want := proposal.Deployment{
		SchemaRevision: 307,
		Elements:       map[string][]string{"nova-compute": {"n2", "n1"}, "zeta": {}},
		ElementOrder:   [][]string{{"nova-controller"}, {"nova-volume", "nova-compute"}, {"nova-controller"}},
		ElementStates:  map[string][]string{"nova-ha": {"all"}, "nova-compute": {"ready", "applying"}},
		RunListOrder:   map[string]int{"nova-compute": 97, "ec2-api": -1},
		Config:         proposal.Config{Environment: "nova-config-rack_1", Mode: "full", Transitions: true, TransitionList: []string{"installed"}},
	}
	require.Empty(t, cmp.Diff(want, d.Deployment()))

	copied := d.Deployment()
	copied.Elements["nova-compute"][0] = "changed"
	d.Roles()[0] = "changed"
	d.Bytes()[0] = 'x'
	require.Empty(t, cmp.Diff(want, d.Deployment()), "a document does not change")
	require.Equal(t, "nova-controller", d.Roles()[0])
	require.Equal(t, byte('{'), d.Bytes()[0])

	sparse := parse(t, `{"id":"bc-nova-x","attributes":{},"deployment":{"nova":{}}}`)
	require.False(t, sparse.Attributes().Exists())
	require.False(t, sparse.Get("a").Exists())
	require.Empty(t, sparse.Roles())
	require.NotNil(t, sparse.Deployment().Elements)
	require.NotNil(t, sparse.Deployment().RunListOrder)
}

func TestDocumentInAStructure(t *testing.T) {
	type record struct{ D *proposal.Document }
	var r record
	require.NoError(t, json.Unmarshal([]byte(`{"D":`+document(`{"n":1.0,"s":"<&>"}`, "")+`}`), &r))
	text, err := json.Marshal(r)
	require.NoError(t, err)
	var again record
	require.NoError(t, json.Unmarshal(text, &again))
	require.Equal(t, r.D.Hash(), again.D.Hash())
	require.Equal(t, "1.0", again.D.Get("n").Raw)

	err = json.Unmarshal([]byte(`{"D":{"id":"x"}}`), &record{})
	require.ErrorIs(t, err, proposal.ErrInvalid)
}

func TestParsePropertyOverGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := documents().Draw(t, "document")
		d := parse(t, text)
		require.Equal(t, text, string(d.Bytes()))
		require.Equal(t, d.Attributes().Raw, d.Get("@this").Raw)
		again := parse(t, string(d.Content()[:len(d.Content())-1])+`,"id":"bc-nova-default"}`)
		require.Equal(t, string(d.Content()), string(again.Content()), "content is canonical")
	})
}
