package hardware

import (
	"bytes"
	_ "embed"
)

//go:embed profile.schema.json
var profileSchema []byte

// ProfileSchema returns the JSON Schema (draft 2020-12) of what ParseProfile reads, for editors
// and for other programs. It cannot say all: names of volumes and disks that occur twice, names
// that an object has twice, numbers that do not go together and intents against the boot mode are
// found by ParseProfile alone.
func ProfileSchema() []byte { return bytes.Clone(profileSchema) }
