package barclamptest_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/barclamp"
	"github.com/crowbarkit/crowbarkit/barclamp/barclamptest"
	"github.com/crowbarkit/crowbarkit/proposal"
)

const template = `{"id":"bc-template-motd","attributes":{"motd":{"text":"hello"}},"deployment":{"motd":{
	"element_states":{"motd":["ready"]},"elements":{},"element_order":[["motd"]],
	"config":{"transitions":true,"transition_list":["installed"]}}}}`

// motd keeps every rule unless a test breaks one of its functions.
type motd struct {
	info       barclamp.Info
	propose    func(s barclamp.Site, d *barclamp.Draft)
	transition func(e barclamp.Event) []barclamp.Step
	plan       func(e barclamp.Event) *barclamp.Plan
	calls      int
}

func newMotd(t *testing.T) *motd {
	t.Helper()
	d, err := proposal.Parse([]byte(template))
	require.NoError(t, err)
	return &motd{
		info: barclamp.Info{Name: "motd", Version: "1", Description: "Message of the day", Template: d,
			Roles: []barclamp.Role{{Name: "motd", Constraint: barclamp.Constraint{Minimum: 1}}}},
		propose: func(s barclamp.Site, d *barclamp.Draft) {
			for _, n := range s.Nodes() {
				d.Place("motd", n.Name, "greets everybody")
			}
			if len(d.Elements) == 0 {
				d.Explain("motd", "", "there is no node")
			}
		},
		transition: func(barclamp.Event) []barclamp.Step {
			return []barclamp.Step{{ID: "write", Title: "write the message", Run: func(ctx context.Context, sc barclamp.StepContext) error {
				return sc.Data().Put(ctx, "hello")
			}}}
		},
		plan: func(barclamp.Event) *barclamp.Plan { return &barclamp.Plan{Text: "greet"} },
	}
}

func (m *motd) Info() barclamp.Info { return m.info }

func (m *motd) Propose(_ context.Context, s barclamp.Site) (*barclamp.Draft, error) {
	m.calls++
	d := &barclamp.Draft{}
	m.propose(s, d)
	return d, nil
}

func (m *motd) Transition(_ context.Context, _ barclamp.Site, e barclamp.Event) ([]barclamp.Step, error) {
	m.calls++
	return m.transition(e), nil
}

func (m *motd) Plan(_ context.Context, _ barclamp.Site, e barclamp.Event) (*barclamp.Plan, error) {
	m.calls++
	return m.plan(e), nil
}

// faults break one rule each, whose name is the key.
func faults(m *motd, site *barclamptest.FakeSite) map[string]func() {
	propose, transition := m.propose, m.transition
	one := func(s barclamp.Step) func() {
		return func() { m.transition = func(barclamp.Event) []barclamp.Step { return []barclamp.Step{s} } }
	}
	wipe := func(ctx context.Context, sc barclamp.StepContext) error {
		return sc.Authorize(ctx, barclamp.Destruction{Operation: "motd/wipe", Disks: []string{"d1"}, Description: "wipe"})
	}
	return map[string]func(){
		"Info is complete and the same at every call":            func() { m.info.Version = "" },
		"the template can be proposed and has the roles of Info": func() { m.info.Roles[0].Name = "herald" },
		"the schema compiles and accepts what is proposed": func() {
			m.info.Schema = []byte(`{"properties":{"text":{"type":"string"}}}`)
			m.propose = func(s barclamp.Site, d *barclamp.Draft) { propose(s, d); d.Set("/text", 7) }
		},
		"Propose gives the same draft for the same site": func() {
			m.propose = func(s barclamp.Site, d *barclamp.Draft) { propose(s, d); d.Set("/text", m.calls) }
		},
		"Propose does not depend on the order of facts": func() {
			m.propose = func(s barclamp.Site, d *barclamp.Draft) {
				propose(s, d)
				for _, n := range s.Nodes() {
					d.Set("/text", n.Facts.Disks[0].Serial)
				}
			}
		},
		"Propose and Transition leave the site as it is": func() {
			m.propose = func(s barclamp.Site, d *barclamp.Draft) {
				propose(s, d)
				for _, n := range s.Nodes() {
					n.Facts.Disks[0].Name = fmt.Sprint("touched", m.calls)
				}
			}
		},
		"Propose explains every node it places and every role it lacks": func() {
			m.propose = func(s barclamp.Site, d *barclamp.Draft) { propose(s, d); d.Explanations = d.Explanations[1:] }
		},
		"Propose for a site without nodes is no error": func() {
			m.propose = func(s barclamp.Site, d *barclamp.Draft) {
				if len(s.Nodes()) > 0 {
					propose(s, d)
				}
			}
		},
		"a draft makes a document that can be committed": func() {
			m.propose = func(s barclamp.Site, d *barclamp.Draft) { propose(s, d); propose(s, d) }
		},
		"Transition says the same steps for the same event": func() {
			m.transition = func(e barclamp.Event) []barclamp.Step { return append(transition(e), transition(e)...) }
		},
		"steps run again do nothing": one(barclamp.Step{ID: "count", Title: "count", Run: func(ctx context.Context, sc barclamp.StepContext) error {
			m.calls++
			return sc.Data().Put(ctx, m.calls)
		}}),
		"a step stops when its context has ended": one(barclamp.Step{ID: "deaf", Title: "hear nothing", Run: func(context.Context, barclamp.StepContext) error {
			return nil
		}}),
		"what steps destroy was in the plan": one(barclamp.Step{ID: "wipe", Title: "wipe", Run: wipe}),
		"Plan changes nothing": func() {
			m.plan = func(barclamp.Event) *barclamp.Plan {
				site.Machines[0].Alias = fmt.Sprint("seen", m.calls)
				return &barclamp.Plan{Text: "greet"}
			}
		},
	}
}

// fault names, in the environment of a child, the rule that its barclamp is to break.
const fault = "BARCLAMPTEST_FAULT"

// TestSuite runs the suite over a barclamp that keeps all rules, or in a child over one that
// breaks one.
func TestSuite(t *testing.T) {
	barclamptest.Run(t, barclamptest.Harness{World: func(t *testing.T) barclamptest.World {
		w := barclamptest.World{Barclamp: newMotd(t), Site: barclamptest.NewSite(2, 1)}
		if rule := os.Getenv(fault); rule != "" {
			faults(w.Barclamp.(*motd), w.Site)[rule]()
		}
		return w
	}})
}

func TestSuiteFindsEachFault(t *testing.T) {
	rules := faults(newMotd(t), barclamptest.NewSite(1, 0))
	require.Len(t, rules, 14, "a fault for each rule")
	for rule := range rules {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSuite$")
			child.Env = append(os.Environ(), fault+"="+rule)
			out, err := child.CombinedOutput()
			var failed *exec.ExitError
			require.True(t, errors.As(err, &failed), "the suite passed a broken barclamp")
			require.Contains(t, string(out), "--- FAIL: TestSuite/"+underscored(rule), "the rule is named")
			require.NotContains(t, string(out), "panic:")
		})
	}
}

// underscored is a subtest's name as package testing writes it.
func underscored(name string) string {
	b := []byte(name)
	for i := range b {
		if b[i] == ' ' {
			b[i] = '_'
		}
	}
	return string(b)
}

func TestStepContextGrants(t *testing.T) {
	sc := barclamptest.NewStepContext(barclamptest.NewNode(1, 2))
	wipe := barclamp.Destruction{Operation: "x/wipe", Disks: []string{"a", "b"}}
	require.ErrorIs(t, sc.Authorize(t.Context(), wipe), barclamp.ErrPlanChanged)
	sc.Grant = []barclamp.Destruction{{Operation: "x/wipe", Disks: []string{"a"}}}
	require.ErrorIs(t, sc.Authorize(t.Context(), wipe), barclamp.ErrPlanChanged, "disk b was not granted")
	sc.Grant[0].Disks = []string{"b", "a", "c"}
	require.NoError(t, sc.Authorize(t.Context(), wipe))
	require.Equal(t, []barclamp.Destruction{wipe}, sc.Authorized())
}

func TestStepContextKeepsWhatStepsDo(t *testing.T) {
	sc := barclamptest.NewStepContext(barclamptest.NewNode(1, 2))
	var text string
	found, err := sc.Data().Get(&text)
	require.NoError(t, err)
	require.False(t, found)
	require.NoError(t, sc.Data().Put(t.Context(), "hello"))
	found, err = sc.Data().Get(&text)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, "hello", text)
	require.NoError(t, sc.Data().Join(t.Context(), "one", "two"))
	require.NoError(t, sc.Data().Join(t.Context(), "two"))
	require.Equal(t, []string{"one", "two"}, sc.Joined())
	sc.Progress(0.5, "half")
	require.Equal(t, []string{"half"}, sc.Messages())
}

func TestAddressBookIsShared(t *testing.T) {
	book := &barclamptest.AddressBook{}
	candidates := slices.Values([]netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")})
	claim := func(number int) (netip.Addr, error) {
		sc := barclamptest.NewStepContext(barclamptest.NewNode(number, 0))
		sc.Book = book
		return sc.Data().ClaimAddress(t.Context(), "admin", candidates)
	}
	first, err := claim(1)
	require.NoError(t, err)
	second, err := claim(2)
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	again, err := claim(1)
	require.NoError(t, err)
	require.Equal(t, first, again)
	_, err = claim(3)
	require.ErrorIs(t, err, barclamp.ErrExhausted)
}

func TestFakeSiteMembershipsFollowTheElements(t *testing.T) {
	s := barclamptest.NewSite(2, 0)
	d, err := s.Commit(t.Context(), newMotd(t))
	require.NoError(t, err)
	require.Equal(t, []string{"motd"}, s.Nodes()[1].Roles())
	require.Equal(t, []proposal.Key{{Barclamp: "motd", Name: "default"}}, s.Proposals("motd"))
	fewer, err := d.WithElements(map[string][]string{"motd": {s.Machines[0].Name}})
	require.NoError(t, err)
	s.Put(fewer)
	require.Empty(t, s.Nodes()[1].Roles())
	got, ok := s.InForce(d.Key())
	require.True(t, ok)
	require.Same(t, fewer, got)
	_, err = s.Event("nobody", "ready", d)
	require.Error(t, err)
}

func ExampleNewSite() {
	s := barclamptest.NewSite(1, 1)
	for _, n := range s.Nodes() {
		fmt.Println(n.Name, n.State, len(n.Facts.Disks), "disks")
	}
	// Output:
	// d52-54-00-00-00-01.crowbar.test discovered 4 disks
	// d52-54-00-00-00-02.crowbar.test discovered 12 disks
}
