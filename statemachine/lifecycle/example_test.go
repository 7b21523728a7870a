package lifecycle_test

import (
	"fmt"
	"time"

	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

func Example() {
	life := lifecycle.Default()
	m := life.Machine()
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)

	// The node's image has booted and asks for a state by name.
	in, _ := m.Start(now)
	event, ok := m.EventTo(in.State, lifecycle.Discovered, lifecycle.ActorNode)
	fmt.Println(event, ok)
	in, _, _ = m.Fire(in, statemachine.Event{Name: event, Actor: lifecycle.ActorNode, At: now}, nil)
	in, _, _ = m.Fire(in, statemachine.Event{Name: statemachine.Settled, At: now}, nil)
	fmt.Println(in.State, in.Phase, life.BootAction(in.State))

	// It cannot walk past the pause.
	_, ok = m.EventTo(in.State, lifecycle.HardwareInstalling, lifecycle.ActorNode)
	fmt.Println(ok)

	granted := func(string) error { return nil }
	in, _, _ = m.Fire(in, statemachine.Event{Name: lifecycle.EventAllocate, Actor: lifecycle.ActorOperator, At: now}, granted)
	fmt.Println(in.State, in.Phase, "until", in.Deadline.Format(time.TimeOnly))
	// Output:
	// discovered true
	// discovered settled discovery
	// false
	// hardware-installing entering until 05:00:00
}

func ExampleLifecycle_WithBootActions() {
	life, warnings, err := lifecycle.Default().WithBootActions(map[string]string{
		"web_app_state": "dhcp_state", // a comment in every Crowbar document
		"problem":       "debug",
	})
	fmt.Println(err, len(warnings), life.BootAction(lifecycle.Problem))

	_, _, err = lifecycle.Default().WithBootActions(map[string]string{"ready": "os_install"})
	fmt.Println(err)
	// Output:
	// <nil> 1 debug
	// statemachine: invalid definition "crowbar": /ready: found "os_install" in state "ready", expected an action that leaves the disks alone (only a destructive state, which is entered by decision, may boot it)
}
