package proposal

import (
	"encoding/json"
	"slices"
)

// diff spells what was found.
func (c *comparer) diff() *Diff {
	d := &Diff{Patch: json.RawMessage{'['}}
	a, b := c.covered()
	for _, f := range c.found {
		path := c.paths.pointer(f.path)
		change := Change{Kind: f.kind, Path: path, Secret: c.secret(f.i, f.j)}
		if f.was != f.path {
			change.Path = c.paths.pointer(f.was)
		}
		if f.form == formWhole {
			change.Before, change.After = a.shownOrNil(f.i), b.shownOrNil(f.j)
		} else {
			change.Before, change.After = c.shown(f.i, f.j)
		}
		if f.form != formReader {
			d.Patch = appendOperation(d.Patch, path, change)
		}
		switch f.form {
		case formPatch:
			continue
		case formRole, formReader:
			c.nodes(&change, f)
		}
		d.Changes = append(d.Changes, change)
	}
	d.Patch = append(d.Patch, ']')
	d.Moves = moves(d.Changes, bytesOfPaths*(len(c.a.src)+len(c.b.src))+c.spare)
	return d
}

// shown returns the values as they are shown. What one document knows to be a secret is one in the
// other, save null.
func (c *comparer) shown(i, j int) (before, after json.RawMessage) {
	before, after = c.a.shownOrNil(i), c.b.shownOrNil(j)
	switch {
	case i < 0 || j < 0 || !c.secret(i, j):
	case !c.a.isSecret(i) && c.a.kind(i) != isNull:
		before = after
	case !c.b.isSecret(j) && c.b.kind(j) != isNull:
		after = before
	}
	return before, after
}

// covered returns the documents so that either hides what the other knows to be a secret: where
// differences are told as one, secrets have not been looked at one by one.
func (c *comparer) covered() (a, b *Document) {
	whole := func(f difference) bool { return f.form == formWhole }
	if !slices.ContainsFunc(c.found, whole) {
		return c.a.Document, c.b.Document
	}
	return c.a.inherit(c.b.Document), c.b.inherit(c.a.Document)
}

func (d *Document) shownOrNil(i int) json.RawMessage {
	if i < 0 {
		return nil
	}
	return d.shown(i)
}

func appendOperation(patch []byte, path string, c Change) []byte {
	if len(patch) > 1 {
		patch = append(patch, ',')
	}
	op := "replace"
	switch {
	case c.Before == nil:
		op = "add"
	case c.After == nil:
		op = "remove"
	}
	patch = append(patch, `{"op":"`+op+`","path":`...)
	patch = appendText(patch, path)
	if c.After != nil {
		patch = append(patch, `,"value":`...)
		patch = append(patch, c.After...)
	}
	return append(patch, '}')
}

// nodes adds what a change says of a role.
func (c *comparer) nodes(change *Change, f difference) {
	before, after := c.a.texts(f.i), c.b.texts(f.j)
	change.Role = c.paths[f.path].token
	change.Added, change.Removed = without(after, before), without(before, after)
}

// moves returns the nodes that only changed their role; none if they take more than most bytes.
func moves(changes []Change, most int) []Move {
	type roles struct {
		left, joined int
		move         Move
	}
	nodes := make(map[string]*roles)
	at := func(node string) *roles {
		if nodes[node] == nil {
			nodes[node] = &roles{move: Move{Node: node}}
		}
		return nodes[node]
	}
	var left []*roles // in the order of the roles that they left
	for _, c := range changes {
		for _, node := range c.Removed {
			r := at(node)
			r.left++
			r.move.From = c.Role
			left = append(left, r)
		}
		for _, node := range c.Added {
			r := at(node)
			r.joined++
			r.move.To = c.Role
		}
	}
	var list []Move
	for _, r := range left {
		if r.left == 1 && r.joined == 1 {
			if most -= len(r.move.Node) + len(r.move.From) + len(r.move.To); most < 0 {
				return nil
			}
			list = append(list, r.move)
		}
	}
	return list
}
