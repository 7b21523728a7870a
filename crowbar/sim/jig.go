package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// ErrNotReachable is why the jig fails a node whose installed system does not run.
var ErrNotReachable = errors.New("sim: the node's system does not run")

// ErrFault is why the jig fails a role that [Machine.FailRole] named.
var ErrFault = errors.New("sim: told to fail")

// Jig returns a jig that applies roles to the machines' installed systems: it takes time, and
// the system remembers what it was given. It needs the system to run, as any jig does.
func (s *Site) Jig() crowbar.Jig { return jig{s} }

type jig struct{ site *Site }

var _ crowbar.Jig = jig{}

// Apply applies the wave to all targets at once, the roles of one after another.
func (j jig) Apply(ctx context.Context, run crowbar.JigRun, sink func(crowbar.JigEvent)) (map[string]error, error) {
	failures := make([]error, len(run.Targets))
	var group sync.WaitGroup
	for i, t := range run.Targets {
		group.Go(func() { failures[i] = j.apply(ctx, run, t, sink) })
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	failed := map[string]error{}
	for i, err := range failures {
		if err != nil {
			failed[run.Targets[i].Node] = err
		}
	}
	return failed, nil
}

func (j jig) apply(ctx context.Context, run crowbar.JigRun, t crowbar.JigTarget, sink func(crowbar.JigEvent)) error {
	m, ok := j.site.Machine(t.Node)
	if !ok {
		return fmt.Errorf("%w: no simulated machine is called %s", ErrNotReachable, t.Node)
	}
	for _, role := range t.Roles {
		boots, up := m.up()
		if !up {
			return fmt.Errorf("%w: %s", ErrNotReachable, t.Node)
		}
		sink(crowbar.JigEvent{Node: t.Node, Role: role, Message: "applying"})
		if err := j.site.wait(ctx, j.site.config.Durations.Role); err != nil {
			return err
		}
		if now, up := m.up(); !up || now != boots {
			return fmt.Errorf("%w: %s went down while %s was applied", ErrNotReachable, t.Node, role)
		}
		if m.fault(role) {
			return fmt.Errorf("%w: role %s on %s", ErrFault, role, t.Node)
		}
		m.give(Role{Proposal: run.Proposal, Role: role, Revision: run.Revision})
		sink(crowbar.JigEvent{Node: t.Node, Role: role, Message: "applied"})
	}
	return nil
}

// FailRole makes the jig fail the next times that it applies a role to this machine.
func (m *Machine) FailRole(role string, times int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults[role] = times
}

func (m *Machine) fault(role string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.faults[role] == 0 {
		return false
	}
	m.faults[role]--
	return true
}

// up says whether the installed system runs, and since which boot.
func (m *Machine) up() (boots int, up bool) {
	s := m.hardware.State()
	r := m.running(s.Boots)
	return s.Boots, s.Power == redfishsim.PowerOn && r != nil && r.Image == imageDisk
}

// give records a role on the installed system, in place of an earlier revision.
func (m *Machine) give(role Role) {
	m.keep(func(r *record) {
		if r.Installed == nil {
			return
		}
		i := slices.IndexFunc(r.Installed.Roles, func(old Role) bool { return old.Proposal == role.Proposal && old.Role == role.Role })
		if i >= 0 {
			r.Installed.Roles[i] = role
			return
		}
		r.Installed.Roles = append(r.Installed.Roles, role)
	})
}
