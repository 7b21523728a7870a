package statemachine_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/crowbarkit/crowbarkit/statemachine"
)

const machineTable = `{
  "name": "machine", "initial": "found", "deciders": ["operator"],
  "states": [
    {"name": "found", "kind": "pause", "actor": "operator", "transitions": [
      {"event": "allocate", "to": "installing", "actors": ["operator"], "guards": ["granted"]}]},
    {"name": "installing", "kind": "work", "actor": "node", "destructive": true,
     "deadline_seconds": 3600, "on_failure": "broken", "transitions": [
      {"event": "installed", "to": "ready", "actors": ["node"]}]},
    {"name": "ready", "kind": "rest"},
    {"name": "broken", "kind": "rest"}
  ]}`

func Example() {
	m, err := statemachine.Parse([]byte(machineTable))
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	granted := func(string) error { return nil }

	in, _ := m.Start(now)
	_, _, err = m.Fire(in, statemachine.Event{Name: "installed", Actor: "node", At: now}, granted)
	fmt.Println(err)

	in, effects, err := m.Fire(in, statemachine.Event{Name: "allocate", Actor: "operator", At: now}, granted)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range effects {
		fmt.Println(e.Kind, e.State, e.Visit, e.At.Format(time.TimeOnly))
	}

	// Nothing was heard for an hour.
	in, _, _ = m.Fire(in, statemachine.Event{Name: statemachine.Deadline, At: now.Add(time.Hour), Visit: 2}, granted)
	fmt.Println(in.State+":", in.Reason)
	// Output:
	// statemachine: "installed" is not allowed in state "found" (allowed: nothing)
	// leave found 1 03:00:00
	// enter installing 2 03:00:00
	// arm_deadline installing 2 04:00:00
	// broken: installing took longer than 1h
}

func ExampleMachine_Why() {
	m, _ := statemachine.Parse([]byte(machineTable))
	in, _ := m.Start(time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC))
	noGrant := func(string) error { return errors.New("no grant names this node's disks") }
	fmt.Println(m.Why(in, noGrant))
	// Output:
	// "found" since 2026-01-02T03:00:00Z, entering, waits for operator (allocate → installing blocked: guard "granted": no grant names this node's disks)
}

func ExampleParse_problems() {
	_, err := statemachine.Parse([]byte(`{"name": "lamp", "initial": "off", "states": [
	  {"name": "off", "kind": "rest", "transitions": [{"event": "push", "to": "on"}, {"event": "push", "to": "dim"}]},
	  {"name": "on", "kind": "work", "actor": "timer", "on_failure": "off"}]}`))
	fmt.Println(err)
	// Output:
	// statemachine: invalid definition "lamp": 3 problems:
	// 	/states/0/transitions/1/event: found "push" again, expected each event once in a state (it is the event of /states/0/transitions/0)
	// 	/states/0/transitions/1/to: found "dim", expected the name of a state (add the state or correct the name)
	// 	/states/1/deadline_seconds: found no deadline, expected a time in which the work is done (a working state without deadline can hang for ever)
}
