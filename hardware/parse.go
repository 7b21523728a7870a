package hardware

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// ParseProfile reads a profile from JSON. Every problem is reported at once, with its path:
// unknown fields, wrong types, unknown sets, intents and RAID levels, impossible disk
// counts. The error is a *ValidationError. Intents that are on or off may also be written
// true, false, "enabled" or "disabled".
func ParseProfile(data []byte) (Profile, error) {
	var doc any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	err := dec.Decode(&doc)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = fmt.Errorf("text after the document")
		}
	}
	if err != nil {
		return Profile{}, &ValidationError{Problems: []Problem{{Found: err.Error(), Expected: "a JSON document"}}}
	}
	r := reader{}
	p := r.profile(doc)
	if len(r.problems) == 0 {
		p.resolve(&r.problems)
	}
	return p, r.problems.err()
}

// reader turns decoded JSON into a profile and goes on after a problem, which
// encoding/json does not.
type reader struct{ problems problems }

func (r *reader) profile(doc any) Profile {
	var p Profile
	r.object(doc, "", map[string]func(any, string){
		"bios": func(v any, at string) { p.BIOS = r.bios(v, at) },
		"raid": func(v any, at string) { p.RAID = r.raid(v, at) },
		"boot": func(v any, at string) {
			p.Boot = &BootProfile{}
			r.object(v, at, map[string]func(any, string){
				"target": func(v any, at string) { p.Boot.Target = BootTarget(r.text(v, at)) },
			})
		},
		"firmware": func(v any, at string) {
			r.list(v, at, func(v any, at string) {
				var f FirmwareProfile
				r.object(v, at, map[string]func(any, string){
					"component": func(v any, at string) { f.Component = r.text(v, at) },
					"version":   func(v any, at string) { f.Version = r.text(v, at) },
				})
				p.Firmware = append(p.Firmware, f)
			})
		},
	})
	return p
}

func (r *reader) bios(doc any, at string) *BIOSProfile {
	b := &BIOSProfile{}
	r.object(doc, at, map[string]func(any, string){
		"set": func(v any, at string) { b.Set = r.text(v, at) },
		"intents": func(v any, at string) {
			b.Intents = map[Intent]string{}
			r.each(v, at, func(name string, v any, at string) { b.Intents[Intent(name)] = r.intent(v, at) })
		},
		"attributes": func(v any, at string) {
			b.Attributes = map[string]any{}
			r.each(v, at, func(name string, v any, at string) {
				value, ok := scalar(v)
				if !ok {
					r.problems.add(at, kind(v), "a string, number or boolean", "")
				}
				b.Attributes[name] = value
			})
		},
	})
	return b
}

func (r *reader) raid(doc any, at string) *RAIDProfile {
	p := &RAIDProfile{}
	r.object(doc, at, map[string]func(any, string){
		"set": func(v any, at string) { p.Set = r.text(v, at) },
		"volumes": func(v any, at string) {
			r.list(v, at, func(v any, at string) { p.Volumes = append(p.Volumes, r.volume(v, at)) })
		},
	})
	return p
}

func (r *reader) volume(doc any, at string) VolumeProfile {
	var v VolumeProfile
	r.object(doc, at, map[string]func(any, string){
		"name":       func(x any, at string) { v.Name = r.text(x, at) },
		"raid_level": func(x any, at string) { v.RAIDLevel = RAIDLevel(r.text(x, at)) },
		"disk_count": func(x any, at string) {
			if x == "remaining" {
				return
			}
			if n := r.integer(x, at, `a positive number or "remaining"`); n > 0 && n <= 1<<16 {
				v.DiskCount = DiskCount(n)
			} else if _, isNumber := x.(json.Number); isNumber {
				r.problems.add(at, fmt.Sprint(x), `a positive number or "remaining"`, "")
			}
		},
		"bootable": func(x any, at string) {
			b, ok := x.(bool)
			if !ok {
				r.problems.add(at, kind(x), "true or false", "")
			}
			v.Bootable = b
		},
		"size_bytes": func(x any, at string) { v.SizeBytes = r.integer(x, at, "a number of bytes") },
		"controller": func(x any, at string) { v.Controller = r.text(x, at) },
		"media":      func(x any, at string) { v.Media = r.text(x, at) },
		"protocol":   func(x any, at string) { v.Protocol = r.text(x, at) },
	})
	return v
}

func (r *reader) object(doc any, at string, fields map[string]func(any, string)) {
	r.each(doc, at, func(name string, v any, path string) {
		read, known := fields[name]
		if !known {
			r.problems.add(path, fmt.Sprintf("%q", name), "one of "+strings.Join(sortedKeys(fields), ", "), "")
			return
		}
		if v != nil { // null is the same as absent
			read(v, path)
		}
	})
}

func (r *reader) each(doc any, at string, visit func(name string, v any, at string)) {
	object, ok := doc.(map[string]any)
	if !ok {
		r.problems.add(at, kind(doc), "an object", "")
		return
	}
	for _, name := range sortedKeys(object) {
		visit(name, object[name], at+"/"+pointer(name))
	}
}

func (r *reader) list(doc any, at string, visit func(v any, at string)) {
	items, ok := doc.([]any)
	if !ok {
		r.problems.add(at, kind(doc), "a list", "")
		return
	}
	for i, v := range items {
		visit(v, fmt.Sprintf("%s/%d", at, i))
	}
}

func (r *reader) text(v any, at string) string {
	s, ok := v.(string)
	if !ok {
		r.problems.add(at, kind(v), "a string", "")
	}
	return s
}

func (r *reader) integer(v any, at, expected string) int64 {
	number, ok := v.(json.Number)
	if !ok {
		r.problems.add(at, kind(v), expected, "")
		return 0
	}
	n, err := number.Int64()
	if err != nil {
		r.problems.add(at, number.String(), expected, "")
	}
	return n
}

func (r *reader) intent(v any, at string) string {
	switch v {
	case true, "enabled":
		return "on"
	case false, "disabled":
		return "off"
	}
	return r.text(v, at)
}

// scalar brings a value of a BIOS attribute into one of string, bool, int64 and float64, so
// that 3 from a file, from a BMC and from Go compare equal.
func scalar(v any) (any, bool) {
	switch v := v.(type) {
	case string, bool, int64:
		return v, true
	case int:
		return int64(v), true
	case float64:
		if v == float64(int64(v)) && v < 1<<53 && v > -1<<53 {
			return int64(v), true
		}
		return v, true
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, true
		}
		f, err := v.Float64()
		if err != nil {
			return nil, false
		}
		return scalar(f)
	}
	return nil, false
}

func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("the string %q", v)
	case bool:
		return fmt.Sprintf("%t", v)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprintf("%v", v)
}

// UnmarshalJSON reads a profile as ParseProfile does.
func (p *Profile) UnmarshalJSON(data []byte) error {
	parsed, err := ParseProfile(data)
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// Clone returns a copy that shares nothing with p.
func (p Profile) Clone() Profile {
	if p.BIOS != nil {
		b := *p.BIOS
		b.Intents, b.Attributes = cloneMap(b.Intents), cloneMap(b.Attributes)
		p.BIOS = &b
	}
	if p.RAID != nil {
		r := *p.RAID
		r.Volumes = slices.Clone(r.Volumes)
		p.RAID = &r
	}
	if p.Boot != nil {
		b := *p.Boot
		p.Boot = &b
	}
	p.Firmware = slices.Clone(p.Firmware)
	return p
}

func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return nil
	}
	out := make(map[K]V, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}
