package hardware

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
)

// ParseProfile reads a profile from JSON. Every problem is reported at once, with its path:
// unknown fields, wrong types, unknown sets, intents and RAID levels, impossible disk
// counts, names given twice. The error is a *ValidationError. What is on or off may also be
// written true, false, "enabled" or "disabled". A field that is null is the same as absent; what
// names a setting, under /bios/intents and /bios/attributes, cannot be null. ProfileSchema
// describes the shape.
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
		return Profile{}, &ValidationError{Problems: []Problem{notJSON(data, dec.InputOffset(), err)}}
	}
	r := reader{}
	r.twice(json.NewDecoder(bytes.NewReader(data)), "")
	p := r.profile(doc)
	var meaning problems
	p.resolve(&meaning)
	unread := r.problems.paths()
	for _, m := range meaning {
		if !unread.cover(m.Path) { // what could not be read is not found missing besides
			r.problems = append(r.problems, m)
		}
	}
	return p, r.problems.err()
}

// notJSON is the problem of a document that cannot be read at all, with the place: lines and
// columns from 1, columns in bytes.
func notJSON(data []byte, offset int64, err error) Problem {
	p := Problem{Expected: "a JSON object"}
	var syntax *json.SyntaxError
	text := bytes.TrimSpace(data)
	switch {
	case len(text) == 0:
		p.Found = "nothing"
		return p
	case bytes.HasPrefix(text, []byte("\xef\xbb\xbf")):
		p.Found = "a byte order mark"
		p.Hint = "save it as UTF-8 without one"
		return p
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		err, offset = errors.New("it ends too early"), int64(len(bytes.TrimRight(data, " \t\r\n")))
	case errors.As(err, &syntax):
		offset = syntax.Offset - 1
	}
	before := data[:min(max(offset, 0), int64(len(data)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n')
	p.Found = fmt.Sprintf("at line %d, column %d: %s", line, column, strings.TrimPrefix(err.Error(), "json: "))
	if text[0] != '{' {
		p.Hint = "a profile is JSON, not YAML"
	}
	return p
}

// twice finds names that an object has more than once; of those the last would win in silence.
// The document is one that could be decoded.
func (r *reader) twice(dec *json.Decoder, at string) {
	open, err := dec.Token()
	if err != nil {
		return
	}
	switch open {
	case json.Delim('{'):
		counts := map[string]int{}
		for dec.More() {
			token, err := dec.Token()
			name, ok := token.(string)
			if err != nil || !ok {
				return
			}
			path := at + "/" + pointer(name)
			if counts[name]++; counts[name] == 2 {
				r.problems.add(path, fmt.Sprintf("%q twice", name), "a name once", "")
			}
			r.twice(dec, path)
		}
	case json.Delim('['):
		for i := 0; dec.More(); i++ {
			r.twice(dec, fmt.Sprintf("%s/%d", at, i))
		}
	default:
		return
	}
	_, _ = dec.Token() // the end of what was opened
}

// reader turns decoded JSON into a profile and goes on after a problem, which
// encoding/json does not.
type reader struct{ problems problems }

func (r *reader) profile(doc any) Profile {
	var p Profile
	r.object(doc, "", map[string]func(any, string){
		"bios": func(v any, at string) { p.BIOS = r.bios(v, at) },
		"raid": func(v any, at string) { p.RAID = r.raid(v, at) },
		"boot": func(v any, at string) { p.Boot = r.boot(v, at) },
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

func (r *reader) boot(doc any, at string) *BootProfile {
	b := &BootProfile{}
	r.object(doc, at, map[string]func(any, string){
		"target":      func(v any, at string) { b.Target = BootTarget(r.word(v, at)) },
		"mode":        func(v any, at string) { b.Mode = r.word(v, at) },
		"secure_boot": func(v any, at string) { b.SecureBoot = r.intent(v, at) },
		"order":       func(v any, at string) { b.Order = r.words(v, at) },
	})
	return b
}

func (r *reader) bios(doc any, at string) *BIOSProfile {
	b := &BIOSProfile{}
	r.object(doc, at, map[string]func(any, string){
		"set": func(v any, at string) { b.Set = r.word(v, at) },
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
		"set": func(v any, at string) { p.Set = r.word(v, at) },
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
			v.DiskCount = DiskCount(r.integer(x, at, 1, maxDisks, diskCountRule))
		},
		"bootable": func(x any, at string) {
			b, ok := x.(bool)
			if !ok {
				r.problems.add(at, kind(x), "true or false", "")
			}
			v.Bootable = b
		},
		"size_bytes":     func(x any, at string) { v.SizeBytes = r.bytes(x, at) },
		"controller":     func(x any, at string) { v.Controller = r.text(x, at) },
		"media":          func(x any, at string) { v.Media = r.text(x, at) },
		"protocol":       func(x any, at string) { v.Protocol = r.text(x, at) },
		"disks":          func(x any, at string) { v.Disks = r.words(x, at) },
		"disk_min_bytes": func(x any, at string) { v.DiskMinBytes = r.bytes(x, at) },
		"disk_max_bytes": func(x any, at string) { v.DiskMaxBytes = r.bytes(x, at) },
		"spare_count":    func(x any, at string) { v.Spares = int(r.integer(x, at, 0, maxDisks, "a number of disks")) },
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

// word is a text that is not empty: "" would be taken for absent.
func (r *reader) word(v any, at string) string {
	if v == "" {
		r.problems.add(at, "an empty string", "a word, or nothing at all", "")
	}
	return r.text(v, at)
}

func (r *reader) words(v any, at string) []string {
	var out []string
	r.list(v, at, func(v any, at string) { out = append(out, r.word(v, at)) })
	return out
}

func (r *reader) bytes(v any, at string) int64 {
	return r.integer(v, at, 0, math.MaxInt64, "a number of bytes")
}

// integer also takes 1.0 and 1e12, which are the same numbers in JSON.
func (r *reader) integer(v any, at string, low, high int64, expected string) int64 {
	number, ok := v.(json.Number)
	n, err := number.Int64()
	if err != nil {
		f, _ := number.Float64() // ±Inf where it is out of range
		n = int64(f)
		ok = ok && math.Abs(f) < 1<<63 && float64(n) == f
	}
	if !ok || n < low || n > high {
		r.problems.add(at, kind(v), expected, "")
		return 0
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
	return r.word(v, at)
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
		b.Intents, b.Attributes = maps.Clone(b.Intents), maps.Clone(b.Attributes)
		p.BIOS = &b
	}
	if p.RAID != nil {
		r := *p.RAID
		r.Volumes = slices.Clone(r.Volumes)
		for i := range r.Volumes {
			r.Volumes[i].Disks = slices.Clone(r.Volumes[i].Disks)
		}
		p.RAID = &r
	}
	if p.Boot != nil {
		b := *p.Boot
		b.Order = slices.Clone(b.Order)
		p.Boot = &b
	}
	p.Firmware = slices.Clone(p.Firmware)
	return p
}
