package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// defaultName is what most barclamps' only proposal is called.
const defaultName = "default"

func (a *app) proposalCommand() *cobra.Command {
	c := group("proposal", "decide which nodes do what, with which settings",
		a.proposalListCommand(),
		a.proposalShowCommand(),
		a.proposalCreateCommand(),
		a.proposalEditCommand(),
		a.proposalSetCommand(),
		a.proposalValidateCommand(),
		a.proposalDiffCommand(),
		a.proposalHistoryCommand(),
		a.proposalRollbackCommand(),
		a.proposalMergeCommand(),
		a.proposalPlanCommand(),
		a.proposalCommitCommand(),
		a.proposalImportCommand(),
		a.proposalExportCommand(),
	)
	c.Long = "A proposal says which nodes take which roles of a barclamp, and with which attributes.\n" +
		"Each save is a revision, and none is ever lost; commit puts one in force.\n\n" +
		"NAME is " + defaultName + " where it is left out. BARCLAMP NAME may be written BARCLAMP/NAME.\n" +
		"With -o json a failure tells its problems and conflicts as JSON, too."
	c.Example = "  crowbar proposal create nova\n" +
		"  crowbar proposal edit nova\n" +
		"  crowbar proposal diff nova\n" +
		"  crowbar proposal plan nova\n" +
		"  crowbar proposal commit nova --wait"
	for _, verb := range c.Commands() {
		if strings.Contains(verb.Use, "BARCLAMP [NAME]") || strings.Contains(verb.Use, "BARCLAMP [NAME [") {
			eitherWay(verb)
		}
	}
	return c
}

// eitherWay lets a command that takes BARCLAMP [NAME] take BARCLAMP/NAME, too.
func eitherWay(c *cobra.Command) {
	check, run := c.Args, c.RunE
	c.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return err
		}
		args, err := separated(args)
		if err != nil {
			return err
		}
		return check(cmd, args)
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		args, err := separated(args)
		if err != nil {
			return err
		}
		return run(cmd, args)
	}
}

// separated makes two arguments of BARCLAMP/NAME.
func separated(args []string) ([]string, error) {
	if len(args) == 0 || !strings.Contains(args[0], "/") || strings.Contains(args[0], "=") {
		return args, nil
	}
	k, err := proposal.ParseKey(args[0])
	if err != nil {
		return nil, fmt.Errorf("%q is no BARCLAMP/NAME: %w", args[0], err)
	}
	return append([]string{k.Barclamp, k.Name}, args[1:]...), nil
}

// key reads BARCLAMP [NAME].
func key(args []string) proposal.Key {
	k := proposal.Key{Barclamp: args[0], Name: defaultName}
	if len(args) > 1 {
		k.Name = args[1]
	}
	return k
}

// proposalVerb is how a verb is called for a proposal.
func proposalVerb(verb string, k proposal.Key) string {
	return "crowbar proposal " + verb + " " + k.Barclamp + " " + k.Name
}

// revisionFlag is -r.
func revisionFlag(c *cobra.Command, number *int) {
	c.Flags().IntVarP(number, "revision", "r", 0, "which one; 0 is the latest")
}

// messageFlag is -m.
func messageFlag(c *cobra.Command, message *string) {
	c.Flags().StringVarP(message, "message", "m", "", "why, for the history")
}

func (a *app) proposalListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list [BARCLAMP]", Short: "list proposals",
		Long:    "List the proposals of all barclamps, or of one: the newest revision, the one in force (OF) and\nwhat became of it, and the one applied last.",
		Example: "  crowbar proposal list\n  crowbar proposal list nova -o json",
		Args:    arguments("[BARCLAMP]"), RunE: a.ask(a.proposalList),
	}
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
		t.add(proposalStyle(p.Status.Status), p.Barclamp, p.Name, strconv.Itoa(p.Latest), p.Status.Status,
			revisionOrDash(p.Status.Revision), revisionOrDash(p.Status.Applied), strings.Join(notes, "; "))
	}
	return a.print(a.Stdout, t)
}

func proposalStyle(status string) style {
	switch status {
	case "applied":
		return green
	case "failed":
		return red
	}
	return plain
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
		Long: "Print the document of a revision, indented, every value as it was saved. With -o json also who\n" +
			"saved it, when and why, and what became of it. The text exactly as it was saved: export.",
		Example: "  crowbar proposal show nova\n  crowbar proposal show nova default -r 3",
		Args:    arguments("BARCLAMP", "[NAME]"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			r, err := c.Proposal(ctx, key(args), number)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(r)
			}
			if a.IsTerminal(a.Stdout) {
				lines(a.Stderr, "%s/%s revision %d by %s at %s, %s", r.Barclamp, r.Name, r.Number, r.Author, r.Time.Format(timeLayout), r.Status.Status)
			}
			a.tellHidden(r.Document)
			return a.document(r.Document)
		}),
	}
	revisionFlag(c, &number)
	return c
}

// timeLayout is how times are printed where the day matters.
const timeLayout = "2006-01-02 15:04:05"

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

// hiddenSecret is how the text begins that stands for a secret.
const hiddenSecret = `"(secret /`

// tellHidden says that a document is shown without its secrets, if so.
func (a *app) tellHidden(document []byte) {
	if n := bytes.Count(document, []byte(hiddenSecret)); n > 0 {
		lines(a.Stderr, "%s hidden, each by a text that names it; to save the document with such texts leaves the secrets as they are", count(n, "secret is", "secrets are"))
	}
}

// count is a number of things with its verb: "1 secret is", "2 secrets are".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
