// Package schema has the JSON Schemas of the drivers' options, for who shows or checks a
// configuration without talking to a back end: it imports no driver, and so neither SSH nor librbd.
//
//	raw := schema.Of("eqlx")
//
// They are the texts that eqlx.Schema and rbd.Schema return; the tests of those packages keep them
// the same (go test ./storage/eqlx ./storage/rbd -run TestSchemaFile -update).
//
// All functions may be called by many goroutines at once.
package schema

import (
	"bytes"
	_ "embed"
	"encoding/json"
)

//go:embed eqlx.json
var eqlx []byte

//go:embed rbd.json
var rbd []byte

// Drivers returns the names of the drivers that have one, sorted.
func Drivers() []string { return []string{"eqlx", "rbd"} }

// Of returns the JSON Schema (2020-12) of a driver's options, a copy; nil: none is known.
func Of(driver string) json.RawMessage {
	switch driver {
	case "eqlx":
		return bytes.Clone(eqlx)
	case "rbd":
		return bytes.Clone(rbd)
	}
	return nil
}
