package kwalify

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// regexpOf translates "/…/", "/…/i", "/…/m" from Ruby's regular expressions to what Go's RE2 and
// ECMAScript 2025 read alike:
//
//   - ^ and $ match at every line in Ruby: the whole stands in (?m:…);
//   - the option m (and (?m)) lets . match a newline: s;
//   - \A and \z are ^ and $ outside of (?m); \Z allows a newline before the end;
//   - \h is [0-9a-fA-F], \H its complement, \e the escape character, {,n} is {0,n}.
//
// What they do not share with Ruby is an error: lookaround, atomic groups, back references,
// possessive quantifiers, \G, \K, \R, \X, && and brackets in a character class, (?x), (?#…).
//
// A difference that remains: after the newline that ends a text Ruby has no further line.
func regexpOf(pattern string) (string, error) {
	end := strings.LastIndexByte(pattern, '/')
	if len(pattern) < 2 || pattern[0] != '/' || end == 0 || strings.Contains(pattern, "\n") {
		return "", errors.New("no slashes around it")
	}
	flags := "m"
	for _, c := range pattern[end+1:] {
		switch c {
		case 'i':
			flags += "i"
		case 'm':
			flags += "s"
		default:
			return "", fmt.Errorf("the option %q after the slash", c)
		}
	}
	if len(pattern)-end > 3 {
		return "", errors.New("more than two options after the slash")
	}
	t := &regexpTranslator{src: pattern[1:end]}
	if err := t.run(); err != nil {
		return "", err
	}
	text := t.out.String()
	if t.anchored || len(flags) > 1 {
		text = "(?" + flags + ":" + text + ")"
	}
	if _, err := regexp.Compile(text); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return text, nil
}

type regexpTranslator struct {
	src      string
	pos      int
	out      strings.Builder
	anchored bool // there is a ^ or $
}

func (t *regexpTranslator) has(prefix string) bool { return strings.HasPrefix(t.src[t.pos:], prefix) }

func (t *regexpTranslator) take(n int, text string) {
	t.pos += n
	t.out.WriteString(text)
}

var (
	openQuantifier  = regexp.MustCompile(`^\{,\d+\}`)
	exactQuantifier = regexp.MustCompile(`^\{\d+\}\?`)
	groupOptions    = regexp.MustCompile(`^\(\?([a-z]*)(?:-([a-z]*))?[:)]`)
	namedGroup      = regexp.MustCompile(`^\(\?<[A-Za-z_]\w*>`)
	posixClass      = regexp.MustCompile(`^\[:\^?[a-z]+:\]`)
)

func (t *regexpTranslator) run() error {
	for t.pos < len(t.src) {
		rest := t.src[t.pos:]
		switch c := rest[0]; {
		case c == '\\':
			if err := t.escape(false); err != nil {
				return err
			}
		case c == '[':
			if err := t.class(); err != nil {
				return err
			}
		case c == '^' || c == '$':
			t.anchored = true
			t.take(1, rest[:1])
		case strings.HasPrefix(rest, "(?"):
			if err := t.group(); err != nil {
				return err
			}
		case openQuantifier.MatchString(rest):
			t.take(2, "{0,")
		case exactQuantifier.MatchString(rest):
			return errors.New("{n}?, which Ruby reads as {0,1} of {n}")
		default:
			t.take(1, rest[:1])
		}
	}
	return nil
}

// group translates what starts with "(?".
func (t *regexpTranslator) group() error {
	rest := t.src[t.pos:]
	if name := namedGroup.FindString(rest); name != "" {
		t.take(len(name), name)
		return nil
	}
	m := groupOptions.FindStringSubmatch(rest)
	if m == nil {
		return fmt.Errorf("%q, a group that only Ruby knows (lookaround, atomic group, comment)", shorten(rest))
	}
	if strings.Trim(m[1]+m[2], "im") != "" {
		return fmt.Errorf("the option %q", m[0])
	}
	on, off := strings.ReplaceAll(m[1], "m", "s"), strings.ReplaceAll(m[2], "m", "s")
	if off != "" {
		off = "-" + off
	}
	t.take(len(m[0]), "(?"+on+off+m[0][len(m[0])-1:])
	return nil
}

// class translates a character class.
func (t *regexpTranslator) class() error {
	t.take(1, "[")
	if t.has("^") {
		t.take(1, "^")
	}
	for first := true; t.pos < len(t.src); first = false {
		rest := t.src[t.pos:]
		switch {
		case rest[0] == ']' && !first:
			t.take(1, "]")
			return nil
		case rest[0] == ']':
			return errors.New("an empty character class")
		case rest[0] == '\\':
			if err := t.escape(true); err != nil {
				return err
			}
		case posixClass.MatchString(rest):
			name := posixClass.FindString(rest)
			t.take(len(name), name)
		case rest[0] == '[':
			return errors.New("a character class within another")
		case strings.HasPrefix(rest, "&&"):
			return errors.New("&&, an intersection of character classes")
		default:
			t.take(1, rest[:1])
		}
	}
	return errors.New("a character class that is never closed")
}

// escape translates a backslash and what belongs to it.
func (t *regexpTranslator) escape(class bool) error {
	rest := t.src[t.pos:]
	if len(rest) < 2 {
		return errors.New("a backslash at the end")
	}
	c := rest[1]
	switch {
	case strings.IndexByte("dDwWsSnrtfv", c) >= 0, c == 'x', c == 'p', c == 'P':
		t.take(2, rest[:2])
	case c == 'h' && class:
		t.take(2, "0-9a-fA-F")
	case c == 'h':
		t.take(2, "[0-9a-fA-F]")
	case c == 'H' && !class:
		t.take(2, "[^0-9a-fA-F]")
	case (c == 'b' || c == 'B') && !class:
		t.take(2, rest[:2])
	case c == 'b':
		t.take(2, `\x08`)
	case c == 'e':
		t.take(2, `\x1b`)
	case c == 'a':
		t.take(2, `\x07`)
	case c == 'A' && !class:
		t.take(2, "(?-m:^)")
	case c == 'z' && !class:
		t.take(2, "(?-m:$)")
	case c == 'Z' && !class:
		t.take(2, `(?-m:\n?$)`)
	case c >= '0' && c <= '9':
		return fmt.Errorf("\\%c, a back reference or an octal number", c)
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		return fmt.Errorf("\\%c, which only Ruby knows", c)
	case c >= 0x80:
		t.take(1, "") // any other escaped character stands for itself
	default:
		t.take(2, rest[:2])
	}
	return nil
}
