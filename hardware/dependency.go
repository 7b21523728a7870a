package hardware

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// layers are BIOS attributes one over the other: what the profile asks for lies over what is pending,
// and that over what is in effect. Attributes are not copied: real machines have hundreds.
type layers []map[string]any

func (s layers) value(attribute string) (any, bool) {
	for _, layer := range s {
		if v, ok := layer[attribute]; ok {
			return v, true
		}
	}
	return nil, false
}

// holds evaluates the conditions from left to right. A condition on an attribute that the
// machine does not have, or with an operator that Redfish does not define, is false: the
// planner then foresees no trouble, and what trouble there is comes as the BMC's own refusal.
func (d Dependency) holds(s layers) bool {
	result := false
	for i, c := range d.If {
		switch one := c.holds(s); {
		case i == 0:
			result = one
		case c.Or:
			result = result || one
		default:
			result = result && one
		}
	}
	return result
}

func (c Condition) holds(s layers) bool {
	have, ok := s.value(c.Attribute)
	if !ok {
		return false
	}
	switch c.Operator {
	case "EQU":
		return same(have, c.Value)
	case "NEQ":
		return !same(have, c.Value)
	}
	order, comparable := compare(have, c.Value)
	if !comparable {
		return false
	}
	switch c.Operator {
	case "GTR":
		return order > 0
	case "GEQ":
		return order >= 0
	case "LSS":
		return order < 0
	case "LEQ":
		return order <= 0
	}
	return false
}

// same compares attribute values however they are written: registries and BMCs give numbers and
// booleans as strings, and not always both.
func same(a, b any) bool {
	a, okA := scalar(a)
	b, okB := scalar(b)
	if !okA || !okB {
		return false
	}
	_, textA := a.(string)
	_, textB := b.(string)
	switch {
	case a == b:
		return true
	case textA != textB:
		return strings.EqualFold(fmt.Sprint(a), fmt.Sprint(b))
	}
	return false
}

func compare(a, b any) (int, bool) {
	x, okX := number(a)
	y, okY := number(b)
	return cmp.Compare(x, y), okX && okY
}

func number(v any) (float64, bool) {
	v, _ = scalar(v)
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		return f, err == nil
	}
	return 0, false
}

// condition says in words when the dependency holds.
func (d Dependency) condition() string {
	words := map[string]string{"EQU": "is", "NEQ": "is not", "GTR": "is over", "GEQ": "is at least", "LSS": "is under", "LEQ": "is at most"}
	var b strings.Builder
	for i, c := range d.If {
		if i > 0 {
			b.WriteString(map[bool]string{true: " or ", false: " and "}[c.Or])
		}
		fmt.Fprintf(&b, "%s %s %v", c.Attribute, words[c.Operator], c.Value)
	}
	return b.String()
}

// others names the attributes that the dependency depends on, without the one it is about.
func (d Dependency) others() []string {
	var out []string
	for _, c := range d.If {
		if c.Attribute != d.Attribute && !slices.Contains(out, c.Attribute) {
			out = append(out, c.Attribute)
		}
	}
	return out
}

// remedy says what to do about a dependency that stands against the profile.
func (d Dependency) remedy() string {
	if others := d.others(); len(others) > 0 {
		return "set " + strings.Join(others, " or ") + " to another value too"
	}
	return "leave " + d.Attribute + " out of the profile"
}
