// Package proposal holds Crowbar's proposal documents: versioned, reviewable JSON configuration
// of a barclamp (attributes) and of which nodes take which of its roles (deployment).
//
//   - Document is one document, immutable. Any real template or saved proposal of Dell's or
//     SUSE's Crowbar loads, and every value survives: key order, number text, nulls, unicode.
//     Get reads by gjson path, With edits by JSON Pointer and leaves all other bytes alone.
//   - Diff is what changed between two documents: a JSON Patch (RFC 6902) for machines, Changes
//     and Text for people.
//   - Revision is one saved state, and a Store keeps them, each after its parent, so that nobody
//     overwrites what he has not seen. MemoryStore is a Store; proposaltest proves others.
//   - Validate returns everything that is wrong, with JSON Pointers.
//
// In a program:
//
//	template, err := proposal.Parse(data)
//	draft, err := template.WithName("default")
//	draft, err = draft.With(proposal.Edit{Pointer: draft.AttributePointer("libvirt_type"), Value: []byte(`"qemu"`)})
//	diff, err := proposal.Compare(template, draft)
//	fmt.Print(diff.Text()) // nova.libvirt_type: "kvm" → "qemu"
//
// What Crowbar itself notes in a document while it works (id, crowbar-revision, -applied,
// -committing, -queued, -status, -failed, config.environment) is kept as read but is no
// content: hashes and diffs do not see it.
//
// # Errors
//
// Wrong input matches ErrInvalid and is a *SyntaxError (line and column) or a
// *ValidationError (all problems). The others are sentinels: ErrPath, ErrOtherBarclamp,
// ErrReservedName, and a Store's ErrConflict and ErrNotFound. Nothing here panics on input.
//
// # Concurrency
//
// Documents, diffs and revisions never change and may be shared; a MemoryStore may be used by
// many goroutines. The package starts none and reads no clock.
package proposal
