package proposal

import (
	"io"
	"strings"
)

// Text returns the changes as people read them, one a line:
//
//	nova.libvirt_type: "kvm" → "qemu"
//	nova.debug: + true
//	nova.verbose: − false
//	nova-compute-kvm: + node7 − node3
//	element_run_list_order.nova-controller: 95 → 90
//
// Paths begin below attributes or deployment.<barclamp>; a dot within a key is written `\.`.
// Without changes it is empty.
func (d *Diff) Text() string {
	var b strings.Builder
	for _, c := range d.Changes {
		b.WriteString(c.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// WriteTo writes Text; it is io.WriterTo.
func (d *Diff) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, d.Text())
	return int64(n), err
}

var _ io.WriterTo = (*Diff)(nil)

// String returns the change's line of Diff.Text, without the line end.
func (c Change) String() string {
	if c.Kind == KindRole && c.Role != "" {
		return c.Role + ":" + c.nodes()
	}
	name := c.name() + ": "
	switch {
	case c.Before == nil:
		return name + "+ " + string(c.After)
	case c.After == nil:
		return name + "− " + string(c.Before)
	}
	return name + string(c.Before) + " → " + string(c.After)
}

func (c Change) nodes() string {
	var b strings.Builder
	if len(c.Added) > 0 {
		b.WriteString(" + " + strings.Join(c.Added, ", "))
	}
	if len(c.Removed) > 0 {
		b.WriteString(" − " + strings.Join(c.Removed, ", "))
	}
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

// name returns the path with dots, without what every path begins with.
func (c Change) name() string {
	tokens, err := pointerTokens(c.Path)
	if err != nil || len(tokens) == 0 {
		return c.Path
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
