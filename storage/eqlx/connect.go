package eqlx

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// permanent are errors that another attempt would repeat.
func permanent(err error) bool {
	var key *HostKeyError
	var prompt *PromptError
	var said *CommandError
	var algorithms *ssh.AlgorithmNegotiationError
	return errors.As(err, &key) || errors.As(err, &prompt) || errors.As(err, &said) || errors.As(err, &algorithms) || errors.Is(err, errDenied)
}

var errDenied = errors.New("the group accepts neither the password nor the key; check san_login, san_password and san_private_key")

func explain(err error) error {
	var algorithms *ssh.AlgorithmNegotiationError
	if errors.As(err, &algorithms) {
		return fmt.Errorf("%w; old firmware needs ssh_legacy_algorithms", err)
	}
	return err
}

// dial opens one connection with a shell.
func (p *pool) dial(ctx context.Context) (*conn, error) {
	limited, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	raw, err := p.dialer(limited, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(limited, func() { raw.Close() })
	config := &ssh.ClientConfig{
		User: p.username, Auth: p.auth,
		HostKeyCallback:   p.hosts.check,
		HostKeyAlgorithms: p.hosts.algorithms(p.legacy),
		ClientVersion:     "SSH-2.0-CrowbarKit",
	}
	if p.legacy {
		good, bad := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
		config.KeyExchanges = append(good.KeyExchanges, bad.KeyExchanges...)
		config.Ciphers = append(good.Ciphers, bad.Ciphers...)
		config.MACs = append(good.MACs, bad.MACs...)
	}
	connection, channels, requests, err := ssh.NewClientConn(raw, p.address, config)
	if !stop() || err != nil {
		raw.Close() //nolint:errcheck // the error is known already
		switch {
		case err == nil || limited.Err() != nil:
			return nil, fmt.Errorf("SSH handshake: %w", errTimeout)
		case strings.Contains(err.Error(), "unable to authenticate"): // x/crypto has no type for it
			return nil, errDenied
		}
		return nil, err
	}
	c := &conn{client: ssh.NewClient(connection, channels, requests), gone: make(chan struct{})}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.close()
		c.client.Wait() //nolint:errcheck // it was closed
		return nil, ErrClosed
	}
	p.open[c] = struct{}{}
	p.running.Go(func() {
		defer close(c.gone)
		c.client.Wait() //nolint:errcheck // that it ended is all
	})
	p.mu.Unlock()
	if err := p.shell(limited, c); err != nil {
		p.drop(c)
		if errors.Is(err, errLacks) {
			return p.dial(ctx) // which leaves it out
		}
		return nil, err
	}
	p.running.Go(func() { p.keepAlive(c) })
	return c, nil
}

// shell opens the connection's shell.
func (p *pool) shell(ctx context.Context, c *conn) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	settings := shellSettings()
	p.mu.Lock()
	for _, setting := range []string{noReprint, exactSizes} {
		if !slices.Contains(p.lacks, setting) {
			settings = append(settings, setting)
		}
	}
	p.mu.Unlock()
	s, err := openShell(ctx, c.client, p.group, settings, p.timeout, p.running.Go)
	var said *CommandError
	if errors.As(err, &said) && !slices.Contains(shellSettings(), said.Command) {
		p.mu.Lock()
		p.lacks = append(p.lacks, said.Command)
		p.mu.Unlock()
		p.log.Debug("the group does not know a setting", "error", said)
		return errLacks
	}
	if err != nil {
		return err
	}
	c.shell = s
	return nil
}

// errLacks is a session that was spoilt by finding out that the group does not know a setting.
var errLacks = errors.New("eqlx: the group does not know a setting")

// keepAlive asks for a sign of life now and then and ends a connection that gives none. It also
// closes sessions that nobody needs.
func (p *pool) keepAlive(c *conn) {
	for {
		select {
		case <-c.gone:
			return
		case <-p.clock.After(p.keepalive):
		}
		late := time.AfterFunc(p.timeout, c.close)
		_, _, err := c.client.SendRequest("keepalive@openssh.com", true, nil)
		late.Stop()
		if err != nil {
			p.log.Debug("no sign of life; closing the session", "address", p.address, "error", err)
			c.close()
			return
		}
		p.trim()
	}
}
