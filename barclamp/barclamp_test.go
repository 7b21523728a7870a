package barclamp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// template is a document of the barclamp vote with two roles.
const template = `{
  "id": "bc-template-vote",
  "description": "Keeps a quorum",
  "attributes": { "vote": { "port": 4001, "seed/key": "old", "tuning": { "beat_ms": 1e2 } } },
  "deployment": {
    "vote": {
      "element_states": { "vote-server": ["ready"], "vote-client": ["ready"] },
      "elements": {},
      "element_order": [["vote-server"], ["vote-client"]],
      "config": { "environment": "vote-config-base", "mode": "full", "transitions": false, "transition_list": [] }
    }
  }
}`

func document(t require.TestingT) *proposal.Document {
	d, err := proposal.Parse([]byte(template))
	require.NoError(t, err)
	return d
}

// vote proposes servers on the first three nodes.
type vote struct{ info barclamp.Info }

func newVote(t require.TestingT) *vote { return &vote{voteInfo(document(t))} }

func voteInfo(template *proposal.Document) barclamp.Info {
	return barclamp.Info{
		Name: "vote", Version: "1.0", Description: "Keeps a quorum", RunOrder: 70, Template: template,
		Roles: []barclamp.Role{
			{Name: "vote-server", Constraint: barclamp.Constraint{Minimum: 1, Count: 5, Odd: true}},
			{Name: "vote-client", Constraint: barclamp.Constraint{ConflictsWith: []string{"vote-server"}}},
		},
	}
}

func (v *vote) Info() barclamp.Info { return v.info }

func (v *vote) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	d := &barclamp.Draft{}
	for i, n := range barclamp.Candidates(s) {
		if i < 3 {
			d.Place("vote-server", n.Name, "one of the first three")
		} else {
			d.Place("vote-client", n.Name, "comes after the servers")
		}
	}
	return d, nil
}

func Example() {
	start, err := proposal.Parse([]byte(template))
	if err != nil {
		fmt.Println(err)
		return
	}
	v := &vote{voteInfo(start)}
	site := barclamptest.NewSite(4, 0)
	draft, err := v.Propose(context.Background(), site)
	if err != nil {
		fmt.Println(err)
		return
	}
	draft.Set("/tuning/beat_ms", 250)
	d, err := draft.Document(start)
	fmt.Println(err, d.Get("tuning.beat_ms"), len(d.Deployment().Elements["vote-server"]))
	fmt.Println(draft.Explanations[3].Role, draft.Explanations[3].Reason)
	fmt.Println(barclamp.CheckPlacement(v.Info(), d, site))
	// Output:
	// <nil> 250 3
	// vote-client comes after the servers
	// <nil>
}

func TestDraftDocument(t *testing.T) {
	base := document(t)
	d := &barclamp.Draft{}
	d.Set("/port", 4002)
	d.Set("/seed"+"~1"+"key", "new")
	d.Set("/"+barclamp.PointerToken("a/b~c"), []string{"x"})
	d.Place("vote-client", "n2", "because")
	d.Place("vote-client", "n1", "because")
	d.Place("no-such-role", "n1", "the template is of another era")
	got, err := d.Document(base)
	require.NoError(t, err)
	require.Equal(t, "4002", got.Get("port").Raw)
	require.Equal(t, "new", got.Get("seed/key").String())
	require.Equal(t, "x", got.Get("a/b~c.0").String())
	require.Equal(t, "1e2", got.Get("tuning.beat_ms").Raw, "what the draft does not touch stays, to the letter")
	require.Equal(t, map[string][]string{"vote-client": {"n2", "n1"}}, got.Deployment().Elements, "in the order of the draft")
	require.Equal(t, template, string(base.Bytes()), "the base is as before")

	again, err := d.Document(base)
	require.NoError(t, err)
	require.Equal(t, got.Bytes(), again.Bytes())
}

func TestDraftKeepsWhatTheOperatorPlaced(t *testing.T) {
	base, err := document(t).WithElements(map[string][]string{"vote-server": {"mine"}, "vote-client": {}})
	require.NoError(t, err)
	d := &barclamp.Draft{}
	d.Place("vote-server", "other", "because")
	d.Place("vote-client", "n1", "because")
	got, err := d.Document(base)
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"vote-server": {"mine"}, "vote-client": {"n1"}}, got.Deployment().Elements)
}

func TestDraftThatCannotBeWritten(t *testing.T) {
	d := &barclamp.Draft{}
	d.Set("/port", make(chan int))
	_, err := d.Document(document(t))
	require.ErrorContains(t, err, "attribute /port proposed for vote")

	d = &barclamp.Draft{}
	d.Set("/port/number", 1)
	_, err = d.Document(document(t))
	require.ErrorIs(t, err, proposal.ErrPath)
}

func TestFind(t *testing.T) {
	require.Equal(t, barclamp.Optional{}, barclamp.Find(newVote(t)))
	all := &able{vote: newVote(t)}
	require.Equal(t, barclamp.Optional{Transitioner: all, Planner: all, Validator: all}, barclamp.Find(all))
}

// able can do everything.
type able struct{ *vote }

func (*able) Transition(context.Context, barclamp.Site, barclamp.Event) ([]barclamp.Step, error) {
	return nil, nil
}
func (*able) Plan(context.Context, barclamp.Site, barclamp.Event) (*barclamp.Plan, error) {
	return nil, nil
}
func (*able) Validate(context.Context, barclamp.Site, *proposal.Document) error { return nil }

func TestInfoRole(t *testing.T) {
	info := newVote(t).Info()
	require.True(t, info.Role("vote-server").Constraint.Odd)
	require.Equal(t, barclamp.Role{Name: "other"}, info.Role("other"), "an unlisted role has no rules")
}

func TestGenericMakesNoChoice(t *testing.T) {
	g := barclamp.NewGeneric(document(t))
	info := g.Info()
	require.Equal(t, "vote", info.Name)
	require.Equal(t, []barclamp.Role{{Name: "vote-server"}, {Name: "vote-client"}}, info.Roles)
	require.True(t, info.AllowMultiple)
	s := barclamptest.NewSite(3, 0)
	d, err := g.Propose(t.Context(), s)
	require.NoError(t, err)
	require.Empty(t, d.Elements)
	require.Len(t, d.Explanations, 2)
	require.Contains(t, d.Explanations[0].Reason, "vote is not registered")

	doc, err := document(t).WithElements(map[string][]string{"vote-server": {s.Machines[0].Name, s.Machines[1].Name}})
	require.NoError(t, err)
	require.NoError(t, barclamp.CheckPlacement(info, doc, s), "what the operator placed is taken without constraints")
}

func TestNodeRolesAndData(t *testing.T) {
	n := barclamp.Node{
		Name: "n1",
		Memberships: []barclamp.Membership{
			{Proposal: proposal.Key{Barclamp: "b", Name: "x"}, Role: "two"},
			{Proposal: proposal.Key{Barclamp: "a", Name: "x"}, Role: "one"},
			{Proposal: proposal.Key{Barclamp: "a", Name: "y"}, Role: "two", Hook: true},
		},
		Data: map[string]json.RawMessage{"vote": []byte(`{"term":3}`), "bad": []byte(`[`)},
	}
	require.Equal(t, []string{"one", "two"}, n.Roles())
	var data struct{ Term int }
	found, err := n.Decode("vote", &data)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, 3, data.Term)
	found, err = n.Decode("none", &data)
	require.NoError(t, err)
	require.False(t, found)
	_, err = n.Decode("bad", &data)
	require.ErrorContains(t, err, "data of bad for node n1")
}

func TestCandidatesAndFirst(t *testing.T) {
	s := barclamptest.NewSite(3, 0)
	s.Machines[0].Admin = true
	require.Len(t, barclamp.Candidates(s), 2)
	require.Len(t, s.Nodes(), 3)

	_, ok := barclamp.First(s, "vote")
	require.False(t, ok)
	for _, name := range []string{"b", "a"} {
		d, err := document(t).WithName(name)
		require.NoError(t, err)
		s.Put(d)
	}
	d, ok := barclamp.First(s, "vote")
	require.True(t, ok)
	require.Equal(t, "a", d.Name())
}

func TestJoinSteps(t *testing.T) {
	s := barclamptest.NewSite(2, 0)
	d, err := document(t).WithElements(map[string][]string{"vote-server": {s.Machines[0].Name}})
	require.NoError(t, err)
	event := func(i int) barclamp.Event { return barclamp.Event{Node: s.Machines[i], Document: d} }

	require.Empty(t, event(0).JoinSteps("vote-server"), "its elements say so already")
	steps := event(0).JoinSteps("vote-server", "vote-client")
	require.Len(t, steps, 1)
	sc := barclamptest.NewStepContext(s.Machines[0])
	require.NoError(t, steps[0].Run(t.Context(), sc))
	require.Equal(t, []string{"vote-client"}, sc.Joined())

	require.Equal(t, "join vote-server", event(1).JoinSteps("vote-server")[0].Title)
	s.Machines[1].Admin = true
	require.Empty(t, event(1).JoinSteps("vote-server"))
}
