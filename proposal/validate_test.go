package proposal_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestValidateListsEveryProblem(t *testing.T) {
	withID := func(id string) string { return strings.Replace(document("{}", ""), "bc-nova-default", id, 1) }
	const role = "a role of element_order or element_states"
	for name, c := range map[string]struct {
		text string
		want []proposal.Problem
	}{
		"id of no form": {withID("x"), []proposal.Problem{
			{Path: "/id", Found: `"x"`, Expected: "bc-nova-<name>", Hint: `did you mean "bc-nova-x"?`}}},
		"id of another barclamp": {withID("bc-nvoa-default"), []proposal.Problem{
			{Path: "/id", Found: `"bc-nvoa-default"`, Expected: "bc-nova-<name>", Hint: `did you mean "bc-nova-default"?`}}},
		"id without a name": {withID("bc-nova-"), []proposal.Problem{
			{Path: "/id", Found: `"bc-nova-"`, Expected: "bc-nova-<name>"}}},
		"id with a wrong name": {withID("bc-nova-a-b"), []proposal.Problem{
			{Path: "/id", Found: `"bc-nova-a-b"`, Expected: "bc-nova-<name>", Hint: "a name has letters, digits and _, and is not template, nodes, commit or status"}}},
		"id with a reserved name": {withID("nova-commit"), []proposal.Problem{
			{Path: "/id", Found: `"nova-commit"`, Expected: "bc-nova-<name>", Hint: "a name has letters, digits and _, and is not template, nodes, commit or status"}}},
		"attributes of something else": {strings.Replace(document("{}", ""), `"nova":{}`, `"nvoa":{},"rails":{}`, 1), []proposal.Problem{
			{Path: "/attributes", Found: `an object without a member "nova"`, Expected: "the attributes of nova", Hint: `deployment says that the barclamp is nova, attributes has "nvoa", "rails"`}}},
		"roles": {document("{}", `"elements":{"contoller":["n1"],"compute":["n1","","n2","n1","n1"],"zzz":[]},
			"element_states":{"ha":["all"]},"element_run_list_order":{"ha":1,"volumes":2}`), []proposal.Problem{
			{Path: "/deployment/nova/elements/contoller", Found: `unknown role "contoller"`, Expected: role, Hint: `did you mean "controller"?`},
			{Path: "/deployment/nova/elements/compute/1", Found: "an empty string", Expected: "the name of a node"},
			{Path: "/deployment/nova/elements/compute/3", Found: `node "n1" again`, Expected: "each node once in a role", Hint: "it is already at index 0"},
			{Path: "/deployment/nova/elements/compute/4", Found: `node "n1" again`, Expected: "each node once in a role", Hint: "it is already at index 0"},
			{Path: "/deployment/nova/elements/zzz", Found: `unknown role "zzz"`, Expected: role, Hint: `known: "compute", "controller", "ha", "volume"`},
			{Path: "/deployment/nova/element_run_list_order/volumes", Found: `unknown role "volumes"`, Expected: role, Hint: `did you mean "volume"?`},
		}},
		"no roles at all": {`{"id":"nova-x","attributes":{},"deployment":{"nova":{"elements":{"a":["n"]}}}}`, []proposal.Problem{
			{Path: "/deployment/nova/elements/a", Found: `unknown role "a"`, Expected: role, Hint: "the document knows no roles"}}},
		"order": {`{"id":"nova-x","attributes":{},"deployment":{"nova":{"element_order":[["a","b","a"],["a",""]]}}}`, []proposal.Problem{
			{Path: "/deployment/nova/element_order/0/2", Found: `role "a" again`, Expected: "each role once in a batch", Hint: "it is already at index 0"},
			{Path: "/deployment/nova/element_order/1/1", Found: "an empty string", Expected: "the name of a role"}}},
	} {
		t.Run(name, func(t *testing.T) {
			err := proposal.Validate(parse(t, c.text))
			require.ErrorIs(t, err, proposal.ErrInvalid)
			var invalid *proposal.ValidationError
			require.ErrorAs(t, err, &invalid)
			require.Empty(t, cmp.Diff(c.want, invalid.Problems))
		})
	}
}

func TestHintsFarFromAnyRoleNameThem(t *testing.T) {
	err := proposal.Validate(parse(t, document("{}", `"elements":{"ganz-anders":[]}`)))
	require.ErrorContains(t, err, `known: "compute", "controller", "volume"`)
}

func TestHintsAreBounded(t *testing.T) {
	var roles []string
	for n := range 50 {
		roles = append(roles, fmt.Sprintf(`"controler%d":[]`, n))
	}
	var invalid *proposal.ValidationError
	require.ErrorAs(t, proposal.Validate(parse(t, document("{}", `"elements":{`+strings.Join(roles, ",")+`}`))), &invalid)
	require.Len(t, invalid.Problems, 50)
	require.NotEmpty(t, invalid.Problems[19].Hint)
	require.Empty(t, invalid.Problems[20].Hint)
}

func TestErrorText(t *testing.T) {
	one := &proposal.ValidationError{Problems: []proposal.Problem{{Path: "/a", Found: "x", Expected: "y", Hint: "z"}}}
	require.Equal(t, "proposal: invalid: /a: found x, expected y (z)", one.Error())
	two := &proposal.ValidationError{Problems: append(one.Problems, proposal.Problem{Found: "nothing"})}
	require.Equal(t, "proposal: invalid: 2 problems:\n  /a: found x, expected y (z)\n  document: found nothing", two.Error())
}

func TestNames(t *testing.T) {
	for _, name := range []string{"default", "a", "A_1", "template_1", "Nodes"} {
		require.NoError(t, proposal.CheckName(name), name)
	}
	for _, name := range []string{"", "a-b", "a.b", "a/b", "ä", " "} {
		require.ErrorIs(t, proposal.CheckName(name), proposal.ErrInvalid, name)
		require.NotErrorIs(t, proposal.CheckName(name), proposal.ErrReservedName, name)
	}
	for _, name := range []string{"template", "nodes", "commit", "status"} {
		require.ErrorIs(t, proposal.CheckName(name), proposal.ErrInvalid, name)
		require.ErrorIs(t, proposal.CheckName(name), proposal.ErrReservedName, name)
	}
}

func TestNameFromID(t *testing.T) {
	for id, want := range map[string]string{
		"template-nova": "default", "bc-template-nova": "default",
		"bc-nova-x": "x", "nova-x": "x", "bc-nova-a-b": "a-b",
		"bc-nova-": "", "nova": "", "": "", "bc-nova": "", "bc-swift-x": "", "novax-x": "", "template-swift": "",
	} {
		require.Equal(t, want, proposal.NameFromID("nova", id), id)
	}
	require.Equal(t, "x", proposal.NameFromID("nova_dash-board", "bc-nova_dash-board-x"))
	require.Equal(t, "x", proposal.NameFromID("bc", "bc-bc-x"))
}

func TestKey(t *testing.T) {
	k, err := proposal.ParseKey("nova_x-y/rack_1")
	require.NoError(t, err)
	require.Equal(t, proposal.Key{Barclamp: "nova_x-y", Name: "rack_1"}, k)
	require.Equal(t, "nova_x-y/rack_1", k.String())
	for _, bad := range []string{"", "nova", "nova/", "/x", "nova/a/b", "no va/x", "nova/commit"} {
		_, err := proposal.ParseKey(bad)
		require.ErrorIs(t, err, proposal.ErrInvalid, bad)
	}
}
