package eqlxsim

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// Serve answers SSH on the listener until the context ends; then it closes listener and
// connections, and returns when nothing runs any more.
func (g *Group) Serve(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { listener.Close() }) //nolint:errcheck // it ends Accept
	defer stop()
	for {
		conn, err := listener.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("eqlxsim: accept: %w", err)
		}
		g.mu.Lock()
		g.accepted++
		g.mu.Unlock()
		all.Go(func() { g.serve(ctx, conn) })
	}
}

func (g *Group) sshConfig() *ssh.ServerConfig {
	c := &ssh.ServerConfig{ServerVersion: "SSH-2.0-eqlxsim"}
	c.AddHostKey(g.hostKey)
	check := func(m ssh.ConnMetadata, password string) (*ssh.Permissions, error) {
		user := subtle.ConstantTimeCompare([]byte(m.User()), []byte(g.config.Username))
		if user&subtle.ConstantTimeCompare([]byte(password), []byte(g.config.Password)) == 1 {
			return nil, nil
		}
		return nil, errors.New("wrong user or password")
	}
	if g.config.KeyboardInteractive {
		c.KeyboardInteractiveCallback = func(m ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, errors.New("no answer")
			}
			return check(m, answers[0])
		}
	} else {
		c.PasswordCallback = func(m ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) { return check(m, string(password)) }
	}
	if len(g.config.AuthorizedKeys) > 0 {
		c.PublicKeyCallback = func(m ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			known := slices.ContainsFunc(g.config.AuthorizedKeys, func(k ssh.PublicKey) bool {
				return subtle.ConstantTimeCompare(k.Marshal(), key.Marshal()) == 1
			})
			if m.User() == g.config.Username && known {
				return nil, nil
			}
			return nil, errors.New("unknown key")
		}
	}
	return c
}

// serve speaks to one client.
func (g *Group) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close() //nolint:errcheck // the client sees it
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	client, channels, requests, err := ssh.NewServerConn(conn, g.sshConfig())
	if err != nil {
		return
	}
	defer client.Close() //nolint:errcheck // as above
	id, ok := g.enter()
	var all sync.WaitGroup
	defer all.Wait()
	defer conn.Close()
	if ok {
		defer g.leave(id)
	}
	all.Go(func() {
		// Keepalives are requests that nobody knows; the refusal is the answer.
		for r := range requests {
			if r.WantReply {
				r.Reply(false, nil) //nolint:errcheck // a dead connection ends the loop
			}
		}
	})
	for channel := range channels {
		switch {
		case channel.ChannelType() != "session":
			channel.Reject(ssh.UnknownChannelType, "only sessions") //nolint:errcheck // as above
		case !ok:
			// How a group refuses one session too many is not published [A].
			channel.Reject(ssh.ResourceShortage, "maximum number of sessions reached") //nolint:errcheck // as above
		default:
			c, requests, err := channel.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				s := &session{group: g, id: id, conn: conn, channel: c,
					terminal: terminal{columns: 80, confirm: true, paging: true, events: true, formatting: true}}
				s.serve(ctx, requests)
			})
		}
	}
}

func (g *Group) enter() (int, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.sessions) >= g.config.MaxSessions {
		return 0, false
	}
	g.nextID++
	g.sessions[g.nextID] = struct{}{}
	return g.nextID, true
}

func (g *Group) leave(id int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.sessions, id)
}

// A session is one shell.
type session struct {
	group    *Group
	id       int
	conn     net.Conn
	channel  ssh.Channel
	terminal terminal
	prefill  string // a failed command that stands behind the prompt
	late     string // what is printed only when the next line has been typed
}

func (s *session) serve(ctx context.Context, requests <-chan *ssh.Request) {
	defer s.channel.Close() //nolint:errcheck // the client sees it
	var shell sync.WaitGroup
	defer shell.Wait()
	defer s.channel.Close()
	started := false
	for r := range requests {
		// Only "shell" was ever seen on the wire; a terminal is not asked for.
		ok := r.Type == "shell" && !started
		if r.WantReply {
			r.Reply(ok, nil) //nolint:errcheck // a dead channel ends the loop
		}
		if ok {
			started = true
			shell.Go(func() { s.shell(ctx) })
		}
	}
}

func (s *session) prompt() string { return s.group.config.Name + "> " }

func (s *session) print(text string) bool {
	_, err := s.channel.Write([]byte(text))
	return err == nil
}

func (s *session) shell(ctx context.Context) {
	defer s.channel.Close() //nolint:errcheck // the client sees it
	banner := s.group.config.Banner
	if banner != "" {
		banner = strings.ReplaceAll(strings.TrimRight(banner, "\n"), "\n", "\r\n") + "\r\n"
	}
	if !s.print(banner + s.prompt()) {
		return
	}
	input := bufio.NewReader(s.channel)
	for {
		line, ok := s.read(input)
		line, s.prefill = s.prefill+line, ""
		if !ok || !s.command(ctx, input, line) {
			return
		}
	}
}

// read reads up to a CR, which is what Cinder's driver sends [T]; a LF after it is dropped,
// for clients that send both [W]. The echo comes with each piece of the line.
func (s *session) read(input *bufio.Reader) (string, bool) {
	var line []byte
	for {
		b, err := input.ReadByte()
		switch {
		case err != nil || len(line) > 4096:
			return "", false
		case b == '\n':
			continue
		case b == '\r':
			if late := s.late; late != "" {
				s.late = ""
				if !s.print(late) {
					return "", false
				}
			}
			return string(line), s.group.config.Quirks.NoEcho || s.print(string(line)+"\r\n")
		}
		line = append(line, b)
	}
}

// command runs a line and prints its reply; false ends the shell.
func (s *session) command(ctx context.Context, input *bufio.Reader, line string) bool {
	g := s.group
	g.mu.Lock()
	g.commands = append(g.commands, Command{Session: s.id, Line: line})
	n := len(g.commands)
	g.mu.Unlock()
	var fault Fault
	if g.config.Fault != nil {
		fault = g.config.Fault(n, line)
	}
	if wait := g.config.Quirks.Delay + fault.Delay; wait > 0 {
		select {
		case <-g.clock.After(wait):
		case <-ctx.Done():
			return false
		}
	}
	if fault.Lose == LoseCommand {
		s.conn.Close() //nolint:errcheck // that is the fault
		return false
	}
	if s.terminal.confirm && destroys(line) {
		// The question that eql scripts answer [W].
		if !s.print("Do you really want to do this? (y/n) [n]") {
			return false
		}
		if answer, ok := s.read(input); !ok || answer != "y" {
			return ok && s.print(s.prompt())
		}
	}
	lines, failed := s.run(line, fault)
	reply := s.wrap(append(slices.Clone(fault.Noise), lines...))
	if s.terminal.paging && len(lines) > 23 {
		return s.print(reply + "Press any key to continue (Q to quit)") // and nothing moves [W]
	}
	switch fault.Lose {
	case LoseReply:
		s.conn.Close() //nolint:errcheck // that is the fault
		return false
	case CutReply:
		s.print(reply[:len(reply)/2])
		s.conn.Close() //nolint:errcheck // that is the fault
		return false
	case LosePrompt:
		s.print(reply)
		return false
	case Hang:
		_, err := input.ReadByte()
		return err == nil
	}
	if failed && g.config.Quirks.CloseAfterError {
		s.print(reply)
		return false
	}
	reply += s.prompt()
	switch {
	case fault.Event != "":
		s.late = reply
		return s.print("\r\n" + fault.Event + "\r\n" + s.prompt())
	case failed && g.config.Quirks.LatePrefill:
		s.prefill, s.late = line, line
	case failed && g.config.Quirks.Prefill:
		s.prefill = line
		reply += line
	}
	return s.print(reply)
}

func destroys(line string) bool {
	words := strings.Fields(line)
	return len(words) > 1 && words[0] == "volume" && (words[1] == "delete" || slices.Contains(words, "offline"))
}

// run executes the line, unless the fault answers instead.
func (s *session) run(line string, fault Fault) (lines []string, failed bool) {
	if fault.Error != "" {
		return []string{"% Error - " + fault.Error}, true
	}
	g := s.group
	g.mu.Lock()
	defer g.mu.Unlock()
	lines, err := g.run(&s.terminal, line)
	if err != nil {
		return []string{"% Error - " + err.Error()}, true // "% Error" [T], the dash [W]
	}
	return lines, false
}

// wrap breaks lines at the terminal's width, which is why clients begin with "stty columns 255".
func (s *session) wrap(lines []string) string {
	var out strings.Builder
	for _, line := range lines {
		for len(line) > s.terminal.columns {
			out.WriteString(line[:s.terminal.columns] + "\r\n")
			line = line[s.terminal.columns:]
		}
		out.WriteString(line + "\r\n")
	}
	return out.String()
}
