package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

// eqlxSite is one simulated group on loopback, our driver and Cinder's way to use it.
type eqlxSite struct {
	ours                 *eqlx.Driver
	cinder               *cinderShells
	oursTurns, peerTurns atomic.Int64
	ended                func() error
	names                atomic.Int64
}

// newEqlxSite gives both sides as many SSH connections. A volume "v" is there.
func newEqlxSite(connections int) (_ *eqlxSite, err error) {
	group, err := eqlxsim.New(eqlxsim.Config{
		Password: "grpadmin", MaxSessions: 2 * connections,
		Pools: []eqlxsim.Pool{{Name: "default", CapacityGB: 1 << 20}},
	})
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- group.Serve(ctx, listener) }()
	s := &eqlxSite{ended: func() error { cancel(); return <-served }}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	address := listener.Addr().(*net.TCPAddr)
	s.ours, err = eqlx.New(eqlx.Config{
		Address: "127.0.0.1", Port: address.Port, Username: group.Username(), Password: group.Password(), Group: group.Name(),
		HostKey:     ssh.FingerprintSHA256(group.HostKey()),
		MinSessions: connections, MaxSessions: connections,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &turns{Conn: conn, count: &s.oursTurns}, err
		},
	})
	if err != nil {
		return nil, err
	}
	if s.cinder, err = newCinderShells(group, address.String(), connections, &s.peerTurns); err != nil {
		return nil, err
	}
	_, err = s.ours.Create(ctx, storage.VolumeSpec{ID: "v", SizeBytes: 1 << 30})
	return s, err
}

func (s *eqlxSite) Close() error {
	var errs []error
	if s.ours != nil {
		errs = append(errs, s.ours.Close())
	}
	if s.cinder != nil {
		s.cinder.close()
	}
	return errors.Join(append(errs, s.ended())...)
}

// turns counts round trips at the wire: a read after a write.
type turns struct {
	net.Conn
	count *atomic.Int64
	wrote atomic.Bool
}

func (c *turns) Write(p []byte) (int, error) {
	c.wrote.Store(true)
	return c.Conn.Write(p)
}

func (c *turns) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && c.wrote.Swap(false) {
		c.count.Add(1)
	}
	return n, err
}

// cinderShells runs commands as Cinder's driver did to its end (cinder/volume/drivers/dell_emc/ps.py
// of 2020): SSH connections stay in a pool, but each command has a session of its own: channel,
// shell, everything up to the prompt, "stty columns 255", the command, close.
type cinderShells struct {
	prompt []byte
	all    []*ssh.Client
	free   chan *ssh.Client
}

func newCinderShells(group *eqlxsim.Group, address string, connections int, count *atomic.Int64) (*cinderShells, error) {
	c := &cinderShells{prompt: []byte(group.Name() + "> "), free: make(chan *ssh.Client, connections)}
	config := &ssh.ClientConfig{
		User: group.Username(), Auth: []ssh.AuthMethod{ssh.Password(group.Password())},
		HostKeyCallback: ssh.FixedHostKey(group.HostKey()), Timeout: 10 * time.Second,
	}
	for range connections {
		raw, err := net.Dial("tcp", address)
		if err != nil {
			c.close()
			return nil, err
		}
		conn, channels, requests, err := ssh.NewClientConn(&turns{Conn: raw, count: count}, address, config)
		if err != nil {
			c.close()
			return nil, errors.Join(err, raw.Close())
		}
		client := ssh.NewClient(conn, channels, requests)
		c.all = append(c.all, client)
		c.free <- client
	}
	return c, nil
}

func (c *cinderShells) close() {
	for _, client := range c.all {
		client.Close() //nolint:errcheck // nothing is left to be said
	}
}

// command returns what the group prints, up to and with the prompt.
func (c *cinderShells) command(line string) (string, error) {
	client := <-c.free
	defer func() { c.free <- client }()
	channel, requests, err := client.OpenChannel("session", nil)
	if err != nil {
		return "", err
	}
	defer channel.Close() //nolint:errcheck // as paramiko: nobody waits for the answer
	go ssh.DiscardRequests(requests)
	if ok, err := channel.SendRequest("shell", true, nil); err != nil || !ok {
		return "", errors.Join(err, errors.New("no shell"))
	}
	out, err := c.read(channel)
	for _, send := range []string{"stty columns 255", line} {
		if err != nil {
			return "", err
		}
		if _, err = io.WriteString(channel, send+"\r"); err == nil {
			out, err = c.read(channel)
		}
	}
	if err == nil && strings.HasSuffix(strings.TrimRight(out, " "), question) {
		// Cinder's driver turned questions off once, for its account. Ours does so in each shell, as
		// whether that holds for others is not known, and in the simulator it does not.
		if _, err = io.WriteString(channel, "y\r"); err == nil {
			out, err = c.read(channel)
		}
	}
	for text := range strings.Lines(out) {
		if strings.HasPrefix(text, "% Error") || strings.HasPrefix(text, "Error:") {
			return "", fmt.Errorf("%s: %s", line, out)
		}
	}
	return out, err
}

// question ends what the group asks before it destroys something.
const question = "(y/n) [n]"

// read reads up to a prompt, wherever it is, or a question.
func (c *cinderShells) read(r io.Reader) (string, error) {
	var all []byte
	buffer := make([]byte, 1024)
	for !bytes.Contains(all, c.prompt) && !bytes.Contains(all, []byte(question)) {
		n, err := r.Read(buffer)
		if err != nil {
			return "", err
		}
		all = append(all, buffer[:n]...)
	}
	return string(all), nil
}

// run sends commands one after another and returns what the last printed.
func (c *cinderShells) run(lines ...string) (out string, err error) {
	for _, line := range lines {
		if out, err = c.command(line); err != nil {
			return "", err
		}
	}
	return out, nil
}

// life creates a volume, connects, disconnects and deletes it with the nine commands of Cinder's
// driver, and answers to two questions.
func (c *cinderShells) life(name, initiator string) error {
	volume := "volume select " + name
	if _, err := c.run("volume create "+name+" 1G thin-provision", volume+" multihost-access enable",
		volume+" access show", volume+" access create initiator "+initiator); err != nil {
		return err
	}
	table, err := c.run(volume + " access show")
	if err != nil {
		return err
	}
	record := ""
	for line := range strings.Lines(table) {
		if words := strings.Fields(line); len(words) > 1 && strings.HasPrefix(words[1], initiator[:8]) {
			record = words[0]
		}
	}
	_, err = c.run(volume+" access delete "+record, volume+" show", volume+" offline", "volume delete "+name)
	return err
}

func (s *eqlxSite) getOurs() error {
	v, err := s.ours.Get(context.Background(), "v")
	if err == nil && v.SizeBytes != 1<<30 {
		err = fmt.Errorf("%d bytes", v.SizeBytes)
	}
	return err
}

func (s *eqlxSite) getCinder() error {
	out, err := s.cinder.command("volume select volume-v show")
	if err == nil && !strings.Contains(out, "Size: 1GB") {
		err = fmt.Errorf("no size: %q", out)
	}
	return err
}

// lifeOurs is ten commands: unlike Cinder's driver ours looks for the target's name, as there
// is no database that has it, and before it deletes for who has access.
func (s *eqlxSite) lifeOurs() error {
	ctx, id := context.Background(), fmt.Sprint("b", s.names.Add(1))
	connector := storage.Connector{Host: "n", Initiator: "iqn.2012-07.x:n"}
	if _, err := s.ours.Create(ctx, storage.VolumeSpec{ID: id, SizeBytes: 1 << 30}); err != nil {
		return err
	}
	if _, err := s.ours.Connect(ctx, id, connector); err != nil {
		return err
	}
	if err := s.ours.Disconnect(ctx, id, connector); err != nil {
		return err
	}
	return s.ours.Delete(ctx, id)
}

func (s *eqlxSite) lifeCinder() error {
	return s.cinder.life(fmt.Sprint("c", s.names.Add(1)), "iqn.2012-07.x:n")
}

// times does work b.N times, in so many goroutines.
func times(b *testing.B, clients int, work func() error) error {
	if clients == 1 {
		for range b.N {
			if err := work(); err != nil {
				return err
			}
		}
		return nil
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	errs := make(chan error, clients)
	for range clients {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if err := work(); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	return <-errs
}

// eqlxComparison has clients work against one group, over as many SSH connections on both sides.
func eqlxComparison(name string, clients, connections int, ours, cinder func(*eqlxSite) error) (comparison, *shared[*eqlxSite]) {
	site := &shared[*eqlxSite]{open: func() (*eqlxSite, error) { return newEqlxSite(connections) }}
	work := func(do func(*eqlxSite) error) func(*testing.B) error {
		return site.with(func(b *testing.B, s *eqlxSite) error {
			return times(b, clients, func() error { return do(s) })
		})
	}
	return comparison{
		name:  name,
		ours:  contender{"ours", work(ours)},
		peers: []contender{{"cinder-way", work(cinder)}},
		close: site.close,
	}, site
}

// eqlxGet is one command, over one connection; and how often each side waits for the group.
func eqlxGet() comparison {
	c, site := eqlxComparison("eqlx-get", 1, 1, (*eqlxSite).getOurs, (*eqlxSite).getCinder)
	c.more = func(w io.Writer) error {
		s, err := site.get()
		if err != nil {
			return err
		}
		ours, err := perCommand(&s.oursTurns, s.getOurs)
		if err != nil {
			return err
		}
		cinder, err := perCommand(&s.peerTurns, s.getCinder)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "bench: %s round-trips ours=%.2f cinder-way=%.2f ratio=%.2f\n", c.name, ours, cinder, cinder/ours)
		return err
	}
	return c
}

func perCommand(count *atomic.Int64, work func() error) (float64, error) {
	const commands = 1000
	before := count.Load()
	for range commands {
		if err := work(); err != nil {
			return 0, err
		}
	}
	return float64(count.Load()-before) / commands, nil
}

// eqlxLife is create, connect, disconnect and delete: ten commands of ours, nine of Cinder's.
func eqlxLife() comparison {
	c, _ := eqlxComparison("eqlx-create-connect-disconnect-delete", 1, 1, (*eqlxSite).lifeOurs, (*eqlxSite).lifeCinder)
	return c
}

// eqlxGet64 is eqlxGet by 64 goroutines over five connections, which is Cinder's ssh_max_pool_conn.
func eqlxGet64() comparison {
	c, _ := eqlxComparison("eqlx-get-64-clients", 64, 5, (*eqlxSite).getOurs, (*eqlxSite).getCinder)
	return c
}

func eqlxLife64() comparison {
	c, _ := eqlxComparison("eqlx-create-connect-disconnect-delete-64-clients", 64, 5, (*eqlxSite).lifeOurs, (*eqlxSite).lifeCinder)
	return c
}
