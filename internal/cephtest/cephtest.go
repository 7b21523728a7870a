// Package cephtest starts a real Ceph cluster for tests: a monitor, a manager and an OSD with
// BlueStore on a sparse file, from Debian's packages, on loopback and in a directory of its own.
// It needs no root, no systemd and no ceph user.
//
//	cluster, err := cephtest.Start(ctx, &cephtest.Options{Pools: []string{"volumes"}})
//	if errors.Is(err, cephtest.ErrMissing) {
//		t.Skip(err)
//	}
//	defer cluster.Close()
//
// Besides client.admin there is client.cinder with what Cinder's documentation gives it: "profile
// rbd" on the pools, and nothing else. What a driver may do has to be tried as that user.
//
// # Errors
//
// ErrMissing: a program of Ceph is not installed. With CROWBAR_TEST_CEPH=require in the
// environment (as in `make test-ceph`) Get fails the test then instead of skipping it.
//
// # Concurrency
//
// The commands of a Cluster may be run by many goroutines; stopping and starting is for one.
package cephtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// ErrMissing is that a program is not installed.
var ErrMissing = errors.New("cephtest: not installed")

// programs are what a cluster needs; Debian has them in ceph-mon, ceph-mgr, ceph-osd and ceph-common.
var programs = []string{"ceph-mon", "ceph-mgr", "ceph-osd", "ceph", "rbd", "ceph-authtool", "monmaptool"}

const (
	fsid    = "6b1f6e2c-9c2e-4d7e-8f0e-0c5a4b7d1e55"
	osdUUID = "0f0b8c9e-3c83-4a3b-9a52-8c1d1f1f9a10"
	// startTimeout is generous: a loaded machine needs a minute for what takes seven seconds.
	startTimeout = 3 * time.Minute
	stopTimeout  = 20 * time.Second
)

// Options of a Cluster; the zero value is useful.
type Options struct {
	// Pools are created with 8 placement groups each and initialised for rbd; nil = volumes, images.
	Pools []string
	// SizeBytes is the OSD's capacity; 0 = 4 GiB. The file is sparse.
	SizeBytes int64
}

// A Cluster is a running Ceph cluster.
type Cluster struct {
	Dir      string // everything the cluster has; removed by Close
	ConfFile string // ceph.conf with the keyrings of client.admin and client.cinder
	FSID     string
	MonPort  int // msgr v2; v1 is the next one

	mu      sync.Mutex
	daemons map[string]*daemon
}

type daemon struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed after Wait
}

// Missing returns ErrMissing with the names of the programs that are not installed, or nil.
func Missing() error {
	var missing []string
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s (Debian: ceph-mon ceph-mgr ceph-osd ceph-common)", ErrMissing, strings.Join(missing, ", "))
}

// Required reports whether a missing cluster is a failure and not a reason to skip.
func Required() bool { return os.Getenv("CROWBAR_TEST_CEPH") == "require" }

// A Shared cluster is started by the first test that wants it. Its zero value is ready.
type Shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

// Get returns the cluster. Where Ceph is not installed the test is skipped, or fails if Required.
func (s *Shared) Get(t testing.TB) *Cluster {
	t.Helper()
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		s.cluster, s.err = Start(ctx, nil)
	})
	if errors.Is(s.err, ErrMissing) && !Required() {
		t.Skip(s.err)
	}
	if s.err != nil {
		t.Fatalf("no Ceph cluster: %v", s.err)
	}
	return s.cluster
}

// Close stops the cluster if it was started. TestMain calls it.
func (s *Shared) Close() error {
	if s.cluster == nil {
		return nil
	}
	return s.cluster.Close()
}

// Start starts a cluster and waits until it can be used: placement groups active and clean, and
// the manager's first digest out, before which stats are empty and pools seem to be missing.
func Start(ctx context.Context, opts *Options) (_ *Cluster, err error) {
	if err := Missing(); err != nil {
		return nil, err
	}
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Pools == nil {
		o.Pools = []string{"volumes", "images"}
	}
	if o.SizeBytes == 0 {
		o.SizeBytes = 4 << 30
	}
	dir, err := os.MkdirTemp("", "cephtest-") // short: a socket's path has at most 107 bytes
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, ConfFile: filepath.Join(dir, "ceph.conf"), FSID: fsid, daemons: map[string]*daemon{}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("start a Ceph cluster: %w", errors.Join(err, c.logs(), c.Close()))
		}
	}()
	if c.MonPort, err = freePorts(); err != nil {
		return nil, err
	}
	for _, sub := range []string{"mon.a", "mgr.x", "osd.0", "run", "log"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(c.ConfFile, c.conf(o.SizeBytes), 0o600); err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{
		c.startMon, c.startMgr, c.firstOSD,
		func(ctx context.Context) error { return c.createPools(ctx, o.Pools) },
		func(ctx context.Context) error { return c.WaitReady(ctx, o.Pools...) },
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Cluster) startMon(ctx context.Context) error {
	admin, mon := c.path("ceph.client.admin.keyring"), c.path("mon.keyring")
	all := []string{"--cap", "osd", "allow *", "--cap", "mds", "allow *", "--cap", "mgr", "allow *"}
	if _, err := c.run(ctx, nil, "ceph-authtool", append([]string{"--create-keyring", admin, "--gen-key", "-n", "client.admin", "--cap", "mon", "allow *"}, all...)...); err != nil {
		return err
	}
	if err := copyFile(mon, admin); err != nil {
		return err
	}
	if _, err := c.run(ctx, nil, "ceph-authtool", mon, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *"); err != nil {
		return err
	}
	addresses := fmt.Sprintf("[v2:127.0.0.1:%d,v1:127.0.0.1:%d]", c.MonPort, c.MonPort+1)
	if _, err := c.run(ctx, nil, "monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", addresses, c.path("monmap")); err != nil {
		return err
	}
	if _, err := c.run(ctx, nil, "ceph-mon", "-c", c.ConfFile, "--mkfs", "-i", "a", "--monmap", c.path("monmap"), "--keyring", mon); err != nil {
		return err
	}
	if err := copyFile(c.path("mon.a/keyring"), mon); err != nil {
		return err
	}
	if err := c.start("ceph-mon", "a"); err != nil {
		return err
	}
	return c.poll(ctx, "the monitor's quorum", func(ctx context.Context) error {
		_, err := c.Ceph(ctx, "--connect-timeout", "5", "quorum_status")
		return err
	})
}

func (c *Cluster) startMgr(ctx context.Context) error {
	key, err := c.Ceph(ctx, "auth", "get-or-create", "mgr.x", "mon", "allow profile mgr", "osd", "allow *", "mds", "allow *")
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.path("mgr.x/keyring"), key, 0o600); err != nil {
		return err
	}
	return c.start("ceph-mgr", "x")
}

func (c *Cluster) firstOSD(ctx context.Context) error {
	secret, err := c.run(ctx, nil, "ceph-authtool", "--gen-print-key")
	if err != nil {
		return err
	}
	secret = bytes.TrimSpace(secret)
	if _, err := c.run(ctx, fmt.Appendf(nil, `{"cephx_secret":%q}`, secret), "ceph", "osd", "new", osdUUID, "0", "-i", "-"); err != nil {
		return err
	}
	if _, err := c.run(ctx, nil, "ceph-authtool", "--create-keyring", c.path("osd.0/keyring"), "--name", "osd.0", "--add-key", string(secret)); err != nil {
		return err
	}
	if _, err := c.run(ctx, nil, "ceph-osd", "-c", c.ConfFile, "-i", "0", "--mkfs", "--osd-uuid", osdUUID); err != nil {
		return err
	}
	return c.StartOSD(ctx)
}

// StartOSD starts the OSD that StopOSD stopped, with its data, and waits until it is up.
func (c *Cluster) StartOSD(ctx context.Context) error {
	// The monitor takes an OSD that was killed for alive until it hears of the next one: only a
	// new epoch is the new process.
	before, err := c.upFrom(ctx)
	if err != nil {
		return err
	}
	if err := c.start("ceph-osd", "0"); err != nil {
		return err
	}
	return c.poll(ctx, "the OSD", func(ctx context.Context) error {
		now, err := c.upFrom(ctx)
		if err == nil && now <= before {
			err = errors.New("osd.0 is not up")
		}
		return err
	})
}

// upFrom returns the epoch in which the OSD came up.
func (c *Cluster) upFrom(ctx context.Context) (int, error) {
	raw, err := c.Ceph(ctx, "osd", "dump", "--format", "json")
	if err != nil {
		return 0, err
	}
	var dump struct {
		OSDs []struct {
			UpFrom int `json:"up_from"`
		} `json:"osds"`
	}
	if err := json.Unmarshal(raw, &dump); err != nil || len(dump.OSDs) != 1 {
		return 0, fmt.Errorf("osd dump: %w: %s", err, raw)
	}
	return dump.OSDs[0].UpFrom, nil
}

// restartMgr starts the mgr, which answers for the placement groups, anew. Now and then one of
// 16.2.15 lives and answers nobody after its OSD was killed.
func (c *Cluster) restartMgr() error {
	fmt.Fprintln(os.Stderr, "cephtest: the mgr does not answer; starting it anew")
	return errors.Join(c.stop("ceph-mgr", syscall.SIGKILL), c.start("ceph-mgr", "x"))
}

// StopOSD stops the OSD: every operation on objects hangs from now on. SIGTERM ends it in order
// and the monitor knows at once; SIGKILL is a power cut.
func (c *Cluster) StopOSD(s syscall.Signal) error { return c.stop("ceph-osd", s) }

// PauseOSD makes the OSD stand still with its connections open, as a machine that hangs does.
func (c *Cluster) PauseOSD() error { return c.signal("ceph-osd", syscall.SIGSTOP) }

// ResumeOSD lets a paused OSD go on.
func (c *Cluster) ResumeOSD() error { return c.signal("ceph-osd", syscall.SIGCONT) }

func (c *Cluster) createPools(ctx context.Context, pools []string) error {
	var osd, mgr []string
	for _, pool := range pools {
		for _, args := range [][]string{
			{"osd", "pool", "create", pool, "8", "8", "replicated"},
			{"osd", "pool", "application", "enable", pool, "rbd"},
		} {
			if _, err := c.Ceph(ctx, args...); err != nil {
				return err
			}
		}
		if _, err := c.RBD(ctx, "pool", "init", pool); err != nil {
			return err
		}
		osd, mgr = append(osd, "profile rbd pool="+pool), append(mgr, "profile rbd pool="+pool)
	}
	key, err := c.Ceph(ctx, "auth", "get-or-create", "client.cinder",
		"mon", "profile rbd", "osd", strings.Join(osd, ", "), "mgr", strings.Join(mgr, ", "))
	if err != nil {
		return err
	}
	return os.WriteFile(c.path("ceph.client.cinder.keyring"), key, 0o600)
}

// WaitReady waits until placement groups are active and clean and the pools have stats.
func (c *Cluster) WaitReady(ctx context.Context, pools ...string) error {
	err := c.poll(ctx, "placement groups", func(try context.Context) error {
		out, err := c.Ceph(try, "pg", "stat")
		if try.Err() != nil && ctx.Err() == nil {
			return errors.Join(err, c.restartMgr())
		}
		if err != nil {
			return err
		}
		var total, clean int
		if _, err := fmt.Sscanf(string(out), "%d pgs: %d active+clean;", &total, &clean); err != nil || clean != total || total < 8*len(pools) {
			return fmt.Errorf("not active and clean: %s", out)
		}
		return nil
	})
	for _, pool := range pools {
		if err == nil {
			err = c.poll(ctx, "the stats of pool "+pool, func(ctx context.Context) error {
				_, err := c.Ceph(ctx, "osd", "pool", "get-quota", pool)
				return err
			})
		}
		// After a restart the placement groups' states are those of before for a moment.
		if err == nil {
			_, err = c.RBD(ctx, "ls", pool)
		}
	}
	return err
}

// Ceph runs the ceph command as client.admin and returns its output.
func (c *Cluster) Ceph(ctx context.Context, args ...string) ([]byte, error) {
	return c.run(ctx, nil, "ceph", args...)
}

// RBD runs the rbd command as client.admin and returns its output.
func (c *Cluster) RBD(ctx context.Context, args ...string) ([]byte, error) {
	return c.run(ctx, nil, "rbd", args...)
}

// Close stops the daemons and removes the directory.
func (c *Cluster) Close() error {
	var errs []error
	for _, name := range []string{"ceph-osd", "ceph-mgr", "ceph-mon"} {
		errs = append(errs, c.stop(name, syscall.SIGTERM))
	}
	return errors.Join(append(errs, os.RemoveAll(c.Dir))...)
}

func (c *Cluster) path(name string) string { return filepath.Join(c.Dir, name) }

// run runs a command on the cluster.
func (c *Cluster) run(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "CEPH_CONF="+c.ConfFile)
	cmd.Stdin = bytes.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// oneTry is the longest that one question may take.
const oneTry = 20 * time.Second

// poll tries until it works, a daemon dies or the context ends.
func (c *Cluster) poll(ctx context.Context, what string, try func(context.Context) error) error {
	for {
		bounded, cancel := context.WithTimeout(ctx, oneTry)
		err := try(bounded)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; last: %w", what, ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
		if dead := c.dead(); dead != "" {
			return fmt.Errorf("wait for %s: %s has ended: %w", what, dead, err)
		}
	}
}

func (c *Cluster) dead() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, d := range c.daemons {
		select {
		case <-d.exited:
			return name
		default:
		}
	}
	return ""
}

// start starts a daemon in the foreground, as a child that dies with this process.
func (c *Cluster) start(name, id string) error {
	cmd := exec.Command(name, "-f", "-c", c.ConfFile, "-i", id)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := os.OpenFile(c.path("log/"+name+".out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		return err
	}
	d := &daemon{cmd: cmd, exited: make(chan struct{})}
	go func() {
		defer close(d.exited)
		_ = cmd.Wait() // ends by a signal
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.daemons[name] = d
	return nil
}

func (c *Cluster) signal(name string, s syscall.Signal) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.daemons[name]
	if d == nil {
		return fmt.Errorf("%s does not run", name)
	}
	return d.cmd.Process.Signal(s)
}

func (c *Cluster) stop(name string, s syscall.Signal) error {
	c.mu.Lock()
	d := c.daemons[name]
	delete(c.daemons, name)
	c.mu.Unlock()
	if d == nil {
		return nil
	}
	// A paused daemon takes no other signal. One that has ended takes none at all.
	_ = d.cmd.Process.Signal(syscall.SIGCONT)
	_ = d.cmd.Process.Signal(s)
	select {
	case <-d.exited:
		return nil
	case <-time.After(stopTimeout):
	}
	_ = d.cmd.Process.Kill()
	<-d.exited
	return fmt.Errorf("%s had to be killed: it did not end within %v", name, stopTimeout)
}

// logs returns the ends of the daemons' outputs as an error, to see why a start failed.
func (c *Cluster) logs() error {
	var errs []error
	files, _ := filepath.Glob(c.path("log/*"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err == nil && len(text) > 0 {
			errs = append(errs, fmt.Errorf("%s: %s", filepath.Base(file), text[max(0, len(text)-2000):]))
		}
	}
	return errors.Join(errs...)
}

// freePorts returns a port that is free as is the next one. They are below those that the kernel
// gives to clients, which keep them for a minute after: beside a test with many connections
// hardly one of those has a free neighbour.
func freePorts() (int, error) {
	for range 100 {
		port := 10240 + rand.IntN(22000)
		first, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		second, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+1))
		first.Close()
		if err == nil {
			second.Close()
			return port, nil
		}
	}
	return 0, errors.New("no two free ports in a row on 127.0.0.1")
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
