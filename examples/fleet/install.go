package main

import (
	"context"
	"errors"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

var errAllThere = errors.New("all machines pause")

// install lets every barclamp propose, commits that, allocates all nodes and waits for the
// end of the work.
func install(ctx context.Context, e *crowbar.Engine, nodes int) error {
	paused := map[string]bool{}
	err := e.WatchEvents(ctx, 0, func(ev crowbar.Event) error {
		if ev.State == lifecycle.Discovered {
			paused[ev.Subject] = true
		}
		if len(paused) == nodes {
			return errAllThere
		}
		return nil
	})
	if !errors.Is(err, errAllThere) {
		return err
	}
	for _, b := range e.Registry().All() {
		k := proposal.Key{Barclamp: b.Info().Name, Name: "default"}
		if _, _, err := e.CreateProposal(ctx, crowbar.NewProposal{Key: k, Author: "fleet"}); err != nil {
			return err
		}
		if _, _, err := e.Commit(ctx, k, 0, "fleet"); err != nil {
			return err
		}
	}
	for node := range paused {
		if _, err := e.Await(ctx, node, 1); err != nil { // it may still be on its way into the pause
			return err
		}
		if _, err := e.Allocate(ctx, node, "fleet", crowbar.AllocateOptions{AllowDestroy: true}); err != nil {
			return err
		}
	}
	return e.AwaitIdle(ctx)
}
