package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"unicode"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// A keptError says why something was not saved, and where the user has it still.
type keptError struct {
	text  string
	cause error
}

func (e *keptError) Error() string { return e.text }

func (e *keptError) Unwrap() error { return e.cause }

// conflicts are those that an error tells of.
func conflicts(err error) []proposal.Conflict {
	var said *client.Error
	if !errors.As(err, &said) || !errors.Is(err, client.ErrConflict) {
		return nil
	}
	return said.Conflicts
}

// keepDocument keeps in a file what contradicts others' changes; yours says what it is.
func (a *app) keepDocument(k proposal.Key, base int, document []byte, yours string, err error) error {
	f, fileErr := bufferFile(k)
	if fileErr == nil {
		_, fileErr = f.Write(document)
		fileErr = errors.Join(fileErr, f.Close())
	}
	if fileErr != nil {
		return fmt.Errorf("%w; and it cannot be kept: %w", err, fileErr)
	}
	return contradicted(k, base, f.Name(), yours, err)
}

// contradicted says each conflict with its three values, and how to decide them. The document,
// or the edit buffer, is in file; yours says whose values theirs are: "what you typed".
func contradicted(k proposal.Key, base int, file, yours string, err error) error {
	list := conflicts(err)
	var b strings.Builder
	fmt.Fprintf(&b, "not saved: %s contradicts what was saved since revision %d at %s:", k, base, wording.Count(len(list), "place"))
	decide := ""
	for _, c := range list {
		b.WriteString("\n" + conflictText(c, "yours: "+yours))
		decide += " --theirs " + shellWord(c.Path)
	}
	fmt.Fprintf(&b, "\nyour document is in %s; take your values, or at any place with --ours the newest revision's:\n  %s %s --base %d%s",
		file, proposalVerb("merge", k), shellWord(file), base, decide)
	return &keptError{text: b.String(), cause: err}
}

// conflictText is a conflict on lines of its own; theirs says whose value that is.
func conflictText(c proposal.Conflict, theirs string) string {
	const limit = 400
	value := func(v json.RawMessage) string {
		if v == nil {
			return "nothing"
		}
		return brief(oneLine(string(v)), limit)
	}
	return fmt.Sprintf("  %s: %s\n    base    %s\n    ours    %s (the newest revision)\n    theirs  %s (%s)",
		oneLine(c.Path), oneLine(string(c.Type)), value(c.Base), value(c.Ours), value(c.Theirs), oneLine(theirs))
}

// shellWord is an argument as a shell wants it.
func shellWord(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-:,@%+=", r)
	}
	if s != "" && strings.IndexFunc(s, func(r rune) bool { return !safe(r) }) < 0 {
		return s
	}
	if strings.IndexFunc(s, unicode.IsControl) >= 0 {
		return ansiWord(s)
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// ansiWord is an argument with control characters: $'…', as POSIX has it since 2024.
func ansiWord(s string) string {
	var b strings.Builder
	b.WriteString("$'")
	for _, r := range s {
		switch {
		case unicode.IsControl(r):
			for _, c := range []byte(string(r)) {
				fmt.Fprintf(&b, `\%03o`, c)
			}
		case r == '\'' || r == '\\':
			b.WriteString(`\` + string(r))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// bufferFile makes a file that only this user reads.
func bufferFile(k proposal.Key) (*os.File, error) {
	name := strings.Map(func(r rune) rune {
		if r == '/' || r == '*' || r == os.PathSeparator {
			return '_'
		}
		return r
	}, k.Barclamp+"-"+k.Name)
	f, err := os.CreateTemp("", "crowbar-"+name+"-*.json")
	if err != nil {
		return nil, fmt.Errorf("no file for the text can be made in %s: %w; name a directory that you can write in with TMPDIR", os.TempDir(), withoutFile(err))
	}
	return f, nil
}

// withoutFile is why something cannot be done with a file, without its name.
func withoutFile(err error) error {
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		return path.Err
	case errors.As(err, &link):
		return link.Err
	}
	return err
}
