package hardwaretest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

func planHasNoEffect(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	before := r.State()
	require.NotEmpty(t, plan(t, r, r.Profile).Operations)
	require.Equal(t, before, r.State())
}

// halfAView refuses each request of an observation in turn.
func halfAView(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	if r.Profile.RAID == nil {
		return
	}
	if r.AddVolume != nil {
		r.AddVolume(t)
	}
	want := hardware.Profile{RAID: r.Profile.RAID}
	right, plans := plan(t, r, want), 0
	atEach(t, func(n int) bool {
		f := refusing()
		f.arm(n)
		seen, err := r.open(t, f.wrap).Observe(t.Context(), r.Target)
		if err != nil {
			return f.reached()
		}
		if p, err := hardware.NewPlan(want, seen); err == nil {
			require.Equal(t, right.Operations, p.Operations, "without request %d", n)
			plans++
		}
		return f.reached()
	})
	require.Positive(t, plans, "not all that can be read is needed for volumes")
}

func applyConverges(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	c := r.open(t, nil)
	p := planFor(t, r, c)
	before := r.State()
	res, err := c.Apply(t.Context(), r.Target, p, consent())
	require.NoError(t, err)
	require.Len(t, res.Done, len(p.Operations), "each operation is verified and reported")
	require.Equal(t, p.Reboots(), res.Reboots, "as many reboots as planned")
	s := r.State()
	require.Equal(t, p.Reboots(), s.Boots-before.Boots, "resets of the machine")
	require.Zero(t, s.Collisions)
	require.Equal(t, volumes(p), s.Volumes-before.Volumes)
	require.True(t, plan(t, r, r.Profile).Empty())
}

// volumes is how many there are more after a plan.
func volumes(p *hardware.Plan) (n int) {
	for _, op := range p.Operations {
		switch op.Action {
		case hardware.ActionCreateVolume:
			n++
		case hardware.ActionDeleteVolume:
			n--
		}
	}
	return n
}

// destroyed is how often a plan destroys each disk's data.
func destroyed(p *hardware.Plan) map[string]int {
	out := map[string]int{}
	for _, op := range p.Operations {
		for _, disk := range op.Destroys {
			out[disk]++
		}
	}
	return out
}

func partsCommute(t *testing.T, newRig func(*testing.T) *Rig) {
	for _, backwards := range []bool{false, true} {
		r := newRig(t)
		parts := []hardware.Profile{{BIOS: r.Profile.BIOS}, {RAID: r.Profile.RAID}}
		if backwards {
			slices.Reverse(parts)
		}
		parts = append(parts, hardware.Profile{Boot: r.Profile.Boot}) // its order depends on the volumes
		for _, part := range parts {
			_, err := r.open(t, nil).Apply(t.Context(), r.Target, plan(t, r, part), consent())
			require.NoError(t, err)
		}
		for _, part := range parts {
			require.True(t, plan(t, r, part).Empty())
		}
		require.Zero(t, r.State().Collisions)
	}
}

func applyTwice(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	c := r.open(t, nil)
	p := planFor(t, r, c)
	_, err := c.Apply(t.Context(), r.Target, p, consent())
	require.NoError(t, err)
	before := r.State()
	res, err := c.Apply(t.Context(), r.Target, p, nil)
	require.NoError(t, err, "what is in effect needs no consent")
	require.Len(t, res.Skipped, len(p.Operations))
	require.Equal(t, before, r.State())
}

func consentFirst(t *testing.T, newRig func(*testing.T) *Rig) {
	r := newRig(t)
	p := plan(t, r, hardware.Profile{RAID: r.Profile.RAID})
	if r.Profile.RAID == nil {
		require.Empty(t, p.Destroys())
		return
	}
	c := r.open(t, nil)
	before := r.State()
	for _, opts := range []*hardware.ApplyOptions{nil, {}, {Authorize: func(context.Context, hardware.Destruction) error { return errors.New("no") }}} {
		_, err := c.Apply(t.Context(), r.Target, p, opts)
		require.ErrorIs(t, err, hardware.ErrNotAuthorized)
	}
	require.Equal(t, before, r.State())

	asked := map[string]bool{}
	_, err := c.Apply(t.Context(), r.Target, p, &hardware.ApplyOptions{Authorize: func(_ context.Context, d hardware.Destruction) error {
		require.Equal(t, before.Changes, r.State().Changes, "asked before anything is done")
		for _, disk := range d.Disks {
			asked[disk] = true
		}
		return nil
	}})
	require.NoError(t, err)
	for disk, wipes := range r.State().Wipes {
		require.Equal(t, wipes > before.Wipes[disk], asked[disk], "consent was asked for exactly the disks that lost data: %s", disk)
	}
}

func consentIsForWhatWasShown(t *testing.T, newRig func(*testing.T) *Rig) {
	for _, replaces := range []bool{false, true} {
		r := newRig(t)
		if r.AddVolume == nil {
			return
		}
		if replaces {
			r.AddVolume(t)
		}
		c := r.open(t, nil)
		p := planFor(t, r, c)
		var changed State
		_, err := c.Apply(t.Context(), r.Target, p, &hardware.ApplyOptions{Authorize: func(_ context.Context, d hardware.Destruction) error {
			if d.Kind == hardware.ActionCreateVolume && changed.Changes == 0 {
				r.AddVolume(t)
				changed = r.State()
			}
			return nil
		}})
		require.NotZero(t, changed.Changes, "consent was asked for")
		require.Error(t, err)
		require.True(t, errors.Is(err, hardware.ErrStalePlan) || errors.Is(err, hardware.ErrRejected), "%v", err)
		s := r.State()
		require.Equal(t, changed.Volumes, s.Volumes, "theirs is left")
		require.Equal(t, changed.Wipes, s.Wipes)
	}
}

func stalePlan(t *testing.T, newRig func(*testing.T) *Rig) {
	for _, keeps := range []bool{false, true} {
		r := newRig(t)
		change := r.ChangeSetting
		if change == nil {
			change = r.AddVolume
		}
		if change == nil {
			t.Skip("nothing on this machine makes a plan stale")
		}
		c := r.open(t, nil)
		var p *hardware.Plan
		if keeps { // what was observed by the one that applies
			p = planBy(t, r, c, r.Profile)
		} else {
			p = plan(t, r, r.Profile)
		}
		change(t)
		before := r.State()
		_, err := c.Apply(t.Context(), r.Target, p, consent())
		require.ErrorIs(t, err, hardware.ErrStalePlan)
		s := r.State()
		if keeps && r.Keeps {
			// It may notice on its way, having written other settings; no more than that.
			s.Changes, s.Sessions = before.Changes, before.Sessions
		}
		require.Equal(t, before, s)
	}
}
