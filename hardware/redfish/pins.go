package redfish

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
)

// Pins remembers certificates by the address of the BMC, host:port. Implementations are safe for
// concurrent use.
type Pins interface {
	// Pin returns the fingerprint on record for the address, after recording this one if there
	// was none.
	Pin(ctx context.Context, address, fingerprint string) (known string, err error)
}

// Fingerprint is how Pins and CertificateError show a certificate: the SHA-256 of its DER form,
// in lower-case hexadecimal.
func Fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// A CertificateError is a BMC whose certificate is not the one that is pinned, or that no known
// CA vouches for. It is hardware.ErrUnreachable too, and nothing was sent to that BMC.
type CertificateError struct {
	Address string
	Offered string // Fingerprint
	Known   string // Fingerprint on record; empty where certificates are not pinned
	Cause   error  // why it was not verified; nil where certificates are pinned
}

func (e *CertificateError) Error() string {
	if e.Cause != nil {
		return fmt.Sprintf("the certificate of %s (SHA-256 %s) is not trusted: %v; trust its CA, or pin the certificate", e.Address, e.Offered, e.Cause)
	}
	return fmt.Sprintf("the certificate of %s is %s, but %s is on record; if it was renewed on purpose, remove the record, else somebody is in between", e.Address, e.Offered, e.Known)
}

func (e *CertificateError) Unwrap() error { return e.Cause }

// MemoryPins remembers certificates as long as it lives. The zero value is ready.
type MemoryPins struct {
	mu    sync.Mutex
	known map[string]string
}

// Pin implements Pins.
func (p *MemoryPins) Pin(_ context.Context, address, fingerprint string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil {
		p.known = map[string]string{}
	}
	if known, ok := p.known[address]; ok {
		return known, nil
	}
	p.known[address] = fingerprint
	return fingerprint, nil
}

// FilePins remembers certificates in a file, a line for each BMC: its address, a space, and the
// fingerprint, in any case and with colons or without. Lines that are empty or begin with # are left
// alone. The file is made with the
// first certificate, readable by its owner only, and appended to; it may be edited by hand. One
// FilePins per file: several programs at once may record the same BMC twice, which does no harm.
type FilePins struct {
	mu   sync.Mutex
	path string
}

// NewFilePins uses the file at path, which need not exist.
func NewFilePins(path string) *FilePins { return &FilePins{path: path} }

func isFingerprint(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size
}

// Pin implements Pins. A file with a line that is none is not written to.
func (p *FilePins) Pin(_ context.Context, address, fingerprint string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, err := os.ReadFile(p.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		pinned := strings.ToLower(strings.ReplaceAll(fields[len(fields)-1], ":", "")) // openssl writes AB:CD:…
		switch {
		case len(fields) != 2 || !isFingerprint(pinned):
			return "", fmt.Errorf("%s:%d: not an address and a SHA-256 fingerprint in hexadecimal", p.path, n)
		case fields[0] == address:
			return pinned, nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("%s: %w", p.path, err)
	}
	line := address + " " + fingerprint + "\n"
	if len(data) > 0 && data[len(data)-1] != '\n' {
		line = "\n" + line
	}
	f, err := os.OpenFile(p.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(line)
	if err := errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return fingerprint, nil
}
