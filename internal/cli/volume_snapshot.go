package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/storage"
)

// askSnapshot is the body of a command about VOLUME@SNAPSHOT.
func (v *volumes) askSnapshot(do func(ctx context.Context, b *storage.Backend, volume, snapshot string) error) func(*cobra.Command, []string) error {
	return v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
		volume, snapshot, err := snapshotID(args[0])
		if err != nil {
			return err
		}
		return do(ctx, b, volume, snapshot)
	})
}

func (v *volumes) snapshotCreateCommand() *cobra.Command {
	return &cobra.Command{
		Use: "create VOLUME@SNAPSHOT", Short: "keep the present state of a volume",
		Long:    "Keep the present state of a volume. If there is a snapshot of this ID already, it is returned.",
		Example: "  crowbar volume snapshot create db-1@nightly",
		Args:    arguments("VOLUME@SNAPSHOT"),
		RunE: v.askSnapshot(func(ctx context.Context, b *storage.Backend, volume, snapshot string) error {
			s, err := b.CreateSnapshot(ctx, volume, snapshot)
			if err != nil {
				return err
			}
			return v.snapshot(b, s)
		}),
	}
}

func (v *volumes) snapshotShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show VOLUME@SNAPSHOT", Short: "show a snapshot", Args: arguments("VOLUME@SNAPSHOT"),
		RunE: v.askSnapshot(func(ctx context.Context, b *storage.Backend, volume, snapshot string) error {
			s, err := b.GetSnapshot(ctx, volume, snapshot)
			if err != nil {
				return err
			}
			return v.snapshot(b, s)
		}),
	}
}

func (v *volumes) snapshotListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list VOLUME", Short: "list the snapshots of a volume", Args: arguments("VOLUME"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			all, err := everyPage(func(after string) ([]storage.Snapshot, error) {
				return b.ListSnapshots(ctx, args[0], after, pageSize)
			}, func(s storage.Snapshot) string { return s.ID })
			if err != nil {
				return err
			}
			if v.output == "json" {
				shown := make([]shownSnapshot, len(all))
				for i := range all {
					shown[i] = shownSnapshot{b.Name(), &all[i]}
				}
				return v.json(shown)
			}
			t := newTable("SNAPSHOT", "SIZE", "BACKEND")
			for _, s := range all {
				t.add(plain, s.VolumeID+"@"+s.ID, volumeSize(s.SizeBytes), b.Name())
			}
			return v.print(v.Stdout, t)
		}),
	}
}

// A shownSnapshot says on which back end it is.
type shownSnapshot struct {
	Backend string `json:"backend"`
	*storage.Snapshot
}

func (v *volumes) snapshot(b *storage.Backend, s *storage.Snapshot) error {
	if v.output == "json" {
		return v.json(shownSnapshot{b.Name(), s})
	}
	t := newTable("SNAPSHOT", "SIZE", "BACKEND")
	t.add(plain, s.VolumeID+"@"+s.ID, volumeSize(s.SizeBytes), b.Name())
	return v.print(v.Stdout, t)
}

func (v *volumes) snapshotDeleteCommand() *cobra.Command {
	return v.losing("delete", "destroy a snapshot", "not deleted: what the snapshot keeps would be lost", "Destroy the snapshot",
		func(ctx context.Context, b *storage.Backend, volume, snapshot string) error {
			if err := b.DeleteSnapshot(ctx, volume, snapshot); err != nil {
				return err
			}
			return v.done(b, volume+"@"+snapshot, "deleted", volume+"@"+snapshot+" is deleted from "+b.Name())
		})
}

func (v *volumes) revertCommand() *cobra.Command {
	return v.losing("revert", "give a volume the contents of its snapshot", "not reverted: what was written since would be lost",
		"Lose what was written since",
		func(ctx context.Context, b *storage.Backend, volume, snapshot string) error {
			if err := b.Revert(ctx, volume, snapshot); err != nil {
				return err
			}
			return v.done(b, volume+"@"+snapshot, "reverted", volume+" on "+b.Name()+" is as it was at "+snapshot)
		})
}

// losing is a command that destroys something, for which it wants a yes.
func (v *volumes) losing(use, short, refused, question string,
	do func(ctx context.Context, b *storage.Backend, volume, snapshot string) error,
) *cobra.Command {
	yes := false
	c := &cobra.Command{
		Use: use + " VOLUME@SNAPSHOT", Short: short, Args: arguments("VOLUME@SNAPSHOT"),
		RunE: v.askSnapshot(func(ctx context.Context, b *storage.Backend, volume, snapshot string) error {
			if _, err := b.GetSnapshot(ctx, volume, snapshot); err != nil {
				return err
			}
			if err := v.sure(ctx, yes, refused, question+": "+volume+"@"+snapshot+" on "+b.Name()+"?"); err != nil {
				return err
			}
			return do(ctx, b, volume, snapshot)
		}),
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}
