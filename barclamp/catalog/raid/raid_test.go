package raid_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/deployer"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/internal/racktest"
	"github.com/crowbarkit/crowbarkit/barclamp/catalog/raid"
	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/proposal"
)

const state = "hardware-installing"

type bench struct {
	*racktest.Rack
	raid *raid.Barclamp
	doc  *proposal.Document
}

func newBench(t *testing.T) bench {
	t.Helper()
	r := racktest.New(t, 2, 2)
	b := bench{Rack: r, raid: raid.New(raid.Config{Configurator: r.Configurator, Target: r.Target})}
	var err error
	b.doc, err = r.Site.Commit(t.Context(), b.raid)
	require.NoError(t, err)
	return b
}

func (b bench) event(t *testing.T, node string) barclamp.Event {
	t.Helper()
	e, err := b.Site.Event(node, state, b.doc)
	require.NoError(t, err)
	return e
}

func (b bench) plan(t *testing.T, node string) *barclamp.Plan {
	t.Helper()
	p, err := b.raid.Plan(t.Context(), b.Site, b.event(t, node))
	require.NoError(t, err)
	return p
}

// step returns the one step of an event whose node is a member already.
func (b bench) step(t *testing.T, node string) barclamp.Step {
	t.Helper()
	steps, err := b.raid.Transition(t.Context(), b.Site, b.event(t, node))
	require.NoError(t, err)
	require.Len(t, steps, 1)
	return steps[0]
}

func (b bench) context(t *testing.T, node string) *barclamptest.StepContext {
	t.Helper()
	sc := barclamptest.NewStepContext(b.event(t, node).Node)
	sc.Grant = b.plan(t, node).Destructions
	return sc
}

func TestRolesDecideTheVolumes(t *testing.T) {
	b := newBench(t)
	compute := b.context(t, b.Compute())
	require.Len(t, compute.Grant, 1)
	require.Len(t, compute.Grant[0].Disks, 4)
	require.NoError(t, b.step(t, b.Compute()).Run(t.Context(), compute))

	volumes := b.Machines[b.Compute()].State().Volumes
	require.Len(t, volumes, 1)
	require.Equal(t, hardware.RAID10, volumes[0].RAIDLevel)
	require.Empty(t, cmp.Diff(compute.Grant, compute.Authorized()), "the step spends what the plan named")
	for serial, disk := range b.Machines[b.Compute()].State().Disks {
		require.Equal(t, 1, disk.Wipes, "disk %s", serial)
	}
	var data raid.Data
	require.NoError(t, json.Unmarshal(compute.Stored(), &data))
	require.Equal(t, "SingleRaid10", data.Set)
	require.Len(t, data.Volumes, 1)
	require.Equal(t, hardware.RAID10, data.Volumes[0].RAIDLevel)
	require.EqualValues(t, 2*1_000_204_886_016, data.Volumes[0].SizeBytes)
	require.Empty(t, b.plan(t, b.Compute()).Destructions, "converged")

	storage := b.context(t, b.Storage())
	require.Empty(t, storage.Grant, "disks that hold no volume are JBOD already")
	require.NoError(t, b.step(t, b.Storage()).Run(t.Context(), storage))
	require.Equal(t, []string{"converged"}, storage.Messages())
	require.Empty(t, b.Machines[b.Storage()].State().Volumes)
	require.JSONEq(t, `{"set":"JBODOnly","volumes":[]}`, string(storage.Stored()))
}

func TestAStorageNodeLosesItsFactoryVolume(t *testing.T) {
	b := newBench(t)
	m := b.Machines[b.Storage()]
	spec := m.Spec()
	_, err := m.CreateVolume(redfishsim.Volume{Controller: spec.Controllers[0].ID, Name: "factory", RAIDLevel: hardware.RAID1,
		Disks: []string{spec.Disks[0].Serial, spec.Disks[1].Serial}})
	require.NoError(t, err)
	sc := b.context(t, b.Storage())
	require.Len(t, sc.Grant, 1)
	require.Contains(t, sc.Grant[0].Description, "factory")
	require.NoError(t, b.step(t, b.Storage()).Run(t.Context(), sc))
	require.Empty(t, m.State().Volumes)
	require.Len(t, sc.Authorized(), 1)
}

func TestTheBIOSMapIsObeyed(t *testing.T) {
	b := newBench(t)
	d, ok := barclamp.First(b.Site, deployer.Name)
	require.True(t, ok)
	edited, err := d.With(proposal.Edit{Pointer: "/attributes/deployer/bios_map/2/raid_set", Value: json.RawMessage(`"SingleRaid1"`)})
	require.NoError(t, err)
	b.Site.Put(edited)
	require.NoError(t, b.step(t, b.Compute()).Run(t.Context(), b.context(t, b.Compute())))
	require.Equal(t, hardware.RAID1, b.Machines[b.Compute()].State().Volumes[0].RAIDLevel)
}

func TestNothingIsDestroyedThatWasNotGranted(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, b bench, sc *barclamptest.StepContext){
		"no grant at all": func(_ *testing.T, _ bench, sc *barclamptest.StepContext) { sc.Grant = nil },
		"a grant for fewer disks": func(_ *testing.T, _ bench, sc *barclamptest.StepContext) {
			sc.Grant[0].Disks = sc.Grant[0].Disks[:2]
		},
		"a volume that appeared after the plan": func(t *testing.T, b bench, _ *barclamptest.StepContext) {
			m := b.Machines[b.Compute()]
			spec := m.Spec()
			_, err := m.CreateVolume(redfishsim.Volume{Controller: spec.Controllers[0].ID, Name: "mine", RAIDLevel: hardware.RAID1,
				Disks: []string{spec.Disks[0].Serial, spec.Disks[1].Serial}})
			require.NoError(t, err)
			require.NoError(t, m.Write("Disk.Virtual.1", "precious"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			sc := b.context(t, b.Compute())
			change(t, b, sc)
			before := b.Machines[b.Compute()].State()
			err := b.step(t, b.Compute()).Run(t.Context(), sc)
			require.ErrorIs(t, err, barclamp.ErrPlanChanged)
			after := b.Machines[b.Compute()].State()
			require.Empty(t, cmp.Diff(before.Disks, after.Disks))
			require.Empty(t, cmp.Diff(before.Volumes, after.Volumes))
			require.Nil(t, sc.Stored(), "nothing is recorded of what was not done")
		})
	}
}

func TestSkippedWithTheReason(t *testing.T) {
	for name, c := range map[string]struct {
		change func(t *testing.T, b *bench)
		reason string
	}{
		"no BMC":          {func(_ *testing.T, b *bench) { b.Site.Machines[0].Facts.BMC = nil }, "node has no BMC"},
		"no configurator": {func(_ *testing.T, b *bench) { b.raid = raid.New(raid.Config{}) }, "not set up on this server"},
		"switched off": {func(t *testing.T, b *bench) {
			var err error
			b.doc, err = b.doc.With(proposal.Edit{Pointer: "/attributes/raid/enable", Value: json.RawMessage("false")})
			require.NoError(t, err)
		}, "enable is false in raid/default"},
		"no deployer": {func(_ *testing.T, b *bench) { b.Site.Committed = nil }, "no deployer proposal is in force"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			c.change(t, &b)
			s := b.step(t, b.Site.Machines[0].Name)
			require.Contains(t, s.Skip, c.reason)
			require.Nil(t, s.Run)
			require.Contains(t, b.plan(t, b.Site.Machines[0].Name).Skipped, c.reason)
		})
	}
}

func TestOppositeRolesAreRefused(t *testing.T) {
	b := newBench(t)
	n := &b.Site.Machines[0]
	n.Memberships = append(n.Memberships, barclamp.Membership{Proposal: proposal.Key{Barclamp: "swift", Name: "default"}, Role: "swift-storage"})
	_, err := b.raid.Transition(t.Context(), b.Site, b.event(t, n.Name))
	var conflict *deployer.ConflictError
	require.ErrorAs(t, err, &conflict)
	_, err = b.raid.Plan(t.Context(), b.Site, b.event(t, n.Name))
	require.ErrorAs(t, err, &conflict)
}

func TestANodeThatCameLaterJoins(t *testing.T) {
	b := newBench(t)
	var err error
	b.doc, err = b.doc.WithElements(nil)
	require.NoError(t, err)
	steps, err := b.raid.Transition(t.Context(), b.Site, b.event(t, b.Compute()))
	require.NoError(t, err)
	require.Len(t, steps, 2)
	sc := barclamptest.NewStepContext(b.event(t, b.Compute()).Node)
	require.NoError(t, steps[0].Run(t.Context(), sc))
	require.Equal(t, []string{raid.RoleConfigure}, sc.Joined())
}

func TestOnlyHardwareInstallingMakesVolumes(t *testing.T) {
	b := newBench(t)
	for _, other := range []string{"hardware-updating", "installing", "ready"} {
		e, err := b.Site.Event(b.Compute(), other, b.doc)
		require.NoError(t, err)
		steps, err := b.raid.Transition(t.Context(), b.Site, e)
		require.NoError(t, err)
		require.Empty(t, steps)
		p, err := b.raid.Plan(t.Context(), b.Site, e)
		require.NoError(t, err)
		require.Nil(t, p)
	}
}

// meddler changes the machine after the step has planned and before it applies.
type meddler struct {
	hardware.Configurator
	meddle func()
}

func (m meddler) Apply(ctx context.Context, t hardware.Target, p *hardware.Plan, opts *hardware.ApplyOptions) (*hardware.Result, error) {
	m.meddle()
	return m.Configurator.Apply(ctx, t, p, opts)
}

func TestAMachineThatChangesUnderTheStep(t *testing.T) {
	b := newBench(t)
	machine := b.Machines[b.Compute()]
	sc := b.context(t, b.Compute())
	b.raid = raid.New(raid.Config{Target: b.Target, Configurator: meddler{b.Configurator, func() {
		spec := machine.Spec()
		_, err := machine.CreateVolume(redfishsim.Volume{Controller: spec.Controllers[0].ID, Name: "mine", RAIDLevel: hardware.RAID1,
			Disks: []string{spec.Disks[0].Serial, spec.Disks[1].Serial}})
		require.NoError(t, err)
	}}})
	err := b.step(t, b.Compute()).Run(t.Context(), sc)
	require.ErrorIs(t, err, barclamp.ErrPlanChanged)
	require.ErrorIs(t, err, hardware.ErrStalePlan)
	require.Empty(t, sc.Authorized())
	require.Len(t, machine.State().Volumes, 1, "the volume that appeared is still there")
}

// forgetful crashes before what was done is recorded.
type forgetful struct{ *barclamptest.StepContext }

func (f forgetful) Data() barclamp.RoleData { return noRecord{f.StepContext} }

type noRecord struct{ barclamp.RoleData }

func (noRecord) Put(context.Context, any) error { return errors.New("crash") }

func TestACrashBeforeTheRecordDestroysNothingTwice(t *testing.T) {
	b := newBench(t)
	sc := b.context(t, b.Compute())
	require.EqualError(t, b.step(t, b.Compute()).Run(t.Context(), forgetful{sc}), "crash")
	require.Len(t, sc.Authorized(), 1)
	require.NoError(t, b.step(t, b.Compute()).Run(t.Context(), sc))
	require.Len(t, sc.Authorized(), 1, "asked once")
	require.NotNil(t, sc.Stored())
	for serial, disk := range b.Machines[b.Compute()].State().Disks {
		require.Equal(t, 1, disk.Wipes, "disk %s", serial)
	}
}
