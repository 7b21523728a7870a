package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/crowbarkit/crowbarkit/internal/cli"
	"github.com/crowbarkit/crowbarkit/storage"
	"github.com/crowbarkit/crowbarkit/storage/eqlx/eqlxsim"
	"github.com/crowbarkit/crowbarkit/storage/memory"
)

func TestVolumeImages(t *testing.T) {
	s, drivers := memoryShell(t, "a")
	dir := t.TempDir()
	content := make([]byte, 3<<20)
	copy(content[1<<20:], strings.Repeat("crowbar!", 4096))
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	require.NoError(t, os.WriteFile(in, content, 0o600))

	require.Equal(t, object("backend", "a", "id", "db", "name", "volume-db", "size_bytes", float64(3<<20)), s.read("volume", "import", "db", in))
	require.Equal(t, object("backend", "a", "id", "db", "file", out, "size_bytes", float64(3<<20)), s.read("volume", "export", "db", out))
	got, err := os.ReadFile(out)
	require.NoError(t, err)
	require.True(t, bytes.Equal(content, got))
	require.Equal(t, string(content), s.ok("volume", "export", "db", "-"))
	s.fails(1, "overwrite it with --force", "volume", "export", "db", out)
	s.fails(4, "exists already", "volume", "import", "db", in)
	s.fails(1, "is a directory", "volume", "import", "dir", dir)
	s.fails(1, "no such file", "volume", "import", "dir", filepath.Join(dir, "none"))
	s.fails(1, "leave it out", "volume", "import", "dir", in, "--image-size", "1M")
	s.fails(1, "does not tell its size", "volume", "import", "dir", "-")

	s.stdin = string(content)
	require.Contains(t, s.ok("volume", "import", "from-stdin", "-", "--size", "1G"), "1 GiB")

	// A pipe.
	pipe := func(sent string, args ...string) (int, string) {
		r, w := io.Pipe()
		go func() { _, _ = io.WriteString(w, sent); w.Close() }()
		var stderr bytes.Buffer
		code := cli.Crowbar(t.Context(), cli.Process{Args: args, Stdin: struct{ io.Reader }{r}, Stderr: &stderr, Drivers: s.drivers,
			Getenv: func(name string) string { return s.env[name] }})
		r.Close()
		return code, stderr.String()
	}
	for begins, name := range map[string]string{"QFI\xfb": "a qcow2 image", "\xfd7zXZ\x00": "compressed by xz", "\x1f\x8b\x08": "compressed by gzip"} {
		other := append([]byte(begins), content[len(begins):]...)
		require.NoError(t, os.WriteFile(in, other, 0o600))
		s.fails(1, "in is "+name+", no raw image; first: ", "volume", "import", "other", in)
		code, stderr := pipe(string(other), "volume", "import", "other", "-", "--image-size", "3M")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "- is "+name+", no raw image")
		s.fails(1, "not found", "volume", "show", "other")

		s.ok("volume", "import", "other", in, "--raw")
		code, _ = pipe(string(other), "volume", "import", "piped", "-", "--image-size", "3M", "--raw")
		require.Equal(t, 0, code)
		for _, id := range []string{"other", "piped"} {
			require.Equal(t, string(other), s.ok("volume", "export", id, "-"), "from its first byte")
			s.ok("volume", "delete", id)
		}
	}
	code, _ := pipe(string(content), "volume", "import", "piped", "-", "--image-size", "3M")
	require.Equal(t, 0, code)
	read := make([]byte, len(content))
	require.NoError(t, drivers["a"].ReadAt(t.Context(), "piped", read, 0))
	require.True(t, bytes.Equal(content, read))
	code, stderr := pipe(string(content), "volume", "import", "longer", "-", "--image-size", "2M")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "longer has only its beginning; delete it")
	code, stderr = pipe(string(content), "volume", "import", "shorter", "-", "--image-size", "4M")
	require.Equal(t, 1, code)
	require.Contains(t, stderr, "image ended after 3 MiB of 4 MiB")
	_, err = drivers["a"].Get(t.Context(), "shorter")
	require.ErrorIs(t, err, storage.ErrNotFound)

	// Progress is for terminals.
	_, _, stderr = s.run("volume", "export", "db", out, "--force")
	require.Empty(t, stderr)
	s.terminal = true
	_, _, stderr = s.run("volume", "export", "db", out, "--force")
	require.Contains(t, stderr, "\rexporting db: 3 MiB of 3 MiB, 100%")
	require.True(t, strings.HasSuffix(stderr, "\r\x1b[K"))
	s.fails(1, "standard output is a terminal", "volume", "export", "db", "-")
	s.fails(1, "standard input is a terminal", "volume", "import", "x", "-")
}

// An interrupt ends a read that waits for a pipe, leaves nothing, and says so.
func TestVolumeImportInterrupted(t *testing.T) {
	s, drivers := memoryShell(t, "a")
	r, w := io.Pipe()
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { _, _ = w.Write(make([]byte, 1<<20)); cancel() }()
	var stderr bytes.Buffer
	code := cli.Crowbar(ctx, cli.Process{Args: []string{"volume", "import", "db", "-", "--image-size", "1G"}, Stdin: struct{ io.Reader }{r},
		Stderr: &stderr, Drivers: s.drivers, Getenv: func(name string) string { return s.env[name] }})
	require.Equal(t, 1, code)
	require.Equal(t, "crowbar: interrupted: import db on a: nothing was changed\n", stderr.String())
	_, err := drivers["a"].Get(t.Context(), "db")
	require.ErrorIs(t, err, storage.ErrNotFound)
}

// interruptingClock interrupts the command that waits on it.
type interruptingClock struct{ interrupt func() }

func (c *interruptingClock) Now() time.Time { return time.Time{} }

func (c *interruptingClock) After(time.Duration) <-chan time.Time {
	c.interrupt()
	return nil
}

func TestVolumeInterrupted(t *testing.T) {
	const looks = "interrupted; looking what is there now, unless you interrupt again\n"
	clock := &interruptingClock{}
	s, drivers := memoryShellOf(t, memory.Config{Clock: clock}, "a")
	s.ok("volume", "create", "db", "--size", "1G")
	for name, of := range map[string]struct {
		op, says string
		args     []string
		down     bool // when it is looked what is left
	}{
		"unknown": {"extend", looks + "crowbar: interrupted: extend db on a: db is there, with 1 GiB now\n", []string{"volume", "extend", "db", "2G"}, false},
		"new":     {"create", looks + "crowbar: interrupted: create new on a: there is no new now\n", []string{"volume", "create", "new", "--size", "1G"}, false},
		"access":  {"connect", "crowbar: interrupted: attach db on a: it may or may not have happened; repeat it: to do it twice is to do it once\n", []string{"volume", "attach", "db", "--initiator", node1}, false},
		"read":    {"get", "crowbar: interrupted: show db on a: nothing was changed\n", []string{"volume", "show", "db"}, false},
		"copy":    {"clone", "crowbar: interrupted: clone copy on a: nothing was changed\n", []string{"volume", "clone", "db", "copy"}, false},
		"blind":   {"extend", looks + "crowbar: interrupted: extend db on a: it may or may not have happened; look before repeating it: crowbar volume show db\n", []string{"volume", "extend", "db", "2G"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			clock.interrupt = interrupt
			drivers["a"].Inject(memory.Fault{Op: of.op, Delay: time.Hour})
			if of.down {
				drivers["a"].Inject(memory.Fault{Op: "get", Before: errors.New("down")})
			}
			code, _, stderr := s.runContext(ctx, of.args...)
			require.Equal(t, 1, code)
			require.Equal(t, of.says, stderr)
		})
	}
}

func TestVolumeFromImage(t *testing.T) {
	s, drivers := memoryShell(t, "a")
	require.NoError(t, drivers["a"].Put("debian", 2<<30))
	require.Contains(t, s.ok("volume", "create", "boot", "--image", "memory://debian"), "boot    2 GiB")
	require.Contains(t, s.ok("volume", "create", "big", "--image", "memory://debian", "--size", "4G"), "big     4 GiB")
	s.fails(1, `create v on a: image "memory://fedora": not found`+"\n", "volume", "create", "v", "--image", "memory://fedora")
	s.fails(1, "expected memory://NAME", "volume", "create", "v", "--image", "debian")
	s.fails(1, "give --from-snapshot or --image, not both", "volume", "create", "v", "--image", "memory://debian", "--from-snapshot", "boot@s")
	s.fails(4, "exists already", "volume", "create", "boot", "--image", "memory://debian", "--size", "4G")
	drivers["a"].Inject(memory.Fault{Op: "create from image", Before: fmt.Errorf("%w: it is on another cluster", storage.ErrUnsupported)})
	s.fails(1, "it is on another cluster; read the image and import it: crowbar volume import v FILE", "volume", "create", "v", "--image", "memory://debian")
	s, _ = eqlxShell(t, eqlxsim.Config{})
	s.fails(1, "create v on eqlx1: the driver eqlx cannot do that", "volume", "create", "v", "--image", "rbd://a/b/c/d")
}
