package cephtest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// conf returns ceph.conf. What is set here and why is known from measurements: with defaults a
// start takes 17 s and a snapshot 0.8 s, and nothing but these settings changes that.
func (c *Cluster) conf(sizeBytes int64) []byte {
	lines := slices.Concat([]string{
		"[global]",
		"fsid = " + fsid,
		fmt.Sprintf("mon host = [v2:127.0.0.1:%d/0,v1:127.0.0.1:%d/0]", c.MonPort, c.MonPort+1),
		"public addr = 127.0.0.1",
		"cluster addr = 127.0.0.1",
		"public network = 127.0.0.0/8",
		"ms bind ipv4 = true",
		"ms bind ipv6 = false",
		"auth cluster required = cephx",
		"auth service required = cephx",
		"auth client required = cephx",
		"auth allow insecure global id reclaim = false",
		"mon warn on insecure global id reclaim allowed = false",
		"run dir = " + c.path("run"),
		// A client's socket would be one per connection, and outlive those that are killed.
		"log file = " + c.path("log/$name.log"),
		"osd pool default size = 1",
		"osd pool default min size = 1",
		"osd pool default pg num = 8",
		"osd pool default pgp num = 8",
		"osd pool default pg autoscale mode = off",
		"osd crush chooseleaf type = 0",
		"mon allow pool delete = true",
		"mon allow pool size one = true",
		"mon warn on pool no redundancy = false",
		"mon data avail warn = 1", // percent: a full disk of the machine is not the test's matter
		"mon data avail crit = 1",
		"mon pg warn min per osd = 0",
		"rbd default features = 61",
		// In [global] mgr and osd would use the admin's keyring and be refused.
		"[client]",
		"log file = ",
		"[client.admin]",
		"keyring = " + c.path("ceph.client.admin.keyring"),
		"[client.cinder]",
		"keyring = " + c.path("ceph.client.cinder.keyring"),
	}, section("mon", c.Dir,
		"mon data = "+c.path("mon.$id"),
		"mon cluster log file = "+c.path("log/cluster.log"),
		"paxos propose interval = 0.05",
		"paxos min wait = 0.01",
		"mon tick interval = 1",
		"mon osd down out interval = 0", // with one OSD "out" would lose the data for good
	), section("mgr", c.Dir,
		"mgr data = "+c.path("mgr.$id"),
		"mgr initial modules =",
		"mgr tick period = 1",
		"mgr stats period = 1",
		"mgr module path = /usr/share/ceph/mgr",
	), section("osd", c.Dir,
		"osd data = "+c.path("osd.$id"),
		"osd heartbeat interval = 2",
		"osd objectstore = bluestore",
		"osd fast shutdown = false",
		"osd max object name len = 256",
		"osd memory target = 939524096",
		fmt.Sprintf("bluestore block size = %d", sizeBytes),
		"bluestore block create = true",
		"bluestore fsck on mount = false",
	))
	return []byte(strings.Join(lines, "\n") + "\n")
}

func section(kind, dir string, lines ...string) []string {
	return append([]string{
		"[" + kind + "]",
		"keyring = " + filepath.Join(dir, kind+".$id/keyring"),
		"admin socket = " + filepath.Join(dir, "run/$name.asok"),
		"pid file = " + filepath.Join(dir, "run/$name.pid"),
	}, lines...)
}
