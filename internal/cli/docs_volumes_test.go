package cli_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
	"github.com/crowbarkit/crowbarkit/storage/rbd"
)

var jsonBlock = regexp.MustCompile("(?s)```json\n(.*?)```\n")

// readerOfVolumes has the simulated group that docs/volumes.md starts, and its first JSON as
// volumes.json. The document's port may be taken here, so it is another one.
func readerOfVolumes(t *testing.T, text string) func(command string) string {
	blocks := jsonBlock.FindAllStringSubmatch(text, -1)
	for _, b := range blocks {
		config, err := storage.ParseConfig([]byte(b[1]))
		require.NoError(t, err, b[1])
		for _, backend := range config.Volumes {
			switch backend.Driver {
			case "eqlx":
				_, err = eqlx.ParseConfig(backend.Options)
			case "rbd":
				_, err = rbd.ParseConfig(backend.Options)
			}
			require.NoError(t, err, b[1])
		}
	}
	built(t, text, "crowbar", "crowbar-eqlx-sim")
	const documented = "2022"
	_, port := serveGroup(t, eqlxsim.Config{Name: "rack1", Password: "s3cret", CHAPUsers: []string{"chapadmin"}})
	dir := t.TempDir()
	require.NotEmpty(t, blocks)
	config := strings.Replace(blocks[0][1], documented, fmt.Sprint(port), 1)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "volumes.json"), []byte(config), 0o600))
	run := readerIn(t, dir, "CROWBAR_VOLUMES=")
	return func(command string) string {
		return strings.ReplaceAll(run(command), fmt.Sprintf("127.0.0.1:%d", port), "127.0.0.1:"+documented)
	}
}

var optionTable = regexp.MustCompile(`(?s)<!-- options of (\w+) -->\n.*?<!-- end -->\n`)

// optionTables writes the tables of options from the drivers' schemas.
func optionTables(t *testing.T, text string) string {
	schemas := map[string]json.RawMessage{"eqlx": eqlx.Schema(), "rbd": rbd.Schema()}
	require.Len(t, optionTable.FindAllString(text, -1), len(schemas))
	return optionTable.ReplaceAllStringFunc(text, func(table string) string {
		driver := optionTable.FindStringSubmatch(table)[1]
		require.Contains(t, schemas, driver)
		return fmt.Sprintf("<!-- options of %s -->\n%s<!-- end -->\n", driver, optionRows(t, schemas[driver]))
	})
}

// otherName is a property that only is another name of an option.
var otherName = regexp.MustCompile(`^(?:Old name of (\w+)\.|Cinder's name for (\w+): )`)

func optionRows(t *testing.T, schema json.RawMessage) string {
	var s struct {
		Properties map[string]struct {
			Description string          `json:"description"`
			Default     json.RawMessage `json:"default"`
			WriteOnly   bool            `json:"writeOnly"`
		} `json:"properties"`
	}
	require.NoError(t, json.Unmarshal(schema, &s))
	also := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if m := otherName.FindStringSubmatch(s.Properties[name].Description); m != nil {
			of := cmp.Or(m[1], m[2])
			also[of] = append(also[of], "`"+name+"`")
		}
	}
	var out strings.Builder
	out.WriteString("| option | also | default | meaning |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		if otherName.MatchString(p.Description) {
			continue
		}
		if p.WriteOnly {
			p.Description = "**Secret.** " + p.Description
		}
		initial := ""
		if len(p.Default) > 0 {
			initial = "`" + strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(p.Default)) + "`"
		}
		meaning := strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;").Replace(p.Description)
		fmt.Fprintf(&out, "| `%s` | %s | %s | %s |\n", name, strings.Join(also[name], ", "), initial, meaning)
	}
	return out.String()
}
