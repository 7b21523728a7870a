package catalog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func barclamps(t *testing.T) []barclamp.Barclamp {
	registry, err := catalog.New(catalog.Config{})
	require.NoError(t, err)
	return registry.All()
}

// compile compiles a barclamp's schema as the engine does: formats are checked.
func compile(t *testing.T, b barclamp.Barclamp) *jsonschema.Schema {
	source, err := jsonschema.UnmarshalJSON(bytes.NewReader(b.Info().Schema))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	require.NoError(t, c.AddResource("schema.json", source))
	s, err := c.Compile("schema.json")
	require.NoError(t, err)
	return s
}

// problems checks attributes and returns the pointers of what is wrong, unknown names at their
// own place.
func problems(t *testing.T, s *jsonschema.Schema, attributes string) []string {
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(attributes))
	require.NoError(t, err)
	err = s.Validate(value)
	if err == nil {
		return nil
	}
	var invalid *jsonschema.ValidationError
	require.ErrorAs(t, err, &invalid)
	var found []string
	var collect func(*jsonschema.ValidationError)
	collect = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			collect(cause)
		}
		if len(e.Causes) > 0 {
			return
		}
		at := ""
		for _, token := range e.InstanceLocation {
			at += "/" + token
		}
		if unknown, ok := e.ErrorKind.(*kind.AdditionalProperties); ok {
			for _, name := range unknown.Properties {
				found = append(found, at+"/"+name)
			}
			return
		}
		found = append(found, at)
	}
	collect(invalid)
	slices.Sort(found)
	return found
}

func TestSchemasAcceptWhatIsProposed(t *testing.T) {
	for _, b := range barclamps(t) {
		t.Run(b.Info().Name, func(t *testing.T) {
			s := compile(t, b)
			require.Empty(t, problems(t, s, b.Info().Template.Attributes().Raw), "template")
			for _, nodes := range []int{0, 1, 2, 6, 100, 300} {
				d, err := barclamptest.NewSite(nodes, 2).Commit(t.Context(), b)
				require.NoError(t, err)
				require.Empty(t, problems(t, s, d.Attributes().Raw), "draft for %d nodes", nodes)
			}
		})
	}
}

// realDocuments calls check with each document of Crowbar that a built-in barclamp is for, of
// both eras.
func realDocuments(t *testing.T, check func(t *testing.T, b barclamp.Barclamp, d *proposal.Document)) {
	const dir = "../../../shared/data/crowbar-templates"
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("no documents of Crowbar in " + dir)
	}
	checked := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		d, err := proposal.Parse(text)
		require.NoError(t, err)
		for _, b := range barclamps(t) {
			if b.Info().Name == d.Barclamp() {
				checked[d.Barclamp()]++
				t.Run(filepath.Base(file), func(t *testing.T) { check(t, b, d) })
			}
		}
	}
	require.Equal(t, map[string]int{"cinder": 1, "deployer": 1, "network": 1, "nova": 2, "provisioner": 1, "swift": 1}, checked)
}

func TestSchemasAcceptRealDocuments(t *testing.T) {
	realDocuments(t, func(t *testing.T, b barclamp.Barclamp, d *proposal.Document) {
		require.NoError(t, proposal.Validate(d))
		require.Empty(t, problems(t, compile(t, b), d.Attributes().Raw))
	})
}

// TestSchemasAcceptFurtherVersions: attributes that other releases of Crowbar had.
func TestSchemasAcceptFurtherVersions(t *testing.T) {
	for name, c := range map[string]struct{ barclamp, attributes string }{
		"deployer 2011":            {"deployer", `{"use_allocate":true,"ignore_address_suggestions":false,"bios_map":[],"os_map":[{"pattern":".*","install_os":"default_os"}]}`},
		"ipmi 2012":                {"ipmi", `{"bmc_enable":true,"bmc_user":"root","bmc_password":"x","ignore_address_suggestions":false,"use_dhcp":false,"debug":true}`},
		"ipmi 2019":                {"ipmi", `{"bmc_enable":false,"bmc_interface":"lanplus","bmc_reconfigure":true,"bmc_nat_enable":true}`},
		"dell_bios":                {"bios", `{"bios_setup_enable":true,"bmc_update_enable":true,"bios_update_enable":true,"debug":true,"max_tries":3,"updaters":{"PowerEdge C2100":{"bmc":"a.BIN","bios":"b.BIN"},"PowerEdge R610":{"wsman":"true"}}}`},
		"dell_raid":                {"raid", `{"enable":true,"debug":false}`},
		"network 2012":             {"network", `{"teaming":{"mode":6},"conduit_map":[{"pattern":"team/.*/.*","conduit_list":{"intf0":{"if_list":["1g1","+10g2"],"team_mode":6}}}]}`},
		"network without a router": {"network", `{"networks":{"bmc":{"broadcast":"","router":"","vlan":0}}}`},
		"provisioner 2012":         {"provisioner", `{"online":false,"upstream_proxy":"","root":"/tftpboot","default_os":"suse-11.2","supported_oses":{"suse-11.2":{"initrd":"i","kernel":"k","append":"","online_mirror":"http://m","codename":"c"}}}`},
		"provisioner 2014":         {"provisioner", `{"supported_oses":{"windows-6.2":{"x86_64":{"initrd":" ","kernel":"boot/pxeboot.0","append":" ","require_install_dir":false}}},"suse":{"autoyast":{"ssh_password":"x","repos":{"common":{"x86_64":{"r":{"url":"u","ask_on_error":false}}}}}}}`},
		"cinder 2012":              {"cinder", `{"api":{"bind_host":"0.0.0.0","bind_port":8776},"mysql_instance":"none","rabbit":{"user":"nova"},"volume":{"volume_type":"eqlx","volume_name":"cinder-volumes","cinder_raw_method":"first","local_file":"/v.raw","local_size":2000,"eqlx":{"san_ip":"1.2.3.4","eqlx_ssh_keepalive_interval":1200}}}`},
		"cinder 2013":              {"cinder", `{"volume":{"volume_type":"raw","raw":{"volume_name":"cinder-volumes","cinder_raw_method":"first"},"local":{"volume_name":"v","file_name":"/v.raw","file_size":2000},"eqlx":{"eqlx_use_chap":false,"eqlx_chap_password":"12345","eqlx_cli_timeout":30},"rbd":{"pool":"volumes","user":"volumes"},"manual":{"driver":"","config":""}}}`},
		"cinder 2014":              {"cinder", `{"use_multi_backend":true,"volume":{"fast":{"volume_type":"rbd","rbd":{"pool":"fast"}},"slow":{"volume_type":"eqlx","eqlx":{"san_ip":"1.2.3.4"}}}}`},
		"cinder of today":          {"cinder", `{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ip":"1.2.3.4","san_host_key":"SHA256:x","max_over_subscription_ratio":"20.0","eqlx_multihost_access":true}},{"backend_driver":"rbd","backend_name":"b","rbd":{"rbd_pool":"volumes","features":["layering"],"deferred_deletion":true}}]}`},
		"nova 2011":                {"nova", `{"network":{"fixed_range":"10.0.0.0/24","vlan_start":100},"rabbit":{"port":5672},"db":{"mysql_instance":"none"}}`},
		"nova 2013":                {"nova", `{"networking_backend":"neutron","use_gitrepo":false,"pfs_deps":["kvm"],"volume":{"use_cinder":true},"esxi":{"login":"x"},"rbd":{"user":"","secret_uuid":""}}`},
		"nova 2016":                {"nova", `{"max_pool_size":30,"db":{"max_overflow":-1},"image_cache_manager_interval":-1,"vnc_keymap":"en-us","resource_limits":{"openstack-nova-api":{"LimitNOFILE":null}}}`},
		"swift 2011":               {"swift", `{"disk_enum_expr":"node","disk_test_expr":"v","use_slog":false,"slog_passwd":"x","user":"swift","group":"swift","reseller_prefix":"AUTH"}`},
		"swift 2013":               {"swift", `{"keystone_service_user":"swift","keystone_service_password":"x","middlewares":{"ceilometer":{"enabled":true},"s3":{"enabled":false,"gitrepo":"g"}}}`},
	} {
		t.Run(name, func(t *testing.T) { require.Empty(t, problems(t, compile(t, byName(t, c.barclamp)), c.attributes)) })
	}
}

func byName(t *testing.T, name string) barclamp.Barclamp {
	all := barclamps(t)
	i := slices.IndexFunc(all, func(b barclamp.Barclamp) bool { return b.Info().Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return all[i]
}

func TestSchemasFindWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		barclamp, attributes string
		want                 []string
	}{
		"typo in a back end":         {"cinder", `{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ipp":"1.2.3.4"}},{"backend_driver":"rbd","backend_name":"b","rbd":{"pools":"x"}}]}`, []string{"/volumes/0/eqlx/san_ipp", "/volumes/1/rbd/pools"}},
		"options of a driver":        {"cinder", `{"volumes":[{"backend_driver":"eqlx","backend_name":"a","eqlx":{"san_ssh_port":0,"use_chap_auth":"yes"}},{"backend_driver":"rbd","backend_name":"b","rbd":{"features":["fast"],"volume_name_template":"volume"}}]}`, []string{"/volumes/0/eqlx/san_ssh_port", "/volumes/0/eqlx/use_chap_auth", "/volumes/1/rbd/features/0", "/volumes/1/rbd/volume_name_template"}},
		"no such driver":             {"cinder", `{"volumes":[{"backend_driver":"lvm","backend_name":"a b"}]}`, []string{"/volumes/0/backend_driver", "/volumes/0/backend_name"}},
		"typo in an older back end":  {"nova", `{"volume":{"volume_type":"eqlx","eqlx":{"san_thin_provision":"no","eqlx_cli_retries":3}}}`, []string{"/volume/eqlx/eqlx_cli_retries", "/volume/eqlx/san_thin_provision"}},
		"typo in deployer":           {"deployer", `{"use_alocate":true}`, []string{"/use_alocate"}},
		"typo in a row":              {"deployer", `{"bios_map":[{"pattern":".*","bios_sets":"Storage"}]}`, []string{"/bios_map/0/bios_sets"}},
		"no such set":                {"deployer", `{"bios_map":[{"bios_set":"storage","raid_set":"SingleRaid5"}]}`, []string{"/bios_map/0/bios_set", "/bios_map/0/raid_set"}},
		"no regular expression":      {"deployer", `{"bios_map":[{"pattern":"a)(b"},{"pattern":""}]}`, []string{"/bios_map/0/pattern", "/bios_map/1/pattern"}},
		"typo in ipmi":               {"ipmi", `{"bmc_enabled":true}`, []string{"/bmc_enabled"}},
		"text for a boolean":         {"ipmi", `{"bmc_enable":"no"}`, []string{"/bmc_enable"}},
		"typo in bios":               {"bios", `{"bios_setup_enabled":true}`, []string{"/bios_setup_enabled"}},
		"number for a boolean":       {"bios", `{"bios_setup_enable":0}`, []string{"/bios_setup_enable"}},
		"typo in raid":               {"raid", `{"enabled":true}`, []string{"/enabled"}},
		"typo in network":            {"network", `{"modes":"dual","networks":{"admin":{"net_mask":"255.255.255.0"}}}`, []string{"/modes", "/networks/admin/net_mask"}},
		"typo in a range":            {"network", `{"networks":{"admin":{"ranges":{"host":{"begin":"10.0.0.1"}}}}}`, []string{"/networks/admin/ranges/host/begin"}},
		"network mode":               {"network", `{"mode":"triple","teaming":{"mode":7,"xmit_hash_policy":"layer3"}}`, []string{"/mode", "/teaming/mode", "/teaming/xmit_hash_policy"}},
		"no addresses":               {"network", `{"networks":{"admin":{"subnet":"192.168.124.0/24","netmask":"24","router":"none","broadcast":"::1","ranges":{"host":{"start":"192.168.124.300","end":""}}}}}`, []string{"/networks/admin/broadcast", "/networks/admin/netmask", "/networks/admin/ranges/host/end", "/networks/admin/ranges/host/start", "/networks/admin/router", "/networks/admin/subnet"}},
		"VLAN and MTU":               {"network", `{"networks":{"admin":{"vlan":4095,"mtu":0}}}`, []string{"/networks/admin/mtu", "/networks/admin/vlan"}},
		"interface":                  {"network", `{"conduit_map":[{"conduit_list":{"intf0":{"if_list":["eth0"]}}}]}`, []string{"/conduit_map/0/conduit_list/intf0/if_list/0"}},
		"typo in provisioner":        {"provisioner", `{"defaultos":"x","dhcp":{"lease_time":300}}`, []string{"/defaultos", "/dhcp/lease_time"}},
		"typo in an image":           {"provisioner", `{"supported_oses":{"sles":{"x86_64":{"kernal":"k"}}}}`, []string{"/supported_oses/sles/x86_64/kernal"}},
		"port":                       {"provisioner", `{"web_port":65536}`, []string{"/web_port"}},
		"action that is no text":     {"provisioner", `{"dhcp":{"state_machine":{"ready":null}}}`, []string{"/dhcp/state_machine/ready"}},
		"typo in nova":               {"nova", `{"libvirt_tpye":"kvm"}`, []string{"/libvirt_tpye"}},
		"typo deep in nova":          {"nova", `{"volume":{"eqlx":{"san_pasword":"x"}},"ec2-api":{"db":{"passwd":"x"}}}`, []string{"/ec2-api/db/passwd", "/volume/eqlx/san_pasword"}},
		"hypervisor":                 {"nova", `{"libvirt_type":"KVM"}`, []string{"/libvirt_type"}},
		"volume":                     {"nova", `{"volume":{"volume_type":"cooked","local_size":1}}`, []string{"/volume/local_size", "/volume/volume_type"}},
		"integer that is a fraction": {"nova", `{"db":{"max_pool_size":1.5}}`, []string{"/db/max_pool_size"}},
		"typo in swift":              {"swift", `{"replica":3,"middlewares":{"s3":{"enable":true}}}`, []string{"/middlewares/s3/enable", "/replica"}},
		"no copies":                  {"swift", `{"replicas":0,"zones":0,"partitions":33}`, []string{"/partitions", "/replicas", "/zones"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, problems(t, compile(t, byName(t, c.barclamp)), c.attributes))
		})
	}
}

// A node of a schema's JSON.
type node = map[string]any

func source(t *testing.T, b barclamp.Barclamp) node {
	var n node
	require.NoError(t, json.Unmarshal(b.Info().Schema, &n))
	return n
}

// walk visits every schema within n, those below $defs included, with the pointer to it.
func walk(n node, at string, visit func(at string, n node)) {
	visit(at, n)
	for _, keyword := range []string{"properties", "$defs"} {
		members, _ := n[keyword].(node)
		for name, member := range members {
			walk(member.(node), at+"/"+keyword+"/"+name, visit)
		}
	}
	for _, keyword := range []string{"additionalProperties", "items"} {
		if member, ok := n[keyword].(node); ok {
			walk(member, at+"/"+keyword, visit)
		}
	}
}

// properties visits every property once, by its place in the schema.
func properties(n node, visit func(at, name string, property node)) {
	walk(n, "", func(at string, n node) {
		members, _ := n["properties"].(node)
		for name, member := range members {
			visit(at+"/properties/"+name, name, member.(node))
		}
	})
}

// leaves visits every attribute that is neither object nor array by its path, in which members
// of lists and of open maps are *.
func leaves(root, n node, at string, visit func(at string, n node)) {
	for ref, ok := n["$ref"].(string); ok; ref, ok = n["$ref"].(string) {
		n = root["$defs"].(node)[strings.TrimPrefix(ref, "#/$defs/")].(node)
	}
	members, _ := n["properties"].(node)
	for name, member := range members {
		leaves(root, member.(node), at+"/"+name, visit)
	}
	for _, keyword := range []string{"additionalProperties", "items"} {
		if member, ok := n[keyword].(node); ok {
			leaves(root, member, at+"/*", visit)
		}
	}
	if n["type"] != "object" && n["type"] != "array" {
		visit(at, n)
	}
}

func TestEverythingIsDescribed(t *testing.T) {
	for _, b := range barclamps(t) {
		s := source(t, b)
		require.Equal(t, b.Info().Name, s["title"])
		require.NotEmpty(t, s["description"], b.Info().Name)
		seen := 0
		properties(s, func(at, _ string, p node) {
			seen++
			text, _ := p["description"].(string)
			require.NotEmpty(t, text, "%s %s", b.Info().Name, at)
			require.NotRegexp(t, `\.$|^[a-z]`, text, "%s %s: a phrase with a capital and without a full stop", b.Info().Name, at)
			require.True(t, p["type"] != nil || p["enum"] != nil || p["$ref"] != nil, "%s %s has no type", b.Info().Name, at)
		})
		require.NotZero(t, seen)
	}
}

// untyped are the maps whose values may be anything.
var untyped = []string{"nova /properties/sysctl", "provisioner /$defs/autoyast/properties/repos/additionalProperties"}

// TestObjectsAreClosedOrTyped: an unknown name is found, or its value is checked.
func TestObjectsAreClosedOrTyped(t *testing.T) {
	for _, b := range barclamps(t) {
		s := source(t, b)
		require.Equal(t, false, s["additionalProperties"], b.Info().Name)
		walk(s, "", func(at string, n node) {
			if n["type"] == "object" && n["additionalProperties"] == nil {
				require.Contains(t, untyped, b.Info().Name+" "+at)
			}
			require.Nil(t, n["required"], "%s %s: what has to be there is said by Validate", b.Info().Name, at)
		})
	}
}

func TestReferencesLeadSomewhereAndAreUsed(t *testing.T) {
	for _, b := range barclamps(t) {
		s := source(t, b)
		used := map[string]bool{}
		walk(s, "", func(at string, n node) {
			if ref, ok := n["$ref"].(string); ok {
				used[strings.TrimPrefix(ref, "#/$defs/")] = true
			}
		})
		defs, _ := s["$defs"].(node)
		for name := range defs {
			require.True(t, used[name], "%s: nothing refers to %s", b.Info().Name, name)
			delete(used, name)
		}
		require.Empty(t, used, "%s: references that lead nowhere", b.Info().Name)
	}
}

// TestDefaultsAreTheTemplates: a default is what a new proposal has, and every plain value of
// the template is one.
func TestDefaultsAreTheTemplates(t *testing.T) {
	for _, b := range barclamps(t) {
		s, template := source(t, b), b.Info().Template
		leaves(s, s, "", func(at string, n node) {
			if strings.Contains(at, "*") {
				require.NotContains(t, n, "default", "%s %s: members of lists and maps have none", b.Info().Name, at)
				return
			}
			have := template.Get(strings.ReplaceAll(at[1:], "/", "."))
			require.Empty(t, cmp.Diff(n["default"], have.Value()), "%s %s", b.Info().Name, at)
		})
	}
}

// likeSecret matches names of what nobody should see, and harmless those that only sound so.
var (
	likeSecret = regexp.MustCompile(`(?i)passw|_pw$|secret|token|credential|(^|_)key|key$|_hash$`)
	harmless   = map[string]string{
		"keyfile":                    "a path",
		"secret_uuid":                "a name of libvirt's",
		"rbd_secret_uuid":            "the same",
		"admin_keyring":              "a path",
		"san_private_key":            "a path",
		"ssh_hosts_key_file":         "a path",
		"san_host_key":               "a public key",
		"strict_ssh_host_key_policy": "a switch",
		"vnc_keymap":                 "a keyboard",
		"access_keys":                "public keys",
		"keystone_instance":          "a proposal", "keystone_service_user": "a user", "keystone_delay_auth_decision": "a switch",
		"zvm_config_drive_inject_password": "a switch",
	}
)

// cinderSecrets are in each place where there can be a back end.
func cinderSecrets() []string {
	all := []string{"/db/password", "/keymgr_fixed_key", "/memcache_secret_key", "/rabbit/password", "/service_password"}
	for _, place := range []string{"/volume", "/volume/*", "/volume_defaults", "/volumes/*"} {
		for _, secret := range []string{"emc/ecom_server_password", "eqlx/chap_password", "eqlx/eqlx_chap_password", "eqlx/san_password",
			"eqlx/san_private_key_passphrase", "eternus/password", "hitachi/hitachi_auth_password", "hitachi/hitachi_horcm_password",
			"netapp/netapp_password", "pure/pure_api_token", "vmware/password"} {
			all = append(all, place+"/"+secret)
		}
	}
	slices.Sort(all)
	return all
}

func TestSecretsAreMarked(t *testing.T) {
	want := map[string][]string{
		"ipmi":        {"/bmc_password"},
		"provisioner": {"/default_password", "/default_password_hash", "/root_password_hash", "/suse/autoyast/ssh_password", "/windows/admin_password"},
		"swift": {"/cluster_admin_pw", "/cluster_hash", "/container_sync/key", "/container_sync/key2", "/dispersion/service_password",
			"/keystone_service_password", "/service_password", "/slog_passwd"},
		"cinder": cinderSecrets(),
		"nova": {"/api_db/password", "/compute_remotefs_sshkey", "/db/password", "/ec2-api/db/password", "/esxi/password", "/memcache_secret_key",
			"/neutron_metadata_proxy_shared_secret", "/placement_db/password", "/placement_service_password", "/rabbit/password", "/service_password",
			"/vcenter/password", "/volume/eqlx/chap_password", "/volume/eqlx/eqlx_chap_password", "/volume/eqlx/san_password",
			"/volume/eqlx/san_private_key_passphrase", "/zvm/zvm_image_default_password",
			"/zvm/zvm_user_default_password", "/zvm/zvm_xcat_password", "/zvm/zvm_xcat_ssh_key"},
	}
	sounds := map[string]bool{}
	for _, b := range barclamps(t) {
		s := source(t, b)
		properties(s, func(at, name string, p node) {
			like := likeSecret.MatchString(name)
			if _, ok := harmless[name]; ok {
				require.True(t, like, "%s does not even sound like a secret", name)
				sounds[name], like = true, false
			}
			require.Equal(t, like, p["writeOnly"] == true, "%s %s", b.Info().Name, at)
			if like {
				require.Equal(t, "string", p["type"], "%s %s: what reads the schema finds the mark beside the type", b.Info().Name, at)
			}
		})
		var secrets []string
		leaves(s, s, "", func(at string, n node) {
			if n["writeOnly"] == true {
				secrets = append(secrets, at)
			}
		})
		slices.Sort(secrets)
		require.Equal(t, want[b.Info().Name], secrets, b.Info().Name)
	}
	require.Len(t, sounds, len(harmless), "harmless names that no schema has")
}

// TestSecretsOfRealDocumentsAreKnown: no value of a document of Crowbar sounds like a secret
// and is none by the schema.
func TestSecretsOfRealDocumentsAreKnown(t *testing.T) {
	realDocuments(t, func(t *testing.T, b barclamp.Barclamp, d *proposal.Document) {
		s, secret := source(t, b), map[string]bool{}
		leaves(s, s, "", func(at string, n node) { secret[at] = n["writeOnly"] == true })
		var check func(at string, value any)
		check = func(at string, value any) {
			members, _ := value.(map[string]any)
			for name, member := range members {
				if _, ok := harmless[name]; likeSecret.MatchString(name) && !ok {
					require.True(t, secret[at+"/"+name], "%s/%s", at, name)
				}
				check(at+"/"+name, member)
			}
		}
		check("", d.Attributes().Value())
	})
}

// TestHardwareSetsAreTheHardwares: what the schema of the deployer offers is what there is.
func TestHardwareSetsAreTheHardwares(t *testing.T) {
	s := source(t, byName(t, "deployer"))
	row := s["$defs"].(node)["hardware_row"].(node)["properties"].(node)
	for name, sets := range map[string][]string{"bios_set": hardware.BIOSSets(), "raid_set": hardware.RAIDSets()} {
		require.Equal(t, fmt.Sprint(sets), fmt.Sprint(row[name].(node)["enum"]), name)
	}
}
