package cli_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

// documentedSpeed is how much faster simulated machines and the command that waits for them are.
const documentedSpeed = 200

// namedBlock is JSON that the text before it gives the name of a file.
var namedBlock = regexp.MustCompile("(?s)`([a-z]+\\.json)`[^`]*:\n\n```json\n(.*?)```\n")

// buildLines are how the document builds the commands, in a clone.
var buildLines = regexp.MustCompile(`(?m)^    go build .*\n    export PATH=.*\n`)

// simulatorLine is how the document starts a simulator, and where it listens.
var simulatorLine = regexp.MustCompile(`(?m)^    (crowbar-bmc-sim .*--listen (127\.0\.0\.1:\d+).*) &$`)

// readerOfHardware has the simulators running that docs/hardware.md starts, and its profiles as
// files. The document's ports may be taken here, so they are others.
func readerOfHardware(t *testing.T, text string) func(command string) string {
	dir := t.TempDir()
	profiles := namedBlock.FindAllStringSubmatch(text, -1)
	require.Len(t, profiles, len(jsonBlock.FindAllString(text, -1)), "all JSON is a profile and has a name")
	for _, p := range profiles {
		_, err := hardware.ParseProfile([]byte(p[2]))
		require.NoError(t, err, p[1])
		require.NoError(t, os.WriteFile(filepath.Join(dir, p[1]), []byte(p[2]), 0o600))
	}
	program := built(t, text, "crowbar", "crowbar-bmc-sim")[1]
	var there, back []string
	for _, line := range simulatorLine.FindAllStringSubmatch(text, -1) {
		address := simulator(t, program, strings.Replace(line[1], line[2], "127.0.0.1:0", 1))
		there, back = append(there, line[2], address), append(back, address, line[2])
	}
	require.Len(t, there, 4)
	env := []string{"CROWBAR_BMC=https://" + there[1], "CROWBAR_BMC_USER=root", "CROWBAR_BMC_PASSWORD=s3cret", fmt.Sprintf("%s=%d", asFast, documentedSpeed)}
	before, after := readerIn(t, dir, env...), readerIn(t, dir, append(env, "CROWBAR_BMC_PINS=pins")...)
	return func(command string) string {
		run := before
		if _, err := os.Stat(filepath.Join(dir, "pins")); err == nil {
			run = after // as the document exports it
		}
		return strings.NewReplacer(back...).Replace(run(strings.NewReplacer(there...).Replace(command)))
	}
}

// built types what the document says to build the commands, in the root of the module as its
// reader does (bin/ is ignored by git), and returns where they are.
func built(t *testing.T, text string, commands ...string) (programs []string) {
	lines := buildLines.FindAllString(text, -1)
	require.Len(t, lines, 1)
	sh := exec.CommandContext(t.Context(), "/bin/sh", "-e")
	sh.Dir = "../.."
	sh.Stdin = strings.NewReader(lines[0] + "command -v " + strings.Join(commands, "\ncommand -v ") + "\n")
	out, err := sh.Output()
	require.NoError(t, err)
	programs = strings.Fields(string(out))
	require.Len(t, programs, len(commands))
	bin, err := filepath.Abs("../../bin")
	require.NoError(t, err)
	for i, name := range commands {
		require.Equal(t, filepath.Join(bin, name), programs[i], "what the lines built is what a reader gets")
	}
	return programs
}

// simulator runs a crowbar-bmc-sim, faster than documented, and returns where its BMC is.
func simulator(t *testing.T, program, command string) (address string) {
	sim := exec.Command(program, append(strings.Fields(command)[1:], "--speed", fmt.Sprint(documentedSpeed))...)
	out, err := sim.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, sim.Start())
	t.Cleanup(func() {
		require.NoError(t, sim.Process.Signal(os.Interrupt))
		require.NoError(t, sim.Wait())
	})
	var ready struct{ URL string }
	require.NoError(t, json.NewDecoder(out).Decode(&ready))
	_, address, _ = strings.Cut(ready.URL, "://")
	return address
}

// hardwareTables writes the tables that the code knows, and checks those that people write.
func hardwareTables(t *testing.T, text string) string {
	written := map[string]string{"intents": intentRows(), "sets": setRows(t)}
	for name, rows := range written {
		table := regexp.MustCompile(`(?s)<!-- ` + name + ` -->\n.*?<!-- end -->\n`)
		require.Len(t, table.FindAllString(text, -1), 1, name)
		text = table.ReplaceAllLiteralString(text, "<!-- "+name+" -->\n"+rows+"<!-- end -->\n")
	}
	require.Equal(t, knownQuirks(), columns(t, text, "quirks"))
	var vendors []string
	for _, v := range redfish.Vendors() {
		vendors = append(vendors, "`"+v.Name()+"`")
	}
	var rows []string
	for _, row := range tableRows(t, text, "vendors") {
		rows = append(rows, row[0])
		if strings.Contains(row[3], "supported") {
			require.Contains(t, row[2], "capture", "%s: supported needs a capture", row[0])
		}
	}
	require.Equal(t, vendors, rows)
	for _, row := range tableRows(t, text, "quirks") {
		require.Regexp(t, `\w/[\w-]+#\d+|source|simulator|sets|Ironic|assumed`, row[3], "%s: evidence", row[0])
	}
	return text
}

// tableRows are the cells of a marked table, without its head.
func tableRows(t *testing.T, text, name string) (rows [][]string) {
	_, table, ok := strings.Cut(text, "<!-- "+name+" -->\n")
	require.True(t, ok, name)
	table, _, ok = strings.Cut(table, "<!-- end -->")
	require.True(t, ok, name)
	for i, line := range strings.Split(strings.TrimSpace(table), "\n") {
		if i > 1 {
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			require.Len(t, cells, 4, line)
			rows = append(rows, cells)
		}
	}
	return rows
}

// columns are the first two, by the first.
func columns(t *testing.T, text, name string) map[string]string {
	found := map[string]string{}
	for _, row := range tableRows(t, text, name) {
		found[strings.Trim(row[0], "`")] = row[1]
	}
	return found
}

// knownQuirks are the vendors that have a quirk or capability, by its name in the code.
func knownQuirks() map[string]string {
	vendors := map[string][]string{}
	for i := range reflect.TypeFor[redfish.Quirks]().NumField() {
		vendors[reflect.TypeFor[redfish.Quirks]().Field(i).Name] = nil
	}
	for _, v := range redfish.Vendors() {
		if q, ok := v.(redfish.Quirker); ok {
			values := reflect.ValueOf(q.Quirks())
			for i := range values.NumField() {
				if name := values.Type().Field(i).Name; !values.Field(i).IsZero() {
					vendors[name] = append(vendors[name], v.Name())
				}
			}
		}
		for _, capability := range []reflect.Type{reflect.TypeFor[redfish.Speller](), reflect.TypeFor[redfish.JobQueue](),
			reflect.TypeFor[redfish.POSTReader](), reflect.TypeFor[redfish.ControllerReader]()} {
			if reflect.TypeOf(v).Implements(capability) {
				vendors[capability.Name()] = append(vendors[capability.Name()], v.Name())
			}
		}
	}
	known := map[string]string{}
	for name, who := range vendors {
		known[name] = strings.Join(who, ", ")
	}
	return known
}

func intentRows() string {
	var spellers []redfish.Vendor
	head, line := "| intent | values |", "|---|---|"
	for _, v := range redfish.Vendors() {
		if _, ok := v.(redfish.Speller); ok {
			spellers = append(spellers, v)
			head, line = head+" "+v.Name()+" |", line+"---|"
		}
	}
	out := head + "\n" + line + "\n"
	for _, intent := range hardware.Intents() {
		row := fmt.Sprintf("| `%s` | `%s` |", intent, strings.Join(intent.Values(), "`, `"))
		for _, v := range spellers {
			var names []string
			for _, s := range v.(redfish.Speller).Spellings(intent) {
				if name := "`" + s.Attribute + "`"; !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
			row += " " + strings.Join(names, ", ") + " |"
		}
		out += row + "\n"
	}
	return out
}

func setRows(t *testing.T) string {
	out := "| set | what it asks for |\n|---|---|\n"
	for _, name := range hardware.BIOSSets() {
		set, err := hardware.BIOSSet(name)
		require.NoError(t, err)
		var intents []string
		for _, intent := range slices.Sorted(maps.Keys(set.Intents)) {
			intents = append(intents, fmt.Sprintf("`%s` %s", intent, set.Intents[intent]))
		}
		if len(intents) == 0 {
			intents = []string{"nothing"}
		}
		out += fmt.Sprintf("| BIOS `%s` | %s |\n", name, strings.Join(intents, ", "))
	}
	for _, name := range hardware.RAIDSets() {
		set, err := hardware.RAIDSet(name)
		require.NoError(t, err)
		var volumes []string
		for _, v := range set.Volumes {
			disks := "the remaining disks"
			switch ofOdd := v.RAIDLevel.Fit(99); {
			case v.DiskCount != hardware.Remaining:
				disks = fmt.Sprintf("%d disks", v.DiskCount)
			case ofOdd == 2:
				disks = "the first 2 disks"
			case ofOdd == 98:
				disks += ", an even number"
			}
			text := fmt.Sprintf("%s on %s", v.RAIDLevel, disks)
			if v.Bootable {
				text += ", to boot from"
			}
			volumes = append(volumes, text)
		}
		out += fmt.Sprintf("| RAID `%s` | %s |\n", name, strings.Join(volumes, "; "))
	}
	return out
}
