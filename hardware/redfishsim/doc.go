// Package redfishsim simulates servers and their baseboard management controllers.
//
// A [Machine] is a pure model of one server: power, POST, boot order, BIOS settings that pend
// until a reset, disks that remember what was written and how often they were wiped and that
// may fail, RAID volumes, jobs. It has no goroutines and tells time by its clock only. A [BMC]
// is an http.Handler that shows a machine as a Redfish service, shaped like real ones.
// [Transport] reaches any number of BMCs in process; net/http/httptest or http.Server serve
// one over a socket, and the command crowbar-bmc-sim many.
//
//	m, err := redfishsim.NewMachine(redfishsim.Spec{Name: "node1", Disks: redfishsim.Disks("node1", 4)}, nil)
//	bmc, err := redfishsim.NewBMC(redfishsim.Config{Machine: m, Username: "root", Password: "secret"})
//	server := httptest.NewServer(bmc)
//
// # Personalities
//
// Spec.Personality says whose BMC and BIOS a machine has. Each is a file with what the vendor
// does differently and the evidence for it: a thread on GitHub as OWNER/REPOSITORY#NUMBER,
// somebody's source or notes, or "assumed". The same hardware profile can be brought about on
// all of them, but for what OpenBMC does not have: virtualization, IOMMU and SR-IOV are off
// from the factory, under the vendor's own names.
//
// # Faults
//
// [Knobs] make a BMC slow, busy, unlicensed, malformed or stuck, from the start or at run time
// by [BMC.SetKnobs]. [BMC.LoseReply] and [BMC.FailNext] hit a single request, [BMC.RestartBMC]
// takes the BMC away for a time, [Machine.FailDrive] breaks a disk.
//
// # Something real
//
// With a [PowerBackend] a machine turns a virtual machine or a process on and off, and follows
// when that goes on or off by itself.
//
// # Time
//
// A machine moves on when somebody looks at it: each method and each request first brings
// it up to the present. To learn of a finished POST without looking, give Options.OnPower a
// function and let something run the machine: [Machine.Run], or one loop over many with
// [Machine.NextDeadline] and [Machine.Advance].
//
// # Crash safety
//
// Options.OnChange gets the whole [State] after every change, before the answer to the
// request that caused it leaves. NewMachine with that State goes on where it was; a
// transition that ended meanwhile is made up for at once.
//
// # Errors
//
// Methods of Machine return [ErrInvalid], [ErrConflict] (of which [ErrCommitted] is a kind),
// [ErrNotFound] or [ErrBackend], wrapped.
//
// # Concurrency
//
// Everything is safe for concurrent use. OnChange runs under the machine's lock and must
// not call the machine; OnPower runs without it and may.
package redfishsim
