package redfish

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/hardware"
)

// registries caches attribute registries: megabytes and three requests each, the same on every
// machine of a model. The names of all its attributes are part of the key, since some are there
// only with certain cards.
type registries struct {
	mu      sync.Mutex
	known   map[string]*hardware.Registry
	loading map[string]chan struct{} // closed when the first who asked has it, or has given up
}

// maxRegistries bounds the cache. A site has few models; more than this are read again.
const maxRegistries = 64

func (r *registries) get(key string) *hardware.Registry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[key]
}

// load returns nil to the first who asks for a key, who calls loaded in the end, and to others
// what tells that this happened.
func (r *registries) load(key string) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known, r.loading = map[string]*hardware.Registry{}, map[string]chan struct{}{}
	}
	if done := r.loading[key]; done != nil {
		return done
	}
	r.loading[key] = make(chan struct{})
	return nil
}

func (r *registries) loaded(key string, registry *hardware.Registry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if registry != nil {
		if len(r.known) >= maxRegistries {
			clear(r.known)
		}
		r.known[key] = registry
	}
	close(r.loading[key])
	delete(r.loading, key)
}

// readRegistry gives the registry that the BIOS names, from the cache or the service.
func (n *conn) readRegistry(ctx context.Context, v *view, name string) *hardware.Registry {
	sum := sha256.Sum256([]byte(strings.Join(slices.Sorted(maps.Keys(v.snap.BIOS.Attributes)), "\n")))
	key := fmt.Sprintf("%q %q %q %q %x", name, v.snap.System.Manufacturer, v.snap.System.Model, v.snap.Firmware["bios"], sum)
	shared := func() *hardware.Registry {
		if known := n.c.registries.get(key); known != nil && fitsRegistry(v.snap.BIOS.Attributes, known) {
			return known
		}
		return nil
	}
	if known := shared(); known != nil {
		return known
	}
	first := n.c.registries.load(key)
	if first != nil {
		// Another machine of the model is asked just now. One that hangs holds nobody up for long.
		select {
		case <-first:
		case <-n.c.clock.After(2 * n.c.config.PollInterval):
		case <-ctx.Done():
		}
		if known := shared(); known != nil {
			return known
		}
	}
	read, where := n.fetchRegistry(ctx, v, name)
	if first == nil {
		// One that a system serves itself is its own: iDRAC's lists its ports, and what may be written
		// under the settings in force.
		if strings.HasPrefix(canonical(where), canonical(v.systemURI)+"/") {
			n.c.registries.loaded(key, nil)
		} else {
			n.c.registries.loaded(key, read)
		}
	}
	return read
}

// fitsRegistry reports whether a registry has all values in effect. One that is shared by machines
// of a model may differ in what their cards bring: Dell lists ports and disks as values.
func fitsRegistry(attributes map[string]any, r *hardware.Registry) bool {
	for name, value := range attributes {
		a, described := r.Attributes[name]
		if text, ok := value.(string); ok && described && a.Type == hardware.TypeEnumeration && !slices.Contains(a.Values, text) {
			return false
		}
	}
	return true
}

// fetchRegistry follows Registries to the file. The collection may be large, with a message
// registry for each member, so only the wanted one is read; its name may carry a suffix.
func (n *conn) fetchRegistry(ctx context.Context, v *view, name string) (r *hardware.Registry, where string) {
	collection := linkTo(n.root, "Registries")
	if collection == "" {
		return nil, ""
	}
	var uri string
	list, err := n.get(ctx, collection)
	switch {
	case err != nil && name == "":
		v.unreadable(collection, err)
		return nil, ""
	case err != nil: // a capture lacks it; its members have the names of the registries
		v.unreadable(collection, err)
		uri = strings.TrimSuffix(collection, "/") + "/" + name
	default:
		uri = findRegistry(list.Get("Members"), name)
	}
	if uri == "" {
		return nil, ""
	}
	file, err := n.get(ctx, uri)
	if err != nil {
		v.unreadable(uri, err)
		return nil, ""
	}
	for _, l := range file.Get("Location").Array() {
		if where == "" || strings.HasPrefix(l.Get("Language").String(), "en") {
			where = l.Get("Uri").String()
		}
	}
	if where == "" {
		return nil, ""
	}
	body, err := n.get(ctx, where)
	if err != nil {
		v.unreadable(where, err)
		return nil, ""
	}
	return parseRegistry(name, body.Result), where
}

// findRegistry picks a collection's member. A BIOS that names none (a Supermicro GB300, as
// captured) still has one, under its usual name.
func findRegistry(members gjson.Result, name string) (uri string) {
	for _, m := range members.Array() {
		member := last(id(m))
		switch {
		case name != "" && member == name, name == "" && strings.HasPrefix(member, "BiosAttributeRegistry"):
			return id(m)
		case name != "" && uri == "" && strings.HasPrefix(name, member+"."):
			uri = id(m)
		}
	}
	return uri
}

// parseRegistry reads an AttributeRegistry.
func parseRegistry(name string, d gjson.Result) *hardware.Registry {
	r := &hardware.Registry{ID: name, Attributes: map[string]hardware.Attribute{}}
	d.Get("RegistryEntries.Attributes").ForEach(func(_, e gjson.Result) bool {
		a := hardware.Attribute{Type: hardware.AttributeType(e.Get("Type").String()),
			ReadOnly: e.Get("ReadOnly").Bool() || e.Get("Immutable").Bool()}
		e.Get("Value").ForEach(func(_, value gjson.Result) bool {
			a.Values = append(a.Values, value.Get("ValueName").String())
			return true
		})
		low, high := "LowerBound", "UpperBound"
		if a.Type == hardware.TypeString || a.Type == hardware.TypePassword {
			low, high = "MinLength", "MaxLength"
		}
		a.Min, a.Max = number(e, low), number(e, high)
		reset := e.Get("ResetRequired")
		a.AppliesAtOnce = reset.Exists() && reset.Type == gjson.False
		r.Attributes[e.Get("AttributeName").String()] = a
		return true
	})
	d.Get("RegistryEntries.Dependencies").ForEach(func(_, e gjson.Result) bool {
		if dep, ok := parseDependency(e); ok {
			r.Dependencies = append(r.Dependencies, dep)
		}
		return true
	})
	return r
}

// parseDependency reads a dependency of type Map that locks an attribute or gives it a value.
// What else there is (display names, bounds) does not matter to a plan.
func parseDependency(e gjson.Result) (hardware.Dependency, bool) {
	m := e.Get("Dependency")
	d := hardware.Dependency{Attribute: m.Get("MapToAttribute").String()}
	switch m.Get("MapToProperty").String() {
	case "ReadOnly", "GrayOut", "Hidden", "Immutable":
		d.ReadOnly = m.Get("MapToValue").Bool()
		if !d.ReadOnly {
			return d, false
		}
	case "CurrentValue":
		if d.Value = scalar(m.Get("MapToValue")); d.Value == nil {
			return d, false
		}
	default:
		return d, false
	}
	known := e.Get("Type").String() == "Map"
	m.Get("MapFrom").ForEach(func(_, f gjson.Result) bool {
		// Conditions on other properties than the value cannot be judged from a snapshot.
		known = known && f.Get("MapFromProperty").String() == "CurrentValue"
		d.If = append(d.If, hardware.Condition{Attribute: f.Get("MapFromAttribute").String(), Operator: f.Get("MapFromCondition").String(),
			Value: scalar(f.Get("MapFromValue")), Or: f.Get("MapTerms").String() == "OR"})
		return true
	})
	return d, known && len(d.If) > 0 && d.Attribute != ""
}

// scalar is a JSON value as snapshots hold it, nil for what is none.
func scalar(value gjson.Result) any {
	switch value.Type {
	case gjson.String:
		return value.String()
	case gjson.True, gjson.False:
		return value.Bool()
	case gjson.Number:
		if f := value.Float(); f != float64(value.Int()) {
			return f
		}
		return value.Int()
	}
	return nil
}

func number(d gjson.Result, key string) *int64 {
	v := d.Get(key)
	if v.Type != gjson.Number {
		return nil
	}
	n := v.Int()
	return &n
}
