package redfishsim

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// SetBIOS changes settings: those that need a reset pend until the next POST, the others
// are in force at once. One bad value and none is taken; the error joins all of them.
func (m *Machine) SetBIOS(values map[string]any) error {
	return m.do(func() error {
		var errs []error
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if err := m.checkAttribute(name, integral(values[name])); err != nil {
				errs = append(errs, err)
			}
		}
		if len(errs) > 0 {
			return errors.Join(errs...)
		}
		for name, v := range values {
			v = integral(v)
			a, _ := m.spec.attribute(name)
			switch {
			case a.Immediate:
				m.state.BIOS[name] = v
			case m.state.BIOS[name] == v:
				delete(m.state.Pending, name)
			default:
				m.state.Pending[name] = v
			}
		}
		m.changed()
		return nil
	})
}

func (m *Machine) checkAttribute(name string, v any) error {
	a, ok := m.spec.attribute(name)
	if !ok {
		return fmt.Errorf("%w: no BIOS attribute %q", ErrInvalid, name)
	}
	if a.ReadOnly {
		return fmt.Errorf("%w: BIOS attribute %q is read-only", ErrInvalid, name)
	}
	switch a.Type {
	case hardware.TypeInteger:
		n, isInt := v.(int64)
		ok = isInt && n >= a.Min && (a.Max == 0 || n <= a.Max)
	case hardware.TypeBoolean:
		_, ok = v.(bool)
	case hardware.TypeEnumeration:
		s, isText := v.(string)
		ok = isText && slices.Contains(a.Values, s)
	default:
		s, isText := v.(string)
		ok = isText && (a.Max == 0 || int64(len(s)) <= a.Max)
	}
	if !ok {
		return fmt.Errorf("%w: BIOS attribute %q cannot be %v", ErrInvalid, name, v)
	}
	return nil
}
