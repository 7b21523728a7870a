package kwalify_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/proposal/kwalify"
)

// compiled is a schema as a validator other than proposal's sees it.
func compiled(t testing.TB, schema string) *jsonschema.Schema {
	t.Helper()
	s, err := compile(schema)
	require.NoError(t, err)
	return s
}

func compile(schema string) (*jsonschema.Schema, error) {
	text, err := kwalify.Translate([]byte(schema))
	if err != nil {
		return nil, err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	for name, validate := range kwalify.Formats() {
		c.RegisterFormat(&jsonschema.Format{Name: name, Validate: validate})
	}
	if err := c.AddResource("kwalify.json", value); err != nil {
		return nil, err
	}
	return c.Compile("kwalify.json")
}

func decoded(t testing.TB, document []byte) any {
	t.Helper()
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	require.NoError(t, err)
	return v
}

// realSchemas calls do with each of Crowbar's own schemas and its document.
func realSchemas(t *testing.T, do func(t *testing.T, name, schema string, document []byte)) {
	files, err := filepath.Glob("../../../shared/data/crowbar-templates/*.schema")
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no ../shared/data/crowbar-templates beside the repository")
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			schema, err := os.ReadFile(file)
			require.NoError(t, err)
			document, err := os.ReadFile(strings.TrimSuffix(file, ".schema") + ".json")
			require.NoError(t, err)
			do(t, filepath.Base(file), string(schema), document)
		})
	}
}

func TestRealSchemasAcceptTheirDocuments(t *testing.T) {
	realSchemas(t, func(t *testing.T, name, schema string, document []byte) {
		require.NoError(t, compiled(t, schema).Validate(decoded(t, document)))
	})
}

// TestRealSchemasRefuseWrongDocuments takes each of Crowbar's documents and makes one mistake at
// a time: the error must be at that place.
func TestRealSchemasRefuseWrongDocuments(t *testing.T) {
	realSchemas(t, func(t *testing.T, name, schema string, document []byte) {
		s := compiled(t, schema)
		barclamp := ""
		for key := range decoded(t, document).(map[string]any)["deployment"].(map[string]any) {
			barclamp = key
		}
		deployment := func(d map[string]any) map[string]any {
			return d["deployment"].(map[string]any)[barclamp].(map[string]any)
		}
		for mistake, c := range map[string]struct {
			make func(d map[string]any)
			at   string
		}{
			"no description":      {func(d map[string]any) { delete(d, "description") }, ""},
			"no attributes":       {func(d map[string]any) { d["attributes"] = map[string]any{} }, "/attributes"},
			"null for a map":      {func(d map[string]any) { deployment(d)["elements"] = nil }, "/deployment/" + barclamp + "/elements"},
			"unknown key":         {func(d map[string]any) { deployment(d)["x"] = true }, "/deployment/" + barclamp},
			"id of another":       {func(d map[string]any) { d["id"] = "x-other" }, "/id"},
			"revision 1.0":        {func(d map[string]any) { deployment(d)["crowbar-revision"] = json.Number("1.0") }, "/deployment/" + barclamp + "/crowbar-revision"},
			"revision as a str":   {func(d map[string]any) { deployment(d)["crowbar-revision"] = "1" }, "/deployment/" + barclamp + "/crowbar-revision"},
			"committing as a str": {func(d map[string]any) { deployment(d)["crowbar-committing"] = "false" }, "/deployment/" + barclamp + "/crowbar-committing"},
			"elements of numbers": {func(d map[string]any) {
				deployment(d)["elements"] = map[string]any{"any-role": []any{"a", json.Number("1")}}
			}, "/deployment/" + barclamp + "/elements/any-role/1"},
		} {
			t.Run(mistake, func(t *testing.T) {
				d := decoded(t, document).(map[string]any)
				c.make(d)
				var wrong *jsonschema.ValidationError
				require.ErrorAs(t, s.Validate(d), &wrong)
				require.Equal(t, []string{c.at}, places(wrong))
			})
		}
	})
}

// TestEveryAttributeIsJudged removes, renames and retypes every value of every real document.
func TestEveryAttributeIsJudged(t *testing.T) {
	realSchemas(t, func(t *testing.T, name, schema string, document []byte) {
		s := compiled(t, schema)
		d := decoded(t, document)
		attributes := d.(map[string]any)["attributes"]
		refused := 0
		var visit func(v any)
		visit = func(v any) {
			m, ok := v.(map[string]any)
			if !ok {
				return
			}
			for key, was := range m {
				if _, free := was.(string); !free {
					m[key] = "a string"
					if s.Validate(d) != nil {
						refused++
					} else {
						t.Errorf("%s: a string passes for %v", key, was)
					}
				}
				m[key] = was
				visit(was)
			}
		}
		visit(attributes)
		require.NoError(t, s.Validate(d))
		require.Positive(t, refused)
	})
}

// TestSecretsOfRealSchemas pins which of Crowbar's attributes are secrets.
func TestSecretsOfRealSchemas(t *testing.T) {
	secrets := make(map[string]bool)
	realSchemas(t, func(t *testing.T, name, schema string, document []byte) {
		text, err := kwalify.Translate([]byte(schema))
		require.NoError(t, err)
		var visit func(v any)
		visit = func(v any) {
			m, _ := v.(map[string]any)
			for key, child := range m {
				if c, ok := child.(map[string]any); ok && c["writeOnly"] == true {
					secrets[key] = true
				}
				visit(child)
			}
			if list, ok := v.([]any); ok {
				for _, item := range list {
					visit(item)
				}
			}
		}
		visit(decoded(t, text))
	})
	if t.Skipped() {
		return
	}
	require.Equal(t, []string{
		"admin-secret", "admin_password", "chap_password", "client_secret", "cluster_admin_pw",
		"cluster_hash", "default_password", "default_password_hash", "designate_rndc_key",
		"ecom_server_password", "eqlx_chap_password", "hitachi_auth_password", "hitachi_horcm_password",
		"keymgr_fixed_key", "memcache_secret_key", "monitor-secret", "netapp_password",
		"neutron_metadata_proxy_shared_secret", "passphrase", "password", "placement_service_password",
		"pure_api_token", "root_password_hash", "san_password", "service_password", "ssh_password",
		"token", "zvm_image_default_password", "zvm_user_default_password", "zvm_xcat_password",
	}, slices.Sorted(maps.Keys(secrets)))
}

// places are the JSON Pointers of what is wrong.
func places(e *jsonschema.ValidationError) []string {
	if len(e.Causes) == 0 {
		pointer := ""
		for _, token := range e.InstanceLocation {
			pointer += "/" + token
		}
		return []string{pointer}
	}
	var all []string
	for _, cause := range e.Causes {
		all = append(all, places(cause)...)
	}
	return all
}
