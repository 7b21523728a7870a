package crowbar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"filippo.io/age"

	"github.com/crowbarkit/crowbarkit/proposal"
)

// The errors of keys. Messages say which file or recipient, and what to do.
var (
	// ErrOtherKey: it was sealed with another key than the one given, or none was given.
	ErrOtherKey = errors.New("crowbar: sealed with another key")
	// ErrKeyFile: the file is there and cannot be used as a key.
	ErrKeyFile = errors.New("crowbar: unusable key file")
)

// An AgeSealer seals with one X25519 key of age (https://age-encryption.org/v1), so that what
// it has sealed can be opened with the age command and the key file, too. It may be used
// concurrently, and prints as its recipient, never as its key.
type AgeSealer struct {
	identity *age.X25519Identity
}

var _ proposal.Sealer = (*AgeSealer)(nil)

// maxKeyFile is far beyond what a key and some comments need.
const maxKeyFile = 64 << 10

// OpenKeyFile reads a key file: one line AGE-SECRET-KEY-1…, beside comments, as NewKeyFile and
// age-keygen write it. fs.ErrNotExist if there is none; ErrKeyFile if it can be read by others
// than its owner, or does not hold exactly one key.
func OpenKeyFile(path string) (*AgeSealer, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("crowbar: key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("crowbar: key file: %w", err)
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, fmt.Errorf("%w %s: not a file", ErrKeyFile, path)
	case mode.Perm()&0o077 != 0 && runtime.GOOS != "windows": // which has no such bits
		return nil, fmt.Errorf("%w %s: others than its owner can read or write it (mode %04o); make it private: chmod 600 %s", ErrKeyFile, path, mode.Perm(), path)
	}
	// What the parser says may quote a line, which would be a key: it is not shown.
	identities, err := age.ParseIdentities(io.LimitReader(f, maxKeyFile))
	if err == nil && len(identities) == 1 {
		if identity, ok := identities[0].(*age.X25519Identity); ok {
			return &AgeSealer{identity}, nil
		}
	}
	return nil, fmt.Errorf("%w %s: expected one line that begins with AGE-SECRET-KEY-1, beside comments; restore the file from a backup", ErrKeyFile, path)
}

// NewKeyFile makes a new key and writes it to a file that did not exist, mode 0600: either all
// of it is there, and on disk, or nothing. fs.ErrExist if there is a file already: a key is
// never replaced, for what it sealed would be lost.
func NewKeyFile(path string) (*AgeSealer, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("crowbar: new key: %w", err)
	}
	text := fmt.Sprintf("# The key to the secrets of a Crowbar site. Without it they are lost: keep a copy, apart from the data.\n# public key: %s\n%s\n", identity.Recipient(), identity)
	if err := createFile(path, []byte(text)); err != nil {
		return nil, fmt.Errorf("crowbar: new key file: %w", err)
	}
	return &AgeSealer{identity}, nil
}

// createFile writes a file under another name and then links it to its own, which fails where
// renaming would replace.
func createFile(path string, text []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes a new name last.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" { // cannot, and need not
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Recipient is the public key: age1….
func (s *AgeSealer) Recipient() string { return s.identity.Recipient().String() }

// String returns Recipient.
func (s *AgeSealer) String() string { return s.Recipient() }

// GoString keeps the key out of %#v.
func (s *AgeSealer) GoString() string { return "crowbar.AgeSealer(" + s.Recipient() + ")" }

// Seal implements proposal.Sealer.
func (s *AgeSealer) Seal(ctx context.Context, plain []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, s.identity.Recipient())
	if err == nil {
		_, err = w.Write(plain)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("crowbar: seal: %w", err)
	}
	return sealed.Bytes(), nil
}

// Open implements proposal.Sealer. ErrOtherKey for what another key sealed; any other error
// says that it was changed.
func (s *AgeSealer) Open(ctx context.Context, sealed []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), s.identity)
	var other *age.NoIdentityMatchError
	if errors.As(err, &other) {
		return nil, fmt.Errorf("%w than %s", ErrOtherKey, s.Recipient())
	}
	var plain []byte
	if err == nil {
		plain, err = io.ReadAll(r)
	}
	if err != nil {
		return nil, fmt.Errorf("crowbar: open what was sealed: %w", err)
	}
	return plain, nil
}

// recipient tells for whom a sealer seals, if it says so.
func recipient(s proposal.Sealer) string {
	if r, ok := s.(interface{ Recipient() string }); ok {
		return r.Recipient()
	}
	return ""
}
