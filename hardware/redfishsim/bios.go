package redfishsim

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// SetBIOS changes settings: those that need a reset pend until the next POST, the others
// are in force at once. One bad value and none is taken; the error joins all of them. On a
// machine whose BIOS changes need a job, POST leaves what pends alone until CommitBIOS, and
// while there is such a job SetBIOS is ErrCommitted.
func (m *Machine) SetBIOS(values map[string]any) error {
	return m.do(func() error { return m.setBIOS(values, m.spec.Dependencies) })
}

// setBIOS needs the lock.
func (m *Machine) setBIOS(values map[string]any, rules []Dependency) error {
	if m.active(JobBIOS, JobScheduled, JobRunning) != nil {
		return ErrCommitted
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := m.checkAttribute(name, values, rules); err != nil {
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
}

// ResetBIOS makes the factory values pend.
func (m *Machine) ResetBIOS() error {
	factory := map[string]any{}
	for _, a := range m.spec.Attributes {
		if !a.ReadOnly {
			factory[a.Name] = a.Factory
		}
	}
	// What is read-only because of another attribute goes back together with that one.
	return m.do(func() error { return m.setBIOS(factory, nil) })
}

// ClearPending forgets what pends in the BIOS. While a job holds it, that is ErrCommitted.
func (m *Machine) ClearPending() error {
	return m.do(func() error {
		if m.active(JobBIOS, JobScheduled, JobRunning) != nil {
			return ErrCommitted
		}
		clear(m.state.Pending)
		m.changed()
		return nil
	})
}

func (m *Machine) applyBIOS(values map[string]any) {
	maps.Copy(m.state.BIOS, values)
	clear(m.state.Pending)
}

func (m *Machine) checkAttribute(name string, values map[string]any, rules []Dependency) error {
	v := integral(values[name])
	a, ok := m.spec.attribute(name)
	if !ok {
		return fmt.Errorf("%w: no BIOS attribute %q", ErrInvalid, name)
	}
	if a.ReadOnly {
		return fmt.Errorf("%w: BIOS attribute %q is read-only", ErrInvalid, name)
	}
	for _, d := range rules {
		if d.Attribute == name && m.wouldBe(d.When.Attribute, values) == d.When.Value {
			return fmt.Errorf("%w: BIOS attribute %q is read-only while %s is %v", ErrInvalid, name, d.When.Attribute, d.When.Value)
		}
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

// wouldBe is the value of an attribute once what pends and what is written are in force.
func (m *Machine) wouldBe(name string, written map[string]any) any {
	for _, values := range []map[string]any{written, m.state.Pending} {
		if v, ok := values[name]; ok {
			return integral(v)
		}
	}
	return m.state.BIOS[name]
}
