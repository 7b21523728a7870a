package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// historyPage is how many revisions are asked for at once, and historyShown how many are shown
// to who does not say.
const (
	historyPage  = 100
	historyShown = 50
)

func (a *app) proposalHistoryCommand() *cobra.Command {
	limit, before := 0, 0
	c := &cobra.Command{
		Use:   "history BARCLAMP [NAME]",
		Short: "list revisions: who changed what, when and why",
		Long: "List revisions, newest first, each with what changed since the one before. Which one is in force,\n" +
			"and which was applied last, stands at the end of its line. Long texts are cut; -o json has all of them.",
		Example: "  crowbar proposal history nova\n" +
			"  crowbar proposal history nova default --limit 10 --before 40\n" +
			"  crowbar proposal history nova -o json",
		Args: arguments("BARCLAMP", "[NAME]"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			if limit < 0 || before < 0 {
				return errors.New("--limit and --before are not below 0")
			}
			return a.proposalHistory(ctx, c, key(args), before, limit)
		}),
	}
	c.Flags().IntVar(&limit, "limit", 0, fmt.Sprintf("at most so many (default %d, all with -o json)", historyShown))
	c.Flags().IntVar(&before, "before", 0, "only those before this revision")
	return c
}

func (a *app) proposalHistory(ctx context.Context, c *client.Client, k proposal.Key, before, limit int) error {
	if a.output == "json" {
		all, err := history(ctx, c, k, before, limit)
		if err != nil {
			return err
		}
		return a.json(all)
	}
	if limit == 0 {
		limit = historyShown
	}
	all, err := history(ctx, c, k, before, limit+1)
	if err != nil {
		return err
	}
	older := len(all) > limit
	if older {
		all = all[:limit]
	}
	t := newTable("REVISION", "WHEN", "WHO", "SUMMARY", "WHY", "")
	for _, e := range all {
		note := ""
		switch {
		case e.Status == "applied":
			note = "in force, applied"
		case e.Status != "" && e.Applied:
			note = "in force, " + e.Status + "; applied before"
		case e.Status != "":
			note = "in force, " + e.Status
		case e.Applied:
			note = "applied last"
		}
		t.add(proposalStyle(e.Status), strconv.Itoa(e.Number), e.Time.Format(timeLayout), e.Author, orDash(brief(e.Summary, longValue)), orDash(brief(e.Message, longValue)), note)
	}
	if err := a.print(a.Stdout, t); err != nil {
		return err
	}
	if older {
		lines(a.Stderr, "there are older ones: %s --before %d", proposalVerb("history", k), all[limit-1].Number)
	}
	return nil
}

// history collects pages up to a limit; 0 is all.
func history(ctx context.Context, c *client.Client, k proposal.Key, before, limit int) ([]client.HistoryEntry, error) {
	all := []client.HistoryEntry{}
	for limit == 0 || len(all) < limit {
		size := historyPage
		if limit > 0 {
			size = min(size, limit-len(all))
		}
		page, err := c.History(ctx, k, before, size)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) == 0 || page[len(page)-1].Number <= 1 {
			break
		}
		before = page[len(page)-1].Number
	}
	return all, nil
}

func (a *app) proposalRollbackCommand() *cobra.Command {
	message := ""
	c := &cobra.Command{
		Use:   "rollback BARCLAMP [NAME] N",
		Short: "save a new revision that equals an earlier one",
		Long: "Save a new revision that equals revision N, or applied, the one that was applied last. What comes\n" +
			"between stays in the history. Nothing is committed.",
		Example: "  crowbar proposal rollback nova 3\n" +
			"  crowbar proposal rollback nova default applied -m 'does not start'",
		Args: arguments("BARCLAMP", "[NAME]", "N"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			last := args[len(args)-1]
			n, isNumber := number(last)
			if last != client.Applied && (!isNumber || n < 1) {
				return fmt.Errorf("%q is no revision to go back to; give its number, or %s", last, client.Applied)
			}
			k := key(args[:len(args)-1])
			if last == client.Applied {
				r, err := c.Proposal(ctx, k, 0)
				if err != nil {
					return err
				}
				if n = r.Status.Applied; n == 0 {
					return fmt.Errorf("no revision of %s was ever applied; list them: %s", k, proposalVerb("history", k))
				}
			}
			done, err := c.RollbackProposal(ctx, k, n, message)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(done)
			}
			if done.Saved.Unchanged {
				return a.saved(done.Saved)
			}
			if err := a.diff(a.Stdout, done.Diff); err != nil {
				return err
			}
			lines(a.Stdout, "%s: revision %d is saved, it equals revision %d; commit it: %s", k, done.Saved.Number, n, proposalVerb("commit", k))
			return nil
		}),
	}
	messageFlag(c, &message)
	return c
}
