// Package volumes is what nova and cinder share about back ends of volumes: the schemas of the
// drivers' options come from the drivers, and a back end that was chosen has what its driver needs.
package volumes

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/schema"
)

// Embed returns a barclamp's schema with the schemas of the drivers' options among its $defs, by
// the drivers' names. Defaults stay with the drivers, as an option that is absent has them there;
// what must be there is for Options to say. A schema that is none is returned as it is, for a
// Registry to refuse.
func Embed(own []byte, drivers ...string) json.RawMessage {
	var s map[string]any
	if json.Unmarshal(own, &s) != nil {
		return own
	}
	defs, ok := s["$defs"].(map[string]any)
	if !ok {
		defs = map[string]any{}
		s["$defs"] = defs
	}
	for _, driver := range drivers {
		var options map[string]any
		if json.Unmarshal(schema.Of(driver), &options) != nil {
			return own
		}
		for _, keyword := range []string{"$schema", "title", "required", "anyOf"} {
			delete(options, keyword)
		}
		properties, _ := options["properties"].(map[string]any)
		for _, p := range properties {
			option := p.(map[string]any)
			delete(option, "default")
			text, _ := option["description"].(string)
			option["description"] = phrase(text)
		}
		defs[driver] = options
	}
	embedded, err := json.Marshal(s)
	if err != nil {
		return own
	}
	return embedded
}

// phrase is a text with a capital and without a full stop, as the schemas of barclamps have them.
func phrase(text string) string {
	text = strings.TrimSuffix(text, ".")
	for i, first := range text {
		return string(unicode.ToUpper(first)) + text[i+len(string(first)):]
	}
	return text
}

// List checks the form since 2014, the value of "volumes"; at is the JSON Pointer of it.
func List(problems *barclamp.Problems, at string, volumes gjson.Result) {
	names, files, all := map[string]string{}, map[string]string{}, ""
	for i, entry := range volumes.Array() {
		at := fmt.Sprintf("%s/%d", at, i)
		driver, name := entry.Get("backend_driver"), entry.Get("backend_name")
		switch first, twice := names[name.String()]; {
		case storage.CheckID(name.String()) != nil:
			problems.Add(at+"/backend_name", found(name), fmt.Sprintf("[A-Za-z0-9._-]{1,%d} beginning with a letter or digit", storage.MaxID), "")
		case twice:
			problems.Add(at+"/backend_name", found(name), "another name than that of "+first, "each back end has a name of its own")
		default:
			names[name.String()] = at
		}
		if driver.String() == "" {
			problems.Add(at+"/backend_driver", found(driver), "the name of a driver, such as eqlx or rbd", "")
			continue
		}
		entry.ForEach(func(key, _ gjson.Result) bool {
			if k := key.String(); k != "backend_driver" && k != "backend_name" && k != driver.String() {
				problems.Add(at+"/"+barclamp.PointerToken(k), "options of another driver", "only those of "+driver.String(), "the back end uses the driver that it names")
			}
			return true
		})
		options := entry.Get(gjson.Escape(driver.String()))
		at += "/" + barclamp.PointerToken(driver.String())
		Options(problems, at, driver.String(), options)
		switch driver.String() {
		case "raw":
			if options.Get("cinder_raw_method").String() == "all" {
				if all != "" {
					problems.Add(at+"/cinder_raw_method", `"all"`, "first or selected", "all disks are "+all+"'s")
				}
				all = at
			}
			unique(problems, files, at, "volume_name", options)
		case "local":
			unique(problems, files, at, "volume_name", options)
			unique(problems, files, at, "file_name", options)
		}
	}
}

// unique notes a problem if another back end of the nodes' own disks has the same value.
func unique(problems *barclamp.Problems, seen map[string]string, at, key string, options gjson.Result) {
	value := options.Get(key)
	if value.String() == "" {
		return
	}
	id := key + " " + value.String()
	if first, twice := seen[id]; twice {
		problems.Add(at+"/"+key, found(value), "another one than that of "+first, "")
		return
	}
	seen[id] = at
}

// Block checks the forms before 2014, the value of "volume": one volume_type with the options of
// all types, or several such blocks by the names of their back ends.
func Block(problems *barclamp.Problems, at string, volume gjson.Result) {
	if driver := volume.Get("volume_type"); driver.Exists() {
		options := volume.Get(gjson.Escape(driver.String()))
		Options(problems, at+"/"+barclamp.PointerToken(driver.String()), driver.String(), options)
		return
	}
	volume.ForEach(func(name, block gjson.Result) bool {
		if block.Get("volume_type").Exists() {
			Block(problems, at+"/"+barclamp.PointerToken(name.String()), block)
		}
		return true
	})
}

// Options checks that a back end has what the driver's schema says that it needs. Drivers without a
// schema here are left alone; what the options are is for the schema of the barclamp.
func Options(problems *barclamp.Problems, at, driver string, options gjson.Result) {
	var needs struct {
		Required []string `json:"required"`
		AnyOf    []struct {
			Required []string `json:"required"`
		} `json:"anyOf"`
	}
	raw := schema.Of(driver)
	if raw == nil || json.Unmarshal(raw, &needs) != nil {
		return
	}
	if !options.IsObject() {
		problems.Add(at, found(options), "an object with the options of "+driver, "the back end uses this driver")
		return
	}
	absent := func(key string) bool {
		value := options.Get(gjson.Escape(key))
		return !value.Exists() || value.Type == gjson.Null || value.Type == gjson.String && value.Str == ""
	}
	for _, key := range needs.Required {
		if absent(key) {
			problems.Add(at+"/"+barclamp.PointerToken(key), found(options.Get(gjson.Escape(key))), "a value", driver+" needs it")
		}
	}
	var ways []string
	for _, way := range needs.AnyOf {
		if !slices.ContainsFunc(way.Required, absent) {
			return
		}
		ways = append(ways, strings.Join(way.Required, " and "))
	}
	if len(ways) > 0 {
		problems.Add(at, "none of "+strings.Join(ways, ", "), "one of them", driver+" needs it")
	}
}

// found shows a name, and of all else only what kind of value it is: it may be a secret.
func found(v gjson.Result) string {
	switch {
	case !v.Exists():
		return "nothing"
	case v.Type == gjson.String:
		return fmt.Sprintf("%.80q", v.Str)
	}
	return strings.ToLower(v.Type.String())
}
