package hardware

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// setting is one attribute value that the profile asks for, directly or by an intent.
type setting struct {
	value  any
	path   string // where the profile asks for it
	reason string
}

func planBIOS(want BIOSProfile, seen *Snapshot, ps *problems) []Operation {
	if len(want.Intents) == 0 && len(want.Attributes) == 0 {
		return nil
	}
	if seen.BIOS.Attributes == nil {
		ps.add("/bios", "no readable BIOS settings on the machine", "BIOS attributes", unreadableHint(seen))
		return nil
	}
	settings := map[string]setting{}
	for _, intent := range sortedKeys(want.Intents) {
		value, path := want.Intents[intent], "/bios/intents/"+pointer(string(intent))
		binding, bound := seen.BIOS.Intents[intent]
		native, has := binding.Values[value]
		switch {
		case !bound:
			ps.add(path, fmt.Sprintf("no attribute for it on %s %s", seen.System.Manufacturer, seen.System.Model),
				"an intent this machine has", "set the vendor's attribute under /bios/attributes instead")
			continue
		case !has:
			ps.add(path, fmt.Sprintf("%q", value), "one of "+strings.Join(sortedKeys(binding.Values), ", "),
				"that is all "+binding.Attribute+" of this machine offers")
			continue
		}
		native, _ = scalar(native)
		if other, taken := settings[binding.Attribute]; taken && other.value != native {
			// Some vendors have one attribute for two intents: Dell's ProcVirtualization is
			// both VT-x and VT-d.
			ps.add(path, fmt.Sprintf("%q", value), fmt.Sprintf("what %s asks for", other.path),
				"this machine has the one attribute "+binding.Attribute+" for both")
			continue
		}
		settings[binding.Attribute] = setting{native, path, fmt.Sprintf("%s should be %s", intent, value)}
	}
	for _, name := range sortedKeys(want.Attributes) {
		value, _ := scalar(want.Attributes[name])
		settings[name] = setting{value, "/bios/attributes/" + pointer(name), "the profile asks for it"}
	}
	var ops []Operation
	for _, name := range sortedKeys(settings) {
		if op, ok := planAttribute(name, settings[name], seen, ps); ok {
			ops = append(ops, op)
		}
	}
	return ops
}

func planAttribute(name string, s setting, seen *Snapshot, ps *problems) (Operation, bool) {
	current, exists := seen.BIOS.Attributes[name]
	var attr Attribute
	described := false
	if seen.BIOS.Registry != nil {
		attr, described = seen.BIOS.Registry.Attributes[name]
	}
	if !exists && !described {
		ps.add(s.path, fmt.Sprintf("unknown attribute %q", name), "an attribute of this machine", nearest(name, seen))
		return Operation{}, false
	}
	if !described {
		// Registries may be absent or cover only some attributes; the value in effect still
		// tells the type.
		attr = Attribute{Type: typeOf(current)}
	}
	value, ok := attr.normalise(name, s, ps)
	if !ok {
		return Operation{}, false
	}
	current, _ = scalar(current)
	pending, isPending := seen.BIOS.Pending[name]
	pending, _ = scalar(pending)
	if attr.Type == TypeInteger || attr.Type == TypeBoolean {
		// Some BMCs give numbers and booleans as strings.
		current, pending = loosely(attr.Type, current), loosely(attr.Type, pending)
	}
	if exists && current == value && (!isPending || pending == value) {
		return Operation{}, false
	}
	if attr.ReadOnly {
		ps.add(s.path, fmt.Sprintf("%v", s.value), fmt.Sprintf("%v, the value it has", current), name+" is read-only")
		return Operation{}, false
	}
	reason := s.reason
	switch {
	case isPending && pending == value:
		reason += "; set already, waiting for a reset"
	case isPending:
		reason += fmt.Sprintf("; %v is pending", pending)
	}
	return Operation{
		ID:        fmt.Sprintf("bios-set-%s=%v", name, value),
		Component: ComponentBIOS, Action: ActionSet, Target: name,
		Before: current, After: value, Reason: reason, Reboot: !attr.AppliesAtOnce, Destroys: []string{},
	}, true
}

// normalise checks a wanted value against the attribute and brings it into its type.
func (a Attribute) normalise(name string, s setting, ps *problems) (any, bool) {
	bad := func(expected string) (any, bool) {
		ps.add(s.path, kind(s.value), expected, name+" is of type "+string(a.Type))
		return nil, false
	}
	switch a.Type {
	case TypePassword:
		return bad("no password: profiles are not secret")
	case TypeInteger:
		n, ok := loosely(TypeInteger, s.value).(int64)
		if !ok || a.Min != nil && n < *a.Min || a.Max != nil && n > *a.Max {
			return bad("a whole number" + a.bounds())
		}
		return n, true
	case TypeBoolean:
		b, ok := loosely(TypeBoolean, s.value).(bool)
		if !ok {
			return bad("true or false")
		}
		return b, true
	}
	text, ok := s.value.(string)
	if !ok {
		// 10 in a profile for an enumeration of "10", "20": the registry's type wins.
		if _, isBool := s.value.(bool); isBool {
			return bad("a string")
		}
		text = fmt.Sprint(s.value)
	}
	if a.Type == TypeEnumeration && len(a.Values) > 0 && !slices.Contains(a.Values, text) {
		return bad("one of " + strings.Join(a.Values, ", "))
	}
	if n := int64(len(text)); a.Type == TypeString && (a.Min != nil && n < *a.Min || a.Max != nil && *a.Max > 0 && n > *a.Max) {
		return bad("a string" + a.bounds() + " characters")
	}
	return text, true
}

func (a Attribute) bounds() string {
	var b strings.Builder
	if a.Min != nil {
		fmt.Fprintf(&b, " of at least %d", *a.Min)
	}
	if a.Max != nil {
		fmt.Fprintf(&b, " up to %d", *a.Max)
	}
	return b.String()
}

func loosely(t AttributeType, v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	switch t {
	case TypeInteger:
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
			return n
		}
	case TypeBoolean:
		switch strings.ToLower(text) {
		case "true":
			return true
		case "false":
			return false
		}
	}
	return v
}

func typeOf(v any) AttributeType {
	v, _ = scalar(v)
	switch v.(type) {
	case bool:
		return TypeBoolean
	case int64:
		return TypeInteger
	}
	return TypeString
}

// nearest names an attribute that differs only in case, the commonest mistake.
func nearest(name string, seen *Snapshot) string {
	for _, known := range sortedKeys(seen.BIOS.Attributes) {
		if strings.EqualFold(known, name) {
			return "did you mean " + known + "?"
		}
	}
	return ""
}

func unreadableHint(seen *Snapshot) string {
	if len(seen.Unreadable) == 0 {
		return ""
	}
	u := seen.Unreadable[0]
	return fmt.Sprintf("could not read %s: %s", u.Path, u.Reason)
}
