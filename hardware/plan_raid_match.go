package hardware

import (
	"fmt"
	"slices"
)

// likeness is how an existing volume is found for a wish.
type likeness int

const (
	byName likeness = iota // and its disks
	byAll                  // its disks, with nothing against it: spares, size, another's name
	byDisks
)

// match keeps an existing volume that is as wanted. A volume that only lacks spares is kept too,
// and the lack is a problem, never a reason to make it anew: for a spare nobody loses data.
func (p *raidPlanner) match(w *wish, by likeness) bool {
	for _, c := range p.controllers {
		if w.Controller != "" && c.ID != w.Controller || w.on != nil && c != w.on || c.blind != "" {
			continue
		}
		for _, have := range c.Volumes {
			if c.kept[have.ID] || have.RAIDLevel != w.RAIDLevel || by == byName && have.Name != w.Name || !c.fits(w, have) {
				continue
			}
			if by == byAll && (len(have.Spares) < w.Spares || p.names[have.Name] || !c.whole(w, have)) {
				continue
			}
			if c.sparesLacking(w, have) {
				p.problems.add(w.path+"/spare_count", fmt.Sprintf("%s of volume %s on %s", plural(len(have.Spares), "spare"), have.ID, c.ID), fmt.Sprint(w.Spares),
					"give it spares by the controller's own means, or delete it to have it made with them")
			}
			c.kept[have.ID] = true
			for _, d := range append(slices.Clone(have.Drives), have.Spares...) {
				c.taken[d] = true
			}
			return true
		}
	}
	return false
}

// fits reports whether an existing volume has the wanted disks: free ones, of the wanted kind, as
// many as asked for. Losing a disk is no reason to destroy the rest, so a volume fits too
//
//   - that lacks members while the controller does not call it healthy: they have been pulled;
//   - of the remaining disks that was made without the failed ones, or with those that should
//     have become spares;
//   - of named disks where another took a failed one's place.
func (c *controllerPlan) fits(w *wish, have Volume) bool {
	if c.doom[have.ID] != "" || slices.ContainsFunc(have.Drives, func(d string) bool { return c.taken[d] }) {
		return false
	}
	var members []Drive
	for _, d := range c.Drives {
		if slices.Contains(have.Drives, d.Identity()) {
			if !w.accepts(d) {
				return false
			}
			members = append(members, d)
		}
	}
	degraded := w.RAIDLevel.redundant() && (have.Health == "Warning" || have.Health == "Critical")
	if len(members) == 0 || len(members) < len(have.Drives) && !degraded {
		return false
	}
	if !SizeFits(w.SizeBytes, have.SizeBytes) {
		// A size that is all of the disks was not sent to a controller that takes none.
		all, err := w.RAIDLevel.Usable(sizes(members))
		if !c.WholeDisksOnly || err != nil || !SizeFits(w.SizeBytes, all) {
			return false
		}
	}
	found, low, high := len(members), int(w.DiskCount), int(w.DiskCount)
	if w.DiskCount == Remaining {
		all, healthy := 0, 0
		for _, d := range c.Drives {
			if !c.taken[d.Identity()] && w.accepts(d) && d.group() == members[0].group() {
				all++
				if !d.failed() {
					healthy++
				}
			}
		}
		low, high = w.RAIDLevel.Fit(healthy-w.Spares), w.RAIDLevel.Fit(all)
	}
	for _, d := range w.named {
		if !d.failed() && !slices.Contains(have.Drives, d.Identity()) {
			return false
		}
	}
	return found <= high && (found >= low || degraded)
}

// sparesLacking reports whether a volume has fewer spares than it should have. Failed disks count
// for spares: where one was replaced by the spare there is none left, and it is the disk that is to
// be replaced.
func (c *controllerPlan) sparesLacking(w *wish, have Volume) bool {
	spares := 0
	for _, d := range c.Drives {
		if slices.Contains(have.Spares, d.Identity()) || d.failed() && w.accepts(d) {
			spares++
		}
	}
	return spares < w.Spares
}

// whole reports whether a volume takes all of its disks, where that is wanted.
func (c *controllerPlan) whole(w *wish, have Volume) bool {
	var members []Drive
	for _, d := range c.Drives {
		if slices.Contains(have.Drives, d.Identity()) {
			members = append(members, d)
		}
	}
	all, err := w.RAIDLevel.Usable(sizes(members))
	return w.SizeBytes > 0 || err == nil && SizeFits(all, have.SizeBytes)
}

// SizeFits reports whether a volume of have bytes is what was asked for as want, 0 being any size:
// controllers round to their stripes, by up to a hundredth.
func SizeFits(want, have int64) bool {
	return want == 0 || have >= want-want/100 && have <= want+want/100
}
