package statemachine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// checker collects the problems of one definition.
type checker struct {
	*Definition
	index    map[string]int // the first state of each name
	problems []Problem
}

// check returns every problem of d. Rules about the whole graph are left out as long as
// the table names states that do not exist: their findings would be echoes.
func check(d *Definition) []Problem {
	c := &checker{Definition: d, index: make(map[string]int, len(d.States))}
	c.names()
	for i := range d.States {
		c.state(i)
	}
	if len(c.problems) == 0 {
		c.reachable()
		c.rests()
		c.circles()
		c.decided()
	}
	return c.problems
}

func (c *checker) add(path, found, expected, hint string) {
	c.problems = append(c.problems, Problem{Path: path, Found: found, Expected: expected, Hint: hint})
}

func statePath(i int, rest ...string) string {
	return "/states/" + strconv.Itoa(i) + strings.Join(rest, "")
}

const nameRule = "1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit"

func validName(s string) bool {
	if len(s) == 0 || len(s) > 63 {
		return false
	}
	for i, r := range []byte(s) {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		case i > 0 && (r == '.' || r == '_' || r == '-'):
		default:
			return false
		}
	}
	return true
}

func (c *checker) name(path, name string) {
	if !validName(name) {
		c.add(path, strconv.Quote(name), nameRule, "")
	}
}

func (c *checker) names() {
	if c.Name == "" {
		c.add("/name", "no name", "a name for the machine", "")
	}
	for i, actor := range c.Deciders {
		c.name("/deciders/"+strconv.Itoa(i), actor)
	}
	if len(c.States) == 0 {
		c.add("/states", "no states", "at least one state", "")
	}
	for i, s := range c.States {
		c.name(statePath(i, "/name"), s.Name)
		if first, dup := c.index[s.Name]; dup {
			c.add(statePath(i, "/name"), strconv.Quote(s.Name)+" again", "a name of its own", "it is the name of "+statePath(first))
			continue
		}
		c.index[s.Name] = i
	}
	c.target("/initial", c.Initial)
}

// target checks that name is a state.
func (c *checker) target(path, name string) {
	if _, ok := c.index[name]; !ok || name == "" {
		c.add(path, strconv.Quote(name), "the name of a state", "add the state or correct the name")
	}
}

func (c *checker) state(i int) {
	s := &c.States[i]
	switch s.Kind {
	case Work:
		if s.Deadline == 0 {
			c.add(statePath(i, "/deadline_seconds"), "no deadline", "a time in which the work is done", "a working state without deadline can hang for ever")
		}
		if s.OnFailure == "" {
			c.add(statePath(i, "/on_failure"), "no failure exit", "the state that follows when the work fails", "")
		}
	case Pause:
		if !slices.ContainsFunc(s.Transitions, c.decides) {
			c.add(statePath(i, "/transitions"), "no decision", "a transition whose actors are all deciders", "nobody can end the pause; name the deciders in /deciders")
		}
	case End:
		if len(s.Transitions) > 0 || s.OnFailure != "" || s.OnDeadline != "" || s.Deadline != 0 {
			c.add(statePath(i), "an end with a way out", "no transitions, deadline or exits", "make it a rest")
		}
	case Rest:
	default:
		c.add(statePath(i, "/kind"), strconv.Quote(string(s.Kind)), `"rest", "pause", "work" or "end"`, "")
	}
	switch {
	case s.Actor != "":
		c.name(statePath(i, "/actor"), s.Actor)
	case s.Kind == Work || s.Kind == Pause:
		c.add(statePath(i, "/actor"), "no actor", "who is expected to move it on", "")
	}
	if s.Deadline < 0 {
		c.add(statePath(i, "/deadline_seconds"), s.Deadline.String(), "a positive time", "")
	}
	if s.Deadline > 0 && s.Kind != Work && s.deadlineExit() == "" {
		c.add(statePath(i, "/on_deadline"), "a deadline that leads nowhere", "the state that follows when the time is over", "")
	}
	if s.Deadline == 0 && s.OnDeadline != "" && s.Kind != End {
		c.add(statePath(i, "/deadline_seconds"), "no deadline", "the time after which on_deadline follows", "")
	}
	if s.OnFailure != "" {
		c.target(statePath(i, "/on_failure"), s.OnFailure)
	}
	if s.OnDeadline != "" {
		c.target(statePath(i, "/on_deadline"), s.OnDeadline)
	}
	if s.Destructive && s.Kind != Work {
		c.add(statePath(i, "/destructive"), fmt.Sprintf("a destructive state of kind %q", s.Kind), `kind "work"`, "nothing is destroyed at rest")
	}
	c.transitions(i)
}

func (c *checker) transitions(i int) {
	seen := make(map[string]int)
	for j, t := range c.States[i].Transitions {
		path := statePath(i, "/transitions/", strconv.Itoa(j))
		c.name(path+"/event", t.Event)
		if first, dup := seen[t.Event]; dup {
			c.add(path+"/event", strconv.Quote(t.Event)+" again", "each event once in a state", "it is the event of "+statePath(i, "/transitions/", strconv.Itoa(first)))
		} else {
			seen[t.Event] = j
		}
		switch {
		case t.Event == Failed || t.Event == Deadline:
			c.add(path+"/event", strconv.Quote(t.Event), "an event that is not built in", "say on_"+map[string]string{Failed: "failure", Deadline: "deadline"}[t.Event])
		case t.Event == Settled && len(t.Actors) > 0:
			c.add(path+"/actors", strings.Join(t.Actors, ", "), "no actors", "settled is fired by whoever runs the hooks")
		}
		c.target(path+"/to", t.To)
		for k, actor := range t.Actors {
			c.name(path+"/actors/"+strconv.Itoa(k), actor)
		}
		for k, guard := range t.Guards {
			c.name(path+"/guards/"+strconv.Itoa(k), guard)
		}
	}
}

// decides reports whether only deciders can fire t.
func (c *checker) decides(t Transition) bool {
	if len(t.Actors) == 0 {
		return false
	}
	for _, actor := range t.Actors {
		if !slices.Contains(c.Deciders, actor) {
			return false
		}
	}
	return true
}

// edge is one way from a state to another.
type edge struct {
	from, to  int
	path      string // JSON Pointer of what makes it
	event     string
	decision  bool // only deciders can take it, from a rest or a pause
	automatic bool // taken without anybody asking, over and over if it leads in a circle
}

// edges returns the ways out of state i, in the order of the document.
func (c *checker) edges(i int) []edge {
	s := &c.States[i]
	var out []edge
	if s.OnDeadline != "" {
		// A rest may time out into a check of itself and back: that is a period, no circle.
		out = append(out, edge{from: i, to: c.index[s.OnDeadline], path: "/on_deadline", event: Deadline, automatic: s.Kind == Work})
	}
	if s.OnFailure != "" {
		out = append(out, edge{from: i, to: c.index[s.OnFailure], path: "/on_failure", event: Failed, automatic: true})
	}
	for j, t := range s.Transitions {
		out = append(out, edge{
			from: i, to: c.index[t.To], path: "/transitions/" + strconv.Itoa(j), event: t.Event,
			decision:  s.Kind.resting() && c.decides(t),
			automatic: t.Event == Settled && len(t.Guards) == 0,
		})
	}
	return out
}

func (c *checker) reachable() {
	seen := make([]bool, len(c.States))
	for queue := []int{c.index[c.Initial]}; len(queue) > 0; queue = queue[1:] {
		if seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		for _, e := range c.edges(queue[0]) {
			queue = append(queue, e.to)
		}
	}
	for i, s := range c.States {
		if !seen[i] {
			c.add(statePath(i), fmt.Sprintf("%q, which nothing leads to", s.Name), fmt.Sprintf("a way from %q", c.Initial), "add a transition to it or remove it")
		}
	}
}

// rests finds states from which no state of rest can be reached.
func (c *checker) rests() {
	into := make([][]int, len(c.States))
	var queue []int
	for i, s := range c.States {
		for _, e := range c.edges(i) {
			into[e.to] = append(into[e.to], i)
		}
		if s.Kind.resting() {
			queue = append(queue, i)
		}
	}
	seen := make([]bool, len(c.States))
	for ; len(queue) > 0; queue = queue[1:] {
		if !seen[queue[0]] {
			seen[queue[0]] = true
			queue = append(queue, into[queue[0]]...)
		}
	}
	for i, s := range c.States {
		if !seen[i] {
			c.add(statePath(i), fmt.Sprintf("%q, from which nothing rests", s.Name), "a way to a rest, a pause or an end", "")
		}
	}
}

// circles finds moves that need nobody and lead round: hooks that fail in turn would run
// for ever and as fast as they can.
func (c *checker) circles() {
	const onPath, done = 1, 2
	mark := make([]int, len(c.States))
	var path []string
	var walk func(i int)
	walk = func(i int) {
		mark[i] = onPath
		path = append(path, c.States[i].Name)
		for _, e := range c.edges(i) {
			if !e.automatic {
				continue
			}
			switch mark[e.to] {
			case 0:
				walk(e.to)
			case onPath:
				to := c.States[e.to].Name
				circle := append(slices.Clone(path[slices.Index(path, to):]), to)
				c.add(statePath(i, e.path), strings.Join(circle, " → ")+" without anybody asking", "moves that come to rest", "guard the transition or let an actor fire it")
			}
		}
		path = path[:len(path)-1]
		mark[i] = done
	}
	for i := range c.States {
		if mark[i] == 0 {
			walk(i)
		}
	}
}

// decided finds ways into a destructive state that no decision lies on. A walk starts
// wherever no decision is in force, which is the initial state and every rest and pause,
// and follows all moves but decisions through working states.
func (c *checker) decided() {
	open := make([]bool, len(c.States))
	var queue []int
	start := func(i int) {
		if !open[i] {
			open[i] = true
			queue = append(queue, i)
		}
	}
	for i, s := range c.States {
		if s.Kind.resting() {
			start(i)
		}
	}
	if initial := c.index[c.Initial]; c.States[initial].Destructive {
		c.add("/initial", fmt.Sprintf("the destructive state %q", c.Initial), "a state that destroys nothing", "begin before the decision")
	} else {
		start(initial)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		from := queue[0]
		for _, e := range c.edges(from) {
			switch {
			case e.decision:
			case c.States[e.to].Destructive:
				c.add(statePath(from, e.path), fmt.Sprintf("%q → destructive %q on %q without a decision", c.States[from].Name, c.States[e.to].Name, e.event),
					"a decision before anything is destroyed", "put a pause before it, or limit the event to deciders in a state of rest")
			default:
				start(e.to)
			}
		}
	}
}
