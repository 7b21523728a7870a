package kwalify_test

import (
	"fmt"

	"github.com/crowbarkit/crowbarkit/proposal"
	"github.com/crowbarkit/crowbarkit/proposal/kwalify"
)

func ExampleTranslate() {
	schema := `{
  "type": "map", "required": true, "mapping": {
    "mode": { "type": "str", "required": true, "pattern": "/^single$|^dual$|^team$/" },
    "router": { "type": "str", "name": "IpAddress" },
    "password": { "type": "str" },
    "drivers": { "type": "map", "mapping": {
      = : { "type": "seq", "sequence": [ { "type": "str", "required": true } ] }
    } }
  }
}`
	text, err := kwalify.Translate([]byte(schema))
	if err != nil {
		fmt.Println(err)
	}
	fmt.Print(string(text))
	// Output:
	// {
	//   "$schema": "https://json-schema.org/draft/2020-12/schema",
	//   "type": "object",
	//   "properties": {
	//     "mode": {
	//       "type": "string",
	//       "pattern": "(?m:^single$|^dual$|^team$)"
	//     },
	//     "router": {
	//       "type": ["string", "null"],
	//       "format": "crowbar-ip-address"
	//     },
	//     "password": {
	//       "type": ["string", "null"],
	//       "writeOnly": true
	//     },
	//     "drivers": {
	//       "type": ["object", "null"],
	//       "additionalProperties": {
	//         "type": ["array", "null"],
	//         "items": {
	//           "type": "string"
	//         }
	//       }
	//     }
	//   },
	//   "required": ["mode"],
	//   "additionalProperties": false
	// }
}

func ExampleTranslate_errors() {
	_, err := kwalify.Translate([]byte(`{ type: map, mapping: {
  port: { type: integer },
  name: { type: str, pattern: "/^(?!admin)/" },
} }`))
	fmt.Println(err)
	// Output:
	// kwalify: wrong schema: 2 problems:
	//   kwalify: line 2, column 17: /mapping/port/type: found "integer", expected one of any, bool, date, float, int, map, number, scalar, seq, str, text, time, timestamp (did you mean int?)
	//   kwalify: line 3, column 31: /mapping/name/pattern: found "(?!admin)", a group that only Ruby knows (lookaround, atomic group, comment) in /^(?!admin)/, expected a regular expression between slashes that RE2 knows
}

func ExampleCompile() {
	s, err := kwalify.Compile([]byte(`{ "type": "map", "mapping": {
  "id": { "type": "str", "required": true, "pattern": "/^ntp-|^template-ntp$/" },
  "description": { "type": "str" },
  "attributes": { "type": "map", "mapping": {
    "ntp": { "type": "map", "mapping": {
      "external_servers": { "type": "seq", "sequence": [ { "type": "str", "name": "DomainName" } ] } } } } },
  "deployment": { "type": "map", "mapping": { = : { "type": "any" } } }
} }`))
	if err != nil {
		fmt.Println(err)
	}
	d, err := proposal.Parse([]byte(`{"id": "ntp-default", "description": "",
  "attributes": {"ntp": {"external_servers": ["pool.ntp.org", "my server"]}}, "deployment": {"ntp": {}}}`))
	if err != nil {
		fmt.Println(err)
	}
	fmt.Println(s.Check(d))
	// Output:
	// proposal: invalid: /attributes/ntp/external_servers/1: found a string "my server", expected a value of format crowbar-domain-name (expected a domain name: example.com)
}
