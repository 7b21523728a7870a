package proposal

import (
	"fmt"
	"io"
	"strings"
)

// Text returns the changes as people read them, one a line:
//
//	nova.libvirt_type: "kvm" → "qemu"
//	nova.debug: + true
//	nova.verbose: − false
//	nova.db.password: changed (secret)
//	nova-controller: + node7 (from nova-compute-kvm), node9
//	nova-compute-kvm: − node7 (to nova-controller), node3
//	element_run_list_order.nova-controller: 95 → 90
//
// Paths begin below attributes or deployment.<barclamp>; a dot within a key is written `\.`.
// Without changes it is empty.
func (d *Diff) Text() string {
	type membership struct{ node, role string }
	moved := make(map[membership]string, 2*len(d.Moves))
	for _, m := range d.Moves {
		moved[membership{m.Node, m.From}] = " (to " + m.To + ")"
		moved[membership{m.Node, m.To}] = " (from " + m.From + ")"
	}
	var b strings.Builder
	for _, c := range d.Changes {
		b.WriteString(c.text(func(node string) string { return moved[membership{node, c.Role}] }))
		b.WriteByte('\n')
	}
	return b.String()
}

// Summary returns one line for a list of revisions: the first two values that changed, the
// first two roles with how many nodes they gained and lost, and how many more there are:
//
//	nova.debug, nova.libvirt_type and 3 more; nova-compute-kvm + 1 − 2
//	no changes
//
// Summarize gives the same without a Diff.
func (d *Diff) Summary() string {
	var values, roles tally
	for _, c := range d.Changes {
		if c.isRole() {
			roles.add(func() string { return c.numbers() })
		} else {
			values.add(func() string { return shortened(dotted(c.Path)) })
		}
	}
	return summary(values, roles)
}

// Summarize returns the Summary of what changed from a to b. It spells no patch and no values,
// so its memory is linear in the documents, with a small factor, whatever they hold.
func Summarize(a, b *Document) (string, error) {
	c, err := newComparer(a, b, spareBytes)
	if err != nil {
		return "", err
	}
	var values, roles tally
	for _, f := range c.found {
		switch role := f.form == formRole || f.form == formReader; {
		case f.form == formPatch:
		case role && c.paths[f.path].token != "":
			roles.add(func() string {
				change := Change{}
				c.nodes(&change, f)
				return change.numbers()
			})
		default:
			values.add(func() string { return shortened(dotted(c.paths.pointer(f.was))) })
		}
	}
	return summary(values, roles), nil
}

// A tally is the first two of some things, and how many there are.
type tally struct {
	first []string
	count int
}

func (t *tally) add(text func() string) {
	if len(t.first) < 2 {
		t.first = append(t.first, text())
	}
	t.count++
}

func (t *tally) text(what string) string {
	text := strings.Join(t.first, ", ")
	if t.count > len(t.first) {
		text += fmt.Sprintf(" and %d more%s", t.count-len(t.first), what)
	}
	return text
}

func summary(values, roles tally) string {
	switch {
	case values.count == 0 && roles.count == 0:
		return "no changes"
	case roles.count == 0:
		return values.text("")
	case values.count == 0:
		return roles.text(" roles")
	}
	return values.text("") + "; " + roles.text(" roles")
}

// isRole tells whether the change is of the nodes of one role.
func (c Change) isRole() bool { return c.Kind == KindRole && c.Role != "" }

// numbers tells of a role how many nodes it gained and lost.
func (c Change) numbers() string {
	text := shortened(c.Role)
	if len(c.Added) > 0 {
		text += fmt.Sprintf(" + %d", len(c.Added))
	}
	if len(c.Removed) > 0 {
		text += fmt.Sprintf(" − %d", len(c.Removed))
	}
	return text
}

// WriteTo writes Text; it is io.WriterTo.
func (d *Diff) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, d.Text())
	return int64(n), err
}

var _ io.WriterTo = (*Diff)(nil)

// String returns the change's line of Diff.Text, without the line end and what Diff.Moves tells.
func (c Change) String() string { return c.text(func(string) string { return "" }) }

// text is the line of the change; note returns what is to be said behind a node.
func (c Change) text(note func(node string) string) string {
	if c.isRole() {
		return c.Role + ":" + c.nodes(note)
	}
	name := dotted(c.Path) + ": "
	switch {
	case c.Secret && c.Before == nil:
		return name + "+ (secret)"
	case c.Secret && c.After == nil:
		return name + "− (secret)"
	case c.Secret:
		return name + "changed (secret)"
	case c.Before == nil:
		return name + "+ " + string(c.After)
	case c.After == nil:
		return name + "− " + string(c.Before)
	}
	return name + string(c.Before) + " → " + string(c.After)
}

func (c Change) nodes(note func(node string) string) string {
	var b strings.Builder
	list := func(sign string, nodes []string) {
		for i, node := range nodes {
			if i > 0 {
				sign = ", "
			}
			b.WriteString(sign + node + note(node))
		}
	}
	list(" + ", c.Added)
	list(" − ", c.Removed)
	switch {
	case b.Len() > 0:
		return b.String()
	case c.Before == nil:
		return " + no nodes"
	case c.After == nil:
		return " − no nodes"
	}
	return " same nodes, listed otherwise"
}

// dotted returns a path with dots, without what every path begins with.
func dotted(pointer string) string {
	tokens, err := pointerTokens(pointer)
	if err != nil || len(tokens) == 0 {
		return pointer
	}
	switch {
	case tokens[0] == "attributes" && len(tokens) > 1:
		tokens = tokens[1:]
	case tokens[0] == "deployment" && len(tokens) > 2:
		tokens = tokens[2:]
	}
	for i, token := range tokens {
		tokens[i] = strings.ReplaceAll(strings.ReplaceAll(token, `\`, `\\`), ".", `\.`)
	}
	return strings.Join(tokens, ".")
}
