package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crowbarkit/crowbarkit/hardware/redfishsim"
)

// traffic is what BMCs counted.
type traffic struct {
	requests    atomic.Int64
	changes     atomic.Int64 // requests that change something; login and logout are none
	bytes       atomic.Int64 // both ways, on the wire: TLS included
	connections atomic.Int64
}

// bmcServers serve each BMC as a real one is: a listener, an address and a certificate of its own,
// HTTP/1.1 over TLS.
type bmcServers struct {
	traffic
	all     []*http.Server
	serving sync.WaitGroup
}

// serve returns the URL of one more BMC. All of 127/8 is loopback on Linux.
func (s *bmcServers) serve(bmc http.Handler) (string, error) {
	ip := net.IPv4(127, 9, byte((len(s.all)+1)>>8), byte(len(s.all)+1))
	certificate, err := selfSigned(ip)
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort(ip.String(), "0"))
	if err != nil {
		return "", err
	}
	server := &http.Server{
		Handler:   s.count(bmc),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}},
		Protocols: new(http.Protocols),
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	server.Protocols.SetHTTP1(true)
	s.all = append(s.all, server)
	s.serving.Go(func() { _ = server.ServeTLS(countingListener{listener, &s.traffic}, "", "") })
	return "https://" + listener.Addr().String(), nil
}

func (s *bmcServers) count(bmc http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if r.Method != http.MethodGet && r.Method != http.MethodHead && !strings.Contains(r.URL.Path, "/SessionService/") {
			s.changes.Add(1)
		}
		bmc.ServeHTTP(w, r)
	})
}

func (s *bmcServers) Close() error {
	var errs []error
	for _, server := range s.all {
		errs = append(errs, server.Close())
	}
	s.serving.Wait()
	return errors.Join(errs...)
}

type countingListener struct {
	net.Listener
	traffic *traffic
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.traffic.connections.Add(1)
	return countingConn{c, l.traffic}, nil
}

type countingConn struct {
	net.Conn
	traffic *traffic
}

func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.traffic.bytes.Add(int64(n))
	return n, err
}

func (c countingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.traffic.bytes.Add(int64(n))
	return n, err
}

// selfSigned is what BMCs come with.
func selfSigned(ip net.IP) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{ip}}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, err
}

const bmcUser, bmcPassword = "root", "correct-horse-battery"

// fleet are simulated servers that are on, as from the factory.
type fleet struct {
	bmcServers
	bmcs []*redfishsim.BMC
	urls []string
}

// newFleet makes servers of one model, with two network ports and four disks on a RAID controller.
func newFleet(servers int, times redfishsim.Times, knobs redfishsim.Knobs) (_ *fleet, err error) {
	f := &fleet{}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	for i := range servers {
		name := fmt.Sprintf("node%d", i)
		spec := redfishsim.Spec{Name: name, Times: times, Disks: redfishsim.Disks(name, 4), NICs: []redfishsim.NIC{
			{Name: "NIC.1", MAC: fmt.Sprintf("52:54:00:00:%02x:%02x", i>>8, i&255), SpeedMbps: 25000},
			{Name: "NIC.2", MAC: fmt.Sprintf("52:54:00:01:%02x:%02x", i>>8, i&255), SpeedMbps: 25000},
		}}
		off, err := redfishsim.NewMachine(spec, nil)
		if err != nil {
			return nil, err
		}
		state := off.State()
		state.Power, state.LastReset, state.Boots = redfishsim.PowerOn, time.Now().Add(-time.Hour), 1
		machine, err := redfishsim.NewMachine(spec, &redfishsim.Options{State: &state})
		if err != nil {
			return nil, err
		}
		bmc, err := redfishsim.NewBMC(redfishsim.Config{Machine: machine, Username: bmcUser, Password: bmcPassword, Knobs: knobs, Seed: uint64(i)})
		if err != nil {
			return nil, err
		}
		url, err := f.serve(bmc)
		if err != nil {
			return nil, err
		}
		f.bmcs, f.urls = append(f.bmcs, bmc), append(f.urls, url)
	}
	return f, nil
}

// sessions are those that nobody ended.
func (f *fleet) sessions() (left int) {
	for _, bmc := range f.bmcs {
		left += bmc.Sessions()
	}
	return left
}

// configured asks the machine itself, not its BMC.
func (f *fleet) configured(i int) error {
	state := f.bmcs[i].Machine().State()
	for attribute, value := range virtualization {
		if state.BIOS[attribute] != value {
			return fmt.Errorf("node%d: %s is %v", i, attribute, state.BIOS[attribute])
		}
	}
	if state.BootTarget != "Pxe" || state.Power != redfishsim.PowerOn || state.Boots != 2 {
		return fmt.Errorf("node%d: boots from %s, is %s, booted %d times", i, state.BootTarget, state.Power, state.Boots)
	}
	return nil
}
