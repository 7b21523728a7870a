package rbd_test

import (
	"flag"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage/rbd"
	schemas "github.com/crowbarkit/crowbarkit/storage/schema"
)

var update = flag.Bool("update", false, "rewrite the file of package schema")

// TestSchemaFile keeps the schema that those have who do without this package.
func TestSchemaFile(t *testing.T) {
	want := string(rbd.Schema()) + "\n"
	if *update {
		require.NoError(t, os.WriteFile("../schema/rbd.json", []byte(want), 0o644))
		return
	}
	if want != string(schemas.Of("rbd")) {
		t.Fatal("the options have changed: run go test ./storage/rbd -run TestSchemaFile -update")
	}
}
