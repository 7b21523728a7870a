package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

func (a *app) barclampCommand() *cobra.Command {
	return group("barclamp", "look at the modules of the server",
		&cobra.Command{Use: "list", Short: "list barclamps in the order in which they act", Args: arguments(), RunE: a.ask(a.barclampList)},
		&cobra.Command{
			Use: "show BARCLAMP", Short: "show a barclamp with its roles; -o json has template and schema, too",
			Args: arguments("BARCLAMP"), RunE: a.ask(a.barclampShow),
		},
		&cobra.Command{
			Use: "schema BARCLAMP", Short: "print the JSON Schema of a barclamp's attributes",
			Args: arguments("BARCLAMP"), RunE: a.ask(a.barclampSchema),
		},
	)
}

func (a *app) barclampList(ctx context.Context, c *client.Client, _ []string) error {
	list, err := c.Barclamps(ctx)
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(list)
	}
	t := newTable("BARCLAMP", "ORDER", "PROPOSALS", "DESCRIPTION")
	for _, b := range list {
		t.add(plain, b.Name, fmt.Sprint(b.RunOrder), orDash(strings.Join(b.Proposals, ",")), b.Description)
	}
	return a.print(a.Stdout, t)
}

func (a *app) barclampShow(ctx context.Context, c *client.Client, args []string) error {
	b, err := c.Barclamp(ctx, args[0])
	if err != nil {
		return err
	}
	if a.output == "json" {
		return a.json(b)
	}
	lines(a.Stdout, "%s: %s", strings.TrimSpace(b.Name+" "+b.Version), b.Description)
	if len(b.Requires) > 0 {
		lines(a.Stdout, "reads proposals of: %s", strings.Join(b.Requires, ", "))
	}
	if len(b.Proposals) > 0 {
		lines(a.Stdout, "proposals: %s", strings.Join(b.Proposals, ", "))
	}
	t := newTable("ROLE", "NODES")
	for _, r := range b.Roles {
		t.add(plain, r.Name, rules(r))
	}
	return a.print(a.Stdout, t)
}

func (a *app) barclampSchema(ctx context.Context, c *client.Client, args []string) error {
	b, err := c.Barclamp(ctx, args[0])
	if err != nil {
		return err
	}
	if len(b.Schema) == 0 {
		return fmt.Errorf("barclamp %s has no schema: its attributes may be anything", b.Name)
	}
	return a.document(b.Schema)
}

// rules says which nodes a role may have.
func rules(r client.Role) string {
	var texts []string
	switch {
	case r.Minimum > 0 && r.Minimum == r.Count:
		texts = append(texts, fmt.Sprintf("exactly %d", r.Count))
	case r.Minimum > 0 && r.Count > 0:
		texts = append(texts, fmt.Sprintf("%d to %d", r.Minimum, r.Count))
	case r.Minimum > 0:
		texts = append(texts, fmt.Sprintf("at least %d", r.Minimum))
	case r.Count > 0:
		texts = append(texts, fmt.Sprintf("at most %d", r.Count))
	default:
		texts = append(texts, "any number")
	}
	if r.Odd {
		texts = append(texts, "an odd number")
	}
	if r.Unique {
		texts = append(texts, "in no other role of the proposal")
	}
	if len(r.ConflictsWith) > 0 {
		texts = append(texts, "not in "+strings.Join(r.ConflictsWith, ", "))
	}
	if r.Admin {
		texts = append(texts, "the admin node too")
	}
	return strings.Join(texts, "; ")
}
