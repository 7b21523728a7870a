package lifecycle_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/statemachine"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// allStates are the exported names, in the order of default.json.
var allStates = []string{
	lifecycle.Discovering, lifecycle.Discovered, lifecycle.HardwareInstalling, lifecycle.HardwareInstalled,
	lifecycle.Installing, lifecycle.Installed, lifecycle.Readying, lifecycle.Ready, lifecycle.Applying,
	lifecycle.Recovering, lifecycle.Problem, lifecycle.Reboot, lifecycle.Shutdown, lifecycle.Update,
	lifecycle.HardwareUpdating, lifecycle.HardwareUpdated, lifecycle.Reinstall, lifecycle.Reset, lifecycle.Debug,
	lifecycle.Delete, lifecycle.DeleteFinal,
}

func TestDefaultHasTheStatesOfItsConstants(t *testing.T) {
	var names []string
	for _, s := range lifecycle.Default().Machine().States() {
		names = append(names, s.Name)
		require.NotEmpty(t, s.Description, "prose per state")
	}
	require.Equal(t, allStates, names)
}

// A node asks for a state by name, so its events are named after where they lead.
func TestEventsAreNamedAfterTheirTarget(t *testing.T) {
	others := []string{lifecycle.EventAllocate, lifecycle.EventReplan, lifecycle.EventApply, lifecycle.EventApplied, statemachine.Settled}
	for _, s := range lifecycle.Default().Machine().States() {
		for _, tr := range s.Transitions {
			if !slices.Contains(others, tr.Event) {
				require.Equal(t, tr.To, tr.Event, "in %s", s.Name)
			}
		}
	}
}

// What a node may ask for is, for the states of the default lifecycle, what Crowbar's
// restricted API allowed, but for what we changed on purpose.
func TestNodeMayAskForWhatCrowbarAllowed(t *testing.T) {
	crowbar := map[string]string{ // reference: Crowbar's transition table
		"discovering":         "discovered debug",
		"discovered":          "hardware-installing discovering debug",
		"hardware-installing": "hardware-installed discovering debug",
		"hardware-installed":  "installing discovering debug",
		"hardware-updating":   "hardware-updated debug",
		"hardware-updated":    "readying debug",
		"installing":          "installed debug",
		"installed":           "readying",
		"debug":               "discovering hardware-installing hardware-updating",
		"readying":            "ready reboot shutdown recovering problem",
		"ready":               "readying reboot shutdown",
		"applying":            "readying reboot shutdown",
		"reboot":              "readying",
		"shutdown":            "readying",
		"recovering":          "readying reboot shutdown problem",
		"problem":             "readying reboot shutdown",
		"update":              "hardware-updating",
		"reset":               "discovering",
		"reinstall":           "installed",
	}
	ours := map[string]struct{ removed, added string }{
		// The engine ends what it does itself, and nobody walks past the pause.
		"discovered":          {removed: "hardware-installing"},
		"hardware-installing": {removed: "hardware-installed"},
		"hardware-updating":   {removed: "hardware-updated"},
		"readying":            {removed: "ready"},
		"debug":               {removed: "hardware-installing hardware-updating"},
		"reinstall":           {added: "installing"},
		"reboot":              {added: "shutdown"},
	}
	m := lifecycle.Default().Machine()
	for _, from := range m.States() {
		want := append([]string{}, strings.Fields(crowbar[from.Name])...)
		want = slices.DeleteFunc(want, func(to string) bool { return slices.Contains(strings.Fields(ours[from.Name].removed), to) })
		want = append(want, strings.Fields(ours[from.Name].added)...)
		// Crowbar's oversight: an image could not report a problem.
		if from.Kind == statemachine.Work && from.Name != lifecycle.Delete || from.Name == lifecycle.Ready || from.Name == lifecycle.Discovered {
			want = append(want, lifecycle.Problem)
		}
		slices.Sort(want)
		got := []string{}
		for _, to := range allStates {
			if _, ok := m.EventTo(from.Name, to, lifecycle.ActorNode); ok {
				got = append(got, to)
			}
		}
		slices.Sort(got)
		require.Empty(t, cmp.Diff(slices.Compact(want), got), "from %s", from.Name)
	}
}

// Nothing but allocation and reinstall leads to destruction, and both need a grant.
func TestDestructionNeedsAGrant(t *testing.T) {
	m := lifecycle.Default().Machine()
	var entries []string
	for _, s := range m.States() {
		if s.Destructive {
			continue
		}
		for _, tr := range s.Transitions {
			if to, _ := m.State(tr.To); to.Destructive {
				entries = append(entries, s.Name+" "+tr.Event)
				require.Contains(t, tr.Guards, lifecycle.GuardGranted)
				require.NotContains(t, tr.Actors, lifecycle.ActorNode)
			}
		}
	}
	require.Equal(t, []string{"discovered allocate", "ready reinstall", "problem reinstall", "shutdown reinstall"}, entries)
}

// The engine finds reality other than granted wherever something is destroyed.
func TestReplanReturnsToThePause(t *testing.T) {
	m := lifecycle.Default().Machine()
	for _, s := range m.States() {
		if !s.Destructive {
			continue
		}
		in := statemachine.Instance{State: s.Name, Phase: statemachine.PhaseEntering, Visit: 3}
		out, _, err := m.Fire(in, statemachine.Event{Name: lifecycle.EventReplan, Actor: lifecycle.ActorEngine, Reason: "plan changed"}, nil)
		require.NoError(t, err)
		require.Equal(t, lifecycle.Discovered, out.State)
		require.Equal(t, "plan changed", out.Reason)
	}
}

func TestBootActions(t *testing.T) {
	l := lifecycle.Default()
	crowbar := map[string]lifecycle.Action{ // dhcp.state_machine of a real provisioner
		"discovered": "discovery", "hardware-installing": "hwinstall", "hardware-installed": "os_install",
		"hardware-updating": "update", "hardware-updated": "execute", "installing": "os_install", "installed": "execute",
		"update": "update", "readying": "execute", "ready": "execute", "reset": "reset", "delete": "noop",
		"delete-final": "delete", "reinstall": "os_install", "debug": "debug",
		// Not in Crowbar's table: it left alone what was there.
		"discovering": "discovery", "applying": "execute", "recovering": "execute", "problem": "execute",
		"reboot": "execute", "shutdown": "execute",
	}
	for _, name := range allStates {
		require.Equal(t, crowbar[name], l.BootAction(name), name)
	}
	require.Equal(t, lifecycle.ActionExecute, l.BootAction("os-upgrading"), "a doubt boots the harmless thing")
}

func TestWithBootActions(t *testing.T) {
	l := lifecycle.Default()
	over, warnings, err := l.WithBootActions(map[string]string{
		"web_app_state": "dhcp_state", "os-upgrading": "os_install", "problem": "debug", "installing": "execute",
	})
	require.NoError(t, err)
	require.Equal(t, []string{
		`state_machine: lifecycle "crowbar" has no state "os-upgrading": its action "os_install" is not used`,
		`state_machine: lifecycle "crowbar" has no state "web_app_state": its action "dhcp_state" is not used`,
	}, warnings)
	require.Equal(t, lifecycle.ActionDebug, over.BootAction("problem"))
	require.Equal(t, lifecycle.ActionExecute, over.BootAction("installing"))
	require.Equal(t, lifecycle.ActionExecute, over.BootAction("os-upgrading"))
	require.Equal(t, lifecycle.ActionDiscovery, over.BootAction("discovered"), "not named: as it was")
	require.Equal(t, lifecycle.ActionExecute, l.BootAction("problem"), "the original is unchanged")
	require.Same(t, l.Machine(), over.Machine())

	_, warnings, err = l.WithBootActions(map[string]string{"ready": "os_install", "reset": "wipe", "discovered": "hwinstall", "odd": "x"})
	require.Len(t, warnings, 1)
	var refused *statemachine.DefinitionError
	require.ErrorAs(t, err, &refused)
	var found []string
	for _, p := range refused.Problems {
		found = append(found, p.Path+" "+p.Found)
	}
	require.Equal(t, []string{`/discovered "hwinstall" in state "discovered"`, `/ready "os_install" in state "ready"`, `/reset "wipe"`}, found)
}

// The table of a real provisioner proposal fits without errors.
func TestRealStateMachine(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", "crowbar-templates", "provisioner__crowbar.json"))
	if err != nil {
		t.Skip("no real templates here: ", err)
	}
	var doc struct {
		Attributes struct {
			Provisioner struct {
				DHCP struct {
					StateMachine map[string]string `json:"state_machine"`
				} `json:"dhcp"`
			} `json:"provisioner"`
		} `json:"attributes"`
	}
	require.NoError(t, json.Unmarshal(data, &doc))
	table := doc.Attributes.Provisioner.DHCP.StateMachine
	require.NotEmpty(t, table)
	l := lifecycle.Default()
	over, warnings, err := l.WithBootActions(table)
	require.NoError(t, err)
	require.Len(t, warnings, 4, "web_app_state, and three states of a product upgrade: %v", warnings)
	for _, name := range allStates {
		require.Equal(t, l.BootAction(name), over.BootAction(name), name)
	}
}

func TestParseRefuses(t *testing.T) {
	original, err := json.Marshal(lifecycle.Default())
	require.NoError(t, err)
	for name, c := range map[string]struct{ old, new, path, found string }{
		"unknown action":            {`"boot":"reset"`, `"boot":"wipe"`, "/states/17/boot", `"wipe"`},
		"disks written undecided":   {`"boot":"discovery"`, `"boot":"os_install"`, "/states/0/boot", `"os_install" in state "discovering"`},
		"node that decides":         {`"deciders":["operator","rule"]`, `"deciders":["operator","rule","node"]`, "/deciders/2", `"node"`},
		"unknown actor":             {`"actors":["engine"]`, `"actors":["engin"]`, "/states/2/transitions/1/actors/0", `"engin"`},
		"unknown actor of a state":  {`"actor":"node"`, `"actor":"nobody"`, "/states/0/actor", `"nobody"`},
		"event that anybody fires":  {`,"actors":["node"]`, ``, "/states/0/transitions/0/actors", "no actors"},
		"fault of the machine":      {`"kind":"rest"`, `"kind":"sleep"`, "/states/7/kind", `"sleep"`},
		"misspelt key of the state": {`"boot"`, `"boots"`, "", `unknown field "boots"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(original), c.old, c.new, 1)
			require.NotEqual(t, string(original), text)
			_, err := lifecycle.Parse([]byte(text))
			var refused *statemachine.DefinitionError
			require.ErrorAs(t, err, &refused)
			require.Len(t, refused.Problems, 1, "%v", err)
			require.Equal(t, c.path, refused.Problems[0].Path)
			require.Contains(t, refused.Problems[0].Found, c.found)
		})
	}
}

func TestLifecycleSurvivesJSON(t *testing.T) {
	before := lifecycle.Default()
	data, err := json.Marshal(before)
	require.NoError(t, err)
	after, err := lifecycle.Parse(data)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(before.Machine().Definition(), after.Machine().Definition()))
	for _, name := range allStates {
		require.Equal(t, before.BootAction(name), after.BootAction(name))
	}
}

func FuzzParse(f *testing.F) {
	data, err := json.Marshal(lifecycle.Default())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"name":"x","initial":"a","states":[{"name":"a","kind":"rest","boot":"os_install"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := lifecycle.Parse(data)
		if err != nil {
			return
		}
		for _, s := range l.Machine().States() {
			if l.BootAction(s.Name).Destructive() && !s.Destructive {
				t.Fatalf("%s boots %s", s.Name, l.BootAction(s.Name))
			}
		}
		again, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lifecycle.Parse(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
