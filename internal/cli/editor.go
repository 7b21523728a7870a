package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// editor is the command line of the user's editor.
func (a *app) editor() (string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if command := a.Getenv(name); command != "" {
			return command, nil
		}
	}
	if a.IsTerminal(a.Stdin) {
		for _, command := range []string{"sensible-editor", "vi", "nano"} {
			if _, err := exec.LookPath(command); err == nil {
				return command, nil
			}
		}
	}
	return "", errors.New("there is no editor; say which one with EDITOR")
}

// runEditor runs an editor on the terminal. It is not killed when ctx ends: ctrl-C in an editor
// is the editor's, and what was typed must get into the file.
func runEditor(_ context.Context, editor, file string) error {
	c := exec.Command("/bin/sh", "-c", editor+` "$1"`, editor, file)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("the editor %s failed: %w", editor, err)
	}
	return nil
}
