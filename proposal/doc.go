// Package proposal holds Crowbar's proposal documents: versioned, reviewable JSON configuration
// of a barclamp (attributes) and of which nodes take which of its roles (deployment).
//
//   - Document is one document, immutable. Any real template or saved proposal of Dell's or
//     SUSE's Crowbar loads, and every value survives: key order, number text, nulls, unicode.
//     Get reads by gjson path; Set, Delete and With edit and leave all other bytes alone.
//   - Diff is what changed between two documents: a JSON Patch (RFC 6902) for machines, Changes,
//     Text and Summary for people. Summarize gives only the line for a history.
//   - Merge joins what two people made of one document; what it cannot decide are Conflicts.
//   - Revision is one saved state, and a Store keeps them, each after its parent, so that nobody
//     overwrites what he has not seen. Save merges what is made from an earlier one, Rollback
//     goes back to one. MemoryStore is a Store; proposaltest proves others.
//   - Validate returns everything that is wrong, with JSON Pointers: what does not fit together,
//     and what a Schema (JSON Schema 2020-12) does not allow.
//   - Secrets are what a Schema marks as such. Redacted hides them, for people and files, and
//     RestoreSecrets puts them back; Seal parts them from the document for storing. Logs and JSON
//     of whatever holds a document do not show them; Bytes does.
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
// *ValidationError (all problems), a wrong schema a *SchemaError. The others are sentinels:
// ErrPath, ErrOtherBarclamp, ErrReservedName, ErrSealed, ErrConflict (of Merge a *MergeError, of
// a Store a newer revision) and a Store's ErrNotFound. Nothing here panics on input.
//
// # Concurrency
//
// Documents, schemas, diffs and revisions never change and may be shared; a MemoryStore may be
// used by many goroutines. The package starts none and reads no clock.
package proposal
