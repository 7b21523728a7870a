package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/storage"
)

func (v *volumes) manageCommand() *cobra.Command {
	list := false
	c := &cobra.Command{
		Use: "manage NAME VOLUME", Short: "take over a volume that others made",
		Long: "Take over what the back end calls NAME as VOLUME; the back end renames it, and its data stays.\n" +
			"--list shows what could be taken over.",
		Example: "  crowbar volume manage --list\n" +
			"  crowbar volume manage legacy-data db-9",
		Args: func(cmd *cobra.Command, args []string) error {
			if list {
				return arguments()(cmd, args)
			}
			return arguments("NAME", "VOLUME")(cmd, args)
		},
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			if list {
				return v.manageable(ctx, b)
			}
			_, look := b.Get(ctx, args[1])
			volume, err := b.Manage(ctx, args[1], args[0])
			if err != nil {
				return err
			}
			if look == nil {
				lines(v.Stderr, "%s was there already, and nothing is called %s", args[1], args[0])
			}
			return v.volume(b, volume)
		}),
	}
	c.Flags().BoolVar(&list, "list", false, "list what is on the back end and is not managed")
	return c
}

func (v *volumes) manageable(ctx context.Context, b *storage.Backend) error {
	found, err := everyPage(func(after string) ([]storage.Manageable, error) { return b.Manageable(ctx, after, pageSize) },
		func(m storage.Manageable) string { return m.Name })
	if v.output == "json" {
		if found == nil {
			found = []storage.Manageable{}
		}
		return errors.Join(v.json(found), err)
	}
	t := newTable("NAME THERE", "SIZE", "NOT NOW BECAUSE")
	for _, m := range found {
		t.add(plain, m.Name, volumeSize(m.SizeBytes), orDash(m.Reason))
	}
	return errors.Join(v.print(v.Stdout, t), err)
}

func (v *volumes) unmanageCommand() *cobra.Command {
	return &cobra.Command{
		Use: "unmanage VOLUME", Short: "give a volume up, and leave it on the back end",
		Args: arguments("VOLUME"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			name, err := b.Unmanage(ctx, args[0])
			if err != nil {
				return err
			}
			if v.output == "json" {
				return v.json(struct {
					Backend string `json:"backend"`
					ID      string `json:"id"`
					Name    string `json:"name"`
				}{b.Name(), args[0], name})
			}
			lines(v.Stdout, "%s is given up; %s calls it %s", args[0], b.Name(), name)
			return nil
		}),
	}
}
