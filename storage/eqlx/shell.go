package eqlx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// maxReply bounds a reply; a table of 10,000 volumes has about 1 MB.
	maxReply = 16 << 20
	// quiet is how long another prompt must stand before it is the wrong one.
	quiet = 2 * time.Second
)

// What a Proxmox plugin sends to real groups and Cinder's driver did not; a group need not know it.
// exactSizes has sizes printed in MB: else a volume of 1 TB or more is shown in hundredths of a TB
// only. noReprint keeps a command that failed from being put behind the next prompt.
const (
	exactSizes = "cli-settings displayinMB on"
	noReprint  = "cli-settings reprintBadInput off"
)

// shellSettings are sent once in each shell, as Cinder's driver does in this order. Those above
// follow.
func shellSettings() []string {
	return []string{
		"stty columns 255",
		"cli-settings confirmation off",
		"cli-settings paging off",
		"cli-settings events off",
		"cli-settings formatoutput off",
	}
}

// errUnsent is a command that did not leave: it may go through another shell.
var errUnsent = errors.New("eqlx: shell not usable")

// A lostError is a command that left and got no answer.
type lostError struct {
	command string
	cause   error
	late    func() ([]string, error) // waits for the answer, where only the caller has left; or nil
}

func (e *lostError) Error() string {
	return fmt.Sprintf("eqlx: no answer to %q: %v", e.command, e.cause)
}
func (e *lostError) Unwrap() error { return e.cause }

// A PromptError is a group that has another name than eqlx_group_name.
type PromptError struct{ Seen, Expected string }

func (e *PromptError) Error() string {
	return fmt.Sprintf("eqlx: the group's prompt is %q, expected %q; set eqlx_group_name to the group's name", e.Seen, e.Expected)
}

// A shell is the command line of one session. One goroutine at a time uses it; another reads.
type shell struct {
	channel ssh.Channel
	prompt  string

	mu       sync.Mutex
	received []byte
	err      error         // why nothing more will come
	arrived  chan struct{} // holds one element when something has changed

	echoes   bool // every command is repeated in front of its reply
	echoed   bool // the last one was
	reprints bool // the group may put a command that failed behind the prompt
	broken   bool // it has, or may have
}

// openShell opens a session on the connection, waits for the prompt and sends the settings.
// reader runs what reads.
func openShell(ctx context.Context, client *ssh.Client, group string, settings []string, timeout time.Duration, reader func(func())) (*shell, error) {
	// There is no other way to end a blocked OpenChannel.
	stop := context.AfterFunc(ctx, func() { client.Close() })
	channel, requests, err := openSession(ctx, client)
	if err != nil {
		stop()
		return nil, fmt.Errorf("open a session: %w", err)
	}
	reader(func() { ssh.DiscardRequests(requests) })
	s := &shell{channel: channel, prompt: group + "> ", arrived: make(chan struct{}, 1), reprints: !slices.Contains(settings, noReprint)}
	reader(s.read)
	ok, err := channel.SendRequest("shell", true, nil)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err == nil && !ok {
		err = errors.New("refused")
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("open a shell: %w", err)
	}
	if _, _, err := s.await(ctx, timeout, true); err != nil {
		s.close()
		return nil, fmt.Errorf("wait for the prompt: %w", err)
	}
	echoes := true
	for _, line := range settings {
		if _, err := s.do(ctx, line, timeout); err != nil {
			s.close()
			return nil, err
		}
		echoes = echoes && s.echoed
	}
	s.echoes = echoes
	return s, nil
}

// openSession is OpenChannel for a session, which of a connection that has ended just now never
// returns, as nobody is left to tell it (x/crypto/ssh v0.45.0): then its goroutine is left behind.
func openSession(ctx context.Context, client *ssh.Client) (ssh.Channel, <-chan *ssh.Request, error) {
	var channel ssh.Channel
	var requests <-chan *ssh.Request
	opened := make(chan error, 1)
	go func() {
		var err error
		channel, requests, err = client.OpenChannel("session", nil)
		opened <- err
	}()
	select {
	case err := <-opened:
		return channel, requests, err
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// close ends the session; read sees it.
func (s *shell) close() { s.channel.Close() } //nolint:errcheck // it may be closed already

// read collects what the group sends until the channel ends.
func (s *shell) read() {
	buffer := make([]byte, 32<<10)
	for {
		n, err := s.channel.Read(buffer)
		s.mu.Lock()
		s.received = append(s.received, buffer[:n]...)
		if err == nil && len(s.received) > maxReply {
			err = fmt.Errorf("more than %d bytes", maxReply)
			s.close()
		}
		s.err = err
		s.mu.Unlock()
		select {
		case s.arrived <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

var anyPrompt = regexp.MustCompile(`(?:^|[\r\n])([A-Za-z0-9][A-Za-z0-9.-]{0,53}> )$`)

// await returns what comes before the next prompt; with an error, what came before it.
func (s *shell) await(ctx context.Context, timeout time.Duration, greeting bool) (text []byte, prefilled bool, err error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	for {
		s.mu.Lock()
		end, done, prefilled := scan(s.received, s.prompt)
		text, err := s.received, s.err
		if done {
			text, s.received = text[:end], nil
		}
		s.mu.Unlock()
		switch {
		case done:
			return text, prefilled, nil
		case errors.Is(err, io.EOF):
			return text, false, errors.New("the group closed the connection")
		case err != nil:
			return text, false, err
		}
		var other <-chan time.Time
		seen := anyPrompt.FindSubmatch(text)
		if greeting && seen != nil {
			other = time.After(quiet)
		}
		select {
		case <-s.arrived:
		case <-other:
			return text, false, &PromptError{Seen: string(seen[1]), Expected: s.prompt}
		case <-timer.C:
			return text, false, errTimeout
		case <-ctx.Done():
			return text, false, ctx.Err()
		}
	}
}

// usable reports whether the next command would begin on an empty line.
func (s *shell) usable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.broken && s.err == nil && len(s.received) == 0
}

// ended reports whether nothing more will come.
func (s *shell) ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err != nil
}

// do sends a command and returns the lines of its reply. The error is a *CommandError, a
// *lostError, or errUnsent.
func (s *shell) do(ctx context.Context, line string, timeout time.Duration) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !s.usable() {
		return nil, errUnsent
	}
	if _, err := s.channel.Write([]byte(line + "\r")); err != nil {
		// The line is one SSH packet, and one that was not written to its end fails its
		// integrity check: the group has not got it.
		return nil, errUnsent
	}
	text, prefilled, err := s.await(ctx, timeout, false)
	lines, echoed := reply(text, s.prompt, line, s.echoes)
	s.echoed = echoed
	message := failed(lines)
	// A group that prints its prompt once too often would pair each answer with the next command.
	stranger := s.echoes && !echoed && len(s.prompt)+len(line) < columns
	if err != nil {
		// Some errors come without a prompt, and then the group hangs up.
		whole := len(text) > 0 && text[len(text)-1] == '\n'
		if message != "" && whole && !stranger && ctx.Err() == nil && !errors.Is(err, errTimeout) {
			return nil, commandError(line, message)
		}
		return nil, &lostError{command: line, cause: err}
	}
	if stranger || message == "" && !answers(line, lines) {
		return nil, &lostError{command: line, cause: errStranger}
	}
	s.broken = prefilled || message != "" && s.reprints // which may come late
	if message != "" {
		return nil, commandError(line, message)
	}
	return lines, nil
}

// columns is the width that shells are set to: longer lines may be broken.
const columns = 255

// errStranger is a reply to another command.
var errStranger = errors.New("what came is the answer to another command")
