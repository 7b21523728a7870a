package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// A buffer is the text that an editor gets: JSON between lines that start with #, one of which
// says what it was made from, so that the text can be taken up again.
type buffer struct {
	key   proposal.Key
	base  int
	whole bool // the whole document, else the attributes
}

// baseLine is what readBuffer looks for.
func (b buffer) baseLine() string {
	part := "attributes"
	if b.whole {
		part = "document"
	}
	return fmt.Sprintf("# base: revision %d of %s, %s", b.base, b.key, part)
}

var baseLine = regexp.MustCompile(`(?m)^[ \t]*# base: revision (\d{1,9}) of (\S+), (attributes|document)[ \t\r]*$`)

// readBuffer reads which buffer a text is of.
func readBuffer(text []byte) (buffer, bool) {
	m := baseLine.FindSubmatch(text)
	if m == nil {
		return buffer{}, false
	}
	k, err := proposal.ParseKey(string(m[2]))
	if err != nil {
		return buffer{}, false
	}
	base, err := strconv.Atoi(string(m[1]))
	return buffer{key: k, base: base, whole: string(m[3]) == "document"}, err == nil && base > 0
}

// text is what the editor gets at first.
func (b buffer) text(d []byte) (string, error) {
	part, what := string(d), "the document"
	if !b.whole {
		what = "the attributes"
		var err error
		if part, err = attributes(d); err != nil {
			return "", err
		}
		part = shift(part, "\n"+margin(part), "\n")
	}
	part = strings.TrimSpace(part)
	if !strings.Contains(part, "\n") {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, []byte(part), "", "  "); err != nil {
			return "", err
		}
		part = pretty.String()
	}
	head := fmt.Sprintf("# These are %s of %s. Save and leave the editor to save them as a new revision;\n"+
		"# leave them as they are, or empty, to change nothing. Lines that start with # are left out.\n", what, b.key)
	if b.whole {
		head = strings.NewReplacer("These are", "This is", "save them", "save it", "leave them as they are", "leave it as it is").Replace(head)
	}
	if strings.Contains(part, hiddenSecret) {
		head += "# \"(secret /…)\" stands for a secret; where the text stays, the secret stays.\n"
	}
	return head + b.baseLine() + "\n" + part + "\n", nil
}

// apply makes the document that a text of this buffer stands for. A *proposal.SyntaxError tells
// the place in the text.
func (b buffer) apply(base, text []byte) (*proposal.Document, error) {
	if b.whole {
		if _, err := proposal.Parse([]byte(blanked(string(text)))); err != nil { // tells the lines of the text
			return nil, err
		}
		return proposal.Parse([]byte(formed(body(string(text)), strings.TrimSpace(string(base))) + trailing(base)))
	}
	d, err := proposal.Parse(base)
	if err != nil {
		return nil, err
	}
	edit := proposal.Edit{Pointer: "/attributes", Value: json.RawMessage(blanked(string(text)))}
	if _, err := d.With(edit); err != nil { // tells the lines of the text
		return nil, unwrapped(err)
	}
	old, err := attributes(base)
	if err != nil {
		return nil, err
	}
	edit.Value = json.RawMessage(formed(shift(body(string(text)), "\n", "\n"+margin(old)), old))
	return d.With(edit)
}

// formed gives JSON the form of what it replaces: that was on one line, and only shown on many.
func formed(part, old string) string {
	var line bytes.Buffer
	if strings.Contains(old, "\n") || json.Compact(&line, []byte(part)) != nil {
		return part
	}
	return line.String()
}

// unwrapped is the error that tells the place, without the edit that it was found in.
func unwrapped(err error) error {
	if syntax := (*proposal.SyntaxError)(nil); errors.As(err, &syntax) {
		return syntax
	}
	if invalid := (*proposal.ValidationError)(nil); errors.As(err, &invalid) {
		return invalid
	}
	return err
}

// trailing is the white space that ends a text.
func trailing(text []byte) string {
	return string(text[len(bytes.TrimRight(text, " \t\r\n")):])
}

// attributes is the text of a document's attributes, {} if it has none.
func attributes(document []byte) (string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil {
		return "", err
	}
	if part := string(members["attributes"]); part != "" {
		return part, nil
	}
	return "{}", nil
}

// margin is how far all lines of a part but the first are indented: as far as its last.
func margin(part string) string {
	lines := strings.Split(part, "\n")
	last := lines[len(lines)-1]
	m := last[:len(last)-len(strings.TrimLeft(last, " \t"))]
	if len(lines) == 1 {
		return ""
	}
	for _, l := range lines[1:] {
		if !strings.HasPrefix(l, m) {
			return ""
		}
	}
	return m
}

// shift moves the lines of a part to another margin. Strings of JSON have no line ends.
func shift(part, from, to string) string { return strings.ReplaceAll(part, from, to) }

func isComment(line string) bool { return strings.HasPrefix(strings.TrimLeft(line, " \t"), "#") }

// blanked is a text with comments emptied, so that each line keeps its number.
func blanked(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if isComment(l) {
			lines[i] = ""
		}
	}
	return strings.Join(lines, "\n")
}

// body is a text without comments and surrounding white space.
func body(text string) string {
	return strings.TrimSpace(strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), isComment), "\n"))
}

// A complaint is a problem at a place of a text.
type complaint struct {
	path         string
	line, column int // from 1; 0: not in the text
	text         string
}

// String returns "line L, column C: path: text".
func (c complaint) String() string {
	text := c.text
	if c.path != "" {
		text = c.path + ": " + text
	}
	if c.line == 0 {
		return text
	}
	return fmt.Sprintf("line %d, column %d: %s", c.line, c.column, text)
}

// A mark is a line that marked adds.
var mark = regexp.MustCompile(`(?m)^#(!!|[ \t]*\^\^ ).*(\n|$)`)

// unmarked is a text without the marks of the round before.
func unmarked(text string) string { return mark.ReplaceAllString(text, "") }

// marked lists complaints above a text and shows each below its line. Their lines become those
// of the result.
func marked(text string, complaints []complaint) string {
	slices.SortStableFunc(complaints, func(a, b complaint) int { return a.line - b.line })
	above := 1 + len(complaints)
	var lines []string
	next := 0
	for next < len(complaints) && complaints[next].line == 0 {
		next++
	}
	for i, line := range strings.Split(text, "\n") {
		lines = append(lines, line)
		at := above + len(lines)
		for ; next < len(complaints) && complaints[next].line == i+1; next++ {
			c := &complaints[next]
			c.line = at
			lines = append(lines, "#"+strings.Repeat(" ", max(c.column-2, 1))+"^^ "+c.text)
		}
	}
	list := []string{"#!! Not saved: " + wording.Count(len(complaints), "problem") + ". Put it right, or leave the text as it is to stop:"}
	for _, c := range complaints {
		list = append(list, "#!! "+c.String())
	}
	return strings.Join(append(list, lines...), "\n")
}

// place finds where a problem of the document is in a text.
func (b buffer) place(text string, p proposal.Problem) complaint {
	c := complaint{path: oneLine(p.Path), text: oneLine(strings.TrimPrefix(proposal.Problem{Found: p.Found, Expected: p.Expected, Hint: p.Hint}.String(), "document: "))}
	tokens := pointerTokens(p.Path)
	if !b.whole {
		if len(tokens) == 0 || tokens[0] != "attributes" {
			return c
		}
		tokens = tokens[1:]
	}
	bare := blanked(text)
	offset, ok := placeOf([]byte(bare), tokens)
	if !ok || len(tokens) == 0 {
		return c
	}
	start := strings.LastIndexByte(bare[:offset], '\n') + 1
	c.line, c.column = 1+strings.Count(bare[:offset], "\n"), 1+utf8.RuneCountInString(bare[start:offset])
	return c
}
