// Package crowbar is the engine: it takes nodes from discovery through the pause to ready,
// puts committed proposals in force, and runs what follows from both.
//
//	engine, err := crowbar.New(ctx, crowbar.Config{Store: store, Registry: barclamps, Jig: jig})
//	go engine.Run(ctx)
//	_, _, err = engine.CreateProposal(ctx, crowbar.NewProposal{Key: key, Author: "me"})
//	_, job, err := engine.Commit(ctx, key, 0, "me")
//	_, err = engine.Allocate(ctx, node, "me", crowbar.AllocateOptions{PlanHash: plan.Hash})
//
// # How it works
//
// A request writes what is wanted and returns. Run reads the records, does what is due and
// writes the outcome: the hooks of a node that has come into a state, deadlines, and the jobs
// that apply proposals wave by wave. What is due is always told by the records, never by
// something in memory, so a crash anywhere leaves a store from which the next Run goes on.
//
// All records are held decoded in memory and replaced whole, so reading costs no I/O and a
// record that was read never changes. Writing is compare-and-set, one transaction after
// another; each carries the events that tell of it, which form a hash chain.
//
// # Who owns which record
//
// Every record has one owner, and only that owner's writer may write it (writers.go): a node
// its facts, an operator the revisions of proposals, the engine everything else. Which roles a
// node has is not written on the node at all but a query over the proposals in force, plus the
// memberships that hooks added.
//
// # Destruction
//
// Allocating a node issues a grant: the operations that its plan showed, each with the disks
// that lose data. An operation is spent by compare-and-set before its command leaves; see
// [Engine.AuthorizeNode] and barclamp.StepContext for who may ask again and why.
//
// # Errors
//
// [ErrNotFound], [ErrInvalid], [ErrRefused] (a rule says no), [ErrConflict] (somebody was
// faster, or what was shown has changed), [ErrUnauthorized], [ErrNoPlan], [ErrSimulated], and
// those of a [Store]. Refused transitions are *statemachine.TransitionError, invalid documents
// *proposal.ValidationError with all their problems.
//
// # Concurrency
//
// An [Engine] may be used by any number of goroutines. Run owns all goroutines of the engine
// and returns when they have ended. Work on one node is done by one goroutine at a time; a
// node is worked on by one job at a time, in the order of the commits.
package crowbar
