package kwalify_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A modelRule is a kwalify rule for the reference judge.
type modelRule struct {
	typ      string
	required bool
	pattern  string   // a word that means the same in every dialect
	enum     []string // JSON texts
	min, max int      // of range and length; both 0 is none
	mapping  map[string]*modelRule
	item     *modelRule
}

// text writes the rule the way Crowbar's files are written.
func (r *modelRule) text() string {
	parts := []string{fmt.Sprintf("%q: %q", "type", r.typ)}
	if r.required {
		parts = append(parts, `"required": true`)
	}
	if r.pattern != "" {
		parts = append(parts, fmt.Sprintf("pattern: \"/%s/\"", r.pattern))
	}
	if r.enum != nil {
		parts = append(parts, "enum: [ "+strings.Join(r.enum, ", ")+" ]")
	}
	if r.min != 0 || r.max != 0 {
		key := map[bool]string{true: "length", false: "range"}[r.typ == "str"]
		dot := map[bool]string{true: ".0", false: ""}[r.typ == "float"]
		parts = append(parts, fmt.Sprintf("%s: { min: %d%s, max-ex: %d%s }", key, r.min, dot, r.max, dot))
	}
	if r.item != nil {
		parts = append(parts, `"sequence": [ `+r.item.text()+" ]")
	}
	if r.mapping != nil {
		var keys []string
		for key, child := range r.mapping {
			if key != "=" {
				key = `"` + key + `"`
			}
			keys = append(keys, key+" : "+child.text())
		}
		slices.Sort(keys)
		parts = append(parts, `"mapping": { `+strings.Join(keys, ",\n\t")+" }")
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// accepts judges as Validator#_validate of kwalify 0.7.2 does (validator.rb).
func (r *modelRule) accepts(v any) bool {
	if v == nil {
		return !r.required && r.enum == nil
	}
	number, _ := v.(json.Number)
	whole := !strings.ContainsAny(string(number), ".eE")
	s, isString := v.(string)
	list, isList := v.([]any)
	m, isMap := v.(map[string]any)
	_, isBool := v.(bool)
	typed := map[string]bool{"str": isString, "int": number != "" && whole, "float": number != "" && !whole,
		"number": number != "", "text": isString || number != "", "bool": isBool, "any": true,
		"scalar": !isList && !isMap, "seq": isList, "map": isMap}[r.typ]
	if !typed {
		return false
	}
	for _, item := range list {
		if r.item != nil && !r.item.accepts(item) {
			return false
		}
	}
	for key, child := range r.mapping {
		if key != "=" && child.required && m[key] == nil {
			return false
		}
	}
	for key, value := range m {
		child := r.mapping[key]
		if child == nil {
			child = r.mapping["="]
		}
		if r.mapping != nil && (child == nil || !child.accepts(value)) {
			return false
		}
	}
	if r.enum != nil {
		text, _ := json.Marshal(v)
		return slices.Contains(r.enum, string(text))
	}
	size := float64(len(s))
	if !isString {
		size, _ = number.Float64()
	}
	if (r.min != 0 || r.max != 0) && (size < float64(r.min) || size >= float64(r.max)) {
		return false
	}
	return r.pattern == "" || regexp.MustCompile("(?m)"+r.pattern).MatchString(s)
}

var modelKeys = []string{"a", "b", "password", "="}

func drawRule(t *rapid.T, depth int) *modelRule {
	types := []string{"str", "str", "int", "float", "number", "text", "bool", "any", "scalar", "map", "seq"}
	if depth == 0 {
		types = types[:9]
	}
	r := &modelRule{typ: rapid.SampledFrom(types).Draw(t, "type"), required: rapid.Bool().Draw(t, "required")}
	switch r.typ {
	case "seq":
		r.item = drawRule(t, depth-1)
	case "map":
		r.mapping = make(map[string]*modelRule)
		for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(modelKeys), 1, 4, rapid.ID[string]).Draw(t, "keys") {
			r.mapping[key] = drawRule(t, depth-1)
		}
	case "str":
		switch rapid.IntRange(0, 3).Draw(t, "check") {
		case 0:
			r.pattern = rapid.SampledFrom([]string{"^a", "^(a|b)$", "x+"}).Draw(t, "pattern")
		case 1:
			r.enum = []string{`"a"`, `"xx"`}
		case 2:
			r.min, r.max = 1, 3
		}
	case "int", "float", "number":
		if rapid.Bool().Draw(t, "bounded") {
			r.min, r.max = rapid.IntRange(-1, 1).Draw(t, "min"), 3
		}
	}
	return r
}

func drawValue(t *rapid.T, depth int) any {
	switch rapid.IntRange(0, 5+min(depth, 1)*4).Draw(t, "kind") {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "bool")
	case 2, 3:
		return json.Number(rapid.SampledFrom([]string{"0", "1", "2", "3", "1.0", "1.5", "3.0", "1e0", "-2"}).Draw(t, "number"))
	case 4, 5:
		return rapid.SampledFrom([]string{"", "a", "b", "xx", "axb", "n\na"}).Draw(t, "string")
	case 6:
		list := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			list = append(list, drawValue(t, depth-1))
		}
		return list
	}
	m := make(map[string]any)
	for _, key := range rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "password", "z"}), rapid.ID[string]).Draw(t, "keys") {
		m[key] = drawValue(t, depth-1)
	}
	return m
}

// drawFitting draws a value that the rule is likely to accept, so that both verdicts are met.
func drawFitting(t *rapid.T, r *modelRule, depth int) any {
	if depth == 0 || r == nil || rapid.IntRange(0, 7).Draw(t, "stray") == 0 {
		return drawValue(t, 1)
	}
	switch {
	case r.mapping != nil:
		m := make(map[string]any)
		for _, key := range []string{"a", "b", "password", "z"} {
			child := r.mapping[key]
			if child == nil {
				child = r.mapping["="]
			}
			if child != nil && (child.required && r.mapping[key] != nil || rapid.Bool().Draw(t, "there")) {
				m[key] = drawFitting(t, child, depth-1)
			}
		}
		return m
	case r.item != nil:
		return []any{drawFitting(t, r.item, depth-1), drawFitting(t, r.item, depth-1)}
	case r.typ == "bool":
		return true
	case r.typ == "str" || r.typ == "text":
		return rapid.SampledFrom([]string{"a", "xx"}).Draw(t, "fitting")
	}
	return json.Number(map[bool]string{true: "1.5", false: "1"}[r.typ == "float"])
}

func TestTranslationJudgesAsKwalify(t *testing.T) {
	verdicts := make(map[bool]int)
	rapid.Check(t, func(t *rapid.T) {
		rule := drawRule(t, 3)
		schema, err := compile(rule.text())
		require.NoError(t, err, "%s", rule.text())
		for range 4 {
			document := drawFitting(t, rule, 4)
			want := rule.accepts(document)
			verdicts[want]++
			if err := schema.Validate(document); (err == nil) != want {
				t.Fatalf("kwalify's verdict %v, the translation's %v\nrule: %s\ndocument: %v", want, err, rule.text(), document)
			}
		}
	})
	require.Greater(t, verdicts[true], 20, "both verdicts must be met: %v", verdicts)
	require.Greater(t, verdicts[false], 20, "both verdicts must be met: %v", verdicts)
}
