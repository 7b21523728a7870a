package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/storage"
)

// A shownVolume is a volume with the back end that has it.
type shownVolume struct {
	Backend string `json:"backend"`
	storage.Volume
}

// volume prints one that was made or looked up.
func (v *volumes) volume(b *storage.Backend, volume *storage.Volume) error {
	if v.output == "json" {
		return v.json(shownVolume{b.Name(), *volume})
	}
	return v.printVolumes([]shownVolume{{b.Name(), *volume}})
}

func (v *volumes) printVolumes(all []shownVolume) error {
	t := newTable("VOLUME", "SIZE", "BACKEND", "NAME THERE")
	for _, s := range all {
		t.add(plain, s.ID, volumeSize(s.SizeBytes), s.Backend, s.Name)
	}
	return v.print(v.Stdout, t)
}

// rounded tells that a volume is not as big as was asked for.
func (v *volumes) rounded(b *storage.Backend, asked sizeFlag, volume *storage.Volume) {
	if asked != 0 && volume.SizeBytes != int64(asked) {
		lines(v.Stderr, "%s rounds sizes: %s were asked for, %s has %s", b.Name(), exactSize(int64(asked)), volume.ID, exactSize(volume.SizeBytes))
	}
}

func (v *volumes) createCommand() *cobra.Command {
	var size sizeFlag
	var from, image string
	c := &cobra.Command{
		Use: "create VOLUME", Short: "make a volume, empty, from a snapshot or from an image",
		Long: "Make a volume. If there is one of this ID and size already, it is returned.\n\n" +
			"Without --backend it is made where most space is left, as Cinder's scheduler chooses; the choice is\n" +
			"said on standard error. A back end that has a volume of this ID already is that choice.\n\n" +
			"--image stands the volume, copy-on-write, on an image that its back end has: LOCATION is the image's\n" +
			"direct_url in Glance, rbd://FSID/POOL/IMAGE/SNAPSHOT on Ceph. An image that is elsewhere is imported.\n\n" + sizesMean,
		Example: "  crowbar volume create db-1 --size 10G\n" +
			"  crowbar volume create db-2 --from-snapshot db-1@nightly\n" +
			"  crowbar volume create boot-1 --size 20G --image rbd://FSID/images/4711/snap",
		Args: arguments("VOLUME"),
		RunE: v.ask(func(ctx context.Context, m *storage.Manager, args []string) error {
			spec := storage.VolumeSpec{ID: args[0], SizeBytes: int64(size)}
			switch {
			case from != "" && image != "":
				return errors.New("give --from-snapshot or --image, not both")
			case from != "":
				return v.createFrom(ctx, m, spec, from)
			case image != "":
				return v.createOn(m, spec, func(b *storage.Backend) (*storage.Volume, error) {
					return b.CreateFromImage(ctx, spec, image)
				})
			case size == 0:
				return errors.New("how big? Give --size, such as --size 10G, --from-snapshot or --image")
			}
			b, err := v.place(ctx, m, spec)
			if err != nil {
				return err
			}
			volume, err := b.Create(ctx, spec)
			if err != nil {
				return err
			}
			v.rounded(b, size, volume)
			return v.volume(b, volume)
		}),
	}
	c.Flags().Var(&size, "size", "size of the volume")
	c.Flags().StringVar(&from, "from-snapshot", "", "VOLUME@SNAPSHOT whose contents it gets; --size may be left out then")
	c.Flags().StringVar(&image, "image", "", "LOCATION of an image that it stands on; --size may be left out then")
	return c
}

func (v *volumes) createFrom(ctx context.Context, m *storage.Manager, spec storage.VolumeSpec, from string) error {
	source, snapshot, err := snapshotID(from)
	if err != nil {
		return err
	}
	return v.createOn(m, spec, func(b *storage.Backend) (*storage.Volume, error) {
		return b.CreateFromSnapshot(ctx, spec, source, snapshot)
	})
}

// createOn makes a volume on the one back end that has what it is made from.
func (v *volumes) createOn(m *storage.Manager, spec storage.VolumeSpec, create func(*storage.Backend) (*storage.Volume, error)) error {
	b, err := v.only(m)
	if err != nil {
		return err
	}
	volume, err := create(b)
	if err != nil {
		return err
	}
	v.rounded(b, sizeFlag(spec.SizeBytes), volume)
	return v.volume(b, volume)
}

// place is the back end for a new volume. To repeat a creation must not make a second volume
// elsewhere, because the first one has changed what is free: who has one of this ID is chosen,
// and it must be known that nobody else has.
func (v *volumes) place(ctx context.Context, m *storage.Manager, spec storage.VolumeSpec) (*storage.Backend, error) {
	names := v.chosen(m)
	if len(names) == 1 {
		return m.Backend(names[0])
	}
	if err := storage.CheckID(spec.ID); err != nil {
		return nil, &volumeError{bare(err), err}
	}
	there := make([]bool, len(names))
	got := make([]*storage.Stats, len(names))
	err := v.each(m, func(i int, b *storage.Backend) error {
		_, err := b.Get(ctx, spec.ID)
		if there[i] = err == nil; there[i] {
			return nil
		}
		if errors.Is(err, storage.ErrNotFound) {
			got[i], err = b.Stats(ctx)
		}
		return err
	})
	if err != nil {
		lines(v.Stderr, "%s may be on a back end that cannot be asked; choose one with --backend", spec.ID)
		return nil, err
	}
	stats := map[string]*storage.Stats{}
	for i, name := range names {
		if there[i] {
			lines(v.Stderr, "%s is on %s", spec.ID, name)
			return m.Backend(name)
		}
		stats[name] = got[i]
	}
	name, err := storage.Pick(stats, spec.SizeBytes)
	if err != nil {
		return nil, &volumeError{bare(err) + "; see crowbar volume backend stats", err}
	}
	lines(v.Stderr, "%s has the most space: %s", name, volumeSize(stats[name].VirtualFreeBytes()))
	return m.Backend(name)
}

func (v *volumes) listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the volumes of a back end, or of all",
		Long: "List the volumes whose names have the form that this configuration gives them. What else is on a\n" +
			"back end is listed by crowbar volume manage --list.",
		Args: arguments(), RunE: v.ask(v.list),
	}
}

func (v *volumes) list(ctx context.Context, m *storage.Manager, _ []string) error {
	got := make([][]storage.Volume, len(v.chosen(m)))
	problems := v.each(m, func(i int, b *storage.Backend) error {
		all, err := everyPage(func(after string) ([]storage.Volume, error) { return b.List(ctx, after, pageSize) },
			func(v storage.Volume) string { return v.ID })
		got[i] = all
		return err
	})
	found := []shownVolume{}
	for i, name := range v.chosen(m) {
		for _, volume := range got[i] {
			found = append(found, shownVolume{name, volume})
		}
	}
	if v.output == "json" {
		return errors.Join(v.json(found), problems)
	}
	if len(found) == 0 && problems != nil {
		return problems
	}
	return errors.Join(v.printVolumes(found), problems)
}

// pageSize is the most that a back end lists at once.
const pageSize = 1000

// everyPage lists all there is; what was got before an error is returned with it.
func everyPage[T any](list func(after string) ([]T, error), key func(T) string) (all []T, err error) {
	for after := ""; ; after = key(all[len(all)-1]) {
		page, err := list(after)
		all = append(all, page...)
		if err != nil || len(page) < pageSize {
			return all, err
		}
	}
}

func (v *volumes) showCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show VOLUME", Short: "show a volume as the back end has it", Args: arguments("VOLUME"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			volume, err := b.Get(ctx, args[0])
			if err != nil {
				return err
			}
			return v.volume(b, volume)
		}),
	}
}

func (v *volumes) extendCommand() *cobra.Command {
	return &cobra.Command{
		Use: "extend VOLUME SIZE", Short: "make a volume bigger",
		Long:    "Make a volume at least as big as SIZE, data and snapshots untouched. It is never made smaller.\n\n" + sizesMean,
		Example: "  crowbar volume extend db-1 20G",
		Args:    arguments("VOLUME", "SIZE"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			var size sizeFlag
			if err := size.Set(args[1]); err != nil {
				return fmt.Errorf("size %q: %w", args[1], err)
			}
			volume, err := b.Extend(ctx, args[0], int64(size))
			if err != nil {
				return err
			}
			v.rounded(b, size, volume)
			return v.volume(b, volume)
		}),
	}
}

func (v *volumes) cloneCommand() *cobra.Command {
	var size sizeFlag
	c := &cobra.Command{
		Use: "clone SOURCE VOLUME", Short: "copy a volume inside its back end",
		Example: "  crowbar volume clone db-1 db-1-test",
		Args:    arguments("SOURCE", "VOLUME"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			volume, err := b.Clone(ctx, storage.VolumeSpec{ID: args[1], SizeBytes: int64(size)}, args[0])
			if err != nil {
				return err
			}
			v.rounded(b, size, volume)
			return v.volume(b, volume)
		}),
	}
	c.Flags().Var(&size, "size", "size of the copy (default the source's)")
	return c
}

func (v *volumes) deleteCommand() *cobra.Command {
	yes := false
	c := &cobra.Command{
		Use: "delete VOLUME", Short: "destroy a volume and its data",
		Long: "Destroy a volume and its data. It is refused while the volume has snapshots or is attached.\n" +
			"On a terminal you are asked, unless you give --yes.",
		Args: arguments("VOLUME"),
		RunE: v.askOne(func(ctx context.Context, b *storage.Backend, args []string) error {
			volume, err := b.Get(ctx, args[0])
			if err != nil {
				return err
			}
			err = v.sure(ctx, yes, "not deleted: "+args[0]+" keeps its data",
				fmt.Sprintf("Destroy %s, %s, on %s, and its data?", args[0], volumeSize(volume.SizeBytes), b.Name()))
			if err != nil {
				return err
			}
			if err := b.Delete(ctx, args[0]); err != nil {
				return err
			}
			return v.done(b, args[0], "deleted", args[0]+" is deleted from "+b.Name())
		}),
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// snapshotID reads VOLUME@SNAPSHOT.
func snapshotID(text string) (volume, snapshot string, err error) {
	volume, snapshot, ok := strings.Cut(text, "@")
	if !ok || volume == "" || snapshot == "" {
		return "", "", fmt.Errorf("%q: expected VOLUME@SNAPSHOT, such as db-1@nightly", text)
	}
	return volume, snapshot, nil
}

// sure asks on a terminal before data is lost. Elsewhere the request is enough: volumes are
// deleted on request, without a grant.
func (v *volumes) sure(ctx context.Context, yes bool, refused, question string) error {
	asks := v.IsTerminal(v.Stdin) && v.IsTerminal(v.Stderr)
	return v.agree(ctx, yes || !asks, refused, "", question)
}
