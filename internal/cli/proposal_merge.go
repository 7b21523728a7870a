package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// merging is what proposal merge is told.
type merging struct {
	*app
	base               int
	ours, theirs, take []string // paths
	dryRun             bool
	message            string
}

func (a *app) proposalMergeCommand() *cobra.Command {
	m := &merging{app: a}
	c := &cobra.Command{
		Use:   "merge BARCLAMP [NAME] FROM",
		Short: "make changes to the newest revision that were made to an earlier one",
		Long: "FROM has the changes: a FILE (- is standard input), or a revision by number. --base is the revision\n" +
			"that it was made from; a revision's own is its parent, and a text that edit kept tells its own.\n" +
			"What changed from base to FROM is changed in the newest revision, too.\n\n" +
			"Where the newest revision changed the same otherwise there is a conflict: exit status 4, and nothing\n" +
			"is saved. Decide each by its path: --ours takes the value of the newest revision, --theirs that of\n" +
			"FROM, --take-base that of the base.",
		Example: "  crowbar proposal merge nova default nova.json --base 3\n" +
			"  crowbar proposal merge nova default nova.json --base 3 --theirs /attributes/nova/libvirt_type\n" +
			"  crowbar proposal merge nova default 5            # what revision 5 changed, again\n" +
			"  crowbar proposal merge nova default 3 --base 4   # undo what revision 4 changed",
		Args: arguments("BARCLAMP", "[NAME]", "FROM"),
		RunE: a.ask(m.run),
	}
	f := c.Flags()
	f.IntVar(&m.base, "base", 0, "revision that FROM was made from")
	f.StringArrayVar(&m.ours, "ours", nil, "path where the newest revision's value is taken; may be repeated")
	f.StringArrayVar(&m.theirs, "theirs", nil, "path where FROM's value is taken; may be repeated")
	f.StringArrayVar(&m.take, "take-base", nil, "path where the base's value is taken; may be repeated")
	f.BoolVar(&m.dryRun, "dry-run", false, "only say what would change")
	messageFlag(c, &m.message)
	return c
}

func (m *merging) run(ctx context.Context, c *client.Client, args []string) error {
	if m.base < 0 {
		return errors.New("--base is the number of a revision, from 1")
	}
	from, k := args[len(args)-1], key(args[:len(args)-1])
	request := client.Merge{Base: m.base, DryRun: m.dryRun, Message: m.message, Resolve: map[string]proposal.Side{}}
	for side, paths := range map[proposal.Side][]string{proposal.SideOurs: m.ours, proposal.SideTheirs: m.theirs, proposal.SideBase: m.take} {
		for _, path := range paths {
			pointer, err := pointerOf(k.Barclamp, path)
			if err != nil {
				return err
			}
			if other, twice := request.Resolve[pointer]; twice && other != side {
				return fmt.Errorf("%s is given for two sides; give it once", path)
			}
			request.Resolve[pointer] = side
		}
	}
	err := m.source(ctx, c, k, from, &request)
	if err != nil {
		return err
	}
	done, err := c.MergeProposal(ctx, k, request)
	if err != nil && len(request.Resolve) > 0 {
		err = noSuchConflict(ctx, c, k, request, err)
	}
	if conflicts(err) != nil {
		return undecided(k, from, request.Base, err)
	}
	if err != nil {
		return err
	}
	return m.tell(done)
}

// noSuchConflict says which paths to decide are of no conflict, and of which there are some; if
// none is, it is the error that there was.
func noSuchConflict(ctx context.Context, c *client.Client, k proposal.Key, r client.Merge, cause error) error {
	given := slices.Sorted(maps.Keys(r.Resolve))
	r.Resolve, r.DryRun = nil, true
	_, err := c.MergeProposal(ctx, k, r)
	if err != nil && conflicts(err) == nil {
		return cause
	}
	var paths []string
	for _, x := range conflicts(err) {
		paths = append(paths, x.Path)
	}
	given = slices.DeleteFunc(given, func(path string) bool { return slices.Contains(paths, path) })
	switch {
	case len(given) == 0:
		return cause
	case len(paths) == 0:
		return fmt.Errorf("not merged: there is no conflict at %s, nor anywhere else; merge without --ours, --theirs and --take-base", oneLine(strings.Join(given, ", ")))
	}
	return fmt.Errorf("not merged: there is no conflict at %s; conflicts are at: %s", oneLine(strings.Join(given, ", ")), oneLine(strings.Join(paths, ", ")))
}

// source finds what has the changes, and what they were made from.
func (m *merging) source(ctx context.Context, c *client.Client, k proposal.Key, from string, r *client.Merge) error {
	if n, isNumber := number(from); isNumber {
		if n == 0 {
			return errors.New("revisions are counted from 1")
		}
		r.Revision = n
		if r.Base > 0 {
			return nil
		}
		revision, err := c.Proposal(ctx, k, n)
		if err != nil {
			return err
		}
		if r.Base = revision.Parent; r.Base == 0 {
			return fmt.Errorf("%s revision %d was made from none; give --base", k, n)
		}
		return nil
	}
	raw, err := m.read(from)
	if err != nil {
		return err
	}
	if b, isBuffer := readBuffer(raw); isBuffer {
		if b.key != k {
			return fmt.Errorf("%s has an edit of %s, not of %s", from, b.key, k)
		}
		if r.Base == 0 {
			r.Base = b.base
		}
		base, _, err := c.Document(ctx, k, b.base)
		if err != nil {
			return err
		}
		d, err := b.apply(base, raw)
		if err != nil {
			return fmt.Errorf("%s: %w", from, err)
		}
		r.Document = d.Bytes()
		return nil
	}
	if _, err := proposal.Parse(raw); err != nil { // else it could not even be sent
		return fmt.Errorf("%s is no proposal: %w", from, err)
	}
	if r.Base == 0 {
		return fmt.Errorf("--base is missing: the revision that %s was made from; find it: %s", from, proposalVerb("history", k))
	}
	r.Document = raw
	return nil
}

func (m *merging) tell(done *client.Merged) error {
	if m.output == "json" {
		return m.json(done)
	}
	if done.Diff.Empty() {
		lines(m.Stdout, "nothing changes")
		return nil
	}
	if err := m.diff(m.Stdout, done.Diff); err != nil {
		return err
	}
	if done.Saved == nil {
		lines(m.Stderr, "nothing is saved: this was a dry run")
		return nil
	}
	return m.saved(done.Saved)
}

// undecided says the conflicts of a merge.
func undecided(k proposal.Key, from string, base int, err error) error {
	theirs := "the document in " + from
	if _, isNumber := number(from); isNumber {
		theirs = "revision " + from
	}
	text := fmt.Sprintf("not merged: %s and the newest revision of %s contradict each other:", from, k)
	for _, c := range conflicts(err) {
		text += "\n" + conflictText(c, theirs)
	}
	text += fmt.Sprintf("\ndecide each by its path with --ours, --theirs or --take-base: %s %s --base %d --theirs %s",
		proposalVerb("merge", k), shellWord(from), base, shellWord(conflicts(err)[0].Path))
	return &keptError{text: text, cause: err}
}
