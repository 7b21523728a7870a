package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

func (a *app) proposalExportCommand() *cobra.Command {
	number, to, force := 0, "", false
	c := &cobra.Command{
		Use: "export BARCLAMP [NAME]", Short: "write the document exactly as it was saved",
		Long: "Write the text of a revision to standard output or a file, byte for byte as it was saved; only\n" +
			"secrets are hidden, each by a text that names it. import takes it back, and leaves those secrets\n" +
			"as they are. A file is written completely or not at all.",
		Example: "  crowbar proposal export nova --to nova.json\n" +
			"  crowbar proposal export nova default -r 3 | jq .deployment",
		Args: arguments("BARCLAMP", "[NAME]"),
		RunE: a.ask(func(ctx context.Context, c *client.Client, args []string) error {
			k := key(args)
			text, n, err := c.Document(ctx, k, number)
			if err != nil {
				return err
			}
			if to == "" {
				if a.IsTerminal(a.Stdout) {
					lines(a.Stderr, "%s revision %d", k, n)
				}
				a.tellHidden(text)
				_, err = a.Stdout.Write(text)
				return err
			}
			if err := writeFile(to, text, force); err != nil {
				return err
			}
			a.tellHidden(text)
			if a.IsTerminal(a.Stderr) {
				lines(a.Stderr, "%s revision %d is in %s", k, n, to)
			}
			return nil
		}),
	}
	revisionFlag(c, &number)
	c.Flags().StringVar(&to, "to", "", "file to write, instead of standard output")
	c.Flags().BoolVar(&force, "force", false, "overwrite the file if it is there")
	return c
}

// writeFile writes a file completely or not at all.
func writeFile(path string, text []byte, overwrite bool) error {
	return fillFile(path, overwrite, func(f *os.File) error {
		_, err := f.Write(text)
		return err
	})
}

// fillFile lets fill write a file, which is there completely or not at all.
func fillFile(path string, overwrite bool, fill func(*os.File) error) (err error) {
	info, err := os.Lstat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%s is a directory; give a file in it", path)
	case err == nil && !overwrite:
		return fmt.Errorf("%s is there already; overwrite it with --force, or give another file", path)
	case err == nil && !info.Mode().IsRegular(): // a rename would put a file in the place of a device
		return fmt.Errorf("%s is no regular file; write to standard output and redirect that", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	defer func() {
		if err != nil { // what is between is nobody's concern
			err = fmt.Errorf("%s cannot be written: %w", path, withoutFile(err))
		}
	}()
	partial := fmt.Sprintf("%s.%d.partial", path, os.Getpid())
	f, err := os.OpenFile(partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(partial) // why it could not be written is what matters
		}
	}()
	if err = fill(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(partial, path)
}
