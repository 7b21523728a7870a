package cli

import (
	"bytes"
	"context"
	"encoding/json"
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

// defaultName is what most barclamps' only proposal is called.
const defaultName = "default"

func (a *app) proposalCommand() *cobra.Command {
	return group("proposal", "decide which nodes do what, with which settings",
		&cobra.Command{
			Use: "list [BARCLAMP]", Short: "list proposals", Args: arguments("[BARCLAMP]"), RunE: a.ask(a.proposalList),
		},
		a.proposalShowCommand(),
		a.proposalCreateCommand(),
		a.proposalImportCommand(),
		&cobra.Command{
			Use:   "diff BARCLAMP [NAME [A [B]]]",
			Short: "show what differs between revisions",
			Long: "Without numbers the template is compared with the latest revision, with one number that\n" +
				"revision with the latest. Exit status 2: there are changes.",
			Args: arguments("BARCLAMP", "[NAME]", "[A]", "[B]"), RunE: a.ask(a.proposalDiff),
		},
		a.proposalCommitCommand(),
	)
}

// key reads BARCLAMP [NAME].
func key(args []string) proposal.Key {
	k := proposal.Key{Barclamp: args[0], Name: defaultName}
	if len(args) > 1 {
		k.Name = args[1]
	}
	return k
}

func (a *app) proposalList(ctx context.Context, c *client.Client, args []string) error {
	barclamp := ""
	if len(args) > 0 {
		barclamp = args[0]
	}
	list, err := c.Proposals(ctx, barclamp)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(list)
	}
	t := newTable("BARCLAMP", "NAME", "REVISION", "STATUS", "OF", "APPLIED", "")
	for _, p := range list {
		var notes []string
		if p.Status.Revision > 0 && p.Latest > p.Status.Revision {
			notes = append(notes, fmt.Sprintf("revision %d is not committed", p.Latest))
		}
		for _, note := range []string{p.Status.Reason, p.Status.Waiting} {
			if note != "" {
				notes = append(notes, note)
			}
		}
		s := plain
		switch p.Status.Status {
		case "applied":
			s = green
		case "failed":
			s = red
		}
		t.add(s, p.Barclamp, p.Name, strconv.Itoa(p.Latest), p.Status.Status,
			revisionOrDash(p.Status.Revision), revisionOrDash(p.Status.Applied), strings.Join(notes, "; "))
	}
	return a.print(a.Stdout, t)
}

func revisionOrDash(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func (a *app) proposalShowCommand() *cobra.Command {
	number := 0
	c := &cobra.Command{
		Use: "show BARCLAMP [NAME]", Short: "print the stored document",
		Args: arguments("BARCLAMP", "[NAME]"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			r, err := c.Proposal(ctx, key(args), number)
			if err != nil {
				return err
			}
			if a.output == "table" && a.IsTerminal(a.Stdout) {
				lines(a.Stderr, "%s/%s revision %d by %s at %s, %s", r.Barclamp, r.Name, r.Number, r.Author, r.Time.Format("2006-01-02 15:04:05"), r.Status.Status)
			}
			return a.document(r.Document)
		}),
	}
	c.Flags().IntVarP(&number, "revision", "r", 0, "which one; 0 is the latest")
	return c
}

// document prints a document with every value as it is stored.
func (a *app) document(d json.RawMessage) error {
	var text bytes.Buffer
	if err := json.Indent(&text, d, "", "  "); err != nil {
		return err
	}
	text.WriteByte('\n')
	_, err := text.WriteTo(a.Stdout)
	return err
}

func (a *app) proposalCreateCommand() *cobra.Command {
	var from, message string
	c := &cobra.Command{
		Use:   "create BARCLAMP [NAME]",
		Short: "let a barclamp propose, from the nodes that are there",
		Args:  arguments("BARCLAMP", "[NAME]"),
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
			lines(a.Stdout, "%s: revision %d is saved; commit it: crowbar proposal commit %s %s", k, created.Revision.Number, k.Barclamp, k.Name)
			t := newTable("ROLE", "NODE", "WHY")
			for _, x := range created.Explanations {
				t.add(plain, x.Role, orDash(x.Node), x.Reason)
			}
			return a.print(a.Stdout, t)
		}),
	}
	c.Flags().StringVar(&from, "from", "", "document to start from instead of the template; - is standard input")
	c.Flags().StringVarP(&message, "message", "m", "", "why, for the history")
	return c
}

func (a *app) proposalImportCommand() *cobra.Command {
	var name, message string
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "save a document as it is, as the first or next revision of its proposal",
		Args:  arguments("FILE"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			raw, err := a.read(args[0])
			if err != nil {
				return err
			}
			r, err := c.ImportProposal(ctx, raw, name, message)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if a.output == "json" {
				return a.json(r)
			}
			lines(a.Stdout, "%s/%s: revision %d is saved", r.Barclamp, r.Name, r.Number)
			return nil
		}),
	}
	c.Flags().StringVar(&name, "name", "", "name of the proposal; default is what the document's id tells")
	c.Flags().StringVarP(&message, "message", "m", "", "why, for the history")
	return c
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
			return nil, fmt.Errorf("%s: there is no such file; give the path of a proposal's JSON, or - for standard input", path)
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("%s cannot be read by this user; give it the right to, or pipe the document in and give -", path)
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
		return nil, fmt.Errorf("%s has more than %s; that is no proposal", path, size(maxFile))
	}
	return raw, nil
}

func (a *app) proposalDiff(ctx context.Context, c *client.Client, args []string) error {
	k, from, to := key(args), 0, 0
	var err error
	for i, into := range []*int{&from, &to} {
		if len(args) > 2+i {
			if *into, err = strconv.Atoi(args[2+i]); err != nil || *into < 1 {
				return fmt.Errorf("%q is no revision; give its number", args[2+i])
			}
		}
	}
	var d *client.Diff
	if len(args) <= 2 {
		d, err = c.DiffTemplate(ctx, k, 0)
	} else {
		d, err = c.Diff(ctx, k, from, to)
	}
	if err != nil {
		return err
	}
	switch {
	case a.output == "json":
		err = a.json(d)
	case d.Empty():
		lines(a.Stderr, "no changes")
	default:
		_, err = d.WriteTo(a.Stdout)
	}
	if err == nil && !d.Empty() {
		err = errChanges
	}
	return err
}

func (a *app) proposalCommitCommand() *cobra.Command {
	number, wait := 0, false
	c := &cobra.Command{
		Use:   "commit BARCLAMP [NAME]",
		Short: "put a proposal in force and apply it",
		Args:  arguments("BARCLAMP", "[NAME]"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			k := key(args)
			done, err := c.Commit(ctx, k, number)
			if err != nil {
				return err
			}
			if a.output == "json" && !wait {
				return a.json(done)
			}
			if a.output != "json" {
				text := fmt.Sprintf("%s: revision %d is in force; job %s", k, done.Status.Revision, done.Job.ID)
				if done.Job.Waiting != "" {
					text += " " + done.Job.Waiting
				}
				lines(a.Stdout, "%s", text)
			}
			if wait {
				return a.watchJob(ctx, c, done.Job.ID)
			}
			return nil
		}),
	}
	c.Flags().IntVarP(&number, "revision", "r", 0, "which one; 0 is the latest")
	c.Flags().BoolVarP(&wait, "wait", "w", false, "watch the job until it has ended")
	return c
}
