package eqlx_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/go-multierror"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
)

// The documents of the three programs, as they shipped them.
var documents = map[string]string{
	"Crowbar's cinder barclamp": `{"san_ip":"192.168.124.11","san_login":"grpadmin","san_password":"12345","san_thin_provision":false,
		"eqlx_group_name":"group-0","eqlx_use_chap":false,"eqlx_chap_login":"chapadmin","eqlx_chap_password":"12345","eqlx_cli_timeout":30,"eqlx_pool":"default"}`,
	"Crowbar's nova barclamp of 2012": `{"san_ip":"192.168.124.11","san_login":"grpadmin","san_password":"12345","san_thin_provision":false,
		"eqlx_group_name":"group-0","eqlx_pool":"default","eqlx_use_chap":false,"eqlx_chap_login":"chapadmin","eqlx_chap_password":"12345",
		"eqlx_ssh_keepalive_interval":1200,"eqlx_cli_timeout":30}`,
	"Crowbar's later cinder barclamp": `{"san_ip":"192.168.124.11","san_login":"grpadmin","san_password":"12345","san_thin_provision":false,
		"eqlx_group_name":"group-0","use_chap_auth":false,"chap_username":"chapadmin","chap_password":"12345","ssh_conn_timeout":30,"eqlx_pool":"default"}`,
	"Nova's driver of 2012": `{"san_ip":"10.0.0.1","san_login":"grpadmin","san_password":"12345","eqlx_ssh_keepalive_interval":1200,
		"eqlx_cli_timeout":30,"eqlx_cli_retries_timeout":30,"eqlx_use_chap":true,"eqlx_chap_login":"admin","eqlx_chap_password":"password","eqlx_verbose_ssh":false}`,
	"Cinder's driver": `{"san_ip":"10.0.0.1","san_ssh_port":22,"san_login":"admin","san_password":"12345","san_private_key":"","san_thin_provision":true,
		"ssh_conn_timeout":30,"ssh_min_pool_conn":1,"ssh_max_pool_conn":5,"eqlx_group_name":"group-0","eqlx_pool":"default","eqlx_cli_max_retries":5,
		"use_chap_auth":false,"chap_username":"","chap_password":"","max_over_subscription_ratio":"20.0","volume_backend_name":"eqlx",
		"strict_ssh_host_key_policy":false,"ssh_hosts_key_file":"","volume_name_template":"volume-%s","snapshot_name_template":"snapshot-%s"}`,
}

func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(eqlx.Schema()))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("eqlx.json", document))
	compiled, err := c.Compile("eqlx.json")
	require.NoError(t, err)
	return compiled
}

func TestParseConfigReadsOldDocuments(t *testing.T) {
	for name, document := range documents {
		t.Run(name, func(t *testing.T) {
			c, err := eqlx.ParseConfig([]byte(document))
			require.NoError(t, err)
			require.Equal(t, "12345", c.Password)
			require.Equal(t, 30*time.Second, c.Timeout)
			instance, err := jsonschema.UnmarshalJSON(strings.NewReader(document))
			require.NoError(t, err)
			require.NoError(t, schema(t).Validate(instance))
			d, err := eqlx.New(c)
			require.NoError(t, err)
			require.NoError(t, d.Close())
		})
	}
	c, err := eqlx.ParseConfig([]byte(documents["Crowbar's nova barclamp of 2012"]))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(eqlx.Config{
		Address: "192.168.124.11", Username: "grpadmin", Password: "12345", ThickProvision: true, Group: "group-0", Pool: "default",
		CHAPUsername: "chapadmin", CHAPPassword: "12345", Keepalive: 1200 * time.Second, Timeout: 30 * time.Second,
	}, c, cmpopts.EquateComparable(), cmpopts.IgnoreFields(eqlx.Config{}, "Dial", "Clock", "Logger")))
}

// Every option of the schema is read: another value makes another Config.
func TestEveryOptionCounts(t *testing.T) {
	var s struct {
		Properties map[string]struct {
			Type        any
			Description string
			Default     any
			WriteOnly   bool
		}
	}
	require.NoError(t, json.Unmarshal(eqlx.Schema(), &s))
	require.Len(t, s.Properties, 28+4)
	secrets := 0
	for name, p := range s.Properties {
		require.NotEmpty(t, p.Description, name)
		base := map[string]any{"san_ip": "10.0.0.1", "san_password": "x", "chap_username": "u", "chap_password": "y", "ssh_hosts_key_file": "f", "san_private_key": "k"}
		value := any("z1<id>")
		switch {
		case name == "san_host_key":
			value = "SHA256:" + strings.Repeat("A", 43)
		case name == "eqlx_group_name" || strings.HasPrefix(name, "san_ip"):
			value = "other"
		case p.Type == "boolean":
			value = p.Default != true
			if strings.Contains(name, "chap") {
				value = true
			}
		case p.Type == "integer":
			value = 3
		case p.Type != "string":
			value = "1.5"
		case name == "eqlx_pool" || strings.Contains(name, "chap"):
			value = "other"
		}
		for key := range base {
			if strings.TrimPrefix(name, "eqlx_") == strings.Replace(key, "username", "login", 1) {
				delete(base, key)
			}
		}
		before, err := json.Marshal(base)
		require.NoError(t, err)
		base[name] = value
		after, err := json.Marshal(base)
		require.NoError(t, err)
		a, _ := eqlx.ParseConfig(before)
		b, err := eqlx.ParseConfig(after)
		require.NoError(t, err, name)
		require.NotEmpty(t, cmp.Diff(a, b, cmp.Exporter(nil), cmpopts.IgnoreFields(eqlx.Config{}, "Dial", "Clock", "Logger")), "%s changes nothing", name)
		if p.WriteOnly {
			secrets++
		}
	}
	require.Equal(t, 4, secrets, "san_password, the passphrase, chap_password and its old name")
}

func TestParseConfigReportsEverything(t *testing.T) {
	_, err := eqlx.ParseConfig([]byte(`{"san_ssh_port":70000,"san_login":"a b","eqlx_pool":"a\rvolume delete b","use_chap_auth":false,"chap_username":"-x",
		"chap_password":["s3cr3t"],"ssh_conn_timeout":0,"ssh_max_pool_conn":0,"eqlx_cli_max_retries":-2,"eqlx_group_name":"g>","volume_name_template":"v",
		"snapshot_name_template":7,"max_over_subscription_ratio":"0.5","a/b":1,"san_thin_provision":"yes","san_host_key":"nonsense","eqlx_use_chap":true}`))
	require.ErrorIs(t, err, storage.ErrInvalid)
	var all *multierror.Error
	require.ErrorAs(t, err, &all)
	want := []string{"san_ip", "san_ssh_port", "san_login", "san_password", "eqlx_pool", "chap_username", "chap_password", "ssh_conn_timeout",
		"ssh_max_pool_conn", "eqlx_cli_max_retries", "eqlx_group_name", "volume_name_template", "snapshot_name_template",
		"max_over_subscription_ratio", "a~1b", "san_thin_provision", "san_host_key", "use_chap_auth"}
	for _, path := range want {
		require.ErrorContains(t, err, " /"+path+": ")
	}
	require.Len(t, all.Errors, len(want), "%v", err)
	require.NotContains(t, err.Error(), "s3cr3t")
	require.NotContains(t, err.Error(), "\r")
	require.ErrorContains(t, err, "/ssh_conn_timeout: 0s,")
	require.ErrorContains(t, err, "/ssh_max_pool_conn: 0,")
	_, err = eqlx.ParseConfig([]byte(`{"san_ip":"h","san_password":"x"} {"san_ip":"other"}`))
	require.ErrorIs(t, err, storage.ErrInvalid, "which of the two?")
}

func TestConfigHidesSecrets(t *testing.T) {
	c := eqlx.Config{Address: "10.0.0.1", Password: "s3cr3t-1", PrivateKeyPassphrase: "s3cr3t-2", CHAP: true, CHAPUsername: "u", CHAPPassword: "s3cr3t-3"}
	c.PrivateKeyPassphrase = ""
	d, err := eqlx.New(c)
	require.NoError(t, err)
	defer d.Close() //nolint:errcheck // never connected
	c.PrivateKeyPassphrase = "s3cr3t-2"
	for _, v := range []any{c, &c, d, struct{ C eqlx.Config }{c}, []eqlx.Config{c}, struct{ hidden *eqlx.Driver }{d}} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			require.NotContains(t, fmt.Sprintf(format, v), "s3cr3t", "%s of %T", format, v)
		}
	}
}

func TestPrivateKeyProblems(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	_, err := eqlx.New(eqlx.Config{Address: "h", PrivateKeyFile: file})
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte("no key"), 0o600))
	_, err = eqlx.New(eqlx.Config{Address: "h", PrivateKeyFile: file})
	require.ErrorIs(t, err, storage.ErrInvalid)
	require.ErrorContains(t, err, "/san_private_key")
}

func FuzzParseConfig(f *testing.F) {
	for _, document := range documents {
		f.Add([]byte(document))
	}
	f.Add([]byte(`{"san_ip":1,"x":"\u0000"} {}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, err := eqlx.ParseConfig(raw)
		if err != nil {
			require.ErrorIs(t, err, storage.ErrInvalid)
			return
		}
		c.PrivateKeyFile = "" // what is in files is not the document's
		d, err := eqlx.New(c)
		if err != nil {
			require.True(t, c.Password == "" || errors.Is(err, storage.ErrInvalid), "%v", err)
			return
		}
		require.NoError(t, d.Close())
	})
}
