package statemachine_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/statemachine"
)

func TestWhy(t *testing.T) {
	m := newMachine(t, disk())
	at := in("wiping", statemachine.PhaseEntering)
	at.Deadline, at.Reason = start.Add(time.Hour), "allocated to node7"
	want := statemachine.Explanation{
		State: "wiping", Phase: statemachine.PhaseEntering, Kind: statemachine.Work, Actor: "engine",
		Since: start, Deadline: at.Deadline, Reason: "allocated to node7", Previous: "before",
		Next: []statemachine.Possible{
			{Event: "settled", To: "used", Blocked: `guard "clean": not now`},
			{Event: "deadline", To: "probing", Blocked: "not before 2026-01-02T04:04:05Z"},
		},
	}
	require.Empty(t, cmp.Diff(want, m.Why(at, holding())))

	want.Next[0].Blocked = "the hooks of the state have not finished"
	require.Empty(t, cmp.Diff(want, m.Why(at, holding("clean"))))
}

func TestWhyInOneSentence(t *testing.T) {
	m := newMachine(t, disk())
	broken := in("broken", statemachine.PhaseSettled)
	broken.Reason = "disk gone"
	for name, c := range map[string]struct {
		in    statemachine.Instance
		guard statemachine.Guard
		want  string
	}{
		"pause": {in("idle", statemachine.PhaseSettled), holding("granted"),
			`"idle" since 2026-01-02T03:04:05Z, settled, waits for operator (allocate → wiping; probe → probing; look → idle)`},
		"blocked": {in("idle", statemachine.PhaseSettled), nil,
			`"idle" since 2026-01-02T03:04:05Z, settled, waits for operator (probe → probing; look → idle; allocate → wiping blocked: guard "granted": nobody answers this guard here)`},
		"reason": {broken, nil,
			`"broken" since 2026-01-02T03:04:05Z, settled (disk gone), waits for operator (retire → gone)`},
		"rest": {in("used", statemachine.PhaseSettled), nil,
			`"used" since 2026-01-02T03:04:05Z, settled, may stay (retire → gone; wipe → wiping)`},
		"end":           {in("gone", statemachine.PhaseSettled), nil, `"gone" since 2026-01-02T03:04:05Z, settled, is the end`},
		"unknown state": {in("lost", statemachine.PhaseSettled), nil, `"lost" since 2026-01-02T03:04:05Z, settled, is no state of this machine`},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, m.Why(c.in, c.guard).String())
		})
	}
}
