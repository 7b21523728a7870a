package proposal

import (
	"maps"
	"slices"
	"strings"
)

// RestoreSecrets returns the document with each hidden text replaced by the value that from has
// at the pointer in the text. What was put back is marked, beside what is. A secret only goes
// where it stays one:
//
//   - to the place where it was, where an element of a list may have moved in it and keeps its
//     own secret
//   - to a place that s, or a mark in the document, says is a secret
//
// A nil from has no secrets, a nil s says nothing. All that is wrong comes back in one
// *ValidationError: a text that names no secret of from, one that stands elsewhere (whoever may edit
// could have a secret shown to him), and at the place of a secret a text that is nearly a hidden
// one, which is a slip and no password. A hidden text that from itself has, not marked, at the
// same place is an operator's own that looks like one, and stays. The result may be too long,
// which is a *SyntaxError.
func (d *Document) RestoreSecrets(from *Document, s *Schema) (*Document, error) {
	r := restorer{d: d, places: finder{tree: &d.tree}, secrets: d.secretPlaces(s)}
	if from != nil {
		r.from, r.source = from, finder{tree: &from.tree}
	}
	if err := r.find(); err != nil {
		return nil, err
	}
	if len(r.values) == 0 {
		return d, nil
	}
	return d.withValues(r.values, r.texts)
}

// A restorer finds what to put where.
type restorer struct {
	d, from        *Document // from: nil if there is none
	places, source finder
	secrets        []int // places that are secrets, ascending and not within each other

	values []int // to be replaced
	texts  []string
	problems
}

func (r *restorer) find() error {
	var texts []int // hidden, and nearly
	hidden := make(map[int]bool)
	for i := range r.d.hidden {
		texts, hidden[i] = append(texts, i), true
	}
	texts = append(texts, r.nearlyHidden()...)
	slices.Sort(texts)
	paths, all := r.d.pointers(texts, maxReport)
	if !all {
		return &ValidationError{Problems: []Problem{{Path: "/attributes", Found: "too many hidden texts of secrets", Expected: "values"}}}
	}
	known := make(map[string]int)
	if r.from != nil {
		for i, text := range r.from.secrets {
			known[text] = i
		}
	}
	const remedy = "type the value, or delete it"
	for n, i := range texts {
		text, path := r.d.text(i), paths[n]
		secret, isKnown := known[text]
		switch {
		case !hidden[i]: // it may be most of a secret, so it is not shown
			r.add(path, "a text that is nearly the hidden text of a secret", "a hidden text as it is shown, or a value",
				"write "+quote(hiddenText(path))+" to keep the secret that is here, or type another value")
		case r.isOwnText(path, text):
		case !isKnown:
			r.add(path, "hidden text of a secret that revision does not have", "a value", remedy)
		case !r.isSecret(i) && !r.samePlace(path, text):
			r.add(path, "hidden text of the secret "+shortened(text[len(hiddenBefore):len(text)-len(hiddenAfter)]),
				"a value: a secret may only be kept where it was, or moved to a place that is a secret, too", remedy)
		default:
			r.values, r.texts = append(r.values, i), append(r.texts, r.from.raw(secret))
		}
	}
	return r.err()
}

// isOwnText tells whether the earlier document has the text itself.
func (r *restorer) isOwnText(path, text string) bool {
	if r.from == nil {
		return false
	}
	same := r.source.find(path)
	return same >= 0 && r.from.kind(same) == isString && r.from.text(same) == text
}

// isSecret tells whether value i is at the place of a secret, or within it.
func (r *restorer) isSecret(i int) bool {
	n, found := slices.BinarySearch(r.secrets, i)
	return found || n > 0 && i < r.d.next(r.secrets[n-1])
}

// samePlace tells whether a text hides the secret that was at a path, but for the indexes of lists.
func (r *restorer) samePlace(path, text string) bool {
	was, isPointer := hiddenPointer(text)
	old, err := pointerTokens(was)
	now, _ := pointerTokens(path)
	if !isPointer || err != nil || len(old) != len(now) {
		return false
	}
	i, j := 0, 0
	for n := range old {
		lists := r.from.kind(i) == isList && r.d.kind(j) == isList
		if old[n] != now[n] && !lists {
			return false
		}
		i, j = r.source.child(i, old[n]), r.places.child(j, now[n])
		if i < 0 || j < 0 {
			return false
		}
	}
	return true
}

// nearlyHidden returns the strings at places of secrets that somebody meant as hidden texts.
func (r *restorer) nearlyHidden() []int {
	var values []int
	for _, place := range r.secrets {
		for i := place; i < r.d.next(place); i++ {
			if r.d.kind(i) != isString {
				continue
			}
			text := strings.TrimSpace(r.d.text(i))
			if !strings.HasPrefix(text, "(") || !strings.HasSuffix(text, ")") || !strings.Contains(text, " /attributes/") {
				continue
			}
			if _, hidden := hiddenPointer(r.d.text(i)); !hidden {
				values = append(values, i)
			}
		}
	}
	return values
}

// secretPlaces returns the values that are secrets or would be if they were not hidden texts or empty,
// ascending and not within each other: by their marks and by a schema, which may be nil.
func (d *Document) secretPlaces(s *Schema) []int {
	places := make(map[int]bool, len(d.secrets))
	for i := range d.secrets {
		places[i] = true
	}
	if s != nil {
		if at, _ := s.root(d); at >= 0 {
			w := s.graph.walk(&d.tree, s.compiled, at)
			for i := range w.secrets {
				places[i] = true
			}
			if w.tooMuch {
				places[0] = true
			}
		}
	}
	attributes := d.member(0, "attributes")
	end := d.next(attributes)
	maps.DeleteFunc(places, func(i int, _ bool) bool {
		return i != 0 && (i < attributes || i >= end)
	})
	if places[0] {
		return []int{attributes}
	}
	return d.outermost(places)
}
