// Package hardware says what a server's firmware settings and disks should be, what they
// are, and what it takes to get from one to the other.
//
// Three values and one interface:
//
//   - a [Profile] is what an operator or a role asks for: BIOS intents and attributes, RAID
//     volumes and spares, boot mode, order and target, secure boot, firmware versions;
//     [ParseProfile] reads one, [ProfileSchema] is its JSON Schema;
//   - a [Snapshot] is what was seen of one machine, together with the vendor knowledge that
//     is needed to plan for it (attribute registry with its dependencies, intent bindings,
//     what controllers cannot do);
//   - a [Plan] is the ordered difference: pure data, printable, each [Operation] with its
//     reason, whether it needs a reboot and which disks it destroys;
//   - a [Configurator] observes and applies. hardware/redfish is one, over a BMC.
//
// A plan for a machine, without touching it:
//
//	seen, err := configurator.Observe(ctx, target)
//	raid, err := hardware.RAIDSet("SingleRaid10")
//	plan, err := hardware.NewPlan(hardware.Profile{RAID: raid}, seen)
//	fmt.Print(plan.Text())
//	result, err := configurator.Apply(ctx, target, plan, &hardware.ApplyOptions{
//		Authorize: func(ctx context.Context, d hardware.Destruction) error { return askOperator(d) },
//	})
//
// An empty plan means converged. Without Authorize nothing that destroys data is done. Firmware
// that is to be flashed stays in the plan until somebody has done so by the vendor's means.
//
// # Disks
//
// Disks are chosen by slot, never by whether they are in use, so that a plan made again half way
// goes on with the same disks. What is as wanted already is found first, wherever it lies, and
// kept: also a volume that has lost a disk, or whose spare has taken a lost one's place. A volume
// that merely lacks its spares is a problem to be told, never a reason to make it anew. Disks and
// volumes of a controller that could not be read whole are not touched.
//
// A part of the profile that is absent asks for nothing: a plan may cover the BIOS only or
// RAID only, and applying the two in either order ends in the same machine.
//
// # Errors
//
// What is wrong with a profile, or cannot be had on a machine, comes as one
// [*ValidationError] with every [Problem]; it is [ErrInvalid] to errors.Is. Configurators
// return errors that are one of [ErrUnreachable], [ErrUnauthorized], [ErrStalePlan],
// [ErrNotAuthorized], [ErrUnknownOutcome], [ErrNotConverged], [ErrUnsupported] or [ErrRejected].
//
// # Concurrency
//
// Profiles, snapshots and plans are plain data: share them as long as nobody writes.
// Configurators are safe for concurrent use.
package hardware
