// Package eqlxsim simulates an EqualLogic group: a real SSH server whose command line answers
// as a PS series group does, over a group that keeps state: pools with capacities, thin
// volumes, snapshots, clones, access records, CHAP accounts, sessions.
//
//	group, err := eqlxsim.New(eqlxsim.Config{Password: "secret"})
//	if err != nil {
//		return err
//	}
//	listener, err := net.Listen("tcp", "127.0.0.1:0")
//	if err != nil {
//		return err
//	}
//	return group.Serve(ctx, listener)
//
// A [Group] is the state and its server; [Config] says what is in it and which of the
// [Quirks] of real groups it shows; [Config].Fault breaks things at a chosen command.
// [Group.Volumes], [Group.Commands] and [Group.Sessions] let a test see what happened.
//
// # What is known and what is assumed
//
// No capture of a whole session with a real group is public. The source marks each reply:
//
//	[T] fixture in Cinder's tests (cinder/tests/unit/volume/drivers/dell_emc/test_ps.py)
//	[C] constant that Cinder's driver parses (cinder/volume/drivers/dell_emc/ps.py)
//	[M] commit message of Cinder's driver
//	[D] printed by a real group in OpenStack's administrator guide
//	    (doc/source/admin/ts-eql-volume-size.rst, 2014), or Dell's configuration guide v14.1
//	[W] what other programs written against real groups match or send: Eucalyptus'
//	    EquallogicManager, the Proxmox Dell PS plugins, the Flocker, Ganeti and OpenNebula
//	    drivers, eayunstack-tools
//	[A] assumed; nobody has published it
//
// # Errors
//
// New returns all problems of its Config at once, wrapped in [ErrConfig]. Serve returns the
// listener's error, and nil after its context has ended.
//
// # Concurrency
//
// A Group may be used by many goroutines at once and serve several listeners.
package eqlxsim
