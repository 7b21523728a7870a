// Package sim simulates a site of bare metal: machines with firmware, BMC and disks, the agent
// of the discovery image, the installer, the installed system, and a jig.
//
// Nothing in it takes a short cut. A machine talks to Crowbar over HTTP only, as firmware and
// agent of a real one do: it asks /boot/ipxe what to boot, reports with the token of its boot,
// waits for orders, and asks before it writes to a disk. Its BMC is a Redfish service.
//
//	site, err := sim.New(sim.Config{Nodes: 8, URL: "http://127.0.0.1:3000", Clock: clock})
//	configurator, err := redfish.New(redfish.Config{Transport: site.BMC(), Clock: clock})
//	registry, err := catalog.New(catalog.Config{Hardware: configurator, Target: site.Target})
//	engine, err := crowbar.New(ctx, crowbar.Config{Jig: site.Jig(), Simulated: true, …})
//	err = site.Run(ctx)
//
// Machine i is the same for the same seed, however many there are: three of eight are storage
// machines with 12 disks, the others compute machines with 4 and a CPU that virtualizes. Disks
// from the factory hold old data and belong to no volume. The counter of each disk says how
// often data on it was destroyed.
//
// # Crash safety
//
// A real machine does not die with the server. With Config.Dir each machine keeps one file:
// hardware, what runs on it, the ticket of its boot, what is installed. It is replaced before
// the next effect outside the machine. A site that is opened on the same directory goes on
// with the same boots and tickets, after a SIGKILL too; what a crash of the host itself loses
// is not the point, so nothing is synced.
//
// A disk says itself what was installed on it. The installer that goes on after a crash reads
// it before it asks or writes, so a disk is never written a second time in one boot.
//
// # Errors
//
// New returns [ErrInvalid] for a configuration that makes no sense, and [ErrOtherSite] for a
// directory that holds other machines. Run returns the error of a file that could not be
// written, else that of its context.
//
// # Concurrency
//
// Everything is safe for concurrent use. Run owns one goroutine per machine and returns when
// all have ended; ServeBMCs owns the server of the BMCs.
package sim
