package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

func (a *app) proposalCommitCommand() *cobra.Command {
	number, wait := 0, false
	c := &cobra.Command{
		Use:   "commit BARCLAMP [NAME]",
		Short: "put a proposal in force and apply it",
		Long: "Put a revision in force. A job applies its roles to its nodes, wave by wave, and waits for nodes\n" +
			"that are not ready for it. What a commit would do: plan.\n" +
			"Exit status 0: it is in force, and with --wait applied; 1: something is wrong with the document, or\n" +
			"with --wait the job failed; 3: a rule refuses it; 4: a job that applies an earlier revision runs still.",
		Example: "  crowbar proposal commit nova --wait\n  crowbar proposal commit nova default -r 3",
		Args:    arguments("BARCLAMP", "[NAME]"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			k := key(args)
			done, err := c.Commit(ctx, k, number)
			if wrong := (*client.Error)(nil); errors.As(err, &wrong) && len(wrong.Problems) > 0 {
				said := *wrong
				said.Message += "; put it right: " + proposalVerb("edit", k) + " --raw"
				return &said
			}
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
	revisionFlag(c, &number)
	c.Flags().BoolVarP(&wait, "wait", "w", false, "watch the job until it has ended")
	return c
}
