package rbd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"

	"github.com/crowbarkit/crowbarkit/storage"
)

// An option is a key of the back end's options. One table drives the reader and the schema, and
// names all there is: Cinder's options (its reference calls them rbd_*, rados_*, ...) and the
// attributes of Crowbar's cinder and nova barclamps.
type option struct {
	key     string
	also    string // Cinder's name, in Cinder's unit
	kind    string // of JSON Schema
	about   string
	initial any // what applies where the key is absent
	least   any
	pattern string
	set     func(c *Config, v any)
	setAlso func(c *Config, v any) // where Cinder means it differently
}

const (
	kindString  = "string"
	kindBoolean = "boolean"
	kindInteger = "integer"
	kindNumber  = "number"
	kindStrings = "array"
)

func stringOption(key, also, about, initial string, field func(*Config) *string) option {
	return option{key: key, also: also, kind: kindString, about: about, initial: initial,
		set: func(c *Config, v any) { *field(c) = v.(string) }}
}

func boolOption(key, also, about string, field func(*Config) *bool) option {
	return option{key: key, also: also, kind: kindBoolean, about: about, initial: false,
		set: func(c *Config, v any) { *field(c) = v.(bool) }}
}

func intOption(key, also, about string, initial, least int, field func(*Config) *int) option {
	return option{key: key, also: also, kind: kindInteger, about: about, initial: initial, least: least,
		set: func(c *Config, v any) { *field(c) = int(v.(int64)) }}
}

func secondsOption(key, also, about string, initial float64, least float64, field func(*Config) *time.Duration) option {
	return option{key: key, also: also, kind: kindNumber, about: about, initial: initial, least: least,
		set: func(c *Config, v any) { *field(c) = seconds(v.(float64)) }}
}

// seconds keeps what no Duration can hold out of range, for the check to find.
func seconds(s float64) time.Duration {
	return time.Duration(max(math.MinInt64/2, min(math.MaxInt64/2, s*float64(time.Second))))
}

// not gives Cinder's option the opposite meaning.
func not(o option) option {
	set := o.set
	o.setAlso = func(c *Config, v any) { set(c, !v.(bool)) }
	return o
}

func with(o option, change func(*option)) option { change(&o); return o }

func options() []option {
	return []option{
		stringOption("config_file", "rbd_ceph_conf", "the cluster's configuration file; empty: /etc/ceph/<cluster_name>.conf", "", func(c *Config) *string { return &c.ConfigFile }),
		stringOption("cluster_name", "rbd_cluster_name", "the cluster's name", "ceph", func(c *Config) *string { return &c.ClusterName }),
		stringOption("user", "rbd_user", "the cephx user, without \"client.\"; its key is in a keyring that the configuration file names", "", func(c *Config) *string { return &c.User }),
		stringOption("pool", "rbd_pool", "the pool of the volumes", "rbd", func(c *Config) *string { return &c.Pool }),
		stringOption("secret_uuid", "rbd_secret_uuid", "the libvirt secret with the user's key on compute nodes; empty: the cluster's fsid", "", func(c *Config) *string { return &c.SecretUUID }),
		with(stringOption("volume_name_template", "", "the name of an image, with the volume's ID for %s", "volume-%s", func(c *Config) *string { return &c.VolumeNameTemplate }),
			func(o *option) { o.pattern = `^[^%/@~]+%s[^%/@~]*$` }),
		with(stringOption("snapshot_name_template", "", "the name of a snapshot, with its ID for %s", "snapshot-%s", func(c *Config) *string { return &c.SnapshotNameTemplate }),
			func(o *option) { o.pattern = `^[^%/@~]+%s[^%/@~]*$` }),
		{key: "object_size_bytes", also: "rbd_store_chunk_size", kind: kindInteger, about: "what images are cut into: a power of two from 4096 to 33554432 (rbd_store_chunk_size: in MiB)", initial: 4 << 20, least: 1,
			set:     func(c *Config, v any) { c.ObjectSizeBytes = v.(int64) },
			setAlso: func(c *Config, v any) { c.ObjectSizeBytes = min(v.(int64), 1<<20) << 20 }},
		{key: "features", kind: kindStrings, about: "features of new images; absent: the cluster's rbd_default_features",
			set: func(c *Config, v any) { c.Features = v.([]string) }},
		boolOption("multiattach", "", "images that several machines may write at once, without exclusive-lock, object-map, fast-diff and journaling", func(c *Config) *bool { return &c.Multiattach }),
		{key: "max_clone_depth", also: "rbd_max_clone_depth", kind: kindInteger, about: "how many clones may stand on each other before the next one is flattened; 0: full copies", initial: defaultMaxCloneDepth, least: 0,
			set: func(c *Config, v any) {
				if c.MaxCloneDepth = int(v.(int64)); c.MaxCloneDepth == 0 {
					c.MaxCloneDepth = fullCopy
				}
			}},
		boolOption("flatten_volume_from_snapshot", "rbd_flatten_volume_from_snapshot", "make volumes from snapshots and images stand alone", func(c *Config) *bool { return &c.FlattenVolumeFromSnapshot }),
		intOption("concurrent_flattens", "rbd_concurrent_flatten_operations", "how many volumes are flattened at once", 3, 1, func(c *Config) *int { return &c.ConcurrentFlattens }),
		not(boolOption("shared_pool", "rbd_exclusive_cinder_pool", "others make images in the pool too (rbd_exclusive_cinder_pool: the opposite)", func(c *Config) *bool { return &c.SharedPool })),
		not(boolOption("static_total_capacity", "report_dynamic_total_capacity", "report quota or cluster as total capacity, not used + free (report_dynamic_total_capacity: the opposite)", func(c *Config) *bool { return &c.StaticTotalCapacity })),
		boolOption("deferred_deletion", "enable_deferred_deletion", "keep deleted volumes in the pool's trash for a while", func(c *Config) *bool { return &c.DeferredDeletion }),
		secondsOption("deferred_deletion_delay_seconds", "deferred_deletion_delay", "how long", 0, 0, func(c *Config) *time.Duration { return &c.DeferredDeletionDelay }),
		secondsOption("purge_interval_seconds", "deferred_deletion_purge_interval", "how often the trash is emptied of what has been there long enough", 60, 1, func(c *Config) *time.Duration { return &c.PurgeInterval }),
		{key: "timeout_seconds", also: "rados_connect_timeout", kind: kindNumber, about: "how long librados may take to connect and for one operation (rados_connect_timeout: -1 is the default)", initial: 30., least: 1.,
			set: func(c *Config, v any) { c.Timeout = seconds(v.(float64)) },
			setAlso: func(c *Config, v any) {
				if s := v.(float64); s >= 0 {
					c.Timeout = max(seconds(s), 1) // 0 would be the default; Cinder's 0 is out of range
				}
			}},
		{key: "connect_retries", also: "rados_connection_retries", kind: kindInteger, about: "how often connecting is tried again", initial: 3, least: 0,
			set: func(c *Config, v any) {
				if c.ConnectRetries = int(v.(int64)); c.ConnectRetries == 0 {
					c.ConnectRetries = -1
				}
			}},
		secondsOption("connect_interval_seconds", "rados_connection_interval", "the time between two tries", 5, 0.001, func(c *Config) *time.Duration { return &c.ConnectInterval }),
		intOption("concurrency", "", "how many calls may be inside librados, each with a thread", 8, 1, func(c *Config) *int { return &c.Concurrency }),

		{key: "max_over_subscription_ratio", kind: kindNumber, about: "how many times the capacity may be promised to volumes; Cinder writes it as a string; \"auto\" is the default", initial: storage.DefaultOverSubscription,
			set: func(c *Config, v any) { c.MaxOverSubscription = v.(float64) }},
		intOption("reserved_percentage", "", "how much of the capacity is not for new volumes", 0, 0, func(c *Config) *int { return &c.ReservedPercentage }),

		boolOption("use_crowbar", "", "Crowbar: the cluster is the ceph barclamp's; not used by the driver", func(c *Config) *bool { return &c.UseCrowbar }),
		boolOption("use_ses", "", "Crowbar: the cluster is SUSE Enterprise Storage; not used by the driver", func(c *Config) *bool { return &c.UseSES }),
		stringOption("admin_keyring", "", "Crowbar: the administrator's keyring, for the barclamp that makes the user; not used by the driver", "", func(c *Config) *string { return &c.AdminKeyring }),
		{key: "replication_connect_timeout", kind: kindNumber, about: "Cinder: accepted and not used: there is no replication", set: func(*Config, any) {}},
		{key: "replication_device", kind: kindStrings, about: "Cinder: only an empty list: there is no replication", set: func(*Config, any) {}},
	}
}

// ParseConfig reads the options of a back end in JSON. It knows the names of this package,
// Crowbar's and Cinder's; all problems are returned at once, as storage.ErrInvalid, each with
// its JSON Pointer.
func ParseConfig(raw json.RawMessage) (Config, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return Config{}, fmt.Errorf("%w: options of the rbd driver: %w", storage.ErrInvalid, err)
	}
	var c Config
	var problems *multierror.Error
	problem := func(key, format string, args ...any) {
		problems = multierror.Append(problems, fmt.Errorf("%w: /%s: %s", storage.ErrInvalid,
			strings.NewReplacer("~", "~0", "/", "~1").Replace(key), fmt.Sprintf(format, args...)))
	}
	for _, o := range options() {
		if _, both := fields[o.also]; both && fields[o.key] != nil && o.also != "" {
			problem(o.also, "is Cinder's name for %q, which is there too; give one of them", o.key)
		}
		for i, key := range []string{o.key, o.also} {
			value, there := fields[key]
			if !there || key == "" {
				continue
			}
			delete(fields, key)
			v, err := o.read(value)
			switch {
			case err != nil:
				problem(key, "%v", err)
			case v == nil: // null is Cinder's None: absent
			case o.key == "replication_device" && len(v.([]string)) > 0:
				problem(key, "replication is not supported by this driver; remove it")
			case i == 1 && o.setAlso != nil:
				o.setAlso(&c, v)
			case i == 0 && belowLeast(o.least, v):
				problem(key, "%v, expected at least %v", v, o.least)
			default:
				o.set(&c, v)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		problem(key, "unknown option")
	}
	if _, err := c.withDefaults(); err != nil {
		problems = multierror.Append(problems, err)
	}
	if err := problems.ErrorOrNil(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// read returns string, bool, int64, float64, []string, or nil for null.
func (o option) read(raw json.RawMessage) (any, error) {
	raw = bytes.TrimSpace(raw)
	if string(raw) == "null" {
		return nil, nil
	}
	var err error
	switch o.kind {
	case kindString:
		var v string
		if err = json.Unmarshal(raw, &v); err == nil {
			return v, nil
		}
	case kindBoolean:
		var v bool
		if err = json.Unmarshal(raw, &v); err == nil {
			return v, nil
		}
	case kindInteger:
		var v int64
		if err = json.Unmarshal(raw, &v); err == nil && v >= math.MinInt32 && (v <= math.MaxInt32 || o.key == "object_size_bytes") {
			return v, nil
		}
	case kindNumber:
		var v float64
		if o.key == "max_over_subscription_ratio" && json.Unmarshal(raw, new(string)) == nil {
			if raw = bytes.Trim(raw, `"`); string(raw) == "auto" { // Cinder reckons it out then; here it is the default
				return nil, nil
			}
		}
		if err = json.Unmarshal(raw, &v); err == nil {
			return v, nil
		}
	case kindStrings:
		v := []string{}
		if o.key == "replication_device" { // of objects: only how many counts
			var devices []json.RawMessage
			if err = json.Unmarshal(raw, &devices); err == nil {
				return make([]string, len(devices)), nil
			}
		} else if err = json.Unmarshal(raw, &v); err == nil {
			return v, nil
		}
	}
	return nil, fmt.Errorf("%.80s, expected %s", raw, map[string]string{
		kindString: "a string", kindBoolean: "true or false", kindInteger: "a whole number", kindNumber: "a number", kindStrings: "a list"}[o.kind])
}

func belowLeast(least, v any) bool {
	switch least := least.(type) {
	case int:
		return v.(int64) < int64(least)
	case float64:
		return v.(float64) < least
	}
	return false
}

// Schema returns the JSON Schema of the options that ParseConfig reads. Keys of other origin
// than this package's say whose they are.
func Schema() json.RawMessage {
	properties := map[string]any{}
	for _, o := range options() {
		p := map[string]any{"type": o.kind, "description": o.about}
		switch {
		case o.key == "features":
			names := []string{}
			for _, f := range featureNames {
				names = append(names, f.name)
			}
			p["items"] = map[string]any{"type": "string", "enum": names}
		case o.key == "replication_device":
			p["maxItems"] = 0
		}
		if o.initial != nil {
			p["default"] = o.initial
		}
		if o.least != nil {
			p["minimum"] = o.least
		}
		if o.pattern != "" {
			p["pattern"] = o.pattern
		}
		if o.key == "max_over_subscription_ratio" {
			p["type"] = []string{kindNumber, kindString}
		}
		properties[o.key] = p
		if o.also != "" {
			properties[o.also] = map[string]any{"type": []string{o.kind, "null"}, "description": "Cinder's name for " + o.key + ": " + o.about}
		}
	}
	raw, err := json.MarshalIndent(map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "Ceph RBD",
		"type":                 "object",
		"properties":           properties,
		"additionalProperties": false,
	}, "", "  ")
	if err != nil { // strings, numbers and booleans only
		return json.RawMessage("{}")
	}
	return raw
}
