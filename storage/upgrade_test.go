package storage_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
)

// What the block looked like over time, with values of its templates' kinds.
const (
	nova2012 = `{"volume":{"volume_name":"nova-volumes","volume_type":"eqlx","nova_raw_method":"all","nova_volume_disks":["sdb"],
		"local_file":"/var/lib/nova/volume.raw","local_size":2000,"use_cinder":false,
		"eqlx":{"san_ip":"192.168.124.11","san_login":"grpadmin","san_password":"p4ss","san_thin_provision":false,"eqlx_group_name":"group-0",
			"eqlx_use_chap":true,"eqlx_chap_login":"chapadmin","eqlx_chap_password":"ch4p","eqlx_ssh_keepalive_interval":1200,"eqlx_cli_timeout":30,"eqlx_pool":"default"}}}`
	cinder2012 = `{"volume":{"volume_name":"cinder-volumes","volume_type":"eqlx","cinder_raw_method":"all","local_name":"/var/lib/cinder/volume.raw","local_size":2000,
		"eqlx":{"san_ip":"192.168.124.11","eqlx_use_chap":false,"eqlx_cli_timeout":30}}}`
	cinder2013 = `{"volume":{"volume_type":"rbd","raw":{"volume_name":"cinder-volumes","cinder_raw_method":"first"},
		"local":{"volume_name":"cinder-volumes","file_name":"/var/lib/cinder/volume.raw","file_size":2000},
		"eqlx":{"san_password":"12345","eqlx_cli_timeout":30},"rbd":{"pool":"volumes","user":"volumes"},"manual":{"driver":"","config":""}}}`
	cinder2014 = `{"volume":{"default":{"volume_type":"eqlx","volume_backend_name":"lvm_iscsi","eqlx":{"san_ip":"10.0.0.1","eqlx_pool":"fast"},"raw":{}},
		"second":{"volume_type":"rbd","rbd":{"pool":"volumes"}}}}`
	cinder2016 = `{"id":"cinder-default","description":"","attributes":{"cinder":{"debug":false,"use_multipath":true,"strict_ssh_host_key_policy":true,
		"volume_defaults":{"eqlx":{"san_password":"12345"}},
		"volumes":[{"backend_driver":"eqlx","backend_name":"eqlx1","eqlx":{"san_ip":"10.0.0.1","eqlx_cli_timeout":60,"use_chap_auth":false}},
			{"backend_driver":"rbd","backend_name":"ceph","rbd":{"use_crowbar":true,"use_ses":false,"admin_keyring":"/etc/ceph/k","config_file":"/etc/ceph/ceph.conf","pool":"volumes","user":"cinder","secret_uuid":"","flatten_volume_from_snapshot":false}},
			{"backend_driver":"netapp","backend_name":"filer","netapp":{"netapp_login":"admin"}}]}},"deployment":{"cinder":{"elements":{}}}}`
)

func TestUpgradeConfig(t *testing.T) {
	eqlx := func(name, options string) storage.BackendConfig {
		return storage.BackendConfig{Driver: "eqlx", Name: name, Options: json.RawMessage(options)}
	}
	for name, c := range map[string]struct {
		document string
		want     []storage.BackendConfig
		notes    []string // some of them
	}{
		"nova of 2012": {nova2012, []storage.BackendConfig{eqlx("default", `{"chap_password":"ch4p","chap_username":"chapadmin","eqlx_group_name":"group-0","eqlx_pool":"default","eqlx_ssh_keepalive_interval":1200,`+
			`"san_ip":"192.168.124.11","san_login":"grpadmin","san_password":"p4ss","san_thin_provision":false,"ssh_conn_timeout":30,"use_chap_auth":true}`)}, []string{
			"/volume/volume_type became /volumes/0/backend_driver: each back end names its driver",
			"/volume/eqlx became /volumes/0/eqlx: these are the options of the driver that was chosen",
			"/volume/eqlx/eqlx_use_chap became /volumes/0/eqlx/use_chap_auth: Cinder renamed it in 2015",
			"/volume/local_size was dropped: it is of the volume types raw and local, which were not chosen",
		}},
		"cinder of 2012": {cinder2012, []storage.BackendConfig{eqlx("default", `{"san_ip":"192.168.124.11","ssh_conn_timeout":30,"use_chap_auth":false}`)}, nil},
		"cinder of 2013": {cinder2013, []storage.BackendConfig{{Driver: "rbd", Name: "default", Options: json.RawMessage(`{"pool":"volumes","user":"volumes"}`)}}, []string{
			"/volume/local was dropped: it is of a volume type that was not chosen",
		}},
		"cinder of 2014": {cinder2014, []storage.BackendConfig{
			eqlx("default", `{"san_ip":"10.0.0.1","eqlx_pool":"fast"}`), {Driver: "rbd", Name: "second", Options: json.RawMessage(`{"pool":"volumes"}`)},
		}, []string{"/volume/second/rbd became /volumes/1/rbd: these are the options of the driver that was chosen"}},
		"a proposal of 2016": {cinder2016, []storage.BackendConfig{
			eqlx("eqlx1", `{"san_ip":"10.0.0.1","ssh_conn_timeout":60,"strict_ssh_host_key_policy":true,"use_chap_auth":false}`),
			{Driver: "rbd", Name: "ceph", Options: json.RawMessage(`{"config_file":"/etc/ceph/ceph.conf","flatten_volume_from_snapshot":false,"pool":"volumes","secret_uuid":"","user":"cinder"}`)},
			{Driver: "netapp", Name: "filer", Options: json.RawMessage(`{"netapp_login":"admin"}`)},
		}, []string{
			"/attributes/cinder/volumes became /volumes: it is taken out of the proposal",
			"/attributes/cinder/volumes/0/eqlx/eqlx_cli_timeout became /volumes/0/eqlx/ssh_conn_timeout: Cinder renamed it in 2015",
			"/attributes/cinder/volume_defaults was dropped: it is what a form offers for new back ends; none uses it",
			"/attributes/cinder/strict_ssh_host_key_policy became /volumes/0/eqlx/strict_ssh_host_key_policy: each back end has its own",
			"/attributes/cinder/volumes/1/rbd/use_crowbar was dropped: who runs the cluster is the ceph barclamp's matter; config_file and user say how to reach it",
			"/deployment was dropped: it is the proposal's, not about back ends",
		}},
		"no SSH": {`{"cinder":{"strict_ssh_host_key_policy":true,"volumes":[]}}`, []storage.BackendConfig{}, []string{"/cinder/strict_ssh_host_key_policy was dropped: no back end needs it"}},
		"each its own": {`{"cinder":{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{}}]},"nova":{"strict_ssh_host_key_policy":true,"volumes":[` +
			`{"backend_driver":"eqlx","backend_name":"b","eqlx":{"strict_ssh_host_key_policy":false}},{"backend_driver":"eqlx","backend_name":"c","eqlx":{}}]}}`,
			[]storage.BackendConfig{eqlx("a", `{}`), eqlx("b", `{"strict_ssh_host_key_policy":false}`), eqlx("c", `{"strict_ssh_host_key_policy":true}`)}, []string{
				"/nova/strict_ssh_host_key_policy became /volumes/2/eqlx/strict_ssh_host_key_policy: each back end has its own",
			}},
		"the block alone":    {`{"volume_type":"eqlx","eqlx":{"san_ip":"10.0.0.1"}}`, []storage.BackendConfig{eqlx("default", `{"san_ip":"10.0.0.1"}`)}, nil},
		"attributes":         {`{"cinder":{"volume":{"volume_type":"eqlx"}},"glance":{}}`, []storage.BackendConfig{{Driver: "eqlx", Name: "default"}}, []string{"/glance was dropped: it is another barclamp's"}},
		"both names, agreed": {`{"volume_type":"eqlx","eqlx":{"eqlx_cli_timeout":30,"ssh_conn_timeout":30}}`, []storage.BackendConfig{eqlx("default", `{"ssh_conn_timeout":30}`)}, nil},
		"raw beside another": {`{"volumes":[{"backend_driver":"raw","backend_name":"a","raw":{"volume_name":"v"}},{"backend_driver":"eqlx","backend_name":"b","eqlx":{"san_ip":"10.0.0.1"}}]}`,
			[]storage.BackendConfig{eqlx("b", `{"san_ip":"10.0.0.1"}`)}, []string{
				"/volumes/0 was dropped: LVM on the node's own disks is no back end here; Cinder keeps these volumes",
				"/volumes/1/eqlx became /volumes/0/eqlx: these are the options of the driver that was chosen",
			}},
		"nothing to do": {document, []storage.BackendConfig{eqlx("eqlx1", `{"san_ip":"192.168.124.11","san_password":"12345"}`), {Driver: "memory", Name: "fast"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			config, notes, err := storage.UpgradeConfig([]byte(c.document))
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(c.want, config.Volumes))
			var said []string
			for _, note := range notes {
				said = append(said, note.String())
			}
			require.Subset(t, said, c.notes)
			require.Empty(t, unaccounted(t, c.document, config, notes))
			require.NotContains(t, fmt.Sprint(said), "p4ss", "values may be secrets")
			if name == "nothing to do" {
				require.Empty(t, notes)
			}
			again, notes, err := storage.UpgradeConfig(mustJSON(t, config))
			require.NoError(t, err)
			require.Empty(t, notes, "what was upgraded is in the present form")
			require.Equal(t, mustJSON(t, config), mustJSON(t, again))
		})
	}
}

func TestUpgradeConfigRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		says     []string
	}{
		"raw of old":      {`{"volume":{"volume_type":"raw","raw":{}}}`, []string{`/volume/volume_type: "raw": LVM on the node's own disks`, "use eqlx or rbd"}},
		"local of 2012":   {strings.Replace(nova2012, `"volume_type":"eqlx"`, `"volume_type":"local"`, 1), []string{`/volume/volume_type: "local"`}},
		"raw of late":     {`{"volumes":[{"backend_driver":"raw","backend_name":"default","raw":{}}]}`, []string{"/volumes/0/backend_driver"}},
		"cinder is used":  {`{"nova":{"volume":{"volume_type":"eqlx","use_cinder":true}}}`, []string{"/nova/volume/use_cinder: true: these volumes are in the cinder proposal; take that one"}},
		"two values":      {`{"volume_type":"eqlx","eqlx":{"eqlx_cli_timeout":30,"ssh_conn_timeout":31}}`, []string{"/eqlx/eqlx_cli_timeout: is the former name of ssh_conn_timeout"}},
		"unknown in old":  {`{"volume":{"volume_type":"eqlx","volume_nmae":"x"}}`, []string{"/volume/volume_nmae: unknown key"}},
		"no type":         {`{"volume":{"eqlx":{}}}`, []string{"/volume/volume_type: nothing"}},
		"one of no type":  {`{"volume":{"default":{"volume_type":"eqlx"},"second":{"eqlx":{}}}}`, []string{"/volume/volume_type: nothing"}},
		"type of no text": {`{"volume":{"volume_type":null}}`, []string{"/volume/volume_type: null, expected a string"}},
		"no options":      {`{"volume":{"volume_type":"eqlx","eqlx":[]}}`, []string{"/volume/eqlx: an array, expected an object"}},
		"nothing there":   {`{"attributes":{"nova":{"debug":true}}}`, []string{"/attributes: neither volumes nor volume in cinder or nova"}},
		"no attributes":   {`{"attributes":[]}`, []string{"/attributes: an array, expected an object"}},
		"all at once": {`{"attributes":{"cinder":{"volumes":[{"backend_driver":"","backend_name":"a"},7,{"backend_driver":"eqlx","backend_name":"a b","eqlx":{}}]}}}`, []string{
			"/attributes/cinder/volumes/0/backend_driver", "/attributes/cinder/volumes/1: a number", `/attributes/cinder/volumes/2/backend_name: "a b"`,
		}},
		"names of two barclamps": {`{"cinder":{"volume":{"volume_type":"eqlx"}},"nova":{"volume":{"volume_type":"eqlx"}}}`, []string{`/nova/volume/backend_name: "default" is the name of /cinder/volume too`}},
	} {
		t.Run(name, func(t *testing.T) {
			config, _, err := storage.UpgradeConfig([]byte(c.document))
			require.ErrorIs(t, err, storage.ErrInvalid)
			require.Empty(t, config)
			for _, says := range c.says {
				require.ErrorContains(t, err, says)
			}
		})
	}
}

// The templates as Crowbar shipped them choose the node's own disks; with eqlx chosen they are
// read.
func TestUpgradeRealTemplates(t *testing.T) {
	for name, choose := range map[string][2]string{
		"nova__crowbar--2012-eqlx.json": {`"volume_type": "raw"`, `"volume_type": "eqlx"`},
		"cinder__crowbar.json":          {`"backend_driver": "raw"`, `"backend_driver": "eqlx", "eqlx": {"san_ip": "192.168.124.11", "eqlx_use_chap": false}`},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("../../shared/data/crowbar-templates", name))
			if err != nil {
				t.Skipf("Crowbar's templates are not here: %v", err)
			}
			_, _, err = storage.UpgradeConfig(raw)
			require.ErrorContains(t, err, `"raw": LVM on the node's own disks`)
			require.Contains(t, string(raw), choose[0])
			chosen := strings.Replace(string(raw), choose[0], choose[1], 1)
			if name == "cinder__crowbar.json" { // an entry has the options of its own driver only
				from := strings.LastIndex(chosen, `"raw": {`)
				to := from + strings.Index(chosen[from:], "}") + 1
				chosen = strings.TrimRight(chosen[:from], " \n,") + chosen[to:]
			}
			config, notes, err := storage.UpgradeConfig([]byte(chosen))
			require.NoError(t, err)
			require.Len(t, config.Volumes, 1)
			require.Equal(t, []string{"eqlx", "default"}, []string{config.Volumes[0].Driver, config.Volumes[0].Name})
			require.Contains(t, string(config.Volumes[0].Options), `"use_chap_auth":false`)
			require.Empty(t, unaccounted(t, chosen, config, notes))
		})
	}
}

// unaccounted returns the leaves of a document that are neither in the Config, where the notes
// say, nor dropped with a note.
func unaccounted(t testing.TB, document string, config storage.Config, notes []storage.Note) []string {
	t.Helper()
	after := leaves("", decode(t, []byte(document)))
	out := leaves("", decode(t, mustJSON(t, config)))
	to := map[string]string{}
	for _, note := range notes {
		to[note.Path] = note.To
	}
	var lost []string
	for path, value := range after {
		target := path
		for at := path; ; at = at[:strings.LastIndex(at, "/")] {
			if moved, noted := to[at]; noted {
				if target = moved + path[len(at):]; moved == "" {
					target = ""
				}
				break
			}
			if at == "" {
				break
			}
		}
		if target != "" && out[target] != value {
			lost = append(lost, path)
		}
	}
	return lost
}

func decode(t testing.TB, raw []byte) (tree any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	require.NoError(t, decoder.Decode(&tree))
	return tree
}

func leaves(at string, tree any) map[string]string {
	all := map[string]string{}
	add := func(key string, below any) {
		key = strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
		for path, value := range leaves(at+"/"+key, below) {
			all[path] = value
		}
	}
	switch tree := tree.(type) {
	case map[string]any:
		for key, below := range tree {
			add(key, below)
		}
	case []any:
		for i, below := range tree {
			add(strconv.Itoa(i), below)
		}
	default:
		all[at] = fmt.Sprintf("%T %v", tree, tree)
	}
	return all
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return raw
}
