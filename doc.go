// Package crowbarkit is the map of CrowbarKit, Dell Crowbar's design rebuilt as importable
// packages: racks of bare metal become running clusters by way of barclamps, versioned
// proposals and a pause before anything is destroyed.
//
// Import the package you need; none of them starts a daemon, registers itself or needs cgo.
//
// # On their own
//
//   - statemachine: a declarative machine with guards, deadlines, a graph and an answer to "why"
//   - proposal: versioned, diffable JSON documents in Crowbar's format
//   - hardware: BIOS and RAID as profile, snapshot and plan; hardware/redfish applies it,
//     hardware/redfishsim is a BMC to test against
//   - storage: volumes behind one Driver contract, held by a Manager
//   - pxe: what a machine boots, decided by a Booter
//
// These five never import each other.
//
// # Together
//
//   - barclamp: the contract of a module; barclamp/catalog holds the built-in ones
//   - crowbar: the engine: nodes, proposals, jobs, events over a Store
//   - crowbar/boltstore, crowbar/api, crowbar/client, crowbar/sim: store, HTTP API, its client,
//     and a simulated site
//   - crowbar/server: all of it put together, to embed a whole server
//   - cmd/crowbar and cmd/crowbar-server: the reference binaries
//
// docs/architecture.md follows one node and one proposal through the code.
//
// # Compatibility
//
// Until v1.0.0 anything may change between minor versions; the CHANGELOG says what did.
// From v1.0.0 exported names keep their meaning within a major version. Stored data is
// another matter from the start: a store written by one version is read by every later one.
package crowbarkit
