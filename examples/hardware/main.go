// Hardware embeds redfish: it observes a server, plans for a profile, and applies the plan.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

func main() {
	if err := onSimulatedServer(run, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

const profile = `{"bios": {"set": "Virtualization"}, "raid": {"set": "SingleRaid10"}, "boot": {"target": "pxe"}}`

func run(ctx context.Context, config redfish.Config, target hardware.Target, out io.Writer) (err error) {
	want, err := hardware.ParseProfile([]byte(profile))
	if err != nil {
		return err
	}
	c, err := redfish.New(config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	seen, err := c.Observe(ctx, target)
	if err != nil {
		return err
	}
	plan, err := hardware.NewPlan(want, seen) // pure: it can be kept, shown, reviewed
	if err != nil {
		return err
	}
	fmt.Fprint(out, plan.Text())
	result, err := c.Apply(ctx, target, plan, &hardware.ApplyOptions{
		Authorize: func(_ context.Context, d hardware.Destruction) error {
			fmt.Fprintln(out, "allowed:", d.Description)
			return nil // an error here stops Apply before anything is sent
		},
	})
	fmt.Fprintf(out, "%d done, %d reboots\n", len(result.Done), result.Reboots)
	return err
}
