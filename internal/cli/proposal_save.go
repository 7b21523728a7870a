package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func (a *app) proposalCreateCommand() *cobra.Command {
	var from, message string
	c := &cobra.Command{
		Use:   "create BARCLAMP [NAME]",
		Short: "let a barclamp propose, from the nodes that are there",
		Long:  "Make the first revision of a proposal: the barclamp's template, or the document of --from, with the\nnodes that the barclamp would take, and why it would.",
		Example: "  crowbar proposal create nova\n" +
			"  crowbar proposal create nova second --from nova.json -m 'as in the lab'",
		Args: arguments("BARCLAMP", "[NAME]"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			k := key(args)
			p := client.NewProposal{Barclamp: k.Barclamp, Name: k.Name, Message: message}
			if from != "" {
				raw, err := a.read(from)
				if err != nil {
					return err
				}
				if _, err := proposal.Parse(raw); err != nil { // else it could not even be sent
					return fmt.Errorf("%s is no proposal: %w", from, err)
				}
				p.Document = raw
			}
			created, err := c.CreateProposal(ctx, p)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(created)
			}
			lines(a.Stdout, "%s: revision %d is saved; commit it: %s", k, created.Revision.Number, proposalVerb("commit", k))
			t := newTable("ROLE", "NODE", "WHY")
			for _, x := range created.Explanations {
				t.add(plain, x.Role, orDash(x.Node), x.Reason)
			}
			return a.print(a.Stdout, t)
		}),
	}
	c.Flags().StringVar(&from, "from", "", "document to start from instead of the template; - is standard input")
	messageFlag(c, &message)
	return c
}

func (a *app) proposalImportCommand() *cobra.Command {
	name, base, message := "", 0, ""
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "save a document as it is, as the first or next revision of its proposal",
		Long: "Save the document in FILE (- is standard input). With --base, what others saved since that revision\n" +
			"is merged with it; without, it becomes the newest revision whatever was before.\n" +
			"Exit status 4: others changed the same otherwise, and nothing is saved.",
		Example: "  crowbar proposal import nova.json -m 'from the old site'\n" +
			"  crowbar proposal import nova.json --name second --base 3",
		Args: arguments("FILE"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			if base < 0 {
				return errors.New("--base is the number of a revision, from 1")
			}
			raw, err := a.read(args[0])
			if err != nil {
				return err
			}
			saved, err := c.ImportProposal(ctx, raw, name, client.SaveOptions{Message: message, Base: base})
			if conflicts(err) != nil {
				var k proposal.Key
				if d, parseErr := proposal.Parse(raw); parseErr == nil {
					k = d.Key()
				}
				if name != "" {
					k.Name = name
				}
				if args[0] == "-" {
					return a.keepDocument(k, base, raw, "the document", err)
				}
				return contradicted(k, base, args[0], "the document", err)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			return a.savedWith(ctx, c, proposal.Key{Barclamp: saved.Barclamp, Name: saved.Name}, saved)
		}),
	}
	c.Flags().StringVar(&name, "name", "", "name of the proposal; default is what the document's id tells")
	c.Flags().IntVar(&base, "base", 0, "revision that the document was made from; 0: merge with nothing")
	messageFlag(c, &message)
	return c
}

// saved tells the outcome of a save.
func (a *app) saved(s *client.Saved) error {
	if a.output == "json" {
		return a.json(s)
	}
	if s.Unchanged {
		lines(a.Stdout, "nothing changes: %s/%s revision %d says the same", s.Barclamp, s.Name, s.Number)
		return nil
	}
	text := fmt.Sprintf("%s/%s: revision %d is saved", s.Barclamp, s.Name, s.Number)
	switch len(s.Merged) {
	case 0:
	case 1:
		text += fmt.Sprintf("; revision %d of others was merged in", s.Merged[0])
	default:
		var numbers []string
		for _, n := range s.Merged {
			numbers = append(numbers, strconv.Itoa(n))
		}
		text += "; revisions " + strings.Join(numbers, ", ") + " of others were merged in"
	}
	lines(a.Stdout, "%s", text)
	return nil
}

// savedWith tells what a save changed, too. The server compares: it knows which values are secrets.
func (a *app) savedWith(ctx context.Context, c *client.Client, k proposal.Key, s *client.Saved) error {
	if a.output != "json" && !s.Unchanged && s.Parent > 0 {
		d, err := c.Diff(ctx, k, strconv.Itoa(s.Parent), strconv.Itoa(s.Number))
		if err != nil { // saved it is nevertheless
			lines(a.Stderr, "what it changes cannot be shown: %s", a.explain(err))
		} else if err := a.diff(a.Stdout, d); err != nil {
			return err
		}
	}
	return a.saved(s)
}

// newProblems are those of a document that the one it was made from has not. A draft may be
// incomplete; what is put into it must be right.
func newProblems(ctx context.Context, c *client.Client, before, after *proposal.Document) ([]proposal.Problem, error) {
	found, err := c.ValidateDocument(ctx, after.Bytes())
	if err != nil || len(found) == 0 {
		return nil, err
	}
	old, err := c.ValidateDocument(ctx, before.Bytes())
	if err != nil {
		return nil, err
	}
	known := map[proposal.Problem]bool{}
	for _, p := range old {
		known[p] = true
	}
	var fresh []proposal.Problem
	for _, p := range found {
		if !known[p] {
			fresh = append(fresh, p)
		}
	}
	return fresh, nil
}

// maxFile is more than the server takes.
const maxFile = 16 << 20

// read reads a file, or standard input for "-".
func (a *app) read(path string) ([]byte, error) {
	source := a.Stdin
	if path != "-" {
		f, err := os.Open(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("%s: there is no such file; give the path of one, or - for standard input", path)
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("%s cannot be read by this user; give it the right to, or pipe it in and give -", path)
		case err != nil:
			return nil, err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return nil, fmt.Errorf("%s is a directory; give one file in it", path)
		}
		source = f
	}
	raw, err := io.ReadAll(io.LimitReader(source, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	case len(raw) > maxFile:
		return nil, fmt.Errorf("%s has more than %s, which no proposal has", path, size(maxFile))
	}
	return raw, nil
}
