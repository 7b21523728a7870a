package proposal

import (
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// A hidden text stands where a secret was: (secret /attributes/nova/db/password).
const (
	hiddenBefore = "(secret "
	hiddenAfter  = ")"
)

func hiddenText(pointer string) string { return hiddenBefore + pointer + hiddenAfter }

// hiddenPointer returns the pointer in a hidden text.
func hiddenPointer(text string) (pointer string, ok bool) {
	pointer, before := strings.CutPrefix(text, hiddenBefore)
	pointer, after := strings.CutSuffix(pointer, hiddenAfter)
	if !before || !after || !strings.HasPrefix(pointer, "/attributes/") {
		return "", false
	}
	_, err := pointerTokens(pointer)
	return pointer, err == nil
}

// Bounds of what marking may cost, beyond which whole members of the attributes are secrets.
const (
	maxSecrets     = 10_000
	maxSecretBytes = 4 << 20 // of their pointers
)

// MarkSecrets returns the document knowing which of its values are secrets: what is marked
// already, and what "writeOnly": true or "format": "password" says of values below
// /attributes. It takes no chances: a value is a secret if any subschema that could apply to
// it says so, be it in an alternative (anyOf, oneOf) or a condition that is not met.
//
// A list or object that is marked is one secret, hidden whole; of a mark on the attributes as a
// whole every member is one. Values that are empty ("", null, [], {}) stay visible: that a
// password is not set must be seen, and is no secret. So do hidden texts, as in Redacted. Where
// schema and document are too large to tell, or there are more than 10,000 secrets, every member
// of the attributes is a secret.
//
// An edit (With, Set, Merge, …) keeps the marks; what it adds has none before it is marked.
func (s *Schema) MarkSecrets(d *Document) *Document {
	if s == nil {
		return d
	}
	at, _ := s.root(d)
	if at < 0 {
		return d
	}
	w := s.graph.walk(&d.tree, s.compiled, at)
	if w.tooMuch {
		w.secrets[0] = true
	}
	if len(w.secrets) == 0 {
		return d
	}
	return d.marked(w.secrets)
}

// marked returns the document with further values marked.
func (d *Document) marked(values map[int]bool) *Document {
	marks := d.secretMarks(values)
	if len(marks) == len(d.secrets) && maps.Equal(marks, d.secrets) {
		return d
	}
	copied := *d
	copied.secrets = marks
	return &copied
}

// secretMarks joins the document's marks with others, values anywhere in it.
func (d *Document) secretMarks(values map[int]bool) map[int]string {
	attributes := d.member(0, "attributes")
	all := make(map[int]bool, len(values)+len(d.secrets))
	var mark func(i int)
	mark = func(i int) {
		switch {
		case i == 0:
			mark(attributes)
		case i == attributes || i == d.attributes:
			for c := range d.children(i) {
				mark(c)
			}
		case i > attributes && i < attributes+int(d.values[attributes].size) && !d.isOpen(i):
			all[i] = true
		}
	}
	for i := range values {
		mark(i)
	}
	for i := range d.secrets {
		all[i] = true
	}
	pointers, ok := []string(nil), false
	outer := d.outermost(all)
	if len(outer) <= maxSecrets {
		pointers, ok = d.pointers(outer, maxSecretBytes)
	}
	if !ok {
		clear(all)
		mark(0)
		outer = d.outermost(all)
		pointers, _ = d.pointers(outer, 2*MaxBytes) // one name and a few bytes for each
	}
	marks := make(map[int]string, len(outer))
	for n, i := range outer {
		marks[i] = hiddenText(pointers[n])
	}
	return marks
}

// isOpen tells values that are never hidden.
func (d *Document) isOpen(i int) bool {
	switch d.kind(i) {
	case isNull:
		return true
	case isString:
		if d.raw(i) == `""` {
			return true
		}
		_, hidden := hiddenPointer(d.text(i))
		return hidden
	case isList, isObject:
		return d.values[i].size == 1
	}
	return false
}

// outermost returns the values in document order, without those that are within another.
func (t *tree) outermost(values map[int]bool) []int {
	sorted := slices.Sorted(maps.Keys(values))
	end := 0
	return slices.DeleteFunc(sorted, func(i int) bool {
		if i < end {
			return true
		}
		end = i + int(t.values[i].size)
		return false
	})
}

func (d *Document) secretValues() []int { return slices.Sorted(maps.Keys(d.secrets)) }

// Secrets returns the JSON Pointers of the values that are marked as secrets, in document order.
func (d *Document) Secrets() []string {
	values := d.secretValues()
	pointers := make([]string, len(values))
	for n, i := range values {
		text := d.secrets[i]
		pointers[n] = text[len(hiddenBefore) : len(text)-len(hiddenAfter)]
	}
	return pointers
}

// Redacted returns the document with a hidden text, "(secret /attributes/nova/db/password)", in
// place of each secret; all other bytes stay. Nothing is a secret in it. A document without
// secrets is returned itself. The result may be longer than MaxBytes.
func (d *Document) Redacted() *Document {
	if len(d.secrets) == 0 {
		return d
	}
	return d.withoutSecrets(isString, func(i int) string { return string(appendText(nil, d.secrets[i])) })
}

// withoutSecrets replaces each secret by a scalar. Names and structure stay, so that the result
// needs no parsing and no check.
func (d *Document) withoutSecrets(k kind, text func(i int) string) *Document {
	secrets := d.secretValues()
	// How many bytes and values longer it is before the n-th secret.
	bytes, sizes := make([]int, len(secrets)+1), make([]int, len(secrets)+1)
	texts := make([]string, len(secrets))
	for n, i := range secrets {
		texts[n] = text(i)
		bytes[n+1] = bytes[n] + len(texts[n]) - len(d.raw(i))
		sizes[n+1] = sizes[n] + 1 - int(d.values[i].size)
	}
	before := func(i int) int { return sort.SearchInts(secrets, i) }
	now := func(i int) int { return max(i+sizes[before(i)], -1) }

	values := make([]value, 0, len(d.values)+sizes[len(secrets)])
	for i := 0; i < len(d.values); {
		v := d.values[i]
		end := i + int(v.size)
		first, last := before(i), before(end)
		moved := func(at uint32, n int) uint32 { return uint32(int(at) + bytes[n]) }
		v.start, v.end = moved(v.start, first), moved(v.end, last)
		if v.nameEnd > 0 {
			v.nameAt, v.nameEnd = moved(v.nameAt, first), moved(v.nameEnd, first)
		}
		v.size = uint32(int(v.size) + sizes[last] - sizes[first])
		i++
		if first < len(secrets) && secrets[first] == i-1 {
			v.kind, v.textEsc = k, strings.Contains(texts[first], `\`)
			i = end
		}
		values = append(values, v)
	}
	hidden := *d
	hidden.tree = tree{src: d.spliced(secrets, texts), values: values}
	hidden.attributes, hidden.deployment = now(d.attributes), now(d.deployment)
	hidden.bookkeeping = make([]int, len(d.bookkeeping))
	for n, i := range d.bookkeeping {
		hidden.bookkeeping[n] = now(i)
	}
	hidden.secrets = nil
	return &hidden
}

// spliced returns the source with the texts of some values, ascending, replaced.
func (t *tree) spliced(values []int, texts []string) string {
	var b strings.Builder
	at := uint32(0)
	for n, i := range values {
		v := t.values[i]
		b.WriteString(t.src[at:v.start])
		b.WriteString(texts[n])
		at = v.end
	}
	b.WriteString(t.src[at:])
	return b.String()
}

// withValues returns a document with some values, ascending, replaced by other JSON texts, and
// all of them marked as secrets beside those that are.
func (d *Document) withValues(values []int, texts []string) (*Document, error) {
	size := len(d.src)
	for n, i := range values {
		size += len(texts[n]) - len(d.raw(i))
	}
	if size > MaxBytes { // before it is built: one secret may stand in many places
		return nil, (&scanner{tree: &d.tree}).fail(0, "the document and its secrets are larger than %d MB", MaxBytes>>20)
	}
	t, err := scan(d.spliced(values, texts))
	if err != nil {
		return nil, err
	}
	restored, err := newDocument(t)
	if err != nil {
		return nil, err
	}
	marks := make(map[int]bool, len(values)+len(d.secrets))
	longer, next := 0, 0
	for _, i := range slices.Sorted(maps.Keys(union(d.secrets, values))) {
		for next < len(values) && values[next] < i {
			next++
		}
		marks[i+longer] = true
		if next < len(values) && values[next] == i {
			longer += int(t.values[i+longer].size) - int(d.values[i].size)
		}
	}
	return restored.marked(marks), nil
}

func union(marks map[int]string, values []int) map[int]bool {
	all := make(map[int]bool, len(marks)+len(values))
	for i := range marks {
		all[i] = true
	}
	for _, i := range values {
		all[i] = true
	}
	return all
}

// hidden yields the values below attributes that are hidden texts, with the pointers in them.
func (d *Document) hidden(yield func(i int, pointer string) bool) {
	attributes := d.member(0, "attributes")
	for i := attributes + 1; i < attributes+int(d.values[attributes].size); i++ {
		if d.kind(i) == isString {
			if pointer, ok := hiddenPointer(d.text(i)); ok && !yield(i, pointer) {
				return
			}
		}
	}
}

// HiddenSecrets returns the JSON Pointers of the values below attributes that are hidden texts,
// in document order: a document with such is an edited Redacted one and wants RestoreSecrets.
// Of very many not all are returned, but never none.
func (d *Document) HiddenSecrets() []string {
	var values []int
	for i := range d.hidden {
		values = append(values, i)
	}
	pointers, _ := d.pointers(values, maxReport)
	return pointers
}

// HiddenInLists tells whether a hidden text names a secret by an index, as in
// "(secret /attributes/nova/volumes/0/password)". In another revision that index may be another
// element's: such a document is safely restored only from the very revision it was redacted of.
func (d *Document) HiddenInLists() bool {
	for _, pointer := range d.hidden {
		tokens, _ := pointerTokens(pointer)
		for _, token := range tokens {
			if n, err := strconv.Atoi(token); err == nil && n >= 0 && strconv.Itoa(n) == token {
				return true
			}
		}
	}
	return false
}
