package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/crowbarkit/crowbarkit/hardware"
	"github.com/crowbarkit/crowbarkit/hardware/redfish"
)

const (
	// sessionKept is how long the login of a plan is kept for its apply.
	sessionKept = time.Hour
	// logoutTimeout bounds the logout of a command that was interrupted.
	logoutTimeout = 30 * time.Second
)

// connect finds out where the BMC is, who logs in, and which certificate it may have.
func (m *machines) connect(ctx context.Context, config *redfish.Config) error {
	for env, flag := range map[string]*string{"CROWBAR_BMC": &m.bmc, "CROWBAR_BMC_USER": &m.user} {
		if *flag == "" {
			*flag = m.Getenv(env)
		}
	}
	if m.bmc == "" {
		return errors.New("no BMC; give its URL with --bmc or CROWBAR_BMC")
	}
	if !strings.Contains(m.bmc, "://") {
		m.bmc = "https://" + m.bmc
	}
	u, err := url.Parse(m.bmc)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		// The text of err quotes the URL, which may hold a password.
		return errors.New("--bmc is no URL of a BMC; expected something like https://192.0.2.10")
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("--bmc ends in what a BMC's URL has not, from ? or # on; expected something like %s://%s%s", u.Scheme, u.Host, u.Path)
	case u.User != nil:
		return errors.New("--bmc holds an account; give it with --user, and its password with --password-file, CROWBAR_BMC_PASSWORD or at the prompt")
	}
	m.target = hardware.Target{Node: u.Host + strings.TrimSuffix(u.Path, "/"), URL: m.bmc}
	if err := m.trust(u, config); err != nil {
		return err
	}
	return m.login(ctx, u)
}

// login finds the password before anything is sent.
func (m *machines) login(ctx context.Context, u *url.URL) error {
	password := m.Getenv("CROWBAR_BMC_PASSWORD")
	switch {
	case m.user == "" && m.passwordFile == "":
		return nil // some simulators want none; what a BMC says to that is explained
	case m.user == "":
		return errors.New("--password-file, but no account; give it with --user or CROWBAR_BMC_USER")
	case m.passwordFile != "":
		raw, err := m.readFile("--password-file", m.passwordFile)
		if err != nil {
			return err
		}
		password = strings.TrimRight(string(raw), "\r\n")
		if password == "" || strings.ContainsAny(password, "\r\n") {
			return fmt.Errorf("--password-file: %s is not one line, the password", m.passwordFile)
		}
	case password != "":
	case m.IsTerminal(m.Stdin) && m.IsTerminal(m.Stderr):
		var err error
		if password, err = m.askPassword(ctx, fmt.Sprintf("password of %s at %s: ", m.user, m.target.Node)); err != nil {
			return err
		}
	default:
		return fmt.Errorf("no password of %s; give it with --password-file or CROWBAR_BMC_PASSWORD", m.user)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		lines(m.Stderr, "the password goes to %s unencrypted: the URL says http", m.target.Node)
	}
	user := m.user
	m.target.Credentials = func(context.Context) (string, string, error) { return user, password, nil }
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// askPassword reads a line that is not shown. Nothing but its writer ends a read of a terminal:
// after an interrupt it stays behind until the process ends, and the terminal shows again what is
// typed.
func (m *machines) askPassword(ctx context.Context, question string) (string, error) {
	read := func() (string, error) {
		line, err := bufio.NewReader(m.Stdin).ReadString('\n')
		if errors.Is(err, io.EOF) && line != "" {
			err = nil
		}
		return strings.TrimRight(line, "\r\n"), err
	}
	restore := func() {}
	if f, ok := m.Stdin.(interface{ Fd() uintptr }); ok {
		fd := int(f.Fd())
		before, err := term.GetState(fd)
		if err != nil {
			return "", fmt.Errorf("ask for the password: %w", err)
		}
		restore = func() { _ = term.Restore(fd, before) }
		read = func() (string, error) {
			raw, err := term.ReadPassword(fd)
			return string(raw), err
		}
	}
	type result struct {
		password string
		err      error
	}
	fmt.Fprint(m.Stderr, question)
	got := make(chan result, 1)
	go func() {
		password, err := read()
		got <- result{password, err}
	}()
	defer fmt.Fprintln(m.Stderr)
	select {
	case <-ctx.Done():
		restore()
		return "", ctx.Err()
	case r := <-got:
		if r.err == nil && r.password == "" || errors.Is(r.err, io.EOF) {
			r.err = fmt.Errorf("no password of %s was given", m.user)
		}
		return r.password, r.err
	}
}

// trust configures which certificates are good.
func (m *machines) trust(u *url.URL, config *redfish.Config) error {
	if u.Scheme == "http" && (m.pinFile != "" || m.ca != "") {
		return errors.New("--ca and --pin-file are about certificates, and http:// in --bmc has none; give https://, or leave them out")
	}
	if m.pinFile == "" && m.ca == "" {
		m.pinFile = m.Getenv("CROWBAR_BMC_PINS")
	}
	switch {
	case m.ca != "" && m.pinFile != "":
		return errors.New("--ca and --pin-file exclude each other: certificates are verified, or recorded")
	case u.Scheme == "http":
		return nil
	case m.pinFile != "":
		m.pins = &pins{app: m.app, path: m.pinFile, file: redfish.NewFilePins(m.pinFile)}
		config.Pins = m.pins
	case m.ca != "":
		raw, err := m.readFile("--ca", m.ca)
		if err != nil {
			return err
		}
		cas := x509.NewCertPool()
		if !cas.AppendCertsFromPEM(raw) {
			return fmt.Errorf("--ca: %s has no certificate in PEM form", m.ca)
		}
		config.TLS = &tls.Config{RootCAs: cas}
	}
	return nil
}

// pins are a file of certificates that tells when it records one, and keeps what is wrong with it.
type pins struct {
	*app
	path string
	file *redfish.FilePins
	err  atomic.Pointer[error]
}

// Pin implements redfish.Pins.
func (p *pins) Pin(ctx context.Context, address, fingerprint string) (string, error) {
	new := pinLine(p.path, address) == 0
	known, err := p.file.Pin(ctx, address, fingerprint)
	switch {
	case err != nil:
		p.err.Store(&err)
	case new:
		lines(p.Stderr, "the certificate of %s is recorded in %s, seen for the first time: SHA-256 %s", address, p.path, fingerprint)
	}
	return known, err
}

// pinLine is the number of the line in a file of pins that is about an address, 0 if there is none.
func pinLine(path, address string) int {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		if fields := strings.Fields(lines.Text()); len(fields) > 0 && fields[0] == address {
			return n
		}
	}
	return 0
}
