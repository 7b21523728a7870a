package cinder_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/cinder"
	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

func name(number int) string { return barclamptest.NewNode(number, 0).Name }

func TestPropose(t *testing.T) {
	for title, c := range map[string]struct {
		compute, storage int
		change           func(*barclamptest.FakeSite)
		want             map[string][]string
	}{
		"by disks": {2, 2, nil,
			map[string][]string{cinder.RoleController: {name(1)}, cinder.RoleVolume: {name(3), name(4)}}},
		"an intended controller": {2, 2, func(s *barclamptest.FakeSite) { s.Machines[1].IntendedRole = "controller" },
			map[string][]string{cinder.RoleController: {name(2)}, cinder.RoleVolume: {name(3), name(4)}}},
		"intended storage": {3, 2, func(s *barclamptest.FakeSite) { s.Machines[1].IntendedRole = "storage" },
			map[string][]string{cinder.RoleController: {name(1)}, cinder.RoleVolume: {name(2)}}},
		"no storage": {2, 0, nil,
			map[string][]string{cinder.RoleController: {name(1)}, cinder.RoleVolume: {name(1)}}},
		"nothing but storage": {0, 2, nil,
			map[string][]string{cinder.RoleController: {name(1)}, cinder.RoleVolume: {name(1), name(2)}}},
		"nothing": {0, 0, nil, nil},
	} {
		t.Run(title, func(t *testing.T) {
			s := barclamptest.NewSite(c.compute, c.storage)
			if c.change != nil {
				c.change(s)
			}
			d, err := cinder.New().Propose(t.Context(), s)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.want, d.Elements))
			if c.want == nil {
				require.Contains(t, d.Explanations, barclamp.Explanation{Role: cinder.RoleController, Reason: "lacks nodes: the site has none"})
			}
		})
	}
}

// document is a proposal with these attributes.
func document(t *testing.T, attributes string) *proposal.Document {
	t.Helper()
	d, err := proposal.Parse([]byte(`{"id":"bc-cinder-default","attributes":{"cinder":` + attributes + `},"deployment":{"cinder":{"elements":{}}}}`))
	require.NoError(t, err)
	return d
}

func TestValidate(t *testing.T) {
	for title, c := range map[string]struct {
		attributes string
		want       []string
	}{
		"none":     {`{}`, nil},
		"complete": {`{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ip":"h","san_private_key":"/k"}},{"backend_driver":"rbd","backend_name":"b","rbd":{}}]}`, nil},
		"no names": {`{"volumes":[{"eqlx":{}},{"backend_driver":"rbd","backend_name":"-a","rbd":{}}]}`,
			[]string{"/volumes/0/backend_name", "/volumes/0/backend_driver", "/volumes/1/backend_name"}},
		"one name": {`{"volumes":[{"backend_driver":"rbd","backend_name":"a","rbd":{}},{"backend_driver":"rbd","backend_name":"a","rbd":{}}]}`,
			[]string{"/volumes/1/backend_name"}},
		"another driver's": {`{"volumes":[{"backend_driver":"rbd","backend_name":"a","eqlx":{"san_ip":"h"}}]}`,
			[]string{"/volumes/0/eqlx", "/volumes/0/rbd"}},
		"no address and no secret": {`{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ip":""}}]}`,
			[]string{"/volumes/0/eqlx/san_ip", "/volumes/0/eqlx"}},
		"one disk for two": {`{"volumes":[{"backend_driver":"raw","backend_name":"a","raw":{"volume_name":"v","cinder_raw_method":"all"}},
			{"backend_driver":"raw","backend_name":"b","raw":{"volume_name":"v","cinder_raw_method":"all"}}]}`,
			[]string{"/volumes/1/raw/cinder_raw_method", "/volumes/1/raw/volume_name"}},
		"one file for two": {`{"volumes":[{"backend_driver":"local","backend_name":"a","local":{"volume_name":"v","file_name":"/f"}},
			{"backend_driver":"local","backend_name":"b","local":{"volume_name":"w","file_name":"/f"}}]}`,
			[]string{"/volumes/1/local/file_name"}},
		"before 2014": {`{"volume":{"volume_type":"eqlx","eqlx":{"san_password":"x"},"rbd":{}}}`, []string{"/volume/eqlx/san_ip"}},
		"in 2014":     {`{"volume":{"a":{"volume_type":"eqlx","eqlx":{"san_ip":"h","san_password":"x"}},"b":{"volume_type":"eqlx"}}}`, []string{"/volume/b/eqlx"}},
	} {
		t.Run(title, func(t *testing.T) {
			err := cinder.New().Validate(t.Context(), barclamptest.NewSite(1, 0), document(t, c.attributes))
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			var invalid *proposal.ValidationError
			require.ErrorAs(t, err, &invalid)
			var got []string
			for _, p := range invalid.Problems {
				got = append(got, strings.TrimPrefix(p.Path, "/attributes/cinder"))
			}
			require.Equal(t, c.want, got)
		})
	}
}

// A proposal that passes is a configuration that package storage and its drivers take as it is.
func TestStorageOpensWhatIsValid(t *testing.T) {
	d := document(t, `{"volumes":[
		{"backend_driver":"eqlx","backend_name":"array","eqlx":{"san_ip":"192.0.2.1","san_password":"s"}},
		{"backend_driver":"rbd","backend_name":"ceph","rbd":{"pool":"volumes","user":"cinder"}}]}`)
	require.NoError(t, cinder.New().Validate(t.Context(), barclamptest.NewSite(1, 0), d))
	config, err := storage.ParseConfig(d.Bytes())
	require.NoError(t, err)
	require.Len(t, config.Volumes, 2)
	for i, parse := range []func(json.RawMessage) error{
		func(raw json.RawMessage) error { _, err := eqlx.ParseConfig(raw); return err },
		func(raw json.RawMessage) error { _, err := rbd.ParseConfig(raw); return err },
	} {
		require.NoError(t, parse(config.Volumes[i].Options))
	}
}
