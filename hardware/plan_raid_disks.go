package hardware

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// choice is the disks of a volume to create.
type choice struct{ members, spares []Drive }

func (c choice) all() []Drive { return append(slices.Clone(c.members), c.spares...) }

// misfit says why a controller has no disks for a wish, and which field asks too much.
type misfit struct{ field, reason string }

// unclear says why disks and volumes of a controller cannot be told, empty if they can.
func (c Controller) unclear() string {
	if c.Partial {
		return "which could not be read whole"
	}
	seen := map[string]bool{}
	for _, d := range c.Drives {
		if seen[d.Identity()] {
			return fmt.Sprintf("which has two disks called %q", d.Identity())
		}
		seen[d.Identity()] = true
	}
	clear(seen)
	for _, v := range c.Volumes {
		if seen[v.ID] {
			return fmt.Sprintf("which has two volumes called %q", v.ID)
		}
		seen[v.ID] = true
	}
	return ""
}

// find looks for the disks that w names.
func (p *raidPlanner) find(w *wish) bool {
	before := len(*p.problems)
	picked := map[string]bool{}
	for i, name := range w.Disks {
		bad := func(found, expected, hint string) {
			p.problems.add(fmt.Sprintf("%s/disks/%d", w.path, i), found, expected, hint)
		}
		on, disk, matches := p.disk(name, w.Controller)
		switch {
		case matches == 0:
			bad(fmt.Sprintf("%q", name), "one of "+p.disks(w.Controller), "a disk is named by its serial number, WWN or ID")
		case matches > 1:
			bad(fmt.Sprintf("%q, which %d disks are called", name, matches), "one disk", "name it by its serial number, or the controller too")
		case w.on != nil && on != w.on:
			bad(fmt.Sprintf("%q on %s", name, on.ID), "a disk on "+w.on.ID+" like the others", "")
		case on.named[disk.Identity()]:
			bad(fmt.Sprintf("%q", name), "a disk once", "it is named already, perhaps by another of its names")
		case !w.accepts(disk):
			bad(fmt.Sprintf("%q, %s of %d bytes", name, disk.kind(), disk.SizeBytes), "a disk"+w.kind(), "")
		default:
			on.named[disk.Identity()] = true
			picked[disk.Identity()] = true
			w.on = on
		}
	}
	if len(*p.problems) > before {
		return false
	}
	for _, d := range w.on.Drives {
		if picked[d.Identity()] {
			w.named = append(w.named, d)
		}
	}
	if w.on.blind != "" {
		p.problems.add(w.path, w.on.ID+", "+w.on.blind, "a controller that can be seen whole", storageHint(p.seen))
		return false
	}
	return true
}

// disk finds a disk by one of its names, and how many have it.
func (p *raidPlanner) disk(name, controller string) (on *controllerPlan, found Drive, matches int) {
	for _, c := range p.controllers {
		if controller != "" && c.ID != controller {
			continue
		}
		for _, d := range c.Drives {
			if name == d.Serial || name == d.ID || strings.EqualFold(name, d.WWN) {
				on, found = c, d
				matches++
			}
		}
	}
	return on, found, matches
}

// disks lists the disks that may be named.
func (p *raidPlanner) disks(controller string) string {
	var out []string
	for _, c := range p.controllers {
		if controller == "" || c.ID == controller {
			out = append(out, identities(c.Drives)...)
		}
	}
	if len(out) == 0 {
		return "the machine's disks, of which none was seen"
	}
	return strings.Join(out, ", ")
}

// choose picks disks for w in slot order, all of one medium and protocol, or says why not. What is
// impossible with the free disks must be so with fewer of them: wishes further down the list may
// have theirs already when the plan is made again.
func (c *controllerPlan) choose(w *wish) (choice, *misfit) {
	var groups, others [][]Drive // free disks that w accepts, and those that it does not
	for _, d := range c.Drives {
		if c.taken[d.Identity()] || d.failed() {
			continue
		}
		if w.accepts(d) {
			groups = grouped(groups, d)
		} else {
			others = grouped(others, d)
		}
	}
	switch {
	case w.on != nil:
		return c.chooseNamed(w, groups)
	case len(groups) == 0 && len(others) > 0:
		return choice{}, &misfit{"", "only " + strings.Join(counted(others), " and ") + " free"}
	case len(groups) == 0:
		return choice{}, &misfit{"", "no free disk"}
	case w.DiskCount == Remaining && len(groups) > 1:
		return choice{}, &misfit{"", "mixed media " + strings.Join(kinds(groups), " and ")}
	}
	var counts []string
	var worst *misfit
	for _, free := range groups {
		n := int(w.DiskCount)
		if w.DiskCount == Remaining {
			n = w.RAIDLevel.Fit(len(free) - w.Spares)
		}
		if n == 0 || n > len(free) {
			counts = append(counts, strings.TrimSpace(fmt.Sprintf("%d %s", len(free), free[0].group())))
			continue
		}
		if len(free) < n+w.Spares {
			worst = &misfit{"/spare_count", plural(len(free)-n, "free disk") + " as spare"}
			continue
		}
		if w.DiskCount == Remaining {
			free = free[:n+w.Spares]
			if least := smallest(free); !c.suits(w, least, n) {
				worst = c.tooSmall(w, least, n)
				continue
			}
			return split(free, n), nil
		}
		suit := slices.DeleteFunc(slices.Clone(free), func(d Drive) bool { return !c.suits(w, d, n) })
		if len(suit) < n+w.Spares {
			bySize := slices.SortedStableFunc(slices.Values(free), func(a, b Drive) int { return cmp.Compare(b.SizeBytes, a.SizeBytes) })
			worst = c.tooSmall(w, bySize[n+w.Spares-1], n)
			continue
		}
		return split(suit[:n+w.Spares], n), nil
	}
	if worst != nil {
		return choice{}, worst
	}
	return choice{}, &misfit{"", strings.Join(counts, " and ") + " free disks"}
}

// grouped adds a disk to those like it.
func grouped(groups [][]Drive, d Drive) [][]Drive {
	i := slices.IndexFunc(groups, func(g []Drive) bool { return g[0].group() == d.group() })
	if i < 0 {
		i = len(groups)
		groups = append(groups, nil)
	}
	groups[i] = append(groups[i], d)
	return groups
}

// suits reports whether d gives its share of a volume of n disks that has a size.
func (c *controllerPlan) suits(w *wish, d Drive, n int) bool {
	if w.SizeBytes == 0 {
		return true
	}
	data := int64(w.RAIDLevel.dataDisks(n))
	share := w.SizeBytes / data
	if w.SizeBytes%data > 0 {
		share++
	}
	if c.WholeDisksOnly {
		return SizeFits(share, d.SizeBytes)
	}
	return d.SizeBytes >= share
}

// tooSmall says what n disks like the smallest of them give.
func (c *controllerPlan) tooSmall(w *wish, least Drive, n int) *misfit {
	most := int64(w.RAIDLevel.dataDisks(n)) * least.SizeBytes
	if c.WholeDisksOnly {
		return &misfit{"/size_bytes", fmt.Sprintf("volumes of whole disks only, here %d bytes,", most)}
	}
	return &misfit{"/size_bytes", fmt.Sprintf("room for %d bytes", most)}
}

// split makes the first n disks members and the rest spares, but has one of the smallest among
// the members: a spare must be able to take any member's place.
func split(disks []Drive, n int) choice {
	least := slices.IndexFunc(disks, func(d Drive) bool { return d.SizeBytes == smallest(disks).SizeBytes })
	if least < n {
		return choice{disks[:n:n], disks[n:]}
	}
	members := append(disks[:n-1:n-1], disks[least])
	spares := append(disks[n-1:least:least], disks[least+1:]...)
	return choice{members, spares}
}

func smallest(disks []Drive) Drive {
	return slices.MinFunc(disks, func(a, b Drive) int { return cmp.Compare(a.SizeBytes, b.SizeBytes) })
}

// chooseNamed takes the disks that w names, and spares among the free ones like them that nobody
// names.
func (c *controllerPlan) chooseNamed(w *wish, groups [][]Drive) (choice, *misfit) {
	picked := choice{members: w.named}
	for _, d := range w.named {
		if d.failed() {
			return choice{}, &misfit{"/disks", "the failed disk " + d.Identity()}
		}
		if d.group() != w.named[0].group() {
			return choice{}, &misfit{"/disks", fmt.Sprintf("mixed media %s and %s", w.named[0].kind(), d.kind())}
		}
		if n := len(w.named); !c.suits(w, d, n) {
			return choice{}, c.tooSmall(w, smallest(w.named), n)
		}
	}
	for _, d := range slices.Concat(groups...) {
		if len(picked.spares) < w.Spares && d.group() == w.named[0].group() && !c.named[d.Identity()] && d.SizeBytes >= smallest(w.named).SizeBytes {
			picked.spares = append(picked.spares, d)
		}
	}
	if len(picked.spares) < w.Spares {
		return choice{}, &misfit{"/spare_count", plural(len(picked.spares), "free disk") + " as spare"}
	}
	return picked, nil
}

func sizes(disks []Drive) []int64 {
	out := make([]int64, len(disks))
	for i, d := range disks {
		out[i] = d.SizeBytes
	}
	return out
}

// counted says how many disks of each kind there are, and their sizes.
func counted(groups [][]Drive) []string {
	var out []string
	for _, g := range groups {
		text := strings.TrimSpace(fmt.Sprintf("%d %s", len(g), g[0].group()))
		if least, most := slices.Min(sizes(g)), slices.Max(sizes(g)); least == most {
			text += fmt.Sprintf(" of %d bytes", least)
		} else {
			text += fmt.Sprintf(" of %d to %d bytes", least, most)
		}
		out = append(out, text)
	}
	return out
}

func kinds(groups [][]Drive) []string {
	var out []string
	for _, g := range groups {
		out = append(out, g[0].kind())
	}
	return out
}

func (v VolumeProfile) accepts(d Drive) bool {
	return (v.Media == "" || strings.EqualFold(v.Media, d.Media)) && (v.Protocol == "" || strings.EqualFold(v.Protocol, d.Protocol)) &&
		d.SizeBytes >= v.DiskMinBytes && (v.DiskMaxBytes == 0 || d.SizeBytes <= v.DiskMaxBytes)
}

// kind says in words which disks v accepts.
func (v VolumeProfile) kind() string {
	text := ""
	if v.Media != "" || v.Protocol != "" {
		text += " of " + strings.TrimSpace(v.Protocol+" "+v.Media)
	}
	switch {
	case v.DiskMinBytes > 0 && v.DiskMaxBytes > 0:
		text += fmt.Sprintf(" of %d to %d bytes", v.DiskMinBytes, v.DiskMaxBytes)
	case v.DiskMinBytes > 0:
		text += fmt.Sprintf(" of at least %d bytes", v.DiskMinBytes)
	case v.DiskMaxBytes > 0:
		text += fmt.Sprintf(" of at most %d bytes", v.DiskMaxBytes)
	}
	return text
}

func (v VolumeProfile) want() string {
	text := "the remaining disks" + v.kind()
	switch {
	case v.DiskCount != Remaining:
		text = plural(int(v.DiskCount), "disk") + v.kind() + " for " + string(v.RAIDLevel)
	case v.RAIDLevel != JBOD:
		text += ": " + v.RAIDLevel.diskRule()
	}
	if v.Spares > 0 {
		text += " and " + plural(v.Spares, "spare")
	}
	if v.SizeBytes > 0 {
		text += fmt.Sprintf(" of %d bytes", v.SizeBytes)
	}
	if v.RAIDLevel != JBOD {
		text += ", all of one medium and protocol"
	}
	return text
}

func (d Drive) failed() bool { return d.Health == "Critical" }

// group is what disks of one volume have in common.
func (d Drive) group() string { return strings.TrimSpace(d.Protocol + " " + d.Media) }

// kind is the group for people.
func (d Drive) kind() string {
	if g := d.group(); g != "" {
		return g
	}
	return "a disk of unknown kind"
}
