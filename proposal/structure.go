package proposal

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Members of deployment.<barclamp>, and of its config.
const (
	keySchemaRevision = "schema-revision"
	keyElements       = "elements"
	keyElementOrder   = "element_order"
	keyElementStates  = "element_states"
	keyRunListOrder   = "element_run_list_order"
	keyConfig         = "config"
	keyEnvironment    = "environment"
)

// isBookkeeping tells the members of deployment.<barclamp> that Crowbar writes as it works.
// They are kept as read but are no content, like id and config.environment.
func isBookkeeping(name string) bool {
	switch name {
	case "crowbar-revision", "crowbar-applied", "crowbar-committing",
		"crowbar-queued", "crowbar-status", "crowbar-failed":
		return true
	}
	return false
}

// newDocument checks the structure that Parse describes.
func newDocument(t *tree) (*Document, error) {
	c := checker{tree: t}
	if t.kind(0) != isObject {
		c.add("", c.found(0), "an object with id, attributes and deployment", "")
		return nil, c.err()
	}
	d := &Document{tree: *t, attributes: -1, deployment: -1}
	for m := range t.children(0) {
		switch t.name(m) {
		case "id":
			d.bookkeeping = append(d.bookkeeping, m)
			d.id = t.optionalText(m)
		case "description":
			if c.optional(m, below("", "description"), isString) {
				d.description = t.text(m)
			}
		}
	}
	c.required("id", isString)
	attributes := c.required("attributes", isObject)
	deployment := c.required("deployment", isObject)
	if deployment >= 0 {
		d.barclamp, d.deployment = c.barclamp(deployment)
	}
	if attributes >= 0 && d.barclamp != "" {
		if a := t.member(attributes, d.barclamp); a >= 0 && c.optional(a, below("/attributes", d.barclamp), isObject) {
			d.attributes = a
		}
	}
	if d.deployment >= 0 {
		c.deployment(d.deployment, "/deployment/"+d.barclamp)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	for m := range t.children(d.deployment) {
		if isBookkeeping(t.name(m)) {
			d.bookkeeping = append(d.bookkeeping, m)
		}
	}
	if env := t.member(t.member(d.deployment, keyConfig), keyEnvironment); env >= 0 {
		d.bookkeeping = append(d.bookkeeping, env)
	}
	slices.Sort(d.bookkeeping)
	d.roles = d.knownRoles()
	return d, nil
}

// A checker collects what has not the shape of a proposal. It takes paths as functions, so that
// none is spelt where nothing is wrong.
type checker struct {
	*tree
	problems
}

func (c *checker) found(i int) string { return found(c.tree, i) }

// found describes a value in a problem: scalars by their text, cut where it gets long.
func found(t *tree, i int) string {
	switch k := t.kind(i); k {
	case isList, isObject, isNull:
		return k.String()
	default:
		return k.String() + " " + shortened(t.raw(i))
	}
}

func shortened(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// below and elementOf are paths of a member and of an element.
func below(parent, name string) func() string {
	return func() string { return pointerTo(parent, name) }
}

func elementOf(parent func() string, index int) func() string {
	return func() string { return pointerAt(parent(), index) }
}

func (c *checker) is(i int, path func() string, k kind) bool {
	if c.kind(i) == k {
		return true
	}
	c.addAt(path, c.found(i), k.String(), "")
	return false
}

// optional is like is, but takes null for absent: false without a problem.
func (c *checker) optional(i int, path func() string, k kind) bool {
	return c.kind(i) != isNull && c.is(i, path, k)
}

// required returns the top-level member if it is there and of kind k, else -1 and a problem.
func (c *checker) required(name string, k kind) int {
	i := c.member(0, name)
	switch {
	case i < 0:
		c.add("/"+name, "nothing", k.String(), "")
		return -1
	case !c.is(i, below("", name), k):
		return -1
	}
	return i
}

// barclamp returns the one member of deployment: its name is the barclamp's.
func (c *checker) barclamp(deployment int) (name string, at int) {
	at = -1
	count := 0
	for m := range c.children(deployment) {
		name, at = c.name(m), m
		count++
	}
	const expected = "one member, named as the barclamp"
	switch {
	case count != 1:
		c.add("/deployment", fmt.Sprintf("an object with %d members", count), expected, "")
		return "", -1
	case !isBarclampName(name):
		c.add(pointerTo("/deployment", name), "a member "+shortened(strconv.Quote(name)), expected,
			"a barclamp's name has letters, digits, _ and - only")
		return "", -1
	case !c.is(at, below("/deployment", name), isObject):
		return name, -1
	}
	return name, at
}

func (c *checker) deployment(i int, path string) {
	for m := range c.children(i) {
		name := c.name(m)
		path := below(path, name)
		switch name {
		case keyElements, keyElementStates:
			c.each(m, path, "a map of roles to lists of strings", c.textList)
		case keyElementOrder:
			if c.optional(m, path, isList) {
				at := 0
				for batch := range c.children(m) {
					c.textList(batch, elementOf(path, at))
					at++
				}
			}
		case keyRunListOrder:
			c.each(m, path, "a map of roles to integers", c.wholeNumber)
		case keySchemaRevision:
			if c.kind(m) != isNull {
				c.wholeNumber(m, path)
			}
		case keyConfig:
			if c.optional(m, path, isObject) {
				c.config(m, path())
			}
		}
	}
}

func (c *checker) config(i int, path string) {
	for m := range c.children(i) {
		name := c.name(m)
		path := below(path, name)
		switch name {
		case keyEnvironment, "mode":
			c.optional(m, path, isString)
		case "transitions":
			c.optional(m, path, isBool)
		case "transition_list":
			if c.kind(m) != isNull {
				c.textList(m, path)
			}
		}
	}
}

// each checks the members of a map; null and [] are what Ruby code wrote for an empty one.
func (c *checker) each(i int, path func() string, expected string, check func(i int, path func() string)) {
	switch k := c.kind(i); {
	case k == isNull, k == isList && c.values[i].size == 1:
	case k != isObject:
		c.addAt(path, c.found(i), expected, "")
	default:
		for m := range c.children(i) {
			check(m, func() string { return pointerTo(path(), c.name(m)) })
		}
	}
}

func (c *checker) textList(i int, path func() string) {
	if c.kind(i) != isList {
		hint := ""
		if c.kind(i) == isString {
			hint = "write [" + shortened(c.raw(i)) + "]"
		}
		c.addAt(path, c.found(i), "a list of strings", hint)
		return
	}
	at := 0
	for e := range c.children(i) {
		c.is(e, elementOf(path, at), isString)
		at++
	}
}

func (c *checker) wholeNumber(i int, path func() string) {
	if _, ok := c.integer(i); !ok {
		c.addAt(path, c.found(i), "an integer", "")
	}
}

// integer returns value i if it is a number without fraction and exponent that fits an int.
func (t *tree) integer(i int) (int, bool) {
	if i < 0 || t.kind(i) != isNumber {
		return 0, false
	}
	n, err := strconv.Atoi(t.raw(i))
	return n, err == nil
}

func (t *tree) optionalText(i int) string {
	if i < 0 || t.kind(i) != isString {
		return ""
	}
	return t.text(i)
}

func (t *tree) textsByName(i int) map[string][]string {
	lists := make(map[string][]string)
	if i >= 0 && t.kind(i) == isObject {
		for c := range t.children(i) {
			lists[t.name(c)] = t.texts(c)
		}
	}
	return lists
}

func (t *tree) batches(i int) [][]string {
	if i < 0 || t.kind(i) != isList {
		return nil
	}
	var batches [][]string
	for c := range t.children(i) {
		batches = append(batches, t.texts(c))
	}
	return batches
}

func (d *Document) knownRoles() []string {
	var roles []string
	seen := make(map[string]bool)
	add := func(role string) {
		if !seen[role] {
			seen[role] = true
			roles = append(roles, role)
		}
	}
	for _, batch := range d.batches(d.member(d.deployment, keyElementOrder)) {
		for _, role := range batch {
			add(role)
		}
	}
	others := make(map[string]struct{})
	for _, key := range [...]string{keyElementStates, keyRunListOrder} {
		if i := d.member(d.deployment, key); i >= 0 && d.kind(i) == isObject {
			for c := range d.children(i) {
				others[d.name(c)] = struct{}{}
			}
		}
	}
	for _, role := range slices.Sorted(maps.Keys(others)) {
		add(role)
	}
	return roles
}
