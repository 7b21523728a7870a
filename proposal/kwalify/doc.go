// Package kwalify reads the schemas of Crowbar's barclamps, the bc-template-<barclamp>.schema and
// template-<barclamp>.schema files beside their proposal templates, and translates them to JSON
// Schema 2020-12: one schema language for old and new barclamps.
//
//	text, err := kwalify.Translate(schema)    // JSON Schema, to keep and edit
//	s, err := kwalify.Compile(schema)         // ready for proposal.Validate
//
// # What becomes what
//
// The translation judges JSON documents as kwalify 0.7.2 and Crowbar's CrowbarValidator judged
// them. The file of kwalify that says so is in brackets.
//
//	type: str            "type": "string"; also the type of a rule that names none (types.rb)
//	type: int            "integer" + crowbar-int: 1.0 and 1e3 are Floats to Ruby, not Integers
//	type: float          "number" + crowbar-float: 4 is an Integer to Ruby, not a Float
//	type: number         "number"
//	type: text           "string" or "number"
//	type: bool           "boolean"
//	type: scalar         anything but an object or array
//	type: any            anything
//	type: date           a string YYYY-MM-DD (crowbar-date), as kwalify's YAML reads a Date
//	type: time           a string YYYY-MM-DD hh:mm:ss (crowbar-time); timestamp is the same
//	type: map, mapping   "object", "properties", "additionalProperties": false (validator.rb)
//	= in mapping         "additionalProperties": the rule; it is never required
//	type: seq, sequence  "array", "items"
//	required: true       "required", and null is refused; otherwise null passes any type, as nil did
//	enum                 "enum"; a null passes only if listed, required or not
//	pattern              "pattern"; ^ and $ match at lines, so "(?m:…)"
//	range                "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"
//	length               "minLength", "maxLength", in characters
//	unique (of an item)  "uniqueItems"; kwalify let nulls repeat and told 1 from 1.0
//	unique, ident        elsewhere without effect but that ident is required
//	default, desc, name  "default", "description", "title"
//	class                nothing
//
// A name that Crowbar checks becomes a "format" instead: FQDN crowbar-fqdn, IpAddress
// crowbar-ip-address, IpAddressMap crowbar-ip-address-map, DiskURL crowbar-disk-url, Email
// crowbar-email, DomainName crowbar-domain-name (SUSE's crowbar_validator.rb; Dell's older one
// accepted fewer addresses and domains). IpAddress takes a prefix of 1 to 128, too, and a blank
// below a key called broadcast (crowbar-ip-address-or-blank). Formats implements them; other
// validators ignore formats that they do not know. A null never reaches a check: in Crowbar it
// crashed some.
//
// What JSON Schema cannot say is an error and not left out: assert (Ruby code), unique and ident
// of a key among the items of a sequence, pattern or length in a type but str, range of anything
// but numbers, rules that contain themselves, regular expressions that only Ruby has.
//
// # Secrets
//
// kwalify marks no secrets. A str or text whose key is password, passwd, passphrase, secret,
// token, secret_key or private_key, or ends in _password, _passwd, _passphrase, _password_hash,
// _secret, _token or _secret_key, becomes "writeOnly": true, and so do four keys of Crowbar's
// that no such rule finds: cluster_hash, cluster_admin_pw (swift), keymgr_fixed_key (cinder),
// designate_rndc_key (dns). Case does not count, and - is _ (monitor-secret). swift's
// container_sync/key and any secret of another name are not found: mark them in the translation.
//
// # The files
//
// They look like JSON and are YAML in the dialect of kwalify's own parser: = for every other key,
// bare keys, tabs, comments, "\+" and "\d" in double quotes, anchors, aliases and <<. Scalars are
// read by its rules (yes is true, 017 is 17, True is a string). A key that occurs twice stopped
// kwalify with an exception and is an error here; a second document, which it ignored, too. More
// lenient than kwalify: trailing commas, missing spaces after : and , and all else that YAML
// allows.
//
// # Errors
//
// The errors are *multierror.Error with a *Problem for each thing wrong: line, column, path in
// the schema, found, expected and the remedy. Every Problem matches ErrSchema. Input of any kind
// is answered in bounded time: at most proposal.MaxSchemaBytes, brackets proposal.MaxDepth deep, rules
// half as deep, aliases expanding to at most 50,000 entries.
//
// # Concurrency
//
// All functions may be called concurrently.
package kwalify
