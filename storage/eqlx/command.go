package eqlx

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/crowbarkit/crowbarkit/storage"
)

const (
	wordExpected = "up to 255 letters, digits, '.', ':', '-' and '_', beginning with a letter or digit"
	// maxLine is the longest command line; how long the group's may be is not published.
	maxLine = 1023
)

var wordPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:_-]{0,254}$`)

// checkWord is what keeps a value from becoming more than one argument, or another command: no
// CR, LF, space, quote, or ">" of a prompt gets through, and no "-" that begins a flag.
func checkWord(s string) error {
	if !wordPattern.MatchString(s) {
		return fmt.Errorf("%w: %.80q in a command, expected %s", storage.ErrInvalid, s, wordExpected)
	}
	return nil
}

// A part of a command line: a literal of this package, or a value that was checked.
type part struct {
	text  string
	value bool
}

// literal is for constants only: a variable of type string does not convert without notice.
type literal string

func lit(text literal) part { return part{text: string(text)} }
func arg(text string) part  { return part{text: text, value: true} }

// gigabytes is a size as an argument.
func gigabytes(sizeBytes int64) part {
	return part{text: strconv.FormatInt(sizeBytes>>30, 10) + "G", value: true}
}

// command joins parts by single spaces.
func command(parts ...part) (string, error) {
	words := make([]string, 0, len(parts))
	for _, p := range parts {
		if p.value {
			if err := checkWord(p.text); err != nil {
				return "", err
			}
		}
		words = append(words, p.text)
	}
	line := strings.Join(words, " ")
	if len(line) > maxLine {
		return "", fmt.Errorf("%w: a command of %d characters, expected up to %d", storage.ErrInvalid, len(line), maxLine)
	}
	return line, nil
}

// volume begins a command about a volume.
func volume(name string, parts ...part) []part {
	return append([]part{lit("volume select"), arg(name)}, parts...)
}
