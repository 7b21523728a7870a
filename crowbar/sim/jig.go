package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/crowbarkit/crowbarkit/crowbar"
	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/statemachine/lifecycle"
)

// ErrNotReachable is why the jig fails a node that is off, in POST or in the installer.
var ErrNotReachable = errors.New("sim: nothing on the node to apply roles to")

// ErrFault is why the jig fails a role that [Machine.FailRole] named.
var ErrFault = errors.New("sim: told to fail")

// Jig returns a jig that applies roles to what runs on the machines: the installed system,
// which remembers what it was given, or the discovery image, which forgets it at its end
// (Crowbar ran Chef in both). It takes time, and fails if the machine goes down meanwhile.
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

// up says whether something runs on the machine that the jig can log in to, and since which
// boot.
func (m *Machine) up() (boots int, up bool) {
	s := m.hardware.State()
	r := m.running(s.Boots)
	return s.Boots, s.Power == redfishsim.PowerOn && r != nil && r.Image != string(lifecycle.ActionOSInstall)
}

// give records a role on the installed system, in place of an earlier revision, if that is
// what runs.
func (m *Machine) give(role Role) {
	m.keep(func(r *record) {
		if r.Running == nil || r.Running.Image != imageDisk || r.Installed == nil {
			return
		}
		same := func(old Role) bool { return old.Proposal == role.Proposal && old.Role == role.Role }
		if i := slices.IndexFunc(r.Installed.Roles, same); i >= 0 {
			r.Installed.Roles[i] = role
			return
		}
		r.Installed.Roles = append(r.Installed.Roles, role)
	})
}
