package proposal

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
)

// A Side is one of the three documents of a merge.
type Side string

// The sides of a merge.
const (
	SideBase   Side = "base"   // what both began with
	SideOurs   Side = "ours"   // the document that theirs is merged into
	SideTheirs Side = "theirs" // the other
)

// MergeOptions settle what Merge cannot.
type MergeOptions struct {
	// Resolve says by Conflict.Path whose value is taken (where that side has none, there is
	// none then).
	Resolve map[string]Side
}

// A ConflictType tells what the two sides did to a value.
type ConflictType string

// The types of Conflict.
const (
	ChangedBoth    ConflictType = "changed-both"    // both changed it, differently
	AddedBoth      ConflictType = "added-both"      // both added it, differently
	RemovedChanged ConflictType = "removed-changed" // ours removed it, theirs changed it
	ChangedRemoved ConflictType = "changed-removed" // ours changed it, theirs removed it
)

// A Conflict is a value that both sides changed, so that one must be chosen. It may be an object
// or list that stands for all conflicts in it, see Merge.
type Conflict struct {
	Type ConflictType `json:"type"`
	// Path is the JSON Pointer of the value. Where it leads through a list that elements were
	// added to or removed from, the index is the one in base.
	Path string `json:"path"`
	// Base, Ours and Theirs are the values, canonical as in Document.Content and with secrets
	// hidden; nil where there is none.
	Base   json.RawMessage `json:"base,omitempty"`
	Ours   json.RawMessage `json:"ours,omitempty"`
	Theirs json.RawMessage `json:"theirs,omitempty"`
}

// String returns "path: type: base X, ours Y, theirs Z".
func (c Conflict) String() string {
	show := func(v json.RawMessage) string {
		if v == nil {
			return "nothing"
		}
		return shortened(string(v))
	}
	return fmt.Sprintf("%s: %s: base %s, ours %s, theirs %s", c.Path, c.Type, show(c.Base), show(c.Ours), show(c.Theirs))
}

// A MergeError lists every value in which two documents conflict. It matches ErrConflict.
type MergeError struct {
	Conflicts []Conflict // at least one, by path
}

// Error returns a heading and a line for each conflict.
func (e *MergeError) Error() string {
	var b strings.Builder
	if len(e.Conflicts) == 1 {
		b.WriteString("proposal: conflict in 1 value:")
	} else {
		fmt.Fprintf(&b, "proposal: conflict in %d values:", len(e.Conflicts))
	}
	for _, c := range e.Conflicts {
		b.WriteString("\n  " + c.String())
	}
	return b.String()
}

// Unwrap returns ErrConflict.
func (e *MergeError) Unwrap() error { return ErrConflict }

// Merge returns ours with the changes that led from base to theirs. All that they do not
// concern stays byte for byte, and so does the bookkeeping of ours; theirs' takes no part.
//
//   - Objects are merged member by member. Numbers are compared as text.
//   - The nodes of a role, the states of a role and transition_list are sets: what either side
//     added or removed is so in the result; the order is ours, then what theirs added. What is
//     mentioned twice stays so unless a side changed that.
//   - element_order is one value.
//   - The elements of other lists are aligned. Changes of both sides in different places are
//     both made; else all of the list is one conflict.
//   - Where only one side changed a value, or both in the same way, that is the result.
//
// All other values are conflicts. Where the paths of all conflicts in one object or list take more
// than twice its three texts and a megabyte, they are told as one Conflict with the path and the
// values of that object or list, and the answer to it counts for each of them: all else in it is
// merged.
//
// With conflicts, and without an answer for each in o.Resolve Merge fails with
// a *MergeError that lists those without. An answer for what is no conflict fails with ErrPath,
// for a Side that there is not with ErrInvalid, documents of different barclamps with
// ErrOtherBarclamp. What any of the documents knows to be
// a secret is one in the result. The cost is linear as Compare's is.
func Merge(base, ours, theirs *Document, o *MergeOptions) (*Document, error) {
	return mergeWithin(base, ours, theirs, o, spareBytes)
}

// mergeWithin is Merge with other spareBytes.
func mergeWithin(base, ours, theirs *Document, o *MergeOptions, spare int) (*Document, error) {
	for _, d := range [...]*Document{ours, theirs} {
		if d.barclamp != base.barclamp {
			return nil, fmt.Errorf("%w: %s and %s", ErrOtherBarclamp, base.barclamp, d.barclamp)
		}
	}
	seed := maphash.MakeSeed()
	m := merger{
		base:   hasher{Document: base, seed: seed},
		ours:   hasher{Document: ours, seed: seed},
		theirs: hasher{Document: theirs, seed: seed},
		paths:  newPaths(),
		spare:  spare,
	}
	if o != nil {
		for _, path := range slices.Sorted(maps.Keys(o.Resolve)) {
			switch side := o.Resolve[path]; side {
			case SideBase, SideOurs, SideTheirs:
			default:
				return nil, fmt.Errorf("%w: resolve %q: side %q is none of base, ours and theirs", ErrInvalid, path, side)
			}
		}
		m.resolve = maps.Clone(o.Resolve)
		for path, side := range o.Resolve {
			m.answers.add(path, side)
		}
	}
	root := m.object(ruleDocument, spot{path: topPath, answers: &m.answers}, 0, 0, 0)
	if err := m.err(); err != nil {
		return nil, err
	}
	text := append([]byte(nil), ours.src[:ours.values[0].start]...)
	text = root.append(text, ours)
	text = append(text, ours.src[ours.values[0].end:]...)
	t, err := scan(string(text))
	if err != nil {
		return nil, err
	}
	merged, err := newDocument(t)
	if err != nil {
		return nil, err
	}
	return merged.inherit(base, ours, theirs), nil
}

type merger struct {
	base, ours, theirs hasher
	resolve            map[string]Side // answers that no conflict has asked for yet
	answers            answers         // the same by place
	paths              paths
	found              []contradiction
	bytes              int // of the paths of found
	spare              int
}

// A contradiction is a conflict that is not spelt yet.
type contradiction struct {
	path     int
	i, j, k  int // values of base, ours and theirs; -1: none
	answered bool
}

// answers are those of MergeOptions.Resolve as a tree, to be walked in step with the documents.
type answers struct {
	side  Side // "": none
	below map[string]*answers
}

func (a *answers) add(path string, side Side) {
	tokens, err := pointerTokens(path)
	if err != nil {
		return // it is the path of no conflict
	}
	for _, token := range tokens {
		if a.below[token] == nil {
			if a.below == nil {
				a.below = make(map[string]*answers)
			}
			a.below[token] = new(answers)
		}
		a = a.below[token]
	}
	a.side = side
}

// A spot is where the merger is.
type spot struct {
	path    int
	answers *answers // to conflicts here and below; nil: none
	side    Side     // the answer here or, where there is none, around here; "": none
}

// answered tells whether there is an answer for this very place.
func (s spot) answered() bool { return s.answers != nil && s.answers.side != "" }

func (m *merger) below(s spot, token string) spot {
	at := spot{path: m.paths.below(s.path, token), side: s.side}
	if s.answers != nil {
		at.answers = s.answers.below[token]
	}
	if at.answered() {
		at.side = at.answers.side
	}
	return at
}

// err returns what is in the way of a result.
func (m *merger) err() error {
	var conflicts []Conflict
	show := m.shown()
	for _, f := range m.found {
		path := m.paths.pointer(f.path)
		if f.answered {
			delete(m.resolve, path)
		} else {
			conflicts = append(conflicts, m.conflict(path, f, show))
		}
	}
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(m.resolve)) {
		errs = append(errs, fmt.Errorf("%w: resolve %q: there is no conflict", ErrPath, path))
	}
	if len(conflicts) == 0 {
		return errors.Join(errs...)
	}
	slices.SortFunc(conflicts, func(a, b Conflict) int { return cmp.Compare(a.Path, b.Path) })
	conflict := &MergeError{Conflicts: conflicts}
	if len(errs) == 0 {
		return conflict
	}
	return errors.Join(append(errs, conflict)...)
}

// A rule is how a value is merged, which depends on what it is in a proposal.
type rule uint8

const (
	ruleOther      rule = iota
	ruleDocument        // the whole document
	ruleDeployment      // deployment
	ruleBarclamp        // deployment.<barclamp>
	ruleConfig          // config
	ruleSets            // elements, element_states: roles to sets
	ruleNumbers         // element_run_list_order: roles to integers
	ruleSet             // a list whose order does not matter
	ruleWhole           // element_order
)

func (p rule) member(name string) rule {
	switch {
	case p == ruleDocument && name == "deployment":
		return ruleDeployment
	case p == ruleDeployment:
		return ruleBarclamp
	case p == ruleBarclamp:
		switch name {
		case keyElements, keyElementStates:
			return ruleSets
		case keyRunListOrder:
			return ruleNumbers
		case keyElementOrder:
			return ruleWhole
		case keyConfig:
			return ruleConfig
		}
	case p == ruleConfig && name == "transition_list", p == ruleSets:
		return ruleSet
	}
	return ruleOther
}
