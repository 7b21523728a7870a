package redfish

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"
)

// newTransport verifies certificates and uses no proxy: BMC traffic must not leave by an
// HTTP_PROXY that was meant for downloads.
func newTransport(config *tls.Config, pins Pins, keep time.Duration, log *slog.Logger) *http.Transport {
	t := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 30 * time.Second,
		MaxIdleConnsPerHost: 2,
		IdleConnTimeout:     max(30*time.Second, keep), // the logout of a kept session goes over it
	}
	if config == nil {
		config = &tls.Config{}
	}
	// Dialed here and not by http.Transport's own TLS: only so the check knows the address.
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		plain, err := t.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c := config.Clone()
		if c.ServerName == "" {
			c.ServerName, _, _ = net.SplitHostPort(address)
		}
		c.NextProtos = []string{"http/1.1"}
		if pins != nil {
			c.InsecureSkipVerify = true // in favour of the pin
			c.VerifyConnection = func(s tls.ConnectionState) error { return checkPin(ctx, pins, address, s, log) }
		}
		secure := tls.Client(plain, c)
		handshake, cancel := context.WithTimeout(ctx, t.TLSHandshakeTimeout)
		defer cancel()
		if err := secure.HandshakeContext(handshake); err != nil {
			plain.Close()
			var untrusted *tls.CertificateVerificationError
			if errors.As(err, &untrusted) {
				return nil, &CertificateError{Address: address, Offered: Fingerprint(untrusted.UnverifiedCertificates[0]), Cause: untrusted.Err}
			}
			return nil, &net.OpError{Op: "dial", Net: network, Err: err}
		}
		return secure, nil
	}
	return t
}

func checkPin(ctx context.Context, pins Pins, address string, s tls.ConnectionState, log *slog.Logger) error {
	if len(s.PeerCertificates) == 0 {
		return &CertificateError{Address: address, Cause: errors.New("it has none")}
	}
	offered := Fingerprint(s.PeerCertificates[0])
	known, err := pins.Pin(ctx, address, offered)
	switch {
	case err != nil:
		return fmt.Errorf("look up the certificate of %s: %w", address, err)
	case !strings.EqualFold(known, offered):
		return &CertificateError{Address: address, Offered: offered, Known: known}
	}
	log.Debug("redfish: certificate as on record", "address", address, "fingerprint", offered)
	return nil
}
