package deployer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/deployer"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// site has one node with the given roles, and a deployer whose bios_map has the given rows; nil
// leaves the template's.
func site(t require.TestingT, rows []deployer.Row, roles ...string) (*barclamptest.FakeSite, barclamp.Node) {
	d := deployer.New().Info().Template
	if rows != nil {
		raw, err := json.Marshal(rows)
		require.NoError(t, err)
		d, err = d.With(proposal.Edit{Pointer: "/attributes/deployer/bios_map", Value: raw})
		require.NoError(t, err)
	}
	n := barclamptest.NewNode(1, 4)
	for _, r := range roles {
		n.Memberships = append(n.Memberships, barclamp.Membership{Role: r})
	}
	return &barclamptest.FakeSite{Machines: []barclamp.Node{n}, Committed: []*proposal.Document{d}}, n
}

func ExampleHardwareSets() {
	n := barclamptest.NewNode(1, 4)
	n.Memberships = []barclamp.Membership{{Role: "deployer-client"}, {Role: "nova-compute-kvm"}}
	s := &barclamptest.FakeSite{
		Machines:  []barclamp.Node{n},
		Committed: []*proposal.Document{deployer.New().Info().Template},
	}
	choice, err := deployer.HardwareSets(s, n)
	fmt.Println(choice.BIOSSet, choice.RAIDSet, err)
	fmt.Println(choice.Why())
	// Output:
	// Virtualization SingleRaid10 <nil>
	// role nova-compute-kvm matches the row nova-.* of bios_map
}

func TestHardwareSets(t *testing.T) {
	for name, c := range map[string]struct {
		rows  []deployer.Row
		roles []string
		want  string // BIOS set, RAID set, role
	}{
		"nova":                                  {nil, []string{"nova-controller"}, "Virtualization SingleRaid10 nova-controller"},
		"swift":                                 {nil, []string{"swift-proxy", "swift-storage"}, "Storage JBODOnly swift-proxy"},
		"ceph":                                  {nil, []string{"ceph-osd"}, "Storage JBODOnly ceph-osd"},
		"infrastructure has no say":             {nil, []string{"deployer-client", "network", "swift-storage"}, "Storage JBODOnly swift-storage"},
		"infrastructure alone":                  {nil, []string{"deployer-client", "network"}, "Virtualization SingleRaid10 "},
		"no role at all":                        {nil, nil, "Virtualization SingleRaid10 "},
		"two rows with the same sets":           {nil, []string{"swift-storage", "ceph-osd"}, "Storage JBODOnly swift-storage"},
		"patterns match the whole name":         {nil, []string{"my-nova-x", "xswift-y"}, "Virtualization SingleRaid10 "},
		"a fallback first in the table":         {[]deployer.Row{{".*", "default", "SingleRaid1"}, {"nova-.*", "Storage", "JBODOnly"}}, []string{"nova-x"}, "Storage JBODOnly nova-x"},
		"the first row of a role counts":        {[]deployer.Row{{"nova-con.*", "default", "SingleRaid1"}, {"nova-.*", "Storage", "JBODOnly"}}, []string{"nova-controller"}, "default SingleRaid1 nova-controller"},
		"an alternative is anchored as a whole": {[]deployer.Row{{"a|b", "default", "SingleRaid1"}, {".*", "Storage", "JBODOnly"}}, []string{"ax"}, "Storage JBODOnly "},
	} {
		t.Run(name, func(t *testing.T) {
			s, n := site(t, c.rows, c.roles...)
			got, err := deployer.HardwareSets(s, n)
			require.NoError(t, err)
			require.Equal(t, c.want, got.BIOSSet+" "+got.RAIDSet+" "+got.Role)
			require.Contains(t, got.Why(), "row "+got.Pattern)
		})
	}
}

func TestHardwareSetsConflict(t *testing.T) {
	s, n := site(t, nil, "nova-compute-kvm", "swift-storage", "deployer-client")
	_, err := deployer.HardwareSets(s, n)
	var conflict *deployer.ConflictError
	require.ErrorAs(t, err, &conflict)
	for _, part := range []string{n.Name, "nova-compute-kvm", "nova-.*", "SingleRaid10", "swift-storage", "swift-.*", "JBODOnly"} {
		require.Contains(t, err.Error(), part)
	}
	_, err = deployer.New().Transition(t.Context(), s, barclamp.Event{Node: n, State: "hardware-installing", Document: s.Committed[0]})
	require.ErrorAs(t, err, &conflict)
}

func TestHardwareSetsWithoutChoice(t *testing.T) {
	s, n := site(t, []deployer.Row{{"nova-.*", "default", "JBODOnly"}}, "swift-storage")
	_, err := deployer.HardwareSets(s, n)
	require.ErrorIs(t, err, deployer.ErrNoChoice)
	_, err = deployer.HardwareSets(&barclamptest.FakeSite{}, n)
	require.ErrorIs(t, err, deployer.ErrNoChoice)
	s, n = site(t, []deployer.Row{{"nova-(", "default", "JBODOnly"}}, "nova-x")
	_, err = deployer.HardwareSets(s, n)
	require.ErrorContains(t, err, "row 0")
	require.NotErrorIs(t, err, deployer.ErrNoChoice)
}

// TestHardwareSetsIgnoreTheOrderOfRoles: which sets a node gets, or that it cannot have any,
// does not depend on which of its proposals was committed first.
func TestHardwareSetsIgnoreTheOrderOfRoles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles := rapid.SliceOfN(rapid.SampledFrom([]string{"nova-controller", "nova-compute-kvm", "swift-storage", "ceph-osd", "x-datanode", "network"}), 1, 5).Draw(t, "roles")
		s, n := site(t, nil, roles...)
		first, firstErr := deployer.HardwareSets(s, n)
		s, n = site(t, nil, rapid.Permutation(roles).Draw(t, "shuffled")...)
		second, err := deployer.HardwareSets(s, n)
		require.Equal(t, first, second)
		require.Equal(t, firstErr == nil, err == nil)
		var conflict *deployer.ConflictError
		if errors.As(err, &conflict) {
			require.NotEqual(t, conflict.Rows[0].BIOSSet+conflict.Rows[0].RAIDSet, conflict.Rows[1].BIOSSet+conflict.Rows[1].RAIDSet)
		}
	})
}

func TestTheChoiceIsRecorded(t *testing.T) {
	s, n := site(t, nil, "nova-controller")
	steps, err := deployer.New().Transition(t.Context(), s, barclamp.Event{Node: n, State: "hardware-installing", Document: s.Committed[0]})
	require.NoError(t, err)
	require.Len(t, steps, 1)
	sc := barclamptest.NewStepContext(n)
	require.NoError(t, steps[0].Run(t.Context(), sc))
	require.JSONEq(t, `{"bios_set":"Virtualization","raid_set":"SingleRaid10","why":"role nova-controller matches the row nova-.* of bios_map"}`, string(sc.Stored()))
}

func TestValidate(t *testing.T) {
	d := deployer.New().Info().Template
	for pointer, value := range map[string]string{
		"/0/pattern":  `"nova-("`,
		"/1/bios_set": `"Virtualisation"`,
		"/2/raid_set": `"SingleRaid7"`,
		"/3/pattern":  `""`,
		"/4":          `"ceph"`,
	} {
		var err error
		d, err = d.With(proposal.Edit{Pointer: "/attributes/deployer/bios_map" + pointer, Value: json.RawMessage(value)})
		require.NoError(t, err)
	}
	err := deployer.New().Validate(t.Context(), &barclamptest.FakeSite{}, d)
	var invalid *proposal.ValidationError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
	}
	const base = "/attributes/deployer/bios_map"
	require.Equal(t, []string{base + "/0/pattern", base + "/1/bios_set", base + "/2/raid_set", base + "/3/pattern", base + "/4"}, paths)

	d, err = d.With(proposal.Edit{Pointer: base, Value: json.RawMessage(`{}`)})
	require.NoError(t, err)
	require.ErrorAs(t, deployer.New().Validate(t.Context(), &barclamptest.FakeSite{}, d), &invalid)
}
