package kwalify

import (
	"bytes"
	"fmt"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// prepared is a schema's text made ready for the YAML parser.
//
// kwalify reads schemas with a YAML parser of its own, and Crowbar's files rely on it. What it
// accepts and YAML 1.2 does not is rewritten here:
//
//   - a backslash in double quotes before a character that makes no escape of kwalify's stands for
//     itself ("/^layer2\+3$/", "/\d+/"): it is doubled. kwalify's escapes are \" \\ \n \r \t \b
//     \xHH and \uHHHH;
//   - in single quotes \' and \\ stand for ' and \;
//   - a tab outside quotes is one space, also where it indents;
//   - comments go: they mean nothing and cost the YAML parser time.
//
// Brackets and quotes are checked on the way, for an error at the exact place.
type prepared struct {
	text  []byte
	moved []moved
}

// moved says that from this place in the prepared text to the end of its line, columns are extra
// characters further right than in the original.
type moved struct{ line, column, extra int }

// original returns the column in the original text for one in the prepared text.
func (p *prepared) original(line, column int) int {
	i := sort.Search(len(p.moved), func(i int) bool {
		m := p.moved[i]
		return m.line > line || m.line == line && m.column > column
	})
	if i == 0 || p.moved[i-1].line != line {
		return column
	}
	return column - p.moved[i-1].extra
}

// bracket is one that is still open.
type bracket struct {
	char         byte
	line, column int
}

// preparer reads src once, from left to right.
type preparer struct {
	src          []byte
	pos          int
	line, column int // of src[pos], from 1; columns in characters
	extra        int // characters written in this line beyond those read
	out          bytes.Buffer
	moved        []moved
	open         []bracket

	token   bool // a quote here opens a string; elsewhere it is a character of a plain scalar
	space   bool // the character before was white space
	ended   bool // the token before was a string or a bracket that closes
	newLine bool // the token before was in another line
}

// prepare fails with a *Problem for text that is too large, not UTF-8, or whose brackets or
// quotes do not match.
func prepare(src []byte) (*prepared, *Problem) {
	if len(src) > proposal.MaxSchemaBytes {
		return nil, &Problem{Line: 1, Column: 1, Found: fmt.Sprintf("%d bytes", len(src)),
			Expected: fmt.Sprintf("at most %d MB", proposal.MaxSchemaBytes>>20)}
	}
	p := &preparer{src: bytes.TrimPrefix(src, []byte("\uFEFF")), line: 1, column: 1}
	if problem := p.run(); problem != nil {
		return nil, problem
	}
	return &prepared{text: p.out.Bytes(), moved: p.moved}, nil
}

func (p *preparer) problem(found, expected, hint string) *Problem {
	return &Problem{Line: p.line, Column: p.column, Found: found, Expected: expected, Hint: hint}
}

func (p *preparer) run() *Problem {
	p.token, p.space = true, true
	for p.pos < len(p.src) {
		if problem := p.step(p.src[p.pos]); problem != nil {
			return problem
		}
	}
	if len(p.open) > 0 {
		last := p.open[len(p.open)-1]
		p.line, p.column = last.line, last.column
		return p.problem(fmt.Sprintf("%q that is never closed", last.char), fmt.Sprintf("a %q", closing(last.char)), "")
	}
	return nil
}

// step reads what starts with c.
func (p *preparer) step(c byte) (problem *Problem) {
	flow := len(p.open) > 0
	quote := c == '"' || c == '\''
	switch {
	case c == '\n':
		p.space, p.newLine = true, true
		if !flow {
			p.token, p.ended = true, false
		}
		return p.keep()
	case c == ' ' || c == '\t' || c == '\r':
		p.space = true
		p.replace(" ", 1)
		return nil
	case c == '#' && p.space:
		p.comment()
		return nil
	case flow && p.ended && strings.IndexByte(",:}]", c) < 0,
		flow && quote && !p.token && p.newLine: // on a new line no plain scalar goes on with a quote
		return p.problem(fmt.Sprintf("%q after a value", c), "a comma", "put one before it")
	}
	token, ended := false, false // after what starts here
	switch {
	case quote && p.token:
		problem, ended = p.quoted(c), true
		if problem == nil && flow && p.pos < len(p.src) && p.src[p.pos] == ':' { // "a":"b"
			problem, token, ended = p.keep(), true, false
		}
	case p.token && (c == '&' || c == '!'): // a value may still come
		token = true
		for p.pos < len(p.src) && !strings.ContainsRune(" \t\r\n,[]{}", rune(p.src[p.pos])) && problem == nil {
			problem = p.keep()
		}
	case p.token && !flow && (c == '|' || c == '>'):
		problem = p.block()
	case (c == '{' || c == '[') && (p.token || flow):
		problem, token = p.opening(c), true
	case (c == '}' || c == ']') && (p.token || p.ended || flow):
		problem, ended = p.closing(c), true
	case c == ',' && flow, (c == ':' || c == '-' || c == '?') && p.before(" \t\r\n"):
		problem, token = p.keep(), true
	default:
		problem = p.keep()
	}
	p.token, p.ended, p.space, p.newLine = token, ended, false, false
	return problem
}

func (p *preparer) opening(c byte) *Problem {
	if len(p.open) == proposal.MaxDepth {
		return p.problem("brackets within each other", fmt.Sprintf("at most %d of them", proposal.MaxDepth), "")
	}
	p.open = append(p.open, bracket{c, p.line, p.column})
	return p.keep()
}

func (p *preparer) closing(c byte) *Problem {
	if len(p.open) == 0 {
		return p.problem(fmt.Sprintf("%q", c), "something that it closes", "remove it")
	}
	last := p.open[len(p.open)-1]
	if want := closing(last.char); c != want {
		return p.problem(fmt.Sprintf("%q", c), fmt.Sprintf("%q", want),
			fmt.Sprintf("close the %q of line %d, column %d first", last.char, last.line, last.column))
	}
	p.open = p.open[:len(p.open)-1]
	return p.keep()
}

func closing(open byte) byte {
	if open == '{' {
		return '}'
	}
	return ']'
}

// before says whether the character after this one is one of chars, or the end.
func (p *preparer) before(chars string) bool {
	return p.pos+1 == len(p.src) || strings.IndexByte(chars, p.src[p.pos+1]) >= 0
}

// keep copies one character.
func (p *preparer) keep() *Problem {
	r, size := utf8.DecodeRune(p.src[p.pos:])
	switch {
	case r == utf8.RuneError && size <= 1:
		return p.problem(fmt.Sprintf("the byte 0x%02x", p.src[p.pos]), "UTF-8 text", "save the file as UTF-8")
	case r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7F || r >= 0x80 && r < 0xA0 || r == 0xFEFF || r == 0xFFFE || r == 0xFFFF:
		return p.problem(fmt.Sprintf("the control character %U", r), "printable text", "remove it")
	}
	p.out.Write(p.src[p.pos : p.pos+size])
	p.pos += size
	p.column++
	if r == '\n' || r == 0x2028 || r == 0x2029 {
		p.line, p.column, p.extra = p.line+1, 1, 0
	}
	return nil
}

// replace writes text for the next n characters, all of them ASCII and in one line.
func (p *preparer) replace(text string, n int) {
	p.out.WriteString(text)
	p.pos += n
	p.column += n
	if len(text) != n {
		p.extra += len(text) - n
		p.moved = append(p.moved, moved{p.line, p.column + p.extra, p.extra})
	}
}

func (p *preparer) comment() {
	for p.pos < len(p.src) && p.src[p.pos] != '\n' {
		p.pos++
	}
}

// quoted copies a string from its opening to its closing quote.
func (p *preparer) quoted(quote byte) *Problem {
	line, column := p.line, p.column
	problem := p.keep()
	for problem == nil && p.pos < len(p.src) {
		c := p.src[p.pos]
		escape := c == '\\' && p.pos+1 < len(p.src)
		switch {
		case c == quote:
			return p.keep()
		case escape && quote == '\'' && p.src[p.pos+1] == '\'':
			p.replace("''", 2)
		case escape && quote == '\'' && p.src[p.pos+1] == '\\':
			p.replace(`\`, 2)
		case escape && quote == '"' && strings.IndexByte(`"\nrtb`, p.src[p.pos+1]) >= 0:
			p.replace(string(p.src[p.pos:p.pos+2]), 2)
		case escape && quote == '"' && p.hexadecimal():
			p.replace(string(p.src[p.pos:p.pos+2]), 2)
		case c == '\\' && quote == '"':
			p.replace(`\\`, 1)
		default:
			problem = p.keep()
		}
	}
	if problem != nil {
		return problem
	}
	p.line, p.column = line, column
	return p.problem("a string that is never closed", fmt.Sprintf("a closing %c", quote), "")
}

// hexadecimal says whether here is \xHH or \uHHHH.
func (p *preparer) hexadecimal() bool {
	digits := map[byte]int{'x': 2, 'u': 4}[p.src[p.pos+1]]
	rest := p.src[p.pos+2:]
	if digits == 0 || len(rest) < digits {
		return false
	}
	for _, c := range rest[:digits] {
		if !strings.ContainsRune("0123456789abcdefABCDEF", rune(c)) {
			return false
		}
	}
	return true
}

// block copies a block scalar (| or >): the rest of its line, and the lines indented further, but
// for the end of the last.
func (p *preparer) block() *Problem {
	start := bytes.LastIndexByte(p.src[:p.pos], '\n') + 1
	indent := indentation(p.src[start:])
	for p.pos < len(p.src) {
		if p.src[p.pos] == '\n' {
			next, _, _ := bytes.Cut(p.src[p.pos+1:], []byte("\n"))
			if len(bytes.TrimSpace(next)) > 0 && indentation(next) <= indent {
				return nil
			}
		}
		if problem := p.keep(); problem != nil {
			return problem
		}
	}
	return nil
}

func indentation(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " ")) }
