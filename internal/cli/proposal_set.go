package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
	"github.com/crowbarkit/crowbarkit/internal/wording"
	"github.com/crowbarkit/crowbarkit/proposal"
)

// setting is what proposal set is told.
type setting struct {
	*app
	deleted []string
	files   []string // PATH=FILE
	force   bool
	message string
}

func (a *app) proposalSetCommand() *cobra.Command {
	s := &setting{app: a}
	c := &cobra.Command{
		Use:   "set BARCLAMP [NAME] PATH=VALUE...",
		Short: "change single values of a proposal",
		Long: "Save a revision with other values. PATH is dotted and below attributes, so it starts with the\n" +
			"barclamp: nova.libvirt_type. A dot or = in a name is written \\. or \\=. An element of a list is its\n" +
			"number from 0; - appends one. Objects that are missing on the way are made. A JSON Pointer, which\n" +
			"starts with /, leads from the top of the document; = in a name is written \\= there, too.\n\n" +
			"VALUE is JSON: true, 12, 1.0, null, {\"a\": 1}. It is a string where it is no JSON, or where the present\n" +
			"value is a string; PATH:=JSON takes it as JSON even there.\n" +
			"Other users of the machine can see the command line: --file PATH=FILE reads a secret from a file, or\n" +
			"from standard input for -, without the line end that ends it. PATH:=FILE takes it as JSON.\n\n" +
			"Deletions are made first, what --file says last. What the barclamp's schema does not allow is refused,\n" +
			"so a slip of the finger is not saved; --force saves it in a draft.\n" +
			"Exit status 4: others saved meanwhile what contradicts this.",
		Example: "  crowbar proposal set nova nova.libvirt_type=qemu\n" +
			"  crowbar proposal set nova default nova.debug=true nova.zones.-=east -m 'for the lab'\n" +
			"  crowbar proposal set nova 'nova.limits:={\"cpu\": 4.0}' --delete nova.verbose\n" +
			"  crowbar proposal set nova --file nova.db.password=password.txt\n" +
			"  pass show nova/db | crowbar proposal set nova --file nova.db.password=-\n" +
			"  crowbar proposal set nova '/deployment/nova/elements/nova-controller=[\"node1\"]'",
		Args: cobra.ArbitraryArgs,
		RunE: a.ask(s.run),
	}
	f := c.Flags()
	f.StringArrayVar(&s.deleted, "delete", nil, "path of a value to delete; may be repeated")
	f.StringArrayVar(&s.files, "file", nil, "`PATH=FILE`: the value is what is in the file; - is standard input; may be repeated")
	f.BoolVar(&s.force, "force", false, "save even what the barclamp's schema does not allow")
	messageFlag(c, &s.message)
	return c
}

// setHelp is where to look.
const setHelp = "; see crowbar proposal set --help"

func (s *setting) run(ctx context.Context, c *client.Client, args []string) error {
	if len(args) == 0 || strings.Contains(args[0], "=") {
		return errors.New("crowbar proposal set: BARCLAMP is missing" + setHelp)
	}
	named := 1
	if len(args) > 1 && !strings.Contains(args[1], "=") {
		named = 2
	}
	k := key(args[:named])
	changes, err := s.changes(args[named:])
	if err != nil {
		return err
	}
	if len(changes) == 0 {
		return errors.New("crowbar proposal set: nothing to set; give PATH=VALUE or --delete PATH" + setHelp)
	}
	text, base, err := c.Document(ctx, k, 0)
	if err != nil {
		return err
	}
	before, err := proposal.Parse(text)
	if err != nil {
		return fmt.Errorf("%s revision %d: %w", k, base, err)
	}
	after := before
	for _, change := range changes {
		if after, err = change.apply(after); err != nil {
			return fmt.Errorf("not saved: %w", err)
		}
	}
	if bytes.Equal(after.Bytes(), before.Bytes()) {
		return s.unchanged(ctx, c, k, base)
	}
	if !s.force {
		problems, err := newProblems(ctx, c, before, after)
		if err != nil {
			return err
		}
		if len(problems) > 0 {
			return &client.Error{
				Code: client.CodeInvalid, Problems: problems,
				Message: fmt.Sprintf("not saved, that makes %s; --force saves it in a draft all the same", wording.Count(len(problems), "problem")),
			}
		}
	}
	saved, err := c.SaveProposal(ctx, k, after.Bytes(), client.SaveOptions{Message: s.message, Base: base})
	if conflicts(err) != nil {
		return s.keepDocument(k, base, after.Bytes(), "what you set", err)
	}
	if err != nil {
		return err
	}
	return s.savedWith(ctx, c, k, saved)
}

// changes are those that are asked for, in the order in which they are made.
func (s *setting) changes(assignments []string) ([]assignment, error) {
	var changes []assignment
	for _, path := range s.deleted {
		changes = append(changes, assignment{path: path, delete: true})
	}
	for _, arg := range assignments {
		change, ok := parseAssignment(arg)
		if !ok {
			return nil, fmt.Errorf("%q is no PATH=VALUE"+setHelp, arg)
		}
		changes = append(changes, change)
	}
	stdin := false
	for _, arg := range s.files {
		change, ok := parseAssignment(arg)
		switch {
		case !ok || change.value == "":
			return nil, fmt.Errorf("--file %q is no PATH=FILE"+setHelp, arg)
		case change.value == "-" && stdin:
			return nil, errors.New("standard input is given for two values; give it once")
		}
		stdin = stdin || change.value == "-"
		raw, err := s.read(change.value)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		change.value = strings.TrimSuffix(string(raw), "\n")
		changes = append(changes, change)
	}
	for _, change := range changes {
		if !utf8.ValidString(change.value) {
			return nil, fmt.Errorf("%s: the value is not UTF-8 text, and JSON has no other; write bytes as text, for example in base64", change.path)
		}
	}
	return changes, nil
}

// unchanged says that there is nothing to save.
func (a *app) unchanged(ctx context.Context, c *client.Client, k proposal.Key, number int) error {
	if a.output != "json" {
		lines(a.Stdout, "nothing changes")
		return nil
	}
	r, err := c.Proposal(ctx, k, number)
	if err != nil {
		return err
	}
	return a.json(client.Saved{Revision: *r, Unchanged: true})
}

// An assignment is one change that a user asks for.
type assignment struct {
	path   string
	value  string
	json   bool // PATH:=JSON
	delete bool
}

// parseAssignment reads PATH=VALUE or PATH:=JSON.
func parseAssignment(arg string) (assignment, bool) {
	for i := 0; i < len(arg); i++ {
		switch {
		case arg[i] == '\\':
			i++
		case arg[i] == '=':
			a := assignment{path: arg[:i], value: arg[i+1:]}
			if path, forced := strings.CutSuffix(a.path, ":"); forced && !strings.HasSuffix(path, `\`) {
				a.path, a.json = path, true
			}
			if strings.HasPrefix(a.path, "/") { // pointers know no \
				a.path = strings.ReplaceAll(a.path, `\=`, "=")
			}
			return a, a.path != ""
		}
	}
	return assignment{}, false
}

// apply makes the change.
func (a assignment) apply(d *proposal.Document) (*proposal.Document, error) {
	pointer, err := pointerOf(d.Barclamp(), a.path)
	if err != nil {
		return nil, err
	}
	content, err := decoded(d.Bytes())
	if err != nil {
		return nil, err
	}
	tokens := pointerTokens(pointer)
	if tokens[0] == "" && !a.delete {
		return nil, fmt.Errorf("path %q has an empty name; give one like /attributes/%s/NAME", a.path, d.Barclamp())
	}
	present, at, parent, found := lookup(content, tokens)
	if !found {
		appends := false
		if list, isList := parent.([]any); isList {
			appends = tokens[at] == "-" && !a.delete && at == len(tokens)-1
			if !appends {
				remedy := ""
				if !a.delete && at == len(tokens)-1 {
					remedy = "; - appends one"
				}
				return nil, fmt.Errorf("%s: the list %s has %s, counted from 0, and none is %q%s",
					a.path, pointerTo(tokens[:at]), wording.Count(len(list), "element"), tokens[at], remedy)
			}
		}
		_, inObject := parent.(map[string]any)
		// What is missing on the way is made with it, unless a name there is so like this one
		// that it was probably meant.
		isNew := inObject && !a.delete && (at == len(tokens)-1 || nearest(tokens[at], parent) == "")
		if !isNew && !appends {
			return nil, a.missing(tokens[:at+1], parent)
		}
		if n := slices.Index(tokens[at+1:], "-"); inObject && n >= 0 {
			list := tokens[:at+1+n]
			return nil, fmt.Errorf("%s: there is no list %s to append to; make one first: %s:=[]", a.path, pointerTo(list), a.like(list))
		}
	}
	edit := proposal.Edit{Pointer: pointer}
	if !a.delete {
		_, text := present.(string)
		edit.Value = a.parse(text)
	}
	after, err := d.With(edit)
	if syntax := (*proposal.SyntaxError)(nil); errors.As(err, &syntax) {
		return nil, fmt.Errorf("%s: the value is no JSON: %w", a.path, syntax)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.path, err)
	}
	return after, nil
}

// missing says where the path ends, and what was probably meant.
func (a assignment) missing(tokens []string, parent any) error {
	last := len(tokens) - 1
	if _, isObject := parent.(map[string]any); !isObject {
		return fmt.Errorf("%s: %s is no object and has no members", a.path, pointerTo(tokens[:last]))
	}
	text := fmt.Sprintf("%s: there is no %s", a.path, pointerTo(tokens))
	if near := nearest(tokens[last], parent); near != "" {
		text += fmt.Sprintf("; did you mean %q?", near)
		if !a.delete {
			text += " to make it all the same, set it first: " + pointerTo(tokens) + ":={}"
		}
	}
	return errors.New(text)
}

// like writes a path as the user wrote his.
func (a assignment) like(tokens []string) string {
	if strings.HasPrefix(a.path, "/") {
		return strings.ReplaceAll(pointerTo(tokens), "=", `\=`)
	}
	return dotted(tokens[1:])
}

// parse gives the value as JSON text.
func (a assignment) parse(presentIsString bool) json.RawMessage {
	trimmed := strings.TrimSpace(a.value)
	if a.json || json.Valid([]byte(trimmed)) && (!presentIsString || strings.HasPrefix(trimmed, `"`)) {
		return json.RawMessage(trimmed)
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	_ = e.Encode(a.value) // strings always can be
	return json.RawMessage(strings.TrimSuffix(text.String(), "\n"))
}
