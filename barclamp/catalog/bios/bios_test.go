package bios_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/bios"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/racktest"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func configure(t *testing.T, r *racktest.Rack, b *bios.Barclamp, d *proposal.Document, node, state string) *barclamptest.StepContext {
	t.Helper()
	e, err := r.Site.Event(node, state, d)
	require.NoError(t, err)
	steps, err := b.Transition(t.Context(), r.Site, e)
	require.NoError(t, err)
	require.Len(t, steps, 1)
	sc := barclamptest.NewStepContext(e.Node)
	require.NoError(t, steps[0].Run(t.Context(), sc))
	require.Empty(t, sc.Authorized(), "firmware settings destroy nothing")
	return sc
}

func TestRolesDecideTheFirmware(t *testing.T) {
	r := racktest.New(t, 2, 2)
	b := bios.New(bios.Config{Configurator: r.Configurator, Target: r.Target})
	d, err := r.Site.Commit(t.Context(), b)
	require.NoError(t, err)
	for _, state := range []string{"hardware-installing", "hardware-updating"} {
		compute := configure(t, r, b, d, r.Compute(), state)
		storage := configure(t, r, b, d, r.Storage(), state)
		require.Equal(t, "Enabled", r.Machines[r.Compute()].State().BIOS["ProcVirtualization"])
		require.Equal(t, "Disabled", r.Machines[r.Storage()].State().BIOS["ProcVirtualization"])
		require.JSONEq(t, `{"set":"Virtualization","attributes":{"ProcVirtualization":"Enabled","IommuSupport":"Enabled","SriovGlobalEnable":"Enabled"}}`,
			string(compute.Stored()))
		var data bios.Data
		require.NoError(t, json.Unmarshal(storage.Stored(), &data))
		require.Equal(t, "Storage", data.Set)
	}
	require.Equal(t, 2, r.Machines[r.Compute()].State().Boots, "power-on, and one reboot for all settings")
	require.Equal(t, 1, r.Machines[r.Storage()].State().Boots, "its firmware was as wanted")
}

func TestPlanIsWhatTheStepDoes(t *testing.T) {
	r := racktest.New(t, 2, 2)
	b := bios.New(bios.Config{Configurator: r.Configurator, Target: r.Target})
	d, err := r.Site.Commit(t.Context(), b)
	require.NoError(t, err)
	e, err := r.Site.Event(r.Compute(), "hardware-installing", d)
	require.NoError(t, err)
	p, err := b.Plan(t.Context(), r.Site, e)
	require.NoError(t, err)
	var plan hardware.Plan
	require.NoError(t, json.Unmarshal(p.Detail, &plan))
	require.Len(t, plan.Operations, 3)
	require.Contains(t, p.Text, "ProcVirtualization")
	require.Empty(t, p.Destructions)

	configure(t, r, b, d, r.Compute(), "hardware-installing")
	p, err = b.Plan(t.Context(), r.Site, e)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(p.Detail, &plan))
	require.True(t, plan.Empty(), "a second plan is empty")
}

func TestSkippedWithTheReason(t *testing.T) {
	r := racktest.New(t, 2, 2)
	b := bios.New(bios.Config{Configurator: r.Configurator, Target: r.Target})
	d, err := r.Site.Commit(t.Context(), b)
	require.NoError(t, err)
	off, err := d.With(proposal.Edit{Pointer: "/attributes/bios/bios_setup_enable", Value: json.RawMessage("false")})
	require.NoError(t, err)
	e, err := r.Site.Event(r.Compute(), "hardware-installing", off)
	require.NoError(t, err)
	steps, err := b.Transition(t.Context(), r.Site, e)
	require.NoError(t, err)
	require.Equal(t, "bios_setup_enable is false in bios/default", steps[0].Skip)

	e.Document, e.Node.Facts.BMC = d, nil
	steps, err = b.Transition(t.Context(), r.Site, e)
	require.NoError(t, err)
	require.Contains(t, steps[0].Skip, "node has no BMC")
	draft, err := b.Propose(t.Context(), &barclamptest.FakeSite{Machines: []barclamp.Node{e.Node}})
	require.NoError(t, err)
	require.Contains(t, draft.Explanations[0].Reason, "node has no BMC", "said when it is proposed already")
}

func TestAnUnreachableBMCFailsTheStep(t *testing.T) {
	r := racktest.New(t, 2, 2)
	b := bios.New(bios.Config{Configurator: r.Configurator, Target: r.Target})
	d, err := r.Site.Commit(t.Context(), b)
	require.NoError(t, err)
	clear(r.BMCs)
	e, err := r.Site.Event(r.Compute(), "hardware-installing", d)
	require.NoError(t, err)
	steps, err := b.Transition(t.Context(), r.Site, e)
	require.NoError(t, err)
	require.ErrorIs(t, steps[0].Run(t.Context(), barclamptest.NewStepContext(e.Node)), hardware.ErrUnreachable)
}
