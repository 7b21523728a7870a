package barclamp

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// A Constraint limits the nodes of a role, as Crowbar's role_constraints do. The zero value
// allows anything but the admin node.
type Constraint struct {
	Minimum       int      // at least so many nodes
	Count         int      // at most so many; 0 is unlimited
	Odd           bool     // an odd number, for services that vote
	Unique        bool     // its nodes are in no other role of the proposal
	ConflictsWith []string // its nodes are in none of these roles of the proposal
	Admin         bool     // the admin node is allowed
}

// CheckPlacement compares a document's elements with the barclamp's constraints and with the
// nodes of the site. It is asked before a commit; a draft may be incomplete. The error is a
// *proposal.ValidationError with every problem and its path.
func CheckPlacement(info Info, d *proposal.Document, s Site) error {
	c := placementCheck{elements: d.Deployment().Elements, base: "/deployment/" + PointerToken(info.Name) + "/elements"}
	if !c.anyNode() {
		c.add("", "no node in any role", expectedRoles(d.Roles()), placeByHand(info, d))
	}
	roles := d.Roles()
	for _, r := range info.Roles {
		if !slices.Contains(roles, r.Name) {
			continue // the document is of another era and has no such role
		}
		c.role(r, s)
	}
	for _, name := range roles {
		if !slices.ContainsFunc(info.Roles, func(r Role) bool { return r.Name == name }) {
			c.nodes(Role{Name: name, Constraint: Constraint{Admin: true}}, s)
		}
	}
	return c.problems.Err()
}

func expectedRoles(roles []string) string {
	switch len(roles) {
	case 0:
		return "roles in element_order, and nodes in them"
	case 1:
		return "at least one node in the role " + roles[0]
	}
	return "at least one node in one of the roles " + strings.Join(roles, ", ")
}

// placeByHand is how nodes get into the roles of a proposal that exists.
func placeByHand(info Info, d *proposal.Document) string {
	hint := fmt.Sprintf("put nodes into roles: crowbar proposal edit %s %s --raw", info.Name, cmp.Or(d.Name(), "default"))
	if info.AllowMultiple && info.Template != d { // a generic barclamp places none
		hint += fmt.Sprintf("; or let the barclamp propose anew: crowbar proposal create %s OTHERNAME", info.Name)
	}
	return hint
}

type placementCheck struct {
	elements map[string][]string
	base     string
	problems Problems
}

func (c *placementCheck) add(role, found, expected, hint string) {
	path := c.base
	if role != "" {
		path += "/" + PointerToken(role)
	}
	c.problems.Add(path, found, expected, hint)
}

func (c *placementCheck) anyNode() bool {
	for _, nodes := range c.elements {
		if len(nodes) > 0 {
			return true
		}
	}
	return false
}

func (c *placementCheck) role(r Role, s Site) {
	n, want := len(c.elements[r.Name]), r.Constraint
	if n < want.Minimum {
		c.add(r.Name, plural(n), fmt.Sprintf("at least %d", want.Minimum), "role "+r.Name+" lacks nodes")
	}
	if want.Count > 0 && n > want.Count {
		c.add(r.Name, plural(n), fmt.Sprintf("at most %d", want.Count), "")
	}
	if want.Odd && n > 0 && n%2 == 0 {
		c.add(r.Name, plural(n), "an odd number, so that votes cannot tie", "")
	}
	c.nodes(r, s)
}

// nodes checks each node of a role by itself.
func (c *placementCheck) nodes(r Role, s Site) {
	for i, name := range c.elements[r.Name] {
		add := func(expected, hint string) {
			c.problems.Add(fmt.Sprintf("%s/%s/%d", c.base, PointerToken(r.Name), i), name, expected, hint)
		}
		node, known := s.Node(name)
		switch {
		case !known:
			add("a node of this site", meant(name, s))
		case node.Admin && !r.Constraint.Admin:
			add("a node other than the admin node", "")
		}
		for _, other := range c.rivals(r) {
			if slices.Contains(c.elements[other], name) {
				add("not in role "+other+" as well", "")
			}
		}
	}
}

// meant finds the node that somebody called by its alias or, as tables do, without its domain.
func meant(name string, s Site) string {
	for _, n := range s.Nodes() {
		if n.Alias == name || strings.HasPrefix(n.Name, name+".") {
			return fmt.Sprintf("did you mean %q?", n.Name)
		}
	}
	return "list them: crowbar node list"
}

// rivals lists the roles that may not share a node with r.
func (c *placementCheck) rivals(r Role) []string {
	if !r.Constraint.Unique {
		return r.Constraint.ConflictsWith
	}
	var others []string
	for name := range c.elements {
		if name != r.Name {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return others
}

// Document turns the draft into a document: base with the draft's attributes set and its
// nodes placed. Roles that base fills already keep their nodes; roles base does not have are
// left out.
func (d *Draft) Document(base *proposal.Document) (*proposal.Document, error) {
	edits, err := d.attributeEdits(base)
	if err != nil {
		return nil, err
	}
	doc, err := base.With(edits...)
	if err != nil {
		return nil, fmt.Errorf("barclamp: attributes proposed for %s: %w", base.Barclamp(), err)
	}
	elements := map[string][]string{}
	for role, nodes := range base.Deployment().Elements {
		elements[role] = nodes
	}
	for _, role := range base.Roles() {
		if nodes := d.Elements[role]; len(elements[role]) == 0 && len(nodes) > 0 {
			elements[role] = nodes
		}
	}
	return doc.WithElements(elements)
}

func plural(n int) string {
	switch n {
	case 0:
		return "no node"
	case 1:
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", n)
}

// PointerToken writes a name as one token of a JSON Pointer (RFC 6901), for Draft.Set and for the
// paths of Problems.
func PointerToken(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}
