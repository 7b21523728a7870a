package statemachine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/statemachine"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// disk is a small machine with a state of every kind.
func disk() statemachine.Definition {
	return statemachine.Definition{
		Name:     "disk",
		Initial:  "probing",
		Deciders: []string{"operator"},
		States: []statemachine.State{
			{Name: "probing", Kind: statemachine.Work, Actor: "node", Deadline: minutes(10), OnFailure: "broken",
				Transitions: []statemachine.Transition{{Event: "found", To: "idle", Actors: []string{"node"}}}},
			{Name: "idle", Kind: statemachine.Pause, Actor: "operator", Transitions: []statemachine.Transition{
				{Event: "allocate", To: "wiping", Actors: []string{"operator"}, Guards: []string{"settled", "granted"}},
				{Event: "probe", To: "probing"},
				{Event: "look", To: "idle", Actors: []string{"node"}},
			}},
			{Name: "wiping", Kind: statemachine.Work, Actor: "engine", Deadline: minutes(60), OnFailure: "broken", OnDeadline: "probing", Destructive: true,
				Transitions: []statemachine.Transition{{Event: "settled", To: "used", Guards: []string{"clean"}}}},
			{Name: "used", Kind: statemachine.Rest, Transitions: []statemachine.Transition{
				{Event: "retire", To: "gone", Actors: []string{"operator"}},
				{Event: "wipe", To: "wiping", Actors: []string{"operator"}},
			}},
			{Name: "broken", Kind: statemachine.Rest, Actor: "operator", Transitions: []statemachine.Transition{
				{Event: "retire", To: "gone", Actors: []string{"operator"}},
			}},
			{Name: "gone", Kind: statemachine.End},
		},
	}
}

func minutes(n int) statemachine.Duration {
	return statemachine.Duration(time.Duration(n) * time.Minute)
}

func newMachine(t testing.TB, d statemachine.Definition) *statemachine.Machine {
	t.Helper()
	m, err := statemachine.New(d)
	require.NoError(t, err)
	return m
}

// in returns an instance that has been in the state since start, at visit 5.
func in(state string, phase statemachine.Phase) statemachine.Instance {
	return statemachine.Instance{State: state, Phase: phase, Since: start, Visit: 5, Previous: "before"}
}

func TestMachineIsIndependentOfItsDefinition(t *testing.T) {
	d := disk()
	m := newMachine(t, d)
	d.States[1].Transitions[0].Actors[0] = "node"
	d.States[0].Name = "changed"

	m.States()[1].Transitions[0].Guards[1] = "changed"
	s, ok := m.State("idle")
	require.True(t, ok)
	s.Transitions[0].To = "changed"

	require.Empty(t, cmp.Diff(disk(), m.Definition()))
	require.Empty(t, cmp.Diff(disk().States, m.States()))
	require.Equal(t, "disk", m.Name())
	require.Equal(t, "probing", m.Initial())
	_, ok = m.State("changed")
	require.False(t, ok)
}

func TestEventTo(t *testing.T) {
	m := newMachine(t, disk())
	for name, c := range map[string]struct {
		from, to, actor string
		event           string
	}{
		"by target":               {"probing", "idle", "node", "found"},
		"not by this actor":       {"probing", "idle", "operator", ""},
		"by anybody":              {"idle", "probing", "whoever", "probe"},
		"re-entry is in table":    {"idle", "idle", "node", "look"},
		"re-entry is not":         {"probing", "probing", "node", ""},
		"guards are not asked":    {"idle", "wiping", "operator", "allocate"},
		"settled is nobody's":     {"wiping", "used", "engine", ""},
		"no failure exit":         {"probing", "broken", "node", ""},
		"unknown state":           {"nowhere", "idle", "node", ""},
		"unknown target":          {"idle", "nowhere", "operator", ""},
		"an end has no way out":   {"gone", "probing", "operator", ""},
		"two steps are not taken": {"probing", "wiping", "operator", ""},
	} {
		t.Run(name, func(t *testing.T) {
			event, ok := m.EventTo(c.from, c.to, c.actor)
			require.Equal(t, c.event, event)
			require.Equal(t, c.event != "", ok)
		})
	}
}

func TestStart(t *testing.T) {
	zone := time.FixedZone("here", 3600)
	got, effects := newMachine(t, disk()).Start(start.In(zone))
	want := statemachine.Instance{
		State: "probing", Phase: statemachine.PhaseEntering, Since: start, Deadline: start.Add(10 * time.Minute), Visit: 1,
	}
	require.Equal(t, want, got, "times are UTC")
	require.Equal(t, []statemachine.Effect{
		{Kind: statemachine.Enter, State: "probing", Visit: 1, At: start},
		{Kind: statemachine.ArmDeadline, State: "probing", Visit: 1, At: start.Add(10 * time.Minute)},
	}, effects)
}
