package redfish

import (
	"maps"
	"slices"
	"strings"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// onOff are spellings of an intent that is on or off.
func onOff(on, off string, names ...string) []Spelling {
	var out []Spelling
	for _, name := range names {
		out = append(out, Spelling{name, map[string]any{"on": on, "off": off}})
	}
	return out
}

// spellings are those of the machine's vendor, then all that are known: boards come with the
// firmware of others, and a name together with its values says enough.
func (n *conn) spellings(intent hardware.Intent) (out []Spelling) {
	if s, ok := n.vendor.(Speller); ok {
		out = s.Spellings(intent)
	}
	for _, v := range Vendors() {
		if s, ok := v.(Speller); ok && v.Name() != n.vendor.Name() {
			out = append(out, s.Spellings(intent)...)
		}
	}
	switch intent { // those of the DMTF's mockup, public-rackmount1
	case hardware.BootMode:
		out = append(out, Spelling{"BootMode", map[string]any{"uefi": "Uefi"}})
	case hardware.PowerProfile:
		out = append(out, Spelling{"PowerProfile", map[string]any{"performance": "MaxPerf", "balanced": "BalancedPowerPerf"}})
	}
	return out
}

// bind finds the attributes of this machine for the intents: those it has, with the values that
// its registry allows.
func (n *conn) bind(b hardware.BIOS) map[hardware.Intent]hardware.Binding {
	out := map[hardware.Intent]hardware.Binding{}
	names := slices.Sorted(maps.Keys(b.Attributes))
	for _, intent := range hardware.Intents() {
		for _, s := range n.spellings(intent) {
			if bound, ok := offered(b, names, s); ok {
				out[intent] = bound
				break
			}
		}
	}
	return out
}

func offered(b hardware.BIOS, names []string, s Spelling) (hardware.Binding, bool) {
	name := s.Attribute
	if prefix, ok := strings.CutSuffix(name, "*"); ok {
		i, _ := slices.BinarySearch(names, prefix)
		if i == len(names) || !strings.HasPrefix(names[i], prefix) {
			return hardware.Binding{}, false
		}
		name = names[i]
	}
	current, has := b.Attributes[name]
	if !has {
		return hardware.Binding{}, false
	}
	var allowed []string
	if b.Registry != nil {
		allowed = b.Registry.Attributes[name].Values
	}
	if len(allowed) == 0 {
		// Without a registry the value in effect must at least be one we know.
		known := slices.Contains(slices.Collect(maps.Values(s.Values)), current)
		return hardware.Binding{Attribute: name, Values: s.Values}, known
	}
	bound := hardware.Binding{Attribute: name, Values: map[string]any{}}
	for value, native := range s.Values {
		if text, ok := native.(string); ok && slices.Contains(allowed, text) {
			bound.Values[value] = native
		}
	}
	return bound, len(bound.Values) == len(s.Values) || len(bound.Values) > 1
}
