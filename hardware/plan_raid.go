package hardware

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// raidPlanner hands out the disks of all controllers to the wanted volumes. It must come to
// the same choice when some of its own operations have been done already, or an interrupted
// Apply could not continue; so disks are chosen by slot order only, never by whether they
// happen to be in a volume.
type raidPlanner struct {
	seen        *Snapshot
	controllers []*controllerPlan
	problems    *problems
	names       map[string]bool // of the wanted volumes
	creations   []Operation     // in the order of the rounds: who chose first has a volume first
}

type controllerPlan struct {
	*Controller
	blind string            // why nothing may be planned on it: what cannot be seen could be destroyed
	named map[string]bool   // disks that a wish names, by identity
	taken map[string]bool   // disks that a wanted volume has, by identity
	kept  map[string]bool   // volumes that are as wanted, by ID
	doom  map[string]string // why a volume is deleted, by its ID
}

// wish is a wanted volume that has nothing yet.
type wish struct {
	VolumeProfile
	path  string
	named []Drive         // the disks it names, in slot order
	on    *controllerPlan // which controller they are on
}

func planRAID(want RAIDProfile, seen *Snapshot, ps *problems) []Operation {
	if len(want.Volumes) == 0 {
		return nil
	}
	if len(seen.Storage) == 0 {
		if onlyJBOD(want) && len(seen.Unreadable) == 0 {
			return nil // without a controller there is nothing but plain disks
		}
		ps.add("/raid", "no storage controller on the machine", "a storage controller", storageHint(seen))
		return nil
	}
	p := &raidPlanner{seen: seen, problems: ps, names: map[string]bool{}}
	for i := range seen.Storage {
		c := &controllerPlan{Controller: &seen.Storage[i], named: map[string]bool{}, taken: map[string]bool{}, kept: map[string]bool{}, doom: map[string]string{}}
		c.blind = c.unclear()
		p.controllers = append(p.controllers, c)
	}
	for _, round := range p.rounds(want) {
		p.fulfil(round)
	}
	var ops []Operation
	for _, c := range p.controllers {
		ops = append(ops, c.deletions()...)
	}
	return append(ops, p.creations...)
}

// storageHint says why storage was not seen whole, and what helps. Many BMCs see it only once POST
// has found it.
func storageHint(seen *Snapshot) string {
	hint := unreadableHint(seen, "storage")
	remedy := ""
	switch {
	case seen.System.Power == StateOff:
		remedy = "turn the machine on and plan again when its POST has finished"
	case seen.System.InPOST || seen.System.Power == StatePoweringOn:
		remedy = "plan again when the machine's POST has finished"
	}
	if hint == "" || remedy == "" {
		return hint + remedy
	}
	return hint + "; " + remedy
}

func onlyJBOD(want RAIDProfile) bool {
	return !slices.ContainsFunc(want.Volumes, func(v VolumeProfile) bool { return v.RAIDLevel != JBOD || v.DiskCount != Remaining })
}

// rounds are the wishes in the order in which they choose: disks by name, volumes with a number,
// JBOD with a number, each volume with the remaining disks by itself, JBOD with the rest.
func (p *raidPlanner) rounds(want RAIDProfile) [][]*wish {
	var named, counted, countedJBOD, jbod []*wish
	var remaining [][]*wish
	for i, v := range want.Volumes {
		p.names[v.Name] = true
		w := &wish{VolumeProfile: v, path: fmt.Sprintf("/raid/volumes/%d", i)}
		switch {
		case len(v.Disks) > 0:
			if p.find(w) {
				named = append(named, w)
			}
		case v.DiskCount != Remaining && v.RAIDLevel != JBOD:
			counted = append(counted, w)
		case v.DiskCount != Remaining:
			countedJBOD = append(countedJBOD, w)
		case v.RAIDLevel != JBOD:
			remaining = append(remaining, []*wish{w})
		default:
			jbod = append(jbod, w)
		}
	}
	return append(append([][]*wish{named, counted, countedJBOD}, remaining...), jbod)
}

// fulfil matches what is there already before anything new takes its disks: a volume of the
// wanted name first, as two wanted volumes may be alike; then one with its spares.
func (p *raidPlanner) fulfil(round []*wish) {
	done := map[*wish]bool{}
	for _, by := range []likeness{byName, byAll, byDisks} {
		for _, w := range round {
			if w.RAIDLevel != JBOD && !done[w] {
				done[w] = p.match(w, by)
			}
		}
	}
	for _, w := range round {
		switch {
		case done[w]:
		case w.RAIDLevel == JBOD:
			p.jbod(w)
		default:
			p.create(w)
		}
	}
}

func (p *raidPlanner) create(w *wish) {
	usable := p.usable(w)
	if len(usable) == 0 {
		p.noController(w)
		return
	}
	var misfits []misfit
	for _, c := range usable {
		picked, why := c.choose(w)
		if why != nil {
			why.reason += " on " + c.ID
			misfits = append(misfits, *why)
			continue
		}
		c.claim(picked.all(), fmt.Sprintf("its disks are wanted for %s volume %s", w.RAIDLevel, w.Name))
		p.creations = append(p.creations, c.creation(w, picked))
		return
	}
	path, reasons := w.path+misfits[0].field, make([]string, len(misfits))
	for i, m := range misfits {
		reasons[i] = m.reason
		if m.field != misfits[0].field {
			path = w.path
		}
	}
	p.problems.add(path, strings.Join(reasons, "; "), w.want(), "")
}

func (c *controllerPlan) creation(w *wish, picked choice) Operation {
	volume := &Volume{Name: w.Name, RAIDLevel: w.RAIDLevel, Drives: identities(picked.members), Spares: identities(picked.spares),
		SizeBytes: w.SizeBytes, Bootable: w.Bootable}
	if c.WholeDisksOnly {
		volume.SizeBytes = 0
	}
	return Operation{
		ID:        fmt.Sprintf("raid-create-%s-%s-%s", w.Name, w.RAIDLevel, digest(c.ID, fmt.Sprint(volume.SizeBytes), volume.Drives, volume.Spares)),
		Component: ComponentRAID, Action: ActionCreateVolume, Target: c.ID + "/" + w.Name,
		After: describe(*volume), Reason: fmt.Sprintf("no %s volume of %s there", w.RAIDLevel, plural(len(picked.members), "disk")),
		Reboot: c.OnReset, Destroys: identities(picked.all()), Volume: volume, Controller: c.ID,
	}
}

// jbod frees disks of volumes.
func (p *raidPlanner) jbod(w *wish) {
	left, found := int(w.DiskCount), false
	for _, c := range p.controllers {
		if w.Controller != "" && c.ID != w.Controller || w.on != nil && c != w.on || c.blind != "" && w.DiskCount != Remaining {
			continue
		}
		found = true
		if c.blind != "" {
			p.problems.add(w.path, c.ID+", "+c.blind, "a controller that can be seen whole", storageHint(p.seen))
			continue
		}
		disks := w.named
		if w.on == nil {
			disks = nil
			for _, d := range c.Drives {
				if !c.taken[d.Identity()] && w.accepts(d) && (w.DiskCount == Remaining || left > 0) {
					disks = append(disks, d)
					left--
				}
			}
		}
		c.claim(disks, "its disks are wanted without a volume (JBOD)")
		for _, v := range c.Volumes {
			if c.doom[v.ID] != "" && !c.Configurable {
				p.problems.add(w.path, fmt.Sprintf("volume %s on %s, which cannot delete volumes", v.ID, c.ID), "disks without a volume",
					"delete it by the controller's own means")
			}
		}
	}
	if !found && w.Controller != "" {
		p.noController(w)
		return
	}
	if w.DiskCount != Remaining && w.on == nil && left > 0 {
		p.problems.add(w.path+"/disk_count", fmt.Sprintf("%d free disks", int(w.DiskCount)-left), w.want(), "")
	}
}

// usable returns the controllers that can make w.
func (p *raidPlanner) usable(w *wish) []*controllerPlan {
	var out []*controllerPlan
	for _, c := range p.controllers {
		if c.unusable(w) == "" {
			out = append(out, c)
		}
	}
	return out
}

func (c *controllerPlan) unusable(w *wish) string {
	switch {
	case w.Controller != "" && c.ID != w.Controller:
		return c.ID
	case w.on != nil && c != w.on:
		return c.ID + ", which has not its disks"
	case c.blind != "":
		return c.ID + ", " + c.blind
	case w.RAIDLevel == JBOD:
		return ""
	case !c.Configurable:
		return c.ID + ", which makes no volumes"
	case len(c.RAIDLevels) > 0 && !slices.Contains(c.RAIDLevels, w.RAIDLevel):
		return fmt.Sprintf("%s with %s", c.ID, join(c.RAIDLevels))
	case w.Spares > 0 && c.NoSpares:
		return c.ID + ", which takes no spares"
	}
	return ""
}

func (p *raidPlanner) noController(w *wish) {
	var found []string
	for _, c := range p.controllers {
		found = append(found, c.unusable(w))
	}
	expected := "a controller for " + string(w.RAIDLevel)
	if w.Spares > 0 {
		expected += " with " + plural(w.Spares, "spare")
	}
	if w.Controller != "" {
		expected += " named " + w.Controller
	}
	hint := ""
	if slices.ContainsFunc(p.controllers, func(c *controllerPlan) bool { return c.blind != "" }) {
		hint = storageHint(p.seen)
	}
	p.problems.add(w.path, strings.Join(found, "; "), expected, hint)
}

// claim takes disks and dooms the volumes that lie on them or have them as spares: a controller
// gives no spare away while its volume is there.
func (c *controllerPlan) claim(disks []Drive, why string) {
	for _, d := range disks {
		c.taken[d.Identity()] = true
		for _, v := range c.Volumes {
			if c.doom[v.ID] == "" && (slices.Contains(v.Drives, d.Identity()) || slices.Contains(v.Spares, d.Identity())) {
				c.doom[v.ID] = why
			}
		}
	}
}

func (c *controllerPlan) deletions() []Operation {
	var ops []Operation
	for _, v := range c.Volumes {
		why := c.doom[v.ID]
		if why == "" {
			continue
		}
		destroys := slices.Clone(v.Drives)
		if destroys == nil {
			destroys = []string{}
		}
		ops = append(ops, Operation{
			ID:        fmt.Sprintf("raid-delete-%s-%s", v.ID, digest(c.ID, string(v.RAIDLevel), v.Drives)),
			Component: ComponentRAID, Action: ActionDeleteVolume, Target: c.ID + "/" + v.ID,
			Before: describe(v), Reason: why, Reboot: c.OnReset, Destroys: destroys, Volume: &v, Controller: c.ID,
		})
	}
	return ops
}

func identities(disks []Drive) []string {
	var out []string
	for _, d := range disks {
		out = append(out, d.Identity())
	}
	return out
}

func describe(v Volume) string {
	text := fmt.Sprintf("%s on %s", v.RAIDLevel, strings.Join(v.Drives, " "))
	if len(v.Spares) > 0 {
		text += ", spare " + strings.Join(v.Spares, " ")
	}
	return text
}

func digest(parts ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(sum[:6])
}
