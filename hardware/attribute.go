package hardware

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// normalise checks a wanted value against the attribute and brings it into its type.
func (a Attribute) normalise(name string, asked any, path string, ps *problems) (any, bool) {
	bad := func(expected string) (any, bool) {
		ps.add(path, kind(asked), expected, name+" is of type "+string(a.Type))
		return nil, false
	}
	switch a.Type {
	case TypePassword:
		return bad("no password: profiles are not secret")
	case TypeInteger:
		n, ok := a.read(asked).(int64)
		if !ok || a.Min != nil && n < *a.Min || a.Max != nil && n > *a.Max {
			return bad("a whole number" + a.bounds())
		}
		return n, true
	case TypeBoolean:
		b, ok := a.read(asked).(bool)
		if !ok {
			return bad("true or false")
		}
		return b, true
	}
	text, ok := asked.(string)
	if !ok {
		// 10 in a profile for an enumeration of "10", "20": the registry's type wins.
		if _, isBool := asked.(bool); isBool {
			return bad("a string")
		}
		text = fmt.Sprint(asked)
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

// read brings a value into the attribute's type where it can be: some BMCs give numbers and
// booleans as strings, or the names of an enumeration as numbers.
func (a Attribute) read(v any) any {
	v, ok := scalar(v)
	if !ok {
		return nil
	}
	text, isText := v.(string)
	switch {
	case a.Type == TypeInteger && isText:
		if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil {
			return n
		}
	case a.Type == TypeBoolean && isText:
		switch strings.ToLower(text) {
		case "true":
			return true
		case "false":
			return false
		}
	case (a.Type == TypeString || a.Type == TypeEnumeration) && !isText:
		return fmt.Sprint(v)
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
