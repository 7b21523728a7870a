package hardware

import (
	"fmt"
	"slices"
	"strings"
)

// setting is one attribute value that the profile asks for, directly or by an intent.
type setting struct {
	value  any    // of the attribute's type
	asked  any    // as the profile has it
	path   string // where the profile asks for it
	reason string

	attribute  Attribute
	current    any // nil: no value in effect
	pending    any
	exists     bool // current is known
	isPending  bool
	dependency *Dependency // makes it read-only once the settings are in force
	follows    string      // attribute whose new value brings this one about; nothing is to be sent
	refused    bool        // a problem of it has been reported
}

// inEffect means there is nothing to do, also not by a reset.
func (s setting) inEffect() bool {
	return s.exists && s.current == s.value && (!s.isPending || s.pending == s.value)
}

// sent means that only a reset is missing.
func (s setting) sent() bool { return s.isPending && s.pending == s.value }

type biosPlanner struct {
	seen     *Snapshot
	problems *problems
	settings map[string]*setting
	names    []string // of settings, sorted
}

// planBIOS plans intents and attributes, and the boot mode where that is an attribute. It also
// returns all settings as they will be.
func planBIOS(want BIOSProfile, mode string, seen *Snapshot, ps *problems) ([]Operation, layers) {
	then := layers{seen.BIOS.Pending, seen.BIOS.Attributes}
	if seen.BIOS.Attributes == nil {
		if len(want.Intents) > 0 || len(want.Attributes) > 0 || mode != "" {
			ps.add("/bios", "no readable BIOS settings on the machine", "BIOS attributes", unreadableHint(seen, "bios"))
		}
		return nil, then
	}
	p := &biosPlanner{seen: seen, problems: ps, settings: map[string]*setting{}}
	for _, intent := range sortedKeys(want.Intents) {
		p.intent(intent, want.Intents[intent], "/bios/intents/"+pointer(string(intent)))
	}
	if mode != "" {
		p.intent(BootMode, mode, "/boot/mode")
	}
	for _, name := range sortedKeys(want.Attributes) {
		value, _ := scalar(want.Attributes[name])
		s := &setting{asked: value, path: "/bios/attributes/" + pointer(name), reason: "the profile asks for it"}
		if other, taken := p.settings[name]; taken && other.path == "/boot/mode" && !same(other.asked, value) {
			ps.add(s.path, kind(value), fmt.Sprintf("%v, as /boot/mode asks for", other.asked), "they are the same wish; say it once")
		}
		p.settings[name] = s
	}
	for _, name := range sortedKeys(p.settings) {
		if p.lookUp(name, p.settings[name]) {
			p.names = append(p.names, name)
		} else {
			delete(p.settings, name)
		}
	}
	asked := make(map[string]any, len(p.settings))
	for name, s := range p.settings {
		asked[name] = s.value
	}
	then = append(layers{asked}, then...)
	brought, because := p.dependencies(then)
	then = append(layers{asked, brought}, then[1:]...)
	var ops []Operation
	for _, name := range p.names {
		s := p.settings[name]
		if s.refused || s.inEffect() || s.follows != "" || s.blocked(name, ps) {
			continue
		}
		ops = append(ops, s.operation(name, because[name]))
	}
	return ops, then
}

// intent finds the vendor's attribute and value.
func (p *biosPlanner) intent(intent Intent, value, path string) {
	binding, bound := p.seen.BIOS.Intents[intent]
	native, has := scalar(binding.Values[value])
	switch {
	case !bound:
		p.problems.add(path, fmt.Sprintf("no attribute for it on %s", p.seen.System.name()),
			"an intent this machine has", "set the vendor's attribute under /bios/attributes instead")
		return
	case !has:
		p.problems.add(path, fmt.Sprintf("%q", value), "one of "+strings.Join(sortedKeys(binding.Values), ", "),
			"that is all "+binding.Attribute+" of this machine offers")
		return
	}
	if other, taken := p.settings[binding.Attribute]; taken && other.asked != native {
		// Some vendors have one attribute for two intents: Dell's ProcVirtualization is
		// both VT-x and VT-d.
		p.problems.add(path, fmt.Sprintf("%q", value), fmt.Sprintf("what %s asks for", other.path),
			"this machine has the one attribute "+binding.Attribute+" for both")
		return
	}
	p.settings[binding.Attribute] = &setting{asked: native, path: path, reason: fmt.Sprintf("%s should be %s", intent, value)}
}

// lookUp fills in what the machine knows of an attribute. It is false where the attribute or
// the value is impossible.
func (p *biosPlanner) lookUp(name string, s *setting) bool {
	bios := p.seen.BIOS
	s.current, s.exists = bios.Attributes[name]
	s.pending, s.isPending = bios.Pending[name]
	described := false
	if bios.Registry != nil {
		s.attribute, described = bios.Registry.Attributes[name]
	}
	switch {
	case !s.exists && !described:
		p.problems.add(s.path, fmt.Sprintf("unknown attribute %q", name), "an attribute of this machine", p.nearest(name))
		return false
	case !described:
		// Registries may be absent or cover only some attributes; the value in effect still
		// tells the type.
		s.attribute = Attribute{Type: typeOf(s.current)}
	}
	var ok bool
	if s.value, ok = s.attribute.normalise(name, s.asked, s.path, p.problems); !ok {
		return false
	}
	s.current, s.pending = s.attribute.read(s.current), s.attribute.read(s.pending)
	return true
}

// dependencies marks the settings that the registry's dependencies make read-only once the
// settings are as in then, reports those that they give another value, and returns what else
// changes, and in words by which setting. Only the dependencies of what is asked for are
// followed, not what their effects bring about in turn.
func (p *biosPlanner) dependencies(then layers) (brought map[string]any, because map[string][]string) {
	brought, because = map[string]any{}, map[string][]string{}
	if p.seen.BIOS.Registry == nil {
		return brought, because
	}
	now := layers{p.seen.BIOS.Attributes}
	given := map[string]string{} // settings that come about by themselves, and by which other
	for i := range p.seen.BIOS.Registry.Dependencies {
		d := &p.seen.BIOS.Registry.Dependencies[i]
		if !d.holds(then) {
			continue
		}
		s, cause := p.settings[d.Attribute], p.cause(d)
		if d.ReadOnly && s != nil && s.dependency == nil {
			s.dependency = d
		}
		if d.Value == nil || d.holds(now) {
			continue // what it does it has done
		}
		have, known := then.value(d.Attribute)
		switch {
		case s != nil && s.refused:
		case s != nil && !same(d.Value, s.value):
			s.refused = true
			p.problems.add(s.path, kind(s.asked), fmt.Sprint(d.Value),
				fmt.Sprintf("%s becomes %v when %s; %s", d.Attribute, d.Value, d.condition(), d.remedy()))
		case s != nil && cause != "":
			given[d.Attribute] = cause
		case s == nil && known && !same(have, d.Value):
			brought[d.Attribute] = d.Value
			if cause == "" {
				continue // what was pending before brings it
			}
			because[cause] = append(because[cause], fmt.Sprintf("%s=%v", d.Attribute, d.Value))
		}
	}
	for name := range given {
		if s := p.settings[name]; s.dependency != nil && (!s.isPending || s.sent()) {
			if s.follows = p.origin(name, given); s.follows != "" && !s.inEffect() {
				because[s.follows] = append(because[s.follows], fmt.Sprintf("%s=%v", name, s.value))
			}
		}
	}
	return brought, because
}

// origin returns the setting that is sent and brings name about, which cannot be set and need
// not: sending it as well would have some BMCs refuse the whole request. It is empty where
// settings would have to follow each other in a circle.
func (p *biosPlanner) origin(name string, given map[string]string) string {
	cause := given[name]
	for range given {
		next, follows := given[cause]
		if !follows || p.settings[cause].dependency == nil {
			return cause
		}
		cause = next
	}
	return ""
}

// cause returns an attribute that the profile changes and that d depends on.
func (p *biosPlanner) cause(d *Dependency) string {
	for _, c := range d.If {
		if s := p.settings[c.Attribute]; s != nil && c.Attribute != d.Attribute && !s.inEffect() {
			return c.Attribute
		}
	}
	return ""
}

// blocked reports a setting that would have to be written and cannot be.
func (s *setting) blocked(name string, ps *problems) bool {
	switch {
	case s.attribute.ReadOnly && !s.sent():
		ps.add(s.path, kind(s.asked), fmt.Sprintf("%v, the value it has", s.current), name+" is read-only")
	case s.dependency != nil && !s.sent():
		ps.add(s.path, kind(s.asked), fmt.Sprintf("%v, the value it has", s.current),
			fmt.Sprintf("%s is read-only while %s; %s", name, s.dependency.condition(), s.dependency.remedy()))
	default:
		return false
	}
	return true
}

func (s *setting) operation(name string, besides []string) Operation {
	reason := s.reason
	switch {
	case s.sent():
		reason += waitsForReset
	case s.isPending:
		reason += fmt.Sprintf("; %v is pending", s.pending)
	}
	if len(besides) > 0 {
		slices.Sort(besides)
		besides = slices.Compact(besides)
		const shown = 3
		reason += "; changes " + strings.Join(besides[:min(shown, len(besides))], ", ")
		if more := len(besides) - shown; more > 0 {
			reason += fmt.Sprintf(" and %d more", more)
		}
		reason += " as well"
	}
	return Operation{
		ID:        fmt.Sprintf("bios-set-%s=%v", name, s.value),
		Component: ComponentBIOS, Action: ActionSet, Target: name,
		Before: s.current, After: s.value, Reason: reason, Destroys: []string{},
		// What only takes back a pending value is in effect already.
		Reboot: !s.attribute.AppliesAtOnce && s.current != s.value,
	}
}

// nearest names an attribute that differs only in case, the commonest mistake.
func (p *biosPlanner) nearest(name string) string {
	found := ""
	look := func(known string) {
		if strings.EqualFold(known, name) && (found == "" || known < found) {
			found = known
		}
	}
	for known := range p.seen.BIOS.Attributes {
		look(known)
	}
	if p.seen.BIOS.Registry != nil {
		for known := range p.seen.BIOS.Registry.Attributes {
			look(known)
		}
	}
	if found == "" {
		return ""
	}
	return "did you mean " + found + "?"
}

// unreadableHint tells what of a kind of resource could not be read: its absence may be no more
// than that.
func unreadableHint(seen *Snapshot, kind string) string {
	for _, u := range seen.Unreadable {
		if strings.Contains(strings.ToLower(u.Path), kind) {
			return fmt.Sprintf("could not read %s: %s", u.Path, u.Reason)
		}
	}
	return ""
}
