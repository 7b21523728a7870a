//go:build ceph && cgo

package rbd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ceph/go-ceph/rados"
	"github.com/ceph/go-ceph/rbd"

	"github.com/crowbarkit/crowbarkit/storage"
)

// A session is one connection to the cluster, shared by all calls. librados connects again to
// monitors and OSDs by itself; a session is given up when a call timed out or the cluster has
// shut this client out, and the next call makes a new one.
type session struct {
	conn     *rados.Conn
	io       *rados.IOContext
	pool     string
	fsid     string
	client   int64  // this connection, as images know their watchers
	features uint64 // of new images
	// protect: snapshots must be protected before they can be cloned, and flattened before they
	// can be deleted, because the cluster still lets clients in that know only that (clone v1).
	protect atomic.Bool

	users sync.WaitGroup
}

// sessions keeps the present session.
type sessions struct {
	config Config
	log    *slog.Logger
	clock  storage.Clock

	turn    chan struct{} // one element: who connects
	mu      sync.Mutex
	present *session
	closing sync.WaitGroup // of sessions that were given up
}

// use returns the session, connecting if there is none, and how to let go of it.
func (s *sessions) use(ctx context.Context) (*session, func(), error) {
	if present := s.get(); present != nil {
		return present, present.users.Done, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if present := s.get(); present != nil {
		return present, present.users.Done, nil
	}
	for try := 0; ; try++ {
		made, err := s.connect()
		if err == nil {
			made.users.Add(1)
			s.mu.Lock()
			s.present = made
			s.mu.Unlock()
			return made, made.users.Done, nil
		}
		// What a retry cannot mend: no such user, key, pool or file.
		if c := code(err); try >= s.config.ConnectRetries || c == 0 || c == syscall.EPERM || c == syscall.EACCES || c == syscall.ENOENT || c == syscall.EINVAL {
			return nil, nil, err
		}
		select {
		case <-s.clock.After(s.config.ConnectInterval):
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

func (s *sessions) get() *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.present != nil {
		s.present.users.Add(1)
	}
	return s.present
}

// lose gives a session up. Calls that use it end first. Then the cluster is told to shut it out:
// what of it is still under way will not happen later, and images that it could not close lose
// their watchers now and not after half a minute, in which they could not be deleted.
func (s *sessions) lose(lost *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.present != lost {
		return
	}
	s.present = nil
	s.closing.Go(func() {
		lost.users.Wait()
		if err := lost.fence(); err != nil {
			s.log.Info("the connection that was given up is not shut out", "error", err)
		}
		lost.end()
	})
}

// fenceSeconds outlast the watches of a client, which OSDs keep for 30 seconds. The monitor wants
// a fraction in it.
const fenceSeconds = "120.0"

func (s *session) fence() error {
	address, err := s.conn.GetAddrs()
	if err != nil {
		return err
	}
	raw, err := json.Marshal(map[string]any{"prefix": "osd blocklist", "blocklistop": "add", "addr": address, "expire": json.RawMessage(fenceSeconds)})
	if err != nil {
		return err
	}
	_, _, err = s.conn.MonCommand(raw)
	return err
}

func (s *session) end() {
	s.io.Destroy()
	s.conn.Shutdown()
}

// close ends all sessions. No call runs any more.
func (s *sessions) close() {
	s.mu.Lock()
	present := s.present
	s.present = nil
	s.mu.Unlock()
	if present != nil {
		present.end()
	}
	s.closing.Wait()
}

// A connection has 12 threads and 33 file descriptors, and those of its sockets to more OSDs.
const descriptors = 64

// room says whether there are file descriptors for a connection. librados does not: when it gets
// none it throws a std::system_error, which ends the process. So it does for threads, but nobody
// can tell how many are left.
func room() error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil && !errors.Is(err, os.ErrNotExist) || uint64(len(open)+descriptors) > limit.Cur {
		return errors.Join(fmt.Errorf("rbd: %d of %d file descriptors are open, a connection needs up to %d; raise the limit", len(open), limit.Cur, descriptors), err)
	}
	return nil
}

func (s *sessions) connect() (_ *session, err error) {
	if err := room(); err != nil {
		return nil, err
	}
	what := fmt.Sprintf("connect to cluster %q as client.%s", s.config.ClusterName, s.user())
	conn, err := rados.NewConnWithClusterAndUser(s.config.ClusterName, "client."+s.user())
	if err != nil {
		return nil, fmt.Errorf("rbd: %s: %w", what, err)
	}
	connected := false
	defer func() {
		switch {
		case err == nil:
		case connected:
			conn.Shutdown()
		default:
			abandon(conn)
		}
	}()
	if s.config.ConfigFile != "" {
		err = conn.ReadConfigFile(s.config.ConfigFile)
	} else {
		err = conn.ReadDefaultConfigFile()
	}
	if err != nil {
		return nil, fmt.Errorf("rbd: read the cluster's configuration %q: %w", s.config.ConfigFile, err)
	}
	// Before connecting, or they have no effect: rados_connect has no timeout of its own, and
	// I/O on placement groups that are down waits for ever.
	seconds := strconv.FormatFloat(s.config.Timeout.Seconds(), 'f', -1, 64)
	for _, name := range []string{"rados_mon_op_timeout", "rados_osd_op_timeout", "client_mount_timeout"} {
		if err := conn.SetConfigOption(name, seconds); err != nil {
			return nil, fmt.Errorf("rbd: set %s: %w", name, err)
		}
	}
	// A write that the cache took and the cluster then refused, as a full pool does, was seen to be
	// reported by nobody, not even by the flush.
	if err := conn.SetConfigOption("rbd_cache", "false"); err != nil {
		return nil, fmt.Errorf("rbd: set rbd_cache: %w", err)
	}
	if err := conn.Connect(); err != nil {
		return nil, fmt.Errorf("rbd: %s: %w", what, err)
	}
	connected = true
	made := &session{conn: conn, pool: s.config.Pool, client: int64(conn.GetInstanceID())}
	if made.fsid, err = conn.GetFSID(); err != nil {
		return nil, fmt.Errorf("rbd: %s: %w", what, err)
	}
	if made.io, err = conn.OpenIOContext(s.config.Pool); err != nil {
		return nil, fmt.Errorf("rbd: open pool %q: %w", s.config.Pool, err)
	}
	// In a full pool writes then fail at once, and deletions, which make room, go on. Else both wait.
	if err := made.io.SetPoolFullTry(); err != nil {
		made.io.Destroy()
		return nil, fmt.Errorf("rbd: pool %q: %w", s.config.Pool, err)
	}
	made.features, _ = featureBits(s.config.Features) // checked with the configuration
	if made.features == 0 {
		made.features = defaultFeatures(conn)
	}
	if s.config.Multiattach {
		made.features &^= singleWriter
	}
	made.protect.Store(!cloneV2(conn))
	return made, nil
}

func (s *sessions) user() string {
	if s.config.User == "" {
		return "admin"
	}
	return s.config.User
}

const (
	// singleWriter are the features by which one client at a time may write.
	singleWriter = featureExclusiveLock | featureObjectMap | featureFastDiff | featureJournaling
	// librbdDefault are librbd's own default features.
	librbdDefault = featureLayering | featureExclusiveLock | featureObjectMap | featureFastDiff | featureDeepFlatten
)

// defaultFeatures is the cluster's rbd_default_features: a sum of bits or a list of names.
func defaultFeatures(conn *rados.Conn) uint64 {
	text, err := conn.GetConfigOption("rbd_default_features")
	if err != nil {
		return librbdDefault
	}
	if bits, err := strconv.ParseUint(text, 0, 64); err == nil && bits != 0 {
		return bits
	}
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		names = append(names, strings.TrimSpace(name))
	}
	if bits, err := featureBits(names); err == nil && bits != 0 {
		return bits
	}
	return librbdDefault
}

// cloneV2 decides as librbd does: by rbd_default_clone_format, or by whether all clients that
// the cluster lets in know clone v2, which came with Mimic.
func cloneV2(conn *rados.Conn) bool {
	if format, err := conn.GetConfigOption("rbd_default_clone_format"); err == nil && format != "auto" {
		return format == "2"
	}
	raw, _, err := conn.MonCommand([]byte(`{"prefix":"osd get-require-min-compat-client"}`))
	return err == nil && knowsCloneV2(string(raw))
}

// command asks the monitors.
func (s *session) command(prefix string, arguments map[string]string) ([]byte, error) {
	command := map[string]string{"prefix": prefix, "format": "json"}
	for name, value := range arguments {
		command[name] = value
	}
	raw, err := json.Marshal(command)
	if err != nil {
		return nil, err
	}
	answer, status, err := s.conn.MonCommand(raw)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("rbd: %s: %w", prefix, err), text(status))
	}
	return answer, nil
}

func text(s string) error {
	if s == "" {
		return nil
	}
	return errors.New(s)
}

// view opens an image for reading, which leaves no watcher on it.
func (s *session) view(name string) (*rbd.Image, error) {
	return s.open(name, rbd.OpenImageReadOnly)
}

// edit opens an image for changes.
func (s *session) edit(name string) (*rbd.Image, error) {
	return s.open(name, rbd.OpenImage)
}

// errOrphan is that an image is there, with its data, but not what it stands on. librbd says of it
// what it says of an image that is not there.
var errOrphan = errors.New("rbd: the image is there, but what it stands on is not, or not its pool")

func (s *session) open(name string, how func(*rados.IOContext, string, string) (*rbd.Image, error)) (*rbd.Image, error) {
	image, err := how(s.io, name, rbd.NoSnapshot)
	if !is(err, syscall.ENOENT) {
		return image, err
	}
	switch there, look := s.header(name); {
	case look != nil:
		return nil, look
	case !there:
		return nil, err
	}
	image, err = how(s.io, name, rbd.NoSnapshot) // it may have been made just now
	if is(err, syscall.ENOENT) {
		err = errOrphan
	}
	return image, err
}

// header says whether an image has its header, without which it is none.
func (s *session) header(name string) (bool, error) {
	raw := make([]byte, 256)
	n, err := s.io.Read("rbd_id."+name, raw, 0) // a length of 4 bytes and the ID
	if err == nil {
		_, err = s.io.Stat("rbd_header." + string(raw[min(4, n):n]))
	}
	if is(err, syscall.ENOENT) {
		return false, nil
	}
	return err == nil, err
}

// size returns an image's size.
func (s *session) size(name string) (int64, error) {
	image, err := s.view(name)
	if err != nil {
		return 0, err
	}
	size, err := image.GetSize()
	return int64(size), errors.Join(err, image.Close())
}

// id returns an image's ID, which it keeps under any name.
func (s *session) id(name string) (string, error) {
	image, err := s.view(name)
	if err != nil {
		return "", err
	}
	id, err := image.GetId()
	return id, errors.Join(err, image.Close())
}
