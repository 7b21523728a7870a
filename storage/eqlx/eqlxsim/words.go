package eqlxsim

import (
	"fmt"
	"strings"
)

// The words of errors. "does not exist." is what Cinder's driver looks for [C]; the rest is
// assumed [A].
const (
	errNoVolume      = "Volume %s does not exist."
	errNoSnapshot    = "Snapshot %s does not exist."
	errNoPool        = "Pool %s does not exist."
	errNoAccess      = "Access control record %s does not exist."
	errNoCHAPUser    = "CHAP user %s does not exist."
	errVolumeExists  = "Volume %s already exists."
	errSnapshotThere = "Snapshot %s already exists."
	errOnline        = "Volume is online."
	errSnapshotUp    = "Snapshot is online."
	errNoSpace       = "Not enough free space in pool %s."
	errShrink        = "Volume cannot be made smaller without the shrink parameter."
	errAccessFull    = "The volume has 16 access control records already."
	errBadName       = "Invalid name %s."
	errBadCommand    = "Bad command"
)

func errorWords() []string {
	return []string{errNoVolume, errNoSnapshot, errNoPool, errNoAccess, errNoCHAPUser, errVolumeExists, errSnapshotThere,
		errOnline, errSnapshotUp, errNoSpace, errShrink, errAccessFull, errBadName, errBadCommand}
}

// A commandError is an error that the command line prints.
type commandError struct{ words string }

func (e *commandError) Error() string { return e.words }

// fail says words about what, in the words of this group.
func (g *Group) fail(words string, what ...any) error {
	if own, ok := g.config.Errors[words]; ok {
		words = own
	}
	if !strings.Contains(words, "%s") {
		what = nil
	}
	return &commandError{words: fmt.Sprintf(words, what...)}
}

// fields splits a command line at spaces; quotes keep spaces together [C]: upstream quotes
// descriptions, the Proxmox plugins quote names [W].
func fields(line string) ([]string, bool) {
	var words []string
	var word strings.Builder
	var quote rune
	in := false
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '"' || r == '\'':
			quote, in = r, true
		case r == ' ' || r == '\t':
			if in {
				words, in = append(words, word.String()), false
				word.Reset()
			}
		default:
			in = true
			word.WriteRune(r)
		}
	}
	if in {
		words = append(words, word.String())
	}
	return words, quote == 0
}
