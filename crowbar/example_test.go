package crowbar_test

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// A machine boots from the network, reports itself and pauses until somebody allocates it.
func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	engine, err := crowbar.New(ctx, crowbar.Config{Store: crowbar.NewMemoryStore(), Registry: &barclamp.Registry{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()

	// What the firmware and the agent of a machine do, here without HTTP in between.
	ticket, err := engine.NewTicket(ctx, net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, state := range []string{lifecycle.Discovering, lifecycle.Discovered} {
		if _, err := engine.Report(ctx, ticket.Node, ticket.Token, crowbar.Report{Sequence: i + 1, State: state}); err != nil {
			fmt.Println(err)
			return
		}
	}
	if _, err := engine.Await(ctx, ticket.Node, 1); err != nil {
		fmt.Println(err)
		return
	}
	why, err := engine.Why(ticket.Node)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(strings.ReplaceAll(why.Sentence, "; ", ";\n  "))
	cancel()
	<-ended
	// Output:
	// d52-54-00-12-34-56.crowbar.internal is in discovered: it pauses until an operator allocates it, so that its roles are known before its hardware is configured;
	//   it cannot be allocated yet: this server has no barclamp that installs nodes;
	//   start it with the provisioner
}

// VerifyEvents shows that nobody changed the log behind the engine's back.
func ExampleVerifyEvents() {
	ctx := context.Background()
	engine, err := crowbar.New(ctx, crowbar.Config{Store: crowbar.NewMemoryStore(), Registry: &barclamp.Registry{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := engine.Pause(ctx, "me", "maintenance"); err != nil {
		fmt.Println(err)
		return
	}
	if err := engine.Resume(ctx, "me"); err != nil {
		fmt.Println(err)
		return
	}
	events, err := engine.Events(ctx, 0, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(events), crowbar.VerifyEvents(events))
	events[0].Message = "nothing happened"
	fmt.Println(crowbar.VerifyEvents(events))
	// Output:
	// 2 <nil>
	// crowbar: event chain broken: event 1 was changed after it was written
}
