package eqlx

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"
)

// An optionSpec is one option: how it is documented and how it is read.
type optionSpec struct {
	name    string
	aliases []string
	doc     string // with the source
	kind    string // JSON type
	value   any    // default, nil = none
	least   any    // smallest number, nil = none
	secret  bool
	set     func(c *Config, v any) // v is a string, bool, int or float64, by kind
}

// options are all options of Cinder's driver (Train, the last one: ps.py 1.4.6 with san.py and
// ssh_utils.py), of Crowbar's cinder and nova barclamps, and of the Nova driver of 2012.
func options() []optionSpec {
	seconds := func(d func(*Config) *time.Duration) func(*Config, any) {
		return func(c *Config, v any) { *d(c) = time.Duration(v.(int)) * time.Second }
	}
	text := func(s func(*Config) *string) func(*Config, any) {
		return func(c *Config, v any) { *s(c) = v.(string) }
	}
	flag := func(b func(*Config) *bool) func(*Config, any) {
		return func(c *Config, v any) { *b(c) = v.(bool) }
	}
	return []optionSpec{
		{name: "san_ip", kind: "string", doc: "Address of the group's management or group interface. Source: Cinder, Crowbar.",
			set: text(func(c *Config) *string { return &c.Address })},
		{name: "san_ssh_port", kind: "integer", value: 22, least: 1, doc: "Port of its SSH server. Source: Cinder.",
			set: func(c *Config, v any) { c.Port = explicit(v.(int)) }},
		{name: "san_login", kind: "string", value: "grpadmin", doc: "Account of the group. Cinder's default was admin, Crowbar's grpadmin. Source: Cinder, Crowbar.",
			set: text(func(c *Config) *string { return &c.Username })},
		{name: "san_password", kind: "string", secret: true, doc: "Its password; it wins over the key. Source: Cinder, Crowbar.",
			set: text(func(c *Config) *string { return &c.Password })},
		{name: "san_private_key", kind: "string", doc: "File with its private key, of any type. Source: Cinder, where it had to be RSA.",
			set: text(func(c *Config) *string { return &c.PrivateKeyFile })},
		{name: "san_private_key_passphrase", kind: "string", secret: true, doc: "Passphrase of san_private_key. Source: CrowbarKit.",
			set: text(func(c *Config) *string { return &c.PrivateKeyPassphrase })},
		{name: "san_host_key", kind: "string", doc: `The group's host key: "SHA256:…" or "ssh-ed25519 AAAA…". Source: CrowbarKit.`,
			set: text(func(c *Config) *string { return &c.HostKey })},
		{name: "ssh_hosts_key_file", kind: "string", doc: "File of known host keys, in OpenSSH's form; a first key is recorded in it unless strict_ssh_host_key_policy. Without it and san_host_key the first key is trusted while the driver is open. Source: Cinder.",
			set: text(func(c *Config) *string { return &c.KnownHostsFile })},
		{name: "strict_ssh_host_key_policy", kind: "boolean", value: false, doc: "Refuse a host key that is not known. A changed one is always refused. Source: Cinder.",
			set: flag(func(c *Config) *bool { return &c.StrictHostKey })},
		{name: "ssh_legacy_algorithms", kind: "boolean", value: false, doc: "Speak SHA-1 key exchanges and host keys and CBC ciphers with old firmware. Source: CrowbarKit; paramiko always did.",
			set: flag(func(c *Config) *bool { return &c.LegacyAlgorithms })},
		{name: "eqlx_group_name", kind: "string", value: "group-0", doc: "The group's name, which is its prompt. Source: Cinder, Crowbar.",
			set: text(func(c *Config) *string { return &c.Group })},
		{name: "eqlx_pool", kind: "string", value: "default", doc: "Pool of new volumes. Source: Cinder, Crowbar.",
			set: text(func(c *Config) *string { return &c.Pool })},
		{name: "san_thin_provision", kind: "boolean", value: true, doc: "Make thin volumes. Crowbar's default was false. Source: Cinder, Crowbar.",
			set: func(c *Config, v any) { c.ThickProvision = !v.(bool) }},
		{name: "eqlx_multihost_access", kind: "boolean", value: false, doc: "Let several initiators write to a volume at once, as live migration needs. Cinder's driver always did. Source: CrowbarKit.",
			set: flag(func(c *Config) *bool { return &c.MultihostAccess })},
		{name: "use_chap_auth", aliases: []string{"eqlx_use_chap"}, kind: "boolean", value: false, doc: "Make initiators prove that they know a secret. Source: Cinder, Crowbar.",
			set: flag(func(c *Config) *bool { return &c.CHAP })},
		{name: "chap_username", aliases: []string{"eqlx_chap_login"}, kind: "string", doc: "CHAP account, which the group must have. Source: Cinder, Crowbar.",
			set: text(func(c *Config) *string { return &c.CHAPUsername })},
		{name: "chap_password", aliases: []string{"eqlx_chap_password"}, kind: "string", secret: true, doc: "Its secret, one for all volumes. Source: Cinder, Crowbar.",
			set: text(func(c *Config) *string { return &c.CHAPPassword })},
		{name: "ssh_conn_timeout", aliases: []string{"eqlx_cli_timeout"}, kind: "integer", value: 30, least: 1, doc: "Seconds for connecting and for each command. Source: Cinder, Crowbar.",
			set: func(c *Config, v any) { c.Timeout = time.Duration(explicit(v.(int))) * time.Second }},
		{name: "eqlx_ssh_keepalive_interval", kind: "integer", least: 1, doc: "Seconds between signs of life; the default is ssh_conn_timeout. Source: Nova driver of 2012, barclamp-nova, there 1200.",
			set: func(c *Config, v any) { c.Keepalive = time.Duration(explicit(v.(int))) * time.Second }},
		{name: "ssh_min_pool_conn", kind: "integer", value: 1, least: 0, doc: "Idle sessions above this number are closed. Source: Cinder.",
			set: func(c *Config, v any) {
				if c.MinSessions = v.(int); c.MinSessions == 0 {
					c.MinSessions = -1
				}
			}},
		{name: "ssh_max_pool_conn", kind: "integer", value: 5, least: 1, doc: "Sessions at once; a group has few, and its people need some. Source: Cinder.",
			set: func(c *Config, v any) { c.MaxSessions = explicit(v.(int)) }},
		{name: "eqlx_cli_max_retries", kind: "integer", value: 5, least: 0, doc: "How often connecting, and commands that only read, are repeated after the connection failed. What changes something is never sent twice. Source: Cinder.",
			set: func(c *Config, v any) {
				if c.Retries = v.(int); c.Retries == 0 {
					c.Retries = -1
				}
			}},
		{name: "eqlx_cli_retries_timeout", kind: "integer", value: 0, least: 0, doc: "Seconds after which nothing is repeated any more; 0 is never. Source: Nova driver of 2012, there 30.",
			set: seconds(func(c *Config) *time.Duration { return &c.RetryTime })},
		{name: "eqlx_verbose_ssh", kind: "boolean", value: false, doc: "Log commands at level info, not debug. Source: Nova driver of 2012.",
			set: flag(func(c *Config) *bool { return &c.LogCommands })},
		{name: "volume_name_template", kind: "string", value: "volume-" + idMark, doc: "Name of a volume on the group; <id>, or Cinder's %s, is its ID. Source: Cinder.",
			set: text(func(c *Config) *string { return &c.VolumeTemplate })},
		{name: "snapshot_name_template", kind: "string", value: "snapshot-" + idMark, doc: "Name of a snapshot on the group; <id>, or Cinder's %s, is its ID. Source: Cinder.",
			set: text(func(c *Config) *string { return &c.SnapshotTemplate })},
		{name: "max_over_subscription_ratio", kind: "number", value: 20.0, least: 1.0, doc: "Reported for who plans capacity; a number, also as a string; \"auto\" is the default. Source: Cinder, where it is the string '20.0'.",
			set: func(c *Config, v any) {
				if c.MaxOverSubscriptionRatio = v.(float64); c.MaxOverSubscriptionRatio == 0 {
					c.MaxOverSubscriptionRatio = zero
				}
			}},
		{name: "volume_backend_name", kind: "string", value: "eqlx", doc: "Kept, not used: backend_name of the storage configuration rules. Source: Cinder.",
			set: text(func(c *Config) *string { return &c.BackendName })},
	}
}

// zero is a 0 in a document, where 0 in Config is the default.
const zero = math.MinInt16

func explicit(n int) int {
	if n == 0 {
		return zero
	}
	return n
}

// shown is what a number was in the document.
func shown(n int) int {
	if n == zero {
		return 0
	}
	return n
}

func findOption(key string) *optionSpec {
	for _, o := range options() {
		if o.name == key {
			return &o
		}
		for _, alias := range o.aliases {
			if alias == key {
				return &o
			}
		}
	}
	return nil
}

// read sets the option from its JSON.
func (o *optionSpec) read(c *Config, raw json.RawMessage) error {
	var v any
	expected := "expected a " + o.kind
	if o.kind == "integer" {
		expected = "expected an integer"
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return errors.New(expected)
	}
	wrong := fmt.Errorf("%s, %s", kindOf(v), expected)
	switch o.kind {
	case "string":
		s, ok := v.(string)
		if !ok {
			return wrong
		}
		o.set(c, s)
	case "boolean":
		b, ok := v.(bool)
		if !ok {
			return wrong
		}
		o.set(c, b)
	case "integer":
		f, ok := v.(float64)
		if !ok {
			return wrong
		}
		if f != math.Trunc(f) || math.Abs(f) > 1e6 {
			return errors.New("expected a whole number up to a million")
		}
		o.set(c, int(f))
	case "number":
		f, ok := v.(float64)
		if s, isText := v.(string); isText { // Cinder has it in a string
			if s = strings.TrimSpace(s); s == "auto" { // Cinder reckons it out then; here it is the default
				return nil
			}
			var err error
			if f, err = strconv.ParseFloat(s, 64); err != nil {
				return errors.New(`expected a number, also as a string, or "auto"`)
			}
			ok = true
		}
		if !ok {
			return wrong
		}
		o.set(c, f)
	}
	return nil
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case []any:
		return "an array"
	}
	return "an object"
}

// Schema returns the JSON Schema (2020-12) of the options, with defaults and sources; secrets
// are writeOnly. Old names are deprecated properties.
func Schema() json.RawMessage {
	properties := map[string]any{}
	for _, o := range options() {
		p := map[string]any{"type": o.kind, "description": o.doc}
		if o.name == "max_over_subscription_ratio" {
			p["type"] = []string{"number", "string"}
		}
		if o.value != nil {
			p["default"] = o.value
		}
		if o.least != nil {
			p["minimum"] = o.least
		}
		if o.secret {
			p["writeOnly"] = true
			p["format"] = "password"
		}
		properties[o.name] = p
		for _, alias := range o.aliases {
			old := maps.Clone(p)
			delete(old, "default")
			old["deprecated"] = true
			old["description"] = "Old name of " + o.name + "."
			properties[alias] = old
		}
	}
	schema, err := json.MarshalIndent(map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "EqualLogic PS series back end",
		"type":                 "object",
		"required":             []string{"san_ip"},
		"anyOf":                []any{map[string]any{"required": []string{"san_password"}}, map[string]any{"required": []string{"san_private_key"}}},
		"additionalProperties": false,
		"properties":           properties,
	}, "", "  ")
	if err != nil { // strings, numbers and booleans only
		return json.RawMessage("{}")
	}
	return schema
}
