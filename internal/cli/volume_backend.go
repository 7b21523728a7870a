package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/storage"
)

func (v *volumes) backendListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the back ends of the configuration, without asking them",
		Args: arguments(), RunE: v.ask(v.backendList),
	}
}

func (v *volumes) backendStatsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "stats", Short: "show how much the back ends have and how much of it is taken",
		Long: "Show capacities as they are now. CAN PROMISE is by what Cinder weighs back ends: where volumes take\n" +
			"space only as they are written to, what new ones may still have by the over-subscription ratio, which\n" +
			"is more than is free. One of them can have at most what is free, times the ratio.",
		Args: arguments(), RunE: v.ask(v.backendStats),
	}
}

func (v *volumes) backendCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check", Short: "say whether the back ends can be reached and used; exit status 1 if not",
		Args: arguments(), RunE: v.ask(v.backendCheck),
	}
}

func (v *volumes) backendPurgeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "purge", Short: "remove deleted volumes for good whose time in the trash is over",
		Long: "Remove for good what was deleted, has been in the trash of its back end for its time\n" +
			"(deferred_deletion_delay_seconds), and is needed by no other volume. Programs that stay up do it by\n" +
			"themselves every purge_interval_seconds; where only this command is used, run it now and then.",
		Args: arguments(), RunE: v.ask(v.backendPurge),
	}
}

type backendInfo struct {
	Backend  string   `json:"backend"`
	Driver   string   `json:"driver"`
	Features []string `json:"features"` // interfaces of package storage
	Commands []string `json:"commands"` // that they make possible
	Problem  string   `json:"problem,omitempty"`
}

func (v *volumes) backendList(_ context.Context, m *storage.Manager, _ []string) error {
	found := []backendInfo{}
	for _, name := range v.chosen(m) {
		b, err := m.Backend(name)
		if err != nil {
			return err
		}
		info := backendInfo{Backend: name, Driver: v.driver(name), Features: b.Features(), Commands: commandsOf(b.Features())}
		if info.Features == nil {
			info.Features = []string{}
		}
		if err := v.broken[name]; err != nil {
			info.Problem = bare(err)
		}
		found = append(found, info)
	}
	if v.output == "json" {
		return v.json(found)
	}
	t := newTable("BACKEND", "DRIVER", "CAN ALSO")
	for _, f := range found {
		s, can := plain, strings.Join(f.Commands, ", ")
		if f.Problem != "" {
			s, can = red, f.Problem
		}
		t.add(s, f.Backend, f.Driver, orDash(can))
	}
	return v.print(v.Stdout, t)
}

// commandsOf are the commands that the optional interfaces of package storage make possible.
func commandsOf(features []string) []string {
	commands := map[string]string{
		"Lister": "list", "Extender": "extend", "Snapshotter": "snapshot", "Cloner": "clone",
		"Reverter": "snapshot revert", "Adopter": "manage", "ImageStreamer": "import, export", "ImageCloner": "create --image",
		"TrashPurger": "backend purge", "Limiter": "qos",
	}
	can := []string{}
	for _, f := range features {
		if command := commands[f]; command != "" {
			can = append(can, command)
		}
	}
	slices.Sort(can)
	return can
}

// driver is the driver of a back end.
func (v *volumes) driver(backend string) string {
	for _, b := range v.config.Volumes {
		if b.Name == backend {
			return b.Driver
		}
	}
	return ""
}

// each asks the chosen back ends at once, and returns every problem in their order.
func (v *volumes) each(m *storage.Manager, do func(i int, b *storage.Backend) error) error {
	names := v.chosen(m)
	errs := make([]error, len(names))
	var wait sync.WaitGroup
	for i, name := range names {
		wait.Go(func() {
			b, err := m.Backend(name)
			if err == nil {
				err = do(i, b)
			}
			errs[i] = err
		})
	}
	wait.Wait()
	var problems *multierror.Error
	for _, err := range errs {
		if err != nil {
			problems = multierror.Append(problems, err)
		}
	}
	return problems.ErrorOrNil()
}

type backendStats struct {
	Backend string `json:"backend"`
	*storage.Stats
	VirtualFreeBytes int64 `json:"virtual_free_bytes"`
}

func (v *volumes) backendStats(ctx context.Context, m *storage.Manager, _ []string) error {
	got := make([]*backendStats, len(v.chosen(m)))
	problems := v.each(m, func(i int, b *storage.Backend) error {
		stats, err := b.Stats(ctx)
		if err == nil {
			got[i] = &backendStats{b.Name(), stats, stats.VirtualFreeBytes()}
		}
		return err
	})
	found := []*backendStats{}
	for _, s := range got {
		if s != nil {
			found = append(found, s)
		}
	}
	if v.output == "json" {
		return errors.Join(v.json(found), problems)
	}
	t := newTable("BACKEND", "PROTOCOL", "VOLUMES", "TOTAL", "FREE", "PROVISIONED", "CAN PROMISE")
	for _, s := range found {
		t.add(plain, s.Backend, s.Protocol, fmt.Sprint(s.Volumes), volumeSize(s.TotalBytes), volumeSize(s.FreeBytes),
			volumeSize(s.ProvisionedBytes), volumeSize(max(s.VirtualFreeBytes, 0)))
	}
	if len(found) == 0 {
		return problems
	}
	return errors.Join(v.print(v.Stdout, t), problems)
}

func (v *volumes) backendCheck(ctx context.Context, m *storage.Manager, _ []string) error {
	type checked struct {
		Backend string `json:"backend"`
		OK      bool   `json:"ok"`
		Problem string `json:"problem,omitempty"`
	}
	found := make([]checked, len(v.chosen(m)))
	problems := v.each(m, func(i int, b *storage.Backend) error {
		err := b.Check(ctx)
		found[i] = checked{Backend: b.Name(), OK: err == nil}
		if err != nil {
			found[i].Problem = v.explained(err).Error()
		}
		return err
	})
	if v.output == "json" {
		return errors.Join(v.json(found), problems)
	}
	for _, c := range found {
		if c.OK {
			lines(v.Stdout, "%s can be used", c.Backend)
		}
	}
	return problems
}

func (v *volumes) backendPurge(ctx context.Context, m *storage.Manager, _ []string) error {
	type purged struct {
		Backend string `json:"backend"`
		Removed int    `json:"removed"`
	}
	got := make([]*purged, len(v.chosen(m)))
	problems := v.each(m, func(i int, b *storage.Backend) error {
		if v.backend == "" && !slices.Contains(b.Features(), "TrashPurger") {
			return nil // it was not asked for
		}
		n, err := b.PurgeTrash(ctx)
		if err == nil || n > 0 {
			got[i] = &purged{b.Name(), n}
		}
		return err
	})
	found := slices.DeleteFunc(got, func(p *purged) bool { return p == nil })
	if v.output == "json" {
		return errors.Join(v.json(found), problems)
	}
	for _, p := range found {
		lines(v.Stdout, "%s: %s removed from the trash", p.Backend, wording.Count(p.Removed, "volume"))
	}
	if len(found) == 0 && problems == nil {
		lines(v.Stderr, "no back end of %s has a trash", v.path)
	}
	return problems
}
