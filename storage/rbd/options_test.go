package rbd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-multierror"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

func TestOptions(t *testing.T) {
	for name, test := range map[string]struct {
		options string
		want    rbd.Config
	}{
		"none": {`{}`, rbd.Config{}},
		"Crowbar's": {
			`{"use_crowbar":true,"use_ses":true,"config_file":"/etc/ceph/ceph.conf","admin_keyring":"/etc/ceph/ceph.client.admin.keyring","pool":"volumes","user":"cinder","secret_uuid":"","flatten_volume_from_snapshot":true}`,
			rbd.Config{UseCrowbar: true, UseSES: true, ConfigFile: "/etc/ceph/ceph.conf", AdminKeyring: "/etc/ceph/ceph.client.admin.keyring", Pool: "volumes", User: "cinder", FlattenVolumeFromSnapshot: true},
		},
		"Cinder's with their defaults": {
			`{"rbd_cluster_name":"ceph","rbd_pool":"rbd","rbd_user":null,"rbd_ceph_conf":"","rbd_flatten_volume_from_snapshot":false,"rbd_secret_uuid":null,"rbd_max_clone_depth":5,"rbd_store_chunk_size":4,"rados_connect_timeout":-1,"rados_connection_retries":3,"rados_connection_interval":5,"replication_connect_timeout":5,"report_dynamic_total_capacity":true,"rbd_exclusive_cinder_pool":true,"enable_deferred_deletion":false,"deferred_deletion_delay":0,"deferred_deletion_purge_interval":60,"rbd_concurrent_flatten_operations":3,"replication_device":[],"reserved_percentage":0,"max_over_subscription_ratio":"20.0"}`,
			rbd.Config{ClusterName: "ceph", Pool: "rbd", MaxCloneDepth: 5, ObjectSizeBytes: 4 << 20, ConnectRetries: 3, ConnectInterval: 5 * time.Second, PurgeInterval: time.Minute, ConcurrentFlattens: 3, MaxOverSubscription: 20},
		},
		"Cinder's with other values": {
			`{"rbd_max_clone_depth":0,"rbd_store_chunk_size":8,"rados_connect_timeout":10,"rados_connection_retries":0,"report_dynamic_total_capacity":false,"rbd_exclusive_cinder_pool":false,"enable_deferred_deletion":true,"deferred_deletion_delay":90,"max_over_subscription_ratio":1.5,"reserved_percentage":10}`,
			rbd.Config{MaxCloneDepth: -1, ObjectSizeBytes: 8 << 20, Timeout: 10 * time.Second, ConnectRetries: -1, StaticTotalCapacity: true, SharedPool: true, DeferredDeletion: true, DeferredDeletionDelay: 90 * time.Second, MaxOverSubscription: 1.5, ReservedPercentage: 10},
		},
		"Cinder's automatic ratio": {`{"max_over_subscription_ratio":"auto"}`, rbd.Config{}},
		"ours": {
			`{"cluster_name":"east","object_size_bytes":8388608,"features":["layering","exclusive-lock"],"multiattach":true,"max_clone_depth":0,"concurrent_flattens":1,"shared_pool":true,"static_total_capacity":true,"deferred_deletion":true,"deferred_deletion_delay_seconds":0.5,"purge_interval_seconds":1,"timeout_seconds":2.5,"connect_retries":1,"connect_interval_seconds":1,"concurrency":2,"volume_name_template":"v-%s-x","snapshot_name_template":"s-%s"}`,
			rbd.Config{ClusterName: "east", ObjectSizeBytes: 8 << 20, Features: []string{"layering", "exclusive-lock"}, Multiattach: true, MaxCloneDepth: -1, ConcurrentFlattens: 1, SharedPool: true, StaticTotalCapacity: true, DeferredDeletion: true, DeferredDeletionDelay: 500 * time.Millisecond, PurgeInterval: time.Second, Timeout: 2500 * time.Millisecond, ConnectRetries: 1, ConnectInterval: time.Second, Concurrency: 2, VolumeNameTemplate: "v-%s-x", SnapshotNameTemplate: "s-%s"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := rbd.ParseConfig(json.RawMessage(test.options))
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(test.want, got))
			require.NoError(t, schema(t).Validate(parsed(t, test.options)), "the schema allows what the reader reads")
		})
	}
}

func TestBadOptionsAreAllReported(t *testing.T) {
	for options, paths := range map[string][]string{
		`[]`:                  {"options of the rbd driver"},
		`{"pool":1,"zzz":2}`:  {"/pool: 1, expected a string", "/zzz: unknown option"},
		`{"a/b~c":1}`:         {"/a~1b~0c: unknown option"},
		`{"pool":"a/b"}`:      {"/pool: "},
		`{"user":"client.x"}`: {`/user: "client.x", expected the name without`},
		`{"pool":"a\u0000b"}`: {"/pool: "},
		`{"timeout_seconds":0.1,"concurrency":-1,"max_clone_depth":-1,"connect_retries":-1}`: {"/timeout_seconds: ", "/concurrency: ", "/max_clone_depth: ", "/connect_retries: "},
		`{"rados_connect_timeout":0}`:                                        {"/timeout_seconds: "},
		`{"object_size_bytes":5000000}`:                                      {"/object_size_bytes: 5000000, expected a power of two"},
		`{"rbd_store_chunk_size":3}`:                                         {"/object_size_bytes: 3145728, expected a power of two"},
		`{"rbd_store_chunk_size":99999999999999}`:                            {"/object_size_bytes: 1099511627776"},
		`{"features":["object-map","magic"]}`:                                {"/features/1: \"magic\"", "object-map needs exclusive-lock", "without layering"},
		`{"pool":"a","rbd_pool":"b"}`:                                        {`/rbd_pool: is Cinder's name for "pool"`},
		`{"replication_device":[{"backend_id":"x"}]}`:                        {"/replication_device: replication is not supported"},
		`{"max_over_subscription_ratio":"much"}`:                             {"/max_over_subscription_ratio: "},
		`{"max_over_subscription_ratio":0.5,"reserved_percentage":101}`:      {"/max_over_subscription_ratio: 0.5", "/reserved_percentage: 101"},
		`{"deferred_deletion_delay_seconds":5}`:                              {"/deferred_deletion_delay_seconds: without deferred_deletion"},
		`{"volume_name_template":"x","snapshot_name_template":"s%s%s"}`:      {"/volume_name_template: ", "/snapshot_name_template: "},
		`{"volume_name_template":"%s"}`:                                      {"/volume_name_template: \"%s\", expected something before"},
		`{"volume_name_template":"a/%s"}`:                                    {"/volume_name_template: "},
		`{"volume_name_template":"snapshot-x-%s"}`:                           {"/snapshot_name_template: begins like"},
		`{"purge_interval_seconds":1e300,"connect_interval_seconds":-1e300}`: {"/purge_interval_seconds: ", "/connect_interval_seconds: "},
	} {
		t.Run(options, func(t *testing.T) {
			_, err := rbd.ParseConfig(json.RawMessage(options))
			require.ErrorIs(t, err, storage.ErrInvalid)
			for _, path := range paths {
				require.ErrorContains(t, err, path)
			}
			var all *multierror.Error
			if errors.As(err, &all) {
				for _, problem := range all.Errors {
					require.ErrorIs(t, problem, storage.ErrInvalid)
				}
			}
		})
	}
}

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("rbd.json", parsed(t, string(rbd.Schema()))))
	s, err := compiler.Compile("rbd.json")
	require.NoError(t, err)
	return s
}

func parsed(t testing.TB, text string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	return v
}

func TestSchemaRefuses(t *testing.T) {
	s := schema(t)
	for _, options := range []string{
		`{"zzz":1}`, `{"pool":1}`, `{"features":["magic"]}`, `{"concurrency":0}`, `{"replication_device":[{}]}`, `{"volume_name_template":"%s"}`,
	} {
		require.Error(t, s.Validate(parsed(t, options)), options)
	}
}

func FuzzOptions(f *testing.F) {
	f.Add(`{"pool":"volumes","timeout_seconds":5}`)
	f.Add(`{"rbd_max_clone_depth":0,"max_over_subscription_ratio":"20.0","replication_device":[]}`)
	f.Add(`{"features":["layering"],"object_size_bytes":4096,"rados_connect_timeout":1e99}`)
	f.Fuzz(func(t *testing.T, options string) {
		c, err := rbd.ParseConfig(json.RawMessage(options))
		if err != nil {
			require.ErrorIs(t, err, storage.ErrInvalid)
			require.Empty(t, cmp.Diff(rbd.Config{}, c))
		}
	})
}

func ExampleParseConfig() {
	_, err := rbd.ParseConfig(json.RawMessage(`{"pool": "volumes", "user": "client.cinder", "rbd_store_chunk_size": 3}`))
	var all *multierror.Error
	if errors.As(err, &all) {
		for _, problem := range all.WrappedErrors() {
			fmt.Println(problem)
		}
	}
	// Output:
	// storage: invalid: /user: "client.cinder", expected the name without "client."
	// storage: invalid: /object_size_bytes: 3145728, expected a power of two from 4096 to 33554432
}
