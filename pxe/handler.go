package pxe

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Path is where machines ask.
const Path = "/boot/ipxe"

// ChainURL returns the URL for a DHCP server's bootfile name (option 67), or for a chain
// command, that makes iPXE ask at base, such as "http://10.77.0.1:8080". iPXE fills in the
// variables, so one URL serves all machines.
func ChainURL(base string) string {
	return strings.TrimSuffix(base, "/") + Path + "?mac=${net0/mac}&uuid=${uuid}&arch=${buildarch}&platform=${platform}" +
		"&manufacturer=${manufacturer}&product=${product}&serial=${serial}&asset=${asset}"
}

// HandlerOptions of Handler; nil is the same as the zero value.
type HandlerOptions struct {
	// Logger is told of each answer and each doubt, nil = silent.
	Logger *slog.Logger
	// Doubt is how a machine is sent to its local disk when there is no decision.
	Doubt LocalBoot
	// Timeout is how long a Booter may take, 0 = 10 s. iPXE itself gives up later.
	Timeout time.Duration
}

// Handler answers iPXE's GET with a script. The query has mac (needed), and uuid, arch,
// platform, manufacturer, product, serial and asset; see ChainURL. Answers carry a
// Content-Length, are not cached and never redirect, for UEFI's HTTP clients understand
// neither chunks nor redirects reliably.
//
// Mount it where no mux redirects cleaned paths. 400: no usable MAC. 404: the Booter ignores
// the machine, or chose LocalNotFound. 405: neither GET nor HEAD.
func Handler(b Booter, opts *HandlerOptions) http.Handler {
	h := &handler{booter: b}
	if opts != nil {
		h.HandlerOptions = *opts
	}
	if h.Logger == nil {
		h.Logger = slog.New(slog.DiscardHandler)
	}
	if h.Timeout <= 0 {
		h.Timeout = 10 * time.Second
	}
	return h
}

type handler struct {
	HandlerOptions
	booter Booter
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		answer(w, http.StatusMethodNotAllowed, "Ask with GET.\n")
		return
	}
	client, err := parseClient(r)
	if err != nil {
		h.Logger.Warn("boot request refused", "from", r.RemoteAddr, "error", err)
		answer(w, http.StatusBadRequest, "mac: "+err.Error()+".\n")
		return
	}
	log := h.Logger.With("mac", client.MAC.String(), "address", client.Address.String())
	decision, script, err := h.decide(r.Context(), client)
	if err != nil {
		log.Error("no boot decision; local boot", "error", err)
		decision = &Decision{Local: h.Doubt, Reason: "no decision, booting the local disk"}
		if script, err = Script(decision); err != nil {
			decision.Local = LocalExit
			script = "#!ipxe\nexit 1\n"
		}
	}
	log.Info("boot", "action", decision.Action.String(), "reason", decision.Reason)
	if decision.Action == ActionIgnore || decision.Action == ActionLocal && decision.Local == LocalNotFound {
		answer(w, http.StatusNotFound, "Nothing to boot: "+printable(decision.Reason)+".\n")
		return
	}
	answer(w, http.StatusOK, script)
}

// decide asks the Booter; every doubt is an error.
func (h *handler) decide(ctx context.Context, c Client) (*Decision, string, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	d, err := h.booter.Boot(ctx, c)
	switch {
	case err != nil:
		return nil, "", err
	case d == nil:
		return nil, "", fmt.Errorf("%w: none was made", ErrDecision)
	case d.Action == ActionIgnore:
		return d, "", nil
	}
	script, err := Script(d)
	return d, script, err
}

func answer(w http.ResponseWriter, status int, body string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// An error means that the machine went away; it asks again.
	_, _ = io.WriteString(w, body)
}

// parseClient reads the query. iPXE percent-encodes the colons of a MAC, which url.Query
// undoes.
func parseClient(r *http.Request) (Client, error) {
	// A stray % or ; in a serial number must not lose the MAC: ParseQuery returns what it could
	// read.
	query, _ := url.ParseQuery(r.URL.RawQuery)
	mac, err := ParseMAC(query.Get("mac"))
	if err != nil {
		return Client{}, err
	}
	c := Client{
		MAC:          mac,
		UUID:         cleanUUID(query.Get("uuid")),
		Arch:         Arch(clean(query.Get("arch"))),
		Firmware:     Firmware(clean(query.Get("platform"))),
		Manufacturer: clean(query.Get("manufacturer")),
		Product:      clean(query.Get("product")),
		Serial:       clean(query.Get("serial")),
		Asset:        clean(query.Get("asset")),
	}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.Address = from.Addr().Unmap()
	}
	return c, nil
}

// maxClaim bounds what one field of a stranger may hold; SMBIOS strings are 64 bytes.
const maxClaim = 128

// clean makes a claim safe to keep and to show.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > maxClaim {
		s = strings.ToValidUTF8(s[:maxClaim], "")
	}
	return strings.TrimSpace(s)
}

// cleanUUID returns a UUID in lower case, or "" for what is none, or one that vendors leave
// in place of one.
func cleanUUID(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if len(s) != 36 {
		return ""
	}
	digits := map[rune]bool{}
	for i, r := range s {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (r == '-') || !dash && !strings.ContainsRune("0123456789abcdef", r) {
			return ""
		}
		if !dash {
			digits[r] = true
		}
	}
	if len(digits) == 1 {
		return ""
	}
	return s
}
