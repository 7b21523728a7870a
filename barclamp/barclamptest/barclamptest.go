// Package barclamptest tells whether a barclamp keeps to the contract of package barclamp. An
// author's test is this much:
//
//	func TestConformance(t *testing.T) {
//		barclamptest.Run(t, barclamptest.Harness{
//			World: func(t *testing.T) barclamptest.World {
//				return barclamptest.World{Barclamp: motd.New(), Site: barclamptest.NewSite(6, 2)}
//			},
//		})
//	}
//
// Each case is named after the rule that it guards. [FakeSite] and [StepContext] serve the
// author's own tests, too: they are plain values, so that a barclamp is tested in
// milliseconds, without an engine.
//
// # Concurrency
//
// A FakeSite is read by any number of goroutines as long as nobody changes it. A StepContext
// and an AddressBook are safe for concurrent use.
package barclamptest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// A World is a barclamp and a site that it works for, with all that it touches.
type World struct {
	Barclamp barclamp.Barclamp
	// Site has the nodes, and the documents of other barclamps that this one needs in force.
	Site *FakeSite
}

// A Harness makes worlds.
type Harness struct {
	// World makes a fresh one: what steps did in one world is not seen in the next, but all
	// are alike.
	World func(t *testing.T) World
}

// Run checks every rule.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for _, c := range []struct {
		rule  string
		check func(*testing.T, Harness)
	}{
		{"Info is complete and the same at every call", infoIsStable},
		{"the template can be proposed and has the roles of Info", templateIsSound},
		{"the schema compiles and accepts what is proposed", schemaAccepts},
		{"Propose gives the same draft for the same site", proposeIsDeterministic},
		{"Propose does not depend on the order of facts", proposeIgnoresOrder},
		{"Propose and Transition leave the site as it is", siteIsUntouched},
		{"Propose explains every node it places and every role it lacks", draftIsExplained},
		{"Propose for a site without nodes is no error", emptySiteIsNoError},
		{"a draft makes a document that can be committed", draftIsCommittable},
		{"Transition says the same steps for the same event", stepsAreStable},
		{"steps run again do nothing", stepsAreIdempotent},
		{"a step stops when its context has ended", stepsStop},
		{"what steps destroy was in the plan", destructionIsPlanned},
		{"Plan changes nothing", planIsPure},
	} {
		t.Run(c.rule, func(t *testing.T) { c.check(t, h) })
	}
}

// compare compares documents by their bytes.
var compare = cmp.Comparer(func(a, b *proposal.Document) bool {
	if a == nil || b == nil {
		return a == b
	}
	return bytes.Equal(a.Bytes(), b.Bytes())
})

func infoIsStable(t *testing.T, h Harness) {
	b := h.World(t).Barclamp
	info := b.Info()
	require.Empty(t, cmp.Diff(info, b.Info(), compare), "two calls of Info")
	require.Empty(t, cmp.Diff(info, h.World(t).Barclamp.Info(), compare), "Info of two instances")
	require.NoError(t, proposal.Key{Barclamp: info.Name, Name: "default"}.Check(), "name")
	require.NotEmpty(t, info.Version, "version")
	require.NotEmpty(t, info.Description, "description")
	require.NotEmpty(t, info.Roles, "a barclamp without roles places nothing")
	require.NotContains(t, info.Requires, info.Name, "a barclamp does not require itself")
	var names []string
	for _, r := range info.Roles {
		require.NotContains(t, names, r.Name, "each role once")
		names = append(names, r.Name)
		c := r.Constraint
		require.GreaterOrEqual(t, c.Minimum, 0, "role %s", r.Name)
		require.True(t, c.Count == 0 || c.Count >= c.Minimum, "role %s: at most %d and at least %d", r.Name, c.Count, c.Minimum)
	}
	for _, r := range info.Roles {
		require.Subset(t, names, r.Constraint.ConflictsWith, "role %s conflicts with roles that are there", r.Name)
		require.NotContains(t, r.Constraint.ConflictsWith, r.Name, "no role conflicts with itself")
	}
}

func templateIsSound(t *testing.T, h Harness) {
	b := h.World(t).Barclamp
	info := b.Info()
	_, err := barclamp.NewRegistry(b)
	require.NoError(t, err, "a registry takes it")
	require.True(t, info.Template.IsTemplate(), "id %q, expected bc-template-%s", info.Template.ID(), info.Name)
	require.NoError(t, proposal.Validate(info.Template))
	deployment := info.Template.Deployment()
	require.Empty(t, deployment.Elements, "a template places no nodes")
	known := info.Template.Roles()
	for _, r := range info.Roles {
		require.Contains(t, known, r.Name, "role of Info in element_order or element_states")
	}
	if barclamp.Find(b).Transitioner != nil {
		require.True(t, deployment.Config.Transitions, "config.transitions, or Transition is never called")
		require.NotEmpty(t, deployment.Config.TransitionList, "config.transition_list, or Transition is never called")
	}
}

func schemaAccepts(t *testing.T, h Harness) {
	w := h.World(t)
	info := w.Barclamp.Info()
	if info.Schema == nil {
		return // anything goes
	}
	schema, err := proposal.CompileSchema(info.Schema, proposal.AttributesOnly, nil)
	require.NoError(t, err)
	require.NoError(t, schema.Check(info.Template), "template")
	require.NoError(t, schema.Check(commit(t, w)), "draft")
}

func proposeIsDeterministic(t *testing.T, h Harness) {
	w := h.World(t)
	first := propose(t, w)
	require.Empty(t, cmp.Diff(first, propose(t, w)), "two calls of Propose")
	require.Empty(t, cmp.Diff(first, propose(t, h.World(t))), "Propose of two instances")
}

func proposeIgnoresOrder(t *testing.T, h Harness) {
	w := h.World(t)
	first := propose(t, w)
	slices.Reverse(w.Site.Machines)
	for i := range w.Site.Machines {
		f := &w.Site.Machines[i].Facts
		f.Disks, f.NICs, f.CPU.Flags = slices.Clone(f.Disks), slices.Clone(f.NICs), slices.Clone(f.CPU.Flags)
		slices.Reverse(f.Disks)
		slices.Reverse(f.NICs)
		slices.Reverse(f.CPU.Flags)
	}
	require.Empty(t, cmp.Diff(first, propose(t, w)), "disks, NICs and CPU flags come in any order")
}

func siteIsUntouched(t *testing.T, h Harness) {
	w := h.World(t)
	d := commit(t, w)
	before := picture(t, w.Site)
	propose(t, w)
	events(t, w, d, func(e barclamp.Event) { transition(t, w, e) })
	require.Equal(t, before, picture(t, w.Site))
}

func draftIsExplained(t *testing.T, h Harness) {
	w := h.World(t)
	checkExplained(t, w.Barclamp.Info(), propose(t, w))
}

func checkExplained(t *testing.T, info barclamp.Info, d *barclamp.Draft) {
	t.Helper()
	explained := map[[2]string]bool{}
	for _, x := range d.Explanations {
		require.NotEmpty(t, x.Reason, "role %s, node %s", x.Role, x.Node)
		explained[[2]string{x.Role, x.Node}] = true
	}
	for role, nodes := range d.Elements {
		for _, n := range nodes {
			require.True(t, explained[[2]string{role, n}], "why is %s in role %s?", n, role)
		}
	}
	for _, r := range info.Roles {
		if len(d.Elements[r.Name]) < r.Constraint.Minimum {
			require.True(t, explained[[2]string{r.Name, ""}], "why does role %s lack nodes?", r.Name)
		}
	}
}

func emptySiteIsNoError(t *testing.T, h Harness) {
	b := h.World(t).Barclamp
	d := propose(t, World{Barclamp: b, Site: &FakeSite{}})
	for role, nodes := range d.Elements {
		require.Empty(t, nodes, "role %s", role)
	}
	require.NotEmpty(t, d.Explanations, "why is every role empty?")
	checkExplained(t, b.Info(), d)
	_, err := d.Document(b.Info().Template)
	require.NoError(t, err)
}

func draftIsCommittable(t *testing.T, h Harness) {
	w := h.World(t)
	info := w.Barclamp.Info()
	draft := propose(t, w)
	for role := range draft.Elements {
		require.Contains(t, info.Template.Roles(), role, "roles of the draft are the template's")
	}
	d := commit(t, w)
	require.NoError(t, proposal.Validate(d))
	require.NoError(t, barclamp.CheckPlacement(info, d, w.Site), "constraints; give the harness a site that is large enough")
	if v := barclamp.Find(w.Barclamp).Validator; v != nil {
		require.NoError(t, v.Validate(t.Context(), w.Site, d))
	}
}

func stepsAreStable(t *testing.T, h Harness) {
	w := h.World(t)
	d := commit(t, w)
	other := h.World(t)
	commit(t, other)
	events(t, w, d, func(e barclamp.Event) {
		first := transition(t, w, e)
		seen := map[string]bool{}
		for _, s := range first {
			require.NotEmpty(t, s.ID)
			require.NotEmpty(t, s.Title, "step %s", s.ID)
			require.False(t, seen[s.ID], "two steps of one event have the ID %s", s.ID)
			require.NotEqual(t, s.Skip == "", s.Run == nil, "step %s either runs or says why it is skipped", s.ID)
			seen[s.ID] = true
		}
		require.Equal(t, describe(first), describe(transition(t, w, e)), "asked again")
		require.Equal(t, describe(first), describe(transition(t, other, e)), "another instance, as after a crash")
	})
}

func describe(steps []barclamp.Step) []string {
	var lines []string
	for _, s := range steps {
		lines = append(lines, fmt.Sprintf("%s: %s (%s)", s.ID, s.Title, s.Skip))
	}
	return lines
}

func stepsAreIdempotent(t *testing.T, h Harness) {
	w := h.World(t)
	d := commit(t, w)
	events(t, w, d, func(e barclamp.Event) {
		sc := NewStepContext(e.Node)
		sc.Grant = destructions(t, w, e)
		steps := transition(t, w, e)
		run(t, sc, steps)
		data, authorized, joined := sc.Stored(), sc.Authorized(), sc.Joined()
		run(t, sc, steps)
		require.JSONEq(t, orNull(data), orNull(sc.Stored()), "role data after the second run")
		require.Equal(t, authorized, sc.Authorized(), "the second run destroys nothing")
		require.Equal(t, joined, sc.Joined())
		known := describe(steps)
		for _, again := range describe(transition(t, w, e)) {
			require.Contains(t, known, again, "a step that was not there before the first run")
		}
	})
}

func orNull(raw json.RawMessage) string {
	if raw == nil {
		return "null"
	}
	return string(raw)
}

func stepsStop(t *testing.T, h Harness) {
	w := h.World(t)
	d := commit(t, w)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	events(t, w, d, func(e barclamp.Event) {
		sc := NewStepContext(e.Node)
		sc.Grant = destructions(t, w, e)
		for _, s := range transition(t, w, e) {
			if s.Run != nil {
				require.Error(t, s.Run(ended, sc), "step %s", s.ID)
			}
		}
		require.Empty(t, sc.Authorized())
	})
}

func destructionIsPlanned(t *testing.T, h Harness) {
	w := h.World(t)
	planner := barclamp.Find(w.Barclamp).Planner
	d := commit(t, w)
	events(t, w, d, func(e barclamp.Event) {
		sc := NewStepContext(e.Node)
		sc.Grant = destructions(t, w, e)
		run(t, sc, transition(t, w, e)) // the context refuses what is not granted
		if planner == nil {
			return
		}
		for _, left := range destructions(t, w, e) {
			for _, done := range sc.Authorized() {
				require.NotEqual(t, left.Operation, done.Operation, "still planned after it was done")
			}
		}
	})
}

func planIsPure(t *testing.T, h Harness) {
	w := h.World(t)
	planner := barclamp.Find(w.Barclamp).Planner
	if planner == nil {
		return
	}
	d := commit(t, w)
	before := picture(t, w.Site)
	events(t, w, d, func(e barclamp.Event) {
		first, err := planner.Plan(t.Context(), w.Site, e)
		require.NoError(t, err)
		again, err := planner.Plan(t.Context(), w.Site, e)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(first, again), "two plans of one event")
		if first == nil {
			return
		}
		require.False(t, first.Text == "" && first.Skipped == "", "a plan says something")
		for _, x := range first.Destructions {
			require.NotEmpty(t, x.Operation)
			require.NotEmpty(t, x.Disks, "%s names the disks that lose data", x.Operation)
			require.NotEmpty(t, x.Description, "%s", x.Operation)
		}
	})
	require.Equal(t, before, picture(t, w.Site))
}

func propose(t *testing.T, w World) *barclamp.Draft {
	t.Helper()
	d, err := w.Barclamp.Propose(t.Context(), w.Site)
	require.NoError(t, err)
	require.NotNil(t, d)
	return d
}

func commit(t *testing.T, w World) *proposal.Document {
	t.Helper()
	d, err := w.Site.Commit(t.Context(), w.Barclamp)
	require.NoError(t, err)
	return d
}

// events calls visit for every node in every state that the document's transitions name.
func events(t *testing.T, w World, d *proposal.Document, visit func(barclamp.Event)) {
	t.Helper()
	if barclamp.Find(w.Barclamp).Transitioner == nil {
		return
	}
	states := d.Deployment().Config.TransitionList
	if slices.Contains(states, "all") {
		states = states[:0:0]
		for _, s := range lifecycle.Default().Machine().States() {
			states = append(states, s.Name)
		}
	}
	for _, state := range states {
		for _, n := range w.Site.Nodes() {
			e, err := w.Site.Event(n.Name, state, d)
			require.NoError(t, err)
			visit(e)
		}
	}
}

func transition(t *testing.T, w World, e barclamp.Event) []barclamp.Step {
	t.Helper()
	steps, err := barclamp.Find(w.Barclamp).Transitioner.Transition(t.Context(), w.Site, e)
	require.NoError(t, err, "%s of %s", e.State, e.Node.Name)
	return steps
}

func run(t *testing.T, sc *StepContext, steps []barclamp.Step) {
	t.Helper()
	for _, s := range steps {
		if s.Run != nil {
			require.NoError(t, s.Run(t.Context(), sc), "step %s of %s", s.ID, sc.Node().Name)
		}
	}
}

// destructions is what the barclamp's plan says.
func destructions(t *testing.T, w World, e barclamp.Event) []barclamp.Destruction {
	t.Helper()
	planner := barclamp.Find(w.Barclamp).Planner
	if planner == nil {
		return nil
	}
	p, err := planner.Plan(t.Context(), w.Site, e)
	require.NoError(t, err)
	if p == nil {
		return nil
	}
	return p.Destructions
}

// picture is all of a site.
func picture(t *testing.T, s *FakeSite) string {
	t.Helper()
	text, err := json.Marshal(s)
	require.NoError(t, err)
	return string(text)
}
