// Package statemachine is a state machine as data: a table of states and transitions in
// JSON, checked as a whole when it is loaded, and a pure function that says what an event
// does to an instance of it.
//
// It knows no nodes. It was built for machines that outlive the process: the [Instance] is
// a small value that the caller stores, [Machine.Fire] returns the next one together with
// the [Effect] values to carry out, and whoever stores it by compare-and-set is the one
// place that changes a state. Hooks, timers and storage stay with the caller.
//
//	m, err := statemachine.Parse(table)
//	in, effects := m.Start(now)
//	// store in, carry out effects: run the hooks of the state entered, arm its deadline
//	in, effects, err = m.Fire(in, statemachine.Event{Name: "allocate", Actor: "operator", At: now}, guard)
//
// # States
//
// A state is of one [Kind]: it may stay for ever ([Rest]), it waits for a decision
// ([Pause]), something works in it ([Work]), or it is the last ([End]). A working state has
// a deadline, a failure exit and an actor who is to move it on: nothing hangs without a
// name. On top of that each visit of a state has a [Phase]: it is entering while its hooks
// run, then settled, or failed with a reason.
//
// # Events
//
// A state lists the events that it takes. Three more are built in and need no actor, as
// they come from whoever runs hooks and timers: [Settled], [Failed] and [Deadline]. A
// transition on the event "settled" is taken as soon as the hooks have finished and its
// guards hold. A [Guard] is asked by name; the guard [GuardSettled] is answered here.
//
// # Visits
//
// Instance.Visit grows by one each time a state is entered. Work started for one visit
// says so in Event.Visit, and when the instance has moved on meanwhile its result is
// refused with [ErrStale].
//
// # Destruction
//
// A state that destroys something is marked destructive. New refuses a table in which such
// a state can be reached without a decision: see [State].Destructive.
//
// # Errors
//
// New and Parse return a *[DefinitionError] with every problem of the table. Fire returns a
// *[TransitionError], which matches one of [ErrNotAllowed], [ErrGuard], [ErrStale],
// [ErrUnknownEvent] and [ErrUnknownState].
//
// # Concurrency
//
// A Machine is immutable and may be used by any number of goroutines. Fire does not
// allocate as long as the caller does not keep the effects.
package statemachine
