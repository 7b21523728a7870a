package lifecycle

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/crowbarkit/crowbarkit/statemachine"
)

//go:embed default.json
var defaultJSON []byte

// Lifecycle is a checked state machine of a node with a boot action for each state.
type Lifecycle struct {
	machine *statemachine.Machine
	boot    map[string]Action
}

// document is the JSON of a lifecycle.
type document struct {
	Name     string   `json:"name"`
	Initial  string   `json:"initial"`
	Deciders []string `json:"deciders,omitempty"`
	States   []state  `json:"states"`
}

type state struct {
	statemachine.State
	Boot Action `json:"boot,omitempty"`
}

// Default returns the built-in lifecycle. It panics only if the package was built with a
// default.json that its tests refuse.
func Default() *Lifecycle {
	l, err := Parse(defaultJSON)
	if err != nil {
		panic("lifecycle: the built-in lifecycle is invalid: " + err.Error())
	}
	return l
}

// Parse reads and checks a lifecycle. The error is a *statemachine.DefinitionError.
func Parse(data []byte) (*Lifecycle, error) {
	var doc document
	if err := statemachine.Decode(data, &doc); err != nil {
		return nil, err
	}
	d := statemachine.Definition{Name: doc.Name, Initial: doc.Initial, Deciders: doc.Deciders}
	boot := make(map[string]Action, len(doc.States))
	var problems []statemachine.Problem
	for i, s := range doc.States {
		d.States = append(d.States, s.State)
		if s.Boot == "" {
			continue
		}
		boot[s.Name] = s.Boot
		if p, bad := checkAction(s.Boot, s.State); bad {
			p.Path = "/states/" + strconv.Itoa(i) + "/boot"
			problems = append(problems, p)
		}
	}
	problems = append(problems, checkActors(d)...)
	machine, err := statemachine.New(d)
	if err != nil {
		var refused *statemachine.DefinitionError
		if !errors.As(err, &refused) {
			return nil, err
		}
		problems = append(slices.Clone(refused.Problems), problems...)
	}
	if len(problems) > 0 {
		return nil, &statemachine.DefinitionError{Name: d.Name, Problems: problems}
	}
	return &Lifecycle{machine: machine, boot: boot}, nil
}

// Machine is the lifecycle's state machine.
func (l *Lifecycle) Machine() *statemachine.Machine { return l.machine }

// BootAction is what a node in that state boots. A state without an action, or one that the
// lifecycle does not have, boots from disk: ActionExecute.
func (l *Lifecycle) BootAction(state string) Action {
	if a, ok := l.boot[state]; ok {
		return a
	}
	return ActionExecute
}

// WithBootActions returns a lifecycle whose boot actions are overlaid by Crowbar's
// attributes.provisioner.dhcp.state_machine (state → action). States which the lifecycle
// does not have are a warning each, sorted: real documents name states of old releases, and
// have the key web_app_state, which is a comment. An unknown action is an error, and so is a
// destructive one in a state that is not; paths are relative to the map.
func (l *Lifecycle) WithBootActions(actions map[string]string) (*Lifecycle, []string, error) {
	boot := maps.Clone(l.boot)
	var warnings []string
	var problems []statemachine.Problem
	for _, name := range slices.Sorted(maps.Keys(actions)) {
		s, ok := l.machine.State(name)
		if !ok {
			warnings = append(warnings, fmt.Sprintf("state_machine: lifecycle %q has no state %q: its action %q is not used", l.machine.Name(), name, actions[name]))
			continue
		}
		a := Action(actions[name])
		if p, bad := checkAction(a, s); bad {
			p.Path = "/" + name
			problems = append(problems, p)
		}
		boot[name] = a
	}
	if len(problems) > 0 {
		return nil, warnings, &statemachine.DefinitionError{Name: l.machine.Name(), Problems: problems}
	}
	return &Lifecycle{machine: l.machine, boot: boot}, warnings, nil
}

// MarshalJSON writes the document that Parse reads.
func (l *Lifecycle) MarshalJSON() ([]byte, error) {
	d := l.machine.Definition()
	doc := document{Name: d.Name, Initial: d.Initial, Deciders: d.Deciders}
	for _, s := range d.States {
		doc.States = append(doc.States, state{State: s, Boot: l.boot[s.Name]})
	}
	return json.Marshal(doc)
}

func checkAction(a Action, s statemachine.State) (statemachine.Problem, bool) {
	switch {
	case !a.known():
		return statemachine.Problem{Found: strconv.Quote(string(a)), Expected: actionNames}, true
	case a.Destructive() && !s.Destructive:
		return statemachine.Problem{
			Found:    fmt.Sprintf("%q in state %q", a, s.Name),
			Expected: "an action that leaves the disks alone",
			Hint:     "only a destructive state, which is entered by decision, may boot it",
		}, true
	}
	return statemachine.Problem{}, false
}

var _ json.Marshaler = (*Lifecycle)(nil)

func isActor(name string) bool {
	switch name {
	case ActorOperator, ActorRule, ActorNode, ActorEngine, ActorBMC:
		return true
	}
	return false
}

// checkActors adds what a machine that knows no nodes cannot say about actors. Empty names
// are left to the machine.
func checkActors(d statemachine.Definition) []statemachine.Problem {
	const actors = "operator, rule, node, engine or bmc"
	var problems []statemachine.Problem
	add := func(path, found, expected, hint string) {
		problems = append(problems, statemachine.Problem{Path: path, Found: found, Expected: expected, Hint: hint})
	}
	for i, actor := range d.Deciders {
		if actor != ActorOperator && actor != ActorRule {
			add("/deciders/"+strconv.Itoa(i), strconv.Quote(actor), "operator or rule", "destruction is decided by people and their rules")
		}
	}
	for i, s := range d.States {
		path := "/states/" + strconv.Itoa(i)
		if s.Actor != "" && !isActor(s.Actor) {
			add(path+"/actor", strconv.Quote(s.Actor), actors, "")
		}
		for j, t := range s.Transitions {
			path := path + "/transitions/" + strconv.Itoa(j) + "/actors"
			if len(t.Actors) == 0 && t.Event != statemachine.Settled {
				add(path, "no actors", "who may fire it: "+strings.Replace(actors, " or ", " and/or ", 1), "")
			}
			for k, actor := range t.Actors {
				if !isActor(actor) {
					add(path+"/"+strconv.Itoa(k), strconv.Quote(actor), actors, "")
				}
			}
		}
	}
	return problems
}
