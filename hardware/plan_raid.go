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
}

type controllerPlan struct {
	Controller
	taken map[string]bool // disks that a wanted volume has, by identity
	kept  map[string]bool // volumes that are as wanted, by ID
	doom  map[string]string
	make  []Operation
}

func planRAID(want RAIDProfile, seen *Snapshot, ps *problems) []Operation {
	if len(want.Volumes) == 0 {
		return nil
	}
	if len(seen.Storage) == 0 {
		if onlyJBOD(want) && len(seen.Unreadable) == 0 {
			return nil // without a controller there is nothing but plain disks
		}
		ps.add("/raid", "no storage controller on the machine", "a storage controller", unreadableHint(seen))
		return nil
	}
	p := &raidPlanner{seen: seen, problems: ps}
	for _, c := range seen.Storage {
		p.controllers = append(p.controllers, &controllerPlan{Controller: c,
			taken: map[string]bool{}, kept: map[string]bool{}, doom: map[string]string{}})
	}
	open := map[int]bool{}
	for i := range want.Volumes {
		open[i] = true
	}
	// What is there already is matched before anything new takes its disks; a volume of the
	// wanted name first, as two wanted volumes may be alike.
	for _, byName := range []string{"name", "any"} {
		for i, v := range want.Volumes {
			if open[i] && v.RAIDLevel != JBOD && v.DiskCount != Remaining && p.match(v, byName) {
				open[i] = false
			}
		}
	}
	for i, v := range want.Volumes {
		if open[i] && v.RAIDLevel != JBOD && v.DiskCount != Remaining {
			p.create(i, v)
		}
	}
	for i, v := range want.Volumes {
		if v.RAIDLevel == JBOD && v.DiskCount != Remaining {
			p.jbod(i, v)
		}
	}
	for i, v := range want.Volumes {
		if v.RAIDLevel != JBOD && v.DiskCount == Remaining && !p.match(v, "name") && !p.match(v, "any") {
			p.create(i, v)
		}
	}
	for i, v := range want.Volumes {
		if v.RAIDLevel == JBOD && v.DiskCount == Remaining {
			p.jbod(i, v)
		}
	}
	var deletes, creates []Operation
	for _, c := range p.controllers {
		deletes = append(deletes, c.deletions()...)
		creates = append(creates, c.make...)
	}
	return append(deletes, creates...)
}

func onlyJBOD(want RAIDProfile) bool {
	return !slices.ContainsFunc(want.Volumes, func(v VolumeProfile) bool { return v.RAIDLevel != JBOD || v.DiskCount != Remaining })
}

// match keeps an existing volume that is as wanted.
func (p *raidPlanner) match(v VolumeProfile, by string) bool {
	for _, c := range p.usable(v) {
		for _, have := range c.Volumes {
			if c.kept[have.ID] || have.RAIDLevel != v.RAIDLevel || (by == "name" && have.Name != v.Name) {
				continue
			}
			if !sizeFits(v.SizeBytes, have.SizeBytes) || !c.countFits(v, have) {
				continue
			}
			c.kept[have.ID] = true
			for _, d := range have.Drives {
				c.taken[d] = true
			}
			return true
		}
	}
	return false
}

// countFits reports whether an existing volume has the wanted disks: free ones, of the
// wanted kind, as many as asked for. With "remaining" a volume also fits that would use a
// failed disk's slot or was made without it: losing a disk is no reason to destroy the rest.
func (c *controllerPlan) countFits(v VolumeProfile, have Volume) bool {
	all, healthy := 0, 0
	member := map[string]bool{}
	for _, d := range have.Drives {
		if c.taken[d] {
			return false
		}
		member[d] = true
	}
	found := 0
	var group string
	for _, d := range c.Drives {
		if member[d.Identity()] {
			if !v.accepts(d) {
				return false
			}
			found++
			group = d.group()
		}
	}
	if found != len(have.Drives) {
		return false
	}
	for _, d := range c.Drives {
		if !c.taken[d.Identity()] && v.accepts(d) && d.group() == group {
			all++
			if d.Health != "Critical" {
				healthy++
			}
		}
	}
	if v.DiskCount != Remaining {
		return found == int(v.DiskCount)
	}
	return found == v.RAIDLevel.Fit(all) || found == v.RAIDLevel.Fit(healthy)
}

func (p *raidPlanner) create(index int, v VolumeProfile) {
	path := fmt.Sprintf("/raid/volumes/%d", index)
	usable := p.usable(v)
	if len(usable) == 0 {
		p.noController(path, v)
		return
	}
	var reasons []string
	for _, c := range usable {
		disks, reason := c.choose(v)
		if reason != "" {
			reasons = append(reasons, fmt.Sprintf("%s on %s", reason, c.ID))
			continue
		}
		c.claim(disks, fmt.Sprintf("its disks are wanted for %s volume %s", v.RAIDLevel, v.Name))
		volume := &Volume{Name: v.Name, RAIDLevel: v.RAIDLevel, Drives: identities(disks), SizeBytes: v.SizeBytes, Bootable: v.Bootable}
		sizes := make([]int64, len(disks))
		for i, d := range disks {
			sizes[i] = d.SizeBytes
		}
		if usable, err := v.RAIDLevel.Usable(sizes); err == nil && v.SizeBytes > usable {
			p.problems.add(path+"/size_bytes", fmt.Sprint(v.SizeBytes), fmt.Sprintf("at most %d", usable), "")
		}
		c.make = append(c.make, Operation{
			ID:        fmt.Sprintf("raid-create-%s-%s-%s", v.Name, v.RAIDLevel, digest(c.ID, fmt.Sprint(v.SizeBytes), volume.Drives)),
			Component: ComponentRAID, Action: ActionCreateVolume, Target: c.ID + "/" + v.Name,
			After:    describe(*volume),
			Reason:   fmt.Sprintf("no %s volume of %d disks there", v.RAIDLevel, len(disks)),
			Destroys: slices.Clone(volume.Drives), Volume: volume, Controller: c.ID,
		})
		return
	}
	p.problems.add(path, strings.Join(reasons, "; "), v.want(), "")
}

// jbod frees disks of volumes.
func (p *raidPlanner) jbod(index int, v VolumeProfile) {
	left := int(v.DiskCount)
	for _, c := range p.controllers {
		if v.Controller != "" && c.ID != v.Controller || c.Partial && v.DiskCount != Remaining {
			continue
		}
		if c.Partial {
			p.problems.add(fmt.Sprintf("/raid/volumes/%d", index), "disks or volumes of "+c.ID+" that could not be read",
				"a controller that can be seen whole", unreadableHint(p.seen))
			continue
		}
		var disks []Drive
		for _, d := range c.Drives {
			if !c.taken[d.Identity()] && v.accepts(d) && (v.DiskCount == Remaining || left > 0) {
				disks = append(disks, d)
				left--
			}
		}
		c.claim(disks, "its disks are wanted without a volume (JBOD)")
	}
	if v.DiskCount != Remaining && left > 0 {
		p.problems.add(fmt.Sprintf("/raid/volumes/%d/disk_count", index), fmt.Sprintf("%d free disks", int(v.DiskCount)-left), v.want(), "")
	}
}

// usable returns the controllers that may carry v.
func (p *raidPlanner) usable(v VolumeProfile) []*controllerPlan {
	var out []*controllerPlan
	for _, c := range p.controllers {
		if (v.Controller == "" || c.ID == v.Controller) && c.Configurable && !c.Partial &&
			(len(c.RAIDLevels) == 0 || slices.Contains(c.RAIDLevels, v.RAIDLevel)) {
			out = append(out, c)
		}
	}
	return out
}

func (p *raidPlanner) noController(path string, v VolumeProfile) {
	var found []string
	for _, c := range p.controllers {
		switch {
		case v.Controller != "" && c.ID != v.Controller:
			found = append(found, c.ID)
		case !c.Configurable:
			found = append(found, c.ID+", which makes no volumes")
		case c.Partial:
			found = append(found, c.ID+", which could not be read whole")
		default:
			found = append(found, fmt.Sprintf("%s with %s", c.ID, joinLevels(c.RAIDLevels)))
		}
	}
	expected := "a controller for " + string(v.RAIDLevel)
	if v.Controller != "" {
		expected += " named " + v.Controller
	}
	p.problems.add(path, strings.Join(found, "; "), expected, "")
}

// choose picks disks for v in slot order, all of one medium and protocol, or says why not.
func (c *controllerPlan) choose(v VolumeProfile) ([]Drive, string) {
	groups := map[string][]Drive{}
	var order []string
	for _, d := range c.Drives {
		if c.taken[d.Identity()] || !v.accepts(d) || d.Health == "Critical" {
			continue
		}
		if groups[d.group()] == nil {
			order = append(order, d.group())
		}
		groups[d.group()] = append(groups[d.group()], d)
	}
	if v.DiskCount == Remaining {
		if len(order) > 1 {
			return nil, "mixed media " + strings.Join(order, " and ")
		}
		if len(order) == 0 {
			return nil, "no free disk"
		}
		free := groups[order[0]]
		if v.RAIDLevel.Fit(len(free)) == 0 {
			return nil, fmt.Sprintf("%d free disks", len(free))
		}
		return free[:v.RAIDLevel.Fit(len(free))], ""
	}
	var counts []string
	for _, g := range order {
		if len(groups[g]) >= int(v.DiskCount) {
			return groups[g][:v.DiskCount], ""
		}
		counts = append(counts, fmt.Sprintf("%d %s", len(groups[g]), g))
	}
	if len(counts) == 0 {
		return nil, "no free disk"
	}
	return nil, strings.Join(counts, " and ") + " free disks"
}

// claim takes disks and dooms the volumes that lie on them.
func (c *controllerPlan) claim(disks []Drive, why string) {
	for _, d := range disks {
		c.taken[d.Identity()] = true
		for _, v := range c.Volumes {
			if slices.Contains(v.Drives, d.Identity()) && c.doom[v.ID] == "" {
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
		ops = append(ops, Operation{
			ID:        fmt.Sprintf("raid-delete-%s-%s", v.ID, digest(c.ID, string(v.RAIDLevel), v.Drives)),
			Component: ComponentRAID, Action: ActionDeleteVolume, Target: c.ID + "/" + v.ID,
			Before: describe(v), Reason: why, Destroys: slices.Clone(v.Drives), Volume: &v, Controller: c.ID,
		})
	}
	return ops
}

func (v VolumeProfile) accepts(d Drive) bool {
	return (v.Media == "" || strings.EqualFold(v.Media, d.Media)) && (v.Protocol == "" || strings.EqualFold(v.Protocol, d.Protocol))
}

func (v VolumeProfile) want() string {
	text := "the remaining disks"
	if v.DiskCount != Remaining {
		text = fmt.Sprintf("%d disks", int(v.DiskCount))
	}
	if v.Media != "" || v.Protocol != "" {
		text += " of " + strings.TrimSpace(v.Protocol+" "+v.Media)
	}
	text += " for " + string(v.RAIDLevel)
	if v.RAIDLevel != JBOD {
		text += ": " + v.RAIDLevel.diskRule() + ", alike"
	}
	return text
}

func (d Drive) group() string { return strings.TrimSpace(d.Protocol + " " + d.Media) }

// sizeFits allows for a controller that rounds to its stripes.
func sizeFits(want, have int64) bool {
	return want == 0 || have >= want-want/100 && have <= want+want/100
}

func identities(disks []Drive) []string {
	out := make([]string, len(disks))
	for i, d := range disks {
		out[i] = d.Identity()
	}
	return out
}

func describe(v Volume) string {
	return fmt.Sprintf("%s on %s", v.RAIDLevel, strings.Join(v.Drives, " "))
}

func digest(parts ...any) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", parts))
	return hex.EncodeToString(sum[:6])
}
