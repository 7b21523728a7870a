package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

func (a *app) eventCommand() *cobra.Command {
	var listAfter, watchAfter int64
	limit := 0
	list := &cobra.Command{
		Use: "list", Short: "list what happened, oldest first", Args: arguments(),
		RunE: a.ask(func(ctx context.Context, c *client.Client, _ []string) error {
			return a.eventList(ctx, c, listAfter, limit)
		}),
	}
	list.Flags().Int64Var(&listAfter, "after", 0, "only events after this number")
	list.Flags().IntVar(&limit, "limit", 0, "at most so many; 0 is all")
	watch := &cobra.Command{
		Use: "watch", Short: "show what happens, until interrupted", Args: arguments(),
		RunE: a.ask(func(ctx context.Context, c *client.Client, _ []string) error {
			return a.eventWatch(ctx, c, watchAfter)
		}),
	}
	watch.Flags().Int64Var(&watchAfter, "after", -1, "also those after this number; 0 is all (default only new ones)")
	watch.Flags().Lookup("after").DefValue = "0" // keeps pflag from saying -1
	return group("event", "look at what happened", list, watch)
}

func (a *app) eventList(ctx context.Context, c *client.Client, after int64, limit int) error {
	if after < 0 || limit < 0 {
		return errors.New("--after and --limit are not below 0")
	}
	all := []client.Event{}
	for limit == 0 || len(all) < limit {
		page, err := c.Events(ctx, after, max(limit-len(all), 0))
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		all = append(all, page...)
		after = page[len(page)-1].Sequence
	}
	if a.output == "json" {
		return a.json(all)
	}
	t := newTable("NUMBER", "TIME", "ACTOR", "EVENT", "WHAT")
	for _, ev := range all {
		t.add(plain, fmt.Sprint(ev.Sequence), ev.Time.Format("15:04:05"), ev.Actor, ev.Kind, ev.Message)
	}
	return a.print(a.Stdout, t)
}

// eventWatch ends well when it is interrupted: a stream without end has no other end.
func (a *app) eventWatch(ctx context.Context, c *client.Client, after int64) error {
	if after < 0 {
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		after = s.LastEvent
	}
	err := c.WatchEvents(ctx, after, func(ev client.Event) error {
		if a.output == "json" {
			e := json.NewEncoder(a.Stdout) // one line each
			e.SetEscapeHTML(false)
			return e.Encode(ev)
		}
		_, err := fmt.Fprintf(a.Stdout, "%s %s: %s\n", ev.Time.Format("15:04:05"), ev.Kind, ev.Message)
		return err
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
