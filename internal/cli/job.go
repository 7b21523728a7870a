package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

func (a *app) jobCommand() *cobra.Command {
	return group("job", "look at the work of the engine",
		&cobra.Command{Use: "list", Short: "list jobs, oldest first", Args: arguments(), RunE: a.ask(a.jobList)},
		&cobra.Command{Use: "show JOB", Short: "show a job with its steps", Args: arguments("JOB"), RunE: a.ask(a.jobShow)},
		&cobra.Command{
			Use: "watch JOB", Short: "show what a job does until it has ended; exit status 1 if it fails",
			Args: arguments("JOB"),
			RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error { return a.watchJob(ctx, c, args[0]) }),
		},
	)
}

func (a *app) jobList(ctx context.Context, c *client.Client, _ []string) error {
	jobs, err := c.Jobs(ctx)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(jobs)
	}
	t := newTable("JOB", "STATUS", "TOOK", "TITLE", "")
	for _, j := range jobs {
		t.add(jobStyle(j.Status), j.ID, j.Status, orDash(took(j.Started, j.Finished)), j.Title, about(&j))
	}
	return a.print(a.Stdout, t)
}

func jobStyle(status string) style {
	switch status {
	case client.JobFailed:
		return red
	case client.JobDone:
		return green
	}
	return plain
}

func took(started, finished time.Time) string {
	if started.IsZero() || finished.IsZero() {
		return ""
	}
	return period(finished.Sub(started))
}

// about is what is to be known of a job beyond its status.
func about(j *client.Job) string {
	if j.Reason != "" {
		return j.Reason
	}
	return j.Waiting
}

func (a *app) jobShow(ctx context.Context, c *client.Client, args []string) error {
	j, err := c.Job(ctx, args[0])
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(j)
	}
	return a.printJob(j)
}

func (a *app) printJob(j *client.Job) error {
	head := fmt.Sprintf("job %s: %s: %s", j.ID, j.Title, j.Status)
	if t := took(j.Started, j.Finished); t != "" {
		head += " in " + t
	}
	if text := about(j); text != "" {
		head += ": " + text
	}
	lines(a.Stdout, "%s", head)
	if len(j.Steps) > 0 {
		t := newTable("NODE", "STEP", "STATUS", "TOOK", "")
		for _, s := range j.Steps {
			t.add(jobStyle(s.Status), orDash(s.Node), s.Title, s.Status, orDash(took(s.Started, s.Finished)), s.Detail)
		}
		if err := a.print(a.Stdout, t); err != nil {
			return err
		}
	}
	for _, node := range slices.Sorted(maps.Keys(j.Failures)) {
		lines(a.Stdout, "left behind: %s: %s", node, j.Failures[node])
	}
	return nil
}

// watchJob tells each change once, and fails if the job did.
func (a *app) watchJob(ctx context.Context, c *client.Client, id string) error {
	told := map[string]bool{}
	say := func(format string, values ...any) {
		text := fmt.Sprintf(format, values...)
		if a.output != "json" && !told[text] {
			told[text] = true
			lines(a.Stdout, "%s", text)
		}
	}
	j, err := c.WatchJob(ctx, id, func(j *client.Job) error {
		switch {
		case j.Status == client.JobQueued:
			text := fmt.Sprintf("job %s: %s: queued", j.ID, j.Title)
			if j.Waiting != "" {
				text += "; " + j.Waiting
			}
			say("%s", text)
		case j.Status == client.JobRunning:
			say("job %s: %s: running", j.ID, j.Title)
		}
		for _, s := range j.Steps {
			text := s.Title + ": " + s.Status
			if s.Node != "" {
				text = s.Node + ": " + text
			}
			if s.Detail != "" {
				text += ": " + s.Detail
			}
			say("%s", text)
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case a.output == "json":
		err = a.json(j)
	default:
		text := fmt.Sprintf("job %s: %s: %s", j.ID, j.Title, j.Status)
		if t := took(j.Started, j.Finished); t != "" {
			text += " in " + t
		}
		lines(a.Stdout, "%s", text)
		for _, node := range slices.Sorted(maps.Keys(j.Failures)) {
			lines(a.Stdout, "left behind: %s: %s", node, j.Failures[node])
		}
	}
	if err == nil && j.Status == client.JobFailed {
		err = fmt.Errorf("job %s failed: %s", j.ID, j.Reason)
	}
	return err
}
