package statemachine_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/statemachine"
)

// Each case breaks one rule in the valid machine of disk() and names where it is found.
func TestNewRefuses(t *testing.T) {
	type definition = statemachine.Definition
	type transition = statemachine.Transition
	for name, c := range map[string]struct {
		edit func(d *definition)
		want map[string]string // path → part of what was found
	}{
		"nothing": {
			func(d *definition) { *d = definition{} },
			map[string]string{"/name": "no name", "/states": "no states", "/initial": `""`},
		},
		"unknown initial state": {
			func(d *definition) { d.Initial = "start" },
			map[string]string{"/initial": `"start"`},
		},
		"empty name": {
			func(d *definition) { d.States[5].Name = "" },
			map[string]string{"/states/5/name": `""`, "/states/3/transitions/0/to": `"gone"`, "/states/4/transitions/0/to": `"gone"`},
		},
		"odd names": {
			func(d *definition) {
				d.States[1].Transitions[1].Event = "pro be"
				d.States[1].Transitions[2].Actors = []string{"-node"}
				d.States[1].Transitions[0].Guards = []string{"settled", ""}
				d.States[4].Actor = strings.Repeat("x", 64)
				d.Deciders = append(d.Deciders, "o/p")
			},
			map[string]string{"/states/1/transitions/1/event": `"pro be"`, "/states/1/transitions/2/actors/0": `"-node"`,
				"/states/1/transitions/0/guards/1": `""`, "/states/4/actor": "xxx", "/deciders/1": `"o/p"`},
		},
		"name twice": {
			func(d *definition) {
				d.States = append(d.States, statemachine.State{Name: "gone", Kind: statemachine.End})
			},
			map[string]string{"/states/6/name": `"gone" again`},
		},
		"unknown kind": {
			func(d *definition) { d.States[3].Kind = "sleep" },
			map[string]string{"/states/3/kind": `"sleep"`},
		},
		"unknown targets": {
			func(d *definition) {
				d.States[0].Transitions[0].To = "idel"
				d.States[0].OnFailure = "brokn"
				d.States[2].OnDeadline = "prob"
			},
			map[string]string{"/states/0/transitions/0/to": `"idel"`, "/states/0/on_failure": `"brokn"`, "/states/2/on_deadline": `"prob"`},
		},
		"work without deadline, exit and actor": {
			func(d *definition) {
				d.States[0].Deadline, d.States[0].OnFailure, d.States[0].Actor = 0, "", ""
			},
			map[string]string{"/states/0/deadline_seconds": "no deadline", "/states/0/on_failure": "no failure exit", "/states/0/actor": "no actor"},
		},
		"negative deadline": {
			func(d *definition) { d.States[0].Deadline = -1 },
			map[string]string{"/states/0/deadline_seconds": "-1ns"},
		},
		"deadline that leads nowhere": {
			func(d *definition) { d.States[3].Deadline = 1 },
			map[string]string{"/states/3/on_deadline": "leads nowhere"},
		},
		"deadline exit without deadline": {
			func(d *definition) { d.States[3].OnDeadline = "broken" },
			map[string]string{"/states/3/deadline_seconds": "no deadline"},
		},
		"event twice": {
			func(d *definition) { d.States[3].Transitions[1].Event = "retire" },
			map[string]string{"/states/3/transitions/1/event": `"retire" again`},
		},
		"built-in events": {
			func(d *definition) {
				d.States[3].Transitions[0].Event = "deadline"
				d.States[3].Transitions[1].Event = "failed"
				d.States[2].Transitions[0].Actors = []string{"engine"}
			},
			map[string]string{"/states/3/transitions/0/event": `"deadline"`, "/states/3/transitions/1/event": `"failed"`, "/states/2/transitions/0/actors": "engine"},
		},
		"end with a way out": {
			func(d *definition) { d.States[5].OnFailure = "broken" },
			map[string]string{"/states/5": "way out"},
		},
		"pause that nobody ends": {
			func(d *definition) { d.States[1].Transitions = d.States[1].Transitions[1:] },
			map[string]string{"/states/1/transitions": "no decision"},
		},
		"pause without deciders": {
			func(d *definition) { d.Deciders = nil },
			map[string]string{"/states/1/transitions": "no decision"},
		},
		"unreachable": {
			func(d *definition) {
				d.States = append(d.States, statemachine.State{Name: "island", Kind: statemachine.Rest})
			},
			map[string]string{"/states/6": `"island", which nothing leads to`},
		},
		"no rest": {
			func(d *definition) {
				d.States[4].Transitions = append(d.States[4].Transitions, transition{Event: "fix", To: "fixing"})
				d.States = append(d.States,
					statemachine.State{Name: "fixing", Kind: statemachine.Work, Actor: "node", Deadline: 1, OnFailure: "testing"},
					statemachine.State{Name: "testing", Kind: statemachine.Work, Actor: "node", Deadline: 1, OnFailure: "testing",
						Transitions: []transition{{Event: "bad", To: "fixing"}}})
			},
			map[string]string{"/states/6": `"fixing", from which nothing rests`, "/states/7": `"testing", from which nothing rests`,
				"/states/7/on_failure": "testing → testing"},
		},
		"failures in a circle": {
			func(d *definition) { d.States[4].OnFailure = "used"; d.States[3].OnFailure = "broken" },
			map[string]string{"/states/3/on_failure": "broken → used → broken"},
		},
		"settled in a circle with a failure": {
			func(d *definition) {
				d.States[2].Transitions[0].To, d.States[2].Transitions[0].Guards = "probing", nil
				d.States[0].OnFailure = "wiping"
				d.States[1].Transitions = append(d.States[1].Transitions,
					transition{Event: "use", To: "used"}, transition{Event: "break", To: "broken"})
			},
			map[string]string{"/states/2/transitions/0": "probing → wiping → probing", "/states/2/on_deadline": "probing → wiping → probing",
				"/states/0/on_failure": `destructive "wiping"`},
		},
		"destructive at rest": {
			func(d *definition) { d.States[3].Destructive = true },
			map[string]string{"/states/3/destructive": `kind "rest"`},
		},
		"destructive at once": {
			func(d *definition) { d.Initial = "wiping" },
			map[string]string{"/initial": `destructive state "wiping"`},
		},
		"destroyed by a node": {
			func(d *definition) { d.States[3].Transitions[1].Actors = []string{"operator", "node"} },
			map[string]string{"/states/3/transitions/1": `"used" → destructive "wiping" on "wipe"`},
		},
		"destroyed by anybody": {
			func(d *definition) { d.States[3].Transitions[1].Actors = nil },
			map[string]string{"/states/3/transitions/1": "without a decision"},
		},
		"pause passed by a node": {
			func(d *definition) {
				d.States[1].Transitions[1] = transition{Event: "wipe", To: "wiping", Actors: []string{"node"}}
			},
			map[string]string{"/states/1/transitions/1": "without a decision"},
		},
		"destroyed while discovering, by operator": {
			func(d *definition) {
				d.States[0].Transitions = append(d.States[0].Transitions, transition{Event: "wipe", To: "wiping", Actors: []string{"operator"}})
			},
			map[string]string{"/states/0/transitions/1": "without a decision"},
		},
		"destroyed by failure": {
			func(d *definition) { d.States[3].OnFailure = "wiping" },
			map[string]string{"/states/3/on_failure": "without a decision"},
		},
		"destroyed by a detour through work": {
			func(d *definition) {
				d.States[4].Transitions = append(d.States[4].Transitions, transition{Event: "test", To: "testing", Actors: []string{"node"}})
				d.States = append(d.States, statemachine.State{Name: "testing", Kind: statemachine.Work, Actor: "node", Deadline: 1, OnFailure: "broken",
					Transitions: []transition{{Event: "settled", To: "wiping"}}})
			},
			map[string]string{"/states/6/transitions/0": `"testing" → destructive "wiping" on "settled"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := disk()
			c.edit(&d)
			m, err := statemachine.New(d)
			require.Nil(t, m)
			require.ErrorIs(t, err, statemachine.ErrDefinition)
			var refused *statemachine.DefinitionError
			require.ErrorAs(t, err, &refused)
			found := map[string]string{}
			for _, p := range refused.Problems {
				found[p.Path] = p.Found
				require.NotEmpty(t, p.Expected)
				require.Contains(t, err.Error(), p.Error())
			}
			for path, part := range c.want {
				require.Contains(t, found[path], part, "at %s of %v", path, found)
				delete(found, path)
			}
			require.Empty(t, found, "nothing else is wrong")
		})
	}
}

// A decision holds for the working states that follow it, and only for those.
func TestDecisionHoldsUntilRest(t *testing.T) {
	prepare := statemachine.State{Name: "prepare", Kind: statemachine.Work, Actor: "node", Deadline: 1, OnFailure: "broken",
		Transitions: []statemachine.Transition{{Event: "prepared", To: "wiping", Actors: []string{"node"}}}}
	d := disk()
	d.States[1].Transitions[0].To = "prepare"
	d.States[3].Transitions[1].To = "prepare"
	d.States = append(d.States, prepare)
	newMachine(t, d)

	d.States[6].Kind = statemachine.Rest
	_, err := statemachine.New(d)
	require.ErrorContains(t, err, `/states/6/transitions/0: found "prepare" → destructive "wiping" on "prepared" without a decision`)
}

// A rest may leave by deadline for a check and come back: that is a period, not a circle.
func TestPeriodIsNoCircle(t *testing.T) {
	d := disk()
	d.States[3].Deadline, d.States[3].OnDeadline = minutes(60), "testing"
	d.States = append(d.States, statemachine.State{Name: "testing", Kind: statemachine.Work, Actor: "node", Deadline: 1, OnFailure: "broken",
		Transitions: []statemachine.Transition{{Event: "settled", To: "used"}}})
	newMachine(t, d)
}

func TestDefinitionErrorUnwrapsToItsProblems(t *testing.T) {
	d := disk()
	d.Initial, d.States[3].Kind = "start", "sleep"
	_, err := statemachine.New(d)
	var all *multierror.Error
	require.ErrorAs(t, err, &all)
	require.Len(t, all.Errors, 2)
	var first statemachine.Problem
	require.True(t, errors.As(err, &first))
	require.Equal(t, `/initial: found "start", expected the name of a state (add the state or correct the name)`, first.Error())
}

func TestParse(t *testing.T) {
	const valid = `{"name":"lamp","initial":"off","states":[
		{"name":"off","kind":"rest","transitions":[{"event":"push","to":"on"}]},
		{"name":"on","kind":"work","actor":"timer","deadline_seconds":90.5,"on_failure":"off"}]}`
	m, err := statemachine.Parse([]byte(valid))
	require.NoError(t, err)
	on, _ := m.State("on")
	require.Equal(t, "1m30.5s", on.Deadline.String())

	for name, c := range map[string]struct{ old, new, want string }{
		"no JSON":         {`{"name"`, `name`, "(document): found invalid character"},
		"empty":           {valid, ``, "(document): found EOF"},
		"two documents":   {`"off"}]}`, `"off"}]} {}`, "text after the document"},
		"misspelt key":    {"on_failure", "onfailure", `unknown field "onfailure"`},
		"wrong type":      {`"initial":"off"`, `"initial":7`, "/initial: found a number, expected string"},
		"deep wrong type": {`"event":"push"`, `"event":7`, "/states/transitions/event: found a number, expected string"},
		"no duration":     {"90.5", `"90s"`, `"90s" is not a number of seconds`},
		"long duration":   {"90.5", "1e9", "1e9 is not a number of seconds"},
		"table at fault":  {`"to":"on"`, `"to":"no"`, `/states/0/transitions/0/to: found "no"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(valid, c.old, c.new, 1)
			require.NotEqual(t, valid, text)
			_, err := statemachine.Parse([]byte(text))
			require.ErrorIs(t, err, statemachine.ErrDefinition)
			require.ErrorContains(t, err, c.want)
		})
	}
}
