package crowbarkit_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/crowbarkit/crowbarkit/"

// level orders the packages: imports go from a higher level to a lower one only. The longest
// matching prefix counts. internal/ packages belong to whoever uses them and are checked by
// the edges below.
var level = map[string]int{
	"statemachine":           1,
	"proposal":               1,
	"hardware":               1,
	"storage":                1,
	"pxe":                    1,
	"statemachine/lifecycle": 2,
	"proposal/kwalify":       2,
	"proposal/proposaltest":  2,
	"hardware/redfish":       2,
	"hardware/redfishsim":    2,
	"hardware/hardwaretest":  2,
	"storage/eqlx":           2,
	"storage/memory":         2,
	"storage/storagetest":    2,
	"storage/rbd":            2,
	"storage/schema":         2,
	"pxe/pxetest":            2,
	"barclamp":               2,
	"barclamp/barclamptest":  3,
	"barclamp/catalog":       3,
	"crowbar/internal":       2, // parts of the stores
	"crowbar":                3,
	"crowbar/boltstore":      4,
	"crowbar/crowbartest":    4,
	"crowbar/sim":            4,
	"crowbar/api":            4,
	"crowbar/client":         4,
	"crowbar/server":         4,
	"internal":               4, // the commands' wiring; internal/clock is below everything
	"internal/clock":         0,
	"internal/inprocess":     0,
	"cmd":                    5,
	"examples":               5,
}

// forbidden are edges that the levels allow and the design does not, each with its reason.
// A name stands for the package and everything below it.
var forbidden = []struct{ from, to, why string }{
	{"crowbar", module + "hardware", "the engine knows no hardware: barclamps bring it"},
	{"crowbar", module + "storage", "the engine knows no volumes: barclamps bring them"},
	{"crowbar", module + "pxe", "what a node boots is the provisioner's answer, not the engine's"},
	{"crowbar", module + "barclamp/catalog", "the engine knows no barclamp by name: the command wires the registry"},
	{"crowbar/client", module + "crowbar", "CLI, agent and console share the client without dragging in the engine"},
	{"barclamp", module + "crowbar", "a barclamp is tested without an engine"},
	{"barclamp", module + "hardware", "only the barclamps that configure hardware import it"},
	{"*", "github.com/spf13/cobra", "only commands parse flags"},
	{"*", "github.com/spf13/pflag", "only commands parse flags"},
	{"*", "testing", "test code lives in _test.go files and *test packages"},
	{"*", "github.com/stretchr/testify", "importers of a library do not pay for its tests"},
}

// exact says that the edge is about the package itself and not about those below it.
var exact = []string{"crowbar", "barclamp"}

// mayTest are packages for tests: they may import testing and testify.
func mayTest(pkg string) bool { return strings.HasSuffix(pkg, "test") }

func mayParseFlags(pkg string) bool {
	return strings.HasPrefix(pkg, "cmd/") || pkg == "internal/cli"
}

type goPackage struct {
	ImportPath string
	Imports    []string
	Deps       []string
	CgoFiles   []string
	Standard   bool
}

// TestImportsGoDownward keeps the layout: a lower level never needs a higher one.
func TestImportsGoDownward(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		if from == p.ImportPath {
			continue // the root, which imports nothing
		}
		fromLevel, known := levelOf(from)
		require.True(t, known, "package %s has no level: give it one in deps_test.go and in shared design terms", from)
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module)
			if !ours {
				continue
			}
			toLevel, known := levelOf(to)
			require.True(t, known, "package %s has no level", to)
			sibling := toLevel == fromLevel && (fromLevel >= 2 || strings.HasPrefix(to, from+"/"))
			require.True(t, toLevel < fromLevel || sibling,
				"%s (level %d) imports %s (level %d): imports go from a higher level to a lower one; level-1 packages meet in barclamps", from, fromLevel, to, toLevel)
		}
	}
}

// TestForbiddenImports checks each forbidden edge, with everything that is imported on the way.
func TestForbiddenImports(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, edge := range forbidden {
			if !covers(edge.from, from) || from == edge.to {
				continue
			}
			if edge.from == "*" && (mayTest(from) || strings.HasPrefix(edge.to, "github.com/spf13") && mayParseFlags(from)) {
				continue
			}
			reach := p.Deps
			if edge.to == "testing" {
				reach = p.Imports // what others do inside is theirs
			}
			for _, dep := range reach {
				inside := dep == edge.to || strings.HasPrefix(dep, edge.to+"/")
				if edge.from == "crowbar/client" {
					inside = dep == edge.to
				}
				require.False(t, inside, "%s imports %s: %s", from, dep, edge.why)
			}
		}
	}
}

// TestNoCgo: the core builds on a machine with nothing but Go.
func TestNoCgo(t *testing.T) {
	for _, p := range packages(t) {
		require.Empty(t, p.CgoFiles, "%s uses cgo: only under the build tag ceph", p.ImportPath)
	}
}

func covers(pattern, pkg string) bool {
	switch {
	case pattern == "*":
		return !strings.HasPrefix(pkg, "cmd/") && !strings.HasPrefix(pkg, "examples/")
	case slices.Contains(exact, pattern):
		return pkg == pattern
	}
	return pkg == pattern || strings.HasPrefix(pkg, pattern+"/")
}

func levelOf(pkg string) (int, bool) {
	for name := pkg; name != ""; {
		if l, ok := level[name]; ok {
			return l, true
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return 0, false
		}
		name = name[:i]
	}
	return 0, false
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps,CgoFiles,Standard", "./...").Output()
	require.NoError(t, err, "go list")
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	return all
}
