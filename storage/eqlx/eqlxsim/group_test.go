package eqlxsim_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "secret"

func serve(t testing.TB, c eqlxsim.Config) (*eqlxsim.Group, string) {
	t.Helper()
	c.Password = password
	group, err := eqlxsim.New(c)
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- group.Serve(ctx, listener) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.Zero(t, group.Sessions())
	})
	return group, listener.Addr().String()
}

func dial(t testing.TB, group *eqlxsim.Group, address string) *ssh.Client {
	t.Helper()
	client, err := ssh.Dial("tcp", address, &ssh.ClientConfig{
		User: group.Username(), Auth: []ssh.AuthMethod{ssh.Password(group.Password())}, HostKeyCallback: ssh.FixedHostKey(group.HostKey()),
	})
	require.NoError(t, err)
	t.Cleanup(func() { client.Close() })
	return client
}

// A console speaks to a shell as Cinder's driver did: a CR, then all up to the prompt.
type console struct {
	t      testing.TB
	in     io.Writer
	out    io.Reader
	prompt string
}

func shell(t testing.TB, group *eqlxsim.Group, address string) (*console, string) {
	t.Helper()
	s, err := dial(t, group, address).NewSession()
	require.NoError(t, err)
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.Shell())
	c := &console{t: t, in: in, out: out, prompt: group.Name() + "> "}
	return c, c.until(c.prompt)
}

// until reads up to the end of text and returns all of it.
func (c *console) until(text string) string {
	c.t.Helper()
	var all strings.Builder
	b := make([]byte, 1)
	for !strings.HasSuffix(all.String(), text) {
		if _, err := io.ReadFull(c.out, b); err != nil {
			c.t.Fatalf("%v after %q, expected %q", err, all.String(), text)
		}
		all.Write(b)
	}
	return all.String()
}

func (c *console) send(line string) {
	c.t.Helper()
	_, err := c.in.Write([]byte(line + "\r"))
	require.NoError(c.t, err)
}

func (c *console) run(line string) string {
	c.t.Helper()
	c.send(line)
	return c.until("\n" + c.prompt)
}

// setup is what keeps the group from asking and paging.
func (c *console) setup() {
	for _, line := range []string{"stty columns 255", "cli-settings confirmation off", "cli-settings paging off"} {
		c.run(line)
	}
}

// The bytes of a session, as far as they are known.
func TestBytes(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{Banner: "Welcome\nto the group"})
	c, greeting := shell(t, group, address)
	require.Equal(t, "Welcome\r\nto the group\r\ngroup-0> ", greeting)
	require.Equal(t, "stty columns 255\r\ngroup-0> ", c.run("stty columns 255"))
	c.setup()
	require.Regexp(t, `^volume create v 1G thin-provision\r\nVolume creation succeeded\.\r\niSCSI target name is iqn\.2001-05\.com\.equallogic:0-8a0906-[0-9a-f]+-[0-9a-f]+-v\.\r\ngroup-0> $`, c.run("volume create v 1G thin-provision"))
	require.Contains(t, c.run("pool select default show"), "show\r\nTotalCapacity: 1000GB\r\nFreeSpace: 999.9GB\r\nVolumeReportedSpace: 1GB\r\nTotalVolumes: 1\r\n")
	require.Equal(t, "volume select v access show\r\ngroup-0> ", c.run("volume select v access show"))
	c.run("volume select v access create initiator iqn.1993-08.org.debian:01:a0b1c2d3e4f5")
	// The layout of Cinder's fixture [T].
	require.Equal(t, strings.Join([]string{"volume select v access show",
		"ID  Initiator       Ipaddress     AuthMethod UserName   Apply-To",
		"--- --------------- ------------- ---------- ---------- --------",
		"1   iqn.1993-08.org.debian:01:a0b *.*.*.*       none                  both",
		"       1c2d3e4f5 ", "group-0> "}, "\r\n"), c.run("volume select v access show"))
	require.Regexp(t, `\r\nSnapshot name is v-\d{4}-\d\d-\d\d-\d\d:\d\d:\d\d\.\d+\r\n`, c.run("volume select v snapshot create-now"))
	require.Equal(t, "volume delete v\r\n% Error - Volume is online.\r\ngroup-0> ", c.run("volume delete v"))
	require.Equal(t, "volume delete w\r\n% Error - Volume w does not exist.\r\ngroup-0> ", c.run("volume delete w"))
	require.Contains(t, c.run("VOLUME SELECT V SHOW"), "\r\nSnapshots: 1\r\n", "case does not count")
	require.Equal(t, "\r\ngroup-0> ", c.run(""))
}

func TestQuirks(t *testing.T) {
	t.Run("no echo, terse", func(t *testing.T) {
		group, address := serve(t, eqlxsim.Config{Quirks: eqlxsim.Quirks{NoEcho: true, Terse: true, ShortShow: true}})
		c, _ := shell(t, group, address)
		c.send("volume create v 1G")
		require.True(t, strings.HasPrefix(c.until(c.prompt), "iSCSI target name is "))
		c.send("volume select v show")
		require.Equal(t, 3, strings.Count(c.until(c.prompt), "\r\n"))
	})
	t.Run("prefill", func(t *testing.T) {
		group, address := serve(t, eqlxsim.Config{Quirks: eqlxsim.Quirks{Prefill: true}})
		c, _ := shell(t, group, address)
		c.send("volume bad")
		c.until("% Error - Bad command\r\ngroup-0> volume bad")
		c.send("der")
		c.until("group-0> volume badder")
		require.Equal(t, "volume badder", group.Commands()[1].Line)
	})
	t.Run("close after error", func(t *testing.T) {
		group, address := serve(t, eqlxsim.Config{Quirks: eqlxsim.Quirks{CloseAfterError: true}})
		c, _ := shell(t, group, address)
		c.send("volume bad")
		c.until("% Error - Bad command\r\n")
		_, err := c.out.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
	t.Run("other words", func(t *testing.T) {
		group, address := serve(t, eqlxsim.Config{Errors: map[string]string{"Volume %s does not exist.": "No volume here."}})
		c, _ := shell(t, group, address)
		require.Contains(t, c.run("volume select x show"), "% Error - No volume here.\r\n")
	})
}

// A client that does not set its shell up gets what a person gets.
func TestUnsetShell(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	for i := range 30 {
		require.NoError(t, group.AddVolume(eqlxsim.Volume{Name: fmt.Sprint("v", i), SizeMB: 1024, Description: strings.Repeat("x", 100)}))
	}
	c, _ := shell(t, group, address)
	require.Contains(t, c.run("volume select v1 show"), strings.Repeat("x", 67)+"\r\n"+strings.Repeat("x", 33)+"\r\n", "80 columns")
	c.send("volume select v1 offline")
	c.until("(y/n) [n]")
	c.send("n")
	c.until(c.prompt)
	require.True(t, group.Volumes()[1].Online)
	c.send("volume select v1 offline")
	c.until("(y/n) [n]")
	c.send("y")
	c.until(c.prompt)
	c.send("volume show")
	c.until("Press any key to continue (Q to quit)")
}

func TestSessionLimit(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{MaxSessions: 1})
	first := dial(t, group, address)
	second := dial(t, group, address)
	_, err := second.NewSession()
	var refused *ssh.OpenChannelError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, ssh.ResourceShortage, refused.Reason)
	require.Equal(t, 1, group.Sessions())
	require.NoError(t, first.Close())
	require.Eventually(t, func() bool { return group.Sessions() == 0 }, 5*time.Second, time.Millisecond)
	shell(t, group, address)
}

func TestOnlyShells(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	s, err := dial(t, group, address).NewSession()
	require.NoError(t, err)
	require.Error(t, s.Run("volume show"), "exec")
	_, err = ssh.Dial("tcp", address, &ssh.ClientConfig{User: "grpadmin", Auth: []ssh.AuthMethod{ssh.Password("wrong")}, HostKeyCallback: ssh.FixedHostKey(group.HostKey())})
	require.Error(t, err)
}

// What a group does when nobody looks first.
func TestHazards(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{})
	require.NoError(t, group.AddVolume(eqlxsim.Volume{Name: "v", SizeMB: 2048, Connections: 2}))
	_, err := group.AddSnapshot("v")
	require.NoError(t, err)
	c, _ := shell(t, group, address)
	c.setup()
	require.Contains(t, c.run("volume select v size 1G no-snap"), "% Error")
	c.run("volume select v size 3G")
	require.Len(t, group.Volumes()[0].Snapshots, 2, "an extend without no-snap leaves one")
	c.run("volume select v offline")
	require.Equal(t, 2, group.Kicked())
	c.run("volume delete v")
	require.Empty(t, group.Volumes(), "with its snapshots")
	require.Error(t, group.SetConnections("v", 1))
	_, err = group.AddSnapshot("v")
	require.Error(t, err)
}

func TestSpace(t *testing.T) {
	group, address := serve(t, eqlxsim.Config{Pools: []eqlxsim.Pool{{Name: "default", CapacityGB: 10}, {Name: "b", CapacityGB: 10}}})
	c, _ := shell(t, group, address)
	for line, ok := range map[string]bool{
		"volume create a 11G thin-provision": false, "volume create b 11G pool b": false, "volume create c 1G pool x": false,
	} {
		require.Equal(t, !ok, strings.Contains(c.run(line), "% Error"), line)
	}
	for i := range 5 {
		c.run(fmt.Sprintf("volume create t%d 10G thin-provision", i))
	}
	require.Contains(t, c.run("pool select default show"), "FreeSpace: 5GB\r\nVolumeReportedSpace: 50GB")
	require.Contains(t, c.run("volume select t1 clone t1"), "already exists")
}

func TestConfigProblems(t *testing.T) {
	_, err := eqlxsim.New(eqlxsim.Config{Name: "a b", IPAddress: "x", Pools: []eqlxsim.Pool{{Name: "p", CapacityGB: 0}, {Name: "p", CapacityGB: 1}}, MaxSessions: -1,
		Quirks: eqlxsim.Quirks{NameColumns: 1}, Errors: map[string]string{"x": "y"}})
	require.ErrorIs(t, err, eqlxsim.ErrConfig)
	require.Equal(t, 7, strings.Count(err.Error(), "bad config"))
	_, err = eqlxsim.ParseLoss("all")
	require.ErrorIs(t, err, eqlxsim.ErrConfig)
	for l := eqlxsim.LoseNothing; l <= eqlxsim.Hang; l++ {
		got, err := eqlxsim.ParseLoss(l.String())
		require.NoError(t, err)
		require.Equal(t, l, got)
	}
}

// FuzzCommand sends lines: the group answers each with its prompt and keeps its rules.
func FuzzCommand(f *testing.F) {
	for _, line := range []string{"volume create v 1G", "volume select v snapshot create-now", "volume select v show", `volume select v description "a b`, "stty columns 1",
		"volume rename v w", "volume select v access create initiator iqn.x:a authmethod chap username u", "pool select default show", "grpparams show", "volume select v clone w description 'x'"} {
		f.Add("volume create v 1G\r" + line)
	}
	group, address := serve(f, eqlxsim.Config{})
	var mu sync.Mutex
	f.Fuzz(func(t *testing.T, text string) {
		mu.Lock()
		defer mu.Unlock()
		if lower := strings.ToLower(text); len(text) > 2000 || strings.Contains(lower, "group-0") || strings.Contains(lower, "cli-settings") {
			t.Skip()
		}
		c, _ := shell(t, group, address)
		c.setup()
		for _, line := range strings.FieldsFunc(text, func(r rune) bool { return r == '\r' || r == '\n' }) {
			c.run(line)
		}
		for _, v := range group.Volumes() {
			require.Positive(t, v.SizeMB)
			require.NotEmpty(t, v.IQN)
		}
		if len(group.Volumes()) > 50 {
			for _, v := range group.Volumes() {
				c.run("volume select " + v.Name + " offline")
				c.run("volume delete " + v.Name)
			}
		}
	})
}

func Example() {
	group, err := eqlxsim.New(eqlxsim.Config{Name: "rack1", Password: "secret", Pools: []eqlxsim.Pool{{Name: "default", CapacityGB: 100}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	done := make(chan error)
	go func() { done <- group.Serve(ctx, listener) }()

	client, err := ssh.Dial("tcp", listener.Addr().String(), &ssh.ClientConfig{
		User: "grpadmin", Auth: []ssh.AuthMethod{ssh.Password("secret")}, HostKeyCallback: ssh.FixedHostKey(group.HostKey()),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	session, err := client.NewSession()
	if err != nil {
		fmt.Println(err)
		return
	}
	session.Stdin = strings.NewReader("volume create v 1G thin-provision\r")
	_ = session.Shell()
	_ = session.Wait() // until the group sees the end of the input
	for _, v := range group.Volumes() {
		fmt.Println(v.Name, v.SizeMB, v.Thin)
	}
	_ = client.Close()
	stop()
	fmt.Println(<-done)
	// Output:
	// v 1024 true
	// <nil>
}
