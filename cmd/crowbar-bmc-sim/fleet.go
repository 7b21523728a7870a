package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
	"github.com/crowbarkit/crowbarkit/internal/clock"
)

type fleetConfig struct {
	count, disks       int
	personality        redfishsim.Personality
	username, password string
	tls, on            bool
	speed              float64
	seed               uint64
	knobs              redfishsim.Knobs
}

// check names each flag that is out of range.
func (c fleetConfig) check() error {
	var wrong []error
	for _, flag := range []struct {
		ok             bool
		name, expected string
		given          any
	}{
		{c.count >= 1, "count", "1 or more", c.count},
		{c.disks >= 0, "disks", "0 or more", c.disks},
		{c.speed >= 1, "speed", "1 or more", c.speed}, // no comparison holds of NaN
		{c.knobs.Latency >= 0, "latency", "0 or more", c.knobs.Latency},
		{c.knobs.Jitter >= 0, "jitter", "0 or more", c.knobs.Jitter},
		{c.knobs.ErrorRate >= 0 && c.knobs.ErrorRate <= 1, "error-rate", "0 to 1", c.knobs.ErrorRate},
		{c.knobs.SessionLimit >= 0, "session-limit", "1 or more, or 0 for the personality's", c.knobs.SessionLimit},
		{c.knobs.SlowPower >= 0, "slow-power", "0 or more", c.knobs.SlowPower},
	} {
		if !flag.ok {
			wrong = append(wrong, fmt.Errorf("--%s %v: expected %s", flag.name, flag.given, flag.expected))
		}
	}
	return errors.Join(wrong...)
}

// fleet is BMCs that listen, one address each. One server has them all, which costs each of
// them a socket and a goroutine; it tells them apart by the port that a connection came to.
type fleet struct {
	bmcs         []listening
	byPort       map[int]*redfishsim.BMC
	certificates []byte // PEM
}

type listening struct {
	net.Listener
	ready ready
}

// ready is the line that is printed.
type ready struct {
	Name        string `json:"name"`
	URL         string `json:"url"`
	Username    string `json:"username"`
	Password    string `json:"password"`
	Fingerprint string `json:"certificate_sha256,omitempty"` // hexadecimal, of the DER form
}

// newFleet makes the machines and opens all addresses, or none.
func newFleet(c fleetConfig, address string) (*fleet, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("--listen %q: expected HOST:PORT, such as 127.0.0.1:0: %w", address, err)
	}
	first, err := strconv.Atoi(text)
	if err != nil || first < 0 || first > 0 && first+c.count-1 > 65535 {
		return nil, fmt.Errorf("--listen %q: there are no %d ports from %s on", address, c.count, text)
	}
	f := &fleet{byPort: map[int]*redfishsim.BMC{}}
	runs := clock.Scaled(c.speed)
	for i := range c.count {
		port := 0
		if first > 0 {
			port = first + i
		}
		if err := f.add(c, i, net.JoinHostPort(host, strconv.Itoa(port)), runs); err != nil {
			f.close()
			return nil, err
		}
	}
	return f, nil
}

func (f *fleet) add(c fleetConfig, i int, address string, runs clock.Clock) error {
	name := fmt.Sprintf("node%d", i+1)
	m, err := redfishsim.NewMachine(spec(c, i, name), &redfishsim.Options{Clock: runs, State: state(c, runs)})
	if err != nil {
		return err
	}
	b, err := redfishsim.NewBMC(redfishsim.Config{Machine: m, Username: c.username, Password: c.password, Knobs: c.knobs, Seed: c.seed + uint64(i), RequestLogSize: -1})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	r := ready{Name: name, URL: "http://" + l.Addr().String(), Username: c.username, Password: c.password}
	f.byPort[l.Addr().(*net.TCPAddr).Port] = b
	if c.tls {
		cert, err := selfSigned(name, l.Addr().(*net.TCPAddr).IP, time.Now())
		if err != nil {
			return errors.Join(err, l.Close())
		}
		r.URL = "https://" + l.Addr().String()
		sum := sha256.Sum256(cert.Certificate[0])
		r.Fingerprint = hex.EncodeToString(sum[:])
		f.certificates = append(f.certificates, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})...)
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	f.bmcs = append(f.bmcs, listening{l, r})
	return nil
}

// spec is a machine with two ports, whose MAC addresses differ by seed and number.
func spec(c fleetConfig, i int, name string) redfishsim.Spec {
	id := c.seed<<12 + uint64(i)
	mac := func(port uint64) string {
		n := id<<1 + port
		return fmt.Sprintf("52:54:%02x:%02x:%02x:%02x", byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return redfishsim.Spec{Name: name, Personality: c.personality, Disks: redfishsim.Disks(name, c.disks), NICs: []redfishsim.NIC{
		{Name: "NIC.1", MAC: mac(0), SpeedMbps: 25_000}, {Name: "NIC.2", MAC: mac(1), SpeedMbps: 25_000}}}
}

// state is where machines begin: nil is from the factory, turned off.
func state(c fleetConfig, runs clock.Clock) *redfishsim.State {
	if !c.on {
		return nil
	}
	return &redfishsim.State{Power: redfishsim.PowerOn, Boots: 1, LastReset: runs.Now().Add(-time.Hour), BootTarget: "None", BootEnabled: "Disabled", NextVolume: 1}
}

// selfSigned makes a certificate as BMCs come with, except that it is a P-256 key and the
// address is right.
func selfSigned(name string, ip net.IP, now time.Time) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{Organization: []string{"CrowbarKit"}, CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0), DNSNames: []string{name, "localhost"}, IPAddresses: []net.IP{ip},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func (f *fleet) close() {
	for _, b := range f.bmcs {
		_ = b.Close()
	}
}

// ServeHTTP hands a request to the BMC of the port that it came to.
func (f *fleet) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if local == nil || f.byPort[local.Port] == nil {
		http.Error(w, "no BMC here", http.StatusMisdirectedRequest)
		return
	}
	f.byPort[local.Port].ServeHTTP(w, r)
}

// serve serves, says so by calling print, and goes on until the context ends, which is no
// error, or printing or a listener fails.
func (f *fleet) serve(ctx context.Context, print func() error) error {
	server := &http.Server{Handler: f, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	failed := make(chan error, len(f.bmcs))
	var running sync.WaitGroup
	for _, b := range f.bmcs {
		running.Go(func() { failed <- server.Serve(b) })
	}
	err := print()
	if err == nil {
		select {
		case err = <-failed:
		case <-ctx.Done():
		}
	}
	_ = server.Close()
	running.Wait()
	return err
}
