package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// maxRounds bounds how often an editor that is a program can bring back wrong text.
const maxRounds = 100

// editing is one run of proposal edit.
type editing struct {
	*app
	raw     bool
	force   bool
	from    string
	message string

	buffer
	editor string
	file   string
	stored *proposal.Document // what the text was made from
}

func (a *app) proposalEditCommand() *cobra.Command {
	e := &editing{app: a}
	c := &cobra.Command{
		Use:   "edit BARCLAMP [NAME]",
		Short: "change a proposal in your editor",
		Long: "Open the attributes, or with --raw the whole document, in the editor of VISUAL or EDITOR. What you\n" +
			"save there becomes the next revision; what others saved meanwhile is merged with it.\n\n" +
			"If something is wrong, the editor opens again with the problems marked. A problem that was there\n" +
			"before keeps nobody from saving. Leave the text as it was to change nothing; leave it as it was\n" +
			"with its problems to stop. Whatever happens, text that is not saved stays in a file, and its name\n" +
			"is told: --from takes it up again.\n" +
			"Exit status 4: others changed the same otherwise; the message says how to decide.",
		Example: "  crowbar proposal edit nova\n" +
			"  EDITOR='code --wait' crowbar proposal edit nova default --raw -m 'more compute nodes'\n" +
			"  crowbar proposal edit nova default --from /tmp/crowbar-nova-default-123.json",
		Args: arguments("BARCLAMP", "[NAME]"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			return e.run(ctx, c, key(args))
		}),
	}
	f := c.Flags()
	f.BoolVar(&e.raw, "raw", false, "the whole document, with the nodes of each role")
	f.BoolVar(&e.force, "force", false, "save a draft in spite of problems; it must be JSON, and a proposal, all the same")
	f.StringVar(&e.from, "from", "", "text that an edit kept; it is edited where it is, and stays")
	messageFlag(c, &e.message)
	return c
}

func (e *editing) run(ctx context.Context, c *client.Client, k proposal.Key) (err error) {
	if e.editor, err = e.app.editor(); err != nil {
		return err
	}
	e.buffer = buffer{key: k, whole: e.raw}
	var typed []byte
	if e.from != "" {
		if typed, err = e.takeUp(); err != nil {
			return err
		}
	}
	text, number, err := c.Document(ctx, k, e.buffer.base)
	if err != nil {
		return err
	}
	e.buffer.base = number
	if e.stored, err = proposal.Parse(text); err != nil {
		return fmt.Errorf("%s revision %d: %w", k, number, err)
	}
	original, err := e.text(text)
	if err != nil {
		return err
	}
	shown := original
	if e.from != "" {
		e.file, shown = e.from, string(typed)
	} else {
		f, err := bufferFile(k)
		if err != nil {
			return err
		}
		e.file = f.Name()
		if err := f.Close(); err != nil {
			return err
		}
	}
	return e.rounds(ctx, c, original, shown)
}

// takeUp reads a text that was kept.
func (e *editing) takeUp() ([]byte, error) {
	if e.from == "-" {
		return nil, errors.New("--from is a file, which the editor can open")
	}
	typed, err := e.read(e.from)
	if err != nil {
		return nil, err
	}
	b, ok := readBuffer(typed)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s does not tell what it was made from; give it a line like %q", e.from, buffer{key: e.key, base: 1}.baseLine())
	case b.key != e.key:
		return nil, fmt.Errorf("%s has an edit of %s, not of %s", e.from, b.key, e.key)
	case e.raw && !b.whole:
		return nil, fmt.Errorf("%s has attributes, not a whole document; leave out --raw", e.from)
	}
	e.buffer = b
	return typed, nil
}

// rounds edits until the text is saved, or given up.
func (e *editing) rounds(ctx context.Context, c *client.Client, original, shown string) error {
	var complaints []complaint
	for round := 0; ; round++ {
		if err := os.WriteFile(e.file, []byte(shown), 0o600); err != nil {
			return e.kept(shown, err)
		}
		fresh := round == 0 && e.from == "" // nothing is typed yet
		failed := e.Edit(ctx, e.editor, e.file)
		raw, err := os.ReadFile(e.file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w; your text is there still", err)
		}
		typed := string(raw)
		switch {
		case failed == nil:
			failed = ctx.Err()
		case ctx.Err() != nil:
			failed = ctx.Err()
		}
		switch {
		case body(typed) == "" && fresh, body(typed) == body(original):
			if failed != nil {
				return errors.Join(failed, e.discard())
			}
			if err := e.discard(); err != nil {
				return err
			}
			return e.unchanged(ctx, c, e.key, e.buffer.base)
		case failed != nil && body(typed) == "":
			return e.kept(shown, failed)
		case failed != nil:
			return e.kept(typed, failed)
		case body(typed) == "":
			return e.kept(shown, errors.New("the text was emptied"))
		case round > 0 && body(typed) == body(shown):
			return e.kept(typed, errors.New("the text was left as it was"), complaints...)
		}

		typed = unmarked(typed)
		document, found, err := e.check(ctx, c, typed)
		if complaints = found; err != nil {
			return e.kept(typed, err)
		}
		if len(complaints) == 0 {
			saved, err := c.SaveProposal(ctx, e.key, document.Bytes(), client.SaveOptions{Message: e.message, Base: e.buffer.base})
			if err == nil {
				if err := e.discard(); err != nil {
					lines(e.Stderr, "%v", err)
				}
				return e.savedWith(ctx, c, e.key, saved)
			}
			if complaints = e.refused(typed, err); len(complaints) == 0 {
				return e.kept(typed, err)
			}
		}
		shown = marked(typed, complaints)
		if round+1 == maxRounds {
			return e.kept(shown, fmt.Errorf("after %d rounds of editing it is wrong still", maxRounds), complaints...)
		}
	}
}

// check tells what is wrong with a text, and where in it.
func (e *editing) check(ctx context.Context, c *client.Client, typed string) (*proposal.Document, []complaint, error) {
	document, err := e.apply(e.stored.Bytes(), []byte(typed))
	if err != nil {
		complaints := e.refused(typed, err)
		if len(complaints) == 0 {
			return nil, nil, err
		}
		return nil, complaints, nil
	}
	if e.force {
		return document, nil, nil
	}
	problems, err := newProblems(ctx, c, e.stored, document)
	if err != nil {
		return nil, nil, err
	}
	return document, e.places(typed, problems), nil
}

// refused are the complaints that an error makes.
func (e *editing) refused(typed string, err error) []complaint {
	var syntax *proposal.SyntaxError
	var invalid *proposal.ValidationError
	var said *client.Error
	switch {
	case errors.As(err, &syntax):
		return []complaint{{line: syntax.Line, column: syntax.Column, text: oneLine(syntax.Reason)}}
	case errors.As(err, &invalid):
		return e.places(typed, invalid.Problems)
	case errors.As(err, &said) && errors.Is(err, client.ErrInvalid):
		return e.places(typed, said.Problems)
	}
	return nil
}

func (e *editing) places(typed string, problems []proposal.Problem) []complaint {
	var list []complaint
	for _, p := range problems {
		list = append(list, e.place(typed, p))
	}
	return list
}

// discard removes the file, which has nothing that is not saved; one of the user's stays.
func (e *editing) discard() error {
	if e.from != "" {
		return nil
	}
	err := os.Remove(e.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// kept leaves what was typed in the file, and says how to go on from there.
func (e *editing) kept(typed string, cause error, problems ...complaint) error {
	if b, ok := readBuffer([]byte(typed)); !ok || b != e.buffer {
		typed = e.baseLine() + "\n" + typed
	}
	if err := os.WriteFile(e.file, []byte(typed), 0o600); err != nil {
		lines(e.Stderr, "%s", typed) // the last place that is left
		return fmt.Errorf("%w; nor can the text be kept: %w", cause, err)
	}
	if conflicts(cause) != nil {
		return contradicted(e.key, e.buffer.base, e.file, "what you typed", cause)
	}
	text := fmt.Sprintf("not saved: %s; your text is in %s; take it up again: %s --from %s",
		e.explain(cause), e.file, proposalVerb("edit", e.key), shellWord(e.file))
	for _, p := range problems {
		text += "\n  " + p.String()
	}
	return &keptError{cause: cause, text: text}
}
