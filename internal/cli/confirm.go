package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/crowbarkit/crowbarkit/crowbar/client"
)

// refusal is an error with the exit status of what a rule forbids.
func refusal(text string) error {
	return &client.Error{Code: client.CodeRefused, Message: text}
}

// agree asks a question on a terminal; elsewhere a flag must have said yes. What is refused is
// said with why and, without a terminal, the remedy. An interrupt is no yes.
func (a *app) agree(ctx context.Context, yes bool, refused, remedy, question string) error {
	if yes {
		return nil
	}
	if !a.IsTerminal(a.Stdin) || !a.IsTerminal(a.Stderr) {
		return refusal(refused + "; " + remedy)
	}
	fmt.Fprint(a.Stderr, question+" [y/N] ")
	answer, err := bufio.NewReader(&interruptible{r: a.Stdin, ended: ctx.Done(), why: ctx.Err}).ReadString('\n')
	if ctx.Err() != nil {
		fmt.Fprintln(a.Stderr) // the line of the question
		return refusal(refused + "; interrupted")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return refusal(refused + "; you did not say yes")
}
