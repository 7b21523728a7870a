package lifecycle_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func granted(string) error { return nil }

// step is an event as whoever drives the lifecycle fires it.
type step struct {
	event, actor string
	state        string // afterwards
}

const hooks = "" // built-in events come from no actor

func walk(t *testing.T, in statemachine.Instance, steps ...step) statemachine.Instance {
	t.Helper()
	m := lifecycle.Default().Machine()
	for i, s := range steps {
		ev := statemachine.Event{Name: s.event, Actor: s.actor, At: in.Since.Add(time.Minute)}
		if s.event == statemachine.Deadline {
			ev.At = in.Deadline
		}
		out, _, err := m.Fire(in, ev, granted)
		require.NoError(t, err, "step %d", i)
		require.Equal(t, s.state, out.State, "step %d, %s", i, s.event)
		in = out
	}
	return in
}

func TestLifeOfANode(t *testing.T) {
	m := lifecycle.Default().Machine()
	in, _ := m.Start(start)
	in = walk(t, in,
		step{"settled", hooks, "discovering"},
		step{"discovered", "node", "discovered"},
		step{"settled", hooks, "discovered"},
		step{"allocate", "rule", "hardware-installing"},
		step{"settled", hooks, "hardware-installed"},
		step{"settled", hooks, "hardware-installed"},
		step{"installing", "node", "installing"},
		step{"settled", hooks, "installing"},
		step{"installed", "node", "installed"},
		step{"settled", hooks, "installed"},
		step{"readying", "node", "readying"},
		step{"settled", hooks, "ready"},
		step{"settled", hooks, "ready"},
		step{"apply", "engine", "applying"},
		step{"settled", hooks, "applying"},
		step{"applied", "engine", "ready"},
	)
	for name, c := range map[string][]step{
		"reboots": {{"reboot", "node", "reboot"}, {"readying", "node", "readying"}, {"settled", hooks, "ready"}},
		"is updated": {{"update", "operator", "update"}, {"hardware-updating", "node", "hardware-updating"}, {"settled", hooks, "hardware-updated"},
			{"readying", "node", "readying"}},
		"is reinstalled":   {{"reinstall", "operator", "reinstall"}, {"installing", "node", "installing"}, {"installed", "node", "installed"}},
		"is reset":         {{"reset", "operator", "reset"}, {"discovering", "node", "discovering"}},
		"is deleted":       {{"delete", "operator", "delete"}, {"settled", hooks, "delete-final"}},
		"recovers":         {{"readying", "node", "readying"}, {"failed", hooks, "recovering"}, {"readying", "node", "readying"}, {"settled", hooks, "ready"}},
		"recovers not":     {{"readying", "node", "readying"}, {"deadline", hooks, "recovering"}, {"failed", hooks, "problem"}, {"reset", "operator", "reset"}},
		"fails to apply":   {{"apply", "engine", "applying"}, {"failed", hooks, "problem"}, {"readying", "node", "readying"}},
		"never comes back": {{"reboot", "operator", "reboot"}, {"deadline", hooks, "problem"}, {"delete", "operator", "delete"}},
		"stays deletable":  {{"delete", "operator", "delete"}, {"failed", hooks, "problem"}, {"delete", "operator", "delete"}},
	} {
		t.Run(name, func(t *testing.T) { walk(t, in, c...) })
	}
}

func TestPauseHolds(t *testing.T) {
	m := lifecycle.Default().Machine()
	discovered := statemachine.Instance{State: lifecycle.Discovered, Phase: statemachine.PhaseSettled, Since: start, Visit: 2}
	for name, c := range map[string]struct {
		phase statemachine.Phase
		event statemachine.Event
		guard statemachine.Guard
		is    error
	}{
		"against the node":       {statemachine.PhaseSettled, statemachine.Event{Name: lifecycle.EventAllocate, Actor: lifecycle.ActorNode}, granted, statemachine.ErrNotAllowed},
		"against the engine":     {statemachine.PhaseSettled, statemachine.Event{Name: lifecycle.EventAllocate, Actor: lifecycle.ActorEngine}, granted, statemachine.ErrNotAllowed},
		"without a grant":        {statemachine.PhaseSettled, statemachine.Event{Name: lifecycle.EventAllocate, Actor: lifecycle.ActorOperator}, nil, statemachine.ErrGuard},
		"while hooks run":        {statemachine.PhaseEntering, statemachine.Event{Name: lifecycle.EventAllocate, Actor: lifecycle.ActorOperator}, granted, statemachine.ErrGuard},
		"after its hooks failed": {statemachine.PhaseFailed, statemachine.Event{Name: lifecycle.EventAllocate, Actor: lifecycle.ActorOperator}, granted, statemachine.ErrGuard},
	} {
		t.Run(name, func(t *testing.T) {
			discovered.Phase = c.phase
			_, _, err := m.Fire(discovered, c.event, c.guard)
			require.ErrorIs(t, err, c.is)
		})
	}
}

// Whatever nodes, engine and hooks do, without an operator no node gets past the pause, and
// left to itself every node comes to rest.
func TestNothingIsDestroyedWithoutAnOperator(t *testing.T) {
	m := lifecycle.Default().Machine()
	events := []string{"settled", "failed", "deadline"}
	for _, s := range m.States() {
		for _, tr := range s.Transitions {
			events = append(events, tr.Event)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in, _ := m.Start(start)
		for range 60 {
			ev := statemachine.Event{
				Name:  rapid.SampledFrom(events).Draw(t, "event"),
				Actor: rapid.SampledFrom([]string{lifecycle.ActorNode, lifecycle.ActorEngine, lifecycle.ActorBMC}).Draw(t, "actor"),
				At:    in.Since.Add(24 * time.Hour),
			}
			if out, _, err := m.Fire(in, ev, granted); err == nil {
				in = out
			}
			if s, _ := m.State(in.State); s.Destructive {
				t.Fatalf("%+v led to %+v", ev, in)
			}
		}
		for range m.States() {
			if s, _ := m.State(in.State); s.Kind == statemachine.Work {
				var err error
				if in, _, err = m.Fire(in, statemachine.Event{Name: statemachine.Deadline, At: in.Deadline}, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		if s, _ := m.State(in.State); s.Kind == statemachine.Work {
			t.Fatalf("%+v does not come to rest", in)
		}
	})
}
