// Package eqlx is a storage.Driver for Dell EqualLogic PS series groups, over the command line
// that a group serves on SSH.
//
//	driver, err := eqlx.New(eqlx.Config{Address: "192.168.124.11", Password: secret, Pool: "fast"})
//	if err != nil {
//		return err
//	}
//	defer driver.Close()
//	volume, err := driver.Create(ctx, storage.VolumeSpec{ID: "db-1", SizeBytes: 10 << 30})
//
// [Open] is its storage.Opener, [Schema] documents the options: Cinder's, Crowbar's and those of
// the Nova driver of 2012, by their names. A [Driver] is a storage.Driver, Disconnector, Lister,
// Extender, Snapshotter, SnapshotLister, Cloner and Adopter. eqlxsim is a group to try it against.
//
// It is no Reverter, on purpose. Two programs of others send "volume select V snapshot select S
// restore" and do not agree on the rest: one sets the volume offline first and then deletes every
// snapshot that the group has named, the other does neither and expects another size. What a
// restore does to size, status and snapshots is nowhere published, and to be wrong about it costs
// data; copy the snapshot with CreateFromSnapshot instead. A group has no access to the data of
// volumes but iSCSI, and no limits per volume: no ImageStreamer, ImageCloner or Limiter. What it
// keeps of deleted volumes it purges itself: no TrashPurger.
//
// Cinder dropped its driver in 2020, and its last version could not run on Python 3. What this
// one sends is what that one sent, but for the differences that the test of the trace lists.
// Real groups differ from what is published; where that matters this driver reads by content
// and takes every form of an answer that any client of these groups is known to expect.
//
// # Sessions
//
// Each pooled SSH connection keeps one shell open, set up once; a command is one round trip.
// There are at most Config.MaxSessions, as a group has few and its people need some. A command
// that was cancelled or not answered costs its session, as its answer could come later. A
// prompt counts at the start of the last line only. On a group that repeats commands, as real ones
// do, a reply without its command in front is another command's and costs the session; what is
// shown of a volume must have its name. Where the command makes a volume or snapshot,
// or takes a volume over, only the caller leaves: the driver waits for the answer and takes back
// what is new, and until then other calls about the volume wait.
//
// # Volumes
//
// Sizes are whole gigabytes, 2^30 bytes, as the group shows them; a device is up to 15 MB
// bigger, as the group works in pages of that size. A group that does not know "cli-settings
// displayinMB" shows a volume of 1 TB or more in hundredths of a TB: then it has that size here,
// and what might make it smaller is refused. What is in a name on the group: letters,
// digits, ".", "-", ":", and case does not count; so in "volume-<id>" another character of the
// ID is ":" and two hexadecimal digits, and a long ID a hash, with the ID in the description.
// Names are the group's, so two back ends on one group need two templates. A volume whose name
// differs from that in case alone is not this driver's, and keeps the name taken.
//
// Delete refuses while the volume has snapshots, iSCSI connections, or access records: the group
// would destroy and cut them without a question. What a call made and takes back is looked at in
// the same way. Connect makes one
// access record per initiator, never two. Disconnect deletes all records of the initiator, also those
// that somebody else made for it, such as the duplicates of Cinder's driver: who was detached must not
// get in again. Records of other initiators stay: during a live migration two machines have the
// volume. A snapshot is made and then named; one that
// could not be named is deleted, at once or the next time; it is told from snapshots of
// schedules by its description.
//
// # Errors
//
// Those of package storage. A [CommandError] is what the group printed; ErrNotFound, ErrExists,
// ErrBusy and ErrNoSpace are found from its words. [ErrConnect] is a group that cannot be
// reached, with a [HostKeyError] or [PromptError] in it where it is that. After
// ErrUnknownOutcome a command was sent and not answered: what changes something is never
// sent twice. No error and no log record has a secret in it; commands have none.
//
// # Concurrency
//
// A Driver may be used by many goroutines at once; commands wait for a session. Calls about one
// volume should not overlap, which a storage.Backend sees to: between looking at a volume
// and deleting it somebody else could connect.
package eqlx
