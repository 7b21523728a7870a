package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// latest is how a user names the newest revision.
const latest = "latest"

func (a *app) proposalDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff BARCLAMP [NAME [A [B]]]",
		Short: "show what differs between revisions",
		Long: "Compare two states of a proposal: revisions by number, applied (the one applied last), latest, or\n" +
			"template (what the barclamp starts from). B is the latest where it is left out; A is the applied one,\n" +
			"or the template if none was applied. -o json prints a JSON Patch (RFC 6902).\n" +
			"Crowbar's bookkeeping (crowbar-revision, crowbar-applied and the like) is not compared, and so is not\n" +
			"in the patch. A long value is cut; -o json has all of it.\n" +
			"Exit status 0: no changes; 2: there are changes.",
		Example: "  crowbar proposal diff nova\n" +
			"  crowbar proposal diff nova default 3\n" +
			"  crowbar proposal diff nova default template applied -o json",
		Args: arguments("BARCLAMP", "[NAME]", "[A]", "[B]"), RunE: a.ask(a.proposalDiff),
	}
}

func (a *app) proposalDiff(ctx context.Context, c *client.Client, args []string) error {
	k, from, to := key(args), "", client.Latest
	var err error
	for i, into := range []*string{&from, &to} {
		if len(args) > 2+i {
			if *into, err = state(args[2+i]); err != nil {
				return err
			}
		}
	}
	if len(args) <= 2 {
		r, err := c.Proposal(ctx, k, 0)
		if _, isNumber := number(k.Name); isNumber && errors.Is(err, client.ErrNotFound) {
			return fmt.Errorf("%w; a revision comes after the name: crowbar proposal diff %s %s %s", err, k.Barclamp, defaultName, k.Name)
		}
		if err != nil {
			return err
		}
		from = client.Template
		if r.Status.Applied > 0 {
			from = client.Applied
		}
		if a.IsTerminal(a.Stdout) {
			text := "the template"
			if r.Status.Applied > 0 {
				text = fmt.Sprintf("revision %d, which is applied,", r.Status.Applied)
			}
			lines(a.Stderr, "%s: %s and revision %d, the latest:", k, text, r.Number)
		}
	}
	d, err := c.Diff(ctx, k, from, to)
	if err != nil {
		return err
	}
	switch {
	case a.output == "json":
		patch := d.Patch
		if patch == nil {
			patch = json.RawMessage("[]")
		}
		err = a.json(patch)
	case d.Empty():
		lines(a.Stderr, "no changes")
	default:
		err = a.diff(a.Stdout, d)
	}
	if err == nil && !d.Empty() {
		err = errChanges
	}
	return err
}

// state reads what diff compares.
func state(arg string) (string, error) {
	switch arg {
	case latest:
		return client.Latest, nil
	case client.Applied, client.Template:
		return arg, nil
	}
	if n, ok := number(arg); ok && n > 0 {
		return strconv.Itoa(n), nil
	}
	return "", fmt.Errorf("%q is no revision; give its number, %s, %s or %s", arg, client.Applied, latest, client.Template)
}

// number reads the number of a revision.
func number(arg string) (n int, ok bool) {
	n, err := strconv.Atoi(arg)
	return n, err == nil && n >= 0 && arg[0] != '+' && arg[0] != '-'
}

// diff prints changes as people read them, in colour on a terminal.
func (a *app) diff(w io.Writer, d *client.Diff) error { return a.diffBehind(w, "", d) }

// longValue is where the value in a change, or a cell of the history, is cut.
const longValue = 200

// diffBehind is diff with something before each line.
func (a *app) diffBehind(w io.Writer, margin string, d *client.Diff) error {
	short := *d
	short.Changes = slices.Clone(d.Changes)
	for i, c := range short.Changes {
		for _, value := range []*json.RawMessage{&c.Before, &c.After} {
			if *value != nil {
				*value = json.RawMessage(brief(string(*value), longValue))
			}
		}
		short.Changes[i] = c
	}
	d = &short
	text := strings.Split(strings.TrimSuffix(d.Text(), "\n"), "\n")
	var b strings.Builder
	for i, c := range d.Changes {
		line := oneLine(c.String())
		if len(text) == len(d.Changes) { // else a name has a line end
			line = oneLine(text[i])
		}
		if a.colored(w) {
			line = painted(c, line)
		}
		b.WriteString(margin + line + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// painted colours the line of a change: what comes green, what goes red, what moves yellow.
func painted(c proposal.Change, line string) string {
	before, after := oneLine(string(c.Before)), oneLine(string(c.After))
	switch {
	case c.Role != "" && len(c.Added)+len(c.Removed) > 0:
		if text, ok := paintedNodes(c, line); ok {
			return text
		}
	case c.Before == nil:
		return paint(green, line)
	case c.After == nil:
		return paint(red, line)
	default:
		if name, ok := strings.CutSuffix(line, before+" → "+after); ok {
			return name + paint(red, before) + " → " + paint(green, after)
		}
	}
	return paint(yellow, line) // nodes in another order, or a secret
}

// paintedNodes colours the nodes of a role. A node that moves has a note behind it.
func paintedNodes(c proposal.Change, line string) (string, bool) {
	var b strings.Builder
	rest, ok := strings.CutPrefix(line, oneLine(c.Role)+":")
	b.WriteString(oneLine(c.Role) + ":")
	for _, side := range []struct {
		sign  string
		nodes []string
		style style
	}{{" + ", c.Added, green}, {" − ", c.Removed, red}} {
		for i, node := range side.nodes {
			sign, s := side.sign, side.style
			if i > 0 {
				sign = ", "
			}
			node = sign + oneLine(node)
			if !ok || !strings.HasPrefix(rest, node) {
				return "", false
			}
			rest = rest[len(node):]
			if strings.HasPrefix(rest, " (") {
				end := strings.IndexByte(rest, ')') + 1
				node, rest, s = node+rest[:end], rest[end:], yellow
			}
			b.WriteString(paint(s, node))
		}
	}
	return b.String(), rest == ""
}
