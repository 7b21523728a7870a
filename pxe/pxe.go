// Package pxe answers what a machine boots from the network.
//
// What a machine boots is decided anew at each request, by a Booter, from the state its
// owner keeps; this package knows the wire and nothing of nodes. A Booter returns a Decision:
// a kernel with its initrds and command line, a script, the local disk, or nothing at all.
// The zero Decision is the harmless one, the local disk; whenever there is doubt (a Booter
// that fails, takes too long, or returns what cannot be sent) the machine gets that.
//
//	booter := pxe.BooterFunc(func(ctx context.Context, c pxe.Client) (*pxe.Decision, error) {
//		if !known(c.MAC) {
//			return &pxe.Decision{Action: pxe.ActionBoot, Kernel: "/files/vmlinuz", Reason: "discovery"}, nil
//		}
//		return &pxe.Decision{Reason: "in use"}, nil
//	})
//	http.Handle(pxe.Path, pxe.Handler(booter, nil))
//
// PXE authenticates nobody: every field of a Client is a claim.
//
// # Errors
//
// ParseMAC returns ErrMAC, Script ErrDecision, ParseScript ErrScript, each with what was
// found. Handler answers a request without a usable MAC with 400 and one sentence.
//
// # Concurrency
//
// Handler calls the Booter from many requests at once. Everything else is pure.
package pxe

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// A Booter decides what a client boots. It is asked several times in one boot. It must not
// destroy or spend anything: a request proves nothing about who sent it.
type Booter interface {
	// Boot returns the decision. An error or a nil Decision is a doubt: the client then boots
	// its local disk.
	Boot(ctx context.Context, c Client) (*Decision, error)
}

// BooterFunc is a function as a Booter.
type BooterFunc func(ctx context.Context, c Client) (*Decision, error)

// Boot calls f.
func (f BooterFunc) Boot(ctx context.Context, c Client) (*Decision, error) { return f(ctx, c) }

// A Client is the machine that asks, as far as it told.
type Client struct {
	MAC      MAC
	UUID     string     // SMBIOS type 1, lower case; "" if it sent none, or an obvious default
	Arch     Arch       // of the boot program that asks
	Firmware Firmware   // "" if unknown
	Address  netip.Addr // where the request came from; the zero Addr if unknown

	// SMBIOS type 1 and 3 as sent, without control characters; "" where unknown.
	Manufacturer, Product, Serial, Asset string
}

// Arch is iPXE's ${buildarch}. An i386 iPXE under BIOS runs on 64-bit machines too: there it
// says nothing about the CPU.
type Arch string

// The architectures iPXE is built for; others are passed on as sent.
const (
	ArchI386  Arch = "i386"
	ArchX8664 Arch = "x86_64"
	ArchARM32 Arch = "arm32"
	ArchARM64 Arch = "arm64"
)

// Firmware is iPXE's ${platform}.
type Firmware string

// The firmware iPXE runs on.
const (
	FirmwareBIOS Firmware = "pcbios"
	FirmwareEFI  Firmware = "efi"
)

// MAC is an Ethernet address; it can be a map key. Its text form has lower case and colons.
type MAC [6]byte

// ErrMAC is what ParseMAC returns for anything but a machine's Ethernet address.
var ErrMAC = errors.New("pxe: not the MAC address of a machine")

// ParseMAC reads 12 hex digits, in pairs between colons or dashes, or without any separator.
// Addresses that no machine has are refused: all zeros, and multicast with broadcast.
func ParseMAC(s string) (MAC, error) {
	var mac MAC
	digits := s
	if len(s) == 17 {
		separator := s[2:3]
		digits = strings.ReplaceAll(s, separator, "")
		for i := 2; i < len(s); i += 3 {
			if s[i:i+1] != separator {
				digits = ""
			}
		}
		if separator != ":" && separator != "-" {
			digits = ""
		}
	}
	if len(digits) != 12 {
		return MAC{}, fmt.Errorf("%w: %.40q, expected like 52:54:00:77:00:01", ErrMAC, s)
	}
	if _, err := hex.Decode(mac[:], []byte(digits)); err != nil {
		return MAC{}, fmt.Errorf("%w: %.40q, expected like 52:54:00:77:00:01", ErrMAC, s)
	}
	if mac == (MAC{}) || mac[0]&1 == 1 {
		return MAC{}, fmt.Errorf("%w: %q is all zeros or a multicast address", ErrMAC, s)
	}
	return mac, nil
}

// String returns the address as 52:54:00:77:00:01.
func (m MAC) String() string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// MarshalText returns String.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what ParseMAC reads.
func (m *MAC) UnmarshalText(text []byte) error {
	mac, err := ParseMAC(string(text))
	if err != nil {
		return err
	}
	*m = mac
	return nil
}

// Action is what a Decision does.
type Action int

const (
	// ActionLocal boots the local disk, in the way of Decision.Local. It is the zero value.
	ActionLocal Action = iota
	// ActionBoot boots Kernel with Initrds and Args.
	ActionBoot
	// ActionScript runs Script.
	ActionScript
	// ActionIgnore gives the client nothing.
	ActionIgnore
)

// String returns local, boot, script or ignore.
func (a Action) String() string {
	switch a {
	case ActionLocal:
		return "local"
	case ActionBoot:
		return "boot"
	case ActionScript:
		return "script"
	case ActionIgnore:
		return "ignore"
	}
	return fmt.Sprintf("Action(%d)", int(a))
}

// LocalBoot is how a machine is sent to its local disk. No way works on every firmware, so it
// is a choice per node.
type LocalBoot string

const (
	// LocalExit leaves iPXE with a failure, upon which the firmware tries the next entry of
	// its boot order. (After a success UEFI firmware stops in its boot manager.) It is also
	// what the empty LocalBoot means.
	LocalExit LocalBoot = "exit"
	// LocalSanboot starts the first disk from within iPXE, for BIOSes that hang or ask PXE
	// again after an exit.
	LocalSanboot LocalBoot = "sanboot"
	// LocalNotFound answers 404, for firmware that handles a missing file best.
	LocalNotFound LocalBoot = "404"
)

// A Decision is what a client boots.
type Decision struct {
	Action Action
	// Reason is one sentence for the log and for the machine's console.
	Reason string

	// Local is used by ActionLocal.
	Local LocalBoot

	// Kernel, Initrds and Args are used by ActionBoot. A URL is http, https or tftp, or
	// relative to the script's; iPXE's variables like ${net0/mac} are expanded by the machine
	// in both URLs and Args. An element of Args is one word of the kernel's command line.
	Kernel  string
	Initrds []Initrd
	Args    []string

	// Script is used by ActionScript: an iPXE script, sent as it is.
	Script string
}

// An Initrd is one initial RAM disk.
type Initrd struct {
	Name string // as the kernel finds it ([A-Za-z0-9._-]), "" = "initrd", with a number from the second on
	URL  string
}

// Arg returns the value of the last word name=value of Args, or "" and true for a bare name.
func (d *Decision) Arg(name string) (value string, found bool) {
	for _, arg := range d.Args {
		if key, v, _ := strings.Cut(arg, "="); key == name {
			value, found = v, true
		}
	}
	return value, found
}
