package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
)

func (a *app) proposalValidateCommand() *cobra.Command {
	number, file := 0, ""
	c := &cobra.Command{
		Use:   "validate BARCLAMP [NAME] | validate --file FILE",
		Short: "tell everything that keeps a proposal from being committed",
		Long: "Check a revision, or a document that is not saved: each problem with its place, what was found, what\n" +
			"was expected and what to do. Exit status 1: there are problems.",
		Example: "  crowbar proposal validate nova\n" +
			"  crowbar proposal validate nova default -r 3 -o json\n" +
			"  crowbar proposal validate --file nova.json",
		Args: arguments("[BARCLAMP]", "[NAME]"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			switch {
			case file == "" && len(args) == 0:
				return errors.New("crowbar proposal validate: BARCLAMP is missing, or --file FILE; see crowbar proposal validate --help")
			case file != "" && len(args) > 0:
				return fmt.Errorf("give a proposal or --file %s, not both", file)
			case file != "" && number != 0:
				return fmt.Errorf("--revision is of a proposal, not of --file %s", file)
			case file != "":
				raw, err := a.read(file)
				if err != nil {
					return err
				}
				var syntax *proposal.SyntaxError
				if _, err := proposal.Parse(raw); errors.As(err, &syntax) {
					return a.noJSON(file, syntax)
				}
				problems, err := c.ValidateDocument(ctx, raw)
				if err != nil {
					return fmt.Errorf("%s: %w", file, err)
				}
				return a.problems(file, problems, "")
			}
			k := key(args)
			problems, err := c.ValidateProposal(ctx, k, number)
			if err != nil {
				return err
			}
			name := k.String()
			if number > 0 {
				name = fmt.Sprintf("%s revision %d", k, number)
			}
			return a.problems(name, problems, "; put it right: "+proposalVerb("edit", k)+" --raw")
		}),
	}
	revisionFlag(c, &number)
	c.Flags().StringVar(&file, "file", "", "check the document in this file; - is standard input")
	return c
}

// noJSON tells why a text is no document, in the words of import.
func (a *app) noJSON(of string, syntax *proposal.SyntaxError) error {
	place := fmt.Sprintf("line %d, column %d", syntax.Line, syntax.Column)
	if a.output == "json" {
		return a.problems(of, []proposal.Problem{{Found: strings.TrimPrefix(syntax.Reason, "found "), Expected: "strict JSON", Hint: place}}, "")
	}
	return fmt.Errorf("%s: not a proposal: %s: %s", of, place, syntax.Reason)
}

// problems prints them; if there are some, it fails with the remedy.
func (a *app) problems(of string, list []proposal.Problem, remedy string) error {
	if a.output == "json" {
		if list == nil {
			list = []proposal.Problem{}
		}
		if err := a.json(map[string]any{"problems": list}); err != nil {
			return err
		}
	} else {
		for _, p := range list {
			lines(a.Stdout, "%s", oneLine(p.String()))
		}
	}
	if len(list) > 0 {
		return fmt.Errorf("%s has %s%s", of, wording.Count(len(list), "problem"), remedy)
	}
	if a.output != "json" {
		lines(a.Stdout, "%s is valid", of)
	}
	return nil
}
