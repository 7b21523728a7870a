package hardware_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/hardware"
)

func on(attribute, operator string, value any) hardware.Condition {
	return hardware.Condition{Attribute: attribute, Operator: operator, Value: value}
}

// proliant has attributes and dependencies as HPE's registry U58 has them.
func proliant() *hardware.Snapshot {
	onOff := []string{"Enabled", "Disabled"}
	ports := []string{"Com1Irq4", "Com2Irq3", "Disabled"}
	enum := func(values ...string) hardware.Attribute {
		return hardware.Attribute{Type: hardware.TypeEnumeration, Values: values}
	}
	profile := on("WorkloadProfile", "EQU", "I/OThroughput")
	perf := on("WorkloadProfile", "EQU", "Virtualization-MaxPerformance")
	return &hardware.Snapshot{Node: "n", BIOS: hardware.BIOS{
		Attributes: map[string]any{"WorkloadProfile": "I/OThroughput", "HwPrefetcher": "Enabled", "ProcTurbo": "Disabled", "ProcVirtualization": "Disabled",
			"EnergyPerfBias": "BalancedPerf", "EmbeddedSerialPort": "Com1Irq4", "VirtualSerialPort": "Com2Irq3", "PostAsr": "PostAsrOff", "PostAsrDelay": "Delay10Min"},
		Registry: &hardware.Registry{
			Attributes: map[string]hardware.Attribute{
				"WorkloadProfile": enum("I/OThroughput", "Virtualization-MaxPerformance", "Custom"), "HwPrefetcher": enum(onOff...), "ProcTurbo": enum(onOff...),
				"ProcVirtualization": enum(onOff...), "EnergyPerfBias": enum("MaxPerf", "BalancedPerf"), "EmbeddedSerialPort": enum(ports...), "VirtualSerialPort": enum(ports...),
				"PostAsr": enum("PostAsrOn", "PostAsrOff"), "PostAsrDelay": enum("Delay10Min", "Delay20Min"),
			},
			Dependencies: []hardware.Dependency{
				{Attribute: "HwPrefetcher", ReadOnly: true, If: []hardware.Condition{profile}},
				{Attribute: "HwPrefetcher", Value: "Enabled", If: []hardware.Condition{profile}},
				{Attribute: "ProcVirtualization", Value: "Enabled", If: []hardware.Condition{perf}},
				{Attribute: "ProcVirtualization", ReadOnly: true, If: []hardware.Condition{perf}},
				{Attribute: "ProcTurbo", Value: "Enabled", If: []hardware.Condition{perf}},
				{Attribute: "EnergyPerfBias", Value: "MaxPerf", If: []hardware.Condition{perf}},
				{Attribute: "PostAsrDelay", ReadOnly: true, If: []hardware.Condition{on("PostAsr", "EQU", "PostAsrOff")}},
				{Attribute: "VirtualSerialPort", Value: "Com2Irq3", If: []hardware.Condition{on("EmbeddedSerialPort", "EQU", "Com1Irq4"), on("VirtualSerialPort", "EQU", "Com1Irq4")}},
			},
		}}}
}

func TestPlanDependencies(t *testing.T) {
	for name, tt := range map[string]struct {
		attributes string
		pending    map[string]any
		want       []string
	}{
		"free":                     {`{"ProcTurbo":"Enabled"}`, nil, []string{"bios ProcTurbo: Disabled → Enabled, reset"}},
		"read-only, and as wanted": {`{"HwPrefetcher":"Enabled"}`, nil, []string{}},
		"freed by what it depends on": {`{"HwPrefetcher":"Disabled","WorkloadProfile":"Custom"}`, nil,
			[]string{"bios HwPrefetcher: Enabled → Disabled, reset", "bios WorkloadProfile: I/OThroughput → Custom, reset"}},
		"freed by what is pending": {`{"HwPrefetcher":"Disabled"}`, map[string]any{"WorkloadProfile": "Custom"}, []string{"bios HwPrefetcher: Enabled → Disabled, reset"}},
		"read-only, and sent":      {`{"HwPrefetcher":"Disabled"}`, map[string]any{"HwPrefetcher": "Disabled"}, []string{"bios HwPrefetcher: Enabled → Disabled, reset"}},
		"comes by itself":          {`{"WorkloadProfile":"Virtualization-MaxPerformance","ProcVirtualization":"Enabled"}`, nil, []string{"bios WorkloadProfile: I/OThroughput → Virtualization-MaxPerformance, reset"}},
		"comes by itself, shown as pending": {`{"WorkloadProfile":"Virtualization-MaxPerformance","ProcVirtualization":"Enabled"}`,
			map[string]any{"WorkloadProfile": "Virtualization-MaxPerformance", "ProcVirtualization": "Enabled"}, []string{"bios WorkloadProfile: I/OThroughput → Virtualization-MaxPerformance, reset"}},
		"both ports": {`{"VirtualSerialPort":"Com1Irq4","EmbeddedSerialPort":"Disabled"}`, nil,
			[]string{"bios EmbeddedSerialPort: Com1Irq4 → Disabled, reset", "bios VirtualSerialPort: Com2Irq3 → Com1Irq4, reset"}},
	} {
		t.Run(name, func(t *testing.T) {
			seen := proliant()
			seen.BIOS.Pending = tt.pending
			require.Empty(t, cmp.Diff(tt.want, settings(mustPlan(t, `{"bios":{"attributes":`+tt.attributes+`}}`, seen))))
		})
	}
	for _, besides := range []string{``, `,"ProcVirtualization":"Enabled"`} {
		plan := mustPlan(t, `{"bios":{"attributes":{"WorkloadProfile":"Virtualization-MaxPerformance"`+besides+`}}}`, proliant())
		require.Len(t, plan.Operations, 1)
		require.Equal(t, "the profile asks for it; changes EnergyPerfBias=MaxPerf, ProcTurbo=Enabled, ProcVirtualization=Enabled as well", plan.Operations[0].Reason)
	}
}

// What a dependency changes is told with the setting that is new, not with one that holds already.
func TestPlanDependencyOfTwo(t *testing.T) {
	seen := proliant()
	seen.BIOS.Registry.Dependencies = []hardware.Dependency{{Attribute: "EnergyPerfBias", Value: "MaxPerf",
		If: []hardware.Condition{on("WorkloadProfile", "EQU", "I/OThroughput"), on("ProcTurbo", "EQU", "Enabled")}}}
	plan := mustPlan(t, `{"bios":{"attributes":{"WorkloadProfile":"I/OThroughput","ProcTurbo":"Enabled"}}}`, seen)
	require.Len(t, plan.Operations, 1)
	require.Contains(t, plan.Operations[0].Reason, "changes EnergyPerfBias=MaxPerf")
}

func TestPlanDependencyProblems(t *testing.T) {
	for name, tt := range map[string]struct {
		attributes string
		paths      []string
		text       string
	}{
		"read-only now": {`{"HwPrefetcher":"Disabled"}`, []string{"/bios/attributes/HwPrefetcher"},
			"found the string \"Disabled\", expected Enabled, the value it has (HwPrefetcher is read-only while WorkloadProfile is I/OThroughput; set WorkloadProfile to another value too)"},
		"read-only then": {`{"PostAsr":"PostAsrOff","PostAsrDelay":"Delay20Min","HwPrefetcher":"Disabled"}`, []string{"/bios/attributes/HwPrefetcher", "/bios/attributes/PostAsrDelay"}, "while PostAsr is PostAsrOff"},
		"another value": {`{"WorkloadProfile":"Virtualization-MaxPerformance","ProcTurbo":"Disabled"}`, []string{"/bios/attributes/ProcTurbo"},
			"ProcTurbo becomes Enabled when WorkloadProfile is Virtualization-MaxPerformance; set WorkloadProfile to another value too"},
		"read-only and another value, once": {`{"WorkloadProfile":"Virtualization-MaxPerformance","ProcVirtualization":"Disabled"}`, []string{"/bios/attributes/ProcVirtualization"}, "becomes Enabled"},
		"one port for both": {`{"VirtualSerialPort":"Com1Irq4"}`, []string{"/bios/attributes/VirtualSerialPort"},
			"when EmbeddedSerialPort is Com1Irq4 and VirtualSerialPort is Com1Irq4; set EmbeddedSerialPort to another value too"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := hardware.ParseProfile([]byte(`{"bios":{"attributes":` + tt.attributes + `}}`))
			require.NoError(t, err)
			_, err = hardware.NewPlan(p, proliant())
			require.Equal(t, tt.paths, paths(t, err))
			require.ErrorContains(t, err, tt.text)
		})
	}
}

// Two settings that would each follow from the other are not taken for done.
func TestPlanDependenciesInACircle(t *testing.T) {
	seen := proliant()
	circle := func(a, b string) []hardware.Dependency {
		return []hardware.Dependency{{Attribute: a, ReadOnly: true, If: []hardware.Condition{on(b, "EQU", "Enabled")}}, {Attribute: a, Value: "Enabled", If: []hardware.Condition{on(b, "EQU", "Enabled")}}}
	}
	seen.BIOS.Registry.Dependencies = append(circle("ProcTurbo", "ProcVirtualization"), circle("ProcVirtualization", "ProcTurbo")...)
	_, err := hardware.NewPlan(hardware.Profile{BIOS: &hardware.BIOSProfile{Attributes: map[string]any{"ProcTurbo": "Enabled", "ProcVirtualization": "Enabled"}}}, seen)
	require.Equal(t, []string{"/bios/attributes/ProcTurbo", "/bios/attributes/ProcVirtualization"}, paths(t, err))
}

// Each condition makes Target read-only or does not; values come as registries and BMCs write them.
func TestConditions(t *testing.T) {
	or := func(c hardware.Condition) hardware.Condition { c.Or = true; return c }
	yes, no := on("Text", "EQU", "x"), on("Text", "EQU", "y")
	for name, tt := range map[string]struct {
		conditions []hardware.Condition
		holds      bool
	}{
		"EQU":                  {[]hardware.Condition{yes}, true},
		"EQU, not":             {[]hardware.Condition{no}, false},
		"case counts":          {[]hardware.Condition{on("Text", "EQU", "X")}, false},
		"NEQ":                  {[]hardware.Condition{on("Text", "NEQ", "y")}, true},
		"number as a string":   {[]hardware.Condition{on("Number", "EQU", "5")}, true},
		"string as a number":   {[]hardware.Condition{on("Digits", "EQU", 7)}, true},
		"boolean as a string":  {[]hardware.Condition{on("Flag", "EQU", "True")}, true},
		"GTR":                  {[]hardware.Condition{on("Number", "GTR", 4)}, true},
		"GTR, not":             {[]hardware.Condition{on("Number", "GTR", 5)}, false},
		"GEQ":                  {[]hardware.Condition{on("Number", "GEQ", "5")}, true},
		"LSS":                  {[]hardware.Condition{on("Digits", "LSS", 7.5)}, true},
		"LSS, not":             {[]hardware.Condition{on("Number", "LSS", 5)}, false},
		"LEQ":                  {[]hardware.Condition{on("Number", "LEQ", 5)}, true},
		"LEQ, not":             {[]hardware.Condition{on("Number", "LEQ", 4)}, false},
		"no numbers":           {[]hardware.Condition{on("Text", "GTR", "a")}, false},
		"unknown operator":     {[]hardware.Condition{on("Text", "IS", "x")}, false},
		"unknown attribute":    {[]hardware.Condition{on("None", "NEQ", "x")}, false},
		"and":                  {[]hardware.Condition{yes, yes}, true},
		"and, not":             {[]hardware.Condition{yes, no}, false},
		"or, the first":        {[]hardware.Condition{yes, or(no)}, true},
		"or":                   {[]hardware.Condition{no, or(yes)}, true},
		"left to right":        {[]hardware.Condition{yes, or(yes), no}, false},
		"left to right, or":    {[]hardware.Condition{no, no, or(yes)}, true},
		"a list for a value":   {[]hardware.Condition{on("Text", "NEQ", []any{"x"})}, true},
		"nothing for a reason": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			seen := &hardware.Snapshot{BIOS: hardware.BIOS{Attributes: map[string]any{"Target": "a", "Text": "x", "Number": 5, "Digits": "7", "Flag": true},
				Registry: &hardware.Registry{Dependencies: []hardware.Dependency{{Attribute: "Target", ReadOnly: true, If: tt.conditions}}}}}
			_, err := hardware.NewPlan(hardware.Profile{BIOS: &hardware.BIOSProfile{Attributes: map[string]any{"Target": "b"}}}, seen)
			require.Equal(t, tt.holds, err != nil, "%v", err)
		})
	}
}

// BMCs write numbers and booleans as strings, and names of an enumeration as numbers: neither is
// a difference.
func TestPlanBIOSReadsLoosely(t *testing.T) {
	seen := snapshot(0)
	seen.BIOS.Attributes = map[string]any{"Delay": " 60", "Quiet": "False", "Speed": 10, "Share": 1.5, "Odd": []any{1}}
	seen.BIOS.Registry.Attributes["Speed"] = hardware.Attribute{Type: hardware.TypeEnumeration, Values: []string{"10", "20"}}
	require.True(t, mustPlan(t, `{"bios":{"attributes":{"Delay":60,"Quiet":false,"Speed":10}}}`, seen).Empty())
	require.True(t, mustPlan(t, `{"bios":{"attributes":{"Delay":"60","Quiet":"false","Speed":"10","Share":1.5}}}`, seen).Empty())
	require.Equal(t, []string{"bios Delay: 60 → 61, reset", "bios Odd: <nil> → x, reset", "bios Quiet: false → true", "bios Speed: 10 → 20, reset"},
		settings(mustPlan(t, `{"bios":{"attributes":{"Delay":"61","Quiet":"TRUE","Speed":20,"Odd":"x"}}}`, seen)))
}

func TestBIOSProblemsAreExact(t *testing.T) {
	seen := snapshot(0)
	seen.BIOS.Registry.Attributes["Hidden"] = hardware.Attribute{Type: hardware.TypeString}
	p, err := hardware.ParseProfile([]byte(`{"bios":{"attributes":{"delay":1,"HIDDEN":"x","Delay":601,"SriovGlobalEnable":"enabled"}}}`))
	require.NoError(t, err)
	_, err = hardware.NewPlan(p, seen)
	for _, text := range []string{"did you mean Delay?", "did you mean Hidden?", "a whole number of at least 60 up to 600", "one of Enabled, Disabled"} {
		require.ErrorContains(t, err, text)
	}
}

// registry is as large as HPE's: 300 attributes, 738 dependencies, half of them on one profile.
func registry() (*hardware.Snapshot, hardware.Profile) {
	seen := &hardware.Snapshot{BIOS: hardware.BIOS{Attributes: map[string]any{}, Registry: &hardware.Registry{Attributes: map[string]hardware.Attribute{}}}}
	want := hardware.Profile{BIOS: &hardware.BIOSProfile{Attributes: map[string]any{}}}
	for i := range 300 {
		name := fmt.Sprintf("Attribute%03d", i)
		seen.BIOS.Attributes[name] = "Disabled"
		seen.BIOS.Registry.Attributes[name] = hardware.Attribute{Type: hardware.TypeEnumeration, Values: []string{"Enabled", "Disabled"}}
		if i%2 == 1 {
			want.BIOS.Attributes[name] = "Enabled"
		}
	}
	for i := range 738 {
		d := hardware.Dependency{Attribute: fmt.Sprintf("Attribute%03d", i%300), If: []hardware.Condition{on(fmt.Sprintf("Attribute%03d", i%2*i%300/2*2), "EQU", "Enabled")}}
		if d.ReadOnly = i%3 == 0; !d.ReadOnly {
			d.Value = "Enabled"
		}
		seen.BIOS.Registry.Dependencies = append(seen.BIOS.Registry.Dependencies, d)
	}
	return seen, want
}

func BenchmarkNewPlan(b *testing.B) {
	seen, want := registry()
	b.ReportAllocs()
	for b.Loop() {
		plan, err := hardware.NewPlan(want, seen)
		if err != nil || len(plan.Operations) != 150 {
			b.Fatal(err, len(plan.Operations))
		}
	}
}

// A dependency costs as much in a large registry as in a small one.
func BenchmarkNewPlanConverged(b *testing.B) {
	seen, want := registry()
	for name, value := range want.BIOS.Attributes {
		seen.BIOS.Attributes[name] = value
	}
	b.ReportAllocs()
	for b.Loop() {
		if plan, err := hardware.NewPlan(want, seen); err != nil || !plan.Empty() {
			b.Fatal(err)
		}
	}
}

func BenchmarkText(b *testing.B) {
	seen, want := registry()
	plan, err := hardware.NewPlan(want, seen)
	require.NoError(b, err)
	for b.Loop() {
		if !strings.HasSuffix(plan.Text(), "150 operations, 1 reboot\n") {
			b.Fatal(plan.Text())
		}
	}
}
