package eqlx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/storage"
)

// idleTime is how long a session above the minimum stays open without a command, and how old
// a session may get unused before a new one takes its place: a group logs idle people out.
const idleTime = 5 * time.Minute

// A conn is an SSH connection with one shell.
type conn struct {
	client *ssh.Client
	shell  *shell
	gone   chan struct{} // closed when the connection has ended
	used   time.Time
}

func (c *conn) close() { c.client.Close() } //nolint:errcheck // it may be closed already

func (c *conn) alive() bool {
	select {
	case <-c.gone:
		return false
	default:
		return true
	}
}

// A pool keeps sessions. A command has a session for itself; at most MaxSessions are open.
type pool struct {
	address                           string
	group                             string
	timeout, keepalive, retryTime     time.Duration
	minSessions, maxSessions, retries int
	legacy                            bool
	username                          string
	auth                              []ssh.AuthMethod
	hosts                             *hostKeys
	dialer                            func(ctx context.Context, network, address string) (net.Conn, error)
	clock                             storage.Clock
	log                               *slog.Logger
	commandLevel                      slog.Level
	slots                             chan struct{}
	closing                           chan struct{}
	running                           sync.WaitGroup

	mu     sync.Mutex
	closed bool
	lacks  []string      // of the settings that a group need not know
	idle   []*conn       // the last used is the last
	back   chan struct{} // closed when the next session comes back
	open   map[*conn]struct{}
}

func newPool(c Config) (*pool, error) {
	p := &pool{
		address: net.JoinHostPort(c.Address, strconv.Itoa(c.Port)), group: c.Group,
		timeout: c.Timeout, keepalive: c.Keepalive, retryTime: c.RetryTime,
		minSessions: max(0, c.MinSessions), maxSessions: c.MaxSessions, retries: max(0, c.Retries),
		legacy: c.LegacyAlgorithms, username: c.Username,
		dialer: c.Dial, clock: c.Clock, log: c.Logger, commandLevel: slog.LevelDebug,
		slots: make(chan struct{}, c.MaxSessions), closing: make(chan struct{}), open: map[*conn]struct{}{},
	}
	if c.LogCommands {
		p.commandLevel = slog.LevelInfo
	}
	p.back = make(chan struct{})
	p.hosts = &hostKeys{address: p.address, pin: c.HostKey, file: c.KnownHostsFile, strict: c.StrictHostKey, log: c.Logger}
	if p.dialer == nil {
		p.dialer = (&net.Dialer{}).DialContext
	}
	if password := c.Password; password != "" {
		p.auth = append(p.auth,
			ssh.PasswordCallback(func() (string, error) { return password, nil }),
			// Some servers ask instead; they ask for the password only.
			ssh.KeyboardInteractive(func(_, _ string, questions []string, _ []bool) ([]string, error) {
				switch len(questions) {
				case 0:
					return nil, nil
				case 1:
					return []string{password}, nil
				}
				return nil, fmt.Errorf("asked %d questions, expected one for the password", len(questions))
			}))
	}
	if c.PrivateKeyFile != "" {
		signer, err := c.signer()
		if err != nil {
			return nil, err
		}
		p.auth = append(p.auth, ssh.PublicKeys(signer))
	}
	return p, nil
}

// close ends all sessions and returns when nothing runs any more.
func (p *pool) close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.closing)
	}
	for c := range p.open {
		c.close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// A kind is what may happen if a command is sent twice.
type kind int

const (
	reads   kind = iota // nothing
	settles             // the same as once: it sets something to a value
	changes             // it must not happen
	makes               // it must not happen, and who leaves must take back what it made
)

// run sends a command and returns its reply. What was not answered is sent again unless it
// changes something; errors.Is finds storage.ErrUnknownOutcome where that stays open.
func (p *pool) run(ctx context.Context, k kind, line string) ([]string, error) {
	began := p.clock.Now()
	var lost *lostError
	for attempt := 0; ; attempt++ {
		lines, err := p.once(ctx, k, line)
		if before := lost; !errors.As(err, &lost) {
			var answered *CommandError
			if err != nil && before != nil && k != reads && !errors.As(err, &answered) {
				return nil, fmt.Errorf("%w: %w; then: %v", storage.ErrUnknownOutcome, before, err)
			}
			return lines, err
		}
		if k < changes && ctx.Err() == nil && p.pause(ctx, began, attempt, nil) {
			p.log.Debug("no answer; repeating", "command", line, "attempt", attempt+1, "error", err)
			continue
		}
		if ended := ctx.Err(); ended != nil && !errors.Is(err, ended) {
			err = fmt.Errorf("%w: %w", ended, err) // why it was not repeated
		}
		switch {
		case k == reads && ctx.Err() != nil:
			return nil, err
		case k == reads:
			return nil, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
		}
		return nil, fmt.Errorf("%w: %w", storage.ErrUnknownOutcome, err)
	}
}

// pause waits before the next attempt, or until back is closed; false is that there should be none.
func (p *pool) pause(ctx context.Context, began time.Time, attempt int, back <-chan struct{}) bool {
	if attempt >= p.retries || p.retryTime > 0 && p.clock.Now().Sub(began) >= p.retryTime {
		return false
	}
	// Cinder's driver waits 0.2 to 5 s; the first of ours is short, as a dropped connection is
	// mostly one that had been idle.
	longest := min(5*time.Second, 50*time.Millisecond<<min(attempt, 10))
	select {
	case <-p.clock.After(longest/2 + rand.N(longest/2)):
		return true
	case <-back:
		return true
	case <-p.closing:
	case <-ctx.Done():
	}
	return false
}

// once sends a command at most once.
func (p *pool) once(ctx context.Context, k kind, line string) ([]string, error) {
	for {
		c, err := p.acquire(ctx)
		if err != nil {
			return nil, err
		}
		var lines []string
		if k == makes {
			lines, err = p.leave(ctx, c, line)
		} else {
			lines, err = p.use(ctx, c, line)
		}
		if !errors.Is(err, errUnsent) { // the group hung up since acquire looked
			return lines, err
		}
	}
}

// use sends a command through a session that was acquired, and releases it.
func (p *pool) use(ctx context.Context, c *conn, line string) ([]string, error) {
	began := time.Now()
	lines, err := c.shell.do(ctx, line, p.timeout)
	var answered *CommandError
	p.release(c, err == nil || errors.As(err, &answered))
	if !errors.Is(err, errUnsent) {
		p.log.Log(ctx, p.commandLevel, "command", "line", line, "took", time.Since(began), "lines", len(lines), "error", err)
	}
	return lines, err
}

// leave is use, but when the context ends only the caller leaves: the group may run what it was
// sent at any time later, and nothing but the answer tells that it has.
func (p *pool) leave(ctx context.Context, c *conn, line string) ([]string, error) {
	var lines []string
	var err error
	answered := make(chan struct{})
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.release(c, false)
		return nil, ErrClosed
	}
	p.running.Go(func() {
		defer close(answered)
		lines, err = p.use(context.WithoutCancel(ctx), c, line)
	})
	p.mu.Unlock()
	late := func() ([]string, error) {
		<-answered
		return lines, err
	}
	select {
	case <-answered:
		return late()
	case <-ctx.Done():
		return nil, &lostError{command: line, cause: ctx.Err(), late: late}
	}
}

// acquire returns a session for the caller alone, after those who came before.
func (p *pool) acquire(ctx context.Context) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p.slots <- struct{}{}:
	case <-p.closing:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c, err := p.take(ctx)
	if err != nil {
		<-p.slots
	}
	return c, err
}

// take returns an idle session that still works, or a new one. Where the group admits no
// more, it waits for one that comes back.
func (p *pool) take(ctx context.Context) (*conn, error) {
	began := p.clock.Now()
	crowded := false // the group's last places are held by this pool
	for attempt := 0; ; {
		c, others, back, err := p.pop()
		if err != nil {
			return nil, err
		}
		if c != nil {
			if p.reuse(ctx, c) {
				return c, nil
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			continue
		}
		if crowded && others > 0 {
			again, err := p.wait(ctx, back)
			if err != nil {
				return nil, err
			}
			crowded = !again
			continue
		}
		c, err = p.dial(ctx)
		if err == nil {
			return c, nil
		}
		var refused *ssh.OpenChannelError
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("eqlx: connect to %s: %w", p.address, ctx.Err())
		case errors.Is(err, ErrClosed):
			return nil, err
		case others > 0 && errors.As(err, &refused):
			crowded = true
			continue
		case permanent(err):
			return nil, fmt.Errorf("%w: %s: %w", ErrConnect, p.address, explain(err))
		}
		if !p.pause(ctx, began, attempt, back) {
			return nil, fmt.Errorf("%w: %s: %w", ErrConnect, p.address, explain(err))
		}
		attempt++
		p.log.Debug("connection failed; repeating", "address", p.address, "attempt", attempt, "error", err)
	}
}

// lookAgain is how often a pool that has sessions asks a group for more which had no place: the
// pool's own come back and are waited for.
const lookAgain = 5 * time.Second

// wait waits until a session comes back, or it is time to ask the group again.
func (p *pool) wait(ctx context.Context, back <-chan struct{}) (again bool, err error) {
	select {
	case <-back:
		return false, nil
	case <-p.clock.After(lookAgain):
		return true, nil
	case <-p.closing:
		return false, ErrClosed
	case <-ctx.Done():
		return false, fmt.Errorf("eqlx: connect to %s: %w", p.address, ctx.Err())
	}
}

// pop takes the last used idle session, if there is one, and tells how many are open and when the
// next one comes back.
func (p *pool) pop() (c *conn, open int, back <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, 0, nil, ErrClosed
	}
	if n := len(p.idle); n > 0 {
		c, p.idle = p.idle[n-1], p.idle[:n-1]
	}
	return c, len(p.open), p.back, nil
}

// reuse reports whether an idle session can take a command, and drops it if not.
func (p *pool) reuse(ctx context.Context, c *conn) bool {
	if c.alive() && !c.shell.ended() && p.clock.Now().Sub(c.used) <= idleTime {
		if c.shell.usable() {
			return true
		}
		// A line with text in it; the connection is good for another shell.
		c.shell.close()
		if p.shell(ctx, c) == nil {
			return true
		}
	}
	p.drop(c)
	return false
}

func (p *pool) release(c *conn, good bool) {
	c.used = p.clock.Now()
	p.mu.Lock()
	if good = good && !p.closed && c.alive(); good {
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	if !good {
		p.drop(c)
	}
	<-p.slots
	p.mu.Lock()
	close(p.back) // for those whom the group did not admit
	p.back = make(chan struct{})
	p.mu.Unlock()
}

// drop closes a session and forgets it.
func (p *pool) drop(c *conn) {
	c.close()
	p.mu.Lock()
	delete(p.open, c)
	p.mu.Unlock()
}

// trim closes idle sessions above the minimum, the longest unused first.
func (p *pool) trim() {
	p.mu.Lock()
	var old []*conn
	for len(p.idle) > p.minSessions && p.clock.Now().Sub(p.idle[0].used) > idleTime {
		old = append(old, p.idle[0])
		p.idle = slices.Delete(p.idle, 0, 1)
	}
	for _, c := range old {
		delete(p.open, c)
	}
	p.mu.Unlock()
	for _, c := range old {
		c.close()
	}
}
