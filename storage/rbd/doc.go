// Package rbd makes volumes in a pool of a Ceph cluster, as Cinder's RBD driver does, and beside
// it: names, snapshots, clones and connections are Cinder's.
//
// Everything that talks to Ceph needs librbd, and so cgo and the build tag ceph. go-ceph wants
// to know a librbd that is older than Reef by a tag of its own:
//
//	go build -tags ceph,pacific ./...    Debian 12 (Ceph 16)
//	go build -tags ceph,quincy ./...     Ceph 17
//	go build -tags ceph ./...            Ceph 18 and later
//
// Without the tag the package compiles with nothing but Go: it reads and checks options, knows
// their JSON Schema, and Open returns ErrNotBuilt, which says how to build.
//
//	manager, err := storage.Open(ctx, config, map[string]storage.Opener{"rbd": rbd.Open})
//
// with
//
//	{"volumes": [{"backend_driver": "rbd", "backend_name": "ceph1", "rbd": {
//		"config_file": "/etc/ceph/ceph.conf", "user": "cinder", "pool": "volumes"}}]}
//
// The user needs what Cinder's does: mon "profile rbd", osd "profile rbd pool=volumes" (and the
// pools of images), mgr "profile rbd pool=volumes". Its key stays in the keyring that the
// configuration file names: it is in no option, connection, log or error.
//
// # How volumes hang together
//
// A clone stands on a snapshot of its source (<clone>.clone_snap) until it is flattened, which
// happens in the background when a chain gets longer than MaxCloneDepth. Clones of a volume that
// nobody has written to, and that nobody has open, share the first one's snapshot; it goes with
// the last of them. A clone is a volume of its own: it has no limits until it is given some.
//
// A volume that is deleted while clones stand on it goes to the pool's trash, marked, and is
// removed with the last of them. Cinder renames such a volume to <name>.deleted; those are known
// and removed too. See Driver.Delete and Driver.PurgeTrash.
//
// # Errors
//
// Those of package storage, by the codes of librbd: ENOENT is ErrNotFound, EEXIST ErrExists,
// EBUSY, ENOTEMPTY and EROFS ErrBusy (a *storage.BusyError names snapshots, clones and watchers),
// ENOSPC and EDQUOT ErrNoSpace, EOPNOTSUPP ErrUnsupported; a change that timed out, or whose
// connection was lost, is ErrUnknownOutcome. ErrNotBuilt and ErrClosed are this package's own.
//
// # Concurrency
//
// A Driver may be used by many goroutines at once; changes of one volume run one after another.
// All share one connection. librados cannot be interrupted: a call whose context ends returns at
// once, and its worker stays busy until librados gives up, at most Timeout for each operation.
// What a call made that nobody waits for any more is removed again; until then other calls for
// the same volume wait. Close waits for the workers, and for flattens in the background.
//
// A connection has 12 threads and 33 file descriptors. librados ends the process when it gets no
// more of them while it connects: a std::system_error, which no caller can catch. The driver
// connects once, frees what did not come about at once, and refuses to connect where file
// descriptors are few; leave it room for threads (RLIMIT_NPROC, a container's pids.max).
// librbd 16 does the same now and then when it is told to clone a snapshot that would have to be
// protected and is not (clone v1): the driver looks first.
package rbd
