package provisioner_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/provisioner"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func TestInstallingNamesEveryDisk(t *testing.T) {
	s := barclamptest.NewSite(1, 0)
	s.Machines[0].Facts.Disks[2].Serial = ""
	b := provisioner.New(provisioner.Config{})
	d, err := s.Commit(t.Context(), b)
	require.NoError(t, err)
	e, err := s.Event(s.Machines[0].Name, "installing", d)
	require.NoError(t, err)
	p, err := b.Plan(t.Context(), s, e)
	require.NoError(t, err)
	require.Equal(t, []barclamp.Destruction{{
		Operation:   provisioner.InstallOperation,
		Disks:       []string{"FAKE00001-00", "FAKE00001-01", "5000c50000000102", "FAKE00001-03"},
		Description: "install ubuntu-24.04 over what is on any of its disks",
	}}, p.Destructions)

	e.Node.Facts.Disks = nil
	p, err = b.Plan(t.Context(), s, e)
	require.NoError(t, err)
	require.Empty(t, p.Destructions, "what nobody can name cannot be granted")
	require.NotEmpty(t, p.Skipped)
}

func TestAnAdminNodeServes(t *testing.T) {
	s := barclamptest.NewSite(3, 0)
	d, err := provisioner.New(provisioner.Config{}).Propose(t.Context(), s)
	require.NoError(t, err)
	require.Empty(t, d.Elements[provisioner.RoleServer])
	require.Contains(t, d.Explanations[0].Reason, "crowbar-server itself is the provisioner")
	s.Machines[1].Admin = true
	d, err = provisioner.New(provisioner.Config{}).Propose(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, []string{s.Machines[1].Name}, d.Elements[provisioner.RoleServer])
	require.NotContains(t, d.Elements[provisioner.RoleBase], s.Machines[1].Name)
}

func TestValidate(t *testing.T) {
	b := provisioner.New(provisioner.Config{})
	d := b.Info().Template
	const at = "/attributes/provisioner/"
	for pointer, value := range map[string]string{
		"dhcp/state_machine/ready":         `"os_install"`,
		"dhcp/state_machine/discovered":    `"dicsovery"`,
		"dhcp/state_machine/web_app_state": `"dhcp_state"`, // Crowbar's comment: no problem
		"default_os":                       `"plan9"`,
		"enable_pxe":                       `"yes"`,
	} {
		var err error
		d, err = d.With(proposal.Edit{Pointer: at + pointer, Value: json.RawMessage(value)})
		require.NoError(t, err)
	}
	var invalid *proposal.ValidationError
	require.ErrorAs(t, b.Validate(t.Context(), &barclamptest.FakeSite{}, d), &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
	}
	require.Equal(t, []string{at + "dhcp/state_machine/discovered", at + "dhcp/state_machine/ready", at + "default_os", at + "enable_pxe"}, paths)
}

func TestCrowbarsStateMachineIsAccepted(t *testing.T) {
	data, err := os.ReadFile("../../../../shared/data/crowbar-templates/provisioner__crowbar.json")
	if err != nil {
		t.Skip("no real templates here:", err)
	}
	d, err := proposal.Parse(data)
	require.NoError(t, err)
	d, err = d.With(proposal.Edit{Pointer: "/attributes/provisioner/default_os", Value: json.RawMessage(`"suse-12.3"`)})
	require.NoError(t, err)
	require.NoError(t, provisioner.New(provisioner.Config{}).Validate(t.Context(), &barclamptest.FakeSite{}, d))
}
