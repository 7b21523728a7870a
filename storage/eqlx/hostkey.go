package eqlx

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// A HostKeyError is a group whose host key is not the one that is known, or not known at all
// where only known ones count. It is not retried: somebody may sit in between.
type HostKeyError struct {
	Address string
	Offered string   // fingerprint
	Known   []string // fingerprints, with file and line where they are from one
	Remedy  string
}

func (e *HostKeyError) Error() string {
	known := "none is known"
	if len(e.Known) > 0 {
		known = "known is " + strings.Join(e.Known, " or ")
	}
	return fmt.Sprintf("eqlx: host key of %s is %s, but %s; %s", e.Address, e.Offered, known, e.Remedy)
}

// hostKeys decides about the group's key.
type hostKeys struct {
	address string // host:port
	pin     string // san_host_key
	file    string // ssh_hosts_key_file
	strict  bool
	log     *slog.Logger

	mu    sync.Mutex
	first ssh.PublicKey // where neither is given
}

// check is an ssh.HostKeyCallback.
func (h *hostKeys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	refused := &HostKeyError{Address: h.address, Offered: ssh.FingerprintSHA256(key)}
	switch {
	case h.pin != "":
		pinned := h.pin
		if parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(h.pin)); err == nil {
			pinned = ssh.FingerprintSHA256(parsed)
		}
		if pinned == refused.Offered {
			return nil
		}
		refused.Known = []string{pinned + " (san_host_key)"}
		refused.Remedy = "if the group's key was changed on purpose, or this is another of its keys, set san_host_key to this one; else somebody is in between"
		return refused
	case h.file != "":
		return h.checkFile(remote, key, refused)
	case h.first == nil:
		h.log.Warn("host key trusted while the driver is open; pin it with san_host_key or ssh_hosts_key_file", "address", h.address, "host_key", refused.Offered)
		h.first = key
		return nil
	case string(h.first.Marshal()) != string(key.Marshal()):
		refused.Known = []string{ssh.FingerprintSHA256(h.first) + " (at the first connection)"}
		refused.Remedy = "if the group's key was changed on purpose, open the back end again; else somebody is in between"
		return refused
	}
	return nil
}

func (h *hostKeys) checkFile(remote net.Addr, key ssh.PublicKey, refused *HostKeyError) error {
	err := h.lookup(remote, key)
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &revoked):
		refused.Remedy = fmt.Sprintf("it is marked as revoked in %s", h.file)
		return refused
	case !errors.As(err, &unknown):
		return fmt.Errorf("eqlx: ssh_hosts_key_file: %w", err)
	case len(unknown.Want) > 0:
		for _, k := range unknown.Want {
			refused.Known = append(refused.Known, fmt.Sprintf("%s (%s:%d)", ssh.FingerprintSHA256(k.Key), k.Filename, k.Line))
		}
		refused.Remedy = "if the group's key was changed on purpose, remove that line; else somebody is in between"
		return refused
	case h.strict:
		refused.Remedy = fmt.Sprintf("strict_ssh_host_key_policy accepts known keys only: add this one to %s", h.file)
		return refused
	}
	if err := record(h.file, knownhosts.Line([]string{h.address}, key)); err != nil {
		return fmt.Errorf("eqlx: record the host key of %s: %w", h.address, err)
	}
	h.log.Info("host key of the first connection recorded", "address", h.address, "host_key", refused.Offered, "file", h.file)
	return nil
}

// lookup asks the file; one that is not there knows nobody.
func (h *hostKeys) lookup(remote net.Addr, key ssh.PublicKey) error {
	known, err := knownhosts.New(h.file)
	if errors.Is(err, fs.ErrNotExist) {
		return &knownhosts.KeyError{}
	}
	if err != nil {
		return err
	}
	return known(h.address, remote, key)
}

// algorithms begin with those of the known keys, so that a group with several shows a known one.
func (h *hostKeys) algorithms(legacy bool) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var types []string
	if parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(h.pin)); err == nil {
		types = append(types, parsed.Type())
	}
	if h.pin == "" && h.file != "" {
		var unknown *knownhosts.KeyError
		if errors.As(h.lookup(&net.TCPAddr{}, unknowable{}), &unknown) {
			for _, k := range unknown.Want {
				types = append(types, k.Key.Type())
			}
		}
	}
	if h.first != nil {
		types = append(types, h.first.Type())
	}
	all := ssh.SupportedAlgorithms().HostKeys
	if legacy {
		all = append(all, ssh.InsecureAlgorithms().HostKeys...)
	}
	if len(types) == 0 {
		return all
	}
	// The others stay, so that a key of another type is seen and named, not just impossible.
	known := func(algorithm string) bool {
		return slices.Contains(types, algorithm) || strings.HasPrefix(algorithm, "rsa-sha2-") && slices.Contains(types, ssh.KeyAlgoRSA)
	}
	slices.SortStableFunc(all, func(a, b string) int {
		switch {
		case known(a) == known(b):
			return 0
		case known(a):
			return -1
		}
		return 1
	})
	return all
}

// unknowable is a key that no file has.
type unknowable struct{}

func (unknowable) Type() string                        { return "none" }
func (unknowable) Marshal() []byte                     { return []byte("none") }
func (unknowable) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// record appends a line to a file so that a reader sees all of it or nothing, and several
// processes lose nothing: under a lock file, by renaming a copy.
func record(file, line string) error {
	if target, err := filepath.EvalSymlinks(file); err == nil { // a link stays one
		file = target
	}
	unlock, err := lockFile(file + ".lock")
	if err != nil {
		return err
	}
	defer unlock()
	content, err := os.ReadFile(file)
	mode := fs.FileMode(0o600)
	if err == nil {
		if info, err := os.Stat(file); err == nil {
			mode = info.Mode().Perm()
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(content) > 0 && content[len(content)-1] != '\n' {
		content = append(content, '\n')
	}
	content = append(append(content, line...), '\n')
	temporary := file + "." + rand.Text()[:8]
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temporary, file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary))
	}
	return nil
}

// lockFile waits a moment for others; a lock of a minute is of a process that died.
func lockFile(name string) (unlock func(), err error) {
	for range 200 {
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			return func() { os.Remove(name) }, f.Close() //nolint:errcheck // a lock left behind grows old
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > time.Minute {
			os.Remove(name) //nolint:errcheck // somebody else did it
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("%s is in the way; remove it", name)
}
