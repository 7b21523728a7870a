package statemachine_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/statemachine"
)

var errNotNow = errors.New("not now")

// holding answers the guards listed and refuses the others.
func holding(names ...string) statemachine.Guard {
	return func(name string) error {
		for _, n := range names {
			if n == name {
				return nil
			}
		}
		return errNotNow
	}
}

func TestFire(t *testing.T) {
	m := newMachine(t, disk())
	now := start.Add(time.Minute)
	entered := func(state string, deadline time.Duration, reason, previous string) statemachine.Instance {
		out := statemachine.Instance{State: state, Phase: statemachine.PhaseEntering, Since: now, Visit: 6, Reason: reason, Previous: previous}
		if deadline > 0 {
			out.Deadline = now.Add(deadline)
		}
		return out
	}
	rested := func(state string, phase statemachine.Phase, reason string) statemachine.Instance {
		out := in(state, phase)
		out.Reason = reason
		return out
	}
	timed := func(state string, deadline time.Duration) statemachine.Instance {
		out := in(state, statemachine.PhaseSettled)
		out.Deadline = start.Add(deadline)
		return out
	}
	failed := rested("used", statemachine.PhaseFailed, "hooks failed")
	type event = statemachine.Event
	for name, c := range map[string]struct {
		in    statemachine.Instance
		event event
		guard statemachine.Guard
		want  statemachine.Instance
	}{
		"event": {
			in("probing", statemachine.PhaseEntering), event{Name: "found", Actor: "node", Reason: "four disks"}, nil,
			entered("idle", 0, "four disks", "probing"),
		},
		"event with guards": {
			in("idle", statemachine.PhaseSettled), event{Name: "allocate", Actor: "operator", Visit: 5}, holding("granted"),
			entered("wiping", time.Hour, "", "idle"),
		},
		"re-entry": {
			in("idle", statemachine.PhaseSettled), event{Name: "look", Actor: "node"}, nil,
			entered("idle", 0, "", "idle"),
		},
		"settled rests": {
			rested("idle", statemachine.PhaseEntering, "four disks"), event{Name: statemachine.Settled}, nil,
			rested("idle", statemachine.PhaseSettled, "four disks"),
		},
		"settled moves on": {
			in("wiping", statemachine.PhaseEntering), event{Name: statemachine.Settled}, holding("clean"),
			entered("used", 0, "", "wiping"),
		},
		"settled stays while a guard refuses": {
			in("wiping", statemachine.PhaseEntering), event{Name: statemachine.Settled}, holding(),
			in("wiping", statemachine.PhaseSettled),
		},
		"settled stays without a guard": {
			in("wiping", statemachine.PhaseEntering), event{Name: statemachine.Settled}, nil,
			in("wiping", statemachine.PhaseSettled),
		},
		"settled again asks again": {
			in("wiping", statemachine.PhaseSettled), event{Name: statemachine.Settled}, holding("clean"),
			entered("used", 0, "", "wiping"),
		},
		"settled ends a failure": {
			failed, event{Name: statemachine.Settled}, nil,
			rested("used", statemachine.PhaseSettled, ""),
		},
		"failed takes the exit": {
			in("wiping", statemachine.PhaseEntering), event{Name: statemachine.Failed, Reason: "disk gone"}, nil,
			entered("broken", 0, "disk gone", "wiping"),
		},
		"failed after settled takes the exit": {
			in("wiping", statemachine.PhaseSettled), event{Name: statemachine.Failed}, nil,
			entered("broken", 0, "wiping failed without giving a reason", "wiping"),
		},
		"failed without exit shows it": {
			in("used", statemachine.PhaseEntering), event{Name: statemachine.Failed, Reason: "hooks failed"}, nil,
			failed,
		},
		"deadline takes the failure exit": {
			timed("probing", time.Minute), event{Name: statemachine.Deadline}, nil,
			entered("broken", 0, "probing took longer than 1m", "probing"),
		},
		"deadline takes its own exit": {
			timed("wiping", time.Second), event{Name: statemachine.Deadline}, nil,
			entered("probing", 10*time.Minute, "wiping took longer than 1s", "wiping"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.event.At = now
			got, effects, err := m.Fire(c.in, c.event, c.guard)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.want, got))

			var want []statemachine.Effect
			if got.Visit != c.in.Visit {
				want = append(want,
					statemachine.Effect{Kind: statemachine.Leave, State: c.in.State, Visit: 5, At: now},
					statemachine.Effect{Kind: statemachine.Enter, State: got.State, Visit: 6, At: now})
				if !got.Deadline.IsZero() {
					want = append(want, statemachine.Effect{Kind: statemachine.ArmDeadline, State: got.State, Visit: 6, At: got.Deadline})
				}
			}
			require.Empty(t, cmp.Diff(want, effects))
		})
	}
}

func TestFireRefuses(t *testing.T) {
	m := newMachine(t, disk())
	early := in("probing", statemachine.PhaseEntering)
	early.Deadline = start.Add(time.Hour)
	type event = statemachine.Event
	for name, c := range map[string]struct {
		in      statemachine.Instance
		event   event
		guard   statemachine.Guard
		is      error
		message string
	}{
		"event of another state": {
			in("idle", statemachine.PhaseSettled), event{Name: "found", Actor: "operator"}, nil, statemachine.ErrNotAllowed,
			`statemachine: "found" is not allowed in state "idle" (allowed: allocate, probe)`,
		},
		"wrong actor": {
			in("idle", statemachine.PhaseSettled), event{Name: "allocate", Actor: "node"}, holding("granted"), statemachine.ErrNotAllowed,
			`statemachine: "allocate" is not allowed in state "idle" for node (allowed: probe, look)`,
		},
		"no actor": {
			in("used", statemachine.PhaseSettled), event{Name: "wipe"}, nil, statemachine.ErrNotAllowed,
			`statemachine: "wipe" is not allowed in state "used" (allowed: retire, wipe)`,
		},
		"end": {
			in("gone", statemachine.PhaseSettled), event{Name: "wipe", Actor: "operator"}, nil, statemachine.ErrNotAllowed,
			`statemachine: "wipe" is not allowed in state "gone" (allowed: nothing)`,
		},
		"unknown event": {
			in("used", statemachine.PhaseSettled), event{Name: "instal", Actor: "operator"}, nil, statemachine.ErrUnknownEvent,
			`statemachine: "instal" is no event of this machine; state "used" (allowed: retire, wipe)`,
		},
		"unknown state": {
			in("lost", statemachine.PhaseSettled), event{Name: "wipe"}, nil, statemachine.ErrUnknownState,
			`statemachine: "wipe" in state "lost": the machine has no such state`,
		},
		"guard": {
			in("idle", statemachine.PhaseSettled), event{Name: "allocate", Actor: "operator"}, holding(), statemachine.ErrGuard,
			`statemachine: "allocate" is refused in state "idle" by guard "granted": not now`,
		},
		"nobody answers the guard": {
			in("idle", statemachine.PhaseSettled), event{Name: "allocate", Actor: "operator"}, nil, statemachine.ErrGuard,
			`statemachine: "allocate" is refused in state "idle" by guard "granted": nobody answers this guard here`,
		},
		"hooks are running": {
			in("idle", statemachine.PhaseEntering), event{Name: "allocate", Actor: "operator"}, holding("granted"), statemachine.ErrGuard,
			`statemachine: "allocate" is refused in state "idle" by guard "settled": the hooks of the state have not finished (phase entering)`,
		},
		"stale": {
			in("wiping", statemachine.PhaseEntering), event{Name: statemachine.Settled, Visit: 4}, holding("clean"), statemachine.ErrStale,
			`statemachine: "settled" in state "wiping": the event is for visit 4, the instance is at visit 5`,
		},
		"deadline before its time": {
			early, event{Name: statemachine.Deadline}, nil, statemachine.ErrNotAllowed,
			`statemachine: "deadline" is not allowed in state "probing": the deadline is 2026-01-02T04:04:05Z (allowed: found)`,
		},
		"deadline of a state without": {
			in("used", statemachine.PhaseSettled), event{Name: statemachine.Deadline, At: start.Add(time.Hour)}, nil, statemachine.ErrNotAllowed,
			`statemachine: "deadline" is not allowed in state "used": the state has no deadline (allowed: retire, wipe)`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.event.At.IsZero() {
				c.event.At = start.Add(time.Minute)
			}
			got, effects, err := m.Fire(c.in, c.event, c.guard)
			require.ErrorIs(t, err, c.is)
			var refused *statemachine.TransitionError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.in.State, refused.State)
			require.Equal(t, c.event.Name, refused.Event)
			for _, other := range []error{statemachine.ErrNotAllowed, statemachine.ErrGuard, statemachine.ErrStale, statemachine.ErrUnknownEvent, statemachine.ErrUnknownState} {
				require.Equal(t, other == c.is, errors.Is(err, other), "matches one sentinel only")
			}
			require.Equal(t, c.in, got, "unchanged")
			require.Empty(t, effects)
			require.Equal(t, c.message, err.Error())
		})
	}
}

func TestGuardReasonIsWrapped(t *testing.T) {
	_, _, err := newMachine(t, disk()).Fire(in("idle", statemachine.PhaseSettled), statemachine.Event{Name: "allocate", Actor: "operator", At: start}, holding())
	require.ErrorIs(t, err, errNotNow)
	var refused *statemachine.TransitionError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "granted", refused.Guard)
	require.Equal(t, "wiping", refused.To)
}

// A stored instance may have a deadline that a new definition knows nothing of.
func TestDeadlineOfAnotherDefinition(t *testing.T) {
	stored := in("used", statemachine.PhaseSettled)
	stored.Deadline = start
	_, _, err := newMachine(t, disk()).Fire(stored, statemachine.Event{Name: statemachine.Deadline, At: start}, nil)
	require.ErrorIs(t, err, statemachine.ErrNotAllowed)
}

func TestInstanceSurvivesJSON(t *testing.T) {
	m := newMachine(t, disk())
	before, _ := m.Start(time.Now()) // with a monotonic reading, in the local zone
	data, err := json.Marshal(before)
	require.NoError(t, err)
	var after statemachine.Instance
	require.NoError(t, json.Unmarshal(data, &after))
	require.True(t, before == after, "%v\n%v", before, after)
}

// The hot path: whoever does not keep the effects allocates nothing.
func TestFireDoesNotAllocate(t *testing.T) {
	m := newMachine(t, disk())
	at := in("idle", statemachine.PhaseSettled)
	guard := holding("granted")
	var entered int
	allocs := testing.AllocsPerRun(100, func() {
		_, effects, err := m.Fire(at, statemachine.Event{Name: "allocate", Actor: "operator", At: start}, guard)
		if err != nil {
			t.Fatal(err)
		}
		entered += len(effects)
	})
	require.Positive(t, entered)
	require.Zero(t, allocs)
}
