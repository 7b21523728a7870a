package rbd

import (
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/crowbarkit/crowbarkit/storage"
)

// A Config of a Driver; the zero value is Cinder's default. No secret is in it: the key of the
// user is in a keyring, which the cluster's configuration file names.
type Config struct {
	// ConfigFile is the cluster's configuration; "" is what librados looks for, which is
	// $CEPH_CONF and then /etc/ceph/<ClusterName>.conf. Cinder: rbd_ceph_conf.
	ConfigFile string
	// ClusterName is "ceph" if empty. Cinder: rbd_cluster_name.
	ClusterName string
	// User is the cephx user without "client."; "" connects as client.admin, and connections say
	// that there is no authentication, as Cinder's do. Cinder: rbd_user.
	User string
	// Pool is "rbd" if empty. Cinder: rbd_pool.
	Pool string
	// SecretUUID names the libvirt secret that compute nodes keep the user's key in; "" is the
	// cluster's fsid. Cinder: rbd_secret_uuid.
	SecretUUID string
	// VolumeNameTemplate is the image name, with the ID for its one %s; "" is "volume-%s".
	// Images of another form are not this driver's, so several can share a pool.
	VolumeNameTemplate string
	// SnapshotNameTemplate likewise; "" is "snapshot-%s".
	SnapshotNameTemplate string

	// ObjectSizeBytes is what images are cut into: a power of two from 4 KiB to 32 MiB, 0 = 4 MiB.
	// Cinder: rbd_store_chunk_size (in MiB).
	ObjectSizeBytes int64
	// Features of new images by their names ("layering", "exclusive-lock", ...); nil is the
	// cluster's rbd_default_features.
	Features []string
	// Multiattach makes images that several machines may write at once: without exclusive-lock,
	// object-map, fast-diff and journaling, which let in one writer at a time.
	Multiattach bool

	// MaxCloneDepth is how many clones may stand on each other before the next one is flattened,
	// 0 = 5; -1 makes full copies at once. Cinder: rbd_max_clone_depth, where 0 is a full copy.
	MaxCloneDepth int
	// FlattenVolumeFromSnapshot makes volumes from snapshots and images that stand alone. Cinder:
	// rbd_flatten_volume_from_snapshot.
	FlattenVolumeFromSnapshot bool
	// ConcurrentFlattens is how many volumes are flattened at once, 0 = 3. Cinder:
	// rbd_concurrent_flatten_operations.
	ConcurrentFlattens int

	// SharedPool says that others make images in the pool too. Stats then ask the cluster for the
	// sizes of all images each time; else sizes seen once are remembered for a while. Cinder:
	// rbd_exclusive_cinder_pool, the opposite.
	SharedPool bool
	// StaticTotalCapacity reports the pool's quota or the cluster's size as total capacity and not
	// what is used and free. Cinder: report_dynamic_total_capacity, the opposite.
	StaticTotalCapacity bool

	// DeferredDeletion moves deleted volumes to the pool's trash for DeferredDeletionDelay, and
	// every PurgeInterval (0 = 1 minute) removes what has been there long enough. Cinder:
	// enable_deferred_deletion, deferred_deletion_delay, deferred_deletion_purge_interval.
	DeferredDeletion      bool
	DeferredDeletionDelay time.Duration
	PurgeInterval         time.Duration

	// Timeout is how long librados may take to connect and for one operation on the cluster, 1
	// second to 1 hour, 0 = 30 seconds. Without it librados waits for ever for an OSD that is
	// down. Cinder: rados_connect_timeout.
	Timeout time.Duration
	// ConnectRetries is how often connecting is tried again, 0 = 3, -1 = not at all, with
	// ConnectInterval between, 0 = 5 seconds. Cinder: rados_connection_retries,
	// rados_connection_interval.
	ConnectRetries  int
	ConnectInterval time.Duration
	// Concurrency is how many calls may be inside librados, each with a thread, 0 = 8. Background
	// flattens come on top.
	Concurrency int

	// MaxOverSubscription and ReservedPercentage are reported in Stats, for whoever places volumes.
	MaxOverSubscription float64
	ReservedPercentage  int

	// What Crowbar's barclamps keep beside it. The driver does not use them: where the cluster
	// comes from is the barclamp's matter, and no driver needs the administrator's keyring.
	UseCrowbar   bool
	UseSES       bool
	AdminKeyring string
}

const (
	defaultMaxCloneDepth = 5
	fullCopy             = -1
)

// withDefaults returns the configuration with nothing left to be decided, or all its problems.
func (c Config) withDefaults() (Config, error) {
	var problems *multierror.Error
	problem := func(path, format string, args ...any) {
		problems = multierror.Append(problems, fmt.Errorf("%w: %s: %s", storage.ErrInvalid, path, fmt.Sprintf(format, args...)))
	}
	text := func(path string, s *string, otherwise string) {
		if *s == "" {
			*s = otherwise
		}
		if strings.ContainsFunc(*s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			problem(path, "%.80q, expected no control characters", *s)
		}
	}
	text("/config_file", &c.ConfigFile, "")
	text("/cluster_name", &c.ClusterName, "ceph")
	text("/user", &c.User, "")
	text("/secret_uuid", &c.SecretUUID, "")
	text("/pool", &c.Pool, "rbd")
	text("/volume_name_template", &c.VolumeNameTemplate, "volume-%s")
	text("/snapshot_name_template", &c.SnapshotNameTemplate, "snapshot-%s")
	if strings.ContainsAny(c.Pool, "/@") {
		problem("/pool", "%q, expected a name without / and @", c.Pool)
	}
	if strings.HasPrefix(c.User, "client.") {
		problem("/user", "%q, expected the name without \"client.\"", c.User)
	}
	if err := checkTemplates(c.VolumeNameTemplate, c.SnapshotNameTemplate); err != nil {
		problems = multierror.Append(problems, err)
	}
	number := func(path string, n *int, otherwise, least, most int) {
		if *n == 0 {
			*n = otherwise
		}
		if *n < least || *n > most {
			problem(path, "%d, expected %d to %d", *n, least, most)
		}
	}
	number("/max_clone_depth", &c.MaxCloneDepth, defaultMaxCloneDepth, fullCopy, maxDepth)
	number("/concurrent_flattens", &c.ConcurrentFlattens, 3, 1, 64)
	number("/connect_retries", &c.ConnectRetries, 3, -1, 100)
	c.ConnectRetries = max(c.ConnectRetries, 0)
	number("/reserved_percentage", &c.ReservedPercentage, 0, 0, 100)
	if r := c.MaxOverSubscription; r != 0 && !(r >= 1 && r <= 1e6) {
		problem("/max_over_subscription_ratio", "%v, expected 1 to 1000000", r)
	}
	number("/concurrency", &c.Concurrency, 8, 1, 256)
	duration := func(path string, d *time.Duration, otherwise, least, most time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
		if *d < least || *d > most {
			problem(path, "%v seconds, expected %v to %v", d.Seconds(), least.Seconds(), most.Seconds())
		}
	}
	duration("/timeout_seconds", &c.Timeout, 30*time.Second, time.Second, time.Hour)
	duration("/connect_interval_seconds", &c.ConnectInterval, 5*time.Second, time.Millisecond, time.Hour)
	duration("/purge_interval_seconds", &c.PurgeInterval, time.Minute, time.Second, 24*time.Hour)
	duration("/deferred_deletion_delay_seconds", &c.DeferredDeletionDelay, 0, 0, 365*24*time.Hour)
	if c.DeferredDeletionDelay != 0 && !c.DeferredDeletion {
		problem("/deferred_deletion_delay_seconds", "without deferred_deletion it has no effect; set that too")
	}
	if c.ObjectSizeBytes == 0 {
		c.ObjectSizeBytes = 4 << 20
	}
	if n := c.ObjectSizeBytes; n < 1<<12 || n > 1<<25 || n&(n-1) != 0 {
		problem("/object_size_bytes", "%d, expected a power of two from 4096 to 33554432", n)
	}
	if _, err := featureBits(c.Features); err != nil {
		problems = multierror.Append(problems, err)
	}
	return c, problems.ErrorOrNil()
}

// maxDepth keeps chains far from librbd's limits.
const maxDepth = 64

// The features of an image that can be chosen, with librbd's bits.
const (
	featureLayering      = 1 << 0
	featureStriping      = 1 << 1
	featureExclusiveLock = 1 << 2
	featureObjectMap     = 1 << 3
	featureFastDiff      = 1 << 4
	featureDeepFlatten   = 1 << 5
	featureJournaling    = 1 << 6
)

var featureNames = [...]struct {
	name string
	bit  uint64
}{
	{"layering", featureLayering},
	{"striping", featureStriping},
	{"exclusive-lock", featureExclusiveLock},
	{"object-map", featureObjectMap},
	{"fast-diff", featureFastDiff},
	{"deep-flatten", featureDeepFlatten},
	{"journaling", featureJournaling},
}

// featureBits adds up the features; 0 if none are named.
func featureBits(names []string) (bits uint64, err error) {
	var problems *multierror.Error
	for i, name := range names {
		bit := uint64(0)
		var known []string
		for _, f := range featureNames {
			known = append(known, f.name)
			if f.name == name {
				bit = f.bit
			}
		}
		if bit == 0 {
			problems = multierror.Append(problems, fmt.Errorf("%w: /features/%d: %.80q, expected one of %s", storage.ErrInvalid, i, name, strings.Join(known, ", ")))
		}
		bits |= bit
	}
	for _, needs := range []struct{ feature, other uint64 }{
		{featureObjectMap, featureExclusiveLock}, {featureFastDiff, featureObjectMap}, {featureJournaling, featureExclusiveLock},
	} {
		if bits&needs.feature != 0 && bits&needs.other == 0 {
			problems = multierror.Append(problems, fmt.Errorf("%w: /features: %s needs %s", storage.ErrInvalid, nameOf(needs.feature), nameOf(needs.other)))
		}
	}
	if bits != 0 && bits&featureLayering == 0 {
		problems = multierror.Append(problems, fmt.Errorf("%w: /features: without layering no volume can be cloned", storage.ErrInvalid))
	}
	return bits, problems.ErrorOrNil()
}

func nameOf(bit uint64) string {
	for _, f := range featureNames {
		if f.bit == bit {
			return f.name
		}
	}
	return fmt.Sprint(bit)
}
