// Package barclamp is the contract between the engine and its modules. A barclamp (Crowbar's
// word, from the clamp that racks are lifted with) looks at a site and writes a proposal:
// which node takes which role, with which attributes. Once its proposal is committed it may
// also act when a node changes its state: configure its hardware, give it an address, decide
// what it boots. DNS, RAID, Nova and Ceph are all barclamps; the engine knows none of them.
//
// A barclamp is one Go type with two methods:
//
//	type Barclamp interface {
//		Info() Info
//		Propose(ctx context.Context, s Site) (*Draft, error)
//	}
//
// Everything else is optional and found in one place, [Find]: a [Transitioner] says what is
// to be done in a node's state, a [Planner] says beforehand what that would change and
// destroy, a [Validator] adds rules of its own to a proposal.
//
// # Pure and effectful
//
// Propose and Transition are pure: they read the [Site] they are given, and the same site
// gives the same answer. Work that takes time or touches the world is a [Step], which they
// return and the engine runs: one node at a time, journalled, resumed after a crash by asking
// again and matching step IDs. A Step therefore observes before it acts.
//
// # Destruction
//
// What destroys data (wiping a disk, deleting a RAID volume, installing over a system) asks
// [StepContext].Authorize first and names the disks. The engine answers from the grant which
// an operator gave when allocating the node; each operation of a grant can be spent once.
//
// # Testing
//
// Package barclamptest has a conformance suite and a fake site; a barclamp is tested in
// milliseconds without an engine. examples/barclamp is a whole one.
//
// # Errors
//
// [ErrNoBarclamp] and [ErrDuplicate] come from a [Registry]. [CheckPlacement] returns a
// *proposal.ValidationError with every broken constraint and its path, and so does a
// [Validator], with the help of [Problems]. A Step returns [ErrPlanChanged] when the machine is
// no longer as it was when its grant was given: the engine then puts the node back to the pause
// instead of failing it.
//
// # Concurrency
//
// The engine calls barclamps from many goroutines, for one node from one at a time. A
// [Registry] is filled before the engine starts and only read afterwards.
package barclamp
