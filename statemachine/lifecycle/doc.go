// Package lifecycle is the life of a node as data: Crowbar's states from discovering to
// delete-final, who may ask for which, how long each may take, and what a node boots in it.
//
// [Default] is the built-in lifecycle, drawn and explained in docs/lifecycle.md. [Parse]
// reads another one: the JSON of a statemachine.Definition, in which every state may also
// have a "boot" action. [Lifecycle.WithBootActions] lays Crowbar's dhcp.state_machine over
// either.
//
//	life := lifecycle.Default()
//	in, effects := life.Machine().Start(now)
//	event, ok := life.Machine().EventTo(in.State, lifecycle.Discovered, lifecycle.ActorNode)
//	action := life.BootAction(in.State)
//
// On top of the rules of a state machine, a lifecycle has three of its own. Actors are the
// ones named here, and each transition but the one on "settled" names them. Only the
// operator and the operator's release rules decide: a node never does. And an action that
// wipes or writes disks is booted in destructive states only, so that no overlay leads
// around the pause.
//
// # Errors
//
// Parse and WithBootActions return a *statemachine.DefinitionError with every problem.
//
// # Concurrency
//
// A Lifecycle is immutable and may be used by any number of goroutines.
package lifecycle
