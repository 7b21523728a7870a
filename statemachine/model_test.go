package statemachine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/statemachine"
)

var (
	modelActors = []string{"operator", "node", "engine"}
	modelGuards = []string{"settled", "g", "h"}
)

// drawDefinition draws tables of which most are valid: each state can be reached from the
// one before it, and exits lead forward to the last state, which is a rest.
func drawDefinition(t *rapid.T) statemachine.Definition {
	n := rapid.IntRange(2, 8).Draw(t, "states")
	name := func(i int) string { return fmt.Sprintf("s%d", i) }
	d := statemachine.Definition{Name: "model", Initial: name(0), Deciders: []string{"operator"}}
	for i := range n {
		s := statemachine.State{Name: name(i), Actor: "node"}
		s.Kind = rapid.SampledFrom([]statemachine.Kind{statemachine.Rest, statemachine.Pause, statemachine.Work, statemachine.Work}).Draw(t, "kind")
		if i == n-1 {
			s.Kind = statemachine.Rest
		} else {
			s.Transitions = append(s.Transitions, statemachine.Transition{Event: "next", To: name(i + 1), Actors: []string{"operator"}})
		}
		if s.Kind == statemachine.Work {
			s.Deadline = minutes(rapid.IntRange(1, 100).Draw(t, "minutes"))
			s.OnFailure = name(rapid.IntRange(i+1, n-1).Draw(t, "on_failure"))
			if rapid.Bool().Draw(t, "own exit") {
				s.OnDeadline = name(rapid.IntRange(i+1, n-1).Draw(t, "on_deadline"))
			}
			s.Destructive = rapid.IntRange(0, 4).Draw(t, "destructive") == 0
		}
		for _, event := range []string{"a", "b", "settled"} {
			if !rapid.Bool().Draw(t, event) {
				continue
			}
			tr := statemachine.Transition{Event: event, To: name(rapid.IntRange(0, n-1).Draw(t, "to"))}
			tr.Guards = rapid.SliceOfNDistinct(rapid.SampledFrom(modelGuards), 0, 2, rapid.ID[string]).Draw(t, "guards")
			if event != "settled" {
				tr.Actors = rapid.SliceOfNDistinct(rapid.SampledFrom(modelActors), 0, 2, rapid.ID[string]).Draw(t, "actors")
			}
			s.Transitions = append(s.Transitions, tr)
		}
		d.States = append(d.States, s)
	}
	return d
}

// model says by the words of the documentation, and not by the table's code, where an event
// leads: the state entered, or "" when the instance stays or the event is refused.
func model(s statemachine.State, in statemachine.Instance, ev statemachine.Event, holds map[string]bool) (to string, refused error) {
	if ev.Visit != 0 && ev.Visit != in.Visit {
		return "", statemachine.ErrStale
	}
	open := func(t statemachine.Transition, phase statemachine.Phase) bool {
		for _, g := range t.Guards {
			if g == "settled" && phase != statemachine.PhaseSettled || g != "settled" && !holds[g] {
				return false
			}
		}
		return true
	}
	switch ev.Name {
	case "failed":
		return s.OnFailure, nil
	case "deadline":
		if in.Deadline.IsZero() || ev.At.Before(in.Deadline) {
			return "", statemachine.ErrNotAllowed
		}
		if s.OnDeadline != "" {
			return s.OnDeadline, nil
		}
		return s.OnFailure, nil
	}
	for _, t := range s.Transitions {
		switch {
		case t.Event != ev.Name:
		case ev.Name == "settled":
			if open(t, statemachine.PhaseSettled) {
				return t.To, nil
			}
			return "", nil
		case len(t.Actors) > 0 && !slices.Contains(t.Actors, ev.Actor):
			return "", statemachine.ErrNotAllowed
		case !open(t, in.Phase):
			return "", statemachine.ErrGuard
		default:
			return t.To, nil
		}
	}
	if ev.Name == "settled" {
		return "", nil
	}
	return "", statemachine.ErrNotAllowed
}

// Whatever happens in whatever machine: Fire does what the documentation says, never leaves
// the table, visits only grow, no destructive state is entered without a decision since the
// last rest, and a working state can always time out.
func TestWalksStayInTheTable(t *testing.T) {
	walked := 0
	rapid.Check(t, func(t *rapid.T) {
		d := drawDefinition(t)
		m, err := statemachine.New(d)
		if err != nil {
			var refused *statemachine.DefinitionError
			if !errors.As(err, &refused) || len(refused.Problems) == 0 {
				t.Fatalf("refused without a problem: %v", err)
			}
			return
		}
		walked++
		now := start
		at, _ := m.Start(now)
		decided := false
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, "later")) * time.Minute)
			holds := map[string]bool{"g": rapid.Bool().Draw(t, "g"), "h": rapid.Bool().Draw(t, "h")}
			guard := func(name string) error {
				if holds[name] {
					return nil
				}
				return errNotNow
			}
			ev := statemachine.Event{
				Name:  rapid.SampledFrom([]string{"next", "a", "b", "settled", "settled", "failed", "deadline"}).Draw(t, "event"),
				Actor: rapid.SampledFrom(modelActors).Draw(t, "actor"),
				At:    now,
				Visit: rapid.SampledFrom([]int64{0, at.Visit, at.Visit, at.Visit - 1}).Draw(t, "visit"),
			}
			s, known := m.State(at.State)
			if !known {
				t.Fatalf("left the table for %q", at.State)
			}
			to, refused := model(s, at, ev, holds)
			after, effects, err := m.Fire(at, ev, guard)
			again, _, _ := m.Fire(at, ev, guard)
			switch {
			case after != again:
				t.Fatalf("not a function: %+v, %+v", after, again)
			case refused != nil:
				if after != at || len(effects) > 0 || !errors.Is(err, refused) && !errors.Is(err, statemachine.ErrUnknownEvent) {
					t.Fatalf("%+v in %+v: want %v, got %v, %+v", ev, at, refused, err, after)
				}
				continue
			case err != nil:
				t.Fatalf("%+v in %+v: %v", ev, at, err)
			case to == "":
				if after.State != at.State || after.Visit != at.Visit || len(effects) > 0 {
					t.Fatalf("%+v moved %+v to %+v", ev, at, after)
				}
			case after.State != to || after.Visit != at.Visit+1 || after.Phase != statemachine.PhaseEntering || len(effects) < 2:
				t.Fatalf("%+v in %+v: want %s, got %+v with %v", ev, at, to, after, effects)
			default:
				if s.Kind != statemachine.Work {
					decided = ev.Name != "settled" && ev.Name != "failed" && ev.Name != "deadline" && ev.Actor == "operator"
				}
				if next, _ := m.State(to); next.Destructive && !decided {
					t.Fatalf("%+v led from %+v to destructive %s, undecided", ev, at, to)
				}
			}
			at = after
			if s, _ := m.State(at.State); s.Kind == statemachine.Work {
				late := statemachine.Event{Name: "deadline", At: at.Deadline, Visit: at.Visit}
				if out, _, err := m.Fire(at, late, nil); err != nil || out.Visit != at.Visit+1 {
					t.Fatalf("%+v does not time out: %v", at, err)
				}
			}
		}
	})
	if walked == 0 {
		t.Fatal("no definition drawn was valid")
	}
}

// From every state of a valid machine, events that need nobody come to rest.
func TestFailuresComeToRest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := statemachine.New(drawDefinition(t))
		if err != nil {
			return
		}
		for _, s := range m.States() {
			at := statemachine.Instance{State: s.Name, Phase: statemachine.PhaseEntering, Visit: 1, Deadline: start}
			for range m.States() {
				name := rapid.SampledFrom([]string{"failed", "deadline"}).Draw(t, "exit")
				if here, _ := m.State(at.State); here.Kind != statemachine.Work {
					break
				}
				if at, _, err = m.Fire(at, statemachine.Event{Name: name, At: at.Deadline}, nil); err != nil {
					t.Fatal(err)
				}
			}
			if here, _ := m.State(at.State); here.Kind == statemachine.Work {
				t.Fatalf("from %q, %d failures still work in %q", s.Name, len(m.States()), at.State)
			}
		}
	})
}

func TestDefinitionSurvivesJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawDefinition(t)
		for i := range before.States {
			before.States[i].Deadline = statemachine.Duration(rapid.Int64().Draw(t, "deadline"))
			for j, tr := range before.States[i].Transitions { // [] and none are one in JSON
				if len(tr.Actors) == 0 {
					before.States[i].Transitions[j].Actors = nil
				}
				if len(tr.Guards) == 0 {
					before.States[i].Transitions[j].Guards = nil
				}
			}
		}
		data, err := json.Marshal(before)
		if err != nil {
			t.Fatal(err)
		}
		var after statemachine.Definition
		if err := statemachine.Decode(data, &after); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatal(diff)
		}
	})
}
